//! The centre of rotation of a scan in files.

use std::f64::consts::PI;

use ndarray::{Array2, ArrayView2, Axis, concatenate};

use super::centre::{
    Centre, Heights, WedgeSettings, at_heights, by_overlap, by_registration, by_wedge, rows_with_signal,
};
use super::corrections::Corrections;
use super::scan::Scan;
use crate::error::{Error, Result};

/// A candidate for the centre lies within this share of the detector's columns of its middle, and within as many pixels as the search
/// was published with.
const SHARE: f64 = 0.1;
/// So many columns to both sides of what one height has found the others look first.
const NEARBY: f64 = 20.0;
/// Projections count as half a turn apart where they miss it by no more than one and a half of these radians, or steps of the scan.
const MOST_APART: f64 = PI / 180.0;

/// Finds the column of the axis of `scan` at three heights: of half a turn by the double wedge of its sinograms, and where the axis is
/// offset (`half_acquisition`) by where opposite projections overlap. Where there are wide stripes in sinograms, corrections that remove
/// them keep it from being half a pixel off.
///
/// # Errors
/// [`Error::Mismatch`] where nothing is there to find it by; what comes of reading the scan.
pub fn find_centre(scan: &Scan, corrections: &Corrections, half_acquisition: bool) -> Result<Heights> {
    let (height, columns) = scan.size();
    let turn = if half_acquisition { 2.0 * PI } else { PI };
    let first = scan.angles().iter().copied().fold(f64::INFINITY, f64::min);
    let step = usual_step(scan.angles());
    // The end of the turn is its beginning again.
    let mut chosen: Vec<usize> = (0..scan.angles().len())
        .filter(|&number| scan.angles()[number] - first < turn - step / 2.0)
        .collect();
    chosen.sort_by(|a, b| scan.angles()[*a].total_cmp(&scan.angles()[*b]));
    let Some(&start) = chosen.first() else {
        return Err(Error::Mismatch(format!("{} has no projections", scan.name())));
    };
    let one = scan.clone().with_projections(std::iter::once(start))?;
    let picture = corrections.read(&one, 0..height)?.sinograms.index_axis_move(Axis(0), 0);
    let rows = rows_with_signal(picture.view());
    let part = scan.clone().with_projections(chosen.into_iter())?;
    let sinogram = |rows: std::ops::Range<usize>| -> Result<Array2<f32>> {
        let found = corrections.read(&part, rows)?.sinograms;
        found.mean_axis(Axis(1)).ok_or_else(|| Error::Mismatch(format!("{} has no rows", scan.name())))
    };
    let reach = (SHARE * columns as f64).max(WedgeSettings::default().left);
    let settings = WedgeSettings { left: reach, right: reach, ..WedgeSettings::default() };
    let middle = (columns as f64 - 1.0) / 2.0;
    let mut before: Option<Centre> = None;
    let find = |sinogram: ArrayView2<f32>| -> Result<Centre> {
        if half_acquisition {
            return by_overlap(sinogram).map(|overlap| overlap.centre);
        }
        // Where one height has found it the others look first, which is quicker: an axis leans by little. What stands out less
        // there, or lies at the edge of where they look, is searched for everywhere.
        let near = before.and_then(|known| {
            let from = known.column - middle;
            let near = WedgeSettings { left: NEARBY - from, right: NEARBY + from, ..settings };
            let found = by_wedge(sinogram, &near).ok()?;
            let is_inside = (found.column - known.column).abs() < NEARBY / 2.0;
            is_inside.then_some(found)
        });
        let found = near.map_or_else(|| by_wedge(sinogram, &settings), Ok)?;
        before = Some(found);
        Ok(found)
    };
    at_heights(&rows, height, sinogram, find)
}

/// Finds the column of the axis of `scan` at three heights from two projections that are half a turn apart, as nearly as there are any:
/// quicker than [`find_centre`], and for scans whose sinograms tell little, such as those of few projections.
///
/// # Errors
/// [`Error::Mismatch`] where no two projections are half a turn apart, or these do not fit each other; what comes of reading the scan.
pub fn register_centre(scan: &Scan, corrections: &Corrections) -> Result<Heights> {
    let (height, _) = scan.size();
    let angles = scan.angles();
    // How far two angles are from half a turn.
    let beside = |a: f64, b: f64| ((b - a).rem_euclid(2.0 * PI) - PI).abs();
    let opposite = |first: usize| {
        let distance = |number: usize| beside(angles[first], angles[number]);
        let nearest = (0..angles.len()).min_by(|a, b| distance(*a).total_cmp(&distance(*b)))?;
        Some((distance(nearest), first, nearest))
    };
    // Those that are nearest to half a turn are among the first and the last ones of half a turn, and anywhere in a whole one.
    let most = usual_step(angles).max(MOST_APART);
    let pair = [0, angles.len().saturating_sub(1)].into_iter().filter_map(opposite);
    let pair = pair.min_by(|a, b| a.0.total_cmp(&b.0)).filter(|(distance, ..)| *distance <= 1.5 * most);
    let Some((_, first, opposite)) = pair else {
        return Err(Error::Mismatch(format!(
            "{} has no two projections that are half a turn apart; give the centre as a number, or auto",
            scan.name()
        )));
    };
    let two = scan.clone().with_projections([first, opposite].into_iter())?;
    let pictures = corrections.read(&two, 0..height)?.sinograms;
    let of = |number: usize| pictures.index_axis(Axis(0), number);
    let rows = rows_with_signal(of(0));
    // Some rows of the one, and below them the same of the other.
    let both = |rows: std::ops::Range<usize>| {
        let part = |number: usize| of(number).slice_move(ndarray::s![rows.clone(), ..]);
        concatenate(Axis(0), &[part(0), part(1)])
            .map_err(|_| Error::Mismatch(format!("{} has projections of two sizes", scan.name())))
    };
    at_heights(&rows, height, both, |both| {
        let (first, opposite) = both.split_at(Axis(0), both.nrows() / 2);
        by_registration(first, opposite)
    })
}

/// The median step from one angle to the next.
fn usual_step(angles: &[f64]) -> f64 {
    let mut sorted = angles.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut steps: Vec<f64> = sorted.windows(2).map(|pair| pair[1] - pair[0]).collect();
    steps.sort_by(f64::total_cmp);
    steps.get(steps.len() / 2).copied().unwrap_or(0.0)
}
