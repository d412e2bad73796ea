//! Where the pages of a TIFF file begin, found without decoding any of them.
//!
//! A TIFF file is a chain of directories, one per page. Walking the chain once and remembering the places
//! makes a page of a long stack as quick to reach as the first. [`Patched`] then shows the decoder a file
//! that begins with the wanted page, and whose stored numbers are to be handed over as they are: the
//! `tiff` crate refuses palette pages, drops samples that it takes for no colour, and inverts some but
//! not all "white is zero" pages.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use crate::error::{Error, Result};

/// More pages than any camera writes; a longer chain is a damaged file.
const MAX_PAGES: usize = 10_000_000;

/// How a TIFF file writes its numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct ByteLayout {
    /// Whether the most significant byte comes first.
    pub(super) big_endian: bool,
    /// Whether offsets have eight bytes (BigTIFF) instead of four.
    pub(super) big_offsets: bool,
}

impl ByteLayout {
    /// The bytes of `value` as an offset in this file.
    pub(super) fn offset_bytes(self, value: u64) -> Vec<u8> {
        let width = if self.big_offsets { 8 } else { 4 };
        if self.big_endian {
            value.to_be_bytes()[8 - width..].to_vec()
        } else {
            value.to_le_bytes()[..width].to_vec()
        }
    }

    /// Where the header keeps the offset of the first directory.
    pub(super) fn first_offset_place(self) -> u64 {
        if self.big_offsets { 8 } else { 4 }
    }

    fn number(self, file: &mut impl Read, width: usize) -> io::Result<u64> {
        let mut bytes = [0_u8; 8];
        if self.big_endian {
            file.read_exact(&mut bytes[8 - width..])?;
            Ok(u64::from_be_bytes(bytes))
        } else {
            file.read_exact(&mut bytes[..width])?;
            Ok(u64::from_le_bytes(bytes))
        }
    }

    fn entry_count(self, file: &mut impl Read) -> io::Result<u64> {
        self.number(file, if self.big_offsets { 8 } else { 2 })
    }

    fn entry_bytes(self) -> u64 {
        if self.big_offsets { 20 } else { 12 }
    }

    fn offset_width(self) -> usize {
        if self.big_offsets { 8 } else { 4 }
    }
}

/// The interpretation of a page's numbers, and where in the file it is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Photometric {
    /// The value of the PhotometricInterpretation tag.
    pub(super) value: u64,
    /// The place of the value's two bytes that count.
    pub(super) place: u64,
}

fn damaged(path: &Path, what: impl std::fmt::Display) -> Error {
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

/// The places of all pages' directories in the TIFF file at `path`, which is `file`, in order.
///
/// # Errors
/// [`Error::Input`] when its chain of directories leaves the file or comes back to itself.
pub(in crate::images) fn directory_places(path: &Path, file: &File) -> Result<Vec<u64>> {
    let length = file.metadata().map_err(|error| Error::input(path, error))?.len();
    let mut file = BufReader::with_capacity(512, file);
    let layout = layout(path, &mut file)?;
    let mut places = Vec::new();
    let mut seen = std::collections::HashSet::new();
    let mut at = layout.first_offset_place();
    loop {
        let next = file
            .seek(SeekFrom::Start(at))
            .and_then(|_| layout.number(&mut file, layout.offset_width()))
            .map_err(|_| damaged(path, "its list of pages is cut off"))?;
        if next == 0 {
            break;
        }
        if next >= length {
            return Err(damaged(
                path,
                format!("page {} should begin at byte {next} of {length}", places.len()),
            ));
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
            .filter(|end| *end < length)
            .ok_or_else(|| damaged(path, format!("the tags of page {} end outside of it", places.len())))?;
        places.push(next);
        at = end;
    }
    if places.is_empty() {
        return Err(damaged(path, "it holds no page"));
    }
    Ok(places)
}

/// The PhotometricInterpretation tag of the page whose directory is at `place`; `None` where it has none.
pub(super) fn photometric(
    file: &mut (impl Read + Seek),
    layout: ByteLayout,
    place: u64,
) -> io::Result<Option<Photometric>> {
    const PHOTOMETRIC: u64 = 262;
    const SHORT: u64 = 3;
    file.seek(SeekFrom::Start(place))?;
    let entries = layout.entry_count(file)?;
    let first = place.saturating_add(if layout.big_offsets { 8 } else { 2 });
    for entry in 0..entries.min(u64::from(u16::MAX)) {
        let start = first.saturating_add(entry * layout.entry_bytes());
        file.seek(SeekFrom::Start(start))?;
        let tag = layout.number(file, 2)?;
        if tag != PHOTOMETRIC {
            continue;
        }
        let kind = layout.number(file, 2)?;
        let place = start + if layout.big_offsets { 12 } else { 8 };
        file.seek(SeekFrom::Start(place))?;
        if kind != SHORT {
            return Ok(None);
        }
        return Ok(Some(Photometric { value: layout.number(file, 2)?, place }));
    }
    Ok(None)
}

/// A file some of whose bytes read as others.
pub(super) struct Patched<R> {
    inner: R,
    position: u64,
    patches: Vec<(u64, Vec<u8>)>,
}

impl<R: Read + Seek> Patched<R> {
    /// Shows `inner` with each `(place, bytes)` of `patches` over what it holds.
    pub(super) fn new(mut inner: R, patches: Vec<(u64, Vec<u8>)>) -> io::Result<Self> {
        let position = inner.seek(SeekFrom::Start(0))?;
        Ok(Patched { inner, position, patches })
    }
}

impl<R: Read> Read for Patched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let end = self.position + count as u64;
        for (place, bytes) in &self.patches {
            for (at, byte) in (*place..).zip(bytes) {
                if (self.position..end).contains(&at) {
                    buffer[(at - self.position) as usize] = *byte;
                }
            }
        }
        self.position = end;
        Ok(count)
    }
}

impl<R: Seek> Seek for Patched<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = self.inner.seek(to)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patched_bytes_are_seen_at_any_position() {
        let mut file =
            Patched::new(io::Cursor::new(vec![0_u8; 6]), vec![(1, vec![7, 8]), (5, vec![9])]).unwrap();
        let mut all = Vec::new();
        file.read_to_end(&mut all).unwrap();
        assert_eq!(all, [0, 7, 8, 0, 0, 9]);
        file.seek(SeekFrom::Start(2)).unwrap();
        let mut two = [0_u8; 2];
        file.read_exact(&mut two).unwrap();
        assert_eq!(two, [8, 0]);
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
