//! Reports for people: the history with its curves, and pictures of the network's inputs and outputs.

mod augmentation_preview;
mod history;
pub(in crate::training) mod preview;

pub use augmentation_preview::preview_augmentation;
pub use history::History;
