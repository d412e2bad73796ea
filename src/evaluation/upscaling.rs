//! Networks that make images finer, beside interpolation.

use std::borrow::Cow;

use super::judge::{Judge, Samples};
use super::scores::{Evaluation, TaskScores};
use crate::Result;
use crate::inference::Ensemble;
use crate::metrics::{DataRange, RegressionScores};
use crate::samples::{CoarseNoise, Dataset, Interpolation, Sample, Target};
use crate::watcher::Watcher;

/// Where the noise of coarse images starts from that are made to judge by: always the same.
const SEED: u64 = 1;

/// Images with the noise that coarse ones have, always the same.
#[derive(Debug)]
pub struct WithCoarseNoise<'a> {
    /// The images.
    pub set: &'a Dataset,
    /// What is added to each of them.
    pub noise: &'a CoarseNoise,
    /// Where random numbers start from.
    pub seed: u64,
}

impl Samples for WithCoarseNoise<'_> {
    fn count(&self) -> usize {
        self.set.len()
    }

    fn sample(&self, index: usize) -> Result<Cow<'_, Sample>> {
        let mut sample = self.set.sample(index)?.into_owned();
        self.noise.add_to_judge(&mut sample, self.seed, index as u64)?;
        Ok(Cow::Owned(sample))
    }
}

/// The scores of a network that makes images finer, and those of interpolation.
#[derive(Debug, Clone)]
pub struct UpscalingScores {
    /// Those of the network; its input is the image by bicubic interpolation.
    pub evaluation: Evaluation,
    /// Those of Lanczos interpolation (a = 3), where images and targets have as many channels.
    pub lanczos: Option<RegressionScores>,
}

impl UpscalingScores {
    /// Scores `ensemble`, which makes images finer, by images that were brought onto the grid of their targets: `bicubic` as the
    /// network sees them, and `lanczos` the same images by that interpolation. Where these are fine images that were `coarsened`, they get the
    /// noise that those of the training had.
    ///
    /// # Errors
    /// As [`Judge::run`], and what comes of reading samples.
    pub fn of(
        ensemble: &mut Ensemble,
        bicubic: &Dataset,
        lanczos: &Dataset,
        coarsened: bool,
        range: Option<DataRange>,
        watcher: &mut dyn Watcher,
    ) -> Result<Self> {
        let model = ensemble.model();
        let judge = Judge::new(&model.task).with_range(range).comparing_input();
        let noise = model.upscaling.and_then(|upscaling| {
            let noise = upscaling.coarsening?.noise;
            Some((upscaling.factor, noise as f32)).filter(|_| coarsened && noise > 0.0)
        });
        let deviations = vec![noise.map_or(0.0, |(_, noise)| noise); bicubic.channels()];
        let noise_by = |interpolation| {
            let (factor, _) = noise?;
            Some(CoarseNoise { factor, interpolation, deviations: deviations.clone() })
        };
        let evaluation = match &noise_by(Interpolation::Bicubic) {
            Some(noise) => {
                let noisy = WithCoarseNoise { set: bicubic, noise, seed: SEED };
                judge.run_over(ensemble, &noisy, watcher, |_, _| ())?
            }
            None => judge.run_over(ensemble, bicubic, watcher, |_, _| ())?,
        };
        let TaskScores::Regress { output, input } = &evaluation.scores else {
            return Ok(Self { evaluation, lanczos: None });
        };
        let lanczos = match (input, noise_by(Interpolation::Lanczos)) {
            (None, _) => None,
            (Some(_), Some(noise)) => {
                let noisy = WithCoarseNoise { set: lanczos, noise: &noise, seed: SEED };
                Some(of_images(&noisy, output.data_range())?)
            }
            (Some(_), None) => Some(of_images(lanczos, output.data_range())?),
        };
        Ok(Self { evaluation, lanczos })
    }
}

/// The scores of images as they are.
fn of_images(samples: &(impl Samples + ?Sized), range: DataRange) -> Result<RegressionScores> {
    let mut scores = RegressionScores::new(range);
    for index in 0..samples.count() {
        let sample = samples.sample(index)?;
        if let Target::Values(target) = sample.counted_target().as_ref() {
            scores.add(target.view(), sample.image.view())?;
        }
    }
    Ok(scores)
}
