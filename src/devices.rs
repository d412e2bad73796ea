//! The devices of this machine, and opening an engine on one of them.

use crate::cpu::{self, CpuEngine, CpuOptions};
use crate::engine::{DeviceInfo, DeviceKind, Engine, Peaks};
use crate::gpu::{self, GpuAdapter, GpuEngine, GpuOptions};
use crate::network::Architecture;
use crate::{Error, Result};

/// A device that a network can run on.
#[derive(Debug, Clone)]
pub struct Device {
    /// What it is.
    pub info: DeviceInfo,
    /// The GPU; `None` for the CPU.
    adapter: Option<GpuAdapter>,
}

impl Device {
    /// An engine for `architecture` on this device.
    ///
    /// # Errors
    /// When the architecture is unusable or the device refuses.
    pub fn open(&self, architecture: &Architecture, parameters: &[f32]) -> Result<Box<dyn Engine>> {
        Ok(match &self.adapter {
            Some(adapter) => {
                Box::new(GpuEngine::open(adapter, architecture, parameters, GpuOptions::default())?)
            }
            None => Box::new(CpuEngine::new(architecture, parameters, &CpuOptions::default())?),
        })
    }

    /// Measures what this device can do at best; takes a second or so.
    ///
    /// # Errors
    /// When the device cannot be opened or refuses.
    pub fn peaks(&self) -> Result<Peaks> {
        match &self.adapter {
            Some(adapter) => gpu::peaks(adapter),
            None => Ok(Peaks { operations: cpu::multiply_add_peak(), copied_bytes: cpu::copy_peak() }),
        }
    }

    fn cpu() -> Self {
        Self { info: cpu::device(), adapter: None }
    }
}

/// All devices, best first: hardware GPUs, the CPU, and then programs that play a GPU.
pub fn list() -> Vec<Device> {
    let gpus = gpu::adapters().into_iter().map(|(adapter, info)| Device { info, adapter: Some(adapter) });
    let mut devices: Vec<Device> = gpus.chain([Device::cpu()]).collect();
    devices.sort_by_key(|device| match device.info.kind {
        DeviceKind::Gpu => 0,
        DeviceKind::Cpu => 1,
        DeviceKind::Software => 2,
    });
    devices
}

/// The device that `wish` names: `auto` (the best hardware GPU, else the CPU), `cpu`, `gpu` (the best GPU, a
/// program that plays one if there is no other), an index of [`list`], or part of a name in it.
///
/// # Errors
/// [`Error::NoDevice`] with what is there when nothing fits.
pub fn choose(wish: &str) -> Result<Device> {
    if wish == "cpu" {
        return Ok(Device::cpu());
    }
    let devices = list();
    let lower = wish.to_lowercase();
    let fits = |(index, device): &(usize, &Device)| match (wish, wish.parse::<usize>()) {
        ("auto", _) => device.info.kind != DeviceKind::Software,
        ("gpu", _) => device.info.kind != DeviceKind::Cpu,
        (_, Ok(number)) => *index == number,
        _ => !lower.is_empty() && device.info.name.to_lowercase().contains(&lower),
    };
    if let Some((_, device)) = devices.iter().enumerate().find(fits) {
        if wish == "auto" && device.info.kind == DeviceKind::Cpu {
            log::info!("no hardware GPU was found: using the {}", device.info.name);
        }
        return Ok(device.clone());
    }
    let found: Vec<String> =
        devices.iter().enumerate().map(|(index, device)| format!("{index}: {}", device.info.name)).collect();
    Err(Error::NoDevice { wanted: wish.into(), found: found.join(", ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_always_there_and_nonsense_is_named() {
        assert_eq!(choose("cpu").unwrap().info.kind, DeviceKind::Cpu);
        assert_ne!(choose("auto").unwrap().info.kind, DeviceKind::Software);
        for nonsense in ["no such thing", "", "999"] {
            let error = choose(nonsense).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains("CPU"), "{error}");
        }
    }
}
