//! Images in and out: which there are, what they hold, and files of every format.
//!
//! - `source`: where one image is ([`ImageSource`]).
//! - `discovery`: which images a path, a pattern or a stack names ([`discover`]); `pairing`: which target belongs to which
//!   image ([`pair`]).
//! - `read`: one [`ImageSource`] to an array: [`read_image`], [`read_labels`], and [`page_size`] from the header. `read_png`,
//!   `read_tiff` and `tiff_directory` hold what is particular to each format, `decoded` what they give.
//! - `write_png`, `write_tiff`, `write_labels`: arrays to files that appear whole or not at all.
//!
//! Images are `f32` arrays of shape `[channel][y][x]` holding the file's own numbers: an 8-bit image is
//! 0 to 255. Label images are `i64` arrays of shape `[y][x]`.

mod decoded;
mod discovery;
mod pairing;
mod read;
mod read_png;
mod read_tiff;
mod source;
mod tiff_directory;
mod write_labels;
mod write_png;
mod write_tiff;

pub use discovery::discover;
pub use pairing::{pair, pair_as};
pub use read::{page_size, read_image, read_labels};
pub use source::ImageSource;
pub use write_labels::{LabelFormat, write_labels, write_labels_as};
pub use write_png::{write_png_grey8, write_png_rgb8};
pub use write_tiff::write_tiff_f32;
