//! Finds the devices of this machine.

use super::device::{Device, Extras};
use super::faults::{Fault, Remedy};
use crate::Result;
use crate::engine::{DeviceInfo, DeviceKind, DeviceLimits};

/// A device that can be opened with [`crate::gpu::GpuEngine::open`].
#[derive(Debug, Clone)]
pub struct GpuAdapter(pub(in crate::gpu) wgpu::Adapter);

impl GpuAdapter {
    /// What it is.
    pub fn info(&self) -> DeviceInfo {
        device_info(&self.0.get_info())
    }

    /// The known fault of its driver, if there is one.
    pub fn fault(&self) -> Option<&'static Fault> {
        Fault::of(&self.0.get_info())
    }

    /// Opens the device and closes it again, to see whether it can be used.
    ///
    /// # Errors
    /// [`crate::Error::Device`] when it cannot be opened, or has a fault for which it is avoided.
    pub fn try_open(&self) -> Result<()> {
        match self.fault() {
            Some(fault) if fault.remedy == Remedy::Avoid => Err(fault.error(&self.info().name)),
            _ => Device::open(self, None, Extras::default()).map(drop),
        }
    }

    /// Whether kernels can store numbers of two bytes (f16) on it.
    pub fn has_halves(&self) -> bool {
        self.0.features().contains(wgpu::Features::SHADER_F16)
    }

    /// What it allows.
    pub fn limits(&self) -> DeviceLimits {
        let limits = self.0.limits();
        DeviceLimits {
            memory: self.memory(),
            buffer_bytes: limits.max_buffer_size,
            binding_bytes: limits.max_storage_buffer_binding_size,
            workgroup_threads: limits.max_compute_invocations_per_workgroup,
            workgroup_bytes: limits.max_compute_workgroup_storage_size,
            has_clock: self.0.features().contains(wgpu::Features::TIMESTAMP_QUERY),
        }
    }

    /// Bytes of memory of its own, or of the machine's that it may use; Vulkan alone says so.
    fn memory(&self) -> Option<u64> {
        /// `VK_MEMORY_HEAP_DEVICE_LOCAL_BIT`.
        const DEVICE_LOCAL: u32 = 1;
        // SAFETY: the adapter is only read, and not kept.
        let adapter = unsafe { self.0.as_hal::<wgpu::hal::api::Vulkan>() }?;
        let instance = adapter.shared_instance().raw_instance();
        // SAFETY: the physical device is one of this instance, as both come from the same adapter.
        let memory = unsafe { instance.get_physical_device_memory_properties(adapter.raw_physical_device()) };
        let heaps = memory.memory_heaps.iter().take(memory.memory_heap_count as usize);
        Some(heaps.filter(|heap| heap.flags.as_raw() & DEVICE_LOCAL != 0).map(|heap| heap.size).sum())
    }
}

/// The devices of this machine that have a Vulkan, Metal or DX12 driver, each once: discrete ones first, then
/// integrated ones, then software. Empty on a machine without any.
pub fn adapters() -> Vec<(GpuAdapter, DeviceInfo)> {
    // OpenGL is left out: its devices show up under the other drivers as well, and its compute shaders are too limited.
    let backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = backends;
    // The drivers' own validation layers, where installed, print to the terminal; wgpu validates in any case.
    descriptor.flags = wgpu::InstanceFlags::empty();
    let instance = wgpu::Instance::new(descriptor);
    let found = pollster::block_on(instance.enumerate_adapters(backends));
    let mut found: Vec<_> = found.into_iter().map(|adapter| (adapter.get_info(), adapter)).collect();
    found.sort_by_key(|(info, _)| (kind_rank(info.device_type), backend_rank(info.backend)));
    let mut kept: Vec<(wgpu::AdapterInfo, wgpu::Adapter)> = Vec::new();
    for (info, adapter) in found {
        // Two cards of one model look the same, but never under two backends: so only another backend is a repetition.
        let same = |(other, _): &(wgpu::AdapterInfo, _)| {
            (other.vendor, other.device) == (info.vendor, info.device) && other.backend != info.backend
        };
        if info.backend != wgpu::Backend::Noop && !kept.iter().any(same) {
            kept.push((info, adapter));
        }
    }
    kept.into_iter().map(|(info, adapter)| (GpuAdapter(adapter), device_info(&info))).collect()
}

/// A device that computes nothing and has `limits`: wgpu validates all that is recorded for it, and makes copies. It is for tests, and
/// [`adapters`] does not find it.
#[cfg(test)]
pub(in crate::gpu) fn adapter_without_driver(limits: wgpu::Limits) -> GpuAdapter {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::NOOP;
    descriptor.backend_options.noop = wgpu::NoopBackendOptions {
        enable: true,
        limits: Some(limits),
        features: Some(wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::SHADER_F16),
        ..Default::default()
    };
    let instance = wgpu::Instance::new(descriptor);
    let found = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::NOOP));
    GpuAdapter(found.into_iter().next().expect("wgpu is built with its device without a driver"))
}

fn kind_rank(kind: wgpu::DeviceType) -> u8 {
    match kind {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::VirtualGpu => 1,
        wgpu::DeviceType::IntegratedGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

fn backend_rank(backend: wgpu::Backend) -> u8 {
    match backend {
        wgpu::Backend::Vulkan => 0,
        wgpu::Backend::Metal => 1,
        _ => 2,
    }
}

fn device_info(info: &wgpu::AdapterInfo) -> DeviceInfo {
    let kind = match info.device_type {
        wgpu::DeviceType::Cpu => DeviceKind::Software,
        _ => DeviceKind::Gpu,
    };
    let driver = [info.driver.as_str(), info.driver_info.as_str()];
    let driver: Vec<&str> = driver.into_iter().filter(|part| !part.is_empty()).collect();
    DeviceInfo {
        name: info.name.clone(),
        backend: info.backend.to_str().into(),
        kind,
        driver: driver.join(" "),
        shares_memory: matches!(info.device_type, wgpu::DeviceType::Cpu | wgpu::DeviceType::IntegratedGpu),
    }
}
