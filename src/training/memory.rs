//! What memory a run takes, said before its first step.

use super::batches::steps_ahead;
use super::preview;
use crate::Result;
use crate::data::{Dataset, Sample, Target};
use crate::engine::Engine;
use crate::network::{Architecture, ParameterLayout, Task};
use crate::schedule::{Extent, Shape};

/// Memory in bytes; the program itself, a few tens of MiB, comes on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// The network's planes and parameters, in the memory of the device.
    pub network: u64,
    /// Images, targets and weights, and what is made of them for a step; in the memory of the machine.
    pub images: u64,
}

impl Memory {
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
        let architecture = engine.architecture();
        let step = shape.batch as u64 * image_bytes(architecture, task, shape.extent);
        // Each step is there as images and as batches while it is made.
        let ready = 2 * steps_ahead(shape, architecture.inputs) as u64 * step;
        Ok(Self { network, images: ready + checkpoint_bytes(architecture) })
    }

    /// Of a run whose steps are of `shape` at the largest, over the images that it is trained on and those that judge it
    /// (copies, where they are training images).
    ///
    /// # Errors
    /// As [`Memory::of_steps`].
    pub(super) fn of_run(
        engine: &dyn Engine,
        task: &Task,
        shape: Shape,
        training: &Dataset,
        judging: &Dataset,
    ) -> Result<Self> {
        let mut steps = Self::of_steps(engine, task, shape)?;
        steps.images += training.samples.iter().chain(&judging.samples).map(sample_bytes).sum::<u64>();
        let Some(largest) = judging.samples.iter().max_by_key(|sample| sample_bytes(sample)) else {
            return Ok(steps);
        };
        // An engine has planes of one size at a time, and those for training do for judging too.
        let extent_of = |sample: &Sample| Extent::plane(sample.image.dim().1, sample.image.dim().2);
        let whole = extent_of(largest);
        let forward = |extent| engine.bytes(Shape { batch: 1, extent }, false);
        let judged = Self {
            network: steps.network.max(forward(whole)?),
            images: steps.images + judging_bytes(largest, engine.architecture().outputs),
        };
        let shown = preview::shown(whole);
        let previewed = Self {
            network: if shown == shape.extent { steps.network } else { forward(shown)? },
            images: steps.images + preview::bytes(judging.samples.len(), whole),
        };
        Ok(if previewed.total() > judged.total() { previewed } else { judged })
    }
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

/// The numbers of the model and of the best one, and of a checkpoint while it is written: five for each parameter,
/// thrice.
fn checkpoint_bytes(architecture: &Architecture) -> u64 {
    4 * 17 * ParameterLayout::of(architecture).count() as u64
}
