//! `msd-gpu bench`: how fast this machine is on MS-D networks.

mod passes;
mod peers;

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

pub(super) use self::passes::Passes;
use self::peers::{Key, Peers};
use super::console;
use super::device::{DeviceArguments, PrecisionArguments};
use crate::engine::{Engine, Peaks, Precision};
use crate::geometry::{Extent, Shape};
use crate::network::{Architecture, initialise};
use crate::schedule::update_traffic;
use crate::{Error, Result};

/// Arguments of `bench`.
#[derive(Debug, Args)]
pub struct BenchArguments {
    #[command(flatten)]
    device: DeviceArguments,
    #[command(flatten)]
    precision: PrecisionArguments,
    /// Dimensions of the network: 2 for images, 3 for volumes
    #[arg(long, value_name = "2|3", default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=3))]
    dimensions: u8,
    /// Rows and columns of the images, and slices of volumes [256, or 96 for volumes]
    #[arg(long)]
    size: Option<usize>,
    /// Layers of the network
    #[arg(long, default_value_t = 50)]
    depth: usize,
    /// Channels of each layer
    #[arg(long, default_value_t = 1)]
    width: usize,
    /// Fixed filters in front of the layers: none, or sizes in pixels such as 0.7,1.6,3.5,8
    #[arg(long, value_name = "SIZES", default_value = "none")]
    stem: String,
    /// Images in a batch
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Times that each measurement is repeated; the median is printed
    #[arg(long, default_value_t = 7)]
    repeats: usize,
    /// Say what each kind of step takes, too, in runs of their own
    #[arg(long)]
    steps: bool,
    /// Sizes of tiles to run a GPU with, in quotes, as `msd-gpu tune` prints them
    #[arg(long, value_name = "TILES", conflicts_with = "no_tune")]
    tiles: Option<String>,
    /// Compare with measurements of another tool or run: a file of JSON lines with device, what, size, depth, seconds
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// Classes of the network that is timed.
const CLASSES: usize = 2;
/// Most runs in which steps are timed.
const TIMED_RUNS: usize = 3;

/// What is timed.
struct Case {
    arguments: BenchArguments,
    passes: Passes,
    /// What the device can do at best.
    peaks: Peaks,
    /// How it stores feature maps.
    precision: Precision,
    peers: Option<Peers>,
}

/// Times a forward pass and a training step: the paper's network on one batch, Adam and loss included.
pub fn run(arguments: BenchArguments) -> Result<()> {
    for (name, value) in [("--repeats", arguments.repeats), ("--batch", arguments.batch)] {
        if value == 0 {
            return Err(Error::setting(name, 0, "it must be at least 1"));
        }
    }
    let architecture = Architecture {
        width: arguments.width,
        dimensions: usize::from(arguments.dimensions),
        stem: arguments.stem.parse()?,
        ..Architecture::new(1, CLASSES, arguments.depth)
    };
    architecture.validate()?;
    let size = arguments.size();
    let slices = if architecture.is_of_volumes() { size } else { 1 };
    let shape = Shape { batch: arguments.batch, extent: Extent::new(slices, size, size) };
    let peers = arguments.against.as_deref().map(Peers::read).transpose()?;
    let device = arguments.device.choose()?;
    let device = match &arguments.tiles {
        Some(tiles) => device.with_tiles(tiles)?,
        None => device.tuned_for(&architecture, shape),
    };
    let device = device.with_precision(arguments.precision.get()?);
    let mut engine = device.open(&architecture, &initialise(&architecture, 1))?;
    // Asking for the memory first finds sizes that cannot be counted before any image is made.
    engine.bytes(shape, true)?;
    let passes = Passes::new(architecture, shape)?;
    let peaks = device.peaks()?;
    let case = Case { arguments, passes, peaks, precision: device.precision(), peers };
    if !case.arguments.json {
        console::line(format!(
            "this device at best: {:.0} GFLOP/s in registers, copying {:.1} GB/s",
            peaks.operations / 1e9,
            peaks.copied_bytes / 1e9
        ));
    }
    case.measure(engine.as_mut(), false)?;
    case.measure(engine.as_mut(), true)
}

impl BenchArguments {
    fn size(&self) -> usize {
        self.size.unwrap_or(if self.dimensions == 3 { 96 } else { 256 })
    }
}

impl Case {
    /// Times one kind of pass and prints it.
    fn measure(&self, engine: &mut dyn Engine, training: bool) -> Result<()> {
        let seconds = self.passes.median_seconds(engine, training, self.arguments.repeats)?;
        self.print(engine, training, seconds)?;
        if self.arguments.steps { self.measure_steps(engine, training) } else { Ok(()) }
    }

    fn print(&self, engine: &dyn Engine, training: bool, seconds: f64) -> Result<()> {
        let what = what(training);
        let a = &self.arguments;
        let dimensions = usize::from(a.dimensions);
        let (what_is_timed, size) = (what.into(), a.size());
        let key =
            Key { what: what_is_timed, dimensions, size, depth: a.depth, width: a.width, batch: a.batch };
        let peak_bytes = engine.bytes(self.passes.shape(), training)?;
        let name = engine.device().name.clone();
        let operations = self.passes.operations(what);
        let (gflops, share) = (operations / seconds / 1e9, operations / seconds / self.peaks.operations);
        if !a.json {
            let mebibytes = peak_bytes as f64 / (1 << 20) as f64;
            let line = format!("{what:<22}{:>9.2} ms {gflops:>8.1} GFLOP/s", seconds * 1e3);
            let halves = if self.precision == Precision::Half { ", maps as halves" } else { "" };
            console::line(format!(
                "{line} {:>4.0} % of peak {mebibytes:>8.1} MiB  {name}{halves}",
                100.0 * share
            ));
            let against = self.peers.iter().flat_map(|peers| peers.lines(&key, seconds));
            against.for_each(console::line);
            return Ok(());
        }
        let traffic = self.traffic(engine, training)?;
        let moved: u64 = traffic.iter().map(|(_, bytes)| bytes).sum();
        let mut line = json!({
            "device": name, "backend": engine.device().backend, "what": what, "dimensions": dimensions, "size": size, "depth": a.depth,
            "width": a.width, "batch": a.batch, "seconds": seconds, "gflops": gflops, "bytes_moved": moved,
            "gbytes_per_second": moved as f64 / seconds / 1e9, "peak_bytes": peak_bytes,
            "peak_gflops": self.peaks.operations / 1e9, "fraction_of_peak": share,
            "peak_gbytes_per_second": self.peaks.copied_bytes / 1e9,
        });
        if self.precision == Precision::Half {
            line["precision"] = self.precision.name().into();
        }
        if let Some(peers) = &self.peers {
            line["against"] = peers.json(&key, seconds);
        }
        console::json(&line);
        Ok(())
    }

    /// Times each kind of step in runs of their own, since an engine may be slower while it does so, and prints them.
    fn measure_steps(&self, engine: &mut dyn Engine, training: bool) -> Result<()> {
        if !engine.time_steps(true) {
            let problem = format!("{} has no clock that could time its steps", engine.device().name);
            if self.arguments.json {
                log::warn!("{problem}");
            } else {
                console::line(format!("  {problem}"));
            }
            return Ok(());
        }
        let runs = self.arguments.repeats.min(TIMED_RUNS) as u64;
        for run in 0..=runs {
            if run == 1 {
                // The first was to get the clock going.
                engine.step_seconds();
            }
            self.passes.once(engine, training, 1 + run)?;
        }
        let steps = engine.step_seconds();
        engine.time_steps(false);
        let traffic = self.traffic(engine, training)?;
        for (step, total) in steps {
            let bytes = traffic.iter().find(|(name, _)| *name == step).map_or(0, |&(_, bytes)| bytes);
            self.print_step(step, what(training), total / runs as f64, bytes);
        }
        Ok(())
    }

    /// Bytes that each kind of step must move in the schedule that `engine` runs, the optimiser's step included.
    fn traffic(&self, engine: &dyn Engine, training: bool) -> Result<Vec<(&'static str, u64)>> {
        let mut traffic = engine.traffic(self.passes.shape(), training)?;
        if training {
            traffic.push(("update", update_traffic(self.passes.architecture())));
        }
        Ok(traffic)
    }

    fn print_step(&self, step: &str, what: &str, seconds: f64, bytes: u64) {
        // A step that is too short for the clock has no speed.
        let speed = |amount: f64| if seconds > 0.0 { amount / seconds } else { 0.0 };
        let (operations, moved) = (speed(self.passes.operations(step)), speed(bytes as f64));
        let (of_peak, of_copy) = (operations / self.peaks.operations, moved / self.peaks.copied_bytes);
        if self.arguments.json {
            console::json(&json!({
                "step": step, "of": what, "size": self.arguments.size(), "seconds": seconds, "gflops": operations / 1e9,
                "bytes": bytes, "gbytes_per_second": moved / 1e9, "fraction_of_peak": of_peak,
                "fraction_of_copy_peak": of_copy,
            }));
        } else {
            let line = format!("  {step:<20}{:>9.2} ms {:>8.1} GFLOP/s", seconds * 1e3, operations / 1e9);
            let share = format!("{:>4.0} % of peak", 100.0 * of_peak);
            let copying = format!("{:>8.1} GB/s {:>4.0} % of copying", moved / 1e9, 100.0 * of_copy);
            console::line(format!("{line} {share} {copying}"));
        }
    }
}

/// What a pass is called in measurements.
fn what(training: bool) -> &'static str {
    if training { "train_step" } else { "forward" }
}
