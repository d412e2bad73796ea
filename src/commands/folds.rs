//! `train --folds`: what is logged about a cross-validation.

use std::path::Path;

use log::info;

use super::device::named;
use super::training_progress::{ProgressWatcher, describe, report};
use super::{console, table};
use crate::Result;
use crate::devices::Device;
use crate::training::{FoldWatcher, Folds, Outcome, Prepared, RunFolder, Settings};
use crate::watcher::{Epoch, Flow, ImageReport, StepReport, TrainingPlan, Watcher};

/// Trains each fold into the folder `out`, and prints the scores with their mean and deviation.
pub(super) fn run(settings: &Settings, folds: usize, out: &Path, devices: &[Device]) -> Result<()> {
    let mut watcher = FoldProgress {
        folds,
        devices: named(devices.iter().map(|device| &device.info)),
        progress: ProgressWatcher::new(),
    };
    let done = Folds::train(settings, folds, out, devices, &mut watcher)?;
    drop(watcher);
    lines(&done).iter().for_each(console::line);
    if done.folds.len() < folds {
        info!("{} of {folds} folds; msd-gpu train --resume {} goes on", done.folds.len(), out.display());
    }
    Ok(())
}

/// Says of each fold what is said of a run.
struct FoldProgress {
    folds: usize,
    devices: String,
    progress: ProgressWatcher,
}

impl FoldWatcher for FoldProgress {
    fn fold_started(&mut self, fold: usize, settings: &Settings, prepared: &Prepared) {
        info!("fold {fold} of {}", self.folds);
        describe(prepared, settings, &self.devices);
        self.progress.restart();
    }

    fn fold_ended(&mut self, _fold: usize, outcome: &Outcome, folder: &RunFolder) {
        self.progress.pause();
        report(outcome, folder);
    }
}

impl Watcher for FoldProgress {
    fn started(&mut self, plan: &TrainingPlan) -> Flow {
        self.progress.started(plan)
    }

    fn within_step(&mut self) -> Flow {
        self.progress.within_step()
    }

    fn step(&mut self, step: &StepReport) -> Flow {
        self.progress.step(step)
    }

    fn epoch(&mut self, epoch: &Epoch) -> Flow {
        self.progress.epoch(epoch)
    }

    fn image(&mut self, image: &ImageReport<'_>) -> Flow {
        self.progress.image(image)
    }
}

/// The scores of the best epoch of each fold, for people.
fn lines(folds: &Folds) -> Vec<String> {
    let number = |value: f64| if value.is_nan() { "-".to_owned() } else { format!("{value:.4}") };
    let header = ["fold", "epoch"].map(str::to_owned).into_iter();
    let names = folds.names.iter().map(|name| name.replace('_', " "));
    let mut rows = vec![header.chain(names).collect::<Vec<_>>()];
    for (index, fold) in folds.folds.iter().enumerate() {
        let start = [(index + 1).to_string(), fold.epoch.to_string()].into_iter();
        rows.push(start.chain(fold.scores.iter().copied().map(number)).collect());
    }
    let summary = folds.summary();
    for (name, pick) in [("mean", 0), ("deviation", 1)] {
        let scores = summary.iter().map(|&(mean, deviation)| number([mean, deviation][pick]));
        rows.push([name.to_owned(), String::new()].into_iter().chain(scores).collect());
    }
    table::lines(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::FoldScores;

    #[test]
    fn the_table_ends_with_mean_and_deviation() {
        let folds = [1.0, 2.0, 6.0].map(|loss| FoldScores { epoch: 4, scores: vec![loss, f64::NAN] }).into();
        let folds = Folds { names: vec!["loss", "ssim"], folds };
        assert!(lines(&folds).last().is_some_and(|line| line.contains("2.6458")));
    }
}
