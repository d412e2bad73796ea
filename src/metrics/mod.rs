//! How good a prediction is: scores of segmentations and of images, and how far two measurements agree.
//!
//! Scores do not depend on what made the prediction. The documentation of every score states what it counts and
//! what it gives where it is undefined.

pub mod calibration;
pub mod circle;
pub mod fourier;
pub mod regression;
pub mod segmentation;
pub mod ssim;
pub mod surface;

pub use calibration::{Calibration, ReliabilityBin};
pub use circle::InscribedCircle;
pub use fourier::{Crossing, FourierCorrelation, Shell, Spectrum, Support, Threshold};
pub use regression::{DataRange, RegressionScores, TargetLimits, psnr};
pub use segmentation::{ClassScores, ConfusionMatrix, MOST_CLASSES, UNLABELLED};
pub use ssim::{SsimWindow, ssim};
pub use surface::{SurfaceDistance, surface_distances};
