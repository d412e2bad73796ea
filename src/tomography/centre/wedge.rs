//! What the Fourier transform of a sinogram may not contain, for one candidate of the centre.
//!
//! The Fourier transform of a whole turn is nearly 0 in a double wedge: an object within a radius r has no frequency v along the angle
//! at a frequency u along the detector with |u| < |v| / (2 pi r), in units of one radian and one pixel (equation 3 of Vo et
//! al., 2014). A whole turn is made from half a turn and its mirror image about the candidate; what is found in
//! the wedge comes from a wrong candidate.
//!
//! The transform along the angle does not depend on the candidate, and neither does it for a mirror image: it is taken once. Only
//! the transforms along rows are left for each candidate, of those rows that the smoothing has left something in.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;
use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

use super::smoothing::{spline_coefficients, spline_weights};

/// Frequencies along the angle that a Gaussian leaves less of than this do not count.
const NEGLIGIBLE: f64 = 1e-3;

/// A row of complex numbers, in two parts: each has a Fourier transform of real numbers.
#[derive(Debug, Clone, Default)]
struct Row {
    real: Vec<f32>,
    imaginary: Vec<f32>,
}

/// One frequency along the angle.
#[derive(Debug)]
struct Line {
    /// Its number among those of a whole turn.
    frequency: usize,
    /// Frequencies along the detector up to this are in the wedge.
    reach: usize,
    /// The transform along the angle of half a turn followed by nothing, at each column.
    values: Row,
    /// The coefficients of its spline from the last column to the first, as mirror images read them, with [`BEYOND`] more at both ends.
    coefficients: Row,
}

/// So many columns beside the detector are asked for by splines of places on it.
const BEYOND: usize = 2;

/// A sinogram of half a turn on its way to many candidates.
pub(super) struct Wedge {
    lines: Vec<Line>,
    angles: usize,
    columns: usize,
    transform: Arc<dyn RealToComplex<f32>>,
}

impl Wedge {
    /// Of a sinogram `[angle][column]` that has been smoothed along the angle by a Gaussian of `smoothed` angles. Objects reach
    /// `radius` pixels from the axis; frequencies up to `dropped` along the angle are left out, and stripes with them.
    pub(super) fn new(sinogram: ArrayView2<f32>, smoothed: f64, radius: f64, dropped: usize) -> Self {
        let (angles, columns) = sinogram.dim();
        let turn = 2 * angles;
        let sinogram = sinogram.as_standard_layout();
        let mut splines = sinogram.to_owned();
        splines.axis_iter_mut(Axis(0)).for_each(|mut row| {
            if let Some(row) = row.as_slice_mut() {
                spline_coefficients(row);
            }
        });

        // A Gaussian leaves exp(-2 pi^2 sigma^2 f^2) of the frequency f per angle.
        let last = (-NEGLIGIBLE.ln() / 2.0).sqrt() / std::f64::consts::PI / smoothed * turn as f64;
        // Short scans keep something to see. At the highest frequency the mirror image cannot be told from the original.
        let last = (last.ceil() as usize).clamp(1, angles - 1);
        let first = dropped.min(turn / 20).min(last - 1) + 1;
        let mut planner = RealFftPlanner::<f32>::new();
        let along_angles = planner.plan_fft_forward(turn);
        let transformed = |image: &Array2<f32>| -> Vec<Vec<Complex<f32>>> {
            (0..columns)
                .into_par_iter()
                .map_init(
                    || (along_angles.make_input_vec(), along_angles.make_output_vec()),
                    |(signal, spectrum), column| {
                        signal.fill(0.0);
                        signal.iter_mut().zip(image.column(column)).for_each(|(into, value)| *into = *value);
                        // Both have the planned length, the only thing that it can complain about.
                        let _ = along_angles.process(signal, spectrum);
                        spectrum.get(first..=last).unwrap_or_default().to_vec()
                    },
                )
                .collect()
        };
        let values = transformed(&sinogram.to_owned());
        let coefficients = transformed(&splines);
        let row = |columns: &[Vec<Complex<f32>>], index: usize| Row {
            real: columns.iter().map(|spectrum| spectrum[index].re).collect(),
            imaginary: columns.iter().map(|spectrum| spectrum[index].im).collect(),
        };
        let reversed = |row: Row| Row { real: reversed(&row.real), imaginary: reversed(&row.imaginary) };
        let lines = (first..=last)
            .map(|frequency| {
                // v is this many periods in 2 pi: the wedge ends at u = v / (2 pi r) periods a pixel, of which one is `columns`.
                let edge = frequency as f64 / (2.0 * std::f64::consts::PI * radius) * columns as f64;
                Line {
                    frequency,
                    reach: (edge.ceil() as usize).clamp(1, columns / 2),
                    values: row(&values, frequency - first),
                    coefficients: reversed(row(&coefficients, frequency - first)),
                }
            })
            .collect();
        Self { lines, angles, columns, transform: planner.plan_fft_forward(columns) }
    }

    /// The mean amplitude in the wedge with `centre` as the centre of rotation: least for the right one.
    pub(super) fn amplitude(&self, centre: f64) -> f64 {
        let transform = &self.transform;
        let mut joined = Row { real: vec![0.0; self.columns], imaginary: vec![0.0; self.columns] };
        let mut spectra = (transform.make_output_vec(), transform.make_output_vec());
        let mut scratch = transform.make_scratch_vec();
        let (mut sum, mut count) = (0.0, 0usize);
        for line in &self.lines {
            self.join(line, centre, &mut joined);
            let (Ok(()), Ok(())) = (
                transform.process_with_scratch(&mut joined.real, &mut spectra.0, &mut scratch),
                transform.process_with_scratch(&mut joined.imaginary, &mut spectra.1, &mut scratch),
            ) else {
                continue;
            };
            // The constant along the detector and the frequency beside it are what windows and offsets leave.
            let inside = spectra.0.iter().zip(&spectra.1).take(line.reach + 1).skip(2);
            count += 2 * inside.len();
            // Of a row of complex numbers both signs of a frequency, from the transforms of its parts.
            let both = |(r, i): (&Complex<f32>, &Complex<f32>)| {
                (r.re - i.im).hypot(r.im + i.re) + (r.re + i.im).hypot(i.re - r.im)
            };
            sum += f64::from(inside.map(both).sum::<f32>());
        }
        if count == 0 { 0.0 } else { sum / count as f64 / (self.angles * self.columns) as f64 }
    }

    /// One frequency of a whole turn: half a turn, and its mirror image about `centre`. Where that has no column to be taken from,
    /// half a turn stands with its angles in reverse order, which leaves no jump.
    fn join(&self, line: &Line, centre: f64, joined: &mut Row) {
        let (Row { real, imaginary }, coefficients) = (&line.values, &line.coefficients);
        // Half a turn later: a factor of exp(-i pi v).
        let sign = if line.frequency.is_multiple_of(2) { 1.0f32 } else { -1.0 };
        // In reverse order a spectrum is its own conjugate, and begins one angle earlier: exp(i pi v / angles).
        let turn = std::f64::consts::PI * line.frequency as f64 / self.angles as f64;
        let (sine, cosine) = (turn.sin() as f32, turn.cos() as f32);
        let last = self.columns as f64 - 1.0;
        // Column x mirrors 2 c - x.
        let from = 2.0 * centre;
        let (first_seen, last_seen) = ((from - last).max(0.0).ceil(), from.min(last).floor());
        let first_seen = (first_seen as usize).min(self.columns);
        let seen = first_seen..((last_seen + 1.0) as usize).clamp(first_seen, self.columns);
        let whole = from.floor();
        let weights = spline_weights(from - whole);
        // What the first of these columns reads begins here, and each further column reads one further.
        let start = (last + BEYOND as f64 - whole) as isize + seen.start as isize;
        for (into, values, coefficients) in [
            (&mut joined.real, real, &coefficients.real),
            (&mut joined.imaginary, imaginary, &coefficients.imaginary),
        ] {
            let taps = [1, 0, -1, -2].map(|shift| {
                let start = (start + shift) as usize;
                coefficients.get(start..start.saturating_add(seen.len())).unwrap_or_default()
            });
            let taps = taps[0].iter().zip(taps[1]).zip(taps[2]).zip(taps[3]);
            let weights = weights.map(|weight| sign * weight);
            let places = seen.clone();
            for ((into, value), (((a, b), c), d)) in
                into[places.clone()].iter_mut().zip(&values[places]).zip(taps)
            {
                *into = value + weights[0] * a + weights[1] * b + weights[2] * c + weights[3] * d;
            }
        }
        for x in (0..seen.start).chain(seen.end..self.columns) {
            let (r, i) = (real[x], imaginary[x]);
            joined.real[x] = r + r * cosine + i * sine;
            joined.imaginary[x] = i + r * sine - i * cosine;
        }
    }
}

/// From the last to the first, with [`BEYOND`] more at both ends, mirrored about the outermost ones as splines are.
fn reversed(coefficients: &[f32]) -> Vec<f32> {
    let edge = coefficients.len() - 1;
    let mirrored =
        |place: usize| if place > edge { (2 * edge).saturating_sub(place).min(edge) } else { place };
    let beyond = BEYOND as isize;
    (-beyond..=edge as isize + beyond)
        .rev()
        .map(|place| coefficients[mirrored(place.unsigned_abs())])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same by one Fourier transform in two dimensions, written down as it is defined.
    fn directly(sinogram: &Array2<f32>, centre: usize, radius: f64, dropped: usize, last: usize) -> f64 {
        let (angles, columns) = sinogram.dim();
        let whole = Array2::from_shape_fn((2 * angles, columns), |(a, x)| {
            let mirror = 2 * centre as isize - x as isize;
            match a.checked_sub(angles) {
                None => sinogram[[a, x]],
                Some(a) if (0..columns as isize).contains(&mirror) => sinogram[[a, mirror as usize]],
                Some(a) => sinogram[[angles - 1 - a, x]],
            }
        });
        let (mut sum, mut count) = (0.0, 0);
        for v in dropped + 1..=last {
            let edge = v as f64 / (2.0 * std::f64::consts::PI * radius) * columns as f64;
            let reach = (edge.ceil() as isize).min(columns as isize / 2);
            for u in (-reach..=reach).filter(|u| u.abs() > 1) {
                let mut value = Complex::new(0.0, 0.0);
                for ((a, x), s) in whole.indexed_iter() {
                    let phase =
                        v as f64 * a as f64 / (2.0 * angles as f64) + u as f64 * x as f64 / columns as f64;
                    value += Complex::from_polar(f64::from(*s), -std::f64::consts::TAU * phase);
                }
                sum += value.norm();
                count += 1;
            }
        }
        sum / f64::from(count) / (angles * columns) as f64
    }

    #[test]
    fn amplitudes_are_those_of_the_transform_in_two_dimensions() {
        let sinogram = Array2::from_shape_fn((20, 17), |(a, x)| ((a * 31 + x * x * 7) % 23) as f32 / 23.0);
        let wedge = Wedge::new(sinogram.view(), 1.0, 4.0, 2);
        let last = wedge.lines.last().unwrap().frequency;
        for centre in [5, 8, 10] {
            let (fast, slow) = (wedge.amplitude(centre as f64), directly(&sinogram, centre, 4.0, 2, last));
            assert!((fast / slow - 1.0).abs() < 1e-4, "{fast} is not {slow}");
        }
    }
}
