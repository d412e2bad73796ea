//! Convolutions of volumes and their gradients: 27 taps instead of 9.
//!
//! Planes of volumes have no margins: a margin as wide as the largest dilation on all six sides would take more memory than a small volume
//! itself. What lies beyond an edge is found in three other ways instead.
//!
//! - Along z and y whole rows are mirrored. A row of a convolution reads up to nine rows, and a list says which ([`Axis::seen`]); the
//!   adjoint reads those that have seen its row ([`Axis::seers`]).
//! - Along x a convolution keeps the sums of its three columns of taps apart, where they read, and shifts them when they are added up. The
//!   mirror is applied to the sums, once for all feature maps (`convolve.rs`).
//! - Gradients are shifted along x before they are used: a shifted row is that of all pixels that the tap has seen, mirrored ones added
//!   up (`shifted.rs`). Both gradients are then sums over rows of equal columns, without any case for the edge, and a shifted row serves
//!   all feature maps.
//!
//! So all loads of the inner loops are whole registers from the start of a row on.

mod convolve;
mod filter_gradient;
mod input_gradient;
mod shifted;
mod steps;

use std::collections::BTreeMap;
use std::ops::Range;

use shifted::Shift;
pub(super) use steps::scratch_bytes;

use crate::geometry::{Boundary, Extent};
use crate::network::Architecture;

/// One axis of a volume, and what is seen beyond its ends.
pub(super) struct Axis {
    /// For each dilation in use, what each of the three taps reads at each place.
    seen: BTreeMap<usize, Vec<[Option<usize>; 3]>>,
    /// The same the other way round: for each tap, who sees each place.
    seers: BTreeMap<usize, [Vec<Vec<usize>>; 3]>,
}

impl Axis {
    fn new(length: usize, boundary: Boundary, dilations: impl Iterator<Item = usize>) -> Self {
        let (mut all_seen, mut seers) = (BTreeMap::new(), BTreeMap::new());
        for dilation in dilations {
            all_seen.entry(dilation).or_insert_with(|| {
                let at = |place| [0, 1, 2].map(|tap| seen(boundary, length, place, dilation, tap));
                (0..length).map(at).collect()
            });
            seers.entry(dilation).or_insert_with(|| {
                [0, 1, 2].map(|tap| {
                    let mut of_tap = vec![Vec::new(); length];
                    for place in 0..length {
                        if let Some(seen) = seen(boundary, length, place, dilation, tap) {
                            of_tap[seen].push(place);
                        }
                    }
                    of_tap
                })
            });
        }
        Self { seen: all_seen, seers }
    }

    /// For each place those that the taps 0, 1 and 2 of a filter of `dilation` read there; `None` where that is zero.
    fn seen(&self, dilation: usize) -> &[[Option<usize>; 3]] {
        &self.seen[&dilation]
    }

    /// The places at which that tap reads `place`.
    fn seers(&self, place: usize, dilation: usize, tap: usize) -> &[usize] {
        self.seers.get(&dilation).map_or(&[], |of_taps| &of_taps[tap][place])
    }
}

fn seen(boundary: Boundary, length: usize, place: usize, dilation: usize, tap: usize) -> Option<usize> {
    boundary.source(place as isize + dilation as isize * (tap as isize - 1), length)
}

/// What the kernels know of a volume: its axes, and how rows of its planes are shifted.
pub(super) struct Surroundings {
    pub(super) extent: Extent,
    pub(super) z: Axis,
    pub(super) y: Axis,
    /// By dilation.
    shifts: BTreeMap<usize, Shift>,
}

impl Surroundings {
    pub(super) fn new(architecture: &Architecture, extent: Extent) -> Self {
        let hidden = || 0..architecture.hidden();
        let within = || hidden().map(|h| architecture.dilation(h));
        let boundary = architecture.boundary;
        let shifts = within().map(|s| (s, Shift::new(extent.x, s, boundary))).collect();
        Self {
            extent,
            z: Axis::new(extent.z, boundary, hidden().map(|h| architecture.dilation_z(h))),
            y: Axis::new(extent.y, boundary, within()),
            shifts,
        }
    }

    fn shift(&self, dilation: usize) -> &Shift {
        &self.shifts[&dilation]
    }

    /// Height of the bands of rows that threads are given: whole slices where there are enough of them.
    pub(super) fn height_for_threads(&self) -> usize {
        let threads = rayon::current_num_threads();
        if self.extent.z >= threads {
            self.extent.y
        } else {
            self.extent.y.div_ceil(threads.div_ceil(self.extent.z))
        }
    }

    /// Cuts rows, counted through all slices, where slices end: each slice with its own rows.
    fn slices(&self, rows: Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> + use<> {
        let height = self.extent.y;
        (rows.start / height..rows.end.div_ceil(height)).map(move |z| {
            let start = rows.start.max(z * height) - z * height;
            (z, start..rows.end.min((z + 1) * height) - z * height)
        })
    }
}

/// Numbers of memory for `rows` shifted rows of so many numbers: a few lines more than they take, as buffers a multiple of a page apart would
/// compete for the same few places of a cache.
fn room_for_rows(rows: usize, pitch: usize) -> usize {
    const APART: usize = 9 * 16;
    rows * pitch + APART
}

/// Rows in the order 0, s, 2s, ..., 1, s + 1, ...: each reads most of the rows that the one before it has read.
fn in_steps(rows: Range<usize>, dilation: usize) -> impl Iterator<Item = usize> {
    let dilation = dilation.clamp(1, rows.len().max(1));
    (0..dilation).flat_map(move |offset| (rows.start + offset..rows.end).step_by(dilation))
}

/// A hidden channel as its kernels see it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dilations {
    pub(super) within: usize,
    /// 0 where there are no taps beside the slice.
    pub(super) along_z: usize,
}

impl Dilations {
    pub(super) fn of(architecture: &Architecture, hidden: usize) -> Self {
        Self { within: architecture.dilation(hidden), along_z: architecture.dilation_z(hidden) }
    }

    /// The taps along z that there are.
    fn taps_z(self) -> Range<usize> {
        if self.along_z == 0 { 1..2 } else { 0..3 }
    }
}
