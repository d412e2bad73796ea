//! How good a prediction is: scores of segmentations and of images.
//!
//! Scores do not depend on what made the prediction. The documentation of every score states what it counts and
//! what it gives where it is undefined.

pub mod calibration;
pub mod regression;
pub mod segmentation;
pub mod ssim;

pub use calibration::{Calibration, ReliabilityBin};
pub use regression::{DataRange, RegressionScores, TargetLimits, psnr};
pub use segmentation::{ClassScores, ConfusionMatrix, UNLABELLED};
pub use ssim::ssim;
