//! One run: the loop, its checkpoint, and its folder.

mod checkpoint;
mod folder;
mod memory;
mod outcome;
mod resume;
mod trainer;

pub use folder::{RunFolder, read_settings};
pub use memory::{MemoryUse, image_bytes};
pub use outcome::{Outcome, StopReason, Watcher};
pub use resume::check_same_settings;
pub use trainer::train;
