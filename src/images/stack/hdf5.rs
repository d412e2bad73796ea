//! Stacks in HDF5 files, one dataset `[image][channel][y][x]`.
//!
//! Values lie one behind the other, at places that are known beforehand ([`ArrayFile`]). Labels are compressed, a chunk for each
//! image: these are written one after the other, each with its number and its length, so that a killed program finds them again;
//! what says where they lie comes when all are there.

use std::io::Write;
use std::ops::Range;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use rayon::prelude::*;
use tiff::decoder::DecodingResult;

use super::array_file::{ArrayFile, Behind, bytes_of, check_part, not_there};
use super::hdf5_format::{Dataset, START, Storage, StoredChunk, attributes_of, is_finished};
use super::{StackFile, TypedStack};
use crate::error::{Error, Result};
use crate::files::ResumableFile;
use crate::geometry::Window;
use crate::images::decoded::each_type;
use crate::images::source::SampleKind;

/// How hard labels are compressed: more takes much longer for little.
const LEVEL: u32 = 4;
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
}

impl Compressed {
    fn new(stack: TypedStack, dataset: Dataset) -> Result<Self> {
        let file = ResumableFile::open(&stack.path, stack.resume)?;
        // What stands where the finished file has its beginning says what is in the file.
        let mark = dataset.mark();
        let mut new = Self { stack, dataset, file, chunks: Vec::new(), end: START };
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
}

fn first(bytes: &[u8]) -> [u8; 8] {
    bytes.first_chunk().copied().unwrap_or_default()
}

impl StackFile for Compressed {
    fn takes_parts(&self) -> bool {
        false
    }

    fn put(&mut self, part: Window, numbers: DecodingResult) -> Result<()> {
        check_part(&self.stack, &part, &numbers)?;
        let next = self.chunks.len();
        let whole = Window {
            z: next,
            y: 0,
            x: 0,
            extent: crate::geometry::Extent { z: part.extent.z, ..self.stack.extent },
        };
        if part != whole {
            return Err(Error::Mismatch(format!(
                "{} was given {part}, but it is the turn of image {next}; write whole images one after the other",
                self.stack.path.display()
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
                let mut record = (self.chunks.len() as u64).to_le_bytes().to_vec();
                record.extend(u64::from(bytes).to_le_bytes());
                let address = self.end + RECORD_BYTES;
                self.file.write_at(&packed, address)?;
                self.file.write_at(&record, self.end)?;
                self.chunks.push(StoredChunk { address, bytes });
                self.end = address + u64::from(bytes);
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
    /// Bytes that are compressed at a time.
    const SOME: usize = 1 << 16;
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
