//! Keeps the buffers of a few shapes of images: those that were used last.

use super::passes::{Current, Fixed};
use super::plan::{Pass, Plan};
use crate::geometry::Shape;
use crate::gpu::runtime::device::Device;
use crate::gpu::runtime::pipelines::Pipelines;
use crate::network::Architecture;
use crate::{Error, Result};

/// Most shapes whose buffers are kept.
const MAX_SHAPES: usize = 4;
/// Most bytes that are kept beyond those of the largest shape. The memory that is announced for a pass is that of its own shape, and a
/// device that runs out of memory does not always return an error: it may use the machine's memory, which is slow. So what is kept to
/// save time must be small.
pub(super) const MAX_SPARE_BYTES: u64 = 512 << 20;

/// The buffers of the shapes that were used last.
#[derive(Default)]
pub(super) struct Shapes {
    /// The one used last comes last.
    kept: Vec<Current>,
}

impl Shapes {
    /// The buffers of the shape that was used last.
    pub fn current(&self) -> Option<&Current> {
        self.kept.last()
    }

    /// As [`Shapes::current`], to record.
    pub fn current_mut(&mut self) -> Option<&mut Current> {
        self.kept.last_mut()
    }

    /// Makes `shape` the current one; whether `pass` over it can be recorded already.
    pub fn turn_to(&mut self, shape: Shape, pass: Pass) -> bool {
        if let Some(index) = self.kept.iter().position(|kept| kept.shape() == shape) {
            let found = self.kept.remove(index);
            self.kept.push(found);
        }
        self.current().is_some_and(|current| current.is_ready(shape, pass))
    }

    /// Makes the buffers and the recording of `plan` the current ones. Those of other shapes are freed, the longest
    /// unused first, where they would be too many, and all of them where the device has no memory left.
    pub fn add(
        &mut self,
        device: &Device,
        pipelines: &mut Pipelines,
        fixed: &Fixed,
        architecture: &Architecture,
        plan: &Plan,
        pass: Pass,
    ) -> Result<()> {
        let shape = plan.schedule.shape;
        // The planes of a forward pass alone are others than those of training.
        let too_little = |current: &Current| current.shape() == shape && !current.trains();
        if plan.schedule.trains() && self.current().is_some_and(too_little) {
            device.wait(None, "finishing a pass over images of the same size")?;
            self.kept.pop().into_iter().for_each(Current::free);
        }
        // The shape itself, if it is there already, comes last by now; it stays usable when there is no memory for more.
        let others = |kept: &[Current]| kept.iter().take_while(|kept| kept.shape() != shape).count();
        let bytes: Vec<u64> = self.kept[..others(&self.kept)].iter().map(Current::bytes).collect();
        self.free(device, too_many(&bytes, plan.bytes()))?;
        loop {
            let mut add = || {
                if self.current().is_none_or(|current| current.shape() != shape) {
                    self.kept.push(Current::new(device, architecture, &plan.schedule)?);
                }
                match self.kept.last_mut() {
                    Some(current) => current.add(device, pipelines, fixed, plan, pass),
                    None => Ok(()),
                }
            };
            let added = add();
            match added {
                Err(Error::OutOfMemory { .. }) if others(&self.kept) > 0 => {
                    self.free(device, others(&self.kept))?;
                }
                added => return added,
            }
        }
    }

    /// Bytes in the device's memory.
    #[cfg(test)]
    pub fn device_bytes(&self) -> u64 {
        self.kept.iter().map(Current::device_bytes).sum()
    }

    /// Frees all buffers.
    pub fn clear(&mut self, device: &Device) -> Result<()> {
        self.free(device, self.kept.len())
    }

    /// Frees the buffers of the `count` shapes that have been unused for longest.
    fn free(&mut self, device: &Device, count: usize) -> Result<()> {
        if count > 0 {
            device.wait(None, "finishing the images of another size")?;
            self.kept.drain(..count).for_each(Current::free);
        }
        Ok(())
    }
}

/// How many shapes, the longest unused first, have to go so that one of `wanted` bytes may come to `others`.
fn too_many(others: &[u64], wanted: u64) -> usize {
    let fits = |others: &[u64]| {
        let all = || others.iter().copied().chain([wanted]).map(u128::from);
        let spare = all().sum::<u128>() - all().max().unwrap_or(0);
        others.len() < MAX_SHAPES && spare <= u128::from(MAX_SPARE_BYTES)
    };
    (0..others.len()).find(|&freed| fits(&others[freed..])).unwrap_or(others.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_shapes_are_kept_while_they_are_small_beside_the_largest() {
        assert_eq!(too_many(&[], 10), 0);
        assert_eq!(too_many(&[10, 10, 10], 10), 0);
        // No more than four in all.
        assert_eq!(too_many(&[1, 1, 1, 1], 10), 1);
        // Whichever is the largest, all others count.
        assert_eq!(too_many(&[100 * MAX_SPARE_BYTES], MAX_SPARE_BYTES), 0);
        assert_eq!(too_many(&[MAX_SPARE_BYTES], 100 * MAX_SPARE_BYTES), 0);
        assert_eq!(too_many(&[100 * MAX_SPARE_BYTES], MAX_SPARE_BYTES + 1), 1);
        // The longest unused go first, and no more of them than have to.
        assert_eq!(too_many(&[1, 1, MAX_SPARE_BYTES], 100 * MAX_SPARE_BYTES), 2);
        assert_eq!(too_many(&[MAX_SPARE_BYTES, 1, 1], 100 * MAX_SPARE_BYTES), 1);
        assert_eq!(too_many(&[u64::MAX, u64::MAX], u64::MAX), 2);
    }
}
