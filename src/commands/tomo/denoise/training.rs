//! Training on reconstructions of shares of the projections, for as long as the device needs.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use log::info;

use super::plan::Plan;
use crate::commands::training_progress::{ProgressWatcher, describe};
use crate::devices::Device;
use crate::network::Model;
use crate::training::{Prepared, Run, RunFolder, Settings, StopReason, TaskKind};
use crate::watcher::{Flow, StepReport, Watcher};
use crate::{Error, Result};

/// Steps that are aimed at.
const STEPS: f64 = 3000.0;
/// The least and the most minutes that they are given: a fast device makes more steps.
const MINUTES: (f64, f64) = (2.0, 60.0);
/// Steps that the device makes ready in, and those that are timed then.
const WARM_UP: u64 = 3;
const TIMED: u64 = 8;
/// Slices from which on some are kept for validation, and their share.
const MANY_SLICES: usize = 10;
const VALIDATION: f64 = 0.1;

/// What is trained on, and where.
pub(super) struct Training<'a> {
    pub(super) shares: &'a [PathBuf],
    pub(super) slices: usize,
    pub(super) slab: usize,
    pub(super) minutes: Option<f64>,
    pub(super) steps: Option<u64>,
    pub(super) device: &'a Device,
    pub(super) device_name: &'a str,
}

impl Training<'_> {
    /// Trains, or goes on with it.
    ///
    /// # Errors
    /// Those of training; [`Error::Stopped`] where it was asked to end before its time.
    pub(super) fn run(&self, plan: &mut Plan) -> Result<Model> {
        let place = plan.folder().join("run");
        let goes_on = place.join("config.toml").exists();
        let mut settings = match goes_on {
            true => RunFolder::settings(&place)?,
            false => self.settings(),
        };
        let prepared = match goes_on {
            true => Prepared::resumed(&settings, &place)?,
            false => Prepared::load(&settings)?,
        };
        if !goes_on && self.steps.is_some() {
            settings.max_steps = self.steps;
        } else if !goes_on {
            let minutes = match (self.minutes, plan.minutes()) {
                (Some(minutes), _) | (None, Some(minutes)) => minutes,
                (None, None) => self.minutes_of_device(&settings, &prepared)?,
            };
            plan.set_minutes(minutes)?;
            settings.max_minutes = Some(minutes);
        }
        let folder = match goes_on {
            true => RunFolder::open(&place)?,
            false => RunFolder::create(&place)?,
        };
        describe(&prepared, &settings, &self.device.info.name);
        if let Some(minutes) = settings.max_minutes {
            info!("training takes {minutes:.1} minutes");
        }
        let mut watcher = ProgressWatcher::new();
        let run = Run::new(settings, &prepared).on(self.device).save_in(&folder);
        let run = if goes_on { run.resume() } else { run };
        let outcome = run.watched_by(&mut watcher).train()?;
        if outcome.reason == StopReason::Asked {
            info!("the same command with --resume goes on from here");
            return Err(Error::Stopped { done: 0, count: self.slices });
        }
        info!("{} steps; best model from epoch {}", outcome.steps, outcome.best_epoch);
        Ok(outcome.model)
    }

    /// Checks what is asked for, before anything is done.
    ///
    /// # Errors
    /// [`Error::Setting`] for what cannot be.
    pub(super) fn check(&self) -> Result<()> {
        let settings = Settings { max_steps: Some(1), ..self.settings() };
        settings.validate()
    }

    fn settings(&self) -> Settings {
        let mut settings = Settings::new(TaskKind::Regress, "", "");
        settings.learn_from_splits(self.shares.iter().map(|share| share.display().to_string()).collect());
        settings.slab = self.slab;
        settings.device = self.device_name.into();
        settings.val_fraction = (self.slices >= MANY_SLICES).then_some(VALIDATION);
        settings
    }

    /// How many minutes are trained on this device.
    fn minutes_of_device(&self, settings: &Settings, prepared: &Prepared) -> Result<f64> {
        let short = Settings { max_steps: Some(WARM_UP + TIMED), ..settings.clone() };
        let mut clock = StepClock::default();
        Run::new(short, prepared).on(self.device).watched_by(&mut clock).train()?;
        let step = clock.seconds_a_step();
        let minutes = (STEPS * step / 60.0).clamp(MINUTES.0, MINUTES.1);
        info!("a step takes about {:.1} ms here", 1e3 * step);
        Ok((10.0 * minutes).round() / 10.0)
    }
}

/// Times the steps of a short run.
#[derive(Debug, Default)]
struct StepClock {
    first: Option<Instant>,
    last: Option<(u64, Duration)>,
}

impl StepClock {
    fn seconds_a_step(&self) -> f64 {
        self.last.map_or(0.0, |(steps, time)| time.as_secs_f64() / steps.max(1) as f64)
    }
}

impl Watcher for StepClock {
    fn step(&mut self, step: &StepReport) -> Flow {
        if step.step == WARM_UP {
            self.first = Some(Instant::now());
        }
        if let Some(first) = self.first.filter(|_| step.step > WARM_UP) {
            self.last = Some((step.step - WARM_UP, first.elapsed()));
        }
        ControlFlow::Continue(())
    }
}
