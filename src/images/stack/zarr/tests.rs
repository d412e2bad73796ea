use std::process::Command;

use super::*;
use crate::geometry::Extent;
use crate::images::StackLayout;
use crate::images::annotations::Annotations;
use crate::images::arrays::{OpenArray, Wanted, open};
use crate::images::source::{SampleKind, SampleType};
use crate::images::space::Space;
use crate::images::stack::ClassLook;
use crate::images::units::{MICROMETRE, PIXEL};
use crate::images::volume::VoxelSize;

const VERSIONS: [OmeVersion; 2] = [OmeVersion::V04, OmeVersion::V05];
const FLOAT: SampleType = SampleType { kind: SampleKind::Float, bits: 32 };
const BYTE: SampleType = SampleType { kind: SampleKind::Unsigned, bits: 8 };

fn stack(
    path: &Path,
    extent: Extent,
    channels: usize,
    numbers: SampleType,
    axes: &[(char, usize)],
) -> TypedStack {
    let size = VoxelSize { z: 2.0, y: 0.5, x: 0.25, unit: MICROMETRE.into() };
    let layout = StackLayout::with(axes, Some(size));
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

fn classes() -> Vec<ClassLook> {
    let class = |value, name: &str, colour| ClassLook { value, name: name.into(), colour };
    vec![class(0, "background", [0, 0, 0]), class(1, "cell", [255, 128, 0]), class(2, "wall", [0, 0, 255])]
}

/// Another number for each pixel, in `f32` or small in `u8`.
fn number(channel: usize, image: usize, pixel: usize) -> usize {
    (channel * 5003 + image * 1009 + pixel * 7) % 4099
}

/// The numbers of an image as they are put.
fn image(stack: &TypedStack, image: usize) -> DecodingResult {
    let pixels = stack.extent.y * stack.extent.x;
    let all =
        (0..stack.channels).flat_map(|channel| (0..pixels).map(move |pixel| number(channel, image, pixel)));
    if stack.numbers == BYTE {
        DecodingResult::U8(all.map(|number| (number % 3) as u8).collect())
    } else {
        DecodingResult::F32(all.map(|number| number as f32 / 4.0).collect())
    }
}

fn put(file: &mut ZarrFile, images: std::ops::Range<usize>) {
    let Extent { y, x, .. } = file.stack.extent;
    for number in images {
        let numbers = image(&file.stack, number);
        file.put(Window::new(number..number + 1, 0..y, 0..x), numbers).unwrap();
    }
}

fn write(stack: &TypedStack, version: OmeVersion) {
    let mut file = ZarrFile::begin(stack.clone(), version).unwrap();
    put(&mut file, 0..stack.extent.z);
    Box::new(file).done().unwrap();
}

fn read(path: &Path, inside: Option<&str>, level: usize) -> OpenArray {
    open(path, inside, Wanted { level, axes: None }).unwrap()
}

/// All numbers of image `number` of an array.
fn numbers(array: &std::sync::Arc<OpenArray>, number: usize) -> Vec<f32> {
    let header = array.header(None);
    let image = crate::images::arrays::ArrayImage { array: array.clone(), number, channel: None };
    match array.decode(&image, 0..header.height, 0..header.width).unwrap().samples {
        DecodingResult::F32(values) => values,
        DecodingResult::U8(values) => values.into_iter().map(f32::from).collect(),
        _ => panic!("another type"),
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn sizes_without_a_unit_stay_without_one() {
    for version in VERSIONS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zarr");
        let size = VoxelSize { z: 2.0, y: 0.5, x: 0.25, unit: PIXEL.into() };
        let layout = StackLayout::with(&[('Z', 3)], Some(size.clone()));
        let stack = TypedStack { layout, ..stack(&path, Extent::new(3, 8, 9), 1, FLOAT, &[('Z', 3)]) };
        write(&stack, version);
        assert_eq!(read(&path, None, 0).voxel_size(), Some(&size));
        let group = std::fs::read_dir(&path).unwrap().filter_map(|entry| {
            std::fs::read_to_string(entry.unwrap().path()).ok().filter(|text| text.contains("multiscales"))
        });
        assert!(group.into_iter().all(|text| !text.contains("\"unit\"")));
    }
}

/// Where it is not known how far apart slices lie, they are taken to lie as far apart as rows, and are not read as something else.
#[test]
fn a_depth_that_is_not_known_is_that_of_rows_where_sizes_have_no_unit() {
    let folder = tempfile::tempdir().unwrap();
    let stack = stack(&folder.path().join("a.zarr"), Extent::new(3, 8, 9), 1, FLOAT, &[('Z', 3)]);
    let axes = axes::Axes::of(&stack);
    for (unit, wanted) in [(PIXEL, 2.0), (MICROMETRE, 1.0)] {
        let size = VoxelSize { z: 2.0, y: 2.0, x: 2.0, unit: unit.into() };
        let annotations = Annotations { depth_is_unknown: true, ..Annotations::default() };
        let grid = metadata::Grid { size: Some(&size), origin: None, annotations: &annotations };
        let said = OmeVersion::V05.multiscales("a", &axes, &grid, 1, false, "");
        let scale = said.pointer("/0/datasets/0/coordinateTransformations/0/scale").unwrap();
        assert_eq!(*scale, serde_json::json!([wanted, 2.0, 2.0]), "{said}");
    }
}

#[test]
fn where_an_image_lies_is_kept_at_every_level() {
    for version in VERSIONS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zarr");
        let stack = stack(&path, Extent::new(3, 300, 600), 1, FLOAT, &[('Z', 3)]);
        let layout = stack.layout.clone().lying_at(Space::Ome([10.0, -20.0, 30.0]));
        write(&TypedStack { layout, ..stack }, version);
        assert_eq!(read(&path, None, 0).space(), Some(&Space::Ome([10.0, -20.0, 30.0])));
        // A pixel of the next level is the mean of two by two, of 0.5 and 0.25 each: its middle is half a pixel further on.
        assert_eq!(read(&path, None, 1).space(), Some(&Space::Ome([10.125, -19.75, 30.0])));
    }
}

#[test]
fn images_are_found_again_with_axes_sizes_and_levels() {
    for version in VERSIONS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zarr");
        let stack = stack(&path, Extent::new(6, 300, 1030), 2, FLOAT, &[('Z', 3), ('T', 2), ('C', 2)]);
        write(&stack, version);
        assert_eq!(names(folder.path()), ["a.zarr"]);
        let array = std::sync::Arc::new(read(&path, None, 0));
        assert_eq!((array.axes().as_str(), array.image_count()), ("TCZYX", 6));
        assert_eq!(array.voxel_size(), stack.layout.voxel_size());
        for image in 0..6 {
            // Images come with Z slowest and are found with T slowest.
            let DecodingResult::F32(wanted) = super::tests::image(&stack, image) else { panic!() };
            assert!(numbers(&array, image % 2 * 3 + image / 2) == wanted, "image {image}");
        }
        let smaller = std::sync::Arc::new(read(&path, None, 1));
        let header = smaller.header(None);
        assert_eq!((header.height, header.width), (150, 515));
        let mean =
            [0, 1, 1030, 1031].iter().map(|pixel| number(0, 0, *pixel) as f32 / 4.0).sum::<f32>() / 4.0;
        assert_eq!(numbers(&smaller, 0)[0], mean);
        assert_eq!(read(&path, None, 3).header(None).width, 129);
        assert!(
            open(&path, None, Wanted { level: 4, axes: None })
                .unwrap_err()
                .to_string()
                .contains("has 4 levels")
        );
    }
}

#[test]
fn labels_stand_where_programs_look_for_them_and_keep_their_values() {
    for version in VERSIONS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cells.zarr");
        let stack =
            TypedStack { classes: classes(), ..stack(&path, Extent::new(2, 20, 600), 1, BYTE, &[('Z', 2)]) };
        write(&stack, version);
        for inside in [None, Some("labels/cells")] {
            let array = std::sync::Arc::new(read(&path, inside, 0));
            assert_eq!(array.axes(), "ZYX");
            let DecodingResult::U8(wanted) = image(&stack, 1) else { panic!() };
            assert!(numbers(&array, 1).iter().map(|value| *value as u8).eq(wanted));
            let smaller = std::sync::Arc::new(read(&path, inside, 1));
            let label = |pixel: usize| (number(0, 1, pixel) % 3) as f32;
            assert_eq!(numbers(&smaller, 1)[..3], [label(0), label(2), label(4)]);
        }
    }
}

#[test]
fn a_stack_is_gone_on_with_where_it_was_stopped() {
    for version in VERSIONS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zarr");
        let mut stack = stack(&path, Extent::new(3, 30, 20), 1, FLOAT, &[('Z', 3)]);
        let mut file = ZarrFile::begin(stack.clone(), version).unwrap();
        put(&mut file, 0..2);
        file.keep();
        let error = file.put(Window::new(0..1, 0..30, 0..20), image(&stack, 0)).unwrap_err().to_string();
        assert!(error.contains("of which 2 is the next"), "{error}");
        let error = Box::new(file).done().unwrap_err().to_string();
        assert!(error.contains("2 of 3 images"), "{error}");
        assert_eq!(names(folder.path()), [".msd-gpu-a.zarr.part"]);
        // Of another size, or gone.
        stack.written = 2;
        let other = TypedStack { extent: Extent::new(3, 31, 20), ..stack.clone() };
        let error = ZarrFile::begin(other, version).err().unwrap().to_string();
        assert!(error.contains("start it anew"), "{error}");
        // A program that was killed while it wrote what a group says.
        std::fs::write(folder.path().join(".msd-gpu-a.zarr.part/.msd-gpu-abc.part"), "{").unwrap();
        let mut file = ZarrFile::begin(stack.clone(), version).unwrap();
        put(&mut file, 2..3);
        Box::new(file).done().unwrap();
        assert!(!names(&path).iter().any(|name| name.ends_with(".part")), "{:?}", names(&path));
        let array = std::sync::Arc::new(read(&path, None, 0));
        for number in 0..3 {
            let DecodingResult::F32(wanted) = image(&stack, number) else { panic!() };
            assert_eq!(numbers(&array, number), wanted);
        }
        assert!(ZarrFile::begin(stack, version).is_err());
    }
}

#[test]
fn results_are_replaced_whole_and_other_things_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.zarr");
    let small = stack(&path, Extent::new(1, 3, 4), 1, FLOAT, &[('Z', 1)]);
    write(&small, OmeVersion::V04);
    write(&small, OmeVersion::V05);
    assert_eq!(names(folder.path()), ["a.zarr"]);
    assert_eq!(names(&path), ["0", "zarr.json"]);
    assert_eq!(read(&path, None, 0).axes(), "YX");
    // A program that was killed between the two renamings leaves the old result under another name.
    std::fs::rename(&path, folder.path().join(".a.zarr.replaced")).unwrap();
    drop(ZarrFile::begin(small.clone(), OmeVersion::V05).unwrap());
    assert_eq!(names(&path), ["0", "zarr.json"]);
    std::fs::write(folder.path().join("notes"), "x").unwrap();
    for other in ["notes", "missing/a.zarr"] {
        let other = TypedStack { path: folder.path().join(other), ..small.clone() };
        let error = ZarrFile::begin(other, OmeVersion::V05).err().unwrap().to_string();
        assert!(error.contains("no Zarr folder") || error.contains("make the folder first"), "{error}");
    }
}

#[test]
fn halving_means_values_and_keeps_labels() {
    let plane = |numbers| Plane { numbers, rows: 3, columns: 3 };
    let of = |numbers, labels| plane(numbers).halved(labels);
    let bytes = || DecodingResult::U8(vec![0, 1, 255, 2, 0, 255, 9, 10, 200]);
    assert!(matches!(of(bytes(), false).numbers, DecodingResult::U8(found) if found == [1, 255, 10, 200]));
    assert!(matches!(of(bytes(), true).numbers, DecodingResult::U8(found) if found == [0, 255, 9, 200]));
    let signed =
        DecodingResult::I64(vec![i64::MIN, i64::MIN, i64::MAX, i64::MIN, i64::MIN, i64::MAX, -3, -4, -5]);
    assert!(
        matches!(of(signed, false).numbers, DecodingResult::I64(found) if found == [i64::MIN, i64::MAX, -3, -5])
    );
}

/// The Python with zarr, ome-zarr and ome-zarr-models is the one that `MSD_GPU_PYTHON` names, else `python3`.
#[test]
#[ignore = "needs Python with zarr and ome-zarr; tests/run.sh runs it"]
fn zarr_folders_are_those_that_other_programs_read() {
    let python = std::env::var("MSD_GPU_PYTHON").unwrap_or_else(|_| "python3".into());
    let folder = tempfile::tempdir().unwrap();
    for version in VERSIONS {
        let at = |name: &str| folder.path().join(format!("{name}_{version:?}.zarr"));
        for stack in [
            stack(&at("values"), Extent::new(4, 300, 1030), 1, FLOAT, &[('Z', 4)]),
            stack(&at("channels"), Extent::new(6, 30, 40), 2, FLOAT, &[('Z', 3), ('T', 2), ('C', 2)]),
            stack(&at("plane"), Extent::new(1, 30, 40), 1, BYTE, &[('Z', 1)]),
            TypedStack {
                classes: classes(),
                ..stack(&at("labels"), Extent::new(3, 20, 600), 1, BYTE, &[('Z', 3)])
            },
        ] {
            write(&stack, version);
            // The numbers [channel][image][y][x], so that nothing that this crate reads is needed to know them.
            let mut raw: Vec<u8> = Vec::new();
            for number in 0..stack.extent.z {
                match image(&stack, number) {
                    DecodingResult::U8(values) => raw.extend(values),
                    DecodingResult::F32(values) => {
                        raw.extend(values.iter().flat_map(|value| value.to_le_bytes()))
                    }
                    _ => panic!("another type"),
                }
            }
            std::fs::write(stack.path.with_extension("raw"), raw).unwrap();
        }
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images/check_zarrs.py");
    let status = Command::new(&python).arg(script).arg(folder.path()).status();
    assert!(status.unwrap_or_else(|error| panic!("{python}: {error}")).success());
}
