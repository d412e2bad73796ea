//! Images brought onto a finer or a coarser grid, in any part by itself.
//!
//! Grids share the edges of the image, not the middles of its first pixels: pixel i of a grid that is `factor` times as fine lies at
//! (i + 0.5) / factor - 0.5 of the coarse one. Beyond the edge there is nothing: what a kernel would weigh there is left out,
//! and the rest weighs as much more, so that an even image stays even. Pillow does the same.

use std::f64::consts::PI;

use ndarray::{Array3, ArrayView3, Axis};

use super::volume::zeros;
use crate::error::Result;
use crate::geometry::{Extent, Window};

/// Beyond so many deviations a Gaussian is left out.
const DEVIATIONS: f64 = 4.0;

/// How values between pixels are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// Cubic convolution with a = -0.5, which gives quadratic polynomials exactly (Keys, "Cubic convolution interpolation for digital
    /// image processing", IEEE Transactions on Acoustics, Speech, and Signal Processing 29, 1981).
    Bicubic,
    /// The sinc within a window that is the middle of a wider one, with a = 3 (Duchon, "Lanczos filtering in one and two dimensions",
    /// Journal of Applied Meteorology 18, 1979).
    Lanczos,
}

impl Kernel {
    /// How far it reaches, in pixels of the coarse grid.
    fn reach(self) -> f64 {
        match self {
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    /// The weight of a pixel that is `away` pixels of the coarse grid away.
    fn weight(self, away: f64) -> f64 {
        const A: f64 = -0.5;
        let x = away.abs();
        match self {
            Self::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => A * (((x - 5.0) * x + 8.0) * x - 4.0),
            Self::Lanczos if x < 3.0 => sinc(x) * sinc(x / 3.0),
            _ => 0.0,
        }
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) }
}

/// How an image is brought onto another grid, in y and x alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Resampling {
    /// Onto a grid that is `factor` times as fine.
    Finer {
        /// Pixels of the result along one of the image.
        factor: usize,
        /// How values between pixels are found.
        kernel: Kernel,
    },
    /// Onto a grid that is `factor` times as coarse: the mean over `factor` x `factor` pixels. What is left at the end, where lengths
    /// are no multiples, belongs to no pixel.
    Coarser {
        /// Pixels of the image along one of the result.
        factor: usize,
        /// The standard deviation of a Gaussian that blurs the image before, in its pixels; 0 for none.
        blur: f64,
    },
}

/// The pixels that one of the result is made of, along one axis.
struct Taps {
    first: usize,
    /// That of pixel `first`, and of those that follow; their sum is 1.
    weights: Vec<f32>,
}

impl Resampling {
    /// Rows or columns of the result of so many; `None` beyond what a `usize` holds.
    fn length(&self, length: usize) -> Option<usize> {
        match *self {
            Self::Finer { factor, .. } => length.checked_mul(factor),
            Self::Coarser { factor, .. } => length.checked_div(factor),
        }
    }

    /// The size of the result of a plane of `extent`; `None` where there is none, or it is beyond what a `usize` holds.
    pub(crate) fn extent(&self, extent: Extent) -> Option<Extent> {
        let (y, x) = (self.length(extent.y)?, self.length(extent.x)?);
        (y > 0 && x > 0).then(|| Extent::plane(y, x))
    }

    /// How many pixels of the result lie along one of the image.
    pub(crate) fn fineness(&self) -> f64 {
        match *self {
            Self::Finer { factor, .. } => factor as f64,
            Self::Coarser { factor, .. } => 1.0 / factor as f64,
        }
    }

    /// The part of a plane of `extent` that the part `wanted` of the result is made of.
    pub(crate) fn needed(&self, wanted: &Window, extent: Extent) -> Window {
        let along = |range: std::ops::Range<usize>, length: usize| {
            let start = self.range(range.start, length).start;
            start..self.range(range.end.saturating_sub(1), length).end.max(start)
        };
        Window::plane(along(wanted.rows(), extent.y), along(wanted.columns(), extent.x))
    }

    /// The part `wanted` of the result, `[channel][y][x]`; `image` is what [`Resampling::needed`] says, of a plane of `extent` that
    /// messages call `name`. Every pixel is computed in the same way, whatever the part.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) for more than there is memory for.
    pub(crate) fn apply(
        &self,
        name: &str,
        image: ArrayView3<'_, f32>,
        wanted: &Window,
        extent: Extent,
    ) -> Result<Array3<f32>> {
        let origin = self.needed(wanted, extent);
        let taps = |range: std::ops::Range<usize>, length: usize, start: usize| -> Vec<Taps> {
            range
                .map(|index| {
                    let taps = self.taps(index, length);
                    Taps { first: taps.first - start, ..taps }
                })
                .collect()
        };
        let rows = taps(wanted.rows(), extent.y, origin.y);
        let columns = taps(wanted.columns(), extent.x, origin.x);
        let (channels, height, _) = image.dim();
        let mut across: Array3<f32> = zeros(name, (1, height, columns.len()))?;
        let mut result: Array3<f32> = zeros(name, (channels, rows.len(), columns.len()))?;
        for (plane, mut result) in image.outer_iter().zip(result.outer_iter_mut()) {
            let mut across = across.index_axis_mut(Axis(0), 0);
            for (line, mut across) in plane.outer_iter().zip(across.outer_iter_mut()) {
                for (value, Taps { first, weights }) in across.iter_mut().zip(&columns) {
                    let near = line.iter().skip(*first);
                    *value = near.zip(weights).fold(0.0, |sum, (value, weight)| sum + value * weight);
                }
            }
            for (mut line, Taps { first, weights }) in result.outer_iter_mut().zip(&rows) {
                for (near, weight) in across.outer_iter().skip(*first).zip(weights) {
                    line.zip_mut_with(&near, |sum, value| *sum += weight * value);
                }
            }
        }
        Ok(result)
    }

    /// Where the pixels lie that pixel `index` of the result is made of, along an axis of `length` pixels.
    fn range(&self, index: usize, length: usize) -> std::ops::Range<usize> {
        match *self {
            Self::Finer { factor, kernel } => {
                let (middle, reach) = ((index as f64 + 0.5) / factor as f64, kernel.reach());
                // Negative numbers become 0.
                let start = (middle - reach + 0.5) as usize;
                let end = (middle + reach + 0.5) as usize;
                start.min(length.saturating_sub(1))..end.min(length)
            }
            Self::Coarser { factor, blur } => {
                let (start, reach) = (index * factor, (DEVIATIONS * blur).ceil() as usize);
                start.saturating_sub(reach)..(start + factor + reach).min(length)
            }
        }
    }

    fn taps(&self, index: usize, length: usize) -> Taps {
        let range = self.range(index, length);
        let first = range.start;
        let weights: Vec<f64> = range.map(|at| self.weight(index, at)).collect();
        let sum: f64 = weights.iter().sum();
        Taps { first, weights: weights.into_iter().map(|weight| (weight / sum) as f32).collect() }
    }

    /// How much the pixel `at` counts in pixel `index` of the result, not yet divided by the sum.
    fn weight(&self, index: usize, at: usize) -> f64 {
        match *self {
            Self::Finer { factor, kernel } => {
                kernel.weight(at as f64 + 0.5 - (index as f64 + 0.5) / factor as f64)
            }
            Self::Coarser { factor, blur } => {
                let (start, reach) = (index * factor, (DEVIATIONS * blur).ceil());
                let share = |inside: usize| {
                    let away = at as f64 - inside as f64;
                    match blur > 0.0 {
                        true if away.abs() <= reach => (-0.5 * (away / blur).powi(2)).exp(),
                        true => 0.0,
                        false => f64::from(u8::from(away == 0.0)),
                    }
                };
                (start..start + factor).map(share).sum()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, s};

    use super::*;

    fn all(by: Resampling, image: &Array3<f32>) -> Array3<f32> {
        let extent = Extent::plane(image.dim().1, image.dim().2);
        let wanted = Window::whole(by.extent(extent).unwrap());
        assert_eq!(by.needed(&wanted, extent), Window::whole(extent));
        by.apply("an image", image.view(), &wanted, extent).unwrap()
    }

    fn finer(factor: usize, kernel: Kernel) -> Resampling {
        Resampling::Finer { factor, kernel }
    }

    fn largest(found: impl IntoIterator<Item = f32>) -> f32 {
        found.into_iter().map(f32::abs).fold(0.0, f32::max)
    }

    #[test]
    fn quadratic_polynomials_are_interpolated_exactly_inside_and_cubic_ones_are_not() {
        let values = |power: i32, y: f64, x: f64| {
            let (y, x) = (y / 6.0 - 1.0, x / 6.0 - 1.0);
            (0.3 + y - 0.7 * y.powi(power) + (1.0 - 0.4 * y) * (0.8 * x.powi(power) - x)) as f32
        };
        for factor in [2, 3, 4] {
            let error = |power: i32| {
                let image = Array3::from_shape_fn((1, 12, 13), |(_, y, x)| values(power, y as f64, x as f64));
                let found = all(finer(factor, Kernel::Bicubic), &image);
                let place = |at: usize| (at as f64 + 0.5) / factor as f64 - 0.5;
                let inside = found.indexed_iter().filter(|((_, y, x), _)| {
                    (2 * factor..10 * factor).contains(y) && (2 * factor..11 * factor).contains(x)
                });
                largest(inside.map(|((_, y, x), value)| value - values(power, place(y), place(x))))
            };
            assert!(error(1) < 1e-6 && error(2) < 1e-6, "{factor}: {} {}", error(1), error(2));
            assert!(error(3) > 1e-4, "{factor}: {}", error(3));
        }
    }

    /// What Pillow 13 gives for `Image.resize` of a float image, with BICUBIC and LANCZOS.
    #[test]
    fn pillow_gives_the_same() {
        let image = Array3::from_shape_fn((1, 4, 5), |(_, y, x)| ((7 * y + 13 * x + x * y) % 11) as f32);
        let wanted = [
            (
                finer(2, Kernel::Bicubic),
                2876.83,
                [(0, 0, -0.78633), (0, 5, 4.72266), (3, 1, 7.37363), (4, 5, -0.02478), (7, 9, 8.44896)],
            ),
            (
                finer(3, Kernel::Bicubic),
                6493.13,
                [(0, 0, -0.93629), (0, 7, 4.21053), (4, 1, 7.00000), (6, 8, 0.41015), (11, 14, 8.53740)],
            ),
            (
                finer(2, Kernel::Lanczos),
                2981.00,
                [(0, 0, -1.18876), (0, 5, 4.73422), (3, 1, 7.98238), (4, 5, -1.30259), (7, 9, 8.94543)],
            ),
            (
                finer(3, Kernel::Lanczos),
                6719.12,
                [(0, 0, -1.47852), (0, 7, 4.24057), (4, 1, 7.00000), (6, 8, -1.10900), (11, 14, 9.18848)],
            ),
        ];
        for (by, squares, pixels) in wanted {
            let found = all(by, &image);
            let sum: f64 = found.iter().map(|value| f64::from(*value).powi(2)).sum();
            assert!((sum - squares).abs() < 0.02, "{by:?}: {sum}");
            for (y, x, wanted) in pixels {
                let value: f32 = found[[0, y, x]];
                assert!((value - wanted).abs() < 2e-5, "{by:?} at {y}, {x}: {value}");
            }
        }
    }

    #[test]
    fn even_images_stay_even_and_means_are_those_of_squares() {
        let even = Array3::from_elem((2, 5, 7), 3.25);
        let blurred = Resampling::Coarser { factor: 2, blur: 1.3 };
        for by in [finer(3, Kernel::Bicubic), finer(2, Kernel::Lanczos), blurred] {
            assert!(largest(all_of_even(by, &even).iter().map(|value| value - 3.25)) < 1e-6, "{by:?}");
        }
        let image = Array3::from_shape_fn((1, 6, 9), |(_, y, x)| (y * y + 3 * x) as f32);
        let found = all(Resampling::Coarser { factor: 3, blur: 0.0 }, &image);
        let wanted = Array2::from_shape_fn((2, 3), |(y, x)| {
            image.slice(s![0, 3 * y..3 * y + 3, 3 * x..3 * x + 3]).mean().unwrap()
        });
        assert!(largest((&found.index_axis(Axis(0), 0) - &wanted).into_iter()) < 1e-5);
    }

    /// As [`all`], where some pixels at the end may belong to no pixel of the result.
    fn all_of_even(by: Resampling, image: &Array3<f32>) -> Array3<f32> {
        let extent = Extent::plane(image.dim().1, image.dim().2);
        let wanted = Window::whole(by.extent(extent).unwrap());
        let needed = by.needed(&wanted, extent);
        let part = image.slice(s![.., needed.rows(), needed.columns()]);
        by.apply("an image", part, &wanted, extent).unwrap()
    }

    /// A line of light through a blur keeps its sum and gets the deviation of the Gaussian and the square together.
    #[test]
    fn a_blur_has_the_deviation_that_was_asked_for() {
        let mut image = Array3::zeros((1, 4, 400));
        image.slice_mut(s![.., .., 200]).fill(1.0);
        let found = all_of_even(Resampling::Coarser { factor: 4, blur: 6.0 }, &image);
        let line = found.slice(s![0, 0, ..]);
        let sum: f32 = line.sum();
        let moment = |power: i32| {
            line.iter()
                .enumerate()
                .map(|(at, v)| v * (4.0 * at as f32 + 1.5 - 200.0).powi(power))
                .sum::<f32>()
                / sum
        };
        assert!((4.0 * sum - 1.0).abs() < 1e-4, "{sum}");
        // The square of four pixels has a variance of (16 - 1) / 12, and so have the places of the coarse pixels.
        let variance = moment(2) - moment(1).powi(2);
        assert!((variance - (36.0 + 2.0 * 15.0 / 12.0)).abs() < 1.5, "{variance}");
    }

    #[test]
    fn parts_are_those_of_the_whole_to_the_last_bit() {
        let image = Array3::from_shape_fn((2, 14, 17), |(c, y, x)| ((c * 31 + y * 7 + x * 13) % 23) as f32);
        let extent = Extent::plane(14, 17);
        for by in [
            finer(2, Kernel::Bicubic),
            finer(3, Kernel::Lanczos),
            finer(4, Kernel::Bicubic),
            Resampling::Coarser { factor: 2, blur: 0.0 },
            Resampling::Coarser { factor: 3, blur: 0.9 },
        ] {
            let whole = all_of_even(by, &image);
            let (height, width) = (whole.dim().1, whole.dim().2);
            for (top, bottom) in [(0, 1), (1, height), (height / 2, height / 2 + 1), (height - 1, height)] {
                for (left, right) in [(0, width), (width / 3, width - 1), (width - 1, width)] {
                    let wanted = Window::plane(top..bottom, left..right);
                    let needed = by.needed(&wanted, extent);
                    let part = image.slice(s![.., needed.rows(), needed.columns()]);
                    let found = by.apply("an image", part, &wanted, extent).unwrap();
                    assert_eq!(found, whole.slice(s![.., top..bottom, left..right]), "{by:?} {wanted}");
                }
            }
        }
        // A window needs no more than two pixels more of the coarse image on either side.
        let needed = finer(2, Kernel::Bicubic).needed(&Window::plane(8..12, 8..12), extent);
        assert_eq!(needed, Window::plane(2..8, 2..8));
        assert_eq!(finer(usize::MAX, Kernel::Bicubic).extent(extent), None);
        assert_eq!(Resampling::Coarser { factor: 15, blur: 0.0 }.extent(extent), None);
    }
}
