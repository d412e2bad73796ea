//! Networks that make images finer, beside interpolation.

use std::borrow::Cow;

use super::judge::{Judge, Samples};
use super::measures::Measures;
use super::page::{Case, Look, Pictures};
use super::scores::{Evaluation, TaskScores};
use crate::Result;
use crate::inference::Ensemble;
use crate::metrics::RegressionScores;
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
    /// Those of the network.
    pub evaluation: Evaluation,
    /// Those of bicubic interpolation (a = -0.5), where images and targets have as many channels.
    pub bicubic: Option<RegressionScores>,
    /// Those of Lanczos interpolation (a = 3), where images and targets have as many channels.
    pub lanczos: Option<RegressionScores>,
    /// Pictures of the worst, the median and the best image, where they were asked for.
    pub cases: Vec<Case>,
}

/// The same images with the same targets, brought onto the grid of these.
#[derive(Debug, Clone, Copy)]
pub struct UpscaledSets<'a> {
    /// As the network sees them.
    pub seen: &'a Dataset,
    /// By bicubic interpolation, without neighbouring slices.
    pub bicubic: &'a Dataset,
    /// By Lanczos interpolation, without neighbouring slices.
    pub lanczos: &'a Dataset,
}

impl UpscalingScores {
    /// Scores `ensemble`, which makes images finer, and interpolation by the same images. Where these are fine images that were
    /// `coarsened`, they get the noise that those of the training had. With `pictures`, three of them are judged once more.
    ///
    /// # Errors
    /// As [`Judge::run`], and what comes of reading samples.
    pub fn of(
        ensemble: &mut Ensemble,
        sets: &UpscaledSets<'_>,
        coarsened: bool,
        measures: Measures,
        pictures: Option<Pictures>,
        watcher: &mut dyn Watcher,
    ) -> Result<Self> {
        let model = ensemble.model();
        let judge = Judge::new(&model.task).with_measures(measures);
        let (task, channel) = (model.task.clone(), model.middle_channels().start);
        let look = pictures.map(|pictures| Look::new(&task, pictures, Some(channel)));
        let noise = model.upscaling.and_then(|upscaling| {
            let noise = upscaling.coarsening?.noise;
            Some((upscaling.factor, noise as f32)).filter(|_| coarsened && noise > 0.0)
        });
        let noise_in = |set: &Dataset, interpolation| {
            let (factor, deviation) = noise?;
            Some(CoarseNoise { factor, interpolation, deviations: vec![deviation; set.channels()] })
        };
        let (evaluation, cases) = match &noise_in(sets.seen, Interpolation::Bicubic) {
            Some(noise) => {
                let noisy = WithCoarseNoise { set: sets.seen, noise, seed: SEED };
                judged(&judge, look, ensemble, &noisy, watcher)?
            }
            None => judged(&judge, look, ensemble, sets.seen, watcher)?,
        };
        let TaskScores::Regress { output, .. } = &evaluation.scores else {
            return Ok(Self { evaluation, bicubic: None, lanczos: None, cases });
        };
        let none = RegressionScores::new(output.data_range()).with_window(measures.window);
        let scored = |set: &Dataset, interpolation| match &noise_in(set, interpolation) {
            Some(noise) => of_images(&WithCoarseNoise { set, noise, seed: SEED }, none.clone(), measures),
            None => of_images(set, none.clone(), measures),
        };
        let bicubic = scored(sets.bicubic, Interpolation::Bicubic)?;
        let lanczos = scored(sets.lanczos, Interpolation::Lanczos)?;
        Ok(Self { evaluation, bicubic, lanczos, cases })
    }
}

/// The scores of the network, with pictures where they are wanted.
fn judged(
    judge: &Judge,
    look: Option<Look<'_>>,
    ensemble: &mut Ensemble,
    samples: &(impl Samples + ?Sized),
    watcher: &mut dyn Watcher,
) -> Result<(Evaluation, Vec<Case>)> {
    let evaluation = judge.run_over(ensemble, samples, watcher, |_, _| ())?;
    let cases = look.map(|look| look.cases(judge, ensemble, samples, &evaluation, watcher)).transpose()?;
    Ok((evaluation, cases.unwrap_or_default()))
}

/// The scores of images as they are, added to `scores`; `None` where their targets have other channels.
fn of_images(
    samples: &(impl Samples + ?Sized),
    mut scores: RegressionScores,
    measures: Measures,
) -> Result<Option<RegressionScores>> {
    for index in 0..samples.count() {
        let sample = samples.sample(index)?;
        if let Target::Values(target) = measures.counted(sample.counted_target()).as_ref() {
            if target.dim() != sample.image.dim() {
                return Ok(None);
            }
            scores.add(target.view(), sample.image.view())?;
        }
    }
    Ok(Some(scores))
}
