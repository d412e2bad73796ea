//! Labels of other programs in, labels for other programs out, and stacks whose slices are files.

use std::path::{Path, PathBuf};

use ndarray::{Array2, Array3, Axis};

use super::tests::{class, data, open, stroke};
use super::*;
use crate::images::{Discovery, StackFormat, read_labels, write_png_grey8};

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/labels").join(name)
}

/// A project with the image `a.png` as `i1`, `stack.tif` as `i2`, and the classes `ground` (0) and `fibre` (1).
fn project(folder: &Path) -> Project {
    let project = open(folder);
    assert_eq!(project.add("a.png", false).unwrap(), ["i1"]);
    assert_eq!(project.add("stack.tif", false).unwrap(), ["i2"]);
    for name in ["ground", "fibre"] {
        project.add_class("a", name.into(), "#e6550d".into()).unwrap();
    }
    project
}

/// The labels of the stack in all files of the corpus, by the classes of [`project`].
fn wanted() -> Array3<u8> {
    Array3::from_shape_fn((3, 30, 40), |at| match at {
        (0, 5, 2..=20) => 1,
        (1, 20..=29, 10..=29) => 0,
        _ => 255,
    })
}

fn labels(project: &Project, id: &str) -> Array3<u8> {
    let slices = project.image(id).unwrap().slices;
    let planes: Vec<Array2<u8>> = (0..slices).map(|slice| project.labels(id, slice).unwrap().0).collect();
    ndarray::stack(Axis(0), &planes.iter().map(|plane| plane.view()).collect::<Vec<_>>()).unwrap()
}

#[test]
fn labels_of_labkit_and_ilastik_are_laid_over_by_the_names_of_their_classes() {
    let folder = data();
    let project = project(folder.path());
    for name in ["labkit.labeling", "ilastik.ilp"] {
        let laid = project.import("a", "i2", &corpus(name), &Meanings::new()).unwrap();
        assert!(laid.done.is_some(), "{name}: {laid:?}");
        assert_eq!(labels(&project, "i2"), wanted(), "{name}");
        assert!(laid.names.values().all(|named| ["ground", "fibre"].contains(&named.name.as_str())));
        assert_eq!(laid.values.values().sum::<u64>(), 219, "{name}");
        project.turn("a", false, &|_| false).unwrap().unwrap();
        assert!(labels(&project, "i2").iter().all(|label| *label == 255));
    }
    // Of several images in a project of ilastik, the one of the same name.
    project.import("a", "i1", &corpus("ilastik.ilp"), &Meanings::new()).unwrap().done.unwrap();
    let found = labels(&project, "i1");
    let inside = |(_, y, x): (usize, usize, usize)| (1..3).contains(&y) && (4..7).contains(&x);
    assert!(found.indexed_iter().all(|(at, label)| *label == if inside(at) { 0 } else { 255 }));
}

#[test]
fn classes_that_only_the_file_has_are_asked_for_by_their_names() {
    let folder = data();
    let project = open(folder.path());
    project.add("stack.tif", false).unwrap();
    project.add_class("a", "fibre".into(), "#e6550d".into()).unwrap();
    let from = corpus("labkit.labeling");
    let laid = project.import("a", "i1", &from, &Meanings::new()).unwrap();
    let names: Vec<_> = laid.names.iter().map(|(value, named)| (*value, named.name.as_str())).collect();
    assert_eq!((names, laid.done), (vec![(1, "ground"), (2, "fibre")], None));
    assert_eq!(laid.names[&1].colour.as_deref(), Some("#3182BD"));
    assert_eq!(project.labelled("i1").unwrap(), 0);
    project.import("a", "i1", &from, &meanings("1:none").unwrap()).unwrap().done.unwrap();
    assert_eq!(labels(&project, "i1").iter().filter(|label| **label == 0).count(), 19);
}

#[test]
fn label_images_of_ilastik_and_nifti_are_laid_over() {
    let folder = data();
    let project = project(folder.path());
    for name in ["exported.h5", "labels.nii.gz"] {
        // They come without their names.
        let sent = folder.path().join("sent");
        std::fs::copy(corpus(name), &sent).unwrap();
        let meanings = meanings("0:none,1:fibre,2:ground").unwrap();
        project.import("a", "i2", &sent, &meanings).unwrap().done.unwrap();
        assert_eq!(labels(&project, "i2"), wanted(), "{name}");
        project.turn("a", false, &|_| false).unwrap().unwrap();
    }
}

#[test]
fn labels_of_other_images_and_damaged_ones_are_refused() {
    let folder = data();
    let project = project(folder.path());
    let before = project.journal_state();
    let refused = |id: &str, text: &str| {
        let path = folder.path().join("sent");
        std::fs::write(&path, text).unwrap();
        project.import("a", id, &path, &Meanings::new()).unwrap_err().to_string()
    };
    let of = |min: &str, max: &str, labels: &str| {
        format!(r#"{{"interval":{{"min":{min},"max":{max}}},"labels":{{{labels}}}}}"#)
    };
    let whole = ("[0,0]", "[39,29]");
    let many: Vec<String> = (0..255).map(|n| format!(r#""{n}":[]"#)).collect();
    for (text, word) in [
        ("{".to_owned(), "no labeling of Labkit"),
        ("{}".to_owned(), "no labeling of Labkit"),
        (of("[0,0]", "[38,29]", ""), "39 x 30 pixels"),
        (of("[0,0,0]", "[39,29,2]", ""), "40 x 30 x 3 pixels"),
        (of("[0]", "[39]", ""), "two to five axes"),
        (of("[0,0]", "[39]", ""), "two to five axes"),
        (of("[0,-9223372036854775808]", "[39,9223372036854775807]", ""), "two to five axes"),
        (of(whole.0, whole.1, r#""fibre":[[40,0]]"#), "not in its image"),
        (of(whole.0, whole.1, r#""fibre":[[0,-1]]"#), "not in its image"),
        (of(whole.0, whole.1, r#""fibre":[[0]]"#), "no labeling of Labkit"),
        (of(whole.0, whole.1, r#""fibre":[[0,1,2,3,4,5]]"#), "no labeling of Labkit"),
        (of(whole.0, whole.1, r#""fibre":[[0,99999999999]]"#), "no labeling of Labkit"),
        (of(whole.0, whole.1, r#""fibre":[[0.5,1]]"#), "no labeling of Labkit"),
        (of(whole.0, whole.1, &many.join(",")), "more than 254"),
    ] {
        let error = refused("i1", &text);
        assert!(error.contains(word), "{text}: {error}");
    }
    let error = project.import("a", "i1", &corpus("labkit.labeling"), &Meanings::new()).unwrap_err();
    assert!(error.to_string().contains("choose the image that they belong to"), "{error}");
    assert_eq!(project.journal_state(), before);
    assert!(std::fs::read_dir(project.folder().join("labels")).unwrap().next().is_none());
}

#[test]
fn every_damage_of_a_project_of_ilastik_is_an_error_or_labels_but_no_panic() {
    let folder = data();
    let project = project(folder.path());
    let bytes = std::fs::read(corpus("ilastik.ilp")).unwrap();
    let path = folder.path().join("sent");
    for at in (0..bytes.len()).step_by(211) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x5a;
        std::fs::write(&path, &damaged).unwrap();
        drop(project.import("a", "i2", &path, &Meanings::new()));
        std::fs::write(&path, &bytes[..at]).unwrap();
        drop(project.import("a", "i2", &path, &Meanings::new()));
    }
}

#[test]
fn labels_are_written_as_nifti_and_ome_zarr() {
    let folder = data();
    let project = project(folder.path());
    project.append("a", vec![stroke("i2", 1, 5.0)]).unwrap();
    let image = project.image("i2").unwrap();
    for (name, format) in [("i2.nii", StackFormat::Nifti), ("i2.ome.zarr", StackFormat::Zarr)] {
        let path = folder.path().join(name);
        project.write_labels_as(&image, &path, format).unwrap();
        let pages = Discovery::default().discover_single_channel(path.to_str().unwrap()).unwrap();
        assert_eq!(pages.len(), 3, "{name}");
        for (slice, page) in pages.iter().enumerate() {
            let written = read_labels(page).unwrap().mapv(|label| label as u8);
            assert_eq!(written, project.labels("i2", slice).unwrap().0, "{name}");
        }
    }
}

/// A folder of slices, the numbers of whose names are not in the order of letters.
fn slices(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    for number in [1_u8, 2, 10] {
        let plane = Array2::from_shape_fn((30, 40), |(y, x)| (y + x) as u8 + 100 * u8::from(number == 10));
        write_png_grey8(folder.join(format!("slice{number}.png")), &plane).unwrap();
    }
}

#[test]
fn the_files_of_a_folder_are_one_stack_where_that_is_wanted() {
    let folder = data();
    slices(&folder.path().join("data/scan"));
    let project = open(folder.path());
    assert_eq!(project.add("scan", false).unwrap().len(), 3);
    let id = project.add_files_as_stack("scan", false).unwrap();
    assert_eq!(project.add_files_as_stack("scan", false).unwrap(), id);
    let image = project.image(&id).unwrap();
    assert_eq!((image.name.as_str(), image.slices, image.is_of_files), ("scan", 3, true));
    assert_eq!(project.read(&id, 2).unwrap()[(0, 1, 2)], 103.0);
    // Strokes, cuts, labels and label files, as of any stack.
    let fibre = class(&project, false);
    project.append("a", vec![stroke(&id, fibre, 5.0)]).unwrap();
    assert!(labels(&project, &id).iter().filter(|label| **label == fibre).count() > 20);
    let cut = project.cut(&id, crate::portal::tiles::Axis::Row, 4, 0).unwrap().unwrap().0;
    assert_eq!((cut.width, cut.height), (40, 3));
    let written = project.write_labels(&id).unwrap();
    assert_eq!(Discovery::default().discover(written.to_str().unwrap()).unwrap().len(), 3);
    // A pattern, copied into the project: it is there when the folder is gone, and after the project was opened again.
    let copied = project.add_files_as_stack("scan/slice1*.png", true).unwrap();
    assert_eq!(project.image(&copied).unwrap().slices, 2);
    drop(project);
    std::fs::remove_dir_all(folder.path().join("data/scan")).unwrap();
    let project = open(folder.path());
    assert_eq!(project.read(&copied, 1).unwrap()[(0, 1, 2)], 103.0);
    assert!(project.read(&id, 0).is_err());
}

#[test]
fn files_of_the_same_name_are_copied_apart() {
    let folder = data();
    for (part, value) in [("s1", 10), ("s2", 20)] {
        let part = folder.path().join("data").join(part);
        std::fs::create_dir(&part).unwrap();
        write_png_grey8(part.join("z.png"), &Array2::from_elem((5, 6), value)).unwrap();
    }
    let project = open(folder.path());
    let id = project.add_files_as_stack("s*/z.png", true).unwrap();
    let values = [0, 1].map(|slice| project.read(&id, slice).unwrap()[(0, 0, 0)]);
    assert_eq!((project.image(&id).unwrap().slices, values), (2, [10.0, 20.0]));
}

#[test]
fn a_stack_of_files_does_not_come_back_into_a_project_that_denoises() {
    let folder = data();
    slices(&folder.path().join("data/scan"));
    let project = open(folder.path());
    let id = project.add_files_as_stack("scan", false).unwrap();
    let denoises = |project: &Project| project.set_purpose(Aim::Denoise, None);
    assert!(denoises(&project).unwrap_err().to_string().contains("is a stack of files"));
    project.set_removed("a", &id, true).unwrap().unwrap();
    denoises(&project).unwrap();
    let refused = project.set_removed("a", &id, false).unwrap_err().to_string();
    assert!(refused.contains("each file is an image"), "{refused}");
    let refused = project.add_files_as_stack("scan", false).unwrap_err().to_string();
    assert!(refused.contains("each file is an image"), "{refused}");
}

#[test]
fn folders_that_are_no_stack_are_refused() {
    let folder = data();
    let scan = folder.path().join("data/scan");
    slices(&scan);
    write_png_grey8(scan.join("slice11.png"), &Array2::zeros((5, 6))).unwrap();
    let project = open(folder.path());
    let refused = |path: &str| project.add_files_as_stack(path, false).unwrap_err().to_string();
    assert!(refused("scan").contains("the same in all slices"), "{}", refused("scan"));
    for path in ["a.png", "stack.tif"] {
        assert!(refused(path).contains("no folder of slices"), "{}", refused(path));
    }
    assert!(refused("*.tif").contains("is a stack itself"), "{}", refused("*.tif"));
    assert!(refused("../project").contains("no") && refused("..").contains("may read"));
    #[cfg(unix)]
    {
        // A link out of the folder is not followed.
        std::fs::remove_file(scan.join("slice11.png")).unwrap();
        let secret = folder.path().join("secret.png");
        std::fs::copy(scan.join("slice1.png"), &secret).unwrap();
        std::os::unix::fs::symlink(&secret, scan.join("slice11.png")).unwrap();
        assert!(refused("scan").contains("may read"), "{}", refused("scan"));
    }
    assert!(project.images().is_empty());
}
