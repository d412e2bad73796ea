//! Losses of the outputs, and their gradients with respect to them, a band of rows at a time. Their definitions are
//! in the documentation of [`Loss`].

use std::ops::Range;

use super::bands::Band;
use crate::engine::{DiceSums, IGNORED, Loss};

/// The outputs of one image, and what all its bands share.
#[derive(Clone, Copy)]
pub(super) struct Outputs<'a> {
    /// Planes of the outputs, one after the other, and their number.
    pub(super) planes: &'a [f32],
    pub(super) count: usize,
    /// Numbers in one of them.
    pub(super) plane: usize,
    /// Place of row 0, column 0 in one of them.
    pub(super) origin: usize,
    /// Distance between rows.
    pub(super) pitch: usize,
    /// Numbers before column 0 of each row of a band.
    pub(super) left: usize,
    /// Number of rows and columns.
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Weights of the image's pixels `[y][x]`; `None` where all are 1.
    pub(super) weights: Option<&'a [f32]>,
}

/// What a loss of classes is in float32.
struct Pixelwise {
    cross_entropy: bool,
    gamma: Option<f32>,
}

impl Pixelwise {
    fn of(loss: Loss) -> Self {
        let gamma = match loss {
            Loss::Focal { gamma } => Some(gamma as f32),
            _ => None,
        };
        Self { cross_entropy: loss != Loss::Dice, gamma }
    }

    /// The loss of a pixel, and the factor of the cross-entropy's gradient, from the logarithm of the class's
    /// probability p, p itself and 1 - p.
    fn value_and_factor(&self, log: f32, p: f32, missing: f32) -> (f32, f32) {
        let Some(gamma) = self.gamma else {
            return if self.cross_entropy { (-log, 1.0) } else { (0.0, 0.0) };
        };
        // The first terms of the logarithm's series, where 1 - p is small and the logarithm mostly rounding.
        let ratio = if missing < 0.01 { -(1.0 + missing * (0.5 + missing / 3.0)) } else { log / missing };
        let power = missing.powf(gamma);
        (-power * missing * ratio, power * (1.0 - gamma * p * ratio))
    }
}

impl Outputs<'_> {
    fn weight(&self, pixel: usize) -> f32 {
        self.weights.map_or(1.0, |weights| weights[pixel])
    }

    /// The class of a pixel `[y][x]` and its weight, if it counts.
    fn class(&self, classes: &[u32], y: usize, x: usize) -> Option<(usize, f32)> {
        let pixel = y * self.columns + x;
        let (class, weight) = (classes[pixel], self.weight(pixel));
        (class != IGNORED && weight > 0.0).then_some((class as usize, weight))
    }

    /// Calls `put(k, e_k)` with e_k = exp(output k - largest output) at a pixel; gives the largest and the sum.
    fn exponentials(&self, y: usize, x: usize, mut put: impl FnMut(usize, f32)) -> (f32, f32) {
        let at = self.origin + y * self.pitch + x;
        let output = |k: usize| self.planes[k * self.plane + at];
        let largest = (0..self.count).map(output).fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        for k in 0..self.count {
            let e = (output(k) - largest).exp();
            put(k, e);
            sum += e;
        }
        (largest, sum)
    }

    /// The sums over a band of rows that Dice is made of.
    pub(super) fn dice_sums(&self, rows: Range<usize>, classes: &[u32]) -> DiceSums {
        let mut sums = DiceSums::new(self.count);
        let mut shares = vec![0.0; self.count];
        for (y, x) in rows.flat_map(|y| (0..self.columns).map(move |x| (y, x))) {
            if let Some((class, weight)) = self.class(classes, y, x) {
                let (_, sum) = self.exponentials(y, x, |k, e| shares[k] = f64::from(e));
                shares.iter_mut().for_each(|share| *share /= f64::from(sum));
                sums.add(&shares, class, f64::from(weight));
            }
        }
        sums
    }

    /// Writes the gradients of a band against the class of each pixel `[y][x]`; gives what its pixels add to the loss,
    /// Dice aside. `dice` are the slopes of Dice by class, where it is part of the loss.
    pub(super) fn classes(
        &self,
        band: &mut Band,
        classes: &[u32],
        loss: Loss,
        scale: f32,
        dice: Option<&[(f32, f32)]>,
    ) -> f64 {
        let (mut value, pixelwise) = (0.0, Pixelwise::of(loss));
        let planes = &mut band.planes;
        for (row, y) in band.rows.clone().enumerate() {
            for x in 0..self.columns {
                let to = row * self.pitch + self.left + x;
                let Some((class, weight)) = self.class(classes, y, x) else {
                    planes.iter_mut().for_each(|gradient| gradient[to] = 0.0);
                    continue;
                };
                let (largest, sum) = self.exponentials(y, x, |k, e| planes[k][to] = e);
                let others = (0..self.count).filter(|&k| k != class).map(|k| planes[k][to]).sum::<f32>();
                let output = self.planes[class * self.plane + self.origin + y * self.pitch + x];
                let p = planes[class][to] / sum;
                let (added, factor) =
                    pixelwise.value_and_factor(output - largest - sum.ln(), p, others / sum);
                value += f64::from(weight) * f64::from(added);
                let scale = scale * weight;
                // Through the softmax: dp_k / dy_j = p_k ([j = k] - p_j).
                let slope = |k: usize| dice.map_or(0.0, |slopes| slopes[k].1);
                let own = dice.map_or(0.0, |slopes| slopes[class].0);
                let mean = own * p + (0..self.count).map(|k| slope(k) * planes[k][to]).sum::<f32>() / sum;
                for (k, gradient) in planes.iter_mut().enumerate() {
                    gradient[to] *= scale / sum * (factor + slope(k) - mean);
                }
                planes[class][to] += scale * (own * p - factor);
            }
        }
        value * f64::from(scale)
    }

    /// Writes the gradients of a band against the wanted values `[output][y][x]`; gives its loss.
    pub(super) fn values(&self, band: &mut Band, values: &[f32], loss: Loss, scale: f32) -> f64 {
        match loss {
            Loss::AbsoluteError => {
                self.differences(band, values, scale, |d| (d.abs(), if d == 0.0 { 0.0 } else { d.signum() }))
            }
            Loss::Huber { delta } => {
                let delta = delta as f32;
                self.differences(band, values, scale, |d| {
                    let inside = d.abs().min(delta);
                    (inside * (d.abs() - 0.5 * inside), d.clamp(-delta, delta))
                })
            }
            Loss::Charbonnier { epsilon } => {
                let square = (epsilon * epsilon) as f32;
                self.differences(band, values, scale, |d| {
                    let root = (d * d + square).sqrt();
                    (root, d / root)
                })
            }
            _ => self.differences(band, values, scale, |d| (d * d, 2.0 * d)),
        }
    }

    /// As [`Self::values`] for a loss whose value and derivative `term` gives for a difference.
    fn differences(
        &self,
        band: &mut Band,
        values: &[f32],
        scale: f32,
        term: impl Fn(f32) -> (f32, f32),
    ) -> f64 {
        let mut loss = 0.0;
        for (k, gradient) in band.planes.iter_mut().enumerate() {
            for (row, y) in band.rows.clone().enumerate() {
                let output = &self.planes[k * self.plane + self.origin + y * self.pitch..][..self.columns];
                let wanted = &values[(k * self.rows + y) * self.columns..][..self.columns];
                let into = &mut gradient[row * self.pitch + self.left..][..self.columns];
                for (x, ((into, output), wanted)) in into.iter_mut().zip(output).zip(wanted).enumerate() {
                    let weight = self.weight(y * self.columns + x);
                    // A pixel of weight 0 does not count, even where its target is NaN.
                    let (value, slope) = if weight == 0.0 { (0.0, 0.0) } else { term(output - wanted) };
                    loss += f64::from(weight) * f64::from(value);
                    *into = scale * weight * slope;
                }
            }
        }
        loss * f64::from(scale)
    }
}
