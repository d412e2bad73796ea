//! The centre of rotation: where the axis that the sample turns about is seen on the detector.
//!
//! Everywhere here it is a place along a row of the detector, in pixels counted from 0 at the middle of the first column. So the middle
//! of N columns is (N - 1) / 2, and a ray that meets the detector at c + d meets it at c - d after half a turn. Programs that count from
//! the left edge of the first column say half a pixel more.
//!
//! - [`by_wedge`] finds it from a sinogram of half a turn, by what its Fourier transform may not contain.
//! - [`by_registration`] finds it from two projections, half a turn apart.
//! - [`by_overlap`] finds it from a sinogram of a whole turn whose axis may be far from the middle of the detector.
//! - [`at_heights`] asks for one of these at a few rows, and says whether they agree.

mod heights;
mod overlap;
mod registration;
mod smoothing;
mod wedge;
mod wedge_search;

pub use heights::{AtHeight, Heights, at_heights, rows_with_signal};
pub use registration::{Overlap, by_overlap, by_registration};
pub use wedge_search::{WedgeSettings, by_wedge};

use ndarray::ArrayView2;

use crate::error::{Error, Result};

/// A centre of rotation that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Centre {
    /// The place along the detector's row, in pixels from the middle of the first column.
    pub column: f64,
    /// How far the best candidate stands out from the others, from 0 where all are alike to 1: at 0.2 it is hard to miss.
    pub sharpness: f64,
}

/// Checks what all searches need: enough angles and columns, finite values, and something to see.
///
/// # Errors
/// [`Error::Mismatch`] when one of these is missing.
fn check(name: &str, values: ArrayView2<f32>, least_rows: usize) -> Result<()> {
    /// Fewer columns have too little in them to be compared.
    const LEAST_COLUMNS: usize = 16;
    let (rows, columns) = values.dim();
    if rows < least_rows || columns < LEAST_COLUMNS {
        return Err(Error::Mismatch(format!(
            "{name} has {rows} rows of {columns} columns, but a centre of rotation needs at least {least_rows} rows of \
             {LEAST_COLUMNS} columns; give the centre as a number"
        )));
    }
    let (mut least, mut most) = (f32::INFINITY, f32::NEG_INFINITY);
    for ((row, column), &value) in values.indexed_iter() {
        if !value.is_finite() {
            return Err(Error::Mismatch(format!(
                "{name} is {value} at row {row}, column {column}, but a centre of rotation is found from finite numbers \
                 only; take the logarithm with repairs first"
            )));
        }
        (least, most) = (least.min(value), most.max(value));
    }
    // Differences in the last digits are rounding.
    if most - least <= 1e-5 * most.abs().max(least.abs()) {
        return Err(Error::Mismatch(format!(
            "{name} is {least} everywhere: there is nothing that a centre of rotation could be found from; take a row that \
             the sample is in, or give the centre as a number"
        )));
    }
    Ok(())
}

/// The place of the extremum of the parabola through three values at -1, 0 and 1, from -0.5 to 0.5; 0 where it is none.
fn vertex(before: f64, here: f64, after: f64) -> f64 {
    let curvature = before - 2.0 * here + after;
    let place = 0.5 * (before - after) / curvature;
    if place.is_finite() { place.clamp(-0.5, 0.5) } else { 0.0 }
}

#[cfg(test)]
mod tests;
