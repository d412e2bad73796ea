//! What the mixing layer begins with.

use crate::network::TaskKind;
use crate::settings::named_choices;
use crate::{Error, Result};

named_choices! {
    /// What the mixing layer begins with.
    pub enum MixingStart of "mixing_start", default Auto {
        /// Fitted for classes in images, else zero.
        Auto = "auto",
        /// With the weights that suit labelled pixels best, by the feature maps of the network as it was drawn.
        Fitted = "fitted",
        /// With 0, as in the paper.
        Zero = "zero",
    }
}

impl MixingStart {
    /// Checks that the task has labelled pixels, and the network can be fitted to them.
    pub(super) fn validate(self, task: TaskKind, is_of_volumes: bool) -> Result<()> {
        let wanted = match (self, task) {
            (MixingStart::Fitted, TaskKind::Regress) => "a regression has no labelled pixels; leave it out",
            (MixingStart::Fitted, TaskKind::Segment) if is_of_volumes => {
                "networks of volumes begin with zero; leave it out"
            }
            _ => return Ok(()),
        };
        Err(Error::setting("mixing_start", self.name(), wanted))
    }
}
