//! The scores of an evaluation.

use crate::metrics::{Calibration, ConfusionMatrix, RegressionScores};
use crate::network::Task;

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
            TaskScores::Regress { output, .. } => vec![("psnr", output.psnr()), ("ssim", output.ssim())],
        }
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
    fn metrics_come_in_the_order_of_their_names() {
        let range = DataRange::given(1.0).unwrap();
        let segment = TaskScores::Segment { matrix: ConfusionMatrix::new(2), calibration: Box::default() };
        let regress = TaskScores::Regress { output: RegressionScores::new(range), input: None };
        for (scores, task) in [(segment, Task::Segment { classes: Vec::new() }), (regress, Task::Regress)] {
            let names: Vec<_> = scores.metrics().into_iter().map(|(name, _)| name).collect();
            assert_eq!(names, metric_names(&task));
        }
    }
}
