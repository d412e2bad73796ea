//! Event files that TensorBoard shows: numbers and pictures over the steps of a run.
//!
//! - [`EventFile`]: such a file, to which events are added.
//! - `event`: the messages, `record`: how they lie in the file.
//!
//! Knows nothing of training; no TensorFlow is needed.

mod event;
mod record;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use event::{What, event};
use record::record;

use crate::{Error, Result};

/// A file of events. What was added is in the file when the call returns.
///
/// TensorBoard follows a file while it grows, so this is the one file that is not written beside its place; a program
/// that is killed leaves at most its last event unfinished, which TensorBoard does not show.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Begins a new file in `folder` for events after step `step`. Where the folder has files of an earlier part of the run,
    /// TensorBoard discards what they hold about later steps.
    ///
    /// # Errors
    /// [`Error::Output`] when it cannot be made.
    pub fn create(folder: &Path, step: u64) -> Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        // TensorBoard goes by "tfevents" in the name, and reads files in the order of their names.
        let path = folder.join(format!("events.out.tfevents.{now:020}.msd-gpu"));
        let file = File::options().write(true).create_new(true).open(&path);
        let file = file.map_err(|e| {
            Error::output(&path, format!("{e}; leave `tensorboard` out, or choose a folder you may write to"))
        })?;
        let mut events = Self { path, file };
        events.add(0, &What::Version)?;
        events.add(step + 1, &What::Start)?;
        Ok(events)
    }

    /// Adds numbers, each with a name such as `loss/training`; those that are not finite are left out.
    ///
    /// # Errors
    /// [`Error::Output`] when it cannot be written.
    pub fn add_scalars(&mut self, step: u64, scalars: &[(String, f64)]) -> Result<()> {
        let finite: Vec<_> = scalars.iter().filter(|(_, value)| value.is_finite()).cloned().collect();
        if finite.is_empty() { Ok(()) } else { self.add(step, &What::Scalars(&finite)) }
    }

    /// Adds the bytes of an RGB PNG image of `height` x `width` pixels.
    ///
    /// # Errors
    /// [`Error::Output`] when it cannot be written.
    pub fn add_png(&mut self, step: u64, name: &str, size: (usize, usize), png: &[u8]) -> Result<()> {
        self.add(step, &What::Image { name, height: size.0, width: size.1, png })
    }

    fn add(&mut self, step: u64, what: &What) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        // Each record is written in one call, so that a program that reads the file meanwhile seldom finds half a record.
        self.file
            .write_all(&record(&event(now, step, what)))
            .map_err(|e| Error::output(&self.path, format!("{e}; check the free space and try again")))
    }
}
