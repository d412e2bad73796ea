//! How many slices of a reconstruction are written, kept in a file, so that another run goes on where a killed one ended.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::files::{ResumableFile, read_text, unfinished_name};

/// A journal has a line for each slab.
const MOST_BYTES: u64 = 64 << 20;

/// The journal of volumes, in a hidden file beside the first of them, which goes away with it unless it is kept.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    work: String,
    done: usize,
    file: Option<File>,
    kept: bool,
}

impl Journal {
    /// The journal of volumes of which `out` is the first; `work` tells them from others. With `resume`, what an earlier run has
    /// done is taken over.
    ///
    /// # Errors
    /// [`Error::Setting`] where the earlier run did something else, [`Error::Input`] when it cannot be read.
    pub(super) fn open(out: &Path, work: &str, resume: bool) -> Result<Self> {
        let mut name = out.file_name().unwrap_or_default().to_owned();
        name.push(".slices");
        let path = unfinished_name(&out.with_file_name(name));
        let mut journal = Self { path, work: work.to_owned(), done: 0, file: None, kept: false };
        if !resume || !journal.path.exists() {
            return Ok(journal);
        }
        let text = read_text(&journal.path, MOST_BYTES)?.unwrap_or_default();
        let mut lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(str::trim_end);
        match lines.next() {
            Some(first) if first == work => {
                journal.done = lines.filter_map(|line| line.parse().ok()).max().unwrap_or(0);
                Ok(journal)
            }
            Some(_) => Err(Error::setting(
                "resume",
                format!("given, but {} was begun with other files or settings", out.display()),
                "give the same as before, or leave `resume` out to begin anew",
            )),
            None => Ok(journal),
        }
    }

    /// How many slices are done.
    pub(super) fn done(&self) -> usize {
        self.done
    }

    /// Writes what is taken over.
    ///
    /// # Errors
    /// [`Error::Output`] when it cannot be written.
    pub(super) fn begin(&mut self) -> Result<()> {
        let text = format!("{}\n{}\n", self.work, self.done);
        let whole = ResumableFile::open(&self.path, false)?;
        whole.write_at(text.as_bytes(), 0)?;
        whole.done(text.len() as u64)?;
        let file = File::options().append(true).open(&self.path);
        self.file = Some(file.map_err(|error| self.failed(error))?);
        Ok(())
    }

    /// Says that so many slices are in their files.
    ///
    /// # Errors
    /// [`Error::Output`] when it cannot be written.
    pub(super) fn add(&mut self, done: usize) -> Result<()> {
        self.done = done;
        let line = format!("{done}\n");
        let written = self.file.as_mut().map_or(Ok(()), |file| file.write_all(line.as_bytes()));
        written.map_err(|error| self.failed(error))
    }

    /// Leaves the file for another run.
    pub(super) fn keep(&mut self) {
        self.kept = true;
    }

    fn failed(&self, error: std::io::Error) -> Error {
        Error::output(&self.path, format!("{error}; check the disk")).caused_by(error)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if self.file.is_some() && !self.kept {
            // A file that stays is written over by the next run.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
