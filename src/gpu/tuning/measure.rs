//! Times tunings on a device, with images that are made for it.

use std::time::{Duration, Instant};

use super::cache::Bucket;
use super::search::{self, Trial, TuningResult};
use crate::Result;
use crate::engine::{Adam, Engine, Images, Loss, Targets, example_batch};
use crate::geometry::{Extent, Shape};
use crate::gpu::network::{GpuEngine, GpuOptions, Tuning};
use crate::gpu::runtime::adapters::GpuAdapter;
use crate::network::{Architecture, initialise};

/// A tuning is timed at least so often, and then until it took so many seconds or was timed as often as makes sense.
const FEWEST_REPEATS: u32 = 3;
const MAX_REPEATS: u32 = 15;
const SECONDS: f64 = 0.1;

/// Looks for the tuning with which `adapter` is fastest, for a training step and a forward pass together, on images of `shape`;
/// starts from the safe one, starts no trial after `limit`, and calls `tried` with each trial.
///
/// # Errors
/// When the network or the shape is unusable or too large for the device, or the device fails.
pub fn search(
    adapter: &GpuAdapter,
    architecture: &Architecture,
    shape: Shape,
    limit: Duration,
    tried: &mut dyn FnMut(Trial),
) -> Result<TuningResult> {
    let begun = Instant::now();
    let options = GpuOptions::default();
    let mut engine = GpuEngine::open(adapter, architecture, &initialise(architecture, 1), options)?;
    // Finds sizes that cannot be counted before any image is made.
    engine.bytes(shape, true)?;
    let case = Case::new(architecture, shape)?;
    let start = Tuning::safe_on(adapter);
    let seconds = |tuning| case.seconds(&mut engine, tuning);
    search::search(start, seconds, || begun.elapsed() < limit, tried)
}

impl Bucket {
    /// A network and a shape that represent all of this bucket.
    pub fn example(&self) -> (Architecture, Shape) {
        let architecture = Architecture { width: self.width, ..Architecture::new(1, 2, self.depth) };
        (architecture, Shape { batch: 1, extent: Extent::plane(self.side, self.side) })
    }
}

/// What is timed.
struct Case {
    images: Images,
    targets: Targets,
}

impl Case {
    fn new(architecture: &Architecture, shape: Shape) -> Result<Self> {
        let (images, targets) = example_batch(architecture, shape)?;
        Ok(Self { images, targets })
    }

    /// What a training step and a forward pass take, each at best.
    fn seconds(&self, engine: &mut GpuEngine, tuning: Tuning) -> Result<f64> {
        engine.retune(tuning)?;
        // Compiles what was not yet.
        self.step(engine)?;
        engine.forward(&self.images)?;
        let begun = Instant::now();
        let (mut step, mut forward) = (f64::INFINITY, f64::INFINITY);
        for repeat in 1..=MAX_REPEATS {
            let start = Instant::now();
            self.step(engine)?;
            step = step.min(start.elapsed().as_secs_f64());
            let start = Instant::now();
            engine.forward(&self.images)?;
            forward = forward.min(start.elapsed().as_secs_f64());
            if repeat >= FEWEST_REPEATS && begun.elapsed().as_secs_f64() > SECONDS {
                break;
            }
        }
        Ok(step + forward)
    }

    fn step(&self, engine: &mut GpuEngine) -> Result<()> {
        let scale = 1.0 / self.images.shape.extent.pixels() as f32;
        engine.accumulate(&self.images, &self.targets, Loss::CrossEntropy, scale)?;
        // With a learning rate of 0 parameters stay as they are, so every tuning computes with the same numbers.
        engine.update(&Adam::new(0.0, 1))?;
        engine.losses(true).map(drop)
    }
}
