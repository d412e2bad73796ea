//! Cross-validation: one run for each fold, and the mean and deviation of their scores.

use std::path::Path;

use super::prepare::Prepared;
use super::run::{Outcome, Run, RunFolder, StopReason};
use super::settings::Settings;
use crate::devices::Device;
use crate::files::write_bytes_atomic;
use crate::watcher::Watcher;
use crate::{Error, Result};

/// What the best model of a fold scores on the images that were set aside for it.
#[derive(Debug, Clone, PartialEq)]
pub struct FoldScores {
    /// The epoch of the best model.
    pub epoch: u64,
    /// The validation loss, and the metrics in the order of their names; NaN where one is not defined.
    pub scores: Vec<f64>,
}

/// The scores of the folds that were trained.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Folds {
    /// The names of the scores: the loss, and the metrics.
    pub names: Vec<&'static str>,
    /// The folds, in order.
    pub folds: Vec<FoldScores>,
}

/// A [`Watcher`] that also receives the start and the end of each run of a cross-validation.
pub trait FoldWatcher: Watcher {
    /// A fold, counted from 1, is about to be trained or resumed.
    fn fold_started(&mut self, fold: usize, settings: &Settings, prepared: &Prepared) {
        let _ = (fold, settings, prepared);
    }

    /// A fold has ended; its run is in `folder`.
    fn fold_ended(&mut self, fold: usize, outcome: &Outcome, folder: &RunFolder) {
        let _ = (fold, outcome, folder);
    }
}

impl FoldWatcher for () {}

impl Folds {
    /// Trains each of `folds` folds on all of `devices` into `fold-1`, `fold-2` and so on in the folder `out`, and resumes those that were
    /// begun; `folds.csv` there keeps the scores. Where the watcher stops a run, the folds after it are left for another time.
    ///
    /// # Errors
    /// As [`Run::train`] and [`Prepared::load`]; [`Error::Output`] when the folder cannot be made.
    pub fn train(
        settings: &Settings,
        folds: usize,
        out: &Path,
        devices: &[Device],
        watcher: &mut dyn FoldWatcher,
    ) -> Result<Self> {
        std::fs::create_dir_all(out).map_err(|error| {
            let problem = format!("{error}; name a folder that can be made with `out`");
            Error::output(out, problem).caused_by(error)
        })?;
        write_bytes_atomic(out.join("config.toml"), settings.relative_to(out).to_toml()?.as_bytes())?;
        let mut all = Self::default();
        for fold in 1..=folds {
            let mut settings = settings.clone();
            settings.fold = Some(fold);
            let path = out.join(format!("fold-{fold}"));
            let begun = path.join("config.toml").is_file();
            let folder = if begun { RunFolder::open(path)? } else { RunFolder::create(path)? };
            let prepared = match begun {
                true => Prepared::resumed(&settings, folder.path())?,
                false => Prepared::load(&settings)?,
            };
            watcher.fold_started(fold, &settings, &prepared);
            let run = Run::new(settings, &prepared).on_all(devices).save_in(&folder);
            let run = if begun { run.resume() } else { run };
            let outcome = run.watched_by(watcher).train()?;
            watcher.fold_ended(fold, &outcome, &folder);
            if let Some(scores) = &outcome.best_scores {
                let metrics = &scores.metrics;
                all.names = std::iter::once("loss").chain(metrics.iter().map(|(name, _)| *name)).collect();
                let values = metrics.iter().map(|(_, value)| *value);
                let scores = std::iter::once(scores.loss).chain(values).collect();
                all.folds.push(FoldScores { epoch: outcome.best_epoch, scores });
            }
            write_bytes_atomic(out.join("folds.csv"), all.to_csv().as_bytes())?;
            if outcome.reason == StopReason::Asked {
                break;
            }
        }
        Ok(all)
    }

    /// Mean and (sample) standard deviation of each score over the folds; the deviation of a single one is NaN.
    pub fn summary(&self) -> Vec<(f64, f64)> {
        let of = |score: usize| mean_and_deviation(self.folds.iter().map(|fold| fold.scores[score]));
        (0..self.folds.first().map_or(0, |fold| fold.scores.len())).map(of).collect()
    }

    /// The text of `folds.csv`; a number that is not defined is left empty.
    pub fn to_csv(&self) -> String {
        let number = |value: f64| if value.is_nan() { String::new() } else { value.to_string() };
        let line = |name: &str, epoch: String, scores: &mut dyn Iterator<Item = f64>| {
            format!("{name},{epoch},{}\n", scores.map(number).collect::<Vec<_>>().join(","))
        };
        let mut text = format!("fold,best_epoch,{}\n", self.names.join(","));
        for (index, fold) in self.folds.iter().enumerate() {
            let name = (index + 1).to_string();
            text += &line(&name, fold.epoch.to_string(), &mut fold.scores.iter().copied());
        }
        let summary = self.summary();
        text += &line("mean", String::new(), &mut summary.iter().map(|(mean, _)| *mean));
        text += &line("deviation", String::new(), &mut summary.iter().map(|(_, deviation)| *deviation));
        text
    }
}

fn mean_and_deviation(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    (mean, (values.map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_deviation_are_those_of_the_folds() {
        let folds = [1.0, 2.0, 6.0].map(|loss| FoldScores { epoch: 4, scores: vec![loss, f64::NAN] }).into();
        let folds = Folds { names: vec!["loss", "ssim"], folds };
        assert_eq!(
            folds.to_csv(),
            format!(
                "fold,best_epoch,loss,ssim\n1,4,1,\n2,4,2,\n3,4,6,\nmean,,3,\ndeviation,,{},\n",
                7_f64.sqrt()
            )
        );
        let (mean, deviation) = mean_and_deviation([5.0].into_iter());
        assert!(mean == 5.0 && deviation.is_nan());
    }
}
