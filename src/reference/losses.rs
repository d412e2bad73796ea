//! Losses and Adam in float64.

use crate::engine::{Adam, IGNORED};

/// Cross-entropy of the softmax over the outputs, summed over pixels by their weights and times `scale`, and its
/// gradient with respect to the outputs. Pixels of class [`IGNORED`] do not count. `classes` and `weights` are `[y][x]`.
pub fn cross_entropy(
    outputs: &[Vec<f64>],
    classes: &[u32],
    weights: &[f64],
    scale: f64,
) -> (f64, Vec<Vec<f64>>) {
    let mut loss = 0.0;
    let mut gradient = vec![vec![0.0; classes.len()]; outputs.len()];
    for (p, &class) in classes.iter().enumerate().filter(|&(_, &class)| class != IGNORED) {
        let scale = scale * weights[p];
        let largest = outputs.iter().map(|y| y[p]).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = outputs.iter().map(|y| (y[p] - largest).exp()).sum();
        loss += scale * (sum.ln() + largest - outputs[class as usize][p]);
        for (k, y) in outputs.iter().enumerate() {
            let wanted = if k == class as usize { 1.0 } else { 0.0 };
            gradient[k][p] = scale * ((y[p] - largest).exp() / sum - wanted);
        }
    }
    (loss, gradient)
}

/// Squared error of the outputs, summed over pixels by their weights and over outputs and times `scale`, and its
/// gradient with respect to the outputs. `values` is `[output][y][x]`, `weights` `[y][x]`.
pub fn squared_error(
    outputs: &[Vec<f64>],
    values: &[f64],
    weights: &[f64],
    scale: f64,
) -> (f64, Vec<Vec<f64>>) {
    let mut loss = 0.0;
    let pairs = outputs.iter().zip(values.chunks(outputs[0].len()));
    let gradient = pairs.map(|(y, target)| {
        let terms = y.iter().zip(target).zip(weights).map(|((y, t), w)| (y - t, scale * w));
        terms
            .map(|(difference, weight)| {
                loss += weight * difference * difference;
                2.0 * weight * difference
            })
            .collect()
    });
    let gradient = gradient.collect();
    (loss, gradient)
}

/// One step of Adam: moves `parameters` and both moments.
pub fn adam(parameters: &mut [f64], gradients: &[f64], first: &mut [f64], second: &mut [f64], adam: &Adam) {
    let t = adam.step as i32;
    for (i, &g) in gradients.iter().enumerate() {
        first[i] = adam.beta1 * first[i] + (1.0 - adam.beta1) * g;
        second[i] = adam.beta2 * second[i] + (1.0 - adam.beta2) * g * g;
        let mean = first[i] / (1.0 - adam.beta1.powi(t));
        let square = second[i] / (1.0 - adam.beta2.powi(t));
        parameters[i] -= adam.learning_rate * mean / (square.sqrt() + adam.epsilon);
    }
}
