//! What a stack is and holds, for people who look at it.

use ndarray::{Array3, Axis, s};

use super::decode::header;
use super::slices::{Slices, check_one_volume};
use super::source::ImageSource;
use super::statistics::Statistics;
use super::stored_slice::StoredSlice;
use super::tiff::StackLayout;
use super::volume::{Volume, VoxelSize};
use crate::error::{Error, Result};
use crate::watcher::{ImageReport, ImageWork, Watcher};

/// The most columns and rows of a small picture.
const PICTURE_COLUMNS: usize = 640;
const PICTURE_ROWS: usize = 480;

/// What a stack is and holds.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Overview {
    /// What messages call it.
    pub name: String,
    /// Its axes with their lengths, outermost first, a letter of `TZCYX` each.
    pub axes: Vec<(char, usize)>,
    /// The type of its numbers, such as `uint16`.
    pub numbers: String,
    /// How large a pixel is, where that is known.
    pub voxel_size: Option<VoxelSize>,
    /// The names of its channels, an empty one for a channel without; none where nothing is said of them.
    pub channel_names: Vec<String>,
    /// What its numbers are like.
    pub statistics: Statistics,
    /// The slice in the middle made small, `[channel][y][x]`, of three channels where there are as many, else of the first one.
    pub picture: Array3<f64>,
}

/// Reads all slices of the stack that `path` names and `pages` are, one by one, and says what it is.
///
/// # Errors
/// [`Error::Mismatch`] for what is not one volume, [`Error::Input`] for what cannot be read, and [`Error::Stopped`].
pub fn overview(path: &str, pages: Vec<ImageSource>, watcher: &mut dyn Watcher) -> Result<Overview> {
    check_one_volume(path, &pages)?;
    let slices = Slices::new(path, pages)?;
    let first = header(&slices.pages()[0])?;
    if first.is_turned {
        log::info!(
            "{path} is stored with white as zero; its numbers are turned, so that bright pixels have large ones"
        );
    }
    let (extent, channels) = (slices.extent(), slices.channels());
    let mut statistics = Statistics::new(first.samples, extent.pixels() as u64 * channels as u64, extent.x);
    let mut picture = Array3::zeros((0, 0, 0));
    for (index, page) in slices.pages().iter().enumerate() {
        let slice = StoredSlice::read(page, false)?;
        slice.visit(|_, numbers| statistics.add(numbers.iter()))?;
        statistics.end_slice();
        if index == extent.z / 2 {
            picture = small(&slice)?;
        }
        drop(slice);
        let done = index as f64 / extent.z as f64;
        let report = ImageReport {
            work: ImageWork::Inspect,
            name: path,
            index: 0,
            count: 1,
            done,
            score: None,
            files: &[],
        };
        if watcher.image(&report).is_break() {
            return Err(Error::Stopped { done: index + 1, count: extent.z });
        }
    }
    statistics.finish();
    let layout = StackLayout::of(&slices.pages()[0], extent.z);
    let mut axes: Vec<_> = layout.axes().iter().copied().filter(|(_, length)| *length > 1).collect();
    if channels > 1 {
        axes.push(('C', channels));
    }
    axes.extend([('Y', extent.y), ('X', extent.x)]);
    Ok(Overview {
        name: path.to_owned(),
        axes,
        numbers: first.samples.to_string(),
        voxel_size: slices.voxel_size().cloned(),
        channel_names: layout.annotations().channels.clone(),
        statistics,
        picture,
    })
}

/// A slice made small, each pixel the mean of those that it stands for.
///
/// # Errors
/// As [`StoredSlice::rows`].
fn small(slice: &StoredSlice) -> Result<Array3<f64>> {
    let (channels, (height, width)) = (slice.channels(), slice.size());
    let factor = (width.div_ceil(PICTURE_COLUMNS)).max(height.div_ceil(PICTURE_ROWS)).max(1);
    let shown = if channels == 3 { 3 } else { 1 };
    let mut picture = Array3::zeros((shown, height.div_ceil(factor), width.div_ceil(factor)));
    for (y, mut line) in picture.axis_iter_mut(Axis(1)).enumerate() {
        let rows = slice.rows(y * factor..((y + 1) * factor).min(height))?;
        for ((channel, x), mean) in line.indexed_iter_mut() {
            let columns = x * factor..((x + 1) * factor).min(width);
            *mean = rows.slice(s![channel, .., columns]).mean().unwrap_or(0.0);
        }
    }
    Ok(picture)
}
