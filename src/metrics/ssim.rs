//! Structural similarity of two images.
//!
//! Wang, Bovik, Sheikh & Simoncelli, "Image quality assessment: from error visibility to structural
//! similarity", IEEE Transactions on Image Processing 13(4), 2004, equation 13, with a uniform window of
//! 7x7 pixels and the unbiased sample covariance: the defaults of scikit-image, so that figures compare.

use ndarray::ArrayView2;
use rayon::prelude::*;

/// Height and width of the window in pixels.
const WINDOW: usize = 7;
const K1: f64 = 0.01;
const K2: f64 = 0.03;

/// Mean structural similarity of two images `[y][x]` for a data range in their units: 1 for equal images.
///
/// It is the mean over all places where the window lies wholly inside and holds no target that is NaN. `None` if there is
/// none, if the shapes differ or if the range is not above 0.
pub fn ssim(target: ArrayView2<f32>, predicted: ArrayView2<f32>, range: f64) -> Option<f64> {
    let (height, width) = target.dim();
    if target.dim() != predicted.dim() || height < WINDOW || width < WINDOW || range.is_nan() || range <= 0.0
    {
        return None;
    }
    let rows = height - WINDOW + 1;
    // Rows are summed in their order afterwards, so that the result does not depend on the threads.
    let row_sums: Vec<(f64, usize)> =
        (0..rows).into_par_iter().map(|y| row_sum(target, predicted, y, range)).collect();
    let (sum, windows) = row_sums.iter().fold((0.0, 0), |(sum, windows), row| (sum + row.0, windows + row.1));
    (windows > 0).then(|| sum / windows as f64)
}

/// The sum of the index over the windows whose top row is `top`, and their number.
fn row_sum(target: ArrayView2<f32>, predicted: ArrayView2<f32>, top: usize, range: f64) -> (f64, usize) {
    let width = target.ncols();
    // Per column, over the window's rows: the sums of t, p, t t, p p and t p. Summing the columns first
    // makes a pixel cost 14 additions a sum instead of 49, and nothing accumulates across the image.
    let mut columns = vec![[0.0f64; 5]; width];
    for y in top..top + WINDOW {
        for ((sums, &t), &p) in columns.iter_mut().zip(target.row(y)).zip(predicted.row(y)) {
            let (t, p) = (f64::from(t), f64::from(p));
            for (sum, term) in sums.iter_mut().zip([t, p, t * t, p * p, t * p]) {
                *sum += term;
            }
        }
    }
    columns
        .windows(WINDOW)
        .map(|window| {
            let mut sums = [0.0; 5];
            for column in window {
                for (sum, term) in sums.iter_mut().zip(column) {
                    *sum += term;
                }
            }
            sums
        })
        .filter(|sums| !sums[0].is_nan())
        .fold((0.0, 0), |(sum, windows), sums| (sum + index(sums, range), windows + 1))
}

/// Equation 13 of the paper for the sums over one window.
fn index([t, p, tt, pp, tp]: [f64; 5], range: f64) -> f64 {
    let count = (WINDOW * WINDOW) as f64;
    let (mean_t, mean_p) = (t / count, p / count);
    let unbiased = count / (count - 1.0);
    let variance_t = unbiased * (tt / count - mean_t * mean_t);
    let variance_p = unbiased * (pp / count - mean_p * mean_p);
    let covariance = unbiased * (tp / count - mean_t * mean_p);
    let (c1, c2) = ((K1 * range).powi(2), (K2 * range).powi(2));
    ((2.0 * mean_t * mean_p + c1) * (2.0 * covariance + c2))
        / ((mean_t * mean_t + mean_p * mean_p + c1) * (variance_t + variance_p + c2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    /// a = ((7y + 3x + xy) mod 16) / 16, b = 0.75 a + ((y^2 + 5x) mod 8) / 32: exact in float32.
    fn pair(height: usize, width: usize) -> (Array2<f32>, Array2<f32>) {
        let a = Array2::from_shape_fn((height, width), |(y, x)| ((7 * y + 3 * x + x * y) % 16) as f32 / 16.0);
        let b = Array2::from_shape_fn((height, width), |(y, x)| {
            0.75 * a[[y, x]] + ((y * y + 5 * x) % 8) as f32 / 32.0
        });
        (a, b)
    }

    #[test]
    fn agrees_with_scikit_image() {
        // skimage.metrics.structural_similarity(a, b, data_range=range), scikit-image 0.26.0, float64.
        for (height, width, range, wanted) in [
            (16, 23, 1.0, 0.919_777_774_546_886_4),
            (7, 7, 0.5, 0.926_325_692_288_782_4),
            (9, 8, 255.0, 0.999_801_855_126_581_3),
        ] {
            let (a, b) = pair(height, width);
            let found = ssim(a.view(), b.view(), range).unwrap();
            assert!((found - wanted).abs() < 1e-12, "{height}x{width}: {found} is not {wanted}");
        }
    }

    #[test]
    fn equal_images_have_similarity_one() {
        let (a, _) = pair(12, 31);
        assert!((ssim(a.view(), a.view(), 1.0).unwrap() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn is_undefined_without_a_window_or_a_range() {
        let (a, b) = pair(6, 40);
        assert_eq!(ssim(a.view(), b.view(), 1.0), None);
        let (a, b) = pair(8, 8);
        assert_eq!(ssim(a.view(), b.view(), 0.0), None);
        assert_eq!(ssim(a.view(), b.view(), f64::NAN), None);
        assert_eq!(ssim(a.view(), pair(8, 9).1.view(), 1.0), None);
    }
}
