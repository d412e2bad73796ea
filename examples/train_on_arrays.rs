//! Trains on arrays, watches, stops early, and predicts a large image in tiles: no folder, no command line.

use std::ops::ControlFlow;

use msd_gpu::inference::Predictor;
use msd_gpu::samples::Labelled;
use msd_gpu::training::{Prepared, Run, Settings, TaskKind};
use msd_gpu::watcher::{Epoch, Flow, Watcher};
use ndarray::{Array2, Array3};

/// Stops as soon as nine in ten pixels of each class are found.
struct GoodEnough;

impl Watcher for GoodEnough {
    fn epoch(&mut self, epoch: &Epoch) -> Flow {
        let iou = epoch.metrics.iter().find(|(name, _)| name == "mean_iou").map_or(0.0, |&(_, iou)| iou);
        println!("epoch {}: loss {:.3}, mean IoU {iou:.3}", epoch.epoch, epoch.training_loss);
        if iou > 0.9 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// Bright stripes on a background of dots; their labels are 0 and 255.
fn example(name: &str, size: usize, shift: usize) -> Labelled {
    let stripe = |y: usize, x: usize| (y + 2 * x + shift) % 40 < 15;
    let dots = |y: usize, x: usize| (y * 31 + x * 17 + y * x) % 13;
    let pixel = |(_, y, x)| 40.0 * f32::from(u8::from(stripe(y, x))) + 4.0 * dots(y, x) as f32;
    let labels = Array2::from_shape_fn((size, size), |(y, x)| if stripe(y, x) { 255 } else { 0 });
    let (image, labels_name) = (Array3::from_shape_fn((1, size, size), pixel), format!("labels of {name}"));
    Labelled { name: name.into(), image, labels, labels_name, weights: None }
}

fn main() -> msd_gpu::Result<()> {
    let mut settings = Settings::in_memory(TaskKind::Segment);
    (settings.depth, settings.crop, settings.max_epochs) = (Some(8), Some(64), Some(50));
    let training = vec![example("a", 128, 0), example("b", 128, 13)];
    let prepared = Prepared::from_labels(&settings, training, Some(vec![example("c", 96, 29)]))?;
    let outcome = Run::new(settings, &prepared).watched_by(&mut GoodEnough).train()?;
    println!("{:?} after {} steps", outcome.reason, outcome.steps);

    let large = example("large", 700, 5);
    let device = msd_gpu::devices::choose("cpu")?;
    let found = Predictor::new(outcome.model, &device, Some(256))?.classes(&large.image)?;
    let wrong =
        found.iter().zip(&large.labels).filter(|&(&class, &label)| (class == 1) != (label == 255)).count();
    println!("{wrong} of {} pixels of the large image are wrong", found.len());
    Ok(())
}
