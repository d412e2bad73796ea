//! Back-propagates gradients through the dilated convolutions, to the channels that these read: the adjoint of the convolution.
//!
//! The gradient of a pixel is a sum over the gradient maps of all later layers and nine taps. A tile of a few
//! channels and a few registers of columns keeps its sums in registers while it goes through all of them: one
//! load of a gradient map serves every channel of the tile.
//!
//! A mirrored pixel was seen at its own place and at its mirror images, its *preimages*, so its gradient is the sum
//! over all of them. Rows are folded by summing over the preimages of a row. Columns beyond the edge
//! are computed like any others and then added to the columns that they mirror; only the tap that points into
//! the image reaches them. Beside each row of a gradient map are zeros two margins wide, so columns need no
//! other care.

use std::ops::Range;

use super::lanes::{Kernel, Lanes};
use crate::geometry::Boundary;
use crate::network::TAPS;

/// For each row or column of an image, the places that see it.
pub(super) struct Preimages {
    places: Vec<isize>,
    starts: Vec<usize>,
}

impl Preimages {
    /// Those within `margin` of an image of `length` rows or columns.
    pub(super) fn new(length: usize, margin: usize, boundary: Boundary) -> Self {
        let mut seen: Vec<Vec<isize>> = (0..length).map(|i| vec![i as isize]).collect();
        let m = margin as isize;
        for place in (-m..0).chain(length as isize..length as isize + m) {
            if let Some(source) = boundary.source(place, length) {
                seen[source].push(place);
            }
        }
        let mut starts = vec![0];
        starts.extend(seen.iter().scan(0, |end, places| {
            *end += places.len();
            Some(*end)
        }));
        Self { places: seen.concat(), starts }
    }

    fn of(&self, index: usize) -> &[isize] {
        &self.places[self.starts[index]..self.starts[index + 1]]
    }
}

/// One gradient map to read: its dilation, and where in the parameters its filter for the first channel starts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Later {
    pub(super) dilation: usize,
    pub(super) filter: usize,
}

/// What all bands share.
pub(super) struct InputGradient<'a> {
    /// Planes of the gradient maps to read, one after the other, from row 0 of the first on.
    pub(super) gradients: &'a [f32],
    /// What belongs to each of them.
    pub(super) later: &'a [Later],
    /// The gradient maps in groups that are read in one go, so that a band of them stays in cache.
    pub(super) groups: &'a [Range<usize>],
    /// All parameters.
    pub(super) parameters: &'a [f32],
    /// Numbers in one plane.
    pub(super) plane: usize,
    /// Distance between rows.
    pub(super) pitch: usize,
    /// Numbers before column 0 of each row.
    pub(super) left: usize,
    /// Number of rows.
    pub(super) height: usize,
    /// Number of columns.
    pub(super) width: usize,
    /// Width of the margin.
    pub(super) margin: usize,
    /// Which places see a row.
    pub(super) rows: &'a Preimages,
    /// For each column `-margin..0` and then `width..width + margin`, the column that it mirrors.
    pub(super) mirrored: &'a [Option<usize>],
}

/// One row of a gradient map that contributes to a row, through a row of three taps.
struct Term {
    /// Place of its column 0.
    start: isize,
    dilation: isize,
    /// Where in the parameters the three taps for the first channel are.
    taps: usize,
}

impl InputGradient<'_> {
    /// All that contributes to `row`: gradient maps, preimages of the row, and rows of taps.
    fn terms(&self, group: Range<usize>, row: usize, terms: &mut Vec<Term>) {
        terms.clear();
        for index in group {
            let Later { dilation, filter } = self.later[index];
            let s = dilation as isize;
            for &seen in self.rows.of(row) {
                for down in 0..3 {
                    let from = seen - s * (down as isize - 1);
                    if (0..self.height as isize).contains(&from) {
                        let start = (index * self.plane + from as usize * self.pitch + self.left) as isize;
                        terms.push(Term { start, dilation: s, taps: filter + 3 * down });
                    }
                }
            }
        }
    }
}

/// The gradient maps of consecutive channels in one band of rows.
pub(super) struct InputGradientBand<'a, 'b> {
    pub(super) shared: &'a InputGradient<'a>,
    pub(super) rows: Range<usize>,
    /// For each channel its rows, whole pitches.
    pub(super) channels: &'a mut [&'b mut [f32]],
}

impl Kernel for InputGradientBand<'_, '_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let shared = self.shared;
        let edge_columns = shared.margin.next_multiple_of(L::COUNT) + L::COUNT;
        let mut edge = vec![0.0f32; L::TILE_CHANNELS * edge_columns];
        let count = self.channels.len();
        let tiles = count.div_ceil(L::TILE_CHANNELS);
        let mut terms = Vec::new();
        for group in shared.groups {
            for row in self.rows.clone() {
                shared.terms(group.clone(), row, &mut terms);
                let place = (row - self.rows.start) * shared.pitch;
                let mut first = 0;
                for tile in 0..tiles {
                    let size = (count - first).div_ceil(tiles - tile);
                    let mut work =
                        Tile { shared, terms: &terms, place, first, edge: &mut edge, edge_columns };
                    let channels = &mut self.channels[first..first + size];
                    // SAFETY: the caller vouches for the instructions.
                    unsafe {
                        match size {
                            1 => work.run::<L, 1>(channels),
                            2 => work.run::<L, 2>(channels),
                            3 => work.run::<L, 3>(channels),
                            4 => work.run::<L, 4>(channels),
                            5 => work.run::<L, 5>(channels),
                            _ => work.run::<L, 6>(channels),
                        }
                    }
                    first += size;
                }
            }
        }
    }
}

/// One row of a few channels.
struct Tile<'a> {
    shared: &'a InputGradient<'a>,
    /// What is summed.
    terms: &'a [Term],
    /// Where the row starts in the band.
    place: usize,
    /// The first channel, counted within the band's.
    first: usize,
    /// Sums of columns beyond an edge, and of the last columns that do not fill a register.
    edge: &'a mut [f32],
    edge_columns: usize,
}

impl Tile<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes, const CHANNELS: usize>(&mut self, channels: &mut [&mut [f32]]) {
        let shared = self.shared;
        let whole = shared.width / L::COUNT * L::COUNT;
        let at = self.place + shared.left;
        // SAFETY: rows hold whole registers of columns; the caller vouches for the instructions.
        unsafe {
            let mut column = 0;
            while column < whole {
                if L::TILE_COLUMNS == 4 && column + 4 * L::COUNT <= whole {
                    self.columns::<L, CHANNELS, 4>(channels, at, column);
                    column += 4 * L::COUNT;
                } else if column + 2 * L::COUNT <= whole {
                    self.columns::<L, CHANNELS, 2>(channels, at, column);
                    column += 2 * L::COUNT;
                } else {
                    self.columns::<L, CHANNELS, 1>(channels, at, column);
                    column += L::COUNT;
                }
            }
            let mirrors = shared.mirrored.iter().any(Option::is_some);
            if mirrors {
                let beyond = shared.margin.next_multiple_of(L::COUNT);
                for step in (0..beyond).step_by(L::COUNT) {
                    let zero = [[L::splat(0.0)]; CHANNELS];
                    let sums = self.sums::<L, CHANNELS, 1, 1>(zero, step as isize - beyond as isize, 0);
                    self.keep(sums, step);
                }
                for (i, target) in shared.mirrored[..shared.margin].iter().enumerate() {
                    let from = beyond - shared.margin + i;
                    if let Some(target) = target {
                        self.fold(channels, from, at + target);
                    }
                }
            }
            let right = shared.width + if mirrors { shared.margin } else { 0 };
            for (index, start) in (whole..right).step_by(L::COUNT).enumerate() {
                // A register that still has columns of the image needs all taps, one beyond it only those into it.
                let zero = [[L::splat(0.0)]; CHANNELS];
                let sums = if start < shared.width {
                    self.sums::<L, CHANNELS, 1, 3>(zero, start as isize, 0)
                } else {
                    self.sums::<L, CHANNELS, 1, 1>(zero, start as isize, 2)
                };
                self.keep(sums, index * L::COUNT);
            }
            for column in whole..right {
                let target = match column.checked_sub(shared.width) {
                    None => Some(column),
                    Some(beyond) => shared.mirrored[shared.margin + beyond],
                };
                if let Some(target) = target {
                    self.fold(channels, column - whole, at + target);
                }
            }
        }
    }

    /// Adds to `REGISTERS` registers of whole columns in place.
    #[inline(always)]
    unsafe fn columns<L: Lanes, const CHANNELS: usize, const REGISTERS: usize>(
        &self,
        channels: &mut [&mut [f32]],
        at: usize,
        column: usize,
    ) {
        // SAFETY: as the caller's.
        unsafe {
            let mut sums = [[L::splat(0.0); REGISTERS]; CHANNELS];
            for (sums, channel) in sums.iter_mut().zip(channels.iter()) {
                debug_assert!(at + column + REGISTERS * L::COUNT <= channel.len());
                for (v, sum) in sums.iter_mut().enumerate() {
                    *sum = L::load(channel.as_ptr().add(at + column + v * L::COUNT));
                }
            }
            let sums = self.sums::<L, CHANNELS, REGISTERS, 3>(sums, column as isize, 0);
            for (sums, channel) in sums.iter().zip(channels.iter_mut()) {
                for (v, sum) in sums.iter().enumerate() {
                    sum.store(channel.as_mut_ptr().add(at + column + v * L::COUNT));
                }
            }
        }
    }

    /// Sums over all terms and the columns of taps `first..first + OVER`.
    #[inline(always)]
    unsafe fn sums<L: Lanes, const CHANNELS: usize, const REGISTERS: usize, const OVER: usize>(
        &self,
        mut sums: [[L; REGISTERS]; CHANNELS],
        column: isize,
        first: usize,
    ) -> [[L; REGISTERS]; CHANNELS] {
        let shared = self.shared;
        for &Term { start, dilation, taps } in self.terms {
            let taps = &shared.parameters[taps + self.first * TAPS..][..(CHANNELS - 1) * TAPS + 3];
            for over in first..first + OVER {
                let start = start + column - dilation * (over as isize - 1);
                debug_assert!(start >= 0 && start as usize + REGISTERS * L::COUNT <= shared.gradients.len());
                // SAFETY: a row has zeros a margin wide on either side; the caller vouches for the instructions.
                unsafe {
                    let from = shared.gradients.as_ptr().offset(start);
                    let mut pixels = [L::splat(0.0); REGISTERS];
                    for (v, pixels) in pixels.iter_mut().enumerate() {
                        *pixels = L::load(from.add(v * L::COUNT));
                        if over == 1 {
                            // There are too many rows for the hardware to foresee where each goes on.
                            L::fetch_soon(from.wrapping_add((REGISTERS + v) * L::COUNT));
                        }
                    }
                    for (c, sums) in sums.iter_mut().enumerate() {
                        let weight = L::splat(*taps.get_unchecked(c * TAPS + over));
                        for (sum, pixels) in sums.iter_mut().zip(pixels) {
                            *sum = pixels.multiply_add(weight, *sum);
                        }
                    }
                }
            }
        }
        sums
    }

    /// Keeps one register for each channel in the edge buffer.
    #[inline(always)]
    unsafe fn keep<L: Lanes, const CHANNELS: usize>(&mut self, sums: [[L; 1]; CHANNELS], at: usize) {
        for (c, [sum]) in sums.into_iter().enumerate() {
            let place = &mut self.edge[c * self.edge_columns + at..][..L::COUNT];
            // SAFETY: the slice is one register long; the caller vouches for the instructions.
            unsafe { sum.store(place.as_mut_ptr()) };
        }
    }

    /// Adds column `from` of the edge buffer to place `to` of each channel.
    #[inline(always)]
    fn fold(&self, channels: &mut [&mut [f32]], from: usize, to: usize) {
        for (c, channel) in channels.iter_mut().enumerate() {
            channel[to] += self.edge[c * self.edge_columns + from];
        }
    }
}

/// Sends finished gradients back through the ReLU: 0 where the feature map is not above 0.
pub(super) fn mask(gradient: &mut [f32], map: &[f32]) {
    for (g, z) in gradient.iter_mut().zip(map) {
        *g = if *z > 0.0 { *g } else { 0.0 };
    }
}
