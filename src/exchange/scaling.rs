//! Turns the 1x1 layers by which other tools scale images into this crate's normalisation.

use super::Problem;
use crate::network::{Architecture, Normalisation, ParameterLayout};

/// Most channels that a layer may mix with each other: the work grows with their square.
const MAX_MIXED: usize = 256;

/// A layer that maps channels `x` to `matrix x + bias`, with as many channels out as in.
#[derive(Debug, Clone)]
pub(super) struct Scaling {
    /// For each channel that comes out, the channels that go in and their factors, where they are not 0.
    rows: Vec<Vec<(usize, f64)>>,
    bias: Vec<f32>,
}

impl Scaling {
    /// The layer whose matrix has as many rows and columns as there are biases, row by row.
    pub fn full(matrix: &[f32], bias: Vec<f32>) -> Self {
        let row = |row: &[f32]| {
            let entries = row.iter().enumerate().filter(|(_, factor)| **factor != 0.0);
            entries.map(|(channel, factor)| (channel, f64::from(*factor))).collect()
        };
        Self { rows: matrix.chunks(bias.len().max(1)).map(row).collect(), bias }
    }

    /// The layer that multiplies each channel by a factor of its own.
    pub fn diagonal(factors: &[f32], bias: Vec<f32>) -> Self {
        let rows = factors.iter().enumerate().map(|(channel, &factor)| vec![(channel, factor.into())]);
        Self { rows: rows.collect(), bias }
    }

    /// The factor from a channel to itself.
    fn own(&self, channel: usize) -> f64 {
        let entry = self.rows[channel].iter().find(|(other, _)| *other == channel);
        entry.map_or(0.0, |(_, factor)| *factor)
    }

    /// Whether each channel is multiplied by a positive factor and mixed with no other.
    fn is_plain(&self) -> bool {
        (0..self.bias.len()).all(|channel| self.rows[channel].len() == 1 && self.own(channel) > 0.0)
    }

    fn check(&self) -> Problem<()> {
        let factors = self.rows.iter().flatten().map(|(_, factor)| *factor);
        if !factors.chain(self.bias.iter().map(|&bias| bias.into())).all(f64::is_finite) {
            return Err("scales images by numbers that are not finite; train it again on images that are not all of one value".into());
        }
        if self.bias.len() > MAX_MIXED && !self.is_plain() {
            let found = self.bias.len();
            return Err(format!(
                "mixes {found} channels of images before or after the network; wanted at most {MAX_MIXED}"
            ));
        }
        Ok(())
    }
}

/// The normalisation of images that stands for the layer `scaling` before the network.
///
/// The first layers of msd_pytorch mixed all channels with equal weights. What a normalisation cannot express goes into
/// the filters, the mix and the biases; a constant stays constant beyond the edge, so this is exact where the
/// boundary is a mirror.
///
/// # Errors
/// When a number is not finite.
pub(super) fn fold_input(
    scaling: &Scaling,
    architecture: &Architecture,
    parameters: &mut [f32],
) -> Problem<Normalisation> {
    scaling.check()?;
    let n = scaling.bias.len();
    let mut normalisation = Normalisation::identity(n);
    for channel in 0..n {
        let row: f64 = scaling.rows[channel].iter().map(|(_, factor)| factor).sum();
        let mean = (0.0 - f64::from(scaling.bias[channel]) / row) as f32;
        let deviation = (1.0 / scaling.own(channel).abs()) as f32;
        // The identity does where there is no inverse: the rest is folded below.
        if mean.is_finite() {
            normalisation.mean[channel] = mean;
        }
        if deviation.is_finite() && deviation > 0.0 {
            normalisation.deviation[channel] = deviation;
        }
    }
    if scaling.is_plain() {
        return Ok(normalisation);
    }
    // What the layer gives is `rest u + shift`, where u is what the normalisation gives.
    let (mut rest, mut shift) = (vec![0.0; n * n], vec![0.0; n]);
    for (i, row) in scaling.rows.iter().enumerate() {
        shift[i] = f64::from(scaling.bias[i]);
        for &(k, factor) in row {
            rest[i * n + k] = factor * f64::from(normalisation.deviation[k]);
            shift[i] += factor * f64::from(normalisation.mean[k]);
        }
    }
    let fold = |weights: &mut [f32], stride: usize| -> f64 {
        let old: Vec<f64> = (0..n).map(|i| weights[i * stride].into()).collect();
        for k in 0..n {
            weights[k * stride] = (0..n).map(|i| old[i] * rest[i * n + k]).sum::<f64>() as f32;
        }
        old.iter().zip(&shift).map(|(weight, shift)| weight * shift).sum()
    };
    let (layout, taps) = (ParameterLayout::of(architecture), architecture.taps());
    for hidden in 0..architecture.hidden() {
        let first = layout.filter(hidden, 0).start;
        let shifts: f64 =
            (0..taps).map(|tap| fold(&mut parameters[first + tap..first + n * taps], taps)).sum();
        let bias = &mut parameters[layout.biases().start + hidden];
        *bias = (f64::from(*bias) + shifts) as f32;
    }
    for output in 0..architecture.outputs {
        let shift = fold(&mut parameters[layout.mix(output)], 1);
        let bias = &mut parameters[layout.output_biases().start + output];
        *bias = (f64::from(*bias) + shift) as f32;
    }
    Ok(normalisation)
}

/// The normalisation of targets that stands for the layer `scaling` after the network; what it cannot express goes into
/// the mix and its biases.
///
/// # Errors
/// When a number is not finite.
pub(super) fn fold_output(
    scaling: &Scaling,
    architecture: &Architecture,
    parameters: &mut [f32],
) -> Problem<Normalisation> {
    scaling.check()?;
    if scaling.is_plain() {
        let deviation = (0..scaling.bias.len()).map(|channel| scaling.own(channel) as f32).collect();
        return Ok(Normalisation { mean: scaling.bias.clone(), deviation });
    }
    let n = scaling.bias.len();
    let (layout, channels) = (ParameterLayout::of(architecture), architecture.channels());
    // Each column of the mix, and the biases as one more: where it starts, the step to the next output, its shift.
    let columns = (0..channels).map(|channel| (layout.mix(0).start + channel, channels, 0.0));
    for (start, stride, shift) in columns.chain([(layout.output_biases().start, 1, 1.0)]) {
        let old: Vec<f64> = (0..n).map(|j| parameters[start + j * stride].into()).collect();
        for (i, row) in scaling.rows.iter().enumerate() {
            let sum: f64 = row.iter().map(|&(j, factor)| factor * old[j]).sum();
            parameters[start + i * stride] = (sum + shift * f64::from(scaling.bias[i])) as f32;
        }
    }
    Ok(Normalisation::identity(n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Boundary;
    use crate::geometry::Extent;
    use crate::network::initialise;
    use crate::reference;

    /// The network with the layers before and after it, and the network into which they were folded, on one image.
    fn both(before: Scaling, after: Scaling) -> (Vec<f64>, Vec<f64>) {
        let architecture =
            Architecture { width: 2, boundary: Boundary::Symmetric, ..Architecture::new(2, 3, 4) };
        let mut parameters = initialise(&architecture, 2);
        for (index, parameter) in parameters.iter_mut().enumerate().filter(|(_, p)| **p == 0.0) {
            *parameter = ((index * 31 % 17) as f32 - 8.0) / 30.0;
        }
        let extent = Extent::plane(7, 5);
        let run = |parameters: &[f32], image: &[f64]| {
            let parameters: Vec<f64> = parameters.iter().map(|&p| p.into()).collect();
            reference::forward(&architecture, &parameters, image, extent).outputs
        };
        let image: Vec<f64> = (0..70).map(|i| f64::from((i * 37 + i * i * 11) % 101)).collect();
        let apply = |scaling: &Scaling, planes: &[&[f64]]| -> Vec<f64> {
            let mut out = Vec::new();
            for (row, &bias) in scaling.rows.iter().zip(&scaling.bias) {
                out.extend((0..planes[0].len()).map(|pixel| {
                    let sum: f64 = row.iter().map(|&(j, factor)| factor * planes[j][pixel]).sum();
                    sum + f64::from(bias)
                }));
            }
            out
        };
        let scaled = apply(&before, &image.chunks(35).collect::<Vec<_>>());
        let outputs = run(&parameters, &scaled);
        let wanted = apply(&after, &outputs.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let input = fold_input(&before, &architecture, &mut parameters).unwrap();
        let target = fold_output(&after, &architecture, &mut parameters).unwrap();
        let normalised = image.chunks(35).enumerate().flat_map(|(channel, plane)| {
            let (mean, deviation) = (f64::from(input.mean[channel]), f64::from(input.deviation[channel]));
            plane.iter().map(move |value| (value - mean) / deviation)
        });
        let outputs = run(&parameters, &normalised.collect::<Vec<_>>());
        let found = outputs.iter().enumerate().flat_map(|(channel, plane)| {
            let (mean, deviation) = (f64::from(target.mean[channel]), f64::from(target.deviation[channel]));
            plane.iter().map(move |value| value * deviation + mean)
        });
        (wanted, found.collect())
    }

    fn full(matrix: &[f32], bias: &[f32]) -> Scaling {
        Scaling::full(matrix, bias.to_vec())
    }

    #[test]
    fn folded_layers_change_nothing() {
        let after = full(&[2.0, 0.5, 0.0, -1.0, 1.0, 0.25, 0.0, 3.0, -2.0], &[1.0, -4.0, 0.5]);
        let plain = Scaling::diagonal(&[30.0, 0.5, 7.0], vec![5.0, -3.0, 100.0]);
        let layers = [
            (Scaling::diagonal(&[0.02, 0.1], vec![-1.0, -3.0]), plain.clone()),
            (Scaling::diagonal(&[-0.02, 0.1], vec![-1.0, 3.0]), after.clone()),
            (full(&[0.02; 4], &[-1.5; 2]), plain),
            (full(&[0.02, -0.02, 0.05, 0.01], &[0.3, -0.2]), after),
            (
                Scaling::diagonal(&[0.0, 0.1], vec![0.7, 0.0]),
                Scaling::diagonal(&[0.0, 1.0, -1.0], vec![1.0; 3]),
            ),
        ];
        for (before, after) in layers {
            let (wanted, found) = both(before.clone(), after);
            let largest = wanted.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
            for (wanted, found) in wanted.iter().zip(&found) {
                assert!((wanted - found).abs() < 1e-6 * largest, "{before:?}: {found} for {wanted}");
            }
        }
    }

    #[test]
    fn plain_layers_leave_the_parameters_alone() {
        let architecture = Architecture::new(2, 2, 3);
        let parameters = initialise(&architecture, 1);
        let mut folded = parameters.clone();
        let scaling = Scaling::diagonal(&[0.25, 4.0], vec![-1.0, 8.0]);
        let input = fold_input(&scaling, &architecture, &mut folded).unwrap();
        let target = fold_output(&scaling, &architecture, &mut folded).unwrap();
        assert_eq!(folded, parameters);
        assert_eq!(input, Normalisation { mean: vec![4.0, -2.0], deviation: vec![4.0, 0.25] });
        assert_eq!(target, Normalisation { mean: vec![-1.0, 8.0], deviation: vec![0.25, 4.0] });
        let broken = Scaling::diagonal(&[f32::INFINITY, 1.0], vec![0.0; 2]);
        assert!(fold_input(&broken, &architecture, &mut folded).unwrap_err().contains("not finite"));
    }
}
