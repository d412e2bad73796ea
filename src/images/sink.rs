//! Where results go, part by part.

use std::collections::HashMap;

use ndarray::ArrayView4;

use super::volume::check_window;
use crate::error::{Error, Result};
use crate::geometry::{Extent, Window};

/// A place for an image or volume of results that come in parts: `f32` for values, `i64` for labels.
///
/// Whoever writes hands over each pixel once and then says [`Sink::done`]. Only then is there a file of that name; a sink
/// that is dropped before leaves nothing behind.
pub trait Sink<T>: Send {
    /// What messages call it, such as its path.
    fn name(&self) -> String;

    /// How many slices, rows and columns it takes.
    fn extent(&self) -> Extent;

    /// How many numbers each pixel has; 1 for labels.
    fn channels(&self) -> usize;

    /// Takes the numbers `[channel][z][y][x]` of a part.
    ///
    /// Parts may come in the order in which [`crate::geometry::tiles::tiles`] gives their cores: slab by slab, and in any
    /// order inside a slab. A sink that takes them in any order at all says so.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for a window that is not inside, an array of another size, or pixels that have been written
    /// before or do not come in their turn; [`Error::Output`] when the file cannot be written.
    fn write(&mut self, window: Window, values: ArrayView4<T>) -> Result<()>;

    /// Says that all parts have been written: the file gets its name, over what was there.
    ///
    /// # Errors
    /// [`Error::Output`] when parts are missing, or the file cannot be written.
    fn done(self: Box<Self>) -> Result<()>;
}

/// Which pixels of a volume have been written: a bit for each row, and one for each pixel of those rows alone that are not complete, so
/// that large slices take little.
#[derive(Debug)]
pub(super) struct Coverage {
    extent: Extent,
    /// The rows of all slices, one slice after the other, that have been written.
    rows: Vec<u64>,
    /// Of rows that have been written in part, the pixels, and how many of them are missing.
    parts: HashMap<usize, (Box<[u64]>, usize)>,
    missing: usize,
}

impl Coverage {
    /// Of nothing yet. The caller has memory for at least a number for each pixel of a row, and for one for each row.
    pub(super) fn new(extent: Extent) -> Self {
        let rows = vec![0; (extent.z * extent.y).div_ceil(64)];
        Self { extent, rows, parts: HashMap::new(), missing: extent.pixels() }
    }

    /// How many pixels have not been written.
    pub(super) fn missing(&self) -> usize {
        self.missing
    }

    /// Marks a part as written.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for a window that is empty or not inside, or a pixel that was marked before; then nothing is
    /// marked.
    pub(super) fn add(&mut self, name: &str, window: &Window) -> Result<()> {
        check_window(name, self.extent, window)?;
        let Extent { y: height, x: width, .. } = self.extent;
        let (start, end) = (window.x, window.columns().end);
        let words = || {
            (start / 64..end.div_ceil(64)).map(|word| {
                let (first, last) = (start.max(word * 64) - word * 64, end.min(word * 64 + 64) - word * 64);
                (word, (u64::MAX >> (64 - (last - first))) << first)
            })
        };
        let rows = || window.slices().flat_map(|z| window.rows().map(move |y| z * height + y));
        let was_written = |row: usize| {
            self.rows[row / 64] >> (row % 64) & 1 != 0
                || self
                    .parts
                    .get(&row)
                    .is_some_and(|(written, _)| words().any(|(word, bits)| written[word] & bits != 0))
        };
        if rows().any(was_written) {
            return Err(Error::Mismatch(format!(
                "pixels of {window} have been written to {name} before; write each pixel once"
            )));
        }
        let count = end - start;
        for row in rows() {
            if count < width {
                let (written, missing) =
                    self.parts.entry(row).or_insert_with(|| (vec![0; width.div_ceil(64)].into(), width));
                words().for_each(|(word, bits)| written[word] |= bits);
                *missing -= count;
                if *missing > 0 {
                    continue;
                }
                self.parts.remove(&row);
            }
            self.rows[row / 64] |= 1 << (row % 64);
        }
        self.missing -= window.extent.pixels();
        Ok(())
    }
}

/// Refuses an array that does not have the size of its window.
pub(super) fn check_shape<T>(
    name: &str,
    channels: usize,
    window: &Window,
    values: &ArrayView4<T>,
) -> Result<()> {
    let Extent { z, y, x } = window.extent;
    if values.dim() == (channels, z, y, x) {
        return Ok(());
    }
    Err(Error::Mismatch(format!(
        "{name} was given an array of {:?} numbers (channels, slices, rows, columns) for {window}; wanted {:?}",
        values.dim(),
        (channels, z, y, x)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pixel_is_covered_once() {
        let extent = Extent::new(2, 3, 150);
        let mut coverage = Coverage::new(extent);
        let parts = [(0, 1), (1, 63), (63, 64), (64, 65), (65, 150)];
        for z in 0..2 {
            for (start, end) in parts {
                coverage.add("a", &Window::new(z..z + 1, 0..3, start..end)).unwrap();
                let missing = coverage.missing();
                // Neither the part again nor anything that shares a pixel with it.
                for again in [start..end, end - 1..end, start..start + 1] {
                    let error = coverage.add("a", &Window::new(0..z + 1, 2..3, again)).unwrap_err();
                    assert!(error.to_string().contains("before"), "{error}");
                }
                assert_eq!(coverage.missing(), missing);
            }
        }
        assert_eq!(coverage.missing(), 0);
        assert!(coverage.add("a", &Window::new(0..1, 0..4, 0..1)).is_err());
    }
}
