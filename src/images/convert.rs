//! A stack to another format, slice by slice, and of each some rows at a time, which are read, changed and written before the next ones
//! are there.

use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ndarray::{Array3, Axis};

use super::arrays::BlockRoom;
use super::decode::header;
use super::number_type::NumberType;
use super::numeric::Real;
use super::sink::Sink;
use super::slices::{Slices, check_one_volume};
use super::source::{ImageSource, SampleKind};
use super::stack::{NewPlace, NewStack, StackFormat, StackSink};
use super::statistics::Statistics;
use super::stored_slice::{BandBytes, StoredSlice, bands, read_bands};
use super::tiff::StackLayout;
use super::volume::{Volume, VoxelSize};
use crate::error::{Error, Result};
use crate::geometry::{Extent, Window};
use crate::pipeline::pipeline;
use crate::watcher::{ImageReport, ImageWork, Watcher};

/// Bytes of blocks that are kept where each is wanted once; as many cores unpack them as a part of this has room for.
const THIN_BLOCK_BYTES: u64 = 64 << 20;

/// How a stack is converted.
#[derive(Debug, Clone)]
pub struct Conversion {
    /// The format of the new file.
    pub format: StackFormat,
    /// The type of its numbers; `None` for that of the stack, or the nearest that the format has.
    pub numbers: Option<NumberType>,
    /// Which values become 0 and the largest number of the type; `None` for numbers as they are.
    pub window: Option<ValueWindow>,
    /// Whether the numbers of palettes are wanted and not their colours, and one channel of whole numbers.
    pub labels: bool,
    /// How large a pixel is, in a unit of length; `None` for what the stack says.
    pub voxel_size: Option<VoxelSize>,
}

/// Which values become 0 and the largest whole number of a type; those beyond are clipped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ValueWindow {
    /// These.
    Values(f64, f64),
    /// Those that so many percent of all numbers are below.
    Percentiles(f64, f64),
}

impl FromStr for ValueWindow {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::setting(
                "window",
                format!("'{text}'"),
                "it must be two growing numbers with dots between them, such as 0..4095, or percentiles such as 1%..99%",
            )
        };
        let (low, high) = text.split_once("..").ok_or_else(wrong)?;
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        let window = match (low.trim().strip_suffix('%'), high.trim().strip_suffix('%')) {
            (Some(low), Some(high)) => {
                let (low, high) = number(low).zip(number(high)).ok_or_else(wrong)?;
                let within = low >= 0.0 && high <= 100.0 && low < high;
                within.then_some(ValueWindow::Percentiles(low, high))
            }
            (None, None) => {
                let (low, high) = number(low).zip(number(high)).ok_or_else(wrong)?;
                (low < high).then_some(ValueWindow::Values(low, high))
            }
            _ => None,
        };
        window.ok_or_else(wrong)
    }
}

/// Writes the stack that `path` names and `pages` are to the file `out`, which gets its name when all of it is there; of an HDF5 file
/// the dataset may be named too, as in `c.h5:/entry/data`.
///
/// Slices are read and written at the same time, some rows of each at a time, so that large ones take little memory. Of a slice whose rows
/// its file does not store apart, as in PNG, JPEG and a single packed strip of TIFF, the stored numbers are in memory once. The axes along
/// which slices lie and the size of pixels are kept where the format has them.
///
/// # Errors
/// [`Error::Mismatch`] for what is not one volume, [`Error::Input`] for what cannot be read, [`Error::Setting`] for wishes that
/// do not fit, [`Error::Output`] for what cannot be written or the format or type does not hold, and [`Error::Stopped`].
pub fn convert(
    path: &str,
    pages: Vec<ImageSource>,
    out: &Path,
    wishes: &Conversion,
    watcher: &mut dyn Watcher,
) -> Result<()> {
    convert_in_bands(path, pages, out, wishes, watcher, BandBytes::USUAL)
}

/// As [`convert`], in bands of rows of so many `bytes`.
fn convert_in_bands(
    path: &str,
    pages: Vec<ImageSource>,
    out: &Path,
    wishes: &Conversion,
    watcher: &mut dyn Watcher,
    bytes: BandBytes,
) -> Result<()> {
    check_one_volume(path, &pages)?;
    let NewPlace { path: out, dataset } = NewPlace::of(out)?;
    let out = out.as_path();
    check_other(out, &pages)?;
    let slices = Slices::new(path, pages)?;
    let pages = slices.pages();
    let first = header(&pages[0])?;
    if first.is_turned && !wishes.labels {
        log::warn!(
            "{path} is stored with white as zero, and is turned so that bright pixels have large numbers; give `labels` for the numbers as they are stored"
        );
    }
    let numbers = numbers_of(wishes, NumberType::holding(first.samples), out);
    let Extent { z, x, .. } = slices.extent();
    // The file is begun before anything is read, so that what it does not hold is told at once.
    let mut layout = StackLayout::of_slices(pages.iter(), z);
    if let Some(size) = &wishes.voxel_size {
        layout = layout.with_voxel_size(Some(size.clone().checked()?));
    }
    let says_nothing = z == 1 && !layout.says_something();
    let new = NewStack {
        channels: if wishes.labels { 1 } else { first.channels },
        layout: (!says_nothing).then_some(layout),
        dataset,
        ..NewStack::new(out, slices.extent())
    };
    let largest = match (wishes.window, numbers.largest()) {
        (Some(_), None) => {
            let found = format!("for numbers of the type {numbers}");
            return Err(Error::setting(
                "window",
                found,
                "it needs whole numbers; give `dtype u8` or `dtype u16`",
            ));
        }
        (_, largest) => largest.unwrap_or(1.0),
    };
    let colours = !wishes.labels && pages[0].array.is_none() && !first.planar;
    let is_wide = first.samples.bits > 32 && first.samples.kind != SampleKind::Float;
    // Floating-point numbers do not have all whole ones of 64 bits.
    let whole = numbers.store_whole().filter(|_| is_wide && wishes.window.is_none());
    let mut progress = Progress { path, watcher, slices: z, passes: 1, done: 0 };
    let _room = (!pages.iter().any(ImageSource::has_thick_blocks)).then(|| BlockRoom::of(thin_block_bytes()));
    if let Some(store) = whole {
        let sink = new.stored(wishes.format, numbers, colours, store)?;
        write_slices(pages, sink, &mut progress, (wishes.labels, bytes), |_: &mut Array3<i128>| {})?;
        let _ = progress.step(&[out.to_path_buf()]);
        return Ok(());
    }
    let sink = new.numbers(wishes.format, numbers, colours)?;
    let window = match wishes.window {
        None => None,
        Some(ValueWindow::Values(low, high)) => Some((low, high)),
        Some(ValueWindow::Percentiles(low, high)) => {
            progress.passes = 2;
            let mut statistics =
                Statistics::new(first.samples, slices.extent().pixels() as u64 * first.channels as u64, x);
            let slice_numbers = sink.channels() as u64 * slices.extent().y as u64 * x as u64;
            for (index, page) in pages.iter().enumerate() {
                let before = index as u64 * slice_numbers;
                for rows in read_bands(page, bytes)? {
                    let slice = StoredSlice::read_rows(page, wishes.labels, rows)?;
                    slice.visit(|place, numbers| statistics.add_at(before + place, numbers.iter()))?;
                }
                statistics.end_slice();
                progress.step(&[])?;
            }
            statistics.finish();
            let (from, to) = (statistics.percentile(low), statistics.percentile(high));
            if from.total_cmp(&to).is_ge() || from.is_nan() {
                let wanted =
                    format!("both are {from} in {path}; give percentiles further apart, or two values");
                return Err(Error::setting("window", format!("{low}%..{high}%"), wanted));
            }
            log::info!("{from} to {to} become 0 to {largest}");
            Some((from, to))
        }
    };
    write_slices(pages, sink, &mut progress, (wishes.labels, bytes), |rows| {
        if let Some(window) = window {
            scale(rows, window, largest);
        }
    })?;
    // The file is there: whoever stops the work now has come too late.
    let _ = progress.step(&[out.to_path_buf()]);
    Ok(())
}

/// The most bytes of blocks that are kept of arrays in which no two slices share one, so that each is wanted by one band of rows alone.
fn thin_block_bytes() -> u64 {
    BlockRoom::usual().min(THIN_BLOCK_BYTES)
}

/// Some rows of a slice that are on their way.
struct Part {
    slice: usize,
    /// Those that are read together.
    read: Range<usize>,
    /// Those of them that are changed and written together.
    rows: Range<usize>,
}

/// Reads slices, changes some of their rows at a time, and writes them to a file that gets its name when all are there.
fn write_slices<N: Real + Send>(
    pages: &[ImageSource],
    sink: StackSink<N>,
    progress: &mut Progress<'_>,
    (labels, bytes): (bool, BandBytes),
    change: impl Fn(&mut Array3<N>),
) -> Result<()> {
    let Extent { z, y, x } = sink.extent();
    let mut sink = sink.by_rows();
    let mut parts = Vec::new();
    for (slice, page) in pages.iter().enumerate() {
        for read in read_bands(page, bytes)? {
            let some = bands(read.clone(), sink.channels(), x, bytes).into_iter();
            parts.extend(some.map(|rows| Part { slice, read: read.clone(), rows }));
        }
    }
    let mut open: Option<StoredSlice> = None;
    pipeline(
        &parts,
        |Part { slice, read, rows }| {
            // The last rows make room before the next are read.
            let stored = match open.take() {
                Some(stored) => stored,
                None => StoredSlice::read_rows(&pages[*slice], labels, read.clone())?,
            };
            let part = stored.rows(rows.clone());
            open = (rows.end < read.end).then_some(stored);
            part
        },
        |Part { slice, rows, .. }, mut part| {
            change(&mut part);
            if rows.end == y && slice + 1 < z {
                progress.step(&[])?;
            }
            Ok(part)
        },
        |Part { slice, rows, .. }, part| {
            let window = Window::new(*slice..slice + 1, rows.clone(), 0..x);
            sink.write(window, part.view().insert_axis(Axis(1)))
        },
    )?;
    Box::new(sink).done()
}

/// The type of the new numbers: that of the stack, or where the format does not have it another one, which is told.
fn numbers_of(wishes: &Conversion, stored: NumberType, out: &Path) -> NumberType {
    let wanted = wishes.numbers.unwrap_or(stored);
    let numbers = if wishes.numbers.is_some() { wanted } else { wishes.format.type_for(wanted, out) };
    let out = out.display();
    if wanted == NumberType::U8 && wishes.format == StackFormat::Mrc {
        log::info!(
            "{out} gets uint16 numbers, as programs do not agree on whether bytes in MRC files have a sign"
        );
    }
    if numbers == wanted {
        return numbers;
    }
    let rounded = match (wanted, numbers) {
        (NumberType::F64, _) => Some("they are rounded".to_owned()),
        (_, NumberType::F32) if wanted.largest().is_some() => {
            Some("whole numbers beyond 16777216 are rounded".to_owned())
        }
        (_, NumberType::F64) => Some(format!("whole numbers beyond {} are rounded", 1_u64 << 53)),
        _ => None,
    };
    match rounded {
        Some(rounded) => {
            log::warn!("{out} gets {numbers} numbers, as such files have no {wanted}: {rounded}");
        }
        None => log::info!("{out} gets {numbers} numbers, as such files have no {wanted}"),
    }
    numbers
}

/// Brings values into 0 to `largest`.
fn scale(slice: &mut Array3<f64>, (low, high): (f64, f64), largest: f64) {
    slice.mapv_inplace(|value| ((value - low) / (high - low) * largest).clamp(0.0, largest));
}

/// Refuses an output that would take the place of what is read, or lie inside it.
pub(crate) fn check_other(out: &Path, pages: &[ImageSource]) -> Result<()> {
    let Some(out_path) = real_path(out) else { return Ok(()) };
    // All slices of a stack are in the same files.
    let mut seen = HashSet::new();
    for path in pages.iter().flat_map(ImageSource::files) {
        if !seen.insert(path) {
            continue;
        }
        let read = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        if out_path.starts_with(&read) || read.starts_with(&out_path) {
            let problem = format!("{} is read from there; give another name", path.display());
            return Err(Error::output(out, problem));
        }
    }
    Ok(())
}

/// The path without links and dots; `None` where not even its folder is there.
fn real_path(path: &Path) -> Option<PathBuf> {
    if let Ok(real) = path.canonicalize() {
        return Some(real);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(folder.canonicalize().ok()?.join(path.file_name()?))
}

/// How many slices are done.
struct Progress<'a> {
    path: &'a str,
    watcher: &'a mut dyn Watcher,
    slices: usize,
    /// How often each slice is read.
    passes: usize,
    done: usize,
}

impl Progress<'_> {
    fn step(&mut self, files: &[PathBuf]) -> Result<()> {
        self.done += 1;
        let (done, count) = (self.done, self.slices * self.passes);
        let report = ImageReport {
            work: ImageWork::Convert,
            name: self.path,
            index: 0,
            count: 1,
            done: done as f64 / count as f64,
            score: None,
            files,
        };
        match self.watcher.image(&report).is_break() {
            true => Err(Error::Stopped { done, count }),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod band_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_values_or_percentiles() {
        let of = |text: &str| text.parse::<ValueWindow>();
        assert_eq!(of("-5..10.5").unwrap(), ValueWindow::Values(-5.0, 10.5));
        assert_eq!(of("1%..99.5%").unwrap(), ValueWindow::Percentiles(1.0, 99.5));
        for wrong in ["", "5", "5..5", "9..1", "a..b", "1%..9", "-1%..9%", "0%..101%", "nan..1", "0..inf"] {
            assert!(of(wrong).unwrap_err().to_string().contains("0..4095"), "{wrong}");
        }
    }

    #[test]
    fn values_of_a_window_become_all_numbers_of_a_type() {
        let mut slice = Array3::from_shape_vec((1, 1, 5), vec![-1.0, 0.0, 50.0, 100.0, 1e9]).unwrap();
        scale(&mut slice, (0.0, 100.0), 255.0);
        assert_eq!(slice.into_raw_vec_and_offset().0, [0.0, 0.0, 127.5, 255.0, 255.0]);
    }
}
