//! The gradients of the losses in float64.

use crate::engine::{IGNORED, Loss, TargetValues, Targets};

/// The loss of one image times `scale`, and its gradient with respect to the outputs `[output][y][x]`.
pub fn loss(outputs: &[Vec<f64>], targets: &Targets, loss: Loss, scale: f64) -> (f64, Vec<Vec<f64>>) {
    let value = scale * loss.of_image(targets, outputs.len(), |k, p| outputs[k][p]);
    let weight = |p: usize| scale * targets.weights.as_ref().map_or(1.0, |weights| f64::from(weights[p]));
    let gradient = match &targets.values {
        TargetValues::Classes(classes) => class_gradient(outputs, classes, &weight, loss),
        TargetValues::Values(values) => value_gradient(outputs, values, &weight, loss),
    };
    (value, gradient)
}

/// The derivative of a loss of values with respect to the difference.
fn slope(loss: Loss, difference: f64) -> f64 {
    match loss {
        Loss::AbsoluteError if difference == 0.0 => 0.0,
        Loss::AbsoluteError => difference.signum(),
        Loss::Huber { delta } => difference.clamp(-delta, delta),
        Loss::Charbonnier { epsilon } => difference / (difference.powi(2) + epsilon.powi(2)).sqrt(),
        _ => 2.0 * difference,
    }
}

fn value_gradient(
    outputs: &[Vec<f64>],
    values: &[f32],
    weight: &dyn Fn(usize) -> f64,
    loss: Loss,
) -> Vec<Vec<f64>> {
    let one = |(y, target): (&Vec<f64>, &[f32])| {
        let terms = y.iter().zip(target).enumerate().filter(|&(p, _)| weight(p) > 0.0);
        let mut gradient = vec![0.0; y.len()];
        terms.for_each(|(p, (y, &t))| gradient[p] = weight(p) * slope(loss, y - f64::from(t)));
        gradient
    };
    outputs.iter().zip(values.chunks(outputs[0].len())).map(one).collect()
}

fn class_gradient(
    outputs: &[Vec<f64>],
    classes: &[u32],
    weight: &dyn Fn(usize) -> f64,
    loss: Loss,
) -> Vec<Vec<f64>> {
    let counts = |p: usize| classes[p] != IGNORED && weight(p) > 0.0;
    let softmax = |p: usize| -> Vec<f64> {
        let largest = outputs.iter().map(|y| y[p]).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = outputs.iter().map(|y| (y[p] - largest).exp()).sum();
        outputs.iter().map(|y| (y[p] - largest).exp() / sum).collect()
    };
    // Derivatives with respect to the probabilities of all classes, then through the softmax:
    // dp_k / dy_j = p_k ([j = k] - p_j).
    let pixels: Vec<usize> = (0..classes.len()).filter(|&p| counts(p)).collect();
    let shares: Vec<Vec<f64>> = pixels.iter().map(|&p| softmax(p)).collect();
    let is = |p: usize, k: usize| if classes[p] as usize == k { 1.0 } else { 0.0 };
    let sum_over_pixels = |term: &dyn Fn(usize, &[f64]) -> f64| -> f64 {
        pixels.iter().zip(&shares).map(|(&p, shares)| weight(p) * term(p, shares)).sum()
    };
    let all = sum_over_pixels(&|_, _| 1.0);
    let wanted: Vec<f64> = (0..outputs.len()).map(|k| sum_over_pixels(&|p, _| is(p, k))).collect();
    let present = wanted.iter().filter(|&&w| w > 0.0).count() as f64;
    let shared: Vec<f64> =
        (0..outputs.len()).map(|k| sum_over_pixels(&|p, shares| is(p, k) * shares[k])).collect();
    let both: Vec<f64> =
        (0..outputs.len()).map(|k| wanted[k] + sum_over_pixels(&|_, shares| shares[k])).collect();
    let mut gradient = vec![vec![0.0; classes.len()]; outputs.len()];
    for (&p, shares) in pixels.iter().zip(&shares) {
        let class = classes[p] as usize;
        for j in 0..outputs.len() {
            let mut sum = 0.0;
            if loss.has_dice() {
                for k in (0..outputs.len()).filter(|&k| wanted[k] > 0.0) {
                    let dice_slope = 2.0 * is(p, k) / both[k] - 2.0 * shared[k] / both[k].powi(2);
                    let jacobian = shares[k] * (if j == k { 1.0 } else { 0.0 } - shares[j]);
                    sum -= all / present * dice_slope * jacobian;
                }
            }
            sum += match loss {
                Loss::CrossEntropy | Loss::CrossEntropyDice => shares[j] - is(p, j),
                Loss::Focal { gamma } => {
                    let (p_t, missing) = (shares[class], 1.0 - shares[class]);
                    let slope = gamma * missing.powf(gamma - 1.0) * p_t.ln() - missing.powf(gamma) / p_t;
                    slope * p_t * (is(p, j) - shares[j])
                }
                _ => 0.0,
            };
            gradient[j][p] = weight(p) * sum;
        }
    }
    gradient
}
