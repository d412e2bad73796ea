//! How many dispatches a pass takes, and what they do and must move, against a golden file: a change of plan shows as a
//! difference. Small images are bound by the number of dispatches that wait for each other. `MSD_GPU_WRITE_GOLDEN=1` writes the file anew.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use super::*;
use crate::engine::DeviceKind;
use crate::geometry::{Extent, Shape};
use crate::schedule::Options;

/// A pass over one square image, or a cube, as a device of a kind runs it.
fn counted(
    kind: DeviceKind,
    dimensions: usize,
    side: usize,
    depth: usize,
    width: usize,
    training: bool,
    layers_at_once: u32,
) -> String {
    let architecture = Architecture { width, dimensions, ..Architecture::new(1, 2, depth) };
    let extent = if dimensions == 3 { Extent::new(side, side, side) } else { Extent::plane(side, side) };
    let shape = Shape { batch: 1, extent };
    let tuning =
        Tuning { convolve_layers: layers_at_once, gradient_layers: layers_at_once, ..Tuning::safe(kind) };
    let block = tuning.block as usize;
    let options =
        Options { block, max_page_bytes: (1 << 31) - 4, alignment: 16, share_planes: true, half_maps: false };
    let limits = DispatchLimits::new(65_535);
    // As much memory of a workgroup as most cards have.
    let card = || DispatchLimits { workgroup_bytes: 49_152, ..limits.of_card() };
    let limits = if kind == DeviceKind::Gpu { card() } else { limits };
    let (schedule, pass) = match training {
        true => (Schedule::training(&architecture, shape, &options), Pass::Training(LossKind::CrossEntropy)),
        false => (Schedule::forward(&architecture, shape, &options), Pass::Forward),
    };
    let schedule = schedule.unwrap().with_sums_apart(tuning.layers_at_once(), options.max_page_bytes);
    let plan = plan(schedule, pass, &tuning, limits);
    let mut kernels: BTreeMap<&str, usize> = BTreeMap::new();
    for dispatch in &plan.dispatches {
        *kernels.entry(dispatch.kernel.shader.name).or_default() += 1;
    }
    let multiply_adds: u64 = plan.dispatches.iter().map(|dispatch| dispatch.multiply_adds).sum();
    let bytes: u64 = plan.schedule.traffic().iter().map(|(_, bytes)| bytes).sum();
    let pass = if training { "training step" } else { "forward pass" };
    let size = vec![side.to_string(); dimensions].join("x");
    let at_once =
        if layers_at_once > 1 { format!(", {layers_at_once} layers at once") } else { String::new() };
    let mut text = format!("{kind:?}, {size}, depth {depth}, width {width}, {pass}{at_once}\n");
    let _ = writeln!(
        text,
        "  {} dispatches, {multiply_adds} multiply-adds, {bytes} bytes",
        plan.dispatches.len()
    );
    for (kernel, number) in kernels {
        let _ = writeln!(text, "  {number:>5} {kernel}");
    }
    text
}

#[test]
fn dispatches_are_as_many_as_written_down() {
    let mut found = String::new();
    for kind in [DeviceKind::Gpu, DeviceKind::Software] {
        for (dimensions, side, depth, width) in
            [(2, 256, 50, 1), (2, 1024, 100, 1), (2, 512, 100, 8), (3, 96, 30, 1)]
        {
            for training in [false, true] {
                found += &counted(kind, dimensions, side, depth, width, training, 1);
            }
        }
    }
    for layers_at_once in [3, 5] {
        for training in [false, true] {
            found += &counted(DeviceKind::Gpu, 2, 256, 50, 1, training, layers_at_once);
        }
    }
    found += &counted(DeviceKind::Gpu, 2, 1024, 100, 1, true, 5);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/dispatches.txt");
    if std::env::var_os("MSD_GPU_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, wanted, "the dispatches are not those of {}", path.display());
}
