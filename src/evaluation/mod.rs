//! How good networks are: a network is applied to images with targets, and the results are scored. There is one loop for this, for
//! trained models and for networks in training.
//!
//! - [`Judge`]: the loop. It takes samples one after the other, has a [`Judged`] apply its network, and scores the result; in
//!   `among_ranks`, several ranks share the samples.
//! - [`Judged`]: a network that can be judged: an [`crate::inference::Ensemble`], or a network in training ([`InTraining`]), whose
//!   engine is borrowed.
//! - [`Block`]: a part of a volume, which is judged block by block.
//! - [`Scoring`]: trained models against targets in the units of their files, with all scores as one report.
//! - [`compare`]: results in files, this program's or another's, against targets in files.
//! - [`Measures`]: what PSNR and SSIM refer to, and which pixels count.
//! - [`UpscalingScores`]: how good a network is beside interpolation, where it makes images finer.
//! - [`Evaluation`]: what came of it; [`Scores`]: its loss and main metrics as plain numbers.
//! - [`Halves`]: how far two measurements of the same thing agree, by frequency.
//! - [`tables`]: all scores as tables of text.
//! - [`page`]: scores and pictures as a page for browsers.

mod among_ranks;
mod blocks;
mod comparison;
mod ensemble;
mod halves;
mod in_training;
mod judge;
mod measures;
pub mod page;
mod scores;
mod scoring;
mod surfaces;
pub mod tables;
mod upscaling;

pub use blocks::Block;
pub use comparison::{Comparison, compare};
pub use halves::Halves;
pub use in_training::InTraining;
pub use judge::{Found, ImageResult, Judge, Judged, Samples};
pub use measures::Measures;
pub use scores::{Evaluation, ImageScores, Scores, TaskScores, metric_names};
pub use scoring::{Scoring, report};
pub use upscaling::{UpscaledSets, UpscalingScores, WithCoarseNoise};
