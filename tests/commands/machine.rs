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
    for step in ["this device at best", "convolve", "input_gradient", "filter_gradient", "mix", "update"] {
        assert!(steps.contains(step), "{steps}");
    }
    let text = bench.succeeds("bench --device cpu --size 16 --depth 25 --repeats 1 --steps --json");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for pass in lines.iter().filter(|line| line["what"].is_string()) {
        // What a pass moves is what its steps move, in the blocks that are really run.
        let steps = lines.iter().filter(|line| line["of"] == pass["what"]);
        let sum: u64 = steps.map(|step| step["bytes"].as_u64().unwrap()).sum();
        assert_eq!(pass["bytes_moved"].as_u64(), Some(sum), "{text}");
        // One layer after the other would read 1 + 2 + ... + 25 maps, thrice in a training step.
        let times = if pass["what"] == "train_step" { 3 } else { 1 };
        assert!(sum > 0 && sum < times * 4 * 16 * 16 * (25 * 26 / 2), "{text}");
    }
    bench.refuses("bench --device cpu --size 0", &["size"]);
    bench.refuses("bench --device cpu --depth 0", &["--depth"]);
    bench.refuses("bench --device cpu --repeats 0", &["--repeats"]);
    bench.refuses("bench --device cpu --size 4000000000", &["image size"]);
    let outcome = bench.run("bench --device cpu --size 1000000");
    assert_eq!(outcome.code, 1, "{}", outcome.stderr);
    for part in ["--size", "memory"] {
        assert!(outcome.stderr.contains(part), "{}", outcome.stderr);
    }
}

/// Warns where the only GPU is a software implementation, as on most machines that run tests.
#[test]
fn a_software_gpu_is_warned_about() {
    let bench = Bench::new();
    let kinds: Vec<serde_json::Value> = bench
        .succeeds("devices --json")
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["kind"].clone())
        .collect();
    let warnings = |device: &str| {
        let outcome = bench.run(&format!("bench --device {device} --size 16 --depth 3 --repeats 1"));
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        let lines = outcome.stderr.lines().filter(|line| line.contains("WARN"));
        lines.filter(|line| line.contains("software implementation") && line.contains("--device cpu")).count()
    };
    assert!(kinds.iter().any(|kind| kind != "cpu"), "no GPU was found; install a driver, or lavapipe");
    let only_software = !kinds.iter().any(|kind| kind == "gpu");
    assert_eq!(warnings("gpu"), usize::from(only_software));
    assert_eq!(warnings("cpu"), 0);
}

#[test]
fn bench_times_the_steps_of_a_gpu_and_compares_with_peers() {
    let bench = Bench::new();
    let peer = |what: &str, size: usize, seconds: f64| {
        format!(
            "{{\"peer\": \"torch 2 eager\", \"what\": \"{what}\", \"size\": {size}, \"depth\": 3, \"batch\": 1, \
             \"device\": \"cpu\", \"seconds\": {seconds}}}\n"
        )
    };
    bench.bytes("peer.json", (peer("forward", 32, 4.0) + &peer("forward", 64, 9.0)).as_bytes());
    let command = "bench --device gpu --size 32 --depth 3 --repeats 2 --steps --against peer.json";
    let text = bench.succeeds(&format!("{command} --json"));
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let positive = |line: &serde_json::Value, name: &str| line[name].as_f64().is_some_and(|v| v > 0.0);
    let passes: Vec<_> = lines.iter().filter(|line| line["what"].is_string()).collect();
    assert_eq!(passes.len(), 2, "{text}");
    for line in &passes {
        for name in ["fraction_of_peak", "peak_gflops", "peak_gbytes_per_second", "seconds"] {
            assert!(positive(line, name), "{name}: {line}");
        }
    }
    // Every line of the same case, and no other.
    let seconds = passes[0]["seconds"].as_f64().unwrap();
    assert_eq!(passes[0]["against"].as_array().map(Vec::len), Some(1), "{text}");
    assert!((passes[0]["against"][0]["ratio"].as_f64().unwrap() * seconds - 4.0).abs() < 1e-9, "{text}");
    assert_eq!(passes[1]["against"].as_array().map(Vec::len), Some(0), "{text}");
    let steps: Vec<_> = lines.iter().filter(|line| line["step"].is_string()).collect();
    for (of, step) in [
        ("forward", "load"),
        ("forward", "convolve"),
        ("forward", "mix"),
        ("train_step", "convolve"),
        ("train_step", "loss"),
        ("train_step", "input_gradient"),
        ("train_step", "filter_gradient"),
        ("train_step", "update"),
    ] {
        let line = steps.iter().find(|line| line["of"] == of && line["step"] == step);
        let line = line.unwrap_or_else(|| panic!("no {step} of {of}: {text}"));
        for name in ["seconds", "bytes", "gbytes_per_second", "fraction_of_copy_peak"] {
            assert!(positive(line, name), "{name}: {line}");
        }
    }
    let text = bench.succeeds(command);
    assert!(text.contains("torch 2 eager on cpu took 4000.00 ms"), "{text}");
    assert!(text.contains("peer.json has no line for train_step"), "{text}");
    bench.refuses("bench --device cpu --against nothing.json", &["nothing.json", "cannot be read"]);
    bench.bytes("damaged.json", b"{}\n");
    bench.refuses("bench --device cpu --against damaged.json", &["damaged.json", "line 1"]);
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
