//! Labels from entries, compared with planes that are painted pixel by pixel.

use std::cell::Cell;

use ndarray::s;

use super::*;
use crate::portal::journal::{ClassChange, Fill, Import, Of, Polygon};

const SHAPE: Shape = Shape { slices: 5, height: 30, width: 40 };

/// An image whose grey value is its column, and a file of labels.
#[derive(Default)]
struct Fake {
    reads: Cell<usize>,
}

impl Source for Fake {
    fn shape(&self, image: &str) -> Option<Shape> {
        (image == "i1").then_some(SHAPE)
    }

    fn grey(&self, _: &str, slice: usize, part: &Window) -> Result<Array2<f32>> {
        self.reads.set(self.reads.get() + 1);
        let image = Array2::from_shape_fn((SHAPE.height, SHAPE.width), |(_, x)| (x + slice) as f32);
        Ok(image.slice(s![part.rows(), part.columns()]).to_owned())
    }

    fn imported(&self, file: &str, slice: usize) -> Result<Vec<(u8, Vec<Run>)>> {
        if file != "labels/import-1.tif" {
            return Err(Error::Mismatch("no such file".into()));
        }
        let run = |y| vec![Run { y, start: slice, end: slice + 3 }];
        Ok(vec![(0, run(1)), (7, run(2)), (1, run(3))])
    }
}

/// A project that grows entry by entry.
struct Story {
    history: History,
    labels: Labels,
    source: Fake,
    seq: u64,
}

impl Story {
    /// With the classes 0 and 1.
    fn new() -> Self {
        let mut story =
            Self { history: History::default(), labels: Labels::default(), source: Fake::default(), seq: 0 };
        story.class(0, false);
        story.class(1, false);
        story
    }

    fn class(&mut self, class: u8, locked: bool) {
        let (name, colour) = ("n".to_owned(), "#000000".to_owned());
        self.add(Entry::Class(ClassChange { class, name, colour, locked, removed: false })).unwrap();
    }

    fn add(&mut self, entry: Entry) -> Result<Vec<Region>> {
        let line = Line { seq: self.seq + 1, tab: "a".into(), entry };
        let given = Given { history: &self.history, source: &self.source };
        let regions =
            self.labels.prepare(&given, &line).inspect_err(|_| self.labels.forget_from(line.seq))?;
        self.seq += 1;
        self.history.push(line.clone()).unwrap();
        self.labels.added(&Given { history: &self.history, source: &self.source }, &line);
        self.check();
        Ok(regions)
    }

    fn turn(&mut self, of: u64, again: bool) -> Vec<Region> {
        self.seq += 1;
        let entry = if again { Entry::Redo(Of { of }) } else { Entry::Undo(Of { of }) };
        self.history.push(Line { seq: self.seq, tab: "a".into(), entry }).unwrap();
        let regions = self.labels.turned(&Given { history: &self.history, source: &self.source }, of);
        self.check();
        regions
    }

    /// The labels that are kept are those that a new server computes.
    fn check(&mut self) {
        let given = Given { history: &self.history, source: &self.source };
        let mut fresh = Labels::default();
        for slice in 0..SHAPE.slices {
            let found = self.labels.plane(&given, "i1", slice).unwrap().clone();
            assert_eq!(&found, fresh.plane(&given, "i1", slice).unwrap(), "slice {slice}");
        }
        assert_eq!(self.labels.labelled(&given, "i1").unwrap(), fresh.labelled(&given, "i1").unwrap());
    }

    /// A slice as a picture, the first rows and columns.
    fn drawn(&mut self, slice: usize, rows: usize, columns: usize) -> Vec<String> {
        let given = Given { history: &self.history, source: &self.source };
        let rect = Rect { top: 0, bottom: rows, left: 0, right: columns };
        let table = std::array::from_fn(|label| label as u8);
        let part = self.labels.plane(&given, "i1", slice).unwrap().part(&rect, &table);
        let letter = |label: &u8| if *label == UNLABELLED { '.' } else { char::from(b'0' + label) };
        part.outer_iter().map(|row| row.iter().map(letter).collect()).collect()
    }
}

fn stroke(class: Option<u8>, y: f64, from: f64, to: f64) -> Stroke {
    let points = vec![[from, y], [to, y]];
    Stroke { image: "i1".into(), slice: 0, class, size: 1.0, points, depth: 0, range: None }
}

fn line(class: u8, row: usize, from: usize, to: usize) -> Entry {
    Entry::Stroke(stroke(Some(class), row as f64 + 0.5, from as f64 + 0.5, to as f64 - 0.5))
}

#[test]
fn later_entries_lie_over_earlier_ones_and_undo_brings_these_back() {
    let mut story = Story::new();
    let regions = story.add(line(0, 1, 1, 6)).unwrap();
    assert_eq!(regions, [Rect { top: 1, bottom: 2, left: 1, right: 6 }.of("i1", 0)]);
    story.add(line(1, 1, 3, 8)).unwrap();
    assert_eq!(story.drawn(0, 3, 9), [".........", ".0011111.", "........."]);
    story.add(Entry::Stroke(stroke(None, 1.5, 2.5, 3.5))).unwrap();
    assert_eq!(story.drawn(0, 2, 9), [".........", ".0..1111."]);
    // In the middle: what lies over it stays.
    let regions = story.turn(3, false);
    assert_eq!(regions, [Rect { top: 1, bottom: 2, left: 1, right: 6 }.of("i1", 0)]);
    assert_eq!(story.drawn(0, 2, 9), [".........", "....1111."]);
    story.turn(5, false);
    assert_eq!(story.drawn(0, 2, 9), [".........", "...11111."]);
    story.turn(3, true);
    assert_eq!(story.drawn(0, 2, 9), [".........", ".0011111."]);
    story.turn(5, true);
    assert_eq!(story.drawn(0, 2, 9), [".........", ".0..1111."]);
}

#[test]
fn locked_classes_stay_as_long_as_they_are_locked() {
    let mut story = Story::new();
    story.add(line(0, 0, 0, 4)).unwrap();
    story.class(0, true);
    story.add(line(1, 0, 2, 6)).unwrap();
    story.add(Entry::Stroke(stroke(None, 0.5, 0.5, 8.5))).unwrap();
    assert_eq!(story.drawn(0, 1, 8), ["0000...."]);
    story.class(0, false);
    story.add(line(1, 0, 3, 5)).unwrap();
    assert_eq!(story.drawn(0, 1, 8), ["00011..."]);
    // Without the locked stroke the others are where they were drawn, by the locks of their time.
    story.turn(3, false);
    assert_eq!(story.drawn(0, 1, 8), ["...11..."]);
}

#[test]
fn brushes_reach_through_slices_and_keep_to_a_range() {
    let mut story = Story::new();
    let deep = Stroke { slice: 1, depth: 2, range: Some([4.0, 5.5]), ..stroke(Some(1), 0.5, 0.5, 7.5) };
    let regions = story.add(Entry::Stroke(deep)).unwrap();
    assert_eq!(regions.iter().map(|region| region.slice).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(story.drawn(0, 1, 8), ["....11.."]);
    assert_eq!(story.drawn(3, 1, 8), [".11....."]);
    assert_eq!(story.drawn(4, 1, 8), ["........"]);
    story.turn(3, false);
    assert_eq!(story.drawn(3, 1, 8), ["........"]);
}

#[test]
fn polygons_fills_and_files_are_laid_over() {
    let mut story = Story::new();
    let points = vec![[1.0, 1.0], [4.0, 1.0], [4.0, 3.0], [1.0, 3.0]];
    story.add(Entry::Polygon(Polygon { image: "i1".into(), slice: 2, class: Some(0), points })).unwrap();
    assert_eq!(story.drawn(2, 4, 5), [".....", ".000.", ".000.", "....."]);
    let fill = Fill { image: "i1".into(), slice: 2, class: Some(1), x: 2, y: 0, tolerance: 1.0 };
    let regions = story.add(Entry::Fill(fill)).unwrap();
    assert_eq!(regions, [Rect { top: 0, bottom: 30, left: 1, right: 4 }.of("i1", 2)]);
    assert_eq!(story.drawn(2, 3, 5), [".111.", ".111.", ".111."]);
    story.turn(4, false);
    let import = |file: &str| Entry::Import(Import { image: "i1".into(), file: file.into() });
    // There is no class 7.
    assert_eq!(story.add(import("labels/import-1.tif")).unwrap().len(), SHAPE.slices);
    assert_eq!(story.drawn(2, 4, 5), [".....", ".0000", ".000.", "..111"]);
    // Classes that come later do not change what was laid over before.
    for class in 2..8 {
        story.class(class, false);
    }
    assert_eq!(story.drawn(2, 4, 5), [".....", ".0000", ".000.", "..111"]);
    story.turn(6, false);
    assert_eq!(story.drawn(2, 4, 5), [".....", ".000.", ".000.", "....."]);
}

#[test]
fn interpolation_follows_what_it_was_made_from() {
    let mut story = Story::new();
    let square = |slice: usize, left: usize, side: usize| {
        let (low, high) = (left as f64, (left + side) as f64);
        let points = vec![[low, 2.0], [high, 2.0], [high, 2.0 + side as f64], [low, 2.0 + side as f64]];
        Entry::Polygon(Polygon { image: "i1".into(), slice, class: Some(1), points })
    };
    let between = Entry::Between(Between { image: "i1".into(), class: 1, from: 4, to: 0 });
    let error = story.add(between.clone()).unwrap_err().to_string();
    assert!(error.contains("no label of class 1"), "{error}");
    story.add(square(0, 2, 3)).unwrap();
    story.add(square(4, 2, 3)).unwrap();
    let regions = story.add(between).unwrap();
    assert_eq!(regions.iter().map(|region| region.slice).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(story.drawn(2, 6, 6), ["......", "......", "..111.", "..111.", "..111.", "......"]);
    // What is drawn later on one of the slices does not count, and what is undone does.
    story.add(square(0, 20, 5)).unwrap();
    assert_eq!(story.drawn(2, 3, 6)[2], "..111.");
    let changed = story.turn(3, false);
    assert!(changed.iter().any(|region| region.slice == 2 && region.height == SHAPE.height), "{changed:?}");
    assert_eq!(story.drawn(2, 3, 6)[2], "......");
    story.turn(3, true);
    assert_eq!(story.drawn(2, 3, 6)[2], "..111.");
}

#[test]
fn undo_computes_no_more_than_its_region_anew() {
    let mut story = Story::new();
    let near = Stroke { range: Some([0.0, 99.0]), ..stroke(Some(0), 5.5, 1.5, 9.5) };
    let far = Stroke { range: Some([0.0, 99.0]), ..stroke(Some(1), 25.5, 1.5, 9.5) };
    story.add(Entry::Stroke(near)).unwrap();
    story.add(Entry::Stroke(far)).unwrap();
    story.seq += 1;
    story.history.push(Line { seq: story.seq, tab: "a".into(), entry: Entry::Undo(Of { of: 3 }) }).unwrap();
    story.labels.paints = Cache::new(PAINT_BYTES);
    let reads = story.source.reads.get();
    story.labels.turned(&Given { history: &story.history, source: &story.source }, 3);
    // The stroke itself was read again, and the one far away was not.
    assert_eq!(story.source.reads.get(), reads + 1);
    story.check();
}

#[test]
fn random_stories_end_as_they_are_computed_from_the_beginning() {
    let mut state = 11_u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for _ in 0..6 {
        let mut story = Story::new();
        for _ in 0..25 {
            let class = (random(3) > 0).then(|| random(2) as u8);
            match random(8) {
                0 => story.class(random(2) as u8, random(2) == 0),
                1 | 2 if story.history.to_undo("a", &|_| false).is_some() => {
                    let of = story.history.to_undo("a", &|_| false).unwrap();
                    story.turn(of, false);
                }
                3 if story.history.to_redo("a").is_some() => {
                    let of = story.history.to_redo("a").unwrap();
                    story.turn(of, true);
                }
                4 => {
                    let fill = Fill {
                        image: "i1".into(),
                        slice: random(5) as usize,
                        class,
                        x: random(40) as usize,
                        y: random(30) as usize,
                        tolerance: random(6) as f64,
                    };
                    story.add(Entry::Fill(fill)).unwrap();
                }
                5 => {
                    let between = Between { image: "i1".into(), class: random(2) as u8, from: 0, to: 4 };
                    story.add(Entry::Between(between)).ok();
                }
                _ => {
                    let points = (0..3).map(|_| [random(40) as f64, random(30) as f64]).collect();
                    let (size, depth) = (random(9) as f64 + 1.0, random(3) as usize);
                    let (slice, range) = (random(5) as usize, (random(3) == 0).then_some([3.0, 20.0]));
                    let stroke = Stroke { image: "i1".into(), slice, class, size, points, depth, range };
                    story.add(Entry::Stroke(stroke)).unwrap();
                }
            }
        }
    }
}
