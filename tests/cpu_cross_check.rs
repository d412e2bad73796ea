//! The CPU engine against the float64 reference.

mod cross_check;

use cross_check::Setting;
use msd_gpu::cpu::{CpuEngine, CpuOptions};
use msd_gpu::engine::Engine;
use msd_gpu::network::Architecture;

fn open(architecture: &Architecture, parameters: &[f32], setting: Setting) -> Box<dyn Engine> {
    let options = CpuOptions { block: Some(setting.block) };
    Box::new(CpuEngine::new(architecture, parameters, &options).unwrap())
}

#[test]
fn random_networks_agree() {
    cross_check::random_networks_agree(&open, 0..120);
}

#[test]
fn training_follows_float64() {
    cross_check::training_follows_float64(&open, true);
    cross_check::training_follows_float64(&open, false);
}

#[test]
fn adam_agrees() {
    cross_check::adam_agrees(&open);
}

#[test]
fn wrong_batches_are_refused() {
    cross_check::wrong_batches_are_refused(&open);
}

#[test]
fn larger_images_agree() {
    cross_check::larger_images_agree(&open);
}

#[test]
fn changing_sizes_add_up() {
    cross_check::changing_sizes_add_up(&open);
}

#[test]
fn memory_is_known() {
    cross_check::memory_is_known(&open);
}
