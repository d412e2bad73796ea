//! A device's matrix units: whether it has some that the kernels can use, and whether they are trusted.
//!
//! wgpu calls them cooperative matrices and its support experimental. So they are used only on adapters on which they were
//! measured, and only after a small product came out right there.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::device::{Device, describe};
use super::memory::{Use, buffer};
use super::readback;
use crate::Result;
use crate::engine::DeviceInfo;

/// Units that multiply square matrices of halves (f16) and add in f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::gpu) struct MatrixUnits {
    /// Rows, columns and inner length of a matrix.
    pub size: u32,
    /// Threads of the subgroups that share a matrix.
    pub lanes: u32,
}

/// What a device must offer beyond [`MatrixUnits`].
pub(in crate::gpu) const FEATURES: wgpu::Features =
    wgpu::Features::SHADER_F16.union(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX);

/// The sizes that WGSL can name, the best first, with the subgroups that the kernels are written for.
pub(in crate::gpu) const KINDS: [MatrixUnits; 3] = [
    MatrixUnits { size: 16, lanes: 32 },
    MatrixUnits { size: 8, lanes: 32 },
    MatrixUnits { size: 8, lanes: 8 },
];

impl MatrixUnits {
    /// Those of an adapter.
    pub fn of(adapter: &wgpu::Adapter) -> Option<Self> {
        let info = adapter.get_info();
        if !adapter.features().contains(FEATURES) || info.subgroup_min_size != info.subgroup_max_size {
            return None;
        }
        let has = |units: &&Self| {
            units.lanes == info.subgroup_max_size
                && adapter.cooperative_matrix_properties().iter().any(|p| {
                    [p.m_size, p.n_size, p.k_size] == [units.size; 3]
                        && p.ab_type == wgpu::CooperativeScalarType::F16
                        && p.cr_type == wgpu::CooperativeScalarType::F32
                        && !p.saturating_accumulation
                })
        };
        KINDS.iter().find(has).copied()
    }

    /// Whether a device with such units is one on which kernels with them were measured to be right, and faster.
    pub fn trusted(self, info: &DeviceInfo) -> bool {
        // Measured on an H100; other cards of NVIDIA have such units behind the same driver. Mesa's driver for them is another one.
        info.backend == "vulkan" && info.driver.starts_with("NVIDIA") && self.size == 16
    }

    /// Whether a small product comes out right on `device`: of whole numbers, which have no rounding, and other matrices on either
    /// side, so that no exchange of rows and columns goes unseen.
    ///
    /// # Errors
    /// With what went wrong.
    pub fn check(self, device: &Device) -> std::result::Result<(), String> {
        // naga panics where it meets what it does not expect in experimental features.
        let tried = catch_unwind(AssertUnwindSafe(|| self.multiply(device)));
        let found = match tried {
            Ok(found) => found.map_err(|e| e.to_string())?,
            Err(_) => return Err("compiling the kernel failed".into()),
        };
        let size = self.size as usize;
        let wanted = |row: usize, column: usize| {
            let sum = (0..size).map(|k| left(row, k) * right(k, column)).sum::<i32>();
            (sum + row as i32 - 2 * column as i32) as f32
        };
        let right = (0..size * size).all(|at| found.get(at) == Some(&wanted(at / size, at % size)));
        if right { Ok(()) } else { Err("a product of small whole numbers came out wrong".into()) }
    }

    /// The product of two small matrices plus a third, through a workgroup's memory.
    fn multiply(self, device: &Device) -> Result<Vec<f32>> {
        let Self { size, lanes } = self;
        let doing = "checking the matrix units";
        let text = format!(
            "enable f16;
enable wgpu_cooperative_matrix;
@group(0) @binding(0) var<storage, read_write> numbers: array<f32>;
var<workgroup> left: array<vec2<f16>, {pairs}>;
var<workgroup> right: array<vec2<f16>, {pairs}>;
@compute @workgroup_size({lanes})
fn check(@builtin(local_invocation_index) lane: u32) {{
    for (var at = lane; at < {pairs}u; at += {lanes}u) {{
        left[at] = vec2<f16>(vec2<f32>(numbers[2u * at], numbers[2u * at + 1u]));
        right[at] = vec2<f16>(vec2<f32>(numbers[{square}u + 2u * at], numbers[{square}u + 2u * at + 1u]));
    }}
    workgroupBarrier();
    let a = coopLoadT<coop_mat{size}x{size}<f16, A>>(&left[0], {half}u);
    let b = coopLoad<coop_mat{size}x{size}<f16, B>>(&right[0], {half}u);
    let at = {twice}u;
    let c = coopLoadT<coop_mat{size}x{size}<f32, C>>(&numbers[at], {size}u);
    let product = c + coopMultiplyAdd(a, b, coop_mat{size}x{size}<f32, C>());
    coopStoreT(product, &numbers[at], {size}u);
}}
",
            pairs = size * size / 2,
            square = size * size,
            twice = 2 * size * size,
            half = size / 2,
        );
        let n = size as usize;
        let mut numbers = vec![0.0f32; 3 * n * n];
        for row in 0..n {
            for column in 0..n {
                numbers[row * n + column] = left(row, column) as f32;
                // Column after column, as the kernels lay out the matrix on the right.
                numbers[n * n + column * n + row] = right(row, column) as f32;
                numbers[2 * n * n + row * n + column] = row as f32 - 2.0 * column as f32;
            }
        }
        let storage = buffer(device, "a small product", 4 * numbers.len() as u64, Use::Storage)?;
        device.queue.write_buffer(&storage, 0, bytemuck::cast_slice(&numbers));
        let scopes = [wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::Validation]
            .map(|filter| device.wgpu.push_error_scope(filter));
        let source = wgpu::ShaderSource::Wgsl(text.into());
        let module =
            device.wgpu.create_shader_module(wgpu::ShaderModuleDescriptor { label: Some(doing), source });
        let pipeline = device.wgpu.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(doing),
            layout: None,
            module: &module,
            entry_point: Some("check"),
            compilation_options: Default::default(),
            cache: None,
        });
        for scope in scopes.into_iter().rev() {
            if let Some(error) = pollster::block_on(scope.pop()) {
                return Err(device.error(doing, describe(&error)));
            }
        }
        let bindings = device.wgpu.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(doing),
            layout: &pipeline.get_bind_group_layout(0),
            entries: &[wgpu::BindGroupEntry { binding: 0, resource: storage.as_entire_binding() }],
        });
        let mut encoder = device.wgpu.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &bindings, &[]);
            pass.dispatch_workgroups(1, 1, 1);
        }
        readback::read(device, vec![encoder.finish()], &storage, 2 * n * n..3 * n * n, doing)
    }
}

/// Small whole numbers, other ones in every row and column.
fn left(row: usize, column: usize) -> i32 {
    (row * 3 + column * 5) as i32 % 11 - 5
}

fn right(row: usize, column: usize) -> i32 {
    (row * 7 + column * 2) as i32 % 13 - 6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::DeviceKind;

    #[test]
    fn only_what_was_measured_is_trusted() {
        let of = |driver: &str, name: &str, backend: &str| DeviceInfo {
            name: name.into(),
            backend: backend.into(),
            kind: DeviceKind::Gpu,
            driver: driver.into(),
            shares_memory: false,
        };
        let info = |name: &str, backend: &str| of(name, name, backend);
        let [large, small, _] = KINDS;
        assert!(large.trusted(&info("NVIDIA H100 80GB HBM3", "vulkan")));
        assert!(!small.trusted(&info("Apple M3", "metal")));
        assert!(!large.trusted(&info("AMD Radeon RX 9070 (RADV GFX1201)", "vulkan")));
        assert!(!large.trusted(&info("NVIDIA H100 80GB HBM3", "dx12")));
        assert!(!large.trusted(&of("NVK Mesa 26.1.6", "NVIDIA GeForce RTX 4090 (NVK AD102)", "vulkan")));
    }
}
