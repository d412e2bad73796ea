//! A network in training as it is judged: its engine is borrowed, and images come in tiles that suit it.

use std::borrow::Cow;

use ndarray::{Array2, Array3, Array4, ArrayView3, Axis, s};

use super::judge::{Found, ImageResult, Judged};
use crate::engine::{Engine, JudgedResult, Loss, LossSum, TargetValues, Targets, keep_inside};
use crate::geometry::{Window, as_volume, as_volume_mut};
use crate::inference::Tiling;
use crate::network::Model;
use crate::samples::{Sample, Target};
use crate::watcher::Flow;
use crate::{Error, Result};

/// The network in `engine`, applied to samples that are normalised as it takes them, values of targets too.
pub struct InTraining<'a> {
    /// Holds the parameters that are judged.
    pub engine: &'a mut dyn Engine,
    /// What outputs mean, and how targets were normalised.
    pub model: &'a Model,
    /// The loss that is computed.
    pub loss: Loss,
    /// How images are cut.
    pub tiling: Tiling,
    /// The step made last, for errors.
    pub step: u64,
}

impl Judged for InTraining<'_> {
    fn apply(&mut self, sample: &Sample, progress: &mut dyn FnMut(f64) -> Flow) -> Result<ImageResult> {
        let (_, height, width) = sample.image.dim();
        let mut found = match &sample.target {
            Target::Classes(_) => Found::Classes(Array2::zeros((height, width))),
            Target::Values(values) => Found::Values(Array3::zeros((values.dim().0, height, width))),
        };
        let Self { engine, loss, tiling, .. } = self;
        let mut sum: Option<LossSum> = None;
        tiling.each(
            sample.image.view(),
            sample.slices,
            |_, _| (),
            |images, tile, done| {
                let inside = tile.core_in_patch();
                let mut targets = part_of_targets(sample, tile.patch);
                keep_inside(&mut targets, tile.patch.extent, &inside);
                let judged = engine.judge(images, &targets, *loss)?;
                match &mut sum {
                    None => sum = Some(judged.loss),
                    Some(sum) => sum.merge(&judged.loss),
                }
                let patch = tile.patch.extent;
                let core = s![.., tile.core.slices(), tile.core.rows(), tile.core.columns()];
                let inside = s![.., inside.slices(), inside.rows(), inside.columns()];
                match (judged.result, &mut found) {
                    (JudgedResult::Classes(classes), Found::Classes(found)) => {
                        let shape = (1, patch.z, patch.y, patch.x);
                        let patch = Array4::from_shape_vec(shape, classes).map_err(other_size)?;
                        let found = as_volume_mut(found.view_mut().insert_axis(Axis(0)), sample.slices);
                        found.slice_move(core).assign(&patch.slice(inside));
                    }
                    (JudgedResult::Values(values), Found::Values(found)) => {
                        let shape = (found.dim().0, patch.z, patch.y, patch.x);
                        let patch = Array4::from_shape_vec(shape, values).map_err(other_size)?;
                        let found = as_volume_mut(found.view_mut(), sample.slices);
                        found.slice_move(core).assign(&patch.slice(inside));
                    }
                    _ => {}
                }
                match progress(done) {
                    Flow::Continue(()) => Ok(()),
                    Flow::Break(()) => Err(Error::Stopped { done: 0, count: 1 }),
                }
            },
        )?;
        let value = sum.as_ref().map_or(0.0, LossSum::loss);
        if !value.is_finite() {
            return Err(Error::Diverged { step: self.step, loss: value as f32, images: sample.name.clone() });
        }
        if let Found::Values(values) = &mut found {
            self.model.restore(values);
        }
        Ok(ImageResult { found, probabilities: None, loss: sum })
    }

    fn target<'s>(&self, sample: &'s Sample) -> Cow<'s, Target> {
        match sample.counted_target() {
            Cow::Borrowed(Target::Values(values)) => {
                let mut values = values.clone();
                self.model.restore(&mut values);
                Cow::Owned(Target::Values(values))
            }
            Cow::Owned(Target::Values(mut values)) => {
                self.model.restore(&mut values);
                Cow::Owned(Target::Values(values))
            }
            classes => classes,
        }
    }
}

fn other_size(error: ndarray::ShapeError) -> Error {
    Error::Mismatch(format!("the engine gave outputs of another size: {error}"))
}

/// The targets and weights of a part of a sample.
fn part_of_targets(sample: &Sample, part: Window) -> Targets {
    let values = match &sample.target {
        Target::Classes(classes) => TargetValues::Classes(numbers(flat(classes), sample.slices, &part)),
        Target::Values(values) => TargetValues::Values(numbers(values.view(), sample.slices, &part)),
    };
    let weights = sample.weights.as_ref();
    let weights = weights.map(|weights| numbers(flat(weights), sample.slices, &part));
    Targets { values, weights }
}

fn flat<T>(values: &Array2<T>) -> ArrayView3<'_, T> {
    values.view().insert_axis(Axis(0))
}

/// The numbers of a part of an image with the rows of so many slices.
fn numbers<T: Copy>(image: ArrayView3<'_, T>, slices: usize, part: &Window) -> Vec<T> {
    let image = image.as_standard_layout();
    let volume = as_volume(image.view(), slices);
    volume.slice(s![.., part.slices(), part.rows(), part.columns()]).iter().copied().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::devices;
    use crate::evaluation::Judge;
    use crate::geometry::Extent;
    use crate::network::{Architecture, Class, Normalisation, Task, initialise};

    /// An untrained network that looks 6 pixels far, and samples with unlabelled and weighted pixels.
    fn case(segments: bool) -> (Model, Vec<Sample>) {
        let architecture = Architecture { dilations: vec![1, 2, 3], ..Architecture::new(1, 2, 3) };
        let mut parameters = initialise(&architecture, 3);
        for (index, parameter) in parameters.iter_mut().enumerate().filter(|(_, p)| **p == 0.0) {
            *parameter = ((index * 37 % 23) as f32 - 9.0) / 30.0;
        }
        let classes = [0, 1].map(|value| Class { value, name: value.to_string() }).to_vec();
        let model = Model {
            parameters,
            architecture,
            task: if segments { Task::Segment { classes } } else { Task::Regress },
            input: Normalisation::identity(1).into(),
            target: (!segments).then(|| Normalisation { mean: vec![3.0, -1.0], deviation: vec![2.0, 0.5] }),
            slab: 1,
            self_supervised: None,
            upscaling: None,
            provenance: BTreeMap::new(),
        };
        let sample = |name: &str, height: usize, width: usize, weighted: bool| {
            let number = |y: usize, x: usize| ((y * 104_729 + x * 1_299_709) * 2_654_435_761) >> 7 & 255;
            let class = |(y, x): (usize, usize)| match number(x, y) % 7 {
                0 => crate::metrics::UNLABELLED,
                n => (n % 2) as u32,
            };
            Sample {
                slices: 1,
                name: name.into(),
                image: Array3::from_shape_fn((1, height, width), |(_, y, x)| {
                    number(y, x) as f32 / 80.0 - 1.5
                }),
                target: match segments {
                    true => Target::Classes(Array2::from_shape_fn((height, width), class)),
                    false => Target::Values(Array3::from_shape_fn((2, height, width), |(c, y, x)| {
                        number(y + c, x) as f32 / 100.0 - 1.0
                    })),
                },
                group: None,
                weights: weighted
                    .then(|| Array2::from_shape_fn((height, width), |(y, x)| ((x + y) % 3) as f32)),
            }
        };
        (model, vec![sample("a", 70, 60, true), sample("b", 23, 90, false)])
    }

    #[test]
    fn tiles_give_the_scores_of_whole_images() {
        for (segments, losses) in [
            (true, vec![Loss::CrossEntropy, Loss::Dice, Loss::CrossEntropyDice]),
            (false, vec![Loss::SquaredError, Loss::AbsoluteError]),
        ] {
            let (model, samples) = case(segments);
            let mut engine =
                devices::choose("cpu").unwrap().open(&model.architecture, &model.parameters).unwrap();
            for loss in losses {
                let mut scores = |tile: Option<usize>| {
                    let tiling = Tiling::new(&model.architecture, tile);
                    let engine = engine.as_mut();
                    let mut network = InTraining { engine, model: &model, loss, tiling, step: 1 };
                    Judge::new(&model.task).run(&mut network, &samples, &mut (), |_, _| ()).unwrap()
                };
                let (whole, tiled) = (scores(None), scores(Some(20)));
                let pairs = std::iter::once((whole.loss, tiled.loss))
                    .chain(whole.image_losses.iter().copied().zip(tiled.image_losses.iter().copied()))
                    .chain(
                        whole
                            .summary()
                            .metrics
                            .into_iter()
                            .zip(tiled.summary().metrics)
                            .map(|((_, a), (_, b))| (a, b)),
                    );
                for (a, b) in pairs {
                    assert!((a - b).abs() <= 1e-5 * a.abs(), "{loss}: {a} in one piece, {b} in tiles");
                }
            }
        }
    }

    #[test]
    fn an_image_whose_loss_is_no_number_is_named() {
        let (model, mut samples) = case(true);
        samples[1].image.fill(f32::NAN);
        let mut engine =
            devices::choose("cpu").unwrap().open(&model.architecture, &model.parameters).unwrap();
        let tiling = Tiling::within(&model.architecture, [Extent::plane(70, 60)], 40 * 40);
        let (engine, loss) = (engine.as_mut(), Loss::CrossEntropy);
        let mut network = InTraining { engine, model: &model, loss, tiling, step: 7 };
        let error = Judge::new(&model.task).run(&mut network, &samples, &mut (), |_, _| ()).unwrap_err();
        assert!(matches!(&error, Error::Diverged { step: 7, images, .. } if images == "b"), "{error}");
    }
}
