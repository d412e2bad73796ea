//! Arrays to TIFF files.

use std::path::Path;

use ndarray::{Array2, ArrayView3, Axis};

use super::sink::TiffSink;
use crate::error::{Error, Result};
use crate::geometry::{Extent, Window};
use crate::images::label_format::LabelFormat;
use crate::images::limits::side;
use crate::images::sink::Sink;

/// Above this many bytes of pixels a TIFF file is written as BigTIFF, as its offsets need 64 bits.
pub(super) const MAX_CLASSIC_TIFF_BYTES: usize = 4_000_000_000;

/// Writes a float32 TIFF from an image of shape `[channel][y][x]`.
///
/// One channel gives a grey image; n channels give n interleaved samples per pixel, the first grey and
/// the others unspecified extra samples, as most programs for scientific images read them.
///
/// # Errors
/// [`Error::Output`] for no or more than 65 535 channels, an empty image, or a file that cannot be written.
pub fn write_tiff_f32<'a>(path: impl AsRef<Path>, image: impl Into<ArrayView3<'a, f32>>) -> Result<()> {
    let image = image.into();
    let path = path.as_ref();
    let (channels, height, width) = image.dim();
    check_channels(path, channels)?;
    for length in [width, height] {
        side(path, length)?;
    }
    let mut sink = TiffSink::values(path, Extent::plane(height, width), channels)?;
    sink.write(Window::plane(0..height, 0..width), image.insert_axis(Axis(1)))?;
    Box::new(sink).done()
}

/// Refuses no channels, and more than the format can say.
pub(super) fn check_channels(path: &Path, channels: usize) -> Result<()> {
    match channels {
        1..=0xffff => Ok(()),
        _ => Err(Error::output(path, format!("an image of {channels} channels; wanted 1 to 65535"))),
    }
}

/// Writes an int32 TIFF from labels of shape `[y][x]`.
///
/// # Errors
/// [`Error::Output`] for an empty image or a file that cannot be written.
pub(in crate::images) fn write_tiff_i32(path: &Path, labels: &Array2<i32>) -> Result<()> {
    let (height, width) = labels.dim();
    let mut sink = TiffSink::labels(path, Extent::plane(height, width), LabelFormat::Tiff32)?;
    let labels = labels.mapv(i64::from).insert_axis(Axis(0)).insert_axis(Axis(0));
    sink.write(Window::plane(0..height, 0..width), labels.view())?;
    Box::new(sink).done()
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

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
