//! The function `train`.

use std::path::Path;
use std::time::{Duration, Instant};

use msd_gpu::network::Task;
use msd_gpu::training::{Prepared, Run, RunFolder, Settings, TaskKind, check_same_settings};
use msd_gpu::watcher::{Epoch, Flow, ImageReport, StepReport, Watcher};
use pyo3::create_exception;
use pyo3::exceptions::{PyKeyboardInterrupt, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::applied::Place;
use crate::errors::{log_line, raised, setting};
use crate::keywords;
use crate::model::{Model, epoch_dict};
use crate::pairs::{Pairs, TRAINING, TargetKind, VALIDATION};
use crate::process;
use crate::settings::Given;

/// How often Ctrl-C is asked for within a step.
const LISTENS_EVERY: Duration = Duration::from_millis(100);

create_exception!(
    msd_gpu,
    TrainingInterrupted,
    PyKeyboardInterrupt,
    "Ctrl-C ended a training run.\n\nmodel: the best Model so far, with its history; None where no step was made."
);

/// The keywords of `train` that are no settings.
const KEYWORDS: [&str; 11] = [
    "images",
    "targets",
    "task",
    "weights",
    "val_images",
    "val_targets",
    "val_weights",
    "out",
    "resume",
    "progress",
    "verbose",
];

/// Trains a network and gives the best model, on the device that it was trained on.
///
/// images: a sequence of arrays (y, x) or (c, y, x), of equal c; a stack (n, y, x) or (n, c, y, x) is one, too. They may
/// differ in size. Integers, floating-point numbers and booleans of any size, byte order and layout are taken; all become
/// float32.
/// targets: for task="segment" as many label images (y, x), whose values are the classes: integers, booleans, or whole
/// floating-point numbers with NaN where nobody labelled a pixel; with colours, (y, x, 3) as well: red, green and blue, whole
/// numbers from 0 to 255. For task="regress" the wanted images, (y, x) or (c, y, x).
/// task: "segment" or "regress"; a run that is resumed has its own.
/// weights: how much each pixel counts, (y, x) for each image; 0 for not at all. Masked pixels of masked arrays do not count,
/// whether the image, the target or the weights are masked; what is masked in an image is filled with the mean of its channel.
/// val_images, val_targets, val_weights: the same, to judge by; the model that is best on them is given. Or set
/// val_fraction.
/// out: a folder for the model, the curves and the checkpoint, as msd-gpu train makes it. Without it nothing is kept.
/// resume: the folder of a run to go on with, on the same images; of the settings, only limits, patience, device and
/// tensorboard may be given anew. New limits take the place of all old ones.
/// progress: called after each step as progress(step, loss, done, epoch): the latest known loss, the share of the run
/// that is done (NaN where no limit says so) and the last ended epoch as a dict as in Model.history, empty in the first.
/// It ends the run by returning False; what it raises ends the run, too.
/// verbose: print a line for each epoch to sys.stderr. The logger "msd_gpu" gets these lines in any case, as INFO.
///
/// Settings, by name as in config.toml (None is as good as leaving them out):
/// val_fraction (share of the images to judge by), ignore (label of pixels that nobody labelled), threshold (labels from this one
/// on are class 1), classes (only these labels are classes, "0,255" or "0,rest"), colours (labels are colours, (y, x, 3) or
/// 65536 red + 256 green + blue: "auto", or those that are classes, "#000000,#ff0000"), class_names ("background,cell", in the
/// order of the labels), class_weights ("balanced", or a number for each class), init (model file or run folder to start from),
/// freeze (layers that stay as they are), normalise ("mean", or percentiles "1..99"), normalise_per_image;
/// dimensions=2 (3: the images are the slices of one volume; where they and the targets are lists of arrays (z, y, x), each of these is
/// one, and slices with channels are given as one array (n, c, y, x)), dilations_z ("0..2", distances in slices, or voxel_size "5,1,1" to choose
/// them);
/// depth (50, or 20 for strokes), width=1, dilations="1..10", boundary="reflect", stem ("auto", "none", or sizes in pixels,
/// "0.7,1.6,3.5,8");
/// mixing_start ("fitted" to labelled pixels, or "zero"), class_shares (those of "labels", or where these are strokes those that are found in
/// "images"), batch=1, crop (size of the pieces that are shown, 256 or 192; 0 for whole
/// images), symmetries="all", favour_rare (the share of pieces about a pixel of a class drawn evenly: 0, or 0.5 where a class is rare),
/// favour_labelled (the share of pieces about a labelled pixel), lr=0.003;
/// max_epochs, max_minutes, max_steps (limits; 1000 epochs without any), patience (epochs without a better model),
/// validate_every (epochs), monitor (what the best model is best in: "loss", or "iou" where a class is rare), seed=1, device="auto",
/// precision="full" (or "half": how a GPU stores feature maps and gradient maps), tensorboard=False;
/// optimisation: a dict of loss, optimizer, weight_decay, clip_norm, ema, schedule, warmup_steps, lr_steps, lr_factor,
/// lr_patience;
/// augmentation: a dict of rotate, scale, elastic, blur, contrast, brightness, gamma, poisson, noise.
/// msd-gpu train --help describes each.
///
/// Ctrl-C ends the run at the end of a step and raises TrainingInterrupted, which is a KeyboardInterrupt: its attribute model
/// is the best model so far, and with out, the files are there.
///
/// Raises TypeError for unknown keywords, for values of another type and for what is no array of numbers; ValueError for
/// settings, shapes and numbers that cannot be used; FileNotFoundError or another OSError for folders that cannot be read or
/// written; MemoryError; RuntimeError when the device fails, the loss is no longer a finite number, and in a process that was
/// forked after msd_gpu was used.
#[pyfunction]
#[pyo3(signature = (images, targets, *, task = None, weights = None, val_images = None, val_targets = None,
    val_weights = None, out = None, resume = None, progress = None, verbose = None, **settings),
    text_signature = "(images, targets, *, task=None, weights=None, val_images=None, val_targets=None, val_weights=None, out=None, resume=None, progress=None, verbose=False, **settings)")]
#[allow(clippy::too_many_arguments)] // They are keywords in Python.
pub fn train<'py>(
    py: Python<'py>,
    images: &Bound<'py, PyAny>,
    targets: &Bound<'py, PyAny>,
    task: Option<&Bound<'py, PyAny>>,
    weights: Option<&Bound<'py, PyAny>>,
    val_images: Option<&Bound<'py, PyAny>>,
    val_targets: Option<&Bound<'py, PyAny>>,
    val_weights: Option<&Bound<'py, PyAny>>,
    out: Option<&Bound<'py, PyAny>>,
    resume: Option<&Bound<'py, PyAny>>,
    progress: Option<&Bound<'py, PyAny>>,
    verbose: Option<&Bound<'py, PyAny>>,
    settings: Option<&Bound<'py, PyDict>>,
) -> PyResult<Model> {
    process::enter()?;
    let out = out.map(|out| keywords::path("out", out)).transpose()?;
    let resume = resume.map(|resume| keywords::path("resume", resume)).transpose()?;
    let verbose = keywords::flag("verbose", verbose)?;
    let task = task.map(|task| keywords::text("task", task)).transpose()?;
    let progress = match progress {
        Some(progress) if !progress.is_callable() => {
            return Err(keywords::wrong_type("progress", progress, "a function"));
        }
        progress => progress.map(|progress| progress.clone().unbind()),
    };
    if out.is_some() && resume.is_some() {
        return Err(PyTypeError::new_err(
            "train() takes out or resume, not both: a resumed run stays in its folder",
        ));
    }
    let given = Given::read(settings, &KEYWORDS)?;
    let settings = read_settings(task.as_deref(), resume.as_deref(), &given)?;
    let kind = TargetKind::of(settings.task, settings.colours.is_some());
    let training = Pairs::of(TRAINING, images, targets, weights, kind, settings.is_of_volumes())?;
    let validation = match (val_images, val_targets, val_weights) {
        (Some(images), Some(targets), weights) => {
            Some(Pairs::of(VALIDATION, images, targets, weights, kind, settings.is_of_volumes())?)
        }
        (None, None, None) => None,
        _ => {
            let wanted = "val_images and val_targets go together, and val_weights with them";
            return Err(PyTypeError::new_err(format!(
                "train() got a part of the validation images; {wanted}"
            )));
        }
    };
    if settings.task == TaskKind::Segment && training.some_label().is_none() && training.first().is_some() {
        let problem =
            "no pixel of targets has a label: all are masked, NaN, or there are none; label some of them";
        return Err(PyValueError::new_err(problem));
    }
    let place = Place { device: settings.device.clone(), tile: None };
    let (epoch, listened) = (PyDict::new(py).unbind(), Instant::now());
    let mut watcher = PythonWatcher { progress, verbose, epoch, raised: None, listened };
    let trained = py.detach(|| {
        let devices = place.choose_all()?;
        let prepared = prepare(&settings, training, validation)?;
        let folder = match (&out, &resume) {
            (Some(out), _) => Some(RunFolder::create(out)?),
            (None, Some(resume)) => Some(RunFolder::open(resume)?),
            (None, None) => None,
        };
        let run = Run::new(settings, &prepared).on_all(&devices).watched_by(&mut watcher);
        let run = match &folder {
            Some(folder) => run.save_in(folder),
            None => run,
        };
        let outcome = if resume.is_some() { run.resume() } else { run }.train()?;
        let (steps, best) = (outcome.steps, outcome.best_epoch);
        // One device applies the model.
        let place = match &devices[..] {
            [_] => place,
            several => Place { device: several[0].info.name.clone(), ..place },
        };
        Ok((Model::open(outcome.model, outcome.history, place, devices.first())?, steps, best))
    });
    match watcher.raised {
        Some(error) if error.is_instance_of::<PyKeyboardInterrupt>(py) => {
            let Ok((model, steps, best)) = trained else { return Err(error) };
            Err(interrupted(py, model, steps, best, out.or(resume).as_deref())?)
        }
        Some(error) => Err(error),
        None => trained.map(|(model, ..)| model).map_err(raised),
    }
}

/// What Ctrl-C raises, with the best model.
fn interrupted(
    py: Python<'_>,
    model: Model,
    steps: u64,
    best: u64,
    folder: Option<&Path>,
) -> PyResult<PyErr> {
    if best == 0 {
        let error = TrainingInterrupted::new_err("training was interrupted before its first step");
        error.value(py).setattr("model", py.None())?;
        return Ok(error);
    }
    let place = folder.map_or(String::new(), |folder| format!(" and in {}", folder.display()));
    let error = TrainingInterrupted::new_err(format!(
        "training was interrupted after {steps} steps; the best model so far, that of epoch {best}, is in the attribute model{place}"
    ));
    error.value(py).setattr("model", Bound::new(py, model)?)?;
    Ok(error)
}

/// The settings: those given, over those of the run that is resumed or of the initial model, over the defaults.
fn read_settings(task: Option<&str>, resume: Option<&Path>, given: &Given) -> PyResult<Settings> {
    let task = task.map(str::parse::<TaskKind>).transpose().map_err(raised)?;
    let Some(folder) = resume else {
        let task =
            task.ok_or_else(|| PyTypeError::new_err("train() needs task=\"segment\" or task=\"regress\""))?;
        let mut settings = Settings::in_memory(task);
        if let Some(path) = given.get("init") {
            settings.start_from(path).map_err(raised)?;
        }
        given.apply(&mut settings)?;
        if given.get("patience").is_none() {
            settings.patience = Settings::default_patience(settings.has_limit());
        }
        return Ok(settings);
    };
    let started = RunFolder::settings(folder).map_err(raised)?;
    if let Some(task) = task.filter(|&task| task != started.task) {
        return Err(setting(
            "task",
            task,
            &format!("the run to resume is of {}; leave it out", started.task),
        ));
    }
    let mut limits = Settings::in_memory(started.task);
    limits.clear_limits();
    given.apply(&mut limits)?;
    let mut settings = started.clone();
    if limits.has_limit() {
        settings.clear_limits();
    }
    given.apply(&mut settings)?;
    check_same_settings(&started, &settings).map_err(raised)?;
    settings.fill_limit();
    Ok(settings)
}

/// Arrays to what a run takes.
fn prepare(settings: &Settings, training: Pairs, validation: Option<Pairs>) -> msd_gpu::Result<Prepared> {
    match settings.task {
        TaskKind::Segment => {
            // The library says what is wrong where there is no label at all.
            let unlabelled = settings.ignore.or_else(|| training.some_label()).unwrap_or_default();
            let labelled = |pairs: Pairs| pairs.labelled(unlabelled);
            Prepared::from_labels(settings, labelled(training), validation.map(labelled))
        }
        TaskKind::Regress => {
            let validation = validation.map(Pairs::with_values).transpose()?;
            Prepared::new(settings, training.with_values()?, validation, Task::Regress)
        }
    }
}

/// Tells Python how the run comes along, and listens to Ctrl-C.
struct PythonWatcher {
    progress: Option<Py<PyAny>>,
    verbose: bool,
    /// The last ended epoch.
    epoch: Py<PyDict>,
    /// What was raised, by Ctrl-C or by the callback.
    raised: Option<PyErr>,
    /// When Ctrl-C was last asked for within a step.
    listened: Instant,
}

impl PythonWatcher {
    fn answer(&mut self, result: PyResult<bool>) -> Flow {
        match result {
            Ok(true) => return Flow::Continue(()),
            Ok(false) => {}
            // The first is what ended the run.
            Err(error) => drop(self.raised.get_or_insert(error)),
        }
        Flow::Break(())
    }
}

impl Watcher for PythonWatcher {
    fn within_step(&mut self) -> Flow {
        // The interpreter may be busy with another thread, and would be waited for after each layer.
        if self.listened.elapsed() < LISTENS_EVERY {
            return Flow::Continue(());
        }
        self.listened = Instant::now();
        let goes_on = Python::attach(|py| py.check_signals().map(|()| true));
        self.answer(goes_on)
    }

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
            self.epoch = epoch_dict(py, last)?.unbind();
            let line = last.to_string();
            log_line(py, "info", &line)?;
            if self.verbose {
                let stderr = py.import("sys")?.getattr("stderr")?;
                // Programs without a console have none.
                if !stderr.is_none() {
                    stderr.call_method1("write", (line + "\n",))?;
                    stderr.call_method0("flush")?;
                }
            }
            Ok(true)
        });
        self.answer(numbers)
    }
}
