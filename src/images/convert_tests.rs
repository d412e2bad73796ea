//! Stacks that are converted in bands of rows make the same files as those that are converted slice by slice.

use std::collections::BTreeMap;

use ndarray::{Array4, s};

use super::*;
use crate::images::{Discovery, Sink};

/// Where a slice is one band, and where a few rows are.
const WHOLE: BandBytes = BandBytes { stored: usize::MAX, numbers: usize::MAX };
const FEW: BandBytes = BandBytes { stored: 1 << 12, numbers: 1 << 11 };

/// Nobody watches.
struct Nobody;

impl Watcher for Nobody {}

fn wishes(format: StackFormat) -> Conversion {
    Conversion { format, numbers: None, window: None, labels: false, voxel_size: None }
}

/// The files of a result, by their places in it.
fn files(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut left = vec![path.to_path_buf()];
    while let Some(next) = left.pop() {
        if next.is_dir() {
            left.extend(std::fs::read_dir(&next).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            found.insert(next.strip_prefix(path).unwrap().to_path_buf(), std::fs::read(&next).unwrap());
        }
    }
    found
}

/// Whether both ways make the same of `input`, or refuse it with the same words.
fn check(input: &Path, discovery: &Discovery, wishes: &Conversion, few: BandBytes) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let name = input.to_str().unwrap();
    let Ok(pages) = discovery.discover(name) else { return false };
    let out = folder.path().join(format!("a.{}", wishes.format.ending()));
    let made = |bytes| {
        let done = convert_in_bands(name, pages.clone(), &out, wishes, &mut Nobody, bytes);
        done.map(|()| files(&out)).map_err(|error| error.to_string())
    };
    let whole = made(WHOLE);
    assert_eq!(made(few), whole, "{name}: {wishes:?}");
    // Nothing else is left, and nothing of what was refused.
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, usize::from(whole.is_ok()), "{name}: {wishes:?}");
    whole.is_ok()
}

fn stack(path: &Path, format: StackFormat, numbers: NumberType, values: &Array4<f64>) {
    let (channels, z, y, x) = values.dim();
    let extent = Extent::new(z, y, x);
    let new = NewStack { channels, ..NewStack::new(path, extent) };
    let mut sink = new.numbers(format, numbers, false).unwrap();
    sink.write(Window::whole(extent), values.view()).unwrap();
    Box::new(sink).done().unwrap();
}

fn values(channels: usize, (z, y, x): (usize, usize, usize)) -> Array4<f64> {
    Array4::from_shape_fn((channels, z, y, x), |(c, z, y, x)| {
        ((c * 97 + z * 31 + y * 13 + x * 5 + x * y / 7) % 251) as f64
    })
}

#[test]
fn large_slices_are_the_same_in_every_format_whatever_the_bands() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    // Several rows of chunks, of which bands end anywhere, and three sizes.
    stack(&path, StackFormat::Npy, NumberType::U16, &values(1, (1, 1100, 530)));
    let all = StackFormat::NAMES.into_iter().map(|(_, format)| format);
    for format in all.chain([StackFormat::Png, StackFormat::Zarr04]) {
        let few = BandBytes { stored: 1 << 19, numbers: 1 << 20 };
        assert!(check(&path, &Discovery::default(), &wishes(format), few), "{format:?}");
    }
}

#[test]
fn channels_slices_types_and_windows_are_the_same_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let values = values(3, (2, 75, 64));
    for (source, numbers) in [
        (StackFormat::Npy, NumberType::F32),
        (StackFormat::Tiff, NumberType::U16),
        (StackFormat::Hdf5, NumberType::I32),
        (StackFormat::Zarr, NumberType::I64),
        (StackFormat::Nifti, NumberType::U8),
    ] {
        let path = folder.path().join(format!("a.{}", source.ending()));
        stack(&path, source, numbers, &values);
        let axes = (source == StackFormat::Npy).then(|| "ZCYX".to_owned());
        for channel in [None, Some(1)] {
            let discovery = Discovery { channel, axes: axes.clone(), ..Discovery::default() };
            for (_, format) in StackFormat::NAMES {
                if channel.is_none() && !format.holds_channels() {
                    continue;
                }
                assert!(check(&path, &discovery, &wishes(format), FEW), "{path:?}: {format:?}");
            }
            let window = Some(ValueWindow::Percentiles(2.0, 97.5));
            for format in [StackFormat::Tiff, StackFormat::Hdf5, StackFormat::Zarr] {
                for window in [window, Some(ValueWindow::Values(5.0, 200.0))] {
                    let scaled = Conversion { window, numbers: Some(NumberType::U16), ..wishes(format) };
                    assert!(check(&path, &discovery, &scaled, FEW), "{path:?}: {scaled:?}");
                }
            }
        }
        let one = values.slice(s![..1, .., .., ..]).to_owned();
        stack(&path, source, numbers, &one);
        let labels = Conversion { labels: true, ..wishes(StackFormat::Hdf5) };
        assert!(check(&path, &Discovery::default(), &labels, FEW), "{path:?}");
    }
}

/// Strips, tiles, blocks, compression and orders of axes of all kinds.
#[test]
fn files_of_other_programs_are_the_same() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let few = BandBytes { stored: 64, numbers: 64 };
    let mut converted = 0;
    for folder in ["tiff", "npy", "mrc", "nifti", "hdf5", "zarr"] {
        for entry in std::fs::read_dir(corpus.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            for format in [StackFormat::Npy, StackFormat::Zarr] {
                converted += usize::from(check(&path, &Discovery::default(), &wishes(format), few));
            }
            let labels = Conversion { labels: true, ..wishes(StackFormat::Hdf5) };
            check(&path, &Discovery::default(), &labels, few);
        }
    }
    assert!(converted > 60, "{converted}");
}
