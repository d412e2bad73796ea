//! Slices of images as tiles, at full size and made smaller, made on demand.
//!
//! Level 0 is the image at full size, and each further level has half as many rows and columns, whose pixels are the means of 2 x 2; the
//! last one fits a single tile. Numbers become 16 bits, from the smallest to the largest of the image.
//!
//! - `levels`: sizes of levels and tiles; means of 2 x 2, row by row.
//! - `stack`: the slices of an image in files, and reading parts of them.
//! - `range`: the smallest and the largest number, and percentiles.
//! - `pyramid`: the smaller levels of a slice, made in one pass from bands.
//! - `make`: tiles of any level, and cuts through a stack ([`Tiles`]).

mod levels;
mod make;
mod pyramid;
mod range;
mod stack;

pub(super) use levels::{TILE, last_level, tile_extent};
pub(super) use make::{Axis, Tile, Tiles};
pub(super) use range::measure;
pub(super) use stack::{ImageFile, pages_of};
