//! Tests of the loop that scores networks.

use std::cell::RefCell;

use super::*;
use crate::network::Class;

/// Gives every pixel of an image the class or value of its first channel.
struct Copies {
    segments: bool,
}

impl Judged for Copies {
    fn apply(&mut self, sample: &Sample, progress: &mut dyn FnMut(f64) -> Flow) -> Result<ImageResult> {
        if progress(0.5).is_break() {
            return Err(Error::Stopped { done: 0, count: 1 });
        }
        let found = match self.segments {
            true => Found::Classes(sample.image.index_axis(ndarray::Axis(0), 0).mapv(|v| v as u32)),
            false => Found::Values(sample.image.mapv(|v| 2.0 * v)),
        };
        Ok(ImageResult { found, probabilities: None, loss: None })
    }
}

#[derive(Default)]
struct Notes {
    lines: Vec<(String, f64, bool)>,
    stop_at: Option<usize>,
}

impl Watcher for Notes {
    fn image(&mut self, image: &ImageReport<'_>) -> Flow {
        self.lines.push((image.name.to_owned(), image.done, image.score.is_some()));
        match self.stop_at {
            Some(line) if self.lines.len() > line => Flow::Break(()),
            _ => Flow::Continue(()),
        }
    }
}

fn samples(segments: bool) -> Vec<Sample> {
    let sample = |name: &str, shift: usize| {
        let image = Array3::from_shape_fn((1, 2, 2), |(_, y, x)| ((y + x + shift) % 2) as f32);
        let target = match segments {
            true => Target::Classes(Array2::from_shape_fn((2, 2), |(y, x)| ((y + x) % 2) as u32)),
            false => Target::Values(image.mapv(|v| 2.0 * v + 1.0)),
        };
        Sample { name: name.into(), image, slices: 1, target, group: None, weights: None }
    };
    vec![sample("right", 0), sample("wrong", 1)]
}

fn task() -> Task {
    Task::Segment { classes: [0, 1].map(|value| Class { value, name: value.to_string() }).to_vec() }
}

#[test]
fn images_are_scored_alone_and_together_and_told_of() {
    let mut notes = Notes::default();
    let seen = RefCell::new(Vec::new());
    let judge = Judge::new(&task());
    let each = |sample: &Sample, _: &Found| seen.borrow_mut().push(sample.name.clone());
    let evaluation = judge.run(&mut Copies { segments: true }, &samples(true), &mut notes, each).unwrap();
    assert_eq!(evaluation.images, 2);
    assert_eq!(evaluation.scores.metrics()[3], ("global_accuracy", Some(0.5)));
    assert!(evaluation.loss.is_nan() && evaluation.image_losses.is_empty());
    assert_eq!(*seen.borrow(), ["right", "wrong"]);
    let line = |name: &str, done, score| (name.to_owned(), done, score);
    let wanted = [
        line("right", 0.5, false),
        line("right", 1.0, true),
        line("wrong", 0.5, false),
        line("wrong", 1.0, true),
    ];
    assert_eq!(notes.lines, wanted);
}

#[test]
fn only_what_is_inside_the_circle_counts() {
    // Right inside of the circle of 6 x 6 pixels and wrong outside, where targets are larger too.
    let sample = |segments: bool| {
        let circle = crate::metrics::InscribedCircle::of(6, 6);
        let outside = |y, x| !circle.contains(y, x);
        let image = Array3::from_shape_fn((1, 6, 6), |(_, y, x)| ((y + x) % 2) as f32);
        let target = match segments {
            true => Target::Classes(Array2::from_shape_fn((6, 6), |(y, x)| {
                (image[[0, y, x]] as u32 + u32::from(outside(y, x))) % 2
            })),
            false => Target::Values(Array3::from_shape_fn((1, 6, 6), |(_, y, x)| {
                2.0 * image[[0, y, x]] + if outside(y, x) { 50.0 } else { 0.0 }
            })),
        };
        vec![Sample { name: "a".into(), image, slices: 1, target, group: None, weights: None }]
    };
    let measures = Measures { circle: true, ..Measures::default() };
    for (segments, task) in [(true, task()), (false, Task::Regress)] {
        let judge = Judge::new(&task);
        let everywhere = judge.run(&mut Copies { segments }, &sample(segments), &mut (), |_, _| ()).unwrap();
        let judge = judge.with_measures(measures);
        let inside = judge.run(&mut Copies { segments }, &sample(segments), &mut (), |_, _| ()).unwrap();
        match (&everywhere.scores, &inside.scores) {
            (TaskScores::Segment { matrix: all, .. }, TaskScores::Segment { matrix, .. }) => {
                assert!(all.global_accuracy() < Some(1.0) && matrix.global_accuracy() == Some(1.0));
                assert_eq!((all.counts().sum(), matrix.counts().sum()), (36, 16));
            }
            (TaskScores::Regress { output: all, .. }, TaskScores::Regress { output, .. }) => {
                assert!(all.mse() > Some(100.0) && output.mse() == Some(0.0));
                assert_eq!((all.data_range().value(), output.data_range().value()), (52.0, 2.0));
            }
            _ => panic!("scores of two kinds"),
        }
        assert_eq!(inside.image_scores.len(), 1);
    }
}

#[test]
fn more_classes_than_can_be_counted_are_refused_beforehand() {
    let class = |value: usize| Class { value: value as i64, name: value.to_string() };
    let task = Task::Segment { classes: (0..=MOST_CLASSES).map(class).collect() };
    let error = Judge::new(&task)
        .run(&mut Copies { segments: true }, &samples(true), &mut (), |_, _| ())
        .unwrap_err();
    assert!(error.to_string().starts_with("there are 1025 classes, but"), "{error}");
}

#[test]
fn a_watcher_stops_between_and_inside_images() {
    for (stop_at, done) in [(0, 0), (1, 1), (2, 1)] {
        let mut notes = Notes { stop_at: Some(stop_at), ..Default::default() };
        let error = Judge::new(&task())
            .run(&mut Copies { segments: true }, &samples(true), &mut notes, |_, _| ())
            .unwrap_err();
        assert_eq!(error, Error::Stopped { done, count: 2 });
    }
}

#[test]
fn the_input_is_compared_where_it_can_be_and_targets_of_another_kind_are_refused() {
    let judge = Judge::new(&Task::Regress).comparing_input();
    let evaluation = judge.run(&mut Copies { segments: false }, &samples(false), &mut (), |_, _| ()).unwrap();
    let TaskScores::Regress { output, input } = &evaluation.scores else { panic!("wanted a regression") };
    assert_eq!(output.mse(), Some(1.0));
    // 0 and 1 where 1 and 3 are wanted.
    assert_eq!(input.as_ref().unwrap().mse(), Some(2.5));
    let error = judge.run(&mut Copies { segments: true }, &samples(false), &mut (), |_, _| ()).unwrap_err();
    assert!(error.to_string().starts_with("right: "), "{error}");
}
