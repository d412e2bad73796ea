//! Which slices of an array lie together in its file: reading or writing one of them decodes all, so they are taken together.

use std::ops::Range;

use pyo3::prelude::*;

/// Bytes of slices that are taken together at most.
const BLOCK_BYTES: usize = 256 << 20;

/// The slices that lie together along the first axis.
#[derive(Debug)]
enum Chunks {
    /// All have as many, but for the last.
    Equal(usize),
    /// Where each of them ends.
    Ends(Vec<usize>),
}

/// Runs of slices that are taken together.
#[derive(Debug)]
pub struct Runs {
    chunks: Chunks,
    count: usize,
    /// So many at most.
    most: usize,
}

impl Runs {
    /// Those of an array of `count` slices of `slice_bytes` each, by the first of its attributes `names` that says it, as h5py, zarr and
    /// dask have them; single slices where none does.
    pub fn of(array: &Bound<'_, PyAny>, names: &[&str], count: usize, slice_bytes: usize) -> Self {
        let chunks = names.iter().find_map(|name| chunks_by(&array.getattr(*name).ok()?));
        // A run is not to take what the network needs.
        let free = msd_gpu::memory::free().map_or(u64::MAX, |free| free.bytes / 8);
        let bytes = BLOCK_BYTES.min(usize::try_from(free).unwrap_or(usize::MAX));
        Self { chunks: chunks.unwrap_or(Chunks::Equal(1)), count, most: (bytes / slice_bytes.max(1)).max(1) }
    }

    /// The slices that are taken together with that at `index`, which is the first of them.
    pub fn from(&self, index: usize) -> Range<usize> {
        let end = match &self.chunks {
            Chunks::Equal(length) => (index / length + 1).saturating_mul(*length),
            Chunks::Ends(ends) => ends.iter().copied().find(|end| *end > index).unwrap_or(index + 1),
        };
        index..end.min(index.saturating_add(self.most)).min(self.count).max(index + 1)
    }
}

/// What the attribute says of the first axis: a number, or in dask the number of each chunk.
fn chunks_by(value: &Bound<'_, PyAny>) -> Option<Chunks> {
    let first = value.get_item(0).ok()?;
    if let Ok(length) = first.extract::<usize>() {
        return (length > 0).then_some(Chunks::Equal(length));
    }
    let lengths: Vec<usize> = first.extract().ok()?;
    let ends = lengths.into_iter().scan(0_usize, |end, length| {
        *end = end.saturating_add(length);
        Some(*end)
    });
    Some(Chunks::Ends(ends.collect()))
}
