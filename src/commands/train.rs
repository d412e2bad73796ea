//! `msd-gpu train`: from images and targets to a model.

use std::path::PathBuf;

use clap::Args;
use log::info;

use super::augmentation::AugmentationArguments;
use super::data::DataArguments;
use super::device::TuningArguments;
use super::folds;
use super::optimisation::OptimisationArguments;
use super::training_progress::{ProgressWatcher, describe, report};
use crate::geometry::Boundary;
use crate::training::{
    Monitor, Prepared, Run, RunFolder, Settings, TaskKind, check_same_settings, preview_augmentation,
    read_settings,
};
use crate::{Error, Result};

/// Arguments of `train`. What is not given comes from `--config`, and else from the defaults in brackets.
#[derive(Debug, Args)]
pub struct TrainArguments {
    /// What to learn: the class of each pixel, or its values (denoising and the like)
    #[arg(value_enum)]
    task: Option<TaskKind>,
    /// Training images: a folder, a glob in quotes, or a stack (PNG, TIFF)
    #[arg(long)]
    images: Option<String>,
    /// Their targets, of the same names: label images, or the wanted images
    #[arg(long)]
    targets: Option<String>,
    /// Validation images; the model that is best on them is kept
    #[arg(long)]
    val_images: Option<String>,
    /// Targets of the validation images
    #[arg(long)]
    val_targets: Option<String>,
    /// Set this share of the training images aside for validation instead
    #[arg(long, allow_negative_numbers = true)]
    val_fraction: Option<f64>,
    /// Start from the parameters of this model (run folder or model file), with its layers and its normalisation
    #[arg(long, value_name = "M", conflicts_with = "resume")]
    init: Option<String>,
    /// Keep the first N layers as --init has them [0]
    #[arg(long, value_name = "N")]
    freeze: Option<usize>,
    /// Number of layers [50]
    #[arg(long)]
    depth: Option<usize>,
    /// Channels of each layer [1]
    #[arg(long)]
    width: Option<usize>,
    /// Dilations of the layers, like 1..10 or 1,2,4,8 [1..10]
    #[arg(long)]
    dilations: Option<String>,
    /// What is seen beyond the edge of an image [reflect]
    #[arg(long, value_enum)]
    boundary: Option<Boundary>,
    /// Images in each step [1]
    #[arg(long)]
    batch: Option<usize>,
    /// Show random pieces of N x N pixels; 0 for whole images [256]
    #[arg(long, value_name = "N")]
    crop: Option<usize>,
    /// Show images only as they are, not in all eight flips and rotations
    #[arg(long)]
    no_symmetries: bool,
    /// Place this share of the pieces about a pixel of a class drawn evenly [0]
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    favour_rare: Option<f64>,
    /// What the best model is best in, on the validation images [loss]
    #[arg(long, value_enum)]
    monitor: Option<Monitor>,
    /// Learning rate [0.003]
    #[arg(long, allow_negative_numbers = true)]
    lr: Option<f64>,
    /// Stop after this many epochs [1000 when no limit is given]
    #[arg(long)]
    max_epochs: Option<u64>,
    /// Stop after this many minutes
    #[arg(long, allow_negative_numbers = true)]
    max_minutes: Option<f64>,
    /// Stop after this many steps
    #[arg(long)]
    max_steps: Option<u64>,
    /// Stop after this many epochs without a better model; 0 for never [100, or never when a limit is given]
    #[arg(long)]
    patience: Option<u64>,
    /// Judge the network once in this many epochs [so that judging takes at most a tenth of the work]
    #[arg(long, value_name = "EPOCHS")]
    validate_every: Option<u64>,
    /// Where all random numbers start from [1]
    #[arg(long)]
    seed: Option<u64>,
    /// Device: auto, cpu, gpu, an index or part of a name from `msd-gpu devices` [auto]
    #[arg(long)]
    device: Option<String>,
    #[command(flatten)]
    tuning: TuningArguments,
    /// Write event files into the run's folder, for: tensorboard --logdir RUN
    #[arg(long)]
    tensorboard: bool,
    /// Take settings from this file, such as the config.toml of another run
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// Folder for the model, the curves and the checkpoint
    #[arg(long, value_name = "RUN")]
    out: Option<PathBuf>,
    /// Go on with the run in this folder; limits, patience and device may be given anew
    #[arg(long, value_name = "RUN", conflicts_with_all = ["out", "config"])]
    resume: Option<PathBuf>,
    /// Write pictures of what the network would be shown into this folder, and end
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    preview_augmentation: Option<PathBuf>,
    #[command(flatten)]
    data: DataArguments,
    #[command(flatten)]
    optimisation: OptimisationArguments,
    #[command(flatten)]
    augmentation: AugmentationArguments,
}

impl TrainArguments {
    fn has_limit(&self) -> bool {
        self.max_epochs.is_some() || self.max_minutes.is_some() || self.max_steps.is_some()
    }
}

/// Runs the command.
pub fn run(arguments: TrainArguments) -> Result<()> {
    let mut settings = match (&arguments.resume, &arguments.config) {
        (Some(folder), _) => RunFolder::settings(folder)?,
        (_, Some(file)) => {
            let text = std::fs::read_to_string(file)
                .map_err(|e| Error::input(file, format!("cannot be read ({e}); name a file of settings")))?;
            read_settings(&text, file)?
        }
        _ => from_arguments(&arguments)?,
    };
    if arguments.resume.is_none() && arguments.out.is_none() && arguments.preview_augmentation.is_none() {
        return Err(no_folder());
    }
    if arguments.resume.is_some() && arguments.has_limit() {
        // New limits take the place of all old ones: a run is resumed to go further than it did.
        (settings.max_epochs, settings.max_minutes, settings.max_steps) = (None, None, None);
    }
    let started = settings.clone();
    if let Some(path) = &arguments.init {
        settings.start_from(path)?;
    }
    override_settings(&mut settings, &arguments)?;
    if arguments.resume.is_some() {
        check_same_settings(&started, &settings)?;
    }
    settings.fill_limit();
    settings.validate()?;
    if let Some(folder) = &arguments.preview_augmentation {
        let pictures = preview_augmentation(&Prepared::load(&settings)?, &settings, folder)?;
        info!("{pictures} pictures of what the network would be shown are in {}", folder.display());
        return Ok(());
    }
    if let (Some(folds), None) = (settings.folds, settings.fold) {
        let out = arguments.resume.as_ref().or(arguments.out.as_ref()).ok_or_else(no_folder)?;
        if arguments.resume.is_none() && out.join("config.toml").exists() {
            return Err(Error::output(
                out,
                "it holds a run already; name another folder with --out, or go on with it by --resume",
            ));
        }
        return folds::run(&settings, folds, out, &arguments.tuning.choose(&settings.device)?);
    }
    let device = arguments.tuning.choose(&settings.device)?;
    let prepared = Prepared::load(&settings)?;
    let folder = match (&arguments.resume, &arguments.out) {
        (Some(folder), _) => RunFolder::open(folder)?,
        (None, Some(out)) => RunFolder::create(out)?,
        (None, None) => return Err(no_folder()),
    };
    describe(&prepared, &settings, &device.info.name);
    let mut watcher = ProgressWatcher::new();
    let run = Run::new(settings, &prepared).on(&device).save_in(&folder);
    let run = if arguments.resume.is_some() { run.resume() } else { run };
    let outcome = run.watched_by(&mut watcher).train()?;
    drop(watcher);
    report(&outcome, &folder);
    Ok(())
}

fn no_folder() -> Error {
    Error::setting("--out", "missing", "it must name a folder for the run, or --resume one to go on with")
}

fn from_arguments(arguments: &TrainArguments) -> Result<Settings> {
    let missing =
        |what: &str| Error::setting(what, "missing", "it must be given here or in a file with --config");
    let task = arguments.task.ok_or_else(|| missing("the task (segment or regress)"))?;
    let images = arguments.images.clone().ok_or_else(|| missing("--images"))?;
    let targets = arguments.targets.clone().ok_or_else(|| missing("--targets"))?;
    let settings = Settings::new(task, images, targets);
    Ok(Settings { patience: Settings::default_patience(arguments.has_limit()), ..settings })
}

fn override_settings(settings: &mut Settings, arguments: &TrainArguments) -> Result<()> {
    fn set<T: Clone>(setting: &mut T, given: &Option<T>) {
        if let Some(given) = given {
            setting.clone_from(given);
        }
    }
    fn set_some<T: Clone>(setting: &mut Option<T>, given: &Option<T>) {
        if given.is_some() {
            setting.clone_from(given);
        }
    }
    let a = arguments;
    set(&mut settings.task, &a.task);
    set(&mut settings.images, &a.images);
    set(&mut settings.targets, &a.targets);
    set_some(&mut settings.val_images, &a.val_images);
    set_some(&mut settings.val_targets, &a.val_targets);
    set_some(&mut settings.val_fraction, &a.val_fraction);
    set(&mut settings.freeze, &a.freeze);
    set(&mut settings.depth, &a.depth);
    set(&mut settings.width, &a.width);
    set(&mut settings.dilations, &a.dilations);
    set(&mut settings.boundary, &a.boundary);
    set(&mut settings.batch, &a.batch);
    set(&mut settings.crop, &a.crop);
    settings.symmetries &= !a.no_symmetries;
    set(&mut settings.favour_rare, &a.favour_rare);
    a.augmentation.override_settings(&mut settings.augmentation);
    a.data.override_settings(settings);
    set(&mut settings.lr, &a.lr);
    set(&mut settings.monitor, &a.monitor);
    a.optimisation.override_settings(&mut settings.optimisation)?;
    set_some(&mut settings.max_epochs, &a.max_epochs);
    set_some(&mut settings.max_minutes, &a.max_minutes);
    set_some(&mut settings.max_steps, &a.max_steps);
    set(&mut settings.patience, &a.patience);
    set_some(&mut settings.validate_every, &a.validate_every);
    set(&mut settings.seed, &a.seed);
    set(&mut settings.device, &a.device);
    settings.tensorboard |= a.tensorboard;
    Ok(())
}
