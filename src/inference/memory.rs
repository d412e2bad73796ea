//! The memory that images and results take while a model is applied to them, without the network.

use crate::geometry::Extent;
use crate::network::{Model, Task};

/// Bytes of memory for images of `extent` pixels and their results while `model` is applied to one image after the other: up to
/// `ahead` images are read before they are computed ([`AHEAD`](super::AHEAD) in [`predict`](super::predict())), and one result is
/// written while the next image is computed. The network's own memory ([`Engine::bytes`](crate::engine::Engine::bytes)) comes on top.
pub fn image_bytes(model: &Model, extent: Extent, ahead: usize) -> u64 {
    let (inputs, outputs) = (model.architecture.inputs, model.architecture.outputs);
    // An image is there as it was read, and normalised. A result is written while the next is made; labels go
    // from indices to values (of 8 bytes each) to what the file holds.
    let results = match model.task {
        Task::Segment { .. } => 2 * outputs + 3,
        Task::Regress => 2 * outputs,
    };
    4 * extent.pixels() as u64 * ((ahead + 2) * inputs + results) as u64
}
