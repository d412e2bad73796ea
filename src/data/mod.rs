//! Images in and out, datasets and random draws; knows nothing of networks or engines.
//!
//! The way through this room, in the order of a training run:
//!
//! - [`source`]: which images there are ([`discover`]) and which target belongs to which ([`pair`]).
//! - [`read`]: one [`Page`] to an array: [`read_image`], [`read_labels`], and [`page_size`] from the header.
//!   `read_png`, `read_tiff` and `tiff_directory` hold what is particular to each format.
//! - [`labels`]: label values to class indices and back ([`LabelMapping`]).
//! - [`dataset`]: all images of a run with their targets ([`load_segmentation`], [`load_regression`]).
//! - `in_memory`: the same from arrays ([`Dataset::from_memory`]).
//! - [`weights`]: how much pixels and classes count ([`load_weights`], [`ClassWeights`]).
//! - [`fingerprint`]: images known again by their content ([`Fingerprint`]).
//! - `random`: random numbers by seed, use and number.
//! - [`sampling`]: which image, crop and symmetry the n-th draw of a run takes ([`Sampler`]).
//! - [`class_pixels`]: where the pixels of each class are ([`ClassPixels`]), for draws that favour rare ones.
//! - [`augmentation`]: random changes of what is drawn ([`Augmentation`]).
//! - [`mod@write`]: arrays to files that appear whole or not at all.
//!
//! Images are `f32` arrays of shape `[channel][y][x]` holding the file's own numbers: an 8-bit image is
//! 0 to 255. Label images are `i64` arrays of shape `[y][x]`. Images of one dataset may differ in size.

pub mod augmentation;
pub mod class_pixels;
pub mod dataset;
pub mod fingerprint;
mod in_memory;
pub mod labels;
mod random;
pub mod read;
mod read_png;
mod read_tiff;
pub mod sampling;
pub mod source;
mod tiff_directory;
pub mod weights;
pub mod write;

pub use augmentation::Augmentation;
pub use class_pixels::ClassPixels;
pub use dataset::{Classes, Dataset, Sample, Target, load_regression, load_segmentation};
pub use fingerprint::Fingerprint;
pub use in_memory::check_finite;
pub use labels::LabelMapping;
pub use read::{page_size, read_image, read_labels};
pub use sampling::{Crop, Draw, Sampler, Symmetry, cut};
pub use source::{Page, discover, pair};
pub use weights::{ClassWeights, load_weights};
pub use write::{
    LabelFormat, remove_unfinished, write_bytes_atomic, write_labels, write_labels_as, write_png_grey8,
    write_png_rgb8, write_tiff_f32,
};
