//! Training: from images with targets to a model, in one loop.
//!
//! - [`Settings`]: everything that a run depends on, as it is written in its `config.toml`.
//! - [`Prepared`]: the images, normalised, with the model that is to be filled in.
//! - [`Run`]: one training run. It saves its results in a [`RunFolder`] and reports its progress to a
//!   [`crate::watcher::Watcher`], and may take other labels from a [`Session`] while it goes on.
//! - [`Folds`]: cross-validation: one run for each fold, and the scores of all of them.
//!
//! The n-th image that a run shows to the network depends on the seed and n alone, so a run that was
//! stopped goes on from its checkpoint as if it had not been.

mod batches;
mod brightness;
mod choices;
mod described;
mod folds;
mod initial;
mod normalise;
mod prepare;
mod read;
mod relabel;
mod reports;
mod run;
mod seen_labels;
mod session;
mod settings;
mod shares;
mod start;
mod stem;
mod survey;

pub use crate::evaluation::Scores;
pub use crate::network::TaskKind;
pub use folds::{FoldScores, FoldWatcher, Folds};
pub use prepare::Prepared;
pub use relabel::Relabelled;
pub use reports::{History, preview_augmentation};
pub use run::{
    MemoryUse, Outcome, Run, RunFolder, StopReason, check_same_settings, image_bytes, read_settings,
};
pub use session::{Session, Snapshot};
pub use settings::{ClassShares, MixingStart, Monitor, Optimisation, Optimizer, RateSchedule, Settings};
