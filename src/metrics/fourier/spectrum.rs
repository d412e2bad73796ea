//! The Fourier transform of an image or a volume of real numbers.

use ndarray::{Array3, ArrayViewMut2, Axis};
use rayon::prelude::*;
use realfft::RealFftPlanner;
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};

use crate::error::{Error, Result};
use crate::memory;
use crate::metrics::circle::InscribedCircle;

/// The share of each side over which values fade to 0, as in the method of Nieuwenhuizen et al., "Measuring image resolution in
/// optical nanoscopy", Nature Methods 10, 2013.
const FADING: usize = 8;
/// Lines that are gathered at a time: as many numbers as a line of the cache holds.
const LINES: usize = 8;

/// What of an image counts. It fades out smoothly, as an edge would be common to both halves and correlate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Support {
    /// All of it, fading over an eighth of each side.
    #[default]
    Whole,
    /// The inscribed circle of each slice ([`InscribedCircle`]), fading over an eighth of its diameter.
    Circle,
}

/// The Fourier transform of values `[z][y][x]` about their mean; an image is a volume of one slice.
///
/// Only frequencies of x from 0 to half a wave a pixel are kept, since those below 0 are their complex conjugates.
#[derive(Debug, Clone)]
pub struct Spectrum {
    pub(super) shape: [usize; 3],
    pub(super) values: Array3<Complex<f32>>,
}

impl Spectrum {
    /// The bytes that [`Spectrum::of`] takes for `shape`, `[z, y, x]`, besides the values themselves; `None` beyond all numbers.
    pub fn bytes(shape: [usize; 3]) -> Option<u64> {
        let [z, y, x] = shape.map(|length| length as u64);
        z.checked_mul(y)?.checked_mul(x / 2 + 1)?.checked_mul(size_of::<Complex<f32>>() as u64)
    }

    /// Transforms `values`, `[z][y][x]`.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for no values and for some that are not finite; [`Error::OutOfMemory`].
    pub fn of(mut values: Array3<f32>, support: Support) -> Result<Self> {
        let (depth, height, width) = values.dim();
        if values.is_empty() {
            return Err(Error::Mismatch(
                "an image without pixels has no Fourier transform; give one with pixels".into(),
            ));
        }
        fade(&mut values, support)?;
        let half = width / 2 + 1;
        let way_out = "take fewer slices with `slices`, such as 100..300";
        let count = depth.saturating_mul(height).saturating_mul(half);
        let mut numbers = memory::reserve("the Fourier transform", count, way_out)?;
        numbers.resize(count, Complex::default());
        let rows = RealFftPlanner::<f32>::new().plan_fft_forward(width);
        let values = values.as_standard_layout();
        let transformed =
            values.as_slice().unwrap_or_default().par_chunks(width).zip(numbers.par_chunks_mut(half));
        transformed
            .map_init(
                || (vec![0.0; width], rows.make_scratch_vec()),
                |(row, scratch), (values, numbers)| {
                    row.copy_from_slice(values);
                    rows.process_with_scratch(row, numbers, scratch)
                },
            )
            .collect::<std::result::Result<(), _>>()
            .map_err(|error| Error::Mismatch(format!("the Fourier transform failed: {error}")))?;
        drop(values);
        let shape = (depth, height, half);
        let mut numbers = Array3::from_shape_vec(shape, numbers)
            .map_err(|error| Error::Mismatch(format!("the Fourier transform failed: {error}")))?;
        let mut planner = FftPlanner::<f32>::new();
        // Along y in each slice, and along z in each plane of rows.
        for (length, axis) in [(height, Axis(0)), (depth, Axis(1))] {
            if length > 1 {
                let fft = planner.plan_fft_forward(length);
                let planes: Vec<_> = numbers.axis_iter_mut(axis).collect();
                planes.into_par_iter().for_each(|plane| transform_columns(plane, fft.as_ref()));
            }
        }
        Ok(Self { shape: [depth, height, width], values: numbers })
    }
}

/// Subtracts the mean of what counts, and lets the values fade out.
fn fade(values: &mut Array3<f32>, support: Support) -> Result<()> {
    let (depth, height, width) = values.dim();
    let along_z = fading(depth);
    let (along_y, along_x) = match support {
        Support::Whole => (fading(height), fading(width)),
        Support::Circle => (vec![1.0; height], vec![1.0; width]),
    };
    let circle = InscribedCircle::of(height, width);
    let radial = |y, x| match support {
        Support::Whole => 1.0,
        Support::Circle => {
            // An eighth of the diameter is a quarter of the radius.
            let from_edge = (1.0 - circle.distance(y, x)) * FADING as f64 / 2.0;
            rise(if circle.contains(y, x) { from_edge } else { 0.0 })
        }
    };
    let weight = |z: usize, y: usize, x: usize| along_z[z] * along_y[y] * along_x[x] * radial(y, x);
    let sum = |(sum, weights): (f64, f64), ((z, y, x), value): ((usize, usize, usize), &f32)| {
        let weight = weight(z, y, x);
        (sum + weight * f64::from(*value), weights + weight)
    };
    let (sum, weights) = values.indexed_iter().fold((0.0, 0.0), sum);
    if !sum.is_finite() {
        return Err(Error::Mismatch(
            "the values have some that are not finite numbers, so they have no Fourier transform; replace these".into(),
        ));
    }
    let first = values.iter().next().copied().unwrap_or_default();
    if values.iter().all(|&value| value == first) {
        // Else what rounding leaves of the mean would be taken for a structure.
        values.fill(0.0);
        return Ok(());
    }
    let mean = if weights > 0.0 { sum / weights } else { 0.0 };
    for ((z, y, x), value) in values.indexed_iter_mut() {
        *value = (weight(z, y, x) * (f64::from(*value) - mean)) as f32;
    }
    Ok(())
}

/// How much each place along a side of `length` counts.
fn fading(length: usize) -> Vec<f64> {
    let edge = length / FADING;
    let weight = |place: usize| {
        let from_end = place.min(length - 1 - place);
        if from_end < edge { rise((from_end as f64 + 0.5) / edge as f64) } else { 1.0 }
    };
    (0..length).map(weight).collect()
}

/// From 0 at 0 to 1 at 1, without corners.
fn rise(share: f64) -> f64 {
    (std::f64::consts::FRAC_PI_2 * share.clamp(0.0, 1.0)).sin().powi(2)
}

/// Transforms each column of a plane.
fn transform_columns(mut plane: ArrayViewMut2<'_, Complex<f32>>, fft: &dyn Fft<f32>) {
    let (length, columns) = plane.dim();
    let mut lines = vec![Complex::default(); length * LINES];
    let mut scratch = vec![Complex::default(); fft.get_inplace_scratch_len()];
    for first in (0..columns).step_by(LINES) {
        let count = LINES.min(columns - first);
        let lines = &mut lines[..length * count];
        for (place, row) in plane.outer_iter().enumerate() {
            for line in 0..count {
                lines[line * length + place] = row[first + line];
            }
        }
        fft.process_with_scratch(lines, &mut scratch);
        for (place, mut row) in plane.outer_iter_mut().enumerate() {
            for line in 0..count {
                row[first + line] = lines[line * length + place];
            }
        }
    }
}
