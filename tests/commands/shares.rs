//! `msd-gpu predict --part`: what several programs make together, whatever becomes of them.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::thread;
use std::time::Duration;

use ndarray::Axis;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use msd_gpu::geometry::Extent;

use super::three_dimensions;
use super::volumes::{contents, kill_after, of_depth, stack};
use crate::support::{Bench, segmentation};

#[test]
fn shares_make_the_whole_and_what_is_missing_is_listed() {
    let bench = Bench::new();
    bench.model("m.safetensors", &segmentation(&[0, 7]));
    for name in ["a", "b", "c", "d", "e"] {
        bench.grey(&format!("in/{name}.png"), (9, 8));
    }
    let call = "predict --model m.safetensors in --device cpu --out out";
    bench.succeeds(&format!("{call} --part 2/2"));
    assert_eq!(bench.names("out"), ["d.png", "e.png"]);
    let missing = bench.run(&format!("{call} --verify"));
    assert_eq!((missing.code, missing.stdout.lines().count()), (1, 3), "{}", missing.stderr);
    bench.succeeds(&format!("{call} --part 1/2"));
    assert_eq!(bench.names("out").len(), 5);
    assert_eq!(bench.run(&format!("{call} --verify")).code, 0);
    bench.refuses(&format!("{call} --part 3/2"), &["--part", "1/4"]);
}

/// The slices that `--verify` says are missing of the only result, or all of it where it names none.
fn missing(said: &str, count: usize) -> BTreeSet<usize> {
    let Some(line) = said.lines().next() else { return BTreeSet::new() };
    let Some((_, ranges)) = line.split_once(", slices ") else { return (0..count).collect() };
    // Of a result of another model, why it is that comes behind.
    let ranges = ranges.split(": ").next().unwrap_or(ranges);
    let range = |range: &str| -> Range<usize> {
        let (start, end) = range.split_once("..").unwrap();
        start.parse().unwrap()..end.parse().unwrap()
    };
    ranges.split(' ').flat_map(range).collect()
}

/// Fails unless two folders hold the same files.
fn same(a: &Path, b: &Path) {
    let (a, b) = (contents(a), contents(b));
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    for (name, bytes) in &a {
        assert!(b[name] == *bytes, "{}", name.display());
    }
}

/// Sixteen parts of one stack in any order, four at a time, some of them twice, some killed.
#[test]
fn parts_of_one_stack_make_what_one_program_makes() {
    const PARTS: usize = 16;
    const SLICES: usize = 37;
    let bench = Bench::new();
    bench.model("m.safetensors", &of_depth(12, true));
    stack(&bench, "s.tif", SLICES, (120, 110));
    for format in ["--format zarr", "--format zarr --ome 0.4"] {
        let call = format!("predict --model m.safetensors s.tif --device cpu {format} --out");
        bench.succeeds(&format!("{call} whole"));
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut jobs: Vec<usize> = (0..PARTS).chain([2, 7, 7, 15]).collect();
        jobs.shuffle(&mut random);
        let slices_of = |part: usize| -> BTreeSet<usize> {
            let large = SLICES % PARTS;
            let start = |part: usize| part * (SLICES / PARTS) + part.min(large);
            (start(part)..start(part + 1)).collect()
        };
        let (mut done, mut begun) = (BTreeSet::new(), BTreeSet::new());
        while !jobs.is_empty() {
            let wave: Vec<(usize, Option<u64>)> = jobs
                .split_off(jobs.len().saturating_sub(4))
                .into_iter()
                .map(|part| (part, random.random_bool(0.4).then(|| random.random_range(5..400))))
                .collect();
            let ended = thread::scope(|scope| {
                let run = |(part, killed): &(usize, Option<u64>)| {
                    let call = format!("{call} parts --resume --part {}/{PARTS}", part + 1);
                    match killed {
                        Some(milliseconds) => {
                            kill_after(&bench, &call, Duration::from_millis(*milliseconds));
                            None
                        }
                        None => Some(bench.run(&call)),
                    }
                };
                let all: Vec<_> = wave.iter().map(|job| scope.spawn(move || run(job))).collect();
                all.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
            });
            for ((part, _), ended) in wave.iter().zip(ended) {
                begun.extend(slices_of(*part));
                match ended {
                    Some(ended) if ended.code == 0 => done.extend(slices_of(*part)),
                    // The same part at the same time.
                    Some(ended) => {
                        assert!(
                            ended.stderr.contains("another run of msd-gpu does part"),
                            "{}",
                            ended.stderr
                        );
                        jobs.insert(0, *part);
                    }
                    None => jobs.insert(0, *part),
                }
            }
            let verified = bench.run(&format!("{call} parts --verify"));
            let missing = missing(&verified.stdout, SLICES);
            assert_eq!(verified.code == 0, missing.is_empty(), "{}", verified.stderr);
            // A part that was killed may have been whole.
            assert!(missing.is_disjoint(&done), "{missing:?} {done:?}");
            assert!(
                (0..SLICES).all(|slice| begun.contains(&slice) || missing.contains(&slice)),
                "{missing:?}"
            );
            if done.len() == SLICES {
                assert!(missing.is_empty());
            }
        }
        same(&bench.path("whole"), &bench.path("parts"));
        // A part that comes once more finds all there, and changes nothing; another model begins anew.
        let said = bench.run(&format!("{call} parts --part 3/{PARTS}")).stderr;
        assert!(said.contains("are there already"), "{said}");
        same(&bench.path("whole"), &bench.path("parts"));
        bench.model("other.safetensors", &of_depth(11, true));
        let other = call.replace("m.safetensors", "other.safetensors");
        let verified = bench.run(&format!("{other} parts --verify"));
        assert_eq!(missing(&verified.stdout, SLICES).len(), SLICES, "{}", verified.stderr);
        bench.succeeds(&format!("{other} parts --part 2/2"));
        let verified = bench.run(&format!("{other} parts --verify"));
        assert_eq!(missing(&verified.stdout, SLICES), (0..19).collect(), "{}", verified.stderr);
        bench.refuses(
            &format!("{other} parts --part 1/2 --tta"),
            &["other images, models or settings", "remove that folder"],
        );
        bench.succeeds(&format!("{other} parts --part 1/2"));
        bench.succeeds(&format!("{other} anew"));
        same(&bench.path("anew"), &bench.path("parts"));
        // A file that was made anew under its name is another.
        stack(&bench, "s.tif", SLICES + 1, (120, 110));
        std::fs::rename(bench.path("s.tif"), bench.path("longer.tif")).unwrap();
        let page =
            |z: usize| bench.read_page("longer.tif", z + 1).index_axis_move(Axis(0), 0).mapv(|v| v as u16);
        bench.stack("s.tif", &(0..SLICES).map(page).collect::<Vec<_>>(), "");
        for part in ["1/2", "2/2"] {
            let said = bench.run(&format!("{other} parts --part {part}")).stderr;
            assert!(!said.contains("are there already"), "{said}");
        }
        bench.succeeds(&format!("{other} again"));
        same(&bench.path("again"), &bench.path("parts"));
        stack(&bench, "s.tif", SLICES, (120, 110));
        for folder in ["whole", "parts", "anew", "again"] {
            std::fs::remove_dir_all(bench.path(folder)).unwrap();
        }
    }
}

#[test]
fn a_stack_that_one_program_must_write_is_of_one_part() {
    let bench = Bench::new();
    bench.model("m.safetensors", &segmentation(&[0, 7]));
    stack(&bench, "in/s.tif", 6, (9, 8));
    bench.grey("in/t.png", (9, 8));
    bench.succeeds("predict --model m.safetensors in --device cpu --out out --part 1/2");
    assert_eq!(bench.names("out"), ["s.tif"]);
    // By pages each result is a file of its own.
    let call = "predict --model m.safetensors in/s.tif --device cpu --out pages --pages";
    bench.succeeds(&format!("{call} --part 2/3"));
    assert_eq!(bench.names("pages"), ["s_p0002.png", "s_p0003.png"]);
}

#[test]
fn parts_of_a_volume_see_the_slices_of_the_others() {
    let bench = Bench::new();
    bench.model("m.safetensors", &three_dimensions::model());
    let slices = three_dimensions::slices(Extent::new(21, 24, 26));
    bench.float_stack("v.tif", &slices);
    for (z, slice) in slices.iter().enumerate() {
        bench.floats(&format!("slices/s{z:02}.tif"), &slice.clone().insert_axis(Axis(0)));
    }
    for (name, images) in [("stack", "v.tif --format zarr"), ("files", "slices")] {
        let call = format!("predict --model m.safetensors {images} --device cpu --tile 8 --halo exact --out");
        bench.succeeds(&format!("{call} {name}"));
        for part in [3, 1, 2] {
            bench.succeeds(&format!("{call} {name}_parts --part {part}/3"));
        }
        same(&bench.path(name), &bench.path(&format!("{name}_parts")));
    }
}

#[test]
fn a_share_without_any_result_leaves_blank_slices() {
    let bench = Bench::new();
    bench.model("m.safetensors", &of_depth(6, true));
    let mut slices = three_dimensions::slices(Extent::new(7, 70, 66));
    // The first slice of all, and all slices of the second share.
    for z in [0, 3, 4] {
        slices[z][[5, 5]] = f32::NAN;
    }
    bench.float_stack("s.tif", &slices);
    for cutting in ["", "--tile 40 --halo auto"] {
        let call = format!(
            "predict --model m.safetensors s.tif --device cpu --keep-going --format zarr {cutting} --out"
        );
        let whole = bench.run(&format!("{call} whole"));
        assert_eq!(whole.code, 1, "{}", whole.stderr);
        for part in [2, 1, 3] {
            let said = bench.run(&format!("{call} parts --part {part}/3"));
            assert_eq!(said.code, i32::from(part != 3), "{}", said.stderr);
        }
        same(&bench.path("whole"), &bench.path("parts"));
        for folder in ["whole", "parts"] {
            std::fs::remove_dir_all(bench.path(folder)).unwrap();
        }
    }
}
