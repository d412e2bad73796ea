//! Arrays to PNG files.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use ::png::{BitDepth, ColorType};
use ndarray::{Array, Array2, Array3, Dimension};

use super::decoded::side;
use crate::error::{Error, Result};
use crate::files::write_atomic;

/// Writes an 8-bit grey PNG from an image of shape `[y][x]`.
///
/// # Errors
/// [`Error::Output`] for an empty image or a file that cannot be written.
pub fn write_png_grey8(path: impl AsRef<Path>, image: &Array2<u8>) -> Result<()> {
    write_png(path.as_ref(), &in_order(image), image.dim(), ColorType::Grayscale, BitDepth::Eight)
}

/// Writes an 8-bit colour PNG from an image of shape `[y][x][3]`, red, green and blue.
///
/// # Errors
/// [`Error::Output`] for a last dimension other than 3, an empty image or a file that cannot be written.
pub fn write_png_rgb8(path: impl AsRef<Path>, image: &Array3<u8>) -> Result<()> {
    let (height, width, colours) = image.dim();
    if colours != 3 {
        return Err(Error::output(
            path,
            format!("an image of {colours} colours; wanted 3: red, green and blue"),
        ));
    }
    write_png(path.as_ref(), &in_order(image), (height, width), ColorType::Rgb, BitDepth::Eight)
}

/// The numbers of an array in the order of its indices, copied only where they do not lie so.
fn in_order<D: Dimension>(array: &Array<u8, D>) -> Cow<'_, [u8]> {
    array.as_slice().map_or_else(|| array.iter().copied().collect(), Cow::Borrowed)
}

/// Writes samples, of 16 bits the upper half first.
pub(super) fn write_png(
    path: &Path,
    bytes: &[u8],
    size: (usize, usize),
    colour: ColorType,
    depth: BitDepth,
) -> Result<()> {
    let (height, width) = (side(path, size.0)?, side(path, size.1)?);
    let fill = |file: &mut BufWriter<&mut File>| -> std::result::Result<(), ::png::EncodingError> {
        let mut encoder = ::png::Encoder::new(file, width, height);
        encoder.set_color(colour);
        encoder.set_depth(depth);
        encoder.set_compression(::png::Compression::Fast);
        encoder.set_filter(::png::Filter::Adaptive);
        // In one go, the file would be made in memory first.
        let mut writer = encoder.write_header()?;
        let mut stream = writer.stream_writer()?;
        stream.write_all(bytes)?;
        stream.finish()?;
        writer.finish()
    };
    write_atomic(path, |file| fill(file).map_err(std::io::Error::from))
}

#[cfg(test)]
mod tests {
    use ndarray::{Axis, array};

    use super::*;
    use crate::images::{discover, read_image};

    fn read_back(path: &Path) -> Array3<f32> {
        read_image(&discover(path.to_str().unwrap()).unwrap()[0]).unwrap()
    }

    #[test]
    fn a_permuted_array_is_written_as_it_reads() {
        let folder = tempfile::tempdir().unwrap();
        let image = array![[1_u8, 2, 3], [4, 5, 6]].reversed_axes();
        let path = folder.path().join("grey.png");
        write_png_grey8(&path, &image).unwrap();
        assert_eq!(read_back(&path).index_axis(Axis(0), 0), image.mapv(f32::from));
    }

    #[test]
    fn colour_png_round_trips() {
        let folder = tempfile::tempdir().unwrap();
        let image = Array3::from_shape_fn((4, 5, 3), |(y, x, c)| (y * 50 + x * 10 + c) as u8);
        let path = folder.path().join("colour.png");
        write_png_rgb8(&path, &image).unwrap();
        assert_eq!(read_back(&path), image.permuted_axes([2, 0, 1]).mapv(f32::from));
    }
}
