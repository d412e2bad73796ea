//! The blocks of other arrays that an array is read from, as virtual datasets are.

use std::sync::atomic::{AtomicBool, Ordering};

use super::blocks::{Blocks, unpacked_bytes};
use crate::error::Bytes;
use crate::images::notices::warn_once;

/// The blocks of other arrays, which are stored, that an array is read from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::images) struct SourceBlocks {
    /// See [`Blocks::wanted_bytes`].
    wanted: u64,
    /// Bytes of the largest one.
    block_bytes: u64,
    /// How many rows are in one at most.
    rows: usize,
    /// How many slices lie in one at most.
    depth: usize,
    /// Bytes of the lists that tell where they are.
    lists: u64,
}

impl SourceBlocks {
    /// Those of one array, of which so many bytes of lists tell where they are; its rows lie along the axis `rows`.
    pub(super) fn of(blocks: &Blocks, rows: usize, lists: u64) -> Self {
        Self {
            wanted: blocks.wanted_bytes(),
            block_bytes: blocks.block_bytes(),
            rows: blocks.lengths()[rows],
            depth: blocks.depth(),
            lists,
        }
    }

    /// See [`Blocks::wanted_bytes`].
    pub(super) fn wanted(&self) -> u64 {
        self.wanted
    }

    /// The same with other bytes that are wanted of them.
    pub(super) fn wanting(self, wanted: u64) -> Self {
        Self { wanted, ..self }
    }

    /// With those of another array, only one of which is read at a time.
    pub(super) fn add_alike(&mut self, other: &Self) {
        self.wanted = self.wanted.max(other.wanted);
        self.block_bytes = self.block_bytes.max(other.block_bytes);
        self.rows = self.rows.max(other.rows);
        self.depth = self.depth.max(other.depth);
        self.lists = self.lists.saturating_add(other.lists);
    }

    /// Of the lists no more than so many bytes are kept.
    pub(super) fn limit_lists(&mut self, bytes: u64) {
        self.lists = self.lists.min(bytes);
    }

    /// As [`Blocks::bytes_with`], with the lists.
    pub(super) fn bytes_with(&self, kept: u64) -> u64 {
        let kept = kept.min(self.wanted);
        let unpacked = unpacked_bytes(kept, self.block_bytes);
        kept.saturating_add(unpacked).saturating_add(self.lists)
    }

    /// How many rows are in one at most.
    pub(super) fn rows(&self) -> usize {
        self.rows.max(1)
    }

    /// Whether several slices lie in one.
    pub(super) fn are_thick(&self) -> bool {
        self.depth > 1
    }

    /// How often each block is unpacked where so many bytes are kept.
    fn times(&self, kept: u64) -> usize {
        let slice = (self.wanted / self.depth.max(1) as u64).max(1);
        let most = usize::try_from(kept / slice).unwrap_or(usize::MAX).max(1);
        self.depth.div_ceil(most)
    }

    /// As [`Blocks::tell`], of an array called `name` that is read from these.
    pub(super) fn tell(&self, name: &str, kept: u64, told: &AtomicBool) {
        let times = self.times(kept);
        if times < 2 || told.swap(true, Ordering::Relaxed) {
            return;
        }
        let (wanted, kept) = (Bytes(self.wanted), Bytes(kept));
        warn_once(format!(
            "{name} is made of datasets in blocks of several slices, of which {wanted} are wanted for a slice, and {kept} may be kept in memory: each block is unpacked up to {times} times; store it in thinner blocks with `convert`, or give more memory where there is a setting for it"
        ));
    }
}
