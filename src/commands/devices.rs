//! `msd-gpu devices`: what networks can run on.

use clap::Args;
use serde_json::json;

use super::console;
use crate::engine::DeviceKind;
use crate::{Result, devices};

/// Arguments of `devices`.
#[derive(Debug, Args)]
pub struct DevicesArguments {
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// Lists the devices, best first. The first that is no software GPU is what `--device auto` takes.
pub fn run(arguments: DevicesArguments) -> Result<()> {
    for (index, device) in devices::list().iter().enumerate() {
        let info = &device.info;
        let kind = match info.kind {
            DeviceKind::Gpu => "GPU",
            DeviceKind::Cpu => "CPU",
            DeviceKind::Software => "software GPU (for tests; slower than the CPU itself)",
        };
        if arguments.json {
            let short = match info.kind {
                DeviceKind::Gpu => "gpu",
                DeviceKind::Cpu => "cpu",
                DeviceKind::Software => "software",
            };
            console::json(&json!({
                "index": index, "name": info.name, "backend": info.backend, "kind": short, "driver": info.driver,
            }));
        } else {
            console::line(format!("{index}  {:<40} {:<8} {kind}", info.name, info.backend));
        }
    }
    Ok(())
}
