//! Gradients of the filters: for each gradient map and each feature map that its channel reads, nine sums
//! over the image.
//!
//! The nine taps of a filter see a row r of the feature map together with the rows r+s, r and r-s of the
//! gradient map, so one load of a pixel serves three taps and one load of a gradient serves three columns of taps
//! of every feature map in the tile. The sums stay in registers for a whole band of rows.

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
    /// Planes of the gradient maps, one after the other, from row 0 of the first on.
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
    /// A row of zeros, for rows beyond the gradient map.
    pub(super) zeros: &'a [f32],
}

/// The sums over one band of rows and one span of columns.
pub(super) struct FilterGradientBand<'a> {
    pub(super) shared: &'a FilterGradient<'a>,
    /// Rows of the feature maps, margins above and below included.
    pub(super) rows: Range<isize>,
    /// Columns of the gradient maps; the first is a whole number of registers from column 0.
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
        let s = shared.readers[index].dilation as isize;
        let (height, pitch) = (shared.height as isize, shared.pitch as isize);
        let rows = self.rows.start.max(-s)..self.rows.end.min(height + s);
        let columns = self.columns.start..self.columns.end.next_multiple_of(L::COUNT);
        // SAFETY: feature maps have a margin of at least one dilation on all sides, rows hold whole registers of columns,
        // and the caller vouches for the instructions.
        unsafe {
            let mut sums = [[L::splat(0.0); TAPS]; MAPS];
            for row in rows {
                // Taps of the lowest row of a filter see the row above.
                let gradient = |down: isize| {
                    let seen = row - s * (down - 1);
                    if (0..height).contains(&seen) {
                        let start =
                            index * shared.gradient_plane + seen as usize * shared.pitch + shared.left;
                        debug_assert!(start + columns.end <= shared.gradients.len());
                        shared.gradients.as_ptr().add(start)
                    } else {
                        debug_assert!(columns.end <= shared.zeros.len());
                        shared.zeros.as_ptr()
                    }
                };
                let (top, middle, bottom) = (gradient(0), gradient(1), gradient(2));
                let start = (first * shared.map_plane + shared.map_origin) as isize + row * pitch - s;
                debug_assert!(start >= 0);
                debug_assert!(
                    start as usize + (MAPS - 1) * shared.map_plane + 2 * s as usize + columns.end
                        <= shared.maps.len()
                );
                let map = shared.maps.as_ptr().offset(start);
                for column in columns.clone().step_by(L::COUNT) {
                    // Rows are short, and five of them are too many for the hardware to foresee where they go on.
                    L::fetch_soon(top.wrapping_add(shared.pitch + column));
                    let (top, middle, bottom) =
                        (L::load(top.add(column)), L::load(middle.add(column)), L::load(bottom.add(column)));
                    for (m, sums) in sums.iter_mut().enumerate() {
                        let below = m * shared.map_plane + shared.pitch + s as usize + column;
                        L::fetch_soon(map.wrapping_add(below));
                        for over in 0..3 {
                            let pixels = L::load(map.add(m * shared.map_plane + over * s as usize + column));
                            sums[over] = pixels.multiply_add(top, sums[over]);
                            sums[3 + over] = pixels.multiply_add(middle, sums[3 + over]);
                            sums[6 + over] = pixels.multiply_add(bottom, sums[6 + over]);
                        }
                    }
                }
            }
            for (map, sums) in sums.iter().enumerate() {
                let place = (index * self.sources + first + map) * TAPS;
                self.sums[place..place + TAPS]
                    .iter_mut()
                    .zip(sums)
                    .for_each(|(total, sum)| *total += sum.sum());
            }
        }
    }
}
