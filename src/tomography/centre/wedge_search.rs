//! The search for the centre whose whole turn has least in the double wedge.
//!
//! N. T. Vo, M. Drakopoulos, R. C. Atwood, C. Reinhard, "Reliable method for calculating the center of rotation in parallel-beam
//! tomography", Optics Express 22(16), 19078, 2014.

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use super::smoothing::gaussian;
use super::wedge::Wedge;
use super::{Centre, check, vertex};
use crate::error::{Error, Result};

/// Fewer angles leave nothing between the frequencies that are dropped and those that are smoothed away.
const LEAST_ANGLES: usize = 16;
/// Wider detectors are made narrower for the coarse search, to no less than this.
const COARSE_COLUMNS: usize = 640;
/// A valley that is no deeper than this share is one of many.
const LEAST_SHARPNESS: f64 = 0.05;

/// How a centre is searched for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WedgeSettings {
    /// The candidates of the coarse search lie up to this many pixels to the left of the middle of the detector; 50.
    pub left: f64,
    /// And to the right; 50.
    pub right: f64,
    /// The fine search goes this many pixels to both sides of what the coarse one found; 6.
    pub fine: f64,
    /// Pixels between the candidates of the fine search; 0.25. The centre is found between them too.
    pub step: f64,
    /// The radius of the sample over half the detector's width; 0.5. Less narrows what is looked at, and is safe.
    pub ratio: f64,
    /// As many of the lowest frequencies along the angle are left out, where stripes are; 20, at most a twentieth of all.
    pub dropped: usize,
}

impl Default for WedgeSettings {
    fn default() -> Self {
        Self { left: 50.0, right: 50.0, fine: 6.0, step: 0.25, ratio: 0.5, dropped: 20 }
    }
}

impl WedgeSettings {
    fn check(&self) -> Result<()> {
        let within = |name: &str, value: f64, least: f64, most: f64| {
            if value >= least && value <= most {
                return Ok(());
            }
            Err(Error::setting(name, value, format!("it must be from {least} to {most}")))
        };
        within("the search to the left of the middle", self.left, -1e6, 1e6)?;
        within("the search to the right of the middle", self.right, -1e6, 1e6)?;
        within("the range of the fine search", self.fine, 1.0, 100.0)?;
        within("the step of the fine search", self.step, 0.01, 1.0)?;
        within("the radius of the sample over half the detector", self.ratio, 0.01, 4.0)?;
        if self.left + self.right < 0.0 {
            let found = format!("from {} to {} pixels off the middle", -self.left, self.right);
            return Err(Error::setting("the search for the centre", found, "it must begin before it ends"));
        }
        Ok(())
    }
}

/// Finds the centre of rotation from a sinogram `[angle][column]` of attenuation, over half a turn in even steps. For scans of a
/// whole turn give the first half; the mean of some neighbouring rows has less noise.
/// Narrow stripes of constant height do not matter. Wide and fluctuating ones can move the result by half a pixel and more: remove
/// them first.
///
/// # Errors
/// [`Error::Mismatch`] when the sinogram has too few angles or columns, a value that is not finite, or no contrast, and when no
/// candidate stands out, so that the centre may be outside of the range; [`Error::Setting`] when a setting is
/// out of its range, or candidates are outside of the detector.
pub fn by_wedge(sinogram: ArrayView2<f32>, settings: &WedgeSettings) -> Result<Centre> {
    settings.check()?;
    check("the sinogram", sinogram, LEAST_ANGLES)?;
    let columns = sinogram.ncols();
    let middle = (columns as f64 - 1.0) / 2.0;
    let (first, last) = (middle - settings.left, middle + settings.right);
    if last < 0.0 || first > 2.0 * middle {
        let range = format!("from column {first:.1} to {last:.1}");
        let wanted = format!("the detector's columns are 0 to {}; search nearer to its middle", columns - 1);
        return Err(Error::setting("the search for the centre", range, wanted));
    }
    // At its edges the detector has nothing to compare.
    let margin = (columns as f64 / 16.0).ceil();
    let (first, last) =
        (first.clamp(margin, 2.0 * middle - margin), last.clamp(margin, 2.0 * middle - margin));

    let (coarse, sharpness) = coarse_search(sinogram, first, last, settings)?;
    let radius = 0.5 * settings.ratio * columns as f64;
    let wedge = Wedge::new(gaussian(sinogram, 2.0, 2.0).view(), 2.0, radius, settings.dropped);
    let steps = (settings.fine / settings.step).ceil() as i32;
    let candidates: Vec<f64> = (-steps..=steps)
        .map(|i| coarse + f64::from(i) * settings.step)
        .filter(|candidate| *candidate >= margin && *candidate <= 2.0 * middle - margin)
        .collect();
    let column = least(&candidates, &amplitudes(&wedge, &candidates));
    Ok(Centre { column, sharpness })
}

/// The best candidate of whole pixels, on a detector that is made narrower if it is wide, and how much it stands out.
fn coarse_search(
    sinogram: ArrayView2<f32>,
    first: f64,
    last: f64,
    settings: &WedgeSettings,
) -> Result<(f64, f64)> {
    let smooth = gaussian(sinogram, 3.0, 1.0);
    let columns = smooth.ncols();
    let together = (columns / COARSE_COLUMNS).max(1);
    let narrow = if together > 1 { joined_columns(&smooth, together) } else { smooth };
    let radius = 0.5 * settings.ratio * narrow.ncols() as f64;
    let wedge = Wedge::new(narrow.view(), 3.0, radius, settings.dropped);
    let scale = together as f64;
    // A wide pixel's middle is that of the pixels in it.
    let to_narrow = |place: f64| (place - (scale - 1.0) / 2.0) / scale;
    let to_wide = |place: f64| place * scale + (scale - 1.0) / 2.0;
    let (start, end) = (to_narrow(first), to_narrow(last));
    let candidates: Vec<f64> =
        (0..=(end - start).ceil().max(0.0) as usize).map(|i| start + i as f64).collect();
    let amplitudes = amplitudes(&wedge, &candidates);
    if candidates.len() <= 2 {
        return Ok((to_wide(least(&candidates, &amplitudes)), 0.0));
    }
    let (best, sharpness) = deepest_valley(&amplitudes);
    let place = to_wide(refined(&candidates, &amplitudes, best));
    if sharpness < LEAST_SHARPNESS {
        return Err(Error::Mismatch(format!(
            "no column from {first:.1} to {last:.1} stands out as the centre of rotation: the best one, {place:.1}, does by \
             {sharpness:.2}, but at least {LEAST_SHARPNESS} is needed; search more widely, or give the centre as a number"
        )));
    }
    Ok((place, sharpness))
}

/// The valley that lies deepest between higher values on both sides, and its depth as a share of the lower one of these.
///
/// Near the edges of the detector amplitudes fall, because less and less of the sample is in both halves of a turn: the
/// least one of all may be there. Only the true centre has a valley.
fn deepest_valley(amplitudes: &[f64]) -> (usize, f64) {
    let highest = |most: &mut f64, value: &f64| {
        *most = most.max(*value);
        Some(*most)
    };
    let left: Vec<f64> = amplitudes.iter().scan(0.0, highest).collect();
    let mut right: Vec<f64> = amplitudes.iter().rev().scan(0.0, highest).collect();
    right.reverse();
    let depths = amplitudes.iter().zip(left.iter().zip(&right)).map(|(here, (left, right))| {
        let rim = left.min(*right);
        if rim > 0.0 { 1.0 - here / rim } else { 0.0 }
    });
    depths.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, 0.0))
}

/// The mean of as many neighbouring columns each; those that are left over at the end are left out.
fn joined_columns(image: &Array2<f32>, together: usize) -> Array2<f32> {
    let mut joined = Array2::zeros((image.nrows(), image.ncols() / together));
    for (mut into, row) in joined.rows_mut().into_iter().zip(image.rows()) {
        for (place, value) in row.iter().enumerate() {
            if let Some(into) = into.get_mut(place / together) {
                *into += value / together as f32;
            }
        }
    }
    joined
}

/// The amplitude for each candidate.
fn amplitudes(wedge: &Wedge, candidates: &[f64]) -> Vec<f64> {
    candidates.par_iter().map(|centre| wedge.amplitude(*centre)).collect()
}

/// The candidate with the least amplitude, and what lies between it and its neighbours.
fn least(candidates: &[f64], amplitudes: &[f64]) -> f64 {
    let best = amplitudes.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(i, _)| i);
    refined(candidates, amplitudes, best)
}

/// The place of candidate `best`, refined by the parabola through it and its neighbours.
fn refined(candidates: &[f64], amplitudes: &[f64], best: usize) -> f64 {
    let place = candidates.get(best).copied().unwrap_or_default();
    let around = |i: Option<usize>| i.and_then(|i| amplitudes.get(i)).copied();
    match (around(best.checked_sub(1)), around(Some(best)), around(Some(best + 1)), candidates.get(best + 1))
    {
        (Some(before), Some(here), Some(after), Some(next)) => {
            place + vertex(before, here, after) * (next - place)
        }
        _ => place,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valley_wins_over_falling_edges() {
        let (best, depth) = deepest_valley(&[0.1, 0.5, 1.0, 0.9, 0.95, 0.2, 0.8, 0.7, 0.4, 0.1]);
        assert_eq!(best, 5);
        assert!((depth - 0.75).abs() < 1e-9);
        assert_eq!(deepest_valley(&[3.0, 2.0, 1.0]).1, 0.0);
        assert_eq!(deepest_valley(&[0.0; 3]).1, 0.0);
        assert_eq!(deepest_valley(&[]), (0, 0.0));
    }
}
