//! How well rows fit other rows that are shifted along them, for all shifts at once.

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;
use realfft::RealFftPlanner;
use realfft::num_complex::Complex;

use super::smoothing::gaussian;
use super::vertex;

/// The shift that fits best.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fit {
    /// The second image at x shows what the first one shows at x + `shift`.
    pub(super) shift: f64,
    /// How much higher the correlation is there than at the usual shift, from 0 to 1.
    pub(super) sharpness: f64,
    /// The correlation there: 1 where both show the same.
    pub(super) correlation: f64,
    /// What images that have nothing to do with each other would hardly reach.
    pub(super) chance: f64,
}

/// The edges along rows of an image `[row][column]`: smooth shades, such as those of a beam that drifts, would fit everywhere.
pub(super) fn edges(image: ArrayView2<f32>) -> Array2<f32> {
    let smooth = gaussian(image, 1.0, 1.5);
    let last = smooth.ncols().saturating_sub(1);
    Array2::from_shape_fn(smooth.dim(), |(row, x)| {
        // At its ends a row has no neighbour on one side.
        if x == 0 || x == last { 0.0 } else { smooth[[row, x + 1]] - smooth[[row, x - 1]] }
    })
}

/// The shift along rows at which the second image fits the first one best, where at least `overlap` columns lie on each other.
///
/// Fits are judged by Pearson's correlation r of all that lies on each other, as Fisher's z says it: atanh(r) sqrt(columns), so that a
/// few columns that happen to be alike do not win. Between whole columns a parabola through r finds the shift.
pub(super) fn best_fit(first: &Array2<f32>, second: &Array2<f32>, overlap: usize) -> Option<Fit> {
    let columns = first.ncols();
    let products = products(first, second);
    let (sums, other_sums) = (ColumnSums::new(first), ColumnSums::new(second));
    let rows = first.nrows() as f64;
    let most = columns.checked_sub(overlap.max(1))? as isize;
    let fits: Vec<(isize, f64)> = (-most..=most)
        .map(|shift| {
            // Columns of the second image, and of the first one.
            let here = (-shift).max(0) as usize..columns - shift.max(0) as usize;
            let there = shift.max(0) as usize..columns - (-shift).max(0) as usize;
            let number = here.len() as f64 * rows;
            let ((a, aa), (b, bb)) = (sums.over(there), other_sums.over(here));
            let ab = products.get(shift.rem_euclid(products.len() as isize) as usize).copied().unwrap_or(0.0);
            let spread = (aa - a * a / number) * (bb - b * b / number);
            (shift, if spread > 0.0 { (ab - a * b / number) / spread.sqrt() } else { 0.0 })
        })
        .collect();
    let weight = |(shift, r): &(isize, f64)| {
        r.clamp(-0.999, 0.999).atanh() * (columns as f64 - shift.unsigned_abs() as f64).sqrt()
    };
    let best = fits.iter().enumerate().max_by(|a, b| weight(a.1).total_cmp(&weight(b.1)))?.0;
    let &(shift, correlation) = fits.get(best)?;
    let neighbours = (best.checked_sub(1).and_then(|i| fits.get(i)), fits.get(best + 1));
    let part = match neighbours {
        (Some((_, before)), Some((_, after))) => vertex(*before, correlation, *after),
        _ => 0.0,
    };
    let mut sorted: Vec<f64> = fits.iter().map(|(_, r)| *r).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let usual = sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
    // Smoothing makes about five columns and three rows one independent value. The correlation of chance has a Fisher's z with a
    // standard deviation of 1 / sqrt(values), and among thousands of shifts one is at four of them.
    let values = (columns as f64 - shift.unsigned_abs() as f64) / 5.0 * (rows / 3.0).max(1.0);
    let chance = (5.0 / values.sqrt()).tanh();
    let sharpness = (correlation - usual).clamp(0.0, 1.0);
    Some(Fit { shift: shift as f64 + part, sharpness, correlation, chance })
}

/// The sum of a(x + shift) b(x) over rows and columns, at the index `shift`, or `length + shift` for negative ones.
fn products(first: &Array2<f32>, second: &Array2<f32>) -> Vec<f64> {
    // Nothing comes back round where there is room for both.
    let length = (2 * first.ncols()).next_power_of_two();
    let mut planner = RealFftPlanner::<f64>::new();
    let (forward, inverse) = (planner.plan_fft_forward(length), planner.plan_fft_inverse(length));
    let zeros = || vec![Complex::new(0.0, 0.0); length / 2 + 1];
    let rows: Vec<_> = first.axis_iter(Axis(0)).zip(second.axis_iter(Axis(0))).collect();
    // As many rows a task whatever the number of threads, and their sums in order: the same result on every machine.
    let parts: Vec<Vec<Complex<f64>>> = rows
        .par_chunks(32)
        .map(|rows| {
            let mut sum = zeros();
            let mut signal = forward.make_input_vec();
            let (mut a, mut b) = (zeros(), zeros());
            for (first, second) in rows {
                for (row, spectrum) in [(first, &mut a), (second, &mut b)] {
                    signal.fill(0.0);
                    signal.iter_mut().zip(row.iter()).for_each(|(into, value)| *into = f64::from(*value));
                    // Both have the planned length, the only thing that it can complain about.
                    let _ = forward.process(&mut signal, spectrum);
                }
                sum.iter_mut().zip(a.iter().zip(&b)).for_each(|(sum, (a, b))| *sum += a * b.conj());
            }
            sum
        })
        .collect();
    let mut sum = zeros();
    for part in parts {
        sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
    }
    let mut products = inverse.make_output_vec();
    // Rounding leaves an imaginary part at both ends, which spectra of real numbers do not have.
    for end in [0, length / 2] {
        if let Some(value) = sum.get_mut(end) {
            value.im = 0.0;
        }
    }
    let _ = inverse.process(&mut sum, &mut products);
    products.iter_mut().for_each(|product| *product /= length as f64);
    products
}

/// Sums of values and of their squares from the first column up to each.
struct ColumnSums(Vec<(f64, f64)>);

impl ColumnSums {
    fn new(image: &Array2<f32>) -> Self {
        let mut so_far = (0.0, 0.0);
        let columns = image.axis_iter(Axis(1)).map(|column| {
            for value in column {
                so_far.0 += f64::from(*value);
                so_far.1 += f64::from(*value).powi(2);
            }
            so_far
        });
        Self([(0.0, 0.0)].into_iter().chain(columns.collect::<Vec<_>>()).collect())
    }

    fn over(&self, columns: std::ops::Range<usize>) -> (f64, f64) {
        let at = |i: usize| self.0.get(i).copied().unwrap_or_default();
        let (start, end) = (at(columns.start), at(columns.end));
        (end.0 - start.0, end.1 - start.1)
    }
}
