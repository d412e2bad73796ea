//! Gradients of the filters: for each gradient map and each feature map that its channel reads, nine sums
//! over the image.
//!
//! The nine taps of a filter see a pixel of the feature map together with nine pixels of the gradient map, a dilation
//! apart. A tile goes down the rows y, y+s, y+2s, ... of one register of columns: then each step needs one new row
//! of the gradient map, and the two before it are in registers already. The feature map is read where it lies and
//! the gradient map is shifted, so that few loads cross a cache line: one row of it serves all maps of the tile.
//!
//! Columns beside the image hold mirrored pixels of feature maps and zeros in gradient maps: there only the taps that
//! reach back into the image count.

use std::ops::Range;

use super::lanes::{Kernel, Lanes};
use crate::network::TAPS;

/// One gradient map: the dilation of its channel, and how many of the feature maps it reads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader {
    pub(super) dilation: usize,
    pub(super) sources: usize,
}

/// What all bands share.
pub(super) struct FilterGradient<'a> {
    /// Planes of the feature maps, one after the other.
    pub(super) maps: &'a [f32],
    /// Numbers in one of them.
    pub(super) map_plane: usize,
    /// Place of row 0, column 0 in one of them.
    pub(super) map_origin: usize,
    /// Planes of the gradient maps, one after the other.
    pub(super) gradients: &'a [f32],
    /// Numbers in one of them.
    pub(super) gradient_plane: usize,
    /// What belongs to each of them.
    pub(super) readers: &'a [Reader],
    /// Numbers before column 0 of a row of a gradient map.
    pub(super) left: usize,
    /// Distance between rows.
    pub(super) pitch: usize,
    /// Number of rows.
    pub(super) height: usize,
    /// Number of columns.
    pub(super) width: usize,
    /// A row of zeros, for rows beyond the gradient map.
    pub(super) zeros: &'a [f32],
}

/// The sums over one band of rows and one span of columns.
pub(super) struct FilterGradientBand<'a> {
    pub(super) shared: &'a FilterGradient<'a>,
    /// Rows of the feature maps, margins above and below included.
    pub(super) rows: Range<isize>,
    /// Columns of the image; the first is a whole number of registers from column 0.
    pub(super) columns: Range<usize>,
    /// Number of feature maps.
    pub(super) sources: usize,
    /// Nine sums for each feature map of each reader, `[reader][source][tap]`; they are added to.
    pub(super) sums: &'a mut [f32],
}

impl Kernel for FilterGradientBand<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(mut self) {
        for first in (0..self.sources).step_by(L::TILE_MAPS) {
            for index in 0..self.shared.readers.len() {
                let left = self.shared.readers[index].sources.saturating_sub(first);
                // SAFETY: the caller vouches for the instructions.
                unsafe {
                    match left.min(L::TILE_MAPS) {
                        0 => {}
                        1 => self.tile::<L, 1>(index, first),
                        _ => self.tile::<L, 2>(index, first),
                    }
                }
            }
        }
    }
}

impl FilterGradientBand<'_> {
    #[inline(always)]
    unsafe fn tile<L: Lanes, const MAPS: usize>(&mut self, index: usize, first: usize) {
        let shared = self.shared;
        let beside = shared.readers[index].dilation.next_multiple_of(L::COUNT) as isize;
        let whole = self.columns.start as isize..self.columns.end.next_multiple_of(L::COUNT) as isize;
        let left = if whole.start == 0 { -beside..0 } else { 0..0 };
        let right = if self.columns.end == shared.width { whole.end..whole.end + beside } else { 0..0 };
        let mut all = [[0.0; TAPS]; MAPS];
        // SAFETY: the caller vouches for the instructions.
        unsafe {
            self.columns::<L, MAPS, 3>(index, first, whole, 0, &mut all);
            self.columns::<L, MAPS, 1>(index, first, left, 0, &mut all);
            self.columns::<L, MAPS, 1>(index, first, right, 2, &mut all);
        }
        for (map, sums) in all.iter().enumerate() {
            let place = (index * self.sources + first + map) * TAPS;
            self.sums[place..place + TAPS].iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
        }
    }

    /// Adds what some columns of the feature maps contribute to the columns of taps `over..over + OVER`.
    #[inline(always)]
    unsafe fn columns<L: Lanes, const MAPS: usize, const OVER: usize>(
        &self,
        index: usize,
        first: usize,
        columns: Range<isize>,
        over: usize,
        all: &mut [[f32; TAPS]; MAPS],
    ) {
        if columns.is_empty() {
            return;
        }
        let shared = self.shared;
        let s = shared.readers[index].dilation as isize;
        let (height, pitch) = (shared.height as isize, shared.pitch as isize);
        let rows = self.rows.start.max(-s)..self.rows.end.min(height + s);
        let own = (index * shared.gradient_plane) as isize + shared.left as isize;
        // SAFETY: feature maps have a margin of at least one dilation above, below and beside; gradient maps have as
        // many zeros beside their rows; rows hold whole registers of columns; the caller vouches for the instructions.
        unsafe {
            // Where the gradient map's row starts, shifted by the first column of taps.
            let shift = -s * (over as isize - 1);
            let gradient = |row: isize| {
                let (plane, start) = if (0..height).contains(&row) {
                    (shared.gradients, own + row * pitch + shift)
                } else {
                    (shared.zeros, shared.left as isize + shift)
                };
                debug_assert!(start + columns.start - s * (OVER as isize - 1) >= 0);
                debug_assert!((start + columns.end) as usize <= plane.len());
                plane.as_ptr().offset(start)
            };
            let load = |from: *const f32| {
                let mut row = [L::splat(0.0); OVER];
                for (over, pixels) in row.iter_mut().enumerate() {
                    *pixels = L::load(from.offset(-s * over as isize));
                }
                row
            };
            let mut sums = [[[L::splat(0.0); OVER]; 3]; MAPS];
            for start in rows.start..rows.end.min(rows.start + s) {
                for column in columns.clone().step_by(L::COUNT) {
                    let origin = (first * shared.map_plane + shared.map_origin) as isize;
                    let mut map = shared.maps.as_ptr().offset(origin + start * pitch + column);
                    // Taps of the lowest row see the row above: what is newest to a tile that goes down.
                    let mut seen = [
                        [L::splat(0.0); OVER],
                        load(gradient(start).offset(column)),
                        load(gradient(start - s).offset(column)),
                    ];
                    let mut row = start;
                    while row < rows.end {
                        let below = gradient(row + s).offset(column);
                        seen[0] = load(below);
                        L::fetch_soon(below.wrapping_add(L::COUNT));
                        for (m, sums) in sums.iter_mut().enumerate() {
                            let pixels = L::load(map.add(m * shared.map_plane));
                            L::fetch_soon(map.wrapping_add(m * shared.map_plane + L::COUNT));
                            for (sums, seen) in sums.iter_mut().zip(&seen) {
                                for (sum, seen) in sums.iter_mut().zip(seen) {
                                    *sum = pixels.multiply_add(*seen, *sum);
                                }
                            }
                        }
                        seen[2] = seen[1];
                        seen[1] = seen[0];
                        map = map.wrapping_offset(s * pitch);
                        row += s;
                    }
                }
            }
            for (all, sums) in all.iter_mut().zip(&sums) {
                for (down, sums) in sums.iter().enumerate() {
                    for (across, sum) in sums.iter().enumerate() {
                        all[3 * down + over + across] += sum.sum();
                    }
                }
            }
        }
    }
}
