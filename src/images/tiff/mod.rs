//! TIFF files and stacks: to the numbers they store, and from arrays.
//!
//! - `directory`: where the pages of a file begin.
//! - `read`: a page's header, and its numbers.
//! - `write`: arrays to files of one page.
//! - `sink`: results that come in parts to the pages of a stack.

mod directory;
mod read;
mod sink;
mod write;

pub(super) use directory::directory_places;
pub(super) use read::{decode, header};
pub use sink::TiffSink;
pub use write::write_tiff_f32;
pub(super) use write::write_tiff_i32;
