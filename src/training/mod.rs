//! Training: from images with targets to a model, in one loop.
//!
//! - [`Settings`]: everything that a run depends on, as it stands in its `config.toml`.
//! - [`Prepared`]: the images, normalised, with the model that is to be filled in.
//! - [`train`]: the loop. What it leaves behind goes into a [`RunFolder`]; who wants to watch is a [`Watcher`].
//!
//! The n-th image that a run shows to the network depends on the seed and n alone, so a run that was
//! stopped goes on from its checkpoint as if it had not been.

mod augmentation_preview;
mod batches;
mod checkpoint;
mod checks;
mod history;
mod initial;
mod judge;
mod memory;
mod monitor;
mod optimisation;
mod outcome;
mod prepare;
mod preview;
mod reports;
mod resume;
mod run_folder;
mod scores;
mod settings;
mod trainer;

pub use augmentation_preview::preview_augmentation;
pub use history::{Epoch, History};
pub use memory::{Memory, image_bytes};
pub use monitor::Monitor;
pub use optimisation::{Optimisation, Optimizer, RateSchedule};
pub use outcome::{Outcome, StopReason, Watcher};
pub use prepare::Prepared;
pub use resume::check_same_settings;
pub use run_folder::{RunFolder, read_settings};
pub use scores::Scores;
pub use settings::{Settings, TaskKind};
pub use trainer::train;
