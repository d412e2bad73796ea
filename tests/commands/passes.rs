//! How often the files of sets that do not fit the cache are read before the first step.

use std::process::Command;

use msd_gpu::images::write_png_rgb8;
use ndarray::{Array2, Array3, Axis, s};

use crate::support::Bench;

const USUAL: &str = "--depth 2 --crop 16 --max-steps 1 --device cpu --cache 0";
/// Labels are read to find the classes, and then with the images. A deviation needs the mean first.
const OF_CLASSES: [&str; 3] = ["targets", "images and targets", "images"];
const PAGES: usize = 4;
const SIZE: (usize, usize) = (40, 50);

fn page(z: usize) -> Array2<u16> {
    Array2::from_shape_fn(SIZE, |(y, x)| ((x / 7 + y / 9) % 2 * 900 + z) as u16)
}

/// Pages in `a.tif`, whose labels `labels` are in `labels.tif`.
fn bench(labels: impl Fn(&Array2<u16>, usize) -> Array2<u16>) -> Bench {
    let bench = Bench::new();
    let pages: Vec<_> = (0..PAGES).map(page).collect();
    bench.stack("a.tif", &pages, "");
    let labels: Vec<_> = pages.iter().enumerate().map(|(z, page)| labels(page, z)).collect();
    bench.stack("labels.tif", &labels, "");
    bench
}

fn whole(page: &Array2<u16>, _: usize) -> Array2<u16> {
    page.mapv(|value| value / 900)
}

/// What `call` reads of all of its `files`, in order, and all that it says.
fn passes(bench: &Bench, files: usize, call: &str) -> (Vec<String>, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_msd-gpu"));
    program.current_dir(bench.path(".")).env("RUST_LOG", "msd_gpu=debug").args(call.split_whitespace());
    let output = program.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let end = format!(", {files} of each");
    let of_line = |line: &str| Some(line.split("reading all ").nth(1)?.split(&end).next()?.to_owned());
    (said.lines().filter_map(of_line).collect(), said)
}

#[test]
fn labels_in_files_are_read_twice_before_the_first_step() {
    let bench = bench(whole);
    let train = format!("train segment --images a.tif --targets labels.tif {USUAL}");
    let (found, said) = passes(&bench, PAGES, &format!("{train} --out classes"));
    assert_eq!(found, OF_CLASSES, "{said}");
    let (found, said) = passes(&bench, PAGES, "train --resume classes --max-steps 2");
    assert_eq!(found, [""; 0], "{said}");
    // Files of another time are read again, without finding a start for the mixing layer.
    let labels: Vec<_> = (0..PAGES).map(|z| whole(&page(z + 1), z)).collect();
    bench.stack("labels.tif", &labels, "");
    let (found, said) = passes(&bench, PAGES, "train --resume classes --max-steps 3 --new-labels");
    assert_eq!(found, OF_CLASSES[..2], "{said}");
}

#[test]
fn values_in_files_are_read_three_times_as_their_deviation_needs_the_mean_first() {
    let bench = Bench::new();
    for z in 0..PAGES {
        bench.floats(&format!("noisy/{z}.tif"), &page(z).mapv(f32::from).insert_axis(Axis(0)));
        bench.floats(&format!("clean/{z}.tif"), &page(z + 1).mapv(f32::from).insert_axis(Axis(0)));
    }
    let call = format!("train regress --images noisy --targets clean {USUAL} --out values");
    let (found, said) = passes(&bench, PAGES, &call);
    assert_eq!(found, ["targets", "images and targets", "images and targets"], "{said}");
}

#[test]
fn labels_of_rare_classes_are_not_read_once_more_to_favour_them() {
    // Four pixels in each page of 2000.
    let bench = bench(|page, _| {
        let mut labels = Array2::zeros(page.dim());
        labels.slice_mut(s![3..5, 3..5]).fill(1);
        labels
    });
    let train = format!("train segment --images a.tif --targets labels.tif {USUAL}");
    let (found, said) = passes(&bench, PAGES, &format!("{train} --out rare"));
    assert!(said.contains("--favour-rare 0.5"), "{said}");
    assert_eq!(found, OF_CLASSES, "{said}");
    let (found, said) = passes(&bench, PAGES, "train --resume rare --max-steps 2");
    assert_eq!(found, [""; 0], "{said}");
    // Weights of classes change which pixels count only where one is 0.
    let (found, said) = passes(&bench, PAGES, &format!("{train} --class-weights balanced --out balanced"));
    assert_eq!(found, OF_CLASSES, "{said}");
    let (found, said) = passes(&bench, PAGES, &format!("{train} --class-weights 0,1 --out one"));
    assert_eq!(found, ["targets", "images and targets", "images", "targets", "targets"], "{said}");
}

#[test]
fn strokes_are_read_twice_though_shares_of_classes_are_looked_for_and_pixels_have_weights() {
    let bench = bench(|page, z| {
        let mut labels = Array2::from_elem(page.dim(), 7);
        labels.row_mut(5 + z).assign(&page.row(5 + z).mapv(|value| value / 900));
        labels
    });
    let weights = |z: usize| Array2::from_shape_fn(SIZE, |(y, x)| ((y + x + z) % 3) as f32);
    bench.float_stack("weights.tif", &(0..PAGES).map(weights).collect::<Vec<_>>());
    let train = format!("train segment --images a.tif --targets labels.tif --ignore 7 {USUAL}");
    for (number, more) in ["", "--class-weights balanced", "--weights weights.tif"].iter().enumerate() {
        let out = format!("strokes{number}");
        let (found, said) = passes(&bench, PAGES, &format!("{train} {more} --out {out}"));
        assert!(said.contains("--favour-labelled 1") && said.contains("--class-shares images"), "{said}");
        assert_eq!(found, OF_CLASSES, "{more} {said}");
        let (found, said) = passes(&bench, PAGES, &format!("train --resume {out} --max-steps 2"));
        assert_eq!(found, [""; 0], "{said}");
    }
}

#[test]
fn classes_by_colour_and_by_threshold_are_read_twice_too() {
    let bench = bench(whole);
    for z in 0..PAGES {
        bench.floats(&format!("images/{z}.tif"), &page(z).mapv(f32::from).insert_axis(Axis(0)));
        let colours = Array3::from_shape_fn((SIZE.0, SIZE.1, 3), |(y, x, c)| {
            [[0_u8, 0, 255], [255, 0, 0]][usize::from(page(z)[[y, x]] / 900)][c]
        });
        std::fs::create_dir_all(bench.path("coloured")).unwrap();
        write_png_rgb8(bench.path(&format!("coloured/{z}.png")), &colours).unwrap();
    }
    for (targets, rule) in [("coloured", "--colours auto"), ("labels.tif", "--threshold 1")] {
        let images = if targets == "coloured" { "images" } else { "a.tif" };
        let call = format!("train segment --images {images} --targets {targets} {rule} {USUAL} --out");
        let (found, said) = passes(&bench, PAGES, &format!("{call} {targets}-run"));
        assert_eq!(found, OF_CLASSES, "{said}");
    }
}

#[test]
fn of_pages_and_volumes_of_which_each_tenth_slice_is_labelled_labels_are_read_twice() {
    let bench = Bench::new();
    let pages: Vec<_> = (0..20).map(page).collect();
    bench.stack("a.tif", &pages, "");
    let label = |(z, page): (usize, &Array2<u16>)| match z % 10 {
        3 => whole(page, z),
        _ => Array2::from_elem(page.dim(), 7),
    };
    let labels: Vec<_> = pages.iter().enumerate().map(label).collect();
    bench.stack("labels.tif", &labels, "");
    let train = format!("train segment --images a.tif --targets labels.tif --ignore 7 {USUAL}");
    let (found, said) = passes(&bench, 20, &format!("{train} --out pages"));
    // Pages that nobody labelled are passed over, so that 2 are left.
    let wanted = ["targets", "images and targets, 2 of each", "images, 2 of each"];
    assert_eq!(found, wanted, "{said}");
    // Those of volumes stay.
    let (found, said) = passes(&bench, 20, &format!("{train} --dimensions 3 --out volume"));
    assert_eq!(found, ["targets", "images and targets, 1 of each", "images, 1 of each"], "{said}");
}
