//! Stacks in array files of known places: numbers of one type behind a header.

use tiff::decoder::DecodingResult;

use super::{FixedFile, Places, StackFile, TypedStack};
use crate::error::{Error, Result};
use crate::geometry::Window;
use crate::images::decoded::each_type;
use crate::images::source::{SampleKind, SampleType};

/// How a file is laid out.
pub(super) struct Behind {
    /// What it begins with.
    pub(super) header: Vec<u8>,
    /// The type of the numbers: that of the stack, or a larger one of whole numbers.
    pub(super) numbers: SampleType,
    /// Whether all images of the first channel come first, then those of the next.
    pub(super) channels_first: bool,
}

/// How many bytes a number of this type has.
pub(super) fn bytes_of(numbers: SampleType) -> usize {
    usize::from(numbers.bits).div_ceil(8)
}

/// A stack in such a file.
pub(super) struct ArrayFile {
    stack: TypedStack,
    numbers: SampleType,
    file: FixedFile,
}

impl ArrayFile {
    /// Begins the file of `stack`, or goes on with it.
    ///
    /// # Errors
    /// [`Error::Output`] where no file can be made, and for more than can be counted.
    pub(super) fn new(stack: TypedStack, layout: Behind) -> Result<Self> {
        let Behind { header, numbers, channels_first } = layout;
        let element = bytes_of(numbers) as u64;
        let row = element * stack.extent.x as u64;
        let plane = row * stack.extent.y as u64;
        let (images, channels) = (stack.extent.z as u64, stack.channels as u64);
        let start = header.len() as u64;
        let length = images.checked_mul(channels).and_then(|planes| planes.checked_mul(plane));
        let length = length.and_then(|length| length.checked_add(start)).ok_or_else(|| {
            Error::output(&stack.path, "would have more bytes than can be counted; write fewer images")
        })?;
        let (image, channel) =
            if channels_first { (plane, images * plane) } else { (channels * plane, plane) };
        let places = Places { start, image, channel, row, pixel: element };
        let headers = vec![(0, header)];
        let file = FixedFile::new(&stack.path, stack.resume, stack.extent, places, headers, length)?;
        Ok(Self { stack, numbers, file })
    }
}

/// The error where images have been written before, but the file that should have them is another one.
pub(super) fn not_there(stack: &TypedStack) -> Error {
    let problem = format!(
        "{} images of it were written before, but the unfinished file beside it does not have them; begin anew with another name",
        stack.written
    );
    Error::output(&stack.path, problem)
}

/// Refuses numbers that are not those of `part`, `[channel][image][y][x]`.
pub(super) fn check_part(stack: &TypedStack, part: &Window, numbers: &DecodingResult) -> Result<()> {
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

impl StackFile for ArrayFile {
    fn takes_parts(&self) -> bool {
        true
    }

    fn put(&mut self, part: Window, numbers: DecodingResult) -> Result<()> {
        check_part(&self.stack, &part, &numbers)?;
        self.file.put(part, widened(numbers, self.numbers))
    }

    fn keep(&mut self) {
        self.file.keep();
    }

    fn done(self: Box<Self>) -> Result<()> {
        Box::new(self.file).done()
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
