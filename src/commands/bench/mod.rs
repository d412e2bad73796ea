//! `msd-gpu bench`: how fast this machine is on MS-D networks.

mod peers;

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde_json::json;

use self::peers::{Key, Peers};
use super::console;
use super::device::DeviceArguments;
use crate::engine::{Adam, Engine, Images, Loss, Peaks, Targets, example_batch};
use crate::geometry::{Extent, Shape};
use crate::network::{Architecture, initialise};
use crate::schedule::update_traffic;
use crate::{Error, Result};

/// Arguments of `bench`.
#[derive(Debug, Args)]
pub struct BenchArguments {
    #[command(flatten)]
    device: DeviceArguments,
    /// Rows and columns of the images
    #[arg(long, default_value_t = 256)]
    size: usize,
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
    architecture: Architecture,
    images: Images,
    targets: Targets,
    /// What the device can do at best.
    peaks: Peaks,
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
        stem: arguments.stem.parse()?,
        ..Architecture::new(1, CLASSES, arguments.depth)
    };
    architecture.validate()?;
    let shape = Shape { batch: arguments.batch, extent: Extent::plane(arguments.size, arguments.size) };
    let peers = arguments.against.as_deref().map(Peers::read).transpose()?;
    let device = arguments.device.choose()?;
    let device = match &arguments.tiles {
        Some(tiles) => device.with_tiles(tiles)?,
        None => device.tuned_for(&architecture, shape),
    };
    let mut engine = device.open(&architecture, &initialise(&architecture, 1))?;
    // Asking for the memory first finds sizes that cannot be counted before any image is made.
    engine.bytes(shape, true)?;
    let (images, targets) = example_batch(&architecture, shape)?;
    let peaks = device.peaks()?;
    let case = Case { arguments, architecture, images, targets, peaks, peers };
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

impl Case {
    fn once(&self, engine: &mut dyn Engine, training: bool, step: u64) -> Result<f64> {
        let start = Instant::now();
        if training {
            engine.accumulate(
                &self.images,
                &self.targets,
                Loss::CrossEntropy,
                1.0 / self.images.pixels.len() as f32,
            )?;
            engine.update(&Adam::new(1e-3, step))?;
            engine.losses(true)?;
        } else {
            engine.forward(&self.images)?;
        }
        Ok(start.elapsed().as_secs_f64())
    }

    /// Times one kind of pass and prints it.
    fn measure(&self, engine: &mut dyn Engine, training: bool) -> Result<()> {
        for warm_up in 1..=2 {
            self.once(engine, training, warm_up)?;
        }
        let runs = (0..self.arguments.repeats as u64).map(|run| self.once(engine, training, 3 + run));
        let mut seconds = runs.collect::<Result<Vec<f64>>>()?;
        seconds.sort_by(f64::total_cmp);
        self.print(engine, training, seconds[seconds.len() / 2])?;
        if self.arguments.steps { self.measure_steps(engine, training) } else { Ok(()) }
    }

    fn print(&self, engine: &dyn Engine, training: bool, seconds: f64) -> Result<()> {
        let what = what(training);
        let a = &self.arguments;
        let key = Key { what: what.into(), size: a.size, depth: a.depth, width: a.width, batch: a.batch };
        let peak_bytes = engine.bytes(self.images.shape, training)?;
        let name = engine.device().name.clone();
        let operations = self.operations(what);
        let (gflops, share) = (operations / seconds / 1e9, operations / seconds / self.peaks.operations);
        if !a.json {
            let mebibytes = peak_bytes as f64 / (1 << 20) as f64;
            let line = format!("{what:<22}{:>9.2} ms {gflops:>8.1} GFLOP/s", seconds * 1e3);
            console::line(format!("{line} {:>4.0} % of peak {mebibytes:>8.1} MiB  {name}", 100.0 * share));
            let against = self.peers.iter().flat_map(|peers| peers.lines(&key, seconds));
            against.for_each(console::line);
            return Ok(());
        }
        let traffic = self.traffic(engine, training)?;
        let moved: u64 = traffic.iter().map(|(_, bytes)| bytes).sum();
        let mut line = json!({
            "device": name, "backend": engine.device().backend, "what": what, "size": a.size, "depth": a.depth,
            "width": a.width, "batch": a.batch, "seconds": seconds, "gflops": gflops, "bytes_moved": moved,
            "gbytes_per_second": moved as f64 / seconds / 1e9, "peak_bytes": peak_bytes,
            "peak_gflops": self.peaks.operations / 1e9, "fraction_of_peak": share,
            "peak_gbytes_per_second": self.peaks.copied_bytes / 1e9,
        });
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
            self.once(engine, training, 1 + run)?;
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
        let mut traffic = engine.traffic(self.images.shape, training)?;
        if training {
            traffic.push(("update", update_traffic(&self.architecture)));
        }
        Ok(traffic)
    }

    fn print_step(&self, step: &str, what: &str, seconds: f64, bytes: u64) {
        // A step that is too short for the clock has no speed.
        let speed = |amount: f64| if seconds > 0.0 { amount / seconds } else { 0.0 };
        let (operations, moved) = (speed(self.operations(step)), speed(bytes as f64));
        let (of_peak, of_copy) = (operations / self.peaks.operations, moved / self.peaks.copied_bytes);
        if self.arguments.json {
            console::json(&json!({
                "step": step, "of": what, "size": self.arguments.size, "seconds": seconds, "gflops": operations / 1e9,
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

    /// Operations of a pass or of a kind of step: 18 for each filter and pixel, thrice that for a training step
    /// (the convention of the field), and 2 for each mixing weight and pixel.
    fn operations(&self, what: &str) -> f64 {
        let a = &self.architecture;
        let filters = 18.0 * a.filter_count() as f64;
        let mix = 2.0 * (a.channels() * a.outputs) as f64;
        let each = match what {
            "forward" | "convolve" | "filter_gradient" => filters,
            "train_step" => 3.0 * filters,
            // What comes before the first layer needs no gradient.
            "input_gradient" => filters - 18.0 * (a.stem_channels() * a.hidden()) as f64,
            // Two passes for each scale.
            "stem" => a.stem.scales.iter().map(|scale| (8 * scale.radius() + 4) as f64).sum(),
            "mix" | "mix_weight_gradient" => mix,
            "mix_input_gradient" => 2.0 * (a.hidden() * a.outputs) as f64,
            "bias_gradient" => a.hidden() as f64,
            _ => 0.0,
        };
        each * self.images.pixels.len() as f64
    }
}

/// What a pass is called in measurements.
fn what(training: bool) -> &'static str {
    if training { "train_step" } else { "forward" }
}
