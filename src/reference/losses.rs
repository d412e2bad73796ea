//! The losses and their gradients in float64, written from the definitions in the documentation of [`Loss`].
//!
//! Only plain data is taken from `engine`: which loss it is, its number, and the targets. Values and gradients are
//! computed here, so that what engines compute is never compared with itself.

use crate::engine::{IGNORED, Loss, TargetValues, Targets};

/// The loss of one image times `scale`, and the gradient of that with respect to the outputs.
///
/// `outputs` are `[output][y][x]`, and so is the gradient. `targets` are those of this image alone. The loss is the sum over
/// all terms and no mean; `scale` is any factor, such as one over [`Targets::total_weight`] for the mean. Pixels that do not
/// count add nothing, and their gradients are 0.
///
/// # Panics
/// When `loss` is one of classes and the targets are values or the other way round, or when there are fewer targets than pixels.
pub fn loss(outputs: &[Vec<f64>], targets: &Targets, loss: Loss, scale: f64) -> (f64, Vec<Vec<f64>>) {
    let weight = |p: usize| targets.weights.as_ref().map_or(1.0, |weights| f64::from(weights[p]));
    let (value, mut gradient) = match &targets.values {
        TargetValues::Classes(classes) => loss_of_classes(outputs, classes, &weight, loss),
        TargetValues::Values(values) => loss_of_values(outputs, values, &weight, loss),
    };
    gradient.iter_mut().flatten().for_each(|g| *g *= scale);
    (scale * value, gradient)
}

/// The loss of a difference `d` between output and target, and its derivative with respect to `d`.
fn of_difference(loss: Loss, d: f64) -> (f64, f64) {
    match loss {
        Loss::SquaredError => (d * d, 2.0 * d),
        Loss::AbsoluteError if d == 0.0 => (0.0, 0.0),
        Loss::AbsoluteError => (d.abs(), d.signum()),
        Loss::Huber { delta } if d.abs() <= delta => (0.5 * d * d, d),
        Loss::Huber { delta } => (delta * (d.abs() - 0.5 * delta), delta * d.signum()),
        Loss::Charbonnier { epsilon } => {
            let root = (d * d + epsilon * epsilon).sqrt();
            (root, d / root)
        }
        Loss::CrossEntropy | Loss::Focal { .. } | Loss::Dice | Loss::CrossEntropyDice => {
            panic!("{loss} is a loss of classes, but the targets are values")
        }
    }
}

fn loss_of_values(
    outputs: &[Vec<f64>],
    values: &[f32],
    weight: &dyn Fn(usize) -> f64,
    loss: Loss,
) -> (f64, Vec<Vec<f64>>) {
    let mut value = 0.0;
    let mut gradient: Vec<Vec<f64>> = outputs.iter().map(|y| vec![0.0; y.len()]).collect();
    for (k, y) in outputs.iter().enumerate() {
        // A pixel of weight 0 does not count, even where its target is NaN.
        for p in (0..y.len()).filter(|&p| weight(p) > 0.0) {
            let (term, slope) = of_difference(loss, y[p] - f64::from(values[k * y.len() + p]));
            value += weight(p) * term;
            gradient[k][p] = weight(p) * slope;
        }
    }
    (value, gradient)
}

/// The logarithms of the softmax of the outputs at pixel `p`.
fn log_softmax(outputs: &[Vec<f64>], p: usize) -> Vec<f64> {
    // Taking the largest output away changes nothing but keeps the exponentials from overflowing.
    let largest = outputs.iter().map(|y| y[p]).fold(f64::NEG_INFINITY, f64::max);
    let log_sum = outputs.iter().map(|y| (y[p] - largest).exp()).sum::<f64>().ln();
    outputs.iter().map(|y| y[p] - largest - log_sum).collect()
}

fn loss_of_classes(
    outputs: &[Vec<f64>],
    classes: &[u32],
    weight: &dyn Fn(usize) -> f64,
    loss: Loss,
) -> (f64, Vec<Vec<f64>>) {
    let count = outputs.len();
    let (has_cross_entropy, has_dice) = match loss {
        Loss::CrossEntropy => (true, false),
        Loss::Focal { .. } => (false, false),
        Loss::Dice => (false, true),
        Loss::CrossEntropyDice => (true, true),
        _ => panic!("{loss} is a loss of values, but the targets are classes"),
    };
    let pixels: Vec<usize> =
        (0..classes.len()).filter(|&p| classes[p] != IGNORED && weight(p) > 0.0).collect();
    let is = |p: usize, k: usize| if classes[p] as usize == k { 1.0 } else { 0.0 };
    // For each pixel that counts, p_k and log p_k of all classes k.
    let logs: Vec<Vec<f64>> = pixels.iter().map(|&p| log_softmax(outputs, p)).collect();
    let shares: Vec<Vec<f64>> = logs.iter().map(|logs| logs.iter().map(|log| log.exp()).collect()).collect();

    // What Dice is made of: W = sum w, and for each class sum w [t = k], sum w p_k [t = k] and sum w (p_k + [t = k]).
    let sum_over_pixels = |term: &dyn Fn(usize, &[f64]) -> f64| -> f64 {
        pixels.iter().zip(&shares).map(|(&p, shares)| weight(p) * term(p, shares)).sum()
    };
    let each_class = |term: &dyn Fn(usize) -> f64| -> Vec<f64> { (0..count).map(term).collect() };
    let all = sum_over_pixels(&|_, _| 1.0);
    let wanted = each_class(&|k| sum_over_pixels(&|p, _| is(p, k)));
    let shared = each_class(&|k| sum_over_pixels(&|p, shares| is(p, k) * shares[k]));
    let both = each_class(&|k| sum_over_pixels(&|p, shares| shares[k] + is(p, k)));
    let present: Vec<usize> = (0..count).filter(|&k| wanted[k] > 0.0).collect();
    let classes_present = present.len() as f64;

    let mut value = 0.0;
    if has_dice && !present.is_empty() {
        let mean = present.iter().map(|&k| 2.0 * shared[k] / both[k]).sum::<f64>() / classes_present;
        value += all * (1.0 - mean);
    }
    let mut gradient = vec![vec![0.0; classes.len()]; count];
    for ((&p, shares), logs) in pixels.iter().zip(&shares).zip(&logs) {
        let class = classes[p] as usize;
        let (share, log) = (shares[class], logs[class]);
        // 1 - p_t, as the sum of the other probabilities: a difference would lose its digits where p_t is almost 1.
        let missing: f64 = (0..count).filter(|&k| k != class).map(|k| shares[k]).sum();
        if has_cross_entropy {
            value -= weight(p) * log;
        }
        if let Loss::Focal { gamma } = loss {
            value -= weight(p) * missing.powf(gamma) * log;
        }
        for j in 0..count {
            let mut slope = 0.0;
            if has_cross_entropy {
                slope += shares[j] - is(p, j);
            }
            if let Loss::Focal { gamma } = loss {
                // d/dp_t of -(1 - p_t)^gamma log p_t, times p_t; then dp_t / dy_j = p_t ([j = t] - p_j).
                let own = gamma * missing.powf(gamma - 1.0) * share * log - missing.powf(gamma);
                slope += own * (is(p, j) - shares[j]);
            }
            if has_dice {
                // The derivative with respect to each p_k, then through the softmax: dp_k / dy_j = p_k ([j = k] - p_j).
                for &k in &present {
                    let dice_slope = 2.0 * is(p, k) / both[k] - 2.0 * shared[k] / both[k].powi(2);
                    let jacobian = shares[k] * (if j == k { 1.0 } else { 0.0 } - shares[j]);
                    slope -= all / classes_present * dice_slope * jacobian;
                }
            }
            gradient[j][p] = weight(p) * slope;
        }
    }
    (value, gradient)
}
