//! The loop that applies a network to images with targets and scores the results.

use std::borrow::Cow;
use std::ops::Range;

use ndarray::{Array2, Array3, ArrayView3, Axis};

use super::measures::Measures;
use super::scores::{Evaluation, ImageScores, TaskScores};
use crate::engine::LossSum;
use crate::metrics::{
    ConfusionMatrix, DataRange, MOST_CLASSES, RegressionScores, SurfaceDistance, TargetLimits,
};
use crate::network::Task;
use crate::samples::{Dataset, Sample, Target};
use crate::watcher::{Flow, ImageReport, ImageWork, Watcher};
use crate::{Error, Result};

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
}

/// Judges networks by images with targets.
#[derive(Debug, Clone)]
pub struct Judge {
    pub(super) task: Task,
    pub(super) measures: Measures,
    compares_input: bool,
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
        let report = |done: f64, score| ImageReport {
            work: ImageWork::Evaluate,
            name: &sample.name,
            index,
            count,
            done,
            score,
            files: &[],
        };
        // The end of the image is reported below, together with its score.
        let mut progress =
            |done: f64| if done < 1.0 { watcher.image(&report(done, None)) } else { Flow::Continue(()) };
        let result =
            judged.apply(sample, &mut progress).map_err(|error| in_image(error, sample, index, count))?;
        let target = self.measures.counted(judged.target(sample));
        let mut own = self.no_scores(range);
        add(&mut own, target.as_ref(), &result, sample.slices)
            .map_err(|error| in_image(error, sample, index, count))?;
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
            .map_err(|error| in_image(error, sample, index, count))?;
        each(&result.found);
        let metric = own.metrics().first().copied();
        let score = metric.and_then(|(name, value)| Some((name, value?)));
        if watcher.image(&report(1.0, score)).is_break() && index + 1 < count {
            return Err(Error::Stopped { done: index + 1, count });
        }
        Ok(JudgedOne { scores: own, loss: result.loss.map(|loss| (loss.loss(), loss.weight())), surfaces })
    }

    /// Sample `index` once more, with what counts of its target and what is found for it: for pictures of images that are chosen by
    /// their scores. `watcher` may stop the work.
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
        let sample = samples.sample(index)?;
        // All images were reported as done: this one shows as the rest of the last of them.
        let mut progress = |_: f64| {
            let (work, name) = (ImageWork::Evaluate, sample.name.as_str());
            let index = count.saturating_sub(1);
            watcher.image(&ImageReport { work, name, index, count, done: 0.999, score: None, files: &[] })
        };
        let result = judged
            .apply(&sample, &mut progress)
            .map_err(|error| in_image(error, &sample, count.saturating_sub(1), count))?;
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

    fn no_values(&self, range: DataRange) -> RegressionScores {
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
        for index in share {
            let sample = samples.sample(index)?;
            if let Target::Values(values) = self.measures.counted(judged.target(&sample)).as_ref() {
                limits.include(values.view());
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

/// Adds values of an image, or of each slice of a volume: what metrics see around a pixel is in its slice.
fn add_values(
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
fn add(scores: &mut TaskScores, target: &Target, result: &ImageResult, slices: usize) -> Result<()> {
    match (scores, target, &result.found) {
        (TaskScores::Segment { matrix, calibration }, Target::Classes(target), Found::Classes(found)) => {
            matrix.add(target.view(), found.view())?;
            match &result.probabilities {
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
fn in_image(error: Error, sample: &Sample, index: usize, count: usize) -> Error {
    match error {
        Error::Mismatch(problem) => Error::Mismatch(format!("{}: {problem}", sample.name)),
        Error::Stopped { .. } => Error::Stopped { done: index, count },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::network::Class;

    /// Gives every pixel of an image the class or value of its first channel.
    struct Copies {
        segments: bool,
    }

    impl Judged for Copies {
        fn apply(&mut self, sample: &Sample, progress: &mut dyn FnMut(f64) -> Flow) -> Result<ImageResult> {
            if progress(0.5).is_break() {
                return Err(Error::Stopped { done: 0, count: 1 });
            }
            let found = match self.segments {
                true => Found::Classes(sample.image.index_axis(ndarray::Axis(0), 0).mapv(|v| v as u32)),
                false => Found::Values(sample.image.mapv(|v| 2.0 * v)),
            };
            Ok(ImageResult { found, probabilities: None, loss: None })
        }
    }

    #[derive(Default)]
    struct Notes {
        lines: Vec<(String, f64, bool)>,
        stop_at: Option<usize>,
    }

    impl Watcher for Notes {
        fn image(&mut self, image: &ImageReport<'_>) -> Flow {
            self.lines.push((image.name.to_owned(), image.done, image.score.is_some()));
            match self.stop_at {
                Some(line) if self.lines.len() > line => Flow::Break(()),
                _ => Flow::Continue(()),
            }
        }
    }

    fn samples(segments: bool) -> Vec<Sample> {
        let sample = |name: &str, shift: usize| {
            let image = Array3::from_shape_fn((1, 2, 2), |(_, y, x)| ((y + x + shift) % 2) as f32);
            let target = match segments {
                true => Target::Classes(Array2::from_shape_fn((2, 2), |(y, x)| ((y + x) % 2) as u32)),
                false => Target::Values(image.mapv(|v| 2.0 * v + 1.0)),
            };
            Sample { name: name.into(), image, slices: 1, target, group: None, weights: None }
        };
        vec![sample("right", 0), sample("wrong", 1)]
    }

    fn task() -> Task {
        Task::Segment { classes: [0, 1].map(|value| Class { value, name: value.to_string() }).to_vec() }
    }

    #[test]
    fn images_are_scored_alone_and_together_and_told_of() {
        let mut notes = Notes::default();
        let seen = RefCell::new(Vec::new());
        let judge = Judge::new(&task());
        let each = |sample: &Sample, _: &Found| seen.borrow_mut().push(sample.name.clone());
        let evaluation = judge.run(&mut Copies { segments: true }, &samples(true), &mut notes, each).unwrap();
        assert_eq!(evaluation.images, 2);
        assert_eq!(evaluation.scores.metrics()[3], ("global_accuracy", Some(0.5)));
        assert!(evaluation.loss.is_nan() && evaluation.image_losses.is_empty());
        assert_eq!(*seen.borrow(), ["right", "wrong"]);
        let line = |name: &str, done, score| (name.to_owned(), done, score);
        let wanted = [
            line("right", 0.5, false),
            line("right", 1.0, true),
            line("wrong", 0.5, false),
            line("wrong", 1.0, true),
        ];
        assert_eq!(notes.lines, wanted);
    }

    #[test]
    fn only_what_is_inside_the_circle_counts() {
        // Right inside of the circle of 6 x 6 pixels and wrong outside, where targets are larger too.
        let sample = |segments: bool| {
            let circle = crate::metrics::InscribedCircle::of(6, 6);
            let outside = |y, x| !circle.contains(y, x);
            let image = Array3::from_shape_fn((1, 6, 6), |(_, y, x)| ((y + x) % 2) as f32);
            let target = match segments {
                true => Target::Classes(Array2::from_shape_fn((6, 6), |(y, x)| {
                    (image[[0, y, x]] as u32 + u32::from(outside(y, x))) % 2
                })),
                false => Target::Values(Array3::from_shape_fn((1, 6, 6), |(_, y, x)| {
                    2.0 * image[[0, y, x]] + if outside(y, x) { 50.0 } else { 0.0 }
                })),
            };
            vec![Sample { name: "a".into(), image, slices: 1, target, group: None, weights: None }]
        };
        let measures = Measures { circle: true, ..Measures::default() };
        for (segments, task) in [(true, task()), (false, Task::Regress)] {
            let judge = Judge::new(&task);
            let everywhere =
                judge.run(&mut Copies { segments }, &sample(segments), &mut (), |_, _| ()).unwrap();
            let judge = judge.with_measures(measures);
            let inside = judge.run(&mut Copies { segments }, &sample(segments), &mut (), |_, _| ()).unwrap();
            match (&everywhere.scores, &inside.scores) {
                (TaskScores::Segment { matrix: all, .. }, TaskScores::Segment { matrix, .. }) => {
                    assert!(all.global_accuracy() < Some(1.0) && matrix.global_accuracy() == Some(1.0));
                    assert_eq!((all.counts().sum(), matrix.counts().sum()), (36, 16));
                }
                (TaskScores::Regress { output: all, .. }, TaskScores::Regress { output, .. }) => {
                    assert!(all.mse() > Some(100.0) && output.mse() == Some(0.0));
                    assert_eq!((all.data_range().value(), output.data_range().value()), (52.0, 2.0));
                }
                _ => panic!("scores of two kinds"),
            }
            assert_eq!(inside.image_scores.len(), 1);
        }
    }

    #[test]
    fn more_classes_than_can_be_counted_are_refused_beforehand() {
        let class = |value: usize| Class { value: value as i64, name: value.to_string() };
        let task = Task::Segment { classes: (0..=MOST_CLASSES).map(class).collect() };
        let error = Judge::new(&task)
            .run(&mut Copies { segments: true }, &samples(true), &mut (), |_, _| ())
            .unwrap_err();
        assert!(error.to_string().starts_with("there are 1025 classes, but"), "{error}");
    }

    #[test]
    fn a_watcher_stops_between_and_inside_images() {
        for (stop_at, done) in [(0, 0), (1, 1), (2, 1)] {
            let mut notes = Notes { stop_at: Some(stop_at), ..Default::default() };
            let error = Judge::new(&task())
                .run(&mut Copies { segments: true }, &samples(true), &mut notes, |_, _| ())
                .unwrap_err();
            assert_eq!(error, Error::Stopped { done, count: 2 });
        }
    }

    #[test]
    fn the_input_is_compared_where_it_can_be_and_targets_of_another_kind_are_refused() {
        let judge = Judge::new(&Task::Regress).comparing_input();
        let evaluation =
            judge.run(&mut Copies { segments: false }, &samples(false), &mut (), |_, _| ()).unwrap();
        let TaskScores::Regress { output, input } = &evaluation.scores else { panic!("wanted a regression") };
        assert_eq!(output.mse(), Some(1.0));
        // 0 and 1 where 1 and 3 are wanted.
        assert_eq!(input.as_ref().unwrap().mse(), Some(2.5));
        let error =
            judge.run(&mut Copies { segments: true }, &samples(false), &mut (), |_, _| ()).unwrap_err();
        assert!(error.to_string().starts_with("right: "), "{error}");
    }
}
