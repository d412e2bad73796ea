//! Judging outputs without gradients: the loss, and what metrics need of the outputs.

use rayon::prelude::*;

use super::classes::most_likely;
use super::loss::DiceSums;
use super::{IGNORED, Images, Loss, TargetValues, Targets, check_batch};
use crate::geometry::{Extent, Window};
use crate::network::Architecture;
use crate::{Error, Result};

/// Pixels that one core takes at a time. Fixed, so that sums do not depend on the number of threads.
const PIXELS: usize = 1 << 16;

/// The loss of an image or of a part of it. Parts of one image are merged before the loss is read: Dice is no sum over them.
#[derive(Debug, Clone, PartialEq)]
pub struct LossSum {
    /// The sum over pixels.
    sum: f64,
    dice: Option<DiceSums>,
    /// The weight of the pixels that count, once for each output of a regression.
    weight: f64,
}

impl LossSum {
    /// The loss of the `pixels` pixels of one image, or of a part: `outputs` are `[output][pixel]`.
    pub fn of(loss: Loss, targets: &Targets, outputs: &[f32], pixels: usize) -> Self {
        let count = outputs.len() / pixels.max(1);
        let output = |k: usize, p: usize| f64::from(outputs[k * pixels + p]);
        let starts: Vec<usize> = (0..pixels).step_by(PIXELS).collect();
        let part = |start: usize| loss.sum_over(targets, count, start..(start + PIXELS).min(pixels), output);
        let parts: Vec<(f64, Option<DiceSums>)> = starts.into_par_iter().map(part).collect();
        let mut all = Self::of_sums(0.0, None, targets);
        for (sum, dice) in parts {
            all.merge(&Self { sum, dice, weight: 0.0 });
        }
        all
    }

    /// From the part of the loss that is a sum over pixels, and what Dice is made of where it is part of the loss; `targets` are
    /// those that both were computed with.
    pub(crate) fn of_sums(sum: f64, dice: Option<DiceSums>, targets: &Targets) -> Self {
        Self { sum, dice, weight: targets.total_weight() }
    }

    /// Adds the loss of another part of the image.
    pub fn merge(&mut self, other: &Self) {
        self.sum += other.sum;
        self.weight += other.weight;
        match (&mut self.dice, &other.dice) {
            (Some(all), Some(dice)) => all.merge(dice),
            (all @ None, Some(dice)) => *all = Some(dice.clone()),
            (_, None) => {}
        }
    }

    /// The loss, before any scale.
    pub fn loss(&self) -> f64 {
        self.sum + self.dice.as_ref().map_or(0.0, DiceSums::loss)
    }

    /// The weight of all that counts; the loss over it is the mean loss.
    pub fn weight(&self) -> f64 {
        self.weight
    }
}

/// What an engine makes of one image or tile with its targets; see [`super::Engine::judge`].
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Its loss.
    pub loss: LossSum,
    /// What the network gives for it.
    pub result: JudgedResult,
}

/// A network's result for an image, as far as metrics need it.
#[derive(Debug, Clone, PartialEq)]
pub enum JudgedResult {
    /// The most likely class of each pixel, `[y][x]`.
    Classes(Vec<u32>),
    /// The outputs, `[output][y][x]`.
    Values(Vec<f32>),
}

impl Judged {
    /// From the outputs `[output][y][x]` of one image of `pixels` pixels.
    pub fn of(loss: Loss, targets: &Targets, outputs: Vec<f32>, pixels: usize) -> Self {
        let sum = LossSum::of(loss, targets, &outputs, pixels);
        let result = match &targets.values {
            TargetValues::Classes(_) => JudgedResult::Classes(most_likely(&outputs, pixels)),
            TargetValues::Values(_) => JudgedResult::Values(outputs),
        };
        Self { loss: sum, result }
    }
}

/// Checks that one image can be judged by its targets.
///
/// # Errors
/// As [`check_batch`]; [`Error::Mismatch`] where there are several images.
pub(crate) fn check_judged(
    architecture: &Architecture,
    images: &Images,
    targets: &Targets,
    loss: Loss,
) -> Result<()> {
    check_batch(architecture, images, Some((targets, loss)))?;
    match images.shape.batch {
        1 => Ok(()),
        batch => Err(Error::Mismatch(format!(
            "{batch} images are to be judged at once, but each is judged on its own; give one after the other"
        ))),
    }
}

/// Takes away all targets of an image of `extent` but those inside `window`: tiles overlap, and each pixel counts once.
pub fn keep_inside(targets: &mut Targets, extent: Extent, window: &Window) {
    if *window == Window::whole(extent) {
        return;
    }
    let (rows, columns) = (window.rows(), window.columns());
    let slices = window.slices();
    let inside = |pixel: usize| {
        let row = pixel / extent.x;
        slices.contains(&(row / extent.y))
            && rows.contains(&(row % extent.y))
            && columns.contains(&(pixel % extent.x))
    };
    match (&mut targets.values, &mut targets.weights) {
        (TargetValues::Classes(classes), _) => {
            let outside = classes.iter_mut().enumerate().filter(|(pixel, _)| !inside(*pixel));
            outside.for_each(|(_, class)| *class = IGNORED);
        }
        (TargetValues::Values(_), weights) => {
            let weights = weights.get_or_insert_with(|| vec![1.0; extent.pixels()]);
            let outside = weights.iter_mut().enumerate().filter(|(pixel, _)| !inside(*pixel));
            outside.for_each(|(_, weight)| *weight = 0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs(count: usize, pixels: usize) -> Vec<f32> {
        (0..count * pixels).map(|i| ((i * 7919) % 1013) as f32 / 300.0 - 1.5).collect()
    }

    #[test]
    fn parts_of_an_image_make_the_loss_of_the_whole() {
        let (height, width) = (300, 290);
        let pixels = height * width;
        let weights: Vec<f32> = (0..pixels).map(|p| (p % 5) as f32 / 2.0).collect();
        let classes: Vec<u32> =
            (0..pixels).map(|p| if p % 11 == 0 { IGNORED } else { (p / 50 % 3) as u32 }).collect();
        let values: Vec<f32> = (0..2 * pixels).map(|p| (p % 17) as f32 / 9.0).collect();
        let of_classes = [Loss::CrossEntropy, Loss::Dice, Loss::CrossEntropyDice];
        let of_values = [Loss::SquaredError, Loss::AbsoluteError];
        for weights in [None, Some(weights)] {
            let classes = Targets { weights: weights.clone(), ..Targets::classes(classes.clone()) };
            let values = Targets { weights, ..Targets::values(values.clone()) };
            let all = of_classes.map(|loss| (loss, &classes, 3)).into_iter();
            for (loss, targets, count) in all.chain(of_values.map(|loss| (loss, &values, 2))) {
                let outputs = outputs(count, pixels);
                let wanted = loss.of_image(targets, count, |k, p| f64::from(outputs[k * pixels + p]));
                let whole = LossSum::of(loss, targets, &outputs, pixels);
                assert!((whole.loss() / wanted - 1.0).abs() < 1e-12, "{loss}: {} {wanted}", whole.loss());
                assert_eq!(whole.weight(), targets.total_weight());
                let mut merged: Option<LossSum> = None;
                for rows in [0..100, 100..300] {
                    for columns in [0..7, 7..290] {
                        let mut part = targets.clone();
                        let window = Window::new(0..1, rows.clone(), columns);
                        keep_inside(&mut part, Extent::plane(height, width), &window);
                        let sum = LossSum::of(loss, &part, &outputs, pixels);
                        match &mut merged {
                            None => merged = Some(sum),
                            Some(merged) => merged.merge(&sum),
                        }
                    }
                }
                let merged = merged.unwrap();
                assert!((merged.loss() / wanted - 1.0).abs() < 1e-12, "{loss}: {} {wanted}", merged.loss());
                assert!((merged.weight() / whole.weight() - 1.0).abs() < 1e-12);
            }
        }
    }
}
