//! The filters of filtered back-projection, along the rows of detectors.

use std::f64::consts::PI;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

use crate::settings::named_choices;

named_choices! {
    /// What is taken of high frequencies. All have the band-limited ramp of Kak & Slaney (1988, equation 61) and differ in
    /// the window on it, where u is 0 at the frequency 0 and 1 at the highest that detectors tell (half a wave a column).
    pub enum Filter of "filter", default Ramp {
        /// The ramp alone (Ram-Lak): sharpest and noisiest.
        Ramp = "ramp",
        /// sin(u pi / 2) / (u pi / 2).
        SheppLogan = "shepp-logan",
        /// cos(u pi / 2).
        Cosine = "cosine",
        /// 0.54 + 0.46 cos(u pi).
        Hamming = "hamming",
        /// (1 + cos(u pi)) / 2.
        Hann = "hann",
        /// (1 - u)^3: smoothest.
        Parzen = "parzen",
    }
}

named_choices! {
    /// What rows of detectors are continued by beyond their ends.
    pub enum Padding of "padding", default Edge {
        /// The values at the ends: right where the object is wider than the detectors see.
        Edge = "edge",
        /// Zeros.
        Zeros = "zeros",
    }
}

impl Filter {
    /// The window at `u` of the highest frequency.
    pub fn window(self, u: f64) -> f64 {
        match self {
            Self::Ramp => 1.0,
            Self::SheppLogan if u == 0.0 => 1.0,
            Self::SheppLogan => (u * PI / 2.0).sin() / (u * PI / 2.0),
            Self::Cosine => (u * PI / 2.0).cos(),
            Self::Hamming => 0.54 + 0.46 * (u * PI).cos(),
            Self::Hann => (1.0 + (u * PI).cos()) / 2.0,
            Self::Parzen => (1.0 - u).powi(3),
        }
    }
}

/// Filters rows of one width.
///
/// A row is continued at both ends until it is at least twice as long, so that its ends do not act on each other.
pub(super) struct RowFilter {
    columns: usize,
    padding: Padding,
    forward: Arc<dyn RealToComplex<f32>>,
    backward: Arc<dyn realfft::ComplexToReal<f32>>,
    /// What each frequency is multiplied by, with the factor that the transforms leave.
    response: Vec<f32>,
}

/// Memory that a thread filters rows in.
pub(super) struct Scratch {
    row: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    forward: Vec<Complex<f32>>,
    backward: Vec<Complex<f32>>,
}

impl RowFilter {
    pub(super) fn new(filter: Filter, padding: Padding, columns: usize) -> Self {
        let length = quick_length(2 * columns);
        let mut planner = RealFftPlanner::<f32>::new();
        let (forward, backward) = (planner.plan_fft_forward(length), planner.plan_fft_inverse(length));
        let scale = 1.0 / length as f64;
        let last = (length / 2) as f64;
        let response = ramp(length);
        let response = response.iter().enumerate();
        let response =
            response.map(|(at, ramp)| (ramp * filter.window(at as f64 / last) * scale) as f32).collect();
        Self { columns, padding, forward, backward, response }
    }

    pub(super) fn scratch(&self) -> Scratch {
        Scratch {
            row: self.forward.make_input_vec(),
            spectrum: self.forward.make_output_vec(),
            forward: self.forward.make_scratch_vec(),
            backward: self.backward.make_scratch_vec(),
        }
    }

    /// The row `values`, filtered; they are as many as there are columns.
    pub(super) fn filtered<'a>(
        &self,
        values: impl ExactSizeIterator<Item = f32>,
        scratch: &'a mut Scratch,
    ) -> &'a [f32] {
        let Scratch { row, spectrum, forward, backward } = scratch;
        let columns = self.columns.min(values.len());
        row[..columns].iter_mut().zip(values).for_each(|(place, value)| *place = value);
        // The row begins at 0, so that what lies before it stands at the end.
        let (before, after) = match self.padding {
            Padding::Edge => (row[0], row[columns - 1]),
            Padding::Zeros => (0.0, 0.0),
        };
        let half = columns + (row.len() - columns) / 2;
        row[columns..half].fill(after);
        row[half..].fill(before);
        // Both only fail for slices of other lengths than the plan's.
        let done = self
            .forward
            .process_with_scratch(row, spectrum, forward)
            .map(|()| {
                spectrum.iter_mut().zip(&self.response).for_each(|(value, factor)| *value *= factor);
            })
            .and_then(|()| self.backward.process_with_scratch(spectrum, row, backward));
        debug_assert!(done.is_ok(), "{done:?}");
        &row[..columns]
    }
}

/// The response of the band-limited ramp at the frequencies 0 to `length` / 2 of `length`: of its spatial form, h(0) = 1/4,
/// h(n) = -1 / (n pi)^2 for odd n and 0 for even n, so that the mean of an image is right too, as that of |f| would not be.
fn ramp(length: usize) -> Vec<f64> {
    let mut kernel: Vec<f64> = (0..length)
        .map(|at| match at.min(length - at) {
            0 => 0.25,
            n if n % 2 == 1 => -1.0 / (n as f64 * PI).powi(2),
            _ => 0.0,
        })
        .collect();
    let plan = RealFftPlanner::<f64>::new().plan_fft_forward(length);
    let mut spectrum = plan.make_output_vec();
    let done = plan.process(&mut kernel, &mut spectrum);
    debug_assert!(done.is_ok(), "{done:?}");
    spectrum.iter().map(|value| value.re).collect()
}

/// The least even length of at least `least` that has no factors but 2, 3 and 5, which transforms are quick for.
fn quick_length(least: usize) -> usize {
    let has_small_factors = |length: &usize| {
        let rest = [2, 3, 5].into_iter().fold(*length, |mut rest, factor| {
            while rest % factor == 0 {
                rest /= factor;
            }
            rest
        });
        rest == 1
    };
    (least.max(2).next_multiple_of(2)..).step_by(2).find(has_small_factors).unwrap_or(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(filter: Filter, padding: Padding, row: &[f32]) -> Vec<f32> {
        let filter = RowFilter::new(filter, padding, row.len());
        filter.filtered(row.iter().copied(), &mut filter.scratch()).to_vec()
    }

    #[test]
    fn the_ramp_has_the_taps_of_kak_and_slaney() {
        let mut impulse = vec![0.0; 9];
        impulse[4] = 1.0;
        let response = filtered(Filter::Ramp, Padding::Zeros, &impulse);
        let tap = |n: f64| (-1.0 / (n * PI).powi(2)) as f32;
        for (found, wanted) in response.iter().zip([0.0, tap(3.0), 0.0, tap(1.0), 0.25]) {
            assert!((found - wanted).abs() < 1e-6);
        }
    }

    #[test]
    fn ends_do_not_act_on_each_other() {
        // By the definition of the convolution, in float64.
        let row: Vec<f32> = (0..50).map(|i| ((i * i) % 17) as f32).collect();
        let found = filtered(Filter::Ramp, Padding::Zeros, &row);
        for (at, found) in found.iter().enumerate() {
            let wanted: f64 = row
                .iter()
                .enumerate()
                .map(|(from, value)| match at.abs_diff(from) {
                    0 => 0.25 * f64::from(*value),
                    n if n % 2 == 1 => -f64::from(*value) / (n as f64 * PI).powi(2),
                    _ => 0.0,
                })
                .sum();
            assert!((f64::from(*found) - wanted).abs() < 1e-4, "{found} is not {wanted}");
        }
    }

    #[test]
    fn edges_that_go_on_give_less_at_the_ends_than_edges_that_fall_to_zero() {
        let row = vec![5.0; 64];
        let end = |padding| filtered(Filter::Ramp, padding, &row)[0].abs();
        assert!(end(Padding::Edge) < 0.1 * end(Padding::Zeros));
    }

    #[test]
    fn windows_are_one_at_rest_and_fall() {
        for &filter in Filter::ALL {
            assert!((filter.window(0.0) - 1.0).abs() < 1e-12);
            let steps: Vec<f64> = (0..=10).map(|i| filter.window(f64::from(i) / 10.0)).collect();
            assert!(steps.windows(2).all(|pair| pair[1] <= pair[0]));
        }
        assert_eq!(Filter::Hann.window(1.0), 0.0);
        assert!((Filter::Hamming.window(1.0) - 0.08).abs() < 1e-12);
        assert!((Filter::SheppLogan.window(1.0) - 2.0 / PI).abs() < 1e-12);
    }

    #[test]
    fn lengths_are_even_and_have_small_factors() {
        assert_eq!([1, 2, 7, 14, 2048, 2050].map(quick_length), [2, 2, 8, 16, 2048, 2160]);
    }
}
