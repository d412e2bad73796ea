//! Labels as training takes them.

use std::path::Path;

use super::*;
use crate::images::write_png_grey8;
use crate::portal::journal::{Entry, Stroke};

/// A project with images of `side` pixels along each side.
fn project(folder: &Path, side: usize, names: &[&str]) -> Project {
    let data = folder.join("data");
    std::fs::create_dir_all(&data).unwrap();
    for name in names {
        let image = Array2::from_shape_fn((side, side), |(y, x)| ((y ^ x) % 251) as u8);
        write_png_grey8(data.join(name), &image).unwrap();
    }
    let project = Project::open(&folder.join("project"), &[data]).unwrap();
    for name in names {
        project.add(name, false).unwrap();
    }
    for name in ["one", "two"] {
        project.add_class("a", name.into(), "#e6550d".into()).unwrap();
    }
    project
}

fn draw(project: &Project, image: &str, class: Option<u8>, x: f64, y: f64) {
    let points = vec![[x, y], [x + 20.0, y]];
    let stroke = Stroke { image: image.into(), slice: 0, class, size: 3.0, points, depth: 0, range: None };
    project.append("a", vec![Entry::Stroke(stroke)]).unwrap();
}

/// How many pixels of each class there are to train on, and set aside.
fn counted(labelled: &Labelled) -> [[usize; 2]; 2] {
    let (training, validation) = labelled.sets(&[0, 1].into()).unwrap();
    let count = |set: &Dataset, class: u32| {
        let mut count = 0;
        set.visit(|_, sample| {
            let Target::Classes(classes) = &sample.target else { panic!("wanted classes") };
            count += classes.iter().filter(|found| **found == class).count();
            Ok(())
        })
        .unwrap();
        count
    };
    [0, 1].map(|class| [count(&training, class), validation.as_ref().map_or(0, |set| count(set, class))])
}

#[test]
fn whole_regions_are_set_aside_but_never_most_of_a_class() {
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path(), 640, &["a.png"]);
    let mut gatherer = Gatherer::default();
    let mut gathered = |project: &Project| gatherer.gather(project).unwrap();
    // One of the five regions of the first row is set aside.
    let places = |from: usize| (0..5).map(move |n| (128 * n) as f64 + 20.0 * from as f64 + 5.0);
    let mut aside = None;
    for x in places(0) {
        draw(&project, "i1", Some(0), x, 10.0);
    }
    let stroke = counted(&gathered(&project))[0];
    assert!(stroke[0] == 4 * stroke[1] && stroke[1] > 60, "{stroke:?}");
    // What else is drawn there is set aside too, of any class.
    for x in places(1) {
        draw(&project, "i1", Some(1), x, 20.0);
        draw(&project, "i1", Some(0), x, 30.0);
        let now = counted(&gathered(&project));
        if now[0][1] > stroke[1] {
            aside = aside.or(Some(x));
        }
    }
    let aside = aside.unwrap();
    let all = counted(&gathered(&project));
    assert_eq!(all, [[8 * stroke[1], 2 * stroke[1]], [4 * stroke[1], stroke[1]]]);
    // Undone but for what is set aside, a class is trained on all the same, and none is set aside.
    for x in places(1).filter(|x| *x != aside) {
        draw(&project, "i1", None, x, 20.0);
    }
    let labelled = gathered(&project);
    assert_eq!(labelled.present, [0, 1].into());
    assert_eq!(counted(&labelled)[1], [stroke[1], 0]);
    // The same journal gives the same labels, also where the project is opened anew.
    let (_, hash) = project.journal_state();
    let past = Project::as_of(project.folder(), &hash).unwrap();
    let rule = Rule::Regions { without: BTreeSet::new() };
    let again = Gatherer::default().gather_again(&past, &rule).unwrap();
    assert_eq!((counted(&again), again.version()), (counted(&labelled), labelled.version()));
    assert!(labelled.version().ends_with(" by-region"));
}

#[test]
fn slices_that_have_not_changed_are_not_divided_again() {
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path(), 300, &["a.png", "b.png"]);
    let mut gatherer = Gatherer::default();
    draw(&project, "i1", Some(0), 10.0, 10.0);
    draw(&project, "i2", Some(1), 10.0, 10.0);
    let first = gatherer.gather(&project).unwrap();
    draw(&project, "i2", Some(0), 10.0, 40.0);
    let second = gatherer.gather(&project).unwrap();
    let is_same = |slice: usize| {
        let of = |labelled: &Labelled| Arc::clone(&labelled.slices[slice].divided);
        Arc::ptr_eq(&of(&first), &of(&second))
    };
    assert_eq!((is_same(0), is_same(1)), (true, false));
    assert_eq!(second.seq, project.journal_state().0);
    // After an undo, and where a class is removed, labels are what they would be anew.
    project.turn("a", false, &|_| false).unwrap();
    let fresh = |project: &Project| counted(&Gatherer::default().gather(project).unwrap());
    assert_eq!(counted(&gatherer.gather(&project).unwrap()), fresh(&project));
    let change = crate::portal::journal::ClassChange {
        class: 1,
        name: "two".into(),
        colour: "#e6550d".into(),
        locked: false,
        removed: true,
    };
    project.append("a", vec![Entry::Class(change)]).unwrap();
    let labelled = gatherer.gather(&project).unwrap();
    assert_eq!((counted(&labelled), labelled.present.len()), (fresh(&project), 1));
    project.remove("i1").unwrap();
    assert!(gatherer.gather(&project).unwrap().slices.is_empty());
    // One that is put back comes with its labels.
    project.put_back("i1").unwrap();
    let again = gatherer.gather(&project).unwrap();
    assert_eq!((counted(&again), again.slices.len()), (fresh(&project), 1));
}

#[test]
fn an_image_that_is_away_is_left_out_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path(), 300, &["a.png", "b.png"]);
    for image in ["i1", "i2"] {
        draw(&project, image, Some(0), 10.0, 10.0);
        draw(&project, image, Some(1), 10.0, 40.0);
    }
    let path = project.folder().to_path_buf();
    drop(project);
    let file = folder.path().join("data/a.png");
    std::fs::rename(&file, folder.path().join("away.png")).unwrap();
    let project = Project::open(&path, &[folder.path().join("data")]).unwrap();
    let mut gatherer = Gatherer::default();
    let labelled = gatherer.gather(&project).unwrap();
    let skipped: Vec<&str> = labelled.skipped.iter().map(|skipped| skipped.image.as_str()).collect();
    assert_eq!((skipped, labelled.slices.len(), labelled.present.len()), (vec!["i1"], 1, 2));
    assert!(labelled.skipped[0].reason.contains("a.png"), "{:?}", labelled.skipped);
    assert!(labelled.version().ends_with(" by-region without i1"), "{}", labelled.version());
    // It is taken when it is there again, but not where labels are those of then.
    std::fs::rename(folder.path().join("away.png"), &file).unwrap();
    assert_eq!(gatherer.gather(&project).unwrap().slices.len(), 2);
    let (_, hash) = project.journal_state();
    let past = Project::as_of(&path, &hash).unwrap();
    let rule = Rule::of(&["by-region", "without", "i1"]).unwrap();
    let again = gatherer.gather_again(&past, &rule).unwrap();
    assert_eq!((again.slices.len(), again.version()), (1, labelled.version()));
}

#[test]
fn strokes_of_earlier_runs_are_set_aside_by_their_count() {
    let drawn: Vec<(u64, u8)> = (1..=20).map(|seq| (seq, (seq % 2) as u8)).collect();
    // The 4th and 9th of each class.
    assert_eq!(set_aside(&drawn), [7, 8, 17, 18].into());
    assert!(set_aside(&drawn[..6]).is_empty());
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path(), 300, &["a.png"]);
    for place in 0..4 {
        draw(&project, "i1", Some(0), 10.0, 10.0 + 10.0 * f64::from(place));
        draw(&project, "i1", Some(1), 110.0, 10.0 + 10.0 * f64::from(place));
    }
    let labelled = Gatherer::default().gather_again(&project, &Rule::Strokes).unwrap();
    let [one, two] = counted(&labelled);
    assert!(one == two && one[0] == 3 * one[1] && one[1] > 60, "{one:?} {two:?}");
    assert_eq!(labelled.version(), labelled.journal());
    assert_eq!(Rule::of(&[]), Some(Rule::Strokes));
    assert_eq!(Rule::of(&["by-number"]), None);
}
