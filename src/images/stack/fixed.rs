//! Files in which each number has a place that is known beforehand, so that parts are written in any order, and a program that
//! was killed finds again what it wrote.

use std::path::Path;

use tiff::decoder::DecodingResult;

use super::StackFile;
use crate::error::Result;
use crate::files::ResumableFile;
use crate::geometry::{Extent, Window};
use crate::images::decoded::each_type;

/// Where numbers lie: bytes from the start of the file to the first number, and from each to the next along each axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::images) struct Places {
    pub(in crate::images) start: u64,
    pub(in crate::images) image: u64,
    pub(in crate::images) channel: u64,
    pub(in crate::images) row: u64,
    pub(in crate::images) pixel: u64,
}

/// How many bytes are written at a time, where a row does not have more.
const PIECE_BYTES: usize = 4 << 20;

/// A file of known places.
#[derive(Debug)]
pub(in crate::images) struct FixedFile {
    file: ResumableFile,
    places: Places,
    big_endian: bool,
    extent: Extent,
    /// What stands in the file besides the numbers, and where.
    headers: Headers,
    length: u64,
}

/// What stands in a file besides its numbers.
#[derive(Debug)]
pub(in crate::images) enum Headers {
    /// These bytes at these places, written with the first part.
    Unwritten(Vec<(u64, Vec<u8>)>),
    /// They are in the file.
    Written,
}

impl FixedFile {
    /// The file that will be called `path`, with images of `extent` and `length` bytes in all; `resume` goes on with what a
    /// killed program wrote.
    ///
    /// # Errors
    /// [`crate::Error::Output`] when the folder takes no files.
    pub(in crate::images) fn new(
        path: &Path,
        resume: bool,
        extent: Extent,
        places: Places,
        headers: Vec<(u64, Vec<u8>)>,
        length: u64,
    ) -> Result<Self> {
        let file = ResumableFile::open(path, resume)?;
        let headers = Headers::Unwritten(headers);
        Ok(Self { file, places, big_endian: false, extent, headers, length })
    }

    /// The same with other places and headers, before anything is written.
    pub(in crate::images) fn replaced(
        self,
        places: Places,
        headers: Vec<(u64, Vec<u8>)>,
        length: u64,
    ) -> Self {
        Self { places, headers: Headers::Unwritten(headers), length, ..self }
    }

    /// The same with the most significant byte of each number first.
    pub(in crate::images) fn big_endian(self) -> Self {
        Self { big_endian: true, ..self }
    }

    /// Fills `bytes` with what was written at `place`.
    ///
    /// # Errors
    /// [`crate::Error::Output`] when that fails.
    pub(in crate::images) fn read_at(&self, bytes: &mut [u8], place: u64) -> Result<()> {
        self.file.read_at(bytes, place)
    }

    /// Writes the headers, where they are not in the file yet.
    fn begin(&mut self) -> Result<()> {
        if let Headers::Unwritten(headers) = &self.headers {
            for (place, bytes) in headers {
                self.file.write_at(bytes, *place)?;
            }
            self.headers = Headers::Written;
        }
        Ok(())
    }

    /// The bytes of numbers `[channel][image][y][x]` of `part`, row by row.
    fn write(&self, part: &Window, bytes: &[u8], element: usize) -> Result<()> {
        let Extent { z, y, x } = part.extent;
        let channels = bytes.len() / (element * part.extent.pixels()).max(1);
        let at = |channel: usize, image: usize, row: usize| {
            self.places.start
                + (part.z + image) as u64 * self.places.image
                + channel as u64 * self.places.channel
                + (part.y + row) as u64 * self.places.row
                + part.x as u64 * self.places.pixel
        };
        let row_of = |channel: usize, image: usize, row: usize| {
            let first = ((channel * z + image) * y + row) * x * element;
            &bytes[first..first + x * element]
        };
        if self.places.pixel == element as u64 {
            // Whole rows of one channel that lie one behind the other are one piece.
            let whole = x == self.extent.x && self.places.row == (x * element) as u64;
            for channel in 0..channels {
                for image in 0..z {
                    if whole {
                        let first = (channel * z + image) * y * x * element;
                        let piece = &bytes[first..first + y * x * element];
                        self.file.write_at(piece, at(channel, image, 0))?;
                        continue;
                    }
                    for row in 0..y {
                        self.file.write_at(row_of(channel, image, row), at(channel, image, row))?;
                    }
                }
            }
            return Ok(());
        }
        // The channels of a pixel lie side by side.
        let mut line = vec![0; x * channels * element];
        for image in 0..z {
            for row in 0..y {
                for channel in 0..channels {
                    let numbers = row_of(channel, image, row).chunks_exact(element);
                    for (pixel, number) in numbers.enumerate() {
                        let first = (pixel * channels + channel) * element;
                        line[first..first + element].copy_from_slice(number);
                    }
                }
                self.file.write_at(&line, at(0, image, row))?;
            }
        }
        Ok(())
    }
}

impl StackFile for FixedFile {
    fn takes_parts(&self) -> bool {
        true
    }

    fn put(&mut self, part: Window, numbers: DecodingResult) -> Result<()> {
        self.begin()?;
        let Extent { z, y, x } = part.extent;
        each_type!(numbers, values => {
            let channels = values.len() / part.extent.pixels().max(1);
            let element = values.first().map_or(1, std::mem::size_of_val);
            // Some rows of one image at a time, so that its bytes are not there beside all of its numbers.
            let rows = (PIECE_BYTES / (x * channels * element).max(1)).clamp(1, y.max(1));
            let mut bytes = Vec::new();
            for image in 0..z {
                for top in (0..y).step_by(rows) {
                    let height = rows.min(y - top);
                    bytes.clear();
                    for channel in 0..channels {
                        let first = ((channel * z + image) * y + top) * x;
                        for value in &values[first..first + height * x] {
                            if self.big_endian {
                                bytes.extend_from_slice(&value.to_be_bytes());
                            } else {
                                bytes.extend_from_slice(&value.to_le_bytes());
                            }
                        }
                    }
                    let piece = Window::new(
                        part.z + image..part.z + image + 1,
                        part.y + top..part.y + top + height,
                        part.columns(),
                    );
                    self.write(&piece, &bytes, element)?;
                }
            }
            Ok(())
        })
    }

    fn keep(&mut self) {
        self.file.keep();
    }

    fn done(mut self: Box<Self>) -> Result<()> {
        self.begin()?;
        let Self { file, length, .. } = *self;
        file.done(length)
    }
}
