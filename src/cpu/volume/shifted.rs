//! Rows shifted by a dilation, and what becomes of the pixels that are shifted beyond an end.

use crate::geometry::Boundary;

/// How a row of `length` columns is shifted by a dilation, to either side.
#[derive(Debug)]
pub(in crate::cpu) struct Shift {
    length: usize,
    dilation: usize,
    /// For the left and the right tap: which column is seen from those whose tap lies beyond an end, as pairs `(from, seen)`.
    beyond: [Vec<(usize, usize)>; 2],
}

impl Shift {
    pub(super) fn new(length: usize, dilation: usize, boundary: Boundary) -> Self {
        let pairs = |tap: usize| {
            let s = dilation as isize * (2 * tap as isize - 1);
            let outside = (0..length).filter(|&from| !(0..length as isize).contains(&(from as isize + s)));
            outside.filter_map(|from| Some((from, boundary.source(from as isize + s, length)?))).collect()
        };
        Self { length, dilation, beyond: [pairs(0), pairs(1)] }
    }

    /// Adds to each column of `into` what the left taps summed where they read, mirrored at the ends, and what the right ones did.
    #[inline(always)]
    pub(super) fn add_sums(&self, into: &mut [f32], left: &[f32], right: &[f32]) {
        let inside = self.length.saturating_sub(self.dilation);
        let from = self.length - inside;
        for (into, sum) in into[from..self.length].iter_mut().zip(&left[..inside]) {
            *into += sum;
        }
        for (into, sum) in into[..inside].iter_mut().zip(&right[from..self.length]) {
            *into += sum;
        }
        for (beyond, sums) in self.beyond.iter().zip([left, right]) {
            for &(column, seen) in beyond {
                into[column] += sums[seen];
            }
        }
    }

    /// The adjoint: in each column of `into` the sum of the columns of `row` whose left (0) or right (1) tap sees it. Numbers beyond the
    /// last column become 0.
    #[inline(always)]
    pub(super) fn shifted(&self, row: &[f32], tap: usize, into: &mut [f32]) {
        let inside = self.length.saturating_sub(self.dilation);
        let from = self.length - inside;
        if tap == 0 {
            into[..inside].copy_from_slice(&row[from..self.length]);
            into[inside..].fill(0.0);
        } else {
            into[..from].fill(0.0);
            into[from..self.length].copy_from_slice(&row[..inside]);
            into[self.length..].fill(0.0);
        }
        for &(column, seen) in &self.beyond[tap] {
            into[seen] += row[column];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifting_sums_is_the_adjoint_of_shifting_rows() {
        for boundary in [Boundary::Reflect, Boundary::Symmetric, Boundary::Zeros] {
            for length in [1, 2, 3, 8, 13] {
                for dilation in [1, 2, 5, 12, 40] {
                    let shift = Shift::new(length, dilation, boundary);
                    let row: Vec<f32> = (0..length).map(|i| (3 * i * i + 1) as f32).collect();
                    let other: Vec<f32> = (0..length).map(|i| (7 * i % 5) as f32 - 2.0).collect();
                    let nothing = vec![0.0; length];
                    for tap in [0, 1] {
                        let mut forward = vec![0.0; length];
                        let (left, right) = if tap == 0 { (&row, &nothing) } else { (&nothing, &row) };
                        shift.add_sums(&mut forward, left, right);
                        for (column, value) in forward.iter().enumerate() {
                            let at = column as isize + dilation as isize * (2 * tap as isize - 1);
                            assert_eq!(*value, boundary.source(at, length).map_or(0.0, |seen| row[seen]));
                        }
                        let mut back = vec![9.0; length + 3];
                        shift.shifted(&other, tap, &mut back);
                        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
                        assert_eq!(dot(&forward, &other), dot(&row, &back[..length]));
                        assert_eq!(back[length..], [0.0; 3]);
                    }
                }
            }
        }
    }
}
