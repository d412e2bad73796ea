//! Gradients of the filters of dilated 3x3x3 convolutions: sums of products of a gradient map and shifted feature maps.
//!
//! It is the gradient map that is shifted along x, not the feature maps, once for all of them: left, not at all and right. A tile of a few
//! feature maps has three sums for each. A few rows a dilation apart are gone through for all nine shifts along z and y before the next
//! ones, so that they stay in the nearest cache.

use std::ops::Range;

use super::super::lanes::{Kernel, Lanes};
use super::{Dilations, Surroundings, in_steps, room_for_rows};
use crate::network::TAPS;

/// Taps of a filter.
const FILTER: usize = 3 * TAPS;
/// Rows that are gone through at a time.
const ROWS: usize = 8;

/// One gradient map.
#[derive(Debug, Clone, Copy)]
pub(in crate::cpu) struct Reader {
    pub(in crate::cpu) dilations: Dilations,
    /// How many of the feature maps its channel reads.
    pub(in crate::cpu) sources: usize,
}

/// What all bands share.
pub(in crate::cpu) struct FilterGradientVolume<'a> {
    pub(in crate::cpu) surroundings: &'a Surroundings,
    /// Planes of feature maps, one after the other, from row 0 of the first on.
    pub(in crate::cpu) maps: &'a [f32],
    /// Planes of gradient maps, likewise, with zeros beyond the last column.
    pub(in crate::cpu) gradients: &'a [f32],
    /// What belongs to each of them.
    pub(in crate::cpu) readers: &'a [Reader],
    /// Numbers in one plane.
    pub(in crate::cpu) plane: usize,
    /// Distance between rows.
    pub(in crate::cpu) pitch: usize,
}

/// The sums over some rows.
pub(in crate::cpu) struct FilterGradientVolumeBand<'a> {
    pub(in crate::cpu) shared: &'a FilterGradientVolume<'a>,
    /// A slice.
    pub(in crate::cpu) z: usize,
    /// Rows of it.
    pub(in crate::cpu) rows: Range<usize>,
    /// Feature maps in all.
    pub(in crate::cpu) sources: usize,
    /// Sums `[gradient map][feature map][tap]` to add to.
    pub(in crate::cpu) sums: &'a mut [f64],
}

impl Kernel for FilterGradientVolumeBand<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let shared = self.shared;
        let (surroundings, pitch) = (shared.surroundings, shared.pitch);
        let height = surroundings.extent.y;
        let half = room_for_rows(self.rows.len(), pitch);
        let mut shifted = vec![0.0f32; 2 * half];
        for (index, reader) in shared.readers.iter().enumerate() {
            let from = &shared.gradients[index * shared.plane + self.z * height * pitch..];
            let shift = surroundings.shift(reader.dilations.within);
            let (left, right) = shifted.split_at_mut(half);
            for (row, y) in self.rows.clone().enumerate() {
                let from = &from[y * pitch..][..pitch];
                shift.shifted(from, 0, &mut left[row * pitch..][..pitch]);
                shift.shifted(from, 1, &mut right[row * pitch..][..pitch]);
            }
            let rows = self.rows.clone();
            let gradient = [&*left, &from[rows.start * pitch..rows.end * pitch], &*right];
            let order: Vec<usize> = in_steps(rows.clone(), reader.dilations.within).collect();
            let work = Work { shared, gradient, z: self.z, first_row: rows.start, order: &order, reader };
            let sums = &mut self.sums[index * self.sources * FILTER..][..reader.sources * FILTER];
            let most = L::SUMS / 3;
            let tiles = reader.sources.div_ceil(most);
            let mut done = 0;
            for tile in 0..tiles {
                let size = (reader.sources - done).div_ceil(tiles - tile);
                let sums = &mut sums[done * FILTER..(done + size) * FILTER];
                // SAFETY: the caller vouches for the instructions.
                unsafe {
                    match size {
                        1 => work.maps::<L, 1>(done, sums),
                        2 => work.maps::<L, 2>(done, sums),
                        3 => work.maps::<L, 3>(done, sums),
                        4 => work.maps::<L, 4>(done, sums),
                        5 => work.maps::<L, 5>(done, sums),
                        6 => work.maps::<L, 6>(done, sums),
                        7 => work.maps::<L, 7>(done, sums),
                        _ => work.maps::<L, 8>(done, sums),
                    }
                }
                done += size;
            }
        }
    }
}

/// One gradient map.
struct Work<'a> {
    shared: &'a FilterGradientVolume<'a>,
    /// Its rows shifted to the left, as they are, and shifted to the right.
    gradient: [&'a [f32]; 3],
    z: usize,
    first_row: usize,
    /// The rows in the order in which they are gone through.
    order: &'a [usize],
    reader: &'a Reader,
}

impl Work<'_> {
    /// Adds the sums of `MAPS` feature maps from `first` on.
    #[inline(always)]
    unsafe fn maps<L: Lanes, const MAPS: usize>(&self, first: usize, sums: &mut [f64]) {
        let (shared, dilations) = (self.shared, self.reader.dilations);
        let (surroundings, pitch) = (shared.surroundings, shared.pitch);
        let columns = surroundings.extent.x.next_multiple_of(L::COUNT);
        let maps = &shared.maps[first * shared.plane..];
        let seen = surroundings.y.seen(dilations.within);
        // SAFETY: rows hold whole registers of columns; the caller vouches for the instructions.
        unsafe {
            let mut kept = [[[L::splat(0.0); 3]; MAPS]; TAPS];
            for rows in self.order.chunks(ROWS) {
                for tap_z in dilations.taps_z() {
                    let Some(slice) = surroundings.z.seen(dilations.along_z)[self.z][tap_z] else { continue };
                    for tap_y in 0..3 {
                        let mut registers = kept[3 * tap_z + tap_y];
                        for &y in rows {
                            let Some(row) = seen[y][tap_y] else { continue };
                            let from = (slice * surroundings.extent.y + row) * pitch;
                            let own = (y - self.first_row) * pitch;
                            debug_assert!((MAPS - 1) * shared.plane + from + columns <= maps.len());
                            debug_assert!(self.gradient.iter().all(|g| own + columns <= g.len()));
                            for column in (0..columns).step_by(L::COUNT) {
                                let gradient =
                                    self.gradient.map(|rows| L::load(rows.as_ptr().add(own + column)));
                                for (map, registers) in registers.iter_mut().enumerate() {
                                    let pixels =
                                        L::load(maps.as_ptr().add(map * shared.plane + from + column));
                                    for (sum, gradient) in registers.iter_mut().zip(gradient) {
                                        *sum = pixels.multiply_add(gradient, *sum);
                                    }
                                }
                            }
                        }
                        kept[3 * tap_z + tap_y] = registers;
                    }
                }
            }
            for (rows, kept) in kept.iter().enumerate() {
                for (map, kept) in kept.iter().enumerate() {
                    for (across, sum) in kept.iter().enumerate() {
                        sums[map * FILTER + 3 * rows + across] += f64::from(sum.sum());
                    }
                }
            }
        }
    }
}
