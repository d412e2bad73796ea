//! Which sizes of images are read and written.

use std::path::Path;

use super::decoded::Purpose;
use crate::error::{Error, Result};
use crate::memory;

/// The largest image that is read, in bytes once decoded.
const MAX_BYTES: u64 = 16 << 30;

/// Refuses an image that is too large to decode, before any memory is taken for it; else gives its number of samples.
///
/// # Errors
/// [`Error::Input`] for the image called `name`.
pub(super) fn check_bytes(
    name: &str,
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
            name,
            format!(
                "says that it is {width} x {height} pixels of {channels} channels, but wanted at most {} GiB decoded; cut the image into smaller files",
                MAX_BYTES >> 30
            ),
        )),
    }
}

/// Checks that there is memory for what decoding takes: the numbers as they are stored, `bits` each, and again as what they
/// are read for.
///
/// # Errors
/// [`Error::OutOfMemory`] where there is not.
pub(super) fn check_memory(name: &str, samples: usize, bits: u8, purpose: Purpose) -> Result<()> {
    let read_bytes = match purpose {
        Purpose::Intensities | Purpose::Values => size_of::<f32>(),
        Purpose::Labels | Purpose::RoughLabels => size_of::<i64>(),
    };
    let bytes = (samples as u64).saturating_mul((usize::from(bits).div_ceil(8) + read_bytes) as u64);
    memory::check(&format!("the image {name}"), bytes, "cut the image into smaller files")
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
