//! The loop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use log::{info, warn};

use super::checkpoint::{Checkpoint, Progress};
use super::folder::{RunFolder, read_settings};
use super::memory::MemoryUse;
use super::outcome::{Outcome, StopReason, Watcher};
use super::resume::{check_same_data, check_same_settings, fingerprints};
use crate::devices::Device;
use crate::engine::{Adam, Engine, Loss};
use crate::geometry::Shape;
use crate::network::Model;
use crate::training::Settings;
use crate::training::batches::Batches;
use crate::training::judge::Judge;
use crate::training::prepare::Prepared;
use crate::training::reports::Reports;
use crate::training::reports::{Epoch, History};
use crate::training::scores::{Scores, metric_names};
use crate::training::settings::RateSchedule;
use crate::{Error, Result};

/// Seconds between two savings within an epoch.
const SAVE_SECONDS: f64 = 30.0;
/// Saving takes at most one in so many seconds: epochs may be much shorter than writing takes.
const SAVE_SHARE: f64 = 50.0;

/// Trains until a limit, the patience or `stop` ends it, and leaves the best model in `folder`.
///
/// With `resume`, goes on from the folder's checkpoint: to the last bit as if the run had not been stopped.
///
/// # Errors
/// When the device fails, the loss is no longer a finite number ([`Error::Diverged`]; the best model so far stays in
/// the folder), a resumed run has other settings or images than it was started with, or a file cannot be written.
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
    folder.write_settings(&run.settings)?;
    run.save()?;
    watcher.started(run.steps_in_epoch, run.memory()?);
    let reason = match run.until_finished(stop, watcher) {
        Ok(reason) => reason,
        Err(error) => {
            // The best model outlives what went wrong after it; the checkpoint stays at what was saved before.
            run.write_best().unwrap_or_else(|second| warn!("{second}"));
            return Err(error);
        }
    };
    run.refresh_preview()?;
    run.reports.finish()?;
    Ok(Outcome {
        best_epoch: run.progress.best_epoch,
        best_scores: run.best_scores(),
        history: run.history,
        steps: run.progress.step,
        model: run.model,
        reason,
    })
}

/// The device with the sizes of tiles that the run was begun with on it, or that suit the run.
fn tuned(device: &Device, checkpoint: Option<&Checkpoint>, model: &Model, shape: Shape) -> Device {
    let earlier = checkpoint.and_then(|checkpoint| checkpoint.progress.tuning.as_ref());
    let device = match earlier.filter(|(name, _)| *name == device.info.name) {
        Some((_, tuning)) => device.clone().with_tuning(tuning),
        None => device.clone(),
    };
    device.tuned_for(&model.architecture, shape)
}

struct Run<'a> {
    prepared: &'a Prepared,
    settings: Settings,
    loss: Loss,
    folder: &'a RunFolder,
    engine: Box<dyn Engine>,
    batches: Batches<'a>,
    judge: Judge<'a>,
    steps_in_epoch: u64,
    progress: Progress,
    /// The best model so far.
    model: Model,
    history: History,
    /// Losses of this epoch that are known.
    losses: u64,
    latest_loss: f32,
    started: Instant,
    /// Minutes that earlier sittings took.
    minutes_before: f64,
    saved: Instant,
    /// Seconds that saving took.
    save_seconds: f64,
    reports: Reports<'a>,
}

impl<'a> Run<'a> {
    fn new(
        prepared: &'a Prepared,
        settings: &Settings,
        folder: &'a RunFolder,
        device: &Device,
        resume: bool,
    ) -> Result<Self> {
        let batches = Batches::new(&prepared.training, settings)?;
        let steps_in_epoch = batches.steps_in_epoch(settings.crop);
        let mut settings = settings.clone();
        settings.fit(steps_in_epoch)?;
        let mut model = prepared.model.clone();
        let checkpoint = if resume { folder.read_checkpoint()? } else { None };
        let device = tuned(device, checkpoint.as_ref(), &model, batches.largest_shape(settings.crop));
        let mut engine = device.open(&model.architecture, &model.parameters)?;
        let metrics = metric_names(&model.task);
        let fingerprints = fingerprints(&model)?;
        let (mut progress, history) = match checkpoint {
            None => (Progress { best: f64::INFINITY, ..Default::default() }, History::new(metrics)),
            Some(checkpoint) => {
                let progress = checkpoint.progress;
                check_same_settings(&read_settings(&progress.settings, folder.path())?, &settings)?;
                check_same_data(&progress.fingerprints, &fingerprints)?;
                engine.set_parameters(&checkpoint.parameters)?;
                engine.set_moments(&checkpoint.moments)?;
                engine.set_average(&checkpoint.average)?;
                if progress.best_epoch > 0 {
                    model.parameters = checkpoint.best_parameters;
                    model.provenance.clone_from(&progress.best_provenance);
                    model.validate()?;
                }
                info!("going on from epoch {}, step {}", progress.epoch, progress.step);
                let history = folder.read_history(metrics, progress.epoch as usize)?;
                (progress, history)
            }
        };
        (progress.settings, progress.fingerprints) = (settings.to_toml()?, fingerprints);
        progress.tuning = device.tuning().map(|tuning| (device.info.name.clone(), tuning));
        let reports = Reports::new(folder, settings.tensorboard, progress.step)?;
        Ok(Self {
            prepared,
            loss: settings.loss(),
            folder,
            engine,
            batches,
            judge: Judge::new(prepared, &settings),
            settings,
            steps_in_epoch,
            model,
            history,
            losses: progress.epoch_steps,
            latest_loss: f32::NAN,
            started: Instant::now(),
            minutes_before: progress.minutes,
            progress,
            saved: Instant::now(),
            save_seconds: 0.0,
            reports,
        })
    }

    fn memory(&self) -> Result<MemoryUse> {
        let shape = self.batches.largest_shape(self.settings.crop);
        MemoryUse::of_run(
            self.engine.as_ref(),
            &self.model.task,
            shape,
            &self.prepared.training,
            self.judge.set(),
        )
    }

    fn minutes(&self) -> f64 {
        self.minutes_before + self.started.elapsed().as_secs_f64() / 60.0
    }

    /// Makes steps until something ends the run, and saves it.
    fn until_finished(&mut self, stop: &AtomicBool, watcher: &mut dyn Watcher) -> Result<StopReason> {
        self.warn_of_short_schedule();
        let reason = loop {
            if let Some(reason) = self.finished(stop) {
                break reason;
            }
            self.step(watcher)?;
            let ends = self.progress.step.is_multiple_of(self.steps_in_epoch);
            if ends {
                self.end_epoch(watcher)?;
            }
            if self.save_is_due(ends) {
                self.save()?;
                if self.reports.preview_may_be_refreshed() {
                    self.refresh_preview()?;
                }
            }
        };
        self.save()?;
        if self.progress.epoch_steps > 0 {
            // An epoch that was cut short is judged too. Its end is no place to go on from: a run that was not stopped
            // does not come by there.
            self.end_epoch(watcher)?;
            self.write_best()?;
        }
        Ok(reason)
    }

    /// Whether and why the run is at its end.
    fn finished(&self, stop: &AtomicBool) -> Option<StopReason> {
        let (s, p) = (&self.settings, &self.progress);
        let waited = p.epoch.saturating_sub(p.best_epoch);
        if stop.load(Ordering::Relaxed) {
            Some(StopReason::Asked)
        } else if s.max_steps.is_some_and(|most| p.step >= most)
            || s.max_epochs.is_some_and(|most| p.epoch >= most)
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
        let last = self.settings.last_step(self.steps_in_epoch);
        let steps = last.map_or(f64::NAN, |last| self.progress.step as f64 / last as f64);
        steps.max(self.settings.max_minutes.map_or(f64::NAN, |most| self.minutes() / most))
    }

    fn warn_of_short_schedule(&self) {
        let optimisation = &self.settings.optimisation;
        let ends = (optimisation.lr_steps, self.settings.last_step(self.steps_in_epoch));
        if let (RateSchedule::Cosine, (Some(end), Some(last))) = (optimisation.schedule, ends)
            && end < last
        {
            warn!("the learning rate is 0 from step {end} on: the steps from there to {last} teach nothing");
        }
    }

    fn step(&mut self, watcher: &mut dyn Watcher) -> Result<()> {
        let (batches, scale) = self.batches.step(self.progress.step + 1);
        for (images, targets) in &batches {
            self.engine.accumulate(images, targets, self.loss, scale)?;
        }
        self.progress.step += 1;
        self.progress.epoch_steps += 1;
        let (step, drops) = (self.progress.step, self.progress.drops);
        let adam = self.settings.optimisation.adam(self.settings.lr, step, drops);
        self.engine.update(&Adam { frozen_layers: self.settings.freeze, ..adam })?;
        self.take_losses(false)?;
        watcher.step(step, self.latest_loss, self.done());
        Ok(())
    }

    /// Takes in the losses that are at hand, or all of them.
    fn take_losses(&mut self, wait: bool) -> Result<()> {
        for loss in self.engine.losses(wait)? {
            self.losses += 1;
            if !loss.is_finite() {
                let step = self.progress.step - self.progress.epoch_steps + self.losses;
                return Err(Error::Diverged { step, loss, images: self.batches.names(step) });
            }
            self.progress.loss_sum += f64::from(loss);
            self.latest_loss = loss;
        }
        Ok(())
    }

    /// The present parameters. The loss of a step is that before its update: the last one may have gone astray unseen.
    fn finite_parameters(&mut self) -> Result<Vec<f32>> {
        let parameters = self.engine.parameters()?;
        if parameters.iter().all(|p| p.is_finite()) {
            return Ok(parameters);
        }
        let step = self.progress.step;
        Err(Error::Diverged { step, loss: f32::NAN, images: self.batches.names(step) })
    }

    /// Judges the network, and keeps it if it is the best.
    fn end_epoch(&mut self, watcher: &mut dyn Watcher) -> Result<()> {
        self.take_losses(true)?;
        let mut candidate = self.finite_parameters()?;
        if self.settings.optimisation.ema.is_some() {
            candidate = self.engine.average()?;
        }
        let step = self.progress.step;
        let (judgement, judged) = self.judge.judge(self.engine.as_mut(), &candidate, step)?;
        let scores = &judgement.scores;
        let validated = self.prepared.validation.is_some();
        let minutes = self.minutes();
        let optimisation = &self.settings.optimisation;
        let p = &mut self.progress;
        p.epoch += 1;
        let best = p.best_epoch == 0 || judged < p.best;
        let shown = |value: f64| if validated { value } else { f64::NAN };
        self.history.epochs.push(Epoch {
            epoch: p.epoch,
            step,
            minutes,
            training_loss: p.loss_sum / p.epoch_steps.max(1) as f64,
            validation_loss: shown(scores.loss),
            metrics: scores.metrics.iter().map(|&(_, value)| shown(value)).collect(),
            learning_rate: optimisation.rate(self.settings.lr, step, p.drops),
            best,
        });
        if best {
            (p.best, p.best_epoch) = (judged, p.epoch);
            self.model.parameters = candidate;
            // A resumed run may be on another device.
            self.model.provenance.insert("device".into(), self.engine.device().name.clone());
            self.model.provenance.insert("steps".into(), step.to_string());
            for (name, value) in scores.metrics.iter().filter(|_| validated) {
                self.model.provenance.insert(format!("validation_{name}"), value.to_string());
            }
            p.best_provenance.clone_from(&self.model.provenance);
        }
        if optimisation.schedule == RateSchedule::Plateau
            && p.epoch - p.best_epoch.max(p.drop_epoch) >= optimisation.lr_patience
        {
            p.drops += 1;
            p.drop_epoch = p.epoch;
            let rate = optimisation.rate(self.settings.lr, step + 1, p.drops);
            info!("no better model since epoch {}: the learning rate drops to {rate}", p.best_epoch);
        }
        (p.loss_sum, p.epoch_steps, self.losses) = (0.0, 0, 0);
        self.reports.epoch(&self.history, judgement.image_losses)?;
        watcher.epoch(&self.history);
        Ok(())
    }

    fn save_is_due(&self, epoch_ended: bool) -> bool {
        let seconds = self.saved.elapsed().as_secs_f64();
        let first = epoch_ended && self.progress.epoch == 1;
        first || seconds > SAVE_SHARE * self.save_seconds && (epoch_ended || seconds > SAVE_SECONDS)
    }

    /// Writes everything down. The checkpoint comes last, so that it never stands on something that is not there yet.
    fn save(&mut self) -> Result<()> {
        let start = Instant::now();
        self.take_losses(true)?;
        let parameters = self.finite_parameters()?;
        let (moments, average) = (self.engine.moments()?, self.engine.average()?);
        self.write_best()?;
        self.progress.minutes = self.minutes();
        let best_parameters =
            if self.progress.best_epoch > 0 { self.model.parameters.clone() } else { Vec::new() };
        let progress = self.progress.clone();
        self.folder.write_checkpoint(&Checkpoint {
            parameters,
            moments,
            average,
            best_parameters,
            progress,
        })?;
        self.saved = Instant::now();
        self.save_seconds = start.elapsed().as_secs_f64();
        Ok(())
    }

    /// Writes the best model, if there is one yet, and the history.
    fn write_best(&self) -> Result<()> {
        if self.progress.best_epoch > 0 {
            self.folder.write_model(&self.model)?;
        }
        self.folder.write_history(&self.history)
    }

    /// Refreshes the preview, if there is a better model than it shows.
    fn refresh_preview(&mut self) -> Result<()> {
        self.reports.refresh_preview(self.engine.as_mut(), &self.model.parameters, self.judge.set())
    }

    /// The scores of the best model on the validation images.
    fn best_scores(&self) -> Option<Scores> {
        self.prepared.validation.as_ref()?;
        let epoch = self.history.epochs.iter().find(|epoch| epoch.epoch == self.progress.best_epoch)?;
        let metrics = metric_names(&self.model.task).iter().copied().zip(epoch.metrics.iter().copied());
        Some(Scores { loss: epoch.validation_loss, metrics: metrics.collect() })
    }
}
