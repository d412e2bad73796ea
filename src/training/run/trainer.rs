//! The loop.

use std::thread;
use std::time::{Duration, Instant};

use log::{debug, info, warn};

use super::checkpoint::{Checkpoint, Progress};
use super::folder::{RunFolder, read_run_settings};
use super::judge::Judge;
use super::memory::MemoryUse;
use super::outcome::{Outcome, StopReason};
use super::reports::Reports;
use super::resume::{check_same_data, check_same_settings, fingerprints};
use crate::devices::Device;
use crate::engine::{Adam, Engine, Loss};
use crate::evaluation::{Evaluation, Scores, metric_names};
use crate::geometry::Shape;
use crate::network::Model;
use crate::training::batches::{Batches, StepsAhead};
use crate::training::prepare::Prepared;
use crate::training::reports::History;
use crate::training::settings::{RateSchedule, Settings};
use crate::watcher::{Epoch, Flow, ImageReport, StepReport, TrainingPlan, Watcher};
use crate::{Error, Result};

/// Seconds between two savings within an epoch.
const SAVE_SECONDS: f64 = 30.0;
/// Saving takes at most one in so many seconds: epochs may be much shorter than writing takes.
const SAVE_SHARE: f64 = 50.0;

/// Trains until a limit, the patience or the watcher ends it; see [`super::Run`].
pub(super) fn train(
    prepared: &Prepared,
    settings: &Settings,
    folder: Option<&RunFolder>,
    device: &Device,
    checkpoint: Option<Checkpoint>,
    watcher: &mut dyn Watcher,
) -> Result<Outcome> {
    let batches = Batches::of(prepared, settings)?;
    let mut trainer = Trainer::new(prepared, settings, folder, device, checkpoint, &batches)?;
    if let Some(folder) = folder {
        folder.write_settings(&trainer.settings)?;
        folder.write_measurements(&prepared.measurements)?;
    }
    trainer.save()?;
    let memory = trainer.memory()?;
    let plan = TrainingPlan {
        steps_in_epoch: trainer.steps_in_epoch,
        validate_every: trainer.validate_every,
        network_bytes: memory.network,
        image_bytes: memory.images,
    };
    let stopped = watcher.started(&plan).is_break();
    let last = trainer.settings.last_step(trainer.steps_in_epoch);
    let ended = thread::scope(|scope| {
        let mut steps = batches.start(scope, trainer.progress.step + 1, last);
        let reason = trainer.until_finished(&mut steps, stopped, watcher)?;
        Ok((reason, steps.waited()))
    });
    let (reason, waited) = match ended {
        Ok(ended) => ended,
        Err(error) => {
            // The best model outlives what went wrong after it; the checkpoint stays at what was saved before.
            trainer.write_best().unwrap_or_else(|second| warn!("{second}"));
            return Err(error);
        }
    };
    let seconds = trainer.started.elapsed().as_secs_f64();
    debug!("waited for images in {:.1} % of the time", 100.0 * waited.as_secs_f64() / seconds.max(1e-9));
    trainer.refresh_preview();
    trainer.reports.finish()?;
    Ok(Outcome {
        best_epoch: trainer.progress.best_epoch,
        best_scores: trainer.best_scores(),
        history: trainer.history,
        steps: trainer.progress.step,
        model: trainer.model,
        reason,
        waited,
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

struct Trainer<'a> {
    prepared: &'a Prepared,
    settings: Settings,
    loss: Loss,
    folder: Option<&'a RunFolder>,
    engine: Box<dyn Engine>,
    batches: &'a Batches<'a>,
    judge: Judge<'a>,
    steps_in_epoch: u64,
    /// The network is judged once in so many epochs.
    validate_every: u64,
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
    /// What the steps since then took together, and how many there were.
    step_time: (Duration, u32),
    /// How many steps take as long as judging the network once.
    judging_steps: f64,
    saved: Instant,
    /// How long saving took.
    save_time: Duration,
    reports: Reports<'a>,
    /// Whether the watcher asked for an end.
    stopped: bool,
}

impl<'a> Trainer<'a> {
    fn new(
        prepared: &'a Prepared,
        settings: &Settings,
        folder: Option<&'a RunFolder>,
        device: &Device,
        checkpoint: Option<Checkpoint>,
        batches: &'a Batches<'a>,
    ) -> Result<Self> {
        let steps_in_epoch = batches.steps_in_epoch();
        let mut settings = settings.clone();
        settings.fit(steps_in_epoch)?;
        let mut model = prepared.model.clone();
        let judge = Judge::new(prepared, settings.loss());
        let started_with = checkpoint
            .as_ref()
            .map(|checkpoint| read_run_settings(&checkpoint.progress.settings, "checkpoint".as_ref()));
        let mut started_with = started_with.transpose()?;
        if let Some(started) = &mut started_with {
            // Runs that were begun before there was a rhythm judged the network after each epoch.
            let every = *started.validate_every.get_or_insert(1);
            settings.validate_every.get_or_insert(every);
        }
        let validate_every = *settings.validate_every.get_or_insert_with(|| judge.rhythm(batches));
        let judging_steps = judge.cost_in_steps(batches);
        let device = tuned(device, checkpoint.as_ref(), &model, batches.largest_shape());
        let mut engine = device.open(&model.architecture, &model.parameters)?;
        let metrics = metric_names(&model.task);
        let fingerprints = fingerprints(&model)?;
        let (mut progress, history) = match checkpoint {
            None => (Progress { best: f64::INFINITY, ..Default::default() }, History::new(metrics)),
            Some(checkpoint) => {
                let progress = checkpoint.progress;
                if let Some(started) = &started_with {
                    check_same_settings(started, &settings)?;
                }
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
                let mut history = match folder {
                    Some(folder) => folder.read_history(metrics, progress.epoch as usize)?,
                    None => History::new(metrics),
                };
                // The end of a run is judged in any case, also where an epoch in the middle of a longer run would not be.
                for epoch in history.epochs.iter_mut().filter(|e| !e.epoch.is_multiple_of(validate_every)) {
                    (epoch.validation_loss, epoch.best) = (f64::NAN, false);
                    epoch.metrics.iter_mut().for_each(|(_, value)| *value = f64::NAN);
                }
                (progress, history)
            }
        };
        (progress.settings, progress.fingerprints) = (settings.to_toml()?, fingerprints);
        progress.tuning = device.tuning().map(|tuning| (device.info.name.clone(), tuning));
        let reports = Reports::new(folder, settings.tensorboard, progress.step)?;
        // Without a limit in minutes the checkpoint holds no clock, so that equal runs write equal bytes.
        let last_epoch = history.epochs.last().map_or(0.0, |epoch| epoch.minutes);
        let minutes_before = last_epoch.max(progress.minutes);
        if let Some(most) = settings.max_minutes.filter(|&most| minutes_before > 0.0 && minutes_before < most)
        {
            info!(
                "`max_minutes` counts the whole run: of {most} minutes {minutes_before:.2} are used, so that {:.2} are added",
                most - minutes_before
            );
        }
        Ok(Self {
            prepared,
            loss: settings.loss(),
            folder,
            engine,
            batches,
            judge,
            settings,
            steps_in_epoch,
            validate_every,
            model,
            history,
            losses: progress.epoch_steps,
            latest_loss: f32::NAN,
            started: Instant::now(),
            minutes_before,
            step_time: (Duration::ZERO, 0),
            judging_steps,
            progress,
            saved: Instant::now(),
            save_time: Duration::ZERO,
            reports,
            stopped: false,
        })
    }

    fn memory(&self) -> Result<MemoryUse> {
        let (engine, shape) = (self.engine.as_ref(), self.batches.largest_shape());
        let mut memory =
            MemoryUse::of_run(engine, &self.model.task, shape, &self.prepared.training, &self.judge)?;
        memory.images = memory.images.saturating_add(self.batches.held_bytes());
        Ok(memory)
    }

    fn minutes(&self) -> f64 {
        self.minutes_before + self.started.elapsed().as_secs_f64() / 60.0
    }

    /// The minutes that one more step and the judging at the end of the run will take, by the steps so far: a limit in minutes
    /// is kept to by ending before it.
    fn minutes_to_end(&self) -> f64 {
        let (time, steps) = self.step_time;
        let step = time.as_secs_f64() / f64::from(steps.max(1));
        step * (1.0 + self.judging_steps) / 60.0
    }

    /// Makes steps until something ends the run, and saves it.
    fn until_finished(
        &mut self,
        steps: &mut StepsAhead,
        stopped: bool,
        watcher: &mut dyn Watcher,
    ) -> Result<StopReason> {
        self.stopped = stopped;
        self.warn_of_short_schedule();
        self.warn_of_nothing_to_do();
        let reason = loop {
            if let Some(reason) = self.finished() {
                break reason;
            }
            self.step(steps, watcher)?;
            let ends = self.progress.step.is_multiple_of(self.steps_in_epoch);
            if ends {
                let judged = (self.progress.epoch + 1).is_multiple_of(self.validate_every);
                self.end_epoch(judged, watcher)?;
            }
            if self.save_is_due(ends) {
                self.save()?;
                if self.reports.preview_may_be_refreshed() {
                    self.refresh_preview();
                }
            }
        };
        self.save()?;
        // The network is judged at the end of the run in any case, even in the middle of an epoch. This goes into no checkpoint:
        // a run that had not been stopped would not have been judged after this step.
        if self.progress.epoch_steps > 0 {
            self.end_epoch(true, watcher)?;
            self.write_best()?;
        } else if self.progress.epoch > 0 && !self.progress.epoch.is_multiple_of(self.validate_every) {
            self.judge_last_epoch(true, watcher)?;
            self.write_best()?;
        }
        Ok(reason)
    }

    /// Whether and why the run is at its end.
    fn finished(&self) -> Option<StopReason> {
        let (s, p) = (&self.settings, &self.progress);
        let waited = p.epoch.saturating_sub(p.best_epoch);
        let judged = p.epoch.is_multiple_of(self.validate_every);
        if self.stopped {
            Some(StopReason::Asked)
        } else if s.max_steps.is_some_and(|most| p.step >= most)
            || s.max_epochs.is_some_and(|most| p.epoch >= most)
            || s.max_minutes.is_some_and(|most| self.minutes() + self.minutes_to_end() >= most)
        {
            Some(StopReason::Limit)
        } else if s.patience > 0 && self.prepared.validation.is_some() && judged && waited >= s.patience {
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
        if let (RateSchedule::Cosine, (Some(end), Some(last))) = (optimisation.schedule(), ends)
            && end < last
        {
            warn!("the learning rate is 0 from step {end} on: the steps from there to {last} teach nothing");
        }
    }

    /// Says of a run that is at its end when it is resumed what ends it, and how it could go on.
    fn warn_of_nothing_to_do(&self) {
        let (s, p) = (&self.settings, &self.progress);
        if p.step == 0 || self.stopped || self.finished().is_none() {
            return;
        }
        let why = if let Some(most) = s.max_steps.filter(|&most| p.step >= most) {
            format!("{} steps are made and `max_steps` is {most}; give a higher `max_steps`", p.step)
        } else if let Some(most) = s.max_epochs.filter(|&most| p.epoch >= most) {
            format!("{} epochs have ended and `max_epochs` is {most}; give a higher `max_epochs`", p.epoch)
        } else if let Some(most) =
            s.max_minutes.filter(|&most| self.minutes() + self.minutes_to_end() >= most)
        {
            let minutes = self.minutes();
            format!(
                "it has trained for {minutes:.2} minutes in all and `max_minutes` is {most}; give a higher `max_minutes`"
            )
        } else {
            let waited = p.epoch.saturating_sub(p.best_epoch);
            format!(
                "no better model came for {waited} epochs and `patience` is {}; give a higher `patience`",
                s.patience
            )
        };
        warn!("the run has nothing left to do: {why} to go further");
    }

    fn step(&mut self, steps: &mut StepsAhead, watcher: &mut dyn Watcher) -> Result<()> {
        let start = Instant::now();
        let (batches, scale) = match steps.step(self.progress.step + 1) {
            Ok(step) => step,
            Err(error) => {
                // An image that cannot be read any more may be brought back: the run goes on from here.
                self.save().unwrap_or_else(|second| warn!("{second}"));
                return Err(error);
            }
        };
        for (images, targets) in &batches {
            self.engine.accumulate(images, targets, self.loss, scale)?;
        }
        self.progress.step += 1;
        self.progress.epoch_steps += 1;
        let (step, drops) = (self.progress.step, self.progress.drops);
        let adam = self.settings.optimisation.adam(self.settings.lr, step, drops);
        self.engine.update(&Adam { frozen_layers: self.settings.freeze, ..adam })?;
        self.take_losses(false)?;
        self.step_time = (self.step_time.0 + start.elapsed(), self.step_time.1 + 1);
        let report = StepReport { step, loss: self.latest_loss, done: self.done() };
        self.stopped |= watcher.step(&report).is_break();
        Ok(())
    }

    /// Adds the losses that the engine has ready to the epoch; with `wait` those of all steps.
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

    /// The present parameters, or [`Error::Diverged`] where one of them is not finite. Checking the losses is not enough: each is
    /// computed before the update of its step, so the losses do not show that the last update gave NaN or infinity.
    fn checked_parameters(&mut self) -> Result<Vec<f32>> {
        let parameters = self.engine.parameters()?;
        if parameters.iter().all(|p| p.is_finite()) {
            return Ok(parameters);
        }
        let step = self.progress.step;
        Err(Error::Diverged { step, loss: f32::NAN, images: self.batches.names(step) })
    }

    /// Ends an epoch; where it is `judged`, the network is, and is kept if it is the best.
    fn end_epoch(&mut self, judged: bool, watcher: &mut dyn Watcher) -> Result<()> {
        self.take_losses(true)?;
        let (minutes, step) = (self.minutes(), self.progress.step);
        let optimisation = &self.settings.optimisation;
        let p = &mut self.progress;
        p.epoch += 1;
        let no_metrics = self.history.metrics.iter().map(|name| (name.clone(), f64::NAN)).collect();
        self.history.epochs.push(Epoch {
            epoch: p.epoch,
            step,
            minutes,
            training_loss: p.loss_sum / p.epoch_steps.max(1) as f64,
            validation_loss: f64::NAN,
            metrics: no_metrics,
            learning_rate: optimisation.rate(self.settings.lr, step, p.drops),
            best: false,
        });
        (p.loss_sum, p.epoch_steps, self.losses) = (0.0, 0, 0);
        if judged {
            return self.judge_last_epoch(false, watcher);
        }
        self.reports.epoch(&self.history, Vec::new(), false)?;
        self.report_epoch(watcher);
        Ok(())
    }

    /// Judges the network as the last epoch left it, and keeps it if it is the best. `reported` is true where the epoch was
    /// reported without a judgement when it ended.
    fn judge_last_epoch(&mut self, reported: bool, watcher: &mut dyn Watcher) -> Result<()> {
        let mut candidate = self.checked_parameters()?;
        if self.settings.optimisation.ema.is_some_and(|decay| decay > 0.0) {
            candidate = self.engine.average()?;
        }
        let step = self.progress.step;
        // Where the watcher asks for an end while the network is judged, judging is finished first: otherwise there might be
        // no model at all.
        let mut listener = Listener { watcher: &mut *watcher, stopped: false };
        let Evaluation { image_losses, scores, loss, .. } =
            self.judge.judge(self.engine.as_mut(), &candidate, step, &mut listener)?;
        self.stopped |= listener.stopped;
        let metrics = scores.metrics().into_iter().map(|(name, value)| (name, value.unwrap_or(f64::NAN)));
        let scores = Scores { loss, metrics: metrics.collect() };
        let judged = self.settings.monitor.judge(&scores);
        let validated = self.prepared.validation.is_some();
        let minutes = self.minutes();
        let optimisation = &self.settings.optimisation;
        let p = &mut self.progress;
        let best = p.best_epoch == 0 || judged < p.best;
        if let Some(epoch) = self.history.epochs.last_mut() {
            (epoch.minutes, epoch.best) = (minutes, best);
            if validated {
                epoch.validation_loss = scores.loss;
                epoch.metrics =
                    scores.metrics.iter().map(|&(name, value)| (name.to_owned(), value)).collect();
            }
        }
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
        if optimisation.schedule() == RateSchedule::Plateau
            && p.epoch - p.best_epoch.max(p.drop_epoch) >= optimisation.lr_patience
        {
            p.drops += 1;
            p.drop_epoch = p.epoch;
            let rate = optimisation.rate(self.settings.lr, step + 1, p.drops);
            info!("no better model since epoch {}: the learning rate drops to {rate}", p.best_epoch);
        }
        self.reports.epoch(&self.history, image_losses, reported)?;
        self.report_epoch(watcher);
        Ok(())
    }

    fn report_epoch(&mut self, watcher: &mut dyn Watcher) {
        if let Some(epoch) = self.history.epochs.last() {
            self.stopped |= watcher.epoch(epoch).is_break();
        }
    }

    fn save_is_due(&self, epoch_ended: bool) -> bool {
        let seconds = self.saved.elapsed().as_secs_f64();
        let first = epoch_ended && self.progress.epoch == self.validate_every;
        let long = seconds > SAVE_SHARE * self.save_time.as_secs_f64();
        first || long && (epoch_ended || seconds > SAVE_SECONDS)
    }

    /// Saves the best model, the history and the checkpoint. The checkpoint is written last, so that it never refers to a model or
    /// history that is not saved yet.
    fn save(&mut self) -> Result<()> {
        let Some(folder) = self.folder else { return Ok(()) };
        let start = Instant::now();
        self.take_losses(true)?;
        let parameters = self.checked_parameters()?;
        let (moments, average) = (self.engine.moments()?, self.engine.average()?);
        self.write_best()?;
        self.progress.minutes = if self.settings.max_minutes.is_some() { self.minutes() } else { 0.0 };
        let best_parameters =
            if self.progress.best_epoch > 0 { self.model.parameters.clone() } else { Vec::new() };
        let progress = self.progress.clone();
        folder.write_checkpoint(&Checkpoint { parameters, moments, average, best_parameters, progress })?;
        self.saved = Instant::now();
        self.save_time = start.elapsed();
        Ok(())
    }

    /// Writes the best model, if there is one yet, and the history.
    fn write_best(&self) -> Result<()> {
        let Some(folder) = self.folder else { return Ok(()) };
        if self.progress.best_epoch > 0 {
            folder.write_model(&self.model)?;
        }
        folder.write_history(&self.history)
    }

    /// Refreshes the preview if there is a better model than the one it shows. A failure is only logged, since a missing picture is
    /// no reason to end a run.
    fn refresh_preview(&mut self) {
        let refreshed =
            self.reports.refresh_preview(self.engine.as_mut(), &self.model.parameters, &self.judge);
        if let Err(error) = refreshed {
            warn!("there is no new preview: {error}");
        }
    }

    /// The scores of the best model on the validation images.
    fn best_scores(&self) -> Option<Scores> {
        self.prepared.validation.as_ref()?;
        let epoch = self.history.epochs.iter().find(|epoch| epoch.epoch == self.progress.best_epoch)?;
        let values = epoch.metrics.iter().map(|(_, value)| *value);
        let metrics = metric_names(&self.model.task).iter().copied().zip(values).collect();
        Some(Scores { loss: epoch.validation_loss, metrics })
    }
}

/// Passes reports on to the watcher. When it asks to stop, that is noted in `stopped` and the work goes on.
struct Listener<'a> {
    watcher: &'a mut dyn Watcher,
    stopped: bool,
}

impl Watcher for Listener<'_> {
    fn image(&mut self, image: &ImageReport<'_>) -> Flow {
        self.stopped |= self.watcher.image(image).is_break();
        Flow::Continue(())
    }
}
