//! Label images to files, in the smallest format that holds their values.

use std::path::{Path, PathBuf};

use ::png::{BitDepth, ColorType};
use ndarray::Array2;

use super::label_format::LabelFormat;
use super::png::{write_png, write_png_grey8, write_png_palette};
use super::tiff::write_tiff_i32;
use crate::error::{Error, Result};

/// Writes labels of shape `[y][x]` exactly, in the smallest format that holds them, and returns the path.
///
/// The ending of `path` is set to match: `.png`, `.tif` or `.tiff` is replaced, anything else kept before it.
///
/// # Errors
/// [`Error::Output`] for labels that are no int32, an empty image or a file that cannot be written.
pub fn write_labels(path: impl AsRef<Path>, labels: &Array2<i64>) -> Result<PathBuf> {
    let wanted = LabelFormat::holding(labels.iter().copied());
    // Labels that no format holds are refused by the largest one, by their values.
    write_labels_as(path, labels, wanted.unwrap_or(LabelFormat::Tiff32), None)
}

/// Red, green and blue for each value of a label image of 8 bits.
pub type Palette = [[u8; 3]; 256];

/// As [`write_labels`], in a given format: so that all images of a run are stored alike, whichever of the
/// classes each of them shows. An image of 8 bits can have a palette, by which programs show it; its values stay the labels.
///
/// # Errors
/// [`Error::Output`] for labels that `format` does not hold, an empty image or a file that cannot be written.
pub fn write_labels_as(
    path: impl AsRef<Path>,
    labels: &Array2<i64>,
    format: LabelFormat,
    palette: Option<&Palette>,
) -> Result<PathBuf> {
    let path = with_ending(path.as_ref(), format.ending());
    if let Some(&label) = labels.iter().find(|label| !format.range().contains(label)) {
        return Err(Error::output(&path, format.misfit(label)));
    }
    match format {
        LabelFormat::Png8 => match palette {
            Some(palette) => write_png_palette(&path, &labels.mapv(|v| v as u8), palette)?,
            None => write_png_grey8(&path, &labels.mapv(|v| v as u8))?,
        },
        LabelFormat::Png16 => {
            let bytes: Vec<u8> = labels.iter().flat_map(|v| (*v as u16).to_be_bytes()).collect();
            write_png(&path, &bytes, labels.dim(), ColorType::Grayscale, BitDepth::Sixteen, None)?;
        }
        LabelFormat::Tiff32 => {
            write_tiff_i32(&path, &labels.mapv(|v| v as i32))?;
        }
    }
    Ok(path)
}

/// `path` with its image ending replaced; other dots, as in `sample.3`, belong to the name.
fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let is_image = path.extension().is_some_and(|old| {
        ["png", "tif", "tiff"].contains(&old.to_string_lossy().to_ascii_lowercase().as_str())
    });
    if is_image {
        return path.with_extension(ending);
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

/// Whether the PNG or TIFF file at `path` shows its numbers in the colours of a palette, as label files of this program do; the content
/// counts, whatever the name says.
#[cfg(feature = "portal")]
pub(crate) fn has_palette(path: &Path) -> bool {
    use std::io::Read;

    /// Where a PNG file says what its numbers are, behind its signature and size.
    const COLOUR: usize = 25;
    let mut start = [0; COLOUR + 1];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start));
    let is_png = read.is_ok() && start.starts_with(b"\x89PNG\r\n\x1a\n");
    if is_png { start[COLOUR] == 3 } else { super::tiff::has_palette(path) }
}

#[cfg(test)]
mod tests {
    use ndarray::{array, s};

    use super::*;
    use crate::images::{discover, read_image, read_labels};

    #[test]
    fn labels_take_the_smallest_format_that_holds_them() {
        let folder = tempfile::tempdir().unwrap();
        for (largest, least, name) in [
            (255, 0, "a.png"),
            (256, 0, "a.png"),
            (65_535, 0, "a.png"),
            (65_536, 0, "a.tif"),
            (3, -1, "a.tif"),
        ] {
            let labels = array![[largest, 0, 1], [2, least, 0]];
            let path = write_labels(folder.path().join("a"), &labels).unwrap();
            assert_eq!(path, folder.path().join(name));
            let page = &discover(path.to_str().unwrap()).unwrap()[0];
            assert_eq!(read_labels(page).unwrap(), labels);
        }
        let error = write_labels(folder.path().join("b"), &array![[1_i64 << 40]]).unwrap_err().to_string();
        assert!(error.contains("1099511627776") && !folder.path().join("b.tif").exists(), "{error}");
        // All images of a run alike, also those that show small labels only.
        let format = LabelFormat::holding([0, 1, 300]).unwrap();
        assert_eq!((format, format.ending()), (LabelFormat::Png16, "png"));
        let path = write_labels_as(folder.path().join("c.tif"), &array![[1, 0]], format, None).unwrap();
        assert_eq!(path, folder.path().join("c.png"));
        let error = write_labels_as(&path, &array![[-1]], format, None).unwrap_err().to_string();
        assert!(error.contains("label -1"));
        assert_eq!(LabelFormat::holding([1 << 31]), None);
        assert_eq!(with_ending(Path::new("d/s.3"), "png"), Path::new("d/s.3.png"));
        assert_eq!(with_ending(Path::new("d/s.TIFF"), "png"), Path::new("d/s.png"));
    }

    #[test]
    fn a_palette_changes_how_labels_look_and_not_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let mut palette = [[0; 3]; 256];
        palette[255] = [1, 2, 3];
        let labels = array![[0, 255], [7, 0]];
        let path =
            write_labels_as(folder.path().join("a"), &labels, LabelFormat::Png8, Some(&palette)).unwrap();
        let image = &discover(path.to_str().unwrap()).unwrap()[0];
        assert_eq!(read_labels(image).unwrap(), labels);
        assert_eq!(read_image(image).unwrap().slice(s![.., 0, 1]).to_vec(), [1.0, 2.0, 3.0]);
    }
}
