//! TIFF files and stacks: to the numbers they store, and from arrays.
//!
//! - `directory`: where the pages of a file begin.
//! - `tags`: the tags of one page. `unpack`: its compression. `numbers`: its predictor, bits and order of bytes.
//! - `page`: how a page is stored, from its tags. `read`: its header, and its numbers.
//! - `write`: arrays to files of one page.
//! - `sink`: results that come in parts to the pages of a stack.

mod directory;
mod numbers;
mod page;
mod read;
mod sink;
mod tags;
mod unpack;
mod write;

pub(super) use directory::directory_places;
pub(super) use read::{decode, header};
pub use sink::TiffSink;
pub use write::write_tiff_f32;
pub(super) use write::write_tiff_i32;
