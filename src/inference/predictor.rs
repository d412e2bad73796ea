//! A model on a device, and images through it.

use std::time::{Duration, Instant};

use log::info;
use ndarray::{Array2, Array3, ArrayView3, Axis, s};
use rayon::prelude::*;

use super::tiling::Tiling;
use crate::devices::Device;
use crate::engine::{
    DeviceInfo, DeviceKind, Engine, Images, MAX_CLASSES, NOT_FINITE, Precision, most_likely,
};
use crate::error::{Error, Result, counted_channels};
use crate::geometry::{Extent, Shape, as_volume, as_volume_mut};
use crate::images::has_equal_channels;
use crate::network::{Model, Normalisation, Task};
use crate::watcher::Flow;

/// Rows of an image that one core takes through the softmax at a time.
const SOFTMAX_ROWS: usize = 64;
/// Red, green and blue.
const COLOURS: usize = 3;
/// How often it is told how far a tile is, at most.
const OFTEN: Duration = Duration::from_millis(100);

/// Applies a model to images of any size.
pub struct Predictor {
    model: Model,
    engine: Box<dyn Engine>,
    tiling: Tiling,
    /// How the device stores feature maps.
    precision: Precision,
    /// Rows and columns of a tile for which the device had memory, once it had too little for what the tiling wants.
    most: Option<usize>,
}

impl Predictor {
    /// Opens `model` on `device`. With `tile`, images are computed in tiles of at most that many rows and
    /// columns, which takes less memory and gives the same result; without it, each in one piece.
    ///
    /// # Errors
    /// [`Error::Setting`] for tiles of 0 pixels; else as [`Model::validate`] and [`Device::open`].
    pub fn new(model: Model, device: &Device, tile: Option<usize>) -> Result<Self> {
        if tile == Some(0) {
            let wanted = "it must be at least 1 pixel; leave it out to compute each image in one piece";
            return Err(Error::setting("tile", 0, wanted));
        }
        model.validate()?;
        // Not by the images that come: what one gives must not depend on which was first.
        let side = tile.unwrap_or(usize::MAX);
        let shape = Shape { batch: 1, extent: Extent::plane(side, side) };
        let device = device.tuned_for(&model.architecture, shape);
        let engine = device.open(&model.architecture, &model.parameters)?;
        let tiling = Tiling::new(&model.architecture, tile);
        Ok(Self { model, engine, tiling, precision: device.precision(), most: None })
    }

    /// Applies other parameters from now on: of the same model, which was trained further.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for a model of another architecture; what the device refuses.
    pub fn update(&mut self, model: Model) -> Result<()> {
        model.validate()?;
        if model.architecture != self.model.architecture {
            let problem = "the model has other layers than the one that was opened; open it anew";
            return Err(Error::Mismatch(problem.into()));
        }
        self.engine.set_parameters(&model.parameters)?;
        self.model = model;
        Ok(())
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Puts another model of the same architecture in the place of this one, in the same memory.
    ///
    /// # Errors
    /// What the device refuses.
    pub(super) fn replace(&mut self, model: &Model) -> Result<()> {
        self.engine.set_parameters(&model.parameters)?;
        self.model.clone_from(model);
        Ok(())
    }

    /// Computes images in tiles of at most `tile` rows and columns from now on, or each in one piece; gives what was before.
    pub(super) fn retile(&mut self, tile: Option<usize>) -> Option<usize> {
        let before = self.tiling.tile();
        self.tiling = Tiling::new(&self.model.architecture, tile);
        before
    }

    /// Bytes of the device's memory that applying the network to an image of `extent` takes.
    ///
    /// # Errors
    /// As [`Engine::bytes`].
    pub(super) fn bytes(&self, extent: Extent) -> Result<u64> {
        self.engine.bytes(Shape { batch: 1, extent }, false)
    }

    /// As [`Engine::reserve`] for an image of `extent`.
    ///
    /// # Errors
    /// As [`Engine::reserve`].
    pub(super) fn reserve(&mut self, extent: Extent) -> Result<()> {
        self.engine.reserve(Shape { batch: 1, extent })
    }

    /// What it runs on.
    pub fn device(&self) -> &DeviceInfo {
        self.engine.device()
    }

    /// Checks that an image of `channels` channels may be what the model takes; `name` is the image's name. Three channels pass
    /// where one is wanted, as many programs save grey images as red, green and blue; whether they are equal is seen when the
    /// image is applied.
    ///
    /// # Errors
    /// [`Error::Mismatch`] naming the image, its channels and the model's.
    pub fn check_channels(&self, name: &str, channels: usize) -> Result<()> {
        let wanted = self.model.architecture.inputs;
        if channels == wanted || (wanted, channels) == (1, COLOURS) {
            return Ok(());
        }
        let slices = if wanted == 1 { ", say with `axes ZYX` that its planes are slices" } else { "" };
        Err(Error::Mismatch(format!(
            "{name} has {}, but the model takes images of {wanted}; convert the image{slices}, or use a model trained on images like it",
            counted_channels(channels)
        )))
    }

    /// The image with the channels that the model takes: of colours that are grey, one.
    fn fitted<'a>(&self, image: &'a Array3<f32>) -> Result<ArrayView3<'a, f32>> {
        self.check_channels("the image", image.dim().0)?;
        if image.dim().0 == self.model.architecture.inputs {
            return Ok(image.view());
        }
        if !has_equal_channels(image) {
            return Err(Error::Mismatch(
                "the image has 3 channels that differ, but the model takes images of 1; convert the image to grey, say with `axes ZYX` that its planes are slices, or use a model trained on images like it"
                    .into(),
            ));
        }
        Ok(image.slice(s![..1, .., ..]))
    }

    /// The network's raw outputs for an image in the file's own units: `[output][y][x]`.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for another number of channels than the model takes, an empty image, and one whose
    /// values are so large that the outputs are not finite; what the device refuses, such as
    /// [`Error::OutOfMemory`].
    pub fn outputs(&mut self, image: &Array3<f32>) -> Result<Array3<f32>> {
        self.outputs_watched(image, &mut |_| Flow::Continue(()))
    }

    /// As [`Predictor::outputs`]; `progress` is called after each tile with the share that is done, from 0 to 1, and may stop the work.
    ///
    /// # Errors
    /// As [`Predictor::outputs`], and [`Error::Stopped`].
    pub fn outputs_watched(
        &mut self,
        image: &Array3<f32>,
        progress: &mut dyn FnMut(f64) -> Flow,
    ) -> Result<Array3<f32>> {
        self.outputs_normalised(image, 1, None, progress)
    }

    /// As [`Predictor::outputs_watched`], of an image or a part of one that is normalised by `measured`, what was measured over
    /// the image as a whole, or by itself for `None`. A volume has the rows of so many slices, one slice below the other, and so has what
    /// is given for it.
    pub(super) fn outputs_normalised(
        &mut self,
        image: &Array3<f32>,
        slices: usize,
        measured: Option<&Normalisation>,
        progress: &mut dyn FnMut(f64) -> Flow,
    ) -> Result<Array3<f32>> {
        let image = self.fitted(image)?;
        let normalisation = self.normalisation(&image, measured)?;
        let outputs = self.put_together(
            (image, slices),
            &normalisation,
            |engine, images, go_on| engine.forward_while(images, go_on),
            progress,
        )?;
        match outputs.iter().all(|value| value.is_finite()) {
            true => Ok(outputs),
            false => Err(not_finite(image, &normalisation, self.precision)),
        }
    }

    /// The most likely class of each pixel, `[y][x]`, as [`argmax`] of [`Predictor::outputs_normalised`] gives it; they are taken on the
    /// device where there are few enough for that.
    pub(super) fn classes_normalised(
        &mut self,
        image: &Array3<f32>,
        slices: usize,
        measured: Option<&Normalisation>,
        progress: &mut dyn FnMut(f64) -> Flow,
    ) -> Result<Array2<u32>> {
        if self.model.architecture.outputs > MAX_CLASSES {
            return Ok(argmax(&self.outputs_normalised(image, slices, measured, progress)?));
        }
        let image = self.fitted(image)?;
        let normalisation = self.normalisation(&image, measured)?;
        let classes = self.put_together(
            (image, slices),
            &normalisation,
            |engine, images, go_on| engine.classify_while(images, go_on),
            progress,
        )?;
        match classes.iter().all(|class| *class != NOT_FINITE) {
            true => Ok(classes.index_axis_move(Axis(0), 0).mapv(u32::from)),
            false => Err(not_finite(image, &normalisation, self.precision)),
        }
    }

    /// What an image or a part of one is normalised by.
    fn normalisation(
        &self,
        image: &ArrayView3<'_, f32>,
        measured: Option<&Normalisation>,
    ) -> Result<Normalisation> {
        let (_, height, width) = image.dim();
        if image.is_empty() {
            let found = format!("the image is {width} x {height} pixels; wanted at least 1 x 1");
            return Err(Error::Mismatch(found));
        }
        Ok(match (self.model.input.of_set(), measured) {
            (None, Some(measured)) => measured.clone(),
            _ => self.model.input.of(*image).into_owned(),
        })
    }

    /// What `compute` gives for an image, `[channel][y][x]`, or a volume with the rows of so many slices, put together from its tiles.
    /// Where a GPU has too little memory for these, they are halved until it has enough, for this image and those after it.
    fn put_together<T: Clone + Default>(
        &mut self,
        (image, slices): (ArrayView3<'_, f32>, usize),
        normalisation: &Normalisation,
        compute: impl Fn(&mut dyn Engine, &Images, &mut dyn FnMut(f64) -> Flow) -> Result<Vec<T>>,
        progress: &mut dyn FnMut(f64) -> Flow,
    ) -> Result<Array3<T>> {
        let (_, rows, width) = image.dim();
        let extent = Extent::new(slices, rows / slices.max(1), width);
        loop {
            let tiling = self.tiling.at_most(self.most);
            let engine = self.engine.as_mut();
            let mut all = Array3::default((0, 0, 0));
            let (mut before, mut told) = (0.0, Instant::now());
            let computed = tiling.each(
                image,
                slices,
                |channel, plane| normalisation.apply(channel, plane),
                |images, tile, done| {
                    // Of a tile that takes long, also while it is computed.
                    let mut go_on = |share: f64| {
                        if told.elapsed() < OFTEN {
                            return Flow::Continue(());
                        }
                        told = Instant::now();
                        progress(before + share * (done - before))
                    };
                    let patch = compute(engine, images, &mut go_on)?;
                    before = done;
                    let patch = as_planes(engine.device(), patch, images.shape.extent)?;
                    if tile.core.extent == extent {
                        all = patch;
                    } else {
                        if all.is_empty() {
                            all = Array3::default((patch.dim().0, rows, width));
                        }
                        let (kept, core) = (tile.core_in_patch(), tile.core);
                        let patch = as_volume(patch.view(), images.shape.extent.z);
                        let whole = as_volume_mut(all.view_mut(), slices);
                        whole
                            .slice_move(s![.., core.slices(), core.rows(), core.columns()])
                            .assign(&patch.slice(s![.., kept.slices(), kept.rows(), kept.columns()]));
                    }
                    match progress(done) {
                        Flow::Continue(()) => Ok(()),
                        Flow::Break(()) => Err(Error::Stopped { done: 0, count: 1 }),
                    }
                },
            );
            let error = match computed {
                Ok(()) => return Ok(all),
                Err(error) => error,
            };
            let smaller = match (&error, self.engine.device().kind) {
                // The result would be short of the same memory.
                (_, DeviceKind::Cpu) => None,
                (Error::OutOfMemory { .. }, _) => tiling.halved(extent),
                _ => None,
            };
            let Some(smaller) = smaller else { return Err(error) };
            if self.most.is_none() {
                let patch = tiling.patch(extent);
                info!(
                    "{} has too little memory for {} x {} pixels at once: tiles are halved until it has enough, with the same result",
                    self.engine.device().name,
                    patch.x,
                    patch.y
                );
            }
            self.most = smaller.tile();
        }
    }

    /// The class index of each pixel, `[y][x]`: the largest output, the lower index where two are equal.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for a regression model; else as [`Predictor::outputs`].
    pub fn classes(&mut self, image: &Array3<f32>) -> Result<Array2<u32>> {
        self.check_task(true)?;
        self.classes_normalised(image, 1, None, &mut |_| Flow::Continue(()))
    }

    /// The probability of each class, `[class][y][x]`; they sum to 1 in each pixel.
    ///
    /// # Errors
    /// As [`Predictor::classes`].
    pub fn probabilities(&mut self, image: &Array3<f32>) -> Result<Array3<f32>> {
        self.check_task(true)?;
        Ok(softmax(self.outputs(image)?))
    }

    /// The probabilities of a segmentation, or the values of a regression; see [`Predictor::outputs_normalised`].
    pub(super) fn results_normalised(
        &mut self,
        image: &Array3<f32>,
        slices: usize,
        measured: Option<&Normalisation>,
        progress: &mut dyn FnMut(f64) -> Flow,
    ) -> Result<Array3<f32>> {
        let outputs = self.outputs_normalised(image, slices, measured, progress)?;
        Ok(match self.model.task {
            Task::Segment { .. } => softmax(outputs),
            Task::Regress => self.in_target_units(outputs),
        })
    }

    /// The predicted values, `[channel][y][x]`, in the units of the targets.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for a segmentation model; else as [`Predictor::outputs`].
    pub fn values(&mut self, image: &Array3<f32>) -> Result<Array3<f32>> {
        self.check_task(false)?;
        let outputs = self.outputs(image)?;
        Ok(self.in_target_units(outputs))
    }

    pub(super) fn in_target_units(&self, mut values: Array3<f32>) -> Array3<f32> {
        self.model.restore(&mut values);
        values
    }

    /// Checks that the model is a segmentation, or that it is none.
    pub(super) fn check_task(&self, segmentation: bool) -> Result<()> {
        match (&self.model.task, segmentation) {
            (Task::Segment { .. }, true) | (Task::Regress, false) => Ok(()),
            (Task::Regress, true) => Err(Error::Mismatch(
                "the model is a regression, which has no classes; use a model trained with msd-gpu train segment"
                    .into(),
            )),
            (Task::Segment { .. }, false) => Err(Error::Mismatch(
                "the model is a segmentation, which has no values; use a model trained with msd-gpu train regress"
                    .into(),
            )),
        }
    }
}

/// The error of an image that gives outputs that are not finite.
fn not_finite(image: ArrayView3<'_, f32>, normalisation: &Normalisation, precision: Precision) -> Error {
    let way_out = match precision {
        Precision::Full => "check the image for extreme values",
        Precision::Half => {
            "halves end at 65504, so try `precision full`, or check the image for extreme values"
        }
    };
    let most = image.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    Error::Mismatch(format!(
        "the network's outputs are not finite numbers: the image has values up to {most:e}, where {:e} becomes 0 for the network; {way_out}",
        normalisation.mean.first().copied().unwrap_or_default()
    ))
}

/// What an engine gave for one image of `extent`, `[channel][y][x]`, or a volume with the rows of all slices.
fn as_planes<T>(device: &DeviceInfo, numbers: Vec<T>, extent: Extent) -> Result<Array3<T>> {
    let found = numbers.len();
    let count = found / extent.pixels().max(1);
    Array3::from_shape_vec((count, extent.z * extent.y, extent.x), numbers).map_err(|_| {
        let problem = format!("it gave {found} numbers for {} pixels; try `device cpu`", extent.pixels());
        Error::device(&device.name, "computing the outputs", problem)
    })
}

/// The index of the largest output of each pixel, `[output][y][x]` to `[y][x]`; the lower index where two
/// are equal.
pub fn argmax(outputs: &Array3<f32>) -> Array2<u32> {
    let (_, height, width) = outputs.dim();
    let outputs = outputs.as_standard_layout();
    let classes = most_likely(outputs.as_slice().unwrap_or_default(), height * width);
    // There is one class for each pixel.
    Array2::from_shape_vec((height, width), classes).unwrap_or_default()
}

/// The softmax over the outputs of each pixel, `[output][y][x]`; it does not overflow, however large they are.
pub fn softmax(mut outputs: Array3<f32>) -> Array3<f32> {
    // A device waits for the next image meanwhile: all cores take their part.
    let bands: Vec<_> = outputs.axis_chunks_iter_mut(Axis(1), SOFTMAX_ROWS).collect();
    bands.into_par_iter().for_each(|mut band| {
        let largest = band.fold_axis(Axis(0), f32::NEG_INFINITY, |&most, &value| most.max(value));
        band -= &largest.insert_axis(Axis(0));
        band.mapv_inplace(f32::exp);
        let sums = band.sum_axis(Axis(0)).insert_axis(Axis(0));
        band /= &sums;
    });
    outputs
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ndarray::array;

    use super::*;
    use crate::devices;
    use crate::geometry::Boundary;
    use crate::network::{
        Architecture, Class, DilationMode, InputNormalisation, Measure, Normalisation, initialise,
    };

    /// A regression with biases and mixing weights that are not zero either.
    fn model(architecture: Architecture) -> Model {
        let mut parameters = initialise(&architecture, 3);
        for (index, parameter) in parameters.iter_mut().enumerate().filter(|(_, p)| **p == 0.0) {
            *parameter = ((index * 37 % 23) as f32 - 9.0) / 60.0;
        }
        Model {
            parameters,
            task: Task::Regress,
            input: Normalisation {
                mean: vec![100.0; architecture.inputs],
                deviation: vec![60.0; architecture.inputs],
            }
            .into(),
            target: Some(Normalisation::identity(architecture.outputs)),
            slab: 1,
            self_supervised: None,
            upscaling: None,
            provenance: BTreeMap::new(),
            architecture,
        }
    }

    fn segmentation(outputs: usize) -> Model {
        let classes = (0..outputs).map(|i| Class { value: i as i64, name: i.to_string() }).collect();
        let regression = model(Architecture::new(1, outputs, 3));
        Model { task: Task::Segment { classes }, target: None, ..regression }
    }

    fn open(model: Model, tile: Option<usize>) -> Predictor {
        Predictor::new(model, &devices::choose("cpu").unwrap(), tile).unwrap()
    }

    fn image(channels: usize, height: usize, width: usize) -> Array3<f32> {
        Array3::from_shape_fn((channels, height, width), |(c, y, x)| {
            (((c * 7919 + y * 104_729 + x * 1_299_709) * 2_654_435_761) >> 7 & 255) as f32
        })
    }

    #[test]
    fn tiles_give_what_the_whole_image_gives() {
        let shapes = [
            (vec![1, 2, 3], 2, DilationMode::Channel),
            (vec![5, 1], 1, DilationMode::Channel),
            (vec![4, 9], 3, DilationMode::Layer),
        ];
        for boundary in [Boundary::Reflect, Boundary::Symmetric, Boundary::Zeros] {
            for (dilations, width, dilation_mode) in shapes.clone() {
                let architecture =
                    Architecture { width, dilations, dilation_mode, boundary, ..Architecture::new(2, 3, 4) };
                let model = model(architecture);
                for (height, columns) in [(61, 83), (64, 9), (1, 70), (5, 4)] {
                    let image = image(2, height, columns);
                    let whole = open(model.clone(), None).outputs(&image).unwrap();
                    for tile in [1, 7, 16, 60, 1000] {
                        // A tile of one pixel computes each pixel's whole neighbourhood: on few pixels only.
                        if tile == 1 && image.len() > 200 {
                            continue;
                        }
                        let tiled = open(model.clone(), Some(tile)).outputs(&image).unwrap();
                        let apart = (&tiled - &whole).mapv(f32::abs).fold(0.0_f32, |a, &b| a.max(b));
                        assert!(
                            apart <= 1e-6,
                            "{boundary:?}, {:?}, {height}x{columns}, tiles of {tile}: {apart} apart",
                            model.architecture.dilations
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn tiles_of_an_image_that_is_normalised_by_itself_take_the_whole_image() {
        // Left and right differ in brightness, so that tiles would be normalised differently.
        let image = image(2, 40, 70) + &Array3::from_shape_fn((2, 40, 70), |(_, _, x)| 30.0 * x as f32);
        for per_image in [Measure::MeanDeviation, Measure::Percentiles { low: 2.0, high: 98.0 }] {
            let architecture = Architecture { dilations: vec![1, 2], ..Architecture::new(2, 1, 3) };
            let model = Model { input: InputNormalisation::PerImage { per_image }, ..model(architecture) };
            let whole = open(model.clone(), None).outputs(&image).unwrap();
            let tiled = open(model.clone(), Some(16)).outputs(&image).unwrap();
            let apart = (&tiled - &whole).mapv(f32::abs).fold(0.0_f32, |a, &b| a.max(b));
            assert!(apart <= 1e-6, "{per_image}: {apart} apart");
            // Brightness and contrast of the image make no difference.
            let other = open(model, None).outputs(&image.mapv(|v| 0.5 * v - 100.0)).unwrap();
            let apart = (&other - &whole).mapv(f32::abs).fold(0.0_f32, |a, &b| a.max(b));
            assert!(apart <= 1e-4, "{per_image}: {apart} apart");
        }
    }

    #[test]
    fn images_are_normalised_and_values_come_back_in_the_targets_units() {
        let mut model = model(Architecture::new(1, 1, 1));
        // Only the mix of the input is left: the network's output is its input.
        model.parameters.fill(0.0);
        let mix = crate::network::ParameterLayout::of(&model.architecture).mix(0).start;
        model.parameters[mix] = 1.0;
        model.target = Some(Normalisation { mean: vec![-5.0], deviation: vec![2.0] });
        let mut predictor = open(model, None);
        let image = array![[[40.0, 100.0, 160.0]]];
        assert_eq!(predictor.outputs(&image).unwrap(), array![[[-1.0, 0.0, 1.0]]]);
        assert_eq!(predictor.values(&image).unwrap(), array![[[-7.0, -5.0, -3.0]]]);
        assert!(predictor.classes(&image).unwrap_err().to_string().contains("regression"));
    }

    #[test]
    fn classes_are_the_largest_probabilities_and_ties_go_to_the_lower_index() {
        assert_eq!(
            argmax(&array![[[1.0, 2.0, -9.0]], [[1.0, 3.0, -8.0]], [[0.0, 3.0, -7.0]]]),
            array![[0, 1, 2]]
        );
        let sure = softmax(array![[[3e38, -3e38]], [[-3e38, -3e38]]]);
        assert_eq!(sure, array![[[1.0, 0.5]], [[0.0, 0.5]]]);
        let mut predictor = open(segmentation(4), Some(9));
        let image = image(1, 20, 31);
        let probabilities = predictor.probabilities(&image).unwrap();
        assert!(probabilities.sum_axis(Axis(0)).iter().all(|sum| (sum - 1.0).abs() < 1e-5));
        assert_eq!(predictor.classes(&image).unwrap(), argmax(&probabilities));
        assert!(predictor.values(&image).unwrap_err().to_string().contains("segmentation"));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let device = devices::choose("cpu").unwrap();
        let error = Predictor::new(segmentation(2), &device, Some(0)).err().map(|e| e.to_string());
        assert!(error.unwrap_or_default().contains("tile is 0"));
        let mut predictor = open(segmentation(2), None);
        let error = predictor.outputs(&image(3, 4, 4)).unwrap_err().to_string();
        assert!(error.contains("3 channels") && error.contains("images of 1"), "{error}");
        assert!(predictor.outputs(&Array3::zeros((1, 0, 4))).is_err());
        let mut small = segmentation(2);
        small.input = Normalisation { mean: vec![100.0], deviation: vec![1e-6] }.into();
        let error = open(small, None).outputs(&Array3::from_elem((1, 4, 4), 3e38)).unwrap_err().to_string();
        assert!(error.contains("not finite") && error.contains("3e38"), "{error}");
        let error = predictor.check_channels("a.png", 2).unwrap_err().to_string();
        assert!(error.starts_with("a.png has 2 channels"), "{error}");
    }

    #[cfg(feature = "gpu")]
    #[test]
    fn tiles_are_halved_where_the_device_has_too_little_memory_and_nothing_else_changes() {
        use crate::gpu::with_buffers_up_to;
        let device = devices::choose("gpu").unwrap();
        let open = |model: &Model, tile| Predictor::new(model.clone(), &device, tile).unwrap();
        let (model, image) = (segmentation(3), image(1, 128, 111));
        let mut whole = open(&model, None);
        let (outputs, classes) = (whole.outputs(&image).unwrap(), whole.classes(&image).unwrap());
        assert_eq!(classes, argmax(&outputs));
        assert_eq!(whole.most, None);
        // The feature maps of the image take four times 128 x 128 numbers of four bytes, and their margins.
        for (bytes, tile, most) in [
            (150_000, None, Some(64)),
            (150_000, Some(64), None),
            (80_000, None, Some(32)),
            (80_000, Some(64), Some(32)),
        ] {
            let mut predictor = open(&model, tile);
            let found = with_buffers_up_to(bytes, || {
                let outputs = predictor.outputs(&image).unwrap();
                (outputs, predictor.classes(&image).unwrap())
            });
            let apart = (&found.0 - &outputs).mapv(f32::abs).fold(0.0_f32, |a, &b| a.max(b));
            assert!(apart <= 1e-6, "{apart} apart");
            assert_eq!(found.1, classes);
            assert_eq!(predictor.most, most, "buffers of {bytes} bytes, tiles of {tile:?}");
            // Larger ones are not tried again.
            assert_eq!(predictor.classes(&image).unwrap(), classes);
            assert_eq!(predictor.most, most);
        }
        let none = with_buffers_up_to(1000, || open(&model, None).outputs(&image));
        assert!(matches!(none, Err(Error::OutOfMemory { .. })), "{none:?}");
    }
}
