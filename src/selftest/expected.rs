//! The results of the float64 reference for a case.

use super::cases::Case;
use crate::engine::{TargetValues, Targets};
use crate::reference;

/// The results of the reference for one image.
pub(super) struct ExpectedImage {
    /// Channels and outputs.
    pub forward: reference::Forward,
    /// The gradient of the loss with respect to each output.
    pub output_gradient: Vec<Vec<f64>>,
    /// Gradients with respect to each channel; empty before [`Expected::with_gradients`].
    pub gradient_maps: Vec<Vec<f64>>,
}

/// The results of the reference for a case with the given parameters.
pub(super) struct Expected {
    pub images: Vec<ExpectedImage>,
    /// Of the whole batch.
    pub loss: f64,
    /// Gradients of the parameters; zeros before [`Expected::with_gradients`].
    pub gradients: Vec<f64>,
}

/// The part of a batch's targets that belongs to one image.
fn image_targets(targets: &Targets, index: usize, pixels: usize, outputs: usize) -> Targets {
    let part = |channels: usize| index * channels * pixels..(index + 1) * channels * pixels;
    let values = match &targets.values {
        TargetValues::Classes(classes) => TargetValues::Classes(classes[part(1)].to_vec()),
        TargetValues::Values(values) => TargetValues::Values(values[part(outputs)].to_vec()),
    };
    Targets { values, weights: targets.weights.as_ref().map(|weights| weights[part(1)].to_vec()) }
}

/// The forward pass and the loss.
pub(super) fn expected_forward(case: &Case, parameters: &[f64]) -> Expected {
    let Case { architecture, images, .. } = case;
    let extent = images.shape.extent;
    let forward = |image: &[f32]| {
        let image: Vec<f64> = image.iter().map(|&v| f64::from(v)).collect();
        reference::forward(architecture, parameters, &image, extent)
    };
    let images = images.pixels.chunks(extent.pixels() * architecture.inputs).map(forward);
    expected_of(case, images, f64::from(case.scale()))
}

/// The loss, multiplied by `scale`, where the images of the case have these feature maps and outputs.
pub(super) fn expected_of(
    case: &Case,
    images: impl Iterator<Item = reference::Forward>,
    scale: f64,
) -> Expected {
    let Case { architecture, targets, .. } = case;
    let pixels = case.images.shape.extent.pixels();
    let gradients = vec![0.0; case.parameters.len()];
    let mut all = Expected { images: Vec::new(), loss: 0.0, gradients };
    for (index, forward) in images.enumerate() {
        let targets = image_targets(targets, index, pixels, architecture.outputs);
        let (loss, output_gradient) = reference::loss(&forward.outputs, &targets, case.loss, scale);
        all.loss += loss;
        all.images.push(ExpectedImage { forward, output_gradient, gradient_maps: Vec::new() });
    }
    all
}

impl Expected {
    /// The backward pass through the forward one as it is now.
    pub fn with_gradients(mut self, case: &Case, parameters: &[f64]) -> Self {
        for image in &mut self.images {
            let ExpectedImage { forward, output_gradient, gradient_maps } = image;
            let extent = case.images.shape.extent;
            let backward =
                reference::backward(&case.architecture, parameters, forward, output_gradient, extent);
            self.gradients.iter_mut().zip(&backward.parameters).for_each(|(sum, g)| *sum += g);
            *gradient_maps = backward.maps;
        }
        self
    }
}

/// The forward pass, the loss and the gradients.
pub(super) fn expected(case: &Case, parameters: &[f64]) -> Expected {
    expected_forward(case, parameters).with_gradients(case, parameters)
}
