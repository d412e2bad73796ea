//! What training makes of images and targets: what counts, what is changed, what is set aside, and where the model says
//! that it comes from.

use msd_gpu::network::{InputNormalisation, Measure};
use ndarray::{Array2, Array3, Axis, s};

use crate::support::{Bench, truncate};
use crate::train::{bench, model};

const SHORT: &str = "--depth 3 --device cpu --max-steps 6 --crop 16";

fn segment(more: &str) -> String {
    format!("train segment --images images --targets images_labels {more}")
}

/// Turns most labels of the training images into `ignored`: brush strokes are left.
fn label_partly(bench: &Bench, ignored: i64) {
    for i in 0..4 {
        let labels = bench.read_labels(&format!("images_labels/{i}.png"));
        let mut strokes = Array2::from_elem(labels.dim(), ignored);
        strokes.slice_mut(s![i..i + 3, ..]).assign(&labels.slice(s![i..i + 3, ..]));
        bench.labels(&format!("strokes/{i}"), &strokes);
    }
}

#[test]
fn a_few_strokes_with_weights_and_class_weights_are_learnt_from() {
    let bench = bench();
    label_partly(&bench, 128);
    for i in 0..4 {
        // One of the three labelled rows is wrong, and does not count.
        let path = format!("strokes/{i}.png");
        let mut labels = bench.read_labels(&path);
        labels.row_mut(i).mapv_inplace(|label| 255 - label);
        bench.labels(&path, &labels);
        let mut weights = Array3::from_elem((1, labels.nrows(), labels.ncols()), 2.5);
        weights.slice_mut(s![0, i, ..]).fill(0.0);
        bench.floats(&format!("weights/{i}.tif"), &weights);
    }
    let learn = "--depth 4 --device cpu --max-steps 300 --crop 0 --lr 0.01";
    let command = format!("train segment --images images --targets strokes {learn}");
    bench.succeeds(&format!("{command} --ignore 128 --weights weights --class-weights balanced --out run"));
    assert_eq!(model(&bench, "run").classes().iter().map(|class| class.value).collect::<Vec<_>>(), [0, 255]);
    let table = bench.succeeds("evaluate --model run --images val --targets val_labels --device cpu --json");
    let scores: serde_json::Value = serde_json::from_str(&table).unwrap();
    assert!(scores["mean_iou"].as_f64().unwrap() > 0.9, "{table}");
    // Without saying so, 128 would be a class.
    bench.succeeds(&format!("train segment --images images --targets strokes {SHORT} --out three"));
    assert_eq!(model(&bench, "three").classes().len(), 3);
}

#[test]
fn an_image_without_a_labelled_pixel_is_named() {
    let bench = bench();
    label_partly(&bench, 7);
    bench.labels("strokes/2", &Array2::from_elem((24, 24), 7));
    let command = format!("train segment --images images --targets strokes {SHORT} --ignore 7 --out run");
    bench.refuses(&command, &["images/2.tif", "no pixel that counts"]);
    // Weights of 0 do the same, also in a regression.
    bench.floats("weights/0.tif", &Array3::ones((1, 24, 24)));
    bench.floats("weights/1.tif", &Array3::zeros((1, 20, 25)));
    for i in 2..4 {
        bench.floats(&format!("weights/{i}.tif"), &Array3::ones((1, 24, 24)));
    }
    let command =
        format!("train regress --images images --targets images_targets {SHORT} --weights weights --out run");
    bench.refuses(&command, &["images/1.tif", "no pixel that counts"]);
    bench.floats("weights/3.tif", &Array3::ones((1, 24, 23)));
    bench.refuses(&command, &["weights/3.tif", "23 x 24"]);
    bench.refuses(&segment(&format!("{SHORT} --class-weights 1,2,3 --out run")), &["3 numbers", "2 classes"]);
    assert!(bench.names("run").is_empty());
}

#[test]
fn what_does_not_count_in_a_regression_may_hold_anything() {
    let bench = bench();
    for i in 0..4 {
        let mut target = bench.read(&format!("images_targets/{i}.tif"));
        let mut weights = Array3::ones(target.dim());
        // A dead corner.
        target.slice_mut(s![.., ..6, ..6]).fill(1e6);
        weights.slice_mut(s![.., ..6, ..6]).fill(0.0);
        bench.floats(&format!("damaged/{i}.tif"), &target);
        bench.floats(&format!("weights/{i}.tif"), &weights);
    }
    let learn = "--depth 3 --device cpu --max-steps 200 --batch 3 --crop 0 --lr 0.01 --val-fraction 0.25";
    bench.succeeds(&format!(
        "train regress --images images --targets damaged --weights weights {learn} --out run"
    ));
    let score = |more: &str| {
        let json = bench.succeeds(&format!("evaluate --model run --device cpu --json {more}"));
        let scores: serde_json::Value = serde_json::from_str(&json).unwrap();
        scores["output"]["psnr"].as_f64().unwrap()
    };
    assert!(score("--images val --targets val_targets") > 25.0);
    assert!(score("--images images --targets damaged --weights weights") > 25.0);
    let history = std::fs::read_to_string(bench.path("run/history.csv")).unwrap();
    let last: Vec<&str> = history.lines().last().unwrap().split(',').collect();
    assert!(last[4].parse::<f64>().unwrap() < 1.0, "the validation loss leaves the corner out: {history}");
}

#[test]
fn evaluation_leaves_out_what_nobody_labelled() {
    let bench = bench();
    bench.succeeds(&segment(&format!("{SHORT} --out run")));
    let pixels = |more: &str| {
        let json =
            bench.succeeds(&format!("evaluate --model run --images images --device cpu --json {more}"));
        serde_json::from_str::<serde_json::Value>(&json).unwrap()["pixels"].as_u64().unwrap()
    };
    label_partly(&bench, 9);
    assert_eq!(pixels("--targets strokes --ignore 9"), 3 * (24 + 25 + 24 + 24));
    for i in 0..4 {
        let labels = bench.read_labels(&format!("strokes/{i}.png"));
        let weights = labels.mapv(|label| if label == 255 { 0.0 } else { 0.5 }).insert_axis(Axis(0));
        bench.floats(&format!("weights/{i}.tif"), &weights);
    }
    let background = pixels("--targets strokes --ignore 9 --weights weights");
    assert_eq!(background, 3 * (13 + 13 + 13 + 13), "columns up to the middle");
    bench.refuses(
        "evaluate --model run --images images --targets strokes --device cpu",
        &["the label 9", "--ignore 9"],
    );
}

#[test]
fn the_config_alone_repeats_a_run_bit_for_bit() {
    let bench = bench();
    label_partly(&bench, 128);
    let augmented = "--rotate 20 --scale 0.1 --elastic 2 --blur 1 --contrast 0.2 --brightness 0.2 --gamma 0.2 --poisson 0.1 --noise 0.1";
    let targets = "--ignore 128 --class-weights balanced --favour-rare 0.5 --normalise 1..99";
    bench.succeeds(&format!(
        "train segment --images images --targets strokes {SHORT} --batch 3 --val-fraction 0.25 {augmented} {targets} --out run"
    ));
    bench.succeeds("train --config run/config.toml --out again");
    let file = |run: &str, name: &str| std::fs::read(bench.path(&format!("{run}/{name}"))).unwrap();
    assert_eq!(model(&bench, "run"), model(&bench, "again"));
    assert_eq!(file("run", "config.toml"), file("again", "config.toml"));
    assert_eq!(file("run", "preview.png"), file("again", "preview.png"));
    // Also with another number of threads, which every sample is independent of.
    let mut command = assert_cmd::Command::cargo_bin("msd-gpu").unwrap();
    command.current_dir(bench.path(".")).env("RAYON_NUM_THREADS", "1");
    command.args(["train", "--config", "run/config.toml", "--out", "single"]).assert().success();
    assert_eq!(model(&bench, "run").parameters, model(&bench, "single").parameters);
    // Without augmentation, or with another, it is another run.
    bench.succeeds("train --config run/config.toml --noise 0.2 --out other");
    assert_ne!(model(&bench, "run").parameters, model(&bench, "other").parameters);
}

#[test]
fn the_model_says_where_it_comes_from() {
    let bench = bench();
    let validation = "--val-images val --val-targets val_labels";
    bench.succeeds(&segment(&format!("{SHORT} {validation} --seed 5 --out run")));
    let text = bench.succeeds("inspect run");
    for part in [
        &format!("msd-gpu {}", env!("CARGO_PKG_VERSION")),
        "training_fingerprint",
        "validation_fingerprint",
        "validation_mean_iou",
        "device",
        "seed",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let print = |run: &str, name: &str| model(&bench, run).provenance[name].clone();
    // Another format and another name of the same pixels are the same data.
    for i in 0..4 {
        let labels = bench.read_labels(&format!("images_labels/{i}.png"));
        bench.floats(&format!("copy_labels/{i}.tif"), &labels.mapv(|v| v as f32).insert_axis(Axis(0)));
    }
    let copy = segment(&format!("{SHORT} {validation} --out copy")).replace("images_labels", "copy_labels");
    bench.succeeds(&copy);
    assert_eq!(print("run", "training_fingerprint"), print("copy", "training_fingerprint"));
    let mut image = bench.read("images/3.tif");
    image[[0, 5, 5]] += 1.0;
    bench.floats("images/3.tif", &image);
    bench.succeeds(&segment(&format!("{SHORT} {validation} --out changed")));
    assert_ne!(print("run", "training_fingerprint"), print("changed", "training_fingerprint"));
    assert_eq!(print("run", "validation_fingerprint"), print("changed", "validation_fingerprint"));
}

#[test]
fn a_validation_image_that_is_a_training_image_is_warned_of() {
    let bench = bench();
    // Under another name: the second image is the only one of its size.
    bench.floats("val/0.tif", &bench.read("images/1.tif"));
    bench.labels("val_labels/0", &bench.read_labels("images_labels/1.png"));
    bench.grey("val/1.tif", (20, 25));
    let outcome =
        bench.run(&segment(&format!("{SHORT} --val-images val --val-targets val_labels --out run")));
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let warnings: Vec<_> = outcome.stderr.lines().filter(|line| line.contains("flatter")).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("val/0.tif") && warnings[0].contains("images/1.tif"), "{warnings:?}");
}

#[test]
fn an_image_normalised_by_itself_is_segmented_at_any_brightness() {
    let bench = bench();
    let learn = "--depth 4 --device cpu --max-steps 200 --crop 0 --lr 0.01";
    bench.succeeds(&segment(&format!("{learn} --normalise 2..98 --normalise-per-image --out run")));
    let rule = InputNormalisation::PerImage { per_image: Measure::Percentiles { low: 2.0, high: 98.0 } };
    assert_eq!(model(&bench, "run").input, rule);
    assert!(bench.succeeds("inspect run").contains("each image by its own percentiles 2 and 98"));
    for i in 0..2 {
        bench
            .floats(&format!("dim/{i}.tif"), &bench.read(&format!("val/{i}.tif")).mapv(|v| 0.125 * v - 32.0));
    }
    bench.succeeds("predict --model run val --out bright --device cpu");
    bench.succeeds("predict --model run dim --out faint --device cpu --tile 7");
    for i in 0..2 {
        let name = |folder: &str| format!("{folder}/{i}.png");
        assert_eq!(bench.read_labels(&name("bright")), bench.read_labels(&name("faint")));
    }
    for format in ["--onnx run.onnx", "--torch run.py"] {
        bench.refuses(&format!("export run {format}"), &["each image by itself", "--normalise-per-image"]);
    }
    assert!(!bench.names(".").iter().any(|name| name.starts_with("run.")));
    let regress = format!("train regress --images images --targets images_targets {SHORT} --out x");
    bench.refuses(&format!("{regress} --normalise-per-image"), &["--normalise-per-image", "regression"]);
}

#[test]
fn folds_are_trained_one_by_one_and_their_scores_summed_up() {
    let bench = bench();
    let table = bench.succeeds(&segment(&format!("{SHORT} --folds 4 --out run")));
    assert!(table.contains("mean iou") && table.contains("deviation"), "{table}");
    let rows = |run: &str| -> Vec<Vec<String>> {
        let text = std::fs::read_to_string(bench.path(&format!("{run}/folds.csv"))).unwrap();
        text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
    };
    let whole = rows("run");
    assert_eq!(whole.len(), 7);
    let loss = |row: usize| whole[row][2].parse::<f64>().unwrap();
    assert!((loss(5) - (1..=4).map(loss).sum::<f64>() / 4.0).abs() < 1e-12);
    assert!(loss(6) > 0.0);
    for fold in 1..=4 {
        assert!(bench.names(&format!("run/fold-{fold}")).contains(&"model.safetensors".to_owned()));
    }
    // A fold by its own config is the same run; and so is one that is asked for alone.
    bench.succeeds("train --config run/fold-3/config.toml --out again");
    bench.succeeds(&segment(&format!("{SHORT} --folds 4 --fold 3 --out alone")));
    assert_eq!(model(&bench, "again").parameters, model(&bench, "run/fold-3").parameters);
    assert_eq!(model(&bench, "alone").parameters, model(&bench, "run/fold-3").parameters);
    // What was cut short goes on, and what was done stays.
    std::fs::remove_dir_all(bench.path("run/fold-4")).unwrap();
    bench.succeeds("train --resume run");
    assert_eq!(rows("run"), whole);
    bench.refuses(&segment(&format!("{SHORT} --folds 4 --out run")), &["run", "--resume"]);
    bench.refuses(&segment(&format!("{SHORT} --folds 5 --out five")), &["4 images for 5 folds"]);
    bench.refuses(&segment(&format!("{SHORT} --folds 4 --val-fraction 0.5 --out x")), &["--folds"]);
}

#[test]
fn the_preview_shows_what_the_network_would_see() {
    let bench = bench();
    let augmented = "--rotate 20 --elastic 3 --noise 0.3 --batch 2";
    bench.succeeds(&segment(&format!("{SHORT} {augmented} --preview-augmentation shown")));
    assert_eq!(bench.names("shown").len(), 16);
    let (first, second) = (bench.read("shown/01.png"), bench.read("shown/02.png"));
    assert_eq!(first.dim().0, 3);
    assert_ne!(first, second);
    // The same seed shows the same; a regression shows its targets.
    bench.succeeds(&segment(&format!("{SHORT} {augmented} --preview-augmentation again")));
    assert_eq!(bench.read("again/01.png"), first);
    bench.succeeds(&format!(
        "train regress --images images --targets images_targets {SHORT} --preview-augmentation values"
    ));
    bench.refuses(&segment(&format!("{SHORT} --rotate 200 --preview-augmentation x")), &["--rotate", "200"]);
    bench.refuses(&segment(&format!("{SHORT} --favour-rare 2 --out x")), &["--favour-rare", "2"]);
}

/// A page of 24 x 24 that is bright where `labels` are 1, and its labels.
fn half(bright: u16) -> (Array2<u16>, Array2<i64>) {
    let labels = Array2::from_shape_fn((24, 24), |(_, x)| i64::from(x > 12));
    (labels.mapv(|label| label as u16 * bright + 50), labels)
}

#[test]
fn channels_in_pages_are_channels_in_training_and_evaluation() {
    let bench = Bench::new();
    let (page, labels) = half(300);
    let pages = [page.clone(), page.mapv(|value| value / 2)];
    for name in ["a", "b"] {
        let ome = r#"<OME><Image><Pixels DimensionOrder="XYCZT" SizeC="2" SizeZ="1" SizeT="1"><TiffData/></Pixels></Image></OME>"#;
        bench.stack(&format!("composites/{name}.tif"), &pages, "ImageJ=1.54f\nimages=2\nchannels=2\n");
        bench.stack(&format!("ome/{name}.ome.tif"), &pages, ome);
        bench.stack(&format!("plain/{name}.tif"), &pages, "");
        bench.labels(&format!("labels/{name}"), &labels);
    }
    for (images, more) in [("composites", ""), ("ome", ""), ("plain", "--axes CYX")] {
        let command =
            format!("train segment --images {images} --targets labels {SHORT} {more} --out {images}-run");
        bench.succeeds(&command);
        assert_eq!(model(&bench, &format!("{images}-run")).architecture.inputs, 2, "{images}");
        let models = format!("--model {images}-run --device cpu {more}");
        bench.succeeds(&format!("evaluate {models} --images {images} --targets labels --json"));
    }
    // The settings that were kept repeat it.
    bench.succeeds("train --config plain-run/config.toml --out again");
    assert_eq!(model(&bench, "again").parameters, model(&bench, "plain-run").parameters);
    bench.refuses("train segment --images plain --targets labels --out x", &["without target"]);
    // A hyperstack with the labels of its slices, which their program calls channels.
    let slices: Vec<_> = (0..3).flat_map(|_| pages.clone()).collect();
    bench.stack("z.tif", &slices, "ImageJ=1.54f\nimages=6\nchannels=2\nslices=3\n");
    let label = labels.mapv(|label| label as u16);
    bench.stack("zl.tif", &vec![label; 3], "ImageJ=1.54f\nimages=3\nchannels=3\n");
    bench.succeeds(&format!("train segment --images z.tif --targets zl.tif {SHORT} --out z"));
    assert_eq!(model(&bench, "z").architecture.inputs, 2);
}

#[test]
fn targets_may_have_a_suffix_and_stacks_may_be_cut_off() {
    let bench = Bench::new();
    let (page, labels) = half(300);
    for name in ["a", "b"] {
        bench.stack(&format!("images/{name}.tif"), std::slice::from_ref(&page), "");
        bench.labels(&format!("masks/{name}_mask"), &labels);
    }
    let command = format!("train segment --images images --targets masks {SHORT} --out run");
    bench.refuses(&command, &["--target-suffix _mask"]);
    bench.succeeds(&format!("{command} --target-suffix _mask"));
    let evaluate = "evaluate --model run --images images --targets masks --device cpu";
    bench.refuses(evaluate, &["--target-suffix _mask"]);
    bench.succeeds(&format!("{evaluate} --target-suffix _mask"));
    bench.stack("s.tif", &vec![page; 4], "");
    bench.stack("l.tif", &vec![labels.mapv(|label| label as u16); 4], "");
    truncate(&bench.path("s.tif"), 0.7);
    let command = format!("train segment --images s.tif --targets l.tif {SHORT} --out cut");
    bench.refuses(&command, &["s.tif", "--keep-going"]);
    bench.succeeds(&format!("{command} --keep-going"));
}

/// The warnings of a run that succeeds.
fn warnings(bench: &Bench, command: &str) -> String {
    let outcome = bench.run(command);
    assert_eq!(outcome.code, 0, "{command}: {}", outcome.stderr);
    outcome.stderr
}

#[test]
fn masks_with_soft_edges_and_numbered_objects_are_told_with_what_mends_them() {
    let bench = bench();
    for i in 0..4 {
        let labels = bench.read_labels(&format!("images_labels/{i}.png"));
        let (height, width) = labels.dim();
        let middle = width / 2;
        let soft = Array2::from_shape_fn((height, width), |(y, x)| {
            let off = x as i64 - middle as i64;
            if off.abs() > 2 { labels[[y, x]] } else { 128 + 40 * off + (y * 7 % 9) as i64 }
        });
        bench.labels(&format!("soft/{i}"), &soft);
        let objects = Array2::from_shape_fn((height, width), |(y, x)| {
            if y % 6 < 4 && x % 6 < 4 { (1 + y / 6 * 4 + x / 6) as i64 } else { 0 }
        });
        bench.labels(&format!("objects/{i}"), &objects);
    }
    let train =
        |masks: &str, more: &str| format!("train segment --images images --targets {masks} {SHORT} {more}");
    bench.refuses(
        &train("soft", "--out run"),
        &["soft edges", "--threshold 128", "--classes 0,255", "at most 32"],
    );
    let values = |run: &str| model(&bench, run).classes().iter().map(|class| class.value).collect::<Vec<_>>();
    bench.succeeds(&train("soft", "--threshold 128 --out threshold"));
    assert_eq!(values("threshold"), [0, 1]);
    bench.succeeds(&train("soft", "--classes 0,255 --out nearest"));
    assert_eq!(values("nearest"), [0, 255]);
    let said = warnings(&bench, &train("objects", "--out objects-as-classes"));
    assert!(said.contains("instances") && said.contains("--classes 0,rest"), "{said}");
    bench.succeeds(&train("objects", "--classes 0,rest --out merged"));
    assert_eq!(values("merged"), [0, 1]);
    bench.succeeds(
        "evaluate --model merged --images images --targets objects --classes 0,rest --device cpu --json",
    );
}

#[test]
fn masks_in_colours_are_classes_by_colour() {
    let bench = bench();
    for i in 0..4 {
        let labels = bench.read_labels(&format!("images_labels/{i}.png"));
        let colours = Array3::from_shape_fn((labels.nrows(), labels.ncols(), 3), |(y, x, c)| {
            [[0_u8, 0, 255], [255, 0, 0]][usize::from(labels[[y, x]] == 255)][c]
        });
        std::fs::create_dir_all(bench.path("coloured")).unwrap();
        msd_gpu::images::write_png_rgb8(bench.path(&format!("coloured/{i}.png")), &colours).unwrap();
    }
    let train = format!("train segment --images images --targets coloured {SHORT}");
    bench.refuses(&format!("{train} --out run"), &["3 channels that differ", "--colours auto"]);
    let said = warnings(&bench, &format!("{train} --colours auto --out run"));
    assert!(said.contains("#0000ff,#ff0000"), "{said}");
    assert_eq!(model(&bench, "run").classes()[1].name, "#ff0000");
    bench.succeeds("evaluate --model run --images images --targets coloured --device cpu --json");
    bench.refuses(
        &format!("{train} --colours #0000ff,#00ff00 --out other"),
        &["#ff0000 in", "coloured/0.png"],
    );
}

#[test]
fn numbers_that_are_none_do_not_matter_where_nothing_counts() {
    let bench = bench();
    for i in 0..4 {
        let mut image = bench.read(&format!("images/{i}.tif"));
        let mut target = bench.read(&format!("images_targets/{i}.tif"));
        let mut weights = Array3::ones(target.dim());
        for array in [&mut image, &mut target] {
            array.slice_mut(s![.., ..6, ..6]).fill(f32::NAN);
        }
        weights.slice_mut(s![.., ..6, ..6]).fill(0.0);
        bench.floats(&format!("gaps/{i}.tif"), &image);
        bench.floats(&format!("gap_targets/{i}.tif"), &target);
        bench.floats(&format!("weights/{i}.tif"), &weights);
        let mut labels = bench.read_labels(&format!("images_labels/{i}.png")).mapv(|v| v as f32);
        labels.slice_mut(s![..6, ..6]).fill(f32::NAN);
        bench.floats(&format!("gap_labels/{i}.tif"), &labels.insert_axis(Axis(0)));
    }
    let learn = "--depth 3 --device cpu --max-steps 20 --crop 0";
    let regress = format!("train regress --images gaps --targets gap_targets {learn}");
    bench.succeeds(&format!("{regress} --weights weights --out run"));
    let found = model(&bench, "run");
    assert!(found.parameters.iter().all(|parameter| parameter.is_finite()));
    let input = found.input.of_set().unwrap().clone();
    // As measured over the pixels that are there.
    let pixels: Vec<f32> = (0..4)
        .flat_map(|i| {
            bench
                .read(&format!("images/{i}.tif"))
                .indexed_iter()
                .filter(|((_, y, x), _)| *y > 5 || *x > 5)
                .map(|(_, v)| *v)
                .collect::<Vec<_>>()
        })
        .collect();
    let mean = pixels.iter().sum::<f32>() / pixels.len() as f32;
    assert!((input.mean[0] - mean).abs() < 1e-2, "{input:?} {mean}");
    let scores = bench.succeeds(
        "evaluate --model run --images gaps --targets gap_targets --weights weights --device cpu --json",
    );
    let scores: serde_json::Value = serde_json::from_str(&scores).unwrap();
    assert!(scores["output"]["mse"].as_f64().unwrap().is_finite());
    bench.refuses(&format!("{regress} --out other"), &["0.tif", "NaN", "x 0, y 0"]);
    bench.succeeds(&format!("train segment --images gaps --targets gap_labels {learn} --out labels"));
    assert_eq!(model(&bench, "labels").classes().len(), 2);
}

#[test]
fn an_image_in_another_range_is_told_with_the_flag_that_mends_it() {
    let bench = bench();
    bench.succeeds(&segment(&format!("{SHORT} --out run")));
    for i in 0..2 {
        bench.floats(&format!("wide/{i}.tif"), &bench.read(&format!("val/{i}.tif")).mapv(|v| v * 257.0));
    }
    let predict = |folder: &str, more: &str| format!("predict --model run {folder} --device cpu {more}");
    assert!(!warnings(&bench, &predict("val", "--out plain")).contains("--rescale"));
    let said = warnings(&bench, &predict("wide", "--out far"));
    assert_eq!(said.matches("--rescale mean").count(), 1, "{said}");
    assert!(!warnings(&bench, &predict("wide", "--rescale mean --out wide-out")).contains("far from"));
    bench.succeeds(&predict("val", "--rescale mean --out val-out"));
    for i in 0..2 {
        let name = |folder: &str| format!("{folder}/{i}.png");
        assert_eq!(bench.read_labels(&name("wide-out")), bench.read_labels(&name("val-out")));
    }
    bench.refuses(&predict("val", "--rescale x --out x"), &["--rescale", "1..99"]);
    bench.refuses(&predict("val", "--rescale 1..99 --out x"), &["--rescale is 1..99", "give --rescale mean"]);
    let evaluate = "evaluate --model run --images wide --targets val_labels --device cpu --json";
    assert!(warnings(&bench, evaluate).contains("--rescale mean"));
    assert!(!warnings(&bench, &format!("{evaluate} --rescale mean")).contains("far from"));
    // Images to validate by.
    let validated = segment(&format!("{SHORT} --val-images wide --val-targets val_labels"));
    let said = warnings(&bench, &format!("{validated} --out validated"));
    assert!(
        said.contains("far from the training images") && said.contains("--normalise-per-image"),
        "{said}"
    );
    let said = warnings(&bench, &format!("{validated} --normalise-per-image --out by-image"));
    assert!(!said.contains("far from"), "{said}");
    // Training on with a model.
    let said = warnings(&bench, &segment(&format!("{SHORT} --init run --out next")));
    assert!(!said.contains("far from"), "{said}");
    let on_wide = format!("train segment --images wide --targets val_labels {SHORT} --init run");
    let said = warnings(&bench, &format!("{on_wide} --out wide-run"));
    assert!(said.contains("the model was trained on") && said.contains("--normalise mean"), "{said}");
    let said = warnings(&bench, &format!("{on_wide} --normalise mean --out measured-anew"));
    assert!(!said.contains("far from"), "{said}");
}

#[test]
fn images_given_as_their_own_targets_are_told() {
    let bench = bench();
    let said = warnings(&bench, &format!("train regress --images images --targets images {SHORT} --out run"));
    assert!(said.contains("holds the pixels of the image itself") && said.contains("--targets"), "{said}");
    // Also where they are copies, and where images and targets are in one folder, which the suffix tells apart.
    for i in 0..4 {
        bench.floats(&format!("copies/{i}.tif"), &bench.read(&format!("images/{i}.tif")));
        for (name, folder) in [(format!("{i}.tif"), "images"), (format!("{i}_mask.tif"), "images_targets")] {
            bench.floats(&format!("both/{name}"), &bench.read(&format!("{folder}/{i}.tif")));
        }
    }
    let said =
        warnings(&bench, &format!("train regress --images images --targets copies {SHORT} --out copies-run"));
    assert_eq!(said.matches("holds the pixels of the image itself").count(), 1, "{said}");
    let both = format!("train regress --images both --targets both {SHORT}");
    let said = warnings(&bench, &format!("{both} --out both-run"));
    assert!(said.contains("itself") && said.contains("--target-suffix"), "{said}");
    let said = warnings(&bench, &format!("{both} --target-suffix _mask --out apart"));
    assert!(said.contains("images: 4 to train") && !said.contains("itself"), "{said}");
    // Said before the labels are refused for what they look like.
    let outcome = bench.run(&format!("train segment --images images --targets images {SHORT} --out x"));
    assert!(outcome.code == 2 && outcome.stderr.contains("the image itself"), "{}", outcome.stderr);
}

#[test]
fn pages_that_nobody_labelled_are_passed_over_and_do_not_count() {
    let bench = Bench::new();
    let (page, labels) = half(300);
    let labelled = labels.mapv(|label| label as u16);
    let nothing = Array2::from_elem(labels.dim(), 255);
    let targets: Vec<_> = (0..6)
        .map(|number| if number == 1 || number == 4 { labelled.clone() } else { nothing.clone() })
        .collect();
    bench.stack("s.tif", &vec![page.clone(); 6], "");
    bench.stack("l.tif", &targets, "");
    let command = format!("train segment --images s.tif --targets l.tif --ignore 255 {SHORT}");
    let said = warnings(&bench, &format!("{command} --val-fraction 0.5 --out run"));
    assert_eq!(said.matches("4 of 6 images are passed over").count(), 1, "{said}");
    assert!(said.contains("the first is s.tif page 0"), "{said}");
    assert!(said.contains("images: 1 to train, 1 to validate"), "{said}");
    // A file of its own was meant to be labelled, also where it would judge and not be trained on.
    for (name, target) in [("a", &labels), ("b", &nothing.mapv(i64::from)), ("c", &labels)] {
        bench.stack(&format!("images/{name}.tif"), std::slice::from_ref(&page), "");
        bench.labels(&format!("labels/{name}"), target);
    }
    for seed in 0..3 {
        let command = "train segment --images images --targets labels --ignore 255 --val-fraction 0.3";
        bench.refuses(
            &format!("{command} {SHORT} --seed {seed} --out x"),
            &["images/b.tif", "no pixel that counts", "take it out"],
        );
    }
}

#[test]
fn a_part_of_the_only_image_is_set_aside() {
    let bench = Bench::new();
    let labels = Array2::from_shape_fn((120, 24), |(y, x)| i64::from((x + y / 5) % 12 > 5));
    bench.floats("one/a.tif", &labels.mapv(|label| label as f32).insert_axis(Axis(0)));
    bench.labels("labels/a", &labels);
    let command = format!("train segment --images one --targets labels {SHORT} --val-fraction 0.2");
    let said = warnings(&bench, &format!("{command} --out run"));
    assert!(said.contains("set aside for validation: one/a.tif rows"), "{said}");
    bench.refuses(
        &format!("{command} --dilations 60 --out x"),
        &["--val-fraction", "--val-images", "--depth"],
    );
}

#[test]
fn grey_images_in_colours_are_told_and_symmetries_are_named() {
    let bench = bench();
    for i in 0..4 {
        let grey = bench.read(&format!("images/{i}.tif"));
        let (_, height, width) = grey.dim();
        let colours = Array3::from_shape_fn((3, height, width), |(_, y, x)| grey[[0, y, x]]);
        bench.floats(&format!("colours/{i}.tif"), &colours);
    }
    let command = format!("train segment --images colours --targets images_labels {SHORT} --out run");
    assert!(warnings(&bench, &command).contains("save them as grey images"));
    bench.succeeds(&segment(&format!("{SHORT} --symmetries horizontal --out horizontal")));
    let config = std::fs::read_to_string(bench.path("horizontal/config.toml")).unwrap();
    assert!(config.contains("symmetries = \"horizontal\""), "{config}");
    for (wrong, named) in
        [("--symmetries diagonal", "rotations"), ("--symmetries all --no-symmetries", "--no-symmetries")]
    {
        let outcome = bench.run(&segment(&format!("{SHORT} {wrong} --out x")));
        assert!(outcome.code == 2 && outcome.stderr.contains(named), "{}", outcome.stderr);
    }
    // As the switch that it was is written in files of older runs.
    bench.succeeds(&segment(&format!("{SHORT} --no-symmetries --out none")));
    let older = config.replace("\"horizontal\"", "false").replace("../", "");
    bench.bytes("old.toml", older.as_bytes());
    bench.succeeds("train --config old.toml --out old");
    assert_eq!(model(&bench, "none").parameters, model(&bench, "old").parameters);
}

/// Repeated scans of two scenes, and a list of them.
fn scans(bench: &Bench, groups: bool) {
    let header = if groups { "image,target,group" } else { "image,target" };
    let mut list = format!("# Scans of two scenes.\n{header}\n");
    for scene in 0..2 {
        bench.labels(
            &format!("data/masks/{scene}.png"),
            &Array2::from_shape_fn((24, 24), |(y, _)| i64::from(y > 9 + scene)),
        );
        for scan in 0..3 {
            let image = Array2::from_shape_fn((24, 24), |(y, x)| (y * 9 + x * scan) as f32);
            bench.floats(&format!("data/scans/{scene}_{scan}.tif"), &image.insert_axis(Axis(0)));
            let group = if groups { ", all of one sample" } else { "" };
            list += &format!("scans/{scene}_{scan}.tif, masks/{scene}.png{group}\n");
        }
    }
    bench.bytes("data/pairs.csv", list.as_bytes());
}

#[test]
fn a_list_pairs_several_images_with_one_target_and_keeps_them_together() {
    let bench = Bench::new();
    scans(&bench, false);
    let call = "train segment --pairs data/pairs.csv --depth 2 --crop 16 --max-steps 2 --device cpu";
    let run = bench.run(&format!("{call} --val-fraction 0.4 --out run"));
    assert_eq!(run.code, 0, "{}", run.stderr);
    let set_aside = run.stderr.lines().find(|line| line.contains("set aside for validation")).unwrap();
    // All scans of one scene, and none of the other.
    let of = |scene: usize| (0..3).filter(|scan| set_aside.contains(&format!("{scene}_{scan}.tif"))).count();
    assert!([(3, 0), (0, 3)].contains(&(of(0), of(1))), "{set_aside}");
    bench.succeeds("train --resume run --max-steps 3");
    bench.succeeds(&format!("{call} --folds 2 --out folds"));
    bench.refuses(&format!("{call} --folds 3 --out x"), &["2 groups of images", "3 folds"]);
    bench.refuses(&format!("{call} --images data/scans --out x"), &["--pairs", "--images"]);
    scans(&bench, true);
    bench.refuses(&format!("{call} --val-fraction 0.4 --out x"), &["1 group of images", "--val-fraction"]);
}

#[test]
fn a_list_that_is_wrong_says_in_which_line() {
    let bench = Bench::new();
    scans(&bench, false);
    for (list, named) in [
        ("", "image,target"),
        ("scans/0_0.tif,masks/0.png\n", "names of its columns"),
        ("image,target,colour\n", "names of its columns"),
        ("image,target\n", "lists no images"),
        ("image,target\nscans/0_0.tif,\n", "line 2 has no image or no target"),
        ("image,target\nscans/0_0.tif\n", "no list of comma-separated values"),
        ("image,target\nscans/none.tif,masks/0.png\n", "none.tif"),
        ("image,target,weight\nscans/0_0.tif,masks/0.png,none.tif\n", "line 2 what cannot be used"),
        ("image,target\nscans/0_0.tif,masks/0.png\nscans/0_0.tif,masks/0.png\n", "line 3 names"),
    ] {
        bench.bytes("data/pairs.csv", list.as_bytes());
        let call = "train segment --pairs data/pairs.csv --depth 2 --max-steps 2 --device cpu --out x";
        bench.refuses(call, &[named]);
    }
}

#[test]
fn weights_of_a_list_count() {
    let bench = Bench::new();
    scans(&bench, false);
    let mut weights = Array2::<f32>::zeros((24, 24));
    bench.floats("data/w.tif", &weights.clone().insert_axis(Axis(0)));
    bench.bytes("data/pairs.csv", b"image,target,weight\nscans/0_0.tif,masks/0.png,w.tif\n");
    let call = "train segment --pairs data/pairs.csv --depth 2 --crop 16 --max-steps 2 --device cpu";
    bench.refuses(&format!("{call} --out x"), &["no pixel that counts"]);
    weights[[3, 3]] = 1.0;
    bench.floats("data/w.tif", &weights.insert_axis(Axis(0)));
    bench.succeeds(&format!("{call} --out run"));
    bench.floats("data/w.tif", &ndarray::Array3::ones((1, 5, 6)));
    bench.refuses(&format!("{call} --out y"), &["w.tif", "6 x 5"]);
}
