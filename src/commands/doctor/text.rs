//! What people read.

use std::path::Path;

use serde_json::Value;

use super::super::table;
use super::outcome::{Outcome, Row, ShownDevice};
use crate::doctor::{Machine, System};
use crate::error::Bytes;
use crate::selftest::tolerance;

/// Columns of a terminal of the least width that people use.
const COLUMNS: usize = 80;

/// Variables of the environment that decide about drivers, by how their names begin.
const VARIABLES: [&str; 9] = [
    "VK_",
    "MSD_GPU_",
    "LD_LIBRARY_PATH",
    "XDG_DATA_DIRS",
    "MESA_",
    "LIBGL_",
    "WGPU_",
    "NVIDIA_",
    "CUDA_VISIBLE",
];

/// Those that are set, in the order of their names.
pub(super) fn variables() -> Vec<(String, Value)> {
    let set = std::env::vars_os().map(|(name, value)| {
        (name.to_string_lossy().into_owned(), Value::String(value.to_string_lossy().into_owned()))
    });
    let mut all: Vec<_> =
        set.filter(|(name, _)| VARIABLES.iter().any(|start| name.starts_with(start))).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// The machine, its drivers and devices, and what is missing: what is known at once.
pub(super) fn beginning(outcome: &Outcome, report: bool) -> Vec<String> {
    let machine = &outcome.machine;
    let mut lines = Vec::new();
    if report {
        lines.push("```".to_owned());
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let place = match (machine.wsl, machine.container) {
        (true, _) => ", inside Windows (WSL)".to_owned(),
        (_, Some(container)) => format!(", in a container ({})", container.name()),
        _ => String::new(),
    };
    let name = format!(
        "msd-gpu {} on {}, {}, {threads} threads{place}",
        env!("CARGO_PKG_VERSION"),
        machine.name,
        std::env::consts::ARCH
    );
    lines.extend(wrapped(&name, 0));
    if report {
        lines.extend(
            outcome
                .variables
                .iter()
                .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default())),
        );
    }
    if machine.system == System::Linux {
        lines.extend(drivers(machine, report));
    }
    lines.extend(section("Devices"));
    let mark = if outcome.asked_for { "" } else { "  <- auto takes this one" };
    for device in &outcome.devices {
        let taken = if Some(device.index) == outcome.wanted { mark } else { "" };
        let software = if device.kind == "software" { " (software)" } else { "" };
        lines.push(format!("  {}  {}{software}{taken}", device.index, device.name));
        if !device.is_cpu() {
            lines.push(format!("     {}, {}", device.backend, device.driver));
        }
        if let Some(fault) = &device.fault {
            lines.extend(wrapped(&format!("a known fault: {fault}"), 5));
        }
    }
    if outcome.devices.is_empty() {
        lines.push("  none that is asked for".into());
    }
    if !outcome.findings.is_empty() {
        lines.extend(section("Why no GPU is used"));
        for finding in &outcome.findings {
            lines.extend(wrapped(&sentence(&finding.what), 2));
            lines.extend(finding.mend.iter().map(|line| format!("      {line}")));
        }
    }
    lines
}

/// With a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

fn section(name: &str) -> [String; 2] {
    [String::new(), name.to_owned()]
}

/// Loader, manifests, cards and files.
fn drivers(machine: &Machine, report: bool) -> Vec<String> {
    let mut lines: Vec<String> = section("Drivers").into();
    let mut row = |name: &str, text: String| lines.push(format!("  {name:<10}{text}"));
    let loader = machine.loader.library.as_ref();
    row("loader", loader.map_or("libvulkan.so.1 is not there".to_owned(), |path| path.display().to_string()));
    for (number, manifest) in machine.manifests.found.iter().enumerate() {
        let state = match (&manifest.named, &manifest.library) {
            (Err(problem), _) => format!(": {problem}"),
            (Ok(name), None) => format!(": {name} is not there"),
            (Ok(_), Some(library)) if report => format!(" -> {}", library.display()),
            (Ok(_), Some(_)) => String::new(),
        };
        let name = manifest.path.file_name().filter(|_| !report).map_or(manifest.path.as_path(), Path::new);
        row(if number == 0 { "manifests" } else { "" }, format!("{}{state}", name.display()));
    }
    if machine.manifests.found.is_empty() {
        row("manifests", "none".into());
    }
    for (number, card) in machine.cards.iter().enumerate() {
        let driver = card.kernel_driver.as_deref().unwrap_or("no driver in the kernel");
        row(if number == 0 { "cards" } else { "" }, format!("{}, {driver}", card.name()));
    }
    if machine.cards.is_empty() {
        row("cards", "none".into());
    }
    for (number, node) in machine.nodes.iter().enumerate() {
        let state = node.problem.as_ref().map_or(String::new(), |problem| format!(": {problem}"));
        row(if number == 0 { "files" } else { "" }, format!("{}{state}", node.path.display()));
    }
    lines
}

/// Memory, speed and checks, and what to do.
pub(super) fn end(outcome: &Outcome, report: bool) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    if !outcome.devices.is_empty() {
        lines.extend(memory(&outcome.devices, report));
        lines.extend(speed(&outcome.devices));
        lines.extend(checks(&outcome.devices));
        lines.extend(steps(&outcome.devices));
    }
    lines.push(String::new());
    for device in &outcome.devices {
        if let Some(problem) = device.problem() {
            lines.extend(wrapped(
                &format!("{} {} cannot be relied upon: {problem}", device.index, device.name),
                0,
            ));
        }
    }
    let works: Vec<String> = outcome
        .devices
        .iter()
        .filter(|device| device.problem().is_none())
        .map(|d| d.index.to_string())
        .collect();
    if !works.is_empty() {
        lines.extend(wrapped(&format!("Every check was passed by: {}", works.join(", ")), 0));
    }
    if report {
        lines.push("```".into());
    } else {
        lines.push("`msd-gpu doctor --report` prints a text to paste into a report.".into());
    }
    lines
}

fn measured(device: &ShownDevice) -> Option<&Value> {
    device.measured.as_ref()?.as_ref().ok()
}

fn bytes(value: &Value) -> String {
    value.as_u64().map_or("unknown".into(), |bytes| Bytes(bytes).to_string())
}

fn memory(devices: &[ShownDevice], report: bool) -> Vec<String> {
    let mut rows = vec![
        ["", "in all", "a buffer", "a binding", "a workgroup", "its threads"].map(str::to_owned).to_vec(),
    ];
    for device in devices {
        let Some(measured) = measured(device) else { continue };
        let limits = &measured["limits"];
        let index = format!("  {}", device.index);
        if limits.is_null() {
            rows.push(vec![index, format!("{} free", bytes(&measured["free_bytes"]))]);
        } else {
            let threads = limits["workgroup_threads"].to_string();
            let sizes = ["memory", "buffer_bytes", "binding_bytes", "workgroup_bytes"]
                .map(|name| bytes(&limits[name]));
            rows.push([&[index][..], &sizes, &[threads]].concat());
        }
    }
    let mut lines: Vec<String> = section("Memory and limits").into();
    lines.extend(table::lines(&rows));
    if report {
        for device in devices {
            let Some(measured) = measured(device) else { continue };
            if let Some(tiles) = measured["tiles"].as_str() {
                let clock = if measured["limits"]["has_clock"] == true { "with" } else { "without" };
                lines.push(format!("  {}  {clock} a clock; tiles: {tiles}", device.index));
            }
        }
    }
    lines
}

fn speed(devices: &[ShownDevice]) -> Vec<String> {
    let mut lines: Vec<String> = section("Speed").into();
    let names = ["", "at best", "copying", "training step of", "takes", "of best", "halves"];
    let mut rows = vec![names.map(str::to_owned).to_vec()];
    for device in devices {
        let index = format!("  {}", device.index);
        match &device.measured {
            Some(Ok(said)) => {
                let number = |name: &str| said[name].as_f64().unwrap_or_default();
                rows.push(vec![
                    index,
                    format!("{:.1} GFLOP/s", number("peak_gflops")),
                    format!("{:.1} GB/s", number("peak_gbytes_per_second")),
                    format!("{size}x{size}, depth {}", said["depth"], size = said["size"]),
                    format!("{:.1} ms", 1e3 * number("step_seconds")),
                    format!("{:.0} %", 100.0 * number("fraction_of_peak")),
                    said["half_step_seconds"]
                        .as_f64()
                        .map_or("-".into(), |half| format!("{:.1} ms", 1e3 * half)),
                ]);
            }
            Some(Err(_)) => rows.push(vec![index, "not measured".into()]),
            None => {}
        }
    }
    lines.extend(table::lines(&rows));
    lines
}

fn checks(devices: &[ShownDevice]) -> Vec<String> {
    let (maps, gradients) = (tolerance::FORWARD, tolerance::PARAMETER_GRADIENT);
    let title =
        format!("Largest errors against float64 (allowed: maps {maps:.0e}, gradients {gradients:.0e})");
    let mut lines: Vec<String> = section(&title).into();
    let names = ["", "networks", "kernels", "others", "maps", "gradients", ""];
    let mut rows = vec![names.map(str::to_owned).to_vec()];
    for device in devices {
        rows.extend(device.rows.iter().map(|row| cells(device, row)));
    }
    lines.extend(table::lines(&rows));
    lines
}

fn cells(device: &ShownDevice, row: &Row) -> Vec<String> {
    let counts = |name: &str| match row.counts(name) {
        Some((_, 0)) | None => "-".to_owned(),
        Some((done, all)) => format!("{done}/{all}"),
    };
    let error = |name: &str| row.number(name).map_or("-".to_owned(), |error| format!("{error:.1e}"));
    let state = if row.problem().is_none() { "right" } else { "wrong" };
    let state = if row.said.is_err() { "failed" } else { state };
    vec![
        format!("  {}  {}", device.index, row.variant),
        counts("networks"),
        counts("tiles"),
        counts("others"),
        error("forward"),
        error("gradients"),
        state.into(),
    ]
}

/// The first step that goes wrong, of devices that were looked at so.
fn steps(devices: &[ShownDevice]) -> Vec<String> {
    let mut lines = Vec::new();
    for device in devices {
        let Some(said) = &device.bisected else { continue };
        if lines.is_empty() {
            lines.extend(section("Step by step"));
        }
        let text = match said {
            Err(problem) => problem.clone(),
            Ok(said) if said["first_wrong"].is_null() => {
                format!(
                    "{} planes and gradients of {} networks are right",
                    said["quantities"], said["networks"]
                )
            }
            Ok(said) => {
                let wrong = &said["first_wrong"];
                let word = |name: &str| wrong[name].as_str().unwrap_or_default().to_owned();
                let error =
                    wrong["error"].as_f64().map_or("not a number".to_owned(), |error| format!("{error:.1e}"));
                format!(
                    "{}: the first to be off is {}, which the step {} computes: error {error}, allowed {:.0e}",
                    word("network"),
                    word("what"),
                    word("step"),
                    wrong["allowed"].as_f64().unwrap_or_default()
                )
            }
        };
        lines.extend(wrapped(&format!("{}: {text}", device.index), 2));
    }
    lines
}

/// Lines of at most [`COLUMNS`] with `indent` blanks before each.
fn wrapped(text: &str, indent: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = " ".repeat(indent);
    for word in text.split_whitespace() {
        let is_empty = line.len() == indent;
        if !is_empty && line.chars().count() + 1 + word.chars().count() > COLUMNS {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
        } else if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_wrapped_between_words() {
        let text = "word ".repeat(40);
        let lines = wrapped(&text, 4);
        assert!(lines.iter().all(|line| line.len() <= COLUMNS && line.starts_with("    word")), "{lines:?}");
        assert_eq!(lines.iter().map(|line| line.split_whitespace().count()).sum::<usize>(), 40);
        // A path that is too long stays whole.
        let path = "/".repeat(100);
        assert_eq!(wrapped(&format!("a {path} b"), 0), ["a", &path, "b"]);
    }
}
