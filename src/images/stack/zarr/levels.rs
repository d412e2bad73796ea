//! The levels of a plane whose rows come one after the other: those that fill chunks are packed and written, and halved for the next level,
//! so that of a large plane no more is there than a row of chunks of each level.

use std::io::Write;
use std::ops::Range;

use super::planes::{Plane, chunk_side};
use super::{OmeVersion, ZarrFile, gzip, zlib};
use crate::error::{Error, Result};
use crate::files::UnfinishedFile;
use crate::images::arrays::crc32c;
use crate::images::stack::array_file::bytes_of;

/// Chunks that are packed at a time, for each core.
const CHUNKS_EACH: usize = 4;
/// Rows wait until they fill as many chunks, or have so many bytes.
const WAITING_BYTES: usize = 16 << 20;

/// A plane of which some rows have come.
pub(super) struct OpenPlane {
    image: usize,
    channel: usize,
    levels: Vec<Level>,
}

/// One level of a plane.
struct Level {
    rows: usize,
    columns: usize,
    /// Rows that do not fill chunks yet.
    waiting: Option<Plane>,
    /// How many rows of chunks have been written.
    written: usize,
    shard: Option<Shard>,
}

/// Chunks on their way into one file, with the list of where they are and its checksum at the end.
struct Shard {
    file: UnfinishedFile,
    bytes: u64,
    list: Vec<u8>,
}

impl Level {
    /// How many chunks there are along each axis.
    fn chunks(&self) -> [usize; 2] {
        [self.rows, self.columns].map(|side| side.div_ceil(chunk_side(side)))
    }

    /// Those of the rows that have come, these `rows` among them, that fill chunks or are the last ones; `None` where there are none, or so
    /// few that more are waited for. A number has `element` bytes.
    fn complete(&mut self, rows: Plane, element: usize) -> Option<Plane> {
        let mut come = match self.waiting.take() {
            Some(mut waiting) => {
                waiting.append(rows)?;
                waiting
            }
            None => rows,
        };
        let chunk = chunk_side(self.rows);
        let is_end = self.written * chunk + come.rows >= self.rows;
        let full = come.rows / chunk;
        let is_much = full * self.chunks()[1] >= CHUNKS_EACH * rayon::current_num_threads()
            || come.rows * self.columns * element >= WAITING_BYTES;
        let count = match (is_end, is_much) {
            (true, _) => come.rows,
            (false, true) => full * chunk,
            (false, false) => 0,
        };
        if count == 0 {
            self.waiting = Some(come);
            return None;
        }
        if count < come.rows {
            self.waiting = Some(come.split_off(count));
        }
        Some(come)
    }
}

impl ZarrFile {
    /// A channel of an image of which no rows have come.
    pub(super) fn open_plane(&self, image: usize, channel: usize) -> OpenPlane {
        let level =
            |[rows, columns]: [usize; 2]| Level { rows, columns, waiting: None, written: 0, shard: None };
        OpenPlane { image, channel, levels: self.levels().into_iter().map(level).collect() }
    }

    /// Adds the next rows of a channel of an image, and of the smaller levels of it what becomes complete.
    ///
    /// # Errors
    /// [`Error::Output`] when they cannot be written.
    pub(super) fn add_rows(&mut self, open: &mut OpenPlane, mut rows: Plane) -> Result<()> {
        let (last, element) = (open.levels.len() - 1, bytes_of(self.stack.numbers));
        for number in 0..=last {
            let Some(complete) = open.levels[number].complete(rows, element) else { return Ok(()) };
            self.write_rows(open, number, &complete)?;
            if number == last {
                // All of it, as it is one chunk.
                if self.stack.share.is_none() {
                    self.ranges.add(self.axes.channel(open.image, open.channel), &complete);
                }
                return Ok(());
            }
            rows = complete.halved(self.labels());
        }
        Ok(())
    }

    /// Writes rows of a level that fill chunks, or are the last ones.
    fn write_rows(&self, open: &mut OpenPlane, number: usize, rows: &Plane) -> Result<()> {
        let OpenPlane { image, channel, ref mut levels } = *open;
        let level = &mut levels[number];
        let ([down, along], height) = (level.chunks(), chunk_side(level.rows));
        let count = rows.rows.div_ceil(height);
        // Not all at once, so that little is there besides what came.
        let some = (CHUNKS_EACH * rayon::current_num_threads()).div_ceil(along).max(1);
        for first in (0..count).step_by(some) {
            let these: Range<usize> = first..(first + some).min(count);
            if self.version == OmeVersion::V04 {
                for (place, chunk) in rows.chunks(height, these, zlib).into_iter().enumerate() {
                    let place = [level.written + first + place / along, place % along];
                    self.write_chunk(number, &self.file(number, image, channel, place), &chunk)?;
                }
                continue;
            }
            let shard = match &mut level.shard {
                Some(shard) => shard,
                none => {
                    let file = self.file(number, image, channel, [0, 0]);
                    self.make_folder(number, &file)?;
                    let file = UnfinishedFile::create(&file).map_err(|error| self.of_result(error))?;
                    none.insert(Shard { file, bytes: 0, list: Vec::new() })
                }
            };
            shard.add(rows.chunks(height, these, gzip)).map_err(|error| self.of_result(error))?;
        }
        level.written += count;
        match level.shard.take_if(|_| level.written == down) {
            Some(shard) => shard.done().map_err(|error| self.of_result(error)),
            None => Ok(()),
        }
    }

    /// An error of a file of the folder as one of the folder: what people know is the result, not a file in it.
    pub(super) fn of_result(&self, error: Error) -> Error {
        match error {
            Error::Output { problem, cause, .. } => {
                Error::Output { path: self.stack.path.clone(), problem, cause }
            }
            other => other,
        }
    }
}

impl Shard {
    fn add(&mut self, chunks: Vec<Vec<u8>>) -> Result<()> {
        for chunk in chunks {
            self.file.file().write_all(&chunk).map_err(|error| self.file.failed(error))?;
            self.list.extend_from_slice(&self.bytes.to_le_bytes());
            self.list.extend_from_slice(&(chunk.len() as u64).to_le_bytes());
            self.bytes += chunk.len() as u64;
        }
        Ok(())
    }

    /// All chunks have come.
    fn done(self) -> Result<()> {
        let Self { file, mut list, .. } = self;
        let checksum = crc32c(&list);
        list.extend_from_slice(&checksum.to_le_bytes());
        file.file().write_all(&list).map_err(|error| file.failed(error))?;
        file.done()
    }
}
