//! Applies the network, as it is, to what people look at; and finds where it is least sure.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ndarray::{Array2, Array3, s};

use super::View;
use super::results::{Place, ResultTile};
use super::state::Shared;
use crate::Result;
use crate::devices::Device;
use crate::geometry::Window;
use crate::inference::Predictor;
use crate::network::{Model, Task};
use crate::portal::events::Event;
use crate::portal::journal::UNLABELLED;
use crate::portal::project::{Image, Rect, Region};
use crate::portal::tiles::TILE;

/// Tiles along a side of what is computed at once: of more, less is computed twice, but it takes longer until something is seen.
const BLOCK: usize = 2;
/// Images that are held, as they were read.
const MOST_IMAGES: usize = 8;
/// Rows and columns of a region that may be unsure.
const REGION: usize = 32;
/// Images that are searched for one, and blocks of each.
const MOST_SEARCHED: usize = 24;
const MOST_BLOCKS: usize = 9;

/// A part of a slice, of at most [`BLOCK`] x [`BLOCK`] tiles.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Block {
    image: String,
    slice: usize,
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
}

/// A slice of an image, as it was read.
type Held = ((String, usize), Arc<Array3<f32>>);

/// A model on a device, and the images that were looked at last.
pub(super) struct ViewPredictor {
    predictor: Option<Predictor>,
    /// The class numbers of the model's outputs.
    numbers: Vec<u8>,
    version: u64,
    images: Vec<Held>,
}

impl ViewPredictor {
    pub(super) fn new() -> Self {
        Self { predictor: None, numbers: Vec::new(), version: 0, images: Vec::new() }
    }

    /// Whether there is a network to apply.
    pub(super) fn is_open(&self) -> bool {
        self.predictor.is_some()
    }

    /// Applies `model` from now on.
    ///
    /// # Errors
    /// What the device refuses.
    pub(super) fn update(&mut self, model: Model, device: &Device) -> Result<()> {
        let numbers = model.classes().iter().filter_map(|class| u8::try_from(class.value).ok()).collect();
        let same = |open: &Predictor| open.model().architecture == model.architecture;
        match &mut self.predictor {
            Some(open) if same(open) => open.update(model)?,
            _ => self.predictor = Some(Predictor::new(model, device, None)?),
        }
        // Higher than any before, also than those of an earlier server that pages may still know.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64);
        (self.numbers, self.version) = (numbers, now.max(self.version + 1));
        Ok(())
    }

    /// Forgets the network.
    pub(super) fn close(&mut self) {
        self.predictor = None;
    }

    /// Computes what people look at, what is oldest and nearest to the middle first, for about as long as `most`, but at least a part.
    /// Returns whether nothing is left. What cannot be computed is told.
    pub(super) fn look(&mut self, shared: &Shared, most: Duration) -> bool {
        let start = Instant::now();
        let mut blocks: Vec<(Option<u64>, usize, Block)> = Vec::new();
        for view in shared.views() {
            let Some(image) = shared.project.image(&view.image) else { continue };
            for (distance, block) in blocks_of(&view, (image.slices, image.height, image.width)) {
                let version = shared.version_of(&block.place());
                if version != Some(self.version) && !blocks.iter().any(|(_, _, known)| *known == block) {
                    blocks.push((version, distance, block));
                }
            }
        }
        blocks.sort_by_key(|(version, distance, _)| (*version, *distance));
        let mut left = blocks.len();
        for (_, _, block) in blocks {
            // An image that cannot be looked at, as one of other channels, does not end training.
            match self.results(shared, &block) {
                Ok(results) => self.keep(shared, &block, &results),
                Err(error) => shared.report(false, |status| status.message = Some(error.to_string())),
            }
            left -= 1;
            if start.elapsed() >= most {
                break;
            }
        }
        left == 0
    }

    fn image(&mut self, shared: &Shared, id: &str, slice: usize) -> Result<Arc<Array3<f32>>> {
        let key = (id.to_owned(), slice);
        if let Some(place) = self.images.iter().position(|(known, _)| *known == key) {
            let found = self.images.remove(place);
            self.images.push(found);
        } else {
            let image = Arc::new(shared.project.read(id, slice)?);
            self.images.push((key, image));
            if self.images.len() > MOST_IMAGES {
                self.images.remove(0);
            }
        }
        Ok(Arc::clone(&self.images[self.images.len() - 1].1))
    }

    /// The probabilities of a network that segments, or the values of one that denoises.
    fn results(&mut self, shared: &Shared, block: &Block) -> Result<Array3<f32>> {
        let image = self.image(shared, &block.image, block.slice)?;
        let window = Window::plane(block.rows.clone(), block.columns.clone());
        match &mut self.predictor {
            Some(open) => match open.model().task {
                Task::Segment { .. } => open.probabilities_in(&image, &window),
                Task::Regress => open.values_in(&image, &window),
            },
            None => Ok(Array3::zeros((0, 0, 0))),
        }
    }

    /// Holds the tiles of a block, and tells the pages.
    fn keep(&self, shared: &Shared, block: &Block, results: &Array3<f32>) {
        let (_, height, width) = results.dim();
        let is_of_values =
            self.predictor.as_ref().is_some_and(|open| matches!(open.model().task, Task::Regress));
        let range = shared.project.image(&block.image).map(|image| shared.project.range_of_values(&image));
        for y in (0..height).step_by(TILE) {
            for x in (0..width).step_by(TILE) {
                let part = s![.., y..(y + TILE).min(height), x..(x + TILE).min(width)];
                let part = results.slice(part).to_owned();
                let tile = match range.filter(|_| is_of_values) {
                    Some(range) => ResultTile::of_values(&part, range, self.version),
                    None => ResultTile::of(&part, &self.numbers, self.version),
                };
                let (ty, tx) = ((block.rows.start + y) / TILE, (block.columns.start + x) / TILE);
                shared.put((block.image.clone(), block.slice, ty, tx), tile);
            }
        }
        let (rows, columns) = (&block.rows, &block.columns);
        let rect = Rect { top: rows.start, bottom: rows.end, left: columns.start, right: columns.end };
        let region = rect.of(&block.image, block.slice);
        shared.events.send(&Event::Result { version: self.version, region });
    }

    /// The region without labels where the network is least sure, and how unsure it is on average, 0 to 1; `None` without a network or
    /// images. Of large images and long stacks a part is searched, spread evenly.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub(super) fn least_sure(&mut self, shared: &Shared) -> Result<Option<(Region, f32)>> {
        if self.predictor.is_none() {
            return Ok(None);
        }
        let slices: Vec<(Image, usize)> = shared
            .project
            .images()
            .into_iter()
            .flat_map(|image| (0..image.slices).map(move |slice| (image.clone(), slice)))
            .collect();
        let mut best: Option<(Region, f32)> = None;
        for (image, slice) in spread(slices, MOST_SEARCHED) {
            let (height, width) = (image.height, image.width);
            let whole = View { tab: String::new(), image: image.id, slice, x: 0, y: 0, width, height };
            let blocks = blocks_of(&whole, (image.slices, height, width));
            let blocks: Vec<Block> = blocks.into_iter().map(|(_, block)| block).collect();
            for block in spread(blocks, MOST_BLOCKS) {
                let Ok(probabilities) = self.results(shared, &block) else { continue };
                self.keep(shared, &block, &probabilities);
                let (rows, columns) = (&block.rows, &block.columns);
                let rect =
                    Rect { top: rows.start, bottom: rows.end, left: columns.start, right: columns.end };
                let (labels, _) = shared.project.labels_in(&block.image, block.slice, &rect)?;
                if let Some((y, x, height, width, uncertainty)) = least_sure_in(&probabilities, &labels)
                    && best.as_ref().is_none_or(|(_, most)| uncertainty > *most)
                {
                    let (y, x) = (rows.start + y, columns.start + x);
                    let (image, slice) = (block.image.clone(), block.slice);
                    best = Some((Region { image, slice, x, y, width, height }, uncertainty));
                }
            }
        }
        Ok(best)
    }
}

impl Block {
    /// That of its first tile.
    fn place(&self) -> Place {
        (self.image.clone(), self.slice, self.rows.start / TILE, self.columns.start / TILE)
    }
}

/// The blocks that a view shows, with the distance of each to the middle of the view.
fn blocks_of(view: &View, (slices, height, width): (usize, usize, usize)) -> Vec<(usize, Block)> {
    if view.slice >= slices {
        return Vec::new();
    }
    let side = BLOCK * TILE;
    let along = |start: usize, length: usize, whole: usize| {
        let end = start.saturating_add(length).min(whole);
        let first = if start < whole { start / side * side } else { end };
        (first..end).step_by(side).map(move |from| from..(from + side).min(whole)).collect::<Vec<_>>()
    };
    let columns = along(view.x, view.width, width);
    let middle = |start: usize, length: usize| start.saturating_add(length / 2);
    let (y, x) = (middle(view.y, view.height), middle(view.x, view.width));
    let of_row = |rows: std::ops::Range<usize>| {
        let columns = columns.clone();
        columns.into_iter().map(move |columns| {
            let far = |part: &std::ops::Range<usize>, at: usize| ((part.start + part.end) / 2).abs_diff(at);
            let distance = far(&rows, y).max(far(&columns, x));
            (distance, Block { image: view.image.clone(), slice: view.slice, rows: rows.clone(), columns })
        })
    };
    along(view.y, view.height, height).into_iter().flat_map(of_row).collect()
}

/// At most so many of `all`, spread evenly.
fn spread<T>(all: Vec<T>, most: usize) -> Vec<T> {
    let count = all.len();
    let mut next = 0;
    let chosen = count.min(most);
    let is_chosen = |index: usize, next: &mut usize| {
        let wanted = *next < chosen && index == *next * count / chosen;
        *next += usize::from(wanted);
        wanted
    };
    all.into_iter()
        .enumerate()
        .filter(|(index, _)| is_chosen(*index, &mut next))
        .map(|(_, one)| one)
        .collect()
}

/// The square of [`REGION`] x [`REGION`] pixels, or what there is of it, without any label whose mean entropy is largest: its row,
/// column, height, width, and that entropy as a share of the largest that there can be.
fn least_sure_in(
    probabilities: &Array3<f32>,
    labels: &Array2<u8>,
) -> Option<(usize, usize, usize, usize, f32)> {
    let (count, height, width) = probabilities.dim();
    let largest = (count.max(2) as f32).ln();
    let mut found = Vec::new();
    for y in (0..height).step_by(REGION) {
        for x in (0..width).step_by(REGION) {
            let (rows, columns) = (y..(y + REGION).min(height), x..(x + REGION).min(width));
            if labels.slice(s![rows.clone(), columns.clone()]).iter().any(|label| *label != UNLABELLED) {
                continue;
            }
            let part = probabilities.slice(s![.., rows.clone(), columns.clone()]);
            let each = part.iter().filter(|p| **p > 0.0).map(|p| f64::from(-p * p.ln()));
            let (height, width) = (rows.len(), columns.len());
            let entropy = each.sum::<f64>() / (height * width) as f64;
            found.push((y, x, height, width, entropy as f32 / largest));
        }
    }
    found.into_iter().min_by_key(|(.., entropy)| Reverse((entropy * 1e6) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_cut_into_blocks_from_its_middle_on() {
        let (tab, image) = ("a".to_owned(), "i1".to_owned());
        let view = View { tab, image, slice: 0, x: 600, y: 100, width: 1000, height: 300 };
        let shape = (1, 1100, 1300);
        let mut blocks = blocks_of(&view, shape);
        blocks.sort_by_key(|(distance, _)| *distance);
        let found: Vec<_> = blocks.iter().map(|(_, b)| (b.rows.clone(), b.columns.clone())).collect();
        assert_eq!(found, [(0..512, 1024..1300), (0..512, 512..1024)]);
        assert!(blocks_of(&View { x: 5000, ..view.clone() }, shape).is_empty());
        assert!(blocks_of(&View { slice: 1, ..view }, shape).is_empty());
    }

    #[test]
    fn the_least_sure_region_has_no_label() {
        let unsure = |y: usize, x: usize| y < 64 && x >= 64;
        let p = |class: usize, y: usize, x: usize| if unsure(y, x) { 0.5 } else { [0.9, 0.1][class] };
        let probabilities = Array3::from_shape_fn((2, 128, 100), |(class, y, x)| p(class, y, x));
        let mut labels = Array2::from_elem((128, 100), 255);
        let (y, x, height, width, entropy) = least_sure_in(&probabilities, &labels).unwrap();
        assert_eq!((y, x, height, width), (0, 64, 32, 32));
        assert!((entropy - 1.0).abs() < 1e-5, "{entropy}");
        labels[[5, 70]] = 1;
        let (y, x, ..) = least_sure_in(&probabilities, &labels).unwrap();
        assert_ne!((y, x), (0, 64));
        labels.fill(0);
        assert_eq!(least_sure_in(&probabilities, &labels), None);
    }

    #[test]
    fn what_is_searched_is_spread_evenly() {
        assert_eq!(spread((0..10).collect(), 4), [0, 2, 5, 7]);
        assert_eq!(spread(vec![1, 2], 4), [1, 2]);
        assert!(spread(Vec::<u8>::new(), 4).is_empty());
    }
}
