//! The centre from views that are half a turn apart: one is the mirror image of the other, shifted.
//!
//! What a ray at column x meets, the opposite ray at 2 c - x meets too. Mirrored, it is at N - 1 - 2 c + x: the shift is 2 c - (N - 1).

use ndarray::{Array2, ArrayView2, Axis, s};

use super::overlap::{best_fit, edges};
use super::{Centre, check};
use crate::error::{Error, Result};

/// Below this correlation views do not show the same, however surely they have something in common.
const LEAST_CORRELATION: f64 = 0.1;
/// Projections that are half a turn apart lie on each other in at least one of so many columns.
const QUARTER: usize = 4;
/// In scans with the axis at the edge at least so many columns are seen twice.
const LEAST_OVERLAP: usize = 12;

/// A scan of a whole turn whose axis is off the middle of the detector, which sees some columns twice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Overlap {
    /// The centre of rotation.
    pub centre: Centre,
    /// How many columns are seen twice, 2 min(c, N - 1 - c) + 1: the width of the whole is 2 N less this.
    pub columns: f64,
    /// Whether they are on the left of the detector: the centre is left of its middle.
    pub left: bool,
}

/// Finds the centre of rotation from two projections `[row][column]` of attenuation: one, and the other after half a turn.
/// The centre is in the middle three quarters of the detector.
///
/// # Errors
/// [`Error::Mismatch`] when projections are of two sizes or too small, have a value that is not finite or no contrast, or do
/// not fit each other anywhere.
pub fn by_registration(first: ArrayView2<f32>, opposite: ArrayView2<f32>) -> Result<Centre> {
    for (name, projection) in [("the first projection", first), ("the opposite projection", opposite)] {
        check(name, projection, 1)?;
    }
    if first.dim() != opposite.dim() {
        let ((rows, columns), (other_rows, other_columns)) = (first.dim(), opposite.dim());
        return Err(Error::Mismatch(format!(
            "the projections are {rows}x{columns} and {other_rows}x{other_columns} pixels, but two of one size are needed \
             to find the centre of rotation"
        )));
    }
    let mirrored = opposite.slice(s![.., ..;-1]);
    fit(&edges(first), &edges(mirrored), first.ncols() / QUARTER)
}

/// Finds the centre of rotation from a sinogram `[angle][column]` of attenuation over a whole turn in even steps, wherever on the
/// detector it is, and with it what is seen twice. Stripes do not matter: the mean of each column is taken off.
///
/// # Errors
/// [`Error::Mismatch`] when the sinogram has too few angles or columns, a value that is not finite or no contrast, or when its
/// halves do not fit each other anywhere.
pub fn by_overlap(sinogram: ArrayView2<f32>) -> Result<Overlap> {
    check("the sinogram", sinogram, 2)?;
    let (angles, columns) = sinogram.dim();
    let half = angles / 2;
    let without_mean = |part: ArrayView2<f32>| -> Array2<f32> {
        let edges = edges(part);
        match edges.mean_axis(Axis(0)) {
            // A few angles are their own mean.
            Some(mean) if half >= 16 => edges - mean,
            _ => edges,
        }
    };
    let first = without_mean(sinogram.slice(s![..half, ..]));
    let second = without_mean(sinogram.slice(s![half..2 * half, ..;-1]));
    let centre = fit(&first, &second, LEAST_OVERLAP)?;
    let last = columns as f64 - 1.0;
    Ok(Overlap {
        centre,
        columns: 2.0 * centre.column.min(last - centre.column) + 1.0,
        left: centre.column < last / 2.0,
    })
}

/// The centre from a view and its mirrored opposite.
fn fit(first: &Array2<f32>, mirrored: &Array2<f32>, overlap: usize) -> Result<Centre> {
    let columns = first.ncols();
    let Some(fit) = best_fit(first, mirrored, overlap) else {
        return Err(Error::Mismatch(format!(
            "views of {columns} columns have none to compare, where {overlap} must lie on each other; give the centre as a number"
        )));
    };
    let wanted = fit.chance.max(LEAST_CORRELATION);
    if fit.correlation < wanted {
        return Err(Error::Mismatch(format!(
            "views that are half a turn apart do not fit each other: their best correlation is {:.2}, but at least {wanted:.2} is \
             needed; check that they are half a turn apart and that the sample does not move, or give the centre as a number",
            fit.correlation
        )));
    }
    Ok(Centre { column: (columns as f64 - 1.0 + fit.shift) / 2.0, sharpness: fit.sharpness })
}
