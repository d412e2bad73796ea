//! Reads the losses of ended steps back to the host without waiting for the device, unless many steps are under way, and with them whether
//! gradients were cut off.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use log::warn;

use super::scaling::BEYOND_HALVES;
use crate::Result;
use crate::gpu::runtime::device::Device;
use crate::gpu::runtime::memory::{self, Use};
use crate::gpu::runtime::readback::{MAPPED, PENDING, map, numbers};

/// Steps that may be under way before an update waits for the oldest.
const STEPS_UNDER_WAY: usize = 3;

/// The losses that are still being read back, and those that were read but not yet returned to the caller.
#[derive(Default)]
pub(super) struct Losses {
    under_way: VecDeque<(wgpu::Buffer, Arc<AtomicU8>, wgpu::SubmissionIndex)>,
    idle: Vec<wgpu::Buffer>,
    read: VecDeque<f32>,
    /// Whether it was said that gradients were cut off.
    warned: bool,
}

impl Losses {
    /// A buffer for the next loss to be copied into, and behind it whether gradients were cut off. Waits for the oldest step when too many are under way.
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

    /// The losses that are already read back, in order; with `wait` all of them.
    pub fn take(&mut self, device: &Device, wait: bool) -> Result<Vec<f32>> {
        let polled = device.wgpu.poll(wgpu::PollType::Poll);
        polled.map_err(|e| device.error("reading losses", e))?;
        self.collect(device)?;
        while wait && !self.under_way.is_empty() {
            self.wait_for_oldest(device)?;
        }
        Ok(self.read.drain(..).collect())
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
                    let (loss, beyond) = numbers(device, &buffer, "reading losses", |found: &[f32]| {
                        (found[0], found[1].to_bits() != 0)
                    })?;
                    self.read.push_back(loss);
                    if beyond && !self.warned {
                        warn!("{BEYOND_HALVES}; this is said once");
                        self.warned = true;
                    }
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
