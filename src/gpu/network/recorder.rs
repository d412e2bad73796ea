//! Binds a plan to buffers, and records it.

use std::ops::Range;

use super::plan::{Plan, Slot};
use crate::Result;
use crate::gpu::runtime::device::Device;
use crate::gpu::runtime::kernel::Binding;
use crate::gpu::runtime::memory::{self, Use};
use crate::gpu::runtime::pipelines::{Pipelines, bind_group};
use crate::gpu::runtime::timer::Timer;

/// A plan bound to buffers, ready to be recorded again and again.
pub(super) struct Recorder {
    dispatches: Vec<BoundDispatch>,
    /// For each command buffer, its dispatches: those of a layer, or of several layers that are little work.
    pieces: Vec<Range<usize>>,
}

/// Layers are recorded into one command buffer until they have so many multiply-adds, or as many as one dispatch may have on this
/// device. A device stands still for a while at the end of each command buffer (some 50 us on an H100, longer than a layer of a small
/// image takes), and some systems reset a device whose command buffer takes two seconds: this is a fifth of that on an integrated
/// processor of some years ago.
const MULTIPLY_ADDS: u64 = 20_000_000_000;

struct BoundDispatch {
    pipeline: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
    workgroups: [u32; 3],
    /// The step of the schedule that it belongs to, and its name.
    step: (usize, &'static str),
}

/// Distance in bytes between the parameters of dispatches in their common buffer.
fn stride(plan: &Plan, limits: &wgpu::Limits) -> u64 {
    let largest = plan.dispatches.iter().map(|d| d.params.len()).max().unwrap_or(0);
    (largest as u64).next_multiple_of(u64::from(limits.min_uniform_buffer_offset_alignment.max(16)))
}

/// Bytes of the parameters of all dispatches of `plan`.
pub(super) fn uniform_bytes(plan: &Plan, limits: &wgpu::Limits) -> u64 {
    stride(plan, limits) * plan.dispatches.len() as u64
}

impl Recorder {
    /// Binds `plan` to the buffers that `buffer` names.
    pub fn new<'a>(
        device: &Device,
        pipelines: &mut Pipelines,
        plan: &Plan,
        buffer: impl Fn(Slot) -> &'a wgpu::Buffer,
    ) -> Result<Self> {
        let stride = stride(plan, &device.limits);
        let mut params = vec![0; uniform_bytes(plan, &device.limits) as usize];
        let uniform = memory::buffer(device, "kernel parameters", params.len() as u64, Use::Uniform)?;
        let mut dispatches = Vec::with_capacity(plan.dispatches.len());
        for (index, dispatch) in plan.dispatches.iter().enumerate() {
            let offset = stride * index as u64;
            params[offset as usize..][..dispatch.params.len()].copy_from_slice(&dispatch.params);
            debug_assert_eq!(dispatch.kernel.shader.bindings[0], Binding::Uniform);
            debug_assert_eq!(dispatch.kernel.shader.bindings.len(), dispatch.slots.len() + 1);
            let pipeline = pipelines.get(device, &dispatch.kernel)?;
            let buffers: Vec<_> = dispatch.slots.iter().map(|&slot| buffer(slot)).collect();
            let uniform = (&uniform, offset, dispatch.params.len());
            let bindings = bind_group(device, dispatch.kernel.shader.name, &pipeline, uniform, &buffers);
            let workgroups = dispatch.workgroups;
            let step = (dispatch.step, plan.step_name(dispatch));
            dispatches.push(BoundDispatch { pipeline: pipeline.pipeline, bindings, workgroups, step });
        }
        device.queue.write_buffer(&uniform, 0, &params);
        let place = |step: usize| plan.dispatches.partition_point(|dispatch| dispatch.step < step);
        let layers = plan.schedule.recordings().into_iter().map(|steps| place(steps.start)..place(steps.end));
        let work =
            |layer: &Range<usize>| plan.dispatches[layer.clone()].iter().map(|d| d.multiply_adds).sum();
        let most = plan.limits.multiply_adds.max(MULTIPLY_ADDS);
        let mut pieces = together(layers.map(|layer| (work(&layer), layer)), most);
        // The dispatches that judge come after all steps.
        if let Some(last) = pieces.last_mut() {
            last.end = dispatches.len();
        }
        Ok(Self { dispatches, pieces })
    }

    /// Records all dispatches, a command buffer for each completed layer, or for several that are little work. A timer gets a span for each step of the
    /// schedule.
    pub fn record(&self, device: &Device, mut timer: Option<&mut Timer>) -> Result<Vec<wgpu::CommandBuffer>> {
        let mut commands = Vec::with_capacity(self.pieces.len());
        for piece in &self.pieces {
            let dispatches = &self.dispatches[piece.clone()];
            let mut encoder = device.wgpu.create_command_encoder(&Default::default());
            match timer.as_deref_mut() {
                None => run(dispatches, &mut encoder.begin_compute_pass(&Default::default())),
                Some(timer) => {
                    for step in dispatches.chunk_by(|a, b| a.step == b.step) {
                        let timestamp_writes = Some(timer.span(device, step[0].step.1)?);
                        let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes };
                        run(step, &mut encoder.begin_compute_pass(&descriptor));
                    }
                }
            }
            commands.push(encoder.finish());
        }
        Ok(commands)
    }
}

/// Joins consecutive pieces, each with its work, while they have no more than `most` together.
fn together(pieces: impl Iterator<Item = (u64, Range<usize>)>, most: u64) -> Vec<Range<usize>> {
    let mut joined: Vec<(u64, Range<usize>)> = Vec::new();
    for (work, piece) in pieces {
        match joined.last_mut() {
            Some((before, last)) if before.saturating_add(work) <= most => {
                *before += work;
                last.end = piece.end;
            }
            _ => joined.push((work, piece)),
        }
    }
    joined.into_iter().map(|(_, piece)| piece).collect()
}

fn run(dispatches: &[BoundDispatch], pass: &mut wgpu::ComputePass<'_>) {
    for dispatch in dispatches {
        pass.set_pipeline(&dispatch.pipeline);
        pass.set_bind_group(0, &dispatch.bindings, &[]);
        let [x, y, z] = dispatch.workgroups;
        pass.dispatch_workgroups(x, y, z);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_share_a_command_buffer_while_they_are_little_work() {
        let layers = [(3, 0..2), (4, 2..5), (1, 5..6), (20, 6..7), (1, 7..9), (u64::MAX, 9..10), (0, 10..11)];
        let pieces = together(layers.into_iter(), 8);
        assert_eq!(pieces, [0..6, 6..7, 7..9, 9..10, 10..11]);
        assert_eq!(together(std::iter::empty(), 8), [] as [Range<usize>; 0]);
    }
}
