//! A dataset that is stored in chunks, each of which is found by its place and unpacked by itself.

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::sync::OnceLock;

use hdf5_pure::{ChunkIndex, Dataset};
use tiff::decoder::DecodingResult;

use super::filters::Filters;
use super::links::{TreeChunk, TreeList};
use crate::error::{Bytes, Error, Result};
use crate::files::read_exact_at;
use crate::images::arrays::numbers::{copy_common, count_of, from_bytes, lengths, zeros};
use crate::images::arrays::{ArrayLayout, StoredArray, StoredBlock};
use crate::memory;

/// A row of this many bytes is read to know what stands for chunks that were never written.
const MOST_ROW_BYTES: usize = 256 << 20;

/// What is kept of where a chunk is, here and by the library.
pub(super) const BYTES_OF_CHUNK: u64 = 160;

/// Where a chunk is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Chunk {
    /// Which one, counted over all chunks, the last axis fastest.
    number: u64,
    address: u64,
    bytes: u64,
    /// The filters that were not applied to it.
    skipped: u32,
}

/// A dataset in chunks.
pub(super) struct Chunked {
    name: String,
    file: File,
    dataset: Dataset,
    layout: ArrayLayout,
    big_endian: bool,
    /// The length of a chunk along each axis.
    block: Vec<usize>,
    filters: Filters,
    /// Sorted by their numbers.
    chunks: Vec<Chunk>,
    /// The bytes of the number that stands for those of chunks that are not stored, or why it cannot be known.
    fill: OnceLock<Result<Vec<u8>>>,
}

impl fmt::Debug for Chunked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunked")
            .field("name", &self.name)
            .field("chunks", &self.chunks.len())
            .finish_non_exhaustive()
    }
}

impl Chunked {
    /// The chunks of `dataset` in `file`, which are `block` large. Those of a tree, and the bytes of what stands for chunks that it does not
    /// list, are given, as the library does not read them.
    ///
    /// # Errors
    /// [`Error::Input`] for what is damaged and for filters that are not read.
    pub(super) fn new(
        name: &str,
        file: File,
        dataset: Dataset,
        (mut layout, big_endian): (ArrayLayout, bool),
        block: Vec<usize>,
        (index, tree): (ChunkIndex, Option<TreeList>),
    ) -> Result<Self> {
        let damaged = |what: &str| super::damaged(name, what);
        let element = usize::from(layout.numbers.bits).div_ceil(8);
        let filters = Filters::of(name, &dataset.filter_pipeline(), element)?;
        let length = file.metadata().map_err(|error| damaged(&error.to_string()))?.len();
        let chunk_bytes =
            count_of(&block).and_then(|count| count.checked_mul(element)).filter(|bytes| *bytes > 0);
        let chunk_bytes = chunk_bytes.ok_or_else(|| damaged("its chunks have no size"))? as u64;
        let counts: Vec<u64> =
            layout.shape.iter().zip(&block).map(|(length, block)| length.div_ceil(*block) as u64).collect();
        let all = counts.iter().try_fold(1_u64, |all, count| all.checked_mul(*count));
        let all = all.ok_or_else(|| damaged("it has more chunks than can be counted"))?;
        match index {
            // Such chunks are all there, one behind the other, and no list tells how many.
            ChunkIndex::Implicit if all.saturating_mul(chunk_bytes) > length => {
                return Err(damaged("its chunks have more bytes than it has"));
            }
            // A list has as many places as there are chunks.
            ChunkIndex::FixedArray if all > length => return Err(damaged("it has more chunks than bytes")),
            _ => {}
        }
        let (stored, fill) = match tree {
            Some(TreeList { chunks, fill }) => (chunks, Some(fill)),
            None => {
                let stored = dataset.chunks().map_err(|error| damaged(&error.to_string()))?;
                let of_library = |chunk: hdf5_pure::Chunk| TreeChunk {
                    address: chunk.address,
                    bytes: Some(chunk.storage_size),
                    skipped: chunk.filter_mask,
                    numbers: chunk.offset.iter().zip(&block).map(|(at, block)| at / *block as u64).collect(),
                };
                (stored.into_iter().map(of_library).collect(), None)
            }
        };
        let mut chunks =
            memory::reserve(&format!("the list of chunks of {name}"), stored.len(), "use larger chunks")?;
        for chunk in stored {
            let mut number = 0;
            let mut is_inside = chunk.numbers.len() == block.len();
            for (place, count) in chunk.numbers.iter().zip(&counts) {
                // Datasets that were made smaller keep chunks outside.
                is_inside &= place < count;
                number = number * count + place.min(&(count - 1));
            }
            let (address, bytes) = (chunk.address, chunk.bytes.unwrap_or(chunk_bytes));
            // Those outside too, which the library reads to know what stands for chunks that are not stored.
            if address.checked_add(bytes).is_none_or(|end| end > length) {
                return Err(damaged("a chunk ends behind its end"));
            }
            if !is_inside {
                continue;
            }
            chunks.push(Chunk { number, address, bytes, skipped: chunk.skipped });
        }
        chunks.sort_by_key(|chunk| chunk.number);
        layout.block = Some(block.clone());
        Ok(Self {
            name: name.to_owned(),
            file,
            dataset,
            layout,
            big_endian,
            block,
            filters,
            chunks,
            fill: fill.map_or_else(OnceLock::new, |fill| OnceLock::from(Ok(fill))),
        })
    }

    fn element(&self) -> usize {
        usize::from(self.layout.numbers.bits).div_ceil(8)
    }

    /// The chunk at `part`, where it is stored.
    fn chunk_at(&self, part: &[Range<usize>]) -> Option<&Chunk> {
        let places = part.iter().zip(&self.block).zip(&self.layout.shape);
        let number = places.fold(0_u64, |number, ((range, block), length)| {
            number * length.div_ceil(*block) as u64 + (range.start / block) as u64
        });
        let found = self.chunks.binary_search_by_key(&number, |chunk| chunk.number);
        found.ok().map(|found| &self.chunks[found])
    }

    /// The bytes of a chunk as they were before they were stored.
    fn unpacked(&self, chunk: &Chunk, wanted: usize) -> Result<Vec<u8>> {
        let failed = |what: &str| {
            super::damaged(
                &self.name,
                &format!("the chunk of {} at byte {}: {what}", Bytes(chunk.bytes), chunk.address),
            )
        };
        let what = format!("a chunk of {}", self.name);
        let stored = usize::try_from(chunk.bytes).unwrap_or(usize::MAX);
        let stored = if self.filters.is_empty() { stored.min(wanted) } else { stored };
        let mut bytes = memory::reserve(&what, stored, "store it in smaller chunks")?;
        bytes.resize(stored, 0);
        read_exact_at(&self.file, &mut bytes, chunk.address).map_err(|error| failed(&error.to_string()))?;
        self.filters.undone(bytes, wanted, chunk.skipped).map_err(|problem| failed(&problem))
    }

    /// The bytes of the number that stands for those of a chunk at `part`, which is not stored.
    fn fill(&self, part: &[Range<usize>]) -> Result<&[u8]> {
        let found = self.fill.get_or_init(|| {
            let element = self.element();
            let row = self.layout.shape[1..].iter().try_fold(element, |bytes, length| bytes.checked_mul(*length));
            let row = row.filter(|bytes| *bytes <= MOST_ROW_BYTES);
            let unknown = |why: &str| {
                let problem = format!(
                    "has parts that were never written, and what stands for them cannot be read ({why}); store it again with h5repack -f GZIP=4 IN.h5 OUT.h5"
                );
                Error::input(&self.name, problem)
            };
            let row = row.ok_or_else(|| unknown("its rows are too long"))?;
            memory::check(&format!("a row of {}", self.name), 2 * row as u64, "store it again in one piece")?;
            let bytes = self.dataset.read_raw_rows(part[0].start as u64, 1).map_err(|error| unknown(&error.to_string()))?;
            let before = part[1..].iter().zip(&self.layout.shape[1..]);
            let place = before.fold(0, |place, (range, length)| place * length + range.start) * element;
            bytes.get(place..place + element).map(<[u8]>::to_vec).ok_or_else(|| unknown("it ends too early"))
        });
        found.as_deref().map_err(Clone::clone)
    }
}

impl StoredArray for Chunked {
    fn name(&self) -> &str {
        &self.name
    }

    fn layout(&self) -> &ArrayLayout {
        &self.layout
    }

    fn read(&self, part: &[Range<usize>]) -> Result<DecodingResult> {
        let numbers = self.layout.numbers;
        let element = self.element();
        let Some(chunk) = self.chunk_at(part) else {
            let count =
                count_of(&lengths(part)).and_then(|count| count.checked_mul(element)).unwrap_or(usize::MAX);
            let fill = self.fill(part)?;
            let what = format!("a part of {}", self.name);
            let mut bytes = memory::reserve(&what, count, "read less of it at a time")?;
            (0..count / element).for_each(|_| bytes.extend_from_slice(fill));
            return Ok(from_bytes(numbers, self.big_endian, &bytes));
        };
        let wanted = count_of(&self.block).and_then(|count| count.checked_mul(element)).unwrap_or(usize::MAX);
        let bytes = self.unpacked(chunk, wanted)?;
        let whole = from_bytes(numbers, self.big_endian, &bytes);
        // Chunks are stored whole where the dataset ends inside one.
        let ranges: Vec<Range<usize>> = part
            .iter()
            .zip(&self.block)
            .map(|(range, block)| {
                let start = range.start / block * block;
                start..start.saturating_add(*block)
            })
            .collect();
        if ranges == part {
            return Ok(whole);
        }
        let mut cut = zeros(&self.name, numbers, &lengths(part))?;
        copy_common(&mut cut, part, &whole, &ranges)
            .ok_or_else(|| super::damaged(&self.name, "a chunk is too short"))?;
        Ok(cut)
    }

    fn stored(&self, part: &[Range<usize>]) -> Option<StoredBlock> {
        self.chunk_at(part).map(|chunk| StoredBlock { bytes: chunk.bytes, modified: None })
    }

    fn held_bytes(&self) -> u64 {
        self.chunks.len() as u64 * BYTES_OF_CHUNK
    }

    fn is_never_stored(&self, block: &[Range<usize>]) -> bool {
        self.chunk_at(block).is_none()
    }
}
