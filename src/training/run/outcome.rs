//! The result of a run.

use std::time::Duration;

use crate::evaluation::Scores;
use crate::network::Model;
use crate::training::reports::History;

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// A limit in steps, epochs or minutes was reached.
    Limit,
    /// No better model was found for as many epochs as the patience.
    Patience,
    /// The watcher stopped the run.
    Asked,
}

/// The result of a run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Outcome {
    /// The best model.
    pub model: Model,
    /// Its epoch.
    pub best_epoch: u64,
    /// Its scores on the validation images, where there are any.
    pub best_scores: Option<Scores>,
    /// All epochs.
    pub history: History,
    /// Steps made.
    pub steps: u64,
    /// Why it ended.
    pub reason: StopReason,
    /// How long steps were waited for that were not made ready in time.
    pub waited: Duration,
}
