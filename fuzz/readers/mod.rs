//! What the fuzz targets and `tests/fuzz_corpus.rs` share: bytes of one format, read as the program reads such a file.
//!
//! Reading may succeed or fail; it must not panic, and take little time and memory, however the bytes lie. What is prepared for it has to
//! succeed, or nothing would be read.

mod images;
mod machines;
#[cfg(feature = "portal")]
mod portal;
mod results;
mod runs;
mod scans;

use std::fs;
use std::path::{Component, Path};

use msd_gpu::network::{Architecture, Model, Normalisation, Task, initialise};
use msd_gpu::watcher::{Flow, ImageReport, Watcher};

pub use images::{file, jpeg_scans, options, raw, raw_form, tiff, unfinished, zarr};
pub use machines::machine;
#[cfg(feature = "cli")]
pub use machines::timings;
#[cfg(feature = "gpu")]
pub use machines::tunings;
#[cfg(feature = "portal")]
pub use portal::{job, journal, painted, project, requests, strokes, written};
pub use results::{exchange, model, prediction, registry, results, watched};
pub use runs::{checkpoint, description, history, measurements, messages, pairs, settings};
#[cfg(feature = "cli")]
pub use scans::denoising;
pub use scans::{angles, reconstruction, scan};

/// A reader: what it is called, as its fuzz target and the folder of its corpus are, and what it does with the bytes.
pub type Reader = (&'static str, fn(&[u8]));

/// All readers.
pub const READERS: &[Reader] = &[
    ("angles", angles),
    ("checkpoint", checkpoint),
    #[cfg(feature = "cli")]
    ("denoising", denoising),
    ("description", description),
    ("exchange", exchange),
    ("hdf5", file),
    ("history", history),
    #[cfg(feature = "portal")]
    ("ilastik", painted),
    #[cfg(feature = "portal")]
    ("job", job),
    #[cfg(feature = "portal")]
    ("journal", journal),
    ("jpeg", file),
    ("jpeg_scans", jpeg_scans),
    #[cfg(feature = "portal")]
    ("labkit", painted),
    ("machine", machine),
    ("measurements", measurements),
    ("messages", messages),
    ("model", model),
    ("mrc", file),
    ("nifti", file),
    ("npy", file),
    ("options", options),
    ("pairs", pairs),
    ("png", file),
    ("prediction", prediction),
    #[cfg(feature = "portal")]
    ("project", project),
    ("raw", raw),
    ("raw_form", raw_form),
    ("reconstruction", reconstruction),
    ("registry", registry),
    #[cfg(feature = "portal")]
    ("requests", requests),
    ("results", results),
    ("scan", scan),
    ("settings", settings),
    #[cfg(feature = "portal")]
    ("strokes", strokes),
    ("tiff", tiff),
    #[cfg(feature = "cli")]
    ("timings", timings),
    #[cfg(feature = "gpu")]
    ("tunings", tunings),
    ("unfinished", unfinished),
    ("watch", watched),
    #[cfg(feature = "portal")]
    ("written", written),
    ("zarr", zarr),
];

/// Bytes as the file `name` in a folder, beside small images.
fn in_folder(bytes: &[u8], name: &str, images: &[&str], read: impl Fn(&Path)) {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let image = ndarray::Array2::from_shape_fn((4, 6), |(y, x)| (40 * y + 7 * x) as u8);
    for name in images {
        msd_gpu::images::write_png_grey8(folder.path().join(name), &image).expect("the folder takes images");
    }
    put(&folder.path().join(name), bytes);
    read(folder.path());
}

/// Writes a file and the folders above it.
fn put(path: &Path, bytes: &[u8]) {
    let folder = path.parent().expect("the file is in a folder");
    fs::create_dir_all(folder).and_then(|()| fs::write(path, bytes)).expect("the folder takes files");
}

/// The first line of a file that the program has begun, with its line feed.
fn first_line(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("the program has begun its file");
    text.split_inclusive('\n').next().expect("it has a line").to_owned()
}

/// Files as one: of each a line with its name and its length, and its bytes.
#[allow(dead_code, reason = "the fuzz targets only unpack")]
pub fn pack(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut packed = Vec::new();
    for (name, bytes) in files {
        packed.extend(format!("{name} {}\n", bytes.len()).bytes());
        packed.extend(*bytes);
    }
    packed
}

/// The files that [`pack`] has packed, with their names, as far as they make sense.
fn unpacked(mut bytes: &[u8]) -> Vec<(&str, &[u8])> {
    let mut files = Vec::new();
    while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
        let Ok(line) = std::str::from_utf8(&bytes[..end]) else { break };
        let Some((name, length)) = line.rsplit_once(' ') else { break };
        let (rest, Ok(length)) = (&bytes[end + 1..], length.parse::<usize>()) else { break };
        let (file, rest) = rest.split_at(length.min(rest.len()));
        files.push((name, file));
        bytes = rest;
    }
    files
}

/// Writes the files that [`pack`] has packed into `folder`; how many these are.
pub fn unpack(bytes: &[u8], folder: &Path) -> usize {
    let write = |(name, file): &(&str, &[u8])| {
        let name = Path::new(name);
        // Nothing is written outside of the folder.
        let is_inside = name.components().all(|part| matches!(part, Component::Normal(_)));
        let path = folder.join(name);
        let is_made = is_inside && path.parent().is_some_and(|parent| fs::create_dir_all(parent).is_ok());
        is_made && fs::write(&path, file).is_ok()
    };
    unpacked(bytes).iter().filter(|file| write(file)).count()
}

/// A folder with the files that [`pack`] has packed.
fn in_unpacked(bytes: &[u8], read: impl Fn(&Path)) {
    in_folder(&[], "unused", &[], |folder| {
        if unpack(bytes, folder) > 0 {
            read(folder);
        }
    });
}

fn in_file(bytes: &[u8], read: impl Fn(&Path)) {
    in_folder(bytes, "file", &[], |folder| read(&folder.join("file")));
}

/// Asks for an end when so much of an image is done.
struct StopsAt(f64);

impl Watcher for StopsAt {
    fn image(&mut self, report: &ImageReport) -> Flow {
        if report.done < self.0 { Flow::Continue(()) } else { Flow::Break(()) }
    }
}

/// The smallest network for one channel.
fn smallest() -> Model {
    let architecture = Architecture::new(1, 1, 1);
    Model {
        parameters: initialise(&architecture, 1),
        architecture,
        task: Task::Regress,
        input: Normalisation::identity(1).into(),
        target: Some(Normalisation::identity(1)),
        slab: 1,
        self_supervised: None,
        upscaling: None,
        provenance: Default::default(),
    }
}

/// Runs the program as its command line would; what it says on the way goes nowhere.
#[cfg(feature = "cli")]
fn run(arguments: &[String]) {
    use clap::Parser;
    use msd_gpu::commands::Arguments;

    let all = std::iter::once("msd-gpu").chain(arguments.iter().map(String::as_str));
    if let Ok(arguments) = Arguments::try_parse_from(all) {
        let _ = msd_gpu::commands::run(arguments);
    }
}
