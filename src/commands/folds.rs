//! `train --folds`: as many runs as folds, and what their scores come to.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use log::info;

use super::train::{ProgressWatcher, describe, report, stop_on_interrupt};
use super::{console, table};
use crate::devices::Device;
use crate::files::write_bytes_atomic;
use crate::training::{Outcome, Prepared, RunFolder, Settings, train};
use crate::{Error, Result};

/// What the best model of a fold scores on the images that were set aside for it.
struct Fold {
    epoch: u64,
    /// The validation loss, and the metrics in the order of their names; NaN where one is not defined.
    scores: Vec<f64>,
}

/// Trains each fold into `fold-1`, `fold-2` and so on in the folder `out`, goes on with those that were begun, and prints
/// the scores with their mean and deviation, which `folds.csv` keeps.
pub(super) fn run(settings: &Settings, folds: usize, out: &Path, device: &Device) -> Result<()> {
    std::fs::create_dir_all(out)
        .map_err(|e| Error::output(out, format!("{e}; name a folder that can be made with --out")))?;
    write_bytes_atomic(out.join("config.toml"), settings.to_toml()?.as_bytes())?;
    let stop = stop_on_interrupt();
    let (mut names, mut done) = (Vec::new(), Vec::new());
    for fold in 1..=folds {
        info!("fold {fold} of {folds}");
        let settings = Settings { fold: Some(fold), ..settings.clone() };
        let outcome = run_fold(&settings, &out.join(format!("fold-{fold}")), device, &stop)?;
        if let Some(scores) = &outcome.best_scores {
            names = std::iter::once("loss").chain(scores.metrics.iter().map(|(name, _)| *name)).collect();
            let values = scores.metrics.iter().map(|(_, value)| *value);
            let scores = std::iter::once(scores.loss).chain(values).collect();
            done.push(Fold { epoch: outcome.best_epoch, scores });
        }
        write_bytes_atomic(out.join("folds.csv"), csv(&names, &done).as_bytes())?;
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    lines(&names, &done).iter().for_each(console::line);
    if done.len() < folds {
        info!("{} of {folds} folds; msd-gpu train --resume {} goes on", done.len(), out.display());
    }
    Ok(())
}

/// Trains one fold, or goes on with it.
fn run_fold(settings: &Settings, path: &Path, device: &Device, stop: &AtomicBool) -> Result<Outcome> {
    let begun = path.join("config.toml").is_file();
    let folder = if begun { RunFolder::open(path)? } else { RunFolder::create(path)? };
    let prepared = Prepared::load(settings)?;
    describe(&prepared, settings, &device.info.name);
    let mut watcher = ProgressWatcher::new();
    let outcome = train(&prepared, settings, &folder, device, begun, stop, &mut watcher)?;
    drop(watcher);
    report(&outcome, &folder);
    Ok(outcome)
}

/// Mean and (sample) standard deviation over the folds; the deviation of a single one is NaN.
fn mean_and_deviation(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    (mean, (values.map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt())
}

fn summary(folds: &[Fold]) -> Vec<(f64, f64)> {
    let scores = folds.first().map_or(0, |fold| fold.scores.len());
    (0..scores).map(|score| mean_and_deviation(folds.iter().map(|fold| fold.scores[score]))).collect()
}

/// The text of `folds.csv`; a number that is not defined is left empty.
fn csv(names: &[&str], folds: &[Fold]) -> String {
    let number = |value: f64| if value.is_nan() { String::new() } else { value.to_string() };
    let line = |name: &str, epoch: String, scores: &mut dyn Iterator<Item = f64>| {
        format!("{name},{epoch},{}\n", scores.map(number).collect::<Vec<_>>().join(","))
    };
    let mut text = format!("fold,best_epoch,{}\n", names.join(","));
    for (index, fold) in folds.iter().enumerate() {
        let name = (index + 1).to_string();
        text += &line(&name, fold.epoch.to_string(), &mut fold.scores.iter().copied());
    }
    let summary = summary(folds);
    text += &line("mean", String::new(), &mut summary.iter().map(|(mean, _)| *mean));
    text += &line("deviation", String::new(), &mut summary.iter().map(|(_, deviation)| *deviation));
    text
}

/// The scores for people.
fn lines(names: &[&str], folds: &[Fold]) -> Vec<String> {
    let number = |value: f64| if value.is_nan() { "-".to_owned() } else { format!("{value:.4}") };
    let header = ["fold", "best epoch"].map(str::to_owned).into_iter();
    let mut rows = vec![header.chain(names.iter().map(|name| name.replace('_', " "))).collect::<Vec<_>>()];
    for (index, fold) in folds.iter().enumerate() {
        let start = [(index + 1).to_string(), fold.epoch.to_string()].into_iter();
        rows.push(start.chain(fold.scores.iter().copied().map(number)).collect());
    }
    let summary = summary(folds);
    for (name, pick) in [("mean", 0), ("deviation", 1)] {
        let scores = summary.iter().map(|&(mean, deviation)| number([mean, deviation][pick]));
        rows.push([name.to_owned(), String::new()].into_iter().chain(scores).collect());
    }
    table::lines(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_deviation_are_those_of_the_folds() {
        let folds: Vec<Fold> =
            [1.0, 2.0, 6.0].map(|loss| Fold { epoch: 4, scores: vec![loss, f64::NAN] }).into();
        let names = ["loss", "ssim"];
        let text = csv(&names, &folds);
        assert_eq!(
            text,
            format!(
                "fold,best_epoch,loss,ssim\n1,4,1,\n2,4,2,\n3,4,6,\nmean,,3,\ndeviation,,{},\n",
                7_f64.sqrt()
            )
        );
        assert!(lines(&names, &folds).last().is_some_and(|line| line.contains("2.6458")));
        let (mean, deviation) = mean_and_deviation([5.0].into_iter());
        assert!(mean == 5.0 && deviation.is_nan());
    }
}
