//! The centre at a few heights of the detector: they agree where the axis stands upright and no row is bad.

use std::ops::Range;

use ndarray::{Array2, ArrayView2};

use super::smoothing::gaussian;
use super::{Centre, check};
use crate::error::{Error, Result};

/// So many neighbouring rows are averaged: their noise is a third.
const AVERAGED: usize = 10;
/// Centres that differ by more pixels than this say that something is wrong.
const ALIKE: f64 = 1.0;

/// The centre at one height.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AtHeight {
    /// The row of the detector, from 0.
    pub row: usize,
    /// The centre that was found there.
    pub centre: Centre,
}

/// The centre at a few heights.
#[derive(Debug, Clone, PartialEq)]
pub struct Heights {
    /// The one whose place is the median of all; of an even number the one below the middle.
    pub centre: Centre,
    /// Where it was found.
    pub found: Vec<AtHeight>,
    /// Rows at which it could not be found, and why.
    pub failed: Vec<(usize, Error)>,
    /// How far the places lie apart, in pixels.
    pub spread: f64,
}

impl Heights {
    /// A sentence for people where the centres differ by more than a pixel.
    pub fn warning(&self) -> Option<String> {
        if self.spread <= ALIKE {
            return None;
        }
        let places: Vec<String> = self
            .found
            .iter()
            .map(|found| format!("column {:.2} at row {}", found.centre.column, found.row))
            .collect();
        Some(format!(
            "the centre of rotation is {}: they differ by {:.2} pixels, so the axis leans, or one of the rows is bad",
            places.join(", "),
            self.spread
        ))
    }
}

/// The rows at 25, 50 and 75 percent of those of a projection `[row][column]` of attenuation that show something; fewer where the
/// detector has no more, none where it shows nothing.
///
/// A row shows something where its values spread at least a quarter as much as in the rows that spread most.
pub fn rows_with_signal(projection: ArrayView2<f32>) -> Vec<usize> {
    if check("the projection", projection, 1).is_err() {
        return Vec::new();
    }
    let smooth = gaussian(projection, 1.0, 2.0);
    let spreads: Vec<f32> = smooth.rows().into_iter().map(|row| row.std(0.0)).collect();
    let mut sorted = spreads.clone();
    sorted.sort_unstable_by(f32::total_cmp);
    // A single bright row is no sample.
    let usual = sorted.get(sorted.len() * 9 / 10).copied().unwrap_or(0.0);
    let rows: Vec<usize> = (0..spreads.len())
        .filter(|row| spreads.get(*row).is_some_and(|spread| *spread > 0.0 && *spread >= 0.25 * usual))
        .collect();
    let mut chosen: Vec<usize> =
        [1, 2, 3].iter().filter_map(|quarter| rows.get(rows.len() * quarter / 4)).copied().collect();
    chosen.dedup();
    chosen
}

/// Finds the centre at each of `rows` of a detector that has `height` rows: `sinogram` is given up to ten rows around and returns
/// the mean of their sinograms `[angle][column]`, and `find` returns the centre for it.
///
/// # Errors
/// [`Error::Mismatch`] when there are no rows; what `sinogram` returns; and what `find` returns where it succeeds at no height.
pub fn at_heights(
    rows: &[usize],
    height: usize,
    mut sinogram: impl FnMut(Range<usize>) -> Result<Array2<f32>>,
    mut find: impl FnMut(ArrayView2<f32>) -> Result<Centre>,
) -> Result<Heights> {
    let (mut found, mut failed) = (Vec::new(), Vec::new());
    for &row in rows {
        let start = row.saturating_sub(AVERAGED / 2).min(height.saturating_sub(AVERAGED));
        match find(sinogram(start..(start + AVERAGED).min(height))?.view()) {
            Ok(centre) => found.push(AtHeight { row, centre }),
            Err(error) => failed.push((row, error)),
        }
    }
    let mut sorted: Vec<Centre> = found.iter().map(|found| found.centre).collect();
    sorted.sort_by(|a, b| a.column.total_cmp(&b.column));
    let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else {
        return Err(failed.into_iter().next().map_or_else(
            || {
                Error::Mismatch(
                    "no row of the projections shows a sample that a centre of rotation could be found from; give the centre \
                     as a number"
                        .to_owned(),
                )
            },
            |(_, error)| error,
        ));
    };
    let spread = last.column - first.column;
    let centre = sorted.get((sorted.len() - 1) / 2).copied().unwrap_or(*first);
    Ok(Heights { centre, found, failed, spread })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_are_quarters_of_the_rows_with_a_sample() {
        // The sample is in rows 20 to 59, in noise.
        let projection = Array2::from_shape_fn((100, 64), |(y, x)| {
            let noise = ((y * 64 + x) * 7919 % 101) as f32 / 2000.0;
            noise + if (20..60).contains(&y) && (16..48).contains(&x) { 1.0 } else { 0.0 }
        });
        let rows = rows_with_signal(projection.view());
        for (row, wanted) in rows.iter().zip([30usize, 40, 50]) {
            assert!(row.abs_diff(wanted) <= 1, "{rows:?}");
        }
        assert_eq!(rows_with_signal(projection.slice(ndarray::s![30..31, ..])), [0]);
        assert!(rows_with_signal(Array2::ones((5, 64)).view()).is_empty());
        assert!(rows_with_signal(Array2::ones((0, 0)).view()).is_empty());
    }

    #[test]
    fn heights_are_compared_and_bad_ones_left_out() {
        let mut asked = Vec::new();
        let heights = at_heights(
            &[2, 50, 98, 60],
            100,
            |rows| {
                asked.push(rows.clone());
                Ok(Array2::from_elem((1, 1), rows.start as f32))
            },
            |start| match start[[0, 0]] {
                55.0 => Err(Error::Mismatch("no contrast".to_owned())),
                start => Ok(Centre { column: f64::from(start) / 40.0, sharpness: 0.5 }),
            },
        )
        .unwrap();
        assert_eq!(asked, [0..10, 45..55, 90..100, 55..65]);
        assert_eq!(heights.centre.column, 45.0 / 40.0);
        assert_eq!((heights.found.len(), heights.failed.len(), heights.failed[0].0), (3, 1, 60));
        let warning = heights.warning().unwrap();
        assert!(warning.contains("column 1.12 at row 50") && warning.contains("2.25 pixels"), "{warning}");
        let alike = Heights { spread: 0.9, ..heights };
        assert_eq!(alike.warning(), None);

        let flat = |_: ArrayView2<f32>| Err(Error::Mismatch("no contrast".to_owned()));
        let error = at_heights(&[1], 3, |_| Ok(Array2::zeros((1, 1))), flat).unwrap_err();
        assert_eq!(error.to_string(), "no contrast");
        assert!(at_heights(&[], 3, |_| Ok(Array2::zeros((1, 1))), flat).is_err());
    }
}
