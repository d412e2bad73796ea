//! Images with their targets, and what a network is shown of them; knows nothing of networks or engines.
//!
//! The way through this room, in the order of a training run:
//!
//! - `sample`: an image and what a network is to give for it ([`Sample`], [`Target`]).
//! - `labels`: label values to class indices and back ([`LabelMapping`]).
//! - `label_rule`: thresholds, lists of classes and colours in the place of label values ([`LabelRule`]); `masks`: what label
//!   images look like that were meant otherwise than their values say.
//! - `item`: an image with its target in memory or in files ([`Item`]); `in_files`: reading parts of the latter.
//! - `dataset`: all images of a run with their targets; `data_files`: from files ([`DataFiles`], [`load_segmentation`],
//!   [`load_regression`]), with `found_pairs` (which there are, and whether memory holds them), `channels` and `found_classes`; `pair_list`: a list of them with groups; `recordings`: several of the same slices, each other's targets ([`Recordings`]); `upscaled`: coarse ones with fine ones ([`Upscaled`]); `in_memory`: from arrays ([`Dataset::from_memory`]).
//! - `results`: results of any program beside their targets, read one pair after the other ([`Results`]).
//! - `streaming`: large things one after the other, read ahead of their turn; `measurements`: what was measured over images in files, kept
//!   for later ([`Measurements`]).
//! - `weight_images`: how much pixels count; `weights`: how much classes do ([`ClassWeights`], [`ClassTotals`]).
//! - `fingerprint`: images known again by their content ([`Fingerprint`]).
//! - `random`: random numbers by seed, use and number.
//! - `class_pixels`: where the pixels of each class are ([`ClassPixels`]), for draws that favour rare ones.
//! - `symmetries`: the flips and rotations that images are shown in ([`Symmetries`]).
//! - `sampling`: which image, part and symmetry the n-th draw of a run takes ([`Sampler`]).
//! - `regions`: a part of one large image, set aside for validation ([`Dataset::split_off_region`]).
//! - `augmentation`: random changes of what is drawn ([`Augmentation`]).
//! - `blind_spots`: pixels that are hidden, to be foreseen from others ([`BlindSpots`]); `noise`: how far noise is correlated;
//!   `coarse_noise`: that of coarse images that were made of fine ones ([`CoarseNoise`]).
//!
//! Images of one dataset may differ in size.
//!
//! Imports run one way: `random`, `symmetries`, `labels`, `label_rule`, `sample`, `streaming`, `measurements`, `weight_images` <- `masks`,
//! `channels`, `in_files` <- `item` <- `dataset` <- `found_classes`, `weights`, `fingerprint`, `class_pixels`, `pair_list` <- `in_memory`,
//! `data_files` with `found_pairs`, `results`, `sampling` <- `regions`, `augmentation`; inside the last, `strengths`, `elastic` <-
//! `geometry`, `intensity` <- `mod`.

mod augmentation;
mod blind_spots;
mod channels;
mod class_pixels;
mod coarse_noise;
mod data_files;
mod dataset;
mod fingerprint;
mod found_classes;
mod found_pairs;
mod in_files;
mod in_memory;
mod item;
mod label_rule;
mod labels;
mod masks;
mod measurements;
mod noise;
mod pair_list;
mod random;
mod recordings;
mod regions;
mod results;
mod sample;
mod sampling;
mod stacked;
mod streaming;
mod symmetries;
mod upscaled;
mod weight_images;
mod weights;

pub use augmentation::Augmentation;
pub use blind_spots::{BlindSpots, Replacement};
pub use class_pixels::{ClassPixels, ClassRows};
pub use coarse_noise::CoarseNoise;
pub use data_files::{DataFiles, load_regression, load_segmentation};
pub use dataset::{Classes, Dataset, Place, Visited};
pub use fingerprint::{Fingerprint, ImageHasher, SetHasher};
pub use in_memory::{Labelled, check_finite};
pub use item::{ImageChange, Item, Part, TargetChange};
pub use label_rule::LabelRule;
pub use labels::LabelMapping;
pub use measurements::{Measurements, Stamp};
pub use noise::correlated_noise;
pub use recordings::Recordings;
pub use results::{ResultFiles, Results};
pub use sample::{GapMeans, Sample, Target, fill, fill_gaps, gap_means};
pub use sampling::{Draw, Sampler, with_slices_exchanged};
pub use symmetries::Symmetries;
pub use upscaled::{Corner, Interpolation, Upscaled};
pub use weights::{ClassTotals, ClassWeights};
