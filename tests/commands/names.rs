//! `msd-gpu predict --out NAME`: a result has the name that it was given, or none.

use ndarray::Array3;

use msd_gpu::geometry::Window;
use msd_gpu::images::open_volume;

use super::volumes::stack;
use crate::support::{Bench, regression, segmentation};

const PREDICT: &str = "predict --model m.safetensors --device cpu";

fn labels(bench: &Bench, place: &str) -> Array3<i64> {
    let volume = open_volume(bench.path(place).to_str().unwrap()).unwrap();
    volume.read_labels(Window::whole(volume.extent())).unwrap()
}

#[test]
fn a_result_has_the_name_that_it_was_given_in_every_format() {
    let bench = Bench::new();
    bench.model("m.safetensors", &segmentation(&[0, 7]));
    stack(&bench, "s.tif", 3, (9, 8));
    bench.succeeds(&format!("{PREDICT} s.tif --out plain"));
    let wanted = labels(&bench, "plain/s.tif");
    for name in [
        "q.tif",
        "q.TIFF",
        "q.ome.tif",
        "q.ome.btf",
        "q.tf8",
        "q.zarr",
        "q.ome.zarr",
        "q.h5",
        "q.hdf5",
        "q.nxs",
        "q.mrc",
        "q.mrcs",
        "q.rec",
        "q.npy",
        "q.nii",
    ] {
        let call = format!("{PREDICT} s.tif --out r/{name}");
        let said = bench.run(&format!("{call} --verify"));
        assert!(said.code == 1 && said.stdout.contains(name), "{}", said.stdout);
        bench.succeeds(&call);
        assert_eq!(bench.names("r"), [name]);
        assert_eq!(labels(&bench, &format!("r/{name}")), wanted, "{name}");
        assert_eq!(bench.run(&format!("{call} --verify")).code, 0, "{name}");
        bench.succeeds(&format!("{call} --resume"));
        assert_eq!(bench.names("r"), [name]);
        let path = bench.path(&format!("r/{name}"));
        if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }.unwrap();
    }
    // Several programs fill one folder, whatever it is called.
    for part in ["1/2", "2/2"] {
        bench.succeeds(&format!("{PREDICT} s.tif --out parts/q.zarr --part {part}"));
    }
    assert_eq!(bench.names("parts"), ["q.zarr"]);
    assert_eq!(labels(&bench, "parts/q.zarr"), wanted);
    // What comes beside it is called after it.
    bench.succeeds(&format!("{PREDICT} s.tif --probabilities --out more/q.ome.tiff"));
    assert_eq!(bench.names("more"), ["q.ome.tiff", "q_probabilities.ome.tiff"]);
    bench.succeeds(&format!("{PREDICT} s.tif --format ome-tiff --out ome"));
    assert_eq!(bench.names("ome"), ["s.ome.tif"]);
    for path in ["more/q.ome.tiff", "more/q_probabilities.ome.tiff", "ome/s.ome.tif"] {
        let bytes = std::fs::read(bench.path(path)).unwrap();
        assert!(String::from_utf8_lossy(&bytes).contains(r#"SizeZ="3""#), "{path}");
    }
}

#[test]
fn a_dataset_is_named_behind_a_colon_and_no_other_one_is_lost() {
    let bench = Bench::new();
    bench.model("m.safetensors", &segmentation(&[0, 7]));
    stack(&bench, "s.tif", 3, (9, 8));
    bench.succeeds(&format!("{PREDICT} s.tif --out r/p.h5:/result/labels"));
    bench.succeeds(&format!("{PREDICT} s.tif --out r/p.h5:/result/labels --verify"));
    assert_eq!(bench.names("r"), ["p.h5"]);
    bench.succeeds(&format!("{PREDICT} s.tif --out plain"));
    assert_eq!(labels(&bench, "r/p.h5:/result/labels"), labels(&bench, "plain/s.tif"));
    bench.succeeds("convert s.tif --out c.h5:/entry/data");
    assert_eq!(labels(&bench, "c.h5:/entry/data"), labels(&bench, "s.tif"));
    bench.succeeds("convert s.tif --out c.h5:/entry/data");
    let others = ["/entry/data", "lost", "another file"];
    bench.refuses("convert s.tif --out c.h5:/entry/other", &others);
    bench.refuses(&format!("{PREDICT} s.tif --out c.h5:/labels"), &others);
    bench.refuses("convert s.tif --out c.tif:/entry/data", &["--out", "only HDF5"]);
    bench.refuses("convert s.tif --format npy --out d.h5:/entry/data", &["only HDF5"]);
    bench.refuses("tomo reconstruct s.h5 --out v.h5:/volume", &["--out", "/data"]);
}

#[test]
fn a_name_that_cannot_be_kept_is_refused_before_anything_is_computed() {
    let bench = Bench::new();
    bench.model("m.safetensors", &segmentation(&[0, 7]));
    bench.model("values.safetensors", &regression(1, 2));
    stack(&bench, "s.tif", 3, (9, 8));
    bench.grey("a.png", (9, 8));
    for (arguments, parts) in [
        ("s.tif --out r/q.nii.gz", &["--out", "q.nii.gz", "gzip"][..]),
        ("s.tif --out r/q.mrc.gz", &["--out", "gzip"]),
        ("s.tif --out r/q.npz", &["--out", ".npy"]),
        ("s.tif --out r/p.png", &["--out", "p.png", "one image", "s.tif has 3", ".tif", "--pages"]),
        ("s.tif --format zarr --out r/q.tif", &["--format", "q.tif", "leave out one"]),
    ] {
        bench.refuses(&format!("{PREDICT} {arguments}"), parts);
    }
    let values = "predict --model values.safetensors --device cpu";
    bench.refuses(&format!("{values} s.tif --out r/q.mrc"), &["--out", "2 channels", ".h5"]);
    bench.refuses(&format!("{values} a.png --out r/q.png"), &["--out", "values", ".tif"]);
    assert!(!bench.path("r").exists());
    // One image is a picture by any name.
    bench.succeeds(&format!("{PREDICT} a.png --out r/q.PNG"));
    bench.succeeds(&format!("{PREDICT} a.png --out plain"));
    assert_eq!(bench.names("r"), ["q.PNG"]);
    assert_eq!(labels(&bench, "r/q.PNG"), labels(&bench, "plain/a.png"));
}

#[test]
fn the_file_that_a_link_leads_to_is_not_written_over() {
    let bench = Bench::new();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/hdf5/detector");
    for name in ["x_master.h5", "x_data_000001.h5", "x_data_000002.h5"] {
        bench.bytes(name, &std::fs::read(folder.join(name)).unwrap());
    }
    let before = std::fs::read(bench.path("x_data_000002.h5")).unwrap();
    let call = "convert x_master.h5:/entry/data/data_000002 --out";
    bench.refuses(&format!("{call} x_data_000002.h5"), &["x_data_000002.h5 is read from there"]);
    bench.model("m.safetensors", &segmentation(&[0, 7]));
    let predict = "predict --model m.safetensors x_master.h5:/entry/data/data_000002 --device cpu --out";
    bench.refuses(&format!("{predict} x_data_000002.h5"), &["could be overwritten"]);
    assert!(std::fs::read(bench.path("x_data_000002.h5")).unwrap() == before);
    bench.succeeds(&format!("{call} other.h5"));
}
