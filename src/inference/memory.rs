//! What memory the images take that go through a model, beside the network.

use crate::geometry::Extent;
use crate::network::{Model, Task};

/// Bytes of images and results of one size, with up to `ahead` images read before they are computed and one result
/// written while the next image is computed.
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
