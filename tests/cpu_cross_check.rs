//! The CPU engine against the float64 reference.

#[macro_use]
mod cross_check;

use msd_gpu::Result;
use msd_gpu::cpu::{CpuEngine, CpuOptions};
use msd_gpu::engine::Engine;
use msd_gpu::network::Architecture;
use msd_gpu::selftest::Setting;

fn open(architecture: &Architecture, parameters: &[f32], setting: Setting) -> Result<Box<dyn Engine>> {
    let options = CpuOptions { block: Some(setting.block) };
    Ok(Box::new(CpuEngine::new(architecture, parameters, &options)?))
}

engine_tests!(open, 120, 40);
