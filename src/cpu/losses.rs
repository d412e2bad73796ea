//! Losses of the outputs, and their gradients with respect to them, a band of rows at a time.

use std::ops::Range;

use crate::engine::IGNORED;

/// One band of rows of one image.
pub(super) struct LossBand<'a, 'b> {
    /// Planes of the outputs, one after the other.
    pub(super) outputs: &'a [f32],
    /// Numbers in one of them.
    pub(super) plane: usize,
    /// Place of row 0, column 0 in one of them.
    pub(super) origin: usize,
    /// Distance between rows.
    pub(super) pitch: usize,
    /// Number of columns.
    pub(super) columns: usize,
    /// The rows of the band.
    pub(super) rows: Range<usize>,
    /// For each output those rows of its gradient, whole pitches, starting `left` before column 0.
    pub(super) gradients: &'a mut [&'b mut [f32]],
    /// Numbers before column 0 of each row.
    pub(super) left: usize,
    /// Factor of the loss.
    pub(super) scale: f32,
    /// Weights of the image's pixels `[y][x]`; `None` where all are 1.
    pub(super) weights: Option<&'a [f32]>,
}

impl LossBand<'_, '_> {
    fn weight(&self, pixel: usize) -> f32 {
        self.weights.map_or(1.0, |weights| weights[pixel])
    }

    /// Cross-entropy of the softmax against the class of each pixel `[y][x]`.
    pub(super) fn cross_entropy(self, classes: &[u32]) -> f64 {
        let mut loss = 0.0;
        for (row, y) in self.rows.clone().enumerate() {
            for x in 0..self.columns {
                let class = classes[y * self.columns + x];
                let weight = self.weight(y * self.columns + x);
                let from = self.origin + y * self.pitch + x;
                let to = row * self.pitch + self.left + x;
                if class == IGNORED || weight == 0.0 {
                    self.gradients.iter_mut().for_each(|gradient| gradient[to] = 0.0);
                    continue;
                }
                let output = |k: usize| self.outputs[k * self.plane + from];
                let largest = (0..self.gradients.len()).map(output).fold(f32::NEG_INFINITY, f32::max);
                let mut sum = 0.0;
                for (k, gradient) in self.gradients.iter_mut().enumerate() {
                    gradient[to] = (output(k) - largest).exp();
                    sum += gradient[to];
                }
                loss += f64::from(weight) * f64::from(sum.ln() + largest - output(class as usize));
                let factor = self.scale * weight / sum;
                self.gradients.iter_mut().for_each(|gradient| gradient[to] *= factor);
                self.gradients[class as usize][to] -= self.scale * weight;
            }
        }
        loss * f64::from(self.scale)
    }

    /// Squared error against the wanted values `[output][y][x]` of an image of `height` rows.
    pub(super) fn squared_error(self, values: &[f32], height: usize) -> f64 {
        let mut loss = 0.0;
        for (k, gradient) in self.gradients.iter_mut().enumerate() {
            for (row, y) in self.rows.clone().enumerate() {
                let output = &self.outputs[k * self.plane + self.origin + y * self.pitch..][..self.columns];
                let wanted = &values[(k * height + y) * self.columns..][..self.columns];
                let into = &mut gradient[row * self.pitch + self.left..][..self.columns];
                let weights = self.weights.map(|weights| &weights[y * self.columns..][..self.columns]);
                for (x, ((into, output), wanted)) in into.iter_mut().zip(output).zip(wanted).enumerate() {
                    let weight = weights.map_or(1.0, |weights| weights[x]);
                    // Without weight, not even a value that is no number counts.
                    let difference = if weight == 0.0 { 0.0 } else { output - wanted };
                    loss += f64::from(weight) * f64::from(difference) * f64::from(difference);
                    *into = 2.0 * self.scale * weight * difference;
                }
            }
        }
        loss * f64::from(self.scale)
    }
}
