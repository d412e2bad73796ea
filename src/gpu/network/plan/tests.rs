use std::collections::BTreeSet;

use super::*;
use crate::engine::DeviceKind;
use crate::geometry::{Extent, Shape};
use crate::gpu::network::shaders::SHADERS;
use crate::gpu::runtime::kernel::Binding;
use crate::schedule::{Options, PlaneLayout};

const LOSSES: [LossKind; 8] = [
    LossKind::CrossEntropy,
    LossKind::Focal,
    LossKind::Dice,
    LossKind::CrossEntropyDice,
    LossKind::SquaredError,
    LossKind::AbsoluteError,
    LossKind::Huber,
    LossKind::Charbonnier,
];

/// Plans of networks in blocks of several sizes, in one page and in several, with planes shared and apart, and with every
/// loss.
fn plans() -> Vec<Plan> {
    let shape = Shape { batch: 2, extent: Extent::plane(20, 30) };
    let tunings = [DeviceKind::Gpu, DeviceKind::Software].map(Tuning::safe);
    // Enough layers in a block for matrix units to be used.
    let mut plans = vec![plan_with_matrices(shape), plan_with_layers_at_once(shape)];
    // Of volumes, in one page and in several.
    let volumes = Shape { batch: 2, extent: Extent::new(3, 9, 20) };
    let layout = PlaneLayout::volumes(volumes.extent, 16).unwrap();
    for (width, channels_in_page) in [(1, 100), (1, 2), (1, 4), (2, 3), (2, 5), (3, 7), (3, 11)] {
        // The planes of outputs are as large as those of maps, and all are in one page.
        let architecture = Architecture { width, dimensions: 3, ..Architecture::new(2, 2, 7) };
        let max_page_bytes = 4 * (volumes.batch * channels_in_page * layout.plane + 2 * layout.guard) as u64;
        for (block, share_planes) in
            [1, 2, 3, 10].into_iter().flat_map(|block| [(block, false), (block, true)])
        {
            let options = Options { block, max_page_bytes, alignment: 16, share_planes, half_maps: false };
            let limits = DispatchLimits::new(65_535);
            let halves = Options { half_maps: true, ..options };
            let forward = Schedule::forward(&architecture, volumes, &halves).unwrap();
            plans.push(plan(forward, Pass::Forward, &tunings[1], limits));
            for options in [options, halves] {
                let schedule = Schedule::training(&architecture, volumes, &options).unwrap();
                plans.push(plan(schedule, Pass::Training(LossKind::Dice), &tunings[1], limits));
            }
        }
    }
    for (width, channels_in_page) in [(1, 100), (1, 2), (1, 4), (2, 3), (2, 5), (3, 7), (3, 11)] {
        let architecture = Architecture { width, ..Architecture::new(2, 3, 7) };
        let layout = PlaneLayout::maps(shape.extent, architecture.largest_dilation(), 16).unwrap();
        let max_page_bytes = 4 * (shape.batch * channels_in_page * layout.plane + 2 * layout.guard) as u64;
        for (index, block) in [1, 2, 3, 10].into_iter().enumerate() {
            let tuning = tunings[index % 2];
            for share_planes in [false, true] {
                let options =
                    Options { block, max_page_bytes, alignment: 16, share_planes, half_maps: false };
                let limits = DispatchLimits::new(65_535);
                for half_maps in [false, true] {
                    let options = Options { half_maps, ..options };
                    for architecture in [&architecture, &with_stem(&architecture)] {
                        let forward = Schedule::forward(architecture, shape, &options).unwrap();
                        plans.push(plan(forward, Pass::Forward, &tuning, limits));
                    }
                }
                let halves = Options { half_maps: true, ..options };
                let schedule = Schedule::training(&architecture, shape, &halves).unwrap();
                plans.push(plan(schedule, Pass::Training(LossKind::SquaredError), &tuning, limits));
                let schedule = Schedule::training(&architecture, shape, &options).unwrap();
                for loss in LOSSES.into_iter().skip(index % 2).step_by(2) {
                    plans.push(plan(schedule.clone(), Pass::Training(loss), &tuning, limits));
                }
                let forward = schedule.into_forward();
                for loss in LOSSES[..4].iter().skip(index % 2).step_by(2) {
                    plans.push(plan(forward.clone(), Pass::Judge(*loss), &tuning, limits));
                }
                plans.push(plan(forward.clone(), Pass::Classify, &tuning, limits));
                plans.push(plan(forward, Pass::Forward, &tuning, limits));
            }
        }
    }
    plans
}

fn with_stem(architecture: &Architecture) -> Architecture {
    Architecture { stem: "0.7,1.6".parse().unwrap(), ..architecture.clone() }
}

/// Training by matrix units.
fn plan_with_matrices(shape: Shape) -> Plan {
    let architecture = Architecture::new(2, 3, 40);
    let options =
        Options { block: 20, max_page_bytes: u64::MAX, alignment: 16, share_planes: true, half_maps: false };
    let schedule = Schedule::training(&architecture, shape, &options).unwrap();
    let matrices = Some(crate::gpu::runtime::matrices::KINDS[0]);
    let limits = DispatchLimits { matrices, ..DispatchLimits::new(65_535) };
    let tuning = Tuning { matrices: 1, ..Tuning::safe(DeviceKind::Gpu) };
    plan(schedule, Pass::Training(LossKind::SquaredError), &tuning, limits)
}

/// Training with several layers at once.
fn plan_with_layers_at_once(shape: Shape) -> Plan {
    let options =
        Options { block: 10, max_page_bytes: u64::MAX, alignment: 16, share_planes: true, half_maps: false };
    let schedule = Schedule::training(&Architecture::new(2, 3, 20), shape, &options).unwrap();
    let tuning = Tuning { convolve_layers: 5, gradient_layers: 5, ..Tuning::safe(DeviceKind::Software) };
    let schedule = schedule.with_sums_apart(tuning.layers_at_once(), u64::MAX);
    plan(schedule, Pass::Training(LossKind::SquaredError), &tuning, DispatchLimits::new(65_535))
}

/// WebGPU's rule: a buffer that a dispatch writes is bound once in it. wgpu lets two bindings pass that both write.
#[test]
fn what_a_dispatch_writes_is_bound_once() {
    for plan in plans() {
        for dispatch in &plan.dispatches {
            let shader = dispatch.kernel.shader;
            assert_eq!(shader.bindings.len(), dispatch.slots.len() + 1, "{}", shader.name);
            let bound = || dispatch.slots.iter().zip(&shader.bindings[1..]);
            for (index, (slot, binding)) in bound().enumerate() {
                let again = bound().skip(index + 1).find(|(other, _)| *other == slot);
                assert!(
                    again.is_none_or(|(_, other)| (*binding, *other) == (Binding::Read, Binding::Read)),
                    "{} binds {slot:?} twice and writes it: {}",
                    dispatch.kernel.label(),
                    plan.step_name(dispatch)
                );
            }
        }
    }
}

/// The test above covers every shader of a network's passes, also those for rare distributions over pages.
#[test]
fn these_plans_run_every_shader_but_the_optimisers() {
    let address = |shader: &'static Shader| std::ptr::from_ref(shader) as usize;
    let plans = plans();
    let run: BTreeSet<usize> =
        plans.iter().flat_map(|plan| &plan.dispatches).map(|d| address(d.kernel.shader)).collect();
    for shader in SHADERS {
        let is_optimisers = ["adam", "gradient_squares"].contains(&shader.name);
        assert_ne!(run.contains(&address(shader)), is_optimisers, "{} {:?}", shader.name, shader.variants);
    }
}
