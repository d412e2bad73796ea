//! Images with their targets, and what a network is shown of them; knows nothing of networks or engines.
//!
//! The way through this room, in the order of a training run:
//!
//! - `sample`: an image and what a network is to give for it ([`Sample`], [`Target`]).
//! - `labels`: label values to class indices and back ([`LabelMapping`]).
//! - `dataset`: all images of a run with their targets ([`load_segmentation`], [`load_regression`]); `in_memory`: the same
//!   from arrays ([`Dataset::from_memory`]).
//! - `weights`: how much pixels and classes count ([`load_weights`], [`ClassWeights`]).
//! - `fingerprint`: images known again by their content ([`Fingerprint`]).
//! - `random`: random numbers by seed, use and number.
//! - `class_pixels`: where the pixels of each class are ([`ClassPixels`]), for draws that favour rare ones.
//! - `sampling`: which image, part and symmetry the n-th draw of a run takes ([`Sampler`]).
//! - `augmentation`: random changes of what is drawn ([`Augmentation`]).
//!
//! Images of one dataset may differ in size.
//!
//! Imports run one way: `random`, `labels`, `sample` <- `dataset` <- `in_memory`, `weights`, `fingerprint`, `class_pixels` <-
//! `sampling` <- `augmentation`; inside that, `strengths`, `elastic` <- `geometry`, `intensity` <- `mod`.

mod augmentation;
mod class_pixels;
mod dataset;
mod fingerprint;
mod in_memory;
mod labels;
mod random;
mod sample;
mod sampling;
mod weights;

pub use augmentation::Augmentation;
pub use class_pixels::ClassPixels;
pub use dataset::{
    Classes, Dataset, load_regression, load_regression_with, load_segmentation, load_segmentation_with,
};
pub use fingerprint::Fingerprint;
pub use in_memory::{Labelled, check_finite};
pub use labels::LabelMapping;
pub use sample::{Sample, Target};
pub use sampling::{Draw, Sampler, cut};
pub use weights::{ClassWeights, load_weights, load_weights_with};
