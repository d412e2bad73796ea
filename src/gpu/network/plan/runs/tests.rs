use super::*;
use crate::engine::{DeviceKind, LossKind};
use crate::geometry::{Extent, Shape};
use crate::gpu::network::plan::{DispatchLimits, Pass, Plan, plan};
use crate::gpu::network::tiles::Tuning;
use crate::network::Architecture;
use crate::schedule::Options;

const NUMBERS: u64 = 12_288;

fn squares(dilations: &[u64], width: u64, numbers: u64, workgroups: u64) -> Option<Squares> {
    let bounds = Bounds { layers: 10, numbers, workgroups };
    Squares::of(dilations[2..].iter().rev().copied(), width, bounds, |side| 256_u64.div_ceil(side).pow(2))
}

/// Five layers with dilations 1 to 5, by hand: the second layer reaches 3 + 4 + 5 pixels beyond the square, the third 4 + 5, the fourth 5.
#[test]
fn a_layer_is_computed_as_far_as_the_later_ones_read() {
    let found = squares(&[1, 2, 3, 4, 5], 1, NUMBERS, 256).unwrap();
    let (second, third, fourth, last) = (40 * 40, 34 * 34, 26 * 26, 16 * 16);
    let work = 9 * (second + 2 * third + 3 * fourth + 4 * last);
    assert_eq!(
        found,
        Squares { side: 16, reach: 12, numbers: (second + third + fourth) as u32, multiply_adds: work }
    );
    // Two channels a layer are four pairs of channels, and twice the maps.
    let wide = squares(&[1, 2, 3, 4, 5], 2, NUMBERS, 256).unwrap();
    assert_eq!((wide.numbers, wide.multiply_adds), (2 * found.numbers, 4 * work));
}

#[test]
fn squares_are_as_large_as_keeps_the_device_busy_and_fits() {
    let side = |dilations: &[u64], numbers, workgroups| {
        squares(dilations, 1, numbers, workgroups).map(|found| found.side)
    };
    assert_eq!(side(&[1, 2, 3, 4, 5], NUMBERS, 64), Some(32));
    assert_eq!(side(&[1, 2, 3, 4, 5], NUMBERS, 65), Some(16));
    // More workgroups than there can be: the smallest squares.
    assert_eq!(side(&[1, 2, 3, 4, 5], NUMBERS, u64::MAX), Some(8));
    // 56 x 56 + 50 x 50 numbers and more do not fit 16 KiB.
    assert_eq!(side(&[1, 2, 3, 4, 5], 4096, 1), Some(16));
    // Here the larger squares do not fit, and the smallest would be more than eight times the work.
    assert_eq!(side(&[6, 7, 8, 9, 10], NUMBERS, u64::MAX), Some(16));
    assert_eq!(side(&[6, 7, 8, 9, 10], 4096, u64::MAX), None);
    assert_eq!(side(&[8, 9, 10], 4096, 1), Some(32));
    assert_eq!(side(&[1, 2, 300], NUMBERS, 1), None);
    assert_eq!(side(&[1, 2, u64::MAX, u64::MAX], NUMBERS, 1), None);
    assert_eq!(side(&[1, 2, u64::MAX / 2], NUMBERS, 1), None);
}

fn planned(architecture: &Architecture, block: usize, layers: u32, workgroup_bytes: u32) -> Plan {
    let shape = Shape { batch: 1, extent: Extent::plane(256, 256) };
    let options =
        Options { block, max_page_bytes: u64::MAX, alignment: 16, share_planes: true, half_maps: false };
    let schedule = Schedule::training(architecture, shape, &options).unwrap();
    let (convolve_layers, gradient_layers) = (layers, layers);
    let tuning = Tuning { convolve_layers, gradient_layers, ..Tuning::safe(DeviceKind::Gpu) };
    let schedule = schedule.with_sums_apart(tuning.layers_at_once(), u64::MAX);
    let limits = DispatchLimits { workgroup_bytes, ..DispatchLimits::new(65_535) };
    plan(schedule, Pass::Training(LossKind::CrossEntropy), &tuning, limits)
}

/// The channels of each run of a plan, with the reach of its squares.
fn run_channels(plan: &Plan, name: &str) -> Vec<(Range<u32>, u32)> {
    let runs = plan.dispatches.iter().filter(|d| d.kernel.shader.name == name);
    // Both kinds of parameters begin alike.
    let params = runs.map(|d| {
        let bytes = &d.params[..size_of::<ConvolveLayersParams>()];
        let params: ConvolveLayersParams = bytemuck::pod_read_unaligned(bytes);
        let reach = match name {
            "convolve_layers" => params.reach,
            _ => bytemuck::pod_read_unaligned::<InputGradientLayersParams>(&d.params).reach,
        };
        (params.channel_start..params.channel_end, reach)
    });
    params.collect()
}

#[test]
fn the_largest_parts_of_a_block_that_fit_are_runs() {
    let architecture = Architecture { dilations: (1..=10).collect(), ..Architecture::new(1, 2, 20) };
    let runs =
        |block, layers, bytes| run_channels(&planned(&architecture, block, layers, bytes), "convolve_layers");
    let none: [(Range<u32>, u32); 0] = [];
    assert_eq!(runs(20, 1, 49_152), none);
    assert_eq!(runs(20, 3, 49_152), [(3..6, 5), (8..11, 10), (13..16, 5), (18..21, 10)]);
    assert_eq!(runs(20, 5, 49_152), [(1..6, 12), (6..11, 27), (11..16, 12), (16..21, 27)]);
    // Dilations 6 to 10 take too much of a workgroup's memory: of these, the last three layers are left.
    assert_eq!(runs(20, 5, 16_384), [(1..6, 12), (8..11, 10), (11..16, 12), (18..21, 10)]);
    assert_eq!(runs(2, 5, 49_152), none);
}

/// On the way back the dilations of the first layer and the last do not matter.
#[test]
fn the_way_back_has_runs_of_the_same_layers() {
    let architecture = Architecture { dilations: (1..=10).collect(), ..Architecture::new(1, 2, 20) };
    let runs = |block, layers, bytes| {
        run_channels(&planned(&architecture, block, layers, bytes), "input_gradient_layers")
    };
    assert_eq!(runs(20, 1, 49_152), []);
    assert_eq!(runs(20, 3, 49_152), [(18..21, 9), (13..16, 4), (8..11, 9), (3..6, 4)]);
    assert_eq!(runs(20, 5, 49_152), [(16..21, 24), (11..16, 9), (6..11, 24), (1..6, 9)]);
    let dispatches = |layers| planned(&architecture, 20, layers, 49_152).dispatches.len();
    // A run of five layers takes the place of four steps, forward and backward.
    assert_eq!(dispatches(5) + 2 * 4 * 3, dispatches(1));
}

/// With every number of layers, blocks and widths: each step is in one run at most, and a run has all steps inside its layers and none else.
#[test]
fn runs_take_the_place_of_all_steps_inside_their_layers() {
    for (width, layers, backward) in
        [1, 2, 3].into_iter().flat_map(|w| [3, 5, 7].map(|l| (w, l, false)).into_iter().chain([(w, 5, true)]))
    {
        for block in [1, 3, 4, 5, 10, 13, 20] {
            let dilations = vec![1, 3, 2];
            let architecture = Architecture { width, dilations, ..Architecture::new(2, 2, 23) };
            let schedule = planned(&architecture, block, layers, 49_152).schedule;
            let bounds = Bounds { layers: layers as usize, numbers: NUMBERS, workgroups: 1 };
            let found = runs(&schedule, backward, bounds);
            assert_eq!(found.is_empty(), block < 3);
            let mut end = 0;
            for run in &found {
                assert!(end <= run.steps.start);
                end = run.steps.end;
                let number = run.channels.len() / width;
                assert!((FEWEST_LAYERS..=layers as usize).contains(&number));
                assert_eq!(run.steps.len(), number - 1);
            }
            for (index, step) in schedule.steps.iter().enumerate() {
                if matches!(step, Step::Convolve { .. }) == backward {
                    continue;
                }
                let Some([from, to]) = halves(step) else { continue };
                let inside = |run: &Run| run.channels.start <= from.start && to.end <= run.channels.end;
                let run = found.iter().find(|run| run.steps.contains(&index));
                assert_eq!(run, found.iter().find(|run| inside(run)), "{step}");
            }
        }
    }
}
