//! What memory a run takes, said before its first step.

use crate::Result;
use crate::engine::Engine;
use crate::geometry::{Extent, Shape};
use crate::network::{Architecture, ParameterLayout, Task};
use crate::samples::{Dataset, Sample, Target};
use crate::training::batches::steps_ahead;
use crate::training::reports::preview;

/// MemoryUse in bytes; the program itself, a few tens of MiB, comes on top.
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
        // This finds sizes that cannot be counted.
        let network = engine.bytes(shape, true)?;
        let (architecture, ahead) = (engine.architecture(), steps_ahead(shape, engine.architecture().inputs));
        let step = shape.batch as u64 * image_bytes(architecture, task, shape.extent);
        let own = MODELS * parameter_bytes(architecture);
        // Each step is there as images and as batches while it is made.
        let making = 2 * ahead as u64 * step;
        Ok(Self { network, images: own + making.max(CHECKPOINT * parameter_bytes(architecture)) })
    }

    /// Of a run whose steps are of `shape` at the largest, over the images that it is trained on and those that judge it
    /// (copies, where they are training images).
    ///
    /// # Errors
    /// As [`MemoryUse::of_steps`].
    pub(in crate::training) fn of_run(
        engine: &dyn Engine,
        task: &Task,
        shape: Shape,
        training: &Dataset,
        judging: &Dataset,
    ) -> Result<Self> {
        let mut steps = Self::of_steps(engine, task, shape)?;
        let sets = training.samples.iter().chain(&judging.samples).map(sample_bytes).sum::<u64>();
        steps.images = steps.images.saturating_add(sets);
        let Some(largest) = judging.samples.iter().max_by_key(|sample| sample_bytes(sample)) else {
            return Ok(steps);
        };
        let architecture = engine.architecture();
        let (_, height, width) = largest.image.dim();
        let whole = Extent::plane(height, width);
        let shown = preview::shown(whole);
        // Planes for training do for judging too.
        let network_at = |extent| match extent == shape.extent {
            true => Ok(steps.network),
            false => engine.bytes(Shape { batch: 1, extent }, false),
        };
        let (judging_network, preview_network) = (network_at(whole)?, network_at(shown)?);
        let largest_network = steps.network.max(judging_network);
        // Steps that are ready wait while others are judged and shown; what it took to make them is free again.
        let ready = (steps_ahead(shape, architecture.inputs) - 1) as u64
            * shape.batch as u64
            * image_bytes(architecture, task, shape.extent);
        let waiting = sets + MODELS * parameter_bytes(architecture) + ready;
        let judging_images = waiting + judging_bytes(largest, architecture.outputs);
        let judged = Self { network: largest_network, images: steps.images.max(judging_images) };
        let preview_images = waiting + preview::bytes(judging.samples.len(), whole);
        let mut previewed = Self { network: preview_network, images: preview_images };
        if engine.spare_bytes() > 0 {
            // Planes of several sizes stay, the smaller ones if they are small enough.
            let mut others =
                vec![(judging_network, whole), (preview_network, shown), (steps.network, shape.extent)];
            others.sort_by_key(|&(bytes, _)| bytes);
            others.dedup();
            others.pop();
            let fits =
                |spare, (bytes, _)| if spare + bytes <= engine.spare_bytes() { spare + bytes } else { spare };
            previewed.network = largest_network + others.into_iter().fold(0, fits);
        }
        Ok(if previewed.total() > judged.total() { previewed } else { judged })
    }
}

/// How often the host has the parameters: in the model to begin with and in the best one.
const MODELS: u64 = 2;
/// How often a checkpoint has as many numbers as there are parameters, while it is written: five arrays, thrice.
const CHECKPOINT: u64 = 15;

fn parameter_bytes(architecture: &Architecture) -> u64 {
    4 * ParameterLayout::of(architecture).count() as u64
}

/// Bytes of an image and its target, `weights` not counted: these are 4 for each pixel more.
pub fn image_bytes(architecture: &Architecture, task: &Task, extent: Extent) -> u64 {
    let targets = match task {
        Task::Segment { .. } => 1,
        Task::Regress => architecture.outputs,
    };
    4 * extent.pixels() as u64 * (architecture.inputs + targets) as u64
}

fn sample_bytes(sample: &Sample) -> u64 {
    let target = match &sample.target {
        Target::Classes(classes) => classes.len(),
        Target::Values(values) => values.len(),
    };
    let weights = sample.weights.as_ref().map_or(0, |weights| weights.len());
    4 * (sample.image.len() + target + weights) as u64
}

/// Of judging by one image: the image again as a batch, the outputs, and as much in the units of the targets.
fn judging_bytes(sample: &Sample, outputs: usize) -> u64 {
    let (_, y, x) = sample.image.dim();
    let results = match &sample.target {
        Target::Classes(_) => outputs + 1,
        Target::Values(_) => 3 * outputs,
    };
    let batch = sample_bytes(sample);
    batch + batch.max(4 * (y * x * results) as u64)
}
