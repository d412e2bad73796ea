//! Arrays inside a gzip or zip file: unpacked into a temporary file, or read in place where they are stored as they are.
//!
//! Nothing is unpacked before the header of the array inside has said how much that is, and no more than that is. The
//! temporary file has no name and goes away with whoever reads it.

use std::fs::File;
use std::io::{self, Read, Seek, Write};

use flate2::read::MultiGzDecoder;
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use super::StoredArray;
use super::head::{Head, START_BYTES, start_of};
use super::list::{Candidate, chosen};
use crate::error::{Bytes, Error, Result};
use crate::images::dry_run::{is_doubtful, pass_over};
use crate::images::file::{Format, format_of};

/// How many bytes one byte of deflate can become, and some more for what stands around it.
const STRONGEST: u64 = 1100;
/// More entries of a zip file are not looked at.
const MOST_ENTRIES: usize = 10_000;

fn damaged(name: &str, kind: &str, error: io::Error) -> Error {
    Error::input(name, format!("is a damaged {kind} file ({error}); copy or export it again"))
        .caused_by(error)
}

/// The array in the gzip file `file`.
///
/// # Errors
/// [`Error::Input`] for what is damaged or no array, and where there is no room to unpack it.
pub(super) fn open_gzip(name: &str, mut file: File) -> Result<Box<dyn StoredArray>> {
    let failed = |error| damaged(name, "gzip", error);
    file.rewind().map_err(failed)?;
    let packed = file.metadata().map_err(failed)?.len();
    let mut unpacked = MultiGzDecoder::new(io::BufReader::new(&file));
    let mut start = first_bytes(&mut unpacked).map_err(failed)?;
    let Some(head) = Head::of(name, format_of(&start), &start) else {
        let problem = "is a gzip file that holds neither NIfTI nor MRC nor NPY; unpack it with gunzip";
        return Err(Error::input(name, problem));
    };
    let head = head?;
    let end = head.end(name)?;
    check_claim(name, "gzip", end, packed)?;
    if is_doubtful(packed, end) {
        (&file).rewind().map_err(failed)?;
        pass_over(MultiGzDecoder::new(io::BufReader::new(&file)), end).map_err(failed)?;
        (&file).rewind().map_err(failed)?;
        unpacked = MultiGzDecoder::new(io::BufReader::new(&file));
        start.clear();
    }
    let file = unpack(name, "gzip", &start, unpacked, end)?;
    head.open(name, file)
}

/// The array of the zip file `file` (`.npz`) that `inside` names, or the only one that can be images.
///
/// # Errors
/// As [`open_gzip`], and where it is to be said which array is meant.
pub(super) fn open_zip(name: &str, file: File, inside: Option<&str>) -> Result<Box<dyn StoredArray>> {
    let failed = |error: ZipError| damaged(name, "zip", io::Error::other(error));
    let in_place = file.try_clone().map_err(|error| damaged(name, "zip", error))?;
    let mut archive = ZipArchive::new(io::BufReader::new(file)).map_err(failed)?;
    let mut arrays = Vec::new();
    for index in 0..archive.len().min(MOST_ENTRIES) {
        let mut entry = archive.by_index_raw(index).map_err(failed)?;
        let array = entry.name().ok().and_then(|name| name.strip_suffix(".npy").map(str::to_owned));
        let Some(array) = array else { continue };
        if entry.encrypted() {
            continue;
        }
        // What is stored as it is begins with the header; of others it is unpacked.
        let start = match entry.compression() {
            CompressionMethod::Stored => first_bytes(&mut entry).map_err(ZipError::Io),
            _ => {
                drop(entry);
                archive.by_index(index).and_then(|mut entry| first_bytes(&mut entry).map_err(ZipError::Io))
            }
        };
        let head = match start {
            Ok(start) if format_of(&start) == Format::Npy => Head::of(name, Format::Npy, &start),
            Ok(_) => None,
            // Another entry may be readable.
            Err(error) => Some(Err(failed(error))),
        };
        let Some(head) = head else { continue };
        let candidate = Candidate {
            place: array,
            shape: head.as_ref().map(|head| head.layout.shape.clone()).unwrap_or_default(),
            is_readable: head.is_ok(),
        };
        arrays.push((candidate, index, head));
    }
    let candidates: Vec<&Candidate> = arrays.iter().map(|(candidate, ..)| candidate).collect();
    let wanted = inside
        .map(|inside| inside.trim_start_matches('/'))
        .map(|inside| inside.strip_suffix(".npy").unwrap_or(inside));
    let number = match wanted {
        Some(wanted) => {
            candidates.iter().position(|candidate| candidate.place == wanted).ok_or_else(|| {
                let problem =
                    format!("holds no array '{wanted}'; {}", super::list::what_there_is(&candidates));
                Error::input(name, problem)
            })?
        }
        None => chosen(name, "array", &candidates)?,
    };
    let (candidate, index, head) = arrays.swap_remove(number);
    let name = format!("{name}:{}", candidate.place);
    let head = head?;
    let failed = |error: ZipError| damaged(&name, "zip", io::Error::other(error));
    let end = head.end(&name)?;
    let entry = archive.by_index(index).map_err(failed)?;
    let packed = entry.compressed_size();
    if entry.compression() == CompressionMethod::Stored
        && let Some(place) = entry.data_start()
        && end <= entry.size()
    {
        let head = Head { offset: place.saturating_add(head.offset), ..head };
        return head.open(&name, in_place);
    }
    drop(entry);
    check_claim(&name, "zip", end, packed)?;
    if is_doubtful(packed, end) {
        let entry = archive.by_index(index).map_err(failed)?;
        pass_over(entry, end).map_err(|error| damaged(&name, "zip", error))?;
    }
    let entry = archive.by_index(index).map_err(failed)?;
    let file = unpack(&name, "zip", &[], entry, end)?;
    head.open(&name, file)
}

/// As many bytes as a header may have.
fn first_bytes(unpacked: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    unpacked.take(START_BYTES as u64).read_to_end(&mut start)?;
    Ok(start)
}

/// Refuses an array that ends behind `end` bytes, of which a file of `packed` bytes cannot have so many.
fn check_claim(name: &str, kind: &str, end: u64, packed: u64) -> Result<()> {
    if end > packed.saturating_mul(STRONGEST) {
        let problem = format!(
            "says that it holds an array of {}, which cannot be in {} of a {kind} file; copy or export it again",
            Bytes(end),
            Bytes(packed)
        );
        return Err(Error::input(name, problem));
    }
    Ok(())
}

/// A temporary file of `end` bytes: those of `start` and those that `rest` gives then.
fn unpack(name: &str, kind: &str, start: &[u8], mut rest: impl Read, end: u64) -> Result<File> {
    let no_room = |error: io::Error| {
        let problem = format!(
            "cannot be unpacked into the folder {} ({error}), which takes {}; make room there, let TMPDIR name another folder, or unpack it beforehand",
            std::env::temp_dir().display(),
            Bytes(end)
        );
        Error::input(name, problem).caused_by(error)
    };
    let mut file = tempfile::tempfile().map_err(no_room)?;
    let start = &start[..start.len().min(usize::try_from(end).unwrap_or(usize::MAX))];
    file.write_all(start).map_err(no_room)?;
    let mut left = end - start.len() as u64;
    let mut buffer = vec![0; 1 << 18];
    while left > 0 {
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = rest.read(&mut buffer[..most]).map_err(|error| damaged(name, kind, error))?;
        if count == 0 {
            break;
        }
        file.write_all(&buffer[..count]).map_err(no_room)?;
        left -= count as u64;
    }
    // Only who reads on learns whether the checksum behind the last byte is right.
    rest.read(&mut buffer[..1]).map_err(|error| damaged(name, kind, error))?;
    Ok(file)
}

/// The array in `file`, which has a header of this format.
///
/// # Errors
/// [`Error::Input`] for what is damaged or no array.
pub(super) fn open_plain(name: &str, file: File, format: Format) -> Option<Result<Box<dyn StoredArray>>> {
    let start = match start_of(name, &file, 0) {
        Ok(start) => start,
        Err(error) => return Some(Err(error)),
    };
    Some(Head::of(name, format, &start)?.and_then(|head| head.open(name, file)))
}
