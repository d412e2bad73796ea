//! The tags of one page: its directory, read whole, and the numbers that its entries hold or point to.

use std::io::{self, Read, Seek, SeekFrom};

use super::directory::ByteLayout;

/// Longer than any description; the longest ones list each plane of a large OME-TIFF file.
const MAX_TEXT_BYTES: u64 = 1 << 28;

/// The numbers of the tags that are looked up, named as the TIFF 6.0 specification names them.
pub(super) mod names {
    pub(in super::super) const SUBFILE_TYPE: u16 = 254;
    pub(in super::super) const IMAGE_WIDTH: u16 = 256;
    pub(in super::super) const IMAGE_LENGTH: u16 = 257;
    pub(in super::super) const BITS_PER_SAMPLE: u16 = 258;
    pub(in super::super) const COMPRESSION: u16 = 259;
    pub(in super::super) const PHOTOMETRIC_INTERPRETATION: u16 = 262;
    pub(in super::super) const FILL_ORDER: u16 = 266;
    pub(in super::super) const IMAGE_DESCRIPTION: u16 = 270;
    pub(in super::super) const STRIP_OFFSETS: u16 = 273;
    pub(in super::super) const ORIENTATION: u16 = 274;
    pub(in super::super) const SAMPLES_PER_PIXEL: u16 = 277;
    pub(in super::super) const ROWS_PER_STRIP: u16 = 278;
    pub(in super::super) const STRIP_BYTE_COUNTS: u16 = 279;
    pub(in super::super) const X_RESOLUTION: u16 = 282;
    pub(in super::super) const Y_RESOLUTION: u16 = 283;
    pub(in super::super) const PLANAR_CONFIGURATION: u16 = 284;
    pub(in super::super) const T4_OPTIONS: u16 = 292;
    pub(in super::super) const RESOLUTION_UNIT: u16 = 296;
    pub(in super::super) const PREDICTOR: u16 = 317;
    pub(in super::super) const TILE_WIDTH: u16 = 322;
    pub(in super::super) const TILE_LENGTH: u16 = 323;
    pub(in super::super) const TILE_OFFSETS: u16 = 324;
    pub(in super::super) const TILE_BYTE_COUNTS: u16 = 325;
    pub(in super::super) const SUB_DIRECTORIES: u16 = 330;
    pub(in super::super) const EXTRA_SAMPLES: u16 = 338;
    pub(in super::super) const SAMPLE_FORMAT: u16 = 339;
    pub(in super::super) const JPEG_TABLES: u16 = 347;
}

/// One entry of a directory.
#[derive(Debug, Clone, Copy)]
struct Entry {
    tag: u16,
    kind: u16,
    count: u64,
    /// The values, as far as they fit into the entry; else where they begin in the file.
    values: [u8; 8],
}

/// The directory of one page, without the values that lie elsewhere in the file.
#[derive(Debug, Clone)]
pub(super) struct Tags {
    layout: ByteLayout,
    entries: Vec<Entry>,
}

impl Tags {
    /// Reads the directory at `place` of `file`.
    ///
    /// # Errors
    /// Those of reading, also where the file ends before the directory does.
    pub(super) fn read(file: &mut (impl Read + Seek), layout: ByteLayout, place: u64) -> io::Result<Self> {
        file.seek(SeekFrom::Start(place))?;
        let count = layout.entry_count(file)?;
        // Tags have 16 bits, and each is there once.
        if count > u64::from(u16::MAX) {
            return Err(io::Error::other(format!("a page with {count} tags")));
        }
        let width = layout.entry_bytes();
        let mut bytes = vec![0_u8; (count * width) as usize];
        file.read_exact(&mut bytes)?;
        let inline = layout.offset_width();
        let entries = bytes.chunks_exact(width as usize).map(|entry| {
            let (head, value) = entry.split_at(entry.len() - inline);
            let mut values = [0; 8];
            values[..inline].copy_from_slice(value);
            Entry {
                tag: layout.value(&head[..2]) as u16,
                kind: layout.value(&head[2..4]) as u16,
                count: layout.value(&head[4..]),
                values,
            }
        });
        Ok(Self { layout, entries: entries.collect() })
    }

    fn entry(&self, tag: u16) -> Option<Entry> {
        self.entries.iter().find(|entry| entry.tag == tag).copied()
    }

    /// Whether the page has the tag.
    pub(super) fn has(&self, tag: u16) -> bool {
        self.entry(tag).is_some()
    }

    /// The whole numbers of `tag`, at most `most` of them and from the first; empty where the page has no such tag.
    ///
    /// # Errors
    /// Those of reading, and for values that are no whole numbers from 0.
    pub(super) fn numbers(&self, file: &mut (impl Read + Seek), tag: u16, most: u64) -> io::Result<Vec<u64>> {
        const BYTE: u16 = 1;
        const SHORT: u16 = 3;
        const LONG: u16 = 4;
        const DIRECTORY: u16 = 13;
        const LONG8: u16 = 16;
        const DIRECTORY8: u16 = 18;
        let Some(entry) = self.entry(tag) else { return Ok(Vec::new()) };
        if !matches!(entry.kind, BYTE | SHORT | LONG | DIRECTORY | LONG8 | DIRECTORY8) {
            return Err(io::Error::other(format!("tag {tag} holds no whole numbers")));
        }
        let width = value_bytes(entry.kind) as usize;
        let bytes = self.values(file, entry, entry.count.min(most))?;
        Ok(bytes.chunks_exact(width).map(|value| self.layout.value(value)).collect())
    }

    /// The first number of `tag`; `None` where the page has no such tag.
    ///
    /// # Errors
    /// As [`Self::numbers`].
    pub(super) fn number(&self, file: &mut (impl Read + Seek), tag: u16) -> io::Result<Option<u64>> {
        Ok(self.numbers(file, tag, 1)?.first().copied())
    }

    /// The whole numbers of `tag`; `None` where it is missing or damaged, which reading the page will report.
    pub(super) fn numbers_if_whole(&self, file: &mut (impl Read + Seek), tag: u16) -> Option<Vec<u64>> {
        self.numbers(file, tag, u64::MAX).ok().filter(|numbers| !numbers.is_empty())
    }

    /// The first number of `tag`; `None` where it is missing or damaged.
    pub(super) fn number_if_whole(&self, file: &mut (impl Read + Seek), tag: u16) -> Option<u64> {
        self.number(file, tag).ok().flatten()
    }

    /// The first fraction of `tag`; `None` where it is missing, damaged or not above 0.
    pub(super) fn fraction(&self, file: &mut (impl Read + Seek), tag: u16) -> Option<f64> {
        const RATIONAL: u16 = 5;
        let entry = self.entry(tag).filter(|entry| entry.kind == RATIONAL && entry.count > 0)?;
        let bytes = self.values(file, entry, 1).ok()?;
        let (above, below) = (self.layout.value(&bytes[..4]) as f64, self.layout.value(&bytes[4..]) as f64);
        Some(above / below).filter(|number| number.is_finite() && *number > 0.0)
    }

    /// How many values `tag` has; 0 where it is missing.
    pub(super) fn count(&self, tag: u16) -> u64 {
        self.entry(tag).map_or(0, |entry| entry.count)
    }

    /// The text of `tag` up to its first zero byte; `None` where it is missing or damaged.
    pub(super) fn text(&self, file: &mut (impl Read + Seek), tag: u16) -> Option<String> {
        const BYTE: u16 = 1;
        const ASCII: u16 = 2;
        const UNDEFINED: u16 = 7;
        let entry = self.entry(tag).filter(|entry| {
            matches!(entry.kind, BYTE | ASCII | UNDEFINED) && entry.count <= MAX_TEXT_BYTES
        })?;
        let mut bytes = self.values(file, entry, entry.count).ok()?;
        bytes.truncate(bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()));
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The bytes of `tag`; empty where the page has no such tag.
    ///
    /// # Errors
    /// Those of reading.
    pub(super) fn bytes(&self, file: &mut (impl Read + Seek), tag: u16) -> io::Result<Vec<u8>> {
        let Some(entry) = self.entry(tag) else { return Ok(Vec::new()) };
        self.values(file, entry, entry.count)
    }

    /// The first `count` values of `entry`, as they lie in the file.
    fn values(&self, file: &mut (impl Read + Seek), entry: Entry, count: u64) -> io::Result<Vec<u8>> {
        let inline = self.layout.offset_width();
        let wanted = value_bytes(entry.kind).saturating_mul(count);
        if value_bytes(entry.kind).saturating_mul(entry.count) <= inline as u64 {
            return Ok(entry.values[..wanted as usize].to_vec());
        }
        file.seek(SeekFrom::Start(self.layout.value(&entry.values[..inline])))?;
        // The vector grows with what the file gives, so that a damaged count takes no memory.
        let mut bytes = Vec::new();
        file.by_ref().take(wanted).read_to_end(&mut bytes)?;
        if (bytes.len() as u64) < wanted {
            return Err(io::Error::other(format!("tag {} ends outside of the file", entry.tag)));
        }
        Ok(bytes)
    }
}

/// The bytes of one value of a type, as the specification numbers them; types that it does not know count as bytes.
fn value_bytes(kind: u16) -> u64 {
    match kind {
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16 | 17 | 18 => 8,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_both_byte_orders_and_offset_widths() {
        for big_endian in [false, true] {
            for big_offsets in [false, true] {
                let layout = ByteLayout { big_endian, big_offsets };
                let short = |v: u16| if big_endian { v.to_be_bytes() } else { v.to_le_bytes() };
                let mut bytes = vec![0; 3];
                let wide = layout.offset_width();
                let offset = |v: u64| {
                    let all = if big_endian { v.to_be_bytes() } else { v.to_le_bytes() };
                    if big_endian { all[8 - wide..].to_vec() } else { all[..wide].to_vec() }
                };
                bytes.extend(if big_offsets { offset(2) } else { short(2).to_vec() });
                // Five shorts do not fit into an entry, one does.
                let after = bytes.len() as u64 + 2 * layout.entry_bytes();
                for (tag, count, value) in
                    [(258, 5, offset(after)), (259, 1, [short(7).to_vec(), vec![0; wide - 2]].concat())]
                {
                    bytes.extend(short(tag));
                    bytes.extend(short(3));
                    bytes.extend(offset(count));
                    bytes.extend(value);
                }
                bytes.extend([1, 2, 300, 4, 5].into_iter().flat_map(short));
                let mut file = io::Cursor::new(bytes);
                let tags = Tags::read(&mut file, layout, 3).unwrap();
                assert_eq!(tags.numbers(&mut file, 258, 99).unwrap(), [1, 2, 300, 4, 5]);
                assert_eq!(tags.numbers(&mut file, 258, 3).unwrap(), [1, 2, 300]);
                assert_eq!(tags.number(&mut file, 259).unwrap(), Some(7));
                assert!(!tags.has(260) && tags.number(&mut file, 260).unwrap().is_none());
                let mut cut = io::Cursor::new(file.get_ref()[..file.get_ref().len() - 1].to_vec());
                assert!(tags.numbers(&mut cut, 258, 99).unwrap_err().to_string().contains("ends outside"));
            }
        }
    }
}
