//! One image with its numbers as they are stored: every whole number of up to 53 bits, and all floats.

use ::tiff::decoder::DecodingResult;
use ndarray::{Array3, Axis, s};

use super::decoded::{Purpose, each_type};
use super::limits::check_memory;
use super::numeric::ToFloat;
use super::read::{Origin, arrange, decode, misfit, no_channel, origin, page_size, read_labels};
use super::source::ImageSource;
use super::volume::zeros;
use crate::error::Result;

/// Reads an image as [`super::read_image`] does, `[channel][y][x]`, but no number is rounded to float32, and those that are not finite stay.
/// As `labels` it has one channel, and the numbers of a palette instead of its colours.
///
/// # Errors
/// As [`super::read_image`] for files that cannot be read, and as [`read_labels`] for labels.
pub(super) fn read_exact(image: &ImageSource, labels: bool) -> Result<Array3<f64>> {
    if labels {
        return Ok(read_labels(image)?.mapv(|label| label as f64).insert_axis(Axis(0)));
    }
    let origin = origin(image)?;
    let parts = image.parts();
    if parts.len() < 2 {
        return read_plane(image, &origin);
    }
    let (channels, height, width) = page_size(image)?;
    check_memory(&image.name(), channels * height * width, 64, Purpose::Intensities)?;
    let mut all = zeros(&image.name(), (channels, height, width))?;
    let mut first = 0;
    for part in &parts {
        let plane = read_plane(part, &origin)?;
        let end = first + plane.dim().0;
        if end > channels || (plane.dim().1, plane.dim().2) != (height, width) {
            return Err(misfit(image));
        }
        all.slice_mut(s![first..end, .., ..]).assign(&plane);
        first = end;
    }
    Ok(all)
}

fn read_plane(image: &ImageSource, origin: &Origin) -> Result<Array3<f64>> {
    let decoded = decode(image, origin, Purpose::Intensities, None)?;
    let all = each_type!(&decoded.samples, samples => arrange(&decoded, samples, ToFloat::to_float));
    let all = all.ok_or_else(|| misfit(image))?;
    match image.planes.first().and_then(|plane| plane.channel) {
        Some(channel) if channel >= all.dim().0 => Err(no_channel(image, channel, all.dim().0)),
        Some(channel) => Ok(all.slice_move(s![channel..channel + 1, .., ..])),
        None => Ok(all),
    }
}
