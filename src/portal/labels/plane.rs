//! The labels of a slice, of which only the tiles that have some take memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::{Array2, s};

use super::runs::{Rect, Run};
use crate::portal::journal::UNLABELLED;
use crate::portal::tiles::{TILE, tile_extent};

/// Labels of a slice: a class for each pixel, or [`UNLABELLED`]; and which of them are set aside to score a network by. A copy shares the
/// tiles with its original until one of the two changes, so that labels of a moment can be taken while others are drawn.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::portal) struct Plane {
    height: usize,
    width: usize,
    /// Tiles of [`TILE`] x [`TILE`] pixels by their row and column; those that are not there are without labels.
    tiles: BTreeMap<(usize, usize), Arc<PlaneTile>>,
    labelled: usize,
}

/// A tile of a plane, row by row.
#[derive(Debug, Clone, PartialEq)]
struct PlaneTile {
    labels: [u8; TILE * TILE],
    /// A bit for each pixel whose label is set aside.
    aside: [u64; TILE * TILE / 64],
}

impl PlaneTile {
    fn empty() -> Self {
        Self { labels: [UNLABELLED; TILE * TILE], aside: [0; TILE * TILE / 64] }
    }

    fn is_aside(&self, place: usize) -> bool {
        self.aside[place / 64] >> (place % 64) & 1 == 1
    }
}

/// All labels of a slice, as training takes them.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::portal) struct Division {
    /// `[y][x]`, [`UNLABELLED`] for pixels without one.
    pub(in crate::portal) labels: Array2<u8>,
    /// Which of them are set aside to score a network by; `None` where none is.
    pub(in crate::portal) aside: Option<Array2<bool>>,
}

impl Plane {
    /// One of `height` rows and `width` columns without labels.
    pub(in crate::portal) fn new(height: usize, width: usize) -> Self {
        Self { height, width, tiles: BTreeMap::new(), labelled: 0 }
    }

    /// How many pixels have a label.
    pub(in crate::portal) fn labelled(&self) -> usize {
        self.labelled
    }

    /// About how many bytes it takes.
    pub(in crate::portal) fn bytes(&self) -> usize {
        size_of::<Self>() + self.tiles.len() * (size_of::<PlaneTile>() + 64)
    }

    /// Gives the pixels of a run inside the plane the label `value`, except those whose label is `locked`. `aside` says whether it is one to
    /// score by.
    pub(in crate::portal) fn paint(&mut self, run: &Run, value: u8, locked: &[bool; 256], aside: bool) {
        let aside = aside && value != UNLABELLED;
        let Some(run) = Rect::whole(self.height, self.width).part_of(run) else { return };
        let mut x = run.start;
        while x < run.end {
            let end = run.end.min((x / TILE + 1) * TILE);
            let place = (run.y / TILE, x / TILE);
            if value != UNLABELLED || self.tiles.contains_key(&place) {
                let tile = self.tiles.entry(place).or_insert_with(|| Arc::new(PlaneTile::empty()));
                let tile = Arc::make_mut(tile);
                let first = run.y % TILE * TILE + x % TILE;
                for place in first..first + (end - x) {
                    let label = &mut tile.labels[place];
                    if locked[usize::from(*label)] {
                        continue;
                    }
                    self.labelled -= usize::from(*label != UNLABELLED);
                    self.labelled += usize::from(value != UNLABELLED);
                    *label = value;
                    let bit = 1 << (place % 64);
                    match aside {
                        true => tile.aside[place / 64] |= bit,
                        false => tile.aside[place / 64] &= !bit,
                    }
                }
            }
            x = end;
        }
    }

    /// Takes all labels in `rect` away.
    pub(in crate::portal) fn clear(&mut self, rect: &Rect) {
        for y in rect.top..rect.bottom {
            self.paint(&Run { y, start: rect.left, end: rect.right }, UNLABELLED, &[false; 256], false);
        }
        self.tiles.retain(|_, tile| tile.labels.iter().any(|label| *label != UNLABELLED));
    }

    /// The pixels of a class, as runs in order.
    pub(in crate::portal) fn runs_of(&self, class: u8) -> Vec<Run> {
        let mut runs = Vec::new();
        for (&(ty, tx), tile) in &self.tiles {
            for (row, labels) in tile.labels.chunks_exact(TILE).enumerate() {
                let y = ty * TILE + row;
                for (column, _) in labels.iter().enumerate().filter(|(_, label)| **label == class) {
                    let x = tx * TILE + column;
                    match runs.last_mut() {
                        Some(Run { y: row, end, .. }) if *row == y && *end == x => *end = x + 1,
                        _ => runs.push(Run { y, start: x, end: x + 1 }),
                    }
                }
            }
        }
        super::runs::joined(runs)
    }

    /// The labels of a tile of a level, row by row, with its rows and columns; `None` where there is no such tile. On level n a pixel
    /// has the first label, row by row, among the 2^n x 2^n pixels that it stands for. `shown` says what each label becomes.
    pub(in crate::portal) fn tile(
        &self,
        level: u32,
        ty: usize,
        tx: usize,
        shown: &[u8; 256],
    ) -> Option<(Vec<u8>, usize, usize)> {
        let (height, width) = tile_extent(self.height, self.width, level, ty, tx)?;
        let mut out = vec![UNLABELLED; height * width];
        // A tile of this level stands for so many tiles of the plane along each side.
        let factor = 1_usize << level;
        let places = (ty * factor, 0)..((ty + 1) * factor, 0);
        for (&(row, column), tile) in self.tiles.range(places) {
            if column / factor != tx {
                continue;
            }
            let (top, left) = ((row - ty * factor) * TILE, (column - tx * factor) * TILE);
            for (y, labels) in tile.labels.chunks_exact(TILE).enumerate() {
                let line = ((top + y) >> level) * width;
                for (x, label) in labels.iter().enumerate() {
                    let label = shown[usize::from(*label)];
                    if label == UNLABELLED {
                        continue;
                    }
                    let place = &mut out[line + ((left + x) >> level)];
                    if *place == UNLABELLED {
                        *place = label;
                    }
                }
            }
        }
        Some((out, height, width))
    }

    /// The labels of a part, `[y][x]`; what is beyond the plane is without labels.
    pub(in crate::portal) fn part(&self, rect: &Rect, shown: &[u8; 256]) -> Array2<u8> {
        let shape = (rect.bottom - rect.top, rect.right - rect.left);
        let mut out = Array2::from_elem(shape, UNLABELLED);
        for (&(ty, tx), tile) in &self.tiles {
            let (top, left) = (ty * TILE, tx * TILE);
            let rows = rect.top.max(top)..rect.bottom.min(top + TILE);
            let columns = rect.left.max(left)..rect.right.min(left + TILE);
            if columns.is_empty() {
                continue;
            }
            for y in rows {
                let from = &tile.labels[(y - top) * TILE..][columns.start - left..columns.end - left];
                let to = s![y - rect.top, columns.start - rect.left..columns.end - rect.left];
                out.slice_mut(to).iter_mut().zip(from).for_each(|(to, from)| *to = shown[usize::from(*from)]);
            }
        }
        out
    }

    /// All labels, and which are set aside.
    pub(in crate::portal) fn division(&self, shown: &[u8; 256]) -> Division {
        let labels = self.part(&Rect::whole(self.height, self.width), shown);
        let with_some = self.tiles.iter().filter(|(_, tile)| tile.aside.iter().any(|bits| *bits != 0));
        let mut aside = None;
        for (&(ty, tx), tile) in with_some {
            let aside = aside.get_or_insert_with(|| Array2::from_elem(labels.dim(), false));
            let (top, left) = (ty * TILE, tx * TILE);
            let (bottom, right) = ((top + TILE).min(self.height), (left + TILE).min(self.width));
            for ((y, x), to) in aside.slice_mut(s![top..bottom, left..right]).indexed_iter_mut() {
                *to = tile.is_aside(y * TILE + x);
            }
        }
        Division { labels, aside }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown() -> [u8; 256] {
        std::array::from_fn(|label| label as u8)
    }

    #[test]
    fn labels_are_counted_and_locked_ones_stay() {
        let mut plane = Plane::new(300, 600);
        plane.paint(&Run { y: 2, start: 200, end: 590 }, 1, &[false; 256], false);
        assert_eq!((plane.labelled(), plane.tiles.len()), (390, 3));
        let mut locked = [false; 256];
        locked[1] = true;
        plane.paint(&Run { y: 2, start: 0, end: 700 }, 2, &locked, false);
        assert_eq!((plane.labelled(), plane.runs_of(2).len()), (600, 2));
        assert_eq!(plane.runs_of(1), [Run { y: 2, start: 200, end: 590 }]);
        plane.paint(&Run { y: 2, start: 0, end: 700 }, UNLABELLED, &locked, false);
        assert_eq!((plane.labelled(), plane.runs_of(2).len()), (390, 0));
        // What is outside is left alone.
        plane.paint(&Run { y: 300, start: 0, end: 5 }, 1, &[false; 256], false);
        plane.clear(&Rect { top: 0, bottom: 300, left: 0, right: 512 });
        assert_eq!((plane.labelled(), plane.tiles.len()), (78, 1));
        plane.clear(&Rect::whole(300, 600));
        assert_eq!(plane, Plane::new(300, 600));
    }

    #[test]
    fn labels_are_set_aside_until_others_are_drawn_over_them() {
        let mut plane = Plane::new(300, 600);
        let row = |start, end| Run { y: 7, start, end };
        plane.paint(&row(200, 500), 1, &[false; 256], true);
        let before = plane.clone();
        plane.paint(&row(250, 300), 2, &[false; 256], false);
        plane.paint(&row(400, 450), UNLABELLED, &[false; 256], true);
        let aside = |plane: &Plane| {
            let Division { labels, aside } = plane.division(&shown());
            let aside = aside.unwrap();
            assert_eq!((labels.dim(), aside.dim()), ((300, 600), (300, 600)));
            aside.indexed_iter().filter(|(_, is)| **is).map(|((y, x), _)| (y, x)).collect::<Vec<_>>()
        };
        let wanted: Vec<_> = (200..250).chain(300..400).chain(450..500).map(|x| (7, x)).collect();
        assert_eq!(aside(&plane), wanted);
        // A copy is as it was.
        assert_eq!(aside(&before), (200..500).map(|x| (7, x)).collect::<Vec<_>>());
        // Locked labels stay set aside.
        let mut locked = [false; 256];
        locked[1] = true;
        plane.paint(&row(0, 600), 2, &locked, false);
        assert_eq!(aside(&plane), wanted);
        plane.clear(&Rect::whole(300, 600));
        assert_eq!(plane.division(&shown()).aside, None);
    }

    #[test]
    fn smaller_levels_have_the_first_label_of_each_block() {
        let (height, width) = (700, 1300);
        let mut plane = Plane::new(height, width);
        for n in 0..900_usize {
            let (y, x) = (n * 7919 % height, n * 104_729 % width);
            plane.paint(
                &Run { y, start: x, end: (x + 1 + n % 5).min(width) },
                (n % 3) as u8,
                &[false; 256],
                false,
            );
        }
        let mut table = shown();
        table[1] = UNLABELLED;
        let whole = plane.part(&Rect::whole(height, width), &table);
        for level in 0..4 {
            let factor = 1 << level;
            let (rows, columns) = (height.div_ceil(factor), width.div_ceil(factor));
            for ty in 0..rows.div_ceil(TILE) {
                for tx in 0..columns.div_ceil(TILE) {
                    let (labels, h, w) = plane.tile(level, ty, tx, &table).unwrap();
                    assert_eq!((h, w), ((rows - ty * TILE).min(TILE), (columns - tx * TILE).min(TILE)));
                    for (place, label) in labels.iter().enumerate() {
                        let (top, left) =
                            ((ty * TILE + place / w) * factor, (tx * TILE + place % w) * factor);
                        let block = whole.slice(ndarray::s![
                            top..(top + factor).min(height),
                            left..(left + factor).min(width)
                        ]);
                        let first = block.iter().find(|label| **label != UNLABELLED).unwrap_or(&UNLABELLED);
                        assert_eq!(label, first, "level {level} at {top} {left}");
                    }
                }
            }
        }
        assert!(plane.tile(0, 3, 0, &table).is_none() && plane.tile(9, 0, 0, &table).is_none());
    }
}
