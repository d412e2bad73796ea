//! The folders in `tests/corpus/zarr`, which other programs wrote, and what is wrong with some of them.

use std::path::Path;
use std::str::FromStr;
use std::time::Instant;

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::*;
use crate::images::arrays::blocks::{Blocks, CACHE};
use crate::images::arrays::{OpenArray, Wanted};
use crate::images::decoded::each_type;
use crate::images::units::MICROMETRE;
use crate::images::volume::VoxelSize;

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/zarr").join(name)
}

/// All numbers of an array, as they are read block by block.
fn whole(array: &ZarrArray) -> Result<DecodingResult> {
    let layout = array.layout();
    let all: Vec<_> = layout.shape.iter().map(|length| 0..*length).collect();
    let block = layout.block.clone().unwrap();
    Blocks::new((block.clone(), block), true, Vec::new(), (1, 1), &CACHE).read(array, &all)
}

fn values(array: &ZarrArray) -> Vec<f64> {
    let numbers = whole(array).unwrap();
    each_type!(numbers, values => values.iter().map(|value| f64::from_str(&value.to_string()).unwrap()).collect())
}

/// What `make.py` wrote as number `i`, before it became one of its type.
fn number(i: usize) -> i32 {
    ((31 * i * i + 7 * i) % 251) as i32
}

fn check(name: &str, shape: &[usize], numbers: &str, expected: impl Fn(usize) -> f64) {
    let array = open(&corpus(name), None, 0).unwrap();
    let layout = array.layout();
    assert_eq!((layout.shape.as_slice(), layout.numbers.to_string().as_str()), (shape, numbers), "{name}");
    let wanted: Vec<f64> = (0..shape.iter().product()).map(expected).collect();
    assert_eq!(values(&array), wanted, "{name}");
}

#[test]
fn what_other_programs_wrote_is_read_equal_to_the_bit() {
    check("v2_blosc.zarr", &[3, 20, 24], "int16", |i| f64::from(number(i) - 125));
    check("v2_zstd_big_endian.zarr", &[3, 10, 12], "uint16", |i| f64::from(number(i) * 257));
    check("v3_gzip.zarr", &[2, 9, 10], "float64", |i| f64::from(number(i) - 125) / 4.0);
    check("v3_bool.zarr", &[20, 16], "uint8", |i| f64::from(number(i) % 2));
    check("v3_sharded_blosc.zarr", &[4, 20, 24], "float32", |i| {
        if i < 960 { f64::from(number(i) - 125) / 4.0 } else { -1.5 }
    });
    check("ome_0.4.zarr", &[3, 8, 10], "uint16", |i| f64::from(number(i) * 257));
    check("ome_0.5.zarr", &[2, 3, 8, 10], "uint8", |i| f64::from(number(i)));
}

#[test]
fn blocks_are_the_chunks_inside_shards_and_axes_are_those_that_have_names() {
    let array = open(&corpus("v3_sharded_blosc.zarr"), None, 0).unwrap();
    assert_eq!(array.layout().block, Some(vec![1, 10, 8]));
    assert_eq!(array.layout().axes, None);
    assert_eq!(open(&corpus("v3_gzip.zarr"), None, 0).unwrap().layout().axes, Some(vec!['Z', 'Y', 'X']));
    let size = |z, y, x| Some(VoxelSize { z, y, x, unit: MICROMETRE.into() });
    let image = open(&corpus("ome_0.5.zarr"), None, 0).unwrap();
    assert_eq!(image.layout().axes, Some(vec!['C', 'Z', 'Y', 'X']));
    assert_eq!(image.layout().voxel_size, size(2.0, 0.5, 0.25));
    let image = open(&corpus("ome_0.4.zarr"), None, 1).unwrap();
    assert_eq!(image.layout().axes, Some(vec!['Z', 'Y', 'X']));
    assert_eq!(
        (image.layout().voxel_size.clone(), image.layout().shape.clone()),
        (size(2.0, 1.0, 0.5), vec![3, 4, 5])
    );
}

#[test]
fn images_and_arrays_are_found_by_their_places() {
    let image = corpus("ome_0.5.zarr");
    let labels = open(&image, Some("/labels/cells"), 0).unwrap();
    assert_eq!(labels.layout().axes, Some(vec!['Z', 'Y', 'X']));
    assert_eq!(values(&labels), (0..240).map(|i| f64::from(number(i) % 3)).collect::<Vec<_>>());
    let same = open(&image.join("labels/cells"), None, 0).unwrap();
    assert_eq!(values(&same), values(&labels));
    // An array of a level by itself knows what the group around it says.
    let level = open(&image, Some("labels/cells/s1"), 0).unwrap();
    assert_eq!(level.layout().shape, [3, 4, 5]);
    assert_eq!(level.layout().voxel_size.as_ref().map(|size| size.x), Some(0.5));
    assert_eq!(level.name(), format!("{}:/labels/cells/s1", image.display()));
    let group = corpus("group_of_two.zarr");
    assert_eq!(open(&group, Some("inner"), 0).unwrap().layout().shape, [4, 5]);
    for (inside, part) in [
        (None, "it holds /a, /inner/b: name one of them, as in group_of_two.zarr:/a"),
        (Some("c"), "is no array or group; it holds /a"),
        (Some("../v3_bool.zarr"), "has no place '../v3_bool.zarr' inside it"),
    ] {
        let error = open(&group, inside, 0).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    for (path, inside, part) in [
        (&image, None, "level is 5, but "),
        (&image, None, "has 2 levels, 0 to 1; name one of these"),
        (&group, Some("a"), "has one level"),
    ] {
        let error = open(path, inside, 5).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn damaged_chunks_are_refused_in_a_sentence() {
    for (name, part) in [
        ("cut_chunk", "its chunk c/0/0 cannot be read: it has 311 bytes unpacked, wanted 320"),
        ("cut_shard", "the list of its chunks has another checksum"),
        ("shard_index", "the list of its chunks has another checksum"),
        ("blosc", "its chunk 0.0.0 cannot be read"),
        ("gzip", "its chunk c/0/0/0 cannot be read"),
        ("zstd_size", "its chunk 0.0 cannot be read"),
        ("gzip_bomb", "its chunk 0.0 cannot be read: it has more than 16 bytes unpacked"),
        ("negative_shape", "invalid value: integer `-1`"),
        ("huge_chunk", "its chunks are of [1099511627776, 16] numbers, wanted at most 4.0 GiB"),
    ] {
        let start = Instant::now();
        let array = open(&corpus(&format!("damaged_{name}.zarr")), None, 0);
        let error = array.and_then(|array| whole(&array)).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("again"), "{name}: {error}");
        assert!(start.elapsed().as_secs() < 5, "{name}");
    }
}

/// An array as `open` makes it of the metadata of version 3 with some of them changed.
fn changed(change: impl FnOnce(&mut Value)) -> Result<OpenArray> {
    let folder = tempfile::tempdir().unwrap();
    let mut said = json!({
        "zarr_format": 3, "node_type": "array", "shape": [4, 5, 6], "data_type": "uint8", "fill_value": 0,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 5, 6]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "codecs": [{"name": "bytes"}],
    });
    change(&mut said);
    std::fs::write(folder.path().join("zarr.json"), said.to_string()).unwrap();
    let path = folder.path();
    OpenArray::new(path, Box::new(open(path, None, 0)?), Wanted::default())
}

fn shards(outer: Value, inner: Value) -> impl FnOnce(&mut Value) {
    move |said| {
        said["chunk_grid"]["configuration"]["chunk_shape"] = outer;
        let index = json!([{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]);
        let settings = json!({"chunk_shape": inner, "codecs": [{"name": "bytes"}], "index_codecs": index});
        said["codecs"] = json!([{"name": "sharding_indexed", "configuration": settings}]);
    }
}

#[test]
fn metadata_that_lie_are_refused_in_a_sentence() {
    changed(|_| {}).unwrap();
    changed(shards(json!([4, 5, 6]), json!([1, 5, 6]))).unwrap();
    type Change = Box<dyn FnOnce(&mut Value)>;
    let sized = |shape: Value, chunk: Value| -> Change {
        Box::new(move |said| {
            said["shape"] = shape;
            said["chunk_grid"]["configuration"]["chunk_shape"] = chunk;
        })
    };
    let set = |key: &'static str, value: Value| -> Change { Box::new(move |said| said[key] = value) };
    let huge = 1_u64 << 40;
    let cases: Vec<(Change, &str)> = vec![
        (sized(json!([huge, huge, huge]), json!([1, 5, 6])), "more numbers than can be counted"),
        (sized(json!([4, huge, 4]), json!([1, 5, 6])), "wanted at most 16 GiB"),
        (sized(json!([huge, 5, 6]), json!([1, 5, 6])), "has 1099511627776 slices"),
        (sized(json!([1, 60000, 60000]), json!([1, 1, 1])), "in 3600000000 blocks"),
        (sized(json!([4, 5, 6]), json!([0, 5, 6])), "at least 1"),
        (sized(json!([4, 5, 6]), json!([5, 6])), "wanted 3 lengths"),
        (sized(json!([4, 5, 6]), json!([-1, 5, 6])), "a size that is none"),
        (sized(json!([4, 0, 6]), json!([1, 5, 6])), "without numbers"),
        (sized(json!([]), json!([])), "0 axes"),
        (set("shape", json!("x")), "does not say how an array is stored"),
        (set("data_type", json!("string")), "of type 'string'"),
        (set("data_type", json!({"name": "numpy.datetime64"})), "of type 'numpy.datetime64'"),
        (set("fill_value", json!(1000)), "fill value 1000"),
        (set("codecs", json!([{"name": "bytes"}, {"name": "zfp"}])), "packed with 'zfp'"),
        (
            set("codecs", json!([{"name": "transpose", "configuration": {"order": [0, 0, 9]}}])),
            "exchanges axes",
        ),
        (set("chunk_grid", json!({"name": "rectilinear"})), "'rectilinear'"),
        (Box::new(shards(json!([4, 5, 6]), json!([3, 5, 6]))), "no whole numbers of chunks"),
        (Box::new(shards(json!([4, 5, 6]), json!([0, 5, 6]))), "no whole numbers of chunks"),
        (Box::new(shards(json!([u64::MAX, huge, 6]), json!([1, 1, 1]))), "more chunks than can be counted"),
    ];
    for (change, part) in cases {
        let error = changed(change).unwrap_err().to_string();
        assert!(error.contains(part) && !error.trim_end_matches('.').contains(". "), "{error}");
    }
}

#[test]
fn metadata_that_are_no_such_files_are_refused_early() {
    let folder = tempfile::tempdir().unwrap();
    let error = |path: &Path| open(path, None, 0).unwrap_err().to_string();
    assert!(error(folder.path()).contains("without an array or group"));
    std::fs::write(folder.path().join("zarr.json"), vec![b'['; 5 << 20]).unwrap();
    assert!(error(folder.path()).contains("has more than 2.0 MiB"));
    std::fs::write(folder.path().join("zarr.json"), vec![b'['; 1 << 20]).unwrap();
    assert!(error(folder.path()).contains("does not say how an array is stored"));
    std::fs::write(folder.path().join("zarr.json"), br#"{"zarr_format": 3, "node_type": "group"}"#).unwrap();
    assert!(error(folder.path()).contains("holds no array"));
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to)
        } else {
            std::fs::copy(entry.path(), to).map(drop).unwrap()
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn no_changed_byte_is_more_than_an_error() {
    const CHANGES: usize = 40;
    let mut random = ChaCha8Rng::seed_from_u64(5);
    for name in ["v2_blosc", "v2_zstd_big_endian", "v3_gzip", "v3_sharded_blosc", "ome_0.4", "ome_0.5"] {
        let folder = tempfile::tempdir().unwrap();
        copy(&corpus(&format!("{name}.zarr")), folder.path());
        let mut errors = 0;
        for file in files(folder.path()) {
            let whole_file = std::fs::read(&file).unwrap();
            for _ in 0..CHANGES {
                let mut bytes = whole_file.clone();
                let place = random.random_range(0..bytes.len());
                match random.random_range(0..4) {
                    0 => bytes.truncate(place),
                    1 => bytes[place] = random.random(),
                    2 => bytes[place] ^= 1 << random.random_range(0..8),
                    _ => bytes[place] = *b"09-[]{}".choose(&mut random).unwrap(),
                }
                std::fs::write(&file, bytes).unwrap();
                let array = open(folder.path(), None, 0);
                let small = array.and_then(|array| match array.layout().shape.iter().product::<usize>() {
                    ..=1_000_000 => whole(&array).map(drop),
                    _ => Ok(()),
                });
                errors += usize::from(small.is_err());
            }
            std::fs::write(&file, whole_file).unwrap();
        }
        assert!(errors > CHANGES, "{name}: {errors}");
    }
}

#[cfg(unix)]
#[test]
fn links_that_lead_round_in_a_circle_end() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(".zgroup"), br#"{"zarr_format": 2}"#).unwrap();
    std::os::unix::fs::symlink(folder.path(), folder.path().join("again")).unwrap();
    std::os::unix::fs::symlink(corpus("v3_bool.zarr"), folder.path().join("array")).unwrap();
    assert_eq!(open(folder.path(), None, 0).unwrap().layout().shape, [20, 16]);
    // An image that says that its finest level is itself.
    let image = br#"{"multiscales": [{"datasets": [{"path": "again"}]}]}"#;
    std::fs::write(folder.path().join(".zattrs"), image).unwrap();
    let error = open(folder.path(), None, 0).unwrap_err().to_string();
    assert!(error.contains("'again' is in it, which is not there"), "{error}");
}
