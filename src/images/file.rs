//! Opening an image file: the one place where that is done.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use crate::error::{Error, Result};

/// What kind of file the first bytes say it is; its name does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Png,
    Jpeg,
    Tiff,
    Empty,
    Other,
}

/// Opens the file at `path`, and tells from its first bytes what it is. Reading goes on at its start.
///
/// # Errors
/// [`Error::Input`] when it cannot be read, or is a folder.
pub(super) fn open(path: &Path) -> Result<(File, Format)> {
    #[cfg(test)]
    openings::OPENINGS.set(openings::OPENINGS.get() + 1);
    let unreadable = |error: std::io::Error| {
        Error::input(path, format!("cannot be read: {error}; check the path and its permissions"))
    };
    let mut file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err(Error::input(path, "is a folder; wanted one PNG, JPEG or TIFF image"));
    }
    let mut magic = Vec::with_capacity(8);
    (&file).take(8).read_to_end(&mut magic).map_err(unreadable)?;
    file.rewind().map_err(unreadable)?;
    let format = match magic.as_slice() {
        [] => Format::Empty,
        b"\x89PNG\r\n\x1a\n" => Format::Png,
        [0xff, 0xd8, 0xff, ..] => Format::Jpeg,
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Format::Tiff,
        _ => Format::Other,
    };
    Ok((file, format))
}

/// The error for a file that is neither PNG nor JPEG nor TIFF.
pub(super) fn not_an_image(path: &Path, format: Format) -> Error {
    match format {
        Format::Empty => Error::input(path, "is empty (0 bytes); copy or export the image again"),
        _ => Error::input(path, "is not a PNG or TIFF image, nor JPEG; convert it to PNG or TIFF"),
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
