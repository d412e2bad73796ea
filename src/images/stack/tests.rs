//! Stacks in all formats: read as they were written, by this program and by others.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use tiff::decoder::DecodingResult;

use super::create::open_typed;
use super::*;
use crate::files::unfinished_name;
use crate::geometry::tiles::tiles;
use crate::images::source::SampleKind;
use crate::images::{NumberType, Sink, VoxelSize, discover, open_volume, read_values};

const UNSIGNED: fn(u8) -> SampleType = |bits| SampleType { kind: SampleKind::Unsigned, bits };
const FLOAT: SampleType = SampleType { kind: SampleKind::Float, bits: 32 };

fn stack(path: &Path, extent: Extent, channels: usize, numbers: SampleType) -> TypedStack {
    let size = VoxelSize { z: 2.0, y: 0.7, x: 0.5, unit: "\u{b5}m".into() };
    let layout = StackLayout::slices(extent.z).with_voxel_size(Some(size));
    TypedStack {
        path: path.to_path_buf(),
        extent,
        channels,
        numbers,
        layout,
        classes: Vec::new(),
        resume: false,
        written: 0,
        work: None,
        share: None,
        dataset: None,
    }
}

/// The number of a pixel.
fn number(channel: usize, z: usize, y: usize, x: usize) -> usize {
    (channel * 91 + z * 31 + y * 7 + x) % 120
}

fn part(stack: &TypedStack, part: Window) -> DecodingResult {
    let mut all = Vec::new();
    for channel in 0..stack.channels {
        for z in part.slices() {
            for y in part.rows() {
                all.extend(part.columns().map(|x| number(channel, z, y, x)));
            }
        }
    }
    let store = NumberType::holding(stack.numbers).store();
    let all: Vec<f64> = all.into_iter().map(|n| n as f64).collect();
    store(ndarray::ArrayView4::from_shape((1, 1, 1, all.len()), &all).unwrap()).unwrap()
}

/// Writes images from `first` to before `end`, in parts where the format takes them.
fn put(file: &mut Box<dyn StackFile>, stack: &TypedStack, first: usize, end: usize) {
    let extent = Extent { z: end - first, ..stack.extent };
    let tile = if file.takes_parts() { Extent::new(2, 3, 4) } else { Extent { z: 2, ..stack.extent } };
    for tile in tiles(extent, tile, [0; 3]) {
        let window = Window { z: tile.core.z + first, ..tile.core };
        file.put(window, part(stack, window)).unwrap();
    }
}

const FORMATS: fn() -> [(StackFormat, &'static str); 4] = || {
    [
        (StackFormat::Npy, "npy"),
        (StackFormat::Mrc, "mrc"),
        (StackFormat::Nifti, "nii"),
        (StackFormat::Hdf5, "h5"),
    ]
};

#[test]
fn what_is_written_is_read_and_a_killed_program_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    for (format, ending) in FORMATS() {
        // More images than a node of HDF5's tree of chunks has.
        for (channels, numbers, images) in
            [(1, UNSIGNED(8), 150), (1, UNSIGNED(16), 5), (1, FLOAT, 5), (2, FLOAT, 5)]
        {
            if channels > 1 && format == StackFormat::Mrc {
                continue;
            }
            let path = folder.path().join(format!("{channels}_{numbers}.{ending}"));
            let mut new = stack(&path, Extent::new(images, 5, 6), channels, numbers);
            let mut file = open_typed(new.clone(), format).unwrap();
            put(&mut file, &new, 0, 3);
            file.keep();
            drop(file);
            assert!(!path.exists());
            (new.resume, new.written) = (true, 2);
            let mut file = open_typed(new.clone(), format).unwrap();
            put(&mut file, &new, 2, images);
            file.done().unwrap();
            let volume = open_volume(path.to_str().unwrap()).unwrap();
            assert_eq!((volume.extent(), volume.channels()), (new.extent, channels), "{}", path.display());
            let found = volume.read(Window::whole(new.extent)).unwrap();
            for ((channel, z, y, x), found) in found.indexed_iter() {
                assert_eq!(
                    *found,
                    number(channel, z, y, x) as f32,
                    "{} {channel} {z} {y} {x}",
                    path.display()
                );
            }
            let unit = match ending {
                "mrc" => Some((20_000.0, "\u{c5}")),
                "npy" => None,
                _ => Some((2.0, "\u{b5}m")),
            };
            let size = volume.voxel_size().map(|size| (size.z, size.unit.as_str()));
            assert_eq!(size, unit, "{}", path.display());
        }
    }
    // The unfinished files have become finished ones.
    let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.into_iter().all(|name| !name.to_string_lossy().starts_with('.')));
}

#[test]
fn one_image_is_an_image() {
    let folder = tempfile::tempdir().unwrap();
    for (format, ending) in FORMATS() {
        for numbers in [UNSIGNED(8), FLOAT] {
            let path = folder.path().join(format!("{numbers}.{ending}"));
            let new = stack(&path, Extent::plane(5, 6), 1, numbers);
            let mut file = open_typed(new.clone(), format).unwrap();
            put(&mut file, &new, 0, 1);
            file.done().unwrap();
            let images = discover(path.to_str().unwrap()).unwrap();
            assert_eq!(images.len(), 1);
            assert_eq!(read_values(&images[0]).unwrap()[[0, 4, 5]], number(0, 0, 4, 5) as f32);
        }
    }
}

#[test]
fn a_program_that_was_killed_before_a_whole_file_had_its_name_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5");
    let new = stack(&path, Extent::new(4, 5, 6), 1, UNSIGNED(8));
    let mut file = open_typed(new.clone(), StackFormat::Hdf5).unwrap();
    put(&mut file, &new, 0, 4);
    file.done().unwrap();
    let whole = std::fs::read(&path).unwrap();
    std::fs::rename(&path, unfinished_name(&path)).unwrap();
    // What was noted last is done again.
    let on = TypedStack { resume: true, written: 3, ..new.clone() };
    let mut file = open_typed(on, StackFormat::Hdf5).unwrap();
    put(&mut file, &new, 3, 4);
    file.done().unwrap();
    assert!(std::fs::read(&path).unwrap() == whole);
}

#[test]
fn what_does_not_fit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let extent = Extent::new(4, 5, 6);
    for (format, ending) in FORMATS() {
        let path = folder.path().join(format!("a.{ending}"));
        for numbers in [UNSIGNED(8), FLOAT] {
            let new = stack(&path, extent, 1, numbers);
            let wrong = if numbers == FLOAT { UNSIGNED(16) } else { FLOAT };
            let mut file = open_typed(new.clone(), format).unwrap();
            let window = Window::new(0..1, 0..5, 0..6);
            assert!(file.put(window, part(&stack(&path, extent, 1, wrong), window)).is_err());
            assert!(file.put(window, part(&new, Window::new(0..1, 0..5, 0..5))).is_err());
            assert!(file.put(Window::new(4..5, 0..5, 0..6), part(&new, window)).is_err());
            file.keep();
            drop(file);
            // Another stack, whose images nobody has written. Where each number has its place, they are left as they are.
            if format != StackFormat::Hdf5 || numbers == FLOAT {
                continue;
            }
            let other =
                TypedStack { resume: true, written: 2, ..stack(&path, Extent::new(9, 5, 6), 1, numbers) };
            let error = open_typed(other, format).err().unwrap().to_string();
            assert!(error.contains("2 images of it were written before"), "{error}");
        }
        let missing = stack(&folder.path().join(format!("missing/a.{ending}")), extent, 1, FLOAT);
        assert!(open_typed(missing, format).err().unwrap().to_string().contains("make the folder first"));
    }
    let path = folder.path().join("b.mrc");
    let signed = SampleType { kind: SampleKind::Signed, bits: 32 };
    for new in [stack(&path, extent, 2, FLOAT), stack(&path, extent, 1, signed)] {
        assert!(open_typed(new, StackFormat::Mrc).err().unwrap().to_string().contains("MRC files hold"));
    }
    let long = stack(&path, Extent::new(40_000, 1, 1), 1, FLOAT);
    assert!(open_typed(long, StackFormat::Nifti).err().unwrap().to_string().contains("32767"));
}

/// Python with h5py, mrcfile, nibabel and numpy is the one that `MSD_GPU_PYTHON` names, else `python3`.
#[test]
#[ignore = "needs Python with h5py, mrcfile and nibabel; tests/run.sh runs it"]
fn stacks_are_read_by_other_programs() {
    let folder = tempfile::tempdir().unwrap();
    for (format, ending) in FORMATS() {
        for (_, numbers) in NumberType::NAMES {
            let is_wider = format.type_for(numbers, folder.path()) != numbers;
            for (channels, images) in [(1, 1), (1, 7), (1, 5000), (3, 7)] {
                let is_long = images > 100 && !matches!(numbers, NumberType::U8 | NumberType::F32);
                if is_wider || is_long || format == StackFormat::Mrc && channels > 1 {
                    continue;
                }
                let numbers = numbers.sample();
                let path = folder.path().join(format!("{channels}_{images}_{numbers}.{ending}"));
                let new = stack(&path, Extent::new(images, 5, 6), channels, numbers);
                let mut file = open_typed(new.clone(), format).unwrap();
                put(&mut file, &new, 0, images);
                file.done().unwrap();
            }
        }
    }
    check_with_python("read_stacks.py", folder.path());
}

/// Runs a script of `tests/images` on a folder.
fn check_with_python(script: &str, folder: &Path) {
    let python = std::env::var("MSD_GPU_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images").join(script);
    let status = Command::new(&python).arg(script).arg(folder).status();
    assert!(status.unwrap_or_else(|error| panic!("{python}: {error}")).success());
}

/// Python with tifffile and numpy is the one that `MSD_GPU_PYTHON` names, else `python3`.
#[test]
#[ignore = "needs Python with tifffile; tests/run.sh runs it"]
fn tiff_stacks_are_read_by_other_programs() {
    let folder = tempfile::tempdir().unwrap();
    let mut wanted = Vec::new();
    for ending in ["tif", "tiff", "btf", "tf8", "ome.tif", "ome.tiff", "ome.btf", "ome.tf8"] {
        let of_axes = [&[('Z', 4)][..], &[('T', 2), ('Z', 3)], &[('Z', 2), ('T', 3)]];
        let all = of_axes.into_iter().flat_map(|axes| [1, 2].map(|channels| (axes, channels)));
        for (axes, channels) in all {
            for (_, numbers) in NumberType::NAMES {
                let is_ome = ending.starts_with("ome");
                let pixel_of_ome = StackFormat::OmeTiff.type_for(numbers, folder.path());
                if is_ome && pixel_of_ome != numbers {
                    continue;
                }
                let letters: String = axes.iter().map(|(axis, _)| *axis).collect();
                let file = format!("{letters}_{channels}_{numbers}.{ending}");
                let size = VoxelSize { z: 2.0, y: 0.5, x: 0.25, unit: "\u{b5}m".into() };
                let extent = Extent::new(axes.iter().map(|(_, length)| length).product(), 5, 6);
                let new = NewStack {
                    channels,
                    layout: Some(StackLayout::with(axes, Some(size))),
                    ..NewStack::new(folder.path().join(&file), extent)
                };
                let mut sink = new.numbers(StackFormat::Tiff, numbers, false).unwrap();
                let all = ndarray::Array4::from_shape_fn((channels, extent.z, 5, 6), |(c, z, y, x)| {
                    number(c, z, y, x) as f64
                });
                sink.write(Window::whole(extent), all.view()).unwrap();
                Box::new(sink).done().unwrap();
                let mut shape: Vec<usize> = axes.iter().map(|(_, length)| *length).collect();
                shape.extend((channels > 1).then_some(channels));
                shape.extend([5, 6]);
                let is_of_imagej = matches!(numbers, NumberType::U8 | NumberType::U16 | NumberType::F32);
                let names = format!("{letters}{}YX", if channels > 1 { "C" } else { "" });
                wanted.push(json!({
                    "file": file, "axes": names, "shape": shape, "channels": channels, "type": numbers.to_string(),
                    // ImageJ has one order of axes and few types, for others there is OME-XML where it has them.
                    "ome": is_ome || pixel_of_ome == numbers && !(is_of_imagej && letters != "ZT"),
                    "big": ending.ends_with("btf") || ending.ends_with("tf8"),
                    "size": [2.0, 0.5, 0.25],
                }));
            }
        }
    }
    std::fs::write(folder.path().join("wanted.json"), json!(wanted).to_string()).unwrap();
    check_with_python("read_tiffs.py", folder.path());
}
