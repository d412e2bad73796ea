//! What is logged about a training run: before it, during it, and at its end.

use std::io::IsTerminal;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use log::info;

use super::interrupt::Interrupt;
use crate::training::{Outcome, Prepared, RunFolder, Settings, StopReason};
use crate::watcher::{Epoch, Flow, ImageReport, StepReport, TrainingPlan, Watcher};

/// Says what a run is about to do, on devices that are called so.
pub(super) fn describe(prepared: &Prepared, settings: &Settings, device: &str) {
    let a = &prepared.model.architecture;
    let validation = match &prepared.validation {
        Some(set) => format!("{} to validate", set.len()),
        None => "none to validate (the best model is judged by a few of the training images)".into(),
    };
    info!("images: {} to train, {validation}", prepared.training.len());
    if !prepared.model.classes().is_empty() {
        let names: Vec<&str> = prepared.model.classes().iter().map(|class| class.name.as_str()).collect();
        info!("classes (values in the label images): {}", names.join(", "));
    }
    let parameters = prepared.model.parameters.len();
    info!(
        "network: depth {}, width {}, {} in, {} out, {parameters} parameters",
        a.depth, a.width, a.inputs, a.outputs
    );
    let pieces = match prepared.filled(settings).crop.unwrap_or_default() {
        0 => "whole images".into(),
        crop => format!("pieces of up to {crop}x{crop}"),
    };
    info!("steps of {} {pieces} on {device}", settings.batch);
}

/// Says what a run came to.
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
                // Where few pixels count, some have no value.
                .filter(|(_, value)| !value.is_nan())
                .map(|(name, value)| format!(", {} {value:.4}", name.replace('_', " ")))
                .collect();
            Some(format!("validation loss {:.4}{}", scores.loss, metrics.concat()))
        }
        None => None,
    };
    if outcome.best_epoch == 0 {
        info!(
            "{why} before any step was made; go on with: msd-gpu train --resume {}",
            folder.path().display()
        );
        return;
    }
    info!("{why} after {} steps; best model from epoch {}", outcome.steps, outcome.best_epoch);
    if let Some(scores) = scores {
        info!("{scores}");
    }
    let path = folder.path().display();
    info!("model, curves and preview are in {path}; the next command may be:");
    info!("msd-gpu predict --model {path} YOUR_IMAGES --out results");
}

/// A progress bar on a terminal; elsewhere a line for an epoch now and then, and one about every minute in any case.
pub(super) struct ProgressWatcher {
    interrupt: Interrupt,
    bar: Option<ProgressBar>,
    started: Instant,
    last_epoch: Option<Instant>,
    talk: Arc<Mutex<Talk>>,
    /// Ends the thread that talks when it goes.
    _talker: Sender<()>,
}

/// What was said last, and what there is to say.
struct Talk {
    last_line: Instant,
    status: String,
    /// Nothing is said between two runs.
    paused: bool,
}

/// Steps of the progress bar.
const BAR_LENGTH: u64 = 1000;
/// Seconds between lines about epochs where there is no terminal.
const EPOCH_SECONDS: f64 = 10.0;
/// After so many seconds without a line one is said, however long a step or an epoch takes.
const SILENCE: Duration = Duration::from_secs(50);

impl ProgressWatcher {
    pub(super) fn new() -> Self {
        let shown = std::io::stderr().is_terminal() && log::log_enabled!(log::Level::Info);
        let bar = shown.then(|| {
            let bar = ProgressBar::new(BAR_LENGTH);
            // The template is fixed text; were it wrong, the plain bar does as well.
            let style =
                ProgressStyle::with_template("{bar:24} {percent:>3}%  {elapsed} gone, {prefix} left  {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.enable_steady_tick(Duration::from_secs(1));
            bar
        });
        let talk = Talk { last_line: Instant::now(), status: String::new(), paused: false };
        let talk = Arc::new(Mutex::new(talk));
        let interrupt = Interrupt::listen("stopping; the best model so far is kept");
        let talker = talk_now_and_then(Arc::clone(&talk), bar.is_some());
        Self { interrupt, bar, started: Instant::now(), last_epoch: None, talk, _talker: talker }
    }

    /// Gets ready for another run.
    pub(super) fn restart(&mut self) {
        (self.started, self.last_epoch) = (Instant::now(), None);
        let mut talk = lock(&self.talk);
        (talk.paused, talk.last_line) = (false, Instant::now());
        talk.status.clear();
    }

    /// Says nothing until the next run.
    pub(super) fn pause(&mut self) {
        lock(&self.talk).paused = true;
        if let Some(bar) = &self.bar {
            bar.reset();
        }
    }

    fn status(&self, status: String) {
        if let Some(bar) = &self.bar {
            bar.set_message(status.clone());
        }
        lock(&self.talk).status = status;
    }

    fn say(&self, line: &str) {
        lock(&self.talk).last_line = Instant::now();
        match &self.bar {
            Some(bar) => bar.suspend(|| info!("{line}")),
            None => info!("{line}"),
        }
    }
}

fn lock(talk: &Mutex<Talk>) -> MutexGuard<'_, Talk> {
    // Nothing is left half-done by a panic while it was locked.
    talk.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says a line where none was said for long, on a thread of its own: a single step can take minutes. It ends when what is
/// returned goes.
fn talk_now_and_then(talk: Arc<Mutex<Talk>>, has_bar: bool) -> Sender<()> {
    let (sender, receiver) = channel();
    // A bar shows by itself that the run is alive.
    if !has_bar {
        let talker = move || {
            while receiver.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
                let mut talk = lock(&talk);
                if !talk.paused && !talk.status.is_empty() && talk.last_line.elapsed() > SILENCE {
                    info!("{}", talk.status);
                    talk.last_line = Instant::now();
                }
            }
        };
        if let Err(error) = std::thread::Builder::new().spawn(talker) {
            log::debug!("long steps are not told of, as there is no thread for it: {error}");
        }
    }
    sender
}

impl Drop for ProgressWatcher {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Watcher for ProgressWatcher {
    fn started(&mut self, plan: &TrainingPlan) -> Flow {
        let mebibytes = |bytes: u64| bytes as f64 / (1 << 20) as f64;
        let rhythm = match plan.validate_every {
            1 => "each of them".into(),
            every => format!("every {every} of them"),
        };
        self.say(&format!("an epoch is {} steps; the network is judged after {rhythm}", plan.steps_in_epoch));
        self.say(&format!(
            "training takes {:.0} MiB: {:.0} for the network, {:.0} for images",
            mebibytes(plan.network_bytes + plan.image_bytes),
            mebibytes(plan.network_bytes),
            mebibytes(plan.image_bytes)
        ));
        self.started = Instant::now();
        self.status("the first step is under way".into());
        self.interrupt.flow()
    }

    fn within_step(&mut self) -> Flow {
        self.interrupt.flow()
    }

    fn step(&mut self, report: &StepReport) -> Flow {
        let StepReport { step, loss, done } = *report;
        if let Some(bar) = &self.bar {
            let done = if done.is_nan() { 0.0 } else { done.min(1.0) };
            bar.set_position((done * BAR_LENGTH as f64) as u64);
            let left = self.started.elapsed().as_secs_f64() * (1.0 - done) / done.max(1e-3);
            bar.set_prefix(format!("{}:{:02}", left as u64 / 60, left as u64 % 60));
        }
        let loss = if loss.is_nan() { String::new() } else { format!(", loss {loss:.4}") };
        self.status(format!("step {step}{loss}"));
        self.interrupt.flow()
    }

    fn image(&mut self, image: &ImageReport<'_>) -> Flow {
        let number = (image.index + usize::from(image.done >= 1.0 && image.index + 1 < image.count)) + 1;
        self.status(format!("judging by image {number} of {}", image.count));
        self.interrupt.flow()
    }

    fn epoch(&mut self, epoch: &Epoch) -> Flow {
        let due = self.last_epoch.is_none_or(|at| at.elapsed().as_secs_f64() > EPOCH_SECONDS);
        if due {
            self.last_epoch = Some(Instant::now());
            self.say(&epoch.to_string());
        }
        self.interrupt.flow()
    }
}
