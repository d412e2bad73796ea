//! What is read of a file, before it is a model.

use crate::network::{Model, TaskKind};

/// A network as a file describes it, before it is complete.
pub(super) struct Found {
    /// The model; its task is set later.
    pub model: Model,
    /// What the network is for, where the file says so.
    pub task: Option<TaskKind>,
    pub assumed: Vec<String>,
}
