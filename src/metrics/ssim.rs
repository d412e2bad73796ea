//! Structural similarity of two images.
//!
//! Wang, Bovik, Sheikh & Simoncelli, "Image quality assessment: from error visibility to structural
//! similarity", IEEE Transactions on Image Processing 13(4), 2004, equation 13.

use ndarray::ArrayView2;
use rayon::prelude::*;

use crate::settings::named_choices;

const K1: f64 = 0.01;
const K2: f64 = 0.03;

/// Standard deviation of the Gaussian window in pixels.
const SIGMA: f64 = 1.5;

named_choices! {
    /// The window in which means, variances and covariance are taken. Both are windows of scikit-image, so that figures compare.
    pub enum SsimWindow of "ssim_window", default Uniform {
        /// 7 x 7 pixels that count alike, with the unbiased covariance, the defaults of scikit-image.
        Uniform = "uniform",
        /// 11 x 11 pixels by a Gaussian of 1.5 pixels, as Wang et al. 2004 (scikit-image: gaussian_weights=True, sigma=1.5,
        /// use_sample_covariance=False).
        Gaussian = "gaussian",
    }
}

impl SsimWindow {
    /// Height and width in pixels. Images that are smaller have no similarity.
    pub fn side(self) -> usize {
        match self {
            Self::Uniform => 7,
            Self::Gaussian => 11,
        }
    }

    /// How much each row or column of the window counts; all of them add up to 1.
    fn weights(self) -> Vec<f64> {
        let side = self.side();
        let middle = (side / 2) as f64;
        let weight = |place: usize| match self {
            Self::Uniform => 1.0,
            Self::Gaussian => (-0.5 * ((place as f64 - middle) / SIGMA).powi(2)).exp(),
        };
        let weights: Vec<f64> = (0..side).map(weight).collect();
        let sum: f64 = weights.iter().sum();
        weights.into_iter().map(|weight| weight / sum).collect()
    }

    /// What variances and covariance are multiplied by.
    fn correction(self) -> f64 {
        let count = (self.side() * self.side()) as f64;
        match self {
            Self::Uniform => count / (count - 1.0),
            Self::Gaussian => 1.0,
        }
    }

    /// What the window is, in words for a report.
    pub fn description(self) -> &'static str {
        match self {
            Self::Uniform => "uniform windows of 7 x 7 pixels",
            Self::Gaussian => "Gaussian windows of 11 x 11 pixels (sigma 1.5)",
        }
    }
}

/// Mean structural similarity of two images `[y][x]` for a data range in their units: 1 for equal images.
///
/// It is the mean over all places where the window lies wholly inside and holds no target that is NaN. `None` if there is
/// none, if the shapes differ or if the range is not above 0.
pub fn ssim(
    target: ArrayView2<f32>,
    predicted: ArrayView2<f32>,
    range: f64,
    window: SsimWindow,
) -> Option<f64> {
    let (height, width) = target.dim();
    let side = window.side();
    if target.dim() != predicted.dim() || height < side || width < side || range.is_nan() || range <= 0.0 {
        return None;
    }
    let weights = window.weights();
    let correction = window.correction();
    // Rows are summed in their order afterwards, so that the result does not depend on the threads.
    let row = |y| row_sum(target, predicted, y, &weights, |means| index(means, range, correction));
    let row_sums: Vec<(f64, usize)> = (0..height - side + 1).into_par_iter().map(row).collect();
    let (sum, windows) = row_sums.iter().fold((0.0, 0), |(sum, windows), row| (sum + row.0, windows + row.1));
    (windows > 0).then(|| sum / windows as f64)
}

/// The sum of the index over the windows whose top row is `top`, and their number.
fn row_sum(
    target: ArrayView2<f32>,
    predicted: ArrayView2<f32>,
    top: usize,
    weights: &[f64],
    index: impl Fn([f64; 5]) -> f64,
) -> (f64, usize) {
    // Per column, over the window's rows: the weighted sums of t, p, t t, p p and t p. Summing the columns first makes a pixel cost
    // two sides of the window for each sum instead of its square, and nothing accumulates across the image.
    let mut columns = vec![[0.0f64; 5]; target.ncols()];
    for (y, weight) in (top..).zip(weights) {
        for ((sums, &t), &p) in columns.iter_mut().zip(target.row(y)).zip(predicted.row(y)) {
            let (t, p) = (f64::from(t), f64::from(p));
            for (sum, term) in sums.iter_mut().zip([t, p, t * t, p * p, t * p]) {
                *sum += weight * term;
            }
        }
    }
    columns
        .windows(weights.len())
        .map(|window| {
            let mut means = [0.0; 5];
            for (column, weight) in window.iter().zip(weights) {
                for (mean, term) in means.iter_mut().zip(column) {
                    *mean += weight * term;
                }
            }
            means
        })
        .filter(|means| !means[0].is_nan())
        .fold((0.0, 0), |(sum, windows), means| (sum + index(means), windows + 1))
}

/// Equation 13 of the paper for the weighted means of t, p, t t, p p and t p over one window.
fn index([t, p, tt, pp, tp]: [f64; 5], range: f64, correction: f64) -> f64 {
    let variance_t = correction * (tt - t * t);
    let variance_p = correction * (pp - p * p);
    let covariance = correction * (tp - t * p);
    let (c1, c2) = ((K1 * range).powi(2), (K2 * range).powi(2));
    ((2.0 * t * p + c1) * (2.0 * covariance + c2)) / ((t * t + p * p + c1) * (variance_t + variance_p + c2))
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
            let found = ssim(a.view(), b.view(), range, SsimWindow::Uniform).unwrap();
            assert!((found - wanted).abs() < 1e-12, "{height}x{width}: {found} is not {wanted}");
        }
        // The same with gaussian_weights=True, sigma=1.5, use_sample_covariance=False.
        for (height, width, range, wanted) in [
            (16, 23, 1.0, 0.924_461_726_374_896_7),
            (11, 11, 0.5, 0.894_804_272_755_511_9),
            (13, 12, 255.0, 0.999_802_026_960_524_3),
        ] {
            let (a, b) = pair(height, width);
            let found = ssim(a.view(), b.view(), range, SsimWindow::Gaussian).unwrap();
            assert!((found - wanted).abs() < 1e-12, "{height}x{width}: {found} is not {wanted}");
        }
    }

    #[test]
    fn windows_lie_wholly_where_there_is_a_target() {
        // The mean of scikit-image's map (full=True) over windows wholly inside the circle, of which there are 261 and 125.
        let (mut a, b) = pair(31, 27);
        a.indexed_iter_mut().filter(|((y, x), _)| !inside(*y, *x)).for_each(|(_, value)| *value = f32::NAN);
        for (window, wanted) in
            [(SsimWindow::Uniform, 0.917_659_200_415_355_2), (SsimWindow::Gaussian, 0.914_513_267_700_931_4)]
        {
            let found = ssim(a.view(), b.view(), 1.0, window).unwrap();
            assert!((found - wanted).abs() < 1e-12, "{window}: {found} is not {wanted}");
        }
    }

    /// Whether a pixel of 31 x 27 is in the circle that fits.
    fn inside(y: usize, x: usize) -> bool {
        (y as f64 - 15.0).powi(2) + (x as f64 - 13.0).powi(2) <= 13.0 * 13.0
    }

    #[test]
    fn equal_images_have_similarity_one() {
        let (a, _) = pair(12, 31);
        for &window in SsimWindow::ALL {
            assert!((ssim(a.view(), a.view(), 1.0, window).unwrap() - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn is_undefined_without_a_window_or_a_range() {
        let similarity =
            |a: &Array2<f32>, b: &Array2<f32>, range| ssim(a.view(), b.view(), range, SsimWindow::Uniform);
        let (a, b) = pair(6, 40);
        assert_eq!(similarity(&a, &b, 1.0), None);
        let (a, b) = pair(8, 8);
        assert_eq!(similarity(&a, &b, 0.0), None);
        assert_eq!(similarity(&a, &b, f64::NAN), None);
        assert_eq!(similarity(&a, &pair(8, 9).1, 1.0), None);
        let (a, b) = pair(10, 40);
        assert_eq!(ssim(a.view(), b.view(), 1.0, SsimWindow::Gaussian), None);
    }
}
