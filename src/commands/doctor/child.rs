//! What the other process does: it prints JSON objects, each on a line, `doing` with what it begins and `answer` in the end.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::bench::Passes;
use super::super::console;
use super::parts::Part;
use crate::devices::{self, Device, TuningPolicy, Variant};
use crate::engine::DeviceKind;
use crate::geometry::{Extent, Shape};
use crate::memory;
use crate::network::{Architecture, initialise};
use crate::{Error, Result, doctor};

/// Rows and columns of the image that speed is measured with, and layers of the network.
pub(super) const SIZE: usize = 256;
pub(super) const DEPTH: usize = 50;
/// Most steps that are timed, and seconds after which no other is begun.
const STEPS: usize = 7;
const SECONDS: f64 = 2.0;

pub(super) fn run(part: Part, device: Option<&str>, limit: Duration) -> Result<()> {
    let answer = match part {
        Part::List => list(device),
        Part::Measure => measure(&numbered(device)?)?,
        Part::Check => check(&numbered(device)?, false, limit),
        Part::CheckChecked => check(&numbered(device)?, true, limit),
    };
    console::json(&json!({ "answer": answer }));
    Ok(())
}

/// The device with an index. Drivers are loaded for a GPU alone: where they crash, the CPU can still be checked.
fn numbered(index: Option<&str>) -> Result<Device> {
    if index == Some("cpu") {
        return Ok(Device::cpu());
    }
    let index = index.and_then(|index| index.parse::<usize>().ok());
    let device = index.and_then(|index| devices::list().into_iter().nth(index));
    device.ok_or_else(|| Error::device("the device", "looking for it again", "it is not there any more"))
}

fn list(wish: Option<&str>) -> Value {
    let found = devices::list();
    let all = found.iter().enumerate().map(|(index, device)| {
        let info = &device.info;
        let kind = match info.kind {
            DeviceKind::Gpu => "gpu",
            DeviceKind::Cpu => "cpu",
            DeviceKind::Software => "software",
        };
        json!({
            "index": index, "name": info.name, "backend": info.backend, "kind": kind, "driver": info.driver,
            "fault": device.fault(),
        })
    });
    let wanted = devices::find(wish.unwrap_or("auto"), &found);
    json!({ "devices": all.collect::<Vec<_>>(), "wanted": wanted, "loader": loaded("libvulkan.so") })
}

/// The file of a library that this process has loaded.
fn loaded(name: &str) -> Option<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let paths = maps.lines().filter_map(|line| line.find('/').map(|start| &line[start..]));
    paths.into_iter().find(|path| path.contains(name)).map(str::to_owned)
}

/// What a device allows, what it can do at best, and how long a training step takes.
fn measure(device: &Device) -> Result<Value> {
    let peaks = device.peaks()?;
    let architecture = Architecture::new(1, 2, DEPTH);
    let shape = Shape { batch: 1, extent: Extent::plane(SIZE, SIZE) };
    let tiles = device.clone().with_policy(TuningPolicy::Kept).tuned_for(&architecture, shape).tuning();
    let variant = Variant { block: None, max_page_bytes: u64::MAX, checked: false, tiles };
    let mut engine = device.open_variant(&architecture, &initialise(&architecture, 1), &variant)?;
    let bytes = engine.bytes(shape, true)?;
    let passes = Passes::new(architecture, shape)?;
    // Compiles kernels.
    passes.once(engine.as_mut(), true, 1)?;
    let mut seconds = Vec::new();
    while seconds.len() < STEPS && seconds.iter().sum::<f64>() < SECONDS {
        seconds.push(passes.once(engine.as_mut(), true, 2 + seconds.len() as u64)?);
    }
    seconds.sort_by(f64::total_cmp);
    let step = seconds[seconds.len() / 2];
    let limits = device.limits().map(|limits| {
        json!({
            "memory": limits.memory, "buffer_bytes": limits.buffer_bytes, "binding_bytes": limits.binding_bytes,
            "workgroup_threads": limits.workgroup_threads, "workgroup_bytes": limits.workgroup_bytes,
            "has_clock": limits.has_clock,
        })
    });
    Ok(json!({
        "limits": limits, "free_bytes": memory::free().map(|free| free.bytes),
        "shares_memory": device.info.shares_memory, "tiles": device.tuning(),
        "peak_gflops": peaks.operations / 1e9, "peak_gbytes_per_second": peaks.copied_bytes / 1e9,
        "size": SIZE, "depth": DEPTH, "step_seconds": step, "step_bytes": bytes,
        "fraction_of_peak": passes.operations("train_step") / step / peaks.operations,
    }))
}

fn check(device: &Device, checked: bool, limit: Duration) -> Value {
    let doing = |name: &str| console::json(&json!({ "doing": name }));
    let found = doctor::check(device, checked, limit, &mut { doing });
    json!({
        "name": device.info.name, "networks": found.networks, "tiles": found.tiles, "others": found.others,
        "forward": found.forward, "gradients": found.gradients, "difference": found.difference,
    })
}
