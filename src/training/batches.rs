//! The batches of a step, from the draws of a sampler.

use std::collections::{BTreeSet, VecDeque};

use rayon::prelude::*;

use super::Settings;
use crate::Result;
use crate::engine::{Images, TargetValues, Targets};
use crate::geometry::Symmetry;
use crate::geometry::{Extent, Shape};
use crate::samples::{Augmentation, ClassPixels, Dataset, Draw, Sample, Sampler, Target, cut};

/// Pixels of images that are made ready before they are used.
const MAX_PIXELS_READY: usize = 1 << 25;

/// Draws pieces of the training images, each changed as the settings say.
pub(in crate::training) struct Batches<'a> {
    set: &'a Dataset,
    sampler: Sampler,
    augmentation: Augmentation,
    seed: u64,
    batch: usize,
    /// Steps that are made ready at a time.
    ahead: u64,
    /// The steps that come next, by their numbers.
    ready: VecDeque<(u64, Step)>,
}

/// The images and targets of a step: one batch for each size among them, and the scale that makes the loss a mean.
pub(in crate::training) type Step = (Vec<(Images, Targets)>, f32);

impl<'a> Batches<'a> {
    pub(in crate::training) fn new(set: &'a Dataset, settings: &Settings) -> Result<Self> {
        let Settings { batch, crop, symmetries, favour_rare, seed, augmentation, .. } = *settings;
        let mut sampler = Sampler::new(set.sizes(), (crop > 0).then_some(crop), symmetries, seed)?;
        if favour_rare > 0.0 {
            sampler = sampler.favouring(ClassPixels::of(set)?, favour_rare);
        }
        let mut batches = Self { set, sampler, augmentation, seed, batch, ahead: 1, ready: VecDeque::new() };
        batches.ahead = steps_ahead(batches.largest_shape(crop), set.channels()) as u64;
        Ok(batches)
    }

    /// Steps in an epoch: as many as show about as many pixels as the set holds, but each image at least once.
    pub(in crate::training) fn steps_in_epoch(&self, crop: usize) -> u64 {
        let shown = |&(height, width): &(usize, usize)| match crop {
            0 => 1.0,
            _ => (height * width) as f64 / (height.min(crop) * width.min(crop)) as f64,
        };
        let draws: f64 = self.set.sizes().iter().map(shown).sum();
        ((draws / self.batch as f64).round() as u64).max(self.set.samples.len().div_ceil(self.batch) as u64)
    }

    /// The `n`-th draw of the run, from 0. A piece where no pixel counts would teach nothing: another is drawn.
    fn draw(&self, n: u64) -> Draw {
        self.sampler.draw_where(n, |draw| self.set.samples[draw.index].counts_in(draw.crop))
    }

    /// The `n`-th sample of the run, from 0.
    pub(in crate::training) fn sample(&self, n: u64) -> Sample {
        let draw = self.draw(n);
        self.augmentation.apply(&self.set.samples[draw.index], &draw, self.seed, n)
    }

    /// The names of the images of step `step`, each once.
    pub(in crate::training) fn names(&self, step: u64) -> String {
        let first = (step - 1) * self.batch as u64;
        let names = (first..first + self.batch as u64)
            .map(|n| self.set.samples[self.draw(n).index].name.as_str())
            .collect::<BTreeSet<_>>();
        names.into_iter().collect::<Vec<_>>().join(", ")
    }

    /// Step `step`, from 1.
    ///
    /// Steps are made ready by all threads, a few at a time: the engine has the next ones at hand.
    pub(in crate::training) fn step(&mut self, step: u64) -> Step {
        match self.ready.pop_front() {
            Some((number, ready)) if number == step => ready,
            _ => {
                let make = |ahead| (step + ahead, self.make(step + ahead));
                let mut ready: VecDeque<_> =
                    (0..self.ahead).into_par_iter().map(make).collect::<Vec<_>>().into();
                let first = ready.pop_front();
                self.ready = ready;
                first.map_or_else(|| self.make(step), |(_, step)| step)
            }
        }
    }

    fn make(&self, step: u64) -> Step {
        let first = (step - 1) * self.batch as u64;
        let samples: Vec<Sample> =
            (0..self.batch).into_par_iter().map(|index| self.sample(first + index as u64)).collect();
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
    pub(in crate::training) fn largest_shape(&self, crop: usize) -> Shape {
        let piece = |(height, width): (usize, usize)| match crop {
            0 => Extent::plane(height, width),
            _ => Extent::plane(height.min(crop), width.min(crop)),
        };
        let extents = self.set.sizes().into_iter().map(piece);
        let extent = extents.max_by_key(Extent::pixels).unwrap_or(Extent::plane(1, 1));
        Shape { batch: self.batch, extent }
    }
}

/// Steps that are made ready at a time where the largest is of `shape`.
pub(in crate::training) fn steps_ahead(shape: Shape, channels: usize) -> usize {
    let pixels = shape.extent.pixels().saturating_mul(shape.batch * channels);
    (MAX_PIXELS_READY / pixels.max(1)).clamp(1, rayon::current_num_threads())
}

/// One whole image as a batch.
pub(in crate::training) fn whole(sample: &Sample) -> (Images, Targets) {
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
