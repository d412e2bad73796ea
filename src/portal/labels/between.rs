//! What lies between the labels of a class in two slices.
//!
//! Each slice gives the signed distance from the edge of its labels, negative inside; in a slice between the two this is interpolated
//! linearly, and pixels where it is negative belong to the class. Outside of the image nothing is labelled.

use ndarray::Array2;

use super::runs::{Rect, Run};
use crate::memory;
use crate::{Error, Result};

/// The largest rectangle around the labels of both slices, in pixels.
const MOST_PIXELS: usize = 64 << 20;

/// The shapes between two slices.
#[derive(Debug)]
pub(super) struct Interpolation {
    /// What lies around the labels of both slices.
    around: Rect,
    /// Signed distances in the first and the second slice, of this rectangle.
    first: Array2<f32>,
    second: Array2<f32>,
}

impl Interpolation {
    /// Between the pixels `first` and `second` of two slices; `None` where one of them has none.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for labels so far apart that they cannot be held; [`Error::OutOfMemory`].
    pub(super) fn of(first: &[Run], second: &[Run]) -> Result<Option<Self>> {
        let (Some(a), Some(b)) = (Rect::around(first), Rect::around(second)) else { return Ok(None) };
        let around = a.union(b);
        let (height, width) = (around.bottom - around.top, around.right - around.left);
        let pixels = height.saturating_mul(width);
        if pixels > MOST_PIXELS {
            return Err(Error::Mismatch(format!(
                "the labels of the two slices lie in {width} x {height} pixels, but wanted at most {MOST_PIXELS} pixels; label the slices between them, or use polygons"
            )));
        }
        memory::check(
            "an interpolation between slices",
            pixels as u64 * 24,
            "label the slices between them",
        )?;
        let (first, second) = (signed_distances(first, &around), signed_distances(second, &around));
        Ok(Some(Self { around, first, second }))
    }

    /// The rectangle outside of which nothing lies.
    pub(super) fn around(&self) -> Rect {
        self.around
    }

    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        (self.first.len() + self.second.len()) * size_of::<f32>()
    }

    /// The pixels of the slice that is `share` of the way from the first to the second, 0 to 1.
    pub(super) fn at(&self, share: f32) -> Vec<Run> {
        let mut runs = Vec::new();
        for (row, (first, second)) in self.first.outer_iter().zip(self.second.outer_iter()).enumerate() {
            let y = self.around.top + row;
            let mut open: Option<usize> = None;
            for (column, (a, b)) in first.iter().zip(second).enumerate() {
                let is_inside = (1.0 - share) * a + share * b < 0.0;
                match (is_inside, open) {
                    (true, None) => open = Some(column),
                    (false, Some(start)) => {
                        let (start, end) = (self.around.left + start, self.around.left + column);
                        runs.push(Run { y, start, end });
                        open = None;
                    }
                    _ => {}
                }
            }
            if let Some(start) = open {
                runs.push(Run { y, start: self.around.left + start, end: self.around.right });
            }
        }
        runs
    }
}

/// The distance of each pixel in `around` from the edge of the labels in `runs`, negative inside: from its centre to the nearest centre
/// on the other side, less half a pixel.
fn signed_distances(runs: &[Run], around: &Rect) -> Array2<f32> {
    // A margin of one pixel stands for all that is outside.
    let shape = (around.bottom - around.top + 2, around.right - around.left + 2);
    let mut inside = Array2::from_elem(shape, false);
    for run in runs {
        let y = run.y - around.top + 1;
        for x in run.start - around.left + 1..run.end - around.left + 1 {
            inside[(y, x)] = true;
        }
    }
    let to_inside = squared_distances(&inside, true);
    let to_outside = squared_distances(&inside, false);
    Array2::from_shape_fn((shape.0 - 2, shape.1 - 2), |(y, x)| {
        let at = (y + 1, x + 1);
        if inside[at] { 0.5 - to_outside[at].sqrt() } else { to_inside[at].sqrt() - 0.5 }
    })
}

/// The squared distance of each pixel to the nearest one that is `wanted`, exact below 2^24 (Felzenszwalb and Huttenlocher 2012).
fn squared_distances(inside: &Array2<bool>, wanted: bool) -> Array2<f32> {
    /// Larger than any distance, and small enough to be added to one.
    const FAR: f64 = 1e12;
    let (height, width) = inside.dim();
    let mut distances =
        Array2::from_shape_fn((height, width), |at| if inside[at] == wanted { 0.0 } else { FAR });
    let mut line = Envelope::new(height.max(width));
    for mut column in distances.columns_mut() {
        line.pass(&mut column);
    }
    for mut row in distances.rows_mut() {
        line.pass(&mut row);
    }
    distances.mapv(|distance| distance as f32)
}

/// The lower envelope of parabolas along a line.
struct Envelope {
    values: Vec<f64>,
    /// Where the parabolas of the envelope stand, and from where on each is the lowest.
    places: Vec<usize>,
    starts: Vec<f64>,
}

impl Envelope {
    fn new(length: usize) -> Self {
        Self { values: vec![0.0; length], places: vec![0; length], starts: vec![0.0; length + 1] }
    }

    fn pass(&mut self, line: &mut ndarray::ArrayViewMut1<'_, f64>) {
        let count = line.len();
        self.values[..count].iter_mut().zip(line.iter()).for_each(|(value, from)| *value = *from);
        let Self { values, places, starts } = self;
        let height = |at: usize| values[at] + (at * at) as f64;
        let mut last = 0;
        (places[0], starts[0], starts[1]) = (0, f64::NEG_INFINITY, f64::INFINITY);
        for at in 1..count {
            let meets = |other: usize| (height(at) - height(other)) / (2.0 * (at - other) as f64);
            let mut start = meets(places[last]);
            // The first one begins before everything, so this ends there.
            while start <= starts[last] {
                last -= 1;
                start = meets(places[last]);
            }
            last += 1;
            (places[last], starts[last], starts[last + 1]) = (at, start, f64::INFINITY);
        }
        let mut current = 0;
        for (at, value) in line.iter_mut().enumerate() {
            while starts[current + 1] < at as f64 {
                current += 1;
            }
            let away = at.abs_diff(places[current]);
            *value = (away * away) as f64 + values[places[current]];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(top: usize, left: usize, side: usize) -> Vec<Run> {
        (top..top + side).map(|y| Run { y, start: left, end: left + side }).collect()
    }

    #[test]
    fn distances_are_those_of_a_search() {
        let inside = Array2::from_shape_fn((13, 17), |(y, x)| (y * 5 + x * 3) % 11 == 0);
        for wanted in [true, false] {
            let found = squared_distances(&inside, wanted);
            for ((y, x), found) in found.indexed_iter() {
                let there = inside.indexed_iter().filter(|(_, is)| **is == wanted);
                let nearest =
                    there.map(|((v, u), _)| y.abs_diff(v).pow(2) + x.abs_diff(u).pow(2)).min().unwrap();
                assert_eq!(*found, nearest as f32);
            }
        }
    }

    #[test]
    fn a_square_grows_from_one_slice_to_the_next() {
        let shapes = Interpolation::of(&square(4, 4, 2), &square(0, 0, 10)).unwrap().unwrap();
        // A side of 2 at the beginning and of 10 at the end: 6 in the middle, corners rounded by the distance.
        let middle = shapes.at(0.5);
        assert_eq!(Rect::around(&middle), Some(Rect { top: 2, bottom: 8, left: 2, right: 8 }));
        assert_eq!(shapes.at(0.0), square(4, 4, 2));
        assert_eq!(shapes.at(1.0), square(0, 0, 10));
        // A square that moves is half-way in the middle, but for its corners.
        let shapes = Interpolation::of(&square(0, 0, 6), &square(0, 2, 6)).unwrap().unwrap();
        let mut wanted = square(0, 1, 6);
        for row in [0, 5] {
            (wanted[row].start, wanted[row].end) = (2, 6);
        }
        assert_eq!(shapes.at(0.5), wanted);
    }

    #[test]
    fn nothing_lies_between_a_shape_and_nothing() {
        assert!(Interpolation::of(&square(0, 0, 3), &[]).unwrap().is_none());
        let far = [Run { y: 20_000, start: 20_000, end: 20_001 }];
        let error = Interpolation::of(&square(0, 0, 1), &far).unwrap_err().to_string();
        assert!(error.contains("20001 x 20001 pixels"), "{error}");
    }
}
