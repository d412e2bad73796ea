//! What is shown and told of a run while it goes on.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::gains::Gains;
use super::looking::ViewPredictor;
use super::state::Shared;
use crate::Result;
use crate::devices::Device;
use crate::training::Snapshot;
use crate::watcher::{Epoch, Flow, StepReport, Watcher};

/// The first steps after which the network is shown; then by time.
const FIRST_SHOWN: [u64; 4] = [5, 15, 30, 60];
/// The shortest time between two showings, and the share of the time that showing takes at most.
const SHOW_EVERY: Duration = Duration::from_millis(400);
const SHOW_SHARE: u32 = 3;
/// How long a showing takes while training goes on.
const SHOWN_FOR: Duration = Duration::from_millis(150);
/// A point of the curve is kept after so many steps.
const POINT_EVERY: u64 = 20;
/// The loss that is told is the mean of so many steps.
const LOSSES: usize = 20;

/// Shows the network of a run between two steps.
pub(super) struct Shower<'a> {
    shared: &'a Shared,
    device: &'a Device,
    looker: &'a mut ViewPredictor,
    shown: Instant,
    /// How long showing took.
    showing: Duration,
}

impl<'a> Shower<'a> {
    pub(super) fn new(shared: &'a Shared, device: &'a Device, looker: &'a mut ViewPredictor) -> Self {
        Self { shared, device, looker, shown: Instant::now(), showing: Duration::ZERO }
    }

    /// Shows the network after so many steps since something changed, where it is time to; its model says of itself what `facts` are.
    ///
    /// # Errors
    /// What the device refuses.
    pub(super) fn stepped(
        &mut self,
        since: u64,
        network: &mut Snapshot<'_>,
        facts: &[(&str, &str)],
    ) -> Result<()> {
        let is_due = self.shown.elapsed() > SHOW_EVERY.max(self.showing * SHOW_SHARE);
        let is_searched = self.shared.is_searched();
        if FIRST_SHOWN.contains(&since) || is_due || is_searched {
            let start = Instant::now();
            let mut model = network.model()?;
            let facts = facts.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
            model.provenance.extend(facts);
            self.looker.update(model.clone(), self.device)?;
            self.shared.keep(Some(model));
            if is_searched {
                self.shared.found(self.looker.least_sure(self.shared).map_err(|error| error.to_string()));
            }
            self.looker.look(self.shared, SHOWN_FOR);
            (self.shown, self.showing) = (Instant::now(), start.elapsed());
        }
        Ok(())
    }
}

/// The metric that is the score of a network: of one that segments, or of one that denoises.
pub(super) fn metric(denoises: bool) -> &'static str {
    if denoises { "psnr" } else { "mean_iou" }
}

/// Tells how training goes.
pub(super) struct Reporter<'a> {
    shared: &'a Shared,
    ends: &'a Cell<bool>,
    gains: &'a RefCell<Gains>,
    losses: VecDeque<f32>,
    started: Instant,
    /// Seconds of training before this sitting.
    seconds: f64,
    first_step: Option<u64>,
}

impl<'a> Reporter<'a> {
    pub(super) fn new(shared: &'a Shared, ends: &'a Cell<bool>, gains: &'a RefCell<Gains>) -> Self {
        let seconds = shared.status().seconds;
        let losses = VecDeque::new();
        Self { shared, ends, gains, losses, started: Instant::now(), seconds, first_step: None }
    }
}

impl Watcher for Reporter<'_> {
    fn step(&mut self, report: &StepReport) -> Flow {
        if report.loss.is_finite() {
            self.losses.push_back(report.loss);
            if self.losses.len() > LOSSES {
                self.losses.pop_front();
            }
        }
        let count = self.losses.len();
        let loss = (count > 0).then(|| f64::from(self.losses.iter().sum::<f32>()) / count as f64);
        loss.iter().for_each(|loss| self.gains.borrow_mut().loss(report.step, *loss));
        let here = self.started.elapsed().as_secs_f64();
        let is_first = self.first_step.is_none();
        let steps = report.step - *self.first_step.get_or_insert(report.step);
        self.shared.report(false, |status| {
            if is_first {
                // A run that was killed goes on from its last checkpoint.
                status.curve.retain(|(step, ..)| *step < report.step);
            }
            if status.state == "starting" {
                status.state = "running";
            }
            (status.step, status.loss, status.seconds) = (report.step, loss, self.seconds + here);
            status.steps_a_second = steps as f64 / here.max(1e-3);
            if let (Some(loss), 0) = (loss, report.step % POINT_EVERY) {
                status.curve.push((report.step, loss, None));
            }
        });
        match self.shared.goes_on() && !self.ends.get() {
            true => Flow::Continue(()),
            false => Flow::Break(()),
        }
    }

    fn epoch(&mut self, epoch: &Epoch) -> Flow {
        let score = epoch
            .metrics
            .iter()
            .find(|(name, _)| name == metric(self.shared.project.denoises()))
            .map(|(_, score)| *score);
        if let Some(score) = score.filter(|score| score.is_finite()) {
            self.gains.borrow_mut().score(epoch.step, score);
            self.shared.report(false, |status| {
                status.score = Some(score);
                let loss = status.loss.unwrap_or(epoch.training_loss);
                status.curve.push((epoch.step, loss, Some(score)));
            });
        }
        Flow::Continue(())
    }
}
