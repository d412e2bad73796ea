//! Names of channels, the step of time and the sizes of pixels, from files of microscopes to results and copies.

use ndarray::Array2;
use serde_json::Value;

use crate::support::{Bench, pattern, regression, segmentation};

/// Writes a stack of small pages with these lengths along Z, C and T, and what else its `Pixels` say.
fn ome_tiff(bench: &Bench, path: &str, [z, c, t]: [usize; 3], said: &str, channels: &str) {
    let pages: Vec<Array2<u16>> =
        (0..z * c * t).map(|page| pattern((5, 6)).mapv(|value| value as u16 + page as u16)).collect();
    let text = format!(
        r#"<?xml version="1.0"?><OME><Image><Pixels DimensionOrder="XYCZT" Type="uint16" SizeX="6" SizeY="5" SizeC="{c}" SizeZ="{z}" SizeT="{t}" {said}>{channels}<TiffData IFD="0" PlaneCount="{}"/></Pixels></Image></OME>"#,
        pages.len()
    );
    bench.stack(path, &pages, &text);
}

/// The description of a TIFF file's first page.
fn description(bench: &Bench, path: &str) -> String {
    let bytes = std::fs::read(bench.path(path)).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let start = text.find("<?xml").unwrap_or_else(|| panic!("{path} has no OME-XML"));
    text[start..].split('\0').next().unwrap().to_owned()
}

fn json_of(bench: &Bench, path: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(bench.path(path)).unwrap()).unwrap()
}

const SIZES: &str =
    r#"PhysicalSizeX="250" PhysicalSizeXUnit="nm" PhysicalSizeY="0.5" PhysicalSizeYUnit="&#181;m""#;
const NAMES: &str = r#"<Channel Name="DAPI &amp; more" SamplesPerPixel="1"/><Channel Name="GFP"/>"#;

#[test]
fn names_time_and_sizes_go_from_file_to_file() {
    let bench = Bench::new();
    let said = format!(
        r#"{SIZES} PhysicalSizeZ="2" PhysicalSizeZUnit="um" TimeIncrement="40" TimeIncrementUnit="ms""#
    );
    ome_tiff(&bench, "a.ome.tif", [2, 2, 3], &said, NAMES);
    bench.succeeds("convert a.ome.tif --out b.ome.zarr");
    let ome = &json_of(&bench, "b.ome.zarr/zarr.json")["attributes"]["ome"];
    let labels: Vec<_> = [0, 1].map(|n| ome["omero"]["channels"][n]["label"].as_str().unwrap()).to_vec();
    assert_eq!(labels, ["DAPI & more", "GFP"]);
    let scale = &ome["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"];
    assert_eq!(*scale, serde_json::json!([40.0, 1.0, 2000.0, 500.0, 250.0]));
    assert_eq!(ome["multiscales"][0]["axes"][0]["unit"], "millisecond");
    // What viewers and checks of the format want of a channel.
    let window = &ome["omero"]["channels"][1]["window"];
    assert!(window["start"].as_f64().unwrap() < window["end"].as_f64().unwrap(), "{window}");
    assert_eq!(ome["omero"]["channels"][1]["color"].as_str().unwrap().len(), 6);
    bench.succeeds("convert b.ome.zarr --out c.ome.tif");
    bench.succeeds("convert a.ome.tif --out d.ome.tif");
    for path in ["c.ome.tif", "d.ome.tif"] {
        let text = description(&bench, path);
        for said in [
            r#"Name="DAPI &#38; more""#,
            r#"Name="GFP""#,
            r#"PhysicalSizeX="250" PhysicalSizeXUnit="nm" PhysicalSizeY="500" PhysicalSizeYUnit="nm" PhysicalSizeZ="2000""#,
            r#"TimeIncrement="40" TimeIncrementUnit="ms""#,
            r#"SizeC="2" SizeZ="2" SizeT="3""#,
        ] {
            assert!(text.contains(said), "{path}: {said} in {text}");
        }
    }
    let shown = bench.succeeds("inspect b.ome.zarr");
    assert!(shown.contains("channels     DAPI & more, GFP"), "{shown}");
    let shown: Value = serde_json::from_str(&bench.succeeds("inspect a.ome.tif --json")).unwrap();
    assert_eq!(shown["channel_names"], serde_json::json!(["DAPI & more", "GFP"]));
    // One channel has its own name, and a slice of time no step.
    bench.succeeds("convert a.ome.tif --channel 1 --slices 0 --out one.ome.tif");
    let text = description(&bench, "one.ome.tif");
    assert!(
        text.contains(r#"Name="GFP""#) && !text.contains("DAPI") && !text.contains("TimeIncrement"),
        "{text}"
    );
    bench.succeeds("convert b.ome.zarr --channel 0 --out one.ome.tif");
    let text = description(&bench, "one.ome.tif");
    assert!(text.contains("DAPI") && !text.contains("GFP") && text.contains("TimeIncrement"), "{text}");
}

#[test]
fn a_distance_of_slices_is_not_invented() {
    let bench = Bench::new();
    ome_tiff(&bench, "a.ome.tif", [2, 1, 1], SIZES, r#"<Channel/>"#);
    for (input, out) in [("a.ome.tif", "b.ome.tif"), ("a.ome.tif", "b.ome.zarr"), ("b.ome.zarr", "c.ome.tif")]
    {
        bench.succeeds(&format!("convert {input} --out {out}"));
    }
    for path in ["b.ome.tif", "c.ome.tif"] {
        let text = description(&bench, path);
        assert!(text.contains(r#"PhysicalSizeX="250""#) && !text.contains("PhysicalSizeZ"), "{path}: {text}");
    }
    bench.succeeds("convert a.ome.tif --voxel-size 3x0.5x0.25um --out d.ome.tif");
    assert!(description(&bench, "d.ome.tif").contains(r#"PhysicalSizeZ="3""#));
}

#[test]
fn channels_of_results_are_called_what_they_are() {
    let bench = Bench::new();
    ome_tiff(&bench, "a.ome.tif", [2, 1, 1], SIZES, r#"<Channel Name="DAPI"/>"#);
    bench.model("s.safetensors", &segmentation(&[0, 7]));
    bench.model("r.safetensors", &regression(1, 1));
    bench.succeeds("predict --model r.safetensors a.ome.tif --device cpu --out r.ome.tif");
    assert!(description(&bench, "r.ome.tif").contains(r#"Name="DAPI""#));
    bench.succeeds(
        "predict --model s.safetensors a.ome.tif --device cpu --probabilities --format ome-tiff --out s",
    );
    let labels = description(&bench, "s/a.ome.tif");
    assert!(!labels.contains("Name=") && labels.contains(r#"PhysicalSizeX="250""#), "{labels}");
    let text = description(&bench, "s/a_probabilities.ome.tif");
    assert!(text.contains(r#"Name="class 0""#) && text.contains(r#"Name="class 7""#), "{text}");
    bench.succeeds(
        "predict --model s.safetensors a.ome.tif --device cpu --probabilities --format zarr --out z",
    );
    let ome = &json_of(&bench, "z/a.ome_probabilities.ome.zarr/zarr.json")["attributes"]["ome"];
    assert_eq!(ome["omero"]["channels"][1]["label"], "class 7");
    // They are an image, while classes are labels.
    assert!(!bench.path("z/a.ome_probabilities.ome.zarr/labels").exists());
    // A single image too, of which nothing else is known.
    bench.grey("g.png", (5, 6));
    bench.succeeds(
        "predict --model s.safetensors g.png --device cpu --probabilities --format ome-tiff --out g",
    );
    assert!(description(&bench, "g/g_probabilities.ome.tif").contains(r#"Name="class 7""#));
}
