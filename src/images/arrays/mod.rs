//! Files that hold an array of any number of axes, which is read part by part: HDF5, Zarr, NPY, MRC, NIfTI and raw numbers.
//!
//! - [`StoredArray`]: what a format has to say and do. `numbers`: typed vectors and parts of arrays.
//! - `axes`: which axis is which, where files do not say. `blocks`: blocks that were read, or some of their slices, kept while there is
//!   room; `source_blocks`: those of the arrays that an array is made of.
//! - `planes`: an array as images `[channel][y][x]`, one for each slice ([`OpenArray`]).
//! - `contiguous`: numbers that lie one behind the other in a file; `raw`, `npy`, `mrc`, `nifti`: formats that are such
//!   numbers behind a header (`head`). `list`: which of several arrays in a file is meant. `packed`: files inside a gzip or zip
//!   file.
//! - `blosc`: a way of packing blocks. `hdf5`, `zarr`: formats that store blocks.
//!
//! - `open`: the array that a path names, by what the file is.
//!
//! Each of these uses only those before it.

mod axes;
mod blocks;
mod blosc;
mod contiguous;
mod hdf5;
mod head;
mod list;
mod mrc;
mod nifti;
mod npy;
mod numbers;
mod open;
mod packed;
mod planes;
mod raw;
mod source_blocks;
mod zarr;

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::time::SystemTime;

use tiff::decoder::DecodingResult;

pub(crate) use blocks::BlockRoom;
pub(super) use hdf5::checksum as hdf5_checksum;
pub(crate) use hdf5::{DatasetPlace, Hdf5File};
pub(super) use numbers::{copy_common, from_bytes, zeros_like};
pub(super) use open::{open, open_raw};
pub(crate) use planes::Growth;
pub(super) use planes::{ArrayImage, OpenArray, Wanted};
pub(super) use raw::RawFormat;
use source_blocks::SourceBlocks;
pub(super) use zarr::crc32c;

use super::annotations::Annotations;
use super::source::SampleType;
use super::space::Space;
use super::volume::VoxelSize;
use crate::error::Result;

/// How the numbers of an array lie in its file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ArrayLayout {
    /// The length of each axis, outermost first; none is 0.
    pub(super) shape: Vec<usize>,
    /// A letter of `TCZYX` for each axis where the file says what it is; `None` where it does not.
    pub(super) axes: Option<Vec<char>>,
    /// The type of each number.
    pub(super) numbers: SampleType,
    /// How long along each axis a block is that is stored in one piece; `None` where any part is read as quickly as its size
    /// allows.
    pub(super) block: Option<Vec<usize>>,
    /// Whether people who use the format count the axes from the innermost, as in NumPy's Fortran order.
    pub(super) columns_first: bool,
    /// How large a pixel is, where the file says so.
    pub(super) voxel_size: Option<VoxelSize>,
    /// Where it lies in space, where the file says so.
    pub(super) space: Option<Space>,
    /// The files that its numbers are in, where links have led there from the one that was named.
    pub(super) linked_files: Vec<PathBuf>,
    /// What the file says of its channels, of time and of depth.
    pub(super) annotations: Annotations,
}

impl ArrayLayout {
    /// Of numbers that any part can be read of, and of which nothing else is known.
    fn plain(shape: Vec<usize>, numbers: SampleType) -> Self {
        Self {
            shape,
            axes: None,
            numbers,
            block: None,
            columns_first: false,
            voxel_size: None,
            space: None,
            linked_files: Vec::new(),
            annotations: Annotations::default(),
        }
    }
}

/// An array in a file.
pub(super) trait StoredArray: Send + Sync + fmt::Debug {
    /// What messages call it: the path, and the place inside the file where there is one.
    fn name(&self) -> &str;

    /// How it is stored.
    fn layout(&self) -> &ArrayLayout;

    /// What else tells how its numbers lie in the file, as whoever named a file without a header said; nothing where blocks are stored.
    fn place(&self) -> String {
        String::new()
    }

    /// The numbers of a part, a range for each axis, in the order of the axes with the last one fastest. The ranges lie inside
    /// the array; of an array in blocks they are those of one block, cut off where the array ends.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) for what cannot be read, [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    fn read(&self, part: &[Range<usize>]) -> Result<DecodingResult>;

    /// The blocks of other arrays that its numbers are read from, where it has none itself.
    fn source_blocks(&self) -> Option<&SourceBlocks> {
        None
    }

    /// Bytes that are kept as long as it is open, besides its blocks, where these may be many.
    fn held_bytes(&self) -> u64 {
        0
    }

    /// What is stored of a part, as [`StoredArray::read`] takes it, where another program may still be writing the array: `None` for
    /// nothing, so that reading it gives what stands for numbers that were never written.
    fn stored(&self, part: &[Range<usize>]) -> Option<StoredBlock> {
        let _ = part;
        Some(StoredBlock::default())
    }

    /// Whether it is known that nothing of a block is stored, so that any part of it can be read by itself.
    fn is_never_stored(&self, block: &[Range<usize>]) -> bool {
        let _ = block;
        false
    }
}

/// What tells one state of a stored block from another, as far as its format says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct StoredBlock {
    /// The bytes of its file.
    pub(super) bytes: u64,
    /// When its file was written last.
    pub(super) modified: Option<SystemTime>,
}

#[cfg(test)]
mod corpus_tests;
