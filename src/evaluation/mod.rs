//! How good networks are: a network is applied to images with targets, and the results are scored. There is one loop for this, for
//! trained models and for networks in training.
//!
//! - [`Judge`]: the loop. It takes samples one after the other, has a [`Judged`] apply its network, and scores the result.
//! - [`Judged`]: a network that can be judged: an [`crate::inference::Ensemble`], or a network in training ([`InTraining`]), whose
//!   engine is borrowed.
//! - [`Scoring`]: trained models against targets in the units of their files, with all scores as one report.
//! - [`compare`]: results in files, this program's or another's, against targets in files.
//! - [`UpscalingScores`]: how good a network is beside interpolation, where it makes images finer.
//! - [`Evaluation`]: what came of it; [`Scores`]: its loss and main metrics as plain numbers.

mod comparison;
mod ensemble;
mod in_training;
mod judge;
mod scores;
mod scoring;
mod upscaling;

pub use comparison::{Comparison, compare};
pub use in_training::InTraining;
pub use judge::{Found, ImageResult, Judge, Judged, Samples};
pub use scores::{Evaluation, Scores, TaskScores, metric_names};
pub use scoring::{Scoring, report};
pub use upscaling::{UpscaledSets, UpscalingScores, WithCoarseNoise};
