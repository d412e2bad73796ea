//! Cutting planes into bands of rows that different cores may write at the same time.

use std::ops::Range;

use crate::schedule::PlaneLayout;

/// Rows of a band: few enough for a group of planes to stay in a core's cache.
const MAX_ROWS: usize = 32;
/// Columns that are worked on at a time, so that a group of planes stays in cache. A whole number of registers.
const MAX_COLUMNS: usize = 512;

/// Rows of a band over which sums are made. Fixed, so that their order does not depend on the number of threads.
pub(super) const SUM_ROWS: usize = 32;

/// A band of rows of several planes, to be written by one core.
pub(super) struct Band<'a> {
    /// The rows, counted without margins.
    pub(super) rows: Range<usize>,
    /// For each plane its rows, whole pitches, starting `left` numbers before column 0 of the first row.
    pub(super) planes: Vec<&'a mut [f32]>,
}

/// Height of the bands for results that do not depend on how rows are grouped: small enough that all cores
/// get one.
pub(super) fn height_for_threads(rows: usize) -> usize {
    rows.div_ceil(rayon::current_num_threads()).clamp(1, MAX_ROWS)
}

/// Cuts `columns` columns into spans.
pub(super) fn spans(columns: usize) -> impl Iterator<Item = Range<usize>> {
    (0..columns).step_by(MAX_COLUMNS).map(move |start| start..(start + MAX_COLUMNS).min(columns))
}

/// Cuts consecutive planes into bands of `height` rows; margins above and below belong to none.
pub(super) fn cut<'a>(
    planes: &'a mut [f32],
    form: &PlaneLayout,
    rows: usize,
    height: usize,
) -> Vec<Band<'a>> {
    let mut bands: Vec<Band> = (0..rows)
        .step_by(height)
        .map(|start| Band { rows: start..(start + height).min(rows), planes: Vec::new() })
        .collect();
    for plane in planes.chunks_exact_mut(form.plane) {
        let (_, mut rest) = plane.split_at_mut(form.above * form.pitch);
        for band in &mut bands {
            let (own, after) = rest.split_at_mut(band.rows.len() * form.pitch);
            band.planes.push(own);
            rest = after;
        }
    }
    bands
}
