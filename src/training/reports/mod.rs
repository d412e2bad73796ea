//! What people look at: the history with its curves, and pictures of what the network sees and gives.

mod augmentation_preview;
mod history;
pub(in crate::training) mod preview;

pub use augmentation_preview::preview_augmentation;
pub use history::History;
