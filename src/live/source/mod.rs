//! What is watched: a folder that files come into, or an array or stack that grows.

mod folder;
mod growing;

use std::fs::Metadata;
use std::time::{Instant, SystemTime};

use super::arrivals::{Arrivals, Seen, Stamp};
use crate::Result;
use crate::images::ImageSource;

pub(super) use folder::Folder;
pub(super) use growing::Growing;

/// What a look at a source finds.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) seen: Vec<Seen>,
    /// Names of all files that are there, where those that are not are to be forgotten.
    pub(super) names: Option<std::collections::HashSet<String>>,
}

/// Something that is looked at again and again.
pub(super) trait Source: Send {
    /// What is there `now`; of what is over as `arrivals` says, at least now and then, as far as it can change.
    ///
    /// # Errors
    /// Where looking again will not help.
    fn look(&mut self, arrivals: &Arrivals, now: Instant) -> Result<Look>;

    /// What messages call something that was seen.
    fn name(&self, key: &str) -> String;

    /// The image that was seen with this key, where the source knows it without another look at the file.
    fn image(&self, key: &str) -> Option<ImageSource>;

    /// What has been wrong with all of it for a while, if that has not been said before.
    fn trouble(&mut self) -> Option<String>;
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self { bytes: metadata.len(), modified: nanoseconds(metadata.modified().ok()) }
    }
}

/// Since 1970; 0 for what is not known.
fn nanoseconds(time: Option<SystemTime>) -> u64 {
    let since = time.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
