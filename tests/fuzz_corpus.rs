//! The kept inputs of the fuzz targets, damaged in many ways, and files that lie: no reader panics, takes more than a second, or
//! holds more than 100 MB at once. A test program of its own, as it counts every allocation.

#[path = "fuzz_corpus/allocations.rs"]
mod allocations;
#[path = "fuzz_corpus/lies.rs"]
mod lies;
#[path = "../fuzz/readers/mod.rs"]
mod readers;
#[path = "fuzz_corpus/texts.rs"]
mod texts;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use allocations::peak_bytes;

/// What reading a small file may take.
const MOST_BYTES: usize = 100_000_000;
const MOST_TIME: Duration = Duration::from_secs(1);
/// A time that is too long is measured anew so often, as something else may have kept the machine busy.
const TRIES: usize = 3;

/// Tests run beside each other, but only one may be measured, and others may not make large files meanwhile.
fn alone() -> MutexGuard<'static, ()> {
    static MEASURED: Mutex<()> = Mutex::new(());
    MEASURED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads `bytes`; `Err` with what went wrong, where `what` says which bytes they are.
fn check(read: fn(&[u8]), bytes: &[u8], what: &str) -> Result<(), String> {
    let _one = alone();
    let mut shortest = Duration::MAX;
    for _ in 0..TRIES {
        let (start, processor) = (Instant::now(), processor_time());
        let (outcome, peak) = peak_bytes(|| catch_unwind(AssertUnwindSafe(|| read(bytes))));
        let elapsed = start.elapsed();
        // Where others keep the machine busy, what this thread took of it counts; nothing may wait for long either.
        let taken = processor.zip(processor_time()).map(|(before, after)| after.saturating_sub(before));
        shortest = shortest.min(taken.filter(|_| elapsed < 5 * MOST_TIME).unwrap_or(elapsed));
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

/// How long the processor worked for this thread; `None` where the system does not say it.
fn processor_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
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
    let (_, read) = *readers::READERS.iter().find(|(reader, _)| *reader == name).unwrap();
    let files: Vec<(String, Vec<u8>)> = corpus(name)
        .into_iter()
        .map(|path| (path.display().to_string(), std::fs::read(path).unwrap()))
        .collect();
    let mut failed = Vec::new();
    for (path, bytes) in &files {
        failed.extend(check(read, bytes, path).err());
    }
    failed.extend(damaged_are_read(name, read, &files));
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// As [`corpus_is_read`], of damaged files; what went wrong.
///
/// `MSD_GPU_FUZZ_SECONDS` has them damaged for longer, in other ways for each `MSD_GPU_FUZZ_SEED`; what fails is kept in
/// `fuzz/artifacts` then.
fn damaged_are_read(name: &str, read: fn(&[u8]), files: &[(String, Vec<u8>)]) -> Vec<String> {
    /// How long the files of one reader are damaged.
    const TIME: Duration = Duration::from_millis(1200);
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seconds = number("MSD_GPU_FUZZ_SECONDS");
    let (time, rounds) = seconds.map_or((TIME, 200), |seconds| (Duration::from_secs(seconds), u64::MAX));
    let seed = number("MSD_GPU_FUZZ_SEED").unwrap_or_default();
    let mut failed = Vec::new();
    let mut count = 0_u64;
    let start = Instant::now();
    for round in 0..rounds {
        for (index, (path, bytes)) in files.iter().enumerate() {
            // On a slow machine fewer are tried, but some of each file always.
            if round > 0 && start.elapsed() > time {
                if seconds.is_some() {
                    println!("{name}: {count} files, {} of which failed", failed.len());
                }
                return failed;
            }
            let mut series = Series(0x9e37_79b9_7f4a_7c15 ^ (seed << 40) ^ (round * 1009 + index as u64));
            let cut = series.below(bytes.len());
            let (_, other) = &files[series.below(files.len())];
            for damaged in [bytes[..cut].to_vec(), damage(bytes, other, &mut series)] {
                count += 1;
                let what = format!("{path} in round {round} with the seed {seed}");
                let Err(problem) = check(read, &damaged, &what) else { continue };
                failed.push(problem);
                if seconds.is_some() {
                    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/artifacts").join(name);
                    std::fs::create_dir_all(&folder).unwrap();
                    std::fs::write(folder.join(format!("{seed}_{round}_{index}")), damaged).unwrap();
                }
            }
        }
    }
    failed
}

/// `bytes` with some changes: other bytes and numbers, pieces of them or of `other` that are left out, doubled or exchanged.
fn damage(bytes: &[u8], other: &[u8], series: &mut Series) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    for _ in 0..=series.below(4) {
        // Headers are short, and more depends on them.
        let reach = if series.below(2) == 0 { damaged.len().min(512) } else { damaged.len() };
        let at = series.below(reach);
        match series.below(8) {
            0 => {
                let end = (at + 1 + series.below(32)).min(damaged.len());
                damaged.drain(at.min(end)..end);
            }
            1 => {
                let from = series.below(other.len());
                let piece = other[from..(from + 1 + series.below(64)).min(other.len())].to_vec();
                damaged.splice(at..at, piece);
            }
            2 => {
                let from = series.below(other.len());
                let piece = &other[from..(from + 1 + series.below(64)).min(other.len())];
                let end = (at + piece.len()).min(damaged.len());
                let count = end.saturating_sub(at);
                damaged[at..at + count].copy_from_slice(&piece[..count]);
            }
            3 => {
                let numbers = [0, 1, u64::MAX, 1 << 31, 1 << 32, 1 << 62, (1 << 31) - 1, at as u64];
                let width = [2, 4, 8][series.below(3)];
                let mut number = numbers[series.below(numbers.len())].to_le_bytes();
                if series.below(2) == 0 {
                    number[..width].reverse();
                }
                for (byte, new) in damaged[at..].iter_mut().zip(&number[..width]) {
                    *byte = *new;
                }
            }
            _ => {
                let byte = [0, 1, 0x7f, 0x80, 0xff, series.below(256)];
                let byte = byte[series.below(byte.len())] as u8;
                if let Some(place) = damaged.get_mut(at) {
                    *place = byte;
                }
            }
        }
    }
    if series.below(4) > 0 {
        mend_png(&mut damaged);
    }
    damaged
}

/// Corrects the checksums of the chunks of a PNG file, as what they are wrong for is looked at no further.
fn mend_png(bytes: &mut [u8]) {
    if !bytes.starts_with(b"\x89PNG") {
        return;
    }
    let mut at = 8;
    while let Some(length) = bytes.get(at..at + 4) {
        let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
        let end = at.saturating_add(8).saturating_add(length);
        let Some(content) = bytes.get(at + 4..end) else { return };
        let mut sum = flate2::Crc::new();
        sum.update(content);
        let sum = sum.sum().to_be_bytes();
        let Some(place) = bytes.get_mut(end..end + 4) else { return };
        place.copy_from_slice(&sum);
        at = end + 4;
    }
}

macro_rules! corpus_tests {
    ($($(#[$condition:meta])? $name:ident),*) => {
        mod the_corpus_is_read_in_little_time_and_memory {
            $($(#[$condition])? #[test] fn $name() { super::corpus_is_read(stringify!($name)); })*

            #[test]
            fn of_every_reader() {
                let names: Vec<&str> = crate::readers::READERS.iter().map(|(name, _)| *name).collect();
                assert_eq!(names, [$($(#[$condition])? stringify!($name)),*]);
            }
        }
    };
}

corpus_tests!(
    angles,
    checkpoint,
    #[cfg(feature = "cli")]
    denoising,
    description,
    exchange,
    hdf5,
    history,
    #[cfg(feature = "portal")]
    ilastik,
    #[cfg(feature = "portal")]
    job,
    #[cfg(feature = "portal")]
    journal,
    jpeg,
    jpeg_scans,
    #[cfg(feature = "portal")]
    labkit,
    machine,
    measurements,
    messages,
    model,
    mrc,
    nifti,
    npy,
    options,
    pairs,
    png,
    prediction,
    #[cfg(feature = "portal")]
    project,
    raw,
    raw_form,
    reconstruction,
    registry,
    #[cfg(feature = "portal")]
    requests,
    results,
    scan,
    settings,
    #[cfg(feature = "portal")]
    strokes,
    tiff,
    #[cfg(feature = "cli")]
    timings,
    #[cfg(feature = "gpu")]
    tunings,
    unfinished,
    watch,
    #[cfg(feature = "portal")]
    written,
    zarr
);

#[test]
fn every_reader_has_a_fuzz_target_and_a_line_in_the_readme() {
    let read = |path: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let (manifest, readme) = (read("Cargo.toml"), read("README.md"));
    for (name, _) in readers::READERS {
        let target = format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"\n");
        assert!(manifest.contains(&target), "fuzz/Cargo.toml has no target {name}");
        assert!(readme.contains(&format!("`{name}`")), "fuzz/README.md does not name {name}");
        assert!(read(&format!("fuzz_targets/{name}.rs")).contains("|bytes: &[u8]| readers::"), "{name}");
    }
}

/// Checks the files that `lies` makes, each with what it says falsely.
fn lies_are_found_out(reader: fn(&[u8]), lies: impl FnOnce() -> lies::Files) {
    let files = {
        let _one = alone();
        lies()
    };
    assert!(!files.is_empty());
    let failed: Vec<String> =
        files.iter().filter_map(|(what, bytes)| check(reader, bytes, what).err()).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn tiff_files_that_lie_are_found_out() {
    lies_are_found_out(readers::file, lies::tiff);
}

#[test]
fn png_and_jpeg_files_that_lie_are_found_out() {
    lies_are_found_out(readers::file, lies::pictures);
}

#[test]
fn arrays_behind_headers_that_lie_are_found_out() {
    lies_are_found_out(readers::file, lies::arrays);
}

#[test]
fn hdf5_files_that_lie_are_found_out() {
    lies_are_found_out(readers::file, lies::hdf5);
}

#[test]
fn scans_that_lie_are_found_out() {
    lies_are_found_out(readers::scan, lies::scans);
}

#[test]
fn texts_that_lie_are_found_out() {
    for (name, lies) in texts::ALL {
        let (_, reader) = *readers::READERS.iter().find(|(reader, _)| reader == name).unwrap();
        let named = |(what, bytes)| (format!("{name}: {what}"), bytes);
        lies_are_found_out(reader, || lies().into_iter().map(named).collect());
    }
}

#[test]
fn zarr_folders_that_lie_are_found_out() {
    lies_are_found_out(readers::zarr, lies::zarr);
}

/// Reads the images of a file however large they are; it must not succeed.
fn whole_fails(bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, bytes).unwrap();
    fails_at(&path);
}

/// As [`whole_fails`], of a folder of Zarr.
fn whole_zarr_fails(bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.zarr");
    std::fs::create_dir(&path).unwrap();
    assert!(readers::unpack(bytes, &path) > 0);
    fails_at(&path);
}

fn fails_at(path: &Path) {
    let Ok(images) = msd_gpu::images::discover(path.to_str().unwrap()) else { return };
    let error = msd_gpu::images::read_image(&images[0]).expect_err("it was read");
    let error = error.to_string();
    assert!(!error.contains('\n') && !error.contains("memory"), "{error}");
}

#[test]
fn packed_images_that_end_early_are_found_out_before_memory_is_taken() {
    lies_are_found_out(whole_fails, lies::ending_early);
    lies_are_found_out(whole_fails, lies::ending_early_in_hdf5);
    lies_are_found_out(whole_zarr_fails, lies::ending_early_in_zarr);
}

#[test]
fn networks_that_lie_are_found_out() {
    lies_are_found_out(readers::exchange, lies::networks);
    lies_are_found_out(readers::model, lies::networks);
}
