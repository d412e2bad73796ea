//! Pixels and connected objects of each class, counted row by row.

use std::collections::{BTreeMap, HashMap};

/// How much of a class there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) pixels: u64,
    /// Pieces whose pixels touch by their sides, in three dimensions.
    pub(super) objects: u64,
}

/// Equal neighbours in a row.
#[derive(Debug, Clone, Copy)]
struct Piece {
    start: usize,
    end: usize,
    class: i64,
    /// The place in `parents`.
    id: usize,
}

/// Counts the rows of a stack in their order.
#[derive(Debug, Default)]
pub(super) struct Objects {
    counts: BTreeMap<i64, Count>,
    /// Of each piece another one of the same object; itself for one of them. Of earlier slices only the objects that reach the last one
    /// are in it.
    parents: Vec<usize>,
    /// The rows of this slice so far, and of the one before.
    rows: Vec<Vec<Piece>>,
    before: Vec<Vec<Piece>>,
}

impl Objects {
    /// The next row of the slice.
    pub(super) fn add_row(&mut self, labels: &[i64]) {
        let mut pieces = Vec::new();
        let mut start = 0;
        for part in labels.chunk_by(|a, b| a == b) {
            let (class, end) = (part[0], start + part.len());
            let id = self.parents.len();
            self.parents.push(id);
            let count = self.counts.entry(class).or_default();
            count.pixels += part.len() as u64;
            count.objects += 1;
            pieces.push(Piece { start, end, class, id });
            start = end;
        }
        let above = self.rows.last().map_or(&[][..], Vec::as_slice);
        let behind = self.before.get(self.rows.len()).map_or(&[][..], Vec::as_slice);
        for others in [above, behind] {
            touching(&pieces, others, |a, b| {
                if joined(&mut self.parents, a.id, b.id)
                    && let Some(count) = self.counts.get_mut(&a.class)
                {
                    count.objects -= 1;
                }
            });
        }
        self.rows.push(pieces);
    }

    /// The slice has ended.
    pub(super) fn end_slice(&mut self) {
        let mut places = HashMap::new();
        for piece in self.rows.iter_mut().flatten() {
            let next = places.len();
            piece.id = *places.entry(root(&mut self.parents, piece.id)).or_insert(next);
        }
        // Nothing that comes touches what lies before this slice.
        self.parents = (0..places.len()).collect();
        self.before = std::mem::take(&mut self.rows);
    }

    /// The classes with how much of each there is.
    pub(super) fn counts(&self) -> impl Iterator<Item = (i64, Count)> {
        self.counts.iter().map(|(class, count)| (*class, *count))
    }
}

/// Calls `found` for each two pieces of one class that have a column in common.
fn touching(pieces: &[Piece], others: &[Piece], mut found: impl FnMut(&Piece, &Piece)) {
    let mut next = 0;
    for piece in pieces {
        while others.get(next).is_some_and(|other| other.end <= piece.start) {
            next += 1;
        }
        for other in others[next..].iter().take_while(|other| other.start < piece.end) {
            if other.class == piece.class {
                found(piece, other);
            }
        }
    }
}

/// The piece that stands for the object of the piece `at`.
fn root(parents: &mut [usize], mut at: usize) -> usize {
    while parents[at] != at {
        parents[at] = parents[parents[at]];
        at = parents[at];
    }
    at
}

/// Makes one object of two; whether they were two before.
fn joined(parents: &mut [usize], a: usize, b: usize) -> bool {
    let (a, b) = (root(parents, a), root(parents, b));
    parents[a.max(b)] = a.min(b);
    a != b
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(slices: &[&[&str]]) -> Vec<(i64, u64, u64)> {
        let mut objects = Objects::default();
        for slice in slices {
            for row in *slice {
                objects.add_row(&row.bytes().map(|byte| i64::from(byte - b'0')).collect::<Vec<_>>());
            }
            objects.end_slice();
        }
        objects.counts().map(|(class, count)| (class, count.pixels, count.objects)).collect()
    }

    #[test]
    fn objects_touch_by_their_sides() {
        // A ring around a hole, and a corner that touches nothing.
        assert_eq!(counted(&[&["11100", "10100", "11101", "00010"]]), [(0, 10, 4), (1, 10, 3)]);
        // Two legs that meet at the end are one.
        assert_eq!(counted(&[&["101", "101", "111"]]), [(0, 2, 1), (1, 7, 1)]);
    }

    #[test]
    fn slices_that_are_done_take_no_memory() {
        let mut objects = Objects::default();
        for slice in 0..50_i64 {
            for row in 0..20_i64 {
                objects.add_row(&(0..30).map(|x| (x + row + slice) % 2).collect::<Vec<_>>());
            }
            objects.end_slice();
            assert!(objects.parents.len() <= 600, "{}", objects.parents.len());
        }
        assert_eq!(objects.counts().map(|(_, count)| count.pixels).sum::<u64>(), 50 * 20 * 30);
    }

    #[test]
    fn objects_reach_through_slices() {
        let (one, both) = (["100", "001"], ["111", "111"]);
        assert_eq!(counted(&[&one]), [(0, 4, 1), (1, 2, 2)]);
        assert_eq!(counted(&[&one, &both]), [(0, 4, 1), (1, 8, 1)]);
        assert_eq!(counted(&[&one, &["000", "000"], &one]), [(0, 14, 1), (1, 4, 4)]);
        // Two legs of an object meet slices later; two that lie between do not.
        let legs = ["10101", "00000", "10101"];
        assert_eq!(counted(&[&legs, &legs, &["11111", "00000", "00000"]]), [(0, 28, 1), (1, 17, 4)]);
        // What touches by an edge only is apart.
        assert_eq!(counted(&[&["10"], &["01"]]), [(0, 2, 2), (1, 2, 2)]);
    }
}
