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
mod file;
mod labels;
mod limits;
mod pairing;
mod png;
mod read;
mod source;
mod tiff;

pub use discovery::discover;
pub use labels::{LabelFormat, write_labels, write_labels_as};
pub use pairing::{pair, pair_as};
pub use png::{write_png_grey8, write_png_rgb8};
pub use read::{page_size, read_image, read_labels};
pub use source::ImageSource;
pub use tiff::write_tiff_f32;
