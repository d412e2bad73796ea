//! Sections of phantoms as sums of ellipses: what they look like, and what rays through them measure, exactly.

use std::f64::consts::PI;

use ndarray::{Array2, ArrayViewMut1};

/// Samples of a pixel along y and x where the edge of an ellipse crosses it.
const SAMPLES: usize = 4;
/// From the middle of a pixel to its corner, and a little more, in pixels.
const CORNER: f64 = 0.75;

/// An ellipse that adds a value to the section it is in.
///
/// Lengths are in halves of the section's side, from its middle: 1 is at its edge. x points right and y down.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ellipse {
    /// Where its middle is.
    pub x: f64,
    /// Where its middle is.
    pub y: f64,
    /// Half of its axes; the first lies along x where `turn` is 0.
    pub semi_axes: (f64, f64),
    /// From x towards y, in radians.
    pub turn: f64,
    /// What it adds to the pixels inside.
    pub value: f64,
}

/// What stands in a plane: the sum of ellipses.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Section(pub Vec<Ellipse>);

impl Section {
    /// The image `[y][x]` of `size` x `size` pixels; a pixel on an edge has the share of it that lies inside (sampled 4x4).
    pub fn image(&self, size: usize) -> Array2<f32> {
        let mut image = Array2::<f64>::zeros((size, size));
        for ellipse in &self.0 {
            ellipse.draw(&mut image);
        }
        image.mapv(|value| value as f32)
    }

    /// The sinogram `[angle][column]` of `columns` columns, each as wide as a pixel of an image of `size` x `size` pixels: for each
    /// angle (in radians) and the column of the axis there, the mean over the width of a column of the integrals along its rays, in
    /// values times pixels.
    ///
    /// Rays run as [`crate::tomography::ScanGeometry`] says.
    pub fn sinogram(&self, size: usize, columns: usize, angles: &[(f64, f64)]) -> Array2<f32> {
        let mut sinogram = Array2::<f64>::zeros((angles.len(), columns));
        for (mut row, &(angle, axis)) in sinogram.outer_iter_mut().zip(angles) {
            for ellipse in &self.0 {
                ellipse.project(size as f64 / 2.0, angle, axis, &mut row);
            }
        }
        sinogram.mapv(|value| value as f32)
    }
}

impl Ellipse {
    fn draw(&self, image: &mut Array2<f64>) {
        let size = image.ncols();
        let (scale, middle) = (size as f64 / 2.0, (size as f64 - 1.0) / 2.0);
        let (a, b) = (self.semi_axes.0 * scale, self.semi_axes.1 * scale);
        if !(a > 0.0 && b > 0.0) {
            return;
        }
        let (x, y) = (self.x * scale + middle, self.y * scale + middle);
        let (sine, cosine) = self.turn.sin_cos();
        // How far a place is from the middle, in halves of axes: 1 on the edge.
        let distance =
            |dx: f64, dy: f64| ((dx * cosine + dy * sine) / a).hypot((dy * cosine - dx * sine) / b);
        // No place a corner away from one differs from it by more.
        let margin = CORNER / a.min(b);
        let span = |middle: f64, reach: f64| {
            let first = (middle - reach - 1.0).max(0.0) as usize;
            first.min(size)..((middle + reach + 2.0).max(0.0) as usize).min(size)
        };
        let (wide, high) = ((a * cosine).hypot(b * sine), (a * sine).hypot(b * cosine));
        let offset = |sample: usize| (sample as f64 + 0.5) / SAMPLES as f64 - 0.5;
        for row in span(y, high) {
            for column in span(x, wide) {
                let (dx, dy) = (column as f64 - x, row as f64 - y);
                let at_middle = distance(dx, dy);
                let covered = if at_middle < 1.0 - margin {
                    1.0
                } else if at_middle > 1.0 + margin {
                    continue;
                } else {
                    let inside = (0..SAMPLES * SAMPLES)
                        .filter(|s| distance(dx + offset(s / SAMPLES), dy + offset(s % SAMPLES)) <= 1.0)
                        .count();
                    inside as f64 / (SAMPLES * SAMPLES) as f64
                };
                image[[row, column]] += self.value * covered;
            }
        }
    }

    /// Adds what rays at `angle` measure; `scale` pixels are the unit of lengths.
    fn project(&self, scale: f64, angle: f64, axis: f64, row: &mut ArrayViewMut1<f64>) {
        let (a, b) = (self.semi_axes.0 * scale, self.semi_axes.1 * scale);
        if !(a > 0.0 && b > 0.0) {
            return;
        }
        let (sine, cosine) = angle.sin_cos();
        let middle = axis + (self.x * cosine + self.y * sine) * scale;
        let (along, across) = ((angle - self.turn).cos(), (angle - self.turn).sin());
        // The ray at distance u from the middle is 2 a b sqrt(w^2 - u^2) / w^2 long inside.
        let width = (a * along).hypot(b * across);
        let primitive = |u: f64| {
            let u = u.clamp(-width, width);
            (u * (width * width - u * u).max(0.0).sqrt() + width * width * (u / width).asin()) / 2.0
        };
        let length = 2.0 * a * b / (width * width) * self.value;
        let first = (middle - width - 0.5).ceil().max(0.0) as usize;
        let end = ((middle + width + 0.5).floor() + 1.0).max(0.0) as usize;
        let end = end.min(row.len());
        let mut before = primitive(first as f64 - 0.5 - middle);
        for column in first..end {
            let behind = primitive(column as f64 + 0.5 - middle);
            row[column] += length * (behind - before);
            before = behind;
        }
    }
}

/// Degrees as radians.
pub(super) fn radians(degrees: f64) -> f64 {
    degrees * PI / 180.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tomography::{half_turn, project};

    fn two() -> Section {
        let large = Ellipse { x: 0.1, y: -0.2, semi_axes: (0.6, 0.3), turn: radians(25.0), value: 1.0 };
        let small = Ellipse { x: -0.3, y: 0.4, semi_axes: (0.1, 0.2), turn: 0.0, value: -0.5 };
        Section(vec![large, small])
    }

    #[test]
    fn pixels_add_up_to_the_areas() {
        let image = two().image(256);
        let area = PI * (0.6 * 0.3 - 0.5 * 0.1 * 0.2) * 128.0 * 128.0;
        assert!((f64::from(image.sum()) - area).abs() < 2e-3 * area, "{} is not {area}", image.sum());
        // Its longer axis points right and down.
        let at = |x: f64, y: f64| image[[(127.5 + 128.0 * y) as usize, (127.5 + 128.0 * x) as usize]];
        let (sine, cosine) = radians(25.0).sin_cos();
        assert_eq!(at(0.1 + 0.55 * cosine, -0.2 + 0.55 * sine), 1.0);
        assert_eq!(at(0.1 + 0.55 * cosine, -0.2 - 0.55 * sine), 0.0);
        assert_eq!(at(-0.3, 0.4), -0.5);
    }

    #[test]
    fn rays_measure_what_the_pixels_say() {
        let size = 256;
        let angles: Vec<(f64, f64)> = half_turn(12).into_iter().map(|angle| (angle, 127.5)).collect();
        let exact = two().sinogram(size, size, &angles);
        let drawn = project(&two().image(size), 12);
        let (mut error, mut sum) = (0.0, 0.0);
        for (exact, drawn) in exact.iter().zip(&drawn) {
            error += (exact - drawn).powi(2);
            sum += exact.powi(2);
        }
        assert!(error < 1e-4 * sum, "{error} of {sum}");
        // All rays of an angle measure the whole.
        let area = PI * (0.6 * 0.3 - 0.5 * 0.1 * 0.2) * 128.0 * 128.0;
        for row in exact.outer_iter() {
            assert!((f64::from(row.sum()) - area).abs() < 1e-4 * area);
        }
    }

    #[test]
    fn what_lies_outside_or_has_no_size_is_no_trouble() {
        let beside = Ellipse { x: 5.0, y: -7.0, semi_axes: (0.5, 0.5), turn: 1.0, value: 1.0 };
        let flat = Ellipse { x: 0.0, y: 0.0, semi_axes: (0.0, 0.5), turn: 0.0, value: 1.0 };
        let section = Section(vec![beside, flat]);
        assert!(section.image(16).iter().all(|value| *value == 0.0));
        assert!(section.sinogram(16, 16, &[(0.3, 7.5), (2.0, -40.0)]).iter().all(|value| *value == 0.0));
        assert_eq!(section.image(0).dim(), (0, 0));
    }
}
