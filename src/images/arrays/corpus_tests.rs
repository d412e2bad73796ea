//! Files that other programs wrote (`tests/corpus`, by its `make.py`): read right, and damaged in all ways without a panic.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::images::arrays::{ArrayImage, OpenArray, Wanted, open};
use crate::images::decoded::each_type;
use crate::images::{VoxelSize, discover, read_values};

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name)
}

/// The array of a file of the corpus, behind a colon the place inside it.
fn array(name: &str) -> crate::Result<Arc<OpenArray>> {
    let (name, inside) = name.split_once(':').map_or((name, None), |(name, inside)| (name, Some(inside)));
    open(&corpus(name), inside, Wanted::default()).map(Arc::new)
}

/// All numbers of an array, image by image, `[channel][y][x]`.
fn all(array: &Arc<OpenArray>) -> crate::Result<Vec<f64>> {
    let header = array.header(None);
    let mut numbers = Vec::new();
    for number in 0..array.image_count() {
        let image = ArrayImage { array: array.clone(), number, channel: None };
        let decoded = array.decode(&image, 0..header.height, 0..header.width)?;
        each_type!(decoded.samples, values => {
            numbers.extend(values.iter().map(|value| value.to_string().parse::<f64>().unwrap()));
        });
    }
    Ok(numbers)
}

/// The numbers that `make.py` writes.
fn numbers(count: usize) -> Vec<f64> {
    (0..count).map(|n| (n * 7 % 251) as f64).collect()
}

/// Those with the last axis fastest of an array of `shape`, whose axis `order[n]` becomes the axis `n`.
fn turned(shape: [usize; 3], order: [usize; 3]) -> Vec<f64> {
    let stored = ndarray::Array3::from_shape_vec(shape, numbers(shape.iter().product())).unwrap();
    stored.permuted_axes(order).iter().copied().collect()
}

/// What a file of the corpus is: its axes, the type of its numbers, and the number of images, channels, rows and columns.
fn form(name: &str) -> (String, String, [usize; 4]) {
    let array = array(name).unwrap_or_else(|error| panic!("{error}"));
    let header = array.header(None);
    (
        array.axes(),
        header.samples.to_string(),
        [array.image_count(), header.channels, header.height, header.width],
    )
}

fn size(z: f64, y: f64, x: f64, unit: &str) -> Option<VoxelSize> {
    Some(VoxelSize { z, y, x, unit: unit.into() })
}

fn refusal(name: &str) -> String {
    let error = array(name).and_then(|array| all(&array)).unwrap_err().to_string();
    assert!(!error.contains('\n') && error.contains(';'), "{error}");
    error
}

#[test]
fn hdf5_datasets_are_read_however_they_are_stored() {
    for version in ["earliest", "v114"] {
        let plain = array(&format!("hdf5/plain_{version}.h5")).unwrap();
        assert_eq!(
            (plain.axes(), plain.voxel_size().cloned()),
            ("XZY".into(), size(2.0, 0.7, 0.5, "\u{b5}m"))
        );
        assert_eq!(all(&plain).unwrap(), turned([3, 4, 5], [1, 2, 0]));
        let chunks = array(&format!("hdf5/chunks_{version}.h5")).unwrap();
        assert_eq!(chunks.axes(), "YXZ");
        assert_eq!(all(&chunks).unwrap(), turned([5, 7, 4], [2, 0, 1]));
        // The only stack, in groups that contain each other, with links beside it.
        let scan = array(&format!("hdf5/scan_{version}.h5")).unwrap();
        assert!(scan.name().ends_with("instrument/detector/data"), "{}", scan.name());
        assert_eq!(all(&scan).unwrap(), numbers(120));
        let same = array(&format!("hdf5/scan_{version}.h5:/entry/instrument/detector/data")).unwrap();
        assert_eq!(all(&same).unwrap(), numbers(120));
        let group = array(&format!("hdf5/scan_{version}.h5:entry/instrument")).unwrap();
        assert_eq!(group.image_count(), 6);
        let linked = array(&format!("hdf5/scan_{version}.h5:/entry/data")).unwrap();
        assert_eq!(all(&linked).unwrap(), numbers(120));
        let error = refusal(&format!("hdf5/scan_{version}.h5:/entry/other"));
        assert!(
            error.contains("at '/entry/other' to '/data' in the file 'other.h5', which is not"),
            "{error}"
        );
    }
    let kind = |name: &str| form(&format!("hdf5/several.h5:{name}")).1;
    assert_eq!(
        (kind("raw"), kind("labels"), kind("half"), kind("compact")),
        ("uint8".into(), "uint8".into(), "float16".into(), "int64".into())
    );
    let of = |name: &str| all(&array(&format!("hdf5/{name}")).unwrap()).unwrap();
    assert_eq!(
        of("several.h5:/labels"),
        numbers(60).iter().map(|n| f64::from(u8::from(*n > 100.0))).collect::<Vec<_>>()
    );
    assert_eq!(of("several.h5:/half"), numbers(20));
    assert_eq!(of("several.h5:zstd"), numbers(20));
    assert_eq!(of("several.h5:bitshuffle"), numbers(20));
    assert_eq!(of("refused.h5:blosc"), numbers(20));
    assert_eq!(of("refused.h5:lz4"), numbers(20));
    assert_eq!(of("lz4.h5:numbers"), numbers(2 * 17 * 21));
    assert_eq!(of("lz4.h5:steps"), (0..714).map(|n| (n / 21 % 17) as f64).collect::<Vec<_>>());
    for filter in [
        "blosc",
        "blosc_zstd_bits",
        "blosc_zlib",
        "blosc_blosclz",
        "bits_lz4",
        "bits_lz4_blocks",
        "bits_zstd",
        "bits",
        "deep",
    ] {
        assert_eq!(of(&format!("packed.h5:{filter}")), numbers(2 * 17 * 21), "{filter}");
    }
    assert_eq!(of("several.h5:lzf"), (0..200).map(|n| (n % 50 % 9) as f64).collect::<Vec<_>>());
    assert_eq!(of("several.h5:noise").len(), 64);
    assert_eq!(of("compact.h5"), numbers(20));
    assert_eq!(of("several.h5:virtual"), numbers(20));
    // Of datasets that can grow along several axes: a few chunks, and some that filters have changed, of which the tree has branches.
    assert_eq!(of("btree2.h5"), numbers(48));
    assert_eq!(of("trees.h5:many"), numbers(40 * 12 * 12));
    let mut holes = vec![-3.0; 9 * 8];
    holes[3 * 8 + 5] = 9.0;
    holes[8 * 8..].copy_from_slice(&[7.0; 8]);
    assert_eq!(of("trees.h5:holes"), holes);
    // The only dataset of numbers, beside what is none and larger.
    assert_eq!(of("kinds.h5"), numbers(24));
    let mut holes = vec![-3.0; 48];
    holes[3 * 8 + 5] = 9.0;
    assert_eq!(of("several.h5:holes"), holes);
}

#[test]
fn hdf5_datasets_that_are_not_read_say_so() {
    for (name, part) in [
        ("several.h5", "that may be meant; name one behind a colon"),
        ("several.h5:unwritten", "nothing was written"),
        ("several.h5:complex", "holds complex numbers; wanted whole numbers or floats"),
        ("kinds.h5:texts", "holds texts;"),
        ("kinds.h5:words", "holds texts;"),
        ("kinds.h5:records", "holds records of several fields;"),
        ("kinds.h5:references", "holds references"),
        ("kinds.h5:bytes", "holds bytes of which"),
        ("kinds.h5:lists", "holds lists of different lengths;"),
        ("kinds.h5:arrays", "holds arrays in each of its elements;"),
        ("kinds.h5:long", "holds numbers of a type that is not read;"),
        ("kinds.h5:type", "holds no dataset '/type'"),
        ("kinds.h5:nothing", "a dataset of 0 axes"),
        ("several.h5:nothing", "holds no dataset '/nothing'"),
        ("refused.h5:blosc2", "32026 (Blosc2)"),
        ("refused.h5:scale", "6 (scale-offset)"),
        ("refused.h5:external", "external storage"),
        ("newest.h5", "newer form"),
        ("plain_v114.h5:list", "a dataset of 1 axes"),
    ] {
        let error = refusal(&format!("hdf5/{name}"));
        assert!(error.contains(part), "{error}");
    }
}

/// By h5py as people mostly call it, whose groups are of the older form.
#[test]
fn hdf5_links_inside_a_file_are_followed() {
    // Each dataset counts once, and by the path at which it is stored.
    for (name, place) in [
        ("links.h5", "/entry/data/same"),
        ("links.h5:entry/data", "/entry/data/same"),
        ("links.h5:/entry/camera", "/entry/instrument/detector/data"),
        ("links.h5:/entry/camera/data", "/entry/instrument/detector/data"),
        ("links.h5:/entry/data/data", "/entry/instrument/detector/data"),
        ("links.h5:/entry/data/relative", "/entry/instrument/detector/data"),
        ("links.h5:image", "/entry/instrument/detector/data"),
        ("links.h5:/entry/data/same/", "/entry/data/same"),
        ("link_only.h5", "/entry/data"),
        ("link_only.h5:soft", "/entry/data"),
        // Ten links, each to the next.
        ("links_many.h5:/links/to_the_data_000", "/data"),
        ("links_many.h5:/links/to_the_data_119", "/data"),
        ("links_many.h5:/links", "/data"),
        ("links_many.h5", "/data"),
    ] {
        let array = array(&format!("hdf5/{name}")).unwrap_or_else(|error| panic!("{error}"));
        assert!(array.name().ends_with(&format!(".h5:{place}")), "{name}: {}", array.name());
        assert_eq!(all(&array).unwrap(), numbers(60), "{name}");
    }
    for (name, part) in [
        ("links.h5:/entry/data/nothing", "a link there leads to '/entry/nothing', which is not there"),
        ("links.h5:/entry/round", "without an end"),
        ("links.h5:/entry/and_round/x", "without an end"),
        ("links.h5:/entry/other", "holds no dataset '/entry/other'; there is /entry/data/same (3 x 4 x 5)"),
        ("links.h5:/entry/camera/other", "which is not there"),
        ("links_many.h5:/links/to_the_data_120", "holds no dataset"),
    ] {
        let error = refusal(&format!("hdf5/{name}"));
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn hdf5_links_to_files_beside_are_followed() {
    let first: Vec<f64> = numbers(60).iter().map(|number| number + 1.0).collect();
    let second: Vec<f64> = numbers(60).iter().map(|number| number + 2.0).collect();
    for (name, wanted) in [
        ("one_master.h5", &first),
        ("one_master.h5:/entry/data", &first),
        ("x_master.h5:/entry/data/data_000001", &first),
        ("x_master.h5:/entry/first", &first),
        ("x_master.h5:/entry/data/data_000002", &second),
        ("x_master.h5:/entry/whole", &second),
        ("x_master.h5:/entry/whole/data/data", &second),
    ] {
        let array = array(&format!("hdf5/detector/{name}")).unwrap_or_else(|error| panic!("{error}"));
        assert!(array.name().ends_with("h5:/entry/data/data"), "{}", array.name());
        assert_eq!(&all(&array).unwrap(), wanted, "{name}");
    }
    for (name, part) in [
        ("x_master.h5", "/entry/data/data_000001 (3 x 4 x 5), /entry/data/data_000002 (3 x 4 x 5)"),
        ("x_master.h5:/entry/data/data_000003", "in the file 'x_data_000003.h5', which is not there"),
        (
            "x_master.h5:/entry/above",
            "only files in its own folder or below are followed; name that file itself, as in ../links.h5:/entry/data/same",
        ),
        ("x_master.h5:/entry/absolute", "only files in its own folder or below"),
        ("x_master.h5:/entry/itself", "after 4 files"),
    ] {
        let error = refusal(&format!("hdf5/detector/{name}"));
        assert!(error.contains(part), "{error}");
    }
}

/// A program that writes marks its file, and the dataset grows; both files are copies of one at two times.
#[test]
fn hdf5_datasets_that_grow_are_read_as_they_are_when_they_are_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5");
    for (name, count) in [("marked.h5", 3), ("marked_grown.h5", 5)] {
        std::fs::copy(corpus("hdf5").join(name), &path).unwrap();
        let images = discover(path.to_str().unwrap()).unwrap();
        assert_eq!(images.len(), count);
        let found: Vec<f64> =
            images.iter().flat_map(|image| read_values(image).unwrap()).map(f64::from).collect();
        assert_eq!(found, numbers(count * 20));
    }
}

#[test]
fn mrc_files_are_read() {
    let small = |count| numbers(count).iter().map(|n| n % 120.0).collect::<Vec<_>>();
    for (name, kind) in
        [("i1", "int8"), ("i2", "int16"), ("f4_big", "float32"), ("u2", "uint16"), ("f2", "float16")]
    {
        let name = format!("mrc/{name}.mrc");
        assert_eq!(form(&name), ("ZYX".into(), kind.into(), [3, 1, 4, 5]));
        let array = array(&name).unwrap();
        assert_eq!(all(&array).unwrap(), small(60), "{name}");
        assert_eq!(array.voxel_size().cloned(), size(2.0, 0.5, 0.7, "\u{c5}"));
    }
    for name in ["mrc/stack.mrcs", "mrc/packed.mrc.gz"] {
        assert_eq!(all(&array(name).unwrap()).unwrap(), numbers(60), "{name}");
    }
}

#[test]
fn nifti_files_are_read() {
    let small = |count| numbers(count).iter().map(|n| n % 120.0).collect::<Vec<_>>();
    let names = [
        ("u1", "uint8"),
        ("i2", "int16"),
        ("i4", "int32"),
        ("f4", "float32"),
        ("f8", "float64"),
        ("i1", "int8"),
        ("u2", "uint16"),
        ("u4", "uint32"),
        ("i8", "int64"),
        ("u8", "uint64"),
    ];
    for (name, kind) in names {
        let name = format!("nifti/{name}.nii");
        assert_eq!(form(&name), ("ZYX".into(), kind.into(), [3, 1, 4, 5]));
        let array = array(&name).unwrap();
        assert_eq!(all(&array).unwrap(), small(60), "{name}");
        assert_eq!(array.voxel_size().cloned(), size(2.0, 0.7, 0.5, "mm"));
    }
    for name in ["big.nii", "second.nii", "packed.nii.gz"] {
        assert_eq!(all(&array(&format!("nifti/{name}")).unwrap()).unwrap(), numbers(60), "{name}");
    }
    assert_eq!(form("nifti/time.nii"), ("TZYX".into(), "int16".into(), [6, 1, 4, 5]));
    assert_eq!(form("nifti/channels.nii"), ("CTZYX".into(), "float32".into(), [3, 2, 4, 5]));
    assert_eq!(form("nifti/flat.nii"), ("YX".into(), "int16".into(), [1, 1, 4, 5]));
    let scaled = all(&array("nifti/scaled.nii").unwrap()).unwrap();
    assert_eq!(scaled, numbers(60).iter().map(|n| n * 0.5 + 10.0).collect::<Vec<_>>());
    assert_eq!(form("nifti/colours.nii"), ("ZYXS".into(), "uint8".into(), [3, 3, 4, 5]));
    let colours = all(&array("nifti/colours.nii").unwrap()).unwrap();
    assert_eq!(&colours[..3], &[0.0, 21.0, 42.0]);
    assert!(refusal("nifti/pair.hdr").contains(".img"));
}

#[test]
fn npy_files_are_read_packed_or_not() {
    for name in ["plain.npy", "packed.npy.gz", "stored.npz", "stored.npz:volume"] {
        assert_eq!(all(&array(&format!("npy/{name}")).unwrap()).unwrap(), numbers(60), "{name}");
    }
    // NumPy counts the axes of this one as 4, 5 and 6, and the first of them is the fastest.
    assert_eq!(form("npy/fortran.npy"), ("XYZ".into(), "float64".into(), [4, 1, 5, 6]));
    assert_eq!(all(&array("npy/fortran.npy").unwrap()).unwrap(), numbers(120));
    assert!(refusal("npy/several.npz").contains("name one behind a colon"));
    assert_eq!(all(&array("npy/several.npz:c").unwrap()).unwrap(), numbers(120));
    assert_eq!(all(&array("npy/several.npz:b").unwrap()).unwrap(), numbers(20));
    assert_eq!(all(&array("npy/several.npz:a.npy").unwrap()).unwrap(), numbers(60));
    assert!(refusal("npy/same.npz").contains("a (3 x 4 x 5), b (3 x 4 x 5)"));
    assert!(refusal("npy/several.npz:d").contains("holds no array 'd'"));
    assert!(refusal("npy/lying.npy.gz").contains("which cannot be in"));
}

/// Opening and reading `bytes` as a file gives numbers or an error, and no panic.
fn try_bytes(path: &Path, bytes: &[u8], places: &[Option<&str>]) {
    std::fs::write(path, bytes).unwrap();
    for inside in places {
        let Ok(array) = open(path, *inside, Wanted::default()).map(Arc::new) else { continue };
        // A damaged header may name a large array that is there for the most part, as its chunks are not stored.
        let header = array.header(None);
        if array.image_count() * header.channels * header.height * header.width < 1 << 20 {
            let _ = all(&array);
        }
    }
}

#[test]
fn damaged_files_are_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    for (name, header) in [
        ("mrc/stack.mrcs", 1024),
        ("nifti/i2.nii", 352),
        ("nifti/second.nii", 544),
        ("nifti/packed.nii.gz", 4096),
        ("npy/plain.npy", 128),
        ("npy/several.npz", 4096),
        ("npy/stored.npz", 4096),
    ] {
        let path = folder.path().join("a");
        let whole = std::fs::read(corpus(name)).unwrap();
        let header = header.min(whole.len());
        for length in 0..whole.len() {
            if length < header || length % 7 == 0 {
                try_bytes(&path, &whole[..length], &[None]);
            }
        }
        let mut bytes = whole.clone();
        for place in 0..header {
            for flip in [0xff, 0x01] {
                bytes[place] ^= flip;
                try_bytes(&path, &bytes, &[None]);
                bytes[place] ^= flip;
            }
        }
    }
}

#[test]
fn damaged_hdf5_files_are_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5");
    let files: [(&str, &[Option<&str>]); 9] = [
        ("plain_earliest.h5", &[None]),
        ("chunks_earliest.h5", &[None]),
        ("chunks_v114.h5", &[None]),
        ("scan_earliest.h5", &[None, Some("/entry/instrument/detector/data")]),
        ("marked.h5", &[None]),
        ("several.h5", &[Some("lzf"), Some("holes")]),
        ("links.h5", &[None, Some("/entry/data/relative")]),
        ("links_many.h5", &[Some("/links/to_the_data_000")]),
        ("btree2.h5", &[None]),
    ];
    for (name, places) in files {
        let whole = std::fs::read(corpus("hdf5").join(name)).unwrap();
        for length in (0..whole.len()).step_by(29) {
            try_bytes(&path, &whole[..length], places);
        }
        let mut bytes = whole.clone();
        for place in 0..whole.len() {
            // Most of the older files is room that was never used.
            if place % if whole[place] == 0 { 17 } else { 3 } != 0 {
                continue;
            }
            bytes[place] ^= 0xff;
            try_bytes(&path, &bytes, places);
            bytes[place] = whole[place];
        }
    }
}
