//! How good a prediction is: scores of segmentations and of images.
//!
//! Nothing here knows what made the prediction. Every score says in its documentation what it counts and
//! what it gives where it is undefined.

pub mod calibration;
pub mod regression;
pub mod segmentation;
pub mod ssim;

pub use calibration::{Calibration, ReliabilityBin};
pub use regression::{DataRange, RegressionScores, TargetLimits, psnr};
pub use segmentation::{ClassScores, ConfusionMatrix, UNLABELLED};
pub use ssim::ssim;
