//! The bytes of an HDF5 file as its parser asks for them: no more of them, and not more often, than a file of its size can need.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use hdf5_pure::{FormatError, Source};

use super::checksum::checksum;
use crate::files::read_exact_at;
use crate::images::arrays::contiguous::read_at_most;

/// How often a file may be read before its numbers are.
const MOST_READS: u64 = 1 << 20;
/// How many bytes may be read of a small file, and how often each byte of larger ones.
const USUAL_BYTES: u64 = 8 << 20;
const MOST_TIMES: u64 = 8;
/// The length of a superblock of versions 2 and 3, whose last four bytes are its checksum.
const SUPERBLOCK_BYTES: usize = 48;

/// A file whose structure is read.
pub(super) struct Structure {
    file: File,
    length: u64,
    /// The beginning of the file as it is read, where that is not as it is stored.
    start: Option<Vec<u8>>,
    reads_left: AtomicU64,
    bytes_left: AtomicU64,
}

impl Structure {
    /// Of `file`, as it is at present.
    ///
    /// # Errors
    /// Those of reading.
    pub(super) fn new(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let start = unmarked(read_at_most(&file, SUPERBLOCK_BYTES, 0)?);
        let bytes = length.saturating_mul(MOST_TIMES).saturating_add(USUAL_BYTES);
        Ok(Self { file, length, start, reads_left: MOST_READS.into(), bytes_left: bytes.into() })
    }
}

/// The superblock of a file that a program is writing to, or was when it was killed, without the mark that says so: what the
/// program has finished can be read all the same. `None` where there is no mark.
fn unmarked(mut start: Vec<u8>) -> Option<Vec<u8>> {
    const VERSION: usize = 8;
    const MARK: usize = 11;
    let (rest, stored) = start.split_last_chunk::<4>()?;
    let is_marked =
        rest.len() + 4 == SUPERBLOCK_BYTES && rest[VERSION] == 3 && rest[9] == 8 && rest[MARK] != 0;
    if !is_marked || checksum(rest) != u32::from_le_bytes(*stored) {
        return None;
    }
    start[MARK] = 0;
    let sum = checksum(&start[..SUPERBLOCK_BYTES - 4]);
    start[SUPERBLOCK_BYTES - 4..].copy_from_slice(&sum.to_le_bytes());
    Some(start)
}

/// Takes `count` of what is left; false where that is less.
fn take(left: &AtomicU64, count: u64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(count)).is_ok()
}

impl Source for Structure {
    fn len(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), FormatError> {
        let end = offset.saturating_add(buffer.len() as u64);
        if end > self.length {
            return Err(FormatError::Source("it ends too early".into()));
        }
        if !take(&self.reads_left, 1) || !take(&self.bytes_left, buffer.len() as u64) {
            return Err(FormatError::Source("its parts refer to each other without end".into()));
        }
        read_exact_at(&self.file, buffer, offset).map_err(|error| FormatError::Source(error.to_string()))?;
        if let (Some(start), Ok(offset)) = (&self.start, usize::try_from(offset))
            && let Some(common) = start.get(offset..)
        {
            let count = common.len().min(buffer.len());
            buffer[..count].copy_from_slice(&common[..count]);
        }
        Ok(())
    }
}
