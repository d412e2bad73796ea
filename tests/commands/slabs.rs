//! Slices with their neighbours as channels, from training to prediction.

use ndarray::{Array2, s};

use crate::support::Bench;

/// A number from 0 to 1 that looks random.
fn random(n: usize) -> f32 {
    let mixed = (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((mixed ^ mixed >> 32) >> 40) as f32 / (1 << 24) as f32
}

/// Balls in a volume as a stack of slices, and their labels: noise is independent from slice to slice, while a ball is in many
/// of them.
fn balls(bench: &Bench, name: &str, seed: usize, slices: usize, side: usize) {
    let centres: Vec<[f32; 4]> = (0..12)
        .map(|ball| {
            let at = |n: usize| random(seed * 1000 + ball * 10 + n);
            let side = side as f32;
            [at(0) * slices as f32, at(1) * side, at(2) * side, 6.0 + 5.0 * at(3)]
        })
        .collect();
    let inside = |z: usize, y: usize, x: usize| {
        centres.iter().any(|[cz, cy, cx, radius]| {
            let [z, y, x] = [z as f32 - cz, y as f32 - cy, x as f32 - cx];
            z * z + y * y + x * x < radius * radius
        })
    };
    let labels = |z| Array2::from_shape_fn((side, side), |(y, x)| u16::from(inside(z, y, x)));
    let image = |z: usize| {
        Array2::from_shape_fn((side, side), |(y, x)| {
            let first = ((seed * 64 + z) * side + y) * side + x;
            let noise: f32 = (0..4).map(|n| random(4 * first + n)).sum();
            (1000.0 + if inside(z, y, x) { 150.0 } else { 0.0 } + 500.0 * (noise - 2.0)) as u16
        })
    };
    let pages: Vec<_> = (0..slices).map(image).collect();
    bench.stack(&format!("{name}.tif"), &pages, "");
    bench.stack(&format!("{name}-labels.tif"), &(0..slices).map(labels).collect::<Vec<_>>(), "");
}

/// The mean intersection over union on the second volume.
fn score(bench: &Bench, run: &str) -> f64 {
    let json = bench.succeeds(&format!(
        "evaluate --model {run} --images test.tif --targets test-labels.tif --device cpu --json"
    ));
    serde_json::from_str::<serde_json::Value>(&json).unwrap()["mean_iou"].as_f64().unwrap()
}

#[test]
fn neighbours_help_where_noise_differs_from_slice_to_slice() {
    let bench = Bench::new();
    balls(&bench, "train", 1, 16, 64);
    balls(&bench, "test", 2, 12, 64);
    let call = "train segment --images train.tif --targets train-labels.tif --depth 8 --crop 64 --max-steps 250 --device cpu";
    bench.succeeds(&format!("{call} --out one"));
    bench.succeeds(&format!("{call} --slab 5 --out five"));
    let (one, five) = (score(&bench, "one"), score(&bench, "five"));
    assert!(five > one + 0.05, "mean IoU {five} with slabs of 5, {one} without");
    let told = bench.succeeds("inspect five");
    assert!(told.contains("slabs of 5 slices, each of 1 channel"), "{told}");
    // The same from some slices, from tiles and part by part.
    bench.succeeds("predict --model five test.tif --out whole --device cpu --overlay");
    bench.succeeds("predict --model five test.tif --out tiles --tile 40 --device cpu");
    bench.succeeds("predict --model five test.tif --out some --slices 4..6 --device cpu");
    for z in 0..12 {
        assert_eq!(bench.read_page("tiles/test.tif", z), bench.read_page("whole/test.tif", z), "slice {z}");
    }
    for z in 0..2 {
        let whole = bench.read_page("whole/test.tif", z + 4);
        assert_eq!(bench.read_page("some/test.tif", z), whole.slice(s![.., .., ..]), "slice {z}");
    }
}

#[test]
fn every_tenth_slice_may_be_labelled_and_a_run_of_slabs_goes_on() {
    let bench = Bench::new();
    balls(&bench, "train", 1, 21, 40);
    let labels: Vec<_> = [0, 10, 20].map(|z| bench.read_page("train-labels.tif", z)).to_vec();
    let pages: Vec<_> = labels.iter().map(|page| page.slice(s![0, .., ..]).mapv(|v| v as u16)).collect();
    bench.stack("tenth.tif", &pages, "");
    let call = "train segment --images train.tif --targets tenth.tif --slices-of-targets 0..21..10 --slab 3 --depth 3 --crop 32 --device cpu --max-steps";
    let first = bench.run(&format!("{call} 12 --out run"));
    assert!(first.code == 0 && first.stderr.contains("images: 3 to train"), "{}", first.stderr);
    bench.succeeds(&format!("{call} 6 --out other"));
    bench.succeeds("train --resume other --max-steps 12");
    let model = |run: &str| std::fs::read(bench.path(&format!("{run}/checkpoint.safetensors"))).unwrap();
    assert_eq!(model("run"), model("other"));
    // A model of slabs is started from as one.
    let tuned = bench.run("train segment --images train.tif --targets train-labels.tif --init run --crop 32 --max-steps 2 --out tuned --device cpu");
    assert!(tuned.code == 0 && tuned.stderr.contains("3 in"), "{}", tuned.stderr);
    bench.refuses(&format!("{call} 2 --slab 4 --out wrong").replace("--slab 3 ", ""), &["slab", "odd"]);
}
