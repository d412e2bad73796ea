//! Unfinished files that a program goes on with after it was killed.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use twox_hash::XxHash3_128;

use super::leftovers::UNFINISHED;
use crate::error::{Error, Result};

/// A file that is written at any places, under a hidden name beside its own until all of it is there.
///
/// Dropped before, it is removed, unless [`ResumableFile::keep`] was said; a program that is killed leaves it in any case. Then
/// another program finds it by its name and goes on.
#[derive(Debug)]
pub struct ResumableFile {
    path: PathBuf,
    unfinished: PathBuf,
    file: File,
    kept: bool,
    is_done: bool,
}

/// The hidden name of what will be called `path` once it is finished.
pub fn unfinished_name(path: &Path) -> PathBuf {
    const MOST_BYTES: usize = 200;
    let mut name = OsString::from(UNFINISHED.0);
    let last = path.file_name().unwrap_or_default();
    if last.len() <= MOST_BYTES {
        name.push(last);
    } else {
        // Names have 255 bytes at most.
        name.push(format!("{:032x}", XxHash3_128::oneshot(last.as_encoded_bytes())));
    }
    name.push(UNFINISHED.1);
    path.with_file_name(name)
}

impl ResumableFile {
    /// Begins a file that will be called `path`, or goes on with the unfinished one where `resume` says so and there is one.
    ///
    /// # Errors
    /// [`Error::Output`] when the folder is missing or takes no files.
    pub fn open(path: &Path, resume: bool) -> Result<Self> {
        let unfinished = unfinished_name(path);
        let file = File::options().read(true).write(true).create(true).truncate(!resume).open(&unfinished);
        let file = file.map_err(|error| {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new("."));
            let way_out =
                if folder.is_dir() { "choose a folder you may write to" } else { "make the folder first" };
            let problem = format!("the folder {} takes no files: {error}; {way_out}", folder.display());
            Error::output(path, problem).caused_by(error)
        })?;
        Ok(Self { path: path.to_path_buf(), unfinished, file, kept: false, is_done: false })
    }

    /// Leaves the unfinished file when this is dropped, for another run to go on with.
    pub fn keep(&mut self) {
        self.kept = true;
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The name that it gets.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `bytes` at `place`.
    ///
    /// # Errors
    /// [`Error::Output`] when that fails, as on a full disk.
    pub fn write_at(&self, bytes: &[u8], place: u64) -> Result<()> {
        write_all_at(&self.file, bytes, place).map_err(|error| self.failed(error))
    }

    /// Fills `bytes` with what was written at `place`.
    ///
    /// # Errors
    /// [`Error::Output`] when that fails.
    pub fn read_at(&self, bytes: &mut [u8], place: u64) -> Result<()> {
        read_exact_at(&self.file, bytes, place).map_err(|error| self.failed(error))
    }

    /// The error for what could not be written.
    pub fn failed(&self, error: io::Error) -> Error {
        Error::output(&self.path, format!("{error}; check the free space and try again")).caused_by(error)
    }

    /// Makes the file `length` bytes long and gives it its name, over what was there.
    ///
    /// # Errors
    /// [`Error::Output`] when the disk turns out to be full, or the name is taken by a folder.
    pub fn done(mut self, length: u64) -> Result<()> {
        // Network file systems report a full disk only now.
        let synced = self.file.set_len(length).and_then(|()| self.file.sync_all());
        synced.map_err(|error| self.failed(error))?;
        std::fs::rename(&self.unfinished, &self.path).map_err(|error| {
            let problem = format!("{error}; remove what is there or choose another name");
            Error::output(&self.path, problem).caused_by(error)
        })?;
        self.is_done = true;
        Ok(())
    }
}

impl Drop for ResumableFile {
    fn drop(&mut self) {
        if !self.kept
            && !self.is_done
            && let Err(error) = std::fs::remove_file(&self.unfinished)
        {
            log::debug!("{} cannot be removed: {error}", self.unfinished.display());
        }
    }
}

/// Reads at a place, whatever other threads read meanwhile.
///
/// # Errors
/// Those of the system; [`io::ErrorKind::UnexpectedEof`] where the file ends before.
#[cfg(unix)]
pub fn read_exact_at(file: &File, bytes: &mut [u8], place: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, place)
}

/// Reads at a place, whatever other threads read meanwhile.
///
/// # Errors
/// Those of the system; [`io::ErrorKind::UnexpectedEof`] where the file ends before.
#[cfg(windows)]
pub fn read_exact_at(file: &File, mut bytes: &mut [u8], mut place: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !bytes.is_empty() {
        let count = file.seek_read(bytes, place)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes = &mut bytes[count..];
        place += count as u64;
    }
    Ok(())
}

/// Writes at a place, whatever other threads write meanwhile.
///
/// # Errors
/// Those of the system.
#[cfg(unix)]
pub fn write_all_at(file: &File, bytes: &[u8], place: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, place)
}

/// Writes at a place, whatever other threads write meanwhile.
///
/// # Errors
/// Those of the system.
#[cfg(windows)]
pub fn write_all_at(file: &File, mut bytes: &[u8], mut place: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !bytes.is_empty() {
        let count = file.seek_write(bytes, place)?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[count..];
        place += count as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gets_its_name_when_it_is_done_and_another_goes_on_with_what_was_kept() {
        let folder = tempfile::tempdir().unwrap();
        let names =
            || std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect::<Vec<_>>();
        let path = folder.path().join("a.raw");
        let file = ResumableFile::open(&path, false).unwrap();
        file.write_at(b"abc", 2).unwrap();
        drop(file);
        assert!(names().is_empty());
        let mut file = ResumableFile::open(&path, false).unwrap();
        file.write_at(b"abc", 2).unwrap();
        file.keep();
        drop(file);
        assert_eq!(names(), [".msd-gpu-a.raw.part"]);
        let file = ResumableFile::open(&path, true).unwrap();
        file.write_at(b"xy", 0).unwrap();
        file.done(4).unwrap();
        assert_eq!((std::fs::read(&path).unwrap().as_slice(), names().len()), (&b"xyab"[..], 1));
        let error = ResumableFile::open(&folder.path().join("no/a.raw"), true).unwrap_err().to_string();
        assert!(error.contains("make the folder first"), "{error}");
    }
}
