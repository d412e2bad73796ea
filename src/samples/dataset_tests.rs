//! Tests of loading whole datasets.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use ndarray::{Array2, Array3};

use super::*;
use crate::geometry::{Extent, Window};
use crate::images::{write_labels, write_png_grey8, write_png_rgb8, write_tiff_f32};
use crate::metrics::UNLABELLED;
use crate::samples::{DataFiles, load_regression, load_segmentation};

/// A folder with `images/` and `targets/`, and their paths.
fn folders() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (images, targets) = (folder.path().join("images"), folder.path().join("targets"));
    std::fs::create_dir(&images).unwrap();
    std::fs::create_dir(&targets).unwrap();
    (folder, images, targets)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn grey(folder: &Path, stem: &str, size: (usize, usize)) {
    let image = Array2::from_shape_fn(size, |(y, x)| (y * 16 + x) as u8);
    write_png_grey8(folder.join(format!("{stem}.png")), &image).unwrap();
}

fn halves(folder: &Path, stem: &str, size: (usize, usize), left: i64, right: i64) {
    let labels = Array2::from_shape_fn(size, |(_, x)| if x < size.1 / 2 { left } else { right });
    write_labels(folder.join(stem), &labels).unwrap();
}

#[test]
fn segmentation_pairs_encodes_and_allows_different_sizes() {
    let (_folder, images, targets) = folders();
    for (stem, size) in [("z10", (4, 6)), ("z2", (5, 8))] {
        grey(&images, stem, size);
        halves(&targets, stem, size, 0, 255);
    }
    let (data, mapping) =
        load_segmentation(text(&images), text(&targets), Classes::Found { ignored: None }).unwrap();
    assert_eq!(mapping.values, [0, 255]);
    assert_eq!(data.sizes(), [Extent::plane(5, 8), Extent::plane(4, 6)]);
    assert!(data.names()[0].ends_with("z2.png"));
    assert_eq!((data.channels(), data.target_channels()), (1, None));
    let Target::Classes(classes) = &data.sample(1).unwrap().target else { panic!("wanted classes") };
    assert_eq!(classes.row(3).to_vec(), [0, 0, 0, 1, 1, 1]);
}

#[test]
fn a_class_that_only_validation_has_is_an_error() {
    let (_folder, images, targets) = folders();
    grey(&images, "a", (4, 4));
    halves(&targets, "a", (4, 4), 0, 2);
    let mapping = LabelMapping { values: vec![0, 1], ignored: None };
    let error =
        load_segmentation(text(&images), text(&targets), Classes::Known(&mapping)).unwrap_err().to_string();
    assert!(error.contains("a.png") && error.contains("has the label 2 in 8 of 16 pixels"), "{error}");
}

#[test]
fn different_sizes_and_channels_are_named() {
    let (_folder, images, targets) = folders();
    grey(&images, "a", (4, 4));
    grey(&targets, "a", (4, 5));
    let error = load_regression(text(&images), text(&targets)).unwrap_err().to_string();
    assert!(error.contains("4 x 4") && error.contains("5 x 4") && error.contains("a.png"), "{error}");
    grey(&targets, "a", (4, 4));
    grey(&targets, "b", (4, 4));
    write_png_rgb8(images.join("b.png"), &Array3::from_shape_fn((4, 4, 3), |(.., c)| c as u8)).unwrap();
    let error = load_regression(text(&images), text(&targets)).unwrap_err().to_string();
    assert!(error.contains("b.png has 3 channels") && error.contains("a.png has 1"), "{error}");
    grey(&images, "b", (4, 4));
    std::fs::remove_file(targets.join("b.png")).unwrap();
    write_tiff_f32(targets.join("b.tif"), &Array3::zeros((2, 4, 4))).unwrap();
    let error = load_regression(text(&images), text(&targets)).unwrap_err().to_string();
    assert!(error.contains("b.tif has 2 channels"), "{error}");
}

#[test]
fn regression_keeps_values() {
    let (_folder, images, targets) = folders();
    grey(&images, "a", (4, 4));
    write_tiff_f32(targets.join("a.tif"), &Array3::from_elem((2, 4, 4), -0.5)).unwrap();
    let data = load_regression(text(&images), text(&targets)).unwrap();
    assert_eq!(data.target_channels(), Some(2));
    assert_eq!(data.sample(0).unwrap().target, Target::Values(Array3::from_elem((2, 4, 4), -0.5)));
}

fn numbered(count: usize) -> Dataset {
    let sample = |n: usize| Sample {
        slices: 1,
        name: n.to_string(),
        image: Array3::zeros((1, 1, 1)),
        target: Target::Values(Array3::zeros((1, 1, 1))),
        group: None,
        weights: None,
    };
    Dataset::unchecked((0..count).map(sample))
}

#[test]
fn splitting_uses_each_image_once_and_follows_the_seed() {
    let (training, validation) = numbered(20).split_off_fraction(0.25, 3).unwrap();
    assert_eq!((training.len(), validation.len()), (15, 5));
    let names: HashSet<_> = training.names().into_iter().chain(validation.names()).collect();
    assert_eq!(names.len(), 20);
    // Neighbours are on one side, and not always the same ones.
    let runs: HashSet<_> = (0..40)
        .map(|seed| {
            let (_, validation) = numbered(20).split_off_fraction(0.25, seed).unwrap();
            let numbers: Vec<usize> = validation.names().iter().map(|name| name.parse().unwrap()).collect();
            assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1) && numbers.len() == 5);
            numbers[0]
        })
        .collect();
    assert_eq!(runs, HashSet::from([0, 5, 10, 15]));
    let again = numbered(20).split_off_fraction(0.25, 3).unwrap();
    assert_eq!(again.1.names(), validation.names());
    assert_eq!(numbered(2).split_off_fraction(0.01, 0).unwrap().1.len(), 1);
    assert_eq!(numbered(2).split_off_fraction(0.99, 0).unwrap().0.len(), 1);
    assert!(numbered(1).split_off_fraction(0.5, 0).is_err());
    for fraction in [0.0, 1.0, -1.0, f64::NAN] {
        assert!(numbered(5).split_off_fraction(fraction, 0).is_err());
    }
}

#[test]
fn real_micrographs_and_tomograms_load() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if !data.is_dir() {
        eprintln!("skipped: {} is not here", data.display());
        return;
    }
    let part = |name: &str| data.join(name).to_str().unwrap().to_owned();
    let (alloy, mapping) = load_segmentation(
        &part("superalloy/train/images"),
        &part("superalloy/train/labels"),
        Classes::Found { ignored: None },
    )
    .unwrap();
    assert_eq!(mapping.values, [0, 1, 2]);
    assert!(alloy.sizes().iter().all(|size| *size == Extent::plane(512, 512)));
    let largest = alloy
        .items()
        .iter()
        .fold(0_f32, |most, item| item.sample().unwrap().image.iter().fold(most, |a, b| a.max(*b)));
    assert!(largest > 1.0 && largest <= 255.0);
    let foam = load_regression(&part("foam/train/input"), &part("foam/train/target")).unwrap();
    assert_eq!(foam.len(), 24);
    assert!(foam.names()[0].contains("z0"));
    assert_eq!((foam.channels(), foam.target_channels()), (1, Some(1)));
    let (_, classes) = load_segmentation(
        &part("foam/train/input"),
        &part("foam/train/labels"),
        Classes::Found { ignored: None },
    )
    .unwrap();
    assert_eq!(classes.values, [0, 1]);
}

#[test]
fn folds_are_runs_of_neighbours_that_cover_the_set_once() {
    let mut seen = Vec::new();
    for fold in 1..=4 {
        let (training, validation) = numbered(10).split_off_fold(fold, 4).unwrap();
        let names: Vec<usize> = validation.names().iter().map(|name| name.parse().unwrap()).collect();
        assert!(names.windows(2).all(|pair| pair[1] == pair[0] + 1) && (2..=3).contains(&names.len()));
        assert!(training.names().iter().all(|name| !validation.names().contains(name)));
        assert_eq!(training.len() + names.len(), 10);
        seen.extend(names);
    }
    assert_eq!(seen, (0..10).collect::<Vec<_>>());
    assert!(numbered(3).split_off_fold(1, 4).is_err());
    assert!(numbered(3).split_off_fold(1, 1).is_err());
    assert!(numbered(3).split_off_fold(4, 3).is_err() && numbered(3).split_off_fold(0, 3).is_err());
}

#[test]
fn what_does_not_count_is_left_out_for_metrics() {
    let classes = Sample {
        slices: 1,
        target: Target::Classes(Array2::from_shape_vec((1, 3), vec![0, 1, UNLABELLED]).unwrap()),
        image: Array3::zeros((1, 1, 3)),
        group: None,
        weights: Some(Array2::from_shape_vec((1, 3), vec![0.0, 2.0, 1.0]).unwrap()),
        name: "a".into(),
    };
    let wanted = Array2::from_shape_vec((1, 3), vec![UNLABELLED, 1, UNLABELLED]).unwrap();
    assert_eq!(*classes.counted_target(), Target::Classes(wanted));
    let piece = |x, width| Some(Window::plane(0..1, x..x + width));
    assert!(classes.counts_in(None) && classes.counts_in(piece(0, 2)));
    assert!(!classes.counts_in(piece(0, 1)) && !classes.counts_in(piece(2, 1)));
    let values = Sample { target: Target::Values(Array3::ones((2, 1, 3))), ..classes };
    let Target::Values(counted) = values.counted_target().into_owned() else { panic!("wanted values") };
    assert!(counted.iter().enumerate().all(|(i, v)| if i % 3 == 0 { v.is_nan() } else { *v == 1.0 }));
}

#[test]
fn blocks_of_arrays_that_stay_in_their_files_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let array = r#"{"zarr_format": 2, "shape": [8, 16, 16], "chunks": [8, 8, 8], "dtype": "<u2",
        "compressor": null, "fill_value": 7, "order": "C", "filters": null}"#;
    let place = |name: &str| folder.path().join(name).display().to_string();
    for name in ["a.zarr", "b.zarr"] {
        std::fs::create_dir(place(name)).unwrap();
        std::fs::write(folder.path().join(name).join(".zarray"), array).unwrap();
    }
    let (images, targets) = (place("a.zarr"), place("b.zarr"));
    let set = |cache| DataFiles::new(&images, &targets).held_in(cache).regression().unwrap();
    let none = Dataset::unchecked([]);
    // Of both arrays the four blocks that a slice lies in, at the least, and no more than a few times all.
    let (slab, in_files) = (2 * 8 * 16 * 16, set(Some(0)).block_bytes(&none));
    assert!((2 * slab..8 * slab).contains(&in_files), "{in_files}");
    assert_eq!(set(None).block_bytes(&none), 0);
}
