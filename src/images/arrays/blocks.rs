//! Blocks of arrays that were read, or the slices of them that come next, kept while there is room.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rayon::prelude::*;
use tiff::decoder::DecodingResult;

use super::StoredArray;
use super::numbers::{byte_count, copy_common, lengths, zeros, zeros_like};
use crate::error::{Bytes, Error, Result};
use crate::images::notices::warn_once;
use crate::memory;

/// Room for blocks where nobody says how much, and the share of the free memory that it is at most.
const USUAL_BYTES: u64 = 256 << 20;
const SHARE: u64 = 4;
/// Arrays that are read in turn share the room: those that one of the last so many readings was of.
const RECENT: u64 = 16;
/// What is unpacked at a time, as a part of the room, and how often it is there meanwhile: packed, unpacked, and as numbers.
const AT_A_TIME: u64 = 8;
const COPIES: u64 = 3;

/// The blocks of all arrays of this program that were used last, as many as there is room for.
pub(super) static CACHE: Cache = Cache::new();

/// Blocks that were read, and those of their slices that are kept.
pub(super) struct Cache {
    /// The bytes that there is room for; 0 for the usual.
    room: AtomicU64,
    kept: Mutex<Kept>,
}

/// An array, and the place of a block in it, counted in blocks.
type Key = (u64, Vec<usize>);

struct Kept {
    pieces: BTreeMap<Key, Piece>,
    /// The blocks by their last use, the one that is longest ago first.
    by_use: BTreeMap<u64, Key>,
    bytes: u64,
    /// Counts uses.
    clock: u64,
    /// Counts readings, and which was the last one of each array.
    readings: u64,
    arrays: BTreeMap<u64, u64>,
}

/// What is kept of a block: where that lies in the array, and its numbers.
#[derive(Clone)]
struct Piece {
    ranges: Vec<Range<usize>>,
    numbers: Arc<DecodingResult>,
    used: u64,
}

/// The room for blocks, as long as this is there.
#[derive(Debug)]
pub(crate) struct BlockRoom(());

impl BlockRoom {
    /// Lets the blocks that are kept of all arrays take so many bytes at most.
    pub(crate) fn of(bytes: u64) -> Self {
        let room = Self(());
        room.set(bytes);
        room
    }

    /// Lets them take so many bytes from now on.
    pub(crate) fn set(&self, bytes: u64) {
        CACHE.set_room(bytes.max(1));
    }

    /// The bytes that they may take at present.
    pub(super) fn now() -> u64 {
        CACHE.room()
    }

    /// The most bytes that blocks may take where nobody says how much.
    pub(crate) fn usual() -> u64 {
        static USUAL: OnceLock<u64> = OnceLock::new();
        *USUAL.get_or_init(|| memory::free().map_or(USUAL_BYTES, |free| USUAL_BYTES.min(free.bytes / SHARE)))
    }
}

impl Drop for BlockRoom {
    fn drop(&mut self) {
        CACHE.set_room(0);
    }
}

impl Cache {
    pub(super) const fn new() -> Self {
        let kept = Kept {
            pieces: BTreeMap::new(),
            by_use: BTreeMap::new(),
            bytes: 0,
            clock: 0,
            readings: 0,
            arrays: BTreeMap::new(),
        };
        Self { room: AtomicU64::new(0), kept: Mutex::new(kept) }
    }

    pub(super) fn set_room(&self, bytes: u64) {
        self.room.store(bytes, Ordering::Relaxed);
        let room = self.room();
        self.lock().leave(room);
    }

    fn room(&self) -> u64 {
        match self.room.load(Ordering::Relaxed) {
            0 => BlockRoom::usual(),
            bytes => bytes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What of the room an array has that is being read.
    fn share(&self, array: u64) -> u64 {
        let mut kept = self.lock();
        kept.readings += 1;
        let now = kept.readings;
        kept.arrays.insert(array, now);
        kept.arrays.retain(|_, last| now - *last < RECENT);
        self.room() / kept.arrays.len().max(1) as u64
    }
}

impl Kept {
    fn remove(&mut self, key: &Key) {
        if let Some(piece) = self.pieces.remove(key) {
            self.by_use.remove(&piece.used);
            self.bytes -= byte_count(&piece.numbers) as u64;
        }
    }

    /// Drops the blocks whose use is longest ago until the others take no more than so many bytes.
    fn leave(&mut self, bytes: u64) {
        while self.bytes > bytes {
            let Some((_, key)) = self.by_use.pop_first() else { break };
            self.remove(&key);
        }
    }

    fn insert(&mut self, key: Key, mut piece: Piece, room: u64) {
        self.remove(&key);
        let bytes = byte_count(&piece.numbers) as u64;
        if bytes > room {
            return;
        }
        self.leave(room - bytes);
        self.clock += 1;
        piece.used = self.clock;
        self.by_use.insert(self.clock, key.clone());
        self.pieces.insert(key, piece);
        self.bytes += bytes;
    }

    /// The piece of a block, which is used now.
    fn used(&mut self, key: &Key) -> Option<Piece> {
        let piece = self.pieces.get_mut(key)?;
        self.clock += 1;
        self.by_use.remove(&piece.used);
        piece.used = self.clock;
        self.by_use.insert(self.clock, key.clone());
        Some(piece.clone())
    }
}

/// Whose room the blocks of an array have: that of the array itself, or an equal part of that of one which it is a part of.
#[derive(Debug, Clone, Copy)]
pub(super) struct RoomPart {
    /// Which array this is, among all.
    number: u64,
    /// How many parts of it there are.
    parts: u64,
}

impl RoomPart {
    /// The room of an array that is a new one.
    pub(super) fn new() -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        Self { number: NUMBERS.fetch_add(1, Ordering::Relaxed), parts: 1 }
    }

    /// One of `count` equal parts of it.
    pub(super) fn divided(self, count: usize) -> Self {
        Self { parts: self.parts.saturating_mul(count.max(1) as u64), ..self }
    }
}

/// How many blocks are unpacked at a time.
fn at_a_time(room: u64, block_bytes: u64) -> usize {
    let most = usize::try_from(room / AT_A_TIME / block_bytes.max(1)).unwrap_or(usize::MAX);
    most.clamp(1, rayon::current_num_threads().max(1))
}

/// The bytes of stored blocks that are being unpacked where so many are kept.
pub(super) fn unpacked_bytes(kept: u64, block_bytes: u64) -> u64 {
    (at_a_time(kept, block_bytes) as u64).saturating_mul(block_bytes).saturating_mul(COPIES)
}

/// The blocks that an array is read in.
///
/// Files store arrays in blocks ("chunks") that often are several slices thick. Whoever reads slice by slice would read and
/// unpack each block once for every slice in it. So blocks are kept, and where there is no room for all blocks that one slice lies in,
/// as many slices of each as there is room for: then a block is unpacked a few times, and not once for each slice.
pub(in crate::images) struct Blocks {
    /// Which array this is, among all, and whose room it has.
    number: u64,
    room: RoomPart,
    /// How long a block is along each axis, and how long where the array is shorter than that.
    block: Vec<usize>,
    lengths: Vec<usize>,
    /// Whether the file stores such blocks; else any part of one can be read by itself.
    is_stored: bool,
    /// The axes along which slices lie, the fastest first.
    outer: Vec<usize>,
    /// Bytes of one slice, with all of each block that it lies in along its own axes; and those of a block.
    slice_bytes: u64,
    block_bytes: u64,
    cache: &'static Cache,
    told: AtomicBool,
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocks").field("block", &self.block).finish_non_exhaustive()
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        let mut kept = self.cache.lock();
        kept.arrays.remove(&self.room.number);
        let all = (self.number, Vec::new())..(self.number.saturating_add(1), Vec::new());
        let own: Vec<Key> = kept.pieces.range(all).map(|(key, _)| key.clone()).collect();
        own.iter().for_each(|key| kept.remove(key));
    }
}

impl Blocks {
    /// Of an array whose blocks are `block` long along each axis, and `lengths`, none of which is 0, where it is shorter than that; the
    /// file stores such blocks, or (not `is_stored`) any part of one can be read by itself. Slices lie along the axes `outer`, the
    /// fastest first, and take `slice_bytes` each with all of the blocks of `block_bytes` that they lie in along their own axes.
    pub(super) fn new(
        (block, lengths): (Vec<usize>, Vec<usize>),
        is_stored: bool,
        outer: Vec<usize>,
        (slice_bytes, block_bytes): (u64, u64),
        cache: &'static Cache,
    ) -> Self {
        let room = RoomPart::new();
        let told = AtomicBool::new(false);
        let number = room.number;
        Self { number, room, block, lengths, is_stored, outer, slice_bytes, block_bytes, cache, told }
    }

    /// The same in the room of another array, which tells of them.
    pub(super) fn in_room(mut self, room: RoomPart) -> Self {
        self.room = room;
        self.told = AtomicBool::new(true);
        self
    }

    /// How long a block is along each axis.
    pub(super) fn block(&self) -> &[usize] {
        &self.block
    }

    /// How long a block is along each axis, and no longer than the array.
    pub(super) fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// How many slices lie in one block.
    pub(super) fn depth(&self) -> usize {
        self.outer.iter().map(|axis| self.lengths[*axis]).fold(1, usize::saturating_mul)
    }

    /// The bytes of one block.
    pub(super) fn block_bytes(&self) -> u64 {
        self.block_bytes
    }

    /// The bytes that the blocks have that one slice lies in.
    fn slab_bytes(&self) -> u64 {
        let thick = self.outer.iter().map(|axis| self.lengths[*axis] as u64);
        thick.fold(self.slice_bytes, u64::saturating_mul)
    }

    /// The bytes with which each block is unpacked once when slices are read in order. The next blocks begin while the last ones are
    /// still used, so they are more than one slice lies in.
    pub(in crate::images) fn wanted_bytes(&self) -> u64 {
        let slab = self.slab_bytes();
        slab.saturating_add(slab / 4)
    }

    /// The bytes that blocks take in all where so many are kept, those among them that are being unpacked.
    pub(in crate::images) fn bytes_with(&self, kept: u64) -> u64 {
        let kept = kept.min(self.wanted_bytes());
        let unpacked = if self.is_stored {
            unpacked_bytes(kept, self.block_bytes)
        } else {
            // What is read of the file, before it becomes the numbers that are kept.
            kept.min(self.slab_bytes())
        };
        kept.saturating_add(unpacked)
    }

    /// How long the pieces of blocks are along each axis of which there is `room` for those that one slice lies in.
    fn piece(&self, room: u64) -> Vec<usize> {
        let mut piece = self.lengths.clone();
        let room = room / 5 * 4;
        let mut bytes = self.slice_bytes.max(1);
        for &axis in &self.outer {
            let most = usize::try_from(room / bytes).unwrap_or(usize::MAX).max(1);
            // Pieces of one length take the least memory for the times that a block is unpacked.
            let times = self.lengths[axis].div_ceil(most);
            piece[axis] = self.lengths[axis].div_ceil(times);
            bytes = bytes.saturating_mul(piece[axis] as u64);
        }
        piece
    }

    /// Tells of an array called `name` whose blocks are unpacked several times where there is `room` for those that are kept.
    pub(in crate::images) fn tell(&self, name: &str, room: u64) {
        let piece = self.piece(room);
        let times: usize = self.outer.iter().map(|axis| self.lengths[*axis].div_ceil(piece[*axis])).product();
        if !self.is_stored || times < 2 || self.told.swap(true, Ordering::Relaxed) {
            return;
        }
        let (slab, room) = (Bytes(self.slab_bytes()), Bytes(room));
        warn_once(format!(
            "{name} stores slices in blocks of which one slice touches {slab}, of which {room} may be kept in memory: each block is unpacked {times} times; store it in thinner blocks with `convert`, or give more memory where there is a setting for it"
        ));
    }

    /// The numbers of `array` at `wanted`, block by block.
    ///
    /// # Errors
    /// As [`StoredArray::read`].
    pub(super) fn read(&self, array: &dyn StoredArray, wanted: &[Range<usize>]) -> Result<DecodingResult> {
        let layout = array.layout();
        let empty = || zeros(array.name(), layout.numbers, &lengths(wanted));
        let room = self.cache.share(self.room.number) / self.room.parts;
        self.tell(array.name(), room);
        let lengths = self.piece(room);
        // Memory is only taken once a block was read, as its file may be damaged.
        let mut part = None;
        let places = places_of_blocks(&self.block, wanted);
        // Not more at a time, so that little is there besides what is kept.
        for some in places.chunks(at_a_time(room, self.block_bytes)) {
            let read: Vec<Result<Piece>> =
                some.par_iter().map(|place| self.piece_at(array, place, wanted, &lengths)).collect();
            for piece in read {
                let Piece { ranges, numbers, .. } = piece?;
                let part = match &mut part {
                    Some(part) => part,
                    none => none.insert(empty()?),
                };
                copy_common(part, wanted, &numbers, &ranges).ok_or_else(|| misfit(array, &ranges))?;
            }
        }
        part.map_or_else(empty, Ok)
    }

    /// What is wanted of the block at `place`, with as much of it around that as `lengths` say.
    fn piece_at(
        &self,
        array: &dyn StoredArray,
        place: &[usize],
        wanted: &[Range<usize>],
        lengths: &[usize],
    ) -> Result<Piece> {
        let whole = ranges_of_block(place, &self.block, &array.layout().shape);
        let common = || whole.iter().zip(wanted).map(|(a, b)| a.start.max(b.start)..a.end.min(b.end));
        // A file of a few bytes may have a block of any size that nobody has written.
        if self.is_stored && array.is_never_stored(&whole) {
            let ranges: Vec<_> = common().collect();
            return Ok(Piece { numbers: Arc::new(array.read(&ranges)?), ranges, used: 0 });
        }
        let key = (self.number, place.to_vec());
        let before = self.cache.lock().used(&key);
        let holds = |piece: &Piece| {
            piece
                .ranges
                .iter()
                .zip(common())
                .all(|(there, wanted)| there.start <= wanted.start && wanted.end <= there.end)
        };
        if let Some(piece) = before.as_ref().filter(|piece| holds(piece)) {
            return Ok(piece.clone());
        }
        let mut ranges = whole.clone();
        for &axis in &self.outer {
            let (block, wanted, length) = (&whole[axis], &wanted[axis], lengths[axis]);
            let mut start = wanted.start.max(block.start);
            // Slices that are read backwards, or again with others, want those before them too.
            if before.as_ref().is_some_and(|piece| start < piece.ranges[axis].start) {
                start = start.saturating_sub(length / 4).max(block.start);
            }
            let end = (start + length).max(wanted.end.min(block.end));
            ranges[axis] = start..end.min(block.end);
        }
        drop(before);
        let numbers = if self.is_stored && ranges != whole {
            let unpacked = array.read(&whole)?;
            let count = ranges.iter().map(Range::len).product();
            let mut piece = zeros_like(array.name(), &unpacked, count)?;
            copy_common(&mut piece, &ranges, &unpacked, &whole).ok_or_else(|| misfit(array, &whole))?;
            piece
        } else {
            array.read(&ranges)?
        };
        let piece = Piece { ranges, numbers: Arc::new(numbers), used: 0 };
        let room = self.cache.room();
        self.cache.lock().insert(key, piece.clone(), room);
        Ok(piece)
    }
}

fn misfit(array: &dyn StoredArray, ranges: &[Range<usize>]) -> Error {
    let problem =
        format!("a block at {ranges:?} does not have the numbers that it should; copy or export it again");
    Error::input(array.name(), problem)
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

#[cfg(test)]
#[path = "blocks_tests.rs"]
mod tests;
