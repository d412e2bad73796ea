//! How good the network is on the validation images.

use ndarray::{Array2, Array3};

use super::batches::whole;
use crate::data::{Dataset, Sample, Target};
use crate::engine::{Engine, IGNORED, Targets};
use crate::metrics::{ConfusionMatrix, RegressionScores, TargetLimits};
use crate::network::{Model, Task};
use crate::{Error, Result};

/// Loss and metrics over all validation images.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// Mean loss over all pixels, as in training.
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

/// Applies the network to one sample: its output, and the sum of the loss with the number of its terms.
pub(super) fn apply(engine: &mut dyn Engine, sample: &Sample) -> Result<(Output, f64, usize)> {
    let (images, targets) = whole(sample);
    let outputs = engine.forward(&images)?;
    let (_, height, width) = sample.image.dim();
    let count = outputs.len() / (height * width);
    let outputs = Array3::from_shape_vec((count, height, width), outputs)
        .map_err(|e| Error::Mismatch(format!("the engine gave outputs of another size: {e}")))?;
    Ok(match &targets {
        Targets::Classes(classes) => {
            let (best, loss, terms) = cross_entropy(&outputs, classes);
            (Output::Classes(best), loss, terms)
        }
        Targets::Values(values) => {
            let loss = outputs.iter().zip(values).map(|(y, t)| f64::from(y - t).powi(2)).sum();
            (Output::Values(outputs), loss, values.len())
        }
    })
}

/// The scores over `set`.
pub(super) fn evaluate(engine: &mut dyn Engine, set: &Dataset, model: &Model) -> Result<Scores> {
    let (mut loss, mut terms) = (0.0, 0);
    let mut matrix = ConfusionMatrix::new(model.architecture.outputs);
    let mut limits = TargetLimits::default();
    for sample in &set.samples {
        if let Target::Values(values) = &sample.target {
            limits.include(restore(values, model).view());
        }
    }
    let mut regression = RegressionScores::new(limits.data_range());
    for sample in &set.samples {
        let (output, added, count) = apply(engine, sample)?;
        loss += added;
        terms += count;
        match (&output, &sample.target) {
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
    Ok(Scores { loss: loss / terms.max(1) as f64, metrics })
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

/// The most likely classes, the sum of the cross-entropy, and the number of pixels that count.
fn cross_entropy(outputs: &Array3<f32>, classes: &[u32]) -> (Array2<u32>, f64, usize) {
    let (count, height, width) = outputs.dim();
    let (mut loss, mut terms) = (0.0, 0);
    let mut best = Array2::zeros((height, width));
    for ((y, x), best) in best.indexed_iter_mut() {
        let output = |k: usize| f64::from(outputs[[k, y, x]]);
        for k in 1..count {
            if output(k) > output(*best as usize) {
                *best = k as u32;
            }
        }
        let class = classes[y * width + x];
        if class != IGNORED {
            let largest = output(*best as usize);
            let sum: f64 = (0..count).map(|k| (output(k) - largest).exp()).sum();
            loss += sum.ln() + largest - output(class as usize);
            terms += 1;
        }
    }
    (best, loss, terms)
}
