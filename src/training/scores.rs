//! How good the network is on the validation images.

use ndarray::{Array2, Array3};

use super::batches::whole;
use crate::data::{Dataset, Sample, Target};
use crate::engine::{Engine, IGNORED, TargetValues};
use crate::metrics::{ConfusionMatrix, RegressionScores, TargetLimits};
use crate::network::{Model, Task};
use crate::{Error, Result};

/// Loss and metrics over all validation images.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// Mean loss over all pixels by their weights, as in training.
    pub loss: f64,
    /// Names and values of the metrics, in a fixed order; NaN where one is not defined.
    pub metrics: Vec<(&'static str, f64)>,
}

/// An output for a picture.
pub(super) enum Output {
    /// The most likely class of each pixel.
    Classes(Array2<u32>),
    /// Values in the units of the normalised targets.
    Values(Array3<f32>),
}

/// The names of the metrics of a task.
pub(super) fn metric_names(task: &Task) -> &'static [&'static str] {
    match task {
        Task::Segment { .. } => &["mean_iou", "class_accuracy", "global_accuracy"],
        Task::Regress => &["psnr", "ssim"],
    }
}

/// Applies the network to one sample: its output, and the weighted sum of the loss with the weight of its terms.
pub(super) fn apply(engine: &mut dyn Engine, sample: &Sample) -> Result<(Output, f64, f64)> {
    let (images, targets) = whole(sample);
    let outputs = engine.forward(&images)?;
    let (_, height, width) = sample.image.dim();
    let count = outputs.len() / (height * width);
    let outputs = Array3::from_shape_vec((count, height, width), outputs)
        .map_err(|e| Error::Mismatch(format!("the engine gave outputs of another size: {e}")))?;
    let weight = |pixel: usize| targets.weights.as_ref().map_or(1.0, |weights| f64::from(weights[pixel]));
    let (output, loss) = match &targets.values {
        TargetValues::Classes(classes) => {
            let (best, loss) = cross_entropy(&outputs, classes, weight);
            (Output::Classes(best), loss)
        }
        TargetValues::Values(values) => {
            let terms = outputs.iter().zip(values).enumerate();
            let pixels = height * width;
            let terms = terms.map(|(i, (y, t))| (weight(i % pixels), f64::from(y - t)));
            let loss = terms.filter(|&(weight, _)| weight > 0.0).map(|(weight, d)| weight * d * d).sum();
            (Output::Values(outputs), loss)
        }
    };
    Ok((output, loss, targets.total_weight()))
}

/// The scores over `set`.
pub(super) fn evaluate(engine: &mut dyn Engine, set: &Dataset, model: &Model) -> Result<Scores> {
    let (mut loss, mut total) = (0.0, 0.0);
    let mut matrix = ConfusionMatrix::new(model.architecture.outputs);
    let mut limits = TargetLimits::default();
    for sample in &set.samples {
        if let Target::Values(values) = sample.counted_target().as_ref() {
            limits.include(restore(values, model).view());
        }
    }
    let mut regression = RegressionScores::new(limits.data_range());
    for sample in &set.samples {
        let (output, added, weight) = apply(engine, sample)?;
        loss += added;
        total += weight;
        match (&output, sample.counted_target().as_ref()) {
            (Output::Classes(classes), Target::Classes(target)) => {
                matrix.add(target.view(), classes.view())?
            }
            (Output::Values(values), Target::Values(target)) => {
                regression.add(restore(target, model).view(), restore(values, model).view())?;
            }
            _ => {}
        }
    }
    let values = match &model.task {
        Task::Segment { .. } => vec![matrix.mean_iou(), matrix.class_accuracy(), matrix.global_accuracy()],
        Task::Regress => vec![regression.psnr(), regression.ssim()],
    };
    let names = metric_names(&model.task).iter().copied();
    let metrics = names.zip(values.into_iter().map(|value| value.unwrap_or(f64::NAN))).collect();
    Ok(Scores { loss: if total > 0.0 { loss / total } else { 0.0 }, metrics })
}

/// Normalised target values in the units of the target images.
pub(super) fn restore(values: &Array3<f32>, model: &Model) -> Array3<f32> {
    let mut restored = values.clone();
    if let Some(target) = &model.target {
        for (channel, mut plane) in restored.outer_iter_mut().enumerate() {
            target.undo(channel, &mut plane);
        }
    }
    restored
}

/// The most likely classes, and the weighted sum of the cross-entropy over the pixels that count.
fn cross_entropy(
    outputs: &Array3<f32>,
    classes: &[u32],
    weight: impl Fn(usize) -> f64,
) -> (Array2<u32>, f64) {
    let (count, height, width) = outputs.dim();
    let mut loss = 0.0;
    let mut best = Array2::zeros((height, width));
    for ((y, x), best) in best.indexed_iter_mut() {
        let output = |k: usize| f64::from(outputs[[k, y, x]]);
        for k in 1..count {
            if output(k) > output(*best as usize) {
                *best = k as u32;
            }
        }
        let (class, weight) = (classes[y * width + x], weight(y * width + x));
        if class != IGNORED && weight > 0.0 {
            let largest = output(*best as usize);
            let sum: f64 = (0..count).map(|k| (output(k) - largest).exp()).sum();
            loss += weight * (sum.ln() + largest - output(class as usize));
        }
    }
    (best, loss)
}
