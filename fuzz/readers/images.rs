//! Images in files of every format, and what options say of how they are taken.

use std::fs;
use std::path::Path;

use msd_gpu::files::unfinished_name;
use msd_gpu::geometry::{Extent, Window};
use msd_gpu::images::{
    Discovery, ImageSource, NewStack, NumberType, SharedStack, Sink, SliceSelection, Slices, StackFormat,
    ValueWindow, Volume, discover, overview, page_size, read_image, read_labels, read_values,
};
use msd_gpu::inference::{Cutting, Share};
use msd_gpu::settings::byte_size;

use super::{in_file, in_folder, in_unpacked, unpack};

/// Images of more numbers are not read whole: the file may well hold them, and then they take what they take.
pub(super) const MOST_NUMBERS: usize = 1 << 18;
/// As [`MOST_NUMBERS`], of JPEG whose scans are counted.
const MOST_COUNTED: usize = 1 << 22;
/// Of a stack no more images are read than these.
const MOST_IMAGES: usize = 3;
/// The rows and columns of a part.
const PART: usize = 16;

/// An image or array in one file; its first bytes tell the format.
pub fn file(bytes: &[u8]) {
    in_file(bytes, |path| images(path, &Discovery::default()));
}

/// A TIFF file, also at the next level of a pyramid.
pub fn tiff(bytes: &[u8]) {
    let mut level = Discovery::default();
    level.level = 1;
    in_file(bytes, |path| {
        images(path, &Discovery::default());
        images(path, &level);
    });
}

/// A JPEG file, which may be much smaller than its image.
pub fn jpeg_scans(bytes: &[u8]) {
    if !bytes.starts_with(&[0xff, 0xd8, 0xff]) {
        return;
    }
    in_file(bytes, |path| {
        let Some(page) = path.to_str().and_then(|place| discover(place).ok()?.pop()) else { return };
        if numbers_of(&page).is_some_and(|count| count <= MOST_COUNTED) {
            let _ = read_image(&page);
        }
    });
}

/// Numbers without a header.
pub fn raw(bytes: &[u8]) {
    let mut discovery = Discovery::default();
    discovery.raw = Some("8x4x2:u16le".into());
    in_file(bytes, |path| images(path, &discovery));
}

/// What somebody says of the form of a file without a header.
pub fn raw_form(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut discovery = Discovery::default();
    discovery.raw = Some(text.into());
    in_file(&[7; 64], |path| images(path, &discovery));
}

/// What options say of a stack: its axes, slices and channel, and how it is cut and shared.
pub fn options(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let given = || Some(text.to_owned());
    let (mut axes, mut slices, mut targets) =
        (Discovery::default(), Discovery::default(), Discovery::default());
    (axes.axes, slices.slices) = (given(), given());
    (targets.slices_of_targets, targets.channel) = (given(), text.trim().parse().ok());
    in_folder(&[], "unused", &[], |folder| {
        let path = folder.join("a.tif");
        let stack = NewStack::new(&path, Extent::new(6, 4, 6));
        let mut sink = stack.values(StackFormat::Tiff).expect("the folder takes a stack");
        let zeros = ndarray::Array4::zeros((1, 6, 4, 6));
        let written = sink.write(Window::new(0..6, 0..4, 0..6), zeros.view());
        written.and_then(|()| Box::new(sink).done()).expect("the stack is written");
        [&axes, &slices, &targets].iter().for_each(|discovery| images(&path, discovery));
    });
    let _ =
        (SliceSelection::of_setting("slices", text), text.parse::<ValueWindow>(), text.parse::<NumberType>());
    let _ = (
        Cutting::of_text(None, Some(text), None),
        Cutting::of_text(None, None, Some(text)),
        text.parse::<Share>(),
    );
    let _ = byte_size("memory", text);
}

/// A Zarr folder, packed as [`pack`] does.
pub fn zarr(bytes: &[u8]) {
    let Ok(folder) = tempfile::tempdir() else { return };
    let path = folder.path().join("a.zarr");
    if fs::create_dir(&path).is_ok() && unpack(bytes, &path) > 0 {
        images(&path, &Discovery::default());
        let mut second = Discovery::default();
        second.level = 1;
        images(&path, &second);
    }
}

/// What killed programs have left of stacks called `a` with the endings of all formats, packed as [`pack`](super::pack) does.
pub fn unfinished(bytes: &[u8]) {
    /// Of two slices.
    const SIZE: Extent = Extent { z: 2, y: 4, x: 6 };
    let stacks = |folder: &Path| {
        let formats = StackFormat::NAMES.map(|(_, format)| format).into_iter().chain([StackFormat::Zarr04]);
        let stack = |format: StackFormat| NewStack::new(folder.join(format!("a.{}", format.ending())), SIZE);
        formats.map(|format| (format, stack(format))).collect::<Vec<_>>()
    };
    in_unpacked(bytes, |folder| {
        for (format, stack) in stacks(folder) {
            if unfinished_name(&format.unfinished(&stack.path)).exists() {
                let _ = NewStack { resume: true, written: 1, ..stack }.values(format);
            }
        }
    });
    in_unpacked(bytes, |folder| {
        for (format, stack) in stacks(folder).into_iter().filter(|(format, _)| format.can_be_shared()) {
            let shared = SharedStack::of(&stack.path, SIZE.z, "w");
            let _ = (shared.missing(), shared.check_unfinished());
            let stack = NewStack { resume: true, work: Some("w".into()), share: Some(1..2), ..stack };
            let _ = (stack.values(format), shared.finish());
        }
    });
}

/// How many numbers an image has, as its header says; `None` where it does not say it.
fn numbers_of(page: &ImageSource) -> Option<usize> {
    let (channels, height, width) = page_size(page).ok()?;
    channels.checked_mul(height)?.checked_mul(width)
}

/// Looks for the images at `path`, and reads some of them whole and in parts.
fn images(path: &Path, discovery: &Discovery) {
    let Some(place) = path.to_str() else { return };
    let Ok(pages) = discovery.discover(place) else { return };
    // An image whose header is damaged is read to be told what is wrong with it.
    let is_small = |page: &ImageSource| numbers_of(page).is_none_or(|count| count <= MOST_NUMBERS);
    for page in pages.iter().take(MOST_IMAGES).filter(|page| is_small(page)) {
        let _ = read_image(page);
        let _ = read_values(page);
        let _ = read_labels(page);
    }
    let count = pages.len();
    let is_small = count <= MOST_IMAGES && pages.iter().all(is_small);
    if is_small {
        let _ = overview(place, pages.clone(), &mut ());
    }
    if let Ok(volume) = Slices::new(place, pages) {
        parts(&volume);
    }
}

/// Reads the first and the last pixels of a volume.
fn parts(volume: &Slices) {
    let extent = volume.extent();
    let end = |length: usize| length.saturating_sub(PART)..length;
    let first = Window::new(0..1, 0..extent.y.min(PART), 0..extent.x.min(PART));
    let last = Window::new(extent.z - 1..extent.z, end(extent.y), end(extent.x));
    // Each number of a pixel is a channel, of which there may be very many.
    if volume.channels() <= MOST_NUMBERS / (PART * PART) {
        for window in [first, last] {
            let _ = volume.read(window);
            let _ = volume.read_labels(window);
        }
    }
}
