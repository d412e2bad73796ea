//! Models on a device, as they are applied to arrays: what `Model` and `Ensemble` have in common.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use msd_gpu::Error;
use msd_gpu::devices::{self, Device, TuningPolicy};
use msd_gpu::evaluation::Scoring;
use msd_gpu::inference::{self, Prediction};
use msd_gpu::network::{self, Measure, Task};
use msd_gpu::samples::LabelRule;
use msd_gpu::training::TaskKind;
use msd_gpu::watcher::{Flow, ImageReport, Watcher};
use ndarray::{Array, Array3, ArrayD, Axis, Dimension};
use numpy::{Element, PyArrayDyn, PyArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::Numbers;
use crate::errors::{log_line, raised, setting};
use crate::keywords;
use crate::pairs::{Pairs, TRAINING, TargetKind};
use crate::process;

/// The keywords of `evaluate`.
const OPTIONS: [&str; 6] = ["weights", "ignore", "threshold", "classes", "data_range", "rescale"];

/// What was given by name, of one function's keywords. None counts as not given.
struct Options<'a, 'py>(Option<&'a Bound<'py, PyDict>>);

impl<'a, 'py> Options<'a, 'py> {
    fn read(function: &str, given: Option<&'a Bound<'py, PyDict>>) -> PyResult<Self> {
        keywords::refuse(function, given, &OPTIONS)?;
        Ok(Self(given))
    }

    fn get(&self, name: &str) -> Option<Bound<'py, PyAny>> {
        // A dict with text as keys has no errors but the missing one.
        self.0?.get_item(name).ok().flatten().filter(|value| !value.is_none())
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
    fn measure(&self, rescale: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Measure>> {
        let text = rescale.map(|rescale| keywords::text("rescale", rescale)).transpose()?;
        let measure = text.map(|text| inference::Ensemble::rescale_measure(&text, &self.models));
        measure.transpose().map_err(raised)
    }

    /// The class of each pixel, the probabilities of the classes, or values; see [`crate::model::Model::predict`].
    pub fn predict<'py>(
        &self,
        array: &Bound<'py, PyAny>,
        probabilities: bool,
        rescale: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let stack = Stack::of(array, self)?.rescaled(self.measure(rescale)?);
        let Task::Segment { classes } = &self.model().task else {
            if probabilities {
                return Err(setting("probabilities", "True for a regression", "only classes have some"));
            }
            let mut values = Output::new(&stack, "float32");
            self.each(&stack, false, |index, prediction| {
                values.put(index, self.shaped(&stack, prediction.mean))
            })?;
            return values.finish();
        };
        if probabilities {
            let mut all = Output::new(&stack, "float32");
            self.each(&stack, false, |index, prediction| all.put(index, prediction.mean))?;
            return all.finish();
        }
        let values: Vec<i64> = classes.iter().map(|class| class.value).collect();
        fn all<T: TryFrom<i64>>(values: &[i64]) -> Option<Vec<T>> {
            values.iter().map(|&value| T::try_from(value).ok()).collect()
        }
        if let Some(values) = all::<u8>(&values) {
            self.labels(&stack, "uint8", &values)
        } else if let Some(values) = all::<u16>(&values) {
            self.labels(&stack, "uint16", &values)
        } else {
            self.labels(&stack, "int64", &values)
        }
    }

    fn labels<'py, T: Element + Copy>(
        &self,
        stack: &Stack<'py>,
        dtype: &'static str,
        values: &[T],
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut labels = Output::new(stack, dtype);
        self.each(stack, false, |index, prediction| {
            labels.put(index, prediction.classes().mapv(|class| values[class as usize]))
        })?;
        labels.finish()
    }

    /// Mean, deviation and, for classes, entropy; see [`crate::ensemble::Ensemble::uncertainty`].
    pub fn uncertainty<'py>(
        &self,
        array: &Bound<'py, PyAny>,
        rescale: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let stack = Stack::of(array, self)?.rescaled(self.measure(rescale)?);
        let segments = self.task() == TaskKind::Segment;
        let [mut mean, mut deviation, mut entropy] = [(); 3].map(|()| Output::new(&stack, "float32"));
        self.each(&stack, true, |index, prediction| {
            if segments {
                entropy.put(index, prediction.entropy())?;
            }
            mean.put(index, self.shaped(&stack, prediction.mean))?;
            prediction.deviation.map_or(Ok(()), |values| deviation.put(index, self.shaped(&stack, values)))
        })?;
        let result = PyDict::new(array.py());
        result.set_item("mean", mean.finish()?)?;
        result.set_item("deviation", deviation.finish()?)?;
        if segments {
            result.set_item("entropy", entropy.finish()?)?;
        }
        Ok(result)
    }

    /// Values without the axis of a single channel, where the images have none either.
    fn shaped(&self, stack: &Stack<'_>, values: Array3<f32>) -> ArrayD<f32> {
        let values = values.into_dyn();
        if self.task() == TaskKind::Regress && values.shape()[0] == 1 && !stack.has_channels {
            return values.index_axis_move(Axis(0), 0);
        }
        values
    }

    /// Applies the models to each image, without the interpreter's lock.
    fn each(
        &self,
        stack: &Stack<'_>,
        deviation: bool,
        mut take: impl FnMut(usize, Prediction) -> PyResult<()>,
    ) -> PyResult<()> {
        process::enter()?;
        let py = stack.py;
        for index in 0..stack.count.unwrap_or(1) {
            let part = stack.count.map(|_| stack.numbers.at(index)).transpose()?;
            let part = part.as_ref().unwrap_or(&stack.numbers);
            let (image, name) = (part.whole_image()?, part.name());
            let (rescale, mut interrupted) = (stack.rescale, None);
            let predicted = py.detach(|| {
                let mut ensemble = self.lock();
                let ensemble = ensemble.as_mut().ok_or_else(gone)?;
                ensemble.check_channels(name, image.dim().0)?;
                ensemble.rescale(rescale);
                ensemble.warn_of_range(name, &image);
                ensemble.predict_watched(&image, deviation, &mut |_| heard(&mut interrupted))
            });
            if let Some(error) = interrupted {
                return Err(error);
            }
            take(index, predicted.map_err(raised)?)?;
        }
        Ok(())
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
        let py = images.py();
        let options = Options::read(function, options)?;
        let [weights, ignore, threshold, classes, range, rescale] = OPTIONS.map(|name| options.get(name));
        let ignore = ignore.map(|value| keywords::label("ignore", &value)).transpose()?;
        let threshold = threshold.map(|value| keywords::label("threshold", &value)).transpose()?;
        let classes = classes.map(|value| keywords::text("classes", &value)).transpose()?;
        let range = range.map(|value| keywords::number("data_range", &value)).transpose()?;
        let scoring = Scoring::new(self.model(), ignore, range);
        let scoring =
            scoring.and_then(|scoring| scoring.by_rule(threshold, classes.as_deref())).map_err(raised)?;
        let rescale = self.measure(rescale.as_ref())?;
        let kind = TargetKind::of(self.task(), matches!(scoring.rule(), LabelRule::Colours(_)));
        let pairs = Pairs::of(TRAINING, images, targets, weights.as_ref(), kind)?;
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

/// The array that `predict` is given: an image, or several of equal size.
struct Stack<'py> {
    py: Python<'py>,
    numbers: Numbers<'py>,
    /// How many images there are; `None` for a single one, which comes back without that axis.
    count: Option<usize>,
    /// Whether images have an axis for channels.
    has_channels: bool,
    /// How images are brought to the range of those of training.
    rescale: Option<Measure>,
}

impl<'py> Stack<'py> {
    /// Three axes are a stack for models of images of one channel, and channels for others: with one channel, nobody needs an
    /// axis for it, and with several an image cannot be without.
    fn of(array: &Bound<'py, PyAny>, applied: &Applied) -> PyResult<Self> {
        let numbers = Numbers::of(array, "array")?;
        let inputs = applied.model().architecture.inputs;
        let (count, has_channels) = match (numbers.shape(), inputs) {
            ([_, _], _) => (None, false),
            (&[count, _, _], 1) => (Some(count), false),
            ([_, _, _], _) => (None, true),
            (&[count, _, _, _], _) => (Some(count), true),
            _ => (Some(0), true),
        };
        if count == Some(0) {
            let wanted = match inputs {
                1 => "(y, x), (n, y, x) or (n, 1, y, x), with at least one image".to_owned(),
                _ => format!("({inputs}, y, x) or (n, {inputs}, y, x), with at least one image"),
            };
            return Err(numbers.wrong_shape(&wanted));
        }
        let wanted =
            format!("with numpy.moveaxis({}, -1, -3), channels come before rows and columns", numbers.name());
        match numbers.shape() {
            [.., channels, _, last] if has_channels && *last == inputs && *channels != inputs => {
                let found = format!("{channels} channels, but {last} in its last axis");
                return Err(PyValueError::new_err(format!("{} has {found}; {wanted}", numbers.name())));
            }
            // A stack of columns is unusual, but it is one.
            &[images, rows, 1] if !has_channels && images > 1 => {
                let found = format!("{} is taken for {images} images of 1 x {rows} pixels", numbers.name());
                log_line(array.py(), "warning", &format!("{found}; {wanted}"))?;
            }
            _ => {}
        }
        Ok(Self { py: array.py(), numbers, count, has_channels, rescale: None })
    }

    fn rescaled(self, rescale: Option<Measure>) -> Self {
        Self { rescale, ..self }
    }
}

/// The array that results are put into; NumPy makes it, so that what does not fit the memory is a `MemoryError`.
struct Output<'a, 'py, T: Element> {
    stack: &'a Stack<'py>,
    dtype: &'static str,
    all: Option<Bound<'py, PyArrayDyn<T>>>,
}

impl<'a, 'py, T: Element + Copy> Output<'a, 'py, T> {
    fn new(stack: &'a Stack<'py>, dtype: &'static str) -> Self {
        Self { stack, dtype, all: None }
    }

    fn put<D: Dimension>(&mut self, index: usize, one: Array<T, D>) -> PyResult<()> {
        let one = one.into_dyn();
        if self.all.is_none() {
            let mut shape = one.shape().to_vec();
            if let Some(count) = self.stack.count {
                shape.insert(0, count);
            }
            let all = self.stack.py.import("numpy")?.call_method1("empty", (shape, self.dtype))?;
            self.all = Some(all.cast_into::<PyArrayDyn<T>>()?);
        }
        if let Some(all) = &self.all {
            let mut all = all.try_readwrite()?;
            let mut all = all.as_array_mut();
            match self.stack.count {
                Some(_) => all.index_axis_mut(Axis(0), index).assign(&one),
                None => all.assign(&one),
            }
        }
        Ok(())
    }

    /// The array; a masked one where the images were, with the same pixels masked.
    fn finish(self) -> PyResult<Bound<'py, PyAny>> {
        let Some(all) = self.all else { return Ok(self.stack.py.None().into_bound(self.stack.py)) };
        let (py, Stack { numbers, count, .. }) = (self.stack.py, self.stack);
        if !numbers.is_masked() {
            return Ok(all.into_any());
        }
        let numpy = py.import("numpy")?;
        let mask =
            numpy.call_method1("zeros", (all.getattr("shape")?, "bool"))?.cast_into::<PyArrayDyn<bool>>()?;
        {
            let mut mask = mask.try_readwrite()?;
            let mut mask = mask.as_array_mut();
            // The axes before those of the pixels are filled with the same.
            match count {
                Some(count) => {
                    for index in 0..*count {
                        if let Some(pixels) = numbers.at(index)?.masked_pixels()? {
                            mask.index_axis_mut(Axis(0), index).assign(&pixels);
                        }
                    }
                }
                None => {
                    if let Some(pixels) = numbers.masked_pixels()? {
                        mask.assign(&pixels);
                    }
                }
            }
        }
        let options = PyDict::new(py);
        options.set_item("mask", mask)?;
        numpy.getattr("ma")?.call_method("MaskedArray", (all,), Some(&options))
    }
}
