//! What losses, optimisers, schedules and the choice of the best model promise, in whole runs.

use super::support::Bench;
use super::train::{bench, model, segment};

const VALIDATION: &str = "--val-images val --val-targets val_labels --validate-every 1";

/// A column of a run's history; empty fields are left out.
fn column(bench: &Bench, run: &str, name: &str) -> Vec<f64> {
    let text = std::fs::read_to_string(bench.path(&format!("{run}/history.csv"))).unwrap();
    let at = text.lines().next().unwrap().split(',').position(|column| column == name).unwrap();
    text.lines().skip(1).filter_map(|line| line.split(',').nth(at).unwrap().parse().ok()).collect()
}

/// The last epoch, from 0, that was the best so far.
fn best_epoch(bench: &Bench, run: &str) -> usize {
    column(bench, run, "best").iter().rposition(|&best| best == 1.0).unwrap()
}

#[test]
fn every_loss_learns_on_every_engine() {
    let bench = bench();
    for device in ["cpu", "gpu"] {
        let more = format!("--depth 3 --device {device} --crop 0 --batch 4 --lr 0.02");
        for loss in ["cross-entropy", "focal", "dice", "cross-entropy+dice"] {
            let run = format!("{device}-{loss}");
            bench
                .succeeds(&segment(&format!("{more} {VALIDATION} --max-steps 80 --loss {loss} --out {run}")));
            let iou = column(&bench, &run, "mean_iou");
            assert!(iou[best_epoch(&bench, &run)] > 0.85, "{run}: {iou:?}");
            let config = std::fs::read_to_string(bench.path(&format!("{run}/config.toml"))).unwrap();
            assert!(config.contains(&format!("loss = \"{loss}")), "{config}");
        }
        for loss in ["l2", "l1", "huber", "charbonnier"] {
            let run = format!("{device}-{loss}");
            let validation = "--val-images val --val-targets val_targets --validate-every 1";
            bench.succeeds(&format!(
                "train regress --images images --targets images_targets {more} {validation} --max-steps 120 \
                 --loss {loss} --out {run}"
            ));
            let psnr = column(&bench, &run, "psnr");
            assert!(psnr[best_epoch(&bench, &run)] > 20.0, "{run}: {psnr:?}");
        }
    }
    bench.refuses(&segment("--loss l2 --out x"), &["--loss", "cross-entropy+dice"]);
    bench.refuses(&segment("--loss dice:3 --out x"), &["--loss", "no number"]);
}

#[test]
fn schedules_change_the_rate_as_they_say() {
    let bench = bench();
    // An epoch is four steps here.
    let more = "--depth 3 --device cpu --crop 0 --batch 1 --validate-every 1";
    let rates = |run: &str, schedule: &str| {
        bench.succeeds(&segment(&format!("{more} {schedule} --max-epochs 6 --out {run}")));
        <[f64; 6]>::try_from(column(&bench, run, "learning_rate")).unwrap()
    };
    assert_eq!(rates("constant", "--lr 0.01"), [0.01; 6]);
    let cosine = rates("cosine", "--lr 0.01 --schedule cosine --warmup-steps 4");
    assert_eq!(cosine[0], 0.01);
    assert!(cosine.is_sorted_by(|a, b| a >= b) && cosine[5] < 1e-3 * 0.1, "{cosine:?}");
    let steps = rates("steps", "--lr 0.01 --schedule step --lr-steps 8 --lr-factor 0.5");
    assert_eq!(steps, [0.01, 0.01, 0.005, 0.005, 0.0025, 0.0025]);
    // A rate so small that nothing changes: no epoch is better than the first.
    let plateau = rates("plateau", "--lr 1e-30 --schedule plateau --lr-patience 2 --lr-factor 0.5");
    assert_eq!(plateau.map(|rate| rate / 1e-30), [1.0, 1.0, 1.0, 0.5, 0.5, 0.25]);
    bench.refuses(&segment("--schedule step --out x"), &["--lr-steps"]);
    bench.refuses(&segment("--schedule cosine --max-minutes 1 --out x"), &["--schedule", "--max-steps"]);
    bench.refuses(&segment("--weight-decay 0.1 --out x"), &["--weight-decay", "adamw"]);
}

#[test]
fn averaged_weights_are_what_is_judged_and_kept() {
    let bench = bench();
    let more = format!("{VALIDATION} --depth 3 --device cpu --crop 16 --lr 0.03 --max-epochs 6");
    bench.succeeds(&segment(&format!("{more} --ema 0.95 --out averaged")));
    bench.succeeds(&segment(&format!("{more} --out plain")));
    // The same steps are made, but something else is kept of them.
    assert_eq!(column(&bench, "averaged", "training_loss"), column(&bench, "plain", "training_loss"));
    assert_ne!(model(&bench, "averaged").parameters, model(&bench, "plain").parameters);
    for run in ["averaged", "plain"] {
        let table = bench.succeeds(&format!(
            "evaluate --model {run} --images val --targets val_labels --device cpu --json"
        ));
        let scores: serde_json::Value = serde_json::from_str(&table).unwrap();
        let kept = column(&bench, run, "mean_iou")[best_epoch(&bench, run)];
        assert!((scores["mean_iou"].as_f64().unwrap() - kept).abs() < 1e-12, "{run}: {table} {kept}");
    }
}

#[test]
fn the_best_model_is_best_in_what_is_monitored() {
    let bench = bench();
    // Jumpy, so that the epoch of the best loss is not that of the best metric.
    let more = "--depth 3 --device cpu --crop 16 --lr 0.05 --max-epochs 12 --no-symmetries";
    let monitors = [
        ("loss", "validation_loss", -1.0),
        ("iou", "mean_iou", 1.0),
        ("dice", "mean_dice", 1.0),
        ("accuracy", "global_accuracy", 1.0),
    ];
    for (monitor, name, sign) in monitors {
        bench.succeeds(&segment(&format!("{more} {VALIDATION} --monitor {monitor} --out {monitor}")));
        let values = column(&bench, monitor, name);
        let best = values.iter().fold(f64::NEG_INFINITY, |best, v| best.max(sign * v));
        assert_eq!(sign * values[best_epoch(&bench, monitor)], best, "{monitor}: {values:?}");
    }
    for (monitor, name) in [("psnr", "psnr"), ("ssim", "ssim")] {
        bench.succeeds(&format!(
            "train regress --images images --targets images_targets --val-images val --val-targets val_targets --validate-every 1 {more} \
             --monitor {monitor} --out {monitor}"
        ));
        let values = column(&bench, monitor, name);
        let best = values.iter().fold(f64::NEG_INFINITY, |best, &v| best.max(v));
        assert_eq!(values[best_epoch(&bench, monitor)], best, "{monitor}: {values:?}");
    }
    bench.refuses(&segment("--monitor psnr --out x"), &["--monitor", "iou"]);
}

/// Where an epoch is one step on one whole image, the loss of an epoch is that of what the one before left.
#[test]
fn without_validation_a_model_is_judged_after_its_last_step() {
    let bench = bench();
    std::fs::create_dir_all(bench.path("one")).unwrap();
    std::fs::create_dir_all(bench.path("one_labels")).unwrap();
    std::fs::copy(bench.path("images/0.tif"), bench.path("one/0.tif")).unwrap();
    std::fs::copy(bench.path("images_labels/0.png"), bench.path("one_labels/0.png")).unwrap();
    let run = |epochs: usize, name: &str| {
        bench.succeeds(&format!(
            "train segment --images one --targets one_labels --depth 3 --device cpu --crop 0 --no-symmetries --mixing-start zero --lr 0.4 \
             --max-epochs {epochs} --out {name}"
        ));
    };
    run(8, "run");
    run(9, "longer");
    let left_behind = &column(&bench, "longer", "training_loss")[1..];
    let smallest = left_behind.iter().fold(f64::INFINITY, |smallest, &loss| smallest.min(loss));
    assert_eq!(left_behind[best_epoch(&bench, "run")], smallest, "{left_behind:?}");
    assert!(!left_behind.is_sorted_by(|a, b| a >= b), "some step makes it worse: {left_behind:?}");
}
