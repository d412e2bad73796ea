//! Stored numbers as typed vectors: from bytes, and parts of arrays of any number of axes.

use std::ops::Range;

use half::f16;
use ndarray::{ArrayViewD, ArrayViewMutD, Axis, Dimension, IxDyn, Slice};
use tiff::decoder::DecodingResult;

use crate::error::{Error, Result};
use crate::images::decoded::{each_type, map_type};
use crate::images::source::{SampleKind, SampleType};
use crate::memory;

/// The number of bytes that samples take.
pub(super) fn byte_count(samples: &DecodingResult) -> usize {
    each_type!(samples, values => std::mem::size_of_val(values.as_slice()))
}

/// The number of elements of an array of this shape, where that can be counted.
pub(super) fn count_of(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |count, &length| count.checked_mul(length))
}

/// How many elements each range has.
pub(super) fn lengths(ranges: &[Range<usize>]) -> Vec<usize> {
    ranges.iter().map(|range| range.len()).collect()
}

/// Zeros of `numbers`, as many as an array of `shape` has.
///
/// # Errors
/// [`Error::OutOfMemory`] where there is no memory for them.
pub(super) fn zeros(name: &str, numbers: SampleType, shape: &[usize]) -> Result<DecodingResult> {
    fn filled<T: Clone + Default>(name: &str, count: usize) -> Result<Vec<T>> {
        let what = format!("a part of {name}");
        let mut values: Vec<T> = memory::reserve(&what, count, "read less of it at a time")?;
        values.resize(count, T::default());
        Ok(values)
    }
    let count = count_of(shape).unwrap_or(usize::MAX);
    Ok(match (numbers.kind, numbers.bits) {
        (SampleKind::Unsigned, ..=8) => DecodingResult::U8(filled(name, count)?),
        (SampleKind::Unsigned, ..=16) => DecodingResult::U16(filled(name, count)?),
        (SampleKind::Unsigned, ..=32) => DecodingResult::U32(filled(name, count)?),
        (SampleKind::Unsigned, _) => DecodingResult::U64(filled(name, count)?),
        (SampleKind::Signed, ..=8) => DecodingResult::I8(filled(name, count)?),
        (SampleKind::Signed, ..=16) => DecodingResult::I16(filled(name, count)?),
        (SampleKind::Signed, ..=32) => DecodingResult::I32(filled(name, count)?),
        (SampleKind::Signed, _) => DecodingResult::I64(filled(name, count)?),
        (SampleKind::Float, ..=16) => DecodingResult::F16(filled(name, count)?),
        (SampleKind::Float, ..=32) => DecodingResult::F32(filled(name, count)?),
        (SampleKind::Float, _) => DecodingResult::F64(filled(name, count)?),
    })
}

/// The zero of the numbers' type.
fn zero_of<T: Default>(_: &[T]) -> T {
    T::default()
}

/// `count` zeros of the type of `numbers`.
///
/// # Errors
/// [`Error::OutOfMemory`] where there is no memory for them.
pub(in crate::images) fn zeros_like(
    name: &str,
    numbers: &DecodingResult,
    count: usize,
) -> Result<DecodingResult> {
    let what = format!("an image of {name}");
    Ok(map_type!(numbers, values => {
        let mut zeros = memory::reserve(&what, count, "cut the images into smaller files")?;
        zeros.resize(count, zero_of(values));
        zeros
    }))
}

/// The first number of `value`, as often as an array of `shape` has numbers.
///
/// # Errors
/// As [`zeros`].
pub(super) fn filled(name: &str, value: &DecodingResult, shape: &[usize]) -> Result<DecodingResult> {
    let what = format!("a part of {name}");
    let count = count_of(shape).unwrap_or(usize::MAX);
    Ok(map_type!(value, value => {
        let mut values = memory::reserve(&what, count, "read less of it at a time")?;
        values.resize(count, value.first().copied().unwrap_or_default());
        values
    }))
}

/// The numbers in `bytes`, which are whole numbers of them.
pub(in crate::images) fn from_bytes(numbers: SampleType, big_endian: bool, bytes: &[u8]) -> DecodingResult {
    macro_rules! numbers {
        ($variant:ident, $type:ty) => {{
            let of = if big_endian { <$type>::from_be_bytes } else { <$type>::from_le_bytes };
            let (whole, _) = bytes.as_chunks::<{ size_of::<$type>() }>();
            DecodingResult::$variant(whole.iter().map(|bytes| of(*bytes)).collect())
        }};
    }
    match (numbers.kind, numbers.bits) {
        (SampleKind::Unsigned, ..=8) => DecodingResult::U8(bytes.to_vec()),
        (SampleKind::Unsigned, ..=16) => numbers!(U16, u16),
        (SampleKind::Unsigned, ..=32) => numbers!(U32, u32),
        (SampleKind::Unsigned, _) => numbers!(U64, u64),
        (SampleKind::Signed, ..=8) => numbers!(I8, i8),
        (SampleKind::Signed, ..=16) => numbers!(I16, i16),
        (SampleKind::Signed, ..=32) => numbers!(I32, i32),
        (SampleKind::Signed, _) => numbers!(I64, i64),
        (SampleKind::Float, ..=16) => numbers!(F16, f16),
        (SampleKind::Float, ..=32) => numbers!(F32, f32),
        (SampleKind::Float, _) => numbers!(F64, f64),
    }
}

/// Copies `part`, which are the elements at `place` of an array, to where they lie in `into`, which are those at `wanted`.
///
/// `None` where the numbers are not as many as the ranges say or of another type.
pub(in crate::images) fn copy_common(
    into: &mut DecodingResult,
    wanted: &[Range<usize>],
    part: &DecodingResult,
    place: &[Range<usize>],
) -> Option<()> {
    fn copy<T: Copy>(
        into: &mut [T],
        wanted: &[Range<usize>],
        part: &[T],
        place: &[Range<usize>],
    ) -> Option<()> {
        let common: Vec<Range<usize>> =
            wanted.iter().zip(place).map(|(a, b)| a.start.max(b.start)..a.end.min(b.end)).collect();
        if common.iter().any(Range::is_empty) {
            return Some(());
        }
        let from_start = |ranges: &[Range<usize>], axis: Axis| {
            let (range, whole) = (&common[axis.index()], &ranges[axis.index()]);
            Slice::from(range.start - whole.start..range.end - whole.start)
        };
        let mut into = ArrayViewMutD::from_shape(IxDyn(&lengths(wanted)), into).ok()?;
        let part = ArrayViewD::from_shape(IxDyn(&lengths(place)), part).ok()?;
        into.slice_each_axis_mut(|axis| from_start(wanted, axis.axis))
            .assign(&part.slice_each_axis(|axis| from_start(place, axis.axis)));
        Some(())
    }
    macro_rules! same_type {
        ($($variant:ident),*) => {
            match (into, part) {
                $((DecodingResult::$variant(into), DecodingResult::$variant(part)) => copy(into, wanted, part, place),)*
                _ => None,
            }
        };
    }
    same_type!(U8, U16, U32, U64, I8, I16, I32, I64, F16, F32, F64)
}

/// The numbers of an array of `shape` with its axes in the order `order`, the innermost last.
///
/// # Errors
/// [`Error::Input`] where there are not as many numbers as the shape says.
pub(super) fn with_axes(
    name: &str,
    samples: DecodingResult,
    shape: &[usize],
    order: &[usize],
) -> Result<DecodingResult> {
    if order.is_sorted() {
        return Ok(samples);
    }
    Ok(map_type!(samples, values => {
        let array = ArrayViewD::from_shape(IxDyn(shape), &values)
            .map_err(|_| Error::input(name, "holds fewer numbers than it says; copy or export it again"))?;
        let order = IxDyn(order);
        debug_assert_eq!(order.ndim(), shape.len());
        array.permuted_axes(order).iter().copied().collect()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_the_numbers_that_they_are_in_either_order() {
        let of = |kind, bits, big, bytes: &[u8]| from_bytes(SampleType { kind, bits }, big, bytes);
        assert!(
            matches!(of(SampleKind::Unsigned, 16, false, &[1, 2]), DecodingResult::U16(v) if v == [0x201])
        );
        assert!(
            matches!(of(SampleKind::Unsigned, 16, true, &[1, 2]), DecodingResult::U16(v) if v == [0x102])
        );
        assert!(matches!(of(SampleKind::Signed, 8, true, &[255, 2]), DecodingResult::I8(v) if v == [-1, 2]));
        let float = of(SampleKind::Float, 32, true, &1.5_f32.to_be_bytes());
        assert!(matches!(float, DecodingResult::F32(v) if v == [1.5]));
    }

    #[test]
    fn what_two_parts_share_is_copied() {
        let mut into = DecodingResult::U8(vec![0; 6]);
        // Rows 1..3 and columns 1..4 of an array, and rows 0..2 and columns 3..5 of it.
        copy_common(&mut into, &[1..3, 1..4], &DecodingResult::U8(vec![3, 4, 13, 14]), &[0..2, 3..5])
            .unwrap();
        assert!(matches!(&into, DecodingResult::U8(v) if *v == [0, 0, 13, 0, 0, 0]));
        assert!(copy_common(&mut into, &[1..3, 1..4], &DecodingResult::I8(vec![0]), &[0..1, 0..1]).is_none());
    }

    #[test]
    fn axes_are_brought_into_order() {
        let turned = with_axes("a", DecodingResult::U8(vec![1, 2, 3, 4, 5, 6]), &[2, 3], &[1, 0]).unwrap();
        assert!(matches!(turned, DecodingResult::U8(v) if v == [1, 4, 2, 5, 3, 6]));
    }
}
