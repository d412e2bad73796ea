//! `msd-gpu tomo`: scans in the layouts of beamlines to volumes.

use std::path::Path;

use ndarray::{Array2, Array4, s};

use msd_gpu::geometry::Window;
use msd_gpu::images::open_volume;

use crate::support::Bench;

const STACK: &str = "projections.tif --flats flats.tif --darks darks.tif";

/// The scans of tests/corpus/scans.
fn bench() -> Bench {
    let bench = Bench::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/scans");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        bench.bytes(path.file_name().unwrap().to_str().unwrap(), &std::fs::read(&path).unwrap());
    }
    bench
}

/// What a scan becomes, `[channel][z][y][x]`.
fn volume(bench: &Bench, scan: &str, out: &str) -> Array4<f32> {
    bench.succeeds(&format!("tomo reconstruct {scan} --out {out}"));
    let volume = open_volume(bench.path(out).to_str().unwrap()).unwrap();
    volume.read(Window::whole(volume.extent())).unwrap()
}

#[test]
fn every_layout_gives_the_discs_that_were_scanned() {
    let bench = bench();
    let first = volume(&bench, "dxchange.h5 --centre 22 --unit pixel", "first.tif");
    assert_eq!(first.dim(), (1, 3, 48, 48));
    // Row 2 of the detector shows half as much, and the middle of a slice lies at the axis.
    let mean = |z: usize, y: usize, x: usize| first.slice(s![0, z, y..y + 3, x..x + 3]).mean().unwrap();
    for (z, wanted) in [(0, 0.02), (1, 0.02), (2, 0.01)] {
        assert!((mean(z, 20, 27) - wanted).abs() < 0.05 * wanted, "{}", mean(z, 20, 27));
    }
    assert!((mean(0, 26, 17) - 0.05).abs() < 0.0025, "{}", mean(0, 26, 17));
    for (number, scan) in [
        "nxtomo.nxs".to_owned(),
        "als.h5".to_owned(),
        format!("{STACK} --range 180"),
        format!("{STACK} --angles angles.txt"),
    ]
    .iter()
    .enumerate()
    {
        let other = volume(&bench, &format!("{scan} --centre 22"), &format!("other{number}.tif"));
        let difference = (&other - &first).fold(0.0_f32, |most, value| most.max(value.abs()));
        assert!(difference < 1e-6, "{scan}: {difference}");
    }
}

#[test]
fn pixels_have_the_size_of_the_detector_and_slices_its_unit() {
    let bench = bench();
    // What the file says makes slices of 1/cm, and of pixels of that size.
    let found = volume(&bench, "dxchange.h5 --centre 22", "v.ome.zarr");
    assert!(bench.succeeds("inspect v.ome.zarr").contains("0.65 x 0.65 x 0.65 \u{b5}m"));
    let pixels = volume(&bench, "dxchange.h5 --centre 22 --unit pixel", "pixels.npy");
    let most = |volume: &Array4<f32>| volume.fold(0.0_f32, |most, value| most.max(*value));
    assert!((most(&found) / most(&pixels) * 0.65e-4 - 1.0).abs() < 1e-4);
    // So does what people say.
    let told = volume(&bench, "dxchange.h5 --centre 22 --pixel-size 2.5", "w.ome.zarr");
    assert!(bench.succeeds("inspect w.ome.zarr").contains("2.5 x 2.5 x 2.5 \u{b5}m"));
    assert!((most(&told) / most(&pixels) / 4000.0 - 1.0).abs() < 1e-4);
    // Of a file that says nothing.
    let plain = volume(&bench, "nxtomo.nxs --centre 22", "plain.npy");
    assert!((most(&plain) / most(&pixels) - 1.0).abs() < 1e-4);
    bench.refuses(
        "tomo reconstruct nxtomo.nxs --centre 22 --unit cm --out no.npy",
        &["--unit", "--pixel-size"],
    );
}

#[test]
fn shares_of_the_projections_become_volumes_of_their_own() {
    let bench = bench();
    bench.succeeds("tomo reconstruct dxchange.h5 --centre 22 --split 2 --out v.tif");
    let read = |name: &str| bench.read(name);
    let whole = volume(&bench, "dxchange.h5 --centre 22 --every 2", "every.tif");
    assert_eq!(read("v_0.tif").index_axis(ndarray::Axis(0), 0), whole.slice(s![0, 0, .., ..]));
    assert_ne!(read("v_0.tif"), read("v_1.tif"));
    assert!(!bench.names("").iter().any(|name| name.ends_with(".part")));
}

#[test]
fn the_axis_is_found_and_shown() {
    let bench = bench();
    let found: f64 = bench.succeeds("tomo centre dxchange.h5").trim().parse().unwrap();
    assert!((found - 22.0).abs() <= 0.5, "{found}");
    let found: f64 = bench.succeeds("tomo centre dxchange.h5 --centre registration").trim().parse().unwrap();
    assert!((found - 22.0).abs() <= 0.5, "{found}");
    volume(&bench, "dxchange.h5 --centre registration", "registered.tif");
    bench.refuses("tomo centre dxchange.h5 --centre registration --half-acquisition", &["--centre", "auto"]);
    bench.refuses("tomo centre dxchange.h5 --centre registration --range 90", &["half a turn apart"]);
    bench.succeeds("tomo centre dxchange.h5 --centre-sweep 20..24 --out pictures");
    assert_eq!(bench.names("pictures").len(), 5);
}

#[test]
fn the_discs_stay_where_rings_are_removed() {
    let bench = bench();
    for rings in ["sorting", "all", "wavelet"] {
        let volume =
            volume(&bench, &format!("dxchange.h5 --centre 22 --unit pixel --rings {rings}"), "v.tif");
        let mean = volume.slice(s![0, 0, 20..23, 27..30]).mean().unwrap();
        // So small a detector has hardly more columns than these look at.
        assert!((mean - 0.02).abs() < 0.01, "{rings}: {mean}");
    }
}

#[test]
fn what_a_file_does_not_say_is_taken_as_it_is_said() {
    let bench = bench();
    let outcome = bench.run("tomo reconstruct dxchange_radians.h5 --centre 22 --out v.tif");
    assert!(outcome.code == 0 && outcome.stderr.contains("taken for radians"), "{}", outcome.stderr);
    let bare = "tomo reconstruct dxchange_bare.h5 --centre 22 --out w.tif";
    bench.refuses(bare, &["--flats", "--numbers"]);
    let outcome = bench.run(&format!("{bare} --numbers absorption"));
    assert!(outcome.code == 0 && outcome.stderr.contains("both ends included"), "{}", outcome.stderr);
}

/// As programs write three images, without saying that they are none of colour.
#[test]
fn dark_fields_may_be_the_channels_of_one_image() {
    let bench = bench();
    let first = volume(&bench, &format!("{STACK} --range 180 --centre 22"), "first.tif");
    let page = bench.read_page("darks.tif", 0);
    let views = vec![page.index_axis(ndarray::Axis(0), 0); 3];
    bench.floats("three.tif", &ndarray::stack(ndarray::Axis(0), &views).unwrap());
    let scan = "projections.tif --flats flats.tif --darks three.tif --range 180 --centre 22";
    let outcome = bench.run(&format!("tomo reconstruct {scan} --out second.tif"));
    assert!(outcome.code == 0 && outcome.stderr.contains("3 flat and 3 dark fields"), "{}", outcome.stderr);
    let second = bench.read("second.tif");
    let difference =
        (&second - &first.slice(s![0, 0..1, .., ..])).fold(0.0_f32, |most, value| most.max(value.abs()));
    assert!(difference < 1e-6, "{difference}");
}

#[test]
fn pixels_without_light_or_number_are_told() {
    let bench = bench();
    let mut pages: Vec<Array2<f32>> = (0..45)
        .map(|page| bench.read_page("projections.tif", page).index_axis_move(ndarray::Axis(0), 0))
        .collect();
    // A pixel that counted nothing once, and one that never did.
    pages[7][[1, 20]] = 0.0;
    pages.iter_mut().for_each(|page| page[[1, 30]] = 0.0);
    bench.float_stack("zeros.tif", &pages);
    let rest = "--flats flats.tif --darks darks.tif --range 180 --centre 22";
    let found = volume(&bench, &format!("zeros.tif {rest}"), "zeros.npy");
    assert!(found.iter().all(|value| value.is_finite()));
    bench.float_stack("dark.tif", &vec![Array2::zeros((3, 48)); 45]);
    let outcome = bench.run(&format!("tomo reconstruct dark.tif {rest} --out dark.npy"));
    assert!(
        outcome.code == 0 && outcome.stderr.contains("(100.0 %) let no light through"),
        "{}",
        outcome.stderr
    );
    pages[7][[1, 20]] = f32::NAN;
    bench.float_stack("nan.tif", &pages);
    bench.refuses(
        &format!("tomo reconstruct nan.tif {rest} --out no.npy"),
        &["nan.tif page 7", "NaN", "x 20, y 1"],
    );
}

#[test]
fn angles_of_another_unit_are_told() {
    let bench = bench();
    let lines = |factor: f64| {
        (0..45).map(|number| format!("{}\n", factor * f64::from(4 * number))).collect::<String>()
    };
    for (factor, wanted) in
        [(1000.0, "489 turns"), (1.0 / 360.0, "0.5 degrees only"), (0.0, "all 45 angles are 0")]
    {
        bench.bytes("other.txt", lines(factor).as_bytes());
        let outcome =
            bench.run(&format!("tomo reconstruct {STACK} --angles other.txt --centre 22 --out v.npy"));
        assert!(outcome.stderr.contains(wanted), "{}", outcome.stderr);
        assert_eq!(outcome.code, if factor == 0.0 { 2 } else { 0 });
    }
}

#[test]
fn scans_that_do_not_fit_are_refused_in_a_sentence() {
    let bench = bench();
    let refuses = |arguments: &str, names: &[&str]| {
        bench.refuses(&format!("tomo reconstruct {arguments} --out no.tif"), names);
    };
    bench.bytes("short.txt", b"0\n1\n2\n");
    bench.bytes("words.txt", b"0\nninety\n");
    refuses(STACK, &["--angles", "missing", "--range"]);
    refuses(&format!("{STACK} --angles short.txt"), &["45 projections", "3 angles"]);
    refuses(&format!("{STACK} --angles words.txt"), &["words.txt", "'ninety'"]);
    refuses("dxchange.h5 --flats angles.txt", &["angles.txt"]);
    refuses("dxchange.h5 --centre 60", &["--centre", "60", "between 0 and 47"]);
    refuses("dxchange.h5 --centre left", &["--centre", "'left'"]);
    refuses("dxchange.h5 --centre 22 --half-acquisition", &["360"]);
    refuses("dxchange.h5 --centre 22 --rows 2..9", &["--rows", "'2..9'"]);
    refuses("dxchange.h5 --centre 22 --split 46", &["--split", "46"]);
    refuses("dxchange.h5 --centre 22 --every 0", &["--every"]);
    refuses("dxchange.h5 --centre 22 --pixel-size 0", &["--pixel-size"]);
    refuses("dxchange.h5 --centre 22 --size 0", &["--size", "from 1 to"]);
    refuses("dxchange.h5 --centre 22 --size 9000000000", &["--size", "9000000000"]);
    refuses("dxchange.h5 --centre 22 --zingers -1", &["-1"]);
    refuses("dxchange.h5 --centre 22 --filter sharp", &["--filter", "'sharp'", "ramp"]);
    refuses("nothing.h5 --range 180", &["nothing.h5"]);
    let outcome = bench.run("tomo reconstruct dxchange.h5 --centre 22 --memory 10kB --out no.tif");
    assert!(outcome.code == 1 && outcome.stderr.contains("give more with --memory"), "{}", outcome.stderr);
    let over = "tomo reconstruct dxchange.h5 --centre 22 --out dxchange.h5";
    bench.refuses(over, &["dxchange.h5 is read from there", "another name"]);
    bench.refuses(
        &format!("tomo reconstruct {STACK} --range 180 --centre 22 --out darks.tif"),
        &["darks.tif"],
    );
    assert!(!bench.names("").iter().any(|name| name.contains("no.tif")), "{:?}", bench.names(""));
}

/// The slices of a volume `[z][y][x]` in a file.
fn slices(bench: &Bench, file: &str) -> ndarray::Array3<f32> {
    let volume = open_volume(bench.path(file).to_str().unwrap()).unwrap();
    volume.read(Window::whole(volume.extent())).unwrap().index_axis_move(ndarray::Axis(0), 0)
}

/// The root of the mean squared difference in the circle that all projections show.
fn difference(found: &ndarray::Array3<f32>, wanted: &ndarray::Array3<f32>) -> f32 {
    assert_eq!(found.dim(), wanted.dim());
    let middle = (found.dim().1 as f32 - 1.0) / 2.0;
    let inside = |y: usize, x: usize| (y as f32 - middle).hypot(x as f32 - middle) < middle - 1.0;
    let differences = found.indexed_iter().zip(wanted).filter(|(((_, y, x), _), _)| inside(*y, *x));
    let (mut sum, mut count) = (0.0, 0.0);
    for ((_, found), wanted) in differences {
        sum += (found - wanted).powi(2);
        count += 1.0;
    }
    (sum / count).sqrt()
}

#[test]
fn what_is_simulated_is_what_is_reconstructed() {
    let bench = Bench::new();
    for (phantom, most) in [("foam", 0.12), ("fibres", 0.1), ("shepp-logan", 0.1)] {
        bench.succeeds(&format!(
            "tomo simulate {phantom} --noise-free --size 128 --slices 3 --projections 256 --out {phantom}.h5 --truth {phantom}.tif"
        ));
        bench.succeeds(&format!("tomo reconstruct {phantom}.h5 --centre 63.5 --out found.npy"));
        let error = difference(&slices(&bench, "found.npy"), &slices(&bench, &format!("{phantom}.tif")));
        // Material of value 1 weakens a ray by exp(-2) along the whole slice.
        let material = 2.0 / 128.0;
        assert!(error < most * material, "{phantom}: {error} of {material}");
    }
    // The axis is where it was put, and pixels are as large as they were said to be.
    bench.succeeds("tomo simulate foam --size 128 --slices 3 --projections 180 --offset 4.5 --pixel-size 2 --out aside.h5");
    let centre: f64 = bench.succeeds("tomo centre aside.h5").trim().parse().unwrap();
    assert!((centre - 68.0).abs() < 0.6, "{centre}");
    bench.succeeds("tomo reconstruct aside.h5 --centre 68 --rows 1 --out aside.ome.zarr");
    assert!(bench.succeeds("inspect aside.ome.zarr").contains("2 x 2 x 2 \u{b5}m"));
    for (wrong, name) in [
        ("--size 0", "--size"),
        ("--photons 0", "--photons"),
        ("--rings 0.7", "--rings"),
        ("--attenuation nan", "--attenuation"),
        ("--range 0", "--range"),
        ("--spacing -1", "--spacing"),
        ("--pixel-size 0", "--pixel-size"),
    ] {
        bench.refuses(&format!("tomo simulate foam {wrong} --out no.h5"), &[name]);
    }
    let outcome = bench.run("tomo simulate foam --size 60000 --slices 60000 --projections 60000 --out no.h5");
    assert!(outcome.code == 1 && outcome.stderr.contains("fewer slices"), "{}", outcome.stderr);
    assert!(!bench.names("").contains(&"no.h5".to_owned()));
}

const NOISY: &str = "tomo simulate foam --size 64 --slices 3 --projections 90 --photons 100 --seed 5 --out noisy.h5 --truth truth.tif";

#[test]
fn one_command_denoises_a_scan() {
    let bench = Bench::new();
    bench.succeeds(NOISY);
    bench.succeeds("tomo reconstruct noisy.h5 --centre 31.5 --out noisy.tif");
    // Flags that cannot be are refused before there is anything to go on with.
    bench.refuses("tomo denoise noisy.h5 --centre 31.5 --slab 2 --out clean.ome.zarr", &["--slab", "odd"]);
    bench.refuses("tomo denoise noisy.h5 --centre 99 --out clean.ome.zarr", &["--centre", "99"]);
    bench.refuses("tomo denoise noisy.h5 --filter sharp --centre 31.5 --out clean.ome.zarr", &["--filter"]);
    assert_eq!(bench.names("clean-work"), Vec::<String>::new());
    let denoise = "tomo denoise noisy.h5 --centre 31.5 --device cpu --steps 150 --out clean.ome.zarr";
    let report = bench.succeeds(denoise);
    assert!(report.contains("90 projections, centre 31.50, 2 shares"), "{report}");
    let names = bench.names("clean-work");
    for name in ["plan.toml", "picture.png", "report.json", "report.txt", "run", "share_0.tif", "share_1.tif"]
    {
        assert!(names.contains(&name.to_owned()), "{name} is not among {names:?}");
    }
    let truth = slices(&bench, "truth.tif");
    let noisy = difference(&slices(&bench, "noisy.tif"), &truth);
    let clean = difference(&slices(&bench, "clean.ome.zarr"), &truth);
    assert!(clean < 0.7 * noisy, "{clean} after {noisy}");
    // The noise is found from what the shares differ by.
    let numbers: serde_json::Value = serde_json::from_str(&bench.text_of("clean-work/report.json")).unwrap();
    assert_eq!(numbers["shares"], 2);
    assert!(numbers["noise"].as_f64().unwrap() > 0.5 * f64::from(noisy), "{numbers}");

    bench.refuses(denoise, &["clean.ome.zarr", "there already"]);
    std::fs::remove_dir_all(bench.path("clean.ome.zarr")).unwrap();
    bench.refuses(denoise, &["clean-work", "--resume"]);
    bench.refuses(&format!("{denoise} --resume --split 3"), &["other flags"]);
    bench.refuses("tomo denoise noisy.h5 --split 1 --out no.tif", &["--split", "1"]);
    bench.refuses("tomo denoise noisy.h5 --minutes 0 --out no.tif", &["--minutes"]);
    bench.refuses("tomo denoise noisy.h5 --out no.xyz", &["no.xyz"]);
    // What was done is not done again, and a model of one scan serves the next.
    bench.succeeds(&format!("{denoise} --resume"));
    bench.succeeds(
        "tomo denoise noisy.h5 --centre 31.5 --device cpu --model clean-work/run --out again.ome.zarr",
    );
    assert_eq!(slices(&bench, "again.ome.zarr"), slices(&bench, "clean.ome.zarr"));
}

#[test]
fn streaks_of_few_projections_are_told_from_noise() {
    let bench = Bench::new();
    for (projections, is_told) in [(16, true), (32, false)] {
        let simulate = format!(
            "tomo simulate foam --size 64 --slices 2 --projections {projections} --out {projections}.h5"
        );
        bench.succeeds(&simulate);
        let denoise = format!(
            "tomo denoise {projections}.h5 --centre 31.5 --device cpu --steps 1 --out {projections}.tif"
        );
        let outcome = bench.run(&denoise);
        assert_eq!((outcome.code, outcome.stderr.contains("streaks")), (0, is_told), "{}", outcome.stderr);
    }
}

/// The work is killed without a warning in each of its steps, and gone on with.
#[test]
fn denoising_goes_on_wherever_it_was_killed() {
    let bench = Bench::new();
    bench.succeeds(NOISY);
    let whole = "tomo denoise noisy.h5 --device cpu --steps 40 --out whole.tif";
    bench.succeeds(whole);
    let arguments = "tomo denoise noisy.h5 --device cpu --steps 40 --out clean.tif --resume";
    let (folder, mut reached) = (bench.path(""), Vec::new());
    let holds = |file: &str, text: &str| {
        std::fs::read_to_string(folder.join("clean-work").join(file)).is_ok_and(|found| found.contains(text))
    };
    let is_there = |name: &str| folder.join("clean-work").join(name).exists();
    // At the beginning; with the axis; with the first rows; reconstructed; after some epochs; trained, when it is applied.
    let steps: [(&str, &dyn Fn() -> bool); 6] = [
        ("start", &|| is_there("")),
        ("axis", &|| holds("plan.toml", "centre")),
        ("rows", &|| bench.names("clean-work").iter().any(|name| name.contains("share_0"))),
        ("reconstructed", &|| holds("plan.toml", "reconstructed = true") && is_there("run")),
        ("training", &|| is_there("run/checkpoint.safetensors")),
        ("trained", &|| bench.names("").iter().any(|name| name.contains("clean.tif"))),
    ];
    for (step, is_reached) in steps {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_msd-gpu"))
            .args(arguments.split_whitespace())
            .current_dir(bench.path(""))
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        while !is_reached() && child.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        if child.try_wait().unwrap().is_some() {
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        reached.push(step);
        assert!(!bench.path("clean.tif").exists(), "{reached:?}");
    }
    assert!(reached.len() > 3, "{reached:?}");
    if !bench.path("clean.tif").exists() {
        bench.succeeds(arguments);
    }
    assert_eq!(slices(&bench, "clean.tif"), slices(&bench, "whole.tif"));
    let left = [bench.names(""), bench.names("clean-work"), bench.names("clean-work/run")].concat();
    assert!(!left.iter().any(|name| name.ends_with(".part")), "{left:?}");
}
