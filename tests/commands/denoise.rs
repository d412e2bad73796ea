//! Denoising without clean images: from several recordings of the same slices, and from images alone.

use msd_gpu::devices::Device;
use msd_gpu::geometry::Footprint;
use msd_gpu::inference::Ensemble;
use msd_gpu::network::{Model, SelfSupervised, SplitScheme, Splits};
use ndarray::{Array2, Array3, Axis};

use super::support::Bench;

const SHORT: &str = "--depth 3 --device cpu --crop 16";

/// A pixel of a smooth image, from 0 to 200.
fn clean(z: usize, y: usize, x: usize) -> f32 {
    100.0 + 60.0 * ((y as f32 + 3.0 * z as f32) / 7.0).sin() + 40.0 * (x as f32 / 5.0).cos()
}

/// Numbers that look random, about evenly from -1 to 1.
fn noise(seed: usize, at: usize) -> f32 {
    let mut bits = (seed as u64) << 32 | at as u64;
    for _ in 0..3 {
        bits = (bits ^ (bits >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    (bits >> 40) as f32 / (1 << 23) as f32 - 1.0
}

/// Slice `z` as the recording `seed` has it.
fn recorded(seed: usize, z: usize, strength: f32) -> Array2<f32> {
    Array2::from_shape_fn((24, 24), |(y, x)| clean(z, y, x) + strength * noise(seed, (z * 24 + y) * 24 + x))
}

/// Recordings `a`, `b` and `c` of four slices in folders, and `a.tif` and `b.tif` as stacks.
fn bench() -> Bench {
    let bench = Bench::new();
    for (seed, name) in ["a", "b", "c"].into_iter().enumerate() {
        let slices: Vec<_> = (0..4).map(|z| recorded(seed, z, 60.0)).collect();
        for (z, slice) in slices.iter().enumerate() {
            bench.floats(&format!("{name}/s{z}.tif"), &slice.clone().insert_axis(Axis(0)));
        }
        bench.float_stack(&format!("{name}.tif"), &slices);
    }
    bench
}

fn model(bench: &Bench, run: &str) -> Model {
    Model::read(&bench.path(run)).unwrap()
}

/// What the model makes of the combinations of recordings, averaged by hand.
fn by_hand(model: &Model, recordings: &[Array3<f32>]) -> Array3<f32> {
    let device = Device::cpu();
    let mut ensemble = Ensemble::new(vec![("model".into(), model.clone())], &device, None, false).unwrap();
    let count = recordings.len() as f32;
    let mut sum = Array3::zeros(recordings[0].raw_dim());
    for (place, one) in recordings.iter().enumerate() {
        let input = match model.splits().unwrap().scheme {
            SplitScheme::FromOne => one.clone(),
            SplitScheme::FromOthers => {
                let others = recordings.iter().enumerate().filter(|(other, _)| *other != place);
                others.fold(Array3::zeros(one.raw_dim()), |sum, (_, other)| sum + other) / (count - 1.0)
            }
        };
        sum += &ensemble.predict(&input, false).unwrap().mean;
    }
    sum / count
}

fn largest_distance(a: &Array3<f32>, b: &Array3<f32>) -> f32 {
    assert_eq!(a.dim(), b.dim());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn recordings_are_learnt_from_each_other_and_predicted_together() {
    let bench = bench();
    for scheme in ["x:1", "1:x"] {
        let run = if scheme == "x:1" { "others" } else { "one" };
        bench.succeeds(&format!(
            "train denoise --splits a b c --scheme {scheme} --val-fraction 0.25 {SHORT} --max-steps 8 --out {run}"
        ));
        let model = model(&bench, run);
        let wanted = Splits { count: 3, scheme: scheme.parse().unwrap() };
        assert_eq!(model.self_supervised, Some(SelfSupervised::Splits(wanted)));
        // Of four slices one is set aside, with all its combinations.
        assert_eq!(
            (&*model.provenance["training_images"], &*model.provenance["validation_images"]),
            ("9", "3")
        );
        assert_eq!(model.provenance["splits"], "a, b, c");
        let said = bench.succeeds(&format!("inspect {run}"));
        assert!(said.contains(&format!("3 recordings of each slice, scheme {scheme}")), "{said}");
        bench.succeeds(&format!("predict a b c --model {run} --out {run}-results --device cpu"));
        assert_eq!(bench.names(&format!("{run}-results")), ["s0.tif", "s1.tif", "s2.tif", "s3.tif"]);
        // Tiles with all that counts around them give the same, and so do a stopped prediction and its rest.
        bench.succeeds(&format!(
            "predict a b c --model {run} --out {run}-tiles --device cpu --tile 16 --halo exact --resume"
        ));
        bench.succeeds(&format!("predict a b c --model {run} --out {run}-parts --device cpu --part 1/2"));
        bench.succeeds(&format!("predict a b c --model {run} --out {run}-parts --device cpu --part 2/2"));
        for z in 0..4 {
            let recordings = ["a", "b", "c"].map(|name| bench.read(&format!("{name}/s{z}.tif")));
            let wanted = by_hand(&model, &recordings);
            for folder in ["results", "tiles", "parts"] {
                let found = bench.read(&format!("{run}-{folder}/s{z}.tif"));
                assert!(largest_distance(&found, &wanted) < 1e-3, "{folder} of slice {z}");
            }
        }
        let flips = bench
            .run(&format!("predict a b c --model others --model {run} --tta --out {run}-flips --device cpu"));
        let is_alike = run == "others";
        assert_eq!(flips.code == 0, is_alike, "{}", flips.stderr);
    }
    let one = bench.run("predict a --model others --out single --device cpu");
    assert!(one.code == 0 && one.stderr.contains("name all 3 recordings"), "{}", one.stderr);
}

#[test]
fn training_on_recordings_in_their_files_and_in_two_sittings_gives_the_same_bits() {
    let bench = bench();
    let start = |more: &str, out: &str| {
        format!(
            "train denoise --splits a.tif b.tif --slab 3 --slices 0..4 --val-fraction 0.25 {SHORT} {more} --out {out}"
        )
    };
    bench.succeeds(&start("--max-steps 8", "whole"));
    bench.succeeds(&start("--max-steps 8 --cache 0", "files"));
    bench.succeeds(&start("--max-steps 4 --cache 0", "parts"));
    bench.succeeds("train --resume parts --max-steps 8");
    let whole = model(&bench, "whole");
    assert_eq!(whole.slab, 3);
    for run in ["files", "parts"] {
        assert!(model(&bench, run).parameters == whole.parameters, "{run}");
    }
    // The run can be repeated from its settings, and from what somebody writes by hand.
    bench.succeeds("train --config whole/config.toml --out again");
    assert!(model(&bench, "again").parameters == whole.parameters);
    let lines = "task = 'regress'\nsplits = ['a.tif', 'b.tif']\nslab = 3\nval_fraction = 0.25\ndepth = 3\ncrop = 16\npatience = 0\nmax_steps = 8\ndevice = 'cpu'\n";
    bench.bytes("hand.toml", lines.as_bytes());
    bench.succeeds("train --config hand.toml --out hand");
    assert!(model(&bench, "hand").parameters == whole.parameters);
    bench.bytes("wrong.toml", format!("{lines}deepth = 3\n").as_bytes());
    bench.refuses("train --config wrong.toml --out wrong", &["line 10", "'depth'"]);
    // The same slices elsewhere.
    for name in ["a.tif", "b.tif"] {
        let there = format!("moved/{name}");
        std::fs::rename(bench.path(name), bench.path(&there)).unwrap();
    }
    bench.refuses("train --resume parts --max-steps 9", &["no longer there", "--splits"]);
    bench.succeeds("train --resume parts --splits moved/a.tif moved/b.tif --max-steps 9");
    bench.refuses("train --resume parts --splits moved/b.tif moved/a.tif --max-steps 10", &["not those"]);
    bench.succeeds("predict moved/a.tif moved/b.tif --model parts --out results --device cpu");
    assert_eq!(bench.names("results"), ["a.tif"]);
}

#[test]
fn a_single_slice_is_cut_in_two_for_validation() {
    let bench = Bench::new();
    for (seed, name) in ["a", "b"].into_iter().enumerate() {
        let image = Array3::from_shape_fn((1, 64, 24), |(_, y, x)| clean(0, y, x) + noise(seed, y * 24 + x));
        bench.floats(&format!("{name}.tif"), &image);
    }
    bench.succeeds(&format!(
        "train denoise --splits a.tif b.tif --val-fraction 0.2 {SHORT} --max-steps 4 --out run"
    ));
    let provenance = model(&bench, "run").provenance;
    assert_eq!((&*provenance["training_images"], &*provenance["validation_images"]), ("2", "2"));
}

#[test]
fn recordings_that_cannot_be_used_are_named() {
    let bench = bench();
    bench.floats("short/s0.tif", &Array3::zeros((1, 24, 24)));
    for z in 0..4 {
        bench.floats(&format!("small/s{z}.tif"), &Array3::zeros((1, 20, 24)));
    }
    let denoise = |more: &str| format!("train denoise {more} --max-steps 1 --device cpu --depth 2 --out run");
    bench.refuses(&denoise("--splits a"), &["--splits is a alone", "at least two"]);
    bench.refuses(&denoise("--splits a short"), &["a has 4 slices but short has 1", "--slices"]);
    bench.refuses(&denoise("--splits a a"), &["the same images"]);
    bench.refuses(&denoise("--splits a small"), &["small/s0.tif", "24 x 20", "24 x 24"]);
    bench.refuses(&denoise("--splits a b c small"), &["small/s0.tif", "24 x 20", "24 x 24"]);
    bench.refuses(&denoise("--splits a b --images a"), &["--splits", "--images"]);
    bench.refuses(&denoise("--splits a b --targets a"), &["--splits", "--targets"]);
    bench.refuses(&denoise("--splits a b --val-images a --val-targets b"), &["--splits", "--val-fraction"]);
    bench.refuses(&denoise("--images a --targets b --scheme 1:x"), &["--scheme", "--splits"]);
    bench.refuses("train segment --splits a b --out run", &["--splits", "segmentation"]);
    bench.succeeds(&denoise("--splits a b c"));
    bench.refuses("predict a b --model run --out r --device cpu", &["2 inputs", "3 recordings"]);
    bench.refuses("predict a b short --model run --out r --device cpu", &["4 slices", "1"]);
    bench.refuses("predict a b c --model run --rescale mean --out r --device cpu", &["--rescale"]);
    bench.refuses("predict a b c --model run --out c --device cpu", &["--out", "c/s0.tif"]);
}

/// Two images of 72 x 72 pixels in a folder, with noise that is the mean of `run` pixels of a row, and the first as it is without
/// noise.
fn noisy_images(bench: &Bench, folder: &str, run: usize) -> Array3<f32> {
    let size = 72;
    let without = |z: usize| Array3::from_shape_fn((1, size, size), |(_, y, x)| clean(5 * z, y, x));
    for z in 0..2 {
        let mut image = without(z);
        for ((_, y, x), value) in image.indexed_iter_mut() {
            let sum: f32 = (0..run).map(|away| noise(9 + z, y * 2 * size + x + away)).sum();
            // Of the same strength, however many pixels are taken together.
            *value += 50.0 * sum / (run as f32).sqrt();
        }
        bench.floats(&format!("{folder}/{z}.tif"), &image);
    }
    without(0)
}

fn psnr(found: &Array3<f32>, wanted: &Array3<f32>) -> f32 {
    let squares: f32 = found.iter().zip(wanted).map(|(a, b)| (a - b).powi(2)).sum();
    10.0 * (200.0_f32.powi(2) * found.len() as f32 / squares).log10()
}

/// By how many decibels the first image of a folder is better after a network was trained on it alone.
fn gain(bench: &Bench, folder: &str, clean: &Array3<f32>, more: &str, run: &str) -> f32 {
    let outcome = bench.run(&format!(
        "train denoise --alone --images {folder} --depth 12 --crop 48 --batch 2 --lr 0.01 --max-steps 250 --device cpu {more} --out {run}"
    ));
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("warning"), "{}", outcome.stderr);
    bench.succeeds(&format!("predict {folder} --model {run} --out {run}-results --device cpu"));
    let result = bench.read(&format!("{run}-results/0.tif"));
    psnr(&result, clean) - psnr(&bench.read(&format!("{folder}/0.tif")), clean)
}

#[test]
fn an_image_alone_becomes_cleaner() {
    let bench = Bench::new();
    let clean = noisy_images(&bench, "images", 1);
    for blind_spot in ["median", "uniform"] {
        let more = format!("--blind-spot {blind_spot} --val-fraction 0.5");
        let gain = gain(&bench, "images", &clean, &more, blind_spot);
        println!("{blind_spot}: {gain:.2} dB");
        assert!(gain > 4.0, "{blind_spot}: {gain} dB");
    }
    let said = bench.succeeds("inspect median");
    assert!(said.contains("images alone, blind mask point"), "{said}");
    let config = bench.text_of("median/config.toml");
    assert!(config.contains("alone = true") && config.contains("blind_mask = \"point\""), "{config}");
}

#[test]
fn noise_along_rows_is_kept_by_points_and_removed_by_rows() {
    let bench = Bench::new();
    let clean = noisy_images(&bench, "images", 4);
    let point = gain(&bench, "images", &clean, "--blind-mask point", "point");
    let row = gain(&bench, "images", &clean, "--blind-mask horizontal --blind-extent 4", "row");
    let auto = gain(&bench, "images", &clean, "", "auto");
    println!("point {point:.2} dB, row {row:.2} dB, auto {auto:.2} dB");
    assert!(matches!(
        model(&bench, "auto").self_supervised,
        Some(SelfSupervised::BlindSpots { mask: Footprint::Horizontal, .. })
    ));
    assert!(row > point + 2.0 && row > 3.0, "point {point} dB, row {row} dB");
    assert!(auto > point + 1.0, "point {point} dB, auto {auto} dB");
}

#[test]
fn training_alone_in_two_sittings_and_from_files_gives_the_same_bits() {
    let bench = bench();
    let start = |more: &str, out: &str| {
        format!(
            "train denoise --alone --images a.tif --slab 3 --val-fraction 0.25 {SHORT} {more} --out {out}"
        )
    };
    bench.succeeds(&start("--max-steps 8", "whole"));
    bench.succeeds(&start("--max-steps 8 --cache 0", "files"));
    bench.succeeds(&start("--max-steps 4 --cache 0", "parts"));
    bench.succeeds("train --resume parts --max-steps 8");
    let whole = model(&bench, "whole");
    for run in ["files", "parts"] {
        assert!(model(&bench, run).parameters == whole.parameters, "{run}");
    }
    let history = |run: &str| {
        let text = bench.text_of(&format!("{run}/history.csv"));
        text.lines().last().unwrap().split(',').skip(3).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(history("parts"), history("whole"));
    bench.bytes(
        "hand.toml",
        b"task = 'regress'\nalone = true\nimages = 'a.tif'\nslab = 3\nval_fraction = 0.25\ndepth = 3\ncrop = 16\npatience = 0\nmax_steps = 8\ndevice = 'cpu'\n",
    );
    bench.succeeds("train --config hand.toml --out hand");
    assert!(model(&bench, "hand").parameters == whole.parameters);
    let denoise = |more: &str| format!("train denoise {more} --max-steps 1 --device cpu --depth 2 --out no");
    bench.refuses(&denoise("--alone --images a --targets b"), &["--alone", "--targets"]);
    bench.refuses(&denoise("--alone --splits a b"), &["--splits", "--alone"]);
    bench.refuses(&denoise("--alone --images a --rotate 5"), &["--alone", "random changes"]);
    bench.refuses(&denoise("--images a --targets b --blind-mask cross"), &["--blind-mask", "--alone"]);
    bench.refuses(&denoise("--images a"), &["--targets", "--splits", "--alone"]);
}

/// Neighbours share the noise of reconstructions, which a point alone would see through.
#[test]
fn the_noise_of_reconstructions_is_hidden_with_its_neighbours() {
    let bench = Bench::new();
    bench.succeeds("tomo simulate foam --size 128 --slices 2 --projections 180 --photons 1000 --out scan.h5");
    bench.succeeds("tomo reconstruct scan.h5 --centre 63.5 --out slices.tif");
    let train =
        "train denoise --alone --images slices.tif --depth 2 --crop 32 --max-steps 1 --device cpu --out run";
    let outcome = bench.run(train);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let config = bench.text_of("run/config.toml");
    assert!(config.contains("blind_mask = \"cross\"") && config.contains("blind_extent = 1"), "{config}");
    assert!(outcome.stderr.contains("--splits"), "{}", outcome.stderr);
}
