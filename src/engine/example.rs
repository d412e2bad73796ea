//! Images and targets for timing an engine: made up, and the same each time.

use super::{Images, Targets};
use crate::Result;
use crate::geometry::Shape;
use crate::memory::reserve;
use crate::network::Architecture;

/// Images and classes of `shape` for a network, with numbers that are neither constant nor 0.
///
/// # Errors
/// [`crate::Error::OutOfMemory`] when there is no memory for them.
pub fn example_batch(architecture: &Architecture, shape: Shape) -> Result<(Images, Targets)> {
    let pixels = shape.batch * shape.extent.pixels();
    let image = fill(pixels * architecture.inputs, |i| (i % 1009 * 7919 % 1009) as f32 / 500.0 - 1.0)?;
    let classes = fill(pixels, |i| (i / 100 % architecture.outputs) as u32)?;
    Ok((Images { shape, pixels: image }, Targets::classes(classes)))
}

/// Numbers for each pixel, if there is memory for them.
fn fill<T>(count: usize, number: impl Fn(usize) -> T) -> Result<Vec<T>> {
    let mut numbers = reserve("the images", count, "lower `size` or `batch`")?;
    numbers.extend((0..count).map(number));
    Ok(numbers)
}
