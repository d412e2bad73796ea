//! Numbers that lie one behind the other in a file.

use std::fs::File;
use std::io;
use std::ops::Range;

use tiff::decoder::DecodingResult;

use super::numbers::{count_of, from_bytes, lengths};
use super::{ArrayLayout, StoredArray};
use crate::error::{Error, Result};
use crate::files::read_exact_at;
use crate::memory;

/// Rows shorter than this are read together with what lies between them, as each reading costs as much as this many bytes.
const WORTHWHILE_BYTES: usize = 64 << 10;
/// The most bytes that are read at once with what lies between the wanted ones.
const MOST_BYTES: usize = 16 << 20;

/// An array whose numbers lie one behind the other in a file, from `offset` on, the last axis fastest.
#[derive(Debug)]
pub(super) struct Contiguous {
    name: String,
    file: File,
    offset: u64,
    big_endian: bool,
    layout: ArrayLayout,
}

impl Contiguous {
    /// The array of `layout` in `file`.
    ///
    /// # Errors
    /// [`Error::Input`] for an array without numbers, and where the file does not have as many bytes.
    pub(super) fn new(
        name: &str,
        file: File,
        offset: u64,
        big_endian: bool,
        layout: ArrayLayout,
    ) -> Result<Self> {
        let found = file
            .metadata()
            .map_err(|error| Error::input(name, format!("cannot be read: {error}; check the disk")))?;
        let bytes = bytes_of(name, &layout)?;
        let end = offset.saturating_add(bytes);
        if found.len() < end {
            let lengths = layout.shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
            let problem = format!(
                "has {} bytes, but an array of {lengths} numbers of {} behind {offset} bytes ends at {end}; copy or export it again",
                found.len(),
                layout.numbers
            );
            return Err(Error::input(name, problem));
        }
        Ok(Self { name: name.to_owned(), file, offset, big_endian, layout })
    }

    fn element_bytes(&self) -> usize {
        usize::from(self.layout.numbers.bits).div_ceil(8)
    }
}

/// How many bytes the numbers of an array take.
///
/// # Errors
/// [`Error::Input`] for an array without numbers, and for more than can be counted.
pub(super) fn bytes_of(name: &str, layout: &ArrayLayout) -> Result<u64> {
    let bytes = usize::from(layout.numbers.bits).div_ceil(8);
    let all = count_of(&layout.shape).and_then(|count| count.checked_mul(bytes));
    match all {
        Some(0) => Err(Error::input(name, "is an array without numbers; wanted at least one pixel")),
        Some(all) => Ok(all as u64),
        None => Err(Error::input(name, "says that it has more numbers than can be counted; export it again")),
    }
}

impl StoredArray for Contiguous {
    fn name(&self) -> &str {
        &self.name
    }

    fn layout(&self) -> &ArrayLayout {
        &self.layout
    }

    fn place(&self) -> String {
        format!("from {} on, {}", self.offset, if self.big_endian { "big-endian" } else { "little-endian" })
    }

    fn read(&self, part: &[Range<usize>]) -> Result<DecodingResult> {
        let element = self.element_bytes();
        let shape = &self.layout.shape;
        let wanted = lengths(part);
        let what = format!("a part of {}", self.name);
        let count = count_of(&wanted).and_then(|count| count.checked_mul(element)).unwrap_or(usize::MAX);
        let mut bytes: Vec<u8> = memory::reserve(&what, count, "read less of it at a time")?;
        // Axes that are wanted whole, and the one before them, are one run of numbers in the file.
        let run_axis = (0..shape.len()).rev().find(|&axis| wanted[axis] < shape[axis]).unwrap_or(0);
        let inner: usize = shape[run_axis + 1..].iter().product::<usize>() * element;
        let run = wanted[run_axis] * inner;
        let outer = &wanted[..run_axis];
        let runs: usize = outer.iter().product();
        // The bytes from one number of an axis to the next.
        let strides: Vec<u64> = (0..shape.len())
            .map(|axis| (shape[axis + 1..].iter().product::<usize>() * element) as u64)
            .collect();
        let place_of = |mut number: usize| {
            let mut place = self.offset + part[run_axis].start as u64 * strides[run_axis];
            for axis in (0..run_axis).rev() {
                place += (part[axis].start + number % outer[axis]) as u64 * strides[axis];
                number /= outer[axis];
            }
            place
        };
        let failed = |error: io::Error| {
            let problem = match error.kind() {
                io::ErrorKind::UnexpectedEof => {
                    "has become shorter while it was read; start again when nothing writes to it any more"
                        .into()
                }
                _ => format!("cannot be read: {error}; check the disk"),
            };
            Error::input(&self.name, problem).caused_by(error)
        };
        let mut buffer = Vec::new();
        let mut number = 0;
        while number < runs {
            let first = place_of(number);
            // As many runs as lie close together.
            let mut end = number + 1;
            let reach = |last: usize| place_of(last).saturating_sub(first).saturating_add(run as u64);
            while run < WORTHWHILE_BYTES && end < runs && reach(end) <= MOST_BYTES as u64 {
                if place_of(end).saturating_sub(place_of(end - 1)) > WORTHWHILE_BYTES as u64 {
                    break;
                }
                end += 1;
            }
            let span = reach(end - 1) as usize;
            buffer.resize(span, 0);
            read_exact_at(&self.file, &mut buffer, first).map_err(failed)?;
            for index in number..end {
                let start = (place_of(index) - first) as usize;
                bytes.extend_from_slice(&buffer[start..start + run]);
            }
            number = end;
        }
        Ok(from_bytes(self.layout.numbers, self.big_endian, &bytes))
    }
}

/// The bytes at a place, as many as are wanted or there are.
pub(super) fn read_at_most(file: &File, count: usize, place: u64) -> io::Result<Vec<u8>> {
    let there = file.metadata()?.len().saturating_sub(place);
    let mut bytes = vec![0; usize::try_from(there).unwrap_or(usize::MAX).min(count)];
    read_exact_at(file, &mut bytes, place)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::images::source::{SampleKind, SampleType};

    fn array(shape: &[usize], offset: u64) -> Contiguous {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![9; offset as usize]).unwrap();
        let count: usize = shape.iter().product();
        for number in 0..count {
            file.write_all(&(number as u32).to_be_bytes()).unwrap();
        }
        let numbers = SampleType { kind: SampleKind::Unsigned, bits: 32 };
        let layout = ArrayLayout::plain(shape.to_vec(), numbers);
        Contiguous::new("a.raw", file, offset, true, layout).unwrap()
    }

    #[test]
    fn any_part_is_that_part_of_the_whole() {
        let shape = [3, 4, 5, 6];
        let array = array(&shape, 7);
        let parts: [[Range<usize>; 4]; 6] = [
            [0..3, 0..4, 0..5, 0..6],
            [1..2, 0..4, 0..5, 0..6],
            [0..3, 2..4, 0..5, 0..6],
            [0..3, 1..2, 3..5, 2..4],
            [2..3, 3..4, 4..5, 5..6],
            [0..3, 0..4, 0..5, 1..2],
        ];
        for part in parts {
            let mut expected = Vec::new();
            for a in part[0].clone() {
                for b in part[1].clone() {
                    for c in part[2].clone() {
                        expected.extend(part[3].clone().map(|d| (((a * 4 + b) * 5 + c) * 6 + d) as u32));
                    }
                }
            }
            let DecodingResult::U32(found) = array.read(&part).unwrap() else { panic!("another type") };
            assert_eq!(found, expected, "{part:?}");
        }
    }

    #[test]
    fn a_file_that_is_too_short_or_holds_nothing_is_refused() {
        let numbers = SampleType { kind: SampleKind::Unsigned, bits: 16 };
        let layout = |shape: &[usize]| ArrayLayout::plain(shape.to_vec(), numbers);
        for (shape, part) in [
            (&[2_usize, 3][..], "0 bytes, but an array of 2 x 3 numbers of uint16 behind 5 bytes ends at 17"),
            (&[0, 3], "without numbers"),
            (&[usize::MAX, 3], "more numbers than can be counted"),
        ] {
            let file = tempfile::tempfile().unwrap();
            let error = Contiguous::new("a.raw", file, 5, false, layout(shape)).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
