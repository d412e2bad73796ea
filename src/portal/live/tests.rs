//! Training while strokes are drawn.

use std::path::Path;
use std::time::{Duration, Instant};

use ndarray::Array2;

use super::*;
use crate::images::write_png_grey8;
use crate::network::Model;
use crate::portal::journal::{Entry, Stroke};

const SIZE: usize = 192;

/// A cheap random number from 0 to 255 for a pixel.
fn noise(y: usize, x: usize) -> u8 {
    let mut state = (y * 7919 + x * 104_729 + 12_345) as u32;
    for _ in 0..3 {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
    }
    (state % 251) as u8
}

/// A project with an image of two textures: grains of one pixel on the left, of four on the right; the lowest rows are white.
fn project(folder: &Path) -> Arc<Project> {
    let data = folder.join("data");
    std::fs::create_dir_all(&data).unwrap();
    let image = Array2::from_shape_fn((SIZE, SIZE), |(y, x)| match (y < 160, x < SIZE / 2) {
        (false, _) => 255,
        (true, true) => noise(y, x),
        (true, false) => noise(y / 4, x / 4),
    });
    write_png_grey8(data.join("a.png"), &image).unwrap();
    let project = Project::open(&folder.join("project"), &[data]).unwrap();
    if project.images().is_empty() {
        assert_eq!(project.add("a.png", false).unwrap(), ["i1"]);
        for name in ["fine", "coarse", "white"] {
            project.add_class("a", name.into(), "#e6550d".into()).unwrap();
        }
    }
    Arc::new(project)
}

fn draw(project: &Project, live: &Live, class: Option<u8>, points: [[f64; 2]; 2]) {
    let (image, points) = ("i1".to_owned(), points.to_vec());
    let stroke = Stroke { image, slice: 0, class, size: 7.0, points, depth: 0, range: None };
    project.append("a", vec![Entry::Stroke(stroke)]).unwrap();
    live.labels_changed();
}

/// Waits until training is as wanted.
fn until(live: &Live, what: &str, wanted: impl Fn(&Status) -> bool) -> Status {
    let start = Instant::now();
    loop {
        let status = live.status();
        if wanted(&status) {
            return status;
        }
        assert_ne!(status.state, "failed", "{status:?}");
        assert!(start.elapsed() < Duration::from_secs(120), "{what}: {status:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The share of the pixels of rows `rows` that have the class that they should have.
fn right(live: &Live, rows: std::ops::Range<usize>, class: impl Fn(usize) -> u8) -> f64 {
    let tile = live.result_tile("i1", 0, 0, 0, 0, What::Classes).unwrap().unwrap();
    assert_eq!((tile.height, tile.width), (SIZE, SIZE));
    let pixels = rows.flat_map(|y| (0..SIZE).map(move |x| (y, x))).collect::<Vec<_>>();
    let hits = pixels.iter().filter(|(y, x)| tile.values[y * SIZE + x] == class(*x)).count();
    hits as f64 / pixels.len() as f64
}

fn view() -> View {
    View { tab: "a".into(), image: "i1".into(), slice: 0, x: 0, y: 0, width: SIZE, height: SIZE }
}

fn small() -> Start {
    let settings = [("depth", "5"), ("crop", "96"), ("lr", "0.01")];
    let settings = settings.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
    Start { depth: Depth::Auto, settings }
}

#[test]
fn strokes_are_learnt_as_they_are_drawn_and_a_restart_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path());
    let live = Live::new(Arc::clone(&project), Events::default(), "cpu".into());
    assert!(live.least_sure().unwrap().is_none() && live.model_file().is_none());
    live.look_at(view());
    live.start(small()).unwrap();
    // Nothing can be learnt from strokes of one class: it begins by itself once there are two.
    draw(&project, &live, Some(0), [[10.0, 20.0], [80.0, 25.0]]);
    let waiting = until(&live, "rests", |status| status.state == "resting");
    assert!(waiting.message.unwrap().contains("two classes"));
    draw(&project, &live, Some(1), [[110.0, 20.0], [180.0, 25.0]]);
    let halves = |x: usize| u8::from(x >= SIZE / 2);
    until(&live, "learns", |status| status.step >= 150);
    until(&live, "shows", |_| right(&live, 0..150, halves) > 0.9);
    let first = Model::read(&live.model_file().unwrap()).unwrap();
    assert_eq!(
        first.classes().iter().map(|class| class.name.as_str()).collect::<Vec<_>>(),
        ["fine", "coarse"]
    );
    let (seq, hash) = project.journal_state();
    assert_eq!(first.provenance["journal"], format!("journal {seq} {hash}"));
    // The white rows were never drawn, so nobody knows; a third class is an output that the network does not have.
    draw(&project, &live, Some(2), [[10.0, 175.0], [180.0, 178.0]]);
    until(&live, "learns a third class", |status| status.journal_seq == project.journal_state().0);
    until(&live, "shows three classes", |_| {
        right(&live, 0..150, halves) > 0.9 && right(&live, 165..192, |_| 2) > 0.95
    });
    // Those in the first of the four regions give a score, once there are others.
    for y in [50.0, 135.0, 145.0, 155.0] {
        draw(&project, &live, Some(0), [[10.0, y], [60.0, y]]);
        draw(&project, &live, Some(1), [[130.0, y], [180.0, y]]);
    }
    let scored = until(&live, "scores", |status| status.score.is_some_and(|score| score > 0.6));
    assert!(scored.score_note.contains("set aside"), "{scored:?}");
    let (region, uncertainty) = live.least_sure().unwrap().unwrap();
    assert!(region.image == "i1" && (0.0..=1.0).contains(&uncertainty), "{region:?} {uncertainty}");
    let labels = project.labels("i1", 0).unwrap().0;
    let inside =
        labels.slice(ndarray::s![region.y..region.y + region.height, region.x..region.x + region.width]);
    assert!(inside.iter().all(|label| *label == 255));
    let exported = Model::read(&live.model_file().unwrap()).unwrap();
    live.pause().unwrap();
    let paused = until(&live, "pauses", |status| status.state == "paused");
    live.close();
    drop(live);
    drop(project);

    // A server that starts again shows what was learnt, and training goes on from there.
    let project = self::project(folder.path());
    let live = Live::new(Arc::clone(&project), Events::default(), "cpu".into());
    live.look_at(view());
    until(&live, "opens", |status| status.model);
    until(&live, "shows again", |_| right(&live, 0..150, halves) > 0.9);
    live.start(small()).unwrap();
    let on = until(&live, "goes on", |status| status.state == "running" && status.step > paused.step);
    assert!(on.step >= paused.step, "{on:?} {paused:?}");
    // What was exported is made again bit for bit, from the journal alone.
    live.pause().unwrap();
    until(&live, "pauses again", |status| status.state == "paused");
    let device = crate::devices::choose("cpu").unwrap();
    for model in [&first, &exported] {
        let hash = model.provenance["journal"].rsplit(' ').next().unwrap();
        let steps = model.provenance["steps"].parse().ok();
        let again = repeat(project.folder(), &hash[..12], steps, &device, &mut ()).unwrap();
        assert!(again.parameters == model.parameters, "{:?}", model.provenance);
        assert_eq!(again.provenance, model.provenance);
    }
    assert!(
        repeat(project.folder(), "0123456", None, &device, &mut ())
            .unwrap_err()
            .to_string()
            .contains("no model")
    );
    assert!(
        repeat(project.folder(), "../..", None, &device, &mut ()).unwrap_err().to_string().contains("hash")
    );
    // Forgotten, it starts from nothing.
    live.forget().unwrap();
    until(&live, "forgets", |status| status.state == "idle" && !status.model);
    live.start(small()).unwrap();
    until(&live, "starts anew", |status| {
        status.state == "running" && (1..paused.step).contains(&status.step)
    });
}

#[test]
fn training_goes_on_by_itself_as_it_was_started() {
    let folder = tempfile::tempdir().unwrap();
    let first = {
        let project = project(folder.path());
        let live = Live::new(Arc::clone(&project), Events::default(), "cpu".into());
        draw(&project, &live, Some(0), [[10.0, 20.0], [80.0, 25.0]]);
        draw(&project, &live, Some(1), [[110.0, 20.0], [180.0, 25.0]]);
        assert_eq!(live.conflict(&small()).unwrap(), None);
        live.start(small()).unwrap();
        until(&live, "learns", |status| status.step >= 60 && status.model && status.curve.len() > 2)
    };
    // The server ends while it trains, and starts again.
    let project = project(folder.path());
    let live = Live::new(Arc::clone(&project), Events::default(), "cpu".into());
    let on = until(&live, "goes on by itself", |status| status.state == "running" && status.step > 0);
    assert!(on.curve.first().is_some_and(|(step, ..)| *step < first.step) && on.seconds > 0.0, "{on:?}");
    // The network is not another one by another choice.
    let large = Start { depth: Depth::Large, ..small() };
    let problem = live.conflict(&large).unwrap().unwrap();
    assert!(problem.contains("depth auto, crop 96, depth 5, lr 0.01; choose these"), "{problem}");
    assert_eq!(live.conflict(&small()).unwrap(), None);
    live.forget().unwrap();
    until(&live, "forgets", |status| status.state == "idle" && !status.model && status.curve.is_empty());
    assert_eq!(live.conflict(&large).unwrap(), None);
    drop(live);
    drop(project);
    // What was paused or forgotten stays so.
    let live = Live::new(self::project(folder.path()), Events::default(), "cpu".into());
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(live.status().state, "idle");
}

#[test]
fn settings_that_cannot_be_used_are_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let live = Live::new(project(folder.path()), Events::default(), "cpu".into());
    let start = |name: &str, text: &str| {
        let settings = [(name.to_owned(), text.to_owned())].into();
        live.start(Start { depth: Depth::Small, settings }).unwrap_err().to_string()
    };
    assert!(start("lr", "-1").contains("lr"));
    assert!(start("no_such", "1").contains("no_such"));
    assert_eq!(live.status().state, "idle");
}
