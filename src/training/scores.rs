//! How good the network is on the validation images.

use ndarray::{Array2, Array3};

use super::batches::whole;
use crate::engine::{Engine, Images, Loss};
use crate::metrics::{ConfusionMatrix, RegressionScores, TargetLimits};
use crate::network::{Model, Task};
use crate::samples::{Dataset, Sample, Target};
use crate::{Error, Result};

/// Loss and metrics over all validation images.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// Mean loss over all pixels by their weights, as in training.
    pub loss: f64,
    /// Names and values of the metrics, in a fixed order; NaN where one is not defined.
    pub metrics: Vec<(&'static str, f64)>,
}

/// The scores over images, and each image's own loss.
pub(in crate::training) struct Judgement {
    pub(in crate::training) scores: Scores,
    /// Mean loss over the pixels of each image; NaN where none of them counts.
    pub(in crate::training) image_losses: Vec<f64>,
}

/// An output for a picture.
pub(in crate::training) enum Output {
    /// The most likely class of each pixel.
    Classes(Array2<u32>),
    /// Values in the units of the normalised targets.
    Values(Array3<f32>),
}

/// The names of the metrics of a task.
pub(in crate::training) fn metric_names(task: &Task) -> &'static [&'static str] {
    match task {
        Task::Segment { .. } => &["mean_iou", "mean_dice", "class_accuracy", "global_accuracy"],
        Task::Regress => &["psnr", "ssim"],
    }
}

/// The outputs of the network for one sample, `[output][y][x]`.
fn outputs(engine: &mut dyn Engine, images: &Images) -> Result<Array3<f32>> {
    let outputs = engine.forward(images)?;
    let extent = images.shape.extent;
    let count = outputs.len() / extent.pixels();
    Array3::from_shape_vec((count, extent.y, extent.x), outputs)
        .map_err(|e| Error::Mismatch(format!("the engine gave outputs of another size: {e}")))
}

/// What the outputs mean for a sample of this kind.
fn interpret(outputs: Array3<f32>, target: &Target) -> Output {
    match target {
        Target::Classes(_) => Output::Classes(most_likely(&outputs)),
        Target::Values(_) => Output::Values(outputs),
    }
}

/// Applies the network to one sample.
pub(in crate::training) fn apply(engine: &mut dyn Engine, sample: &Sample) -> Result<Output> {
    Ok(interpret(outputs(engine, &whole(sample).0)?, &sample.target))
}

/// Judges the network by the images of `set`.
///
/// # Errors
/// [`Error::Diverged`] naming the image whose loss is no finite number; `step` is the step made last.
pub(in crate::training) fn evaluate(
    engine: &mut dyn Engine,
    set: &Dataset,
    model: &Model,
    loss: Loss,
    step: u64,
) -> Result<Judgement> {
    let (mut sum, mut total) = (0.0, 0.0);
    let mut image_losses = Vec::with_capacity(set.samples.len());
    let mut matrix = ConfusionMatrix::new(model.architecture.outputs);
    let mut limits = TargetLimits::default();
    for sample in &set.samples {
        if let Target::Values(values) = sample.counted_target().as_ref() {
            limits.include(restore(values, model).view());
        }
    }
    let mut regression = RegressionScores::new(limits.data_range());
    for sample in &set.samples {
        let (images, targets) = whole(sample);
        let outputs = outputs(engine, &images)?;
        let pixels = images.shape.extent.pixels();
        let count = outputs.dim().0;
        let flat = outputs.as_slice().unwrap_or_default();
        let added = loss.of_image(&targets, count, |k, p| f64::from(flat[k * pixels + p]));
        if !added.is_finite() {
            return Err(Error::Diverged { step, loss: added as f32, images: sample.name.clone() });
        }
        let weight = targets.total_weight();
        image_losses.push(added / weight);
        sum += added;
        total += weight;
        match (&interpret(outputs, &sample.target), sample.counted_target().as_ref()) {
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
        Task::Segment { .. } => {
            vec![matrix.mean_iou(), matrix.mean_dice(), matrix.class_accuracy(), matrix.global_accuracy()]
        }
        Task::Regress => vec![regression.psnr(), regression.ssim()],
    };
    let names = metric_names(&model.task).iter().copied();
    let metrics = names.zip(values.into_iter().map(|value| value.unwrap_or(f64::NAN))).collect();
    let scores = Scores { loss: if total > 0.0 { sum / total } else { 0.0 }, metrics };
    Ok(Judgement { scores, image_losses })
}

/// Normalised target values in the units of the target images.
pub(in crate::training) fn restore(values: &Array3<f32>, model: &Model) -> Array3<f32> {
    let mut restored = values.clone();
    if let Some(target) = &model.target {
        for (channel, mut plane) in restored.outer_iter_mut().enumerate() {
            target.undo(channel, &mut plane);
        }
    }
    restored
}

/// The most likely class of each pixel.
fn most_likely(outputs: &Array3<f32>) -> Array2<u32> {
    let (count, height, width) = outputs.dim();
    Array2::from_shape_fn((height, width), |(y, x)| {
        (1..count).fold(0, |best, k| if outputs[[k, y, x]] > outputs[[best, y, x]] { k } else { best }) as u32
    })
}
