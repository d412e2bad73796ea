//! A file's stored numbers, before they become an image or labels, and what kind of file its first bytes say it is.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use tiff::decoder::DecodingResult;

use super::source::ImageSource;
use crate::error::{Error, Result};
use crate::memory;

/// The largest image that is read, in bytes once decoded.
const MAX_BYTES: u64 = 16 << 30;
/// What kind of file the first bytes say it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Png,
    Tiff,
    Empty,
    Other,
}

/// What the stored numbers are to be taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Brightness: palettes become colours, and white is the largest number.
    Intensities,
    /// Class labels: the numbers exactly as stored.
    Labels,
}

/// A page's numbers as its file stores them.
pub(super) struct Decoded {
    /// All samples, of the file's own type.
    pub(super) samples: DecodingResult,
    pub(super) height: usize,
    pub(super) width: usize,
    /// Samples per pixel in `samples`.
    pub(super) stored_channels: usize,
    /// How many of them, from the first, are channels of the image; the rest is alpha.
    pub(super) channels: usize,
    /// Whether all pixels of a channel come together, instead of all channels of a pixel.
    pub(super) planar: bool,
}

/// Reads the first bytes of `path`.
pub(super) fn detect(path: &Path) -> Result<Format> {
    let mut magic = Vec::with_capacity(8);
    open(path)?.take(8).read_to_end(&mut magic).map_err(|error| unreadable(path, &error))?;
    Ok(match magic.as_slice() {
        [] => Format::Empty,
        b"\x89PNG\r\n\x1a\n" => Format::Png,
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Format::Tiff,
        _ => Format::Other,
    })
}

pub(super) fn open(path: &Path) -> Result<File> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    match file.metadata() {
        Ok(metadata) if metadata.is_dir() => {
            Err(Error::input(path, "is a folder; wanted one PNG or TIFF image"))
        }
        Ok(_) => Ok(file),
        Err(error) => Err(unreadable(path, &error)),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::input(path, format!("cannot be read: {error}; check the path and its permissions"))
}

pub(super) fn not_an_image(path: &Path, format: Format) -> Error {
    match format {
        Format::Empty => Error::input(path, "is empty (0 bytes); copy or export the image again"),
        _ => Error::input(path, "is not a PNG or TIFF image; convert it to one of these"),
    }
}

/// Refuses an image that is too large to decode, before any memory is taken for it.
pub(super) fn check_bytes(
    page: &ImageSource,
    channels: usize,
    height: usize,
    width: usize,
    sample_bytes: usize,
) -> Result<u64> {
    let samples = (channels as u64).checked_mul(height as u64).and_then(|n| n.checked_mul(width as u64));
    // Float32 is what every image becomes, so a smaller stored type does not make it fit.
    let largest = samples.and_then(|n| n.checked_mul(sample_bytes.max(4) as u64));
    match (samples, largest) {
        (Some(samples), Some(largest)) if largest <= MAX_BYTES => Ok(samples),
        _ => Err(Error::input(
            page.name(),
            format!(
                "says that it is {width} x {height} pixels of {channels} channels, but wanted at most {} GiB decoded; cut the image into smaller files",
                MAX_BYTES >> 30
            ),
        )),
    }
}

/// Checks that there is memory for what decoding takes: `samples` numbers of `sample_bytes` bytes as they are stored, and
/// again as what they are read for.
///
/// # Errors
/// [`Error::OutOfMemory`] where there is not.
pub(super) fn check_memory(
    page: &ImageSource,
    samples: usize,
    sample_bytes: usize,
    purpose: Purpose,
) -> Result<()> {
    let read_bytes = match purpose {
        Purpose::Intensities => size_of::<f32>(),
        Purpose::Labels => size_of::<i64>(),
    };
    let bytes = (samples as u64).saturating_mul((sample_bytes + read_bytes) as u64);
    memory::check(&format!("the image {}", page.name()), bytes, "cut the image into smaller files")
}

/// The side of an image that is to be written, as file formats count it.
///
/// # Errors
/// [`Error::Output`] for none, and for more than formats can say.
pub(super) fn side(path: &Path, pixels: usize) -> Result<u32> {
    match u32::try_from(pixels) {
        Ok(side) if side > 0 => Ok(side),
        _ => Err(Error::output(path, format!("an image side of {pixels} pixels; wanted 1 to {}", u32::MAX))),
    }
}
