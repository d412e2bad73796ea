//! Models on a device, as they are applied to arrays: what `Model` and `Ensemble` have in common.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use msd_gpu::Error;
use msd_gpu::devices::{self, Device, TuningPolicy};
use msd_gpu::evaluation::Scoring;
use msd_gpu::geometry::tiles::Tile;
use msd_gpu::geometry::{Extent, Window};
use msd_gpu::inference::{self, Prediction, WholeImage};
use msd_gpu::network::{self, Measure, Task};
use msd_gpu::samples::LabelRule;
use msd_gpu::training::TaskKind;
use msd_gpu::watcher::{Flow, ImageReport, Watcher};
use ndarray::{Array2, Array3, ArrayD, Axis, concatenate, s};
use numpy::Element;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::{raised, setting};
use crate::keywords::{self, Options};
use crate::pairs::{Pairs, TRAINING, TargetKind};
use crate::process;
use crate::results::Results;
use crate::sources::Windows;
use crate::stack::{Spot, Stack};

/// The keywords of `evaluate`.
const OPTIONS: [&str; 8] =
    ["weights", "ignore", "threshold", "classes", "data_range", "ssim_window", "circle", "rescale"];

/// What is told how far the work is, and may stop it.
type Watch<'a> = &'a mut dyn FnMut(f64) -> Flow;

/// What models are applied to at once.
enum Piece<'a> {
    Image(&'a Array3<f32>),
    Tile { patch: &'a Array3<f32>, tile: &'a Tile, whole: &'a WholeImage },
}

/// What is found for the slices of a volume, which lie one below the other.
trait Sliced: Sized {
    /// What is found for each of `count` slices.
    fn slices(self, count: usize) -> Vec<Self>;
}

impl Sliced for Prediction {
    fn slices(self, count: usize) -> Vec<Self> {
        Prediction::slices(&self, count)
    }
}

impl Sliced for Array2<u32> {
    fn slices(self, count: usize) -> Vec<Self> {
        let height = self.dim().0 / count.max(1);
        (0..count).map(|z| self.slice(s![z * height..(z + 1) * height, ..]).to_owned()).collect()
    }
}

/// Where models run, as it was asked for.
#[derive(Debug, Clone)]
pub struct Place {
    pub device: String,
    pub tile: Option<usize>,
}

impl Place {
    pub fn choose(&self) -> msd_gpu::Result<Device> {
        Ok(devices::choose(&self.device)?.with_policy(TuningPolicy::Kept))
    }

    /// All devices, for training.
    pub fn choose_all(&self) -> msd_gpu::Result<Vec<Device>> {
        let devices = devices::choose_all(&self.device)?.into_iter();
        Ok(devices.map(|device| device.with_policy(TuningPolicy::Kept)).collect())
    }
}

/// Models with the names that errors use.
pub type NamedModels = Vec<(String, network::Model)>;

/// One or more models, opened.
pub struct Applied {
    pub models: NamedModels,
    pub place: Place,
    pub tta: bool,
    /// The name of the device.
    pub device: String,
    /// The process that opened them.
    process: u32,
    ensemble: Mutex<Option<inference::Ensemble>>,
}

impl Applied {
    /// Opens models where `place` says, or on `device`, which is the same place chosen before.
    pub fn open(
        models: NamedModels,
        place: Place,
        tta: bool,
        device: Option<&Device>,
    ) -> msd_gpu::Result<Self> {
        let chosen = device.map_or_else(|| place.choose(), |device| Ok(device.clone()))?;
        let ensemble = inference::Ensemble::new(models.clone(), &chosen, place.tile, tta)?;
        let (device, process) = (ensemble.device().name.clone(), std::process::id());
        Ok(Self { models, place, tta, device, process, ensemble: Mutex::new(Some(ensemble)) })
    }

    /// The first model: its task, classes and channels are those of all.
    pub fn model(&self) -> &network::Model {
        &self.models[0].1
    }

    pub fn task(&self) -> TaskKind {
        match self.model().task {
            Task::Segment { .. } => TaskKind::Segment,
            Task::Regress => TaskKind::Regress,
        }
    }

    pub fn classes(&self) -> Vec<(i64, String)> {
        self.model().classes().iter().map(|class| (class.value, class.name.clone())).collect()
    }

    /// The models, when no other thread applies them. To be called without the interpreter's lock: the thread that has them may
    /// wait for that.
    fn lock(&self) -> MutexGuard<'_, Option<inference::Ensemble>> {
        // A panic in another thread leaves nothing half-done that the next image would see.
        self.ensemble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The measure that the keyword `rescale` names.
    pub fn measure(&self, rescale: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Measure>> {
        let text = rescale.map(|rescale| keywords::text("rescale", rescale)).transpose()?;
        let measure = text.map(|text| inference::Ensemble::rescale_measure(&text, &self.models));
        measure.transpose().map_err(raised)
    }

    /// Refuses models whose results have a finer grid than their images: arrays of results are as large as those of images.
    fn check_grid(&self) -> PyResult<()> {
        match self.model().factor() {
            1 => Ok(()),
            factor => Err(PyValueError::new_err(format!(
                "the model makes images {factor} times as fine, which is done from files to files; use apply, or msd-gpu evaluate for its scores"
            ))),
        }
    }

    /// The array that is given, as images for these models.
    fn stack<'py>(
        &self,
        array: &Bound<'py, PyAny>,
        rescale: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Stack<'py>> {
        process::enter()?;
        self.check_grid()?;
        let mut stack = Stack::of(array, self.model().architecture.inputs, self.measure(rescale)?)?;
        let extent = stack.extent();
        if self.model().architecture.is_of_volumes() {
            let volume = Extent { z: stack.count.unwrap_or(1), ..extent };
            if volume.pixels() == 0 {
                let problem = format!("array is a volume of {volume} voxels; wanted at least one");
                return Err(PyValueError::new_err(problem));
            }
            let tiles = || self.lock().as_mut().ok_or_else(gone)?.tiles(volume, self.place.tile);
            stack.tiles = array.py().detach(tiles).map_err(raised)?;
            stack.is_volume = true;
        } else if stack.windows().is_some() && extent.pixels() > 0 {
            let tiles = || self.lock().as_mut().ok_or_else(gone)?.tiles(extent, self.place.tile);
            let tiles = array.py().detach(tiles).map_err(raised)?;
            stack.tiles = if tiles.len() > 1 { tiles } else { Vec::new() };
        }
        Ok(stack)
    }

    /// The class of each pixel, the probabilities of the classes, or values; see [`crate::model::Model::predict`].
    pub fn predict<'py>(
        &self,
        array: &Bound<'py, PyAny>,
        probabilities: bool,
        rescale: Option<&Bound<'py, PyAny>>,
        out: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let stack = self.stack(array, rescale)?;
        let Task::Segment { classes } = &self.model().task else {
            if probabilities {
                return Err(setting("probabilities", "True for a regression", "only classes have some"));
            }
            let mut values = Results::new(&stack, "float32", self.value_channels(&stack), out)?;
            self.each(&stack, false, |spot, prediction| {
                values.put(spot, self.shaped(&stack, prediction.mean))
            })?;
            return values.finish();
        };
        if probabilities {
            let mut all = Results::new(&stack, "float32", Some(classes.len()), out)?;
            self.each(&stack, false, |spot, prediction| all.put(spot, prediction.mean))?;
            return all.finish();
        }
        let values: Vec<i64> = classes.iter().map(|class| class.value).collect();
        fn all<T: TryFrom<i64>>(values: &[i64]) -> Option<Vec<T>> {
            values.iter().map(|&value| T::try_from(value).ok()).collect()
        }
        if let Some(values) = all::<u8>(&values) {
            self.labels(&stack, ("uint8", &values), out)
        } else if let Some(values) = all::<u16>(&values) {
            self.labels(&stack, ("uint16", &values), out)
        } else {
            self.labels(&stack, ("int64", &values), out)
        }
    }

    fn labels<'py, T: Element + Copy>(
        &self,
        stack: &Stack<'py>,
        (dtype, values): (&'static str, &[T]),
        out: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut labels = Results::new(stack, dtype, None, out)?;
        let classes = |ensemble: &mut inference::Ensemble, piece: Piece<'_>, watch: Watch<'_>| match piece {
            Piece::Image(image) => ensemble.classify(image, watch),
            Piece::Tile { patch, tile, whole } => ensemble.classify_tile(patch, tile, whole, watch),
        };
        self.each_piece(stack, classes, |spot, classes| {
            labels.put(spot, classes.mapv(|class| values[class as usize]))
        })?;
        labels.finish()
    }

    /// Mean, deviation and, for classes, entropy; see [`crate::ensemble::Ensemble::uncertainty`].
    pub fn uncertainty<'py>(
        &self,
        array: &Bound<'py, PyAny>,
        rescale: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let stack = self.stack(array, rescale)?;
        let segments = self.task() == TaskKind::Segment;
        let channels =
            if segments { Some(self.model().architecture.outputs) } else { self.value_channels(&stack) };
        let mut mean = Results::new(&stack, "float32", channels, None)?;
        let mut deviation = Results::new(&stack, "float32", channels, None)?;
        let mut entropy = Results::new(&stack, "float32", None, None)?;
        self.each(&stack, true, |spot, prediction| {
            if segments {
                entropy.put(spot, prediction.entropy())?;
            }
            mean.put(spot, self.shaped(&stack, prediction.mean))?;
            prediction.deviation.map_or(Ok(()), |values| deviation.put(spot, self.shaped(&stack, values)))
        })?;
        let result = PyDict::new(array.py());
        result.set_item("mean", mean.finish()?)?;
        result.set_item("deviation", deviation.finish()?)?;
        if segments {
            result.set_item("entropy", entropy.finish()?)?;
        }
        Ok(result)
    }

    /// The channels of values: none for a single one, where the images have none either.
    fn value_channels(&self, stack: &Stack<'_>) -> Option<usize> {
        let outputs = self.model().architecture.outputs;
        (outputs > 1 || stack.has_channels).then_some(outputs)
    }

    /// Values with the axes that [`Self::value_channels`] says.
    fn shaped(&self, stack: &Stack<'_>, values: Array3<f32>) -> ArrayD<f32> {
        let values = values.into_dyn();
        if self.task() == TaskKind::Regress && self.value_channels(stack).is_none() {
            return values.index_axis_move(Axis(0), 0);
        }
        values
    }

    /// How far, in pixels, results look to either side.
    pub fn halo(&self) -> usize {
        let halos = self.models.iter().map(|(_, model)| model.architecture.halo());
        halos.max().unwrap_or(0)
    }

    /// Applies the models to each image of `stack`, or to its tiles; see [`Self::each_piece`].
    fn each(
        &self,
        stack: &Stack<'_>,
        deviation: bool,
        take: impl FnMut(Spot, Prediction) -> PyResult<()>,
    ) -> PyResult<()> {
        let predict = |ensemble: &mut inference::Ensemble, piece: Piece<'_>, watch: Watch<'_>| match piece {
            Piece::Image(image) => ensemble.predict_watched(image, deviation, watch),
            Piece::Tile { patch, tile, whole } => ensemble.predict_tile(patch, tile, whole, deviation, watch),
        };
        self.each_piece(stack, predict, take)
    }

    /// Does `work` with the models for each image of `stack`, or for its tiles, without the interpreter's lock. Nothing is read and nothing
    /// taken while the models are held: other threads may be needed for that, and may wait for the models themselves.
    fn each_piece<T: Sliced + Send>(
        &self,
        stack: &Stack<'_>,
        work: impl Fn(&mut inference::Ensemble, Piece<'_>, Watch<'_>) -> msd_gpu::Result<T> + Sync,
        mut take: impl FnMut(Spot, T) -> PyResult<()>,
    ) -> PyResult<()> {
        if stack.is_volume {
            return self.each_tile_of_volume(stack, work, take);
        }
        let tiled = stack.windows().filter(|_| !stack.tiles.is_empty());
        for index in stack.indices() {
            let Some(windows) = tiled else {
                let image = stack.image(index)?;
                let found = self.compute(stack, index, &image, |ensemble, watch| {
                    work(ensemble, Piece::Image(&image), watch)
                })?;
                take(Spot { index, window: None }, found)?;
                continue;
            };
            let whole = self.measured(stack, windows, index)?;
            for tile in &stack.tiles {
                let patch = windows.patch(stack.py, index, &tile.patch)?;
                let piece = Piece::Tile { patch: &patch, tile, whole: &whole };
                let found =
                    self.compute(stack, index, &patch, |ensemble, watch| work(ensemble, piece, watch))?;
                take(Spot { index, window: Some(tile.core) }, found)?;
            }
        }
        Ok(())
    }

    /// As [`Self::each_piece`], for an array that is a volume: the slices of each of its tiles are taken one by one.
    fn each_tile_of_volume<T: Sliced + Send>(
        &self,
        stack: &Stack<'_>,
        work: impl Fn(&mut inference::Ensemble, Piece<'_>, Watch<'_>) -> msd_gpu::Result<T> + Sync,
        mut take: impl FnMut(Spot, T) -> PyResult<()>,
    ) -> PyResult<()> {
        let numbered = |slice: usize| stack.count.map(|_| slice);
        let whole = self.measured_volume(stack)?;
        let plane = stack.extent();
        for tile in &stack.tiles {
            let mut patch = Vec::new();
            for slice in tile.patch.slices() {
                let window = Window::plane(tile.patch.rows(), tile.patch.columns());
                patch.push(match stack.windows() {
                    Some(windows) => windows.patch(stack.py, numbered(slice), &window)?,
                    None => {
                        let image = stack.image(numbered(slice))?;
                        image.slice_move(s![.., window.rows(), window.columns()])
                    }
                });
            }
            let views: Vec<_> = patch.iter().map(|slice| slice.view()).collect();
            let patch =
                concatenate(Axis(1), &views).map_err(|error| PyValueError::new_err(error.to_string()))?;
            let first = numbered(tile.core.slices().start);
            let piece = Piece::Tile { patch: &patch, tile, whole: &whole };
            let found = self.compute(stack, first, &patch, |ensemble, watch| work(ensemble, piece, watch))?;
            let core = Window::plane(tile.core.rows(), tile.core.columns());
            let window = (core.extent != plane).then_some(core);
            for (slice, found) in tile.core.slices().zip(found.slices(tile.core.extent.z)) {
                take(Spot { index: numbered(slice), window }, found)?;
            }
        }
        Ok(())
    }

    /// What has to be known of a volume before its tiles are computed, read slice by slice.
    fn measured_volume(&self, stack: &Stack<'_>) -> PyResult<WholeImage> {
        let (name, channels, rescale) = (stack.name_of(None), stack.channels(), stack.rescale);
        let measures = stack.py.detach(|| {
            let mut ensemble = self.lock();
            let ensemble = ensemble.as_mut().ok_or_else(gone)?;
            ensemble.check_channels(&name, channels)?;
            ensemble.rescale(rescale);
            Ok(ensemble.measures())
        });
        let mut failed = None;
        let found = WholeImage::measured_by_slices(
            &measures.map_err(raised)?,
            channels,
            stack.count.unwrap_or(1),
            &mut |slice| {
                stack.image(stack.count.map(|_| slice)).map_err(|error| {
                    failed = Some(error);
                    Error::Stopped { done: 0, count: 1 }
                })
            },
        );
        match failed {
            Some(error) => Err(error),
            None => found.map_err(raised),
        }
    }

    /// Has the models compute something of an image, or of a part of it, without the interpreter's lock.
    fn compute<T: Send>(
        &self,
        stack: &Stack<'_>,
        index: Option<usize>,
        pixels: &Array3<f32>,
        work: impl FnOnce(&mut inference::Ensemble, Watch<'_>) -> msd_gpu::Result<T> + Send,
    ) -> PyResult<T> {
        let (name, rescale, mut interrupted) = (stack.name_of(index), stack.rescale, None);
        let found = stack.py.detach(|| {
            let mut ensemble = self.lock();
            let ensemble = ensemble.as_mut().ok_or_else(gone)?;
            ensemble.check_channels(&name, pixels.dim().0)?;
            ensemble.rescale(rescale);
            ensemble.warn_of_range(&name, pixels);
            work(ensemble, &mut |_| heard(&mut interrupted))
        });
        match interrupted {
            Some(error) => Err(error),
            None => found.map_err(raised),
        }
    }

    /// What has to be known of an image before its tiles are computed, read band by band.
    fn measured(&self, stack: &Stack<'_>, windows: &Windows, index: Option<usize>) -> PyResult<WholeImage> {
        let (name, channels, extent) = (stack.name_of(index), stack.channels(), stack.extent());
        let (rescale, mut failed) = (stack.rescale, None);
        let found = stack.py.detach(|| {
            let measures = {
                let mut ensemble = self.lock();
                let ensemble = ensemble.as_mut().ok_or_else(gone)?;
                ensemble.check_channels(&name, channels)?;
                ensemble.rescale(rescale);
                ensemble.measures()
            };
            WholeImage::measured(&measures, channels, extent, &mut |window| {
                let read = Python::attach(|py| windows.patch(py, index, window));
                read.map_err(|error| {
                    failed = Some(error);
                    Error::Stopped { done: 0, count: 1 }
                })
            })
        });
        match failed {
            Some(error) => Err(error),
            None => found.map_err(raised),
        }
    }

    /// See [`crate::model::Model::evaluate`]; `function` is what errors call it, and `options` what was given by name.
    pub fn evaluate<'py>(
        &self,
        function: &str,
        images: &Bound<'py, PyAny>,
        targets: &Bound<'py, PyAny>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        process::enter()?;
        self.check_grid()?;
        let py = images.py();
        let options = Options::read(function, options, &OPTIONS)?;
        let [weights, ignore, threshold, classes, range, window, circle, rescale] =
            OPTIONS.map(|name| options.get(name));
        let ignore = ignore.map(|value| keywords::label("ignore", &value)).transpose()?;
        let threshold = threshold.map(|value| keywords::label("threshold", &value)).transpose()?;
        let classes = classes.map(|value| keywords::text("classes", &value)).transpose()?;
        let range = range.map(|value| keywords::number("data_range", &value)).transpose()?;
        let window = window.map(|value| keywords::text("ssim_window", &value)).transpose()?;
        let window = window.map(|text| text.parse()).transpose().map_err(raised)?;
        let circle = keywords::flag("circle", circle.as_ref())?;
        let scoring = Scoring::new(self.model(), ignore, range);
        let scoring = scoring.and_then(|scoring| scoring.by_rule(threshold, classes.as_deref()));
        let scoring =
            scoring.and_then(|scoring| scoring.measured_in(self.model(), window, circle)).map_err(raised)?;
        let rescale = self.measure(rescale.as_ref())?;
        let kind = TargetKind::of(self.task(), matches!(scoring.rule(), LabelRule::Colours(_)));
        let of_volumes = self.model().architecture.is_of_volumes();
        let pairs = Pairs::of(TRAINING, images, targets, weights.as_ref(), kind, of_volumes)?;
        let mut listener = Listener { interrupted: None };
        let report = py.detach(|| {
            let mut ensemble = self.lock();
            let ensemble = ensemble.as_mut().ok_or_else(gone)?;
            ensemble.rescale(rescale);
            if let Some((name, channels)) = pairs.first() {
                ensemble.check_channels(&name, channels)?;
            }
            let dataset = match self.model().classes().first() {
                Some(class) => {
                    let unlabelled = ignore.or_else(|| pairs.some_label()).unwrap_or(class.value);
                    pairs.with_classes(&scoring, unlabelled)?
                }
                None => pairs.with_values()?,
            };
            // The slices of volumes stay, as their neighbours are seen with them.
            let dataset = match (of_volumes, self.model().classes().is_empty()) {
                (true, _) => dataset.into_volumes()?.without_unlabelled()?,
                (false, false) => dataset.without_unlabelled()?,
                (false, true) => dataset,
            };
            let evaluation = scoring.run(ensemble, dataset, &mut listener)?;
            Ok(scoring.report(ensemble, &evaluation).to_string())
        });
        if let Some(error) = listener.interrupted {
            return Err(error);
        }
        let report = py.import("json")?.call_method1("loads", (report.map_err(raised)?,))?;
        Ok(report.cast_into::<PyDict>()?)
    }
}

/// Where a device's memory was freed, which happens at the end alone.
fn gone() -> Error {
    Error::Mismatch("the model is closed".into())
}

impl Drop for Applied {
    fn drop(&mut self) {
        // After a fork, threads and devices belong to the other process: freeing them here might wait for these.
        if self.process != std::process::id() {
            let ensemble = self.ensemble.get_mut().unwrap_or_else(PoisonError::into_inner);
            mem::forget(ensemble.take());
        }
    }
}

/// Stops the work where Ctrl-C was pressed, or a signal handler of Python's raised something else.
fn heard(interrupted: &mut Option<PyErr>) -> Flow {
    match Python::attach(|py| py.check_signals()) {
        Ok(()) => Flow::Continue(()),
        Err(error) => {
            *interrupted = Some(error);
            Flow::Break(())
        }
    }
}

/// Listens to Ctrl-C while images are scored.
struct Listener {
    interrupted: Option<PyErr>,
}

impl Watcher for Listener {
    fn image(&mut self, _image: &ImageReport<'_>) -> Flow {
        heard(&mut self.interrupted)
    }
}
