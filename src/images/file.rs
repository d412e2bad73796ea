//! Opening an image file: the one place where that is done.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::error::{Error, Result};

/// What kind of file the first bytes say it is; its name does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Png,
    Jpeg,
    Tiff,
    Npy,
    /// A zip file, which NumPy's `.npz` files are.
    Zip,
    Gzip,
    Hdf5,
    Mrc,
    Nifti,
    Empty,
    Other,
}

impl Format {
    /// Whether it holds an array of any number of axes, which is not decoded page by page.
    pub(super) fn is_array(self) -> bool {
        matches!(self, Format::Npy | Format::Zip | Format::Gzip | Format::Hdf5 | Format::Mrc | Format::Nifti)
    }
}

/// As many bytes as the latest mark of a format needs.
const MARK_BYTES: u64 = 352;

/// What kind of file begins with these bytes.
pub(super) fn format_of(start: &[u8]) -> Format {
    match start {
        [] => Format::Empty,
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Format::Png,
        [0x89, b'H', b'D', b'F', b'\r', b'\n', 0x1a, b'\n', ..] => Format::Hdf5,
        [0xff, 0xd8, 0xff, ..] => Format::Jpeg,
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Format::Tiff,
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Format::Npy,
        [b'P', b'K', 3, 4, ..] => Format::Zip,
        [0x1f, 0x8b, 8, ..] => Format::Gzip,
        _ if matches!(start.get(344..348), Some(b"n+1\0" | b"ni1\0")) => Format::Nifti,
        _ if matches!(start.get(4..8), Some(b"n+2\0" | b"ni2\0")) => Format::Nifti,
        _ if start.get(208..211) == Some(b"MAP") => Format::Mrc,
        _ => Format::Other,
    }
}

/// Opens the file at `path`, and tells from its first bytes what it is. Reading goes on at its start.
///
/// # Errors
/// [`Error::Input`] when it cannot be read, or is no file but a folder or a pipe.
pub(super) fn open(path: &Path) -> Result<(File, Format)> {
    #[cfg(test)]
    openings::OPENINGS.set(openings::OPENINGS.get() + 1);
    let unreadable = |error: std::io::Error| {
        Error::input(path, format!("cannot be read: {error}; check the path and its permissions"))
    };
    // Opening a named pipe would wait for a program that writes to it.
    let kind = std::fs::metadata(path).map_err(unreadable)?;
    if kind.is_dir() {
        return Err(Error::input(path, "is a folder; wanted one image"));
    }
    if !kind.is_file() {
        let problem = "is a pipe, a socket or a device; wanted a file, as images are read more than once: write what comes from it to a file first";
        return Err(Error::input(path, problem));
    }
    let mut file = File::open(path).map_err(unreadable)?;
    let mut start = Vec::new();
    (&file).take(MARK_BYTES).read_to_end(&mut start).map_err(unreadable)?;
    file.rewind().map_err(unreadable)?;
    let format = format_of(&start);
    Ok((file, format))
}

/// Whether the file at `path` ends as its format says that it does, as far as formats have a mark for that: PNG and JPEG. Their
/// pixels may be whole though the end is missing, such as while it is being written.
///
/// # Errors
/// [`Error::Input`] when it cannot be read.
pub(crate) fn has_end_mark(path: &Path) -> Result<bool> {
    let (mut file, format) = open(path)?;
    let mark: &[u8] = match format {
        Format::Png => b"IEND\xae\x42\x60\x82",
        Format::Jpeg => b"\xff\xd9",
        _ => return Ok(true),
    };
    let mut end = Vec::new();
    let found = file.seek(SeekFrom::End(-(mark.len() as i64))).and_then(|_| file.read_to_end(&mut end));
    Ok(found.is_ok() && end == mark)
}

/// The error for a file that is neither PNG nor JPEG nor TIFF.
pub(super) fn not_an_image(path: &Path, format: Format) -> Error {
    match format {
        Format::Empty => Error::input(path, "is empty (0 bytes); copy or export the image again"),
        _ => Error::input(
            path,
            "is not a PNG or TIFF image, nor JPEG, HDF5, Zarr, NPY, MRC or NIfTI; convert it to PNG or TIFF, or say with `raw` how its numbers lie",
        ),
    }
}

/// How often files have been opened, for tests that say how often that may be.
#[cfg(test)]
pub(super) mod openings {
    use std::cell::Cell;

    thread_local! {
        pub(in crate::images) static OPENINGS: Cell<usize> = const { Cell::new(0) };
    }

    /// What `work` gives, and how many files it opened on this thread.
    pub(in crate::images) fn counted<T>(work: impl FnOnce() -> T) -> (T, usize) {
        let before = OPENINGS.get();
        let result = work();
        (result, OPENINGS.get() - before)
    }
}
