//! Whether projections cover half a turn or a whole one, by what they show.

use std::f64::consts::PI;

use ndarray::{Array2, ArrayView2, Axis, s};

use super::corrections::Corrections;
use super::scan::Scan;
use crate::error::Result;

/// So many rows about the middle of the detector are looked at: more would take memory for their flat fields.
const ROWS: usize = 256;
/// Rows that a projection is averaged to, so that noise counts less.
const BANDS: usize = 16;
/// Mirrored projections are shifted against each other by at most this share of the columns.
const SHIFT: usize = 4;
/// By how much a correlation has to be larger than another one to say something: objects that are nearly round say nothing.
const CLEARLY: f64 = 0.1;
/// How far from half a turn, and from a whole one, angles count as such.
const NEAR: f64 = PI / 9.0;
/// With fewer projections neighbours differ too much.
const LEAST_PROJECTIONS: usize = 20;

/// What contradicts the angles of a scan, as a sentence: the last projection of half a turn is nearly the mirror image of the first one,
/// and that of a whole turn nearly the first one again. `None` where nothing does, or nothing can be told.
///
/// # Errors
/// What comes of reading the scan.
pub fn wrong_turn(scan: &Scan, corrections: &Corrections) -> Result<Option<String>> {
    let angles = scan.angles();
    let count = angles.len();
    if count < LEAST_PROJECTIONS {
        return Ok(None);
    }
    let step = (angles[count - 1] - angles[0]) / (count - 1) as f64;
    let is_even = angles.windows(2).all(|pair| (pair[1] - pair[0] - step).abs() < 0.5 * step.abs());
    let turn = (angles[count - 1] - angles[0] + step).abs();
    let (half, whole) = ((turn - PI).abs() < NEAR, (turn - 2.0 * PI).abs() < NEAR);
    if !is_even || !(half || whole) {
        return Ok(None);
    }
    let three = scan.clone().with_projections([0, count / 2, count - 1].into_iter())?;
    let rows = scan.size().0;
    let first = rows.saturating_sub(ROWS) / 2;
    let pictures = corrections.read(&three, first..rows.min(first + ROWS))?.sinograms;
    let bands: Vec<Array2<f32>> = pictures.outer_iter().map(banded).collect();
    let [first, middle, last] = bands.as_slice() else { return Ok(None) };
    let again = correlation(first.view(), last.view());
    let mirrored = best_mirrored(first.view(), last.view());
    let middle = best_mirrored(first.view(), middle.view());
    let clearly = |large: f64, small: f64| large > small + CLEARLY;
    Ok(if half && clearly(again, mirrored) && clearly(middle, mirrored) {
        Some("the angles say half a turn, but the last projection is like the first one and the one in the middle like its mirror image, as in a full turn: give `range` 360 if it was one".into())
    } else if whole && clearly(mirrored, again) && clearly(mirrored, middle) {
        Some("the angles say a full turn, but the last projection is like the mirror image of the first one, as in half a turn: give `range` 180 if it was one".into())
    } else {
        None
    })
}

/// The means of a few bands of rows.
fn banded(projection: ArrayView2<f32>) -> Array2<f32> {
    let (rows, columns) = projection.dim();
    let count = rows.clamp(1, BANDS);
    let mut bands = Array2::zeros((count, columns));
    for (number, mut band) in bands.outer_iter_mut().enumerate() {
        let part = projection.slice(s![number * rows / count..(number + 1) * rows / count, ..]);
        if let Some(mean) = part.mean_axis(Axis(0)) {
            band.assign(&mean);
        }
    }
    bands
}

/// The correlation of two pictures; 0 where one has no contrast.
fn correlation(a: ArrayView2<f32>, b: ArrayView2<f32>) -> f64 {
    let mean = |values: ArrayView2<f32>| {
        values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len().max(1) as f64
    };
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut product, mut squares_a, mut squares_b) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (f64::from(*a) - mean_a, f64::from(*b) - mean_b);
        product += a * b;
        squares_a += a * a;
        squares_b += b * b;
    }
    let scale = (squares_a * squares_b).sqrt();
    if scale > 0.0 { product / scale } else { 0.0 }
}

/// The largest correlation of one picture with another that is mirrored and shifted.
fn best_mirrored(a: ArrayView2<f32>, b: ArrayView2<f32>) -> f64 {
    let mirrored = b.slice(s![.., ..;-1]);
    let columns = a.ncols();
    let most = (columns / SHIFT) as isize;
    (-most..=most)
        .map(|shift| {
            let (from_a, from_b) = (shift.max(0) as usize, (-shift).max(0) as usize);
            let width = columns - shift.unsigned_abs();
            correlation(
                a.slice(s![.., from_a..from_a + width]),
                mirrored.slice(s![.., from_b..from_b + width]),
            )
        })
        .fold(f64::NEG_INFINITY, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phantom::{Phantom, PhantomKind, Scanner};
    use crate::tomography::ScanFiles;

    #[test]
    fn half_a_turn_and_a_whole_one_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scan.h5");
        let scanned = |turn: f64, said: Option<f64>| {
            let phantom = Phantom::new(PhantomKind::Foam, 64, 4, 1.0, 3);
            let scanner = Scanner {
                range: turn,
                projections: 120,
                offset: 3.0,
                photons: Some(500.0),
                ..Scanner::default()
            };
            scanner.scan(&phantom).unwrap().write_dxchange(&path, None).unwrap();
            let files = ScanFiles { range: said, ..Default::default() };
            let scan = Scan::open(path.to_str().unwrap(), &files).unwrap();
            wrong_turn(&scan, &Corrections::default()).unwrap()
        };
        for turn in [180.0, -180.0, 360.0] {
            assert_eq!(scanned(turn, None), None, "{turn}");
        }
        assert!(scanned(360.0, Some(180.0)).unwrap().contains("as in a full turn"));
        assert!(scanned(180.0, Some(360.0)).unwrap().contains("as in half a turn"));
        // A third of a turn says nothing.
        assert_eq!(scanned(120.0, None), None);
    }
}
