//! Back-propagates gradients through the dilated 3x3x3 convolutions: the adjoint of the convolution.
//!
//! For each gradient map that is read, the slices that have seen the slice to compute are shifted to the left and to the right once, and
//! serve all channels then: a tile of a few channels and a few registers of columns goes through up to nine rows, shifted and not.

use std::ops::Range;

use super::super::lanes::{Kernel, Lanes};
use super::{Dilations, Surroundings, in_steps, room_for_rows};
use crate::network::TAPS;

/// Taps of a filter.
const FILTER: usize = 3 * TAPS;
/// Most channels of a tile.
const MOST_CHANNELS: usize = 6;
/// Slices of a gradient map that are shifted for one slice to compute, where none is seen twice from beyond an edge.
pub(super) const STAGED_SLICES: usize = 3;

/// One gradient map to read.
#[derive(Debug, Clone, Copy)]
pub(in crate::cpu) struct Later {
    pub(in crate::cpu) dilations: Dilations,
    /// Where in the parameters its filter for the first channel starts.
    pub(in crate::cpu) filter: usize,
}

/// What all bands share.
pub(in crate::cpu) struct InputGradientVolume<'a> {
    pub(in crate::cpu) surroundings: &'a Surroundings,
    /// Planes of the gradient maps to read, one after the other, from row 0 of the first on.
    pub(in crate::cpu) gradients: &'a [f32],
    /// What belongs to each of them.
    pub(in crate::cpu) later: &'a [Later],
    pub(in crate::cpu) parameters: &'a [f32],
    /// Numbers in one plane.
    pub(in crate::cpu) plane: usize,
    /// Distance between rows.
    pub(in crate::cpu) pitch: usize,
}

/// Those rows of the channels that lie in one band.
pub(in crate::cpu) struct InputGradientVolumeBand<'a, 'b> {
    pub(in crate::cpu) shared: &'a InputGradientVolume<'a>,
    /// Rows, counted through all slices.
    pub(in crate::cpu) rows: Range<usize>,
    /// For each channel its rows, whole pitches.
    pub(in crate::cpu) channels: &'a mut [&'b mut [f32]],
}

/// A slice of a gradient map that has seen the one to compute, and through which tap along z.
struct Stage {
    slice: usize,
    tap_z: usize,
}

/// What a row is summed from: rows shifted to the left, as they are, and shifted to the right, and the first of their three taps.
struct Term<'a> {
    rows: [&'a [f32]; 3],
    tap: usize,
}

impl Kernel for InputGradientVolumeBand<'_, '_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let shared = self.shared;
        let surroundings = shared.surroundings;
        let (height, pitch) = (surroundings.extent.y, shared.pitch);
        let mut staged = Vec::new();
        for (z, rows) in surroundings.slices(self.rows.clone()) {
            for (index, later) in shared.later.iter().enumerate() {
                let Dilations { within, along_z } = later.dilations;
                let stages: Vec<Stage> = later
                    .dilations
                    .taps_z()
                    .flat_map(|tap_z| {
                        let slices = surroundings.z.seers(z, along_z, tap_z);
                        slices.iter().map(move |&slice| Stage { slice, tap_z })
                    })
                    .collect();
                let gradient = &shared.gradients[index * shared.plane..];
                let seers = |y: usize, tap_y: usize| surroundings.y.seers(y, within, tap_y);
                let mut wanted = vec![false; height];
                for y in rows.clone() {
                    (0..3).flat_map(|tap_y| seers(y, tap_y)).for_each(|&row| wanted[row] = true);
                }
                let half = room_for_rows(height, pitch);
                let room = stages.len() * 2 * half;
                if staged.len() < room {
                    staged.resize(room, 0.0f32);
                }
                let shift = surroundings.shift(within);
                for (slice, both) in stages.iter().zip(staged.chunks_exact_mut(2 * half)) {
                    let (left, right) = both.split_at_mut(half);
                    for row in (0..height).filter(|&row| wanted[row]) {
                        let from = &gradient[(slice.slice * height + row) * pitch..][..pitch];
                        shift.shifted(from, 0, &mut left[row * pitch..][..pitch]);
                        shift.shifted(from, 1, &mut right[row * pitch..][..pitch]);
                    }
                }
                let mut terms: Vec<Term> = Vec::new();
                for y in in_steps(rows.clone(), within) {
                    terms.clear();
                    for (stage, both) in stages.iter().zip(staged.chunks_exact(2 * half)) {
                        let (left, right) = both.split_at(half);
                        for tap_y in 0..3 {
                            terms.extend(seers(y, tap_y).iter().map(|&row| Term {
                                rows: [
                                    &left[row * pitch..][..pitch],
                                    &gradient[(stage.slice * height + row) * pitch..][..pitch],
                                    &right[row * pitch..][..pitch],
                                ],
                                tap: TAPS * stage.tap_z + 3 * tap_y,
                            }));
                        }
                    }
                    let work = Work {
                        terms: &terms,
                        parameters: &shared.parameters[later.filter..],
                        columns: surroundings.extent.x,
                        place: (z * height + y - self.rows.start) * pitch,
                    };
                    // SAFETY: the caller vouches for the instructions.
                    unsafe { work.row::<L>(self.channels) };
                }
            }
        }
    }
}

/// One row of all channels, and one gradient map.
struct Work<'a> {
    terms: &'a [Term<'a>],
    /// From the filter of the first channel on.
    parameters: &'a [f32],
    columns: usize,
    /// Where the row starts in the band.
    place: usize,
}

impl Work<'_> {
    #[inline(always)]
    unsafe fn row<L: Lanes>(&self, channels: &mut [&mut [f32]]) {
        let tiles = channels.len().div_ceil(MOST_CHANNELS);
        let mut first = 0;
        for tile in 0..tiles {
            let size = (channels.len() - first).div_ceil(tiles - tile);
            let of_tile = &mut channels[first..first + size];
            // SAFETY: the caller vouches for the instructions.
            unsafe {
                match size {
                    1 => self.channels::<L, 1>(of_tile, first),
                    2 => self.channels::<L, 2>(of_tile, first),
                    3 => self.channels::<L, 3>(of_tile, first),
                    4 => self.channels::<L, 4>(of_tile, first),
                    5 => self.channels::<L, 5>(of_tile, first),
                    _ => self.channels::<L, 6>(of_tile, first),
                }
            }
            first += size;
        }
    }

    #[inline(always)]
    unsafe fn channels<L: Lanes, const CHANNELS: usize>(&self, channels: &mut [&mut [f32]], first: usize) {
        let registers = self.columns.div_ceil(L::COUNT);
        let most = (L::SUMS / CHANNELS).clamp(1, 4);
        let tiles = registers.div_ceil(most);
        let mut done = 0;
        for tile in 0..tiles {
            let size = (registers - done).div_ceil(tiles - tile);
            // SAFETY: the caller vouches for the instructions.
            unsafe {
                match size {
                    1 => self.tile::<L, CHANNELS, 1>(channels, first, done * L::COUNT),
                    2 => self.tile::<L, CHANNELS, 2>(channels, first, done * L::COUNT),
                    3 => self.tile::<L, CHANNELS, 3>(channels, first, done * L::COUNT),
                    _ => self.tile::<L, CHANNELS, 4>(channels, first, done * L::COUNT),
                }
            }
            done += size;
        }
    }

    /// Adds to `REGISTERS` registers of columns of `CHANNELS` channels.
    #[inline(always)]
    unsafe fn tile<L: Lanes, const CHANNELS: usize, const REGISTERS: usize>(
        &self,
        channels: &mut [&mut [f32]],
        first: usize,
        column: usize,
    ) {
        let reach = column + REGISTERS * L::COUNT;
        debug_assert!(self.terms.iter().all(|term| term.rows.iter().all(|row| reach <= row.len())));
        debug_assert!(channels.iter().all(|channel| self.place + reach <= channel.len()));
        let parameters = &self.parameters[first * FILTER..(first + CHANNELS) * FILTER];
        // SAFETY: rows hold whole registers of columns, and the taps are those of the channels' filters; the caller vouches for the
        // instructions.
        unsafe {
            let at = self.place + column;
            let mut sums = [[L::splat(0.0); REGISTERS]; CHANNELS];
            for (sums, channel) in sums.iter_mut().zip(channels.iter()) {
                for (v, sum) in sums.iter_mut().enumerate() {
                    *sum = L::load(channel.as_ptr().add(at + v * L::COUNT));
                }
            }
            for term in self.terms {
                let taps = parameters.as_ptr().add(term.tap);
                for (across, row) in term.rows.iter().enumerate() {
                    let mut pixels = [L::splat(0.0); REGISTERS];
                    for (v, pixels) in pixels.iter_mut().enumerate() {
                        *pixels = L::load(row.as_ptr().add(column + v * L::COUNT));
                    }
                    for (c, sums) in sums.iter_mut().enumerate() {
                        let weight = L::splat(*taps.add(c * FILTER + across));
                        for (sum, pixels) in sums.iter_mut().zip(pixels) {
                            *sum = pixels.multiply_add(weight, *sum);
                        }
                    }
                }
            }
            for (sums, channel) in sums.iter().zip(channels.iter_mut()) {
                for (v, sum) in sums.iter().enumerate() {
                    sum.store(channel.as_mut_ptr().add(at + v * L::COUNT));
                }
            }
        }
    }
}
