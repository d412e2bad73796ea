//! How a written stack lies in its file: all directories first, each for one page, then the pixels of all pages one behind the
//! other, not compressed and each page in one strip. So every number has its place before the first one is known.

use super::directory::MAX_PAGES;
use super::layout::{Description, PixelType, fraction};
use super::tags::names;
use super::write::MAX_CLASSIC_TIFF_BYTES;
use crate::geometry::Extent;
use crate::images::labels::Palette;
use crate::images::source::SampleKind;
use crate::images::stack::Places;

/// A stack that is to be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct StackForm<'a> {
    /// Pages, rows and columns.
    pub(super) extent: Extent,
    /// Numbers of each pixel, which lie side by side.
    pub(super) channels: usize,
    pub(super) pixel: PixelType,
    /// What the first page says of the file.
    pub(super) description: Option<&'a Description>,
    /// The colours in which programs show numbers of 8 bits.
    pub(super) palette: Option<&'a Palette>,
    /// Whether it is a BigTIFF file also where it is small.
    pub(super) is_big: bool,
}

/// Where everything is in a file.
pub(super) struct StackPlaces {
    pub(super) places: Places,
    /// The bytes before the pixels.
    pub(super) header: Vec<u8>,
    /// How long the file is.
    pub(super) length: u64,
}

/// Types of the values of tags.
const ASCII: u16 = 2;
const SHORT: u16 = 3;
const LONG: u16 = 4;
const RATIONAL: u16 = 5;
const LONG8: u16 = 16;
/// What the numbers of a sample stand for, and how the colours are to be taken.
const UNSIGNED: u16 = 1;
const SIGNED: u16 = 2;
const FLOAT: u16 = 3;
const BLACK_IS_ZERO: u16 = 1;
const RGB: u16 = 2;
const PALETTE: u16 = 3;
const COLOUR_MAP: u16 = 320;
/// Where pixels begin.
const ALIGNMENT: u64 = 16;

impl PixelType {
    fn bits(self) -> u16 {
        self.numbers().sample().bits.into()
    }

    fn sample_format(self) -> u16 {
        match self.numbers().sample().kind {
            SampleKind::Unsigned => UNSIGNED,
            SampleKind::Signed => SIGNED,
            SampleKind::Float => FLOAT,
        }
    }
}

/// A tag of all pages or of the first one.
struct Entry {
    tag: u16,
    kind: u16,
    count: u64,
    value: Vec<u8>,
}

impl Entry {
    fn shorts(tag: u16, values: &[u16]) -> Self {
        let value = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { tag, kind: SHORT, count: values.len() as u64, value }
    }

    fn long(tag: u16, value: u32) -> Self {
        Self { tag, kind: LONG, count: 1, value: value.to_le_bytes().to_vec() }
    }

    fn rational(tag: u16, (n, d): (u32, u32)) -> Self {
        let value = [n.to_le_bytes(), d.to_le_bytes()].concat();
        Self { tag, kind: RATIONAL, count: 1, value }
    }
}

impl StackForm<'_> {
    fn page_bytes(&self) -> Option<u64> {
        let Extent { y, x, .. } = self.extent;
        let numbers = y.checked_mul(x)?.checked_mul(self.channels)? as u64;
        numbers.checked_mul(u64::from(self.pixel.bits()) / 8)
    }

    /// The tags of a page that do not depend on where it is, in order of their numbers.
    fn entries(&self, is_first: bool) -> Option<Vec<Entry>> {
        let sides = [u32::try_from(self.extent.x).ok()?, u32::try_from(self.extent.y).ok()?];
        let samples = u16::try_from(self.channels).ok()?;
        let bits = vec![self.pixel.bits(); self.channels];
        let formats = vec![self.pixel.sample_format(); self.channels];
        let colours = if self.pixel == PixelType::Colours { 3 } else { 1 };
        let photometric = match (self.pixel, self.palette) {
            (PixelType::Colours, _) => RGB,
            (_, Some(_)) => PALETTE,
            _ => BLACK_IS_ZERO,
        };
        let mut entries = vec![
            Entry::long(names::IMAGE_WIDTH, sides[0]),
            Entry::long(names::IMAGE_LENGTH, sides[1]),
            Entry::shorts(names::BITS_PER_SAMPLE, &bits),
            Entry::shorts(names::COMPRESSION, &[1]),
            Entry::shorts(names::PHOTOMETRIC_INTERPRETATION, &[photometric]),
            Entry::shorts(names::SAMPLES_PER_PIXEL, &[samples]),
            Entry::long(names::ROWS_PER_STRIP, sides[1]),
            Entry::shorts(names::PLANAR_CONFIGURATION, &[1]),
            Entry::shorts(names::SAMPLE_FORMAT, &formats),
        ];
        if self.channels > colours {
            entries.push(Entry::shorts(names::EXTRA_SAMPLES, &vec![0; self.channels - colours]));
        }
        if let Some(palette) = self.palette {
            // All red ones, then all green and all blue ones, of 16 bits each.
            let part = |colour: usize| palette.iter().map(move |of| u16::from(of[colour]) * 257);
            entries.push(Entry::shorts(COLOUR_MAP, &(0..3).flat_map(part).collect::<Vec<_>>()));
        }
        if let Some(description) = self.description.filter(|_| is_first) {
            if !description.text.is_empty() {
                let mut text = description.text.clone().into_bytes();
                text.push(0);
                let count = text.len() as u64;
                entries.push(Entry { tag: names::IMAGE_DESCRIPTION, kind: ASCII, count, value: text });
            }
            if let Some([x, y]) = description.resolution {
                const CENTIMETRE: u16 = 3;
                const NONE: u16 = 1;
                entries.push(Entry::rational(names::X_RESOLUTION, fraction(x)));
                entries.push(Entry::rational(names::Y_RESOLUTION, fraction(y)));
                let unit = if description.in_centimetres { CENTIMETRE } else { NONE };
                entries.push(Entry::shorts(names::RESOLUTION_UNIT, &[unit]));
            }
        }
        Some(entries)
    }

    /// Where everything of the stack is; `None` for more than the format can say.
    pub(super) fn places(&self) -> Option<StackPlaces> {
        let pages = Some(self.extent.z).filter(|pages| *pages <= MAX_PAGES)?;
        let page_bytes = self.page_bytes()?;
        let all = page_bytes.checked_mul(pages as u64)?;
        // Directories take some hundred bytes each.
        let is_big = self.is_big || all.checked_add(pages as u64 * 512)? >= MAX_CLASSIC_TIFF_BYTES as u64;
        let word = if is_big { 8 } else { 4 };
        let (entry_bytes, ends) = if is_big { (20, 16) } else { (12, 6) };
        let (first, others) = (self.entries(true)?, self.entries(false)?);
        // Each page has its own place and length of the pixels besides these.
        let directory = |entries: &[Entry]| (ends + entry_bytes * (entries.len() + 2)) as u64;
        let file_header = if is_big { 16 } else { 8 };
        // Values that do not fit into an entry follow the header, those of all pages once.
        let mut values = Vec::new();
        let mut put = |entries: &[Entry]| -> Vec<u64> {
            let place = |entry: &Entry| {
                if entry.value.len() <= word {
                    return 0;
                }
                let place = file_header + values.len() as u64;
                values.extend_from_slice(&entry.value);
                values.resize(values.len().next_multiple_of(8), 0);
                place
            };
            entries.iter().map(place).collect()
        };
        let (first_values, other_values) = (put(&first), put(&others));
        let first_directory = file_header + values.len() as u64;
        let directory_of = |page: usize| match page {
            0 => first_directory,
            _ => first_directory + directory(&first) + (page as u64 - 1) * directory(&others),
        };
        let start = directory_of(pages).next_multiple_of(ALIGNMENT);
        let mut header = Vec::new();
        header.try_reserve_exact(usize::try_from(start).ok()?).ok()?;
        if is_big {
            header.extend_from_slice(b"II\x2b\0\x08\0\0\0");
        } else {
            header.extend_from_slice(b"II\x2a\0");
        }
        header.extend_from_slice(&first_directory.to_le_bytes()[..word]);
        header.extend_from_slice(&values);
        for page in 0..pages {
            let (entries, places) =
                if page == 0 { (&first, &first_values) } else { (&others, &other_values) };
            let pixels = start + page as u64 * page_bytes;
            let of_page = |tag: u16, value: u64| Entry {
                tag,
                kind: if is_big { LONG8 } else { LONG },
                count: 1,
                value: value.to_le_bytes()[..word].to_vec(),
            };
            let own = [of_page(names::STRIP_OFFSETS, pixels), of_page(names::STRIP_BYTE_COUNTS, page_bytes)];
            let mut all: Vec<(&Entry, u64)> = entries.iter().zip(places.iter().copied()).collect();
            all.extend(own.iter().map(|entry| (entry, 0)));
            all.sort_by_key(|(entry, _)| entry.tag);
            let count = all.len() as u64;
            header.extend_from_slice(&count.to_le_bytes()[..if is_big { 8 } else { 2 }]);
            for (entry, place) in all {
                header.extend_from_slice(&entry.tag.to_le_bytes());
                header.extend_from_slice(&entry.kind.to_le_bytes());
                header.extend_from_slice(&entry.count.to_le_bytes()[..word]);
                let mut field = [0; 8];
                if entry.value.len() <= word {
                    field[..entry.value.len()].copy_from_slice(&entry.value);
                } else {
                    field = place.to_le_bytes();
                }
                header.extend_from_slice(&field[..word]);
            }
            let next = if page + 1 < pages { directory_of(page + 1) } else { 0 };
            header.extend_from_slice(&next.to_le_bytes()[..word]);
        }
        let element = u64::from(self.pixel.bits()) / 8;
        let pixel = element * self.channels as u64;
        let places =
            Places { start, image: page_bytes, channel: element, row: pixel * self.extent.x as u64, pixel };
        Some(StackPlaces { places, header, length: start + all })
    }
}
