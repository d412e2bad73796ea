//! The CPU engine against the float64 reference.

#[macro_use]
mod cross_check;

use cross_check::Setting;
use msd_gpu::cpu::{CpuEngine, CpuOptions};
use msd_gpu::engine::Engine;
use msd_gpu::network::Architecture;

fn open(architecture: &Architecture, parameters: &[f32], setting: Setting) -> Box<dyn Engine> {
    let options = CpuOptions { block: Some(setting.block) };
    Box::new(CpuEngine::new(architecture, parameters, &options).unwrap())
}

engine_tests!(open, 120);
