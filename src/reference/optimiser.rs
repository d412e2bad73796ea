//! Adam in float64.

use crate::engine::Adam;

/// One step of Adam: changes `parameters`, the `first` and `second` moments, and `average` in place.
///
/// All of them are as long as `gradients` and in the same order; `average` may be empty where `adam.average_decay` is `None`. The norm
/// that is clipped is that of all `gradients`. There are no frozen layers here, since this function does not know which parameters
/// belong to which layer: `adam.frozen_layers` is not read. To get the step of a network with frozen layers, set their gradients to 0
/// before it and put their parameters and averages back after it, as the self-test does.
pub fn adam(
    parameters: &mut [f64],
    gradients: &[f64],
    first: &mut [f64],
    second: &mut [f64],
    average: &mut [f64],
    adam: &Adam,
) {
    let t = adam.step as i32;
    let norm = gradients.iter().map(|g| g * g).sum::<f64>().sqrt();
    let clip = adam.clip_norm.map_or(1.0, |most| if norm > most { most / norm } else { 1.0 });
    for (i, &gradient) in gradients.iter().enumerate() {
        let g = clip * gradient;
        first[i] = adam.beta1 * first[i] + (1.0 - adam.beta1) * g;
        second[i] = adam.beta2 * second[i] + (1.0 - adam.beta2) * g * g;
        let mean = first[i] / (1.0 - adam.beta1.powi(t));
        let square = second[i] / (1.0 - adam.beta2.powi(t));
        parameters[i] -=
            adam.learning_rate * (mean / (square.sqrt() + adam.epsilon) + adam.weight_decay * parameters[i]);
        if let Some(decay) = adam.average_decay {
            let keep = decay.min((1.0 + f64::from(t)) / (10.0 + f64::from(t)));
            average[i] = keep * average[i] + (1.0 - keep) * parameters[i];
        }
    }
}
