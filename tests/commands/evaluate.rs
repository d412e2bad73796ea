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

/// What a page says in a cell or a paragraph.
fn says(page: &str, text: &str) -> bool {
    page.contains(&format!(">{text}<")) || page.contains(text)
}

/// A page must not need anything from elsewhere.
fn is_self_contained(page: &str) {
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"));
    for sign in ["http://", "https://", "src=\"/", "<link", "url(", "@import"] {
        assert!(!page.contains(sign), "{sign}");
    }
    for place in page.split("src=\"").skip(1) {
        assert!(place.starts_with("data:image/"), "{}", &place[..40]);
    }
    // A heading for each level, headers of columns and rows, and a text for each picture.
    assert!(page.contains("<h1>") && page.contains("<h2>"));
    assert!(page.contains("scope=\"col\"") && page.contains("scope=\"row\""));
    assert_eq!(page.matches("<img ").count(), page.matches(" alt=\"").count());
}

#[test]
fn a_report_of_classes_has_the_numbers_of_the_table() {
    let bench = segmented();
    let mut labels = bench.read_labels("targets/b.png");
    labels.iter_mut().take(9).for_each(|label| *label = 9 - *label);
    bench.labels("targets/b", &labels);
    let table = bench.succeeds(&format!("{CALL} --report out/report"));
    let page = bench.text_of("out/report/report.html");
    is_self_contained(&page);
    let numbers: Vec<&str> = table.split_whitespace().filter(|word| word.contains('.')).collect();
    assert!(numbers.len() > 10, "{table}");
    for number in numbers.iter().filter(|number| number.parse::<f64>().is_ok()) {
        assert!(says(&page, number), "{number}");
    }
    for text in [
        "Worst: images/b.png",
        "Best: images/a.png",
        "9 of 108 pixels that count are wrong (8.33 %)",
        "2 images compared with their targets",
        "m.safetensors",
        "class 7",
        "--report out/report",
        env!("CARGO_PKG_VERSION"),
        "type=\"range\"",
    ] {
        assert!(says(&page, text), "{text}");
    }
    assert_eq!(bench.names("out/report"), ["report.html"]);
    // It may be written again, but nothing else is replaced.
    bench.succeeds(&format!("{CALL} --report out/report"));
    bench.bytes("out/report/report.html", b"mine");
    bench.refuses(
        &format!("{CALL} --report out/report"),
        &["report.html", "no report of msd-gpu", "--report"],
    );
    assert_eq!(bench.text_of("out/report/report.html"), "mine");
}

#[test]
fn a_report_of_values_states_its_range_and_escapes_names() {
    let bench = Bench::new();
    bench.model("m.safetensors", &regression(1, 1));
    let name = "<img src=x onload=alert(1)>&\"quoted\"";
    for (name, shift) in [(name, 2.0), ("b", 1.5), ("c", 4.0), ("d", 9.0)] {
        let image = pattern((40, 30));
        bench.floats(&format!("images/{name}.tif"), &image.clone().insert_axis(Axis(0)));
        bench.floats(&format!("targets/{name}.tif"), &image.mapv(|x| x / 2.0 + shift).insert_axis(Axis(0)));
    }
    let call = format!("{CALL} --data-range 200 --ssim-window gaussian --circle");
    let table = bench.succeeds(&format!("{call} --report out"));
    let page = bench.text_of("out/report.html");
    is_self_contained(&page);
    assert!(!page.contains("<img src=x") && !page.contains("onload=alert(1)>"));
    assert!(page.contains("&lt;img src=x onload=alert(1)&gt;&amp;&quot;quoted&quot;"));
    for text in [
        "data range of 200 (as given)",
        "Gaussian windows of 11 x 11 pixels",
        "inside the inscribed circle",
        "Worst: images/d.tif",
        "Median: images/c.tif",
        "Best: images/b.tif",
        "output minus target",
        "largest difference is 8.0000",
        "image/svg+xml",
    ] {
        assert!(says(&page, text), "{text}");
    }
    for number in table.split_whitespace().filter(|word| word.contains('.') && word.parse::<f64>().is_ok()) {
        assert!(says(&page, number), "{number}");
    }
    let scores = json(&bench.succeeds(&format!("{call} --json")));
    assert_eq!((&scores["circle"], &scores["ssim_window"]), (&true.into(), &"gaussian".into()));
    // What is outside of the circle is not looked at.
    let mut target = bench.read("targets/d.tif");
    target[[0, 0, 0]] = 1e6;
    target[[0, 39, 29]] = -1e6;
    bench.floats("targets/d.tif", &target);
    assert_eq!(json(&bench.succeeds(&format!("{call} --json"))), scores);
    bench.model("s.safetensors", &segmentation(&[0, 1]));
    let call = "evaluate --model s.safetensors --images images --targets targets --ssim-window uniform";
    bench.refuses(call, &["--ssim-window", "segmentation"]);
}

#[test]
fn a_report_of_files_and_one_that_fails() {
    let bench = compared();
    bench.succeeds("evaluate --predictions found --targets targets --report out --circle");
    let page = bench.text_of("out/report.html");
    is_self_contained(&page);
    for text in ["found/a.png", "Confusion matrix", "only pixels inside the inscribed circle"] {
        assert!(page.contains(text) || page.contains(&text.replace("only", "Only")), "{text}");
    }
    // A run that fails leaves neither a page nor the folder for it.
    bench.bytes("found/a.png", b"no image");
    bench.refuses("evaluate --predictions found --targets targets --report new", &["a.png"]);
    assert!(!bench.names("").contains(&"new".to_owned()));
    bench.refuses("evaluate --predictions found --targets targets --report out", &["a.png"]);
    assert_eq!((bench.text_of("out/report.html"), bench.names("out").len()), (page, 1));
}

#[test]
fn a_report_shows_the_training_of_its_model() {
    let bench = segmented();
    bench.succeeds(
        "train segment --images images --targets targets --depth 3 --max-epochs 2 --device cpu --out run",
    );
    bench.succeeds("evaluate --model run --images images --targets targets --device cpu --report out");
    let page = bench.text_of("out/report.html");
    is_self_contained(&page);
    for text in ["<h2>Training</h2>", "Settings of the run (config.toml)", "receptive field"] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn halves_agree_up_to_a_resolution() {
    let bench = Bench::new();
    // The same slow waves in both, and noise of their own.
    let half = |own: usize| {
        Array3::from_shape_fn((6, 40, 50), |(z, y, x)| {
            let noise = ((y * own + x * 31 + z * 17 + x * y * own) % 251) as f32 / 251.0;
            (y as f32 / 3.0).sin() + (x as f32 / 4.0).cos() + noise
        })
    };
    let (a, b) = (half(37), half(101));
    for (name, half) in [("a", &a), ("b", &b)] {
        let pages: Vec<Array2<f32>> = half.outer_iter().map(|page| page.to_owned()).collect();
        bench.float_stack(&format!("{name}.tif"), &pages);
        bench.floats(&format!("{name}1.tif"), &half.slice(ndarray::s![..1, .., ..]).to_owned());
    }
    let json_of = |arguments: &str| json(&bench.succeeds(&format!("evaluate --json --halves {arguments}")));
    let ring = json_of("a1.tif b1.tif --voxel-size 0.5um");
    assert_eq!((&ring["method"], &ring["unit"]), (&"Fourier ring correlation".into(), &"um".into()));
    let resolution = &ring["half_bit"];
    let (pixels, length) = (resolution["pixels"].as_f64().unwrap(), resolution["length"].as_f64().unwrap());
    assert!(pixels > 3.0 && (length - 0.5 * pixels).abs() < 1e-9, "{ring}");
    let shell = json_of("a.tif b.tif");
    assert_eq!((&shell["method"], &shell["slices"]), (&"Fourier shell correlation".into(), &6.into()));
    assert_eq!(json_of("a1.tif a1.tif --circle")["half_bit"]["beyond"], true);
    let table = bench.succeeds("evaluate --halves a1.tif b1.tif --voxel-size 0.5um --report out");
    let wanted = format!("{pixels:.2} pixels = ");
    let page = bench.text_of("out/report.html");
    is_self_contained(&page);
    assert!(table.contains(&wanted) && page.contains(&wanted), "{table}");
    bench.refuses("evaluate --halves a.tif b1.tif", &["a.tif", "b1.tif", "one size"]);
    bench.refuses("evaluate --halves a1.tif b1.tif --voxel-size wide", &["--voxel-size", "0.65um"]);
    for other in ["--targets x", "--data-range 1", "--ssim-window gaussian"] {
        assert_eq!(bench.run(&format!("evaluate --halves a.tif b.tif {other}")).code, 2);
    }
}

#[test]
fn distances_between_surfaces_are_those_of_the_size_of_pixels() {
    let bench = Bench::new();
    let bar = |columns: std::ops::Range<usize>| {
        Array2::from_shape_fn((12, 20), |(_, x)| i64::from(columns.contains(&x)))
    };
    bench.labels("found/a", &bar(4..9));
    bench.labels("targets/a", &bar(4..9));
    bench.labels("found/b", &bar(0..0));
    bench.labels("targets/b", &bar(4..9));
    let call = "evaluate --predictions found --targets targets";
    let table = bench.succeeds(&format!("{call} --surface-distance=2x0.5x0.5um"));
    for part in ["distance between the surfaces", "95th percentile", "pixels of 2 x 0.5 x 0.5"] {
        assert!(table.contains(part), "{table}");
    }
    // One bar is where it should be, one was not found: the mean is over the image that has both.
    bench.labels("found/a", &bar(6..11));
    let report = |flag: &str| -> serde_json::Value {
        serde_json::from_str(&bench.succeeds(&format!("{call} --json {flag}"))).unwrap()
    };
    let of_bar = |report: &serde_json::Value| report["classes"][1]["surface_distance"].clone();
    let (voxels, micrometres) =
        (of_bar(&report("--surface-distance")), of_bar(&report("--surface-distance=0.5")));
    assert_eq!((&voxels["images"], &voxels["percentile_95"]), (&1.into(), &2.0.into()));
    assert_eq!(micrometres["percentile_95"], 1.0);
    assert!(voxels["mean"].as_f64().unwrap() > 1.0);
    assert!(of_bar(&report("")).is_null());
    bench.refuses(&format!("{call} --surface-distance=wide"), &["--surface-distance", "0.65um"]);
}

#[test]
fn predictions_that_are_written_otherwise_than_their_targets_are_told() {
    let bench = Bench::new();
    let mask = |high: i64| Array2::from_shape_fn((8, 9), |(y, _)| if y < 4 { 0 } else { high });
    bench.labels("ones/a", &mask(1));
    bench.labels("bytes/a", &mask(255));
    let call = "evaluate --predictions ones --targets bytes";
    let said = bench.run(call).stderr;
    assert!(said.contains("--threshold 1") && said.contains("three classes"), "{said}");
    let agreed = bench.run(&format!("{call} --threshold 1 --json"));
    assert!(!agreed.stderr.contains("three classes"), "{}", agreed.stderr);
    let report: Value = serde_json::from_str(&agreed.stdout).unwrap();
    assert_eq!(report["mean_iou"], 1.0);
    // A label that is no number, where there is one to be found.
    let gap = |(y, x): (usize, usize)| if (y, x) == (5, 5) { f32::NAN } else { f32::from(u8::from(y >= 4)) };
    bench.floats("gaps/a.tif", &Array2::from_shape_fn((8, 9), gap).insert_axis(Axis(0)));
    bench.refuses("evaluate --predictions gaps --targets ones", &["gaps/a.tif", "NaN", "a label for each"]);
    // Values have no surfaces.
    bench.floats("values/a.tif", &Array3::from_shape_fn((1, 8, 9), |(_, y, x)| 0.3 * (y + 9 * x) as f32));
    bench.refuses(
        "evaluate --predictions values --targets values --surface-distance",
        &["--surface-distance", "no surfaces"],
    );
}
