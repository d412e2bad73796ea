//! `msd-gpu train`: from images and targets to a model.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use log::info;

use super::device::TuningArguments;
use super::folds;
use super::settings::SettingArguments;
use crate::settings::Heading;
use crate::training::{
    History, MemoryUse, Outcome, Prepared, RunFolder, Settings, StopReason, Watcher, check_same_settings,
    preview_augmentation, read_settings, train,
};
use crate::{Error, Result};

/// The three ways to begin.
const USAGE: &str = "\
msd-gpu train <TASK> --images <P> --targets <P> --out <RUN> [OPTIONS]
       msd-gpu train --config <FILE.toml> --out <RUN> [OPTIONS]
       msd-gpu train --resume <RUN> [OPTIONS]";

/// Arguments of `train`. What is not given comes from `--config`, and else from the defaults in brackets.
#[derive(Debug, Args)]
#[command(override_usage = USAGE)]
pub struct TrainArguments {
    /// Folder for the model, the curves and the checkpoint
    #[arg(long, value_name = "RUN")]
    out: Option<PathBuf>,
    /// Go on with the run in this folder; limits, patience and device may be given anew
    #[arg(long, value_name = "RUN", conflicts_with_all = ["out", "config", "init"])]
    resume: Option<PathBuf>,
    /// Take settings from this file, such as the config.toml of another run
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingArguments,
    /// Write pictures of what the network would be shown into this folder, and end
    #[arg(long, value_name = "DIR", conflicts_with = "resume", help_heading = Heading::Augmentation.title())]
    preview_augmentation: Option<PathBuf>,
    #[command(flatten, next_help_heading = Heading::Device.title())]
    tuning: TuningArguments,
}

impl TrainArguments {
    fn has_limit(&self) -> bool {
        ["max_epochs", "max_minutes", "max_steps"].iter().any(|limit| self.settings.get(limit).is_some())
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
    if let Some(path) = arguments.settings.get("init") {
        settings.start_from(path)?;
    }
    arguments.settings.override_settings(&mut settings)?;
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
    let stop = stop_on_interrupt();
    let mut watcher = ProgressWatcher::new();
    let outcome =
        train(&prepared, &settings, &folder, &device, arguments.resume.is_some(), &stop, &mut watcher)?;
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
    let given = |name: &str, what: &str| arguments.settings.get(name).ok_or_else(|| missing(what));
    let task = given("task", "the task (segment or regress)")?.parse()?;
    let mut settings = Settings::new(task, given("images", "--images")?, given("targets", "--targets")?);
    if arguments.has_limit() {
        // Who says how long to train wants that long, unless a patience is asked for as well.
        settings.patience = 0;
    }
    Ok(settings)
}

pub(super) fn describe(prepared: &Prepared, settings: &Settings, device: &str) {
    let a = &prepared.model.architecture;
    let validation = match &prepared.validation {
        Some(set) => format!("{} to validate", set.samples.len()),
        None => "none to validate (the best model is judged by a few of the training images)".into(),
    };
    info!("images: {} to train, {validation}", prepared.training.samples.len());
    if !prepared.model.classes().is_empty() {
        let names: Vec<&str> = prepared.model.classes().iter().map(|class| class.name.as_str()).collect();
        info!("classes (values in the label images): {}", names.join(", "));
    }
    let parameters = prepared.model.parameters.len();
    info!(
        "network: depth {}, width {}, {} in, {} out, {parameters} parameters",
        a.depth, a.width, a.inputs, a.outputs
    );
    let pieces = match settings.crop {
        0 => "whole images".into(),
        crop => format!("pieces of up to {crop}x{crop}"),
    };
    info!("steps of {} {pieces} on {device}", settings.batch);
}

/// A flag that Ctrl-C (or a polite kill) sets; a second one ends the program at once.
pub(super) fn stop_on_interrupt() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let handler = move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        eprintln!("stopping at the end of this step; the best model so far is kept");
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        log::warn!("Ctrl-C will end the run at once: {error}");
    }
    stop
}

/// Says in one sentence what a run came to.
pub(super) fn report(outcome: &Outcome, folder: &RunFolder) {
    let why = match outcome.reason {
        StopReason::Limit => "the limit was reached",
        StopReason::Patience => "no better model came",
        StopReason::Asked => "it was asked to stop",
    };
    let scores = match &outcome.best_scores {
        Some(scores) => {
            let metrics: Vec<String> = scores
                .metrics
                .iter()
                .map(|(name, value)| format!("{} {value:.4}", name.replace('_', " ")))
                .collect();
            format!(", validation loss {:.4}, {}", scores.loss, metrics.join(", "))
        }
        None => String::new(),
    };
    if outcome.best_epoch == 0 {
        info!(
            "{why} before any step was made; go on with: msd-gpu train --resume {}",
            folder.path().display()
        );
        return;
    }
    info!("{why} after {} steps; best model from epoch {}{scores}", outcome.steps, outcome.best_epoch);
    info!("model, curves and preview are in {}", folder.path().display());
}

/// A progress bar on a terminal, and a line now and then elsewhere.
pub(super) struct ProgressWatcher {
    bar: Option<ProgressBar>,
    started: Instant,
    last_line: Option<Instant>,
}

/// Steps of the progress bar.
const BAR_LENGTH: u64 = 1000;
/// Seconds between lines where there is no terminal.
const LINE_SECONDS: f64 = 10.0;

impl ProgressWatcher {
    pub(super) fn new() -> Self {
        let shown = std::io::stderr().is_terminal() && log::log_enabled!(log::Level::Info);
        let bar = shown.then(|| {
            let bar = ProgressBar::new(BAR_LENGTH);
            // The template is fixed text; were it wrong, the plain bar does as well.
            let style =
                ProgressStyle::with_template("{bar:24} {percent:>3}%  {elapsed} gone, {prefix} left  {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Self { bar, started: Instant::now(), last_line: None }
    }
}

impl Drop for ProgressWatcher {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Watcher for ProgressWatcher {
    fn started(&mut self, steps_in_epoch: u64, memory: MemoryUse) {
        let mebibytes = |bytes: u64| bytes as f64 / (1 << 20) as f64;
        info!("an epoch is {steps_in_epoch} steps");
        info!(
            "training takes {:.0} MiB of memory, besides the program: {:.0} for the network, {:.0} for images",
            mebibytes(memory.total()),
            mebibytes(memory.network),
            mebibytes(memory.images)
        );
        self.started = Instant::now();
    }

    fn step(&mut self, step: u64, loss: f32, done: f64) {
        let Some(bar) = &self.bar else { return };
        let done = if done.is_nan() { 0.0 } else { done.min(1.0) };
        bar.set_position((done * BAR_LENGTH as f64) as u64);
        let left = self.started.elapsed().as_secs_f64() * (1.0 - done) / done.max(1e-3);
        bar.set_prefix(format!("{}:{:02}", left as u64 / 60, left as u64 % 60));
        bar.set_message(format!("step {step}, loss {loss:.4}"));
    }

    fn epoch(&mut self, history: &History) {
        let Some(epoch) = history.epochs.last() else { return };
        let due = self.last_line.is_none_or(|at| at.elapsed().as_secs_f64() > LINE_SECONDS);
        if !due {
            return;
        }
        self.last_line = Some(Instant::now());
        let mut line = format!("epoch {}, step {}: loss {:.4}", epoch.epoch, epoch.step, epoch.training_loss);
        if !epoch.validation_loss.is_nan() {
            line += &format!(", validation {:.4}", epoch.validation_loss);
        }
        for (name, value) in history.metrics.iter().zip(&epoch.metrics).filter(|(_, value)| !value.is_nan()) {
            line += &format!(", {} {value:.3}", name.replace('_', " "));
        }
        if epoch.best {
            line += " (best)";
        }
        match &self.bar {
            Some(bar) => bar.suspend(|| info!("{line}")),
            None => info!("{line}"),
        }
    }
}
