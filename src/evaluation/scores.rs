//! The scores of an evaluation.

use crate::metrics::{Calibration, ConfusionMatrix, RegressionScores, SurfaceDistance};
use crate::network::Task;
use crate::{Error, Result};

/// Loss and main metrics over all images.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// Mean loss over all pixels by their weights, as in training.
    pub loss: f64,
    /// Names and values of the metrics, in a fixed order; NaN where one is not defined.
    pub metrics: Vec<(&'static str, f64)>,
}

/// The names of the main metrics of a task; the first is the one that images are listed by.
pub fn metric_names(task: &Task) -> &'static [&'static str] {
    match task {
        Task::Segment { .. } => &["mean_iou", "mean_dice", "class_accuracy", "global_accuracy"],
        Task::Regress => &["psnr", "ssim"],
    }
}

/// The scores of a task in full.
#[derive(Debug, Clone)]
pub enum TaskScores {
    /// Of a segmentation.
    Segment {
        /// How many pixels of each class were predicted as which class.
        matrix: ConfusionMatrix,
        /// Whether the probabilities are calibrated; empty where only classes were predicted.
        calibration: Box<Calibration>,
    },
    /// Of a regression.
    Regress {
        /// Of the network's values.
        output: RegressionScores,
        /// Of the input images, scored as if they were results, where that was asked for and both have as many channels.
        input: Option<RegressionScores>,
    },
}

/// The result of judging a set of images.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// How many images were judged.
    pub images: usize,
    /// The scores.
    pub scores: TaskScores,
    /// The mean loss over all pixels by their weights; NaN where losses were not computed, 0 where nothing counts.
    pub loss: f64,
    /// The mean loss over the pixels of each image; NaN where none of them counts. Empty where losses were not computed.
    pub image_losses: Vec<f64>,
    /// The scores of each image by itself, in the order of the images.
    pub image_scores: Vec<ImageScores>,
}

/// The scores of one image by itself. They are none where nothing of it counts.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageScores {
    /// The image's name.
    pub name: String,
    /// How many pixels, or values of pixels with several channels, count.
    pub counted: u64,
    /// The main metrics, in the order of [`metric_names`]; `None` where one is not defined.
    pub metrics: Vec<(&'static str, Option<f64>)>,
    /// The same of the input image, where it was scored too.
    pub input: Option<Vec<(&'static str, Option<f64>)>>,
    /// How bad it is, by which images are compared: one minus the mean IoU, or the mean squared error.
    pub error: Option<f64>,
    /// How far the surfaces of each class are apart, `None` for those that target or prediction do not hold; empty where that was not
    /// asked for.
    pub surfaces: Vec<Option<SurfaceDistance>>,
}

impl ImageScores {
    /// Those of the image `name`, which alone is in `scores`.
    pub(super) fn of(name: &str, scores: &TaskScores) -> Self {
        let (counted, input, error) = match scores {
            TaskScores::Segment { matrix, .. } => {
                (matrix.counts().sum(), None, matrix.mean_iou().map(|iou| 1.0 - iou))
            }
            TaskScores::Regress { output, input } => {
                (output.values(), input.as_ref().map(value_metrics), output.mse())
            }
        };
        let surfaces = Vec::new();
        Self { name: name.to_owned(), counted, metrics: scores.metrics(), input, error, surfaces }
    }

    /// The places of images from the worst to the best; those without a score, of which nothing counts, are left out.
    pub fn worst_first(images: &[Self]) -> Vec<usize> {
        let mut scored: Vec<(usize, f64)> =
            images.iter().enumerate().filter_map(|(place, image)| Some((place, image.error?))).collect();
        // Outputs that are no numbers are worse than any.
        let key = |error: f64| if error.is_nan() { f64::INFINITY } else { error };
        scored.sort_by(|a, b| key(b.1).total_cmp(&key(a.1)));
        scored.into_iter().map(|(place, _)| place).collect()
    }
}

/// The main metrics of a regression.
fn value_metrics(scores: &RegressionScores) -> Vec<(&'static str, Option<f64>)> {
    vec![("psnr", scores.psnr()), ("ssim", scores.ssim())]
}

impl TaskScores {
    /// The values of the main metrics, in the order of [`metric_names`]; `None` where one is not defined.
    pub fn metrics(&self) -> Vec<(&'static str, Option<f64>)> {
        match self {
            TaskScores::Segment { matrix, .. } => vec![
                ("mean_iou", matrix.mean_iou()),
                ("mean_dice", matrix.mean_dice()),
                ("class_accuracy", matrix.class_accuracy()),
                ("global_accuracy", matrix.global_accuracy()),
            ],
            TaskScores::Regress { output, .. } => value_metrics(output),
        }
    }

    /// Main scores as numbers with all their bits, which [`Self::with_numbers`] takes: neither calibration nor those of inputs.
    pub(super) fn numbers(&self) -> Vec<u64> {
        match self {
            Self::Segment { matrix, .. } => matrix.counts().iter().copied().collect(),
            Self::Regress { output, .. } => output.numbers().to_vec(),
        }
    }

    /// The scores of these numbers, which come from scores of the same kind.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where there are more or fewer than these scores have, and where more was counted than an image has.
    pub(super) fn with_numbers(self, numbers: &[u64]) -> Result<Self> {
        /// Counts of all images together are far from what can be counted.
        const MOST_COUNTED: u64 = 1 << 40;
        let is_of_image = |count: &u64| *count <= MOST_COUNTED;
        let found = match &self {
            Self::Segment { matrix, .. } => {
                let matrix = matrix.with_counts(numbers).filter(|_| numbers.iter().all(is_of_image));
                matrix.map(|matrix| Self::Segment { matrix, calibration: Box::default() })
            }
            Self::Regress { output, .. } => {
                let numbers = <[u64; 5]>::try_from(numbers).ok();
                let numbers =
                    numbers.filter(|[_, _, values, _, images]| [values, images].into_iter().all(is_of_image));
                numbers.map(|numbers| Self::Regress { output: output.with_numbers(numbers), input: None })
            }
        };
        found.ok_or_else(|| {
            let found = numbers.len();
            Error::Mismatch(format!(
                "scores came as {found} numbers that these scores do not have; start the same program on every rank"
            ))
        })
    }

    /// Adds the scores of other images. Those of inputs stay only where they are those of all images.
    pub(super) fn merge(&mut self, other: &Self) -> Result<()> {
        match (self, other) {
            (Self::Segment { matrix, calibration }, Self::Segment { matrix: more, calibration: of_more }) => {
                matrix.merge(more)?;
                calibration.merge(of_more);
            }
            (Self::Regress { output, input }, Self::Regress { output: more, input: before }) => {
                output.merge(more)?;
                match (&mut *input, before) {
                    (Some(input), Some(before)) => input.merge(before)?,
                    // The first image: the judge gives none for an image after one without.
                    (None, Some(before)) => *input = Some(before.clone()),
                    (_, None) => *input = None,
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Evaluation {
    /// Loss and main metrics.
    pub fn summary(&self) -> Scores {
        let metrics = self.scores.metrics().into_iter();
        let metrics = metrics.map(|(name, value)| (name, value.unwrap_or(f64::NAN))).collect();
        Scores { loss: self.loss, metrics }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::DataRange;

    #[test]
    fn images_are_ordered_from_the_worst_to_the_best() {
        let image = |error| ImageScores {
            name: "a".into(),
            counted: 1,
            metrics: Vec::new(),
            input: None,
            error,
            surfaces: Vec::new(),
        };
        let images = [Some(0.5), None, Some(0.0), Some(f64::NAN), Some(0.7)].map(image);
        assert_eq!(ImageScores::worst_first(&images), [3, 4, 0, 2]);
    }

    #[test]
    fn metrics_come_in_the_order_of_their_names() {
        let range = DataRange::given(1.0).unwrap();
        let segment = TaskScores::Segment { matrix: ConfusionMatrix::new(2), calibration: Box::default() };
        let regress = TaskScores::Regress { output: RegressionScores::new(range), input: None };
        for (scores, task) in [(segment, Task::Segment { classes: Vec::new() }), (regress, Task::Regress)] {
            let names: Vec<_> = scores.metrics().into_iter().map(|(name, _)| name).collect();
            assert_eq!(names, metric_names(&task));
        }
    }

    #[test]
    fn scores_of_other_ranks_count_no_more_than_images_have() {
        let range = DataRange::given(1.0).unwrap();
        let segment = TaskScores::Segment { matrix: ConfusionMatrix::new(2), calibration: Box::default() };
        let regress = TaskScores::Regress { output: RegressionScores::new(range), input: None };
        assert!(segment.clone().with_numbers(&[1, 2, 3, 4]).is_ok());
        assert!(regress.clone().with_numbers(&[u64::MAX, 1, 2, 3, 4]).is_ok());
        for (scores, numbers) in [
            (&segment, &[1, 2, 3, u64::MAX][..]),
            (&segment, &[1, 2, 3]),
            (&regress, &[1, 2, u64::MAX, 3, 4]),
            (&regress, &[1, 2, 3, 4, u64::MAX]),
            (&regress, &[1, 2, 3, 4]),
        ] {
            let error = scores.clone().with_numbers(numbers).unwrap_err().to_string();
            assert!(error.contains("start the same program on every rank"), "{error}");
        }
    }
}
