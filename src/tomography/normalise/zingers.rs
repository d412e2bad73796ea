//! Bright specks in projections: "zingers", from X-rays and particles that hit the camera itself.

use ndarray::{Array2, ArrayViewMut2, ArrayViewMut3, Axis};
use rayon::prelude::*;

use super::frames::median;
use crate::error::{Error, Result};

/// What a value is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Around {
    /// The 3x3 pixels around it in its projection. For specks of up to four pixels, also in single frames.
    #[default]
    Pixels,
    /// The same pixel at `reach` angles before and as many after. Keeps fine detail of a projection, but needs angles that are close
    /// together.
    Angles {
        /// At least 1.
        reach: usize,
    },
}

/// Replaces values of projections (or of flats) `[angle][row][column]` that are brighter than the median around them by more than
/// `threshold`, in the units of the data, by that median. Returns how many they were.
///
/// At the edges a value is compared with the neighbours that there are, itself included. Dark specks stay: they are what the sample
/// or a dead pixel looks like.
///
/// # Errors
/// [`Error::Setting`] when `threshold` is not a number above 0, or a reach is 0.
pub fn remove_zingers(mut projections: ArrayViewMut3<f32>, threshold: f32, around: Around) -> Result<u64> {
    if !(threshold > 0.0 && threshold.is_finite()) {
        return Err(Error::setting(
            "the threshold of bright specks",
            threshold,
            "it must be above 0, in the units of the raw data; several times the noise is usual",
        ));
    }
    // A plane is what the window lies in: a projection, or the sinogram of a row.
    let (axis, reach) = match around {
        Around::Pixels => (Axis(0), (1, 1)),
        Around::Angles { reach: 0 } => {
            return Err(Error::setting(
                "the reach along the angle",
                0,
                "it must be at least 1: a value needs neighbours to be compared with",
            ));
        }
        Around::Angles { reach } => (Axis(1), (reach, 0)),
    };
    let planes: Vec<_> = projections.axis_iter_mut(axis).collect();
    Ok(planes.into_par_iter().map(|plane| remove_from_plane(plane, threshold, reach)).sum())
}

/// The same in one plane, with windows that reach so many rows and columns to each side.
fn remove_from_plane(mut plane: ArrayViewMut2<f32>, threshold: f32, reach: (usize, usize)) -> u64 {
    let (rows, columns) = plane.dim();
    let before: Array2<f32> = plane.as_standard_layout().into_owned();
    let Some(values) = before.as_slice() else { return 0 };
    let mut window = Vec::new();
    let mut lower: Vec<u32> = vec![0; columns];
    let mut found = 0;
    for row in 0..rows {
        let near = row.saturating_sub(reach.0)..row.saturating_add(reach.0).saturating_add(1).min(rows);
        let line = |row: usize| values.get(row * columns..(row + 1) * columns).unwrap_or_default();
        // A value is above the median by more than the threshold where more than half of its window is so far below it, or half of an
        // even one may be. Counting that is far quicker than medians, which hardly any value needs.
        lower.fill(0);
        for other in near.clone() {
            for shift in -(reach.1 as isize)..=reach.1 as isize {
                let (skip_here, skip_there) = ((-shift).max(0) as usize, shift.max(0) as usize);
                let pairs = line(row).iter().skip(skip_here).zip(line(other).iter().skip(skip_there));
                for (count, (value, other)) in lower.iter_mut().skip(skip_here).zip(pairs) {
                    *count += u32::from(value - other > threshold);
                }
            }
        }
        for (column, count) in lower.iter().enumerate() {
            let across = column.saturating_sub(reach.1)..(column + reach.1 + 1).min(columns);
            if (*count as usize) < near.len() * across.len() / 2 {
                continue;
            }
            window.clear();
            window.extend(near.clone().flat_map(|row| line(row).get(across.clone()).unwrap_or_default()));
            window.retain(|value: &f32| !value.is_nan());
            let usual = median(&mut window);
            let value = &mut plane[[row, column]];
            if *value - usual > threshold {
                *value = usual;
                found += 1;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    fn smooth() -> Array3<f32> {
        Array3::from_shape_fn((7, 8, 9), |(a, y, x)| 100.0 + (a + 2 * y + x) as f32)
    }

    #[test]
    fn specks_become_what_is_around_them() {
        for around in [Around::Pixels, Around::Angles { reach: 2 }] {
            let mut slab = smooth();
            let specks = [[0, 0, 0], [3, 4, 4], [3, 4, 5], [6, 7, 8], [2, 0, 5]];
            specks.iter().for_each(|place| slab[*place] = 5000.0);
            assert_eq!(remove_zingers(slab.view_mut(), 50.0, around).unwrap(), 5, "{around:?}");
            let worst = (&slab - &smooth()).mapv(f32::abs).fold(0.0f32, |a, b| a.max(*b));
            assert!(worst <= 3.0, "{around:?}: {worst}");
        }
    }

    #[test]
    fn what_is_dark_or_below_the_threshold_stays() {
        let mut slab = smooth();
        slab[[3, 3, 3]] -= 90.0;
        slab[[2, 5, 5]] += 40.0;
        slab[[1, 1, 1]] = f32::NAN;
        let before = slab.clone();
        for around in [Around::Pixels, Around::Angles { reach: 1 }] {
            assert_eq!(remove_zingers(slab.view_mut(), 50.0, around).unwrap(), 0);
        }
        assert!(slab.iter().zip(&before).all(|(a, b)| a.to_bits() == b.to_bits()));
    }

    #[test]
    fn settings_out_of_range_are_errors_and_small_slabs_are_none() {
        let mut slab = smooth();
        for threshold in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            assert!(remove_zingers(slab.view_mut(), threshold, Around::Pixels).is_err());
        }
        assert!(remove_zingers(slab.view_mut(), 1.0, Around::Angles { reach: 0 }).is_err());
        for size in [(0, 0, 0), (1, 1, 1), (2, 0, 3), (1, 1, 5)] {
            let mut slab = Array3::ones(size);
            for around in [Around::Pixels, Around::Angles { reach: usize::MAX }] {
                assert_eq!(remove_zingers(slab.view_mut(), 1.0, around).unwrap(), 0);
            }
        }
    }
}
