//! An estimate of the memory that a run takes, made before its first step.

use super::judge::Judge;
use crate::Result;
use crate::engine::Engine;
use crate::geometry::{Extent, Shape};
use crate::network::{Architecture, ParameterLayout, Task};
use crate::samples::{Dataset, Item};
use crate::training::batches::steps_ahead;
use crate::training::reports::preview;

/// Memory in bytes; the program itself, a few tens of MiB, comes on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryUse {
    /// The network's planes and parameters, in the memory of the device.
    pub network: u64,
    /// Images, targets and weights, and what is made of them for a step; in the memory of the machine.
    pub images: u64,
}

impl MemoryUse {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.network.saturating_add(self.images)
    }

    /// Of training on images of `shape`, shown whole, beside the images that wait for their turn: what each of these takes is
    /// in [`image_bytes`].
    ///
    /// # Errors
    /// When the images are too large for the network to be counted.
    pub fn of_steps(engine: &dyn Engine, task: &Task, shape: Shape) -> Result<Self> {
        Self::of_pieces(engine, task, shape, shape.batch)
    }

    /// As [`MemoryUse::of_steps`], where each step shows `pieces` images in batches of `shape`.
    fn of_pieces(engine: &dyn Engine, task: &Task, shape: Shape, pieces: usize) -> Result<Self> {
        // This finds sizes that cannot be counted.
        let network = engine.bytes(shape, true)?;
        let architecture = engine.architecture();
        let own = MODELS * parameter_bytes(architecture);
        let steps = steps_bytes(architecture, task, Shape { batch: pieces, ..shape });
        Ok(Self { network, images: own + steps.max(CHECKPOINT * parameter_bytes(architecture)) })
    }

    /// Of a run whose steps show `pieces` images in batches of `shape` at the largest, over the images that it is trained on and those
    /// that judge it.
    ///
    /// # Errors
    /// As [`MemoryUse::of_steps`].
    pub(in crate::training) fn of_run(
        engine: &dyn Engine,
        task: &Task,
        shape: Shape,
        pieces: usize,
        training: &Dataset,
        judge: &Judge,
    ) -> Result<Self> {
        let mut run = Self::of_pieces(engine, task, shape, pieces)?;
        let judging = judge.set();
        let held = training.held_bytes().saturating_add(judge.held_bytes());
        let sets = held.saturating_add(training.block_bytes(judging));
        let reading = training.reading_bytes();
        run.images = run.images.saturating_add(sets).saturating_add(reading);
        let Some(largest) = judging.items().iter().max_by_key(|item| item.bytes()) else {
            return Ok(run);
        };
        let architecture = judge.architecture();
        let whole = largest.extent();
        let mut shapes = judge.shapes();
        shapes.push(Shape { batch: 1, extent: preview::shown(whole) });
        run.network = engine.bytes_in_turns(shape, &shapes)?;
        // Steps go on being made ready while the network is judged and shown.
        let steps = steps_bytes(architecture, task, Shape { batch: pieces, ..shape });
        let waiting = sets + MODELS * parameter_bytes(architecture) + steps;
        let tile = judge.shapes().into_iter().map(|shape| shape.extent).max_by_key(Extent::pixels);
        let judged = judging_bytes(largest, tile.unwrap_or(Extent::plane(0, 0)), architecture);
        let previewed = preview::bytes(judging.len(), whole);
        run.images = run.images.max(waiting + judged.max(previewed).saturating_add(judging.reading_bytes()));
        Ok(run)
    }
}

/// How often the host has the parameters: in the model to begin with and in the best one.
const MODELS: u64 = 2;
/// How often a checkpoint has as many numbers as there are parameters, while it is written: five arrays, thrice.
const CHECKPOINT: u64 = 15;

fn parameter_bytes(architecture: &Architecture) -> u64 {
    4 * ParameterLayout::of(architecture).count() as u64
}

/// Of the steps that are in use and of those that are made meanwhile, each of these as images and as batches.
fn steps_bytes(architecture: &Architecture, task: &Task, shape: Shape) -> u64 {
    let step = shape.batch as u64 * image_bytes(architecture, task, shape.extent);
    3 * steps_ahead(shape, architecture.inputs) as u64 * step
}

/// Bytes of an image and its target, `weights` not counted: these are 4 for each pixel more.
pub fn image_bytes(architecture: &Architecture, task: &Task, extent: Extent) -> u64 {
    let targets = match task {
        Task::Segment { .. } => 1,
        Task::Regress => architecture.outputs,
    };
    4 * extent.pixels() as u64 * (architecture.inputs + targets) as u64
}

/// Of judging by one image in tiles of `tile`: the tile as a batch with its targets and its outputs, the result for
/// the image, and values in the units of the targets. Of a volume, a tile is there as it was read too, classes are found for a tile, and
/// values for the slices that it keeps, beside their targets.
fn judging_bytes(item: &Item, tile: Extent, architecture: &Architecture) -> u64 {
    let (pixels, tile, slices) = (item.extent().pixels(), tile.pixels(), tile.z);
    let (inputs, outputs) = (architecture.inputs, architecture.outputs);
    if item.is_volume() {
        let slab = slices * item.extent().y * item.extent().x;
        let (targets, results) = match item.target_channels() {
            None => (1, 2 * tile),
            Some(_) => (outputs, 2 * outputs * (tile + slab)),
        };
        return 4 * (tile * (2 * (inputs + targets) + outputs + 1) + results) as u64;
    }
    let (targets, result) = match item.target_channels() {
        None => (1, 1),
        Some(_) => (outputs, 2 * outputs),
    };
    4 * ((inputs + targets + outputs + 1) * tile + result * pixels) as u64
}
