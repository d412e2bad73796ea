//! Where the pages of a TIFF file begin, found without decoding any of them.
//!
//! A TIFF file is a chain of directories, one per page. Walking the chain once and remembering the places
//! makes a page of a long stack as quick to reach as the first.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use crate::error::{Error, Result};
use crate::images::notices::warn_once;

/// More pages than any camera writes; a longer chain is a damaged file.
pub(super) const MAX_PAGES: usize = 10_000_000;

/// Some programs write a number of no meaning where the last page should say that none follows. A copy that broke off points
/// beyond its end as well, at the page that is missing, but not that many times its own length.
const FAR_BEYOND: u64 = 64;

/// How a TIFF file writes its numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct ByteLayout {
    /// Whether the most significant byte comes first.
    pub(super) big_endian: bool,
    /// Whether offsets have eight bytes (BigTIFF) instead of four.
    pub(super) big_offsets: bool,
}

impl ByteLayout {
    /// Where the header keeps the offset of the first directory.
    pub(super) fn first_offset_place(self) -> u64 {
        if self.big_offsets { 8 } else { 4 }
    }

    fn number(self, file: &mut impl Read, width: usize) -> io::Result<u64> {
        let mut bytes = [0_u8; 8];
        file.read_exact(&mut bytes[..width])?;
        Ok(self.value(&bytes[..width]))
    }

    /// The number that up to eight bytes of this file stand for.
    pub(super) fn value(self, bytes: &[u8]) -> u64 {
        let shifted = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        if self.big_endian { bytes.iter().fold(0, shifted) } else { bytes.iter().rev().fold(0, shifted) }
    }

    /// The offset that stands where `file` is.
    pub(super) fn offset(self, file: &mut impl Read) -> io::Result<u64> {
        self.number(file, self.offset_width())
    }

    /// The number of entries that a directory begins with.
    pub(super) fn entry_count(self, file: &mut impl Read) -> io::Result<u64> {
        self.number(file, if self.big_offsets { 8 } else { 2 })
    }

    /// The bytes of one entry of a directory.
    pub(super) fn entry_bytes(self) -> u64 {
        if self.big_offsets { 20 } else { 12 }
    }

    /// The bytes of an offset, and of the value in an entry.
    pub(super) fn offset_width(self) -> usize {
        if self.big_offsets { 8 } else { 4 }
    }
}

pub(super) fn damaged(path: &Path, what: impl std::fmt::Display) -> Error {
    Error::input(path, format!("is a damaged or truncated TIFF file ({what}); copy or export it again"))
}

/// Reads the header of an open TIFF file.
pub(super) fn layout(path: &Path, file: &mut (impl Read + Seek)) -> Result<ByteLayout> {
    let mut magic = [0_u8; 4];
    file.seek(SeekFrom::Start(0))
        .and_then(|_| file.read_exact(&mut magic))
        .map_err(|_| damaged(path, "it ends inside its header"))?;
    let big_endian = magic[0] == b'M';
    let version = if big_endian { magic[3] } else { magic[2] };
    Ok(ByteLayout { big_endian, big_offsets: version == 43 })
}

/// The directories of a file's pages.
pub(super) struct Chain {
    /// The place of each, in order.
    pub(super) places: Vec<u64>,
    /// Why there are no more of them, where the list does not end as it should.
    pub(super) broken: Option<String>,
}

/// The places of all pages' directories in the TIFF file at `path`, which is `file`, in order.
///
/// # Errors
/// [`Error::Input`] when its chain of directories leaves the file or comes back to itself.
pub(super) fn directory_places(path: &Path, file: &File) -> Result<Vec<u64>> {
    let chain = directories(path, file)?;
    match chain.broken {
        None => Ok(chain.places),
        Some(what) => Err(damaged(path, what)),
    }
}

/// The chain of directories in the TIFF file at `path`, which is `file`, as far as it goes.
///
/// # Errors
/// [`Error::Input`] when the file has no page at all, or a chain that comes back to itself.
pub(super) fn directories(path: &Path, file: &File) -> Result<Chain> {
    let length = file.metadata().map_err(|error| Error::input(path, error))?.len();
    let mut file = BufReader::with_capacity(512, file);
    let layout = layout(path, &mut file)?;
    let mut places = Vec::new();
    let mut seen = std::collections::HashSet::new();
    let mut at = layout.first_offset_place();
    let broken = loop {
        let next =
            file.seek(SeekFrom::Start(at)).and_then(|_| layout.number(&mut file, layout.offset_width()));
        let Ok(next) = next else { break Some("its list of pages is cut off".to_owned()) };
        if next == 0 {
            break None;
        }
        if next / FAR_BEYOND > length && !places.is_empty() {
            warn_once(format!(
                "{}: says that page {} begins at byte {next}, far beyond its {length} bytes, which is taken for a mark that no page follows; copy the file again if pages are missing",
                path.display(),
                places.len()
            ));
            break None;
        }
        if next >= length {
            break Some(format!("page {} should begin at byte {next} of {length}", places.len()));
        }
        if !seen.insert(next) || places.len() == MAX_PAGES {
            return Err(damaged(path, format!("its list of pages never ends, found {} pages", places.len())));
        }
        let end = file
            .seek(SeekFrom::Start(next))
            .and_then(|start| Ok((start, layout.entry_count(&mut file)?)))
            .ok()
            .and_then(|(start, entries)| {
                let width = if layout.big_offsets { 8 } else { 2 };
                entries.checked_mul(layout.entry_bytes())?.checked_add(start)?.checked_add(width)
            })
            .filter(|end| *end < length);
        let Some(end) = end else {
            break Some(format!("the tags of page {} end outside of it", places.len()));
        };
        places.push(next);
        at = end;
    };
    match (places.is_empty(), broken) {
        (true, broken) => Err(damaged(path, broken.unwrap_or_else(|| "it holds no page".to_owned()))),
        (false, broken) => Ok(Chain { places, broken }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of one page without tags, which says that the next begins at `next`.
    fn pages_of(next: u32) -> Result<Vec<u64>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one.tif");
        let mut bytes = [b'I', b'I', 42, 0, 8, 0, 0, 0, 0, 0].to_vec();
        bytes.extend(next.to_le_bytes());
        bytes.extend([0; 20]);
        std::fs::write(&path, &bytes).unwrap();
        directory_places(&path, &File::open(&path).unwrap())
    }

    #[test]
    fn a_next_page_far_beyond_the_end_is_none_and_one_a_little_beyond_is_missing() {
        assert_eq!(pages_of(0).unwrap(), [8]);
        assert_eq!(pages_of(0x7fff_ffff).unwrap(), [8]);
        assert_eq!(pages_of(u32::MAX).unwrap(), [8]);
        for near in [34, 40, 34 * 60] {
            let error = pages_of(near).unwrap_err().to_string();
            assert!(error.contains("page 1 should begin"), "{error}");
        }
    }

    #[test]
    fn a_chain_that_comes_back_to_itself_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("loop.tif");
        // One directory without entries at byte 8 whose next page is byte 8 again.
        let bytes = [b'I', b'I', 42, 0, 8, 0, 0, 0, 0, 0, 8, 0, 0, 0];
        std::fs::write(&path, bytes).unwrap();
        let error = directory_places(&path, &File::open(&path).unwrap()).unwrap_err().to_string();
        assert!(error.contains("never ends"), "{error}");
    }
}
