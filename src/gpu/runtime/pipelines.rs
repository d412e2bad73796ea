//! Compiles kernels, each once and only when a plan needs it.

use std::collections::HashMap;

use super::device::{Device, describe};
use super::kernel::{Binding, Kernel};
use crate::Result;

/// A compiled kernel and the layout of its bindings.
#[derive(Debug, Clone)]
pub(in crate::gpu) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub bindings: wgpu::BindGroupLayout,
}

/// The kernels compiled so far, by label.
#[derive(Debug, Default)]
pub(in crate::gpu) struct Pipelines(HashMap<String, Pipeline>);

impl Pipelines {
    /// The pipeline of `kernel`, compiled if it was not yet.
    pub fn get(&mut self, device: &Device, kernel: &Kernel) -> Result<Pipeline> {
        let label = kernel.label();
        if let Some(pipeline) = self.0.get(&label) {
            return Ok(pipeline.clone());
        }
        let pipeline = compile(device, kernel, &label)?;
        self.0.insert(label, pipeline.clone());
        Ok(pipeline)
    }
}

/// The bind group of a kernel: its parameters at `offset` of `uniform`, then `buffers`.
pub(in crate::gpu) fn bind_group(
    device: &Device,
    label: &str,
    pipeline: &Pipeline,
    uniform: (&wgpu::Buffer, u64, usize),
    buffers: &[&wgpu::Buffer],
) -> wgpu::BindGroup {
    let (buffer, offset, size) = uniform;
    let size = wgpu::BufferSize::new(size as u64);
    let params = wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size });
    let resources = std::iter::once(params).chain(buffers.iter().map(|buffer| buffer.as_entire_binding()));
    let entries: Vec<_> = resources
        .enumerate()
        .map(|(binding, resource)| wgpu::BindGroupEntry { binding: binding as u32, resource })
        .collect();
    device.wgpu.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(label),
        layout: &pipeline.bindings,
        entries: &entries,
    })
}

fn compile(device: &Device, kernel: &Kernel, label: &str) -> Result<Pipeline> {
    let doing = format!("compiling the kernel '{label}'");
    let text = kernel.shader.expand(kernel.values()).map_err(|e| device.error(&doing, e))?;
    let scopes = [wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::Validation]
        .map(|filter| device.wgpu.push_error_scope(filter));
    let checks = match device.checked {
        true => wgpu::ShaderRuntimeChecks::checked(),
        false => wgpu::ShaderRuntimeChecks::unchecked(),
    };
    let source = wgpu::ShaderSource::Wgsl(text.into());
    let descriptor = wgpu::ShaderModuleDescriptor { label: Some(label), source };
    // SAFETY: the kernels are this crate's own, and they keep what the checks would enforce.
    // Indices: a thread without a pixel returns before it touches memory, or repeats the last row, channel or output of its
    // tile; taps reach at most one margin beside a feature map, where its plane goes on, and two beside a gradient map,
    // where the next row, plane or guard of its page lies. Channels come from the plan, which cuts ranges where pages end;
    // classes and the lengths of what is uploaded are checked by `check_batch`; `memory` refuses buffers that 32-bit indices
    // cannot reach. What kernels of several layers keep around a square holds every place that a later layer reads; a pixel that a mirror
    // shows lies no farther from the square than its image. Loops count up to bounds that do not move, or go from mirror to mirror, at least a pixel at a time.
    // Divisors (tiles, dilations, rows, outputs) are at least 1, and nothing signed that is divided is negative.
    // The tests run random networks with the checks on and off.
    let module = unsafe { device.wgpu.create_shader_module_trusted(descriptor, checks) };
    let entries: Vec<_> = kernel
        .shader
        .bindings
        .iter()
        .enumerate()
        .map(|(index, binding)| wgpu::BindGroupLayoutEntry {
            binding: index as u32,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: match binding {
                    Binding::Uniform => wgpu::BufferBindingType::Uniform,
                    Binding::Read => wgpu::BufferBindingType::Storage { read_only: true },
                    Binding::ReadWrite => wgpu::BufferBindingType::Storage { read_only: false },
                },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        })
        .collect();
    let bindings = device
        .wgpu
        .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(label), entries: &entries });
    let layout = device.wgpu.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(label),
        bind_group_layouts: &[Some(&bindings)],
        immediate_size: 0,
    });
    let pipeline = device.wgpu.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(label),
        layout: Some(&layout),
        module: &module,
        entry_point: Some(kernel.shader.entry),
        compilation_options: wgpu::PipelineCompilationOptions {
            // Every thread stores its sums before any is read, so clearing them first would be time lost.
            zero_initialize_workgroup_memory: false,
            ..Default::default()
        },
        cache: None,
    });
    for scope in scopes.into_iter().rev() {
        if let Some(error) = pollster::block_on(scope.pop()) {
            return Err(device.error(&doing, describe(&error)));
        }
    }
    Ok(Pipeline { pipeline, bindings })
}
