//! By what the best model is chosen.

use serde::{Deserialize, Serialize};

use crate::training::TaskKind;
use crate::training::scores::Scores;
use crate::{Error, Result};

/// What the best model is best in, on the validation images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Monitor {
    /// The loss.
    #[default]
    Loss,
    /// Mean intersection over union of the classes.
    Iou,
    /// Mean Dice coefficient of the classes.
    Dice,
    /// Share of the pixels that have the right class.
    Accuracy,
    /// Peak signal-to-noise ratio.
    Psnr,
    /// Structural similarity.
    Ssim,
}

impl Monitor {
    /// The metric's name among the scores; `None` for the loss.
    fn metric(self) -> Option<&'static str> {
        match self {
            Monitor::Loss => None,
            Monitor::Iou => Some("mean_iou"),
            Monitor::Dice => Some("mean_dice"),
            Monitor::Accuracy => Some("global_accuracy"),
            Monitor::Psnr => Some("psnr"),
            Monitor::Ssim => Some("ssim"),
        }
    }

    /// Checks that the task has this metric.
    pub(in crate::training) fn validate(self, task: TaskKind) -> Result<()> {
        let (fits, wanted) = match task {
            TaskKind::Segment => (
                !matches!(self, Monitor::Psnr | Monitor::Ssim),
                "a segmentation has loss, iou, dice and accuracy",
            ),
            TaskKind::Regress => (
                matches!(self, Monitor::Loss | Monitor::Psnr | Monitor::Ssim),
                "a regression has loss, psnr and ssim",
            ),
        };
        let name = self.metric().unwrap_or("loss");
        if fits {
            Ok(())
        } else {
            Err(Error::setting("monitor", name, format!("{wanted}; choose one of these")))
        }
    }

    /// The number that the best model has smallest: the loss, or a metric's negative. Infinite where the metric is not
    /// defined.
    pub(in crate::training) fn judge(self, scores: &Scores) -> f64 {
        let Some(metric) = self.metric() else { return scores.loss };
        let value = scores.metrics.iter().find(|(name, _)| *name == metric).map(|&(_, value)| -value);
        value.filter(|value| !value.is_nan()).unwrap_or(f64::INFINITY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_best_small_and_metrics_large() {
        let scores = |loss, iou| Scores { loss, metrics: vec![("mean_iou", iou)] };
        let (a, b) = (scores(0.5, 0.7), scores(0.4, 0.6));
        assert!(Monitor::Loss.judge(&b) < Monitor::Loss.judge(&a));
        assert!(Monitor::Iou.judge(&a) < Monitor::Iou.judge(&b));
        assert_eq!(Monitor::Iou.judge(&scores(0.5, f64::NAN)), f64::INFINITY);
        assert!(Monitor::Psnr.validate(TaskKind::Segment).is_err());
        assert!(Monitor::Iou.validate(TaskKind::Regress).is_err());
    }
}
