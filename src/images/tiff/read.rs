//! TIFF pages to the numbers they store.
//!
//! Strips and tiles are read one after the other and row by row: unpacked, put back to what they were before the predictor,
//! and laid into the image where they belong.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use half::f16;
use tiff::decoder::DecodingResult;

use super::directory::directory_places;
use super::numbers::Word;
use super::page::{Chunks, Interpretation, Page, damaged, unsupported};
use super::unpack::{Compression, Reversed, check_holds, unpacked};
use crate::error::{Error, Result};
use crate::geometry::Window;
use crate::images::decoded::{Decoded, Purpose};
use crate::images::dry_run::is_doubtful;
use crate::images::jpeg::{Colours, Fault, Stream};
use crate::images::source::SampleKind::{Float, Signed, Unsigned};
use crate::images::source::{Header, ImageSource};
use crate::memory;

fn directory_of(page: &ImageSource, file: &File) -> Result<u64> {
    if let Some(place) = page.header.and_then(|header| header.directory) {
        return Ok(place);
    }
    if let Some(plane) = page.planes.first() {
        return Ok(plane.directory);
    }
    let places = directory_places(&page.path, file)?;
    let wanted = page.page.unwrap_or(0);
    places.get(wanted).copied().ok_or_else(|| {
        Error::input(
            &page.path,
            format!("has {} pages, but page {wanted} (counted from 0) was wanted", places.len()),
        )
    })
}

/// What the header says of the page whose directory is at `directory`; found in `file` where that is `None`.
pub(in crate::images) fn header(page: &ImageSource, file: &File, directory: Option<u64>) -> Result<Header> {
    let directory = directory.map_or_else(|| directory_of(page, file), Ok)?;
    let stored = Page::read(page, &mut BufReader::new(file), directory)?;
    Ok(Header {
        channels: stored.channels,
        height: stored.height,
        width: stored.width,
        samples: stored.samples,
        planar: stored.planar,
        is_turned: stored.interpretation == Interpretation::WhiteIsZero && stored.samples.kind == Unsigned,
        alpha: stored.stored_channels - stored.channels,
        directory: Some(directory),
    })
}

/// How many rows of the page are in one strip, or in a row of tiles, so that they are unpacked together; 1 where any rows are read by
/// themselves.
///
/// # Errors
/// As [`header`].
pub(in crate::images) fn rows_together(page: &ImageSource, file: &File) -> Result<usize> {
    let directory = directory_of(page, file)?;
    let mut file = BufReader::new(file);
    let stored = Page::read(page, &mut file, directory)?;
    let chunks = stored.chunks(page, &mut file)?;
    Ok(if stored.compression == Compression::None { 1 } else { chunks.height })
}

/// Decodes one page of `file`, without decoding those before it, or the `part` of it.
pub(in crate::images) fn decode(
    page: &ImageSource,
    file: &File,
    purpose: Purpose,
    part: Option<&Window>,
) -> Result<Decoded> {
    let directory = directory_of(page, file)?;
    let mut file = BufReader::new(file);
    let stored = Page::read(page, &mut file, directory)?;
    let chunks = stored.chunks(page, &mut file)?;
    let whole = Window::plane(0..stored.height, 0..stored.width);
    let part = part.copied().unwrap_or(whole);
    if part.is_empty() || part.rows().end > stored.height || part.columns().end > stored.width {
        let problem = format!(
            "is {} x {} pixels, but {part} was wanted of it; start again when nothing writes to it any more",
            stored.width, stored.height
        );
        return Err(Error::input(page.name(), problem));
    }
    let mut reader = PageReader { source: page, page: &stored, chunks: &chunks, file, part };
    let mut samples = match (stored.samples.kind, stored.samples.bits) {
        (Unsigned, ..=8) => DecodingResult::U8(reader.numbers()?),
        (Unsigned, ..=16) => DecodingResult::U16(reader.numbers()?),
        (Unsigned, ..=32) => DecodingResult::U32(reader.numbers()?),
        (Unsigned, _) => DecodingResult::U64(reader.numbers()?),
        (Signed, ..=8) => DecodingResult::I8(reader.numbers_as(|bits: u8| bits as i8)?),
        (Signed, ..=16) => DecodingResult::I16(reader.numbers_as(|bits: u16| bits as i16)?),
        (Signed, ..=32) => DecodingResult::I32(reader.numbers_as(|bits: u32| bits as i32)?),
        (Signed, _) => DecodingResult::I64(reader.numbers_as(|bits: u64| bits as i64)?),
        (Float, ..=16) => DecodingResult::F16(reader.numbers_as(f16::from_bits)?),
        (Float, ..=32) => DecodingResult::F32(reader.numbers_as(f32::from_bits)?),
        (Float, _) => DecodingResult::F64(reader.numbers_as(f64::from_bits)?),
    };
    if stored.interpretation == Interpretation::WhiteIsZero && purpose == Purpose::Intensities {
        invert(&mut samples, stored.samples.bits);
    }
    Ok(Decoded {
        samples,
        height: part.extent.y,
        width: part.extent.x,
        stored_channels: stored.stored_channels,
        channels: stored.channels,
        planar: stored.planar,
    })
}

/// Reads the strips or tiles of one page.
struct PageReader<'a> {
    source: &'a ImageSource,
    page: &'a Page,
    chunks: &'a Chunks,
    file: BufReader<&'a File>,
    /// The rows and columns that are wanted.
    part: Window,
}

impl PageReader<'_> {
    /// All numbers of the page, as `number` makes them of their bits.
    fn numbers_as<W: Word, T>(&mut self, number: impl Fn(W) -> T) -> Result<Vec<T>> {
        // Both have one size, so this takes no memory of its own.
        Ok(self.numbers()?.into_iter().map(number).collect())
    }

    /// The bits of all numbers of the page, in the order that [`Decoded`] has.
    fn numbers<W: Word>(&mut self) -> Result<Vec<W>> {
        let page = self.page;
        let (height, width) = (self.part.extent.y, self.part.extent.x);
        let count = page.stored_channels * height * width;
        let tables = match page.compression {
            Compression::Jpeg => page.jpeg_tables(self.source, &mut self.file)?,
            _ => Vec::new(),
        };
        let is_checked = self.check_packed((count * size_of::<W>()) as u64, &tables)?;
        let name = format!("the image {}", self.source.name());
        let mut image = memory::reserve(&name, count, "cut the image into smaller files")?;
        image.resize(count, W::default());
        let samples = page.rows.samples;
        let line = width * samples;
        for number in 0..self.chunks.places.len() {
            let (plane, chunk) = self.window_of(number);
            let Some(common) = chunk.intersection(&self.part) else { continue };
            let first = (plane * height + common.y - self.part.y) * line;
            let targets = image[first..].chunks_exact_mut(line).take(common.extent.y);
            let start = (common.x - self.part.x) * samples;
            let targets = targets.map(|row| &mut row[start..start + common.extent.x * samples]);
            // Counted from the start of the chunk.
            let common = Window { y: common.y - chunk.y, x: common.x - chunk.x, ..common };
            if page.compression == Compression::Jpeg {
                let stream = self.jpeg_stream(number, &tables, chunk.extent.y)?;
                if !is_checked {
                    stream.check().map_err(|fault| self.broken_jpeg(number, fault))?;
                }
                self.read_jpeg(number, &stream, common, targets)?;
            } else {
                self.read_rows(number, common, targets)?;
            }
        }
        Ok(image)
    }

    /// Which plane of channels strip or tile `number` belongs to, and the pixels of the page that are in it.
    fn window_of(&self, number: usize) -> (usize, Window) {
        let (page, chunks) = (self.page, self.chunks);
        let (across, down) = (page.width.div_ceil(chunks.width), page.height.div_ceil(chunks.height));
        let (plane, number_in_plane) = (number / (across * down), number % (across * down));
        let top = number_in_plane / across * chunks.height;
        let left = number_in_plane % across * chunks.width;
        let chunk = Window::plane(
            top..(top + chunks.height).min(page.height),
            left..(left + chunks.width).min(page.width),
        );
        (plane, chunk)
    }

    /// Refuses strips and tiles that are too short for the wanted rows, before `bytes` are taken for these. Where they are packed so well
    /// that their lengths say nothing, they are unpacked once without being kept; whether that was done. Those of JPEG make use of `tables`.
    fn check_packed(&mut self, bytes: u64, tables: &[u8]) -> Result<bool> {
        let (source, page) = (self.source, self.page);
        // What is read of a small image, or a small part, takes little whatever is wrong with it.
        if !is_doubtful(0, bytes) {
            return Ok(false);
        }
        let row_bytes = page.rows.row_bytes(self.chunks.width * page.rows.samples) as u64;
        let wanted: Vec<(usize, u64)> = (0..self.chunks.places.len())
            .filter_map(|number| {
                let (_, chunk) = self.window_of(number);
                let rows = chunk.intersection(&self.part)?.rows().end - chunk.y;
                Some((number, row_bytes.saturating_mul(rows as u64)))
            })
            .collect();
        let packed =
            wanted.iter().map(|(number, _)| self.chunks.places[*number].1).fold(0, u64::saturating_add);
        if page.compression == Compression::None {
            let is_short = |(number, bytes): &(usize, u64)| self.chunks.places[*number].1 < *bytes;
            return match wanted.iter().any(is_short) {
                true => Err(damaged(source, "its pixels end before the image is full")),
                false => Ok(true),
            };
        }
        if !is_doubtful(packed, bytes) {
            return Ok(false);
        }
        for (number, bytes) in wanted {
            if page.compression == Compression::Jpeg {
                let (_, chunk) = self.window_of(number);
                let stream = self.jpeg_stream(number, tables, chunk.extent.y)?;
                stream.check().map_err(|fault| self.broken_jpeg(number, fault))?;
                continue;
            }
            let width = self.chunks.width;
            let packed = self.packed(number, 0)?;
            check_holds(packed, page.compression, width, bytes)
                .map_err(|error| unreadable(source, number, error))?;
        }
        Ok(true)
    }

    /// The bytes of strip or tile `number` in the file, without the first `passed_over` of them.
    fn packed(&mut self, number: usize, passed_over: u64) -> Result<Box<dyn BufRead + '_>> {
        let (source, page) = (self.source, self.page);
        let failed = |error: io::Error| unreadable(source, number, error);
        let (offset, length) = self.chunks.places[number];
        self.file.seek(SeekFrom::Start(offset + passed_over)).map_err(failed)?;
        let packed = self.file.by_ref().take(length - passed_over);
        Ok(if page.reversed_bits { Box::new(BufReader::new(Reversed(packed))) } else { Box::new(packed) })
    }

    /// Puts the part `common` of strip or tile `number` into `targets`, a row into each.
    fn read_rows<'t, W: Word + 't>(
        &mut self,
        number: usize,
        common: Window,
        targets: impl Iterator<Item = &'t mut [W]>,
    ) -> Result<()> {
        let (source, page) = (self.source, self.page);
        let (_, length) = self.chunks.places[number];
        let row_bytes = page.rows.row_bytes(self.chunks.width * page.rows.samples);
        if row_bytes as u64 / page.compression.strongest() > length {
            return Err(damaged(
                source,
                format!("{row_bytes} bytes of a row cannot be in {length} bytes of file"),
            ));
        }
        let mut row: Vec<u8> = memory::reserve(
            &format!("a row of the image {}", source.name()),
            row_bytes,
            "cut the image into smaller files",
        )?;
        let failed = |error: io::Error| unreadable(source, number, error);
        // Rows that are not packed are where their number says.
        let skipped = if page.compression == Compression::None { common.y } else { 0 };
        let passed_over = (skipped as u64).saturating_mul(row_bytes as u64).min(length);
        let width = self.chunks.width;
        let packed = self.packed(number, passed_over)?;
        let mut bytes = unpacked(packed, page.compression, width).map_err(failed)?;
        for _ in skipped..common.y {
            row.resize(row_bytes, 0);
            bytes.read_exact(&mut row).map_err(failed)?;
        }
        // Predictors and packed bits begin with the row, wherever the wanted columns do.
        let before = common.x * page.rows.samples;
        let mut from_start =
            vec![W::default(); if before > 0 { before + common.extent.x * page.rows.samples } else { 0 }];
        for target in targets {
            row.resize(row_bytes, 0);
            bytes.read_exact(&mut row).map_err(failed)?;
            if before == 0 {
                page.rows.read(&mut row, target);
            } else {
                page.rows.read(&mut row, &mut from_start);
                target.copy_from_slice(&from_start[before..]);
            }
        }
        Ok(())
    }

    /// The stream of strip or tile `number` of a page in JPEG, of which `rows` are inside the page; it makes use of `tables`.
    fn jpeg_stream(&mut self, number: usize, tables: &[u8], rows: usize) -> Result<Stream> {
        let (source, page) = (self.source, self.page);
        let (offset, length) = self.chunks.places[number];
        let name = format!("strip or tile {number} of {}", source.name());
        let capacity = usize::try_from(length).unwrap_or(usize::MAX);
        let mut packed = memory::reserve(&name, capacity, "cut the image into smaller files")?;
        self.file
            .seek(SeekFrom::Start(offset))
            .and_then(|_| self.file.by_ref().take(length).read_to_end(&mut packed))
            .map_err(|error| self.broken_jpeg(number, Fault::Damaged(error.to_string())))?;
        let colours = match page.interpretation {
            Interpretation::YCbCr => Colours::YCbCr,
            Interpretation::Unsaid => Colours::AsMarked,
            _ => Colours::Rgb,
        };
        let stream =
            Stream::new(tables, &packed, colours).map_err(|fault| self.broken_jpeg(number, fault))?;
        // The last strip may be as short as the rows that are left, or as long as the others.
        let fits = stream.width == self.chunks.width
            && (rows..=self.chunks.height).contains(&stream.height)
            && stream.channels == page.rows.samples;
        if !fits {
            let problem = format!(
                "it has {} x {} pixels of {} channels, wanted {} x {} of {}",
                stream.width,
                stream.height,
                stream.channels,
                self.chunks.width,
                self.chunks.height,
                page.rows.samples
            );
            return Err(self.broken_jpeg(number, Fault::Damaged(problem)));
        }
        Ok(stream)
    }

    /// As [`Self::read_rows`], of a page in JPEG, whose strip or tile is `stream`.
    fn read_jpeg<'t, W: Word + 't>(
        &self,
        number: usize,
        stream: &Stream,
        common: Window,
        targets: impl Iterator<Item = &'t mut [W]>,
    ) -> Result<()> {
        let name = format!("strip or tile {number} of {}", self.source.name());
        let pixels = stream.pixels(&name)?.map_err(|fault| self.broken_jpeg(number, fault))?;
        let lines = pixels.chunks_exact(stream.width * stream.channels).skip(common.y);
        for (target, row) in targets.zip(lines) {
            let row = &row[common.x * stream.channels..];
            target.iter_mut().zip(row).for_each(|(number, byte)| *number = W::truncated((*byte).into()));
        }
        Ok(())
    }

    /// What is said of strip or tile `number` of a page in JPEG.
    fn broken_jpeg(&self, number: usize, fault: Fault) -> Error {
        match fault {
            Fault::Unsupported(what) => unsupported(self.source, what),
            Fault::Damaged(what) => damaged(self.source, format!("strip or tile {number}: {what}")),
        }
    }
}

/// What is said where reading strip or tile `number` failed.
fn unreadable(source: &ImageSource, number: usize, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged(source, "its pixels end before the image is full"),
        io::ErrorKind::Unsupported => unsupported(source, error),
        _ => damaged(source, format!("strip or tile {number}: {error}")),
    }
}

/// Turns "white is zero" to "black is zero"; signed and floating-point numbers have no largest to turn at.
fn invert(samples: &mut DecodingResult, bits: u8) {
    match samples {
        DecodingResult::U8(values) => {
            let largest = u8::MAX >> 8_u8.saturating_sub(bits);
            values.iter_mut().for_each(|v| *v = largest - *v);
        }
        DecodingResult::U16(values) => {
            let largest = u16::MAX >> 16_u8.saturating_sub(bits);
            values.iter_mut().for_each(|v| *v = largest - *v);
        }
        DecodingResult::U32(values) => values.iter_mut().for_each(|v| *v = !*v),
        DecodingResult::U64(values) => values.iter_mut().for_each(|v| *v = !*v),
        _ => {}
    }
}
