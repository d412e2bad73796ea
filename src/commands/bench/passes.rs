//! The passes that are timed, and the operations in them.

use std::time::Instant;

use crate::Result;
use crate::engine::{Adam, Engine, Images, Loss, Targets, example_batch};
use crate::geometry::Shape;
use crate::network::Architecture;

/// A network and a batch to time an engine with.
pub(in crate::commands) struct Passes {
    architecture: Architecture,
    images: Images,
    targets: Targets,
}

impl Passes {
    /// Those of a network and images of `shape`.
    pub(in crate::commands) fn new(architecture: Architecture, shape: Shape) -> Result<Self> {
        let (images, targets) = example_batch(&architecture, shape)?;
        Ok(Self { architecture, images, targets })
    }

    /// The network.
    pub(super) fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Number and size of the images.
    pub(super) fn shape(&self) -> Shape {
        self.images.shape
    }

    /// Seconds of a training step, or of a forward pass.
    pub(in crate::commands) fn once(
        &self,
        engine: &mut dyn Engine,
        training: bool,
        step: u64,
    ) -> Result<f64> {
        let start = Instant::now();
        if training {
            engine.accumulate(
                &self.images,
                &self.targets,
                Loss::CrossEntropy,
                1.0 / self.images.pixels.len() as f32,
            )?;
            engine.update(&Adam::new(1e-3, step))?;
            engine.losses(true)?;
        } else {
            engine.forward(&self.images)?;
        }
        Ok(start.elapsed().as_secs_f64())
    }

    /// The median of so many runs, after two that are not counted.
    pub(super) fn median_seconds(
        &self,
        engine: &mut dyn Engine,
        training: bool,
        repeats: usize,
    ) -> Result<f64> {
        for warm_up in 1..=2 {
            self.once(engine, training, warm_up)?;
        }
        let runs = (0..repeats as u64).map(|run| self.once(engine, training, 3 + run));
        let mut seconds = runs.collect::<Result<Vec<f64>>>()?;
        seconds.sort_by(f64::total_cmp);
        Ok(seconds[seconds.len() / 2])
    }

    /// Operations of a pass or of a kind of step: 2 for each tap of a filter and pixel, thrice that for a training step
    /// (the convention of the field), and 2 for each mixing weight and pixel.
    pub(in crate::commands) fn operations(&self, what: &str) -> f64 {
        let a = &self.architecture;
        let each_filter = 2.0 * a.taps() as f64;
        let filters = each_filter * a.filter_count() as f64;
        let mix = 2.0 * (a.channels() * a.outputs) as f64;
        let each = match what {
            "forward" | "convolve" | "filter_gradient" => filters,
            "train_step" => 3.0 * filters,
            // What comes before the first layer needs no gradient.
            "input_gradient" => filters - each_filter * (a.stem_channels() * a.hidden()) as f64,
            // Two passes for each scale.
            "stem" => a.stem.scales.iter().map(|scale| (8 * scale.radius() + 4) as f64).sum(),
            "mix" | "mix_weight_gradient" => mix,
            "mix_input_gradient" => 2.0 * (a.hidden() * a.outputs) as f64,
            "bias_gradient" => a.hidden() as f64,
            _ => 0.0,
        };
        each * self.images.pixels.len() as f64
    }
}
