//! The networks and batches that engines are checked with, made from seeds.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::engine::{IGNORED, Images, Loss, TargetValues, Targets};
use crate::geometry::{Boundary, Extent, Shape};
use crate::network::{Architecture, DilationMode, ParameterLayout, Scale, Stem, initialise};

/// Losses of classes.
pub(super) const OF_CLASSES: [Loss; 4] =
    [Loss::CrossEntropy, Loss::Focal { gamma: 1.5 }, Loss::Dice, Loss::CrossEntropyDice];
/// Losses of values.
pub(super) const OF_VALUES: [Loss; 4] = [
    Loss::SquaredError,
    Loss::AbsoluteError,
    Loss::Huber { delta: 0.7 },
    // A small epsilon would magnify the rounding of the outputs.
    Loss::Charbonnier { epsilon: 0.5 },
];

/// A network with parameters, a batch and its targets.
#[derive(Debug)]
pub struct Case {
    /// The network.
    pub architecture: Architecture,
    /// Its parameters, in the order of [`ParameterLayout`].
    pub parameters: Vec<f32>,
    /// The batch.
    pub images: Images,
    /// What its outputs should be.
    pub targets: Targets,
    /// How far they are from it.
    pub loss: Loss,
}

impl Case {
    /// A random one for each seed: odd sizes down to 1x1, every boundary, dilations beyond the image.
    pub fn random(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut pick = |from: usize, to: usize| random.random_range(from..=to);
        let side = |n: usize, pick: &mut dyn FnMut(usize, usize) -> usize| match n {
            0 => pick(1, 3),
            1 => pick(4, 20),
            _ => pick(21, 45),
        };
        let (rows, columns) = (pick(0, 2), pick(0, 2));
        let extent = Extent::plane(side(rows, &mut pick), side(columns, &mut pick));
        let dilations = match pick(0, 3) {
            0 => (1..=10).collect(),
            1 => vec![1],
            2 => (0..pick(1, 4)).map(|_| pick(1, 8)).collect(),
            _ => vec![1, pick(10, 60), pick(2, 5)],
        };
        let architecture = Architecture {
            inputs: pick(1, 3),
            outputs: pick(1, 6),
            width: pick(1, 4),
            depth: pick(1, 7),
            dimensions: 2,
            dilations,
            dilations_z: Vec::new(),
            dilation_mode: [DilationMode::Channel, DilationMode::Layer][pick(0, 1)],
            boundary: [Boundary::Reflect, Boundary::Symmetric, Boundary::Zeros][pick(0, 2)],
            stem: Stem::default(),
        };
        let batch = pick(1, 3);
        let segments = pick(0, 1) == 0;
        let scales: &[f64] = [&[][..], &[0.7, 2.0], &[5.0]][pick(0, 2)];
        let stem = Stem { scales: scales.iter().copied().map(Scale::from).collect() };
        let architecture = Architecture { stem, ..architecture };
        let case = Self::new(architecture, Shape { batch, extent }, segments, seed);
        let losses = if segments { OF_CLASSES } else { OF_VALUES };
        Self { loss: losses[seed as usize / 2 % 4], ..case }
    }

    /// As [`Case::random`], of three dimensions: volumes from 1x1x1 to a few thousand voxels, also of one slice, row or column, with
    /// dilations beyond the volume along each axis, and lists of their own along z.
    pub fn random_volume(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed ^ 0x3d);
        let mut pick = |from: usize, to: usize| random.random_range(from..=to);
        let side = |kind: usize, pick: &mut dyn FnMut(usize, usize) -> usize| match kind {
            0 => pick(1, 3),
            1 => pick(4, 9),
            _ => pick(10, 21),
        };
        let kinds = [pick(0, 2), pick(0, 2), pick(0, 2)];
        let [z, y, x] = kinds.map(|kind| side(kind, &mut pick));
        let dilations = match pick(0, 2) {
            0 => (1..=10).collect(),
            1 => (0..pick(1, 4)).map(|_| pick(1, 5)).collect(),
            _ => vec![1, pick(10, 40), 2],
        };
        let dilations_z = match pick(0, 3) {
            0 | 1 => Vec::new(),
            2 => (0..pick(1, 3)).map(|_| pick(0, 3)).collect(),
            _ => vec![pick(0, 30), 1],
        };
        let architecture = Architecture {
            inputs: pick(1, 2),
            outputs: pick(1, 4),
            width: pick(1, 3),
            depth: pick(1, 6),
            dimensions: 3,
            dilations,
            dilations_z,
            dilation_mode: [DilationMode::Channel, DilationMode::Layer][pick(0, 1)],
            boundary: [Boundary::Reflect, Boundary::Symmetric, Boundary::Zeros][pick(0, 2)],
            stem: Stem::default(),
        };
        let segments = pick(0, 1) == 0;
        let shape = Shape { batch: pick(1, 2), extent: Extent::new(z, y, x) };
        let case = Self::new(architecture, shape, segments, seed);
        let losses = if segments { OF_CLASSES } else { OF_VALUES };
        Self { loss: losses[seed as usize / 2 % 4], ..case }
    }

    /// One of a given architecture, which must be usable, and a shape of at least one pixel; classes as targets if `segments`, else
    /// values.
    pub fn new(architecture: Architecture, shape: Shape, segments: bool, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed ^ 0x5eed);
        let pixels = shape.batch * shape.extent.pixels();
        let mut parameters = initialise(&architecture, seed);
        // Biases and mixing weights start at zero; here they must not, or half of the gradients would be zero too.
        let filters = ParameterLayout::of(&architecture).filters().end;
        parameters[filters..].fill_with(|| random.random_range(-0.5..0.5));
        let images = (0..pixels * architecture.inputs).map(|_| random.random_range(-2.0..2.0)).collect();
        let outputs = architecture.outputs;
        let values = if segments {
            let class = |random: &mut ChaCha8Rng| match random.random_range(0..=outputs as u32) {
                class if class == outputs as u32 => IGNORED,
                class => class,
            };
            TargetValues::Classes((0..pixels).map(|_| class(&mut random)).collect())
        } else {
            TargetValues::Values((0..pixels * outputs).map(|_| random.random_range(-1.0..1.0)).collect())
        };
        // Every other case has weights, a few of them 0.
        let weight = |random: &mut ChaCha8Rng| f32::max(0.0, random.random_range(-0.3..3.0));
        let weights = (seed % 2 == 1).then(|| (0..pixels).map(|_| weight(&mut random)).collect());
        let targets = Targets { values, weights };
        let loss = if segments { Loss::CrossEntropy } else { Loss::SquaredError };
        Self { architecture, parameters, images: Images { shape, pixels: images }, targets, loss }
    }

    /// The `scale` with which [`accumulate`](crate::engine::Engine::accumulate) gives the mean loss of the batch: one over
    /// [`Targets::total_weight`], or 1 where no pixel counts.
    pub fn scale(&self) -> f32 {
        let weight = self.targets.total_weight();
        if weight > 0.0 { (1.0 / weight) as f32 } else { 1.0 }
    }
}
