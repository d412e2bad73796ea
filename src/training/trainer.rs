//! The loop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use log::info;

use super::batches::Batches;
use super::checkpoint::Checkpoint;
use super::history::{Epoch, History};
use super::prepare::Prepared;
use super::preview::preview;
use super::run_folder::RunFolder;
use super::scores::{Scores, evaluate, metric_names};
use super::settings::Settings;
use crate::devices::Device;
use crate::engine::{Adam, Engine};
use crate::network::Model;
use crate::{Error, Result};

/// Seconds between two savings of the run: its epochs may be much shorter than writing takes.
const SAVE_SECONDS: f64 = 5.0;
/// Seconds between two refreshings of the preview.
const PREVIEW_SECONDS: f64 = 10.0;

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// A limit in steps, epochs or minutes was reached.
    Limit,
    /// No better model was found for as many epochs as the patience.
    Patience,
    /// Somebody asked for it.
    Asked,
}

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The best model.
    pub model: Model,
    /// Its epoch.
    pub best_epoch: u64,
    /// Its scores on the validation images, where there are any.
    pub best_scores: Option<Scores>,
    /// All epochs.
    pub history: History,
    /// Steps made.
    pub steps: u64,
    /// Why it ended.
    pub reason: StopReason,
}

/// Is told how a run comes along.
pub trait Watcher {
    /// The run is about to start: steps in an epoch, and bytes of memory that training takes.
    fn started(&mut self, _steps_in_epoch: u64, _bytes: u64) {}
    /// A step is on its way: its number, the latest loss that is known, and the share of the run that is done.
    fn step(&mut self, _step: u64, _loss: f32, _done: f64) {}
    /// An epoch has ended.
    fn epoch(&mut self, _history: &History) {}
}

/// A watcher that looks away.
impl Watcher for () {}

/// Trains until a limit, the patience or `stop` ends it, and leaves the best model in `folder`.
///
/// With `resume`, goes on from the folder's checkpoint.
///
/// # Errors
/// When the device fails, the loss is no longer a finite number ([`Error::Diverged`]; the best model so far stays in
/// the folder), or a file cannot be written.
pub fn train(
    prepared: &Prepared,
    settings: &Settings,
    folder: &RunFolder,
    device: &Device,
    resume: bool,
    stop: &AtomicBool,
    watcher: &mut dyn Watcher,
) -> Result<Outcome> {
    let mut run = Run::new(prepared, settings, folder, device, resume)?;
    folder.write_settings(settings)?;
    let shape = run.batches.largest_shape(settings.crop);
    watcher.started(run.steps_in_epoch, run.engine.bytes(shape, true)?);
    let reason = match run.until_finished(stop, watcher) {
        Ok(reason) => reason,
        Err(error) => {
            // The best model outlives what went wrong after it.
            if run.state.best_epoch > 0 {
                run.save().unwrap_or_else(|second| log::warn!("{second}"));
            }
            return Err(error);
        }
    };
    run.save()?;
    run.refresh_preview()?;
    let best_scores = run.best_scores.clone();
    Ok(Outcome {
        best_epoch: run.state.best_epoch,
        best_scores,
        history: run.history,
        steps: run.state.step,
        model: run.model,
        reason,
    })
}

struct Run<'a> {
    prepared: &'a Prepared,
    settings: &'a Settings,
    folder: &'a RunFolder,
    engine: Box<dyn Engine>,
    batches: Batches<'a>,
    steps_in_epoch: u64,
    state: Checkpoint,
    /// The state at the end of the last whole epoch: where a resumed run goes on.
    resumable: Checkpoint,
    /// The best model so far.
    model: Model,
    best_scores: Option<Scores>,
    history: History,
    /// Sum and number of the losses of this epoch that are known, and steps of it that were made.
    loss_sum: f64,
    losses: u64,
    epoch_steps: u64,
    latest_loss: f32,
    started: Instant,
    /// Minutes that earlier sittings took.
    minutes_before: f64,
    saved: Instant,
    preview_written: Option<Instant>,
    preview_due: bool,
}

impl<'a> Run<'a> {
    fn new(
        prepared: &'a Prepared,
        settings: &'a Settings,
        folder: &'a RunFolder,
        device: &Device,
        resume: bool,
    ) -> Result<Self> {
        let batches = Batches::new(&prepared.training, settings)?;
        let mut model = prepared.model.clone();
        let mut engine = device.open(&model.architecture, &model.parameters)?;
        let metrics = metric_names(&model.task);
        let (state, history) = if resume {
            let state = folder.read_checkpoint()?;
            engine.set_parameters(&state.parameters)?;
            engine.set_moments(&state.moments)?;
            let history = folder.read_history(metrics, state.epoch as usize)?;
            let saved = Model::read(folder.path())?;
            check_same_data(&saved, &model)?;
            if !state.best_parameters.is_empty() {
                model.parameters.clone_from(&state.best_parameters);
                model.validate()?;
            }
            if saved.parameters == state.best_parameters {
                model.provenance = saved.provenance;
            }
            info!("going on from epoch {}, step {}", state.epoch, state.step);
            (state, history)
        } else {
            let (parameters, moments) = (model.parameters.clone(), engine.moments()?);
            let start = Checkpoint { parameters, moments, best_loss: f64::INFINITY, ..Default::default() };
            (start, History::new(metrics))
        };
        model.provenance.insert("device".into(), device.info.name.clone());
        Ok(Self {
            prepared,
            settings,
            folder,
            engine,
            steps_in_epoch: batches.steps_in_epoch(settings.crop),
            batches,
            minutes_before: state.minutes,
            resumable: state.clone(),
            state,
            model,
            best_scores: None,
            history,
            loss_sum: 0.0,
            losses: 0,
            epoch_steps: 0,
            latest_loss: f32::NAN,
            started: Instant::now(),
            saved: Instant::now(),
            preview_written: None,
            preview_due: false,
        })
    }

    fn minutes(&self) -> f64 {
        self.minutes_before + self.started.elapsed().as_secs_f64() / 60.0
    }

    /// Makes steps until something ends the run.
    fn until_finished(&mut self, stop: &AtomicBool, watcher: &mut dyn Watcher) -> Result<StopReason> {
        let reason = loop {
            if let Some(reason) = self.finished(stop) {
                break reason;
            }
            self.step(watcher)?;
            if self.state.step.is_multiple_of(self.steps_in_epoch) {
                self.end_epoch(true, watcher)?;
            }
        };
        if self.epoch_steps > 0 {
            // An epoch that was cut short is judged too, but is no place to go on from.
            self.end_epoch(false, watcher)?;
        }
        Ok(reason)
    }

    /// Whether and why the run is at its end.
    fn finished(&self, stop: &AtomicBool) -> Option<StopReason> {
        let s = self.settings;
        let waited = self.state.epoch.saturating_sub(self.state.best_epoch);
        if stop.load(Ordering::Relaxed) {
            Some(StopReason::Asked)
        } else if s.max_steps.is_some_and(|most| self.state.step >= most)
            || s.max_epochs.is_some_and(|most| self.state.epoch >= most)
            || s.max_minutes.is_some_and(|most| self.minutes() >= most)
        {
            Some(StopReason::Limit)
        } else if s.patience > 0 && self.prepared.validation.is_some() && waited >= s.patience {
            Some(StopReason::Patience)
        } else {
            None
        }
    }

    /// The share of the run that is done by the limit that is nearest; NaN without a limit.
    fn done(&self) -> f64 {
        let s = self.settings;
        let share = |most: Option<f64>, now: f64| most.map_or(f64::NAN, |most| now / most);
        share(s.max_steps.map(|n| n as f64), self.state.step as f64)
            .max(share(s.max_minutes, self.minutes()))
            .max(share(s.max_epochs.map(|n| n as f64 * self.steps_in_epoch as f64), self.state.step as f64))
    }

    fn step(&mut self, watcher: &mut dyn Watcher) -> Result<()> {
        let (batches, scale) = self.batches.step(self.state.step + 1);
        for (images, targets) in &batches {
            let loss = match targets.values {
                crate::engine::TargetValues::Classes(_) => crate::engine::Loss::CrossEntropy,
                _ => crate::engine::Loss::SquaredError,
            };
            self.engine.accumulate(images, targets, loss, scale)?;
        }
        self.state.step += 1;
        self.epoch_steps += 1;
        self.engine.update(&Adam::new(self.settings.lr, self.state.step))?;
        self.take_losses(false)?;
        watcher.step(self.state.step, self.latest_loss, self.done());
        Ok(())
    }

    /// Takes in the losses that are at hand, or all of them.
    fn take_losses(&mut self, wait: bool) -> Result<()> {
        for loss in self.engine.losses(wait)? {
            self.losses += 1;
            if !loss.is_finite() {
                let step = self.state.step - self.epoch_steps + self.losses;
                return Err(Error::Diverged { step, loss });
            }
            self.loss_sum += f64::from(loss);
            self.latest_loss = loss;
        }
        Ok(())
    }

    /// Judges the network, keeps it if it is the best, and writes everything down.
    fn end_epoch(&mut self, whole: bool, watcher: &mut dyn Watcher) -> Result<()> {
        self.take_losses(true)?;
        let training_loss = self.loss_sum / self.losses.max(1) as f64;
        let scores = match &self.prepared.validation {
            Some(set) => Some(evaluate(self.engine.as_mut(), set, &self.prepared.model)?),
            None => None,
        };
        let judged = scores.as_ref().map_or(training_loss, |scores| scores.loss);
        if !judged.is_finite() {
            return Err(Error::Diverged { step: self.state.step, loss: judged as f32 });
        }
        let epoch = self.state.epoch + 1;
        let parameters = self.engine.parameters()?;
        if !parameters.iter().all(|p| p.is_finite()) {
            // The loss of a step is that before its update: the last one may have gone astray unseen.
            return Err(Error::Diverged { step: self.state.step, loss: f32::NAN });
        }
        let best = judged < self.state.best_loss;
        let metric_count = self.history.metrics.len();
        let metrics =
            scores.as_ref().map_or(vec![f64::NAN; metric_count], |s| s.metrics.iter().map(|m| m.1).collect());
        self.history.epochs.push(Epoch {
            epoch,
            step: self.state.step,
            minutes: self.minutes(),
            training_loss,
            validation_loss: scores.as_ref().map_or(f64::NAN, |scores| scores.loss),
            metrics,
            best,
        });
        if best {
            (self.state.best_loss, self.state.best_epoch) = (judged, epoch);
            self.state.best_parameters.clone_from(&parameters);
            self.model.parameters.clone_from(&parameters);
            self.model.provenance.insert("steps".into(), self.state.step.to_string());
            for (name, value) in scores.iter().flat_map(|scores| &scores.metrics) {
                self.model.provenance.insert(format!("validation_{name}"), value.to_string());
            }
            self.best_scores = scores;
            self.preview_due = true;
        }
        (self.loss_sum, self.losses, self.epoch_steps) = (0.0, 0, 0);
        self.state.epoch = epoch;
        if whole {
            self.state.minutes = self.minutes();
            self.state.parameters = parameters;
            self.state.moments = self.engine.moments()?;
            self.resumable.clone_from(&self.state);
            if epoch == 1 || self.saved.elapsed().as_secs_f64() > SAVE_SECONDS {
                self.save()?;
                if self.preview_written.is_none_or(|at| at.elapsed().as_secs_f64() > PREVIEW_SECONDS) {
                    self.refresh_preview()?;
                }
            }
        } else if best {
            // A resumed run steps back to the last whole epoch, but not behind the best model.
            self.resumable.best_loss = self.state.best_loss;
            self.resumable.best_epoch = self.state.best_epoch;
            self.resumable.best_parameters.clone_from(&self.state.best_parameters);
        }
        watcher.epoch(&self.history);
        Ok(())
    }

    /// Writes everything down. The checkpoint comes last, so that it never stands on something that is not there yet.
    fn save(&mut self) -> Result<()> {
        self.folder.write_model(&self.model)?;
        self.folder.write_history(&self.history)?;
        self.folder.write_checkpoint(&self.resumable)?;
        self.saved = Instant::now();
        Ok(())
    }

    /// Writes the preview of the best model, if there is a better one than it shows.
    fn refresh_preview(&mut self) -> Result<()> {
        if !self.preview_due {
            return Ok(());
        }
        let set = self.prepared.validation.as_ref().unwrap_or(&self.prepared.training);
        let present = self.engine.parameters()?;
        self.engine.set_parameters(&self.model.parameters)?;
        let picture = preview(self.engine.as_mut(), set);
        self.engine.set_parameters(&present)?;
        self.folder.write_preview(&picture?)?;
        self.preview_written = Some(Instant::now());
        self.preview_due = false;
        Ok(())
    }
}

/// Checks that a run goes on with the images that it was started with, as far as the model tells.
fn check_same_data(saved: &Model, prepared: &Model) -> Result<()> {
    let images = |model: &Model| model.provenance.get("training_images").cloned().unwrap_or_default();
    let what = if saved.architecture != prepared.architecture || saved.task != prepared.task {
        "the classes or channels"
    } else if saved.input != prepared.input
        || saved.target != prepared.target
        || images(saved) != images(prepared)
    {
        "the training images"
    } else {
        return Ok(());
    };
    let problem = format!(
        "{what} are not those that the run was started with; bring them back, or start a new run with --out"
    );
    Err(Error::Mismatch(problem))
}
