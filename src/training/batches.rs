//! The batches of a step, from the draws of a sampler.

use crate::Result;
use crate::data::{Dataset, Draw, Sample, Sampler, Symmetry, Target, cut};
use crate::engine::{Images, TargetValues, Targets};
use crate::schedule::{Extent, Shape};

/// Draws pieces of the training images, each in one of the symmetries.
pub(super) struct Batches<'a> {
    set: &'a Dataset,
    sampler: Sampler,
    batch: usize,
}

impl<'a> Batches<'a> {
    pub(super) fn new(
        set: &'a Dataset,
        batch: usize,
        crop: usize,
        symmetries: bool,
        seed: u64,
    ) -> Result<Self> {
        let sampler = Sampler::new(set.sizes(), (crop > 0).then_some(crop), symmetries, seed)?;
        Ok(Self { set, sampler, batch })
    }

    /// Steps in an epoch: as many as show about as many pixels as the set holds, but each image at least once.
    pub(super) fn steps_in_epoch(&self, crop: usize) -> u64 {
        let shown = |&(height, width): &(usize, usize)| match crop {
            0 => 1.0,
            _ => (height * width) as f64 / (height.min(crop) * width.min(crop)) as f64,
        };
        let draws: f64 = self.set.sizes().iter().map(shown).sum();
        ((draws / self.batch as f64).round() as u64).max(self.set.samples.len().div_ceil(self.batch) as u64)
    }

    /// The images and targets of step `step`, from 1: one batch for each size among them, and the scale that makes
    /// the loss a mean.
    pub(super) fn step(&self, step: u64) -> (Vec<(Images, Targets)>, f32) {
        let first = (step - 1) * self.batch as u64;
        let samples: Vec<Sample> = (first..first + self.batch as u64)
            .map(|n| {
                let draw: Draw = self.sampler.draw(n);
                cut(&self.set.samples[draw.index], &draw)
            })
            .collect();
        let mut groups: Vec<Vec<&Sample>> = Vec::new();
        for sample in &samples {
            match groups.iter_mut().find(|group| group[0].image.dim() == sample.image.dim()) {
                Some(group) => group.push(sample),
                None => groups.push(vec![sample]),
            }
        }
        let batches: Vec<(Images, Targets)> = groups.iter().map(|group| gather(group)).collect();
        let weight: f64 = batches.iter().map(|(_, targets)| targets.total_weight()).sum();
        (batches, if weight > 0.0 { (1.0 / weight) as f32 } else { 0.0 })
    }

    /// A batch like those of the run, to ask what memory it will take.
    pub(super) fn largest_shape(&self, crop: usize) -> Shape {
        let piece = |(height, width): (usize, usize)| match crop {
            0 => Extent::plane(height, width),
            _ => Extent::plane(height.min(crop), width.min(crop)),
        };
        let extents = self.set.sizes().into_iter().map(piece);
        let extent = extents.max_by_key(Extent::pixels).unwrap_or(Extent::plane(1, 1));
        Shape { batch: self.batch, extent }
    }
}

/// One whole image as a batch.
pub(super) fn whole(sample: &Sample) -> (Images, Targets) {
    let identity = Draw { index: 0, crop: None, symmetry: Symmetry::IDENTITY };
    gather(&[&cut(sample, &identity)])
}

fn gather(samples: &[&Sample]) -> (Images, Targets) {
    let (_, height, width) = samples[0].image.dim();
    let shape = Shape { batch: samples.len(), extent: Extent::plane(height, width) };
    let pixels = samples.iter().flat_map(|sample| sample.image.iter().copied()).collect();
    let targets = Targets { values: target_values(samples), weights: weights(samples) };
    (Images { shape, pixels }, targets)
}

fn target_values(samples: &[&Sample]) -> TargetValues {
    let (mut classes, mut values) = (Vec::new(), Vec::new());
    for sample in samples {
        match &sample.target {
            Target::Classes(image) => classes.extend(image.iter().copied()),
            Target::Values(image) => values.extend(image.iter().copied()),
        }
    }
    match samples[0].target {
        Target::Classes(_) => TargetValues::Classes(classes),
        Target::Values(_) => TargetValues::Values(values),
    }
}

/// The weights of all pixels; those of an image without weights are 1, and `None` stands for 1 everywhere.
fn weights(samples: &[&Sample]) -> Option<Vec<f32>> {
    samples.iter().any(|sample| sample.weights.is_some()).then(|| {
        let mut all = Vec::new();
        for sample in samples {
            let (_, height, width) = sample.image.dim();
            match &sample.weights {
                Some(weights) => all.extend(weights.iter().copied()),
                None => all.extend(std::iter::repeat_n(1.0, height * width)),
            }
        }
        all
    })
}
