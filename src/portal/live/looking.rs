//! Applies the network, as it is, to what people look at, and to where they are sent next.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ndarray::{Array3, ArrayView3, s};

use super::View;
use super::results::{Place, ResultTile};
use super::state::Shared;
use super::suggesting::Suggester;
use crate::Result;
use crate::devices::Device;
use crate::geometry::Window;
use crate::inference::Predictor;
use crate::network::{Model, Task};
use crate::portal::events::Event;
use crate::portal::project::{Project, Rect, Region};
use crate::portal::tiles::TILE;

/// Tiles along a side of what is computed at once: of more, less is computed twice, but it takes longer until something is seen.
const BLOCK: usize = 2;
/// Images that are held, as they were read.
const MOST_IMAGES: usize = 8;

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

/// The slices that were used last.
#[derive(Default)]
struct HeldImages {
    slices: Vec<Held>,
}

/// A model on a device, and the images that were looked at last.
pub(super) struct ViewPredictor {
    predictor: Option<Predictor>,
    /// The class numbers of the model's outputs.
    numbers: Vec<u8>,
    version: u64,
    images: HeldImages,
    suggester: Suggester,
}

impl ViewPredictor {
    pub(super) fn new() -> Self {
        Self {
            predictor: None,
            numbers: Vec::new(),
            version: 0,
            images: HeldImages::default(),
            suggester: Suggester::default(),
        }
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

    /// The probabilities of a network that segments, or the values of one that denoises.
    fn results(&mut self, shared: &Shared, block: &Block) -> Result<Array3<f32>> {
        let image = self.images.read(&shared.project, &block.image, block.slice)?;
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

    /// A region that looks like little that is labelled, and how unsure the network is there, from 0 to 1: the mean entropy of its
    /// probabilities, as a share of the largest that there can be. `None` without a network that segments, without images that it takes,
    /// and where all is labelled.
    ///
    /// # Errors
    /// What comes of reading images and labels, and what the device refuses.
    pub(super) fn suggest(&mut self, shared: &Shared) -> Result<Option<(Region, f32)>> {
        let Some(open) = &self.predictor else { return Ok(None) };
        if !matches!(open.model().task, Task::Segment { .. }) {
            return Ok(None);
        }
        let (project, channels) = (&shared.project, open.model().architecture.inputs);
        let images = &mut self.images;
        let read = &mut |id: &str, slice: usize| images.read(project, id, slice);
        let Some(region) = self.suggester.suggest(project, channels, read)? else { return Ok(None) };
        let Some(image) = project.image(&region.image) else { return Ok(None) };
        let side = BLOCK * TILE;
        let block = |start: usize, whole: usize| start / side * side..(start / side * side + side).min(whole);
        let (rows, columns) = (block(region.y, image.height), block(region.x, image.width));
        let block = Block { image: image.id, slice: region.slice, rows, columns };
        let probabilities = self.results(shared, &block)?;
        // It is what is looked at next.
        self.keep(shared, &block, &probabilities);
        let (y, x) = (region.y - block.rows.start, region.x - block.columns.start);
        let part = probabilities.slice(s![.., y..y + region.height, x..x + region.width]);
        let uncertainty = mean_entropy(part);
        Ok(Some((region, uncertainty)))
    }
}

impl HeldImages {
    /// A slice of an image, `[channel][y][x]`.
    ///
    /// # Errors
    /// Those of reading it.
    fn read(&mut self, project: &Project, id: &str, slice: usize) -> Result<Arc<Array3<f32>>> {
        let key = (id.to_owned(), slice);
        let found = match self.slices.iter().position(|(known, _)| *known == key) {
            Some(place) => self.slices.remove(place),
            None => (key, Arc::new(project.read(id, slice)?)),
        };
        let image = Arc::clone(&found.1);
        self.slices.push(found);
        if self.slices.len() > MOST_IMAGES {
            self.slices.remove(0);
        }
        Ok(image)
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

/// The mean entropy of probabilities `[class][y][x]`, as a share of the largest that there can be.
fn mean_entropy(probabilities: ArrayView3<'_, f32>) -> f32 {
    let (classes, height, width) = probabilities.dim();
    let each = probabilities.iter().filter(|p| **p > 0.0).map(|p| f64::from(-p * p.ln()));
    let entropy = each.sum::<f64>() / (height * width).max(1) as f64;
    (entropy as f32 / (classes.max(2) as f32).ln()).clamp(0.0, 1.0)
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
    fn half_and_half_is_as_unsure_as_can_be() {
        let of =
            |p: f32| mean_entropy(Array3::from_shape_fn((2, 3, 4), |(class, ..)| [p, 1.0 - p][class]).view());
        assert!((of(0.5) - 1.0).abs() < 1e-5 && of(1.0) == 0.0, "{} {}", of(0.5), of(1.0));
        assert!((of(0.9) - 0.469).abs() < 1e-3, "{}", of(0.9));
    }
}
