//! Training on images that stay in their files gives, to the last bit, what training on images in memory gives.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use msd_gpu::devices;
use msd_gpu::geometry::{Extent, Window};
use msd_gpu::images::{NewStack, NumberType, Sink, StackFormat, write_png_grey8, write_tiff_f32};
use msd_gpu::network::ParameterLayout;
use msd_gpu::training::{Prepared, Run, RunFolder, Settings, TaskKind};
use msd_gpu::watcher::{Flow, StepReport, Watcher};
use ndarray::{Array2, Array3, Axis};

const SLICES: usize = 5;
const HEIGHT: usize = 61;
const WIDTH: usize = 73;

/// Noise without a pattern.
fn noise(z: usize, y: usize, x: usize) -> usize {
    ((z * 7919 + y * 104_729 + x * 1_299_709) * 2_654_435_761) >> 9 & 1023
}

/// Images whose bright parts are of other classes.
fn images() -> Array3<f64> {
    let labels = labels();
    Array3::from_shape_fn((SLICES, HEIGHT, WIDTH), |(z, y, x)| {
        let label = labels[[z, y, x]] as usize;
        (100 + 200 * (label % 3) + noise(z, y, x) / 8) as f64
    })
}

/// Labels 0 and 1 with a few 2, and 9 for what nobody labelled: a corner, and all of the fourth slice.
fn labels() -> Array3<f64> {
    Array3::from_shape_fn((SLICES, HEIGHT, WIDTH), |(z, y, x)| match (z, y, x) {
        (3, ..) | (_, ..20, ..30) => 9.0,
        (_, 40..44, 50..55) => 2.0,
        _ => f64::from(u8::from((y / 9 + x / 11 + z) % 2 == 0)),
    })
}

fn weights() -> Array3<f64> {
    Array3::from_shape_fn((SLICES, HEIGHT, WIDTH), |(z, y, x)| ((x + 2 * y + z) % 3) as f64)
}

/// Writes a stack, or a folder of PNG files, and gives its path.
fn written(folder: &Path, name: &str, kind: &str, numbers: NumberType, values: &Array3<f64>) -> String {
    let format = match kind {
        "png" => {
            let path = folder.join(name);
            std::fs::create_dir(&path).unwrap();
            // An image of a folder that nobody labelled is taken for a mistake.
            for (number, slice) in values.outer_iter().enumerate().take(3) {
                write_png_grey8(path.join(format!("{number}.png")), &slice.mapv(|value| value as u8))
                    .unwrap();
            }
            return path.to_str().unwrap().to_owned();
        }
        "deflate" => return compressed(folder, name, values),
        "hdf5" => StackFormat::Hdf5,
        "zarr" => StackFormat::Zarr,
        "npy" => StackFormat::Npy,
        _ => StackFormat::Tiff,
    };
    let path = folder.join(format!("{name}.{}", format.ending()));
    let (slices, height, width) = values.dim();
    let new = NewStack::new(&path, Extent::new(slices, height, width));
    let mut sink = new.numbers(format, numbers, false).unwrap();
    for (z, slice) in values.outer_iter().enumerate() {
        let window = Window::new(z..z + 1, 0..height, 0..width);
        sink.write(window, slice.insert_axis(Axis(0)).insert_axis(Axis(0))).unwrap();
    }
    Box::new(sink).done().unwrap();
    path.to_str().unwrap().to_owned()
}

/// A TIFF stack of 16 bits, compressed in strips of a few rows.
fn compressed(folder: &Path, name: &str, values: &Array3<f64>) -> String {
    use tiff::encoder::{Compression, DeflateLevel, TiffEncoder, colortype::Gray16};
    let path = folder.join(format!("{name}.tif"));
    let file = std::fs::File::create(&path).unwrap();
    let mut encoder =
        TiffEncoder::new(file).unwrap().with_compression(Compression::Deflate(DeflateLevel::Fast));
    for slice in values.outer_iter() {
        let mut page = encoder.new_image::<Gray16>(WIDTH as u32, HEIGHT as u32).unwrap();
        page.rows_per_strip(7).unwrap();
        page.write_data(&slice.iter().map(|value| *value as u16).collect::<Vec<_>>()).unwrap();
    }
    path.to_str().unwrap().to_owned()
}

/// Small networks, few steps, and every change of what is shown.
fn settings(task: TaskKind, images: String, targets: String) -> Settings {
    let mut settings = Settings::new(task, images, targets);
    (settings.depth, settings.crop, settings.batch) = (Some(3), Some(24), 2);
    (settings.max_steps, settings.validate_every) = (Some(10), Some(1));
    settings.dilations = "1,2,3".into();
    for (name, text) in [
        ("rotate", "20"),
        ("scale", "0.2"),
        ("elastic", "3"),
        ("blur", "0.5"),
        ("contrast", "0.1"),
        ("noise", "0.1"),
    ] {
        settings.set(name, text).unwrap();
    }
    settings
}

/// The settings with so much memory for images.
fn held_in(cache: &str, settings: &Settings) -> Settings {
    let mut settings = settings.clone();
    settings.cache = Some(cache.into());
    settings
}

/// Trains in the folder `out`, and gives the bytes of the model.
fn trained(settings: &Settings, cache: &str, out: PathBuf) -> Vec<u8> {
    let settings = held_in(cache, settings);
    let prepared = Prepared::load(&settings).unwrap();
    let is_in_memory = prepared.training.items()[0].is_in_memory();
    assert_eq!(is_in_memory, cache == "1GB");
    let folder = RunFolder::create(&out).unwrap();
    let device = devices::choose("cpu").unwrap();
    Run::new(settings, &prepared).on(&device).save_in(&folder).train().unwrap();
    std::fs::read(out.join("model.safetensors")).unwrap()
}

/// Trains with images in memory and in files, and compares the models.
fn check(settings: &Settings, folder: &Path, what: &str) {
    let out = |name: &str| folder.join(format!("{what}-{name}"));
    let in_memory = trained(settings, "1GB", out("memory"));
    for cache in ["0", "10kB"] {
        assert!(trained(settings, cache, out(cache)) == in_memory, "{what} with a cache of {cache}");
    }
}

fn segmentation(folder: &Path, kind: &str) -> Settings {
    let path = |name: &str, numbers, values: &Array3<f64>| written(folder, name, kind, numbers, values);
    let images = path("images", NumberType::U16, &images());
    let targets = path("targets", NumberType::U8, &labels());
    let mut settings = settings(TaskKind::Segment, images, targets);
    settings.weights = Some(path("weights", NumberType::U8, &weights()));
    (settings.ignore, settings.favour_rare, settings.val_fraction) = (Some(9), Some(0.4), Some(0.3));
    settings.class_weights = Some("balanced".into());
    settings
}

#[test]
fn segmentations_of_every_kind_of_file_are_the_same_from_memory_and_from_files() {
    for kind in ["tiff", "deflate", "hdf5", "zarr", "npy", "png"] {
        let folder = tempfile::tempdir().unwrap();
        check(&segmentation(folder.path(), kind), folder.path(), kind);
    }
}

#[test]
fn slabs_are_the_same_from_memory_and_from_files() {
    for kind in ["tiff", "zarr", "png"] {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = segmentation(folder.path(), kind);
        settings.slab = 3;
        check(&settings, folder.path(), kind);
    }
}

#[test]
fn thresholds_whole_images_and_class_weights_of_0_are_the_same_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = segmentation(folder.path(), "tiff");
    (settings.weights, settings.threshold, settings.class_weights) = (None, Some(1), Some("1,0".into()));
    (settings.crop, settings.favour_rare) = (Some(0), Some(0.0));
    (settings.val_fraction, settings.normalise_per_image) = (None, true);
    check(&settings, folder.path(), "threshold");
}

#[test]
fn a_part_of_a_single_image_is_set_aside_in_files_too() {
    let folder = tempfile::tempdir().unwrap();
    let first = |values: Array3<f64>| values.slice_move(ndarray::s![..1, .., ..]);
    let path = |name: &str, values| written(folder.path(), name, "tiff", NumberType::U16, &first(values));
    let mut settings = settings(TaskKind::Segment, path("image", images()), path("target", labels()));
    (settings.ignore, settings.val_fraction) = (Some(9), Some(0.3));
    // Filters that do not reach far, as the image is small.
    settings.stem = "0.7".into();
    check(&settings, folder.path(), "region");
}

/// Where the weight is 0, image and target are NaN here and there.
#[test]
fn regressions_with_gaps_are_the_same_from_memory_and_from_files() {
    for (normalise, validates) in [("mean", true), ("2..98", false)] {
        let folder = tempfile::tempdir().unwrap();
        let (all, weights) = (images(), weights());
        for (name, factor) in [("images", 1.0), ("targets", 0.5), ("val", 1.0), ("val_targets", 0.5)] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            for (z, slice) in all.outer_iter().enumerate() {
                let is_gap = |y: usize, x: usize| {
                    !name.starts_with("val") && z < 2 && weights[[z, y, x]] == 0.0 && noise(z, y, x) < 90
                };
                let value = |(c, y, x): (usize, usize, usize)| match is_gap(y, x) {
                    true => f32::NAN,
                    false => (factor * slice[[y, x]]) as f32 + (c * y) as f32,
                };
                let image = Array3::from_shape_fn((2, HEIGHT, WIDTH), value);
                write_tiff_f32(folder.path().join(name).join(format!("{z}.tif")), &image).unwrap();
            }
        }
        std::fs::create_dir(folder.path().join("weights")).unwrap();
        for (z, slice) in weights.outer_iter().enumerate() {
            let image: Array2<f32> = slice.mapv(|weight| weight as f32);
            let path = folder.path().join("weights").join(format!("{z}.tif"));
            write_tiff_f32(path, &image.insert_axis(Axis(0))).unwrap();
        }
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let mut settings = settings(TaskKind::Regress, path("images"), path("targets"));
        settings.weights = Some(path("weights"));
        settings.val_images = validates.then(|| path("val"));
        settings.val_targets = validates.then(|| path("val_targets"));
        settings.normalise = normalise.into();
        check(&settings, folder.path(), "regression");
    }
}

/// Stops a run after a step, or takes a file away.
struct At<'a> {
    step: u64,
    act: &'a dyn Fn() -> Flow,
}

impl Watcher for At<'_> {
    fn step(&mut self, report: &StepReport) -> Flow {
        if report.step == self.step { (self.act)() } else { ControlFlow::Continue(()) }
    }
}

#[test]
fn runs_go_on_from_files_where_they_were_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let settings = segmentation(folder.path(), "deflate");
    let wanted = trained(&settings, "1GB", folder.path().join("memory"));
    let settings = held_in("0", &settings);
    let device = devices::choose("cpu").unwrap();
    let out = folder.path().join("stopped");
    let prepared = Prepared::load(&settings).unwrap();
    {
        let run = RunFolder::create(&out).unwrap();
        let mut stop = At { step: 4, act: &|| ControlFlow::Break(()) };
        let outcome = Run::new(settings.clone(), &prepared).on(&device).save_in(&run);
        assert_eq!(outcome.watched_by(&mut stop).train().unwrap().steps, 4);
    }
    let run = RunFolder::open(&out).unwrap();
    // What was measured is known from the first part of the run.
    let resumed = Prepared::resumed(&settings, &out).unwrap();
    // All is the same but for the mixing layer, which comes from the checkpoint.
    let mut model = resumed.model.clone();
    let layout = ParameterLayout::of(&model.architecture);
    for place in
        (0..model.architecture.outputs).flat_map(|output| layout.mix(output)).chain(layout.output_biases())
    {
        assert_eq!(model.parameters[place], 0.0);
        model.parameters[place] = prepared.model.parameters[place];
    }
    assert_eq!(model, prepared.model);
    Run::new(settings.clone(), &resumed).on(&device).save_in(&run).resume().train().unwrap();
    assert!(std::fs::read(out.join("model.safetensors")).unwrap() == wanted);
}

#[test]
fn images_are_measured_again_only_where_their_files_have_changed() {
    let folder = tempfile::tempdir().unwrap();
    let settings = held_in("0", &segmentation(folder.path(), "tiff"));
    let out = folder.path().join("run");
    trained(&settings, "0", out.clone());
    let print = |prepared: &Prepared| prepared.model.provenance["training_fingerprint"].clone();
    let first = print(&Prepared::load(&settings).unwrap());
    // Other pixels in a file of the same size and time cannot be noticed without reading all of it.
    let images = PathBuf::from(&settings.images);
    let time = std::fs::metadata(&images).unwrap().modified().unwrap();
    let mut bytes = std::fs::read(&images).unwrap();
    let length = bytes.len();
    bytes[length - 2000..].fill(7);
    std::fs::write(&images, bytes).unwrap();
    let set_time = |time| std::fs::File::options().write(true).open(&images).unwrap().set_modified(time);
    set_time(time).unwrap();
    assert_eq!(print(&Prepared::resumed(&settings, &out).unwrap()), first);
    set_time(time + std::time::Duration::from_secs(1)).unwrap();
    let changed = print(&Prepared::resumed(&settings, &out).unwrap());
    assert_ne!(changed, first);
    assert_eq!(changed, print(&Prepared::load(&settings).unwrap()));
    // What is damaged is measured anew.
    std::fs::write(out.join("measurements.json"), "{").unwrap();
    assert_eq!(changed, print(&Prepared::resumed(&settings, &out).unwrap()));
}

#[test]
fn a_page_that_cannot_be_read_any_more_ends_the_run_and_it_goes_on_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = segmentation(folder.path(), "png");
    settings.val_fraction = None;
    let wanted = trained(&settings, "1GB", folder.path().join("memory"));
    let settings = held_in("0", &settings);
    let device = devices::choose("cpu").unwrap();
    let out = folder.path().join("broken");
    let prepared = Prepared::load(&settings).unwrap();
    let (page, away) = (folder.path().join("images/1.png"), folder.path().join("1.png"));
    {
        let run = RunFolder::create(&out).unwrap();
        let mut take = At {
            step: 1,
            act: &|| {
                std::fs::rename(&page, &away).unwrap();
                ControlFlow::Continue(())
            },
        };
        let error = Run::new(settings.clone(), &prepared).on(&device).save_in(&run);
        let error = error.watched_by(&mut take).train().unwrap_err().to_string();
        assert!(error.contains("1.png"), "{error}");
    }
    std::fs::rename(&away, &page).unwrap();
    let run = RunFolder::open(&out).unwrap();
    Run::new(settings.clone(), &prepared).on(&device).save_in(&run).resume().train().unwrap();
    assert!(std::fs::read(out.join("model.safetensors")).unwrap() == wanted);
}
