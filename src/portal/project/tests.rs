//! A project on the disk: what is there after it was closed, and what is refused.

use std::path::Path;

use ndarray::{Array2, Array4};

use super::*;
use crate::geometry::Extent;
use crate::images::{Discovery, Sink, TiffSink, read_labels, write_labels, write_png_grey8};
use crate::portal::journal::{ClassChange, Entry, Fill, Stroke};

/// A folder with an image of 40 x 30 pixels and a stack of three slices of that size.
pub(super) fn data() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    let image = Array2::from_shape_fn((30, 40), |(y, x)| (y * 5 + x) as u8);
    write_png_grey8(folder.path().join("data/a.png"), &image).unwrap();
    let extent = Extent::new(3, 30, 40);
    let mut sink = TiffSink::values(folder.path().join("data/stack.tif"), extent, 1).unwrap();
    let volume = Array4::from_shape_fn((1, 3, 30, 40), |(_, z, y, x)| (z * 1200 + y * 40 + x) as f32);
    sink.write(Window::whole(extent), volume.view()).unwrap();
    Box::new(sink).done().unwrap();
    folder
}

pub(super) fn open(folder: &Path) -> Project {
    Project::open(&folder.join("project"), &[folder.join("data")]).unwrap()
}

pub(super) fn class(project: &Project, locked: bool) -> u8 {
    let (class, _) = project.add_class("a", "fibre".into(), "#e6550d".into()).unwrap();
    let (name, colour) = ("fibre".to_owned(), "#e6550d".to_owned());
    project
        .append("a", vec![Entry::Class(ClassChange { class, name, colour, locked, removed: false })])
        .unwrap();
    class
}

pub(super) fn stroke(image: &str, class: u8, y: f64) -> Entry {
    Entry::Stroke(Stroke {
        image: image.into(),
        slice: 0,
        class: Some(class),
        size: 3.0,
        points: vec![[2.5, y], [20.5, y + 4.3]],
        depth: 0,
        range: None,
    })
}

#[test]
fn a_project_is_the_same_after_it_was_opened_again() {
    let folder = data();
    let project = open(folder.path());
    assert_eq!(project.add("a.png", false).unwrap(), ["i1"]);
    assert_eq!(project.add("stack.tif", true).unwrap(), ["i2"]);
    assert_eq!(project.add("a.png", false).unwrap(), ["i1"]);
    project.rename("My <b>project</b>").unwrap();
    let fibre = class(&project, false);
    let done = project.append("a", vec![stroke("i1", fibre, 5.0), stroke("i1", fibre, 15.0)]).unwrap();
    assert_eq!((done.seq, done.changed.len()), (4, 2));
    project.append("b", vec![stroke("i2", fibre, 9.0)]).unwrap();
    let (undone, line) = project.turn("a", false, &nobody).unwrap().unwrap();
    assert_eq!((undone.seq, line.seq), (6, 4));
    let labels = project.labels("i1", 0).unwrap();
    let state = project.journal_state();
    let images = project.images();
    assert!(project.labelled("i1").unwrap() > 40 && labels.1 == 6);
    drop(project);

    let project = open(folder.path());
    assert_eq!((project.labels("i1", 0).unwrap(), project.journal_state()), (labels.clone(), state));
    assert_eq!((project.images(), project.name()), (images, "My <b>project</b>".into()));
    assert_eq!(
        project.classes(),
        [Class { class: 0, name: "fibre".into(), colour: "#e6550d".into(), locked: false }]
    );
    assert!(project.folder().join("images/stack.tif").exists());
    // What was undone before the end can be done again, and all before be undone.
    assert_eq!(project.turn("a", true, &nobody).unwrap().unwrap().1.seq, 4);
    assert_eq!(project.turn("new", false, &nobody).unwrap().unwrap().1.seq, 5);
    assert_eq!(project.turn("a", true, &nobody).unwrap(), None);
    assert_eq!(project.changes_since(5), None);
    let changes = project.changes_since(6).unwrap();
    assert_eq!(
        changes.iter().map(|(seq, regions)| (*seq, regions[0].image.as_str())).collect::<Vec<_>>(),
        [(7, "i1"), (8, "i2")]
    );
    let strokes = project.strokes("i1", 0).unwrap();
    assert_eq!(
        strokes.iter().map(|stroke| (stroke.seq, stroke.class)).collect::<Vec<_>>(),
        [(3, Some(0)), (4, Some(0))]
    );
    assert_eq!(project.painted_slices("i2"), [0; 0]);
}

#[test]
fn one_server_at_a_time_has_a_project() {
    let folder = data();
    let project = open(folder.path());
    let error = Project::open(&folder.path().join("project"), &[]).unwrap_err().to_string();
    assert!(error.contains("another msd-gpu has it open"), "{error}");
    drop(project);
    open(folder.path());
    let error = Project::open(&folder.path().join("data"), &[]).unwrap_err().to_string();
    assert!(error.contains("holds other files"), "{error}");
    std::fs::write(folder.path().join("project/project.toml"), "version = 9").unwrap();
    let error = Project::open(&folder.path().join("project"), &[]).unwrap_err().to_string();
    assert!(error.contains("project.toml"), "{error}");
}

#[test]
fn what_cannot_be_drawn_changes_nothing() {
    let folder = data();
    let project = open(folder.path());
    project.add("a.png", false).unwrap();
    let fibre = class(&project, false);
    project.append("a", vec![stroke("i1", fibre, 5.0)]).unwrap();
    let before = (project.journal_state(), std::fs::read(project.folder().join("journal.jsonl")).unwrap());
    let fill =
        |x| Entry::Fill(Fill { image: "i1".into(), slice: 0, class: Some(fibre), x, y: 0, tolerance: 1.0 });
    let import = |file: &str| {
        serde_json::from_str(&format!(r#"{{"op":"import","image":"i1","file":"{file}"}}"#)).unwrap()
    };
    for (tab, entries, word) in [
        ("a", vec![], "0 entries"),
        ("", vec![stroke("i1", fibre, 5.0)], "`tab`"),
        ("a", vec![stroke("i2", fibre, 5.0)], "no image 'i2'"),
        ("a", vec![stroke("i1", 7, 5.0)], "no class 7"),
        ("a", vec![stroke("i1", fibre, 5.0), fill(99)], "x 99"),
        ("a", vec![stroke("i1", fibre, 5.0); 1001], "1001 entries"),
        ("a", vec![Entry::Undo(crate::portal::journal::Of { of: 1 })], "/api/undo"),
        ("a", vec![import("../data/a.png")], "no label file"),
        ("a", vec![import("labels/import-1.tif/../../x")], "no label file"),
        ("a", vec![import("labels/import-7.tif")], "import-7.tif"),
        ("a", vec![stroke("i1", fibre, 5.0), import("labels/import-1.tif")], "one by one"),
    ] {
        let error = project.append(tab, entries).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
    // Once the file is gone, what needs it is refused before it is written down.
    std::fs::remove_file(folder.path().join("data/a.png")).unwrap();
    assert!(project.append("a", vec![fill(1)]).is_err());
    let after = (project.journal_state(), std::fs::read(project.folder().join("journal.jsonl")).unwrap());
    assert_eq!(after, before);
}

#[test]
fn labels_go_to_files_and_come_back() {
    let folder = data();
    let project = open(folder.path());
    project.add("stack.tif", false).unwrap();
    let fibre = class(&project, false);
    project.append("a", vec![stroke("i1", fibre, 5.0)]).unwrap();
    let drawn = project.labels("i1", 0).unwrap().0;
    let path = project.write_labels("i1").unwrap();
    let pages = Discovery::default().discover(path.to_str().unwrap()).unwrap();
    assert_eq!(pages.len(), 3);
    assert_eq!(read_labels(&pages[0]).unwrap(), drawn.mapv(i64::from));
    assert!(read_labels(&pages[1]).unwrap().iter().all(|label| *label == 255));
    project.turn("a", false, &nobody).unwrap().unwrap();
    assert_eq!(project.labelled("i1").unwrap(), 0);
    // The file that was written is laid over.
    let none = Meanings::new();
    let laid = project.import("a", "i1", &path, &none).unwrap();
    assert_eq!(laid.done.unwrap().changed.len(), 3);
    assert_eq!(laid.values.keys().copied().collect::<Vec<_>>(), [0, 255]);
    assert_eq!(project.labels("i1", 0).unwrap().0, drawn);
    assert!(project.folder().join("labels/import-1.tif").exists());
    project.write_changed_labels().unwrap();
    let pictures = project.write_label_pictures(&project.image("i1").unwrap(), folder.path()).unwrap();
    assert_eq!(pictures.len(), 3);
    // Of another size.
    let small = write_labels(folder.path().join("small"), &Array2::zeros((3, 4))).unwrap();
    let error = project.import("a", "i1", &small, &none).unwrap_err().to_string();
    assert!(error.contains("4 x 3 pixels in 1 slices"), "{error}");
    let picture = folder.path().join("data/a.png");
    assert!(project.import("a", "i1", &picture, &none).is_err());
    drop(project);
    assert_eq!(open(folder.path()).labels("i1", 0).unwrap().0, drawn);
}

/// No tab is open.
fn nobody(_: &str) -> bool {
    false
}

#[test]
fn masks_of_other_programs_are_laid_over_once_it_is_said_what_they_mean() {
    let folder = data();
    let project = open(folder.path());
    project.add("a.png", false).unwrap();
    let (background, _) = project.add_class("a", "background".into(), "#000000".into()).unwrap();
    let (cell, _) = project.add_class("a", "cell".into(), "#e6550d".into()).unwrap();
    let mask = Array2::from_shape_fn((30, 40), |(_, x)| if x < 10 { 255 } else { 0 });
    let path = folder.path().join("mask.png");
    write_png_grey8(&path, &mask).unwrap();
    let seq = project.journal_state().0;
    let unclear = project.import("a", "i1", &path, &Meanings::new()).unwrap();
    assert_eq!((unclear.done, unclear.values), (None, [(0, 900), (255, 300)].into()));
    assert_eq!(
        (project.journal_state().0, project.folder().join("labels/import-1.tif").exists()),
        (seq, false)
    );
    for (given, labels) in [("0:none,255:cell", [cell, 255]), ("0:background,255:1", [cell, background])] {
        project.import("a", "i1", &path, &meanings(given).unwrap()).unwrap().done.unwrap();
        let drawn = project.labels("i1", 0).unwrap().0;
        assert_eq!([drawn[(0, 9)], drawn[(29, 10)]], labels, "{given}");
    }
}

#[test]
fn labels_that_a_crash_has_kept_from_their_files_are_written_at_the_next_end() {
    let folder = data();
    let file = |id: &str| folder.path().join(format!("project/labels/{id}.tif"));
    let project = open(folder.path());
    assert_eq!(
        (project.add("a.png", false).unwrap(), project.add("stack.tif", false).unwrap().len()),
        (vec!["i1".into()], 1)
    );
    let fibre = class(&project, false);
    project.append("a", vec![stroke("i1", fibre, 5.0)]).unwrap();
    project.append("a", vec![stroke("i2", fibre, 5.0)]).unwrap();
    // As a program that is killed, it writes nothing.
    drop(project);
    let project = open(folder.path());
    project.write_changed_labels().unwrap();
    let modified = |id: &str| {
        let time = std::fs::metadata(file(id)).unwrap().modified().unwrap();
        // What is written after this has another time, also where a clock of files goes in steps.
        std::thread::sleep(std::time::Duration::from_millis(20));
        time
    };
    let (one, two) = (modified("i1"), modified("i2"));
    project.append("a", vec![stroke("i2", fibre, 20.0)]).unwrap();
    drop(project);

    // What is up to date stays as it is.
    let project = open(folder.path());
    project.write_changed_labels().unwrap();
    assert_eq!(modified("i1"), one);
    assert_ne!(modified("i2"), two);
    // A file that is gone is written again; so are all where a class has changed.
    std::fs::remove_file(file("i1")).unwrap();
    project.write_changed_labels().unwrap();
    let (one, two) = (modified("i1"), modified("i2"));
    class(&project, true);
    project.write_changed_labels().unwrap();
    assert!(modified("i1") != one && modified("i2") != two);
    // One that fails does not keep the others from it.
    project.append("a", vec![stroke("i1", fibre, 25.0)]).unwrap();
    project.append("a", vec![stroke("i2", fibre, 25.0)]).unwrap();
    let two = modified("i2");
    std::fs::remove_file(file("i1")).unwrap();
    std::fs::create_dir_all(file("i1").join("in the way")).unwrap();
    assert!(project.write_changed_labels().unwrap_err().to_string().contains("i1.tif"));
    assert_ne!(modified("i2"), two);
}

#[test]
fn many_who_ask_for_labels_at_once_all_get_them() {
    let folder = data();
    let project = open(folder.path());
    project.add("stack.tif", false).unwrap();
    let fibre = class(&project, false);
    for round in 0..5 {
        project.append("a", vec![stroke("i1", fibre, f64::from(round) * 4.0)]).unwrap();
        std::thread::scope(|scope| {
            let asking: Vec<_> = (0..6).map(|_| scope.spawn(|| project.write_labels("i1"))).collect();
            for one in asking {
                let pages =
                    Discovery::default().discover(one.join().unwrap().unwrap().to_str().unwrap()).unwrap();
                assert_eq!(pages.len(), 3);
            }
        });
    }
}

#[test]
fn images_that_were_taken_out_are_gone_until_they_are_put_back() {
    let folder = data();
    let project = open(folder.path());
    project.add("a.png", false).unwrap();
    let fibre = class(&project, false);
    project.append("a", vec![stroke("i1", fibre, 5.0)]).unwrap();
    assert!(
        project.remove("i1").unwrap() && !project.remove("i1").unwrap() && !project.remove("i9").unwrap()
    );
    assert_eq!(project.tile("i1", 0, (0, 0, 0)).unwrap(), None);
    assert_eq!(project.label_tile("i1", 0, (0, 0, 0)).unwrap(), None);
    assert!(project.labels("i1", 0).is_err());
    assert!(project.turn("a", false, &nobody).unwrap().is_none());
    let (seq, hash) = project.journal_state();
    // As it was before, the image was there.
    let drawn = project.journal_from(3).unwrap();
    let drawn: serde_json::Value =
        serde_json::from_slice(drawn.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    let past = Project::as_of(project.folder(), drawn["hash"].as_str().unwrap()).unwrap();
    let labels = past.labels("i1", 0).unwrap();
    assert!(past.images().len() == 1 && past.labelled("i1").unwrap() > 0);
    assert!(Project::as_of(project.folder(), &hash).unwrap().images().is_empty());
    drop(project);

    let project = open(folder.path());
    assert!(project.images().is_empty() && project.journal_state() == (seq, hash));
    // Added again, it is the same image.
    assert_eq!(project.add("a.png", false).unwrap(), ["i1"]);
    assert_eq!((project.labels("i1", 0).unwrap().0, project.images().len()), (labels.0.clone(), 1));
    assert!(
        project.remove("i1").unwrap() && project.put_back("i1").unwrap() && project.put_back("i1").unwrap()
    );
    assert!(!project.put_back("i9").unwrap());
    assert_eq!(project.labels("i1", 0).unwrap().0, labels.0);
    // One of another size is another image.
    project.remove("i1").unwrap();
    write_png_grey8(folder.path().join("data/a.png"), &Array2::zeros((8, 9))).unwrap();
    assert_eq!(project.add("a.png", false).unwrap(), ["i2"]);
    assert_eq!(project.labelled("i2").unwrap(), 0);
    let again = r#"{"op":"image","image":"i1","removed":false}"#;
    assert!(project.append("a", vec![serde_json::from_str(again).unwrap()]).is_err());
}

#[test]
fn images_that_were_taken_out_before_the_journal_said_so_stay_out() {
    let folder = data();
    let project = open(folder.path());
    project.add("a.png", false).unwrap();
    project.add("stack.tif", false).unwrap();
    let (file, seq) = (project.folder().join("project.toml"), project.journal_state().0);
    drop(project);
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("came = \"linked\"", "came = \"linked\"\nremoved = true", 1))
        .unwrap();
    for _ in 0..2 {
        let project = open(folder.path());
        assert_eq!(project.images().into_iter().map(|image| image.id).collect::<Vec<_>>(), ["i2"]);
        assert_eq!(project.journal_state().0, seq + 1);
    }
}

#[test]
fn uploads_that_are_no_images_do_not_stay() {
    use std::io::Write;
    let folder = data();
    let project = open(folder.path());
    let bytes = std::fs::read(folder.path().join("data/a.png")).unwrap();
    for name in ["a.png", "a.png"] {
        let (file, path) = project.begin_upload(name, None).unwrap();
        file.file().write_all(&bytes).unwrap();
        project.end_upload(file, &path, None).unwrap();
    }
    let (file, path) = project.begin_upload("b.png", None).unwrap();
    file.file().write_all(b"\x89PNG\r\n\x1a\nnothing").unwrap();
    assert!(project.end_upload(file, &path, None).is_err());
    drop(project.begin_upload("c.png", None).unwrap());
    assert!(project.begin_upload("../c.png", None).is_err());
    let mut names: Vec<_> = std::fs::read_dir(project.folder().join("images"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["a-2.png", "a.png"]);
    assert_eq!(project.images().iter().map(|image| image.came).collect::<Vec<_>>(), [Came::Uploaded; 2]);
}

#[test]
fn a_project_can_be_read_as_it_was_at_any_hash() {
    let folder = data();
    let project = open(folder.path());
    project.add("a.png", false).unwrap();
    let fibre = class(&project, false);
    let mut before = Vec::new();
    for n in 0..4 {
        let done = project.append("a", vec![stroke("i1", fibre, f64::from(n) * 6.0)]).unwrap();
        before.push((done.hash, project.labels("i1", 0).unwrap()));
        if n == 1 {
            let (done, _) = project.turn("a", false, &nobody).unwrap().unwrap();
            before.push((done.hash, project.labels("i1", 0).unwrap()));
        }
    }
    // While the server still has it.
    for (hash, labels) in before {
        let past = Project::as_of(project.folder(), &hash).unwrap();
        assert_eq!((past.labels("i1", 0).unwrap(), past.journal_state().1), (labels, hash));
        assert!(past.append("a", vec![stroke("i1", fibre, 1.0)]).is_err() && past.rename("other").is_err());
        assert!(past.write_labels("i1").is_err() && past.turn("a", false, &nobody).is_err());
    }
    assert!(Project::as_of(project.folder(), "00").is_err());
    assert_eq!(project.append("a", vec![stroke("i1", fibre, 1.0)]).unwrap().seq, 8);
}

#[test]
fn two_files_of_one_name_that_come_at_once_both_stay() {
    use std::io::Write;
    let folder = data();
    let project = open(folder.path());
    let bytes = std::fs::read(folder.path().join("data/a.png")).unwrap();
    let (one, one_path) = project.begin_upload("a.png", None).unwrap();
    let (two, two_path) = project.begin_upload("a.png", None).unwrap();
    for (file, path) in [(one, one_path), (two, two_path)] {
        file.file().write_all(&bytes).unwrap();
        project.end_upload(file, &path, None).unwrap();
    }
    let paths: Vec<_> = project.images().into_iter().map(|image| image.path).collect();
    assert_eq!(paths, [PathBuf::from("images/a.png"), PathBuf::from("images/a-2.png")]);
    // The same image is added once, however many ask for it.
    let all = std::thread::scope(|scope| {
        let asking: Vec<_> =
            (0..4).map(|_| scope.spawn(|| project.add("stack.tif", false).unwrap())).collect();
        asking.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!((all, project.images().len()), (vec![vec!["i3".to_owned()]; 4], 3));
}
