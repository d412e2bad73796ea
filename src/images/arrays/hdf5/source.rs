//! The bytes of an HDF5 file as its parser asks for them: no more of them, and not more often, than a file of its size can need.

use std::fs::File;
use std::io;
use std::sync::Arc;
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

/// A file whose structure is read, by all that share it.
#[derive(Clone)]
pub(super) struct Structure(Arc<Shared>);

struct Shared {
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
        let shared = Shared { file, length, start, reads_left: MOST_READS.into(), bytes_left: bytes.into() };
        Ok(Self(Arc::new(shared)))
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
        self.0.length
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), FormatError> {
        let shared = &*self.0;
        let end = offset.saturating_add(buffer.len() as u64);
        if end > shared.length {
            return Err(FormatError::Source("it ends too early".into()));
        }
        if !take(&shared.reads_left, 1) || !take(&shared.bytes_left, buffer.len() as u64) {
            return Err(FormatError::Source("its parts refer to each other without end".into()));
        }
        read_exact_at(&shared.file, buffer, offset)
            .map_err(|error| FormatError::Source(error.to_string()))?;
        if let (Some(start), Ok(offset)) = (&shared.start, usize::try_from(offset))
            && let Some(common) = start.get(offset..)
        {
            let count = common.len().min(buffer.len());
            buffer[..count].copy_from_slice(&common[..count]);
        }
        Ok(())
    }

    fn read_metadata_at(&self, offset: u64, count: usize) -> Result<Vec<u8>, FormatError> {
        let mut bytes = self.read_exact_at(offset, count)?;
        drop_soft_links(&mut bytes);
        Ok(bytes)
    }
}

/// Leaves soft links out of a part of a group's list of members, as groups of the older form have it (a symbol table node); other
/// bytes stay as they are.
///
/// The library takes what stands in these entries in place of an address for one, and refuses the whole group as damaged.
fn drop_soft_links(bytes: &mut [u8]) {
    const MARK: &[u8] = b"SNOD\x01";
    const HEADER: usize = 8;
    /// The bytes of an entry that are neither address nor length, all behind these.
    const FIXED: usize = 24;
    const SOFT_LINK: [u8; 4] = [2, 0, 0, 0];
    let Some((header, entries)) = bytes.split_at_mut_checked(HEADER) else { return };
    let count = usize::from(u16::from_le_bytes([header[6], header[7]]));
    // The library asks for exactly one node, so that its length tells how wide addresses are.
    if !header.starts_with(MARK) || count == 0 || !entries.len().is_multiple_of(count) {
        return;
    }
    let length = entries.len() / count;
    let Some(kind) = length.checked_sub(FIXED).filter(|kind| (4..=16).contains(kind)) else { return };
    let mut kept = 0;
    for number in 0..count {
        let entry = number * length..(number + 1) * length;
        if entries[entry.clone()][kind..kind + 4] != SOFT_LINK {
            entries.copy_within(entry, kept * length);
            kept += 1;
        }
    }
    // At most as many as there were.
    header[6..].copy_from_slice(&(kept as u16).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_links_are_left_out_of_the_members_of_a_group() {
        for width in [8, 12, 16] {
            let entry = |name: u8, kind: u8| {
                let mut entry = vec![name; width + 24];
                entry[width..width + 4].copy_from_slice(&[kind, 0, 0, 0]);
                entry
            };
            let mut node =
                [b"SNOD\x01\0\x04\0".to_vec(), entry(1, 2), entry(2, 0), entry(3, 2), entry(4, 1)].concat();
            drop_soft_links(&mut node);
            assert_eq!(node[..8], *b"SNOD\x01\0\x02\0");
            assert_eq!(node[8..][..2 * (width + 24)], [entry(2, 0), entry(4, 1)].concat());
            // What is cut off, or no such node, is left to the library.
            for mut other in [
                node[..8].to_vec(),
                node[..7].to_vec(),
                [b"SNOD\x02\0\x01\0".to_vec(), entry(1, 2)].concat(),
                Vec::new(),
            ] {
                let before = other.clone();
                drop_soft_links(&mut other);
                assert_eq!(other, before);
            }
        }
    }
}
