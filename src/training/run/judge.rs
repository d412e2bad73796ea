//! Judges a network in training by all validation images, or by a few of the training images where there are none.

use std::borrow::Cow;

use crate::Result;
use crate::engine::{Engine, Loss};
use crate::evaluation::{self, Evaluation, Found, InTraining, Samples, WithCoarseNoise};
use crate::geometry::{Extent, Shape};
use crate::inference::Tiling;
use crate::network::{Architecture, Model};
use crate::peers::Peers;
use crate::samples::{BlindSpots, ClassTotals, CoarseNoise, Dataset, Sample};
use crate::training::batches::Batches;
use crate::training::prepare::Prepared;
use crate::training::shares::SharesInImages;
use crate::training::{ClassShares, Settings};
use crate::watcher::Watcher;

/// How many training images the network is judged by where there are no validation images: enough to compare epochs, few enough
/// to take little time.
const MAX_TRAINING_IMAGES: usize = 4;
/// Bytes of the planes that an image, or a tile of it, is judged in. They do not depend on the machine, so that a run gives
/// the same model wherever it is made.
const PLANE_BYTES: usize = 512 << 20;
/// Judging takes at most one in so many multiply-adds of a run.
const SHARE: f64 = 10.0;

/// The images that the network is judged by, and how they are cut into tiles.
pub(in crate::training) struct Judge<'a> {
    set: Dataset,
    /// Whether they are set aside for judging, and not among those that are trained on.
    set_aside: bool,
    model: &'a Model,
    loss: Loss,
    tiling: Tiling,
    /// The pixels that are hidden, and the seed of the run.
    blind_spots: Option<(BlindSpots, u64)>,
    /// The noise that is added, and the seed of the run.
    coarse_noise: Option<(CoarseNoise, u64)>,
    /// The shares of the classes that a model is to assume, where these are looked for in images.
    shares: Option<SharesInImages>,
    looks_for_shares: bool,
}

/// Images with pixels hidden, always the same.
struct WithBlindSpots<'a> {
    set: &'a Dataset,
    spots: &'a BlindSpots,
    seed: u64,
}

impl Samples for WithBlindSpots<'_> {
    fn count(&self) -> usize {
        self.set.len()
    }

    fn sample(&self, index: usize) -> Result<Cow<'_, Sample>> {
        let mut sample = self.set.sample(index)?.into_owned();
        self.spots.hide_to_judge(&mut sample, self.seed, index as u64);
        Ok(Cow::Owned(sample))
    }
}

impl<'a> Judge<'a> {
    /// Judges networks of a run by the images that were prepared for it.
    ///
    /// # Errors
    /// What comes of reading images in which shares of classes are looked for.
    pub(in crate::training) fn new(prepared: &'a Prepared, settings: &Settings) -> Result<Self> {
        let (loss, seed) = (settings.loss(), settings.seed);
        let judge = Self::of_sets(&prepared.model, &prepared.training, prepared.validation.as_ref(), loss);
        let blind_spots = prepared.blind_spots.clone().map(|spots| (spots, seed));
        let coarse_noise = prepared.coarse_noise.clone().map(|noise| (noise, seed));
        let looks_for_shares = settings.class_shares == ClassShares::Images;
        let shares = shares(&prepared.training, &prepared.totals, looks_for_shares)?;
        Ok(Self { blind_spots, coarse_noise, shares, looks_for_shares, ..judge })
    }

    fn of_sets(model: &'a Model, training: &Dataset, validation: Option<&Dataset>, loss: Loss) -> Self {
        let set = validation.cloned().unwrap_or_else(|| spread(training));
        let architecture = &model.architecture;
        let max_pixels = PLANE_BYTES / (4 * (architecture.channels() + architecture.outputs));
        let tiling = Tiling::within(architecture, extents(&set), max_pixels);
        Self {
            set,
            set_aside: validation.is_some(),
            model,
            loss,
            tiling,
            blind_spots: None,
            coarse_noise: None,
            shares: None,
            looks_for_shares: false,
        }
    }

    /// Judges by other images from now on; the labels of those to train on have these `totals`.
    ///
    /// # Errors
    /// As [`Judge::new`].
    pub(in crate::training) fn relabel(
        &mut self,
        training: &Dataset,
        totals: &ClassTotals,
        validation: Option<&Dataset>,
    ) -> Result<()> {
        let (blind_spots, coarse_noise) = (self.blind_spots.take(), self.coarse_noise.take());
        let looks_for_shares = self.looks_for_shares;
        let shares = shares(training, totals, looks_for_shares)?;
        let judge = Self::of_sets(self.model, training, validation, self.loss);
        *self = Self { blind_spots, coarse_noise, shares, looks_for_shares, ..judge };
        Ok(())
    }

    /// Makes the `parameters` of a network in training those of a model, which assumes the shares of the classes that are wanted. The
    /// engine gets its own parameters back.
    ///
    /// # Errors
    /// What comes of applying the network.
    pub(in crate::training) fn as_model(
        &self,
        engine: &mut dyn Engine,
        mut parameters: Vec<f32>,
    ) -> Result<Vec<f32>> {
        if let Some(shares) = &self.shares {
            let trained = parameters.clone();
            with_parameters(engine, &trained, |engine| shares.adjust(engine, &mut parameters))?;
        }
        Ok(parameters)
    }

    /// Whether the images are set aside for judging: only then the scores say how good the network is elsewhere.
    pub(in crate::training) fn validates(&self) -> bool {
        self.set_aside
    }

    /// Once in how many epochs the network is judged: often enough to see how it learns, but judging takes at most a tenth of
    /// the multiply-adds of a run. A step takes three times those of applying the network to as many pixels. Time is no
    /// measure: the rhythm would be another one on every machine, and after every resume.
    pub(in crate::training) fn rhythm(&self, batches: &Batches) -> u64 {
        let epochs = self.judging_in_steps(batches) / batches.steps_in_epoch() as f64;
        ((SHARE - 1.0) * epochs).ceil().max(1.0) as u64
    }

    /// The multiply-adds of judging the network once and making a model of it, in those of a step.
    pub(in crate::training) fn cost_in_steps(&self, batches: &Batches) -> f64 {
        let shares = self.shares.as_ref().map_or(0.0, |shares| shares.pixels() as f64);
        self.judging_in_steps(batches) + shares / (3.0 * batches.pixels_in_step())
    }

    fn judging_in_steps(&self, batches: &Batches) -> f64 {
        let judging =
            extents(&self.set).map(|extent| self.tiling.computed_pixels(extent) as f64).sum::<f64>();
        judging / (3.0 * batches.pixels_in_step())
    }

    /// What `parameters` give after step `step`. The engine gets its own parameters back. Each of several ranks applies the network to its
    /// share of the images; all get the whole result.
    pub(in crate::training) fn judge(
        &self,
        engine: &mut dyn Engine,
        peers: &mut dyn Peers,
        parameters: &[f32],
        step: u64,
        watcher: &mut dyn Watcher,
    ) -> Result<Evaluation> {
        let Self { model, loss, tiling, .. } = self;
        let (loss, tiling) = (*loss, *tiling);
        with_parameters(engine, parameters, |engine| {
            let mut network = InTraining { engine, model, loss, tiling, step };
            let judge = evaluation::Judge::new(&model.task);
            if let Some((spots, seed)) = &self.blind_spots {
                let hidden = WithBlindSpots { set: &self.set, spots, seed: *seed };
                return judge.run_among(&mut network, &hidden, peers, watcher);
            }
            if let Some((noise, seed)) = &self.coarse_noise {
                let noisy = WithCoarseNoise { set: &self.set, noise, seed: *seed };
                return judge.run_among(&mut network, &noisy, peers, watcher);
            }
            judge.run_among(&mut network, &self.set, peers, watcher)
        })
    }

    /// Judges the engine's parameters by `samples`; `each` is called with every result.
    pub(in crate::training) fn evaluate(
        &self,
        engine: &mut dyn Engine,
        samples: &(impl Samples + ?Sized),
        step: u64,
        watcher: &mut dyn Watcher,
        each: impl FnMut(&Sample, &Found),
    ) -> Result<Evaluation> {
        let Self { model, loss, tiling, .. } = self;
        let (loss, tiling) = (*loss, *tiling);
        let mut network = InTraining { engine, model, loss, tiling, step };
        evaluation::Judge::new(&model.task).run_over(&mut network, samples, watcher, each)
    }

    /// The images that the network is judged by.
    pub(in crate::training) fn set(&self) -> &Dataset {
        &self.set
    }

    /// Bytes of these images that are in memory beside the training images.
    pub(in crate::training) fn held_bytes(&self) -> u64 {
        let set = if self.set_aside { self.set.held_bytes() } else { 0 };
        set.saturating_add(self.shares.as_ref().map_or(0, SharesInImages::bytes))
    }

    /// The images and tiles that the network is applied to.
    pub(in crate::training) fn shapes(&self) -> Vec<Shape> {
        let tiles = extents(&self.set).map(|extent| Shape { batch: 1, extent: self.tiling.patch(extent) });
        tiles.chain(self.shares.iter().flat_map(SharesInImages::shapes)).collect()
    }

    /// What outputs mean; not the parameters.
    pub(in crate::training) fn model(&self) -> &Model {
        self.model
    }

    /// The architecture that is judged.
    pub(in crate::training) fn architecture(&self) -> &Architecture {
        &self.model.architecture
    }
}

/// The shares of the classes in the images of a set, if they are looked for.
fn shares(training: &Dataset, totals: &ClassTotals, looks_for_them: bool) -> Result<Option<SharesInImages>> {
    if looks_for_them { SharesInImages::of(training, totals) } else { Ok(None) }
}

fn extents(set: &Dataset) -> impl Iterator<Item = Extent> {
    set.sizes().into_iter()
}

/// Does something with other parameters in the engine, which then gets its own back.
pub(in crate::training) fn with_parameters<T>(
    engine: &mut dyn Engine,
    parameters: &[f32],
    act: impl FnOnce(&mut dyn Engine) -> Result<T>,
) -> Result<T> {
    let present = engine.parameters()?;
    engine.set_parameters(parameters)?;
    let result = act(engine);
    engine.set_parameters(&present)?;
    result
}

/// A few images, spread evenly over `set`.
fn spread(set: &Dataset) -> Dataset {
    let chosen = set.len().min(MAX_TRAINING_IMAGES);
    set.chosen((0..chosen).map(|index| index * set.len() / chosen))
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Array3};

    use super::*;
    use crate::network::{Class, Task};
    use crate::samples::Target;
    use crate::training::{Settings, TaskKind};

    fn set(count: usize, side: usize) -> Dataset {
        let sample = |index: usize| Sample {
            slices: 1,
            name: index.to_string(),
            image: Array3::from_shape_fn((1, side, side), |(_, y, x)| (y * x % 7) as f32),
            target: Target::Classes(Array2::from_shape_fn((side, side), |(_, x)| (x % 2) as u32)),
            group: None,
            weights: None,
        };
        Dataset::unchecked((0..count).map(sample))
    }

    #[test]
    fn judging_takes_at_most_a_tenth_of_the_work() {
        let task =
            Task::Segment { classes: [0, 1].map(|value| Class { value, name: value.to_string() }).to_vec() };
        // Epochs of 4 steps of 32x32 pixels; the validation images are as many pixels as an epoch shows, four times as
        // many, and a few of the training images.
        for (validation, wanted) in [(Some((1, 64)), 3), (Some((4, 64)), 12), (Some((1, 8)), 1), (None, 3)] {
            let mut settings = Settings::new(TaskKind::Segment, "", "");
            (settings.depth, settings.crop) = (Some(3), Some(32));
            let validation = validation.map(|(count, side)| set(count, side));
            let prepared = Prepared::new(&settings, set(1, 64), validation, task.clone()).unwrap();
            let batches = Batches::of(&prepared, &settings).unwrap();
            let judge = Judge::new(&prepared, &prepared.filled(&settings)).unwrap();
            assert_eq!(batches.steps_in_epoch(), 4);
            assert_eq!(judge.rhythm(&batches), wanted);
        }
    }
}
