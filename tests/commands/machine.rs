//! The commands about the machine: devices, bench, demo.

use super::support::Bench;

#[test]
fn devices_are_listed_for_people_and_programs() {
    let bench = Bench::new();
    assert!(bench.succeeds("devices").contains("CPU"));
    for line in bench.succeeds("devices --json").lines() {
        let device: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(device["name"].is_string() && device["index"].is_u64(), "{line}");
    }
}

#[test]
fn bench_prints_what_the_contract_names() {
    let bench = Bench::new();
    let text = bench.succeeds("bench --device cpu --size 16 --depth 3 --repeats 1 --json");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let whats: Vec<&str> = lines.iter().map(|line| line["what"].as_str().unwrap()).collect();
    assert_eq!(whats, ["forward", "train_step"]);
    let numbers = [
        "size",
        "depth",
        "width",
        "batch",
        "seconds",
        "gflops",
        "bytes_moved",
        "gbytes_per_second",
        "peak_bytes",
    ];
    for line in &lines {
        assert!(numbers.iter().all(|name| line[*name].as_f64().is_some_and(|v| v > 0.0)), "{line}");
        assert!(line["device"].is_string() && line["backend"] == "cpu");
        assert!(line["fraction_of_peak"].as_f64().is_some_and(|v| v > 0.0 && v < 1.0), "{line}");
    }
    let steps = bench.succeeds("bench --device cpu --size 16 --depth 3 --repeats 1 --steps");
    for step in ["convolve", "input_gradient", "filter_gradient", "mix"] {
        assert!(steps.contains(step), "{steps}");
    }
    bench.refuses("bench --device cpu --size 0", &["size"]);
    bench.refuses("bench --device cpu --depth 0", &["--depth"]);
    bench.refuses("bench --device cpu --repeats 0", &["--repeats"]);
    bench.refuses("bench --device cpu --size 4000000000", &["image size"]);
    bench.refuses("bench --device cpu --size 1000000", &["--size", "memory"]);
}

#[test]
fn the_demo_leaves_images_a_model_a_picture_and_commands() {
    let bench = Bench::new();
    for what in ["segment", "denoise"] {
        let text = bench.succeeds(&format!("demo {what} --out {what} --minutes 0.02 --device cpu"));
        assert!(text.contains("msd-gpu predict") && text.contains("not trained on"), "{text}");
        assert_eq!(bench.names(what), ["metrics.txt", "picture.png", "run", "test", "train", "validation"]);
        bench.refuses(&format!("demo {what} --out {what} --device cpu"), &[what, "holds a run already"]);
    }
}
