//! Buffers of planes, and the margins of feature maps.

use std::ops::Range;

use bytemuck::Zeroable;

use crate::Result;
use crate::geometry::Boundary;
use crate::geometry::Extent;
use crate::memory::reserve;
use crate::schedule::{Page, PlaneLayout};

/// A cache line, so that column 0 of every row is aligned to one.
#[repr(C, align(64))]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Line([f32; 16]);

/// What to do where there is not enough memory for a network.
pub(super) const WAY_OUT: &str = "use smaller images, `crop` or `tile`, or a smaller `depth`";

/// One page of planes for one image.
pub(super) struct Planes {
    lines: Vec<Line>,
    page: Page,
    form: PlaneLayout,
}

impl Planes {
    /// No planes.
    pub(super) fn none(form: &PlaneLayout) -> Self {
        Self { lines: Vec::new(), page: Page { channels: 0..0, length: 0 }, form: *form }
    }

    /// Planes of zeros for `page` in the memory of these, or in other memory where it is not enough.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] when the system has not got it.
    pub(super) fn reused(self, what: &str, page: &Page, form: &PlaneLayout) -> Result<Self> {
        let count = page.length.div_ceil(16);
        let mut lines = self.lines;
        if lines.capacity() < count {
            // The old memory goes before new is taken.
            drop(std::mem::take(&mut lines));
            lines = reserve(what, count, WAY_OUT)?;
        }
        lines.clear();
        lines.resize(count, Line::zeroed());
        Ok(Self { lines, page: page.clone(), form: *form })
    }

    /// Bytes of memory that it has.
    pub(super) fn capacity(&self) -> u64 {
        size_of::<Line>() as u64 * self.lines.capacity() as u64
    }

    fn start(&self, channel: usize) -> usize {
        self.page.origin(&self.form, 0, channel) - self.form.origin()
    }

    /// The planes of `channels`, whole.
    pub(super) fn planes(&self, channels: Range<usize>) -> &[f32] {
        &bytemuck::cast_slice(&self.lines)[self.start(channels.start)..self.start(channels.end)]
    }

    /// The planes of `channels`, whole, to write.
    pub(super) fn planes_mut(&mut self, channels: Range<usize>) -> &mut [f32] {
        let span = self.start(channels.start)..self.start(channels.end);
        &mut bytemuck::cast_slice_mut(&mut self.lines)[span]
    }

    /// The planes before `write`, those of `write` to write, and those after.
    pub(super) fn around(&mut self, write: Range<usize>) -> (&[f32], &mut [f32], &[f32]) {
        let (first, writing) =
            (self.start(self.page.channels.start), self.start(write.start)..self.start(write.end));
        let all: &mut [f32] = bytemuck::cast_slice_mut(&mut self.lines);
        let (before, rest) = all.split_at_mut(writing.start);
        let (write, after) = rest.split_at_mut(writing.len());
        (&before[first..], write, after)
    }

    /// Two ranges of channels at once, the one to read wholly before or after the one to write.
    pub(super) fn read_and_write(&mut self, read: Range<usize>, write: Range<usize>) -> (&[f32], &mut [f32]) {
        let (reading, writing) =
            (self.start(read.start)..self.start(read.end), self.start(write.start)..self.start(write.end));
        let all: &mut [f32] = bytemuck::cast_slice_mut(&mut self.lines);
        if reading.end <= writing.start {
            let (before, after) = all.split_at_mut(writing.start);
            (&before[reading], &mut after[..writing.len()])
        } else {
            let (before, after) = all.split_at_mut(reading.start);
            (&after[..reading.len()], &mut before[writing])
        }
    }

    /// The pixels of one plane without its margins, `[z][y][x]`, where they lie in it as `form` says.
    pub(super) fn pixels(&self, plane: usize, form: &PlaneLayout, extent: Extent) -> Vec<f32> {
        let plane = self.planes(plane..plane + 1);
        (0..extent.z * extent.y)
            .flat_map(|y| &plane[form.origin() + y * form.pitch..][..extent.x])
            .copied()
            .collect()
    }
}

/// Where the margins of a plane get their pixels from.
pub(super) struct Margins {
    form: PlaneLayout,
    extent: Extent,
    /// For each column `-margin..0` and then `x..x + margin`: where to write, and the column seen there.
    columns: Vec<(usize, Option<usize>)>,
    /// For each row above and below: the row to write, margins counted in, and the row seen there.
    rows: Vec<(usize, Option<usize>)>,
}

impl Margins {
    pub(super) fn new(form: &PlaneLayout, extent: Extent, margin: usize, boundary: Boundary) -> Self {
        let beside = |length: usize, first: usize| {
            let m = margin as isize;
            let outside = (-m..0).chain(length as isize..length as isize + m);
            outside.map(move |i| ((first as isize + i) as usize, boundary.source(i, length))).collect()
        };
        let (columns, rows) = (beside(extent.x, form.left), beside(extent.y, form.above));
        Self { form: *form, extent, columns, rows }
    }

    /// Fills what is beside the rows of a band of rows.
    pub(super) fn fill_beside(&self, rows: &mut [f32]) {
        for row in rows.chunks_exact_mut(self.form.pitch) {
            for &(to, from) in &self.columns {
                row[to] = from.map_or(0.0, |from| row[self.form.left + from]);
            }
            // Unused lanes beyond the last column may hold what a vector left there.
            let end = self.form.left + self.extent.x + self.columns.len() / 2;
            row[end..].fill(0.0);
        }
    }

    /// Fills the rows above and below a plane whose own rows are whole.
    pub(super) fn fill_above_and_below(&self, plane: &mut [f32]) {
        let pitch = self.form.pitch;
        for &(to, from) in &self.rows {
            match from {
                Some(from) => plane.copy_within(
                    (self.form.above + from) * pitch..(self.form.above + from + 1) * pitch,
                    to * pitch,
                ),
                None => plane[to * pitch..(to + 1) * pitch].fill(0.0),
            }
        }
    }
}
