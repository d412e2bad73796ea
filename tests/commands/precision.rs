//! `--precision`: feature maps as halves, on devices that have them.

use msd_gpu::gpu::adapters;
use msd_gpu::network::{Architecture, Model, ParameterLayout, initialise};

use super::resume::same;
use super::train::{bench, segment};
use crate::support::{Bench, regression};

/// A regression that looks at a pixel's surroundings.
fn model() -> Model {
    let architecture = Architecture::new(1, 1, 12);
    let mut parameters = initialise(&architecture, 5);
    // Networks start with mixing weights of 0.
    parameters[ParameterLayout::of(&architecture).mix(0)].fill(0.3);
    Model { parameters, architecture, ..regression(1, 1) }
}

#[test]
fn halves_are_used_where_a_device_has_them_and_otherwise_it_is_said() {
    let bench = Bench::new();
    bench.grey("a.png", (60, 70));
    bench.model("m.safetensors", &model());
    let call = "predict --model m.safetensors a.png --out";
    bench.succeeds(&format!("{call} cpu --device cpu"));
    let cpu = bench.run(&format!("{call} cpu-half --device cpu --precision half"));
    let said = |stderr: &str| stderr.lines().filter(|line| line.contains("precision full")).count();
    assert_eq!((cpu.code, said(&cpu.stderr)), (0, 1), "{}", cpu.stderr);
    let whole = bench.read("cpu/a.tif");
    assert_eq!(bench.read("cpu-half/a.tif"), whole);
    let unknown = bench.run(&format!("{call} x --precision quarter"));
    assert!(unknown.code == 2 && unknown.stderr.contains("full, half"), "{}", unknown.stderr);

    let half = bench.run(&format!("{call} half --device gpu --precision half"));
    assert_eq!(half.code, 0, "{}", half.stderr);
    let has_halves = adapters().first().is_some_and(|(adapter, _)| adapter.has_halves());
    assert_eq!(said(&half.stderr), usize::from(!has_halves), "{}", half.stderr);
    let half = bench.read("half/a.tif");
    let largest = whole.iter().fold(0.0f32, |most, value| most.max((value - 1.0).abs()));
    let apart = half.iter().zip(&whole).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart < 2e-3 * largest, "{apart} of {largest}");
    if !has_halves {
        return;
    }
    assert!(apart > 1e-6 * largest, "{apart} of {largest}");
    // Results of the other precision are other results.
    let call = format!("{call} half --device gpu --verify --precision");
    assert_eq!(bench.run(&format!("{call} half")).code, 0);
    let full = bench.run(&format!("{call} full"));
    assert!(full.code == 1 && full.stdout.contains("other models or settings"), "{}", full.stdout);

    let timed = bench.succeeds("bench --device gpu --precision half --size 32 --depth 3 --repeats 1 --json");
    let lines: Vec<serde_json::Value> =
        timed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let whats: Vec<_> = lines.iter().map(|line| line["what"].as_str().unwrap()).collect();
    assert_eq!(whats, ["forward", "train_step"], "{timed}");
    assert!(lines.iter().all(|line| line["precision"] == "half"), "{timed}");
}

/// A run keeps its precision, and gives the same whether it was stopped or not; a device without halves trains with full numbers and says so.
#[test]
fn training_in_halves_goes_on_in_halves_alone() {
    let bench = bench();
    let settings = "--depth 4 --crop 16 --lr 0.01 --val-images val --val-targets val_labels --precision half";
    let cpu = bench.run(&segment(&format!("{settings} --device cpu --max-epochs 1 --out cpu")));
    let said = |stderr: &str| stderr.lines().filter(|line| line.contains("precision full")).count();
    assert_eq!((cpu.code, said(&cpu.stderr)), (0, 1), "{}", cpu.stderr);
    let config = |run: &str| std::fs::read_to_string(bench.path(&format!("{run}/config.toml"))).unwrap();
    assert!(!config("cpu").contains("precision"), "{}", config("cpu"));
    if !adapters().first().is_some_and(|(adapter, _)| adapter.has_halves()) {
        return;
    }

    let gpu = format!("{settings} --device gpu --max-epochs");
    for (run, epochs) in [("whole", 4), ("parts", 2)] {
        bench.succeeds(&segment(&format!("{gpu} {epochs} --out {run}")));
    }
    for other in ["--device cpu", "--precision full"] {
        let refused = bench.run(&format!("train --resume parts --max-epochs 4 {other}"));
        assert_eq!(refused.code, 2, "{}", refused.stderr);
        assert!(refused.stderr.contains("precision"), "{}", refused.stderr);
    }
    bench.succeeds("train --resume parts --max-epochs 4");
    same(&bench, "whole", "parts");
    assert!(config("parts").contains("precision = \"half\""), "{}", config("parts"));
    assert_eq!(crate::train::model(&bench, "parts").provenance["precision"], "half");
}
