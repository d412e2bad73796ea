//! Stacks in HDF5 files, one dataset `[image][channel][y][x]`.
//!
//! Values lie one behind the other, at places that are known beforehand ([`ArrayFile`]). Labels are compressed, a chunk for each
//! image: these are written one after the other, each with its number and its length, so that a killed program finds them again;
//! what says where they lie comes when all are there. As bytes are sorted by their significance before they are compressed, rows of an
//! image that come one after the other wait in the file until the last ones are there.

use std::io::{BufWriter, IntoInnerError, Write};
use std::ops::Range;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use rayon::prelude::*;
use tiff::decoder::DecodingResult;

use super::array_file::{ArrayFile, Behind, bytes_of, check_part, not_there};
use super::hdf5_format::{Dataset, START, Storage, StoredChunk, attributes_of, is_finished};
use super::{StackFile, TypedStack};
use crate::error::{Error, Result};
use crate::files::{ResumableFile, write_all_at};
use crate::geometry::Window;
use crate::images::decoded::each_type;
use crate::images::source::SampleKind;

/// How hard labels are compressed: more takes much longer for little.
const LEVEL: u32 = 4;
/// Bytes that are compressed at a time.
const SOME: usize = 1 << 16;
/// The length of what stands before each chunk: its number and its length.
const RECORD_BYTES: u64 = 16;

/// Begins the file of `stack`, whose dataset is at `place`, such as `/data`.
///
/// # Errors
/// [`Error::Output`] where no file can be made, that with the images that were written is not there, or images are larger than the
/// format has it.
pub(super) fn create(stack: TypedStack, place: &str) -> Result<Box<dyn StackFile>> {
    let names: Vec<String> = place.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let names = if names.is_empty() { vec!["data".to_owned()] } else { names };
    if names.iter().any(|name| name.len() > 255) {
        return Err(Error::output(
            &stack.path,
            "the path of its dataset has a name of more than 255 bytes; use a shorter one",
        ));
    }
    let image = (stack.extent.y as u64 * stack.extent.x as u64)
        .saturating_mul(stack.channels as u64)
        .saturating_mul(bytes_of(stack.numbers) as u64);
    let dataset = Dataset {
        names,
        axes: super::shape::all_axes(&stack),
        numbers: stack.numbers,
        attributes: attributes_of(&stack),
    };
    if stack.numbers.kind == SampleKind::Float {
        let bytes = image.saturating_mul(stack.extent.z as u64);
        // The header is as long wherever the numbers begin.
        let length =
            dataset.metadata(START, &Storage::Contiguous { address: 0, bytes }).0.len() as u64 + START;
        let address = length.next_multiple_of(512);
        let (metadata, root) = dataset.metadata(START, &Storage::Contiguous { address, bytes });
        let mut header = Dataset::superblock(root, address.saturating_add(bytes));
        header.extend(metadata);
        header.resize(usize::try_from(address).unwrap_or(0), 0);
        let layout = Behind { header, numbers: stack.numbers, channels_first: false };
        return Ok(Box::new(ArrayFile::new(stack, layout)?));
    }
    if u32::try_from(image).is_err() {
        let problem = format!(
            "a chunk of an HDF5 file has less than 4 GiB, but an image has {image} bytes; write .tif or .npy"
        );
        return Err(Error::output(&stack.path, problem));
    }
    Ok(Box::new(Compressed::new(stack, dataset)?))
}

/// A stack of which each image is compressed.
struct Compressed {
    stack: TypedStack,
    dataset: Dataset,
    file: ResumableFile,
    chunks: Vec<StoredChunk>,
    /// Where the next chunk is written.
    end: u64,
    /// How many rows of the next image have come.
    rows: usize,
}

/// What compresses an image writes into the file, at places before `end`.
struct Room<'a> {
    file: &'a ResumableFile,
    place: u64,
    end: u64,
}

impl Write for Room<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.end.saturating_sub(self.place) < bytes.len() as u64 {
            let problem = "a compressed image is larger than there is room for; write .tif or .npy";
            return Err(std::io::Error::other(problem));
        }
        write_all_at(self.file.file(), bytes, self.place)?;
        self.place += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Compressed {
    fn new(stack: TypedStack, dataset: Dataset) -> Result<Self> {
        let file = ResumableFile::open(&stack.path, stack.resume)?;
        // What stands where the finished file has its beginning says what is in the file.
        let mark = dataset.mark();
        let mut new = Self { stack, dataset, file, chunks: Vec::new(), end: START, rows: 0 };
        if new.stack.written == 0 {
            new.file.file().set_len(0).map_err(|error| new.file.failed(error))?;
            new.file.write_at(&mark, 0)?;
            return Ok(new);
        }
        let mut found = vec![0; mark.len()];
        let length = new.file.file().metadata().map_err(|error| new.file.failed(error))?.len();
        // A program that was killed when all was written, and the file had not got its name, has left the beginning of a finished one.
        let is_known = new.file.read_at(&mut found, 0).is_ok() && (found == mark || is_finished(&found));
        if !is_known {
            return Err(not_there(&new.stack));
        }
        new.file.write_at(&mark, 0)?;
        for number in 0..new.stack.written as u64 {
            let mut record = [0; RECORD_BYTES as usize];
            let is_there = new.file.read_at(&mut record, new.end).is_ok();
            let (which, bytes) =
                (u64::from_le_bytes(first(&record)), u64::from_le_bytes(first(&record[8..])));
            let address = new.end + RECORD_BYTES;
            let end = address.checked_add(bytes).filter(|end| *end <= length);
            let (true, true, Some(end), Ok(bytes)) = (is_there, which == number, end, u32::try_from(bytes))
            else {
                return Err(not_there(&new.stack));
            };
            new.chunks.push(StoredChunk { address, bytes });
            new.end = end;
        }
        // An image of which the program wrote a part only.
        new.file.file().set_len(new.end).map_err(|error| new.file.failed(error))?;
        Ok(new)
    }

    /// The bytes of an image that is not compressed.
    fn image_bytes(&self) -> u64 {
        // Checked to be less than 4 GiB when the file was begun.
        (self.stack.extent.y * self.stack.extent.x * self.stack.channels * bytes_of(self.stack.numbers))
            as u64
    }

    /// Where rows of the next image wait: behind all that this can become when it is compressed.
    fn waiting(&self) -> u64 {
        let bytes = self.image_bytes();
        self.end + RECORD_BYTES + bytes + bytes / 64 + 4096
    }

    /// Puts rows of the next image where they wait: the first bytes of the numbers of all its channels, then the second ones, and so on.
    fn put_rows(&mut self, part: &Window, numbers: &DecodingResult) -> Result<()> {
        let (x, channels) = (self.stack.extent.x, self.stack.channels);
        let (plane, pixels) = (self.stack.extent.y * x, part.extent.y * x);
        let waiting = self.waiting();
        let mut bytes = Vec::with_capacity(pixels);
        for place in 0..bytes_of(self.stack.numbers) {
            for channel in 0..channels {
                bytes.clear();
                each_type!(numbers, values => {
                    let values = &values[channel * pixels..(channel + 1) * pixels];
                    bytes.extend(values.iter().map(|number| number.to_le_bytes()[place]));
                });
                let at = (place * channels + channel) * plane + part.y * x;
                self.file.write_at(&bytes, waiting + at as u64)?;
            }
        }
        self.rows = part.rows().end;
        if self.rows == self.stack.extent.y {
            self.rows = 0;
            self.pack_waiting()?;
        }
        Ok(())
    }

    /// Compresses the image whose rows wait, so that the chunk is the one that [`packed`] makes.
    fn pack_waiting(&mut self) -> Result<()> {
        let (waiting, address) = (self.waiting(), self.end + RECORD_BYTES);
        let planes = bytes_of(self.stack.numbers) * self.stack.channels;
        let plane = self.stack.extent.y * self.stack.extent.x;
        let room = Room { file: &self.file, place: address, end: waiting.min(address + u64::from(u32::MAX)) };
        let mut packer = ZlibEncoder::new(BufWriter::with_capacity(1 << 20, room), Compression::new(LEVEL));
        let mut bytes = Vec::with_capacity(SOME);
        for number in 0..planes {
            for start in (0..plane).step_by(SOME) {
                bytes.resize(SOME.min(plane - start), 0);
                self.file.read_at(&mut bytes, waiting + (number * plane + start) as u64)?;
                packer.write_all(&bytes).map_err(|error| self.file.failed(error))?;
            }
        }
        let room = packer.finish().and_then(|writer| writer.into_inner().map_err(IntoInnerError::into_error));
        let end = room.map_err(|error| self.file.failed(error))?.place;
        self.add_chunk(address, (end - address) as u32)?;
        self.file.file().set_len(self.end).map_err(|error| self.file.failed(error))
    }

    /// Adds what says of the next chunk, which is in the file, what it is.
    fn add_chunk(&mut self, address: u64, bytes: u32) -> Result<()> {
        let mut record = (self.chunks.len() as u64).to_le_bytes().to_vec();
        record.extend(u64::from(bytes).to_le_bytes());
        self.file.write_at(&record, self.end)?;
        self.chunks.push(StoredChunk { address, bytes });
        self.end = address + u64::from(bytes);
        Ok(())
    }
}

fn first(bytes: &[u8]) -> [u8; 8] {
    bytes.first_chunk().copied().unwrap_or_default()
}

impl StackFile for Compressed {
    fn takes_parts(&self) -> bool {
        false
    }

    fn takes_rows(&self) -> bool {
        true
    }

    fn put(&mut self, part: Window, numbers: DecodingResult) -> Result<()> {
        check_part(&self.stack, &part, &numbers)?;
        let next = self.chunks.len();
        let is_next = part.z == next && part.y == self.rows && part.columns() == (0..self.stack.extent.x);
        if is_next && part.extent.z == 1 && part.extent.y < self.stack.extent.y {
            return self.put_rows(&part, &numbers);
        }
        let whole = Window {
            z: next,
            y: 0,
            x: 0,
            extent: crate::geometry::Extent { z: part.extent.z, ..self.stack.extent },
        };
        if part != whole || self.rows > 0 {
            return Err(Error::Mismatch(format!(
                "{} was given {part}, but it is the turn of row {} of image {next}; write whole images one after the other, or whole rows of one",
                self.stack.path.display(),
                self.rows
            )));
        }
        let (images, channels) = (part.extent.z, self.stack.channels);
        let plane = self.stack.extent.y * self.stack.extent.x;
        let element = bytes_of(self.stack.numbers);
        let pack = |image: usize| {
            let from = |channel: usize| (channel * images + image) * plane;
            let planes = (0..channels).map(|channel| from(channel)..from(channel) + plane);
            packed(&numbers, planes, element)
        };
        let cores = rayon::current_num_threads().max(1);
        // As many at a time as there are cores, so that few images are there besides what was given.
        for some in (0..images).collect::<Vec<_>>().chunks(cores) {
            let packed: Vec<std::io::Result<Vec<u8>>> = some.par_iter().map(|image| pack(*image)).collect();
            for packed in packed {
                let packed = packed.map_err(|error| self.file.failed(error))?;
                let bytes = u32::try_from(packed.len()).map_err(|_| {
                    Error::output(
                        &self.stack.path,
                        "an image has more than 4 GiB when it is compressed; write .tif or .npy",
                    )
                })?;
                let address = self.end + RECORD_BYTES;
                self.file.write_at(&packed, address)?;
                self.add_chunk(address, bytes)?;
            }
        }
        Ok(())
    }

    fn keep(&mut self) {
        self.file.keep();
    }

    fn done(self: Box<Self>) -> Result<()> {
        if self.chunks.len() != self.stack.extent.z {
            let problem = format!(
                "{} of {} images have been written; write all of them first",
                self.chunks.len(),
                self.stack.extent.z
            );
            return Err(Error::output(&self.stack.path, problem));
        }
        let start = self.end.next_multiple_of(8);
        let (metadata, root) =
            self.dataset.metadata(start, &Storage::Chunks { chunks: &self.chunks, level: LEVEL });
        let superblock = Dataset::superblock(root, start + metadata.len() as u64);
        self.file.write_at(&metadata, start)?;
        self.file.write_at(&superblock, 0)?;
        self.file.done(start + metadata.len() as u64)
    }
}

/// Numbers of `element` bytes that lie at `planes`, compressed: the first bytes of all of them, then the second ones, and so on, as these
/// are alike, and so shorter when they are compressed. Only a few of them are there besides as bytes.
fn packed(
    numbers: &DecodingResult,
    planes: impl Iterator<Item = Range<usize>> + Clone,
    element: usize,
) -> std::io::Result<Vec<u8>> {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::new(LEVEL));
    let mut bytes = Vec::with_capacity(SOME);
    for place in 0..element {
        for plane in planes.clone() {
            each_type!(numbers, values => for some in values[plane].chunks(SOME) {
                bytes.clear();
                bytes.extend(some.iter().map(|number| number.to_le_bytes()[place]));
                packed.write_all(&bytes)?;
            });
        }
    }
    packed.finish()
}
