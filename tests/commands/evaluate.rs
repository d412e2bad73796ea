//! `msd-gpu evaluate` on input as it should be.

use ndarray::{Array2, Array3, Axis};
use serde_json::Value;

use crate::support::{Bench, class_of, pattern, regression, segmentation};

const CALL: &str = "evaluate --model m.safetensors --images images --targets targets --device cpu";

/// Two images that a model segments without a fault, into classes that are not in the order of their values.
fn segmented() -> Bench {
    let bench = Bench::new();
    bench.model("m.safetensors", &segmentation(&[7, 2]));
    for (name, size) in [("a", (20, 31)), ("b", (9, 12))] {
        bench.grey(&format!("images/{name}.png"), size);
        bench.labels(&format!("targets/{name}"), &pattern(size).mapv(|pixel| [7, 2][class_of(pixel, 2)]));
    }
    bench
}

fn json(text: &str) -> Value {
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_perfect_segmentation_scores_one_everywhere() {
    let scores = json(&segmented().succeeds(&format!("{CALL} --json")));
    for name in ["global_accuracy", "class_accuracy", "mean_iou", "mean_dice"] {
        assert_eq!(scores[name], 1.0, "{name}");
    }
    assert_eq!((&scores["images"], &scores["pixels"]), (&2.into(), &(20 * 31 + 9 * 12).into()));
    assert_eq!(
        (&scores["classes"][0]["value"], &scores["classes"][1]["name"]),
        (&7.into(), &"class 2".into())
    );
}

#[test]
fn scores_are_those_counted_by_hand() {
    let bench = segmented();
    // In b, 6 pixels of value 7 (class 0) are said to be of value 2.
    let mut labels = bench.read_labels("targets/b.png");
    let mut changed = 0;
    for label in labels.iter_mut().filter(|label| **label == 7) {
        if changed < 6 {
            *label = 2;
            changed += 1;
        }
    }
    assert_eq!(changed, 6);
    bench.labels("targets/b", &labels);
    let all = bench.read_labels("targets/a.png").iter().chain(&labels).filter(|v| **v == 2).count() as f64;
    let scores = json(&bench.succeeds(&format!("{CALL} --json --tile 8")));
    let matrix = &scores["confusion_matrix"];
    assert_eq!((matrix[1][0].as_f64(), matrix[0][1].as_f64()), (Some(6.0), Some(0.0)));
    let class = &scores["classes"][1];
    assert_eq!(class["target_pixels"].as_f64(), Some(all));
    assert_eq!(class["precision"], 1.0);
    assert_eq!(class["accuracy"].as_f64(), Some((all - 6.0) / all));
    assert_eq!(class["iou"].as_f64(), Some((all - 6.0) / all));

    let table = bench.succeeds(CALL);
    for part in ["2 images", "class 7", "target pixels", "mean IoU", "confusion matrix"] {
        assert!(table.contains(part), "{table}");
    }
    let accuracy = format!("{:.4}", (all - 6.0) / all);
    let row: Vec<_> =
        table.lines().find(|line| line.starts_with("class 2")).unwrap().split_whitespace().collect();
    assert_eq!(row[..5], ["class", "2", "2", &accuracy, "1.0000"], "{table}");
}

#[test]
fn a_regression_is_compared_with_its_input() {
    let bench = Bench::new();
    bench.model("m.safetensors", &regression(1, 1));
    let image = pattern((12, 14));
    bench.floats("images/a.tif", &image.clone().insert_axis(Axis(0)));
    // The model gives x / 2 + 1: each pixel of its output is 2 too low, the input off by x / 2 - 3.
    bench.floats("targets/a.tif", &image.mapv(|x| x / 2.0 + 3.0).insert_axis(Axis(0)));
    let scores = json(&bench.succeeds(&format!("{CALL} --json")));
    let close = |found: &Value, wanted: f64| {
        let found = found.as_f64().unwrap();
        assert!((found / wanted - 1.0).abs() < 1e-4, "{found}, wanted {wanted}");
    };
    close(&scores["output"]["mse"], 4.0);
    let before = image.iter().map(|&x| f64::from(x / 2.0 - 3.0).powi(2)).sum::<f64>() / image.len() as f64;
    close(&scores["input"]["mse"], before);
    assert_eq!(scores["data_range_from"], "targets");
    let span = image.iter().fold(f32::MIN, |a, &b| a.max(b)) - image.iter().fold(f32::MAX, |a, &b| a.min(b));
    close(&scores["data_range"], f64::from(span) / 2.0);
    let given = json(&bench.succeeds(&format!("{CALL} --json --data-range 100")));
    close(&given["output"]["psnr"], 10.0 * (100.0 * 100.0 / 4.0_f64).log10());
    assert_eq!((&given["data_range"], &given["data_range_from"]), (&100.0.into(), &"given".into()));
    let table = bench.succeeds(&format!("{CALL} --data-range 100"));
    for part in ["1 image\n", "data range of 100 (as given)", "33.98 dB", "input ", "output"] {
        assert!(table.contains(part), "{table}");
    }
}

#[test]
fn undefined_scores_are_null_and_inputs_of_other_channels_are_not_compared() {
    let bench = Bench::new();
    bench.model("m.safetensors", &regression(1, 2));
    bench.floats("images/a.tif", &Array3::zeros((1, 9, 9)));
    bench.floats("targets/a.tif", &Array3::from_elem((2, 9, 9), 4.0));
    let scores = json(&bench.succeeds(&format!("{CALL} --json")));
    assert_eq!((&scores["input"], &scores["output"]["psnr"]), (&Value::Null, &Value::Null));
    assert!(bench.succeeds(CALL).contains('-'));
}

#[test]
fn probabilities_are_compared_with_how_often_they_are_right() {
    let bench = segmented();
    let scores = json(&bench.succeeds(&format!("{CALL} --json")));
    let bins = scores["reliability"].as_array().unwrap();
    assert_eq!(bins.len(), 15);
    let number = |bin: &Value, name: &str| bin[name].as_f64().unwrap_or_default();
    let pixels: f64 = bins.iter().map(|bin| number(bin, "pixels")).sum();
    assert_eq!(pixels, (20 * 31 + 9 * 12) as f64);
    // Every pixel is right, so the error is what is missing from certainty.
    let missing = |bin: &Value| number(bin, "pixels") * (number(bin, "accuracy") - number(bin, "confidence"));
    let wanted = bins.iter().map(missing).sum::<f64>() / pixels;
    let error = scores["calibration_error"].as_f64().unwrap();
    assert!(wanted > 0.01 && (error - wanted).abs() < 1e-9, "{error}, wanted {wanted}");
    assert_eq!((&scores["models"], &scores["predictions"]), (&1.into(), &1.into()));
    let table = bench.succeeds(CALL);
    assert!(table.contains(&format!("expected calibration error  {error:.4}")), "{table}");
    for bin in bins.iter().filter(|bin| number(bin, "pixels") > 0.0) {
        let row = [
            format!("{:.3} to {:.3}", number(bin, "above"), number(bin, "up_to")),
            number(bin, "pixels").to_string(),
            format!("{:.4}", number(bin, "confidence")),
            "1.0000".to_owned(),
        ];
        let line = table.lines().find(|line| line.starts_with(&row[0])).unwrap();
        assert_eq!(line.split_whitespace().collect::<Vec<_>>().join(" "), row.join(" "), "{table}");
    }
}

#[test]
fn a_list_says_which_target_an_image_has_and_what_counts() {
    let bench = segmented();
    let wanted = bench.succeeds(&format!("{CALL} --json"));
    let list = |text: &str| bench.bytes("targets/pairs.csv", text.as_bytes());
    let call = "evaluate --model m.safetensors --pairs targets/pairs.csv --device cpu --json";
    list("image,target,group\n../images/b.png,b.png,x\n../images/a.png,a.png,x\n");
    assert_eq!(bench.succeeds(call), wanted);
    // Two images of one target, and weights of one of them alone.
    bench.grey("images/again.png", (9, 12));
    let mut weights = Array2::<f32>::zeros((9, 12));
    weights.row_mut(3).fill(1.0);
    bench.floats("targets/w.tif", &weights.insert_axis(Axis(0)));
    list("image,target,weight\n../images/b.png,b.png,\n../images/again.png,b.png,w.tif\n");
    let scores = json(&bench.succeeds(call));
    assert_eq!((&scores["images"], &scores["pixels"]), (&2.into(), &(9 * 12 + 12).into()));
    assert_eq!(scores["mean_iou"], 1.0);
    list("image,target\n../images/b.png,a.png\n");
    bench.refuses(call, &["b.png is 12 x 9 pixels", "a.png", "31 x 20"]);
    list("image,target\n../images/none.png,a.png\n");
    bench.refuses(call, &["none.png"]);
    bench.floats("images/two.tif", &Array3::zeros((2, 9, 12)));
    list("image,target\n../images/two.tif,b.png\n");
    bench.refuses(&format!("{call} --axes CYX"), &["two.tif has 2 channels", "images of 1"]);
    for other in ["images", "targets", "weights"] {
        let run = bench.run(&format!("{call} --{other} x"));
        assert!(run.code == 2 && run.stderr.contains("--pairs"), "{}", run.stderr);
    }
}

#[test]
fn several_models_in_all_symmetries_are_evaluated_as_one() {
    let bench = segmented();
    let call = format!("{CALL} --json --model m.safetensors --tta");
    let scores = json(&bench.succeeds(&call));
    assert_eq!((&scores["models"], &scores["predictions"]), (&2.into(), &16.into()));
    assert_eq!(scores["mean_iou"], 1.0);
}

/// Label images of three classes and what another program made of them, with some pixels wrong and one value not labelled.
fn compared() -> Bench {
    let bench = Bench::new();
    for (name, size) in [("a", (20, 31)), ("b", (9, 12))] {
        let targets = pattern(size).mapv(|pixel| [7, 2, 0][class_of(pixel, 3)]);
        let mut found = targets.clone();
        found[[0, 0]] = if targets[[0, 0]] == 7 { 2 } else { 7 };
        bench.labels(&format!("found/{name}"), &found);
        bench.labels(&format!("targets/{name}"), &targets);
    }
    bench
}

#[test]
fn results_of_any_program_are_compared_without_a_model() {
    let bench = compared();
    let call = "evaluate --predictions found --targets targets --json";
    let scores = json(&bench.succeeds(call));
    let pixels = 20 * 31 + 9 * 12;
    assert_eq!((&scores["task"], &scores["pixels"]), (&"segment".into(), &pixels.into()));
    let accuracy = scores["global_accuracy"].as_f64().unwrap();
    assert!((accuracy - (pixels - 2) as f64 / pixels as f64).abs() < 1e-12);
    assert_eq!(scores["classes"].as_array().unwrap().len(), 3);
    // What is not labelled does not count, whatever was found there.
    let scores = json(&bench.succeeds(&format!("{call} --ignore 7")));
    assert!(scores["pixels"].as_u64().unwrap() < pixels && scores["classes"].as_array().unwrap().len() == 3);
    assert!(bench.succeeds("evaluate --predictions found --targets targets").contains("mean IoU"));
    // Pictures and legends that lie beside results are none.
    bench.grey("found/a_overlay.png", (20, 31));
    bench.grey("found/legend.png", (3, 9));
    assert_eq!(json(&bench.succeeds(call))["images"], 2);
    bench.labels("targets/c", &ndarray::Array2::zeros((3, 4)));
    bench.refuses(call, &["1 target without image", "c.png"]);
    bench.labels("found/c", &ndarray::Array2::zeros((3, 5)));
    bench.refuses(call, &["c.png is 5 x 3 pixels", "4 x 3"]);
    for (call, named) in [
        (format!("{call} --images found"), "--images"),
        ("evaluate --targets targets --images found".into(), "--predictions"),
        ("evaluate --targets targets --model m.safetensors".into(), "--images"),
        ("evaluate --predictions found".into(), "--targets"),
        (format!("{call} --pairs pairs.csv"), "--pairs"),
    ] {
        let run = bench.run(&call);
        assert!(run.code == 2 && run.stderr.contains(named), "{}", run.stderr);
    }
}

#[test]
fn values_are_compared_as_values() {
    let bench = Bench::new();
    let target = pattern((20, 31)).insert_axis(Axis(0));
    bench.floats("targets/a.tif", &target);
    bench.floats("found/a.tif", &target.mapv(|value| value + 0.5));
    let scores =
        json(&bench.succeeds("evaluate --predictions found --targets targets --task regress --json"));
    assert_eq!(scores["task"], "regress");
    assert!((scores["output"]["mse"].as_f64().unwrap() - 0.25).abs() < 1e-6);
    bench.floats("targets/a.tif", &target.mapv(|value| value * 0.37));
    let scores =
        json(&bench.succeeds("evaluate --predictions found --targets targets --data-range 255 --json"));
    assert_eq!((&scores["task"], &scores["data_range_from"]), (&"regress".into(), &"given".into()));
    bench.floats("targets/a.tif", &Array3::zeros((2, 20, 31)));
    let call = "evaluate --predictions found --targets targets --task regress";
    bench.refuses(call, &["found/a.tif has 1 channel but", "has 2"]);
}
