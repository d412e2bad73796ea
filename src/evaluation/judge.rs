//! The loop that applies a network to images with targets and scores the results.

use std::borrow::Cow;
use std::ops::Range;

use ndarray::{Array2, Array3, ArrayView3, Axis};

use super::blocks::Block;
use super::measures::Measures;
use super::scores::{Evaluation, ImageScores, TaskScores};
use crate::engine::LossSum;
use crate::geometry::Window;
use crate::metrics::{
    ConfusionMatrix, DataRange, MOST_CLASSES, RegressionScores, SurfaceDistance, TargetLimits,
};
use crate::network::Task;
use crate::samples::{Dataset, Item, Sample, Target};
use crate::watcher::{Flow, ImageReport, ImageWork, Watcher};
use crate::{Error, Result, memory};

/// What a network gives for an image, in the terms of its target.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// The class of each pixel, `[y][x]`.
    Classes(Array2<u32>),
    /// The values `[channel][y][x]`, in the units of the target images.
    Values(Array3<f32>),
}

/// What comes of one image.
#[derive(Debug, Clone)]
pub struct ImageResult {
    /// What the network gives for it.
    pub found: Found,
    /// The probability of each class, `[class][y][x]`, where they are known.
    pub probabilities: Option<Array3<f32>>,
    /// Its loss, where one is computed.
    pub loss: Option<LossSum>,
}

/// A network, or several of them, that can be judged.
pub trait Judged {
    /// Applies it to a sample. `progress` is called now and then with the share that is done, from 0 to 1, and may stop the work.
    ///
    /// # Errors
    /// What the device refuses, images that do not fit, and [`Error::Stopped`].
    fn apply(&mut self, sample: &Sample, progress: &mut dyn FnMut(f64) -> Flow) -> Result<ImageResult>;

    /// Applies it to a volume. `each` is called with every [`Block`] of it, of which those of values and those with probabilities are whole
    /// slices that follow each other; gives the loss, where one is computed. Where nothing else is said, the volume is one block.
    ///
    /// # Errors
    /// As [`Judged::apply`], what comes of reading the volume, and the first error of `each`.
    fn apply_in_blocks(
        &mut self,
        volume: &Item,
        progress: &mut dyn FnMut(f64) -> Flow,
        each: &mut dyn FnMut(Block<'_>) -> Result<()>,
    ) -> Result<Option<LossSum>> {
        let sample = volume.sample()?;
        let ImageResult { found, probabilities, loss } = self.apply(&sample, progress)?;
        let (target, image) = (self.target(&sample), sample.image.view());
        each(Block {
            target: target.as_ref(),
            found,
            probabilities,
            image: Some(image),
            slices: sample.slices,
        })?;
        Ok(loss)
    }

    /// The target of a sample as metrics take it ([`Sample::counted_target`]), values in the units of the target images.
    fn target<'a>(&self, sample: &'a Sample) -> Cow<'a, Target> {
        sample.counted_target()
    }
}

/// Images with targets, of which one after the other is needed.
pub trait Samples {
    /// How many there are.
    fn count(&self) -> usize;

    /// Sample `index`, counted from 0.
    ///
    /// # Errors
    /// What comes of reading it.
    fn sample(&self, index: usize) -> Result<Cow<'_, Sample>>;

    /// Sample `index`, where it is a volume that can be read part by part.
    fn volume(&self, _index: usize) -> Option<&Item> {
        None
    }
}

impl Samples for [Sample] {
    fn count(&self) -> usize {
        self.len()
    }

    fn sample(&self, index: usize) -> Result<Cow<'_, Sample>> {
        Ok(Cow::Borrowed(&self[index]))
    }
}

impl Samples for Dataset {
    fn count(&self) -> usize {
        self.len()
    }

    fn sample(&self, index: usize) -> Result<Cow<'_, Sample>> {
        self.sample(index)
    }

    fn volume(&self, index: usize) -> Option<&Item> {
        self.items().get(index).filter(|item| item.is_volume())
    }
}

/// Judges networks by images with targets.
#[derive(Debug, Clone)]
pub struct Judge {
    pub(super) task: Task,
    pub(super) measures: Measures,
    pub(super) compares_input: bool,
}

impl Judge {
    /// For networks of a task; the classes of targets are counted as the task lists them.
    pub fn new(task: &Task) -> Self {
        Self { task: task.clone(), measures: Measures::default(), compares_input: false }
    }

    /// PSNR and SSIM refer to `range`, not to the range of the targets.
    pub fn with_range(self, range: Option<DataRange>) -> Self {
        let measures = Measures { range, ..self.measures };
        self.with_measures(measures)
    }

    /// Scores are measured so.
    pub fn with_measures(self, measures: Measures) -> Self {
        Self { measures, ..self }
    }

    /// The images themselves are scored too, as a first guess at their targets, where both have as many channels.
    pub fn comparing_input(self) -> Self {
        Self { compares_input: true, ..self }
    }

    /// Applies `judged` to all `samples` and scores the results; `each` is called with every result. `watcher` is called for every
    /// image and tile, and may stop the work.
    ///
    /// # Errors
    /// [`Error::Mismatch`] naming the image that does not fit, and for more than [`MOST_CLASSES`] classes; else as [`Judged::apply`].
    pub fn run(
        &self,
        judged: &mut dyn Judged,
        samples: &[Sample],
        watcher: &mut dyn Watcher,
        each: impl FnMut(&Sample, &Found),
    ) -> Result<Evaluation> {
        self.run_over(judged, samples, watcher, each)
    }

    /// As [`Judge::run`], for samples that are read when their turn comes; for the range of the targets, if none is given, they are
    /// read once before.
    ///
    /// # Errors
    /// As [`Judge::run`], and what comes of reading samples.
    pub fn run_over(
        &self,
        judged: &mut dyn Judged,
        samples: &(impl Samples + ?Sized),
        watcher: &mut dyn Watcher,
        mut each: impl FnMut(&Sample, &Found),
    ) -> Result<Evaluation> {
        self.check_classes()?;
        let range = match self.known_range() {
            Some(range) => range,
            None => self.limits_of_targets(judged, samples, 0..samples.count())?.data_range(),
        };
        let mut all = Together::new(self.no_scores(range));
        let mut compares_input = self.compares_input;
        for index in 0..samples.count() {
            let sample = samples.sample(index)?;
            let each = |found: &Found| each(&sample, found);
            let one = self.judge_one(
                judged,
                (&sample, index),
                samples.count(),
                range,
                &mut compares_input,
                watcher,
                each,
            )?;
            all.add(&sample.name, &one)?;
        }
        Ok(all.evaluation())
    }

    /// Applies `judged` to one sample, which is number `index` of `count`, and scores the result.
    #[allow(clippy::too_many_arguments, reason = "both loops give it what they have")]
    pub(super) fn judge_one(
        &self,
        judged: &mut dyn Judged,
        (sample, index): (&Sample, usize),
        count: usize,
        range: DataRange,
        compares_input: &mut bool,
        watcher: &mut dyn Watcher,
        each: impl FnOnce(&Found),
    ) -> Result<JudgedOne> {
        let result = {
            let mut progress = progress_of(&sample.name, index, count, watcher);
            judged
                .apply(sample, &mut progress)
                .map_err(|error| in_image(error, &sample.name, index, count))?
        };
        let target = self.measures.counted(judged.target(sample));
        let mut own = self.no_scores(range);
        add(&mut own, target.as_ref(), (&result.found, result.probabilities.as_ref()), sample.slices)
            .map_err(|error| in_image(error, &sample.name, index, count))?;
        if let (Target::Values(target), TaskScores::Regress { input, .. }) = (target.as_ref(), &mut own) {
            *compares_input &= target.dim() == sample.image.dim();
            if *compares_input {
                let mut before = self.no_values(range);
                add_values(&mut before, target.view(), sample.image.view(), sample.slices)?;
                *input = Some(before);
            }
        }
        let surfaces = self
            .surfaces(target.as_ref(), &result.found, sample.slices)
            .map_err(|error| in_image(error, &sample.name, index, count))?;
        each(&result.found);
        report_end(&sample.name, (index, count), &own, watcher)?;
        Ok(JudgedOne { scores: own, loss: result.loss.map(|loss| (loss.loss(), loss.weight())), surfaces })
    }

    /// Sample `index` once more, with what counts of its target and what is found for it: for pictures of images that are chosen by
    /// their scores. Of a volume for which there is no room it is the middle. `watcher` may stop the work.
    ///
    /// # Errors
    /// As [`Judge::run`].
    pub fn again<'a>(
        &self,
        judged: &mut dyn Judged,
        samples: &'a (impl Samples + ?Sized),
        watcher: &mut dyn Watcher,
        index: usize,
    ) -> Result<(Cow<'a, Sample>, Target, Found)> {
        let count = samples.count();
        let sample = match samples.volume(index).filter(|volume| !fits_as_a_whole(volume)) {
            Some(volume) => Cow::Owned(middle_of(volume)?),
            None => samples.sample(index)?,
        };
        // All images were reported as done: this one shows as the rest of the last of them.
        let mut progress = |_: f64| {
            let (work, name) = (ImageWork::Evaluate, sample.name.as_str());
            let index = count.saturating_sub(1);
            watcher.image(&ImageReport { work, name, index, count, done: 0.999, score: None, files: &[] })
        };
        let result = judged
            .apply(&sample, &mut progress)
            .map_err(|error| in_image(error, &sample.name, count.saturating_sub(1), count))?;
        let target = self.measures.counted(judged.target(&sample)).into_owned();
        Ok((sample, target, result.found))
    }

    /// Refuses more classes than there is memory for the counts of.
    pub(super) fn check_classes(&self) -> Result<()> {
        match &self.task {
            Task::Segment { classes } if classes.len() > MOST_CLASSES => Err(Error::Mismatch(format!(
                "there are {} classes, but scores are counted for {MOST_CLASSES} at most; join classes that need not be told apart",
                classes.len()
            ))),
            _ => Ok(()),
        }
    }

    pub(super) fn no_scores(&self, range: DataRange) -> TaskScores {
        match &self.task {
            Task::Segment { classes } => TaskScores::Segment {
                matrix: ConfusionMatrix::new(classes.len()),
                calibration: Box::default(),
            },
            Task::Regress => TaskScores::Regress { output: self.no_values(range), input: None },
        }
    }

    pub(super) fn no_values(&self, range: DataRange) -> RegressionScores {
        RegressionScores::new(range).with_window(self.measures.window)
    }

    /// The range that PSNR and SSIM refer to, where it does not follow from the targets.
    pub(super) fn known_range(&self) -> Option<DataRange> {
        match self.task {
            Task::Segment { .. } => self.measures.range.or(Some(TargetLimits::default().data_range())),
            Task::Regress => self.measures.range,
        }
    }

    pub(super) fn limits_of_targets(
        &self,
        judged: &dyn Judged,
        samples: &(impl Samples + ?Sized),
        share: Range<usize>,
    ) -> Result<TargetLimits> {
        let mut limits = TargetLimits::default();
        let mut include = |sample: &Sample| {
            if let Target::Values(values) = self.measures.counted(judged.target(sample)).as_ref() {
                limits.include(values.view());
            }
        };
        for index in share {
            match self.in_blocks(samples, index) {
                Some(volume) => {
                    for slice in volume.slices() {
                        include(slice.sample()?.as_ref());
                    }
                }
                None => include(samples.sample(index)?.as_ref()),
            }
        }
        Ok(limits)
    }
}

/// What comes of one sample.
pub(super) struct JudgedOne {
    pub(super) scores: TaskScores,
    /// Its loss and the weight of what counts, where a loss is computed.
    pub(super) loss: Option<(f64, f64)>,
    /// How far the surfaces of its classes are apart, where that is wanted.
    pub(super) surfaces: Vec<Option<SurfaceDistance>>,
}

/// What comes of all samples, added up in their order.
pub(super) struct Together {
    scores: TaskScores,
    losses: Vec<(f64, f64)>,
    image_scores: Vec<ImageScores>,
}

impl Together {
    pub(super) fn new(scores: TaskScores) -> Self {
        Self { scores, losses: Vec::new(), image_scores: Vec::new() }
    }

    pub(super) fn add(&mut self, name: &str, one: &JudgedOne) -> Result<()> {
        self.scores.merge(&one.scores)?;
        self.losses.extend(one.loss);
        let scores = ImageScores::of(name, &one.scores);
        self.image_scores.push(ImageScores { surfaces: one.surfaces.clone(), ..scores });
        Ok(())
    }

    pub(super) fn evaluation(self) -> Evaluation {
        let Self { scores, losses, image_scores } = self;
        let (sum, weight) = losses.iter().fold((0.0, 0.0), |(sum, weight), (l, w)| (sum + l, weight + w));
        let loss = match (losses.is_empty(), weight > 0.0) {
            (true, _) => f64::NAN,
            (_, true) => sum / weight,
            (_, false) => 0.0,
        };
        let image_losses = losses.iter().map(|(loss, weight)| loss / weight).collect();
        Evaluation { images: image_scores.len(), scores, loss, image_losses, image_scores }
    }
}

/// Slices, rows and columns that are shown of a volume for which there is no room.
const SHOWN: usize = 128;

/// Whether there is room for a volume, also while its slices are put together, and for what is found for it.
fn fits_as_a_whole(volume: &Item) -> bool {
    memory::check("the volume", volume.bytes().saturating_mul(4), "").is_ok()
}

/// The middle of a volume.
fn middle_of(volume: &Item) -> Result<Sample> {
    let middle = |length: usize| {
        let shown = length.min(SHOWN);
        (length - shown) / 2..(length - shown) / 2 + shown
    };
    let whole = volume.extent();
    let window = Window::new(middle(whole.z), middle(whole.y), middle(whole.x));
    Ok(volume.cut(window, volume.name().to_owned()).sample()?.into_owned())
}

/// Tells `watcher` how far image `index` of `count` is, but not of its end.
pub(super) fn progress_of<'a>(
    name: &'a str,
    index: usize,
    count: usize,
    watcher: &'a mut dyn Watcher,
) -> impl FnMut(f64) -> Flow + 'a {
    move |done| {
        // The end of the image is reported together with its score.
        let report =
            ImageReport { work: ImageWork::Evaluate, name, index, count, done, score: None, files: &[] };
        if done < 1.0 { watcher.image(&report) } else { Flow::Continue(()) }
    }
}

/// Tells `watcher` of the score of image `index` of `count`.
///
/// # Errors
/// [`Error::Stopped`] where it stops the work and there are more images.
pub(super) fn report_end(
    name: &str,
    (index, count): (usize, usize),
    own: &TaskScores,
    watcher: &mut dyn Watcher,
) -> Result<()> {
    let metric = own.metrics().first().copied();
    let score = metric.and_then(|(name, value)| Some((name, value?)));
    let report = ImageReport { work: ImageWork::Evaluate, name, index, count, done: 1.0, score, files: &[] };
    match watcher.image(&report).is_break() && index + 1 < count {
        true => Err(Error::Stopped { done: index + 1, count }),
        false => Ok(()),
    }
}

/// Adds values of an image, or of each slice of a volume: what metrics see around a pixel is in its slice.
pub(super) fn add_values(
    scores: &mut RegressionScores,
    target: ArrayView3<'_, f32>,
    found: ArrayView3<'_, f32>,
    slices: usize,
) -> Result<()> {
    let height = (target.dim().1 / slices.max(1)).max(1);
    let targets = target.axis_chunks_iter(Axis(1), height);
    targets
        .zip(found.axis_chunks_iter(Axis(1), height))
        .try_for_each(|(target, found)| scores.add(target, found))
}

/// Adds one image, or a volume of so many slices, to scores.
pub(super) fn add(
    scores: &mut TaskScores,
    target: &Target,
    (found, probabilities): (&Found, Option<&Array3<f32>>),
    slices: usize,
) -> Result<()> {
    match (scores, target, found) {
        (TaskScores::Segment { matrix, calibration }, Target::Classes(target), Found::Classes(found)) => {
            matrix.add(target.view(), found.view())?;
            match probabilities {
                Some(probabilities) => calibration.add(target.view(), probabilities.view()),
                None => Ok(()),
            }
        }
        (TaskScores::Regress { output, .. }, Target::Values(target), Found::Values(found)) => {
            add_values(output, target.view(), found.view(), slices)
        }
        _ => Err(Error::Mismatch(
            "the target is of another kind than the model gives: classes for a segmentation, values for a regression".into(),
        )),
    }
}

/// What went wrong with one image, with its name.
pub(super) fn in_image(error: Error, name: &str, index: usize, count: usize) -> Error {
    match error {
        Error::Mismatch(problem) => Error::Mismatch(format!("{name}: {problem}")),
        Error::Stopped { .. } => Error::Stopped { done: index, count },
        other => other,
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
