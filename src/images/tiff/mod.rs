//! TIFF files and stacks: to the numbers they store, and from arrays.
//!
//! - `directory`: where the pages of a file begin. `tags`: what the tags of a page hold.
//! - `metadata`: what ImageJ, OME-TIFF and tifffile say of pages that belong together.
//! - `levels`: smaller versions of pages.
//! - `pages`: which images a file holds, of its pages.
//! - `ome`: what OME-XML says of channels and time, and that of a written stack.
//! - `voxel`: how large a pixel is. `layout`: how the planes of a stack lie, and how a written stack says so.
//! - `palette`: whether numbers are shown in colours of the file's own.
//! - `page`: how a page is stored, from its tags.
//! - `unpack`: compression. `numbers`: predictors, packed bits and the order of bytes.
//! - `read`: a page's header, and its numbers.
//! - `stack`: where everything is in a stack that is written. `sink`: results that come in parts to the pages of one.
//! - `write`: arrays to files of one page.

mod directory;
mod layout;
mod levels;
mod metadata;
mod numbers;
mod ome;
mod page;
mod pages;
#[cfg(feature = "portal")]
mod palette;
mod read;
mod sink;
mod stack;
mod tags;
mod unpack;
mod voxel;
mod write;

pub use layout::StackLayout;
pub(super) use pages::{Found, images};
#[cfg(feature = "portal")]
pub(super) use palette::has_palette;
pub(super) use read::{decode, header, rows_together};
pub use sink::TiffSink;
pub(super) use sink::{has_ome_name, new_stack};
pub(super) use voxel::voxel_size;
pub use write::write_tiff_f32;
pub(super) use write::write_tiff_i32;
