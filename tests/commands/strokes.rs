//! Training from a few strokes: what is chosen by itself, and the filters in front of the layers.

use msd_gpu::network::{Architecture, Model, ParameterLayout, Stem, initialise};
use ndarray::{Array2, Array3};

use crate::support::{Bench, regression};

/// A cheap random number from 0 to 1 for a pixel.
fn noise(y: usize, x: usize, seed: usize) -> f32 {
    let mut state = (y * 7919 + x * 104_729 + seed * 1_299_709) as u32;
    for _ in 0..3 {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
    }
    (state % 1000) as f32 / 1000.0
}

const SIZE: usize = 96;

/// The largest difference of two images of one size.
fn apart(a: &Array3<f32>, b: &Array3<f32>) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Two textures of one brightness, left and right: grains of one pixel, and of four.
fn textures(seed: usize, brightness: f32) -> Array3<f32> {
    Array3::from_shape_fn((1, SIZE, SIZE), |(_, y, x)| {
        let grain = if x < SIZE / 2 { noise(y, x, seed) } else { noise(y / 4, x / 4, seed) };
        brightness + 50.0 * grain
    })
}

/// Images, strokes in them, and whole masks.
fn bench(brightness: impl Fn(usize) -> f32) -> Bench {
    let bench = Bench::new();
    for index in 0..3 {
        bench.floats(&format!("images/{index}.tif"), &textures(index, brightness(index)));
        let stroke = |y: usize, x: usize| (20..24).contains(&y) && (10..30).contains(&(x % 48));
        let class = |x: usize| i64::from(x >= SIZE / 2);
        let strokes = Array2::from_shape_fn((SIZE, SIZE), |(y, x)| if stroke(y, x) { class(x) } else { 255 });
        bench.labels(&format!("strokes/{index}.png"), &strokes);
        bench.labels(&format!("masks/{index}.png"), &Array2::from_shape_fn((SIZE, SIZE), |(_, x)| class(x)));
    }
    bench
}

const TRAIN: &str = "train segment --images images --targets strokes --ignore 255 --device cpu";

#[test]
fn strokes_choose_what_suits_them_and_such_a_run_goes_on() {
    let bench = bench(|_| 100.0);
    let whole = bench.run(&format!("{TRAIN} --max-steps 150 --out whole"));
    assert_eq!(whole.code, 0, "{}", whole.stderr);
    let said = "1.74 % of the pixels are labelled, so this is chosen: --depth 20, --crop 192, --favour-labelled 1, --ema 0.99, --weight-decay 1, --schedule step, which halves";
    assert!(whole.stderr.contains(said), "{}", whole.stderr);
    let config = bench.text_of("whole/config.toml");
    for line in [
        "depth = 20",
        "crop = 192",
        "favour_labelled = 1.0",
        "class_shares = \"images\"",
        "ema = 0.99",
        "stem = \"0.7,1.6,3.5,8\"",
        "normalise = \"mean\"",
    ] {
        assert!(config.contains(line), "{line}: {config}");
    }
    let score = |run: &str| {
        let call = format!("evaluate --model {run} --images images --targets masks --device cpu --json");
        let scores: serde_json::Value = serde_json::from_str(&bench.succeeds(&call)).unwrap();
        scores["mean_iou"].as_f64().unwrap()
    };
    assert!(score("whole") > 0.9, "{}", score("whole"));
    // The same with the settings that were chosen, and in two sittings.
    bench.succeeds(&format!("{TRAIN} --max-steps 40 --out halves"));
    bench.succeeds("train --resume halves --max-steps 150 --device cpu");
    let model = |run: &str| std::fs::read(bench.path(&format!("{run}/model.safetensors"))).unwrap();
    assert!(model("whole") == model("halves"));
    assert_eq!(Model::read(&bench.path("whole")).unwrap().architecture.stem, Stem::usual());
    assert!(bench.succeeds("inspect whole").contains("filters of 0.7,1.6,3.5,8 pixels"));
    // Whole masks are learnt with a larger network.
    let masks = TRAIN.replace("strokes --ignore 255", "masks");
    bench.succeeds(&format!("{masks} --max-steps 1 --out masks_run"));
    let config = bench.text_of("masks_run/config.toml");
    assert!(config.contains("depth = 50") && config.contains("class_shares = \"labels\""), "{config}");
}

#[test]
fn a_run_of_before_there_were_filters_goes_on_without_them() {
    let bench = bench(|_| 100.0);
    let as_before = "--stem none --favour-labelled 0 --ema 0 --depth 3 --crop 48";
    for run in ["whole", "halves"] {
        let steps = if run == "whole" { 8 } else { 4 };
        bench.succeeds(&format!("{TRAIN} {as_before} --max-steps {steps} --out {run}"));
    }
    let config = bench.text_of("halves/config.toml");
    let known: Vec<&str> = config
        .lines()
        .filter(|line| !["stem", "favour_labelled", "ema"].iter().any(|name| line.starts_with(name)))
        .collect();
    bench.bytes("halves/config.toml", known.join("\n").as_bytes());
    bench.succeeds("train --resume halves --max-steps 8 --device cpu");
    let model = |run: &str| std::fs::read(bench.path(&format!("{run}/model.safetensors"))).unwrap();
    assert!(model("whole") == model("halves"));
}

#[test]
fn images_of_other_brightness_are_normalised_one_by_one() {
    let bench = bench(|index| 1000.0 * index as f32);
    let trained = bench.run(&format!("{TRAIN} --max-steps 1 --out run"));
    let why = "the pixels of a class agree more than 100 times better";
    assert!(trained.code == 0 && trained.stderr.contains(why), "{}", trained.stderr);
    assert!(bench.text_of("run/config.toml").contains("normalise_per_image = true"));
    let together = bench.run(&format!("{TRAIN} --max-steps 1 --normalise mean --out together"));
    assert!(together.code == 0 && !together.stderr.contains("normalised by itself"), "{}", together.stderr);
    bench.refuses(&format!("{TRAIN} --stem 5,2 --out bad"), &["--stem", "ascending"]);
    bench.refuses(&format!("{TRAIN} --favour-labelled 2 --out bad"), &["--favour-labelled"]);
}

#[test]
fn filters_reach_across_the_borders_of_tiles() {
    let bench = Bench::new();
    let stem: Stem = "0.7,4".parse().unwrap();
    let architecture = Architecture { stem, ..Architecture::new(1, 1, 4) };
    let layout = ParameterLayout::of(&architecture);
    let mut parameters = initialise(&architecture, 5);
    let mix = layout.mix(0).start;
    parameters[mix..layout.output_biases().end].fill(0.3);
    bench.model("m.safetensors", &Model { architecture, parameters, ..regression(1, 1) });
    bench.floats("a.tif", &textures(3, 0.0));
    let call = "predict --model m.safetensors a.tif --device cpu --out";
    bench.succeeds(&format!("{call} whole"));
    bench.succeeds(&format!("{call} tiles --tile 40"));
    bench.succeeds(&format!("{call} near --tile 40 --halo 10"));
    let whole = bench.read("whole/a.tif");
    let size = whole.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    assert!(apart(&whole, &bench.read("tiles/a.tif")) <= 1e-5 * size);
    // Without what the filters reach, the borders are seen.
    assert!(apart(&whole, &bench.read("near/a.tif")) > 1e-4 * size);
}

#[test]
fn a_run_goes_on_with_more_strokes_from_where_it_is() {
    let bench = bench(|_| 100.0);
    let first =
        |until: u64, out: &str| bench.succeeds(&format!("{TRAIN} --depth 5 --max-steps {until} --out {out}"));
    first(20, "run");
    first(20, "again");
    let stroke = |y: usize| (20..24).contains(&y) || (60..70).contains(&y);
    let more = Array2::from_shape_fn((SIZE, SIZE), |(y, x)| {
        if stroke(y) && (10..30).contains(&(x % 48)) { i64::from(x >= SIZE / 2) } else { 255 }
    });
    bench.labels("strokes/1.png", &more);
    // A fourth image is labelled now.
    bench.floats("images/3.tif", &textures(3, 100.0));
    bench.labels("strokes/3.png", &more);
    let refused = bench.run("train --resume run --max-steps 40 --device cpu");
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("--new-labels") && refused.stderr.contains("--init"),
        "{}",
        refused.stderr
    );
    for run in ["run", "again"] {
        let on = bench.run(&format!("train --resume {run} --new-labels --max-steps 40 --device cpu"));
        assert_eq!(on.code, 0, "{}", on.stderr);
        assert!(
            on.stderr.contains("going on from epoch") && on.stderr.contains("from step 21 on"),
            "{}",
            on.stderr
        );
    }
    let model = |run: &str| std::fs::read(bench.path(&format!("{run}/model.safetensors"))).unwrap();
    assert!(model("run") == model("again"));
    let labels = Model::read(&bench.path("run")).unwrap().provenance["labels"].clone();
    assert!(labels.ends_with(" from step 21"), "{labels}");
    // It is no other run afterwards: it goes on without the flag, and with the same labels the flag changes nothing.
    bench.succeeds("train --resume run --max-steps 60 --device cpu");
    bench.succeeds("train --resume again --new-labels --max-steps 60 --device cpu");
    assert!(model("run") == model("again"));
    // A class that was not there asks for another network.
    bench.labels("strokes/3.png", &more.mapv(|value| if value == 1 { 2 } else { value }));
    let refused = bench.run("train --resume run --new-labels --max-steps 80 --device cpu");
    assert!(refused.stderr.contains("the classes are not those"), "{}", refused.stderr);
    let refused = bench.run(&format!("{TRAIN} --new-labels --out other"));
    assert!(refused.stderr.contains("--resume"), "{}", refused.stderr);
}
