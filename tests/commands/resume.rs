//! Runs that are stopped, killed and gone on with.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::support::Bench;
use super::train::{bench, model, segment};

/// Everything that a run remembers: averages, a schedule that looks back, a metric to judge by.
const EVERYTHING: &str = "--depth 3 --device cpu --crop 16 --val-images val --val-targets val_labels --lr 0.01 \
     --optimizer adamw --clip-norm 1 --ema 0.9 --schedule plateau --lr-patience 2 --lr-factor 0.5 --warmup-steps 5 \
     --monitor iou --loss cross-entropy+dice";

/// The numbers of a checkpoint.
fn numbers(bench: &Bench, run: &str) -> Vec<u8> {
    let file = std::fs::read(bench.path(&format!("{run}/checkpoint.safetensors"))).unwrap();
    let header = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    file[8 + header..].to_vec()
}

/// The history but for the minutes.
fn history(bench: &Bench, run: &str) -> Vec<String> {
    let text = std::fs::read_to_string(bench.path(&format!("{run}/history.csv"))).unwrap();
    let without_minutes = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        [&fields[..2], &fields[3..]].concat().join(",")
    };
    text.lines().map(without_minutes).collect()
}

/// Fails unless two runs came to the same.
pub(super) fn same(bench: &Bench, a: &str, b: &str) {
    // Average, best parameters, moments and parameters.
    assert_eq!(numbers(bench, a).len(), 5 * 4 * model(bench, a).parameters.len());
    same_so_far(bench, a, b);
}

/// As [`same`], of runs that may have ended before their first epoch did, so that no parameters are the best ones of an epoch.
pub(super) fn same_so_far(bench: &Bench, a: &str, b: &str) {
    assert_eq!(model(bench, a).parameters, model(bench, b).parameters, "the best models of {a} and {b}");
    assert_eq!(model(bench, a).provenance, model(bench, b).provenance, "where {a} and {b} come from");
    assert!(numbers(bench, a) == numbers(bench, b), "the checkpoints of {a} and {b} differ");
    assert_eq!(history(bench, a), history(bench, b));
}

#[test]
fn a_resumed_run_is_the_run_that_was_not_stopped() {
    let bench = bench();
    let whole = bench.run(&segment(&format!("{EVERYTHING} --max-epochs 8 --out whole")));
    assert!(whole.code == 0 && whole.stderr.contains("the mixing layer begins"), "{}", whole.stderr);
    bench.succeeds(&segment(&format!("{EVERYTHING} --max-epochs 3 --out parts")));
    let resumed = bench.run("train --resume parts --max-epochs 8");
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    // The parameters are those of the checkpoint, so that none are looked for to begin with.
    assert!(!resumed.stderr.contains("the mixing layer begins"), "{}", resumed.stderr);
    same(&bench, "whole", "parts");
    // In the middle of an epoch, too; what was judged there leaves no trace.
    bench.succeeds(&segment(&format!("{EVERYTHING} --max-steps 2 --out middle")));
    for step in [5, 6, 15] {
        bench.succeeds(&format!("train --resume middle --max-steps {step}"));
    }
    bench.succeeds("train --resume middle --max-epochs 8");
    same(&bench, "whole", "middle");
}

#[test]
fn only_what_does_not_change_the_past_may_change() {
    let bench = bench();
    bench.succeeds(&segment("--depth 3 --device cpu --crop 16 --max-steps 3 --ema 0.9 --out run"));
    // The same again is no difference.
    bench.succeeds("train --resume run --depth 3 --ema 0.9 --max-steps 4 --patience 7 --device cpu");
    bench.refuses(
        "train --resume run --depth 4 --ema 0.5",
        &["depth is 4 and was 3", "ema is 0.5 and was 0.9", "--out"],
    );
    bench.refuses("train --resume run --loss dice", &["loss is \"dice\" and was \"cross-entropy\""]);
    bench.refuses("train --resume images", &["images", "no run to resume"]);
    // What was edited in the folder is found as well.
    let config = std::fs::read_to_string(bench.path("run/config.toml")).unwrap();
    bench.bytes("run/config.toml", config.replace("lr = 0.003", "lr = 0.03").as_bytes());
    bench.refuses("train --resume run --max-steps 5", &["lr is 0.03 and was 0.003"]);
    bench.bytes("run/config.toml", config.as_bytes());
    // Other images would be another run.
    bench.grey("images/9.png", (16, 16));
    let labels = Array2::from_shape_fn((16, 16), |(y, _)| if y > 7 { 255 } else { 0 });
    bench.labels("images_labels/9.png", &labels);
    bench.refuses("train --resume run --max-steps 5", &["the training images", "--out"]);
}

#[test]
fn a_run_goes_on_where_its_images_were_moved_or_from_another_folder() {
    let bench = bench();
    bench.succeeds(&segment("--depth 3 --device cpu --crop 16 --max-steps 3 --out run"));
    let config = std::fs::read_to_string(bench.path("run/config.toml")).unwrap();
    assert!(config.contains("images = \"../images\""), "{config}");
    let elsewhere = bench.path("some/where/else/x");
    let mut command = assert_cmd::Command::cargo_bin("msd-gpu").unwrap();
    command.current_dir(elsewhere.parent().unwrap()).env("CI", "true");
    command.args(["train", "--resume", "../../../run", "--max-steps", "5"]).assert().success();
    std::fs::rename(bench.path("images"), bench.path("moved")).unwrap();
    bench.refuses("train --resume run --max-steps 7", &["images", "no longer there", "--images"]);
    bench.succeeds("train --resume run --images moved --max-steps 7");
    bench.succeeds("train --resume run --max-steps 8");
    let said = bench.run("train --resume run").stderr;
    assert!(said.contains("nothing left to do") && said.contains("--max-steps is 8"), "{said}");
    bench.refuses("train --resume run --images val --targets val_labels --max-steps 9", &["--out", "--init"]);
}

#[test]
fn a_resume_says_what_limits_count_and_which_one_has_been_reached() {
    let bench = bench();
    bench.succeeds(&segment("--depth 3 --device cpu --crop 16 --max-steps 20 --lr 1e-30 --out run"));
    for (limit, reached) in [
        ("--max-steps 4", "20 steps are made and --max-steps is 4; give a higher --max-steps"),
        ("--max-epochs 1", "epochs have ended and --max-epochs is 1; give a higher --max-epochs"),
        (
            "--max-minutes 1e-9",
            "minutes in all and --max-minutes is 0.000000001; give a higher --max-minutes",
        ),
    ] {
        let said = bench.run(&format!("train --resume run {limit}")).stderr;
        assert!(said.contains("nothing left to do") && said.contains(reached), "{limit}: {said}");
    }
    let patient =
        "--depth 3 --device cpu --crop 16 --lr 1e-30 --val-fraction 0.3 --patience 1 --max-epochs 90";
    bench.succeeds(&segment(&format!("{patient} --out patient")));
    let said = bench.run("train --resume patient").stderr;
    assert!(said.contains("nothing left to do: no better model came for"), "{said}");
    assert!(said.contains("--patience is 1; give a higher --patience to go further"), "{said}");
    let said = bench.run("train --resume run --max-minutes 0.01").stderr;
    assert!(said.contains("--max-minutes counts the whole run: of 0.01 minutes"), "{said}");
    assert!(!said.contains("nothing left to do"), "{said}");
}

#[test]
fn equal_runs_write_equal_bytes() {
    let bench = bench();
    for run in ["one", "two"] {
        bench.succeeds(&segment(&format!("{EVERYTHING} --max-epochs 2 --out {run}")));
    }
    for file in ["model.safetensors", "checkpoint.safetensors"] {
        let bytes = |run: &str| std::fs::read(bench.path(&format!("{run}/{file}"))).unwrap();
        assert!(bytes("one") == bytes("two"), "{file}");
    }
}

fn start(bench: &Bench, arguments: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_msd-gpu"))
        .args(arguments.split_whitespace())
        .current_dir(bench.path("."))
        .env_remove("RUST_LOG")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// A run that was ended in good order says which signal did it, and can go on.
#[cfg(unix)]
#[test]
fn the_exit_code_names_the_signal_that_ended_a_run() {
    let bench = bench();
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let run = format!("run{code}");
        let child = start(&bench, &segment(&format!("--depth 3 --device cpu --crop 16 --out {run}")));
        let deadline = Instant::now() + Duration::from_secs(60);
        while !bench.path(&format!("{run}/model.safetensors")).exists() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let kill = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains("the best model so far is kept"), "{said}");
        assert!(bench.names(&run).contains(&"model.safetensors".to_owned()), "{said}");
    }
}

/// Twenty times something kills a run without a warning; each time it is gone on with.
#[cfg(unix)]
#[test]
fn a_run_killed_at_any_moment_is_the_run_that_was_not() {
    const KILLS: usize = 20;
    let bench = bench();
    let begin = |run: &str| segment(&format!("{EVERYTHING} --max-epochs 400 --out {run}"));
    let clock = Instant::now();
    bench.succeeds(&begin("whole"));
    let whole = clock.elapsed();
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let (mut kills, mut runs, mut steps) = (0, 0, std::collections::BTreeSet::new());
    // On a busy machine all kills may come before the first checkpoint, or after the last.
    while kills < KILLS || steps.len() < 2 && kills < 5 * KILLS {
        let run = format!("killed{runs}");
        runs += 1;
        // A run that was killed before it wrote anything is begun anew, any other resumed.
        loop {
            let begun = bench.path(&run).join("config.toml").exists();
            let mut child = start(&bench, &if begun { format!("train --resume {run}") } else { begin(&run) });
            if kills < KILLS || steps.len() < 2 && kills < 5 * KILLS {
                let moment = whole.mul_f64(random.random_range(0.0..0.6));
                let deadline = Instant::now() + moment;
                while Instant::now() < deadline && child.try_wait().unwrap().is_none() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                child.kill().unwrap();
            }
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            let from = said.split("going on from epoch ").nth(1).and_then(|rest| rest.split('\n').next());
            steps.extend(from.map(str::to_owned));
            if output.status.success() {
                break;
            }
            assert!(output.status.code().is_none(), "{said}");
            kills += 1;
        }
        same(&bench, "whole", &run);
        assert!(bench.names(&run).iter().all(|name| !name.ends_with(".part")), "{:?}", bench.names(&run));
    }
    // How many depends on how fast the disk is.
    assert!(steps.len() >= 2, "it was resumed from different places: {steps:?}");
}
