//! Which shares of the classes (class priors) a model assumes.

use crate::network::TaskKind;
use crate::settings::named_choices;
use crate::{Error, Result};

named_choices! {
    /// Which shares of the classes (class priors) a model assumes where a pixel could be of several.
    pub enum ClassShares of "class_shares", default Auto {
        /// Those of images where labels are strokes, else those of labels.
        Auto = "auto",
        /// Those that the network finds in the training images.
        Images = "images",
        /// Those of the labelled pixels.
        Labels = "labels",
    }
}

impl ClassShares {
    /// Checks that the task has classes, and that shares can be found in its images.
    pub(super) fn validate(self, task: TaskKind, is_of_volumes: bool) -> Result<()> {
        let wanted = match (self, task) {
            (ClassShares::Images, TaskKind::Regress) => "a regression has no classes; leave it out",
            (ClassShares::Images, TaskKind::Segment) if is_of_volumes => {
                "networks of volumes take those of labels; leave it out"
            }
            _ => return Ok(()),
        };
        Err(Error::setting("class_shares", self.name(), wanted))
    }
}
