//! Images in the parts in which they are computed, and reading them.

use std::sync::Arc;

use ndarray::{Array3, Axis, concatenate, s};

use super::ensemble::Measured;
use crate::geometry::tiles::Tile;
use crate::geometry::{Extent, Window};
use crate::images::{ImageSource, PartReader, has_equal_channels, mean_of_arrays, read_image};
use crate::network::Measure;
use crate::pictures::range_of;
use crate::{Error, Result};

/// Bytes of an image that are read at a time to measure it.
const BAND_BYTES: usize = 16 << 20;
/// Rows that tell in which range of numbers an image is.
const SAMPLED_ROWS: usize = 64;

/// A part of an image, whose result is written by itself.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// The number of the image.
    pub(super) image: usize,
    /// The number of the part in the image, and how many there are.
    pub(super) number: usize,
    pub(super) count: usize,
    /// What is kept of it, and what is computed for that.
    pub(super) core: Window,
    pub(super) patch: Window,
    /// The size of the image.
    pub(super) whole: Extent,
    /// Of the first part that is left to do, those of the image that an earlier run has done.
    pub(super) done_before: Vec<Window>,
    /// What is wrong with the image, where that is known before its turn comes.
    problem: Option<Error>,
}

impl Part {
    /// All of image `image`, whose size need not be known.
    pub(super) fn whole(image: usize, extent: Extent) -> Self {
        let all = Window::whole(extent);
        let done_before = Vec::new();
        Self { image, number: 0, count: 1, core: all, patch: all, whole: extent, done_before, problem: None }
    }

    /// Image `image`, of `extent`, which cannot be read, as `problem` says.
    pub(super) fn unreadable(image: usize, extent: Extent, problem: Error) -> Self {
        Self { problem: Some(problem), ..Self::whole(image, extent) }
    }

    /// The parts of image `image`, of `extent`, by its tiles.
    pub(super) fn of_tiles(
        image: usize,
        extent: Extent,
        tiles: impl ExactSizeIterator<Item = Tile>,
    ) -> Vec<Self> {
        let count = tiles.len();
        let part = |(number, tile): (usize, Tile)| Self {
            number,
            count,
            core: tile.core,
            patch: tile.patch,
            ..Self::whole(image, extent)
        };
        tiles.enumerate().map(part).collect()
    }

    /// Whether it is the last of its image.
    pub(super) fn is_last(&self) -> bool {
        self.number + 1 == self.count
    }

    /// The core, counted from the start of the patch.
    pub(super) fn core_in_patch(&self) -> Window {
        Tile { core: self.core, patch: self.patch }.core_in_patch()
    }
}

/// A part that was read.
pub(super) struct ReadPart {
    /// The patch, `[channel][y][x]`.
    pub(super) image: Array3<f32>,
    /// Of an image that is the mean of several recordings, the patch of each of them; else none.
    pub(super) recordings: Vec<Array3<f32>>,
    /// What was measured over the image; `None` for an image in one part, which is measured when it is applied.
    pub(super) measured: Option<Arc<Measured>>,
    /// Of the first part of an image, some rows from all over it.
    pub(super) sample: Option<Array3<f32>>,
    /// Of a part, which values of the image are black and white in pictures.
    pub(super) range: Option<(f32, f32)>,
}

/// Reads parts of images in order.
pub(super) struct Reader<'a> {
    images: &'a [ImageSource],
    /// What models want measured over an image.
    measures: Vec<Measure>,
    /// Whether models take one channel, so that colours that are grey become that.
    grey: bool,
    open: Option<OpenImage<'a>>,
}

/// An image that is read in parts.
struct OpenImage<'a> {
    index: usize,
    reader: PartReader<'a>,
    measured: Arc<Measured>,
    range: Option<(f32, f32)>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(images: &'a [ImageSource], measures: Vec<Measure>, grey: bool) -> Self {
        Self { images, measures, grey, open: None }
    }

    /// Reads a part; of an image that comes in several parts, the first reading measures it.
    ///
    /// # Errors
    /// [`Error::Input`] for what cannot be read or is not finite.
    pub(super) fn read(&mut self, part: &Part) -> Result<ReadPart> {
        if let Some(problem) = &part.problem {
            return Err(problem.clone());
        }
        let source = &self.images[part.image];
        if part.count == 1 {
            let each = source.averaged().iter().map(read_image).collect::<Result<Vec<_>>>()?;
            let (image, recordings) = match each.is_empty() {
                true => (self.fitted(read_image(source)?), each),
                false => self.with_mean(source, each)?,
            };
            return Ok(ReadPart { image, recordings, measured: None, sample: None, range: None });
        }
        let mut sample = None;
        if self.open.as_ref().is_none_or(|open| open.index != part.image) {
            let mut reader = PartReader::open(source)?;
            let measured = Arc::new(measure(&mut reader, part.whole, &self.measures)?);
            let rows = self.fitted(sampled(&mut reader, part.whole)?);
            let range = rows.mean_axis(Axis(0)).and_then(|grey| range_of(grey.view()));
            sample = Some(rows);
            self.open = Some(OpenImage { index: part.image, reader, measured, range });
        }
        let Some(open) = &mut self.open else {
            return Err(Error::input(source.name(), "was not opened"));
        };
        let (measured, range) = (Some(open.measured.clone()), open.range);
        let (image, recordings) = match source.averaged().is_empty() {
            true => {
                let image = open.reader.read(&part.patch)?;
                (self.fitted(image), Vec::new())
            }
            false => {
                let each = open.reader.read_averaged(&part.patch)?;
                self.with_mean(source, each)?
            }
        };
        Ok(ReadPart { image, recordings, measured, sample, range })
    }

    /// The mean of recordings, and these.
    fn with_mean(
        &self,
        source: &ImageSource,
        each: Vec<Array3<f32>>,
    ) -> Result<(Array3<f32>, Vec<Array3<f32>>)> {
        let each: Vec<_> = each.into_iter().map(|image| self.fitted(image)).collect();
        let mean = mean_of_arrays(&each);
        let differ =
            || Error::input(source.name(), "has recordings of different size; export one of them again");
        Ok((mean.ok_or_else(differ)?, each))
    }

    /// What is in colours will be refused by its channels.
    fn fitted(&self, image: Array3<f32>) -> Array3<f32> {
        match self.grey && has_equal_channels(&image) {
            true => image.slice_move(s![..1, .., ..]),
            false => image,
        }
    }
}

/// What `measures` find over all of an image of `extent`.
///
/// # Errors
/// As [`PartReader::read`].
pub(super) fn measure(reader: &mut PartReader<'_>, extent: Extent, measures: &[Measure]) -> Result<Measured> {
    let channels = reader.channels()?;
    measure_bands(channels, extent, measures, &mut |band| reader.read(band))
}

/// What `measures` find over all of an image of `channels` and `extent`, of which `read` gives bands of whole rows.
///
/// # Errors
/// The first error of `read`.
pub(super) fn measure_bands(
    channels: usize,
    extent: Extent,
    measures: &[Measure],
    read: &mut dyn FnMut(&Window) -> Result<Array3<f32>>,
) -> Result<Measured> {
    let mut found = Vec::new();
    for measure in measures {
        let normalisation = measure.of_bands(channels, |visit| {
            for band in bands(channels, extent) {
                visit(read(&band)?.view());
            }
            Ok(())
        })?;
        found.push((*measure, normalisation));
    }
    Ok(Measured(found))
}

/// Bands of whole rows that an image of `channels` and `extent` is read in, one after the other, where all of it at once may take too much
/// memory.
pub(super) fn bands(channels: usize, extent: Extent) -> impl Iterator<Item = Window> {
    let row_bytes = extent.x.saturating_mul(channels).saturating_mul(size_of::<f32>()).max(1);
    let rows = (BAND_BYTES / row_bytes).max(1);
    let band = move |start: usize| Window::plane(start..(start + rows).min(extent.y), 0..extent.x);
    (0..extent.y).step_by(rows).map(band)
}

/// What `measures` find over all of a volume of `channels` and so many slices, which `read` gives.
///
/// # Errors
/// The first error of `read`.
pub(super) fn measure_slices(
    channels: usize,
    slices: usize,
    measures: &[Measure],
    read: &mut dyn FnMut(usize) -> Result<Array3<f32>>,
) -> Result<Measured> {
    let mut found = Vec::new();
    for measure in measures {
        let normalisation = measure.of_bands(channels, |visit| {
            (0..slices).try_for_each(|slice| {
                visit(read(slice)?.view());
                Ok(())
            })
        })?;
        found.push((*measure, normalisation));
    }
    Ok(Measured(found))
}

/// Rows from all over an image of `extent`.
fn sampled(reader: &mut PartReader<'_>, extent: Extent) -> Result<Array3<f32>> {
    let step = extent.y.div_ceil(SAMPLED_ROWS).max(1);
    let mut rows = Vec::new();
    for y in (0..extent.y).step_by(step) {
        rows.push(reader.read(&Window::plane(y..y + 1, 0..extent.x))?);
    }
    let views: Vec<_> = rows.iter().map(|row| row.view()).collect();
    concatenate(Axis(1), &views)
        .map_err(|error| Error::Mismatch(format!("rows of one image differ: {error}")))
}
