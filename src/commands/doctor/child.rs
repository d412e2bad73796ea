//! What the other process does: it prints JSON objects, each on a line, `doing` with what it begins and `answer` in the end.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::bench::Passes;
use super::super::console;
use super::parts::Part;
use crate::devices::{self, Device, TuningPolicy, Variant};
use crate::engine::{DeviceKind, Precision};
use crate::geometry::{Extent, Shape};
use crate::memory;
use crate::network::{Architecture, initialise};
use crate::{Error, Result, doctor};

/// What speed is measured with: rows and columns of an image, and layers of a network. The second one is for devices on which the first
/// takes less than so many seconds.
const CASES: [(usize, usize); 2] = [(128, 30), (256, 50)];
const SHORT: f64 = 0.1;
/// Most steps that are timed, and seconds after which no other is begun.
const STEPS: usize = 7;
const SECONDS: f64 = 1.0;

pub(super) fn run(part: Part, device: Option<&str>, limit: Duration) -> Result<()> {
    let answer = match part {
        Part::List => list(device),
        Part::Measure => measure(&numbered(device)?)?,
        Part::Check => check(&numbered(device)?, false, limit),
        Part::CheckChecked => check(&numbered(device)?, true, limit),
        Part::Bisect => bisect(&numbered(device)?, limit)?,
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

/// Says what is begun, so that it is known where a driver ends the program.
fn doing(name: &str) {
    console::json(&json!({ "doing": name }));
}

/// What a device allows, what it can do at best, and how long a training step takes.
fn measure(device: &Device) -> Result<Value> {
    let limits = device.limits().map(|limits| {
        json!({
            "memory": limits.memory, "buffer_bytes": limits.buffer_bytes, "binding_bytes": limits.binding_bytes,
            "workgroup_threads": limits.workgroup_threads, "workgroup_bytes": limits.workgroup_bytes,
            "has_clock": limits.has_clock,
        })
    });
    doing("what it can do at best");
    let peaks = device.peaks()?;
    doing("the speed of training");
    let mut step = step(device, CASES[0], Precision::Full)?;
    if step.seconds < SHORT {
        step = self::step(device, CASES[1], Precision::Full)?;
    }
    // A device on which steps take long has said enough.
    let half = match device.has_halves() && step.seconds < SECONDS {
        true => {
            doing("the speed of training with halves");
            Some(self::step(device, step.case, Precision::Half)?)
        }
        false => None,
    };
    let mut found = json!({
        "limits": limits, "free_bytes": memory::free().map(|free| free.bytes),
        "shares_memory": device.info.shares_memory, "tiles": step.tiles,
        "peak_gflops": peaks.operations / 1e9, "peak_gbytes_per_second": peaks.copied_bytes / 1e9,
        "size": step.case.0, "depth": step.case.1, "step_seconds": step.seconds, "step_bytes": step.bytes,
        "fraction_of_peak": step.operations / step.seconds / peaks.operations,
    });
    if let Some(half) = half {
        found["half_step_seconds"] = half.seconds.into();
        found["half_step_bytes"] = half.bytes.into();
    }
    Ok(found)
}

/// A training step as it was timed.
struct Step {
    case: (usize, usize),
    /// The sizes of tiles of a GPU.
    tiles: Option<String>,
    /// Seconds that it takes, the median.
    seconds: f64,
    operations: f64,
    /// Bytes of memory that it takes.
    bytes: u64,
}

fn step(device: &Device, case: (usize, usize), precision: Precision) -> Result<Step> {
    let (size, depth) = case;
    let architecture = Architecture::new(1, 2, depth);
    let shape = Shape { batch: 1, extent: Extent::plane(size, size) };
    let tiles = device.clone().with_policy(TuningPolicy::Kept).tuned_for(&architecture, shape).tuning();
    let variant =
        Variant { block: None, max_page_bytes: u64::MAX, checked: false, tiles: tiles.clone(), precision };
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
    let operations = passes.operations("train_step");
    Ok(Step { case, tiles, seconds: seconds[seconds.len() / 2], operations, bytes })
}

fn check(device: &Device, checked: bool, limit: Duration) -> Value {
    let found = doctor::check(device, checked, limit, &mut doing);
    json!({
        "name": device.info.name, "networks": found.networks, "tiles": found.tiles, "others": found.others,
        "forward": found.forward, "gradients": found.gradients, "difference": found.difference,
    })
}

fn bisect(device: &Device, limit: Duration) -> Result<Value> {
    let found = doctor::bisect(device, limit, &mut doing);
    let found =
        found.map_err(|difference| Error::device(&device.info.name, "going step by step", difference))?;
    let first_wrong = found.first_wrong.map(|(network, wrong)| {
        json!({
            "network": network, "what": wrong.what, "step": wrong.step,
            // JSON has no infinity, which stands for NaN.
            "error": if wrong.error.is_finite() { Some(wrong.error) } else { None }, "allowed": wrong.allowed,
        })
    });
    Ok(json!({ "networks": found.networks, "quantities": found.quantities, "first_wrong": first_wrong }))
}
