//! The function `train`.

use std::path::PathBuf;

use msd_gpu::devices::TuningPolicy;
use msd_gpu::network::Task;
use msd_gpu::samples::{Dataset, Labelled, Sample, Target};
use msd_gpu::training::{Prepared, Run, RunFolder, Settings, TaskKind};
use msd_gpu::watcher::{Epoch, Flow, ImageReport, StepReport, Watcher};
use ndarray::{Array2, Array3};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::{Map, Value, json};

use crate::arrays;
use crate::errors::{raised, setting};
use crate::model::Model;

/// Trains a network and gives the best model, on the device that it was trained on.
///
/// images: a sequence of arrays (y, x) or (c, y, x) of float32, float64, uint8 or uint16, of equal c; a stack
/// (n, y, x) or (n, c, y, x) is one, too. They may differ in size.
/// targets: for task="segment" as many label images (y, x) of whole numbers, whose values are the classes; for
/// task="regress" the wanted images, (y, x) or (c, y, x).
/// weights: how much each pixel counts, (y, x) for each image; 0 for not at all.
/// val_images, val_targets, val_weights: the same, to judge by; the model that is best on them is given. Or set
/// val_fraction.
/// out: a folder for the model, the curves and the checkpoint, as msd-gpu train makes it. Without it nothing is kept.
/// progress: called after each step as progress(step, loss, done, epoch): the latest known loss, the share of the run
/// that is done (NaN where no limit says so) and the last ended epoch as a dict, empty in the first; what validation
/// tells is NaN for an epoch that was not judged (see validate_every). It ends the run by returning False; what it
/// raises ends the run, too.
/// settings: those of config.toml, such as depth=50, lr=0.003, crop=256, batch=1, max_minutes=10, val_fraction=0.2,
/// init="model.safetensors", optimisation={"schedule": "cosine"}, augmentation={"rotate": 10}. Without max_minutes,
/// max_epochs or max_steps, a run ends after 1000 epochs.
///
/// Ctrl-C ends the run at the end of a step and raises KeyboardInterrupt; with out, the best model is there.
///
/// Raises TypeError for other arrays; ValueError for settings, shapes and values that cannot be used; RuntimeError when
/// the device fails or the loss is no longer a finite number.
#[pyfunction]
#[pyo3(signature = (images, targets, *, task, weights = None, val_images = None, val_targets = None,
    val_weights = None, out = None, progress = None, **settings))]
#[allow(clippy::too_many_arguments)] // They are keywords in Python.
pub fn train<'py>(
    py: Python<'py>,
    images: &Bound<'py, PyAny>,
    targets: &Bound<'py, PyAny>,
    task: &str,
    weights: Option<&Bound<'py, PyAny>>,
    val_images: Option<&Bound<'py, PyAny>>,
    val_targets: Option<&Bound<'py, PyAny>>,
    val_weights: Option<&Bound<'py, PyAny>>,
    out: Option<PathBuf>,
    progress: Option<Py<PyAny>>,
    settings: Option<&Bound<'py, PyDict>>,
) -> PyResult<Model> {
    let settings = read_settings(py, task, settings)?;
    let training = Pairs::of("", images, targets, weights, settings.task)?;
    let validation = match (val_images, val_targets) {
        (Some(images), Some(targets)) => {
            Some(Pairs::of("validation ", images, targets, val_weights, settings.task)?)
        }
        (None, None) => None,
        _ => return Err(setting("validation", "one array alone", "val_images and val_targets go together")),
    };
    let mut watcher = PythonWatcher { progress, epoch: PyDict::new(py).unbind(), raised: None };
    let model = py.detach(|| {
        let device = msd_gpu::devices::choose(&settings.device)?.with_policy(TuningPolicy::Kept);
        let prepared = prepare(&settings, training, validation)?;
        let folder = out.map(RunFolder::create).transpose()?;
        let run = Run::new(settings, &prepared).on(&device).watched_by(&mut watcher);
        let run = match &folder {
            Some(folder) => run.save_in(folder),
            None => run,
        };
        Model::open(run.train()?.model, &device, None)
    });
    match watcher.raised {
        Some(error) => Err(error),
        None => model.map_err(raised),
    }
}

/// The settings: those given, over those of the initial model, over the defaults.
fn read_settings(py: Python<'_>, task: &str, given: Option<&Bound<'_, PyDict>>) -> PyResult<Settings> {
    let mut given = given.map_or_else(|| Ok(Map::new()), |given| to_json(py, given))?;
    let mut for_files = Settings::all().filter(|setting| setting.is_for_files());
    if let Some(found) = for_files.find(|setting| given.contains_key(setting.name())) {
        return Err(setting(found.name(), "given beside arrays", "it is one of msd-gpu train; leave it out"));
    }
    let limited = ["max_epochs", "max_minutes", "max_steps"].iter().any(|limit| given.contains_key(*limit));
    given.entry("patience").or_insert(json!(Settings::default_patience(limited)));
    let mut settings = Settings::in_memory(parse(json!(task))?);
    if let Some(Value::String(path)) = given.get("init") {
        settings.start_from(path).map_err(raised)?;
    }
    let mut all = serde_json::to_value(&settings).map_err(|e| PyValueError::new_err(e.to_string()))?;
    if let Some(all) = all.as_object_mut() {
        all.append(&mut given);
    }
    parse(all)
}

fn parse<T: serde::de::DeserializeOwned>(settings: Value) -> PyResult<T> {
    serde_path_to_error::deserialize(settings).map_err(|e| {
        PyValueError::new_err(format!(
            "the settings cannot be used: {e}; wanted those of config.toml, as msd-gpu train writes it"
        ))
    })
}

/// A dict as JSON. NumPy's numbers become plain ones, and paths text.
fn to_json(py: Python<'_>, given: &Bound<'_, PyDict>) -> PyResult<Map<String, Value>> {
    let given = given.copy()?;
    if let Some(path) = given.get_item("init")? {
        given.set_item("init", py.import("os")?.call_method1("fspath", (path,))?)?;
    }
    let options = PyDict::new(py);
    options.set_item("default", py.import("operator")?.call_method1("methodcaller", ("item",))?)?;
    let text: String = py.import("json")?.call_method("dumps", (given,), Some(&options))?.extract()?;
    serde_json::from_str(&text)
        .map_err(|e| PyValueError::new_err(format!("the settings cannot be read: {e}")))
}

/// Images with what they are to become, as they came from Python.
struct Pairs {
    prefix: &'static str,
    images: Vec<Array3<f32>>,
    targets: Targets,
    weights: Option<Vec<Array2<f32>>>,
}

enum Targets {
    Labels(Vec<Array2<i64>>),
    Values(Vec<Array3<f32>>),
}

impl Pairs {
    fn of(
        prefix: &'static str,
        images: &Bound<'_, PyAny>,
        targets: &Bound<'_, PyAny>,
        weights: Option<&Bound<'_, PyAny>>,
        task: TaskKind,
    ) -> PyResult<Self> {
        let images = items(images, &format!("{prefix}image"), arrays::image)?;
        let target = format!("{prefix}target");
        let (targets, count) = match task {
            TaskKind::Segment => {
                let labels = items(targets, &target, arrays::labels)?;
                let count = labels.len();
                (Targets::Labels(labels), count)
            }
            TaskKind::Regress => {
                let values = items(targets, &target, arrays::image)?;
                let count = values.len();
                (Targets::Values(values), count)
            }
        };
        let weights =
            weights.map(|weights| items(weights, &format!("{prefix}weights"), arrays::plane)).transpose()?;
        for (what, count) in [("targets", Some(count)), ("weights", weights.as_ref().map(Vec::len))] {
            if let Some(count) = count.filter(|&count| count != images.len()) {
                return Err(PyValueError::new_err(format!(
                    "there are {} {prefix}images but {count} {what}; give one for each",
                    images.len()
                )));
            }
        }
        Ok(Self { prefix, images, targets, weights })
    }

    /// The names of the images in errors.
    fn name(&self, index: usize) -> String {
        format!("{}image {index}", self.prefix)
    }

    /// Images with label images; none where targets are values.
    fn labelled(self) -> Vec<Labelled> {
        let names: Vec<String> = (0..self.images.len()).map(|index| self.name(index)).collect();
        let mut weights = self.weights.map(Vec::into_iter);
        let Targets::Labels(labels) = self.targets else { return Vec::new() };
        let all = names.into_iter().zip(self.images).zip(labels);
        all.enumerate()
            .map(|(index, ((name, image), labels))| {
                let labels_name = format!("{}target {index}", self.prefix);
                let weights = weights.as_mut().and_then(Iterator::next);
                Labelled { name, image, labels, labels_name, weights }
            })
            .collect()
    }

    /// Images with the images that they are to become.
    fn dataset(self) -> msd_gpu::Result<Dataset> {
        let names: Vec<String> = (0..self.images.len()).map(|index| self.name(index)).collect();
        let mut weights = self.weights.map(Vec::into_iter);
        let Targets::Values(values) = self.targets else { return Dataset::from_memory(Vec::new()) };
        let all = names.into_iter().zip(self.images).zip(values);
        let sample = |((name, image), values): ((String, _), _)| {
            Sample::new(name, image, Target::Values(values))
                .with_weights(weights.as_mut().and_then(Iterator::next))
        };
        Dataset::from_memory(all.map(sample).collect())
    }
}

/// Reads each array of a sequence, or of the first axis of a stack.
fn items<T>(
    sequence: &Bound<'_, PyAny>,
    name: &str,
    read: impl Fn(&Bound<'_, PyAny>, &str) -> PyResult<T>,
) -> PyResult<Vec<T>> {
    sequence
        .try_iter()?
        .enumerate()
        .map(|(index, item)| {
            sequence.py().check_signals()?;
            read(&item?, &format!("{name} {index}"))
        })
        .collect()
}

/// Arrays to what a run takes.
fn prepare(settings: &Settings, training: Pairs, validation: Option<Pairs>) -> msd_gpu::Result<Prepared> {
    match settings.task {
        TaskKind::Segment => {
            Prepared::from_labels(settings, training.labelled(), validation.map(Pairs::labelled))
        }
        _ => {
            let validation = validation.map(Pairs::dataset).transpose()?;
            Prepared::new(settings, training.dataset()?, validation, Task::Regress)
        }
    }
}

/// Tells Python how the run comes along, and listens to Ctrl-C.
struct PythonWatcher {
    progress: Option<Py<PyAny>>,
    /// The last ended epoch.
    epoch: Py<PyDict>,
    /// What was raised, by Ctrl-C or by the callback.
    raised: Option<PyErr>,
}

impl PythonWatcher {
    fn answer(&mut self, result: PyResult<bool>) -> Flow {
        match result {
            Ok(true) => return Flow::Continue(()),
            Ok(false) => {}
            Err(error) => self.raised = Some(error),
        }
        Flow::Break(())
    }
}

impl Watcher for PythonWatcher {
    fn step(&mut self, report: &StepReport) -> Flow {
        let goes_on = Python::attach(|py| {
            py.check_signals()?;
            let Some(progress) = &self.progress else { return Ok(true) };
            let answer = progress.call1(py, (report.step, report.loss, report.done, &self.epoch))?;
            Ok(!matches!(answer.extract::<bool>(py), Ok(false)))
        });
        self.answer(goes_on)
    }

    fn image(&mut self, _image: &ImageReport<'_>) -> Flow {
        let goes_on = Python::attach(|py| py.check_signals().map(|()| true));
        self.answer(goes_on)
    }

    fn epoch(&mut self, last: &Epoch) -> Flow {
        let numbers = Python::attach(|py| {
            let epoch = PyDict::new(py);
            epoch.set_item("epoch", last.epoch)?;
            epoch.set_item("step", last.step)?;
            epoch.set_item("training_loss", last.training_loss)?;
            epoch.set_item("validation_loss", last.validation_loss)?;
            for (name, value) in &last.metrics {
                epoch.set_item(name, value)?;
            }
            epoch.set_item("learning_rate", last.learning_rate)?;
            epoch.set_item("best", last.best)?;
            self.epoch = epoch.unbind();
            Ok(true)
        });
        self.answer(numbers)
    }
}
