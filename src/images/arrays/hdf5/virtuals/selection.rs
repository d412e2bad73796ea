//! Selections of an array, as a file stores them: which indices along each axis.

use std::collections::BTreeSet;
use std::ops::Range;

use super::super::links::Bytes;

/// More axes than HDF5 has.
const MOST_AXES: u64 = 32;
/// What stands for a count without an end.
const UNLIMITED: u64 = u64::MAX;

/// Which part of an array is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Selection {
    /// Nothing of it.
    Nothing,
    /// All of it.
    All,
    /// The indices along each axis, combined with those along the others.
    Of(Vec<Along>),
    /// Something else, such as single points.
    Other,
}

/// The indices along one axis, in growing order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Along {
    /// Runs of `block` indices that begin `stride` apart, from `start` on; `length` indices in all, `None` for as many as there are.
    Regular { start: u64, stride: u64, block: u64, length: Option<u64> },
    /// These runs, each with how many indices come before it.
    Runs(Vec<(u64, Range<u64>)>),
}

impl Along {
    /// All of an axis of so many indices.
    pub(super) fn all(length: u64) -> Self {
        Along::Regular { start: 0, stride: length.max(1), block: length.max(1), length: Some(length) }
    }

    /// How many indices there are; `None` for as many as there are.
    pub(super) fn length(&self) -> Option<u64> {
        match self {
            Along::Regular { length, .. } => *length,
            Along::Runs(runs) => Some(runs.last().map_or(0, |(before, run)| before + (run.end - run.start))),
        }
    }

    /// The same up to `end`, where it has no end of its own.
    pub(super) fn up_to(&self, end: u64) -> Self {
        match *self {
            Along::Regular { start, stride, block, length: None } => {
                let rest = end.saturating_sub(start);
                let length = (rest / stride).saturating_mul(block).saturating_add((rest % stride).min(block));
                Along::Regular { start, stride, block, length: Some(length) }
            }
            ref other => other.clone(),
        }
    }

    /// The first `length` indices, where it has no end of its own.
    pub(super) fn of_length(&self, length: u64) -> Self {
        match *self {
            Along::Regular { start, stride, block, length: None } => {
                Along::Regular { start, stride, block, length: Some(length) }
            }
            ref other => other.clone(),
        }
    }

    /// The run of indices that the one of number `number` is in, from there on.
    fn run_from(&self, number: u64) -> Option<Range<u64>> {
        match self {
            Along::Regular { start, stride, block, length } => {
                let within = number % block;
                let first = start.checked_add((number / block).checked_mul(*stride)?)?.checked_add(within)?;
                let rest =
                    length.map_or(block - within, |length| length.saturating_sub(number).min(block - within));
                (rest > 0).then_some(first..first.checked_add(rest)?)
            }
            Along::Runs(runs) => {
                let at = runs.partition_point(|(before, _)| *before <= number).checked_sub(1)?;
                let (before, run) = runs.get(at)?;
                let first = run.start + (number - before);
                (first < run.end).then_some(first..run.end)
            }
        }
    }

    /// The first index; 0 where there is none.
    pub(super) fn first(&self) -> u64 {
        self.run_from(0).map_or(0, |run| run.start)
    }

    /// One behind the last index; `None` for more than can be counted.
    pub(super) fn end(&self) -> Option<u64> {
        match self.length()? {
            0 => Some(0),
            length => Some(self.run_from(length - 1)?.start + 1),
        }
    }

    /// How many indices are smaller than `index`.
    pub(super) fn before(&self, index: u64) -> u64 {
        match self {
            Along::Regular { .. } => {
                let Along::Regular { length: Some(before), .. } = (match *self {
                    Along::Regular { start, stride, block, .. } => {
                        Along::Regular { start, stride, block, length: None }.up_to(index)
                    }
                    ref other => other.clone(),
                }) else {
                    return 0;
                };
                self.length().map_or(before, |length| before.min(length))
            }
            Along::Runs(runs) => runs
                .iter()
                .take_while(|(_, run)| run.start < index)
                .last()
                .map_or(0, |(before, run)| before + (run.end.min(index) - run.start)),
        }
    }

    /// The indices of these numbers, in runs; no more than `most` of them.
    pub(super) fn runs(&self, mut numbers: Range<u64>, most: usize) -> Option<Vec<Range<u64>>> {
        let mut runs: Vec<Range<u64>> = Vec::new();
        while !numbers.is_empty() {
            let run = self.run_from(numbers.start)?;
            let count = (run.end - run.start).min(numbers.end - numbers.start);
            numbers.start += count;
            let run = run.start..run.start + count;
            let count = runs.len();
            match runs.last_mut() {
                Some(last) if last.end == run.start => last.end = run.end,
                _ if count == most => return None,
                _ => runs.push(run),
            }
        }
        Some(runs)
    }
}

/// The selection that stands next; `None` where it is damaged.
pub(super) fn read(bytes: &mut Bytes<'_>) -> Option<Selection> {
    const NONE: u64 = 0;
    const POINTS: u64 = 1;
    const BLOCKS: u64 = 2;
    const ALL: u64 = 3;
    let kind = bytes.number(4)?;
    let version = bytes.number(4)?;
    match (kind, version) {
        (NONE, 1) => {
            bytes.take(8)?;
            Some(Selection::Nothing)
        }
        (ALL, 1) => {
            bytes.take(8)?;
            Some(Selection::All)
        }
        (POINTS, 1) => {
            bytes.take(4)?;
            let length = bytes.count(4)?;
            bytes.take(length)?;
            Some(Selection::Other)
        }
        (POINTS, 2) => {
            let width = bytes.count(1)?;
            let axes = bytes.number(4).filter(|axes| (1..=MOST_AXES).contains(axes))?;
            let count = bytes.count(width)?;
            bytes.take(count.checked_mul(width)?.checked_mul(axes as usize)?)?;
            Some(Selection::Other)
        }
        (BLOCKS, 1) => {
            bytes.take(8)?;
            let axes = bytes.number(4)?;
            irregular(bytes, axes, 4, 4)
        }
        (BLOCKS, 2) => {
            let is_regular = bytes.number(1)? & 1 != 0;
            bytes.take(4)?;
            let axes = bytes.number(4)?;
            if is_regular { regular(bytes, axes, 8) } else { irregular(bytes, axes, 8, 8) }
        }
        (BLOCKS, 3) => {
            let is_regular = bytes.number(1)? & 1 != 0;
            let width = bytes.count(1).filter(|width| matches!(width, 2 | 4 | 8))?;
            let axes = bytes.number(4)?;
            if is_regular { regular(bytes, axes, width) } else { irregular(bytes, axes, width, width) }
        }
        _ => None,
    }
}

/// Blocks of one size that lie a step apart, along each axis.
fn regular(bytes: &mut Bytes<'_>, axes: u64, width: usize) -> Option<Selection> {
    if !(1..=MOST_AXES).contains(&axes) {
        return None;
    }
    let none = UNLIMITED >> (64 - 8 * width as u32);
    let mut number = || bytes.number(width).map(|number| if number == none { UNLIMITED } else { number });
    let mut all = Vec::new();
    for _ in 0..axes {
        let (start, stride, count, block) = (number()?, number()?, number()?, number()?);
        let (count, block) = match (count, block) {
            (UNLIMITED, UNLIMITED) => return None,
            // A block without an end.
            (1, UNLIMITED) => {
                all.push(Along::Regular { start, stride: UNLIMITED, block: UNLIMITED, length: None });
                continue;
            }
            (UNLIMITED, block) => (None, block),
            (count, block) => (Some(count), block),
        };
        // Blocks that lie side by side are one.
        let (stride, block, count) = match count {
            Some(1) => (block, block, Some(1)),
            count => (stride, block, count),
        };
        let length = match count {
            Some(count) => Some(count.checked_mul(block)?),
            None => None,
        };
        if block == 0 || stride < block {
            return None;
        }
        all.push(Along::Regular { start, stride, block, length });
        // The last one can be counted.
        if length.is_some() {
            all.last()?.end()?;
        }
    }
    Some(Selection::Of(all))
}

/// A list of blocks, which are those of all combinations of runs along the axes, or something else.
fn irregular(bytes: &mut Bytes<'_>, axes: u64, of_count: usize, width: usize) -> Option<Selection> {
    if !(1..=MOST_AXES).contains(&axes) {
        return None;
    }
    let axes = axes as usize;
    let count = bytes.count(of_count)?;
    let stored = Bytes(bytes.take(count.checked_mul(2 * axes)?.checked_mul(width)?)?);
    let mut runs: Vec<BTreeSet<(u64, u64)>> = vec![BTreeSet::new(); axes];
    let mut blocks = BTreeSet::new();
    let mut rest = stored;
    for _ in 0..count {
        let mut corner = || (0..axes).map(|_| rest.number(width)).collect::<Option<Vec<u64>>>();
        let (first, last) = (corner()?, corner()?);
        let block: Vec<(u64, u64)> = first.into_iter().zip(last).collect();
        for (runs, run) in runs.iter_mut().zip(&block) {
            (run.0 <= run.1 && run.1 < UNLIMITED - 1).then_some(())?;
            runs.insert(*run);
        }
        blocks.insert(block);
    }
    let combinations = runs.iter().try_fold(1_usize, |all, runs| all.checked_mul(runs.len()));
    let along = |runs: BTreeSet<(u64, u64)>| {
        let mut all: Vec<(u64, Range<u64>)> = Vec::new();
        for (first, last) in runs {
            let before = match all.last() {
                // Runs that overlap are those of other blocks than all combinations.
                Some((_, run)) if run.end > first => return None,
                Some((before, run)) => before + (run.end - run.start),
                None => 0,
            };
            all.push((before, first..last + 1));
        }
        Some(Along::Runs(all))
    };
    let all: Option<Vec<Along>> = runs.into_iter().map(along).collect();
    // There are as many different blocks as combinations, so each combination is one of them.
    Some(match all {
        Some(all) if count > 0 && combinations == Some(blocks.len()) => Selection::Of(all),
        _ => Selection::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regular(start: u64, stride: u64, block: u64, length: Option<u64>) -> Along {
        Along::Regular { start, stride, block, length }
    }

    #[test]
    fn indices_are_found_by_their_numbers_and_back() {
        let runs = Along::Runs(vec![(0, 2..4), (2, 7..8), (3, 9..12)]);
        for (along, wanted) in [
            (regular(1, 3, 2, Some(6)), vec![1, 2, 4, 5, 7, 8]),
            (regular(1, 3, 2, None).up_to(6), vec![1, 2, 4, 5]),
            (regular(1, 3, 2, None).up_to(5), vec![1, 2, 4]),
            (regular(4, UNLIMITED, UNLIMITED, None).up_to(7), vec![4, 5, 6]),
            (regular(0, 3, 1, None).of_length(3), vec![0, 3, 6]),
            (Along::all(3), vec![0, 1, 2]),
            (Along::all(0), vec![]),
            (runs, vec![2, 3, 7, 9, 10, 11]),
        ] {
            let length = along.length().unwrap();
            let found: Vec<u64> = along.runs(0..length, 9).unwrap().into_iter().flatten().collect();
            assert_eq!(found, wanted, "{along:?}");
            assert_eq!(along.end(), Some(wanted.last().map_or(0, |last| last + 1)), "{along:?}");
            for index in 0..14 {
                let before = wanted.iter().filter(|other| **other < index).count() as u64;
                assert_eq!(along.before(index), before, "{along:?} before {index}");
            }
            for from in 0..length {
                let part: Vec<u64> = along.runs(from..length, 9).unwrap().into_iter().flatten().collect();
                assert_eq!(part, wanted[from as usize..], "{along:?}");
            }
        }
        // Runs side by side are one, and no more are given than are wanted.
        let runs = regular(2, 2, 2, Some(6)).runs(0..6, 1).unwrap();
        assert_eq!((runs.len(), runs[0].clone()), (1, 2..8));
        assert_eq!(regular(2, 3, 2, Some(6)).runs(0..6, 2), None);
    }

    #[test]
    fn damaged_selections_are_none() {
        let mut bytes = 2_u32.to_le_bytes().to_vec();
        bytes.extend(3_u32.to_le_bytes());
        bytes.extend([1, 8, 1, 0, 0, 0]);
        let with = |numbers: [u64; 4]| {
            let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            let bytes = [bytes.as_slice(), &numbers].concat();
            read(&mut Bytes(&bytes))
        };
        assert_eq!(with([1, 3, 2, 2]), Some(Selection::Of(vec![regular(1, 3, 2, Some(4))])));
        for wrong in [[1, 1, 2, 2], [1, 0, 2, 0], [1, 2, UNLIMITED, UNLIMITED], [1, 1 << 40, 1 << 40, 2]] {
            assert_eq!(with(wrong), None, "{wrong:?}");
        }
        assert_eq!(read(&mut Bytes(&bytes)), None);
        let nothing = [[0; 4], 1_u32.to_le_bytes(), [0; 4], [0; 4]].concat();
        assert_eq!(read(&mut Bytes(&nothing)), Some(Selection::Nothing));
    }
}
