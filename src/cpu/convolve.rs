//! Dilated 3x3 convolutions: the running sums of hidden channels.
//!
//! A convolution of dilation s is s*s independent ones on lattices of stride s. A register tile takes up to
//! [`Lanes::TILE_ROWS`] rows y, y+s, y+2s, ... and two registers of columns through all feature maps: T rows
//! need T+2 rows of loads instead of 3T, and the sums stay in registers. Margins hold the mirror images, so no
//! inner loop knows where the edge is.

use std::ops::Range;

use super::lanes::{Kernel, Lanes};
use crate::network::TAPS;

/// Where the sums of a convolution start.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start {
    /// From the channel's bias.
    Bias(f32),
    /// From the sums that are in the plane already.
    Running,
}

/// The part of one output channel that lies in one band of rows.
pub(super) struct ConvolveBand<'a> {
    /// Planes of the feature maps to read, one after the other.
    pub(super) sources: &'a [f32],
    /// Numbers in one plane.
    pub(super) plane: usize,
    /// Place of row 0, column 0 in a plane.
    pub(super) origin: usize,
    /// Distance between rows.
    pub(super) pitch: usize,
    /// Nine taps for each of the planes.
    pub(super) filters: &'a [f32],
    /// Dilation of the output channel.
    pub(super) dilation: usize,
    /// Number of columns.
    pub(super) columns: usize,
    /// The rows to compute.
    pub(super) rows: Range<usize>,
    /// Those rows of the output, whole pitches, starting `left` before column 0.
    pub(super) output: &'a mut [f32],
    /// Numbers before column 0 of each row.
    pub(super) left: usize,
    /// Where the sums start.
    pub(super) start: Start,
    /// Whether the sums are complete, and go through the ReLU.
    pub(super) finish: bool,
}

impl Kernel for ConvolveBand<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(mut self) {
        let height = self.rows.len();
        for offset in 0..self.dilation.min(height) {
            let count = (height - offset).div_ceil(self.dilation);
            let tiles = count.div_ceil(L::TILE_ROWS);
            let mut done = 0;
            for tile in 0..tiles {
                // Tiles of nearly equal height: a tile of one row would load thrice what it needs.
                let rows = (count - done).div_ceil(tiles - tile);
                let row = offset + done * self.dilation;
                // SAFETY: the caller vouches for the instructions.
                unsafe {
                    match rows {
                        1 => self.rows::<L, 1>(row),
                        2 => self.rows::<L, 2>(row),
                        3 => self.rows::<L, 3>(row),
                        4 => self.rows::<L, 4>(row),
                        5 => self.rows::<L, 5>(row),
                        6 => self.rows::<L, 6>(row),
                        7 => self.rows::<L, 7>(row),
                        _ => self.rows::<L, 8>(row),
                    }
                }
                done += rows;
            }
        }
    }
}

impl ConvolveBand<'_> {
    /// All columns of the `ROWS` rows from `row` (counted within the band) on, a dilation apart.
    #[inline(always)]
    unsafe fn rows<L: Lanes, const ROWS: usize>(&mut self, row: usize) {
        let mut column = 0;
        // SAFETY: the caller vouches for the instructions.
        unsafe {
            while column + L::COUNT < self.columns {
                self.tile::<L, ROWS, 2>(row, column);
                column += 2 * L::COUNT;
            }
            if column < self.columns {
                self.tile::<L, ROWS, 1>(row, column);
            }
        }
    }

    #[inline(always)]
    #[expect(clippy::needless_range_loop, reason = "one index goes through rows of sums and pointers alike")]
    unsafe fn tile<L: Lanes, const ROWS: usize, const REGISTERS: usize>(
        &mut self,
        row: usize,
        column: usize,
    ) {
        let step = self.dilation * self.pitch;
        let count = self.filters.len() / TAPS;
        let reach = step + self.dilation;
        let first = self.origin + (self.rows.start + row) * self.pitch + column;
        let last = first + (ROWS - 1) * step + REGISTERS * L::COUNT - 1;
        let into = row * self.pitch + self.left + column;
        // Planes have a margin at least as wide as the dilation, and rows hold whole registers of columns.
        debug_assert!(
            first >= reach && last + reach < self.plane && count * self.plane <= self.sources.len()
        );
        debug_assert!(into + (ROWS - 1) * step + REGISTERS * L::COUNT <= self.output.len());
        // SAFETY: the bounds are as asserted above; the caller vouches for the instructions.
        unsafe {
            let output = self.output.as_mut_ptr().add(into);
            let mut sums = [[L::splat(0.0); REGISTERS]; ROWS];
            for (r, sums) in sums.iter_mut().enumerate() {
                for (v, sum) in sums.iter_mut().enumerate() {
                    *sum = match self.start {
                        Start::Bias(bias) => L::splat(bias),
                        Start::Running => L::load(output.add(r * step + v * L::COUNT)),
                    };
                }
            }
            let mut source = self.sources.as_ptr().add(first - reach);
            let mut filter = self.filters.as_ptr();
            for _ in 0..count {
                for across in 0..3 {
                    let top = L::splat(*filter.add(across));
                    let middle = L::splat(*filter.add(3 + across));
                    let bottom = L::splat(*filter.add(6 + across));
                    let from = source.add(across * self.dilation);
                    for r in 0..ROWS + 2 {
                        for v in 0..REGISTERS {
                            let pixels = L::load(from.add(r * step + v * L::COUNT));
                            if r < ROWS {
                                sums[r][v] = pixels.multiply_add(top, sums[r][v]);
                            }
                            if (1..=ROWS).contains(&r) {
                                sums[r - 1][v] = pixels.multiply_add(middle, sums[r - 1][v]);
                            }
                            if r >= 2 {
                                sums[r - 2][v] = pixels.multiply_add(bottom, sums[r - 2][v]);
                            }
                        }
                    }
                }
                source = source.wrapping_add(self.plane);
                filter = filter.wrapping_add(TAPS);
            }
            for (r, sums) in sums.iter().enumerate() {
                for (v, sum) in sums.iter().enumerate() {
                    let sum = if self.finish { sum.relu() } else { *sum };
                    sum.store(output.add(r * step + v * L::COUNT));
                }
            }
        }
    }
}
