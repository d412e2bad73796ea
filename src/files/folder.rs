//! Folders that results go into: made and tried beforehand, and taken by one program at a time.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use super::atomic::without_temporary_name;
use super::leftovers::UNFINISHED;
use crate::error::{Error, Result};

/// Creates the folder and checks that files can be written there, so that this does not fail only after hours of work.
///
/// # Errors
/// [`Error::Output`] when it cannot be made, or takes no files.
pub fn make_and_try(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| {
        let problem = format!("the folder cannot be made: {error}; name another with `out`");
        Error::output(folder, problem).caused_by(error)
    })?;
    // Called as unfinished files are: where a program is killed now, the next one removes it.
    let trial = tempfile::Builder::new().prefix(UNFINISHED.0).suffix(UNFINISHED.1).tempfile_in(folder);
    trial.map(drop).map_err(|error| {
        let error = without_temporary_name(&error, folder);
        let problem = format!("the folder takes no files: {error}; name another with `out`");
        Error::output(folder, problem).caused_by(error)
    })
}

/// The name of the file that is locked.
const LOCK: &str = ".msd-gpu.lock";

/// A folder that no other program takes while this is kept. The system ends it with the program, however that ends.
#[derive(Debug)]
pub struct FolderLock {
    path: PathBuf,
    /// Locked as long as it is open; `None` where the file system has no locks.
    file: Option<File>,
}

impl FolderLock {
    /// Takes `folder`, which must be there.
    ///
    /// # Errors
    /// [`Error::Output`] when another program has it, or when it takes no files.
    pub fn take(folder: &Path) -> Result<Self> {
        let problem =
            "another run of msd-gpu is writing there; wait for its end, or name another folder with `out`";
        Self::take_part(folder, "", problem)
    }

    /// As [`FolderLock::take`], of what programs that share the folder call `part`; `problem` is what is said where another has it.
    ///
    /// # Errors
    /// As [`FolderLock::take`].
    pub fn take_part(folder: &Path, part: &str, problem: &str) -> Result<Self> {
        let path = folder.join(format!("{LOCK}{part}"));
        loop {
            let file = File::options().write(true).create(true).truncate(false).open(&path);
            let file = file.map_err(|error| {
                let problem = format!("the folder takes no files: {error}; name another with `out`");
                Error::output(folder, problem).caused_by(error)
            })?;
            match file.try_lock() {
                // The program that had the lock before may have removed the file after it was opened here.
                Ok(()) if !is_at(&file, &path) => {}
                Ok(()) => return Ok(Self { path, file: Some(file) }),
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::output(folder, problem));
                }
                Err(TryLockError::Error(error)) => {
                    log::debug!("{} cannot be locked: {error}", path.display());
                    return Ok(Self { path, file: None });
                }
            }
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Removed while it is locked: a program that comes now makes a new one.
        if let Err(error) = std::fs::remove_file(&self.path) {
            log::debug!("{} cannot be removed: {error}", self.path.display());
        }
        self.file = None;
    }
}

/// Whether `file` is still what `path` names.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |metadata: &std::fs::Metadata| (metadata.dev(), metadata.ino());
    matches!((file.metadata(), std::fs::metadata(path)), (Ok(a), Ok(b)) if id(&a) == id(&b))
}

/// Elsewhere a file that is open keeps its name.
#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_taken_once_and_free_again_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let names = || std::fs::read_dir(folder.path()).unwrap().count();
        let lock = FolderLock::take(folder.path()).unwrap();
        let error = FolderLock::take(folder.path()).unwrap_err().to_string();
        assert!(error.contains("another run"), "{error}");
        drop(lock);
        assert_eq!(names(), 0);
        // What a killed program left is no lock.
        std::fs::write(folder.path().join(LOCK), b"").unwrap();
        drop(FolderLock::take(folder.path()).unwrap());
        assert_eq!(names(), 0);
    }

    #[test]
    fn a_folder_is_made_and_leaves_no_trace_of_the_trial() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        make_and_try(&inner).unwrap();
        assert_eq!(std::fs::read_dir(&inner).unwrap().count(), 0);
        std::fs::write(folder.path().join("file"), b"x").unwrap();
        assert!(make_and_try(&folder.path().join("file/c")).unwrap_err().to_string().contains("`out`"));
    }
}
