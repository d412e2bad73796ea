//! Virtual datasets that h5py wrote (`tests/corpus`, by its `make.py`), in the forms of several versions of HDF5.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::images::arrays::{ArrayImage, OpenArray, Wanted, open};
use crate::images::decoded::each_type;
use crate::images::discover;

const VERSIONS: [&str; 3] = ["earliest", "v114", "latest"];

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/hdf5/virtual")
}

fn array(path: &Path, place: &str) -> crate::Result<Arc<OpenArray>> {
    open(path, Some(place), Wanted::default()).map(Arc::new)
}

/// The numbers of some rows of all images.
fn rows(array: &Arc<OpenArray>, rows: std::ops::Range<usize>) -> crate::Result<Vec<f64>> {
    let width = array.header(None).width;
    let mut numbers = Vec::new();
    for number in 0..array.image_count() {
        let image = ArrayImage { array: array.clone(), number, channel: None };
        let decoded = array.decode(&image, rows.clone(), 0..width)?;
        each_type!(decoded.samples, values => {
            numbers.extend(values.iter().map(|value| value.to_string().parse::<f64>().unwrap()));
        });
    }
    Ok(numbers)
}

fn all(path: &Path, place: &str) -> crate::Result<Vec<f64>> {
    let array = array(path, place)?;
    let height = array.header(None).height;
    rows(&array, 0..height)
}

/// The number that `make.py` has at a place of an array of images of 6 x 7 pixels.
fn number(z: usize, y: usize, x: usize) -> f64 {
    ((z * 42 + y * 7 + x) * 7 % 251) as f64
}

/// An array of which this is each number.
fn made([z, y, x]: [usize; 3], of: impl Fn(usize, usize, usize) -> f64) -> Vec<f64> {
    let mut numbers = Vec::new();
    for z in 0..z {
        (0..y).for_each(|y| numbers.extend((0..x).map(|x| of(z, y, x))));
    }
    numbers
}

/// Chunks of three slices of 6 x 7 numbers of two bytes, and a quarter more.
#[test]
fn blocks_of_parts_count_as_far_as_they_are_read_together() {
    let sets = corpus().join("sets_v114.h5");
    for (place, together) in
        [("one_after_the_other", 1), ("in_turn", 3), ("modules", 2), ("of_another", 1), ("columns", 0)]
    {
        let array = array(&sets, place).unwrap();
        assert_eq!(array.wanted_block_bytes(), together * 315, "{place}");
        assert_eq!((array.has_blocks(), array.has_thick_blocks()), (together > 0, together > 0), "{place}");
    }
    let thick = array(&corpus().join("thick_modules.h5"), "all").unwrap();
    assert_eq!((thick.wanted_block_bytes(), thick.rows_together()), (160 << 20, 128));
    // What is kept, a chunk of 2 MiB that is unpacked, and where the 64 chunks are.
    assert_eq!(thick.block_bytes_with(8 << 20), (8 << 20) + 3 * (2 << 20) + 64 * 160);
}

#[test]
fn parts_are_those_of_other_files_wherever_they_lie() {
    for version in VERSIONS {
        let sets = corpus().join(format!("sets_{version}.h5"));
        let of = |place: &str| all(&sets, place).unwrap_or_else(|error| panic!("{version} {place}: {error}"));
        let whole = made([12, 6, 7], number);
        assert_eq!(of("one_after_the_other"), whole, "{version}");
        assert_eq!(of("numbered"), whole, "{version}");
        assert_eq!(of("of_another"), whole, "{version}");
        let in_turn =
            made([13, 6, 7], |z, y, x| if z == 12 { 77.0 } else { number(z % 3 * 4 + z / 3, y, x) });
        assert_eq!(of("in_turn"), in_turn, "{version}");
        let module = |z: usize, y: usize, x: usize| {
            let is_gap = y % 8 > 5 || x == 0 || x == 8;
            if is_gap { -1.0 } else { number(y / 8 * 4 + z, y % 8, x - 1) }
        };
        assert_eq!(of("modules"), made([4, 14, 9], module), "{version}");
        // As many frames as the other file has.
        assert_eq!(of("growing"), made([4, 6, 7], number), "{version}");
        assert_eq!(of("moved"), made([4, 6, 7], number), "{version}");
        let column = |z: usize, y: usize, x: usize| {
            let (slice, column) = ([3, 0, 4][z], x * 2 + usize::from(z > 0));
            ((slice * 84 + y * 14 + column) * 7 % 251) as f64
        };
        assert_eq!(of("columns"), made([3, 6, 7], column), "{version}");
        // Some rows alone, across both modules.
        let modules = array(&sets, "modules").unwrap();
        assert_eq!(rows(&modules, 5..9).unwrap(), made([4, 4, 9], |z, y, x| module(z, y + 5, x)));
        assert_eq!(modules.header(None).samples.to_string(), "int32");
    }
}

#[test]
fn a_part_that_is_not_there_is_an_error_that_names_it() {
    for version in VERSIONS {
        let sets = corpus().join(format!("sets_{version}.h5"));
        for (place, part) in [
            (
                "missing",
                format!("in the file 'frames_{version}_9.h5', which is not there; copy it beside this one"),
            ),
            (
                "too_short",
                format!(
                    "frames_{version}_0.h5:/entry/data stands for a part of [6, 6, 7] numbers, but has [4, 6, 7]"
                ),
            ),
            (
                "outside",
                format!(
                    "frames_{version}_0.h5:/entry/data that are not there, as that has [4, 6, 7] numbers"
                ),
            ),
            ("above", "only files in its own folder or below are followed".to_owned()),
            ("round", "more than 4 of them one in the other".to_owned()),
        ] {
            let error = all(&sets, place).unwrap_err().to_string();
            assert!(error.contains(&part) && !error.contains('\n'), "{version} {place}: {error}");
        }
    }
    // A file of the first number has to be there, also where those of others need not.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5");
    std::fs::copy(corpus().join("sets_v114.h5"), &path).unwrap();
    let error = all(&path, "numbered").unwrap_err().to_string();
    assert!(error.contains("'frames_v114_0.h5', which is not there"), "{error}");
    std::fs::copy(corpus().join("frames_v114_0.h5"), folder.path().join("frames_v114_0.h5")).unwrap();
    assert_eq!(all(&path, "numbered").unwrap(), made([4, 6, 7], number));
}

/// Results must not be written over the files that hold the numbers.
#[test]
fn the_files_of_its_parts_are_those_of_an_image() {
    let sets = corpus().join("sets_v114.h5:one_after_the_other");
    let images = discover(sets.to_str().unwrap()).unwrap();
    let files: Vec<_> = images[5].files().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(files, ["sets_v114.h5", "frames_v114_0.h5", "frames_v114_1.h5", "frames_v114_2.h5"]);
}

/// Also those of parts that are virtual datasets of other files in turn.
#[test]
fn the_files_of_parts_of_parts_are_those_of_an_image() {
    let folder = tempfile::tempdir().unwrap();
    let copy = |from: &str, to: &str| {
        std::fs::copy(corpus().join(from), folder.path().join(to)).unwrap();
    };
    (0..3).map(|n| format!("frames_v114_{n}.h5")).for_each(|name| copy(&name, &name));
    copy("sets_v114.h5", "inner.h5");
    // Names of the same lengths.
    let whole = std::fs::read(corpus().join("sets_v114.h5")).unwrap();
    let outer = replaced(&whole, b"frames_v114_0.h5\0entry/data\0", b"././././inner.h5\0of_another\0");
    std::fs::write(folder.path().join("outer.h5"), outer).unwrap();
    let names = |path: &str, place: &str| -> Vec<String> {
        let images = discover(folder.path().join(format!("{path}:{place}")).to_str().unwrap()).unwrap();
        images[0].files().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    };
    let frames = ["frames_v114_0.h5", "frames_v114_1.h5", "frames_v114_2.h5"];
    assert_eq!(names("inner.h5", "of_another"), [&["inner.h5"], &frames[..]].concat());
    let found = names("outer.h5", "growing");
    assert_eq!(found, [&["outer.h5", "inner.h5"], &frames[..]].concat());
}

#[test]
fn numbers_in_the_names_of_datasets_alone_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5");
    let whole = std::fs::read(corpus().join("sets_v114.h5")).unwrap();
    let bytes = replaced(&whole, b"frames_v114_%b.h5\0entry/data\0", b"frames_v114_00.h5\0entry/da%b\0");
    std::fs::write(&path, bytes).unwrap();
    std::fs::copy(corpus().join("frames_v114_0.h5"), folder.path().join("frames_v114_00.h5")).unwrap();
    let error = all(&path, "numbered").unwrap_err().to_string();
    assert!(error.contains("parts of one file have numbers in their names"), "{error}");
}

/// The bytes with others of the same length in the place of `from`, wherever that stands.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    let places: Vec<usize> =
        (0..bytes.len().saturating_sub(from.len())).filter(|n| bytes[*n..].starts_with(from)).collect();
    assert!(!places.is_empty());
    places.into_iter().for_each(|n| bytes[n..n + to.len()].copy_from_slice(to));
    bytes
}

/// Its list of parts has no place then.
#[test]
fn a_dataset_without_parts_has_the_number_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5");
    // Headers of this version have no checksums. The message about the layout is its version and kind, an address, and a number.
    let mut bytes = std::fs::read(corpus().join("sets_earliest.h5")).unwrap();
    for place in 0..bytes.len() - 14 {
        let address = u64::from_le_bytes(bytes[place + 2..place + 10].try_into().unwrap());
        if bytes[place..].starts_with(&[4, 3])
            && bytes.get(address as usize..).is_some_and(|heap| heap.starts_with(b"GCOL"))
        {
            bytes[place + 2..place + 10].fill(0xff);
        }
    }
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(all(&path, "modules").unwrap(), made([4, 14, 9], |_, _, _| -1.0));
}

#[test]
fn damaged_lists_of_parts_are_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5");
    for number in 0..3 {
        let name = format!("frames_latest_{number}.h5");
        std::fs::copy(corpus().join(&name), folder.path().join(&name)).unwrap();
    }
    let whole = std::fs::read(corpus().join("sets_latest.h5")).unwrap();
    let places: Vec<usize> =
        (0..whole.len()).filter(|place| whole[*place] != 0 && place % 3 == 0 || place % 29 == 0).collect();
    let sets = ["in_turn", "growing", "columns", "numbered", "round"];
    for (count, place) in places.into_iter().enumerate() {
        let mut bytes = whole.clone();
        bytes[place] ^= if count % 2 == 0 { 0xff } else { 1 };
        std::fs::write(&path, &bytes).unwrap();
        let Ok(array) = array(&path, sets[count % sets.len()]) else { continue };
        let header = array.header(None);
        if array.image_count() * header.channels * header.height * header.width < 1 << 20 {
            let _ = rows(&array, 0..header.height);
        }
    }
}
