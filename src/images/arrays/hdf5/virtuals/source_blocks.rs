//! The blocks of the datasets that a virtual one is made of: how much memory they want, and how the room of one array is shared by them.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hdf5_pure::{Dataset, Layout};

use super::super::chunks::BYTES_OF_CHUNK;
use super::super::{sample_type, shape_of};
use super::Virtual;
use crate::images::arrays::ArrayLayout;
use crate::images::arrays::blocks::Blocks;
use crate::images::arrays::planes::blocks_of;
use crate::images::arrays::source_blocks::SourceBlocks;

/// The most bytes of the lists that tell where blocks are, of all datasets that a virtual one keeps open, and of their parts in turn.
const MOST_LIST_BYTES: u64 = 32 << 20;
/// So many comparisons of parts are made to find out how many are read together.
const MOST_COMPARED: usize = 1 << 20;
const MOST_PROBES: usize = 256;

/// The lists of datasets that are open, of all parts of a virtual dataset together.
#[derive(Debug, Clone, Default)]
pub(super) struct Lists(Arc<AtomicU64>);

/// The bytes of the lists of one of them, as long as this is there.
pub(super) struct Held {
    all: Lists,
    bytes: u64,
}

impl Lists {
    pub(super) fn add(&self, bytes: u64) -> Held {
        self.0.fetch_add(bytes, Ordering::Relaxed);
        Held { all: self.clone(), bytes }
    }

    /// Whether there are more than may be kept.
    pub(super) fn are_too_long(&self) -> bool {
        self.0.load(Ordering::Relaxed) > MOST_LIST_BYTES
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The blocks that an array of this layout is read in, which is a part of a virtual dataset. Which axis is which does not matter for how
/// blocks are kept, but for the last two.
pub(super) fn blocks_of_part(layout: &ArrayLayout) -> Option<Blocks> {
    let count = layout.shape.len();
    let letter = |axis: usize| match count - axis {
        1 => 'X',
        2 => 'Y',
        _ => 'Z',
    };
    blocks_of(layout, &(0..count).map(letter).collect::<Vec<_>>())
}

/// The blocks of a dataset that is a part; `None` where it has none.
pub(super) fn blocks_of_dataset(dataset: &Dataset) -> Option<SourceBlocks> {
    let Ok(Layout::Chunked { chunk_shape, .. }) = dataset.layout() else { return None };
    let (numbers, _) = sample_type(&dataset.datatype().ok()?)?;
    let shape = shape_of(&dataset.shape().ok()?)?;
    let block = shape_of(&chunk_shape)?;
    if block.len() != shape.len() || shape.len() < 2 || block.contains(&0) || shape.contains(&0) {
        return None;
    }
    let layout = ArrayLayout { block: Some(block), ..ArrayLayout::plain(shape, numbers) };
    let blocks = blocks_of_part(&layout)?;
    let places = layout.shape.iter().zip(blocks.block());
    let count = places.fold(1_u64, |all, (length, block)| all.saturating_mul(length.div_ceil(*block) as u64));
    Some(SourceBlocks::of(&blocks, layout.shape.len() - 2, count.saturating_mul(BYTES_OF_CHUNK)))
}

impl Virtual {
    /// How many other datasets are read together at most, and what is known of the blocks of these, of which those of each source are
    /// given as far as they are known.
    pub(super) fn read_together(&self, known: &[Option<SourceBlocks>]) -> (usize, SourceBlocks) {
        let outer = self.layout.shape.len().saturating_sub(2);
        // From the first to the last index along the axes of images, also where others lie between, as blocks are kept meanwhile.
        let ranges: Vec<Vec<(u64, u64)>> = self
            .parts
            .iter()
            .map(|part| {
                part.here[..outer].iter().map(|along| (along.first(), along.end().unwrap_or(0))).collect()
            })
            .collect();
        let probes = (MOST_COMPARED / self.parts.len().max(1)).clamp(1, MOST_PROBES);
        let mut found = SourceBlocks::default();
        known.iter().flatten().for_each(|one| found.add_alike(one));
        found.limit_lists(MOST_LIST_BYTES);
        let mut most = 1;
        let mut wanted = 0;
        for probe in ranges.iter().step_by(ranges.len().div_ceil(probes).max(1)) {
            let holds = |range: &[(u64, u64)]| {
                range.iter().zip(probe).all(|((start, end), (at, _))| start <= at && at < end)
            };
            let touched = self.parts.iter().zip(&ranges).filter(|(_, range)| holds(range));
            let sources: HashSet<usize> = touched.map(|(part, _)| part.source).collect();
            most = most.max(sources.len());
            let bytes = |source: &usize| match known.get(*source) {
                Some(one) => one.map_or(0, |one| one.wanted()),
                // Those that are too many to be looked at beforehand are like the largest of the others.
                None => found.wanted(),
            };
            wanted = wanted.max(sources.iter().map(bytes).fold(0, u64::saturating_add));
        }
        (most, found.wanting(wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_count_as_long_as_they_are_held() {
        let lists = Lists::default();
        let (first, second) = (lists.add(MOST_LIST_BYTES), lists.clone().add(1));
        assert!(lists.are_too_long());
        drop(first);
        assert!(!lists.are_too_long());
        drop(second);
        assert_eq!(lists.0.load(Ordering::Relaxed), 0);
    }
}
