//! The kept inputs of the fuzz targets, damaged in many ways, and files that lie: no reader panics, takes more than a second, or
//! holds more than 100 MB at once. A test program of its own, as it counts every allocation.

#[path = "fuzz_corpus/allocations.rs"]
mod allocations;
#[path = "fuzz_corpus/lies.rs"]
mod lies;
#[path = "../fuzz/readers.rs"]
mod readers;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use allocations::peak_bytes;

/// What reading a small file may take.
const MOST_BYTES: usize = 100_000_000;
const MOST_TIME: Duration = Duration::from_secs(1);
/// A time that is too long is measured anew so often, as something else may have kept the machine busy.
const TRIES: usize = 3;

/// Reads `bytes`; `Err` with what went wrong, where `what` says which bytes they are.
fn check(read: fn(&[u8]), bytes: &[u8], what: &str) -> Result<(), String> {
    // Tests run beside each other, but only one may be measured.
    static MEASURED: Mutex<()> = Mutex::new(());
    let _one = MEASURED.lock().unwrap_or_else(PoisonError::into_inner);
    let mut shortest = Duration::MAX;
    for _ in 0..TRIES {
        let start = Instant::now();
        let (outcome, peak) = peak_bytes(|| catch_unwind(AssertUnwindSafe(|| read(bytes))));
        shortest = shortest.min(start.elapsed());
        if outcome.is_err() {
            return Err(format!("{what}: a panic, whose message stands above"));
        }
        if peak >= MOST_BYTES {
            return Err(format!("{what}: {peak} bytes were held at once"));
        }
        if shortest < MOST_TIME {
            return Ok(());
        }
    }
    Err(format!("{what}: it took {shortest:?}"))
}

/// The files of the corpus of a reader, in order of their names.
fn corpus(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{}", folder.display());
    paths
}

/// Numbers without a pattern, always the same ones.
struct Series(u64);

impl Series {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end.max(1)
    }
}

/// Reads every file of the corpus of `name` as it is, cut off at some places and with some bytes changed.
fn corpus_is_read(name: &str) {
    let (_, read) = readers::READERS.into_iter().find(|(reader, _)| *reader == name).unwrap();
    let files: Vec<(String, Vec<u8>)> = corpus(name)
        .into_iter()
        .map(|path| (path.display().to_string(), std::fs::read(path).unwrap()))
        .collect();
    let mut failed = Vec::new();
    for (path, bytes) in &files {
        failed.extend(check(read, bytes, path).err());
    }
    failed.extend(damaged_are_read(read, &files));
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// As [`corpus_is_read`], of damaged files; what went wrong.
fn damaged_are_read(read: fn(&[u8]), files: &[(String, Vec<u8>)]) -> Vec<String> {
    /// How long the files of one reader are damaged.
    const TIME: Duration = Duration::from_millis(1200);
    let mut failed = Vec::new();
    let start = Instant::now();
    for round in 0..200 {
        for (index, (path, bytes)) in files.iter().enumerate() {
            // On a slow machine fewer are tried, but some of each file always.
            if round > 0 && start.elapsed() > TIME {
                return failed;
            }
            let mut series = Series(0x9e37_79b9_7f4a_7c15 ^ (round * 1009 + index as u64));
            let cut = series.below(bytes.len());
            failed.extend(check(read, &bytes[..cut], &format!("{path}, its first {cut} bytes")).err());
            let mut damaged = bytes.clone();
            let mut places = Vec::new();
            for _ in 0..=series.below(4) {
                // Headers are short, and more depends on them.
                let reach = if series.below(2) == 0 { bytes.len().min(512) } else { bytes.len() };
                let (at, byte) = (series.below(reach), [0, 1, 0x7f, 0x80, 0xff, series.below(256)]);
                let byte = byte[series.below(byte.len())] as u8;
                places.push((at, byte));
                if let Some(place) = damaged.get_mut(at) {
                    *place = byte;
                }
            }
            failed.extend(check(read, &damaged, &format!("{path} with (place, byte) {places:?}")).err());
        }
    }
    failed
}

macro_rules! corpus_tests {
    ($($name:ident),*) => {
        mod the_corpus_is_read_in_little_time_and_memory {
            $(#[test] fn $name() { super::corpus_is_read(stringify!($name)); })*

            #[test]
            fn of_every_reader() {
                let tested = [$(stringify!($name)),*];
                assert_eq!(crate::readers::READERS.map(|(name, _)| name), tested);
            }
        }
    };
}

corpus_tests!(exchange, hdf5, jpeg, model, mrc, nifti, npy, png, raw, tiff, zarr);

/// Checks files that lie, each with what it says falsely.
fn lies_are_found_out(reader: fn(&[u8]), files: Vec<(String, Vec<u8>)>) {
    assert!(!files.is_empty());
    let failed: Vec<String> =
        files.iter().filter_map(|(what, bytes)| check(reader, bytes, what).err()).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn tiff_files_that_lie_are_found_out() {
    lies_are_found_out(readers::file, lies::tiff());
}

#[test]
fn png_and_jpeg_files_that_lie_are_found_out() {
    lies_are_found_out(readers::file, lies::pictures());
}

#[test]
fn arrays_behind_headers_that_lie_are_found_out() {
    lies_are_found_out(readers::file, lies::arrays());
}

#[test]
fn hdf5_files_that_lie_are_found_out() {
    lies_are_found_out(readers::file, lies::hdf5());
}

#[test]
fn zarr_folders_that_lie_are_found_out() {
    lies_are_found_out(readers::zarr, lies::zarr());
}

#[test]
fn networks_that_lie_are_found_out() {
    lies_are_found_out(readers::exchange, lies::networks());
    lies_are_found_out(readers::model, lies::networks());
}
