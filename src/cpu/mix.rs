//! The 1x1 mix and its gradients: weighted sums of rows, and sums of products of rows.
//!
//! All of them are bound by memory, so they take several results through each row that they load.

use std::ops::Range;

use super::lanes::{Kernel, Lanes};

/// Weighted sums: `into[i] = start + sum_k weights[i][k] * from[k]`, row by row.
pub(super) struct WeightedSums<'a, 'b> {
    /// Planes to read, one after the other.
    pub(super) from: &'a [f32],
    /// Numbers in one of them.
    pub(super) plane: usize,
    /// Place of row 0, column 0 in one of them.
    pub(super) origin: usize,
    /// Distance between rows.
    pub(super) pitch: usize,
    /// Number of planes to read.
    pub(super) count: usize,
    /// All parameters.
    pub(super) parameters: &'a [f32],
    /// The weight of plane `k` for result `i` is `parameters[first_weight + i * next_result + k * next_plane]`.
    pub(super) first_weight: usize,
    pub(super) next_result: usize,
    pub(super) next_plane: usize,
    /// What each result starts from; `None` to add to what is there.
    pub(super) start: Option<&'a [f32]>,
    /// Number of columns.
    pub(super) columns: usize,
    /// Rows to compute.
    pub(super) rows: Range<usize>,
    /// For each result those rows, whole pitches, starting `left` before column 0.
    pub(super) into: &'a mut [&'b mut [f32]],
    /// Numbers before column 0 of each row.
    pub(super) left: usize,
}

impl Kernel for WeightedSums<'_, '_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(mut self) {
        for row in 0..self.rows.len() {
            for column in (0..self.columns).step_by(L::COUNT) {
                let mut first = 0;
                while first < self.into.len() {
                    // SAFETY: rows hold whole registers of columns; the caller vouches for the instructions.
                    unsafe {
                        match self.into.len() - first {
                            1 => self.tile::<L, 1>(row, column, first),
                            2 => self.tile::<L, 2>(row, column, first),
                            3 => self.tile::<L, 3>(row, column, first),
                            _ => self.tile::<L, 4>(row, column, first),
                        }
                    }
                    first += 4;
                }
            }
        }
    }
}

impl WeightedSums<'_, '_> {
    #[inline(always)]
    unsafe fn tile<L: Lanes, const RESULTS: usize>(&mut self, row: usize, column: usize, first: usize) {
        let at = row * self.pitch + self.left + column;
        let source = self.origin + (self.rows.start + row) * self.pitch + column;
        debug_assert!(
            self.count == 0 || (self.count - 1) * self.plane + source + L::COUNT <= self.from.len()
        );
        // SAFETY: as the caller's.
        unsafe {
            let mut sums = [L::splat(0.0); RESULTS];
            for (i, sum) in sums.iter_mut().enumerate() {
                debug_assert!(at + L::COUNT <= self.into[first + i].len());
                *sum = match self.start {
                    Some(start) => L::splat(start[first + i]),
                    None => L::load(self.into[first + i].as_ptr().add(at)),
                };
            }
            for k in 0..self.count {
                let numbers = L::load(self.from.as_ptr().add(source + k * self.plane));
                for (i, sum) in sums.iter_mut().enumerate() {
                    let weight = self.first_weight + (first + i) * self.next_result + k * self.next_plane;
                    *sum = numbers.multiply_add(L::splat(self.parameters[weight]), *sum);
                }
            }
            for (i, sum) in sums.into_iter().enumerate() {
                sum.store(self.into[first + i].as_mut_ptr().add(at));
            }
        }
    }
}

/// Sums of products of rows over a band: `sums[i * count + k] = sum over the rows of left[i] * right[k]`.
///
/// The right planes may hold anything beyond the last column; the left ones must hold zeros there.
pub(super) struct ProductSums<'a> {
    /// Planes whose rows hold zeros beside them.
    pub(super) left: &'a [f32],
    pub(super) left_plane: usize,
    pub(super) left_origin: usize,
    pub(super) left_count: usize,
    /// Planes of the other side; `None` to sum the left ones themselves.
    pub(super) right: Option<&'a [f32]>,
    pub(super) right_plane: usize,
    pub(super) right_origin: usize,
    pub(super) right_count: usize,
    /// Distance between rows.
    pub(super) pitch: usize,
    /// Number of columns.
    pub(super) columns: usize,
    /// Rows to sum.
    pub(super) rows: Range<usize>,
    /// The results.
    pub(super) sums: &'a mut [f32],
}

impl Kernel for ProductSums<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(mut self) {
        for left in (0..self.left_count).step_by(4) {
            for right in 0..self.right_count {
                // SAFETY: rows hold whole registers of columns; the caller vouches for the instructions.
                unsafe {
                    match self.left_count - left {
                        1 => self.tile::<L, 1>(left, right),
                        2 => self.tile::<L, 2>(left, right),
                        3 => self.tile::<L, 3>(left, right),
                        _ => self.tile::<L, 4>(left, right),
                    }
                }
            }
        }
    }
}

impl ProductSums<'_> {
    #[inline(always)]
    unsafe fn tile<L: Lanes, const LEFT: usize>(&mut self, first: usize, right: usize) {
        // SAFETY: as the caller's.
        unsafe {
            let mut sums = [L::splat(0.0); LEFT];
            for row in self.rows.clone() {
                for column in (0..self.columns).step_by(L::COUNT) {
                    let place = row * self.pitch + column;
                    let factor = match self.right {
                        Some(numbers) => {
                            let from = right * self.right_plane + self.right_origin + place;
                            debug_assert!(from + L::COUNT <= numbers.len());
                            L::load(numbers.as_ptr().add(from))
                        }
                        None => L::splat(1.0),
                    };
                    for (i, sum) in sums.iter_mut().enumerate() {
                        let from = (first + i) * self.left_plane + self.left_origin + place;
                        debug_assert!(from + L::COUNT <= self.left.len());
                        *sum = L::load(self.left.as_ptr().add(from)).multiply_add(factor, *sum);
                    }
                }
            }
            for (i, sum) in sums.into_iter().enumerate() {
                self.sums[(first + i) * self.right_count + right] = sum.sum();
            }
        }
    }
}
