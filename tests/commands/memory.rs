//! What `train` and `inspect` say of memory, against what the program takes. Linux tells the largest it ever was.

#![cfg(target_os = "linux")]

use std::io::{Seek, SeekFrom, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::{Bench, regression};

/// How far what is said may be from what is taken.
const MAX_APART: f64 = 0.05;
const MEBIBYTE: f64 = (1 << 20) as f64;

/// Runs the program; gives the largest resident memory in MiB, and what it said on standard error.
pub(super) fn peak(bench: &Bench, arguments: &str) -> (f64, String) {
    let errors = bench.path("errors.txt");
    let mut child = Command::new(env!("CARGO_BIN_EXE_msd-gpu"))
        .args(arguments.split_whitespace())
        .current_dir(bench.path("."))
        // Steps are made ready for each thread.
        .env("RAYON_NUM_THREADS", "2")
        .env_remove("RUST_LOG")
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&errors).unwrap())
        .spawn()
        .unwrap();
    let mut kibibytes = 0.0_f64;
    let status = loop {
        let text = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        if let Some(line) = line {
            kibibytes = kibibytes.max(line.trim().trim_end_matches(" kB").parse().unwrap());
        }
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let errors = std::fs::read_to_string(errors).unwrap();
    assert!(status.success(), "{arguments}: {errors}");
    (kibibytes / 1024.0, errors)
}

fn compare(what: &str, said: f64, taken: f64) {
    let apart = said / taken - 1.0;
    println!("{what}: said {said:.1} MiB, taken {taken:.1} MiB, {:.1} % apart", 100.0 * apart);
    assert!(apart.abs() < MAX_APART, "{what}: said {said:.1} MiB, taken {taken:.1} MiB");
}

/// The program itself, its code and threads, is taken off: it is what a run takes whose images are tiny.
#[test]
fn a_set_in_files_takes_no_more_memory_the_more_images_it_has() {
    let bench = Bench::new();
    let pages: Vec<_> = (0..40)
        .map(|z| {
            ndarray::Array2::from_shape_fn((600, 700), |(y, x)| ((x / 50 + y / 40) % 2 * 900 + z) as u16)
        })
        .collect();
    let labels: Vec<_> = pages.iter().map(|page| page.mapv(|value| value / 900)).collect();
    for (name, count) in [("few", 4), ("many", 40)] {
        bench.stack(&format!("{name}.tif"), &pages[..count], "");
        bench.stack(&format!("{name}_labels.tif"), &labels[..count], "");
    }
    let train = |name: &str, more: &str| {
        let call =
            format!("train segment --images {name}.tif --targets {name}_labels.tif --depth 3 --crop 64");
        peak(&bench, &format!("{call} --max-steps 3 --device cpu --out {name}-run {more}"))
    };
    let (few, _) = train("few", "--cache 0");
    let (many, errors) = train("many", "--cache 1MB");
    assert!(errors.contains("stay in their files") && errors.contains("--cache"), "{errors}");
    // In memory 36 images more would take 115 MiB.
    assert!(many < few + 15.0, "{many} MiB where few images take {few} MiB");
    bench.refuses(
        "train segment --images few.tif --targets few_labels.tif --cache much --out run",
        &["--cache", "2GB"],
    );
}

#[test]
fn what_is_said_beforehand_is_what_is_taken() {
    let bench = Bench::new();
    for (folder, side) in [("tiny", 8), ("large", 512)] {
        for name in ["a", "b", "c", "d"] {
            bench.grey(&format!("{folder}/{name}.png"), (side, side));
        }
    }
    let train = |folder: &str, more: &str| {
        peak(
            &bench,
            &format!(
                "train regress --images {folder} --targets {folder} --depth 100 --max-steps 2 --device cpu {more} --out {folder}-run"
            ),
        )
    };
    let apply = |folder: &str| {
        peak(&bench, &format!("predict --model {folder}-run {folder} --device cpu --out {folder}-out"))
    };
    train("tiny", "");
    let (program, _) = apply("tiny");

    let (taken, errors) = train("large", "--crop 0");
    let said = errors.split("training takes ").nth(1).and_then(|text| text.split(' ').next()).unwrap();
    compare("train", said.parse().unwrap(), taken - program);

    let (taken, _) = apply("large");
    let json: Value =
        serde_json::from_str(&bench.succeeds("inspect large-run --size 512x512 --json")).unwrap();
    compare("predict", json["memory"]["apply_bytes"].as_f64().unwrap() / MEBIBYTE, taken - program);
}

/// Chunks that were never written need no files.
#[test]
fn a_prediction_from_thick_blocks_takes_no_more_than_it_may() {
    let bench = Bench::new();
    bench.model("model.safetensors", &regression(1, 1));
    // One slice touches 128 MiB of blocks.
    let array = r#"{"zarr_format": 2, "shape": [64, 1024, 1024], "chunks": [64, 64, 64], "dtype": "<u2",
        "compressor": null, "fill_value": 7, "order": "C", "filters": null}"#;
    bench.bytes("thick.zarr/.zarray", array.as_bytes());
    for out in ["thick.tif", "thick.ome.zarr"] {
        let call =
            format!("predict --model model.safetensors thick.zarr --slices 0..2 --memory 130MB --out {out}");
        let (taken, _) = peak(&bench, &format!("{call} --device cpu"));
        println!("{out}: {taken:.1} MiB");
        assert!(taken < 130e6 / MEBIBYTE, "{out}: {taken} MiB are taken where 130 MB may be");
    }
}

/// The modules share one room, which is a part of what may be taken.
#[test]
fn a_prediction_from_a_virtual_dataset_of_thick_blocks_takes_no_more_than_it_may() {
    let bench = Bench::new();
    bench.model("model.safetensors", &regression(1, 1));
    // One slice touches 128 MiB of blocks of 16 modules.
    let modules = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/hdf5/virtual/thick_modules.h5");
    std::fs::copy(modules, bench.path("m.h5")).unwrap();
    let predict = |memory: &str| {
        let call = "predict --model model.safetensors m.h5:/all --slices 0..2 --device cpu";
        peak(&bench, &format!("{call} --memory {memory} --out {memory}.tif"))
    };
    let (taken, said) = predict("130MB");
    println!("{taken:.1} MiB");
    assert!(taken < 130e6 / MEBIBYTE, "{taken} MiB are taken where 130 MB may be");
    assert!(said.contains("each block is unpacked up to"), "{said}");
    // Where there is room for all of them, each is unpacked once.
    let (_, said) = predict("1GB");
    assert!(!said.contains("unpacked"), "{said}");
    assert_eq!(bench.read_page("130MB.tif", 1), bench.read_page("1GB.tif", 1));
}

/// Some rows of a slice are read while those before them are written, and of OME-Zarr a row of chunks of each size is packed.
#[test]
fn converting_takes_no_more_memory_than_a_slice_and_the_program() {
    /// What there is besides: the program, and the rows that are on their way as float64 numbers.
    const BESIDE: f64 = 98.0;
    let bench = Bench::new();
    let side = 4096;
    let page = |z: usize| {
        // Without a pattern, so that packing makes them no smaller.
        let number = |(y, x): (usize, usize)| ((y * side + x + z) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ndarray::Array2::from_shape_fn((side, side), |place| (number(place) >> 40) as u16)
    };
    bench.stack("a.tif", &[page(0), page(1)], "");
    let slice = (side * side * 2) as f64 / MEBIBYTE;
    for out in ["a.h5", "a.ome.zarr"] {
        let (taken, _) = peak(&bench, &format!("convert a.tif --out {out}"));
        println!("{out}: {taken:.1} MiB");
        assert!(taken < BESIDE + slice, "{out}: {taken} MiB for slices of {slice} MiB");
    }
}

/// The rows of one slice that is larger than the memory that may be taken are read, changed and written before the next ones are there.
#[test]
fn converting_a_large_slice_takes_less_memory_than_that() {
    const SIDE: u64 = 6144;
    const MOST_MIB: f64 = 230.0;
    let bench = Bench::new();
    // Zeros, which take no room on the disk, before some rows of ones, so that percentiles differ.
    for (name, kind) in [("whole.npy", "<i8"), ("float.npy", "<f8")] {
        let text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({SIDE}, {SIDE}), }}");
        let mut header = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        header.extend(format!("{text:<117}\n").into_bytes());
        bench.bytes(name, &header);
        let mut file = std::fs::File::options().write(true).open(bench.path(name)).unwrap();
        let ones: Vec<u8> = std::iter::repeat_n(1_f64.to_le_bytes(), 100 * SIDE as usize).flatten().collect();
        file.seek(SeekFrom::Start(header.len() as u64 + (SIDE - 100) * SIDE * 8)).unwrap();
        file.write_all(&ones).unwrap();
    }
    assert!((SIDE * SIDE * 8) as f64 / MEBIBYTE > MOST_MIB);
    for (from, out) in [
        ("float.npy", "a.ome.zarr"),
        ("a.ome.zarr", "a.tif"),
        ("a.tif", "a.npy --dtype u8 --window 1%..99%"),
        ("whole.npy", "a.h5"),
        ("whole.npy", "b.ome.zarr --ome 0.4"),
    ] {
        let (taken, _) = peak(&bench, &format!("convert {from} --out {out}"));
        println!("{from} to {out}: {taken:.1} MiB");
        assert!(taken < MOST_MIB, "{from} to {out}: {taken} MiB");
    }
}
