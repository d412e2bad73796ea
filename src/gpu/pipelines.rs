//! Compiles kernels, each once and only when a plan needs it.

use std::collections::HashMap;

use super::device::{Device, describe};
use super::shaders::{Binding, Kernel};
use crate::Result;

/// A compiled kernel and the layout of its bindings.
#[derive(Debug, Clone)]
pub(super) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub bindings: wgpu::BindGroupLayout,
}

/// The kernels compiled so far, by label.
#[derive(Debug, Default)]
pub(super) struct Pipelines(HashMap<String, Pipeline>);

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

fn compile(device: &Device, kernel: &Kernel, label: &str) -> Result<Pipeline> {
    let doing = format!("compiling the kernel '{label}'");
    let text = kernel.shader.expand(kernel.values()).map_err(|e| device.error(&doing, e))?;
    let scopes = [wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::Validation]
        .map(|filter| device.wgpu.push_error_scope(filter));
    let module = device.wgpu.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(label),
        source: wgpu::ShaderSource::Wgsl(text.into()),
    });
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
