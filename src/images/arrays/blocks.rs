//! Blocks of an array that were read, kept while there is room.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;
use tiff::decoder::DecodingResult;

use super::StoredArray;
use super::numbers::{byte_count, copy_common, lengths, zeros};
use crate::error::{Error, Result};
use crate::memory;

/// Room for blocks, where the system does not say what is free, and the most that is taken where one slice does not need more.
const USUAL_BYTES: u64 = 256 << 20;
/// The share of the free memory that blocks may take.
const SHARE: u64 = 4;

/// The blocks of one array that were used last, as many as there is room for.
///
/// Files store arrays in blocks ("chunks") that often are several slices thick. Whoever reads slice by slice would read and
/// unpack each block once for every slice in it.
pub(super) struct Blocks {
    room: u64,
    kept: Mutex<Kept>,
}

/// Where a block lies, and its numbers.
type ReadBlock = (Vec<Range<usize>>, Arc<DecodingResult>);

#[derive(Default)]
struct Kept {
    blocks: HashMap<Vec<usize>, (u64, Arc<DecodingResult>)>,
    bytes: u64,
    /// Counts uses, to find the block whose last use is longest ago.
    clock: u64,
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocks").field("room", &self.room).finish_non_exhaustive()
    }
}

impl Blocks {
    /// For an array of which `slab` bytes are the blocks that one slice lies in.
    pub(super) fn new(slab: u64) -> Self {
        let most = memory::free().map_or(USUAL_BYTES, |free| free.bytes / SHARE);
        // One block more, as the next slab begins while the last one is still used.
        let wanted = slab.saturating_add(slab / 4);
        Self { room: wanted.max(USUAL_BYTES).min(most), kept: Mutex::default() }
    }

    /// Whether a slab of so many bytes stays from one slice to the next.
    pub(super) fn holds(&self, slab: u64) -> bool {
        slab <= self.room
    }

    /// The numbers of `array` at `wanted`, block by block.
    ///
    /// # Errors
    /// As [`StoredArray::read`].
    pub(super) fn read(
        &self,
        array: &dyn StoredArray,
        block: &[usize],
        wanted: &[Range<usize>],
    ) -> Result<DecodingResult> {
        let layout = array.layout();
        let empty = || zeros(array.name(), layout.numbers, &lengths(wanted));
        // Memory is only taken once a block was read, as its file may be damaged.
        let mut part = None;
        let places = places_of_blocks(block, wanted);
        let cores = rayon::current_num_threads().max(1);
        // As many at a time as there are cores, so that few blocks are there besides those that are kept.
        for some in places.chunks(cores) {
            let read: Vec<Result<ReadBlock>> = some
                .par_iter()
                .map(|place| {
                    let ranges = ranges_of_block(place, block, &layout.shape);
                    let numbers = match self.kept(place) {
                        Some(numbers) => numbers,
                        None => {
                            let numbers = Arc::new(array.read(&ranges)?);
                            self.keep(place, &numbers);
                            numbers
                        }
                    };
                    Ok((ranges, numbers))
                })
                .collect();
            for block in read {
                let (ranges, numbers) = block?;
                let part = match &mut part {
                    Some(part) => part,
                    none => none.insert(empty()?),
                };
                copy_common(part, wanted, &numbers, &ranges).ok_or_else(|| {
                    let problem = format!("a block at {ranges:?} does not have the numbers that it should; copy or export it again");
                    Error::input(array.name(), problem)
                })?;
            }
        }
        part.map_or_else(empty, Ok)
    }

    fn kept(&self, place: &[usize]) -> Option<Arc<DecodingResult>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clock += 1;
        let now = kept.clock;
        let (used, numbers) = kept.blocks.get_mut(place)?;
        *used = now;
        Some(numbers.clone())
    }

    fn keep(&self, place: &[usize], numbers: &Arc<DecodingResult>) {
        let bytes = byte_count(numbers) as u64;
        if bytes > self.room {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        while kept.bytes + bytes > self.room {
            let oldest =
                kept.blocks.iter().min_by_key(|(_, (used, _))| *used).map(|(place, _)| place.clone());
            let Some((_, dropped)) = oldest.and_then(|place| kept.blocks.remove(&place)) else { break };
            kept.bytes -= byte_count(&dropped) as u64;
        }
        kept.clock += 1;
        let now = kept.clock;
        if kept.blocks.insert(place.to_vec(), (now, numbers.clone())).is_none() {
            kept.bytes += bytes;
        }
    }
}

/// The places of the blocks that `wanted` touches, counted in blocks, the last axis fastest.
pub(super) fn places_of_blocks(block: &[usize], wanted: &[Range<usize>]) -> Vec<Vec<usize>> {
    let mut places = vec![Vec::new()];
    for (&length, range) in block.iter().zip(wanted) {
        let length = length.max(1);
        let along = range.start / length..range.end.div_ceil(length);
        places = places
            .into_iter()
            .flat_map(|place: Vec<usize>| along.clone().map(move |next| [place.as_slice(), &[next]].concat()))
            .collect();
    }
    places
}

/// Where a block lies, cut off where the array ends.
pub(super) fn ranges_of_block(place: &[usize], block: &[usize], shape: &[usize]) -> Vec<Range<usize>> {
    place
        .iter()
        .zip(block)
        .zip(shape)
        .map(|((&number, &length), &end)| number * length..((number + 1) * length).min(end))
        .collect()
}
