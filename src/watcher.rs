//! Progress callbacks for training, prediction and evaluation, which can also stop the work.
//!
//! The methods of a [`Watcher`] are called by the thread that does the work, between two pieces of it. Each of them returns a
//! [`Flow`]: `ControlFlow::Break(())` stops the work at the next point where it can end cleanly. A training run then keeps its
//! best model; other work returns [`crate::Error::Stopped`].

use std::fmt::{Display, Formatter};
use std::ops::ControlFlow;
use std::path::PathBuf;

/// The answer of a callback: whether the work goes on.
pub type Flow = ControlFlow<()>;

/// What a training run is about to do.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TrainingPlan {
    /// Steps in an epoch.
    pub steps_in_epoch: u64,
    /// The network is judged once in so many epochs.
    pub validate_every: u64,
    /// Bytes for the network's planes and parameters, in the memory of the device.
    pub network_bytes: u64,
    /// Bytes for images, targets and weights, and what is made of them, in the memory of the machine.
    pub image_bytes: u64,
}

/// A step of training was handed to the device.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct StepReport {
    /// Its number, from 1.
    pub step: u64,
    /// The latest loss that is known; NaN before the first.
    pub loss: f32,
    /// The share of the run that is done by the limit that is nearest; NaN without a limit.
    pub done: f64,
}

/// An epoch of training has ended.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Epoch {
    /// Number of the epoch, from 1.
    pub epoch: u64,
    /// Steps made by its end.
    pub step: u64,
    /// Minutes of training by its end.
    pub minutes: f64,
    /// Mean loss of its steps.
    pub training_loss: f64,
    /// Loss on the validation images; NaN without any, and where the network was not judged.
    pub validation_loss: f64,
    /// Names and values of the metrics on the validation images, in a fixed order; NaN as the loss.
    pub metrics: Vec<(String, f64)>,
    /// The learning rate of its last step.
    pub learning_rate: f64,
    /// Whether it gave the best model so far.
    pub best: bool,
}

/// The epoch in one line: its losses and, of the metrics, the first that is known.
impl Display for Epoch {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "epoch {}, step {}: loss {:.4}", self.epoch, self.step, self.training_loss)?;
        if !self.validation_loss.is_nan() {
            write!(f, ", val {:.4}", self.validation_loss)?;
        }
        // The others are in the history: more would not fit a line.
        if let Some((name, value)) = self.metrics.iter().find(|(_, value)| !value.is_nan()) {
            write!(f, ", {} {value:.3}", name.replace('_', " "))?;
        }
        f.write_str(if self.best { " (best)" } else { "" })
    }
}

/// What is done with an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImageWork {
    /// A network is applied to it, and the result kept.
    Predict,
    /// A network's result is compared with its target.
    Evaluate,
    /// It is written in another format.
    Convert,
    /// It is looked at.
    Inspect,
    /// It is reconstructed from projections.
    Reconstruct,
}

/// Something was done with an image, or with a tile of it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ImageReport<'a> {
    /// What.
    pub work: ImageWork,
    /// The name of the image.
    pub name: &'a str,
    /// Its number, from 0, and how many there are.
    pub index: usize,
    /// How many images there are.
    pub count: usize,
    /// The share of it that is done; 1 at its end.
    pub done: f64,
    /// At its end, what it scored alone, where it was compared with a target: the name and value of its main metric.
    pub score: Option<(&'static str, f64)>,
    /// At its end, the files that were written for it.
    pub files: &'a [PathBuf],
}

/// Receives the progress of training, prediction or evaluation. Every method has a default that does nothing, and `()` is a watcher
/// that uses all of these.
pub trait Watcher {
    /// Training is about to start.
    fn started(&mut self, plan: &TrainingPlan) -> Flow {
        let _ = plan;
        Flow::Continue(())
    }

    /// A step of training is being computed, layer by layer. An answer to stop takes back what was computed of it, so that a run ends
    /// soon also where steps take long.
    fn within_step(&mut self) -> Flow {
        Flow::Continue(())
    }

    /// A step of training is on its way.
    fn step(&mut self, step: &StepReport) -> Flow {
        let _ = step;
        Flow::Continue(())
    }

    /// An epoch of training has ended.
    fn epoch(&mut self, epoch: &Epoch) -> Flow {
        let _ = epoch;
        Flow::Continue(())
    }

    /// An image, or a part of it, is done: in prediction, evaluation and conversion, and where training judges the network.
    fn image(&mut self, image: &ImageReport<'_>) -> Flow {
        let _ = image;
        Flow::Continue(())
    }
}

impl Watcher for () {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_one_line_of_what_is_known() {
        let mut epoch = Epoch {
            epoch: 3,
            step: 12,
            minutes: 0.5,
            training_loss: 0.25,
            validation_loss: f64::NAN,
            metrics: vec![("mean_iou".into(), f64::NAN), ("mean_dice".into(), 0.5)],
            learning_rate: 0.1,
            best: false,
        };
        assert_eq!(epoch.to_string(), "epoch 3, step 12: loss 0.2500, mean dice 0.500");
        (epoch.validation_loss, epoch.metrics[0].1, epoch.best) = (0.125, 0.75, true);
        let line = "epoch 3, step 12: loss 0.2500, val 0.1250, mean iou 0.750 (best)";
        assert_eq!(epoch.to_string(), line);
    }
}
