//! The memory for blocks of the files that images are read from, which are kept because several slices lie in them.

use super::plan::{Cutting, PROGRAM_BYTES};
use crate::images::{BlockRoom, ImageSource};

/// What blocks may take at least of the memory that is named, as a part of it.
const SHARE: u64 = 4;

/// How many bytes of blocks are kept, as long as this is there.
pub(super) struct BlockMemory {
    room: BlockRoom,
    kept: u64,
    /// With how many bytes each block would be unpacked once.
    wanted: u64,
    /// Whether more than the usual may be taken, as the memory is named.
    may_widen: bool,
}

impl BlockMemory {
    /// Of a part of what `cutting` allows, or the usual bytes, for reading `images`.
    pub(super) fn of(cutting: &Cutting, images: &[ImageSource]) -> Self {
        let wanted = images.iter().map(ImageSource::wanted_block_bytes).max().unwrap_or_default();
        let most = match cutting.memory {
            Some(bytes) => bytes.saturating_sub(PROGRAM_BYTES) / SHARE,
            None => BlockRoom::usual() / cutting.programs(),
        };
        let kept = wanted.min(most);
        Self { room: BlockRoom::of(kept), kept, wanted, may_widen: cutting.memory.is_some() }
    }

    /// The bytes that blocks take while `image` is read.
    pub(super) fn bytes(&self, image: &ImageSource) -> u64 {
        image.block_bytes(self.kept)
    }

    /// Takes of `left` bytes, which nothing else takes, what is of use, where memory is named.
    pub(super) fn widen(&mut self, left: u64) {
        if self.may_widen {
            self.kept = self.kept.saturating_add(left).min(self.wanted);
            self.room.set(self.kept);
        }
    }

    /// Tells of blocks that have to be unpacked several times.
    pub(super) fn tell(&self, image: &ImageSource) {
        image.tell_of_blocks(self.kept);
    }
}
