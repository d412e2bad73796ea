//! The kernels that move the parameters, each compiled and bound when it is first used.

use super::params::{AdamParams, GradientSquaresParams};
use super::passes::Fixed;
use super::shaders::{ADAM, CLIPPED_ADAM, GRADIENT_SQUARES};
use crate::Result;
use crate::engine::Adam;
use crate::gpu::runtime::device::Device;
use crate::gpu::runtime::kernel::{Kernel, Shader};
use crate::gpu::runtime::memory::{self, Use};
use crate::gpu::runtime::pipelines::{Pipelines, bind_group};
use crate::network::ParameterLayout;

/// Threads of a workgroup.
const LANES: u32 = 64;
/// Sums that the squares of the gradients are added up into.
const SQUARES: u32 = 64;

/// A kernel with its bindings.
struct Bound {
    pipeline: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
}

/// Adam with and without clipping.
pub(super) struct Optimiser {
    layout: ParameterLayout,
    settings: wgpu::Buffer,
    plain: Option<Bound>,
    /// The squares of the gradients, then Adam.
    clipped: Option<(Bound, Bound)>,
}

impl Optimiser {
    /// For a network whose parameters lie so.
    pub fn new(device: &Device, layout: ParameterLayout) -> Result<Self> {
        let settings =
            memory::buffer(device, "Adam's settings", size_of::<AdamParams>() as u64, Use::Uniform)?;
        Ok(Self { layout, settings, plain: None, clipped: None })
    }

    /// Compiles and binds the kernels of a step with or without clipping, unless an earlier call has done so.
    pub fn prepare(
        &mut self,
        device: &Device,
        pipelines: &mut Pipelines,
        fixed: &Fixed,
        clips: bool,
    ) -> Result<()> {
        let mut bind =
            |shader: &'static Shader, uniform: (&wgpu::Buffer, usize), buffers: &[&wgpu::Buffer]| {
                let pipeline = pipelines.get(device, &Kernel::new(shader, &[]))?;
                let bindings = bind_group(device, shader.name, &pipeline, (uniform.0, 0, uniform.1), buffers);
                Ok::<_, crate::Error>(Bound { pipeline: pipeline.pipeline, bindings })
            };
        let Fixed { parameters, gradients, first_moments, second_moments, average, .. } = fixed;
        let settings = (&self.settings, size_of::<AdamParams>());
        if !clips && self.plain.is_none() {
            let state = [parameters, gradients, first_moments, second_moments, average];
            self.plain = Some(bind(&ADAM, settings, &state)?);
        }
        if clips && self.clipped.is_none() {
            let size = size_of::<GradientSquaresParams>();
            let sums = memory::buffer(device, "squared gradients", u64::from(4 * SQUARES), Use::Storage)?;
            let number = memory::buffer(device, "number of gradients", size as u64, Use::Uniform)?;
            let params =
                GradientSquaresParams { count: self.layout.learnt().len() as u32, ..Default::default() };
            device.queue.write_buffer(&number, 0, bytemuck::bytes_of(&params));
            let squares = bind(&GRADIENT_SQUARES, (&number, size), &[gradients, &sums])?;
            let state = [parameters, gradients, first_moments, second_moments, average, &sums];
            self.clipped = Some((squares, bind(&CLIPPED_ADAM, settings, &state)?));
        }
        Ok(())
    }

    /// Records one step, which must have been prepared; no axis gets more than `max_workgroups`.
    pub fn record(
        &self,
        device: &Device,
        encoder: &mut wgpu::CommandEncoder,
        fixed: &Fixed,
        adam: &Adam,
        max_workgroups: u32,
        timestamp_writes: Option<wgpu::ComputePassTimestampWrites<'_>>,
    ) {
        let count = self.layout.learnt().len() as u32;
        let frozen = self.layout.first_layers(adam.frozen_layers);
        for range in frozen.iter().filter(|range| !range.is_empty()) {
            encoder.clear_buffer(&fixed.gradients, 4 * range.start as u64, Some(4 * range.len() as u64));
        }
        let [filters, biases] = frozen;
        let params = AdamParams {
            rate: adam.corrected_rate() as f32,
            beta1: adam.beta1 as f32,
            one_minus_beta1: (1.0 - adam.beta1) as f32,
            beta2: adam.beta2 as f32,
            one_minus_beta2: (1.0 - adam.beta2) as f32,
            root_correction: adam.root_correction() as f32,
            epsilon: adam.epsilon as f32,
            count,
            kept_share: adam.kept_share() as f32,
            clip_norm: adam.clip_norm.unwrap_or_default() as f32,
            averaged_share: adam.averaged_share() as f32,
            frozen_filters: filters.end as u32,
            biases: biases.start as u32,
            frozen_biases: biases.end as u32,
            unused_0: 0,
            unused_1: 0,
        };
        device.queue.write_buffer(&self.settings, 0, bytemuck::bytes_of(&params));
        let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes };
        let mut pass = encoder.begin_compute_pass(&descriptor);
        let mut dispatch = |bound: &Bound, x: u32, y: u32| {
            pass.set_pipeline(&bound.pipeline);
            pass.set_bind_group(0, &bound.bindings, &[]);
            pass.dispatch_workgroups(x, y, 1);
        };
        let groups = count.div_ceil(LANES);
        let across = groups.min(max_workgroups);
        match (adam.clip_norm, &self.clipped, &self.plain) {
            (Some(_), Some((squares, clipped)), _) => {
                dispatch(squares, SQUARES, 1);
                dispatch(clipped, across, groups.div_ceil(across));
            }
            (None, _, Some(plain)) => dispatch(plain, across, groups.div_ceil(across)),
            _ => unreachable!("the step was not prepared"),
        }
    }
}
