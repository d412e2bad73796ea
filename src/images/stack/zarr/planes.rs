//! One plane of a stack, or some rows of one: made smaller for the next level, cut into chunks and packed.

use std::ops::Range;

use rayon::prelude::*;
use tiff::decoder::DecodingResult;

use crate::images::decoded::{each_type, map_type};
use crate::images::numeric::ToFloat;

/// The longest side of a chunk.
pub(super) const CHUNK: usize = 512;

/// The numbers of a rectangle, of one channel of one image.
pub(super) struct Plane {
    pub(super) numbers: DecodingResult,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

/// How long a chunk is along a side of so many pixels.
pub(super) fn chunk_side(pixels: usize) -> usize {
    pixels.clamp(1, CHUNK)
}

impl Plane {
    /// Its smallest and its largest number, `None` where none is finite.
    pub(super) fn range(&self) -> Option<[f64; 2]> {
        each_type!(&self.numbers, values => {
            let finite = values.iter().map(|value| value.to_float()).filter(|value: &f64| value.is_finite());
            finite.fold(None, |range: Option<[f64; 2]>, value| {
                let [low, high] = range.unwrap_or([value; 2]);
                Some([low.min(value), high.max(value)])
            })
        })
    }

    /// The plane of half the size: the mean of four pixels, or of `labels` the first of them, as the mean of two classes is
    /// another class.
    pub(super) fn halved(&self, labels: bool) -> Self {
        macro_rules! halved {
            ($($variant:ident $type:ty),* ; $($float:ident $of:expr),*) => {
                match &self.numbers {
                    $(DecodingResult::$variant(values) => DecodingResult::$variant(self.reduced(values, |four| {
                        let sum: i128 = four.iter().map(|value| i128::from(*value)).sum();
                        let count = four.len() as i128;
                        // Between the least and the largest of them, so that it is one of their type.
                        (sum + count / 2).div_euclid(count) as $type
                    })),)*
                    $(DecodingResult::$float(values) => DecodingResult::$float(self.reduced(values, |four| {
                        let sum: f64 = four.iter().map(|value| f64::from(*value)).sum();
                        $of(sum / four.len() as f64)
                    })),)*
                }
            };
        }
        let numbers = if labels {
            map_type!(&self.numbers, values => self.reduced(values, |four| four[0]))
        } else {
            halved!(U8 u8, U16 u16, U32 u32, U64 u64, I8 i8, I16 i16, I32 i32, I64 i64;
                F16 half::f16::from_f64, F32 |mean| mean as f32, F64 |mean: f64| mean)
        };
        Self { numbers, rows: self.rows.div_ceil(2), columns: self.columns.div_ceil(2) }
    }

    /// What `one_of` makes of each square of two by two pixels, of which there are fewer at the ends.
    fn reduced<T: Copy + Send + Sync>(&self, values: &[T], one_of: impl Fn(&[T]) -> T + Sync) -> Vec<T> {
        let pairs = |number: usize, length: usize| number * 2..(number * 2 + 2).min(length);
        let row = |row: usize| -> Vec<T> {
            let of_square = |column: usize| {
                let mut four = Vec::with_capacity(4);
                for row in pairs(row, self.rows) {
                    let start = row * self.columns;
                    let columns = pairs(column, self.columns);
                    four.extend_from_slice(&values[start + columns.start..start + columns.end]);
                }
                one_of(&four)
            };
            (0..self.columns.div_ceil(2)).map(of_square).collect()
        };
        (0..self.rows.div_ceil(2)).into_par_iter().flat_map_iter(row).collect()
    }

    /// Adds the rows below; `None` where these are numbers of another type.
    pub(super) fn append(&mut self, below: Self) -> Option<()> {
        macro_rules! append {
            ($($variant:ident),*) => {
                match (&mut self.numbers, below.numbers) {
                    $((DecodingResult::$variant(numbers), DecodingResult::$variant(more)) => numbers.extend(more),)*
                    _ => return None,
                }
            };
        }
        append!(U8, U16, U32, U64, I8, I16, I32, I64, F16, F32, F64);
        self.rows += below.rows;
        Some(())
    }

    /// The rows from number `row` on, which are taken away.
    pub(super) fn split_off(&mut self, row: usize) -> Self {
        let numbers = map_type!(&mut self.numbers, values => values.split_off(row * self.columns));
        let rows = self.rows - row;
        self.rows = row;
        Self { numbers, rows, columns: self.columns }
    }

    /// The chunks of these rows of chunks of `height` rows, row by row, each packed by `pack`. Where the plane ends before a chunk does, that
    /// is filled with zeros.
    pub(super) fn chunks(
        &self,
        height: usize,
        rows: Range<usize>,
        pack: impl Fn(&[u8]) -> Vec<u8> + Sync,
    ) -> Vec<Vec<u8>> {
        let columns = self.columns.div_ceil(chunk_side(self.columns));
        (rows.start * columns..rows.end * columns)
            .into_par_iter()
            .map(|number| pack(&self.chunk(height, number / columns, number % columns)))
            .collect()
    }

    /// The bytes of a chunk of `height` rows, the lowest of each number first.
    fn chunk(&self, height: usize, row: usize, column: usize) -> Vec<u8> {
        let width = chunk_side(self.columns);
        let rows = row * height..((row + 1) * height).min(self.rows);
        let columns = column * width..((column + 1) * width).min(self.columns);
        let mut bytes = Vec::new();
        each_type!(&self.numbers, values => {
            let size = values.first().map_or(1, size_of_val);
            let whole = width * size;
            for row in rows {
                let end = bytes.len() + whole;
                let start = row * self.columns;
                for value in &values[start + columns.start..start + columns.end] {
                    bytes.extend_from_slice(&value.to_le_bytes());
                }
                bytes.resize(end, 0);
            }
            bytes.resize(height * whole, 0);
        });
        bytes
    }
}
