//! What is watched: a folder that files come into, or an array or stack that grows.

mod folder;
mod growing;

use std::time::Instant;

use super::arrivals::{Arrivals, Seen};
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

    /// How many images are there that wait for others which are not.
    fn held(&self) -> usize {
        0
    }

    /// No more will come: what waits for more is taken as it is.
    fn end(&mut self) {}

    /// What has been wrong with all of it for a while, if that has not been said before.
    fn trouble(&mut self) -> Option<String>;
}
