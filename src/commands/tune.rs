//! `msd-gpu tune`: the sizes of tiles that are fastest on this machine's GPU.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::{console, table};
use crate::engine::DeviceKind;
use crate::geometry::{Extent, Shape};
use crate::gpu::Trial;
use crate::network::Architecture;
use crate::{Error, Result, devices};

/// Arguments of `tune`.
#[derive(Debug, Args)]
pub struct TuneArguments {
    /// Device: auto, gpu, an index or part of a name from `msd-gpu devices`
    #[arg(long, default_value = "auto")]
    device: String,
    /// Rows and columns of the images that are timed
    #[arg(long, default_value_t = 256)]
    size: usize,
    /// Layers of the network
    #[arg(long, default_value_t = 50)]
    depth: usize,
    /// Channels of each layer
    #[arg(long, default_value_t = 1)]
    width: usize,
    /// Images in a batch
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Try nothing new after so many seconds
    #[arg(long, default_value_t = 60.0, allow_negative_numbers = true)]
    seconds: f64,
    /// Print one JSON object a line: each trial, and at last what was kept
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(arguments: TuneArguments) -> Result<()> {
    if arguments.batch == 0 {
        return Err(Error::setting("--batch", 0, "it must be at least 1"));
    }
    let limit = Duration::try_from_secs_f64(arguments.seconds).map_err(|_| {
        Error::setting("--seconds", arguments.seconds, "it must be a number from 0 on, such as 60")
    })?;
    let architecture = Architecture { width: arguments.width, ..Architecture::new(1, 2, arguments.depth) };
    architecture.validate()?;
    let shape = Shape { batch: arguments.batch, extent: Extent::plane(arguments.size, arguments.size) };
    let device = devices::choose(&arguments.device)?;
    if device.info.kind == DeviceKind::Cpu {
        let (name, backend) = (&device.info.name, &device.info.backend);
        if arguments.json {
            console::json(&json!({ "device": name, "backend": backend, "kept": null }));
        } else {
            console::line(format!(
                "{name}: there is nothing to tune, only GPUs have sizes of tiles to choose"
            ));
        }
        return Ok(());
    }
    let mut trials = Vec::new();
    let (found, cache) = device.tune(&architecture, shape, limit, &mut |trial| {
        if arguments.json {
            console::json(&json!({
                "field": trial.field, "value": trial.value, "seconds": trial.seconds, "faster": trial.faster,
            }));
        }
        trials.push(trial);
    })?;
    let path = cache.path().display().to_string();
    if arguments.json {
        console::json(&json!({
            "device": device.info.name, "backend": device.info.backend, "driver": device.info.driver,
            "kept": found.tuning.to_string(), "seconds": found.seconds, "seconds_at_start": found.seconds_at_start,
            "complete": found.complete, "kept_in": path,
        }));
        return Ok(());
    }
    console::line(format!("{}: a training step and a forward pass", device.info.name));
    lines(found.seconds_at_start, &trials).iter().for_each(console::line);
    if !found.complete {
        console::line("The time was over before all was tried; --seconds gives more.");
    }
    let gain = if found.tuning == found.start {
        "the defaults, as fast as any".into()
    } else {
        let percent = 100.0 * (1.0 - found.seconds / found.seconds_at_start);
        format!("{percent:.0} % less time than the defaults")
    };
    console::line(format!("Fastest: {} ({gain})", found.tuning));
    console::line(format!("Kept in {path}"));
    Ok(())
}

/// What was tried, as a table.
fn lines(at_start: f64, trials: &[Trial]) -> Vec<String> {
    let milliseconds = |seconds: f64| format!("{:.2} ms", seconds * 1e3);
    let mut rows = vec![vec!["defaults".into(), String::new(), milliseconds(at_start)]];
    for trial in trials {
        let seconds = trial.seconds.map_or("refused".into(), milliseconds);
        let mark = if trial.faster { "faster" } else { "" };
        rows.push(vec![trial.field.into(), trial.value.to_string(), seconds, mark.into()]);
    }
    table::lines(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_what_was_tried() {
        let trial = Trial { field: "block", value: 5, seconds: Some(0.0125), faster: true };
        let refused = Trial { value: 20, seconds: None, faster: false, ..trial };
        let wanted = ["defaults      20.00 ms", "block      5  12.50 ms  faster", "block     20   refused"];
        assert_eq!(lines(0.02, &[trial, refused]), wanted);
    }
}
