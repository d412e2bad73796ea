//! Arrays to TIFF files.

use std::io::{Seek, Write};
use std::path::Path;

use ndarray::{Array2, ArrayView3, Axis};
use tiff::encoder::colortype::{ColorType, Gray32Float, GrayI32};
use tiff::encoder::{Rational, TiffEncoder, TiffKind, TiffValue};
use tiff::tags::{ExtraSamples, PhotometricInterpretation, ResolutionUnit, Tag};
use tiff::{TiffError, TiffResult};

use super::layout::{Description, fraction};
use crate::error::{Error, Result};
use crate::files::write_atomic;
use crate::images::labels::Palette;
use crate::images::limits::side;

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
    write_atomic(path, |file| {
        if image.len() * 4 < MAX_CLASSIC_TIFF_BYTES {
            TiffEncoder::new(file).and_then(|mut file| {
                write_page::<Gray32Float, _, _, _>(&mut file, image, Tags::default(), |v| v)
            })
        } else {
            TiffEncoder::new_big(file).and_then(|mut file| {
                write_page::<Gray32Float, _, _, _>(&mut file, image, Tags::default(), |v| v)
            })
        }
        .map_err(io_error)
    })
}

/// Refuses no channels, and more than the format can say.
pub(super) fn check_channels(path: &Path, channels: usize) -> Result<()> {
    match channels {
        1..=0xffff => Ok(()),
        _ => Err(Error::output(path, format!("an image of {channels} channels; wanted 1 to 65535"))),
    }
}

/// The system's error, where the encoder failed for one.
pub(super) fn io_error(error: TiffError) -> std::io::Error {
    match error {
        TiffError::IoError(error) => error,
        other => std::io::Error::other(other),
    }
}

/// What a page says beside its pixels.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tags<'a> {
    /// Of its file.
    pub(super) description: Option<&'a Description>,
    /// The colours in which programs show its numbers of 8 bits.
    pub(super) palette: Option<&'a Palette>,
}

/// Adds a page from an image of shape `[channel][y][x]`, whose sides a TIFF file can say, each number turned by `number`.
pub(super) fn write_page<C: ColorType, T: Copy, W: Write + Seek, K: TiffKind>(
    encoder: &mut TiffEncoder<W, K>,
    image: ArrayView3<T>,
    tags: Tags<'_>,
    number: impl Fn(T) -> C::Inner,
) -> TiffResult<()>
where
    [C::Inner]: TiffValue,
{
    let (channels, height, width) = image.dim();
    let mut page = encoder.new_image::<C>(u32::try_from(width)?, u32::try_from(height)?)?;
    let colours = C::BITS_PER_SAMPLE.len();
    if channels > colours {
        page.extra_samples(&vec![ExtraSamples::Unspecified; channels - colours])?;
    }
    if let Some(palette) = tags.palette {
        // All red ones, then all green and all blue ones, of 16 bits each.
        let part = |colour: usize| palette.iter().map(move |of| u16::from(of[colour]) * 257);
        let map: Vec<u16> = (0..3).flat_map(part).collect();
        let photometric = PhotometricInterpretation::RGBPalette.to_u16();
        page.encoder().write_tag(Tag::PhotometricInterpretation, photometric)?;
        page.encoder().write_tag(Tag::ColorMap, map.as_slice())?;
    }
    if let Some(Description { text, resolution, in_centimetres }) = tags.description {
        page.encoder().write_tag(Tag::ImageDescription, text.as_str())?;
        if let Some(resolution) = resolution {
            let [x, y] = resolution.map(fraction).map(|(n, d)| Rational { n, d });
            page.x_resolution(x);
            page.y_resolution(y);
            page.resolution_unit(if *in_centimetres {
                ResolutionUnit::Centimeter
            } else {
                ResolutionUnit::None
            });
        }
    }
    let interleaved = image.permuted_axes([1, 2, 0]);
    let mut next_row = 0;
    // Strip by strip, so that a large image is not held twice.
    while page.next_strip_sample_count() > 0 {
        let row_samples = width * channels;
        let rows = page.next_strip_sample_count() as usize / row_samples;
        let strip = interleaved.slice_axis(Axis(0), (next_row..next_row + rows).into());
        page.write_strip(&strip.iter().map(|&value| number(value)).collect::<Vec<_>>())?;
        next_row += rows;
    }
    page.finish()
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
