//! Volumes that are larger than the memory that may be taken. Linux tells the largest that a program took.

#![cfg(target_os = "linux")]

use ndarray::Array2;

use super::memory::peak;
use super::resume::same_so_far;
use crate::support::Bench;

/// Slices, rows and columns. In memory, image and labels take 148 MiB, and twice that while slices are put together.
const EXTENT: (usize, usize, usize) = (112, 416, 416);
/// What training and scoring may take, the program included.
const MOST_MIB: f64 = 135.0;

/// A volume of blocks and its labels, of which those on a few slices say nothing.
fn volume(bench: &Bench) {
    let (z, y, x) = EXTENT;
    let class = |z: usize, y: usize, x: usize| (z / 9 + y / 13 + x / 17) % 2;
    let image: Vec<Array2<u16>> = (0..z)
        .map(|z| {
            Array2::from_shape_fn((y, x), |(y, x)| {
                (class(z, y, x) * 90 + (z * 7 + y * 13 + x * 5) % 23) as u16
            })
        })
        .collect();
    bench.stack("v.tif", &image, "");
    let labels: Vec<Array2<u16>> = (0..z)
        .map(|z| {
            let of = |(y, x)| if z % 10 == 9 { 9 } else { class(z, y, x) as u16 };
            Array2::from_shape_fn((y, x), of)
        })
        .collect();
    bench.stack("l.tif", &labels, "");
}

#[test]
fn a_volume_larger_than_the_memory_is_learnt_from_and_scored_as_one_that_fits() {
    let bench = Bench::new();
    volume(&bench);
    let train = "train segment --dimensions 3 --images v.tif --targets l.tif --ignore 9 --depth 2 --dilations 1 \
        --crop 24 --val-fraction 0.08 --favour-rare 0.3 --ema 0.9 --device cpu";
    let (fits, said) = peak(&bench, &format!("{train} --cache 4GB --max-steps 4 --out fits"));
    assert!(!said.contains("stay in their files"), "{said}");
    let (taken, said) = peak(&bench, &format!("{train} --cache 1MB --max-steps 4 --out run"));
    assert!(said.contains("stay in their files"), "{said}");
    println!("training: {taken:.1} MiB from files, {fits:.1} MiB where all is in memory");
    assert!(taken < MOST_MIB && fits > MOST_MIB, "{taken} MiB are taken from files, {fits} MiB in memory");
    same_so_far(&bench, "run", "fits");
    // A run that was stopped goes on as the one that was not.
    peak(&bench, &format!("{train} --cache 1MB --max-steps 2 --out parts"));
    let (taken, _) = peak(&bench, "train --resume parts --max-steps 4 --device cpu");
    assert!(taken < MOST_MIB, "{taken} MiB are taken to go on");
    same_so_far(&bench, "parts", "fits");

    // Of the volume in one piece, image, labels and what is found take several times as much as may be taken.
    let part = "--slices 0..40";
    let evaluate =
        format!("evaluate --model run --images v.tif --targets l.tif {part} --ignore 9 --device cpu --json");
    let limit = MOST_MIB * f64::from(1 << 20) / 1e6;
    let small = format!("{evaluate} --memory {limit:.0}MB");
    let (taken, said) = peak(&bench, &small);
    println!("scores: {taken:.1} MiB within {MOST_MIB} MiB");
    assert!(said.contains("cut into tiles"), "{said}");
    assert!(taken < MOST_MIB, "{taken} MiB are taken in tiles");
    assert_eq!(bench.succeeds(&small), bench.succeeds(&evaluate));
}
