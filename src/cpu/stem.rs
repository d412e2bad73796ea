//! The stem: smoothed images and their responses, as [`Stem`](crate::network::Stem) defines them.

use rayon::prelude::*;

use super::bands::{self, Band};
use super::lanes::{Instructions, Kernel, Lanes, run};
use super::memory::{Margins, Planes};
use crate::geometry::Extent;
use crate::network::{Architecture, ParameterLayout, RESPONSES, Scale};
use crate::schedule::PlaneLayout;

/// The stem of a network for images of one size.
pub(super) struct StemPass<'a> {
    pub(super) architecture: &'a Architecture,
    /// Shifts and factors of the responses, as [`ParameterLayout::stem`] has them.
    pub(super) changes: &'a [[f32; 2]],
    pub(super) instructions: Instructions,
    pub(super) form: &'a PlaneLayout,
    pub(super) extent: Extent,
    pub(super) margins: &'a Margins,
}

impl<'a> StemPass<'a> {
    /// Shifts and factors among the parameters of a network.
    pub(super) fn changes(layout: &ParameterLayout, parameters: &'a [f32]) -> &'a [[f32; 2]] {
        parameters[layout.stem()].as_chunks().0
    }

    /// Computes all responses from the channels of the image, which must be loaded.
    pub(super) fn run(&self, maps: &mut Planes) {
        let mut changes = self.changes.chunks_exact(RESPONSES);
        for input in 0..self.architecture.inputs {
            let channels = self.architecture.responses(input).step_by(RESPONSES);
            for ((scale, first), changes) in
                self.architecture.stem.scales.iter().zip(channels).zip(&mut changes)
            {
                let (from, into) = maps.read_and_write(input..input + 1, first..first + RESPONSES);
                // The last plane holds rows that are smoothed until it gets its own numbers.
                let (smooth, others) = into.split_at_mut(self.form.plane);
                let (_, rows) = others.split_at_mut(2 * self.form.plane);
                self.smooth_rows(*scale, from, rows);
                self.smooth_columns(*scale, rows, smooth);
                self.margins.fill_above_and_below(smooth);
                self.respond(*scale, changes, smooth, others);
                self.change(changes[0], smooth);
                into.chunks_exact_mut(self.form.plane)
                    .for_each(|plane| self.margins.fill_above_and_below(plane));
            }
        }
    }

    /// Calls `work` for each row of a band of planes that threads write at the same time: with its number, and its part of each plane from
    /// `left` before column 0.
    fn each_row(&self, planes: &mut [f32], work: impl Fn(usize, &mut [&mut [f32]]) + Sync) {
        let height = bands::height_for_threads(self.extent.y);
        bands::cut(planes, self.form, self.extent.y, height).into_par_iter().for_each(
            |Band { rows, planes }| {
                let mut parts: Vec<_> =
                    planes.into_iter().map(|plane| plane.chunks_exact_mut(self.form.pitch)).collect();
                for y in rows {
                    let mut row: Vec<&mut [f32]> = parts.iter_mut().filter_map(Iterator::next).collect();
                    work(y, &mut row);
                }
            },
        );
    }

    /// The row `y` of a plane from column 0 on, as many whole registers as it has.
    fn row<'b>(&self, plane: &'b [f32], y: usize) -> &'b [f32] {
        &plane[self.form.origin() + y * self.form.pitch..][..self.form.pitch - self.form.left]
    }

    fn smooth_rows(&self, scale: Scale, from: &[f32], into: &mut [f32]) {
        let (weights, radius, columns) = (halved_at_centre(scale), scale.radius(), self.extent.x);
        let boundary = self.architecture.boundary;
        self.each_row(into, |y, into| {
            let row = self.row(from, y);
            // Filled up to whole registers.
            let seen = (0..columns + 2 * radius + Self::SPARE).map(|x| {
                let x = x as isize - radius as isize;
                if x < (columns + radius) as isize { boundary.source(x, columns) } else { None }
            });
            let line: Vec<f32> = seen.map(|x| x.map_or(0.0, |x| row[x])).collect();
            let pairs: Vec<_> = weights
                .iter()
                .enumerate()
                .map(|(d, w)| (&line[radius - d..], &line[radius + d..], *w))
                .collect();
            run(
                self.instructions,
                WeightedPairs { pairs: &pairs, columns, into: &mut into[0][self.form.left..] },
            );
        });
    }

    /// Numbers behind a line that a register may read beyond its last column.
    const SPARE: usize = 16;

    fn smooth_columns(&self, scale: Scale, from: &[f32], into: &mut [f32]) {
        let (weights, boundary) = (halved_at_centre(scale), self.architecture.boundary);
        let zeros = vec![0.0; self.form.pitch];
        self.each_row(into, |y, into| {
            let seen = |y: isize| boundary.source(y, self.extent.y).map_or(&zeros[..], |y| self.row(from, y));
            let pair =
                |(d, weight): (usize, &f32)| (seen(y as isize - d as isize), seen((y + d) as isize), *weight);
            let pairs: Vec<_> = weights.iter().enumerate().map(pair).collect();
            let columns = self.extent.x;
            run(
                self.instructions,
                WeightedPairs { pairs: &pairs, columns, into: &mut into[0][self.form.left..] },
            );
            self.margins.fill_beside(into[0]);
        });
    }

    /// Strength of the edge and eigenvalues of the Hessian of `smooth`, whose margins are filled, into three planes.
    fn respond(&self, scale: Scale, changes: &[[f32; 2]], smooth: &[f32], into: &mut [f32]) {
        let (s, columns) = (scale.pixels() as f32, self.extent.x);
        self.each_row(into, |y, into| {
            let around = |dy: usize| {
                // One row and one column before.
                let start =
                    self.form.origin() + y * self.form.pitch + dy * self.form.pitch - self.form.pitch - 1;
                &smooth[start..][..columns + 2]
            };
            let [_, edge, larger, smaller] = [0, 1, 2, 3].map(|response| changes[response]);
            let mut own = into.iter_mut().map(|row| &mut row[self.form.left..][..columns]);
            if let (Some(edges), Some(larges), Some(smalls)) = (own.next(), own.next(), own.next()) {
                let rows = [around(0), around(1), around(2)];
                let changes = [edge, larger, smaller];
                run(self.instructions, Responses { rows, s, changes, edges, larges, smalls });
            }
            into.iter_mut().for_each(|row| self.margins.fill_beside(row));
        });
    }

    fn change(&self, [shift, factor]: [f32; 2], plane: &mut [f32]) {
        self.each_row(plane, |_, row| {
            let own = &mut row[0][self.form.left..][..self.extent.x];
            own.iter_mut().for_each(|value| *value = (*value - shift) * factor);
            self.margins.fill_beside(row[0]);
        });
    }
}

/// The weights of pairs of pixels at distances 0, 1 and so on: the one at the centre is a pair with itself.
fn halved_at_centre(scale: Scale) -> Vec<f32> {
    let mut weights = scale.weights();
    weights[0] /= 2.0;
    weights.into_iter().map(|weight| weight as f32).collect()
}

/// `into[x] = sum of weight * (first[x] + second[x])` over all pairs.
struct WeightedPairs<'a> {
    pairs: &'a [(&'a [f32], &'a [f32], f32)],
    columns: usize,
    into: &'a mut [f32],
}

impl Kernel for WeightedPairs<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let end = self.columns.next_multiple_of(L::COUNT);
        assert!(self.into.len() >= end);
        assert!(self.pairs.iter().all(|(first, second, _)| first.len() >= end && second.len() >= end));
        for column in (0..end).step_by(L::COUNT) {
            // SAFETY: all lines are as long as was asserted; the caller vouches for the instructions.
            unsafe {
                let mut sum = L::splat(0.0);
                for (first, second, weight) in self.pairs {
                    let pair = L::load(first.as_ptr().add(column)).add(L::load(second.as_ptr().add(column)));
                    sum = pair.multiply_add(L::splat(*weight), sum);
                }
                sum.store(self.into.as_mut_ptr().add(column));
            }
        }
    }
}

/// The responses of one row: of three rows of a smoothed image with a column more at either end.
struct Responses<'a> {
    rows: [&'a [f32]; 3],
    s: f32,
    changes: [[f32; 2]; 3],
    edges: &'a mut [f32],
    larges: &'a mut [f32],
    smalls: &'a mut [f32],
}

impl Kernel for Responses<'_> {
    // The compiler makes registers of it: there is nothing here but arithmetic.
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Self { rows: [above, own, below], s, changes: [edge, large, small], edges, larges, smalls } =
            self;
        let columns = edges.len();
        let (above, own, below) = (&above[..columns + 2], &own[..columns + 2], &below[..columns + 2]);
        let (larges, smalls) = (&mut larges[..columns], &mut smalls[..columns]);
        let square = s * s;
        for x in 0..columns {
            let (gx, gy) = ((own[x + 2] - own[x]) * 0.5, (below[x + 1] - above[x + 1]) * 0.5);
            let twice = 2.0 * own[x + 1];
            let (gxx, gyy) = (own[x + 2] + own[x] - twice, below[x + 1] + above[x + 1] - twice);
            let gxy = ((below[x + 2] - below[x]) - (above[x + 2] - above[x])) * 0.25;
            let (mean, half) = (square * 0.5 * (gxx + gyy), (gxx - gyy) * 0.5);
            let apart = square * (half * half + gxy * gxy).sqrt();
            edges[x] = (s * (gx * gx + gy * gy).sqrt() - edge[0]) * edge[1];
            larges[x] = (mean + apart - large[0]) * large[1];
            smalls[x] = (mean - apart - small[0]) * small[1];
        }
    }
}
