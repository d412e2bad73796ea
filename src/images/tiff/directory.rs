//! Where the pages of a TIFF file begin, found without decoding any of them.
//!
//! A TIFF file is a chain of directories, one per page. Walking the chain once and remembering the places
//! makes a page of a long stack as quick to reach as the first. [`Patched`] then shows the decoder a file
//! that begins with the wanted page, and whose stored numbers are to be handed over as they are: the
//! `tiff` crate refuses palette pages, drops samples that it takes for no colour, and inverts some but
//! not all "white is zero" pages.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use crate::error::{Error, Result};

/// More pages than any camera writes; a longer chain is a damaged file.
pub(super) const MAX_PAGES: usize = 10_000_000;
/// More strips or tiles than any page has.
const MAX_NUMBERS: u64 = 1 << 24;
/// Longer than any description; the longest ones list each plane of a large OME-TIFF file.
const MAX_TEXT_BYTES: u64 = 1 << 28;

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

    /// The offset that stands where `file` is.
    pub(super) fn offset(self, file: &mut impl Read) -> io::Result<u64> {
        self.number(file, self.offset_width())
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

/// A tag of a page.
#[derive(Debug, Clone, Copy)]
struct Entry {
    tag: u16,
    kind: u16,
    count: u64,
    /// Where its values are.
    place: u64,
}

/// The tags of a page, which are looked up without the decoder.
#[derive(Debug, Clone)]
pub(super) struct Directory {
    layout: ByteLayout,
    entries: Vec<Entry>,
    /// The length of the file, which no tag's values exceed.
    length: u64,
}

impl Directory {
    /// Of the page whose directory is at `place`.
    pub(super) fn read(file: &mut (impl Read + Seek), layout: ByteLayout, place: u64) -> io::Result<Self> {
        let length = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(place))?;
        let count = layout.entry_count(file)?.min(u64::from(u16::MAX));
        let mut entries = Vec::new();
        let first = place + if layout.big_offsets { 8 } else { 2 };
        for entry in 0..count {
            let tag = layout.number(file, 2)? as u16;
            let kind = layout.number(file, 2)? as u16;
            let count = layout.number(file, layout.offset_width())?;
            let here = first + entry * layout.entry_bytes() + if layout.big_offsets { 12 } else { 8 };
            let value = layout.number(file, layout.offset_width())?;
            let fits = count.saturating_mul(width(kind)) <= layout.offset_width() as u64;
            entries.push(Entry { tag, kind, count, place: if fits { here } else { value } });
        }
        Ok(Self { layout, entries, length })
    }

    fn entry(&self, tag: u16) -> Option<Entry> {
        let entry = self.entries.iter().copied().find(|entry| entry.tag == tag)?;
        let bytes = entry.count.checked_mul(width(entry.kind))?;
        (bytes > 0 && entry.place.checked_add(bytes)? <= self.length).then_some(entry)
    }

    /// The whole numbers of a tag; `None` where it is missing, of another kind or outside of the file.
    pub(super) fn numbers(&self, file: &mut (impl Read + Seek), tag: u16) -> Option<Vec<u64>> {
        let entry = self
            .entry(tag)
            .filter(|entry| matches!(entry.kind, 1 | 3 | 4 | 13 | 16 | 18) && entry.count <= MAX_NUMBERS)?;
        file.seek(SeekFrom::Start(entry.place)).ok()?;
        let mut numbers = Vec::new();
        for _ in 0..entry.count {
            numbers.push(self.layout.number(file, width(entry.kind) as usize).ok()?);
        }
        Some(numbers)
    }

    /// The first number of a tag.
    pub(super) fn number(&self, file: &mut (impl Read + Seek), tag: u16) -> Option<u64> {
        self.numbers(file, tag)?.first().copied()
    }

    /// The first fraction of a tag, where it is a number above 0.
    pub(super) fn fraction(&self, file: &mut (impl Read + Seek), tag: u16) -> Option<f64> {
        let entry = self.entry(tag).filter(|entry| entry.kind == 5)?;
        file.seek(SeekFrom::Start(entry.place)).ok()?;
        let above = self.layout.number(file, 4).ok()? as f64;
        let below = self.layout.number(file, 4).ok()? as f64;
        Some(above / below).filter(|number| number.is_finite() && *number > 0.0)
    }

    /// How many values a tag has; 0 where it is missing.
    pub(super) fn count(&self, tag: u16) -> u64 {
        self.entry(tag).map_or(0, |entry| entry.count)
    }

    /// The text of a tag, up to its first zero byte.
    pub(super) fn text(&self, file: &mut (impl Read + Seek), tag: u16) -> Option<String> {
        let entry = self
            .entry(tag)
            .filter(|entry| matches!(entry.kind, 1 | 2 | 7) && entry.count <= MAX_TEXT_BYTES)?;
        file.seek(SeekFrom::Start(entry.place)).ok()?;
        let mut bytes = Vec::new();
        file.take(entry.count).read_to_end(&mut bytes).ok()?;
        bytes.truncate(bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()));
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// The bytes of a value of a tag's kind; 0 for a kind that there is not.
fn width(kind: u16) -> u64 {
    match kind {
        1 | 2 | 6 | 7 => 1,
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16 | 17 | 18 => 8,
        _ => 0,
    }
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
    moved: Moved,
}

/// A part of a file in whose place another part of the same length is shown: the numbers of a page that has no directory of
/// its own, where the directory of the first page says that they are.
#[derive(Debug, Clone, Default)]
pub(super) struct Moved {
    /// The places where the other part is seen.
    pub(super) seen_at: Range<u64>,
    /// How many bytes behind it lies.
    pub(super) behind: u64,
}

impl<R: Read + Seek> Patched<R> {
    /// Shows `inner` with each `(place, bytes)` of `patches` over what it holds.
    pub(super) fn new(mut inner: R, patches: Vec<(u64, Vec<u8>)>) -> io::Result<Self> {
        let position = inner.seek(SeekFrom::Start(0))?;
        Ok(Patched { inner, position, patches, moved: Moved::default() })
    }

    /// Shows another part of the file in the place of one.
    pub(super) fn with_moved(mut self, moved: Moved) -> Self {
        self.moved = moved;
        self
    }
}

impl<R: Read + Seek> Patched<R> {
    /// Reads what is seen at the position, up to where another part of the file is seen.
    fn read_part(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Moved { seen_at, behind } = self.moved.clone();
        if seen_at.is_empty() || behind == 0 {
            return self.inner.read(buffer);
        }
        let limit = if self.position < seen_at.start {
            seen_at.start
        } else if self.position < seen_at.end {
            seen_at.end
        } else {
            u64::MAX
        };
        let longest = usize::try_from(limit - self.position).unwrap_or(usize::MAX).min(buffer.len());
        if !seen_at.contains(&self.position) {
            return self.inner.read(&mut buffer[..longest]);
        }
        self.inner.seek(SeekFrom::Start(self.position.saturating_add(behind)))?;
        let count = self.inner.read(&mut buffer[..longest])?;
        self.inner.seek(SeekFrom::Start(self.position + count as u64))?;
        Ok(count)
    }
}

impl<R: Read + Seek> Read for Patched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.read_part(buffer)?;
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
    fn another_part_is_seen_in_the_place_of_one() {
        let bytes: Vec<u8> = (0..12).collect();
        let patches = vec![(3, vec![99])];
        let moved = Moved { seen_at: 2..5, behind: 6 };
        let mut file = Patched::new(io::Cursor::new(bytes), patches).unwrap().with_moved(moved);
        let mut all = Vec::new();
        file.read_to_end(&mut all).unwrap();
        assert_eq!(all, [0, 1, 8, 99, 10, 5, 6, 7, 8, 9, 10, 11]);
        file.seek(SeekFrom::Start(4)).unwrap();
        let mut two = [0_u8; 2];
        file.read_exact(&mut two).unwrap();
        assert_eq!(two, [10, 5]);
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
