//! Entries of the journal, in their order, to labels.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use ndarray::Array2;

use super::aside::is_set_aside;
use super::between::Interpolation;
use super::fill::fill;
use super::plane::Plane;
use super::runs::{Rect, Region, Run, brush, polygon};
use crate::geometry::Window;
use crate::portal::cache::Cache;
use crate::portal::journal::{Between, Entry, History, Line, Shape, Stroke, UNLABELLED};
use crate::{Error, Result};

/// Bytes of planes that are kept.
const PLANE_BYTES: usize = 256 << 20;
/// Bytes of pixels of entries that are kept because finding them takes long.
const PAINT_BYTES: usize = 64 << 20;
/// Bytes of the pixels of strokes and polygons that are kept: undo paints the same ones again and again.
const DRAWN_BYTES: usize = 32 << 20;
/// Of undone entries that reach through more slices, each slice is computed anew when it is looked at.
const MOST_REPAINTED: usize = 16;

/// What labels need of images.
pub(in crate::portal) trait Source {
    /// The size of an image; `None` where there is no such image any more.
    fn shape(&self, image: &str) -> Option<Shape>;

    /// The grey values of the first channel of a part of a slice, `[y][x]`.
    ///
    /// # Errors
    /// Those of reading it.
    fn grey(&self, image: &str, slice: usize, part: &Window) -> Result<Array2<f32>>;

    /// The pixels of each label in a slice of a label file of the project.
    ///
    /// # Errors
    /// Those of reading it.
    fn imported(&self, file: &str, slice: usize) -> Result<Vec<(u8, Vec<Run>)>>;
}

/// The pixels that an entry gives a label.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::portal) struct Paint {
    /// The class, or [`UNLABELLED`].
    pub(in crate::portal) class: u8,
    pub(in crate::portal) runs: Vec<Run>,
}

/// An entry as it paints a slice.
pub(in crate::portal) type Paints = Arc<Vec<Paint>>;

/// The labels of all images.
#[derive(Debug)]
pub(in crate::portal) struct Labels {
    planes: Cache<(String, usize), Plane>,
    /// Of entries and slices, where reading the image is needed.
    paints: Cache<(u64, usize), Paints>,
    /// Of strokes and polygons, which paint the same pixels in all their slices.
    drawn: Cache<u64, Paints>,
    between: Cache<u64, Arc<Option<Interpolation>>>,
    /// How many pixels of a slice are labelled, as far as that is known.
    counts: HashMap<(String, usize), usize>,
}

impl Default for Labels {
    fn default() -> Self {
        Self {
            planes: Cache::new(PLANE_BYTES),
            paints: Cache::new(PAINT_BYTES),
            drawn: Cache::new(DRAWN_BYTES),
            between: Cache::new(PAINT_BYTES),
            counts: HashMap::new(),
        }
    }
}

/// All that labels follow from.
pub(in crate::portal) struct Given<'a> {
    pub(in crate::portal) history: &'a History,
    pub(in crate::portal) source: &'a dyn Source,
}

impl Labels {
    /// The labels of a slice, as they are now.
    ///
    /// # Errors
    /// Those of reading images.
    pub(in crate::portal) fn plane(
        &mut self,
        given: &Given<'_>,
        image: &str,
        slice: usize,
    ) -> Result<&Plane> {
        let key = (image.to_owned(), slice);
        if self.planes.get(&key).is_none() {
            let plane = self.plane_before(given, image, slice, u64::MAX)?;
            self.keep(key.clone(), plane);
        }
        self.planes.get(&key).map(|plane| &*plane).ok_or_else(|| gone(image))
    }

    fn keep(&mut self, key: (String, usize), plane: Plane) {
        self.counts.insert(key.clone(), plane.labelled());
        let bytes = plane.bytes();
        self.planes.put(key, plane, bytes);
    }

    /// How many pixels of an image are labelled. Of a stack, slices are not counted for this: one whose labels were not computed yet
    /// stands for one pixel.
    ///
    /// # Errors
    /// Those of reading images.
    pub(in crate::portal) fn labelled(&mut self, given: &Given<'_>, image: &str) -> Result<usize> {
        let is_stack = given.source.shape(image).is_some_and(|shape| shape.slices > 1);
        let mut count = 0;
        for slice in self.slices_with_entries(given, image) {
            count += match self.counts.get(&(image.to_owned(), slice)) {
                Some(count) => *count,
                None if is_stack => 1,
                None => self.plane(given, image, slice)?.labelled(),
            };
        }
        Ok(count)
    }

    /// The slices of an image that entries may have labelled, in order.
    pub(in crate::portal) fn slices_with_entries(&self, given: &Given<'_>, image: &str) -> Vec<usize> {
        let slices = given.source.shape(image).map_or(0, |shape| shape.slices);
        let mut is_painted = vec![false; slices];
        for line in given.history.counting(image, u64::MAX) {
            let range = line.entry.slices(slices);
            if let Some(painted) = is_painted.get_mut(range) {
                painted.fill(true);
            }
        }
        (0..slices).filter(|slice| is_painted[*slice]).collect()
    }

    /// Whether the labels of a slice are at hand.
    pub(in crate::portal) fn has_plane(&mut self, image: &str, slice: usize) -> bool {
        self.planes.get(&(image.to_owned(), slice)).is_some()
    }

    /// The entries that paint a slice and count, with what they paint, in order.
    ///
    /// # Errors
    /// Those of reading images.
    pub(in crate::portal) fn painted(
        &mut self,
        given: &Given<'_>,
        image: &str,
        slice: usize,
    ) -> Result<Vec<(u64, Paints)>> {
        let shape = given.source.shape(image).ok_or_else(|| gone(image))?;
        let lines = given.history.counting(image, u64::MAX);
        let lines = lines.filter(|line| line.entry.slices(shape.slices).contains(&slice));
        lines.map(|line| Ok((line.seq, self.paints(given, line, slice)?))).collect()
    }

    /// The labels of a slice by the entries before `before`.
    fn plane_before(&mut self, given: &Given<'_>, image: &str, slice: usize, before: u64) -> Result<Plane> {
        let shape = given.source.shape(image).ok_or_else(|| gone(image))?;
        let mut plane = Plane::new(shape.height, shape.width);
        for line in given.history.counting(image, before) {
            if line.entry.slices(shape.slices).contains(&slice) {
                let paints = self.paints(given, line, slice)?;
                apply(&mut plane, &paints, &Rect::whole(shape.height, shape.width), given, line);
            }
        }
        Ok(plane)
    }

    /// What an entry paints in a slice.
    ///
    /// # Errors
    /// Those of reading images; [`Error::Mismatch`] for what would paint too much.
    fn paints(&mut self, given: &Given<'_>, line: &Line, slice: usize) -> Result<Paints> {
        let Some(image) = line.entry.image() else { return Ok(Arc::default()) };
        let shape = given.source.shape(image).ok_or_else(|| gone(image))?;
        let (height, width) = (shape.height, shape.width);
        let one = |class: Option<u8>, runs: Vec<Run>| {
            let class = class.unwrap_or(UNLABELLED);
            Arc::new(if runs.is_empty() { Vec::new() } else { vec![Paint { class, runs }] })
        };
        let mut drawn = |class: Option<u8>, runs: &dyn Fn() -> Vec<Run>| {
            if let Some(known) = self.drawn.get(&line.seq) {
                return known.clone();
            }
            let paints = one(class, runs());
            self.drawn.put(line.seq, paints.clone(), bytes_of(&paints));
            paints
        };
        match &line.entry {
            Entry::Stroke(stroke) if stroke.range.is_none() => {
                return Ok(drawn(stroke.class, &|| brush(&stroke.points, stroke.size, height, width)));
            }
            Entry::Polygon(area) => {
                return Ok(drawn(area.class, &|| polygon(&area.points, height, width)));
            }
            Entry::Between(between) => {
                let shapes = self.interpolation(given, line.seq, between)?;
                let share = slice.abs_diff(between.from) as f32 / between.from.abs_diff(between.to) as f32;
                let runs = shapes.as_ref().as_ref().map_or_else(Vec::new, |shapes| shapes.at(share));
                return Ok(one(Some(between.class), runs));
            }
            _ => {}
        }
        if let Some(known) = self.paints.get(&(line.seq, slice)) {
            return Ok(known.clone());
        }
        let read = |part: &Window| given.source.grey(image, slice, part);
        let paints = match &line.entry {
            Entry::Stroke(stroke @ Stroke { range: Some([low, high]), .. }) => {
                let runs = brush(&stroke.points, stroke.size, height, width);
                one(stroke.class, within(&runs, *low, *high, &read)?)
            }
            Entry::Fill(area) => {
                one(area.class, fill((height, width), (area.y, area.x), area.tolerance, &read)?)
            }
            Entry::Import(import) => {
                let there = given.history.there_at(line.seq);
                let labels = given.source.imported(&import.file, slice)?;
                let labels = labels.into_iter().filter(|(class, _)| there[usize::from(*class)]);
                Arc::new(labels.map(|(class, runs)| Paint { class, runs }).collect())
            }
            _ => Arc::default(),
        };
        self.paints.put((line.seq, slice), paints.clone(), bytes_of(&paints));
        Ok(paints)
    }

    fn interpolation(
        &mut self,
        given: &Given<'_>,
        seq: u64,
        between: &Between,
    ) -> Result<Arc<Option<Interpolation>>> {
        if let Some(known) = self.between.get(&seq) {
            return Ok(known.clone());
        }
        let mut of = |slice| {
            let plane = self.plane_before(given, &between.image, slice, seq)?;
            Ok::<_, Error>(plane.runs_of(between.class))
        };
        let shapes = Arc::new(Interpolation::of(&of(between.from)?, &of(between.to)?)?);
        let bytes = shapes.as_ref().as_ref().map_or(64, Interpolation::bytes);
        self.between.put(seq, shapes.clone(), bytes);
        Ok(shapes)
    }

    /// Finds what an entry will paint that is to be added, and gives the rectangles of slices that this may change. Nothing is changed yet:
    /// an entry that cannot be computed is not to be written down.
    ///
    /// # Errors
    /// Those of reading images; [`Error::Mismatch`] for what would paint too much, and for an interpolation of nothing.
    pub(in crate::portal) fn prepare(&mut self, given: &Given<'_>, line: &Line) -> Result<Vec<Region>> {
        let Some(image) = line.entry.image() else { return Ok(Vec::new()) };
        let shape = given.source.shape(image).ok_or_else(|| gone(image))?;
        if let Entry::Between(between) = &line.entry {
            let shapes = self.interpolation(given, line.seq, between)?;
            if shapes.is_none() {
                // Other entries may come before it that are not written yet.
                self.between.take(&line.seq);
                return Err(Error::Mismatch(format!(
                    "slice {} or {} has no label of class {}; draw some in both",
                    between.from, between.to, between.class
                )));
            }
        }
        self.regions(given, line, image, shape)
    }

    /// Forgets what was prepared for entries from `seq` on, which were not written down.
    pub(in crate::portal) fn forget_from(&mut self, seq: u64) {
        self.paints.drop_if(|(of, _)| *of >= seq);
        self.drawn.drop_if(|of| *of >= seq);
        self.between.drop_if(|of| *of >= seq);
    }

    /// The rectangles of slices that an entry paints.
    fn regions(&mut self, given: &Given<'_>, line: &Line, image: &str, shape: Shape) -> Result<Vec<Region>> {
        let mut regions = Vec::new();
        let is_same = |entry: &Entry| {
            matches!(entry, Entry::Stroke(Stroke { range: None, .. }) | Entry::Polygon(_) | Entry::Between(_))
        };
        let mut known = None;
        for slice in line.entry.slices(shape.slices) {
            let rect = match &line.entry {
                entry if known.is_some() && is_same(entry) => known,
                Entry::Import(_) => Some(Rect::whole(shape.height, shape.width)),
                Entry::Between(between) => {
                    self.interpolation(given, line.seq, between)?.as_ref().as_ref().map(Interpolation::around)
                }
                _ => {
                    let paints = self.paints(given, line, slice)?;
                    paints.iter().filter_map(|paint| Rect::around(&paint.runs)).reduce(Rect::union)
                }
            };
            known = rect;
            regions.extend(rect.map(|rect| rect.of(image, slice)));
        }
        Ok(regions)
    }

    /// An entry was added that [`Self::prepare`] has seen: brings the planes that are kept up to date.
    pub(in crate::portal) fn added(&mut self, given: &Given<'_>, line: &Line) {
        let Some(image) = line.entry.image() else { return };
        let Some(shape) = given.source.shape(image) else { return };
        let is_drawn = !matches!(line.entry, Entry::Import(_) | Entry::Between(_));
        for slice in line.entry.slices(shape.slices) {
            let key = (image.to_owned(), slice);
            let plane = self.planes.take(&key);
            self.counts.remove(&key);
            // Of a stack that is laid over, slices are computed when they are looked at.
            let Some(mut plane) = plane.filter(|_| is_drawn) else { continue };
            if let Ok(paints) = self.paints(given, line, slice) {
                let whole = Rect::whole(shape.height, shape.width);
                apply(&mut plane, &paints, &whole, given, line);
                self.keep(key, plane);
            }
        }
    }

    /// The entry `seq` was undone or done again, as `given` has it already: computes the region that it concerns anew in planes that are
    /// kept. Gives the rectangles of slices that may have changed.
    pub(in crate::portal) fn turned(&mut self, given: &Given<'_>, seq: u64) -> Vec<Region> {
        let Some(record) = given.history.record(seq) else { return Vec::new() };
        let line = &record.line;
        let Some(image) = line.entry.image() else { return Vec::new() };
        let Some(shape) = given.source.shape(image) else { return Vec::new() };
        self.between.drop_if(|later| *later > seq);
        let mut regions = self.regions(given, line, image, shape).unwrap_or_else(|error| {
            log::warn!("{error}");
            let whole = Rect::whole(shape.height, shape.width);
            line.entry.slices(shape.slices).map(|slice| whole.of(image, slice)).collect()
        });
        let is_drawn = !matches!(line.entry, Entry::Import(_) | Entry::Between(_));
        let is_drawn = is_drawn && regions.len() <= MOST_REPAINTED;
        for region in &regions {
            let key = (image.to_owned(), region.slice);
            let plane = self.planes.take(&key);
            self.counts.remove(&key);
            let Some(mut plane) = plane.filter(|_| is_drawn) else { continue };
            let (rows, columns) = (region.y..region.y + region.height, region.x..region.x + region.width);
            let rect = Rect { top: rows.start, bottom: rows.end, left: columns.start, right: columns.end };
            match self.repaint(given, &mut plane, image, region.slice, &rect) {
                Ok(()) => self.keep(key, plane),
                Err(error) => log::warn!("{error}"),
            }
        }
        // What was interpolated from these slices afterwards is another now.
        let mut slices: BTreeSet<usize> = regions.iter().map(|region| region.slice).collect();
        for later in given.history.counting(image, u64::MAX).filter(|later| later.seq > seq) {
            let Entry::Between(between) = &later.entry else { continue };
            if slices.contains(&between.from) || slices.contains(&between.to) {
                for slice in later.entry.slices(shape.slices) {
                    self.planes.take(&(image.to_owned(), slice));
                    self.counts.remove(&(image.to_owned(), slice));
                    slices.insert(slice);
                    regions.push(Rect::whole(shape.height, shape.width).of(image, slice));
                }
            }
        }
        regions
    }

    /// Computes a part of a plane anew from all entries.
    fn repaint(
        &mut self,
        given: &Given<'_>,
        plane: &mut Plane,
        image: &str,
        slice: usize,
        rect: &Rect,
    ) -> Result<()> {
        let slices = given.source.shape(image).map_or(0, |shape| shape.slices);
        plane.clear(rect);
        for line in given.history.counting(image, u64::MAX) {
            if line.entry.slices(slices).contains(&slice) && may_touch(&line.entry, rect) {
                let paints = self.paints(given, line, slice)?;
                apply(plane, &paints, rect, given, line);
            }
        }
        Ok(())
    }
}

/// Paints what lies in `rect` of what the entry of `line` paints.
fn apply(plane: &mut Plane, paints: &[Paint], rect: &Rect, given: &Given<'_>, line: &Line) {
    let locked = given.history.locked_at(line.seq);
    let aside = is_set_aside(&line.entry);
    for paint in paints {
        for run in paint.runs.iter().filter_map(|run| rect.part_of(run)) {
            plane.paint(&run, paint.class, locked, aside);
        }
    }
}

/// About how many bytes they take.
fn bytes_of(paints: &[Paint]) -> usize {
    paints.iter().map(|paint| paint.runs.len() * size_of::<Run>() + 64).sum()
}

/// Whether an entry may paint something in `rect`, by its points alone.
fn may_touch(entry: &Entry, rect: &Rect) -> bool {
    let (points, margin) = match entry {
        Entry::Stroke(stroke) => (&stroke.points, stroke.size / 2.0),
        Entry::Polygon(polygon) => (&polygon.points, 0.0),
        _ => return true,
    };
    let ends = |axis: usize| {
        points.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), point| {
            (low.min(point[axis] - margin), high.max(point[axis] + margin))
        })
    };
    let ((left, right), (top, bottom)) = (ends(0), ends(1));
    left <= rect.right as f64
        && right >= rect.left as f64
        && top <= rect.bottom as f64
        && bottom >= rect.top as f64
}

/// The pixels of `runs` whose grey value is from `low` to `high`.
fn within(
    runs: &[Run],
    low: f64,
    high: f64,
    read: &dyn Fn(&Window) -> Result<Array2<f32>>,
) -> Result<Vec<Run>> {
    /// Rows that are read at once.
    const ROWS: usize = 256;
    let mut kept = Vec::new();
    let mut rest = runs;
    while let Some(first) = rest.first() {
        let (top, count) = (first.y, rest.partition_point(|run| run.y < first.y + ROWS));
        let (band, behind) = rest.split_at(count);
        let Some(around) = Rect::around(band) else { break };
        let greys = read(&Window::plane(top..around.bottom, around.left..around.right))?;
        for run in band {
            for x in run.start..run.end {
                let grey = f64::from(greys[(run.y - top, x - around.left)]);
                if !(low..=high).contains(&grey) {
                    continue;
                }
                match kept.last_mut() {
                    Some(Run { y, end, .. }) if *y == run.y && *end == x => *end = x + 1,
                    _ => kept.push(Run { y: run.y, start: x, end: x + 1 }),
                }
            }
        }
        rest = behind;
    }
    Ok(kept)
}

fn gone(image: &str) -> Error {
    Error::Mismatch(format!("there is no image {image} in the project; add it again"))
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
