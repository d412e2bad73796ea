//! Where people are sent for the next stroke: to places that look like nothing that has a label yet.
//!
//! Strokes where the network is least sure taught it less than strokes anywhere (benches/results/2026-11-29-where-strokes-help.md). So places
//! are compared by the responses of fixed filters and not by what the network gives, in squares; a region is as new as its squares are far
//! from the nearest square with labels. Strokes in the newest region of all, again and again, taught less too; so one of the newest
//! tenth is drawn, from the images in turn.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use log::debug;
use ndarray::{Array2, Array3, Axis, s};
use rayon::prelude::*;
use twox_hash::XxHash3_128;

use crate::Result;
use crate::inference::{Responses, Squares};
use crate::network::Normalisation;
use crate::portal::journal::UNLABELLED;
use crate::portal::project::{Image, Project, Rect, Region};
use crate::portal::tiles::TILE;

/// Rows and columns of a region that is shown, and of the squares by which places are compared.
const REGION: usize = 32;
const SQUARE: usize = 16;
/// Rows and columns of a part of a slice that is looked at in one piece.
const PART: usize = 2 * TILE;
/// Slices that are searched, and parts of each; as many again with labels, to compare with.
const MOST_SLICES: usize = 24;
const MOST_PARTS: usize = 9;
/// Parts whose squares are kept for the next search: 128 KiB each for images of one channel.
const MOST_KEPT: usize = 2 * MOST_SLICES * MOST_PARTS;
/// Squares with labels that others are compared with; of more, as many evenly.
const MOST_COMPARED: usize = 512;
/// One of this share of the regions is drawn.
const NEWEST: usize = 10;

/// A part of a slice.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Part {
    image: String,
    slice: usize,
    rows: Range<usize>,
    columns: Range<usize>,
}

/// A part that was looked at.
struct Seen {
    part: Part,
    /// The mean responses in its squares, `[response][row][column]`, each with mean 0 and deviation 1 over all pixels.
    squares: Array3<f32>,
    /// Which of the squares have labels.
    labelled: Array2<bool>,
}

/// A region without labels.
#[derive(Debug, Clone, PartialEq)]
struct Candidate {
    /// Which of the parts it is in.
    part: usize,
    /// Its rows and columns there.
    rows: Range<usize>,
    columns: Range<usize>,
    /// How unlike it is to all that has labels.
    newness: f32,
}

/// Reads a slice of an image, `[channel][y][x]`, by the image and the slice.
type Read<'a> = dyn FnMut(&str, usize) -> Result<Arc<Array3<f32>>> + 'a;

/// What is kept from one search to the next.
#[derive(Default)]
pub(super) struct Suggester {
    responses: Option<Responses>,
    /// The squares of parts; they depend on the pixels alone.
    squares: HashMap<Part, Squares>,
    /// How often a region of each slice was shown.
    shown: HashMap<(String, usize), usize>,
    count: u64,
}

impl Suggester {
    /// A region that looks like little that is labelled. `None` where all is labelled, and where there is no image of so many
    /// `channels`. Of large images and long stacks a part is searched, spread evenly.
    ///
    /// # Errors
    /// What comes of reading labels, and of a lack of memory.
    pub(super) fn suggest(
        &mut self,
        project: &Project,
        channels: usize,
        read: &mut Read<'_>,
    ) -> Result<Option<Region>> {
        let seen = self.look(project, channels, read)?;
        let candidates = candidates(&seen);
        let slice_of = |candidate: &Candidate| {
            let part = &seen[candidate.part].part;
            (part.image.clone(), part.slice)
        };
        let times = |candidate: &Candidate| self.shown.get(&slice_of(candidate)).copied().unwrap_or(0);
        let fewest = candidates.iter().map(times).min().unwrap_or(0);
        let next: Vec<Candidate> =
            candidates.iter().filter(|candidate| times(candidate) == fewest).cloned().collect();
        let draw = XxHash3_128::oneshot(&self.count.to_le_bytes()) as u64;
        let Some(found) = drawn(next, draw) else { return Ok(None) };
        self.count += 1;
        *self.shown.entry(slice_of(&found)).or_default() += 1;
        let part = &seen[found.part].part;
        Ok(Some(Region {
            image: part.image.clone(),
            slice: part.slice,
            x: part.columns.start + found.columns.start,
            y: part.rows.start + found.rows.start,
            width: found.columns.len(),
            height: found.rows.len(),
        }))
    }

    /// What the parts look like that are searched, and those that have labels.
    fn look(&mut self, project: &Project, channels: usize, read: &mut Read<'_>) -> Result<Vec<Seen>> {
        if self.responses.as_ref().is_none_or(|responses| responses.channels() != channels) {
            self.responses = Some(Responses::new(channels)?);
            self.squares.clear();
        }
        let Some(responses) = &mut self.responses else { return Ok(Vec::new()) };
        let parts = parts(project, channels)?;
        let wanted: HashSet<&Part> = parts.iter().map(|(part, _)| part).collect();
        if self.squares.len() + wanted.len() > 2 * MOST_KEPT {
            self.squares.retain(|part, _| wanted.contains(part));
        }
        let mut normalised: Option<((&str, usize), Normalisation)> = None;
        for (part, _) in &parts {
            if self.squares.contains_key(part) {
                continue;
            }
            // An image that cannot be read is not worth a look either.
            let image = match read(&part.image, part.slice) {
                Ok(image) => image,
                Err(error) => {
                    debug!("{} is not searched: {error}", part.image);
                    continue;
                }
            };
            let (depth, height, width) = image.dim();
            if depth != channels || part.rows.end > height || part.columns.end > width {
                debug!("{} is not searched: its file is another one now", part.image);
                continue;
            }
            let of = (part.image.as_str(), part.slice);
            let normalisation = match &normalised {
                Some((known, normalisation)) if *known == of => normalisation,
                _ => &normalised.insert((of, Responses::normalisation(image.view()))).1,
            };
            let pixels = image.slice(s![.., part.rows.clone(), part.columns.clone()]);
            let squares = responses.of_squares(pixels, normalisation, SQUARE)?;
            self.squares.insert(part.clone(), squares);
        }
        let known = parts
            .into_iter()
            .filter_map(|(part, labelled)| self.squares.get(&part).map(|squares| (part, squares, labelled)));
        Ok(standardised(known.collect()))
    }
}

/// The parts that are searched, and those with labels: slice by slice, with which of their squares have labels.
fn parts(project: &Project, channels: usize) -> Result<Vec<(Part, Array2<bool>)>> {
    let mut slices: Vec<(Image, usize)> = Vec::new();
    let mut painted: Vec<(Image, usize)> = Vec::new();
    for image in project.images().into_iter().filter(|image| image.channels == channels) {
        painted.extend(project.painted_slices(&image.id).into_iter().map(|slice| (image.clone(), slice)));
        slices.extend((0..image.slices).map(|slice| (image.clone(), slice)));
    }
    let mut chosen = spread(slices, MOST_SLICES);
    for one in spread(painted, MOST_SLICES) {
        if !chosen.iter().any(|(image, slice)| image.id == one.0.id && *slice == one.1) {
            chosen.push(one);
        }
    }
    let mut found = Vec::new();
    for (image, slice) in chosen {
        let along = |side: usize| (0..side).step_by(PART).map(move |at| at..(at + PART).min(side));
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for rows in along(image.height) {
            for columns in along(image.width) {
                let rect =
                    Rect { top: rows.start, bottom: rows.end, left: columns.start, right: columns.end };
                let (labels, _) = project.labels_in(&image.id, slice, &rect)?;
                let labelled = squares_with_labels(&labels);
                let is_labelled = labelled.iter().any(|is_labelled| *is_labelled);
                let part = Part { image: image.id.clone(), slice, rows: rows.clone(), columns };
                (if is_labelled { &mut with } else { &mut without }).push((part, labelled));
            }
        }
        found.extend(spread(with, MOST_PARTS));
        found.extend(spread(without, MOST_PARTS));
    }
    Ok(found)
}

/// Which of the squares of a part have a label, `[row][column]`.
fn squares_with_labels(labels: &Array2<u8>) -> Array2<bool> {
    let (height, width) = labels.dim();
    let mut found = Array2::from_elem((height.div_ceil(SQUARE), width.div_ceil(SQUARE)), false);
    for ((y, x), _) in labels.indexed_iter().filter(|(_, label)| **label != UNLABELLED) {
        found[[y / SQUARE, x / SQUARE]] = true;
    }
    found
}

/// The parts with the responses of each kind brought to mean 0 and deviation 1 over the pixels of all of them.
fn standardised(parts: Vec<(Part, &Squares, Array2<bool>)>) -> Vec<Seen> {
    let responses = parts.first().map_or(0, |(_, squares, _)| squares.means.dim().0);
    let changes: Vec<(f32, f32)> = (0..responses)
        .map(|response| {
            let total = |pick: fn(&Squares) -> &Array3<f32>| {
                let each =
                    parts.iter().flat_map(|(_, squares, _)| pick(squares).index_axis(Axis(0), response));
                let (sum, count) = each
                    .filter(|value| value.is_finite())
                    .fold((0.0, 0_usize), |(sum, count), value| (sum + f64::from(*value), count + 1));
                sum / count.max(1) as f64
            };
            let mean = total(|squares| &squares.means);
            let deviation = (total(|squares| &squares.powers) - mean * mean).max(0.0).sqrt();
            // A response that is the same everywhere tells nothing apart, whatever it is multiplied by.
            (mean as f32, if deviation > 1e-6 { 1.0 / deviation as f32 } else { 0.0 })
        })
        .collect();
    let change = |(part, squares, labelled): (Part, &Squares, Array2<bool>)| {
        let mut squares = squares.means.clone();
        for (mut plane, (mean, factor)) in squares.outer_iter_mut().zip(&changes) {
            plane.mapv_inplace(|value| (value - mean) * factor);
        }
        Seen { part, squares, labelled }
    };
    parts.into_iter().map(change).collect()
}

/// All regions without labels, with how new they are: the mean, over their squares, of the squared distance to the nearest square with
/// labels.
fn candidates(seen: &[Seen]) -> Vec<Candidate> {
    let square = |seen: &Seen, row: usize, column: usize| seen.squares.slice(s![.., row, column]).to_vec();
    let labelled = seen.iter().flat_map(|seen| {
        let places = seen.labelled.indexed_iter().filter(|(_, is_labelled)| **is_labelled);
        places.map(move |((row, column), _)| square(seen, row, column))
    });
    let labelled = labelled.filter(|square| square.iter().all(|value| value.is_finite())).collect();
    let labelled: Vec<Vec<f32>> = spread(labelled, MOST_COMPARED);
    let distance = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
    let step = REGION / SQUARE;
    let of_part = |(part, seen): (usize, &Seen)| {
        let (rows, columns) = seen.labelled.dim();
        let mut found = Vec::new();
        for top in (0..rows).step_by(step) {
            for left in (0..columns).step_by(step) {
                let (bottom, right) = ((top + step).min(rows), (left + step).min(columns));
                if seen.labelled.slice(s![top..bottom, left..right]).iter().any(|is_labelled| *is_labelled) {
                    continue;
                }
                let mut sum = 0.0;
                for (row, column) in (top..bottom).flat_map(|row| (left..right).map(move |x| (row, x))) {
                    let here = square(seen, row, column);
                    let nearest = labelled.iter().map(|other| distance(&here, other)).reduce(f32::min);
                    // Before the first label all is as new as anything: what differs most from the mean comes first.
                    sum += nearest.unwrap_or_else(|| distance(&here, &vec![0.0; here.len()]));
                }
                let newness = sum / ((bottom - top) * (right - left)) as f32;
                let pixels = |from: usize, to: usize, all: usize| from * SQUARE..(to * SQUARE).min(all);
                if newness.is_finite() {
                    let (rows, columns) = (
                        pixels(top, bottom, seen.part.rows.len()),
                        pixels(left, right, seen.part.columns.len()),
                    );
                    found.push(Candidate { part, rows, columns, newness });
                }
            }
        }
        found
    };
    seen.par_iter().enumerate().flat_map_iter(of_part).collect()
}

/// One of the newest tenth, by the number `draw`; `None` of none.
fn drawn(mut candidates: Vec<Candidate>, draw: u64) -> Option<Candidate> {
    candidates.sort_by(|a, b| b.newness.total_cmp(&a.newness));
    let newest = (candidates.len() / NEWEST).max(1);
    candidates.into_iter().nth((draw % newest as u64) as usize)
}

/// At most so many of `all`, spread evenly.
fn spread<T>(all: Vec<T>, most: usize) -> Vec<T> {
    let count = all.len();
    let mut next = 0;
    let chosen = count.min(most);
    let is_chosen = |index: usize, next: &mut usize| {
        let wanted = *next < chosen && index == *next * count / chosen;
        *next += usize::from(wanted);
        wanted
    };
    all.into_iter()
        .enumerate()
        .filter(|(index, _)| is_chosen(*index, &mut next))
        .map(|(_, one)| one)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::write_png_grey8;
    use crate::portal::journal::{Entry, Stroke};

    /// Two images of stripes: of two pixels on the left, of twelve on the right.
    fn project(folder: &std::path::Path) -> Project {
        let image = Array2::from_shape_fn((256, 256), |(_, x)| {
            let period = if x < 128 { 2 } else { 12 };
            [40_u8, 200][x / period % 2]
        });
        for name in ["a.png", "b.png"] {
            write_png_grey8(folder.join(name), &image).unwrap();
        }
        let project = Project::open(&folder.join("project"), &[folder.to_owned()]).unwrap();
        project.add("a.png", false).unwrap();
        project.add("b.png", false).unwrap();
        project.add_class("a", "stripes".into(), "#e6550d".into()).unwrap();
        project
    }

    fn paint(project: &Project, image: &str, size: f64, points: [[f64; 2]; 2]) {
        let (image, points) = (image.to_owned(), points.to_vec());
        let stroke = Stroke { image, slice: 0, class: Some(0), size, points, depth: 0, range: None };
        project.append("a", vec![Entry::Stroke(stroke)]).unwrap();
    }

    #[test]
    fn what_looks_like_labels_is_not_suggested_in_any_image() {
        let folder = tempfile::tempdir().unwrap();
        let project = project(folder.path());
        paint(&project, "i1", 7.0, [[20.0, 20.0], [100.0, 200.0]]);
        let mut suggester = Suggester::default();
        let mut next = |channels| {
            let read = &mut |id: &str, slice: usize| project.read(id, slice).map(Arc::new);
            suggester.suggest(&project, channels, read).unwrap()
        };
        let found: Vec<Region> = (0..6).map(|_| next(1).unwrap()).collect();
        // Images come in turn, and all regions are wide stripes.
        for pair in found.chunks(2) {
            assert_ne!(pair[0].image, pair[1].image);
        }
        assert!(found.iter().all(|r| r.x >= 96 && (r.height, r.width) == (32, 32)), "{found:?}");
        // The next one is another, though nothing was painted.
        assert!(
            found.iter().any(|region| region.image == found[0].image && *region != found[0]),
            "{found:?}"
        );
        // Of an image that is labelled as a whole nothing is left.
        paint(&project, "i1", 600.0, [[128.0, 128.0], [130.0, 128.0]]);
        assert!((0..4).all(|_| next(1).unwrap().image == "i2"));
        paint(&project, "i2", 600.0, [[128.0, 128.0], [130.0, 128.0]]);
        assert_eq!((next(1), next(3)), (None, None));
    }

    /// Parts of 64 x 64 pixels with one response, and a label in the square at (0, 0) of the first.
    fn seen(response: impl Fn(usize, usize, usize) -> f32) -> Vec<Seen> {
        let part = |number: usize| Seen {
            part: Part { image: format!("i{number}"), slice: 0, rows: 0..64, columns: 0..64 },
            squares: Array3::from_shape_fn((1, 4, 4), |(_, row, column)| response(number, row, column)),
            labelled: Array2::from_shape_fn((4, 4), |place| number == 0 && place == (0, 0)),
        };
        (0..2).map(part).collect()
    }

    #[test]
    fn regions_are_as_new_as_they_are_unlike_all_that_has_labels() {
        // The label is on what gives 1; the right half of the second part gives 4, and a square of the first 3.
        let found = candidates(&seen(|number, row, column| match (number, row, column) {
            (1, _, 2..) => 4.0,
            (0, 3, 3) => 3.0,
            _ => 1.0,
        }));
        let newness = |part, top, left| {
            found.iter().find(|c| (c.part, c.rows.start, c.columns.start) == (part, top, left))
        };
        // The region with the label is no candidate.
        assert_eq!((found.len(), newness(0, 0, 0)), (7, None));
        assert_eq!(newness(1, 0, 32).map(|c| c.newness), Some(9.0));
        assert_eq!(newness(0, 32, 32).map(|c| c.newness), Some(1.0));
        assert_eq!(newness(1, 0, 0).map(|c| c.newness), Some(0.0));
        assert_eq!(newness(1, 32, 32).map(|c| (c.rows.clone(), c.columns.clone())), Some((32..64, 32..64)));
        // A stroke on what was new makes it known, also in another image.
        let mut after = seen(|number, _, column| if number == 1 && column >= 2 { 4.0 } else { 1.0 });
        after[1].labelled[[0, 3]] = true;
        assert!(candidates(&after).iter().all(|candidate| candidate.newness == 0.0));
        // What is not finite is never shown.
        let damaged = candidates(&seen(|number, _, _| if number == 1 { f32::NAN } else { 1.0 }));
        assert!(damaged.len() == 3 && damaged.iter().all(|candidate| candidate.part == 0));
    }

    #[test]
    fn one_of_the_newest_tenth_is_drawn() {
        let candidate = |number: usize| Candidate {
            part: number,
            rows: 0..32,
            columns: 0..32,
            newness: (number * 7 % 40) as f32,
        };
        let all: Vec<Candidate> = (0..40).map(candidate).collect();
        let newness: Vec<f32> = (0..8).map(|draw| drawn(all.clone(), draw).unwrap().newness).collect();
        assert_eq!(newness, [39.0, 38.0, 37.0, 36.0, 39.0, 38.0, 37.0, 36.0]);
        assert_eq!(drawn(all[..3].to_vec(), 5).unwrap().newness, 14.0);
        assert_eq!(drawn(Vec::new(), 5), None);
    }

    #[test]
    fn responses_of_all_parts_are_brought_to_one_scale() {
        let squares = |mean: f32| Squares {
            means: Array3::from_elem((2, 2, 2), mean),
            powers: Array3::from_elem((2, 2, 2), mean * mean),
        };
        let (low, high) = (squares(10.0), squares(30.0));
        let part =
            |number: usize| Part { image: format!("i{number}"), slice: 0, rows: 0..32, columns: 0..32 };
        let labelled = || Array2::from_elem((2, 2), false);
        let found = standardised(vec![(part(0), &low, labelled()), (part(1), &high, labelled())]);
        assert!(found[0].squares.iter().all(|value| (value + 1.0).abs() < 1e-5));
        assert!(found[1].squares.iter().all(|value| (value - 1.0).abs() < 1e-5));
        // Where nothing differs, nothing is new.
        let found = standardised(vec![(part(0), &low, labelled())]);
        assert!(found[0].squares.iter().all(|value| *value == 0.0));
    }

    #[test]
    fn what_is_searched_is_spread_evenly() {
        assert_eq!(spread((0..10).collect(), 4), [0, 2, 5, 7]);
        assert_eq!(spread(vec![1, 2], 4), [1, 2]);
        assert!(spread(Vec::<u8>::new(), 4).is_empty());
    }

    #[test]
    fn squares_with_a_label_are_known() {
        let mut labels = Array2::from_elem((40, 20), UNLABELLED);
        labels[[39, 17]] = 0;
        let found = squares_with_labels(&labels);
        let expected = Array2::from_shape_fn((3, 2), |place| place == (2, 1));
        assert_eq!(found, expected);
    }
}
