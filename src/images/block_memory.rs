//! The memory that blocks of arrays take while images are read.

use std::sync::Arc;

use super::arrays::{BlockRoom, OpenArray};
use super::slab::Slab;
use super::source::ImageSource;

/// The bytes that blocks take at most while parts of `images` are read in any order, where nobody has said how many may be kept: those
/// that are kept of all arrays together, and those of one that are being unpacked.
pub(crate) fn usual_block_bytes<'a>(images: impl IntoIterator<Item = &'a ImageSource>) -> u64 {
    let mut found = Vec::new();
    images.into_iter().for_each(|image| image.add_arrays(&mut found));
    found.retain(|array| array.has_blocks());
    let room = BlockRoom::usual();
    let each = room / found.len().max(1) as u64;
    let kept = found.iter().map(|array| array.wanted_block_bytes()).fold(0, u64::saturating_add).min(room);
    let unpacked =
        found.iter().map(|array| array.block_bytes_with(each) - each.min(array.wanted_block_bytes())).max();
    kept.saturating_add(unpacked.unwrap_or_default())
}

impl ImageSource {
    /// Adds the arrays that the image is read from, each once.
    fn add_arrays<'a>(&'a self, found: &mut Vec<&'a OpenArray>) {
        if let Some(derived) = &self.derived {
            return derived.from.add_arrays(found);
        }
        let several = self.averaged().iter().chain(self.slab.iter().flat_map(Slab::slices));
        several.for_each(|image| image.add_arrays(found));
        if let Some(image) = &self.array
            && !found.iter().any(|array| std::ptr::eq(*array, Arc::as_ptr(&image.array)))
        {
            found.push(&image.array);
        }
    }

    /// Those of them that are read in blocks.
    fn arrays_of_blocks(&self) -> Vec<&OpenArray> {
        let mut found = Vec::new();
        self.add_arrays(&mut found);
        found.retain(|array| array.has_blocks());
        found
    }

    /// Whether it is read in blocks in which other slices lie, too.
    pub(crate) fn has_thick_blocks(&self) -> bool {
        self.arrays_of_blocks().iter().any(|array| array.has_thick_blocks())
    }

    /// The bytes of blocks that have to be kept so that each is unpacked once where images are read in order; 0 for an image that is
    /// not read in blocks.
    pub(crate) fn wanted_block_bytes(&self) -> u64 {
        let arrays = self.arrays_of_blocks();
        let most = arrays.iter().map(|array| array.wanted_block_bytes()).max();
        // The room is shared alike.
        most.unwrap_or_default().saturating_mul(arrays.len() as u64)
    }

    /// The bytes that blocks take where so many are kept, those that are being unpacked among them.
    pub(crate) fn block_bytes(&self, kept: u64) -> u64 {
        let arrays = self.arrays_of_blocks();
        let each = kept / arrays.len().max(1) as u64;
        arrays.iter().map(|array| array.block_bytes_with(each)).fold(0, u64::saturating_add)
    }

    /// Tells of blocks that have to be unpacked several times where so many bytes of them are kept.
    pub(crate) fn tell_of_blocks(&self, kept: u64) {
        let arrays = self.arrays_of_blocks();
        let each = kept / arrays.len().max(1) as u64;
        arrays.iter().for_each(|array| array.tell_of_blocks(each));
    }
}
