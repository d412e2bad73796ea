//! Faulty columns: which they are, and algorithms 5 and 6 of Vo et al. (2018), which repair them.

use super::medians::{Medians, mirrored};
use super::sorting::SortedColumns;

/// Of the sorted angles as large a share is left out of the means, in halves at both ends (algorithm 5).
const DROPPED: f64 = 0.1;
/// Where there is less than this share of the most that is seen anywhere, there is nothing (algorithm 5).
const NOTHING: f64 = 0.01;
/// Angles over which columns are smoothed to see how much they fluctuate (algorithm 6).
const FLUCTUATION: usize = 10;
/// With more columns than one in so many found faulty, it is the criterion that fails, not the detector.
const MOST_DEAD: usize = 3;

/// Which columns stand out by a factor of `snr` over the others, by a factor for each that is about 1 for good ones
/// (algorithm 4).
///
/// The middle half of the sorted factors is fitted by a line: its rise over all columns is the noise. Columns are found only if
/// the most extreme one is `snr` times the noise away from the line's end; then those that are half as far away.
fn standing_out(factors: &[f64], snr: f64) -> Vec<bool> {
    let count = factors.len();
    let mut sorted = factors.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let quarter = count / 4;
    let (Some(least), Some(most), Some(middle)) = (
        sorted.first(),
        sorted.last(),
        sorted.get(quarter..(count - quarter).saturating_sub(1).max(quarter + 1)),
    ) else {
        return vec![false; count];
    };
    let (low, high) = line_ends(middle, quarter, count);
    // Without noise everything would stand out: differences that single precision cannot hold are none.
    let noise = (high - low).abs().max(1e-6);
    let above = if most - high >= snr * noise { high + 0.5 * snr * noise } else { f64::INFINITY };
    let below = if low - least >= snr * noise { low - 0.5 * snr * noise } else { f64::NEG_INFINITY };
    factors.iter().map(|factor| *factor > above || *factor <= below).collect()
}

/// The values at places 0 and `count` - 1 of the line that fits `values` at places from `first` with least squares.
fn line_ends(values: &[f64], first: usize, count: usize) -> (f64, f64) {
    let number = values.len() as f64;
    let middle_place = first as f64 + (number - 1.0) / 2.0;
    let mean = values.iter().sum::<f64>() / number;
    let (mut product, mut square) = (0.0, 0.0);
    for (i, value) in values.iter().enumerate() {
        let place = (first + i) as f64 - middle_place;
        product += place * (value - mean);
        square += place * place;
    }
    let slope = if square > 0.0 { product / square } else { 0.0 };
    (mean - slope * middle_place, mean + slope * (count as f64 - 1.0 - middle_place))
}

/// Each found column with its neighbours.
fn widened(found: &[bool]) -> Vec<bool> {
    let at = |i: usize| found.get(i).copied().unwrap_or(false);
    (0..found.len()).map(|i| at(i) || at(i + 1) || (i > 0 && at(i - 1))).collect()
}

/// Removes stripes up to half as wide as `width` columns (algorithm 5).
///
/// All columns are divided by the ratio of their sorted mean to that of the smoothed columns around them; those that stand out
/// are replaced by smoothed ones as a whole.
pub(super) fn remove_large(sinogram: &mut [f32], columns: usize, snr: f64, width: usize) {
    let rows = sinogram.len() / columns.max(1);
    let mut sorted = SortedColumns::new(sinogram, columns);
    let dropped = (0.5 * DROPPED * rows as f64) as usize;
    let means = |values: &[f32]| -> Vec<f64> {
        let mut sums = vec![0.0; columns];
        for row in values.chunks_exact(columns).skip(dropped).take(rows - 2 * dropped) {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        sums.iter_mut().for_each(|sum| *sum /= (rows - 2 * dropped) as f64);
        sums
    };
    let measured = means(&sorted.values);
    sorted.smooth(width);
    let smoothed = means(&sorted.values);
    // Where the smoothed mean is next to nothing or of another sign, as in air, a ratio of noise to noise would only make more
    // of it.
    let scale = smoothed.iter().fold(0.0f64, |most, mean| most.max(mean.abs()));
    let ratio = |(measured, smoothed): (&f64, &f64)| {
        let ratio = measured / smoothed;
        (smoothed.abs() > NOTHING * scale && ratio > 0.0 && ratio.is_finite()).then_some(ratio)
    };
    let ratios: Vec<Option<f64>> = measured.iter().zip(&smoothed).map(ratio).collect();
    let known: Vec<f64> = ratios.iter().flatten().copied().collect();
    let mut found = standing_out(&known, snr).into_iter();
    let found: Vec<bool> =
        ratios.iter().map(|ratio| ratio.is_some() && found.next().unwrap_or(false)).collect();
    let faulty = widened(&found);
    let factors: Vec<f64> = ratios.iter().map(|ratio| ratio.unwrap_or(1.0)).collect();
    for row in sinogram.chunks_exact_mut(columns) {
        row.iter_mut().zip(&factors).for_each(|(value, factor)| *value = (f64::from(*value) / factor) as f32);
    }
    sorted.put_back(sinogram, |column| faulty.get(column).copied().unwrap_or(false));
}

/// Replaces columns that do not respond to light or that fluctuate by the line between the good ones on both sides
/// (algorithm 6, without the treatment of what is left by [`remove_large`]).
///
/// How much a column fluctuates is compared with the median of `width` columns around it. The two outermost columns on
/// each side are taken to be good.
pub(super) fn remove_dead(sinogram: &mut [f32], columns: usize, snr: f64, width: usize) {
    let fluctuations = fluctuations(sinogram, columns);
    let mut usual = fluctuations.clone();
    Medians::new(width).filter(&mut usual);
    let mean = usual.iter().map(|value| f64::from(*value)).sum::<f64>() / columns.max(1) as f64;
    let factors: Vec<f64> = fluctuations
        .iter()
        .zip(&usual)
        .map(|(here, usual)| {
            let usual = if *usual > 0.0 { f64::from(*usual) } else { mean };
            if usual > 0.0 { f64::from(*here) / usual } else { 1.0 }
        })
        .collect();
    let mut dead = widened(&standing_out(&factors, snr));
    for i in [0, 1, columns.wrapping_sub(2), columns.wrapping_sub(1)] {
        if let Some(dead) = dead.get_mut(i) {
            *dead = false;
        }
    }
    let found = dead.iter().filter(|dead| **dead).count();
    if found < columns / MOST_DEAD {
        sinogram.chunks_exact_mut(columns).for_each(|row| bridge(row, &dead));
    }
}

/// How far the values of each column are from their mean over a few angles around, summed over all angles.
fn fluctuations(sinogram: &[f32], columns: usize) -> Vec<f32> {
    let rows = sinogram.len() / columns.max(1);
    let row = |place: isize| {
        let start = mirrored(place, rows) * columns;
        sinogram.get(start..start + columns).unwrap_or_default()
    };
    let mut sums = vec![0.0f64; columns];
    // The window of an even number of angles has one more before than after.
    let before = (FLUCTUATION / 2) as isize;
    let after = FLUCTUATION as isize - before;
    for place in -before..after {
        sums.iter_mut().zip(row(place)).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    let mut differences = vec![0.0f64; columns];
    for place in 0..rows as isize {
        for ((difference, sum), value) in differences.iter_mut().zip(&sums).zip(row(place)) {
            *difference += (f64::from(*value) - sum / FLUCTUATION as f64).abs();
        }
        let (leaves, enters) = (row(place - before), row(place + after));
        for ((sum, enters), leaves) in sums.iter_mut().zip(enters).zip(leaves) {
            *sum += f64::from(*enters) - f64::from(*leaves);
        }
    }
    // Rounding of the moving sums is no fluctuation.
    differences
        .into_iter()
        .map(|difference| if difference < 1e-9 { 0.0 } else { difference as f32 })
        .collect()
}

/// Replaces runs of `dead` values by the line between their good neighbours.
fn bridge(row: &mut [f32], dead: &[bool]) {
    let mut left: Option<(usize, f32)> = None;
    for i in 0..row.len().min(dead.len()) {
        if dead[i] {
            continue;
        }
        if let Some((start, from)) = left {
            let step = (row[i] - from) / (i - start) as f32;
            for (k, value) in row[start..i].iter_mut().enumerate().skip(1) {
                *value = from + k as f32 * step;
            }
        }
        left = Some((i, row[i]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outliers_stand_out_and_noise_does_not() {
        let mut factors: Vec<f64> = (0..200u32).map(|i| 1.0 + 1e-4 * f64::from(i * 37 % 200)).collect();
        assert!(!standing_out(&factors, 3.0).contains(&true));
        factors[20] = 1.5;
        factors[30] = 0.4;
        // Close to the most extreme one is found with it.
        factors[40] = 1.06;
        let found = standing_out(&factors, 3.0);
        let which: Vec<usize> = (0..200).filter(|i| found[*i]).collect();
        assert_eq!(which, [20, 30, 40]);
        assert_eq!(widened(&[false, false, true, false, true]), [false, true, true, true, true]);
        assert!(standing_out(&[], 3.0).is_empty());
        assert_eq!(standing_out(&[1.0; 5], 3.0), [false; 5]);
    }

    #[test]
    fn gaps_are_bridged_by_lines() {
        let mut row = [0.0, 1.0, 9.0, 9.0, 4.0, 9.0, 6.0];
        bridge(&mut row, &[false, false, true, true, false, true, false]);
        assert_eq!(row, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    }
}
