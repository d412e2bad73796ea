//! Gaussian smoothing, and cubic splines between values.

use ndarray::{Array2, ArrayView2, Axis};

/// Smooths an image `[row][column]` by Gaussians of these standard deviations along columns and rows, cut off at four of them.
/// At its edges the image is mirrored, the outermost values doubled.
pub(super) fn gaussian(image: ArrayView2<f32>, along_columns: f64, along_rows: f64) -> Array2<f32> {
    let once = along_first(image, along_columns);
    along_first(once.t(), along_rows).reversed_axes().as_standard_layout().into_owned()
}

/// Smooths along the first axis.
fn along_first(image: ArrayView2<f32>, sigma: f64) -> Array2<f32> {
    let reach = (4.0 * sigma).ceil() as isize;
    let weights: Vec<f64> =
        (-reach..=reach).map(|i| (-(i as f64).powi(2) / (2.0 * sigma * sigma)).exp()).collect();
    let total: f64 = weights.iter().sum();
    let length = image.nrows() as isize;
    let image = image.as_standard_layout();
    let mut smooth = Array2::zeros(image.raw_dim());
    for (place, mut line) in smooth.axis_iter_mut(Axis(0)).enumerate() {
        for (weight, shift) in weights.iter().zip(-reach..) {
            let from = (place as isize + shift).rem_euclid(2 * length);
            let from = from.min(2 * length - 1 - from) as usize;
            line.scaled_add((weight / total) as f32, &image.row(from));
        }
    }
    smooth
}

/// Turns a row of values into the coefficients of the cubic spline through them: the value at place i is
/// (c(i - 1) + 4 c(i) + c(i + 1)) / 6.
///
/// M. Unser, A. Aldroubi, M. Eden, "B-spline signal processing: part II", IEEE Transactions on Signal Processing 41(2), 1993.
/// At its ends the row is mirrored about its outermost values.
pub(super) fn spline_coefficients(row: &mut [f32]) {
    if row.len() < 2 {
        return;
    }
    let pole = 3f64.sqrt() - 2.0;
    // What lies further away than this does not count in single precision.
    let start: f64 = row.iter().take(24).enumerate().map(|(i, c)| pole.powi(i as i32) * f64::from(*c)).sum();
    let mut forward: Vec<f64> = Vec::with_capacity(row.len());
    let mut last = start;
    for (i, value) in row.iter().enumerate() {
        last = if i == 0 { start } else { f64::from(*value) + pole * last };
        forward.push(last);
    }
    let before = forward.iter().rev().nth(1).copied().unwrap_or(last);
    let mut next = pole / (pole * pole - 1.0) * (last + pole * before);
    let mut end = true;
    for (value, forward) in row.iter_mut().zip(&forward).rev() {
        if !end {
            next = pole * (next - forward);
        }
        end = false;
        *value = (6.0 * next) as f32;
    }
}

/// The weights of the four coefficients from place i - 1 on, for the value at i + `fraction`.
pub(super) fn spline_weights(fraction: f64) -> [f32; 4] {
    let left = 1.0 - fraction;
    [
        left.powi(3) / 6.0,
        (4.0 - 6.0 * fraction.powi(2) + 3.0 * fraction.powi(3)) / 6.0,
        (4.0 - 6.0 * left.powi(2) + 3.0 * left.powi(3)) / 6.0,
        fraction.powi(3) / 6.0,
    ]
    .map(|weight| weight as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splines_pass_through_values_and_follow_waves() {
        let wave = |x: f64| (0.4 * x).sin() + 0.3 * (0.9 * x).cos();
        let values: Vec<f32> = (0..40).map(|i| wave(f64::from(i)) as f32).collect();
        let mut coefficients = values.clone();
        spline_coefficients(&mut coefficients);
        let at = |place: usize, fraction: f64| -> f32 {
            coefficients[place - 1..].iter().zip(spline_weights(fraction)).map(|(c, w)| c * w).sum()
        };
        for (place, value) in values.iter().enumerate().take(37).skip(1) {
            assert!((at(place, 0.0) - value).abs() < 1e-5, "{place}");
        }
        for place in 8..32 {
            assert!((at(place, 0.5) - wave(place as f64 + 0.5) as f32).abs() < 2e-3, "{place}");
        }
    }

    #[test]
    fn smoothing_keeps_sums_and_has_its_width() {
        let mut image = Array2::zeros((41, 51));
        image[[20, 25]] = 1.0;
        let smooth = gaussian(image.view(), 3.0, 1.0);
        assert!((smooth.sum() - 1.0).abs() < 1e-5);
        let spread = |axis: usize| -> f32 {
            let middle = [20.0, 25.0][axis];
            smooth
                .indexed_iter()
                .map(|((y, x), v)| v * ([y, x][axis] as f32 - middle).powi(2))
                .sum::<f32>()
                .sqrt()
        };
        assert!((spread(0) - 3.0).abs() < 0.05 && (spread(1) - 1.0).abs() < 0.05);
        // Flat images stay, also those that are smaller than the Gaussian.
        let flat = gaussian(Array2::from_elem((2, 3), 5.0).view(), 3.0, 2.0);
        assert!(flat.iter().all(|v| (v - 5.0).abs() < 1e-5));
    }
}
