//! The loop: steps, and labels that change between them.

mod epochs;
mod notices;
mod saving;
mod steps;
mod together;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use log::{debug, info, warn};

use self::notices::Collapse;
use self::steps::Next;
use super::checkpoint::{Checkpoint, Progress};
use super::folder::{RunFolder, read_run_settings};
use super::judge::Judge;
use super::memory::MemoryUse;
use super::outcome::{Outcome, StopReason};
use super::reports::Reports;
use super::resume::{check_same_data, check_same_network, check_same_settings, fingerprints};
use crate::devices::Device;
use crate::engine::{DeviceKind, Engine, Loss, Precision};
use crate::evaluation::metric_names;
use crate::geometry::Shape;
use crate::network::Model;
use crate::peers::{Peers, share};
use crate::training::batches::{Batches, StepsAhead};
use crate::training::prepare::Prepared;
use crate::training::relabel::Relabelled;
use crate::training::reports::History;
use crate::training::session::{Session, Snapshot};
use crate::training::settings::Settings;
use crate::watcher::{TrainingPlan, Watcher};
use crate::{Error, Result};

/// Trains until a limit, the patience or the watcher ends it; see [`super::Run`]. Of several ranks each calls this; the checkpoint and
/// the folder are those of rank 0.
#[allow(clippy::too_many_arguments, reason = "they are what a run consists of")]
pub(super) fn train(
    prepared: &Prepared,
    settings: &Settings,
    folder: Option<&RunFolder>,
    device: &Device,
    start: Start,
    peers: &mut dyn Peers,
    watcher: &mut dyn Watcher,
    session: &mut dyn Session,
) -> Result<Outcome> {
    let leads = peers.rank() == 0;
    let mut trainer = Trainer::new(prepared, settings, folder, device, start, peers)?;
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
    trainer.stopped = watcher.started(&plan).is_break();
    if leads {
        trainer.warn_of_short_schedule();
        trainer.warn_of_nothing_to_do();
    }
    let reason = match trainer.in_session(watcher, session) {
        Ok(reason) => reason,
        Err(error) => {
            // The best model outlives what went wrong after it; the checkpoint stays at what was saved before.
            trainer.write_best().unwrap_or_else(|second| warn!("{second}"));
            return Err(error);
        }
    };
    let waited = trainer.waited;
    let seconds = trainer.started.elapsed().as_secs_f64();
    if leads {
        let share = |time: Duration| 100.0 * time.as_secs_f64() / seconds.max(1e-9);
        debug!("waited for images in {:.1} % of the time", share(waited));
        if trainer.by_pieces {
            debug!("waited for other devices in {:.1} % of the time", share(trainer.talked));
        }
    }
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

/// The device that stores maps as `settings` say. On a device that cannot, a run that begins is one with full numbers, which its settings say
/// from then on, and one that `goes_on` is refused, as its results would be neither those of halves nor those of full numbers. Whoever
/// `leads` says so.
fn storing(device: &Device, settings: &mut Settings, goes_on: bool, leads: bool) -> Result<Device> {
    if settings.precision == Precision::Full || device.has_halves() {
        return Ok(device.clone().with_precision(settings.precision));
    }
    if goes_on {
        let wanted = format!(
            "{} cannot store feature maps as halves (f16), with which the run was begun; go on with it on a device that can, or begin another with `precision full`",
            device.info.name
        );
        return Err(Error::setting("precision", settings.precision.name(), wanted));
    }
    let asked = std::mem::take(&mut settings.precision);
    Ok(if leads { device.clone().with_precision(asked) } else { device.clone() })
}

/// Where a run starts.
pub(super) struct Start {
    /// What it goes on from, if it does.
    pub(super) checkpoint: Option<Checkpoint>,
    /// Whether its labels may be others than before.
    pub(super) relabelled: bool,
}

/// Why steps are not made any more.
enum End {
    Finished(StopReason),
    /// The batches that are made ready are of labels that are no longer those of the run.
    Relabelled,
}

pub(super) struct Trainer<'a> {
    prepared: &'a Prepared,
    settings: Settings,
    loss: Loss,
    folder: Option<&'a RunFolder>,
    engine: Box<dyn Engine>,
    /// All ranks of the run.
    peers: &'a mut dyn Peers,
    /// Whether gradients are added a piece at a time.
    by_pieces: bool,
    batches: Arc<Batches>,
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
    collapse: Collapse,
    /// Whether the watcher asked for an end.
    stopped: bool,
    /// Total time that was spent waiting for batches.
    waited: Duration,
    /// Total time that steps took to talk to other ranks, and to wait for them.
    talked: Duration,
}

impl<'a> Trainer<'a> {
    fn new(
        prepared: &'a Prepared,
        settings: &Settings,
        folder: Option<&'a RunFolder>,
        device: &Device,
        Start { checkpoint, relabelled }: Start,
        peers: &'a mut dyn Peers,
    ) -> Result<Self> {
        let mut model = prepared.model.clone();
        let fingerprints = fingerprints(&model)?;
        let checkpoint =
            together::agree_on_start(peers, settings, &fingerprints, &device.info, &mut model, checkpoint)?;
        let (leads, several) = (peers.rank() == 0, peers.size() > 1);
        // On the processor, where images are taken one by one, this makes no difference to the bits.
        let by_pieces =
            several || checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.progress.by_pieces);
        let batches = match by_pieces {
            true => {
                Batches::of(prepared, settings)?.by_pieces(share(settings.batch, peers.rank(), peers.size()))
            }
            false => Batches::of(prepared, settings)?,
        };
        if leads && settings.batch < peers.size() {
            warn!(
                "a step is of {} pieces, so that {} of {} devices wait for the others; give a larger `batch`",
                settings.batch,
                peers.size() - settings.batch,
                peers.size()
            );
        }
        let known = checkpoint.as_ref().and_then(|checkpoint| checkpoint.progress.steps_in_epoch);
        let steps_in_epoch = known.unwrap_or_else(|| batches.steps_in_epoch());
        let mut settings = settings.clone();
        settings.fit(steps_in_epoch)?;
        let device = storing(device, &mut settings, checkpoint.is_some(), leads)?;
        let judge = Judge::new(prepared, &settings)?;
        let started_with = checkpoint
            .as_ref()
            .map(|checkpoint| read_run_settings(&checkpoint.progress.settings, "checkpoint".as_ref()));
        let mut started_with = started_with.transpose()?;
        if let Some(started) = &mut started_with {
            // Runs that were begun before there was a rhythm judged the network after each epoch.
            let every = *started.validate_every.get_or_insert(1);
            settings.validate_every.get_or_insert(every);
        }
        let validate_every = *settings.validate_every.get_or_insert_with(|| judge.rhythm(&batches));
        let judging_steps = judge.cost_in_steps(&batches);
        let decide = |device| tuned(&device, checkpoint.as_ref(), &model, batches.largest_shape());
        let device = together::tuned_alike(peers, device, decide)?;
        let mut engine = device.open(&model.architecture, &model.parameters)?;
        let metrics = metric_names(&model.task);
        let (mut progress, history) = match checkpoint {
            None => (Progress { best: f64::INFINITY, ..Default::default() }, History::new(metrics)),
            Some(checkpoint) => {
                let mut progress = checkpoint.progress;
                if let Some(started) = &started_with {
                    check_same_settings(started, &settings)?;
                }
                match relabelled {
                    true => check_same_network(&progress.fingerprints, &fingerprints)?,
                    false => check_same_data(&progress.fingerprints, &fingerprints)?,
                }
                if progress.fingerprints != fingerprints {
                    let version = model.provenance.get("training_fingerprint");
                    progress.take_labels(version.map_or("", String::as_str));
                    if leads {
                        info!("the labels are others from step {} on", progress.step + 1);
                    }
                }
                engine.set_parameters(&checkpoint.parameters)?;
                engine.set_moments(&checkpoint.moments)?;
                engine.set_average(&checkpoint.average)?;
                if progress.best_epoch > 0 {
                    model.parameters = checkpoint.best_parameters;
                    model.provenance.clone_from(&progress.best_provenance);
                    model.validate()?;
                }
                if leads {
                    info!("going on from epoch {}, step {}", progress.epoch, progress.step);
                }
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
        progress.steps_in_epoch = Some(steps_in_epoch);
        progress.by_pieces |= several && settings.batch > 1 && device.info.kind != DeviceKind::Cpu;
        progress.tuning = device.tuning().map(|tuning| (device.info.name.clone(), tuning));
        let reports = Reports::new(folder, settings.tensorboard, progress.step)?;
        // Without a limit in minutes the checkpoint holds no clock, so that equal runs write equal bytes.
        let last_epoch = history.epochs.last().map_or(0.0, |epoch| epoch.minutes);
        let minutes_before = last_epoch.max(progress.minutes);
        let limited = settings.max_minutes.filter(|&most| minutes_before > 0.0 && minutes_before < most);
        if let Some(most) = limited.filter(|_| leads) {
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
            peers,
            by_pieces,
            batches: Arc::new(batches),
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
            collapse: Collapse::default(),
            stopped: false,
            waited: Duration::ZERO,
            talked: Duration::ZERO,
        })
    }

    fn memory(&self) -> Result<MemoryUse> {
        let (engine, batches) = (self.engine.as_ref(), &self.batches);
        let (shape, pieces) = (batches.largest_shape(), batches.made().max(1));
        let (task, training) = (&self.model.task, &self.prepared.training);
        let mut memory = MemoryUse::of_run(engine, task, shape, pieces, training, &self.judge)?;
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

    /// Makes steps until something ends the run, with the labels that the session gives, and saves it.
    fn in_session(&mut self, watcher: &mut dyn Watcher, session: &mut dyn Session) -> Result<StopReason> {
        let last = self.settings.last_step(self.steps_in_epoch);
        let reason = loop {
            let batches = Arc::clone(&self.batches);
            let end = thread::scope(|scope| {
                let mut steps = batches.start(scope, self.progress.step + 1, last);
                let end = self.until_finished(&mut steps, watcher, session);
                self.waited += steps.waited();
                end
            });
            if let End::Finished(reason) = end? {
                break reason;
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

    /// Makes steps until something ends the run, or the session has other labels, which are taken.
    fn until_finished(
        &mut self,
        steps: &mut StepsAhead,
        watcher: &mut dyn Watcher,
        session: &mut dyn Session,
    ) -> Result<End> {
        loop {
            let reason = self.finished();
            if reason.is_none()
                && let Some(labels) = session.labels(self.progress.step + 1)?
            {
                self.relabel(labels)?;
                return Ok(End::Relabelled);
            }
            match self.next_step(steps, reason)? {
                Next::Finished(reason) => return Ok(End::Finished(reason)),
                Next::Step(ready) => {
                    if !self.step(ready, watcher)? {
                        continue;
                    }
                }
            }
            let step = self.progress.step;
            let averages = self.settings.optimisation.averages();
            let (engine, model, judge) = (self.engine.as_mut(), &self.model, &self.judge);
            let labels = self.progress.labels_as_text();
            session.stepped(step, &mut Snapshot { engine, model, judge, averages, step, labels })?;
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
        }
    }

    /// Goes on with other labels.
    fn relabel(&mut self, labels: Relabelled) -> Result<()> {
        let Relabelled { training, totals, validation, version } = labels;
        self.batches = Arc::new(self.batches.of_relabelled(&training, &self.settings)?);
        self.judge.relabel(&training, &totals, validation.as_ref())?;
        self.progress.take_labels(&version);
        Ok(())
    }

    /// Whether and why the run is at its end, as far as this rank knows.
    fn finished(&self) -> Option<StopReason> {
        let (s, p) = (&self.settings, &self.progress);
        let waited = p.waited();
        let judged = p.epoch.is_multiple_of(self.validate_every);
        // There is one clock, that of rank 0.
        let minutes = s.max_minutes.filter(|_| self.peers.rank() == 0);
        if self.stopped {
            Some(StopReason::Asked)
        } else if s.max_steps.is_some_and(|most| p.step >= most)
            || s.max_epochs.is_some_and(|most| p.epoch >= most)
            || minutes.is_some_and(|most| self.minutes() + self.minutes_to_end() >= most)
        {
            Some(StopReason::Limit)
        } else if s.patience > 0 && self.judge.validates() && judged && waited >= s.patience {
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

    /// The learning rate of step `step`: after other labels came it is that of the first steps again, without warming up.
    fn rate(&self, step: u64) -> f64 {
        let optimisation = &self.settings.optimisation;
        let step = match self.progress.relabelled_at() {
            0 => step,
            before => step - before + optimisation.warmup_steps,
        };
        optimisation.rate(self.settings.lr, step, self.progress.drops)
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
}
