//! Input that cannot be used: each a sentence that names it, exit code 2, and nothing written.

use msd_gpu::network::Normalisation;
use ndarray::{Array2, Array3, array};

use crate::support::{Bench, regression, segmentation, truncate};

/// A folder with a segmentation, a regression, two images and their labels, all of which fit.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.model("m.safetensors", &segmentation(&[0, 255]));
    bench.model("denoiser.safetensors", &regression(1, 1));
    for name in ["a", "b"] {
        bench.grey(&format!("images/{name}.png"), (12, 10));
        bench.labels(&format!("targets/{name}"), &Array2::from_elem((12, 10), 255));
    }
    bench
}

/// `predict` and `evaluate` of the images must both be refused with these names.
fn both_refuse(bench: &Bench, names: &[&str]) {
    predict_refuses(bench, "images", "", names);
    evaluate_refuses(bench, "", names);
}

fn predict_refuses(bench: &Bench, input: &str, more: &str, names: &[&str]) {
    bench.refuses(&format!("predict --model m.safetensors {input} --out out --device cpu {more}"), names);
    assert!(bench.names("out").is_empty(), "{:?} was left", bench.names("out"));
}

fn evaluate_refuses(bench: &Bench, more: &str, names: &[&str]) {
    let call = "evaluate --model m.safetensors --images images --targets targets --device cpu";
    bench.refuses(&format!("{call} {more}"), names);
}

#[test]
fn what_should_work_does() {
    let bench = bench();
    bench.succeeds("predict --model m.safetensors images --out out --device cpu");
    bench.succeeds("evaluate --model m.safetensors --images images --targets targets --device cpu");
}

#[test]
fn a_missing_folder_and_a_pattern_without_match() {
    let bench = bench();
    predict_refuses(&bench, "images nowhere", "", &["nowhere", "no such file or folder"]);
    predict_refuses(&bench, "images/*.tif", "", &["images/*.tif", "matches no file"]);
    let call = "evaluate --model m.safetensors --device cpu";
    bench.refuses(&format!("{call} --images nowhere --targets targets"), &["nowhere"]);
    bench.refuses(&format!("{call} --images images --targets nowhere"), &["nowhere"]);
    bench.path("empty/x");
    predict_refuses(&bench, "empty", "", &["empty", "no images"]);
}

#[test]
fn images_and_targets_that_do_not_fit_each_other() {
    let bench = bench();
    bench.labels("targets/c", &Array2::zeros((12, 10)));
    evaluate_refuses(&bench, "", &["c.png", "without image"]);
    bench.grey("images/c.png", (12, 11));
    evaluate_refuses(&bench, "", &["c.png", "11 x 12", "10 x 12"]);
    bench.grey("images/c.png", (12, 10));
    bench.labels("targets/c", &Array2::from_elem((12, 10), 3));
    evaluate_refuses(&bench, "", &["c.png", "label 3", "0, 255"]);
    bench.floats("targets/c.tif", &Array3::zeros((1, 12, 10)));
    evaluate_refuses(&bench, "", &["c.png", "c.tif"]);
    std::fs::remove_file(bench.path("targets/c.png")).unwrap();
    bench.floats("targets/c.tif", &Array3::from_elem((1, 12, 10), 0.5));
    evaluate_refuses(&bench, "", &["c.tif", "not a whole number"]);
    bench.floats("two/a.tif", &Array3::zeros((2, 12, 10)));
    bench.floats("two/b.tif", &Array3::zeros((2, 12, 10)));
    std::fs::remove_file(bench.path("images/c.png")).unwrap();
    let call = "evaluate --model denoiser.safetensors --images images --targets two --device cpu";
    bench.refuses(call, &["two", "2 channels", "gives 1"]);
}

#[test]
fn damaged_images() {
    // Each takes the place of an image that was good.
    let bench = bench();
    bench.bytes("images/b.png", b"");
    both_refuse(&bench, &["b.png", "empty"]);
    std::fs::remove_file(bench.path("images/b.png")).unwrap();
    bench.bytes("images/b.tif", b"x y z\n1 2 3\n");
    both_refuse(&bench, &["b.tif", "not a PNG or TIFF image"]);
    bench.floats("images/b.tif", &Array3::from_elem((1, 12, 10), f32::NAN));
    evaluate_refuses(&bench, "", &["b.tif", "NaN", "x 0, y 0"]);
    predict_refuses(&bench, "images/b.tif", "", &["b.tif", "NaN", "x 0, y 0"]);
    for share in [0.0, 0.02, 0.5, 0.95] {
        bench.floats("images/b.tif", &Array3::zeros((1, 12, 10)));
        truncate(&bench.path("images/b.tif"), share);
        evaluate_refuses(&bench, "", &["b.tif"]);
        predict_refuses(&bench, "images/b.tif", "", &["b.tif"]);
    }
    bench.grey("images/b.png", (12, 10));
    std::fs::remove_file(bench.path("images/b.tif")).unwrap();
    truncate(&bench.path("images/b.png"), 0.6);
    evaluate_refuses(&bench, "", &["b.png"]);
    predict_refuses(&bench, "images/b.png", "", &["b.png"]);
}

#[test]
fn an_image_that_fails_late_keeps_the_others_and_leaves_no_half_of_itself() {
    let bench = bench();
    bench.floats("images/c.tif", &Array3::from_elem((1, 12, 10), f32::INFINITY));
    bench.refuses("predict --model m.safetensors images --out out --device cpu", &["c.tif"]);
    assert_eq!(bench.names("out"), ["a.png", "b.png"]);
}

#[test]
fn values_far_beyond_those_trained_on() {
    let bench = bench();
    let mut model = segmentation(&[0, 255]);
    model.input = Normalisation { mean: vec![0.0], deviation: vec![1e-6] }.into();
    bench.model("m.safetensors", &model);
    bench.floats("huge.tif", &Array3::from_elem((1, 5, 5), 3e38));
    predict_refuses(&bench, "huge.tif", "", &["huge.tif", "not finite"]);
}

#[test]
fn models_that_do_not_fit() {
    let bench = bench();
    bench.floats("images/b.tif", &Array3::zeros((2, 12, 10)));
    std::fs::remove_file(bench.path("images/b.png")).unwrap();
    predict_refuses(&bench, "images", "", &["b.tif", "2 channels", "images of 1", "--axes ZYX"]);
    bench.model("m.safetensors", &regression(2, 1));
    both_refuse(&bench, &["a.png", "1 channel,", "images of 2"]);
    truncate(&bench.path("m.safetensors"), 0.7);
    both_refuse(&bench, &["m.safetensors", "not a whole model file"]);
    bench.bytes("m.safetensors", b"");
    both_refuse(&bench, &["m.safetensors"]);
    std::fs::remove_file(bench.path("m.safetensors")).unwrap();
    both_refuse(&bench, &["m.safetensors"]);
    bench.refuses("predict --model images images --out out", &["images/model.safetensors"]);
}

#[test]
fn settings_that_do_not_fit() {
    let bench = bench();
    let calls = [
        "predict --model m.safetensors images --out out",
        "evaluate --model m.safetensors --images images --targets targets",
    ];
    for call in calls {
        bench.refuses(&format!("{call} --device cpu --tile 0"), &["--tile is 0", "at least 1"]);
        bench.refuses(&format!("{call} --device Voodoo3"), &["Voodoo3", "CPU", "--device cpu"]);
        // These are refused before a command sees them, with a hint at the help below.
        for tile in ["-1", "many", "1.5"] {
            let outcome = bench.run(&format!("{call} --tile {tile}"));
            assert_eq!(outcome.code, 2, "{}", outcome.stderr);
            assert!(outcome.stderr.starts_with(&format!("error: invalid value '{tile}' for '--tile")));
        }
    }
    evaluate_refuses(&bench, "--data-range 1", &["--data-range"]);
    for range in ["0", "-2", "NaN", "inf"] {
        let call = "evaluate --model denoiser.safetensors --images images --targets targets";
        bench.refuses(&format!("{call} --device cpu --data-range {range}"), &["--data-range", range]);
    }
    for flag in ["--overlay", "--probabilities"] {
        let call = format!("predict --model denoiser.safetensors images --out out {flag}");
        bench.refuses(&call, &[flag, "regression"]);
    }
    assert!(bench.names("out").is_empty());
}

#[test]
fn results_that_have_no_place() {
    let bench = bench();
    bench.bytes("file", b"keep me");
    let call = "predict --model m.safetensors --device cpu images --out";
    bench.refuses(&format!("{call} file"), &["file", "cannot write"]);
    bench.refuses(&format!("{call} file/inside"), &["file/inside", "cannot write"]);
    assert_eq!(std::fs::read(bench.path("file")).unwrap(), b"keep me");
    let before = std::fs::read(bench.path("images/a.png")).unwrap();
    for same in ["images", "./images/", "targets/../images"] {
        bench.refuses(&format!("{call} {same}"), &["--out", same, "a.png"]);
    }
    assert_eq!(std::fs::read(bench.path("images/a.png")).unwrap(), before);
    assert_eq!(bench.names("images"), ["a.png", "b.png"]);
}

#[test]
fn images_that_would_be_written_to_one_name() {
    let bench = bench();
    bench.grey("others/a.png", (5, 5));
    predict_refuses(&bench, "images others", "", &["images/a.png", "others/a.png"]);
    bench.grey("names/a.png", (5, 5));
    bench.grey("names/a_overlay.png", (5, 5));
    predict_refuses(&bench, "names", "--overlay", &["names/a.png", "names/a_overlay.png"]);
    bench.succeeds("predict --model m.safetensors names --out out --device cpu");
}

#[test]
fn classes_that_no_label_file_holds() {
    let bench = bench();
    bench.model("m.safetensors", &segmentation(&[0, 1 << 40]));
    predict_refuses(&bench, "images", "", &["m.safetensors", "32 bits"]);
    // Nothing to write, nothing to refuse: the targets merely do not know this class.
    bench.labels("targets/a", &array![[0]]);
    evaluate_refuses(&bench, "", &["a.png"]);
}
