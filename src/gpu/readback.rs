//! Brings numbers from the device home.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::device::Device;
use super::memory::{self, Use};
use crate::Result;

/// Steps that may be under way before an update waits for the oldest.
const STEPS_UNDER_WAY: usize = 3;

const PENDING: u8 = 0;
const MAPPED: u8 = 1;
const FAILED: u8 = 2;

/// Asks for `buffer` to be mapped; the answer appears in what is returned while the device is polled.
fn map(buffer: &wgpu::Buffer) -> Arc<AtomicU8> {
    let state = Arc::new(AtomicU8::new(PENDING));
    let answer = state.clone();
    buffer.map_async(wgpu::MapMode::Read, .., move |result| {
        answer.store(if result.is_ok() { MAPPED } else { FAILED }, Ordering::Release);
    });
    state
}

fn numbers<T: bytemuck::Pod>(device: &Device, buffer: &wgpu::Buffer, doing: &str) -> Result<Vec<T>> {
    let view = buffer.get_mapped_range(..).map_err(|e| device.error(doing, e))?;
    let numbers = view.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect();
    drop(view);
    buffer.unmap();
    Ok(numbers)
}

/// Runs `commands`, then reads the 4-byte numbers `range` of `source`, waiting for both.
pub(super) fn read<T: bytemuck::Pod>(
    device: &Device,
    commands: Vec<wgpu::CommandBuffer>,
    source: &wgpu::Buffer,
    range: Range<usize>,
    doing: &str,
) -> Result<Vec<T>> {
    let bytes = 4 * range.len() as u64;
    let home = memory::buffer(device, "numbers that are read back", bytes, Use::Readback)?;
    read_through(device, commands, source, range, &home, doing)
}

/// As [`read`], by way of a buffer that was made before and is large enough.
pub(super) fn read_through<T: bytemuck::Pod>(
    device: &Device,
    commands: Vec<wgpu::CommandBuffer>,
    source: &wgpu::Buffer,
    range: Range<usize>,
    home: &wgpu::Buffer,
    doing: &str,
) -> Result<Vec<T>> {
    debug_assert_eq!(size_of::<T>(), 4);
    let bytes = 4 * range.len() as u64;
    let mut encoder = device.wgpu.create_command_encoder(&Default::default());
    encoder.copy_buffer_to_buffer(source, 4 * range.start as u64, home, 0, bytes);
    let submission = device.queue.submit(commands.into_iter().chain([encoder.finish()]));
    let state = map(home);
    device.wait(Some(submission), doing)?;
    if state.load(Ordering::Acquire) != MAPPED {
        return Err(device.error(doing, "its memory cannot be read; start again, or use `device cpu`"));
    }
    let mut numbers = numbers(device, home, doing)?;
    numbers.truncate(range.len());
    Ok(numbers)
}

/// The losses of ended steps on their way home.
#[derive(Default)]
pub(super) struct Losses {
    under_way: VecDeque<(wgpu::Buffer, Arc<AtomicU8>, wgpu::SubmissionIndex)>,
    idle: Vec<wgpu::Buffer>,
    home: VecDeque<f32>,
}

impl Losses {
    /// A buffer for the next loss to be copied into. Waits for the oldest step when too many are under way.
    pub fn next(&mut self, device: &Device) -> Result<wgpu::Buffer> {
        self.collect(device)?;
        while self.under_way.len() >= STEPS_UNDER_WAY {
            self.wait_for_oldest(device)?;
        }
        match self.idle.pop() {
            Some(buffer) => Ok(buffer),
            None => memory::buffer(device, "losses", 16, Use::Readback),
        }
    }

    /// Notes that `submission` copies a loss into `buffer`.
    pub fn sent(&mut self, buffer: wgpu::Buffer, submission: wgpu::SubmissionIndex) {
        let state = map(&buffer);
        self.under_way.push_back((buffer, state, submission));
    }

    /// The losses at hand, in order; with `wait` all of them.
    pub fn take(&mut self, device: &Device, wait: bool) -> Result<Vec<f32>> {
        let polled = device.wgpu.poll(wgpu::PollType::Poll);
        polled.map_err(|e| device.error("reading losses", e))?;
        self.collect(device)?;
        while wait && !self.under_way.is_empty() {
            self.wait_for_oldest(device)?;
        }
        Ok(self.home.drain(..).collect())
    }

    fn wait_for_oldest(&mut self, device: &Device) -> Result<()> {
        let doing = "waiting for a training step";
        let Some((_, state, submission)) = self.under_way.front() else { return Ok(()) };
        let state = state.clone();
        device.wait(Some(submission.clone()), doing)?;
        if state.load(Ordering::Acquire) == PENDING {
            return Err(device.error(doing, "it never ended; start again, or use `device cpu`"));
        }
        self.collect(device)
    }

    fn collect(&mut self, device: &Device) -> Result<()> {
        while let Some((_, state, _)) = self.under_way.front() {
            match state.load(Ordering::Acquire) {
                PENDING => break,
                MAPPED => {
                    let Some((buffer, ..)) = self.under_way.pop_front() else { break };
                    let loss: Vec<f32> = numbers(device, &buffer, "reading losses")?;
                    self.home.push_back(loss[0]);
                    self.idle.push(buffer);
                }
                _ => {
                    let problem = "its memory cannot be read; start again, or use `device cpu`";
                    return Err(device.error("reading losses", problem));
                }
            }
        }
        Ok(())
    }
}
