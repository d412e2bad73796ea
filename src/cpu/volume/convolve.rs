//! Dilated 3x3x3 convolutions: the running sums of hidden channels.
//!
//! A row of a channel is a sum over up to nine rows of each feature map. A tile of registers side by side has three sums for each, those of
//! the left, the middle and the right taps, each where it reads: one load serves three taps, and no load is shifted. When the row is
//! through, the sums are shifted and added up, once for a group of feature maps. Rows go in steps of the dilation, so that two thirds of
//! what a row reads is in the nearest cache already.

use std::ops::Range;

use super::super::convolve::Start;
use super::super::lanes::{Kernel, Lanes};
use super::{Dilations, Surroundings, in_steps};
use crate::network::TAPS;

/// Taps of a filter.
const FILTER: usize = 3 * TAPS;
/// Numbers in a line of a cache.
const LINE: usize = 16;
/// Rows whose sums are made before they are shifted: a shifted load from what was just stored would wait until it is in the cache.
const ROWS: usize = 4;
/// Bytes of the nearest cache that the rows of a group of feature maps may take.
const NEAREST: usize = 24 << 10;

/// How many feature maps are read at once, when rows have so many numbers.
pub(in crate::cpu) fn planes_at_once(pitch: usize) -> usize {
    (NEAREST / (4 * TAPS * pitch)).clamp(2, 12)
}

/// The part of one output channel that lies in one band of rows.
pub(in crate::cpu) struct ConvolveVolume<'a> {
    pub(in crate::cpu) surroundings: &'a Surroundings,
    /// Planes of the feature maps to read, one after the other.
    pub(in crate::cpu) sources: &'a [f32],
    /// Numbers in one plane.
    pub(in crate::cpu) plane: usize,
    /// Place of row 0 in a plane.
    pub(in crate::cpu) origin: usize,
    /// Distance between rows.
    pub(in crate::cpu) pitch: usize,
    /// 27 taps for each of the planes.
    pub(in crate::cpu) filters: &'a [f32],
    pub(in crate::cpu) dilations: Dilations,
    /// The rows to compute, counted through all slices.
    pub(in crate::cpu) rows: Range<usize>,
    /// Those rows of the output, whole pitches.
    pub(in crate::cpu) output: &'a mut [f32],
    pub(in crate::cpu) start: Start,
    /// Whether the sums are complete, and go through the ReLU.
    pub(in crate::cpu) finish: bool,
    /// Room for the sums of a row; it grows as needed.
    pub(in crate::cpu) sums: &'a mut Vec<f32>,
}

impl Kernel for ConvolveVolume<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(mut self) {
        let surroundings = self.surroundings;
        let height = surroundings.extent.y;
        if self.sums.len() < ROWS * 3 * self.pitch {
            self.sums.resize(ROWS * 3 * self.pitch, 0.0);
        }
        let (mut now, mut next) = (Reads::default(), Reads::default());
        let mut order: Vec<usize> = Vec::new();
        for (z, rows) in surroundings.slices(self.rows.clone()) {
            // Where the slices that are read start in a plane.
            let slices = surroundings.z.seen(self.dilations.along_z)[z]
                .map(|slice| slice.map(|slice| self.origin + slice * height * self.pitch));
            order.clear();
            order.extend(in_steps(rows, self.dilations.within));
            self.reads(&slices, order.first().copied(), &mut now);
            for start in (0..order.len()).step_by(ROWS) {
                let rows = start..(start + ROWS).min(order.len());
                for index in rows.clone() {
                    self.reads(&slices, order.get(index + 1).copied(), &mut next);
                    let follows =
                        index + 1 < order.len() && order[index + 1] == order[index] + self.dilations.within;
                    next.keep_new(follows);
                    // SAFETY: the caller vouches for the instructions.
                    unsafe { self.row::<L>(&now, &next, index - start) };
                    std::mem::swap(&mut now, &mut next);
                }
                for index in rows {
                    self.add_up(z * height + order[index] - self.rows.start, index - start);
                }
            }
        }
    }
}

/// The rows that a row reads.
#[derive(Default)]
struct Reads {
    /// Where each starts in a plane, and the first of the three taps that read it.
    rows: [(usize, usize); TAPS],
    count: usize,
    /// The starts of those that the row before did not read.
    new: [usize; TAPS],
    new_count: usize,
}

impl Reads {
    /// Finds those that the row before does not have: the lowest of each slice where that row is a dilation above, else all.
    #[inline(always)]
    fn keep_new(&mut self, follows: bool) {
        self.new_count = 0;
        for &(from, tap) in &self.rows[..self.count] {
            if !follows || tap % TAPS == 6 {
                self.new[self.new_count] = from;
                self.new_count += 1;
            }
        }
    }
}

impl ConvolveVolume<'_> {
    /// What row `y` of the slice reads, where the taps along z find their slices at `slices`; nothing beyond the last row.
    #[inline(always)]
    fn reads(&self, slices: &[Option<usize>; 3], y: Option<usize>, reads: &mut Reads) {
        reads.count = 0;
        let Some(y) = y else { return };
        let rows = self.surroundings.y.seen(self.dilations.within)[y];
        for tap_z in self.dilations.taps_z() {
            let Some(slice) = slices[tap_z] else { continue };
            for (tap_y, row) in rows.into_iter().enumerate() {
                if let Some(row) = row {
                    reads.rows[reads.count] = (slice + row * self.pitch, TAPS * tap_z + 3 * tap_y);
                    reads.count += 1;
                }
            }
        }
    }

    /// The sums of all columns of a row. What the next one reads is brought near meanwhile: there are too many rows for the hardware to
    /// foresee them.
    #[inline(always)]
    unsafe fn row<L: Lanes>(&mut self, reads: &Reads, next: &Reads, slot: usize) {
        let registers = self.surroundings.extent.x.div_ceil(L::COUNT);
        let tiles = registers.div_ceil(L::SUMS / 3);
        let mut done = 0;
        for tile in 0..tiles {
            // Tiles of nearly equal width: few sums at a time would wait for each other.
            let size = (registers - done).div_ceil(tiles - tile);
            // SAFETY: the caller vouches for the instructions.
            unsafe {
                match size {
                    1 => self.tile::<L, 1>(reads, next, slot, done * L::COUNT),
                    2 => self.tile::<L, 2>(reads, next, slot, done * L::COUNT),
                    3 => self.tile::<L, 3>(reads, next, slot, done * L::COUNT),
                    4 => self.tile::<L, 4>(reads, next, slot, done * L::COUNT),
                    5 => self.tile::<L, 5>(reads, next, slot, done * L::COUNT),
                    6 => self.tile::<L, 6>(reads, next, slot, done * L::COUNT),
                    7 => self.tile::<L, 7>(reads, next, slot, done * L::COUNT),
                    _ => self.tile::<L, 8>(reads, next, slot, done * L::COUNT),
                }
            }
            done += size;
        }
    }

    /// The sums of `REGISTERS` registers of columns from `column` on.
    #[inline(always)]
    unsafe fn tile<L: Lanes, const REGISTERS: usize>(
        &mut self,
        reads: &Reads,
        next: &Reads,
        slot: usize,
        column: usize,
    ) {
        let (reads, next) = (&reads.rows[..reads.count], &next.new[..next.new_count]);
        let count = self.filters.len() / FILTER;
        let reach = column + REGISTERS * L::COUNT;
        debug_assert!(reach <= self.pitch);
        debug_assert!(
            reads.iter().all(|&(from, _)| (count - 1) * self.plane + from + reach <= self.sources.len())
        );
        // SAFETY: rows hold whole registers of columns, and the taps of a read are those of one filter; the caller vouches for the
        // instructions.
        unsafe {
            let mut sums = [[L::splat(0.0); 3]; REGISTERS];
            for k in 0..count {
                let source = self.sources.as_ptr().add(k * self.plane + column);
                let filter = self.filters.as_ptr().add(k * FILTER);
                for &from in next {
                    for line in (0..REGISTERS * L::COUNT).step_by(LINE) {
                        L::fetch_soon(source.wrapping_add(from + line));
                    }
                }
                for &(from, tap) in reads {
                    let weights = [
                        L::splat(*filter.add(tap)),
                        L::splat(*filter.add(tap + 1)),
                        L::splat(*filter.add(tap + 2)),
                    ];
                    let source = source.add(from);
                    for (v, sums) in sums.iter_mut().enumerate() {
                        let pixels = L::load(source.add(v * L::COUNT));
                        for (sum, weight) in sums.iter_mut().zip(weights) {
                            *sum = pixels.multiply_add(weight, *sum);
                        }
                    }
                }
            }
            debug_assert!(3 * (slot + 1) * self.pitch <= self.sums.len());
            for (v, sums) in sums.iter().enumerate() {
                for (across, sum) in sums.iter().enumerate() {
                    let place = (3 * slot + across) * self.pitch + column + v * L::COUNT;
                    sum.store(self.sums.as_mut_ptr().add(place));
                }
            }
        }
    }

    /// Shifts the sums of the three columns of taps to where they belong, and adds them to row `row` of the band.
    #[inline(always)]
    fn add_up(&mut self, row: usize, slot: usize) {
        let columns = self.surroundings.extent.x;
        let output = &mut self.output[row * self.pitch..][..columns];
        let sums = &self.sums[3 * slot * self.pitch..3 * (slot + 1) * self.pitch];
        let (left, rest) = sums.split_at(self.pitch);
        let (middle, right) = rest.split_at(self.pitch);
        match self.start {
            Start::Bias(bias) => output.iter_mut().zip(middle).for_each(|(output, sum)| *output = bias + sum),
            Start::Running => output.iter_mut().zip(middle).for_each(|(output, sum)| *output += sum),
        }
        self.surroundings.shift(self.dilations.within).add_sums(output, left, right);
        if self.finish {
            // NaN stays NaN.
            output.iter_mut().for_each(|value| *value = if *value < 0.0 { 0.0 } else { *value });
        }
    }
}
