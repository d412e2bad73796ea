//! Dilated 3x3 convolutions: the running sums of hidden channels.
//!
//! A convolution of dilation s is s*s independent ones on lattices of stride s. A register tile takes up to
//! [`Lanes::TILE_ROWS`] rows y, y+s, y+2s, ... and one register of columns through a group of feature maps: T rows
//! need T+2 rows of loads instead of 3T. Margins hold the mirror images, so no inner loop needs a case for the edge.
//!
//! A load that crosses a cache line costs more than two that do not, and at most dilations two of three columns of
//! taps would need one. So no tap shifts what it loads: each column of taps has sums of its own, where it
//! reads, and the three are shifted when they are added up, once for a group of maps. One aligned load then
//! serves nine taps.

use std::ops::Range;

use super::lanes::{Kernel, Lanes};
use crate::network::TAPS;

/// Columns of taps, each with sums of its own.
const ACROSS: usize = 3;
/// Columns whose sums are added up while they are still in the nearest cache. A whole number of registers.
const COLUMNS_AT_ONCE: usize = 128;

/// Where the sums of a convolution start.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start {
    /// From the channel's bias.
    Bias(f32),
    /// From the sums that are in the plane already.
    Running,
}

/// The part of one output channel that lies in one band of rows and one span of columns.
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
    /// The columns to compute; the first is a whole number of registers from column 0.
    pub(super) columns: Range<usize>,
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
    /// Room for the sums of a tile's rows; it grows as needed.
    pub(super) sums: &'a mut Vec<f32>,
}

impl Kernel for ConvolveBand<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(mut self) {
        let room = L::TILE_ROWS * ACROSS * self.sums_width::<L>();
        if self.sums.len() < room {
            self.sums.resize(room, 0.0);
        }
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
                        _ => self.rows::<L, 6>(row),
                    }
                }
                done += rows;
            }
        }
    }
}

impl ConvolveBand<'_> {
    /// Columns beside the span whose sums reach into it.
    #[inline(always)]
    fn beside<L: Lanes>(&self) -> usize {
        self.dilation.next_multiple_of(L::COUNT)
    }

    /// Numbers in one row of sums: those of the span and of the columns beside it.
    #[inline(always)]
    fn sums_width<L: Lanes>(&self) -> usize {
        self.columns.len().next_multiple_of(L::COUNT) + 2 * self.beside::<L>()
    }

    /// All columns of the `ROWS` rows from `row` (counted within the band) on, a dilation apart.
    #[inline(always)]
    unsafe fn rows<L: Lanes, const ROWS: usize>(&mut self, row: usize) {
        let (width, beside) = (self.sums_width::<L>(), self.beside::<L>());
        let whole = width - 2 * beside;
        let mut done = 0;
        // SAFETY: the caller vouches for the instructions.
        unsafe {
            for start in (0..width).step_by(COLUMNS_AT_ONCE) {
                let end = (start + COLUMNS_AT_ONCE).min(width);
                for column in (start..end).step_by(L::COUNT) {
                    // The left taps reach the span from the columns before it, the right ones from those after it.
                    if column < beside {
                        self.tile::<L, ROWS, 1>(row, column, 0);
                    } else if column < width - beside {
                        self.tile::<L, ROWS, ACROSS>(row, column, 0);
                    } else {
                        self.tile::<L, ROWS, 1>(row, column, 2);
                    }
                }
                let ready = end.saturating_sub(2 * beside).min(whole);
                self.add_up::<L, ROWS>(row, done..ready);
                done = ready;
            }
        }
    }

    /// Sums of the columns of taps `first..first + COLUMNS`, for the register of columns that starts `column` after
    /// the first of `sums_width`.
    #[inline(always)]
    unsafe fn tile<L: Lanes, const ROWS: usize, const COLUMNS: usize>(
        &mut self,
        row: usize,
        column: usize,
        first: usize,
    ) {
        let step = self.dilation * self.pitch;
        let count = self.filters.len() / TAPS;
        let middle = self.origin + (self.rows.start + row) * self.pitch + self.columns.start + column;
        let width = self.sums_width::<L>();
        let from = middle - self.beside::<L>() - step;
        // Planes have a margin at least as wide as the dilation, and rows hold whole registers of columns.
        debug_assert!(from + (count - 1) * self.plane + (ROWS + 1) * step + L::COUNT <= self.sources.len());
        debug_assert!(ROWS * ACROSS * width <= self.sums.len());
        // SAFETY: the bounds are as asserted above; the caller vouches for the instructions.
        unsafe {
            let mut sums = [[L::splat(0.0); COLUMNS]; ROWS];
            let mut source = self.sources.as_ptr().add(from);
            let mut filter = self.filters.as_ptr().add(first);
            for _ in 0..count {
                let mut taps = [[L::splat(0.0); COLUMNS]; 3];
                for (down, taps) in taps.iter_mut().enumerate() {
                    for (across, tap) in taps.iter_mut().enumerate() {
                        *tap = L::splat(*filter.add(3 * down + across));
                    }
                }
                for r in 0..ROWS + 2 {
                    let pixels = L::load(source.add(r * step));
                    L::fetch_soon(source.wrapping_add(r * step + 2 * L::COUNT));
                    for down in 0..3 {
                        if r >= down && r - down < ROWS {
                            for across in 0..COLUMNS {
                                let sum = &mut sums[r - down][across];
                                *sum = pixels.multiply_add(taps[down][across], *sum);
                            }
                        }
                    }
                }
                source = source.wrapping_add(self.plane);
                filter = filter.wrapping_add(TAPS);
            }
            let into = self.sums.as_mut_ptr().add(column);
            for (r, sums) in sums.iter().enumerate() {
                for (across, sum) in sums.iter().enumerate() {
                    sum.store(into.add((r * ACROSS + first + across) * width));
                }
            }
        }
    }

    /// Shifts the sums of the three columns of taps to where they belong, and adds them to some columns of the output.
    #[inline(always)]
    unsafe fn add_up<L: Lanes, const ROWS: usize>(&mut self, row: usize, columns: Range<usize>) {
        let step = self.dilation * self.pitch;
        let (width, beside) = (self.sums_width::<L>(), self.beside::<L>());
        let into = row * self.pitch + self.left + self.columns.start;
        debug_assert!(into + (ROWS - 1) * step + columns.end <= self.output.len());
        // SAFETY: the bounds are as asserted above and in `tile`; the caller vouches for the instructions.
        unsafe {
            for r in 0..ROWS {
                let output = self.output.as_mut_ptr().add(into + r * step);
                let middle = self.sums.as_ptr().add((r * ACROSS + 1) * width + beside);
                let left = middle.sub(width + self.dilation);
                let right = middle.add(width + self.dilation);
                for column in columns.clone().step_by(L::COUNT) {
                    let start = match self.start {
                        Start::Bias(bias) => L::splat(bias),
                        Start::Running => L::load(output.add(column)),
                    };
                    let sides = L::load(left.add(column)).add(L::load(right.add(column)));
                    let sum = start.add(L::load(middle.add(column)).add(sides));
                    let sum = if self.finish { sum.relu() } else { sum };
                    sum.store(output.add(column));
                }
            }
        }
    }
}
