//! Training as a person does it, and the mistakes that people make.

use msd_gpu::network::{Model, Normalisation};
use ndarray::{Array2, Array3};

use super::support::{Bench, pattern, truncate};

const SHORT: &str = "--depth 3 --device cpu --max-steps 4 --crop 16";

/// Four images with labels 0 and 255 (the right half), and targets that are the negative of the image.
pub fn bench() -> Bench {
    let bench = Bench::new();
    for (folder, count) in [("images", 4), ("val", 2)] {
        for i in 0..count {
            let size = if i == 1 { (20, 25) } else { (24, 24) };
            let labels = Array2::from_shape_fn(size, |(_, x)| if x > size.1 / 2 { 255 } else { 0 });
            let image = pattern(size) * 0.2 + labels.mapv(|v: i64| v as f32 * 0.5);
            bench.floats(&format!("{folder}/{i}.tif"), &image.clone().insert_axis(ndarray::Axis(0)));
            bench.labels(&format!("{folder}_labels/{i}.png"), &labels);
            bench.floats(&format!("{folder}_targets/{i}.tif"), &(-image).insert_axis(ndarray::Axis(0)));
        }
    }
    bench
}

pub fn model(bench: &Bench, run: &str) -> Model {
    Model::read(&bench.path(run)).unwrap()
}

pub fn segment(more: &str) -> String {
    format!("train segment --images images --targets images_labels {more}")
}

#[test]
fn a_segmentation_is_learnt_and_applied_in_the_labels_own_values() {
    let bench = bench();
    let validation = "--val-images val --val-targets val_labels";
    bench.succeeds(&segment(&format!(
        "{validation} --depth 4 --device cpu --max-steps 300 --crop 0 --lr 0.01 --out run"
    )));
    let names = [
        "checkpoint.safetensors",
        "config.toml",
        "curves.svg",
        "history.csv",
        "model.safetensors",
        "preview.png",
    ];
    assert_eq!(bench.names("run"), names);
    let table = bench.succeeds("evaluate --model run --images val --targets val_labels --device cpu --json");
    let scores: serde_json::Value = serde_json::from_str(&table).unwrap();
    assert!(scores["mean_iou"].as_f64().unwrap() > 0.9, "{table}");
    bench.succeeds("predict --model run val --out results --device cpu");
    let labels = bench.read_labels("results/0.png");
    assert!(labels.iter().all(|&v| v == 0 || v == 255) && labels.iter().any(|&v| v == 255));
    let history = std::fs::read_to_string(bench.path("run/history.csv")).unwrap();
    assert!(history.starts_with("epoch,step,minutes,training_loss,validation_loss,mean_iou"));
    assert_eq!(history.lines().count(), 1 + 300 / 4);
}

#[test]
fn a_regression_is_learnt_in_the_targets_units() {
    let bench = bench();
    let more =
        "--depth 3 --device cpu --max-steps 200 --batch 3 --crop 0 --lr 0.01 --val-fraction 0.25 --out run";
    bench.succeeds(&format!("train regress --images images --targets images_targets {more}"));
    let table = bench.succeeds("evaluate --model run --images val --targets val_targets --device cpu --json");
    let scores: serde_json::Value = serde_json::from_str(&table).unwrap();
    assert!(scores["output"]["psnr"].as_f64().unwrap() > 25.0, "{table}");
}

#[test]
fn the_same_seed_gives_the_same_bits_and_another_does_not() {
    let bench = bench();
    for (run, seed) in [("a", 1), ("b", 1), ("c", 2)] {
        bench.succeeds(&segment(&format!("{SHORT} --batch 3 --seed {seed} --out {run}")));
    }
    assert_eq!(model(&bench, "a").parameters, model(&bench, "b").parameters);
    assert_ne!(model(&bench, "a").parameters, model(&bench, "c").parameters);
}

#[test]
fn settings_come_from_a_file_and_are_overridden_by_flags() {
    let bench = bench();
    bench.succeeds(&segment(&format!("{SHORT} --lr 0.005 --out run")));
    bench.succeeds("train --config run/config.toml --seed 9 --out again");
    let config = std::fs::read_to_string(bench.path("again/config.toml")).unwrap();
    assert!(
        config.contains("lr = 0.005") && config.contains("seed = 9") && config.contains("depth = 3"),
        "{config}"
    );
    bench.bytes("wrong.toml", b"task = 'segment'\nimages = 'a'\ntargets = 'b'\ndeepth = 3\n");
    bench.refuses("train --config wrong.toml --out x", &["wrong.toml", "line 4", "deepth"]);
    bench.refuses("train --config missing.toml --out x", &["missing.toml"]);
    #[cfg(target_os = "linux")]
    bench.refuses("train --config /dev/zero --out x", &["/dev/zero", "longer"]);
}

/// Judging by validation images that are larger than an epoch would take most of the time.
#[test]
fn judging_has_a_rhythm_that_resuming_keeps_and_the_end_is_judged() {
    let bench = bench();
    let validation = "--val-images val --val-targets val_labels";
    // Epochs of 9 steps of 16x16 pixels, and two images of 24x24 pixels to judge by.
    let more = format!("{validation} --depth 3 --device cpu --crop 16");
    let judged = |run: &str| {
        let text = std::fs::read_to_string(bench.path(&format!("{run}/history.csv"))).unwrap();
        let has_loss = |line: &str| !line.split(',').nth(4).unwrap().is_empty();
        text.lines().skip(1).map(has_loss).collect::<Vec<_>>()
    };
    bench.succeeds(&segment(&format!("{more} --max-epochs 7 --out whole")));
    assert_eq!(judged("whole"), [false, true, false, true, false, true, true]);
    let config = std::fs::read_to_string(bench.path("whole/config.toml")).unwrap();
    assert!(config.contains("validate_every = 2"), "{config}");
    // A run that ended where it would not have been judged goes on as one that did not end there.
    bench.succeeds(&segment(&format!("{more} --max-epochs 3 --out parts")));
    assert_eq!(judged("parts"), [false, true, true]);
    bench.succeeds("train --resume parts --max-epochs 7");
    assert_eq!(judged("parts"), judged("whole"));
    assert_eq!(model(&bench, "parts").parameters, model(&bench, "whole").parameters);
    bench.succeeds(&segment(&format!("{more} --max-epochs 3 --validate-every 1 --out each")));
    assert_eq!(judged("each"), [true; 3]);
    bench.refuses("train --resume parts --max-epochs 9 --validate-every 1", &["validate_every"]);
    bench.refuses(&segment(&format!("{more} --validate-every 0 --out x")), &["--validate-every"]);
}

#[cfg(unix)]
#[test]
fn control_c_ends_a_run_cleanly() {
    let bench = bench();
    let command = segment("--depth 3 --device cpu --crop 16 --max-minutes 5 --out run");
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_msd-gpu"))
        .args(command.split_whitespace())
        .current_dir(bench.path("."))
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while !bench.path("run/model.safetensors").exists() {
        assert!(child.try_wait().unwrap().is_none(), "the run ended too early");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!model(&bench, "run").parameters.is_empty());
    assert!(bench.names("run").iter().all(|name| !name.ends_with(".part")));
}

#[test]
fn the_gpu_path_trains() {
    let bench = bench();
    let more = "--depth 3 --max-steps 60 --crop 16 --batch 2 --lr 0.01";
    bench.succeeds(&segment(&format!("{more} --device gpu --out gpu")));
    bench.succeeds(&segment(&format!("{more} --device cpu --out cpu")));
    let column = |run: &str| {
        let text = std::fs::read_to_string(bench.path(&format!("{run}/history.csv"))).unwrap();
        text.lines()
            .skip(1)
            .map(|line| line.split(',').nth(3).unwrap().parse::<f64>().unwrap())
            .collect::<Vec<_>>()
    };
    let (gpu, cpu) = (column("gpu"), column("cpu"));
    assert!(gpu.last().unwrap() < &(0.7 * gpu[0]), "{gpu:?}");
    assert!((gpu[0] / cpu[0] - 1.0).abs() < 1e-4, "the first epochs agree: {} {}", gpu[0], cpu[0]);
}

#[test]
fn mistakes_are_named_in_one_sentence() {
    let bench = bench();
    let short = |more: &str| segment(&format!("{SHORT} --out run {more}"));
    bench.refuses(
        &format!("train segment --images nowhere --targets images_labels {SHORT} --out run"),
        &["nowhere"],
    );
    bench.refuses(
        &format!("train segment --images images --targets val_labels {SHORT} --out run"),
        &["2.tif", "3.tif"],
    );
    bench.refuses(&short("--val-images val"), &["--val-targets"]);
    bench.refuses(&short("").replace("--device cpu", "--device warp9"), &["warp9", "CPU"]);
    bench.refuses(&short("--batch 0"), &["--batch"]);
    bench.refuses(&short("--depth 0").replace("--depth 3 ", ""), &["--depth"]);
    bench.refuses(&short("--lr -1"), &["--lr"]);
    bench.refuses(&short("--lr 1e39"), &["--lr"]);
    bench.refuses(&short("--seed 18446744073709551615"), &["--seed"]);
    bench.refuses(&short("").replace("--depth 3", "--depth 60000"), &["--depth", "filters"]);
    bench.refuses(&short("--dilations 3..1"), &["3..1"]);
    bench.refuses(&short("--val-fraction 1.5"), &["--val-fraction", "1.5"]);
    bench.refuses(&short("--max-minutes 0"), &["--max-minutes"]);
    bench.refuses(&segment(SHORT).replace("segment ", ""), &["segment or regress"]);
    bench.bytes("file", b"x");
    bench.refuses(&segment(&format!("{SHORT} --out file/run")), &["file/run"]);
    assert!(bench.names("run").is_empty());
}

#[test]
fn unusable_images_are_named() {
    let bench = bench();
    let one = |images: &str, targets: &str| {
        format!("train segment --images {images} --targets {targets} {SHORT} --out run")
    };
    let image = |value: f32| Array3::from_elem((1, 8, 8), value);
    let halves = Array2::from_shape_fn((8, 8), |(_, x)| i64::from(x > 3));

    bench.floats("larger/a.tif", &Array3::zeros((1, 9, 8)));
    bench.floats("nan/a.tif", &image(f32::NAN));
    bench.floats("constant/a.tif", &image(3.0));
    bench.floats("truncated/a.tif", &image(3.0));
    truncate(&bench.path("truncated/a.tif"), 0.5);
    bench.bytes("empty/a.png", b"");
    bench.bytes("text/a.tif", b"not an image");
    bench.labels("halves/a.png", &halves);
    bench.labels("single/a.png", &Array2::from_elem((8, 8), 3));
    bench.labels("third/a.png", &halves.mapv(|v| v * 7));

    bench.refuses(&one("larger", "halves"), &["9", "8", "a.tif"]);
    bench.refuses(&one("nan", "halves"), &["nan/a.tif", "64"]);
    bench.refuses(&one("truncated", "halves"), &["truncated/a.tif"]);
    bench.refuses(&one("empty", "halves"), &["empty/a.png"]);
    bench.refuses(&one("text", "halves"), &["text/a.tif"]);
    bench.refuses(&one("constant", "single"), &["3", "two classes"]);
    let validation = format!("{} --val-images constant --val-targets third", one("constant", "halves"));
    bench.refuses(&validation, &["third/a.png", "7"]);
    assert!(bench.names("run").is_empty());
    // A constant image has no deviation, which is taken as 1: it can be trained on.
    bench.succeeds(&one("constant", "halves"));
    let unchanged = Normalisation { mean: vec![3.0], deviation: vec![1.0] };
    assert_eq!(model(&bench, "run").input, unchanged.into());
    bench.refuses(&one("constant", "halves"), &["run", "--resume"]);
}

#[test]
fn a_loss_that_is_no_number_ends_the_run_and_says_where() {
    let bench = bench();
    let outcome = bench.run("train regress --images images --targets images_targets --depth 3 --device cpu --crop 16 --max-steps 500 --lr 1e30 --out run");
    assert_eq!(outcome.code, 1, "{}", outcome.stderr);
    for part in ["at step", ".tif", "--lr"] {
        assert!(outcome.stderr.contains(part), "{}", outcome.stderr);
    }
}

#[test]
fn denoising_is_a_regression_and_says_what_it_needs() {
    let bench = bench();
    bench.refuses("train denoise --images images --out run", &["--targets", "--splits", "--alone"]);
    bench.succeeds("train denoise --images images --targets images --out run --depth 2 --crop 16 --max-steps 2 --device cpu");
    assert!(bench.text_of("run/config.toml").contains("task = \"regress\""));
}

#[test]
fn classes_have_the_names_that_people_give_them() {
    let bench = bench();
    let few = "--depth 2 --crop 16 --max-steps 2 --device cpu";
    bench.succeeds(&segment(&format!("{few} --class-names background,cell --out run")));
    let names: Vec<_> = model(&bench, "run").classes().iter().map(|class| class.name.clone()).collect();
    assert_eq!(names, ["background", "cell"]);
    bench.refuses(
        &segment(&format!("{few} --class-names cell --out x")),
        &["--class-names", "2 names", "0, 255"],
    );
    let regress = "train regress --images images --targets images";
    bench.refuses(&format!("{regress} {few} --class-names a,b --out x"), &["--class-names", "regression"]);
}

#[test]
fn a_folder_of_folds_is_an_ensemble() {
    let bench = bench();
    bench.succeeds(&segment("--depth 2 --crop 16 --max-steps 2 --device cpu --folds 2 --out folds"));
    for (out, models) in [("all", "--model folds"), ("each", "--model folds/fold-1 --model folds/fold-2")] {
        bench.succeeds(&format!("predict {models} val --out {out} --probabilities --device cpu"));
    }
    let names = bench.names("all");
    assert_eq!(names, bench.names("each"));
    for name in names {
        let read = |out: &str| std::fs::read(bench.path(&format!("{out}/{name}"))).unwrap();
        assert!(read("all") == read("each"), "{name}");
    }
}
