//! Damping of stripes in the details of a wavelet decomposition (Münch et al., 2009).

use realfft::RealFftPlanner;

use super::wavelets::{Band, decompose, reconstruct};

/// A sixteenth of the angles is added on each side, with the values of the outermost ones, because the Fourier transform takes the
/// last angle to be followed by the first.
const ADDED: usize = 16;

/// Removes stripes from a sinogram `[angle][column]`.
pub(super) fn remove(sinogram: &mut [f32], columns: usize, sigma: f64, levels: Option<usize>) {
    let rows = sinogram.len() / columns.max(1);
    let added = rows / ADDED;
    let (Some(first), Some(last)) = (sinogram.get(..columns), sinogram.get((rows.max(1) - 1) * columns..))
    else {
        return;
    };
    let mut values = first.repeat(added);
    values.extend_from_slice(sinogram);
    values.extend(last.repeat(added));

    // More often there is nothing to halve: at its ends a band is longer than its signal.
    let most = rows.max(columns).next_power_of_two().trailing_zeros() as usize;
    let mut smooth = Band { values, columns };
    let mut details = Vec::new();
    for _ in 0..levels.unwrap_or(most).min(most) {
        let (next, mut level) = decompose(&smooth);
        damp(&mut level.across, sigma);
        details.push(level);
        smooth = next;
    }
    let whole = details.into_iter().rev().fold(smooth, reconstruct);
    let done = whole.values.iter().skip(added * columns);
    sinogram.iter_mut().zip(done).for_each(|(into, value)| *into = *value);
}

/// Multiplies the frequencies k along the columns by 1 - exp(-k^2 / (2 sigma^2)), so that what is constant is gone.
fn damp(band: &mut Band, sigma: f64) {
    /// Columns that are taken out in one go: neighbours in memory.
    const TOGETHER: usize = 16;
    let (rows, columns) = (band.rows(), band.columns);
    let mut planner = RealFftPlanner::<f32>::new();
    let (forward, inverse) = (planner.plan_fft_forward(rows), planner.plan_fft_inverse(rows));
    let gains: Vec<f32> = (0..=rows / 2)
        .map(|k| (-(-(k as f64).powi(2) / (2.0 * sigma * sigma)).exp_m1() / rows as f64) as f32)
        .collect();
    let mut spectrum = forward.make_output_vec();
    let mut scratch = vec![Default::default(); forward.get_scratch_len().max(inverse.get_scratch_len())];
    let mut signals = vec![vec![0.0f32; rows]; TOGETHER];
    for first in (0..columns).step_by(TOGETHER) {
        let here = first..(first + TOGETHER).min(columns);
        for (row, values) in band.values.chunks_exact(columns).enumerate() {
            signals.iter_mut().zip(&values[here.clone()]).for_each(|(signal, value)| signal[row] = *value);
        }
        for signal in &mut signals {
            // The lengths are those that were planned for, which is all that these can complain about, and that a spectrum of real
            // numbers has no imaginary part at both ends, which real factors keep.
            if forward.process_with_scratch(signal, &mut spectrum, &mut scratch).is_ok() {
                spectrum.iter_mut().zip(&gains).for_each(|(value, gain)| *value *= gain);
                let _ = inverse.process_with_scratch(&mut spectrum, signal, &mut scratch);
            }
        }
        for (row, values) in band.values.chunks_exact_mut(columns).enumerate() {
            values[here.clone()].iter_mut().zip(&signals).for_each(|(value, signal)| *value = signal[row]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_constant_along_the_angle_goes_and_the_rest_stays() {
        let (rows, columns, sigma) = (32, 3, 2.0);
        let wave = |row: usize, k: f32| (row as f32 * k * std::f32::consts::TAU / 32.0).cos();
        let values = (0..rows).flat_map(|row| [5.0, wave(row, 2.0), wave(row, 12.0)]).collect::<Vec<f32>>();
        let mut band = Band { values, columns };
        damp(&mut band, sigma);
        let gain = 1.0 - (-0.5f32).exp();
        for (row, values) in band.values.chunks(3).enumerate() {
            let wanted = [0.0, gain * wave(row, 2.0), wave(row, 12.0)];
            assert!(values.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-5), "{values:?} {wanted:?}");
        }
    }
}
