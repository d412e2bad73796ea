//! Arrays to TIFF files.

use std::io::Write;
use std::path::Path;

use ndarray::{Array2, Array3, ArrayView3, Axis};
use tiff::TiffError;
use tiff::encoder::colortype::{Gray32Float, GrayI32};
use tiff::encoder::{TiffEncoder, TiffKind};
use tiff::tags::ExtraSamples;

use crate::error::{Error, Result};
use crate::files::write_atomic;
use crate::images::limits::side;

/// Above this many bytes of pixels a TIFF file is written as BigTIFF, as its offsets need 64 bits.
const MAX_CLASSIC_TIFF_BYTES: usize = 4_000_000_000;

/// Writes a float32 TIFF from an image of shape `[channel][y][x]`.
///
/// One channel gives a grey image; n channels give n interleaved samples per pixel, the first grey and
/// the others unspecified extra samples, as most programs for scientific images read them.
///
/// # Errors
/// [`Error::Output`] for no or more than 65 535 channels, an empty image, or a file that cannot be written.
pub fn write_tiff_f32(path: impl AsRef<Path>, image: &Array3<f32>) -> Result<()> {
    let path = path.as_ref();
    let (channels, height, width) = image.dim();
    if channels == 0 || channels > usize::from(u16::MAX) {
        return Err(Error::output(path, format!("an image of {channels} channels; wanted 1 to 65535")));
    }
    let (width, height) = (side(path, width)?, side(path, height)?);
    write_atomic(path, |file| {
        if image.len() * 4 < MAX_CLASSIC_TIFF_BYTES {
            TiffEncoder::new(file).and_then(|encoder| fill_tiff_f32(encoder, image.view(), width, height))
        } else {
            TiffEncoder::new_big(file).and_then(|encoder| fill_tiff_f32(encoder, image.view(), width, height))
        }
        .map_err(io_error)
    })
}

/// The system's error, where the encoder failed for one.
fn io_error(error: TiffError) -> std::io::Error {
    match error {
        TiffError::IoError(error) => error,
        other => std::io::Error::other(other),
    }
}

fn fill_tiff_f32<W: Write + std::io::Seek, K: TiffKind>(
    mut encoder: TiffEncoder<W, K>,
    image: ArrayView3<f32>,
    width: u32,
    height: u32,
) -> tiff::TiffResult<()> {
    let channels = image.dim().0;
    let mut file = encoder.new_image::<Gray32Float>(width, height)?;
    if channels > 1 {
        file.extra_samples(&vec![ExtraSamples::Unspecified; channels - 1])?;
    }
    let interleaved = image.permuted_axes([1, 2, 0]);
    let mut next_row = 0;
    // Strip by strip, so that a large image is not held twice.
    while file.next_strip_sample_count() > 0 {
        let row_samples = width as usize * channels;
        let rows = file.next_strip_sample_count() as usize / row_samples;
        let strip = interleaved.slice_axis(Axis(0), (next_row..next_row + rows).into());
        file.write_strip(&strip.iter().copied().collect::<Vec<_>>())?;
        next_row += rows;
    }
    file.finish()
}

/// Writes an int32 TIFF from labels of shape `[y][x]`.
///
/// # Errors
/// [`Error::Output`] for an empty image or a file that cannot be written.
pub(in crate::images) fn write_tiff_i32(path: &Path, labels: &Array2<i32>) -> Result<()> {
    let (height, width) = (side(path, labels.dim().0)?, side(path, labels.dim().1)?);
    let values: Vec<i32> = labels.iter().copied().collect();
    write_atomic(path, |file| {
        TiffEncoder::new(file)
            .and_then(|mut encoder| encoder.write_image::<GrayI32>(width, height, &values))
            .map_err(io_error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::{discover, page_size, read_image};

    fn read_back(path: &Path) -> Array3<f32> {
        read_image(&discover(path.to_str().unwrap()).unwrap()[0]).unwrap()
    }

    #[test]
    fn float_tiff_round_trips_with_any_number_of_channels() {
        let folder = tempfile::tempdir().unwrap();
        for channels in [1, 2, 3, 4, 7] {
            // Large enough for several strips.
            let image = Array3::from_shape_fn((channels, 700, 501), |(c, y, x)| {
                c as f32 + y as f32 * 0.25 - x as f32
            });
            let path = folder.path().join(format!("{channels}.tif"));
            write_tiff_f32(&path, &image).unwrap();
            assert_eq!(read_back(&path), image);
            let page = &discover(path.to_str().unwrap()).unwrap()[0];
            assert_eq!(page_size(page).unwrap(), (channels, 700, 501));
        }
    }

    #[test]
    fn an_empty_image_is_an_error_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty.tif");
        assert!(write_tiff_f32(&path, &Array3::zeros((1, 0, 3))).is_err());
        assert!(!path.exists());
    }
}
