//! `msd-gpu predict` on images and stacks in parts: tiles, memory, and going on after it was stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ndarray::{Array3, s};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use msd_gpu::network::{Architecture, Class, Model, Task};

use crate::support::{Bench, pattern, regression, segmentation};

/// A model that looks 60 pixels far, though little of what is far counts, of two classes or of one value.
fn looking_far(classes: bool) -> Model {
    of_depth(20, classes)
}

/// A model of `depth` layers, of two classes or of one value.
pub(super) fn of_depth(depth: usize, classes: bool) -> Model {
    let base = if classes { segmentation(&[0, 7]) } else { regression(1, 1) };
    let architecture = Architecture {
        dilations: vec![1, 2, 3, 4, 5],
        ..Architecture::new(1, base.architecture.outputs, depth)
    };
    let mut parameters = msd_gpu::network::initialise(&architecture, 5);
    for (index, parameter) in parameters.iter_mut().enumerate().filter(|(_, p)| **p == 0.0) {
        *parameter = ((index * 37 % 23) as f32 - 11.0) / 40.0;
    }
    parameters.iter_mut().for_each(|parameter| *parameter *= 0.5);
    let task = match base.task {
        Task::Segment { .. } => Task::Segment {
            classes: [0, 7].map(|value| Class { value, name: format!("class {value}") }).to_vec(),
        },
        other => other,
    };
    Model { architecture, parameters, task, ..base }
}

/// A stack of 16 bits whose pages differ.
pub(super) fn stack(bench: &Bench, path: &str, pages: usize, size: (usize, usize)) {
    let page = |z: usize| pattern(size).mapv(|v| (v as usize * (z + 3) % 251) as u16);
    bench.stack(path, &(0..pages).map(page).collect::<Vec<_>>(), "");
}

/// Starts the program and kills it some time later.
pub(super) fn kill_after(bench: &Bench, arguments: &str, time: Duration) {
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("msd-gpu"))
        .args(arguments.split_whitespace())
        .current_dir(bench.path(""))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(time);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The largest difference between two arrays.
fn apart(a: &Array3<f32>, b: &Array3<f32>) -> f32 {
    assert_eq!(a.dim(), b.dim());
    (a - b).mapv(f32::abs).fold(0.0, |most, &value| most.max(value))
}

#[test]
fn an_image_that_needs_more_memory_than_there_may_be_is_cut_and_seams_are_not_seen() {
    let bench = Bench::new();
    let model = looking_far(false);
    bench.model("m.safetensors", &model);
    bench.grey("a.png", (600, 500));
    let call = "predict --model m.safetensors a.png --device cpu --out";
    bench.succeeds(&format!("{call} whole"));
    let whole = bench.read("whole/a.tif");
    let deviation = {
        let mean = whole.mean().unwrap();
        (whole.mapv(|v| (v - mean).powi(2)).mean().unwrap()).sqrt()
    };
    let exact = bench.run(&format!("{call} exact --memory 75MB --halo exact"));
    assert!(exact.code == 0 && exact.stderr.contains("tiles"), "{}", exact.stderr);
    assert!(apart(&bench.read("exact/a.tif"), &whole) <= 1e-5 * deviation);
    let auto = bench.run(&format!("{call} auto --memory 75MB"));
    assert!(auto.code == 0 && auto.stderr.contains("pixels around each tile keep"), "{}", auto.stderr);
    let most = apart(&bench.read("auto/a.tif"), &whole);
    assert!(most <= 1e-4 * deviation, "{most} of {deviation}");
    // Too small a halo is seen, at the borders of tiles.
    bench.succeeds(&format!("{call} bad --memory 75MB --halo 0"));
    assert!(apart(&bench.read("bad/a.tif"), &whole) > 1e-2 * deviation);
    let none = bench.run(&format!("{call} none --memory 67MB --halo exact"));
    assert!(none.code == 1 && none.stderr.contains("give more with --memory"), "{}", none.stderr);
    assert_eq!(bench.names("whole"), bench.names("exact"));
}

#[cfg(feature = "gpu")]
#[test]
fn an_image_is_cut_on_a_gpu_as_on_a_processor_and_its_classes_are_taken_there() {
    let bench = Bench::new();
    bench.grey("a.png", (128, 121));
    for classes in [true, false] {
        bench.model("m.safetensors", &of_depth(5, classes));
        let call = "predict --model m.safetensors a.png --device gpu --out";
        bench.succeeds(&format!("{call} whole"));
        let parts = bench.run(&format!("{call} parts --memory 68MB --halo exact"));
        assert!(parts.code == 0 && parts.stderr.contains("are cut into"), "{}", parts.stderr);
        bench.succeeds("predict --model m.safetensors a.png --device cpu --out cpu");
        if classes {
            let labels = |folder: &str| bench.read_labels(&format!("{folder}/a.png"));
            assert_eq!(labels("parts"), labels("whole"));
            // Rounding may decide a few.
            let others = labels("cpu").iter().zip(&labels("whole")).filter(|(a, b)| a != b).count();
            assert!(others < 10, "{others} pixels differ from the CPU's");
            assert_eq!(labels("whole").iter().copied().collect::<BTreeSet<_>>(), BTreeSet::from([0, 7]));
        } else {
            let whole = bench.read("whole/a.tif");
            assert!(apart(&bench.read("parts/a.tif"), &whole) <= 1e-5);
            assert!(apart(&bench.read("cpu/a.tif"), &whole) <= 1e-3);
        }
        let none = bench.run(&format!("{call} none --memory 67.2MB --halo exact"));
        assert!(none.code == 1 && none.stderr.contains("give more with --memory"), "{}", none.stderr);
    }
}

#[test]
fn an_image_that_cannot_be_measured_for_its_tiles_is_passed_over() {
    let bench = Bench::new();
    bench.model("m.safetensors", &looking_far(false));
    let image = Array3::from_shape_fn((1, 600, 500), |(_, y, x)| ((y * 37 + x * 101) % 251) as f32);
    bench.floats("in/b.tif", &image);
    let mut with_gap = image;
    with_gap[[0, 300, 250]] = f32::NAN;
    bench.floats("in/a.tif", &with_gap);
    let call = "predict --model m.safetensors in --device cpu --memory 75MB --out";
    let passed_over = bench.run(&format!("{call} out --keep-going"));
    assert_eq!(passed_over.code, 1, "{}", passed_over.stderr);
    assert!(
        passed_over.stderr.contains("a.tif") && passed_over.stderr.contains("NaN"),
        "{}",
        passed_over.stderr
    );
    assert!(passed_over.stderr.contains("pixels around each tile keep"), "{}", passed_over.stderr);
    assert_eq!(bench.names("out"), ["b.tif"]);
    bench.refuses(&format!("{call} other"), &["a.tif", "NaN"]);
}

#[test]
fn every_product_is_the_same_in_parts_and_whole() {
    let bench = Bench::new();
    bench.model("m.safetensors", &looking_far(true));
    bench.grey("a.png", (150, 131));
    stack(&bench, "s.tif", 3, (90, 81));
    for input in ["a.png", "s.tif"] {
        let call = format!(
            "predict --model m.safetensors {input} --device cpu --probabilities --overlay --uncertainty --out"
        );
        bench.succeeds(&format!("{call} whole"));
        bench.succeeds(&format!("{call} parts --tile 40"));
        assert_eq!(bench.names("whole"), bench.names("parts"));
        for name in bench.names("whole") {
            let (whole, parts) = (bench.read(&format!("whole/{name}")), bench.read(&format!("parts/{name}")));
            let most = if name.contains("overlay") { 6.0 } else { 1e-4 };
            assert!(apart(&whole, &parts) <= most, "{name}");
        }
    }
}

#[test]
fn a_prediction_that_is_killed_goes_on_and_gives_the_same() {
    let bench = Bench::new();
    bench.model("m.safetensors", &looking_far(true));
    stack(&bench, "in/s.tif", 12, (96, 90));
    bench.grey("in/t.png", (200, 190));
    let call = "predict --model m.safetensors in --device cpu --tile 64 --probabilities --out";
    bench.succeeds(&format!("{call} whole"));
    let names = bench.names("whole");
    let mut goes_on = 0;
    for round in 0..30 {
        // From before its first tile to after its last one.
        kill_after(&bench, &format!("{call} killed"), Duration::from_millis(20 + round * 23 % 600));
        let left = bench.names("killed");
        assert!(left.iter().all(|name| name.starts_with('.') || names.contains(name)), "{left:?}");
        // As a program leaves it that was killed while it wrote a small file.
        std::fs::create_dir_all(bench.path("killed")).unwrap();
        std::fs::write(bench.path("killed/.msd-gpu-ggnJuG.part"), "x").unwrap();
        let ended = bench.run(&format!("{call} killed --resume"));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        goes_on += usize::from(ended.stderr.contains("going on"));
        assert_eq!(bench.names("killed"), names);
        for name in &names {
            let bytes = |folder: &str| std::fs::read(bench.path(&format!("{folder}/{name}"))).unwrap();
            assert!(bytes("whole") == bytes("killed"), "{name} after round {round}");
        }
        std::fs::remove_dir_all(bench.path("killed")).unwrap();
    }
    assert!(goes_on > 0, "no run was killed between its first tile and its last");
}

/// What is lost with each kill is the part that is being written, and the one that is computed meanwhile.
#[test]
fn a_prediction_that_is_killed_again_and_again_does_at_most_two_parts_twice_for_each_time() {
    const KILLS: usize = 30;
    /// Slices, and tiles of each.
    const PARTS: usize = 12 * 4;
    let bench = Bench::new();
    bench.model("m.safetensors", &looking_far(true));
    stack(&bench, "s.tif", 12, (96, 90));
    let call = "predict --model m.safetensors s.tif --device cpu --tile 64 --probabilities --out";
    bench.succeeds(&format!("{call} whole"));
    let (names, wanted) = (bench.names("whole"), contents(&bench.path("whole")));
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let (mut kills, mut begun, mut killed_since) = (0, 0, 0);
    let mut time = Duration::from_millis(400);
    loop {
        let said = bench.path("said.txt");
        let mut child = Command::new(assert_cmd::cargo::cargo_bin!("msd-gpu"))
            .args(format!("{call} parts --resume").split_whitespace())
            .current_dir(bench.path(""))
            .env("RUST_LOG", "msd_gpu::inference=debug")
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&said).unwrap())
            .spawn()
            .unwrap();
        let start = Instant::now();
        if kills < KILLS {
            let moment = time.mul_f64(random.random());
            while start.elapsed() < moment && child.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_millis(1));
            }
            child.kill().unwrap();
        }
        let status = child.wait().unwrap();
        let said = std::fs::read_to_string(said).unwrap();
        begun += said.matches("computing part ").count();
        let left = bench.names("parts");
        assert!(left.iter().all(|name| name.starts_with('.') || names.contains(name)), "{left:?}");
        if status.code().is_none() {
            (kills, killed_since) = (kills + 1, killed_since + 1);
            continue;
        }
        assert!(status.success(), "{said}");
        // How long it takes depends on the machine.
        time = time.min(2 * start.elapsed()).max(Duration::from_millis(60));
        assert_eq!(contents(&bench.path("parts")), wanted, "after {kills} kills");
        assert!(
            (PARTS..=PARTS + 2 * killed_since).contains(&begun),
            "{begun} parts with {killed_since} kills"
        );
        if kills == KILLS {
            break;
        }
        (begun, killed_since) = (0, 0);
        std::fs::remove_dir_all(bench.path("parts")).unwrap();
    }
}

/// All files in a folder and those inside it but for records of results, by their paths from it.
pub(super) fn contents(folder: &std::path::Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = PathBuf::from(entry.file_name().unwrap());
        if entry.is_dir() {
            all.extend(contents(&entry).into_iter().map(|(path, bytes)| (name.join(path), bytes)));
        } else if !name.to_string_lossy().starts_with(".msd-gpu-results") {
            all.insert(name, std::fs::read(&entry).unwrap());
        }
    }
    all
}

#[test]
fn results_have_the_format_that_is_wanted_and_go_on_in_it() {
    let bench = Bench::new();
    bench.model("m.safetensors", &looking_far(true));
    stack(&bench, "s.tif", 8, (90, 81));
    bench.succeeds("predict --model m.safetensors s.tif --device cpu --probabilities --out tiff");
    let read = |path: &str| {
        let volume = msd_gpu::images::open_volume(bench.path(path).to_str().unwrap()).unwrap();
        volume.read(msd_gpu::geometry::Window::whole(volume.extent())).unwrap()
    };
    for (format, ending) in
        [("zarr", "ome.zarr"), ("hdf5", "h5"), ("npy", "npy"), ("nifti", "nii"), ("mrc", "mrc")]
    {
        let call = format!(
            "predict --model m.safetensors s.tif --format {format} --probabilities --device cpu --out"
        );
        bench.succeeds(&format!("{call} {format}"));
        assert_eq!(read(&format!("{format}/s.{ending}")), read("tiff/s.tif"), "{format}");
        for round in 0..4 {
            let killed = format!("{format}_{round}");
            kill_after(&bench, &format!("{call} {killed}"), Duration::from_millis(60 + 70 * round));
            bench.succeeds(&format!("{call} {killed} --resume"));
            let (whole, resumed) = (contents(&bench.path(format)), contents(&bench.path(&killed)));
            let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(&whole), names(&resumed), "{killed}");
            for (name, bytes) in whole {
                assert!(resumed[&name] == bytes, "{killed}: {}", name.display());
            }
        }
    }
    // A result that is named by its file, and has the format of its image without one.
    bench.succeeds("predict --model m.safetensors hdf5/s.h5 --device cpu --out again");
    assert_eq!(bench.names("again"), ["s.h5"]);
    bench.succeeds("predict --model m.safetensors s.tif --device cpu --out named.ome.zarr");
    assert_eq!(read("named.ome.zarr"), read("tiff/s.tif"));
    bench.refuses("predict --model m.safetensors s.tif --device cpu --out s.tif", &["s.tif", "overwritten"]);
    bench.refuses(
        "predict --model m.safetensors s.tif --device cpu --format gif --out no",
        &["--format", "nifti"],
    );
}

#[test]
fn slices_channels_and_files_without_a_header_are_taken() {
    let bench = Bench::new();
    bench.model("m.safetensors", &segmentation(&[0, 7]));
    stack(&bench, "s.tif", 10, (9, 8));
    bench.succeeds("predict --model m.safetensors s.tif --slices 2..9..3 --device cpu --out out");
    bench.succeeds("predict --model m.safetensors s.tif --device cpu --out all");
    let (some, all) = (bench.path("out/s.tif"), bench.path("all/s.tif"));
    let open = |path: &std::path::Path| msd_gpu::images::open_volume(path.to_str().unwrap()).unwrap();
    let whole = |volume: &dyn msd_gpu::images::Volume| {
        volume.read_labels(msd_gpu::geometry::Window::whole(volume.extent())).unwrap()
    };
    assert_eq!(whole(open(&some).as_ref()), whole(open(&all).as_ref()).slice(s![2..9;3, .., ..]));
    // The same numbers as NumPy and as nobody stores them.
    let numbers: Vec<u8> = (0..10)
        .flat_map(|z| bench.read_page("s.tif", z).into_iter().flat_map(|v| (v as u16).to_le_bytes()))
        .collect();
    bench.bytes("s.raw", &numbers);
    bench.succeeds("predict --model m.safetensors s.raw --raw 8x9x10:u16le --device cpu --out raw");
    assert_eq!(whole(open(&bench.path("raw/s.tif")).as_ref()), whole(open(&all).as_ref()));
    let mut npy = b"\x93NUMPY\x01\0".to_vec();
    let header = "{'descr': '<u2', 'fortran_order': False, 'shape': (10, 9, 8), }\n";
    npy.extend((header.len() as u16).to_le_bytes());
    npy.extend(header.as_bytes());
    npy.extend(&numbers);
    bench.bytes("n/s.npy", &npy);
    bench.succeeds("predict --model m.safetensors n --device cpu --out npy");
    assert_eq!(whole(open(&bench.path("npy/s.npy")).as_ref()), whole(open(&all).as_ref()));
    bench.refuses(
        "predict --model m.safetensors s.tif --slices 10.. --device cpu --out no",
        &["--slices", "10 slices"],
    );
    bench.refuses(
        "predict --model m.safetensors s.raw --raw 8x9:u16 --device cpu --out no",
        &["--raw", "more"],
    );
}
