//! Training: from images with targets to a model, in one loop.
//!
//! - [`Settings`]: everything that a run depends on, as it stands in its `config.toml`.
//! - [`Prepared`]: the images, normalised, with the model that is to be filled in.
//! - [`train`]: the loop. What it leaves behind goes into a [`RunFolder`]; who wants to watch is a [`Watcher`].
//!
//! The n-th image that a run shows to the network depends on the seed and n alone, so a run that was
//! stopped goes on from its checkpoint as if it had not been.

mod batches;
mod initial;
mod judge;
mod prepare;
mod reports;
mod run;
mod scores;
mod settings;

pub use crate::network::TaskKind;
pub use prepare::Prepared;
pub use reports::{Epoch, History, preview_augmentation};
pub use run::{
    MemoryUse, Outcome, RunFolder, StopReason, Watcher, check_same_settings, image_bytes, read_settings,
    train,
};
pub use scores::Scores;
pub use settings::{Monitor, Optimisation, Optimizer, RateSchedule, Settings};
