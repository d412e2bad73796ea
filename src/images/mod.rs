//! What an image or volume is, wherever it lies: which there are, what they hold, and files of every format.
//!
//! How one image walks from a name to an array:
//!
//! 1. [`discover`] lists what a folder, file or pattern names and opens each file once: its first bytes tell the format, its
//!    header size, channels and pages. Each image becomes an [`ImageSource`] that remembers this; [`page_size`] asks it.
//! 2. [`pair`] finds the target of each image by name.
//! 3. [`read_image`] opens the file again and has its format decode the stored numbers (`Decoded`), then puts them into an
//!    array `[channel][y][x]` of `f32`, the file's own numbers: an 8-bit image is 0 to 255. [`read_labels`] makes whole
//!    numbers `[y][x]` of them instead.
//!
//! A volume is read in parts: [`open_volume`] does step 1, and [`Volume::read`] step 3 for the slices that a
//! [`Window`](crate::geometry::Window) touches, `[channel][z][y][x]`. Results that come in parts go into a [`Sink`].
//!
//! The files of this room, each using only those before it:
//!
//! - `file`: opening a file, the one place that does; `limits`: which sizes are read and written; `label_format`: in how many
//!   bits labels are stored ([`LabelFormat`]); `decoded`: stored numbers. `dry_run`: finding out what is packed too well to be true.
//! - `notices`: what people are told of how a file is taken. `axes`: which planes are channels of one image.
//! - `source`: where one image is, and what its header says.
//! - `units`: units of length and time. `annotations`: what files say of channels and time. `volume`, `sink`: the traits [`Volume`] and
//!   [`Sink`], and the checks that all of them make.
//! - `png`, `jpeg` (with `jpeg/scans`, which counts what a stream holds by its `markers` and `huffman` codes), `tiff`, `memory`: the
//!   formats. A new one gets a file or folder of its own beside them.
//! - `numeric`, `number_type`: types of numbers. `selection`: which slices of a stack are wanted ([`SliceSelection`]).
//! - `arrays`: the formats that hold an array of any number of axes, which are read part by part.
//! - `stack`: results that come part by part to files of any format ([`NewStack`], [`StackSink`]); `tiff` writes by parts of it.
//! - `labels`: label images to the smallest format that holds them ([`write_labels`]).
//! - `decode`: one [`ImageSource`] to the numbers that its file stores; `read` makes an array of them, `read_labels` labels.
//!   `cache`: parts of images in any order. `block_memory`: what blocks of arrays take meanwhile.
//! - `resampling`: arrays brought onto a finer or coarser grid. `slab`: slices with their neighbours as channels. `mean`: the mean of
//!   several images as an image. `derived`: an image on another grid, or a part of one, as an image.
//! - `places`: which files a name means. `discovery`: these to sources, and how they are looked for ([`Discovery`]).
//!   `pairing`: which target belongs to which image ([`pair`]). `recordings`: which images of several recordings belong together.
//!   `slices`: sources as a volume ([`Slices`]).
//! - `stored_slice`: a slice as its file stores it, row by row. `statistics`: what numbers are like; `overview`: what a stack is and
//!   holds ([`overview()`]). `convert`: a stack to another format ([`convert()`]).

mod annotations;
mod arrays;
mod axes;
mod block_memory;
mod cache;
mod convert;
mod decode;
mod decoded;
mod derived;
mod discovery;
mod dry_run;
mod file;
mod jpeg;
mod label_format;
mod labels;
mod limits;
mod mean;
mod memory;
mod notices;
mod number_type;
mod numeric;
mod orientation;
mod overview;
mod pairing;
mod places;
mod png;
mod read;
mod read_labels;
mod recordings;
mod resampling;
mod selection;
mod sink;
mod slab;
mod slices;
mod source;
mod space;
mod stack;
mod statistics;
mod stored_slice;
mod tiff;
pub(crate) mod units;
mod volume;

pub(crate) use arrays::{BlockRoom, DatasetPlace, Hdf5File};
pub(crate) use block_memory::usual_block_bytes;
pub(crate) use cache::ImageCache;
pub(crate) use convert::check_other;
pub use convert::{Conversion, ValueWindow, convert};
pub(crate) use discovery::natural_order;
pub use discovery::{Discovery, discover};
pub(crate) use file::has_end_mark;
pub use label_format::LabelFormat;
#[cfg(feature = "portal")]
pub(crate) use labels::has_palette;
pub use labels::{Palette, write_labels, write_labels_as};
pub(crate) use mean::mean_of_arrays;
pub use memory::{ArraySink, ArrayVolume};
pub use number_type::NumberType;
pub use overview::{Overview, overview};
pub use pairing::{pair, pair_as};
pub(crate) use places::{arriving_name, is_array_folder, is_there, is_zarr_name, split_place};
pub use png::{write_png_grey8, write_png_rgb8};
pub(crate) use read::{PartReader, check_gaps, check_gaps_from, read_image_with_gaps, read_values_with_gaps};
pub use read::{as_grey, has_equal_channels, page_size, read_image, read_values};
pub use read_labels::read_labels;
pub(crate) use read_labels::{NO_LABEL, read_colours, read_labels_with_gaps, read_rough_labels_with_gaps};
pub(crate) use resampling::{Kernel, Resampling};
pub use selection::SliceSelection;
pub use sink::Sink;
pub(crate) use slab::check_slab;
#[cfg(feature = "cli")]
pub(crate) use slices::check_one_volume;
pub use slices::{Slices, open_volume};
pub use source::ImageSource;
pub use stack::{ClassLook, Content, NewPlace, NewStack, SharedStack, StackFile, StackFormat, StackSink};
pub use statistics::Statistics;
pub use tiff::{StackLayout, TiffSink, write_tiff_f32};
pub use volume::{Volume, VoxelSize};
