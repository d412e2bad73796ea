//! `msd-gpu inspect`.

use serde_json::Value;

use crate::support::{Bench, regression, segmentation};

#[test]
fn a_model_says_what_it_is() {
    let bench = Bench::new();
    bench.model("run/model.safetensors", &segmentation(&[0, 255]));
    let text = bench.succeeds("inspect run");
    for part in [
        "segment into 2 classes",
        "class 255",
        "3 of width 1",
        "dilations",
        "1,2,4",
        "15 x 15 pixels",
        "reflect",
        "(x - 0) / 64",
        "seed",
    ] {
        assert!(text.contains(part), "'{part}' is missing in: {text}");
    }
    assert!(!text.contains("MiB"));
    let text = bench.succeeds("inspect run/model.safetensors --size 64x80");
    for part in ["for images of 64 x 80 pixels", "to apply", "to train", "MiB for each training image"] {
        assert!(text.contains(part), "'{part}' is missing in: {text}");
    }
}

#[test]
fn json_has_all_of_it_and_the_memory_of_a_size() {
    let bench = Bench::new();
    bench.model("m.safetensors", &regression(2, 1));
    let json = |arguments: &str| serde_json::from_str::<Value>(&bench.succeeds(arguments)).unwrap();
    let model = json("inspect m.safetensors --json");
    assert_eq!((&model["task"]["kind"], &model["memory"]), (&"regress".into(), &Value::Null));
    assert_eq!((&model["receptive_field"], &model["architecture"]["inputs"]), (&15.into(), &2.into()));
    assert_eq!(model["parameters"], 9 * (2 + 3 + 4) + 3 + 5 + 1);
    assert_eq!(model["target"]["deviation"][0], 32.0);
    let memory = json("inspect m.safetensors --json --size 100x200")["memory"].clone();
    let bytes = |name: &str| memory[name].as_u64().unwrap();
    // At least the planes themselves: inputs, layers and output.
    assert!(bytes("apply_network_bytes") > 6 * 100 * 200 * 4);
    assert!(bytes("train_network_bytes") > bytes("apply_network_bytes"));
    assert!(bytes("apply_bytes") > bytes("apply_network_bytes"));
    assert!(bytes("train_bytes") > bytes("train_network_bytes"));
    assert_eq!(bytes("bytes_per_training_image"), (2 + 1) * 4 * 100 * 200);
}

#[test]
fn what_is_no_model_or_no_size_is_named() {
    let bench = Bench::new();
    bench.model("m.safetensors", &regression(1, 1));
    bench.bytes("text.safetensors", b"not a model");
    bench.refuses("inspect missing", &["missing"]);
    bench.refuses("inspect text.safetensors", &["text.safetensors", "not a whole model file"]);
    for size in ["0", "0x9", "9x", "axb", "1x2x3", "99999999999x99999999999"] {
        bench.refuses(&format!("inspect m.safetensors --size {size}"), &[size.split('x').next().unwrap()]);
    }
}
