//! Files that appear whole or not at all.
//!
//! Everything is written to a hidden temporary file in the same folder and renamed once it is complete,
//! so that a stopped program leaves no half-written file under a name that somebody will read.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempPath};
use twox_hash::XxHash3_128;

use super::leftovers::UNFINISHED;
use crate::error::{Error, Result};

/// Writes `bytes` to the file `path`, whole or not at all, over what was there.
///
/// # Errors
/// [`Error::Output`] when the folder is missing or cannot be written, or the disk is full.
pub fn write_bytes_atomic(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    write_atomic(path.as_ref(), |file| file.write_all(bytes))
}

/// Lets `fill` write a temporary file and gives it the name `path` when that succeeded.
///
/// # Errors
/// As [`write_bytes_atomic`]; what `fill` fails with.
pub fn write_atomic(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<&mut File>) -> std::io::Result<()>,
) -> Result<()> {
    let mut unfinished = UnfinishedFile::create(path)?;
    let mut writer = BufWriter::with_capacity(1 << 18, unfinished.file.as_file_mut());
    let written = fill(&mut writer).and_then(|()| writer.flush());
    drop(writer);
    written.map_err(|error| unfinished.failed(error))?;
    unfinished.done()
}

/// The system's error for a temporary file in `folder`, without the file's name, which means nothing to anyone.
pub(super) fn without_temporary_name(error: &std::io::Error, folder: &Path) -> std::io::Error {
    // A folder that is missing says so itself; of other errors only the kind is known.
    std::fs::metadata(folder).err().unwrap_or_else(|| error.kind().into())
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The error where no file can be made that will be called `path`.
fn takes_no_files(path: &Path, error: &std::io::Error) -> Error {
    let folder = folder_of(path);
    let error = without_temporary_name(error, folder);
    let way_out = if folder.is_dir() { "choose a folder you may write to" } else { "make the folder first" };
    let problem = format!("the folder {} takes no files: {error}; {way_out}", folder.display());
    Error::output(path, problem).caused_by(error)
}

/// What the file that will be called `path` is called while it is unfinished, whichever program writes it.
fn resumable_name(path: &Path) -> OsString {
    const MOST_BYTES: usize = 200;
    let mut name = OsString::from(UNFINISHED.0);
    let last = path.file_name().unwrap_or_default();
    if last.len() <= MOST_BYTES {
        name.push(last);
    } else {
        // Names have 255 bytes at most.
        let hash = XxHash3_128::oneshot(last.as_encoded_bytes());
        name.push(format!("{hash:032x}"));
    }
    name.push(UNFINISHED.1);
    name
}

/// A file that is written bit by bit and gets its name when all of it is there. Dropped before, nothing is left of it.
#[derive(Debug)]
pub struct UnfinishedFile {
    path: PathBuf,
    file: NamedTempFile,
}

impl UnfinishedFile {
    /// Begins a file that will be called `path`.
    ///
    /// # Errors
    /// [`Error::Output`] when the folder is missing or takes no files.
    pub fn create(path: &Path) -> Result<Self> {
        let folder = folder_of(path);
        let mut builder = tempfile::Builder::new();
        builder.prefix(UNFINISHED.0).suffix(UNFINISHED.1);
        // Others at the beamline read the results: give the rights an ordinary new file has.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(folder).map_err(|error| takes_no_files(path, &error))?;
        Ok(Self { path: path.to_path_buf(), file })
    }

    /// Begins a file that will be called `path`, or goes on with one that a killed program began; the second of the pair says
    /// that there was one. Unlike that of [`UnfinishedFile::create`], its name is always the same, and it stays when this is
    /// dropped, so that it is found again; [`super::remove_unfinished`] removes it.
    ///
    /// # Errors
    /// As [`UnfinishedFile::create`].
    pub fn resume(path: &Path) -> Result<(Self, bool)> {
        let hidden = path.with_file_name(resumable_name(path));
        let was_there = hidden.is_file();
        let opened = File::options().read(true).write(true).create(true).truncate(false).open(&hidden);
        let file = opened.and_then(|file| {
            let mut hidden = TempPath::try_from_path(hidden)?;
            hidden.disable_cleanup(true);
            Ok(NamedTempFile::from_parts(file, hidden))
        });
        let file = file.map_err(|error| takes_no_files(path, &error))?;
        Ok((Self { path: path.to_path_buf(), file }, was_there))
    }

    /// Removes the file.
    pub fn discard(self) {
        let mut file = self.file;
        file.disable_cleanup(false);
    }

    /// The file, to be written.
    pub fn file(&self) -> &File {
        self.file.as_file()
    }

    /// The error for what could not be written.
    pub fn failed(&self, error: std::io::Error) -> Error {
        Error::output(&self.path, format!("{error}; check the free space and try again")).caused_by(error)
    }

    /// Gives the file its name, over what was there.
    ///
    /// # Errors
    /// [`Error::Output`] when the disk turns out to be full, or the name is taken by a folder.
    pub fn done(self) -> Result<()> {
        // Network file systems report a full disk only now.
        self.file().sync_all().map_err(|error| self.failed(error))?;
        let Self { path, file } = self;
        file.persist(&path).map_err(|error| {
            let problem = format!("{}; remove what is there or choose another name", error.error);
            Error::output(&path, problem).caused_by(error.error)
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_is_an_error_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        write_bytes_atomic(&file, b"x").unwrap();
        let error = write_bytes_atomic(file.join("in_a_file.csv"), b"y").unwrap_err().to_string();
        assert!(error.contains("cannot write") && error.contains("make the folder first"), "{error}");
        let error = write_bytes_atomic(folder.path().join("missing/a.csv"), b"y").unwrap_err();
        assert!(error.to_string().contains("make the folder first"), "{error}");
        // Only what the caller named is named.
        assert!(!error.to_string().contains(UNFINISHED.0), "{error}");
        let Error::Output { cause: Some(cause), .. } = &error else { panic!("wanted a cause of {error}") };
        assert!(cause.io().is_some_and(|cause| cause.raw_os_error().is_some()), "{cause}");
        // A folder stands where the file should go, so only the renaming fails.
        std::fs::create_dir_all(folder.path().join("taken/inside")).unwrap();
        assert!(write_bytes_atomic(folder.path().join("taken"), b"y").is_err());
        let mut left: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["file", "taken"]);
    }

    #[test]
    fn a_file_that_was_begun_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.npy".to_owned(), "long".repeat(60)] {
            let path = folder.path().join(name);
            let (begun, was_there) = UnfinishedFile::resume(&path).unwrap();
            assert!(!was_there);
            begun.file().write_all(b"first").unwrap();
            drop(begun);
            let (begun, was_there) = UnfinishedFile::resume(&path).unwrap();
            assert!(was_there && !path.exists());
            begun.done().unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), b"first");
            UnfinishedFile::resume(&path).unwrap().0.discard();
            assert!(!UnfinishedFile::resume(&path).unwrap().1);
            crate::files::remove_unfinished(folder.path());
            assert!(!UnfinishedFile::resume(&path).unwrap().1);
            crate::files::remove_unfinished(folder.path());
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
        assert!(UnfinishedFile::resume(&folder.path().join("missing/a.npy")).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn files_have_the_rights_of_ordinary_files() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (ours, ordinary) = (folder.path().join("ours"), folder.path().join("ordinary"));
        write_bytes_atomic(&ours, b"x").unwrap();
        std::fs::write(&ordinary, b"x").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&ordinary));
    }
}
