//! How often blocks are unpacked, and how much of them is kept.

use std::sync::atomic::AtomicUsize;

use super::*;
use crate::images::arrays::ArrayLayout;
use crate::images::source::{SampleKind, SampleType};

const SHAPE: [usize; 3] = [64, 32, 48];
const BLOCK: [usize; 3] = [16, 8, 16];
const SLICE_BYTES: u64 = 32 * 48 * 2;
const BLOCKS_OF_SLICE: usize = 4 * 3;
const ALL_BLOCKS: usize = 4 * BLOCKS_OF_SLICE;

/// An array of numbers that are different everywhere, which counts how often a block of it is unpacked.
#[derive(Debug)]
struct Counting {
    layout: ArrayLayout,
    unpacked: AtomicUsize,
}

fn number(z: usize, y: usize, x: usize) -> u16 {
    (z * 1021 + y * 48 + x) as u16
}

impl StoredArray for Counting {
    fn name(&self) -> &str {
        "thick"
    }

    fn layout(&self) -> &ArrayLayout {
        &self.layout
    }

    fn read(&self, part: &[Range<usize>]) -> Result<DecodingResult> {
        assert!(
            part.iter().zip(BLOCK).all(|(range, block)| range.start % block == 0 && range.len() == block)
        );
        self.unpacked.fetch_add(1, Ordering::Relaxed);
        let (z, y, x) = (&part[0], &part[1], &part[2]);
        let rows = z.clone().flat_map(|z| y.clone().map(move |y| (z, y)));
        Ok(DecodingResult::U16(rows.flat_map(|(z, y)| x.clone().map(move |x| number(z, y, x))).collect()))
    }
}

struct Reading {
    array: Counting,
    blocks: Blocks,
    cache: &'static Cache,
}

impl Reading {
    /// Of an array with its own room for so many bytes of blocks.
    fn new(room: u64) -> Self {
        let cache: &'static Cache = Box::leak(Box::new(Cache::new()));
        cache.set_room(room);
        Self::with(cache)
    }

    fn with(cache: &'static Cache) -> Self {
        let numbers = SampleType { kind: SampleKind::Unsigned, bits: 16 };
        let layout =
            ArrayLayout { block: Some(BLOCK.to_vec()), ..ArrayLayout::plain(SHAPE.to_vec(), numbers) };
        let bytes = (SLICE_BYTES, BLOCK.iter().product::<usize>() as u64 * 2);
        let blocks = Blocks::new((BLOCK.to_vec(), BLOCK.to_vec()), true, vec![0], bytes, cache);
        Self { array: Counting { layout, unpacked: AtomicUsize::new(0) }, blocks, cache }
    }

    /// Reads a slice, which has to be right, and leaves no more than there is room for.
    fn slice(&self, z: usize) {
        let found = self.blocks.read(&self.array, &[z..z + 1, 0..SHAPE[1], 0..SHAPE[2]]).unwrap();
        let expected = (0..SHAPE[1]).flat_map(|y| (0..SHAPE[2]).map(move |x| number(z, y, x)));
        let DecodingResult::U16(found) = found else { panic!("other numbers") };
        assert!(found.into_iter().eq(expected), "{z}");
        let kept = self.cache.lock();
        assert!(kept.bytes <= self.cache.room(), "{} bytes are kept", kept.bytes);
        let there: u64 = kept.pieces.values().map(|piece| byte_count(&piece.numbers) as u64).sum();
        assert_eq!((kept.bytes, kept.by_use.len()), (there, kept.pieces.len()));
    }

    fn unpacked(&self) -> usize {
        self.array.unpacked.load(Ordering::Relaxed)
    }
}

/// Room for so many slices, and for the quarter more that is used where the next blocks begin.
fn room(slices: u64) -> u64 {
    slices * SLICE_BYTES * 5 / 4
}

#[test]
fn what_is_kept_stays_within_its_room_and_blocks_are_unpacked_as_often_as_that_takes() {
    for (slices, times) in [(1000, 1), (16, 1), (15, 2), (8, 2), (7, 3), (4, 4), (2, 8), (1, 16)] {
        let reading = Reading::new(room(slices));
        (0..SHAPE[0]).for_each(|z| reading.slice(z));
        assert_eq!(reading.unpacked(), times * ALL_BLOCKS, "room for {slices} slices");
    }
    // Where there is no room at all, each slice unpacks all blocks that it lies in.
    let reading = Reading::new(1);
    (0..8).for_each(|z| reading.slice(z));
    assert_eq!((reading.unpacked(), reading.cache.lock().bytes), (8 * BLOCKS_OF_SLICE, 0));
}

#[test]
fn slices_that_are_read_again_with_their_neighbours_cost_little_more() {
    let reading = Reading::new(room(8));
    for z in 1..SHAPE[0] - 1 {
        (z - 1..z + 2).for_each(|z| reading.slice(z));
    }
    assert!(reading.unpacked() <= 6 * ALL_BLOCKS, "{}", reading.unpacked());
    let reading = Reading::new(room(8));
    (0..SHAPE[0]).rev().for_each(|z| reading.slice(z));
    assert!(reading.unpacked() <= 8 * ALL_BLOCKS, "{}", reading.unpacked());
}

#[test]
fn arrays_that_are_read_in_turn_share_the_room_and_leave_it_when_they_are_closed() {
    let one = Reading::new(room(16));
    let other = Reading::with(one.cache);
    for z in 0..SHAPE[0] {
        one.slice(z);
        other.slice(z);
    }
    // Half of the room each, which is half of their slices.
    assert!(one.unpacked() <= 3 * ALL_BLOCKS && other.unpacked() <= 3 * ALL_BLOCKS);
    let cache = one.cache;
    assert!(cache.lock().pieces.keys().any(|(number, _)| *number == one.blocks.number));
    drop(one);
    assert_eq!(cache.lock().arrays.len(), 1);
    drop(other);
    let kept = cache.lock();
    assert_eq!((kept.bytes, kept.pieces.len(), kept.by_use.len(), kept.arrays.len()), (0, 0, 0, 0));
}

#[test]
fn parts_of_an_array_have_the_room_of_one_or_equal_shares_of_it() {
    let two = |part: RoomPart| {
        let cache = Reading::new(room(16)).cache;
        [(); 2].map(|()| Reading::with(cache)).map(|one| Reading { blocks: one.blocks.in_room(part), ..one })
    };
    // One after the other, as if they were one array.
    let [one, other] = two(RoomPart::new());
    [&one, &other].into_iter().for_each(|part| (0..SHAPE[0]).for_each(|z| part.slice(z)));
    assert_eq!((one.unpacked(), other.unpacked()), (ALL_BLOCKS, ALL_BLOCKS));
    // Side by side.
    let [one, other] = two(RoomPart::new().divided(2));
    (0..SHAPE[0]).for_each(|z| [&one, &other].into_iter().for_each(|part| part.slice(z)));
    assert!(one.unpacked() <= 3 * ALL_BLOCKS && other.unpacked() <= 3 * ALL_BLOCKS);
    assert_eq!(one.cache.lock().arrays.len(), 1);
}

#[test]
fn less_room_takes_away_what_was_used_longest_ago() {
    let reading = Reading::new(room(1000));
    (0..SHAPE[0]).for_each(|z| reading.slice(z));
    assert_eq!(reading.cache.lock().bytes, 64 * SLICE_BYTES);
    reading.cache.set_room(room(16));
    assert!(reading.cache.lock().bytes <= room(16));
    reading.slice(SHAPE[0] - 1);
    assert_eq!(reading.unpacked(), ALL_BLOCKS);
}

#[test]
fn what_blocks_take_is_known_beforehand() {
    let reading = Reading::new(room(16));
    let blocks = &reading.blocks;
    assert_eq!(blocks.wanted_bytes(), 16 * SLICE_BYTES * 5 / 4);
    let at_a_time = |kept| blocks.bytes_with(kept) - kept.min(blocks.wanted_bytes());
    // An eighth of the room is less than two blocks, of which one is unpacked all the same; more than is wanted is not kept.
    for kept in [1, room(16), 1 << 40] {
        assert_eq!(at_a_time(kept), 3 * 4096, "{kept}");
    }
}
