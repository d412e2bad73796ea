//! Cutting planes into bands of rows that different cores may write at the same time.

use std::ops::Range;

use crate::schedule::PlaneForm;

/// Rows of a band: enough for full register tiles at the usual dilations, few enough to stay in cache.
const MOST_ROWS: usize = 64;

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
    rows.div_ceil(rayon::current_num_threads()).clamp(1, MOST_ROWS)
}

/// Cuts consecutive planes into bands of `height` rows; margins above and below belong to none.
pub(super) fn cut<'a>(planes: &'a mut [f32], form: &PlaneForm, rows: usize, height: usize) -> Vec<Band<'a>> {
    let mut bands: Vec<Band> = (0..rows)
        .step_by(height)
        .map(|start| Band { rows: start..(start + height).min(rows), planes: Vec::new() })
        .collect();
    for plane in planes.chunks_exact_mut(form.plane()) {
        let (_, mut rest) = plane.split_at_mut(form.above * form.pitch);
        for band in &mut bands {
            let (own, after) = rest.split_at_mut(band.rows.len() * form.pitch);
            band.planes.push(own);
            rest = after;
        }
    }
    bands
}
