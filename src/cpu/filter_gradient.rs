//! Gradients of the filters: for each gradient map and each feature map that its channel reads, nine sums
//! over the image.
//!
//! The nine taps of a filter see a row r of the feature map together with the rows r+s, r and r-s of the
//! gradient map, so one load of a pixel serves three taps and one load of a gradient serves three columns of taps
//! of every feature map in the tile. The sums stay in registers for a whole band of rows.

use std::ops::Range;

use super::lanes::{Kernel, Lanes};
use crate::network::TAPS;

/// Rows of a band. Fixed, so that the order of the sums does not depend on the number of threads.
pub(super) const BAND_ROWS: usize = 32;

/// One gradient map: the dilation of its channel, how many of the feature maps it reads, and where its filters' sums go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader {
    pub(super) dilation: usize,
    pub(super) sources: usize,
    pub(super) sums: usize,
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

/// The sums over one band.
pub(super) struct FilterGradientBand<'a> {
    pub(super) shared: &'a FilterGradient<'a>,
    /// Rows of the feature maps, margins above and below included.
    pub(super) rows: Range<isize>,
    /// Nine sums for each filter; every one is written.
    pub(super) sums: &'a mut [f32],
}

impl Kernel for FilterGradientBand<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(mut self) {
        let most = self.shared.readers.iter().map(|reader| reader.sources).max().unwrap_or(0);
        for first in (0..most).step_by(L::TILE_MAPS) {
            for index in 0..self.shared.readers.len() {
                let left = self.shared.readers[index].sources.saturating_sub(first);
                // SAFETY: the caller vouches for the instructions.
                unsafe {
                    match left.min(L::TILE_MAPS) {
                        0 => {}
                        1 => self.tile::<L, 1>(index, first),
                        2 => self.tile::<L, 2>(index, first),
                        _ => self.tile::<L, 3>(index, first),
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
        let reader = shared.readers[index];
        let s = reader.dilation as isize;
        let height = shared.height as isize;
        let columns = shared.width.next_multiple_of(L::COUNT);
        let rows = self.rows.start.max(-s)..self.rows.end.min(height + s);
        // SAFETY: rows reach one dilation, at most a margin, beyond the image, and hold whole registers of columns;
        // the caller vouches for the instructions.
        unsafe {
            let mut sums = [[L::splat(0.0); TAPS]; MAPS];
            for row in rows {
                let gradient = |down: isize| {
                    let seen = row - s * (down - 1);
                    if (0..height).contains(&seen) {
                        let start =
                            index * shared.gradient_plane + seen as usize * shared.pitch + shared.left;
                        debug_assert!(start + columns <= shared.gradients.len());
                        shared.gradients.as_ptr().add(start)
                    } else {
                        debug_assert!(columns <= shared.zeros.len());
                        shared.zeros.as_ptr()
                    }
                };
                let (top, middle, bottom) = (gradient(0), gradient(1), gradient(2));
                let start =
                    (first * shared.map_plane + shared.map_origin) as isize + row * shared.pitch as isize - s;
                debug_assert!(start >= 0);
                debug_assert!(
                    start as usize + (MAPS - 1) * shared.map_plane + 2 * reader.dilation + columns
                        <= shared.maps.len()
                );
                let map = shared.maps.as_ptr().add(start as usize);
                for column in (0..columns).step_by(L::COUNT) {
                    let (top, middle, bottom) =
                        (L::load(top.add(column)), L::load(middle.add(column)), L::load(bottom.add(column)));
                    for (m, sums) in sums.iter_mut().enumerate() {
                        for over in 0..3 {
                            let pixels =
                                L::load(map.add(m * shared.map_plane + over * reader.dilation + column));
                            sums[over] = pixels.multiply_add(top, sums[over]);
                            sums[3 + over] = pixels.multiply_add(middle, sums[3 + over]);
                            sums[6 + over] = pixels.multiply_add(bottom, sums[6 + over]);
                        }
                    }
                }
            }
            for (m, sums) in sums.iter().enumerate() {
                for (tap, sum) in sums.iter().enumerate() {
                    self.sums[reader.sums + (first + m) * TAPS + tap] = sum.sum();
                }
            }
        }
    }
}
