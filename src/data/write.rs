//! Arrays to files that appear whole or not at all.
//!
//! Everything is written to a hidden temporary file in the same folder and renamed once it is complete,
//! so that a stopped program leaves no half-written file under a name that somebody will read.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use ndarray::{Array, Array2, Array3, ArrayView3, Axis, Dimension};
use png::{BitDepth, ColorType};
use tiff::encoder::colortype::{Gray32Float, GrayI32};
use tiff::encoder::{TiffEncoder, TiffKind};
use tiff::tags::ExtraSamples;

use crate::error::{Error, Result};

/// Above this many bytes of pixels a TIFF file is written as BigTIFF, as its offsets need 64 bits.
const MOST_CLASSIC_TIFF_BYTES: usize = 4_000_000_000;

/// Writes `bytes` to the file `path`, whole or not at all, over what was there.
///
/// # Errors
/// [`Error::Output`] when the folder is missing or cannot be written, or the disk is full.
pub fn write_bytes_atomic(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    write_atomic(path.as_ref(), |file| file.write_all(bytes).map_err(|error| error.to_string()))
}

/// How the names of unfinished files begin and end.
const UNFINISHED: (&str, &str) = (".msd-gpu-", ".part");

/// Removes the unfinished files that a killed program left in `folder`, as far as that is possible.
pub fn remove_unfinished(folder: impl AsRef<Path>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(UNFINISHED.0)
            && name.ends_with(UNFINISHED.1)
            && let Err(error) = std::fs::remove_file(entry.path())
        {
            log::warn!("{} cannot be removed: {error}", entry.path().display());
        }
    }
}

/// Lets `fill` write a temporary file and gives it the name `path` when that succeeded.
fn write_atomic(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<&mut File>) -> std::result::Result<(), String>,
) -> Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(UNFINISHED.0).suffix(UNFINISHED.1);
    // Others at the beamline read the results: give the rights an ordinary new file has.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder).map_err(|error| {
        let way_out =
            if folder.is_dir() { "choose a folder you may write to" } else { "make the folder first" };
        Error::output(path, format!("the folder {} takes no files: {error}; {way_out}", folder.display()))
    })?;
    let mut writer = BufWriter::with_capacity(1 << 18, file.as_file_mut());
    fill(&mut writer)
        .and_then(|()| writer.flush().map_err(|error| error.to_string()))
        .map_err(|problem| Error::output(path, format!("{problem}; check the free space and try again")))?;
    drop(writer);
    // Network file systems report a full disk only now.
    file.as_file()
        .sync_all()
        .map_err(|error| Error::output(path, format!("{error}; check the free space and try again")))?;
    file.persist(path).map_err(|error| {
        Error::output(path, format!("{}; remove what is there or choose another name", error.error))
    })?;
    Ok(())
}

fn side(path: &Path, pixels: usize) -> Result<u32> {
    match u32::try_from(pixels) {
        Ok(side) if side > 0 => Ok(side),
        _ => Err(Error::output(path, format!("an image side of {pixels} pixels; wanted 1 to {}", u32::MAX))),
    }
}

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
        if image.len() * 4 < MOST_CLASSIC_TIFF_BYTES {
            TiffEncoder::new(file).and_then(|encoder| fill_tiff_f32(encoder, image.view(), width, height))
        } else {
            TiffEncoder::new_big(file).and_then(|encoder| fill_tiff_f32(encoder, image.view(), width, height))
        }
        .map_err(|error| error.to_string())
    })
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
fn write_png(
    path: &Path,
    bytes: &[u8],
    size: (usize, usize),
    colour: ColorType,
    depth: BitDepth,
) -> Result<()> {
    let (height, width) = (side(path, size.0)?, side(path, size.1)?);
    let fill = |file: &mut BufWriter<&mut File>| -> std::result::Result<(), png::EncodingError> {
        let mut encoder = png::Encoder::new(file, width, height);
        encoder.set_color(colour);
        encoder.set_depth(depth);
        encoder.set_compression(png::Compression::Fast);
        encoder.set_filter(png::Filter::Adaptive);
        // In one go, the file would be made in memory first.
        let mut writer = encoder.write_header()?;
        let mut stream = writer.stream_writer()?;
        stream.write_all(bytes)?;
        stream.finish()?;
        writer.finish()
    };
    write_atomic(path, |file| fill(file).map_err(|error| error.to_string()))
}

/// How label images are stored: the smallest format that holds their values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelFormat {
    /// 8-bit PNG, for labels within 0 to 255.
    Png8,
    /// 16-bit PNG, for labels within 0 to 65 535.
    Png16,
    /// int32 TIFF, for all others.
    Tiff32,
}

impl LabelFormat {
    /// The smallest format that holds all of `values`; `None` where one of them is no int32.
    pub fn holding(values: impl IntoIterator<Item = i64>) -> Option<Self> {
        let (least, most) = values.into_iter().fold((0, 0), |(least, most), v| (v.min(least), v.max(most)));
        if least >= 0 && most <= i64::from(u8::MAX) {
            Some(LabelFormat::Png8)
        } else if least >= 0 && most <= i64::from(u16::MAX) {
            Some(LabelFormat::Png16)
        } else if least >= i64::from(i32::MIN) && most <= i64::from(i32::MAX) {
            Some(LabelFormat::Tiff32)
        } else {
            None
        }
    }

    /// The ending of the file's name, without the dot.
    pub fn ending(self) -> &'static str {
        match self {
            LabelFormat::Png8 | LabelFormat::Png16 => "png",
            LabelFormat::Tiff32 => "tif",
        }
    }
}

/// Writes labels of shape `[y][x]` exactly, in the smallest format that holds them, and returns the path.
///
/// The ending of `path` is set to match: `.png`, `.tif` or `.tiff` is replaced, anything else kept before it.
///
/// # Errors
/// [`Error::Output`] for labels that are no int32, an empty image or a file that cannot be written.
pub fn write_labels(path: impl AsRef<Path>, labels: &Array2<i64>) -> Result<PathBuf> {
    let wanted = LabelFormat::holding(labels.iter().copied());
    // Labels that no format holds are refused by the largest one, by their values.
    write_labels_as(path, labels, wanted.unwrap_or(LabelFormat::Tiff32))
}

/// As [`write_labels`], in a given format: so that all images of a run are stored alike, whichever of the
/// classes each of them shows.
///
/// # Errors
/// [`Error::Output`] for labels that `format` does not hold, an empty image or a file that cannot be written.
pub fn write_labels_as(path: impl AsRef<Path>, labels: &Array2<i64>, format: LabelFormat) -> Result<PathBuf> {
    let path = with_ending(path.as_ref(), format.ending());
    let (least, most) = match format {
        LabelFormat::Png8 => (0, u8::MAX.into()),
        LabelFormat::Png16 => (0, u16::MAX.into()),
        LabelFormat::Tiff32 => (i32::MIN.into(), i32::MAX.into()),
    };
    if let Some(value) = labels.iter().find(|&&value| value < least || value > most) {
        return Err(Error::output(
            &path,
            format!(
                "found the label {value}, but this kind of label file holds {least} to {most}; use smaller class numbers"
            ),
        ));
    }
    match format {
        LabelFormat::Png8 => write_png_grey8(&path, &labels.mapv(|v| v as u8))?,
        LabelFormat::Png16 => {
            let bytes: Vec<u8> = labels.iter().flat_map(|v| (*v as u16).to_be_bytes()).collect();
            write_png(&path, &bytes, labels.dim(), ColorType::Grayscale, BitDepth::Sixteen)?;
        }
        LabelFormat::Tiff32 => {
            let (height, width) = (side(&path, labels.dim().0)?, side(&path, labels.dim().1)?);
            let values: Vec<i32> = labels.iter().map(|v| *v as i32).collect();
            write_atomic(&path, |file| {
                TiffEncoder::new(file)
                    .and_then(|mut encoder| encoder.write_image::<GrayI32>(width, height, &values))
                    .map_err(|error| error.to_string())
            })?;
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

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::data::{discover, page_size, read_image, read_labels};

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
        let path = write_labels_as(folder.path().join("c.tif"), &array![[1, 0]], format).unwrap();
        assert_eq!(path, folder.path().join("c.png"));
        assert!(write_labels_as(&path, &array![[-1]], format).unwrap_err().to_string().contains("label -1"));
        assert_eq!(LabelFormat::holding([1 << 31]), None);
        assert_eq!(with_ending(Path::new("d/s.3"), "png"), Path::new("d/s.3.png"));
        assert_eq!(with_ending(Path::new("d/s.TIFF"), "png"), Path::new("d/s.png"));
    }

    #[test]
    fn what_cannot_be_written_is_an_error_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        write_bytes_atomic(&file, b"x").unwrap();
        let error = write_bytes_atomic(file.join("in_a_file.csv"), b"y").unwrap_err().to_string();
        assert!(error.contains("cannot write") && error.contains("make the folder first"), "{error}");
        // A folder stands where the file should go, so only the renaming fails.
        std::fs::create_dir_all(folder.path().join("taken/inside")).unwrap();
        assert!(write_bytes_atomic(folder.path().join("taken"), b"y").is_err());
        assert!(write_tiff_f32(folder.path().join("empty.tif"), &Array3::zeros((1, 0, 3))).is_err());
        let mut left: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["file", "taken"]);
    }

    #[cfg(unix)]
    #[test]
    fn files_have_the_rights_of_ordinary_files() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (ours, ordinary) = (folder.path().join("ours"), folder.path().join("ordinary"));
        write_bytes_atomic(&ours, b"x").unwrap();
        std::fs::write(&ordinary, b"x").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&ordinary));
    }
}
