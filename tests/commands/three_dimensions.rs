//! Networks of three dimensions: training on volumes, and volumes through models.

use std::process::{Command, Stdio};
use std::time::Duration;

use ndarray::{Array2, Array3, Axis, concatenate};

use msd_gpu::geometry::{Extent, Window};
use msd_gpu::images::Discovery;
use msd_gpu::network::{Architecture, Model, initialise};
use msd_gpu::phantom::cells::cells;
use msd_gpu::samples::{Classes, DataFiles};

use super::resume::same;
use crate::support::{Bench, regression};

/// A model of volumes that looks 9 pixels far, and 6 slices.
pub(super) fn model() -> Model {
    let base = regression(1, 1);
    let architecture = Architecture {
        dimensions: 3,
        dilations: vec![1, 2],
        dilations_z: vec![1, 1, 0, 2],
        ..Architecture::new(1, 1, 6)
    };
    let mut parameters = initialise(&architecture, 5);
    for (index, parameter) in parameters.iter_mut().enumerate().filter(|(_, p)| **p == 0.0) {
        *parameter = ((index * 37 % 23) as f32 - 11.0) / 40.0;
    }
    Model { architecture, parameters, ..base }
}

/// Slices of numbers that differ from slice to slice.
pub(super) fn slices(extent: Extent) -> Vec<Array2<f32>> {
    let slice = |z: usize| {
        Array2::from_shape_fn((extent.y, extent.x), |(y, x)| {
            ((z * 53 + y * 37 + x * 101 + y * x * 7) % 251) as f32
        })
    };
    (0..extent.z).map(slice).collect()
}

/// All slices of a stack, one below the other.
fn volume(bench: &Bench, path: &str, count: usize) -> Array3<f32> {
    let slices: Vec<_> = (0..count).map(|z| bench.read_page(path, z)).collect();
    concatenate(Axis(1), &slices.iter().map(|slice| slice.view()).collect::<Vec<_>>()).unwrap()
}

fn apart(a: &Array3<f32>, b: &Array3<f32>) -> f32 {
    assert_eq!(a.dim(), b.dim());
    (a - b).mapv(f32::abs).fold(0.0, |most, &value| most.max(value))
}

/// Two volumes of cells with their labels, as stacks.
fn cells_in(bench: &Bench) {
    for (name, seed) in [("a", 1), ("b", 2)] {
        let (image, labels) = cells(Extent::new(16, 32, 32), 0.2, false, seed);
        let pages: Vec<Array2<f32>> = image.outer_iter().map(|slice| slice.to_owned()).collect();
        bench.float_stack(&format!("images/{name}.tif"), &pages);
        let labels: Vec<Array2<u16>> = labels.outer_iter().map(|slice| slice.mapv(u16::from)).collect();
        bench.stack(&format!("labels/{name}.tif"), &labels, "");
    }
}

const TRAIN: &str = "train segment --dimensions 3 --images images --targets labels --depth 4 --dilations 1..2 --crop 12 --device cpu";

#[test]
fn a_volume_in_tiles_is_the_volume_in_one_piece() {
    let bench = Bench::new();
    bench.model("m.safetensors", &model());
    let extent = Extent::new(40, 45, 52);
    bench.float_stack("v.tif", &slices(extent));
    let call = "predict --model m.safetensors v.tif --device cpu --out";
    let whole = bench.run(&format!("{call} whole"));
    assert!(whole.code == 0 && whole.stderr.contains("in one piece"), "{}", whole.stderr);
    let whole = volume(&bench, "whole/v.tif", extent.z);
    let deviation = whole.std(0.0);
    for flags in ["--tile 12", "--tile 7 --halo exact", "--memory 70MB --halo exact"] {
        let out: String = flags.chars().filter(char::is_ascii_alphanumeric).collect();
        let parts = bench.run(&format!("{call} {out} {flags}"));
        assert_eq!(parts.code, 0, "{}", parts.stderr);
        assert!(flags.contains("tile") || parts.stderr.contains("cut into tiles"), "{}", parts.stderr);
        let parts = volume(&bench, &format!("{out}/v.tif"), extent.z);
        assert!(apart(&parts, &whole) <= 1e-5 * deviation, "{flags}: {}", apart(&parts, &whole));
    }
    // Two devices that share the slabs write the same file.
    bench.succeeds("predict --model m.safetensors v.tif --device cpu,cpu --tile 7 --halo exact --out two");
    let file = |out: &str| std::fs::read(bench.path(&format!("{out}/v.tif"))).unwrap();
    assert!(file("two") == file("tile7haloexact"));
    // A halo that is too small is seen.
    bench.succeeds(&format!("{call} small --tile 12 --halo 1"));
    assert!(apart(&volume(&bench, "small/v.tif", extent.z), &whole) > 1e-3 * deviation);
    // Slices in files of their own are the same volume; the mean over symmetries of a volume is no other one.
    for (z, slice) in slices(extent).iter().enumerate() {
        bench.floats(&format!("slices/s{z:02}.tif"), &slice.clone().insert_axis(Axis(0)));
    }
    bench.succeeds("predict --model m.safetensors slices --device cpu --out single");
    let single: Vec<_> = (0..extent.z).map(|z| bench.read(&format!("single/s{z:02}.tif"))).collect();
    let single = concatenate(Axis(1), &single.iter().map(|slice| slice.view()).collect::<Vec<_>>()).unwrap();
    assert_eq!(single, whole);
    bench.succeeds(&format!("{call} tta --tta"));
    assert!(apart(&volume(&bench, "tta/v.tif", extent.z), &whole) > 0.0);
}

#[test]
fn a_prediction_of_a_volume_that_is_killed_goes_on() {
    let bench = Bench::new();
    bench.model("m.safetensors", &model());
    let extent = Extent::new(48, 60, 60);
    bench.float_stack("v.tif", &slices(extent));
    // By one device or two that share the work, whichever it was before.
    let call = |two: bool| {
        let device = if two { "cpu,cpu" } else { "cpu" };
        format!("predict --model m.safetensors v.tif --device {device} --tile 6 --halo exact")
    };
    let start = std::time::Instant::now();
    bench.succeeds(&format!("{} --out whole", call(false)));
    let needed = start.elapsed();
    let wanted = std::fs::read(bench.path("whole/v.tif")).unwrap();
    let mut went_on = 0;
    for round in 1..=6 {
        let out = format!("killed{round}");
        let mut child = Command::new(assert_cmd::cargo::cargo_bin!("msd-gpu"))
            .args(format!("{} --out {out}", call(round % 2 == 0)).split_whitespace())
            .current_dir(bench.path(""))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(needed * round / 8 + Duration::from_millis(3));
        child.kill().unwrap();
        child.wait().unwrap();
        let again = bench.run(&format!("{} --out {out} --resume", call(round % 3 == 0)));
        assert_eq!(again.code, 0, "{}", again.stderr);
        went_on += usize::from(again.stderr.contains("slices are done"));
        assert!(std::fs::read(bench.path(&format!("{out}/v.tif"))).unwrap() == wanted, "round {round}");
        assert_eq!(bench.names(&out), bench.names("whole"), "round {round}");
    }
    assert!(went_on > 0, "no run had done anything when it was killed");
}

#[test]
fn volumes_are_learnt_and_a_run_that_is_stopped_is_the_run_that_was_not() {
    let bench = Bench::new();
    cells_in(&bench);
    let train = format!("{TRAIN} --rotate 20 --scale 0.1 --elastic 2 --val-fraction 0.5");
    bench.succeeds(&format!("{train} --max-steps 14 --out run"));
    let model = Model::read(&bench.path("run")).unwrap();
    assert!(model.architecture.is_of_volumes() && model.architecture.stem.is_none());
    assert!(bench.path("run/preview.png").exists());
    bench.succeeds(&format!("{train} --max-steps 6 --out stopped"));
    bench.succeeds("train --resume stopped --max-steps 14 --device cpu");
    let parameters = |run: &str| Model::read(&bench.path(run)).unwrap().parameters;
    assert!(parameters("stopped") == parameters("run"));
    // Another number of threads gives the same bits.
    let threads = Command::new(assert_cmd::cargo::cargo_bin!("msd-gpu"))
        .args(format!("{train} --max-steps 14 --out alone").split_whitespace())
        .env("RAYON_NUM_THREADS", "1")
        .current_dir(bench.path(""))
        .output()
        .unwrap();
    assert!(threads.status.success());
    assert!(parameters("alone") == parameters("run"));
    let table = bench.succeeds("evaluate --model run --images images --targets labels --device cpu");
    assert!(table.contains("2 images"), "{table}");
    let said = bench.succeeds("inspect run --size 16x32x32");
    for part in ["3: filters of 3x3x3", "slices of", "volumes of 16 x 32 x 32 voxels"] {
        assert!(said.contains(part), "{said}");
    }
    // Of a single volume, slices at one end are set aside; voxels that are longer than wide get short dilations along z.
    let alone =
        TRAIN.replace("--images images --targets labels", "--images images/a.tif --targets labels/a.tif");
    let run = bench.run(&format!("{alone} --voxel-size 4,1,1 --max-steps 2 --val-fraction 0.3 --out one"));
    assert!(run.code == 0 && run.stderr.contains("a.tif"), "{}", run.stderr);
    assert_eq!(Model::read(&bench.path("one")).unwrap().architecture.dilations_z, [0, 1]);
}

/// Six times something kills a run without a warning, at moments from its start to its end.
#[cfg(unix)]
#[test]
fn a_run_on_volumes_that_is_killed_is_the_run_that_was_not() {
    let bench = Bench::new();
    cells_in(&bench);
    let train = format!("{TRAIN} --rotate 20 --elastic 2 --ema 0.9 --max-epochs 8 --val-fraction 0.5");
    let clock = std::time::Instant::now();
    bench.succeeds(&format!("{train} --out whole"));
    let whole = clock.elapsed();
    let (mut kills, mut runs, mut went_on) = (0, 0, 0);
    // On a busy machine all kills may come before the first checkpoint.
    while kills < 6 || went_on == 0 && kills < 30 {
        let run = format!("killed{runs}");
        runs += 1;
        loop {
            let is_begun = bench.path(&run).join("config.toml").exists();
            let call =
                if is_begun { format!("train --resume {run}") } else { format!("{train} --out {run}") };
            let mut child = Command::new(assert_cmd::cargo::cargo_bin!("msd-gpu"))
                .args(call.split_whitespace())
                .current_dir(bench.path(""))
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            if kills < 6 || went_on == 0 && kills < 30 {
                std::thread::sleep(whole * (2 * (kills % 3) + 1) / 8);
                // It may have ended by itself.
                child.kill().ok();
            }
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            went_on += usize::from(said.contains("going on from epoch "));
            if output.status.success() {
                break;
            }
            assert!(output.status.code().is_none(), "{said}");
            kills += 1;
        }
        same(&bench, "whole", &run);
    }
    assert!(went_on > 0, "no run had a checkpoint when it was killed");
}

#[test]
fn volumes_of_which_some_slices_are_labelled_are_learnt_from_as_they_lie() {
    let bench = Bench::new();
    let (image, labels) = cells(Extent::new(16, 32, 32), 0.2, false, 1);
    let pages: Vec<Array2<f32>> = image.outer_iter().map(|slice| slice.to_owned()).collect();
    bench.float_stack("v.tif", &pages);
    let labels: Vec<Array2<u16>> = labels.outer_iter().map(|slice| slice.mapv(u16::from)).collect();
    let some: Vec<_> = labels.iter().step_by(4).cloned().collect();
    bench.stack("some.tif", &some, "");
    // The same in a stack that has a label for "nobody looked" in all others.
    let nothing = Array2::from_elem((32, 32), 99);
    let all: Vec<_> = labels
        .iter()
        .enumerate()
        .map(|(z, slice)| if z % 4 == 0 { slice } else { &nothing }.clone())
        .collect();
    bench.stack("all.tif", &all, "");
    let path = |name: &str| bench.path(name).to_str().unwrap().to_owned();
    let mut discovery = Discovery::default();
    discovery.slices_of_targets = Some("0..16..4".into());
    for (targets, discovery, ignored) in
        [("some.tif", discovery, None), ("all.tif", Discovery::default(), Some(99))]
    {
        for cache in [None, Some(0)] {
            let (images, targets) = (path("v.tif"), path(targets));
            let files = DataFiles::new(&images, &targets).found_by(discovery.clone()).held_in(cache);
            let (set, ..) = files.of_volumes(true).segmentation(Classes::Found { ignored }).unwrap();
            let set = set.into_volumes().unwrap();
            assert_eq!(set.sizes(), [Extent::new(16, 32, 32)], "{targets}");
            let sample = set.sample(0).unwrap();
            assert_eq!(sample.image.index_axis(Axis(0), 0), image.to_shape((16 * 32, 32)).unwrap());
            for z in 0..16 {
                assert_eq!(sample.counts_in(Some(Window::new(z..z + 1, 0..32, 0..32))), z % 4 == 0);
            }
        }
    }
    let train = TRAIN.replace("--images images --targets labels", "--images v.tif");
    let parameters = |run: &str| Model::read(&bench.path(run)).unwrap().parameters;
    for (flags, run) in [("some.tif --slices-of-targets 0..16..4", "some"), ("all.tif --ignore 99", "all")] {
        bench.succeeds(&format!("{train} --targets {flags} --max-steps 6 --out {run}"));
    }
    assert!(parameters("some") == parameters("all"));
    // Weights belong to the slices that have labels.
    bench.float_stack("w.tif", &vec![Array2::from_elem((32, 32), 0.5); 4]);
    bench.succeeds(&format!(
        "{train} --targets some.tif --slices-of-targets 0..16..4 --weights w.tif --max-steps 2 --out weighted"
    ));
    bench.refuses(
        &format!(
            "{} --targets some.tif --slices-of-targets 0..16..4 --out no",
            train.replace("segment", "regress")
        ),
        &["--slices-of-targets", "regression of volumes"],
    );
    // Images and targets in one folder: no target is a slice of the volume.
    for (z, (image, labels)) in pages.iter().zip(&labels).enumerate() {
        bench.floats(&format!("both/s{z:02}.tif"), &image.clone().insert_axis(Axis(0)));
        bench.labels(&format!("both/s{z:02}_mask.png"), &labels.mapv(i64::from));
    }
    let both = path("both");
    let discovery = Discovery::new(None, Some("_mask".into()), true);
    let files = DataFiles::new(&both, &both).found_by(discovery).of_volumes(true);
    let (set, ..) = files.segmentation(Classes::Found { ignored: None }).unwrap();
    assert_eq!(set.into_volumes().unwrap().sizes(), [Extent::new(16, 32, 32)]);
    // A volume without any label is passed over.
    bench.float_stack("two/a.tif", &pages);
    bench.float_stack("two/b.tif", &pages);
    bench.stack("two_labels/a.tif", &vec![nothing.clone(); 16], "");
    bench.stack("two_labels/b.tif", &all, "");
    let call = train.replace("v.tif", "two");
    let run = bench.run(&format!("{call} --targets two_labels --ignore 99 --max-steps 1 --out two_run"));
    assert!(run.code == 0 && run.stderr.contains("1 of 2 images are passed over"), "{}", run.stderr);
    // What is evaluated is the volume too.
    let table =
        bench.succeeds("evaluate --model all --images v.tif --targets all.tif --ignore 99 --device cpu");
    assert!(table.contains("1 image"), "{table}");
}

#[test]
fn a_start_from_a_model_of_volumes_takes_over_its_dimensions() {
    let bench = Bench::new();
    cells_in(&bench);
    bench.succeeds(&format!("{TRAIN} --dilations-z 0..1 --max-steps 2 --out first"));
    bench.succeeds("train segment --images images --targets labels --init first --crop 12 --max-steps 2 --device cpu --out second");
    let architecture = |run: &str| Model::read(&bench.path(run)).unwrap().architecture;
    assert_eq!(architecture("second"), architecture("first"));
}

#[test]
fn what_volumes_have_not_is_refused() {
    let bench = Bench::new();
    cells_in(&bench);
    for (flags, names) in [
        ("--slab 3", ["--slab", "--dimensions"]),
        ("--stem usual", ["stem", ""]),
        ("--dilations-z 1..9999", ["--dilations-z", "1..9999"]),
        ("--voxel-size 1,2", ["--voxel-size", "5,1,1"]),
    ] {
        bench.refuses(&format!("{TRAIN} {flags} --max-steps 1 --out run"), &names);
    }
    let of_images = TRAIN.replace("--dimensions 3", "");
    bench.refuses(&format!("{of_images} --dilations-z 1 --out run"), &["--dilations-z", "--dimensions"]);
    bench.model("m.safetensors", &model());
    bench.refuses("watch images --model m.safetensors --out out --count 1", &["network of volumes"]);
}
