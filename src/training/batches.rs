//! The batches of a step, from the draws of a sampler, prepared while the device is at work.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::choices::usual_crop;
use super::prepare::Prepared;
use super::settings::Settings;
use crate::Result;
use crate::engine::{Images, TargetValues, Targets};
use crate::geometry::{Extent, Shape};
use crate::samples::{
    Augmentation, BlindSpots, ClassPixels, CoarseNoise, Dataset, Draw, Sample, Sampler, Target,
    with_slices_exchanged,
};

/// Pixels of images that are made ready before they are used.
const MAX_PIXELS_READY: usize = 1 << 24;

/// Draws pieces of the training images, and augments each by the settings.
pub(super) struct Batches {
    set: Dataset,
    sampler: Sampler,
    augmentation: Augmentation,
    seed: u64,
    batch: usize,
    /// The pieces of each step that are made here, each as a batch of its own; `None` for all of them, those of one size together.
    share: Option<Range<usize>>,
    crop: usize,
    slab: usize,
    /// The pixels that are hidden.
    blind_spots: Option<BlindSpots>,
    /// The noise that is added to images which were coarsened.
    coarse_noise: Option<CoarseNoise>,
}

/// What a step shows to the network.
#[derive(Debug, PartialEq)]
pub(super) struct Step {
    /// Images and targets: one batch for each size among them, or for each piece of a share.
    pub(super) batches: Vec<(Images, Targets)>,
    /// The weight of each piece, in the order of the batches.
    pub(super) weights: Vec<f64>,
}

/// The scale that makes the loss of pieces of these weights a mean.
pub(super) fn scale_of(weights: &[f64]) -> f32 {
    let weight: f64 = weights.iter().sum();
    if weight > 0.0 { (1.0 / weight) as f32 } else { 0.0 }
}

/// Pieces by their sizes: the places of those of the first one's size, then of the next size, and so on.
pub(super) fn grouped<S: PartialEq>(sizes: &[S]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (place, size) in sizes.iter().enumerate() {
        match groups.iter_mut().find(|group| sizes[group[0]] == *size) {
            Some(group) => group.push(place),
            None => groups.push(vec![place]),
        }
    }
    groups
}

impl Batches {
    /// Of the training images.
    ///
    /// # Errors
    /// What comes of reading them to count the pixels of classes.
    pub(super) fn of(prepared: &Prepared, settings: &Settings) -> Result<Self> {
        let Prepared { training, measurements, stamp, rows, .. } = prepared;
        let settings = prepared.filled(settings);
        let pixels = || ClassPixels::known_or_of(training, measurements, *stamp, rows.as_ref());
        let new = Self::new(training, &settings, pixels)?;
        Ok(Self { coarse_noise: prepared.coarse_noise.clone(), ..new })
    }

    /// The same of images whose labels are others than those that the run of `settings` began with.
    ///
    /// # Errors
    /// As [`Batches::of`].
    pub(super) fn of_relabelled(&self, training: &Dataset, settings: &Settings) -> Result<Self> {
        let new = Self::new(training, settings, || ClassPixels::of(training))?;
        Ok(Self { coarse_noise: self.coarse_noise.clone(), share: self.share.clone(), ..new })
    }

    /// Makes only these of the pieces of each step, each as a batch of its own.
    pub(super) fn by_pieces(self, share: Range<usize>) -> Self {
        Self { share: Some(share), ..self }
    }

    fn new(set: &Dataset, settings: &Settings, pixels: impl FnOnce() -> Result<ClassPixels>) -> Result<Self> {
        let Settings {
            batch, crop, symmetries, favour_rare, favour_labelled, seed, augmentation, slab, ..
        } = *settings;
        let crop = crop.unwrap_or_else(|| usual_crop(settings));
        let mut sampler =
            Sampler::new(set.sizes(), (crop > 0).then_some(crop), symmetries, seed)?.of_slabs(slab);
        let (favour_rare, favour_labelled) = (favour_rare.unwrap_or(0.0), favour_labelled.unwrap_or(0.0));
        if favour_rare > 0.0 || favour_labelled > 0.0 {
            sampler = sampler.favouring(pixels()?, favour_rare, favour_labelled);
        }
        let blind_spots = settings.blind_spots(set.channels());
        Ok(Self {
            set: set.clone(),
            sampler,
            augmentation,
            seed,
            batch,
            share: None,
            crop,
            slab,
            blind_spots,
            coarse_noise: None,
        })
    }

    /// What is shown of an image of `whole` pixels.
    fn piece(&self, whole: Extent) -> Extent {
        match self.crop {
            0 => whole,
            crop => Extent::new(whole.z.min(crop), whole.y.min(crop), whole.x.min(crop)),
        }
    }

    /// Steps in an epoch: as many as show about as many pixels as the set holds, but each image at least once.
    pub(super) fn steps_in_epoch(&self) -> u64 {
        let shown = |size: Extent| size.pixels() as f64 / self.piece(size).pixels() as f64;
        let draws: f64 = self.set.sizes().into_iter().map(shown).sum();
        ((draws / self.batch as f64).round() as u64).max(self.set.len().div_ceil(self.batch) as u64)
    }

    /// Pixels that a step shows, on average.
    pub(super) fn pixels_in_step(&self) -> f64 {
        let pixels: usize = self.set.sizes().into_iter().map(|size| self.piece(size).pixels()).sum();
        self.batch as f64 * pixels as f64 / self.set.len().max(1) as f64
    }

    /// The largest shape of a batch of the run, to compute the memory that it will take. Where pieces are batches of their own it does
    /// not depend on how many of them are made here.
    pub(super) fn largest_shape(&self) -> Shape {
        let extents = self.set.sizes().into_iter().map(|size| self.piece(size));
        let extent = extents.max_by_key(Extent::pixels).unwrap_or(Extent::plane(1, 1));
        Shape { batch: if self.share.is_some() { 1 } else { self.batch }, extent }
    }

    /// How many pieces of a step are made here.
    pub(super) fn made(&self) -> usize {
        self.share.as_ref().map_or(self.batch, Range::len)
    }

    /// Bytes that are held to draw pieces, beside the images.
    pub(super) fn held_bytes(&self) -> u64 {
        self.sampler.bytes()
    }

    /// The `n`-th draw of the run, from 0. Where no pixel of a piece counts, another piece is drawn.
    fn draw(&self, n: u64) -> Result<Draw> {
        self.sampler.draw_where(n, |draw| self.set.items()[draw.index].counts_in(draw.crop))
    }

    /// The `n`-th sample of the run, from 0.
    ///
    /// # Errors
    /// What comes of reading it.
    pub(super) fn sample(&self, n: u64) -> Result<Sample> {
        let draw = self.draw(n)?;
        let mut sample = self.augmentation.apply(&self.set.items()[draw.index], &draw, self.seed, n)?;
        if let Some(noise) = &self.coarse_noise {
            noise.add(&mut sample, &draw, self.set.items()[draw.index].extent(), self.seed, n)?;
        }
        if draw.exchanges_slices && self.slab > 1 {
            sample.image = with_slices_exchanged(&sample.image, self.slab);
        }
        if let Some(spots) = &self.blind_spots {
            spots.hide(&mut sample, draw.symmetry.transposes(), self.seed, n);
        }
        Ok(sample)
    }

    /// The names of the images of step `step`, each once; without those that cannot be read any more.
    pub(super) fn names(&self, step: u64) -> String {
        let first = (step - 1) * self.batch as u64;
        let names = (first..first + self.batch as u64)
            .filter_map(|n| Some(self.set.items()[self.draw(n).ok()?.index].name()))
            .collect::<BTreeSet<_>>();
        names.into_iter().collect::<Vec<_>>().join(", ")
    }

    /// Step `step`, from 1: it depends on its number alone.
    fn make(&self, step: u64) -> Result<Step> {
        let first = (step - 1) * self.batch as u64;
        let share = self.share.clone().unwrap_or(0..self.batch);
        let samples: Vec<Result<Sample>> =
            share.into_par_iter().map(|index| self.sample(first + index as u64)).collect();
        let samples = samples.into_iter().collect::<Result<Vec<_>>>()?;
        let groups = match self.share {
            Some(_) => (0..samples.len()).map(|place| vec![place]).collect(),
            None => grouped(&samples.iter().map(Sample::extent).collect::<Vec<_>>()),
        };
        let mut step = Step { batches: Vec::new(), weights: Vec::new() };
        for group in groups {
            let group: Vec<&Sample> = group.into_iter().map(|place| &samples[place]).collect();
            step.weights.extend(group.iter().map(|sample| targets(&[sample]).total_weight()));
            step.batches.push(gather(&group));
        }
        Ok(step)
    }

    /// Starts a thread that prepares the batches of steps `first` to `last`, a few steps ahead of the one that is in use. The thread
    /// ends when the returned value is dropped.
    pub(super) fn start<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        first: u64,
        last: Option<u64>,
    ) -> StepsAhead<'scope> {
        let shape = Shape { batch: self.made().max(1), ..self.largest_shape() };
        let ahead = steps_ahead(shape, self.set.channels()) as u64;
        let last = last.unwrap_or(u64::MAX);
        // The channel has no buffer: while one group of steps is in use, the next one is being prepared.
        let (sender, receiver) = sync_channel(0);
        let make_ahead = move || {
            let mut next = first;
            while next <= last {
                let steps = next..next.saturating_add(ahead).min(last.saturating_add(1));
                next = steps.end;
                let lot: Vec<(u64, Result<Step>)> =
                    steps.into_par_iter().map(|step| (step, self.make(step))).collect();
                // Sending fails once the receiver was dropped, at the end of the run.
                if sender.send(lot).is_err() {
                    break;
                }
            }
        };
        if let Err(error) = thread::Builder::new().spawn_scoped(scope, make_ahead) {
            // Without the thread, `StepsAhead::step` prepares each step when it is needed.
            log::debug!("steps are not made ready ahead, as there is no thread for it: {error}");
        }
        StepsAhead { batches: self, receiver, ready: VecDeque::new(), waited: Duration::ZERO }
    }
}

/// The batches of a run's steps, prepared by another thread.
pub(super) struct StepsAhead<'a> {
    batches: &'a Batches,
    receiver: Receiver<Vec<(u64, Result<Step>)>>,
    /// The steps that come next, by their numbers.
    ready: VecDeque<(u64, Result<Step>)>,
    /// Total time that [`Self::step`] has waited for the thread.
    waited: Duration,
}

impl StepsAhead<'_> {
    /// The batches of step `step`, counted from 1. They are already prepared when steps are taken in order.
    ///
    /// # Errors
    /// What comes of reading images.
    pub(super) fn step(&mut self, step: u64) -> Result<Step> {
        let start = Instant::now();
        if self.ready.is_empty()
            && let Ok(lot) = self.receiver.recv()
        {
            self.ready = lot.into();
        }
        let ready = match self.ready.pop_front() {
            Some((number, ready)) if number == step => ready,
            _ => self.batches.make(step),
        };
        self.waited += start.elapsed();
        ready
    }

    /// Total time that was spent waiting for steps that were not prepared in time.
    pub(super) fn waited(&self) -> Duration {
        self.waited
    }
}

/// How many steps are prepared at a time where the largest batch is of `shape`. As many more may be in use meanwhile.
pub(super) fn steps_ahead(shape: Shape, channels: usize) -> usize {
    let pixels = shape.extent.pixels().saturating_mul(shape.batch * channels);
    (MAX_PIXELS_READY / pixels.max(1)).clamp(1, rayon::current_num_threads())
}

fn gather(samples: &[&Sample]) -> (Images, Targets) {
    let shape = Shape { batch: samples.len(), extent: samples[0].extent() };
    let pixels = samples.iter().flat_map(|sample| sample.image.iter().copied()).collect();
    (Images { shape, pixels }, targets(samples))
}

fn targets(samples: &[&Sample]) -> Targets {
    Targets { values: target_values(samples), weights: weights(samples) }
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
            match &sample.weights {
                Some(weights) => all.extend(weights.iter().copied()),
                None => all.extend(std::iter::repeat_n(1.0, sample.extent().pixels())),
            }
        }
        all
    })
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Array3};

    use super::*;
    use crate::peers::share;
    use crate::training::TaskKind;

    #[test]
    fn pieces_of_one_size_come_together() {
        assert_eq!(grouped(&[3, 5, 3, 1, 5]), [vec![0, 2], vec![1, 4], vec![3]]);
        assert!(grouped::<u8>(&[]).is_empty());
    }

    #[test]
    fn steps_that_are_made_ahead_are_those_that_are_made_when_asked_for() {
        let sample = |name: &str, shift: usize| Sample {
            slices: 1,
            name: name.into(),
            image: Array3::from_shape_fn((1, 9, 11), |(_, y, x)| (y * 11 + x + shift) as f32),
            target: Target::Classes(Array2::zeros((9, 11))),
            group: None,
            weights: None,
        };
        let set = Dataset::unchecked([sample("a", 0), sample("b", 1000)]);
        let mut settings = Settings::new(TaskKind::Segment, "", "");
        (settings.crop, settings.batch) = (Some(4), 3);
        let batches = Batches::new(&set, &settings, || ClassPixels::of(&set)).unwrap();
        for last in [None, Some(9)] {
            let found: Vec<Step> = std::thread::scope(|scope| {
                let mut ahead = batches.start(scope, 4, last);
                (4..10).map(|step| ahead.step(step).unwrap()).collect()
            });
            let wanted: Vec<Step> = (4..10).map(|step| batches.make(step).unwrap()).collect();
            assert!(found == wanted);
        }
        // The shares of all parties are the same pieces, whose weights make the same scale.
        for step in 1..9 {
            let whole = batches.make(step).unwrap();
            let mut pieces = Step { batches: Vec::new(), weights: Vec::new() };
            for rank in 0..2 {
                let batches = Batches::new(&set, &settings, || ClassPixels::of(&set)).unwrap();
                let made = batches.by_pieces(share(3, rank, 2)).make(step).unwrap();
                assert!(made.batches.iter().all(|(images, _)| images.shape.batch == 1));
                pieces.batches.extend(made.batches);
                pieces.weights.extend(made.weights);
            }
            assert_eq!(scale_of(&pieces.weights).to_bits(), scale_of(&whole.weights).to_bits());
            let pixels = |step: Step| step.batches.into_iter().flat_map(|(images, _)| images.pixels);
            assert!(pixels(pieces).eq(pixels(whole)));
        }
        // One that is taken out of order is prepared at once.
        let odd = std::thread::scope(|scope| batches.start(scope, 1, None).step(77));
        assert!(odd.unwrap() == batches.make(77).unwrap());
    }
}
