//! Who is told what happens in a watch, and what.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::latency::Pace;
use crate::watcher::Flow;
use crate::{Error, Result};

/// An image whose results are there.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Done<'a> {
    /// What messages call it.
    pub name: &'a str,
    /// The file that it is in, and for an array which slice it is.
    pub path: &'a Path,
    /// The number of the slice, where a stack or array is watched.
    pub slice: Option<usize>,
    /// Its results.
    pub files: &'a [PathBuf],
    /// How long its results were there after it was first seen as it is; `None` where they were there before.
    pub latency: Option<Duration>,
    /// How many images have been done.
    pub count: u64,
    /// How many are ready to be done.
    pub waiting: usize,
    /// Latency and rate of the last images.
    pub pace: Pace,
}

/// Is told what happens in a watch.
pub trait Viewer {
    /// The results of an image are there. Unless it gives `true`, a later watch tells of them again.
    ///
    /// # Errors
    /// Whatever is to end the watch.
    fn done(&mut self, done: &Done<'_>) -> Result<bool>;

    /// An image cannot be used. It may be done later, if it changes.
    fn failed(&mut self, name: &str, error: &Error);

    /// An image is passed over, as the [`Policy`](super::Policy) says.
    fn passed_over(&mut self, name: &str) {
        let _ = name;
    }

    /// Whether the watch goes on. Where it does not, what is being done is finished.
    fn flow(&mut self) -> Flow {
        Flow::Continue(())
    }
}

/// What became of a watch.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// Images that were done.
    pub done: u64,
    /// Images that were not done, as their results were there.
    pub before: u64,
    /// Those of them of whose results it is not known what made them.
    pub unknown: u64,
    /// Images that were passed over, as the [`Policy`](super::Policy) says.
    pub passed_over: u64,
    /// Images that could not be used.
    pub failed: usize,
    /// Images that were there and ready when the watch ended.
    pub waiting: usize,
    /// Files that were still being written then.
    pub changing: usize,
    /// Slices that were there and waited for neighbours, which the models take too.
    pub held: usize,
    /// Latency and rate of the last images.
    pub pace: Pace,
}
