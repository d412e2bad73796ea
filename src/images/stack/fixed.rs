//! Stacks in files of a fixed layout: a header, and numbers at places that are known beforehand.
//!
//! As every number has its place, parts come in any order, and a program that was killed goes on where it was.

use std::fs::File;
use std::io;

use tiff::decoder::DecodingResult;

use super::{NewStack, StackFile};
use crate::error::{Error, Result};
use crate::files::UnfinishedFile;
use crate::geometry::Window;
use crate::images::decoded::each_type;
use crate::images::source::{SampleKind, SampleType};

/// How a file is laid out.
pub(super) struct Fixed {
    /// What it begins with.
    pub(super) header: Vec<u8>,
    /// Where the numbers of a channel of an image begin, which lie row by row; the image first.
    pub(super) place: Box<dyn Fn(usize, usize) -> u64 + Send>,
    /// The type of the numbers: that of the stack, or a larger one of whole numbers.
    pub(super) numbers: SampleType,
    pub(super) big_endian: bool,
    /// How long the file is.
    pub(super) length: u64,
}

impl Fixed {
    /// Numbers behind a header, `[image][channel][y][x]`, or `[channel][image][y][x]` with `channels_first`.
    ///
    /// # Errors
    /// [`Error::Output`] for more than can be counted.
    pub(super) fn behind(
        header: Vec<u8>,
        stack: &NewStack,
        numbers: SampleType,
        channels_first: bool,
    ) -> Result<Self> {
        let plane = bytes_of(numbers) as u64 * (stack.extent.y as u64) * stack.extent.x as u64;
        let (images, channels) = (stack.extent.z as u64, stack.channels as u64);
        let start = header.len() as u64;
        let length = images.checked_mul(channels).and_then(|planes| planes.checked_mul(plane));
        let length = length.and_then(|length| length.checked_add(start)).ok_or_else(|| {
            Error::output(&stack.path, "would have more bytes than can be counted; write fewer images")
        })?;
        let place = move |image: usize, channel: usize| {
            let (image, channel) = (image as u64, channel as u64);
            let number = if channels_first { channel * images + image } else { image * channels + channel };
            start + number * plane
        };
        Ok(Self { header, place: Box::new(place), numbers, big_endian: false, length })
    }
}

/// How many bytes a number of this type has.
pub(super) fn bytes_of(numbers: SampleType) -> usize {
    usize::from(numbers.bits).div_ceil(8)
}

/// A stack in a file of a fixed layout.
pub(super) struct FixedFile {
    stack: NewStack,
    fixed: Fixed,
    file: UnfinishedFile,
}

impl FixedFile {
    /// Begins the file of `stack`, or goes on with it where images have been written.
    ///
    /// # Errors
    /// [`Error::Output`] where no file can be made, or that with the images is not there.
    pub(super) fn new(stack: NewStack, fixed: Fixed) -> Result<Self> {
        let (file, _) = UnfinishedFile::resume(&stack.path)?;
        let failed = |error| file.failed(error);
        if stack.written > 0 {
            let mut found = vec![0; fixed.header.len()];
            let is_whole = file.file().metadata().map_err(failed)?.len() == fixed.length;
            let is_same =
                is_whole && read_exact_at(file.file(), &mut found, 0).is_ok() && found == fixed.header;
            if !is_same {
                return Err(not_there(&stack));
            }
        } else {
            file.file().set_len(0).map_err(failed)?;
            // What was not written is read as zeros, and takes no room on most disks.
            file.file().set_len(fixed.length).map_err(failed)?;
            write_all_at(file.file(), &fixed.header, 0).map_err(failed)?;
        }
        Ok(Self { stack, fixed, file })
    }
}

/// The error where images have been written before, but the file that should have them is another one.
pub(super) fn not_there(stack: &NewStack) -> Error {
    let problem = format!(
        "{} images of it were written before, but the unfinished file beside it does not have them; begin anew with another name",
        stack.written
    );
    Error::output(&stack.path, problem)
}

/// Refuses numbers that are not those of `part`, `[channel][image][y][x]`.
pub(super) fn check_part(stack: &NewStack, part: &Window, numbers: &DecodingResult) -> Result<()> {
    let count = part.extent.checked_pixels().and_then(|pixels| pixels.checked_mul(stack.channels));
    let found = each_type!(numbers, values => values.len());
    if !part.is_empty()
        && part.fits(stack.extent)
        && count == Some(found)
        && type_of(numbers) == stack.numbers
    {
        return Ok(());
    }
    Err(Error::Mismatch(format!(
        "{} has {} pixels of {} {}, but was given {found} {} for {part}; give as many as the part has",
        stack.path.display(),
        stack.extent,
        stack.channels,
        stack.numbers,
        type_of(numbers)
    )))
}

fn type_of(numbers: &DecodingResult) -> SampleType {
    let (kind, bits) = match numbers {
        DecodingResult::U8(_) => (SampleKind::Unsigned, 8),
        DecodingResult::U16(_) => (SampleKind::Unsigned, 16),
        DecodingResult::U32(_) => (SampleKind::Unsigned, 32),
        DecodingResult::U64(_) => (SampleKind::Unsigned, 64),
        DecodingResult::I8(_) => (SampleKind::Signed, 8),
        DecodingResult::I16(_) => (SampleKind::Signed, 16),
        DecodingResult::I32(_) => (SampleKind::Signed, 32),
        DecodingResult::I64(_) => (SampleKind::Signed, 64),
        DecodingResult::F16(_) => (SampleKind::Float, 16),
        DecodingResult::F32(_) => (SampleKind::Float, 32),
        DecodingResult::F64(_) => (SampleKind::Float, 64),
    };
    SampleType { kind, bits }
}

impl StackFile for FixedFile {
    fn takes_parts(&self) -> bool {
        true
    }

    fn put(&mut self, part: Window, numbers: DecodingResult) -> Result<()> {
        check_part(&self.stack, &part, &numbers)?;
        let numbers = widened(numbers, self.fixed.numbers);
        let element = bytes_of(self.fixed.numbers) as u64;
        let (width, images) = (self.stack.extent.x, part.extent.z);
        // Whole rows lie one behind the other in the file too.
        let (runs, run) = match part.extent.x == width {
            true => (1, part.extent.y * width),
            false => (part.extent.y, part.extent.x),
        };
        let mut bytes = Vec::new();
        for channel in 0..self.stack.channels {
            for image in 0..images {
                let place = (self.fixed.place)(part.z + image, channel);
                for row in 0..runs {
                    let from = ((channel * images + image) * runs + row) * run;
                    bytes.clear();
                    each_type!(&numbers, values => append(&mut bytes, &values[from..from + run], self.fixed.big_endian));
                    let before = ((part.y + row) * width + part.x) as u64;
                    write_all_at(self.file.file(), &bytes, place + before * element)
                        .map_err(|error| self.file.failed(error))?;
                }
            }
        }
        Ok(())
    }

    fn done(self: Box<Self>) -> Result<()> {
        self.file.done()
    }
}

/// Numbers as those of a larger type, where that is one of whole numbers of 16 bits.
fn widened(numbers: DecodingResult, wanted: SampleType) -> DecodingResult {
    match numbers {
        DecodingResult::U8(values) if wanted.kind == SampleKind::Unsigned && wanted.bits == 16 => {
            DecodingResult::U16(values.into_iter().map(u16::from).collect())
        }
        same => same,
    }
}

/// A number that a file can hold.
pub(super) trait Stored: Copy {
    fn append(self, bytes: &mut Vec<u8>, big_endian: bool);
}

macro_rules! stored {
    ($($type:ty),*) => {
        $(impl Stored for $type {
            fn append(self, bytes: &mut Vec<u8>, big_endian: bool) {
                bytes.extend(if big_endian { self.to_be_bytes() } else { self.to_le_bytes() });
            }
        })*
    };
}

stored!(u8, u16, u32, u64, i8, i16, i32, i64, half::f16, f32, f64);

/// Adds the bytes of `values`.
pub(super) fn append<T: Stored>(bytes: &mut Vec<u8>, values: &[T], big_endian: bool) {
    bytes.reserve(size_of_val(values));
    for value in values {
        value.append(bytes, big_endian);
    }
}

/// Writes at a place, whatever was written before.
#[cfg(unix)]
pub(super) fn write_all_at(file: &File, bytes: &[u8], place: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, place)
}

/// Writes at a place, whatever was written before.
#[cfg(windows)]
pub(super) fn write_all_at(file: &File, mut bytes: &[u8], mut place: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !bytes.is_empty() {
        match file.seek_write(bytes, place)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => {
                bytes = &bytes[count..];
                place += count as u64;
            }
        }
    }
    Ok(())
}

/// Reads at a place.
pub(super) fn read_exact_at(mut file: &File, bytes: &mut [u8], place: u64) -> io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    file.seek(SeekFrom::Start(place))?;
    file.read_exact(bytes)
}
