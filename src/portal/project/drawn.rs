//! What was ever drawn, undone or not.

use super::Project;

impl Project {
    /// The entries that were drawn with a class, in order, also those that are undone.
    pub fn drawn_of_classes(&self) -> Vec<(u64, u8)> {
        self.state().history.drawn_of_classes()
    }
}
