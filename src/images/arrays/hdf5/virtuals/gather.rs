//! Numbers of one array to where they lie in another, and to another type.

use std::ops::Range;

use tiff::decoder::DecodingResult;

use super::selection::Along;
use crate::images::decoded::each_type;
use crate::images::numeric::ToFloat;
use crate::images::source::{SampleKind, SampleType};

/// A part is read in so many pieces at most.
pub(super) const MOST_PIECES: usize = 1 << 20;

/// Indices along one axis: where they lie in the array that is filled, and in what was read of the other one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) into: Vec<usize>,
    pub(super) from: Vec<usize>,
    /// What is read of the other one; `from` counts from its start.
    pub(super) read: Range<usize>,
}

/// The place of the first index; there must be one.
pub(super) fn first_index(along: &Along) -> Option<Range<usize>> {
    let run = along.runs(0..1, 1)?.into_iter().next()?;
    let first = usize::try_from(run.start).ok()?;
    Some(first..first.checked_add(1)?)
}

/// Where the indices of these `numbers` lie `here`, counted from `start`, and `there`: in pieces that are runs in both, or `at_once` as
/// lists, so that what lies between them there is read too.
pub(super) fn places(
    here: &Along,
    there: &Along,
    numbers: Range<u64>,
    start: usize,
    at_once: bool,
) -> Option<Vec<Places>> {
    let is_alone = there.length() == Some(1);
    let mut into = here.runs(numbers.clone(), MOST_PIECES)?.into_iter();
    let from = if is_alone { 0..1 } else { numbers };
    let mut from = there.runs(from, MOST_PIECES)?.into_iter();
    let index = |index: u64| usize::try_from(index).ok();
    let (mut left_here, mut left_there) = (into.next()?, from.next()?);
    let mut pieces: Vec<Places> = Vec::new();
    loop {
        let count = (left_here.end - left_here.start).min(left_there.end - left_there.start);
        let (into_from, read_from, count_of) =
            (index(left_here.start)?.checked_sub(start)?, index(left_there.start)?, index(count)?);
        match pieces.last_mut() {
            Some(last) if at_once => {
                last.into.extend(into_from..into_from + count_of);
                let first = last.read.start;
                last.from.extend(read_from - first..read_from - first + count_of);
                last.read.end = read_from + count_of;
            }
            _ => pieces.push(Places {
                into: (into_from..into_from + count_of).collect(),
                from: (0..count_of).collect(),
                read: read_from..read_from + count_of,
            }),
        }
        left_here.start += count;
        left_there.start += count;
        if left_here.is_empty() {
            match into.next() {
                Some(next) => left_here = next,
                None => return Some(pieces),
            }
        }
        if left_there.is_empty() {
            left_there = from.next()?;
        }
    }
}

/// Copies `from`, which was read along each axis as `places` say, to where it lies in `into`, an array of `shape`; `None` where there are
/// not as many numbers, or of another type.
pub(super) fn gather(
    into: &mut DecodingResult,
    shape: &[usize],
    from: &DecodingResult,
    places: &[&Places],
) -> Option<()> {
    let steps = |lengths: &mut dyn DoubleEndedIterator<Item = usize>| {
        let mut steps = Vec::new();
        let mut step = 1_usize;
        for length in lengths.rev() {
            steps.push(step);
            step = step.checked_mul(length)?;
        }
        steps.reverse();
        Some(steps)
    };
    let steps =
        (steps(&mut shape.iter().copied())?, steps(&mut places.iter().map(|places| places.read.len()))?);
    macro_rules! same_type {
        ($($variant:ident),*) => {
            match (into, from) {
                $((DecodingResult::$variant(into), DecodingResult::$variant(from)) => {
                    along(into, from, (0, 0), (&steps.0, &steps.1), places)
                })*
                _ => None,
            }
        };
    }
    same_type!(U8, U16, U32, U64, I8, I16, I32, I64, F16, F32, F64)
}

/// As [`gather`] for the axes that are left, from the places `at` of both on.
fn along<T: Copy>(
    into: &mut [T],
    from: &[T],
    at: (usize, usize),
    steps: (&[usize], &[usize]),
    places: &[&Places],
) -> Option<()> {
    let (Some((first, rest)), [into_step, into_steps @ ..], [from_step, from_steps @ ..]) =
        (places.split_first(), steps.0, steps.1)
    else {
        *into.get_mut(at.0)? = *from.get(at.1)?;
        return Some(());
    };
    let is_run = |all: &[usize]| all.windows(2).all(|pair| pair[0] + 1 == pair[1]);
    if let (true, [a, ..], [b, ..]) = (rest.is_empty(), first.into.as_slice(), first.from.as_slice())
        && is_run(&first.into)
        && is_run(&first.from)
    {
        let (a, b, count) = (at.0 + a, at.1 + b, first.into.len());
        into.get_mut(a..a + count)?.copy_from_slice(from.get(b..b + count)?);
        return Some(());
    }
    for (a, b) in first.into.iter().zip(&first.from) {
        let at = (at.0 + a * into_step, at.1 + b * from_step);
        along(into, from, at, (into_steps, from_steps), rest)?;
    }
    Some(())
}

/// The numbers in another type, each the nearest that this has; `None` for floats in a type of whole numbers.
pub(super) fn converted(numbers: &DecodingResult, to: SampleType) -> Option<DecodingResult> {
    macro_rules! whole {
        ($variant:ident, $type:ty) => {
            each_type!(numbers, values => {
                let nearest = |value: i128| value.clamp(<$type>::MIN.into(), <$type>::MAX.into()) as $type;
                DecodingResult::$variant(values.iter().map(|value| nearest(value.to_whole())).collect())
            })
        };
    }
    macro_rules! float {
        ($variant:ident, |$value:ident| $of:expr) => {
            each_type!(numbers, values => DecodingResult::$variant(values.iter().map(|$value| $of).collect()))
        };
    }
    let is_float =
        matches!(numbers, DecodingResult::F16(_) | DecodingResult::F32(_) | DecodingResult::F64(_));
    if is_float && to.kind != SampleKind::Float {
        return None;
    }
    Some(match (to.kind, to.bits) {
        (SampleKind::Unsigned, ..=8) => whole!(U8, u8),
        (SampleKind::Unsigned, ..=16) => whole!(U16, u16),
        (SampleKind::Unsigned, ..=32) => whole!(U32, u32),
        (SampleKind::Unsigned, _) => whole!(U64, u64),
        (SampleKind::Signed, ..=8) => whole!(I8, i8),
        (SampleKind::Signed, ..=16) => whole!(I16, i16),
        (SampleKind::Signed, ..=32) => whole!(I32, i32),
        (SampleKind::Signed, _) => whole!(I64, i64),
        (SampleKind::Float, ..=16) => float!(F16, |value| half::f16::from_f64(value.to_float())),
        (SampleKind::Float, ..=32) => float!(F32, |value| value.to_single()),
        (SampleKind::Float, _) => float!(F64, |value| value.to_float()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_to_their_places() {
        let places = |into: &[usize], from: &[usize], read: Range<usize>| Places {
            into: into.to_vec(),
            from: from.to_vec(),
            read,
        };
        let from = DecodingResult::U8(vec![1, 2, 3, 4, 5, 6]);
        let mut into = DecodingResult::U8(vec![0; 8]);
        let (rows, columns) = (places(&[1], &[0], 7..9), places(&[0, 3], &[0, 2], 0..3));
        gather(&mut into, &[2, 4], &from, &[&rows, &columns]).unwrap();
        assert!(matches!(&into, DecodingResult::U8(v) if *v == [0, 0, 0, 0, 1, 0, 0, 3]));
        let run = places(&[1, 2], &[1, 2], 0..3);
        gather(&mut into, &[2, 4], &from, &[&places(&[0], &[1], 0..2), &run]).unwrap();
        assert!(matches!(&into, DecodingResult::U8(v) if *v == [0, 5, 6, 0, 1, 0, 0, 3]));
        // Fewer numbers than were to be read, and another type.
        assert!(gather(&mut into, &[2, 4], &from, &[&places(&[0], &[5], 0..9), &run]).is_none());
        assert!(gather(&mut DecodingResult::I8(vec![0; 8]), &[2, 4], &from, &[&rows, &columns]).is_none());
    }

    #[test]
    fn other_types_have_the_nearest_numbers() {
        let of = |kind, bits| SampleType { kind, bits };
        let signed = DecodingResult::I16(vec![-3, 300]);
        assert!(
            matches!(converted(&signed, of(SampleKind::Unsigned, 8)), Some(DecodingResult::U8(v)) if v == [0, 255])
        );
        assert!(
            matches!(converted(&signed, of(SampleKind::Float, 32)), Some(DecodingResult::F32(v)) if v == [-3.0, 300.0])
        );
        assert!(converted(&DecodingResult::F32(vec![1.5]), of(SampleKind::Unsigned, 8)).is_none());
    }
}
