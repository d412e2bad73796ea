//! What a run tells those who started it.

use super::memory::MemoryUse;
use crate::network::Model;
use crate::training::reports::History;
use crate::training::scores::Scores;

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// A limit in steps, epochs or minutes was reached.
    Limit,
    /// No better model was found for as many epochs as the patience.
    Patience,
    /// Somebody asked for it.
    Asked,
}

/// What a run came to.
#[derive(Debug, Clone)]
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
}

/// Is told how a run comes along.
pub trait Watcher {
    /// The run is about to start: steps in an epoch, and the memory that training takes.
    fn started(&mut self, _steps_in_epoch: u64, _memory: MemoryUse) {}
    /// A step is on its way: its number, the latest loss that is known, and the share of the run that is done.
    fn step(&mut self, _step: u64, _loss: f32, _done: f64) {}
    /// An epoch has ended.
    fn epoch(&mut self, _history: &History) {}
}

/// A watcher that looks away.
impl Watcher for () {}
