//! A network in training as it is judged: its engine is borrowed, and images come in tiles that suit it.

use std::borrow::Cow;

use ndarray::{Array2, Array3, Array4, ArrayView3, ArrayViewMut3, Axis, s};

use super::blocks::Block;
use super::judge::{Found, ImageResult, Judged};
use crate::engine::{Engine, Images, JudgedResult, Loss, LossSum, TargetValues, Targets, keep_inside};
use crate::geometry::tiles::Tile;
use crate::geometry::{Extent, Shape, Window, as_volume, as_volume_mut, stacked};
use crate::inference::Tiling;
use crate::network::Model;
use crate::samples::{Item, Sample, Target};
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
                let targets = part_of_targets(sample, tile.patch);
                let core = judge_tile(*engine, images, targets, tile, *loss, &mut sum)?;
                put(&mut found, &core, sample.slices, &tile.core);
                match progress(done) {
                    Flow::Continue(()) => Ok(()),
                    Flow::Break(()) => Err(Error::Stopped { done: 0, count: 1 }),
                }
            },
        )?;
        self.check(sum.as_ref(), &sample.name)?;
        if let Found::Values(values) = &mut found {
            self.model.restore(values);
        }
        Ok(ImageResult { found, probabilities: None, loss: sum })
    }

    /// Tile by tile, of which each is read by itself. Classes are handed on with each tile; values with the last tile of a slab of slices,
    /// so that outputs and targets of so many slices are in memory.
    fn apply_in_blocks(
        &mut self,
        volume: &Item,
        progress: &mut dyn FnMut(f64) -> Flow,
        each: &mut dyn FnMut(Block<'_>) -> Result<()>,
    ) -> Result<Option<LossSum>> {
        let whole = volume.extent();
        let mut sum: Option<LossSum> = None;
        let mut slab: Option<(Array3<f32>, Array3<f32>)> = None;
        let tiles = self.tiling.tiles(whole);
        let count = tiles.len();
        for (index, tile) in tiles.enumerate() {
            let Extent { z: slices, y: rows, x: columns } = tile.core.extent;
            let (core, target) = {
                let part = volume.part(|| tile.patch)?;
                let patch = Window { z: 0, y: 0, x: 0, ..part.inside(&tile.patch) };
                let sample = part.sample();
                let pixels = sample.image.iter().copied().collect();
                let images = Images { shape: Shape { batch: 1, extent: patch.extent }, pixels };
                let core = judge_tile(
                    self.engine,
                    &images,
                    part_of_targets(sample, patch),
                    &tile,
                    self.loss,
                    &mut sum,
                )?;
                (core, self.target(&sample.cut(&tile.core_in_patch())).into_owned())
            };
            match (core, target) {
                (Found::Values(mut values), Target::Values(target)) => {
                    self.model.restore(&mut values);
                    let channels = values.dim().0;
                    let blank = || Array3::zeros((channels, slices * whole.y, whole.x));
                    let (found, wanted) = slab.get_or_insert_with(|| (blank(), blank()));
                    let place = Window { z: 0, ..tile.core };
                    for (all, part) in [(&mut *found, &values), (&mut *wanted, &target)] {
                        put_values(all.view_mut(), part, slices, &place);
                    }
                    let is_last = place.y + rows == whole.y && place.x + columns == whole.x;
                    if let Some((found, wanted)) = slab.take_if(|_| is_last) {
                        let (target, found) = (&Target::Values(wanted), Found::Values(found));
                        each(Block { target, found, probabilities: None, image: None, slices })?;
                    }
                }
                (found, target) => {
                    each(Block { target: &target, found, probabilities: None, image: None, slices })?;
                }
            }
            if progress((index + 1) as f64 / count as f64).is_break() {
                return Err(Error::Stopped { done: 0, count: 1 });
            }
        }
        self.check(sum.as_ref(), volume.name())?;
        Ok(sum)
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

impl InTraining<'_> {
    /// Refuses a loss of the image `name` that is no number.
    fn check(&self, sum: Option<&LossSum>, name: &str) -> Result<()> {
        let value = sum.map_or(0.0, LossSum::loss);
        if value.is_finite() {
            return Ok(());
        }
        Err(Error::Diverged { step: self.step, loss: value as f32, images: name.to_owned() })
    }
}

/// What the network gives for the core of a tile whose pixels with all around it are `images`; its loss is added to `sum`.
fn judge_tile(
    engine: &mut dyn Engine,
    images: &Images,
    mut targets: Targets,
    tile: &Tile,
    loss: Loss,
    sum: &mut Option<LossSum>,
) -> Result<Found> {
    let (patch, inside) = (tile.patch.extent, tile.core_in_patch());
    keep_inside(&mut targets, patch, &inside);
    let judged = engine.judge(images, &targets, loss)?;
    match sum {
        None => *sum = Some(judged.loss),
        Some(sum) => sum.merge(&judged.loss),
    }
    let inside = s![.., inside.slices(), inside.rows(), inside.columns()];
    Ok(match judged.result {
        JudgedResult::Classes(classes) => {
            let shape = (1, patch.z, patch.y, patch.x);
            let classes = Array4::from_shape_vec(shape, classes).map_err(other_size)?;
            Found::Classes(stacked(classes.slice(inside).to_owned()).index_axis_move(Axis(0), 0))
        }
        JudgedResult::Values(values) => {
            let shape = (values.len() / patch.pixels().max(1), patch.z, patch.y, patch.x);
            let values = Array4::from_shape_vec(shape, values).map_err(other_size)?;
            Found::Values(stacked(values.slice(inside).to_owned()))
        }
    })
}

/// Puts what was found for the part `core` of a volume of so many slices where it belongs.
fn put(found: &mut Found, core: &Found, slices: usize, place: &Window) {
    match (found, core) {
        (Found::Classes(found), Found::Classes(core)) => {
            let core = core.view().insert_axis(Axis(0)).to_owned();
            put_values(found.view_mut().insert_axis(Axis(0)), &core, slices, place);
        }
        (Found::Values(found), Found::Values(core)) => put_values(found.view_mut(), core, slices, place),
        _ => {}
    }
}

fn put_values<T: Copy>(all: ArrayViewMut3<'_, T>, part: &Array3<T>, slices: usize, place: &Window) {
    as_volume_mut(all, slices)
        .slice_move(s![.., place.slices(), place.rows(), place.columns()])
        .assign(&as_volume(part.view(), place.extent.z));
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
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::devices;
    use crate::evaluation::Judge;
    use crate::geometry::Extent;
    use crate::network::{Architecture, Class, Normalisation, Task, initialise};

    /// An untrained network of two outputs with biases: for two classes, or for values that were normalised.
    pub(in crate::evaluation) fn untrained(architecture: Architecture, segments: bool) -> Model {
        let mut parameters = initialise(&architecture, 3);
        for (index, parameter) in parameters.iter_mut().enumerate().filter(|(_, p)| **p == 0.0) {
            *parameter = ((index * 37 % 23) as f32 - 9.0) / 30.0;
        }
        let inputs = architecture.inputs;
        let classes = [0, 1].map(|value| Class { value, name: value.to_string() }).to_vec();
        Model {
            parameters,
            architecture,
            task: if segments { Task::Segment { classes } } else { Task::Regress },
            input: Normalisation::identity(inputs).into(),
            target: (!segments).then(|| Normalisation { mean: vec![3.0, -1.0], deviation: vec![2.0, 0.5] }),
            slab: 1,
            self_supervised: None,
            upscaling: None,
            provenance: BTreeMap::new(),
        }
    }

    /// An untrained network that looks 6 pixels far, and samples with unlabelled and weighted pixels.
    fn case(segments: bool) -> (Model, Vec<Sample>) {
        let architecture = Architecture { dilations: vec![1, 2, 3], ..Architecture::new(1, 2, 3) };
        let model = untrained(architecture, segments);
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
