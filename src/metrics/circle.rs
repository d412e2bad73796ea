//! The circle that fits into an image: what a tomographic reconstruction of it can know.

use ndarray::{Array2, Array3};

use super::segmentation::UNLABELLED;

/// The circle about the middle of an image through the centres of its outermost pixels, along the shorter side.
///
/// It is what all projections show where the axis of rotation is in the middle of the detector; outside, reconstructions hold zeros or
/// what is known from some angles alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InscribedCircle {
    middle: (f64, f64),
    radius: f64,
}

impl InscribedCircle {
    /// That of an image of `height` rows and `width` columns.
    pub fn of(height: usize, width: usize) -> Self {
        let last = |length: usize| length.saturating_sub(1) as f64;
        Self { middle: (last(height) / 2.0, last(width) / 2.0), radius: last(height.min(width)) / 2.0 }
    }

    /// Its radius in pixels.
    pub fn radius(&self) -> f64 {
        self.radius
    }

    /// How far the centre of a pixel is from the middle, in radii: up to 1 inside.
    pub fn distance(&self, y: usize, x: usize) -> f64 {
        let square = (y as f64 - self.middle.0).powi(2) + (x as f64 - self.middle.1).powi(2);
        if square == 0.0 { 0.0 } else { square.sqrt() / self.radius }
    }

    /// Whether the centre of a pixel is inside or on the circle.
    pub fn contains(&self, y: usize, x: usize) -> bool {
        let square = (y as f64 - self.middle.0).powi(2) + (x as f64 - self.middle.1).powi(2);
        square <= self.radius * self.radius
    }
}

/// Makes classes `[y][x]` outside of the circle [`UNLABELLED`], so that they do not count.
pub fn unlabel_outside(classes: &mut Array2<u32>) {
    let (height, width) = classes.dim();
    let circle = InscribedCircle::of(height, width);
    for ((y, x), class) in classes.indexed_iter_mut() {
        if !circle.contains(y, x) {
            *class = UNLABELLED;
        }
    }
}

/// Makes the values `[channel][y][x]` of a target outside of the circle NaN, so that they do not count.
pub fn blank_outside(values: &mut Array3<f32>) {
    let (_, height, width) = values.dim();
    let circle = InscribedCircle::of(height, width);
    for ((_, y, x), value) in values.indexed_iter_mut() {
        if !circle.contains(y, x) {
            *value = f32::NAN;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_circle_touches_the_shorter_sides() {
        let inside = |height, width| {
            let circle = InscribedCircle::of(height, width);
            let row = |y| (0..width).map(|x| if circle.contains(y, x) { '#' } else { '.' }).collect();
            (0..height).map(row).collect::<Vec<String>>()
        };
        assert_eq!(inside(5, 7), ["...#...", "..###..", ".#####.", "..###..", "...#..."]);
        assert_eq!(inside(4, 4), ["....", ".##.", ".##.", "...."]);
        assert_eq!(inside(1, 3), [".#."]);
        assert_eq!(inside(2, 1), ["."; 2]);
    }

    #[test]
    fn nothing_counts_outside() {
        let mut classes = Array2::zeros((5, 7));
        unlabel_outside(&mut classes);
        let mut values = Array3::zeros((2, 5, 7));
        blank_outside(&mut values);
        assert_eq!(classes.iter().filter(|class| **class == 0).count(), 13);
        assert_eq!(values.iter().filter(|value| **value == 0.0).count(), 2 * 13);
        assert!((classes[[0, 0]], classes[[2, 1]]) == (UNLABELLED, 0) && values[[1, 4, 6]].is_nan());
        assert_eq!(InscribedCircle::of(5, 7).distance(2, 1), 1.0);
    }
}
