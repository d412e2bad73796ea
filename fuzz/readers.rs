//! What the fuzz targets and `tests/fuzz_corpus.rs` share: bytes of one format, read as the program reads such a file.
//!
//! Reading may succeed or fail; it must not panic, and take little time and memory, however the bytes lie.

use std::fs;
use std::path::{Component, Path};

use msd_gpu::devices::Device;
use msd_gpu::exchange::{ImportOptions, import_bytes};
use msd_gpu::geometry::Window;
use msd_gpu::images::{
    Discovery, ImageSource, Slices, Volume, discover, overview, page_size, read_image, read_labels,
    read_values,
};
use msd_gpu::inference::{Cutting, Ensemble, Procedure, Products, Wishes, predict};
use msd_gpu::network::{Architecture, Model, Normalisation, Task, initialise};
#[cfg(feature = "portal")]
use msd_gpu::portal::Project;
use msd_gpu::registry::{Keys, Registry};
use msd_gpu::samples::Measurements;
use msd_gpu::tomography::{Scan, ScanFiles};
use msd_gpu::training::{Prepared, RunFolder, Settings, TaskKind, read_settings};
use msd_gpu::watcher::{Flow, ImageReport, Watcher};

/// Images of more numbers are not read whole: the file may well hold them, and then they take what they take.
const MOST_NUMBERS: usize = 1 << 18;
/// As [`MOST_NUMBERS`], of JPEG whose scans are counted.
const MOST_COUNTED: usize = 1 << 22;
/// Of a stack no more images are read than these.
const MOST_IMAGES: usize = 3;
/// The rows and columns of a part.
const PART: usize = 16;

/// A reader: what it is called, as its fuzz target and the folder of its corpus are, and what it does with the bytes.
pub type Reader = (&'static str, fn(&[u8]));

/// All readers.
pub const READERS: &[Reader] = &[
    ("angles", angles),
    ("checkpoint", checkpoint),
    ("description", description),
    ("exchange", exchange),
    ("hdf5", file),
    ("history", history),
    #[cfg(feature = "portal")]
    ("journal", journal),
    ("jpeg", file),
    ("jpeg_scans", jpeg_scans),
    ("measurements", measurements),
    ("model", model),
    ("mrc", file),
    ("nifti", file),
    ("npy", file),
    ("pairs", pairs),
    ("png", file),
    ("prediction", prediction),
    #[cfg(feature = "portal")]
    ("project", project),
    ("raw", raw),
    ("raw_form", raw_form),
    ("registry", registry),
    ("results", results),
    ("scan", scan),
    ("settings", settings),
    #[cfg(feature = "portal")]
    ("strokes", strokes),
    ("tiff", tiff),
    ("zarr", zarr),
];

/// An image or array in one file; its first bytes tell the format.
pub fn file(bytes: &[u8]) {
    in_file(bytes, |path| images(path, &Discovery::default()));
}

/// A TIFF file, also at the next level of a pyramid.
pub fn tiff(bytes: &[u8]) {
    let mut level = Discovery::default();
    level.level = 1;
    in_file(bytes, |path| {
        images(path, &Discovery::default());
        images(path, &level);
    });
}

/// A JPEG file, which may be much smaller than its image.
pub fn jpeg_scans(bytes: &[u8]) {
    if !bytes.starts_with(&[0xff, 0xd8, 0xff]) {
        return;
    }
    in_file(bytes, |path| {
        let Some(page) = path.to_str().and_then(|place| discover(place).ok()?.pop()) else { return };
        if numbers_of(&page).is_some_and(|count| count <= MOST_COUNTED) {
            let _ = read_image(&page);
        }
    });
}

/// Numbers without a header.
pub fn raw(bytes: &[u8]) {
    let mut discovery = Discovery::default();
    discovery.raw = Some("8x4x2:u16le".into());
    in_file(bytes, |path| images(path, &discovery));
}

/// What somebody says of the form of a file without a header.
pub fn raw_form(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut discovery = Discovery::default();
    discovery.raw = Some(text.into());
    in_file(&[7; 64], |path| images(path, &discovery));
}

/// A scan, of which the rows in the middle are read.
pub fn scan(bytes: &[u8]) {
    in_file(bytes, |path| scan_in(path, &ScanFiles::default()));
}

/// A file of angles, of three projections.
pub fn angles(bytes: &[u8]) {
    in_folder(bytes, "angles.txt", &["a.png", "b.png", "c.png"], |folder| {
        let mut files = ScanFiles::default();
        files.angles = Some(folder.join("angles.txt").display().to_string());
        scan_in(&folder.join("*.png"), &files);
    });
}

fn scan_in(path: &Path, files: &ScanFiles) {
    let Some(place) = path.to_str() else { return };
    let Ok(scan) = Scan::open(place, files) else { return };
    let (rows, columns) = scan.size();
    let (projections, (flats, darks)) = (scan.angles().len(), scan.frames());
    let count = projections.saturating_add(flats).saturating_add(darks).saturating_mul(columns);
    if rows > 0 && count <= MOST_NUMBERS {
        let row = rows / 2..rows / 2 + 1;
        let _ = scan.projections(row.clone());
        let _ = scan.flats(row.clone());
        let _ = scan.darks(row);
    }
}

/// A list of images with their targets, beside two images.
pub fn pairs(bytes: &[u8]) {
    in_folder(bytes, "list.csv", &["a.png", "b.png"], |folder| {
        let list = folder.join("list.csv").display().to_string();
        let mut settings = Settings::new(TaskKind::Regress, list.clone(), list.clone());
        (settings.pairs, settings.depth) = (Some(list), Some(1));
        let _ = Prepared::load(&settings);
    });
}

/// The settings of a run, given by hand and in its folder.
pub fn settings(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(settings) = read_settings(text, Path::new("config.toml"))
    {
        let _ = settings.validate();
        let _ = settings.to_toml();
    }
    in_folder(bytes, "config.toml", &[], |folder| {
        let _ = RunFolder::settings(folder);
    });
}

/// The history of a run.
pub fn history(bytes: &[u8]) {
    in_folder(bytes, "history.csv", &[], |folder| {
        let _ = RunFolder::history(folder, &["psnr", "ssim"]);
    });
}

/// The file of a project.
#[cfg(feature = "portal")]
pub fn project(bytes: &[u8]) {
    in_folder(bytes, "project.toml", &[], |folder| {
        if fs::write(folder.join("journal.jsonl"), "").is_ok() {
            let _ = Project::as_of(folder, "");
        }
    });
}

/// The journal of a project, which opening it reads.
#[cfg(feature = "portal")]
pub fn journal(bytes: &[u8]) {
    in_folder(bytes, "journal.jsonl", &["a.png"], as_project);
}

/// The entries of a journal, a line each without its hash, to which the right one is added.
#[cfg(feature = "portal")]
pub fn strokes(bytes: &[u8]) {
    use sha2::{Digest, Sha256};

    let (mut before, mut chained) = (String::new(), Vec::new());
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| line.ends_with(b"}")) {
        let hash = Sha256::new().chain_update(&before).chain_update(line).finalize();
        before = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        chained.extend_from_slice(&line[..line.len() - 1]);
        chained.extend(format!(",\"hash\":\"{before}\"}}\n").bytes());
    }
    journal(&chained);
}

/// The project in a folder with a journal: a slice of 4 x 6 pixels and two classes.
#[cfg(feature = "portal")]
fn as_project(folder: &Path) {
    let about = r#"
        version = 1
        name = "p"
        next_image = 2
        [[images]]
        id = "i1"
        name = "a"
        path = "a.png"
        came = "copied"
        width = 6
        height = 4
        slices = 1
        channels = 1
        lowest = 0.0
        highest = 255.0
        low = 0.0
        high = 255.0
    "#;
    if fs::write(folder.join("project.toml"), about).is_err() {
        return;
    }
    let Ok(project) = Project::as_of(folder, "") else { return };
    for image in project.images() {
        let _ = project.labels(&image.id, 0);
        let _ = project.strokes(&image.id, 0);
        let _ = project.labelled(&image.id);
        let _ = project.painted_slices(&image.id);
    }
    let _ = project.drawn_of_classes();
}

/// The lines of the journal of a prediction that was stopped, behind the first one, which tells what it is of.
pub fn prediction(bytes: &[u8]) {
    in_folder(&[], "unused", &["a.png"], |folder| {
        let journal = folder.join("out/.msd-gpu-predict.part");
        predict_tiles(folder, false, &mut StopsAt(0.7));
        let Ok(text) = fs::read_to_string(&journal) else { return };
        let first = text.lines().next().unwrap_or_default();
        if fs::write(&journal, [first.as_bytes(), b"\n", bytes].concat()).is_ok() {
            predict_tiles(folder, true, &mut ());
        }
    });
}

/// What a folder says of the results in it.
pub fn results(bytes: &[u8]) {
    in_folder(&[], "unused", &["a.png"], |folder| {
        let out = folder.join("out");
        if fs::create_dir(&out).is_ok() && fs::write(out.join(".msd-gpu-results.jsonl"), bytes).is_ok() {
            predict_tiles(folder, true, &mut ());
        }
    });
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
        target: None,
        slab: 1,
        self_supervised: None,
        upscaling: None,
        provenance: Default::default(),
    }
}

/// Applies a network to the image in a folder, in six tiles.
fn predict_tiles(folder: &Path, resume: bool, watcher: &mut dyn Watcher) {
    let (out, image) = (folder.join("out"), folder.join("a.png"));
    let Ok(images) = discover(&image.display().to_string()) else { return };
    let models = vec![("model".to_owned(), smallest())];
    let Ok(mut ensemble) = Ensemble::new(models, &Device::cpu(), None, false) else { return };
    let Ok(products) = Products::of(&ensemble, Wishes::default(), &out) else { return };
    let Ok(cutting) = Cutting::of_text(Some(2), None, None) else { return };
    if products.prepare(&images).is_ok() {
        let procedure = Procedure::new(cutting, resume, false, None);
        let _ = predict(&mut ensemble, &images, &products, &procedure, watcher);
    }
}

/// What a registry says of one of its models.
pub fn registry(bytes: &[u8]) {
    in_folder(&[], "unused", &[], |folder| {
        let (model, registry) = (folder.join("model.safetensors"), Registry::new(folder.join("models")));
        if smallest().to_bytes().is_ok_and(|bytes| fs::write(&model, bytes).is_ok())
            && registry.add(&model, &Keys::default(), Some("m")).is_ok()
            && fs::write(folder.join("models/m/entry.toml"), bytes).is_ok()
        {
            let _ = registry.list();
            let _ = registry.nearest(&Keys::default(), |_| true);
        }
    });
}

/// What a run goes on from.
pub fn checkpoint(bytes: &[u8]) {
    in_folder(bytes, "checkpoint.safetensors", &[], |folder| {
        let _ = RunFolder::steps_made(folder);
    });
}

/// What was measured over the images of a run.
pub fn measurements(bytes: &[u8]) {
    let _ = Measurements::from_bytes(bytes).to_bytes();
    in_folder(bytes, "measurements.json", &["a.png", "b.png"], |folder| {
        let place = |name: &str| folder.join(name).display().to_string();
        let mut settings = Settings::new(TaskKind::Regress, place("a.png"), place("b.png"));
        (settings.depth, settings.cache) = (Some(1), Some("0".into()));
        let _ = Prepared::resumed(&settings, folder);
    });
}

/// What the folder of targets says of their classes.
pub fn description(bytes: &[u8]) {
    in_folder(bytes, "dataset.json", &["a.png"], |folder| {
        let place = folder.join("a.png").display().to_string();
        let _ = Settings::new(TaskKind::Segment, place.clone(), place).take_description();
    });
}

/// Bytes as the file `name` in a folder, beside small images.
fn in_folder(bytes: &[u8], name: &str, images: &[&str], read: impl Fn(&Path)) {
    let Ok(folder) = tempfile::tempdir() else { return };
    let folder = folder.path();
    let image = ndarray::Array2::from_shape_fn((4, 6), |(y, x)| (40 * y + 7 * x) as u8);
    let are_there =
        images.iter().all(|name| msd_gpu::images::write_png_grey8(folder.join(name), &image).is_ok());
    if are_there && fs::write(folder.join(name), bytes).is_ok() {
        read(folder);
    }
}

/// A model of this program.
pub fn model(bytes: &[u8]) {
    if let Ok(model) = Model::from_bytes(bytes, Path::new("model")) {
        let _ = model.to_bytes();
    }
}

/// A network of another program.
pub fn exchange(bytes: &[u8]) {
    let _ = import_bytes(bytes.to_vec(), Path::new("network"), &ImportOptions::default());
}

/// A Zarr folder, packed as [`pack`] does.
pub fn zarr(bytes: &[u8]) {
    let Ok(folder) = tempfile::tempdir() else { return };
    let path = folder.path().join("a.zarr");
    if fs::create_dir(&path).is_ok() && unpack(bytes, &path) > 0 {
        images(&path, &Discovery::default());
        let mut second = Discovery::default();
        second.level = 1;
        images(&path, &second);
    }
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

/// Writes the files that [`pack`] has packed into `folder`, as far as they make sense; how many these are.
pub fn unpack(mut bytes: &[u8], folder: &Path) -> usize {
    let mut count = 0;
    while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
        let Ok(line) = std::str::from_utf8(&bytes[..end]) else { break };
        let Some((name, length)) = line.rsplit_once(' ') else { break };
        let (rest, Ok(length)) = (&bytes[end + 1..], length.parse::<usize>()) else { break };
        let (file, rest) = rest.split_at(length.min(rest.len()));
        bytes = rest;
        let name = Path::new(name);
        // Nothing is written outside of the folder.
        if !name.components().all(|part| matches!(part, Component::Normal(_))) {
            break;
        }
        let path = folder.join(name);
        if let Some(parent) = path.parent()
            && fs::create_dir_all(parent).is_ok()
            && fs::write(&path, file).is_ok()
        {
            count += 1;
        }
    }
    count
}

fn in_file(bytes: &[u8], read: impl Fn(&Path)) {
    let Ok(folder) = tempfile::tempdir() else { return };
    let path = folder.path().join("file");
    if fs::write(&path, bytes).is_ok() {
        read(&path);
    }
}

/// How many numbers an image has, as its header says; `None` where it does not say it.
fn numbers_of(page: &ImageSource) -> Option<usize> {
    let (channels, height, width) = page_size(page).ok()?;
    channels.checked_mul(height)?.checked_mul(width)
}

/// Looks for the images at `path`, and reads some of them whole and in parts.
fn images(path: &Path, discovery: &Discovery) {
    let Some(place) = path.to_str() else { return };
    let Ok(pages) = discovery.discover(place) else { return };
    // An image whose header is damaged is read to be told what is wrong with it.
    let is_small = |page: &ImageSource| numbers_of(page).is_none_or(|count| count <= MOST_NUMBERS);
    for page in pages.iter().take(MOST_IMAGES).filter(|page| is_small(page)) {
        let _ = read_image(page);
        let _ = read_values(page);
        let _ = read_labels(page);
    }
    let count = pages.len();
    let is_small = count <= MOST_IMAGES && pages.iter().all(is_small);
    if is_small {
        let _ = overview(place, pages.clone(), &mut ());
    }
    if let Ok(volume) = Slices::new(place, pages) {
        parts(&volume);
    }
}

/// Reads the first and the last pixels of a volume.
fn parts(volume: &Slices) {
    let extent = volume.extent();
    let end = |length: usize| length.saturating_sub(PART)..length;
    let first = Window::new(0..1, 0..extent.y.min(PART), 0..extent.x.min(PART));
    let last = Window::new(extent.z - 1..extent.z, end(extent.y), end(extent.x));
    // Each number of a pixel is a channel, of which there may be very many.
    if volume.channels() <= MOST_NUMBERS / (PART * PART) {
        for window in [first, last] {
            let _ = volume.read(window);
            let _ = volume.read_labels(window);
        }
    }
}
