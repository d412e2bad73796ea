//! One large image that comes in parts to a PNG file, whose numbers are packed from the first row to the last: parts wait in an
//! unfinished file in which each number has its place.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use ::png::{BitDepth, ColorType};
use ::tiff::decoder::DecodingResult;

use super::{FixedFile, Places, StackFile};
use crate::error::Result;
use crate::geometry::{Extent, Window};
use crate::images::labels::Palette;
use crate::images::png::write_png_rows;
use crate::images::source::SampleType;

/// Rows that are packed at a time.
const ROWS: usize = 64;

/// What the numbers are shown as.
pub(super) enum PngColours {
    Grey,
    Palette(Box<Palette>),
    Rgb,
}

/// What the file would be called that holds the parts of `path`, if it were kept.
pub(super) fn rows_of(path: &Path) -> PathBuf {
    let mut name: OsString = path.file_name().unwrap_or_default().to_owned();
    name.push(".rows");
    path.with_file_name(name)
}

/// A PNG file on its way.
pub(super) struct PngFile {
    path: PathBuf,
    /// Rows and columns.
    size: (usize, usize),
    /// Bytes of one number.
    element: usize,
    colours: PngColours,
    parts: FixedFile,
}

impl PngFile {
    /// The file that will be called `path`, of an image of `size` rows and columns; `resume` goes on with what a killed program
    /// wrote.
    ///
    /// # Errors
    /// [`crate::Error::Output`] when the folder takes no files.
    pub(super) fn new(
        path: &Path,
        resume: bool,
        size: (usize, usize),
        numbers: SampleType,
        colours: PngColours,
    ) -> Result<Self> {
        let element = usize::from(numbers.bits) / 8;
        let channels = if matches!(colours, PngColours::Rgb) { 3 } else { 1 };
        let (pixel, row) = (element * channels, element * channels * size.1);
        let places = Places {
            start: 0,
            image: (row * size.0) as u64,
            channel: element as u64,
            row: row as u64,
            pixel: pixel as u64,
        };
        let extent = Extent::plane(size.0, size.1);
        let parts = FixedFile::new(&rows_of(path), resume, extent, places, Vec::new(), 0)?;
        // The order of bytes of the format.
        let parts = parts.big_endian();
        Ok(Self { path: path.to_path_buf(), size, element, colours, parts })
    }
}

impl StackFile for PngFile {
    fn takes_parts(&self) -> bool {
        true
    }

    fn put(&mut self, part: Window, numbers: DecodingResult) -> Result<()> {
        self.parts.put(part, numbers)
    }

    fn keep(&mut self) {
        self.parts.keep();
    }

    fn done(self: Box<Self>) -> Result<()> {
        let Self { path, size: (height, width), element, colours, parts } = *self;
        let depth = if element == 2 { BitDepth::Sixteen } else { BitDepth::Eight };
        let (colour, palette, channels) = match &colours {
            PngColours::Grey => (ColorType::Grayscale, None, 1),
            PngColours::Palette(palette) => (ColorType::Indexed, Some(palette.as_flattened()), 1),
            PngColours::Rgb => (ColorType::Rgb, None, 3),
        };
        let row = width * element * channels;
        let mut next = 0;
        write_png_rows(&path, (height, width), colour, depth, palette, &mut |bytes| {
            let rows = ROWS.min(height - next);
            bytes.resize(rows * row, 0);
            parts.read_at(bytes, (next * row) as u64)?;
            next += rows;
            Ok(())
        })
    }
}
