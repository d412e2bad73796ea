//! Reads results back from the device to the host.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use log::trace;

use super::device::Device;
use super::memory::{self, Use};
use crate::Result;

pub(in crate::gpu) const PENDING: u8 = 0;
pub(in crate::gpu) const MAPPED: u8 = 1;
const FAILED: u8 = 2;

/// Asks for `buffer` to be mapped; the answer appears in what is returned while the device is polled.
pub(in crate::gpu) fn map(buffer: &wgpu::Buffer) -> Arc<AtomicU8> {
    let state = Arc::new(AtomicU8::new(PENDING));
    let answer = state.clone();
    buffer.map_async(wgpu::MapMode::Read, .., move |result| {
        answer.store(if result.is_ok() { MAPPED } else { FAILED }, Ordering::Release);
    });
    state
}

/// Hands the numbers of a mapped buffer to `take`, and unmaps it.
pub(in crate::gpu) fn numbers<T: bytemuck::Pod, R>(
    device: &Device,
    buffer: &wgpu::Buffer,
    doing: &str,
    take: impl FnOnce(&[T]) -> R,
) -> Result<R> {
    let view = buffer.get_mapped_range(..).map_err(|e| device.error(doing, e))?;
    let taken = match bytemuck::try_cast_slice(&view) {
        Ok(numbers) => take(numbers),
        // Mapped memory is aligned; where it is not, numbers are copied first.
        Err(_) => {
            let numbers = view.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned);
            take(&numbers.collect::<Vec<T>>())
        }
    };
    drop(view);
    buffer.unmap();
    Ok(taken)
}

/// Runs `commands`, then reads the 4-byte numbers `range` of `source`, waiting for both.
pub(in crate::gpu) fn read<T: bytemuck::Pod>(
    device: &Device,
    commands: Vec<wgpu::CommandBuffer>,
    source: &wgpu::Buffer,
    range: Range<usize>,
    doing: &str,
) -> Result<Vec<T>> {
    let bytes = 4 * range.len() as u64;
    let staging = memory::buffer(device, "numbers that are read back", bytes, Use::Readback)?;
    read_through(device, commands, source, range, &staging, doing, <[T]>::to_vec)
}

/// As [`read`], through the buffer `staging`, which was made before and is large enough. `take` gets the numbers where the device left
/// them: copies of large images take longer than computing them.
pub(in crate::gpu) fn read_through<T: bytemuck::Pod, R>(
    device: &Device,
    commands: Vec<wgpu::CommandBuffer>,
    source: &wgpu::Buffer,
    range: Range<usize>,
    staging: &wgpu::Buffer,
    doing: &str,
    take: impl FnOnce(&[T]) -> R,
) -> Result<R> {
    debug_assert_eq!(size_of::<T>(), 4);
    let bytes = 4 * range.len() as u64;
    let mut encoder = device.wgpu.create_command_encoder(&Default::default());
    encoder.copy_buffer_to_buffer(source, 4 * range.start as u64, staging, 0, bytes);
    let submission = device.queue.submit(commands.into_iter().chain([encoder.finish()]));
    let state = map(staging);
    let begun = Instant::now();
    device.wait(Some(submission), doing)?;
    let waited = begun.elapsed();
    if state.load(Ordering::Acquire) != MAPPED {
        return Err(device.error(doing, "its memory cannot be read; start again, or use `device cpu`"));
    }
    let taken = numbers(device, staging, doing, |numbers: &[T]| take(&numbers[..range.len()]))?;
    let copied = begun.elapsed() - waited;
    trace!("{doing}: waited {waited:.1?} for the device, and {copied:.1?} to copy {bytes} bytes");
    Ok(taken)
}
