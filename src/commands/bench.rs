//! `msd-gpu bench`: how fast this machine is on MS-D networks.

use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::console;
use super::device::DeviceArguments;
use crate::engine::{Adam, DeviceKind, Engine, Images, Loss, Targets};
use crate::network::{Architecture, initialise};
use crate::schedule::{Extent, Shape};
use crate::{Error, Result, cpu};

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
    /// Images in a batch
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Times that each measurement is repeated; the median is printed
    #[arg(long, default_value_t = 7)]
    repeats: usize,
    /// Say what each kind of step takes, too (on the CPU)
    #[arg(long)]
    steps: bool,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// Classes of the network that is timed.
const CLASSES: usize = 2;

/// What is timed.
struct Case {
    arguments: BenchArguments,
    architecture: Architecture,
    images: Images,
    targets: Targets,
    /// Multiply-adds a second, counted as two operations, that the device can do at best, where it was measured.
    peak: Option<f64>,
}

/// Times a forward pass and a training step: the paper's network on one batch, Adam and loss included.
pub fn run(arguments: BenchArguments) -> Result<()> {
    for (name, value) in [("--repeats", arguments.repeats), ("--batch", arguments.batch)] {
        if value == 0 {
            return Err(Error::setting(name, 0, "it must be at least 1"));
        }
    }
    let architecture =
        Architecture { width: arguments.width, ..Architecture::new(1, CLASSES, arguments.depth) };
    architecture.validate()?;
    let shape = Shape { batch: arguments.batch, extent: Extent::plane(arguments.size, arguments.size) };
    let device = arguments.device.choose()?.tuned_for(&architecture, shape);
    let mut engine = device.open(&architecture, &initialise(&architecture, 1))?;
    // Asking for the memory first finds sizes that cannot be counted before any image is made.
    engine.bytes(shape, true)?;
    let pixels = shape.batch * shape.extent.pixels();
    let images = Images { shape, pixels: fill(pixels, |i| (i % 1009 * 7919 % 1009) as f32 / 500.0 - 1.0)? };
    let targets = Targets::classes(fill(pixels, |i| (i / 100 % CLASSES) as u32)?);
    let peak = (device.info.kind == DeviceKind::Cpu).then(cpu::multiply_add_peak);
    let case = Case { arguments, architecture, images, targets, peak };
    if let (Some(peak), false) = (peak, case.arguments.json) {
        let copy = cpu::copy_peak() / 1e9;
        console::line(format!(
            "this machine at best: {:.0} GFLOP/s in registers, copying {copy:.1} GB/s",
            peak / 1e9
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
        let repeats = self.arguments.repeats as u64;
        for warm_up in 1..=2 {
            self.once(engine, training, warm_up)?;
        }
        engine.step_seconds();
        let runs = (0..repeats).map(|run| self.once(engine, training, 3 + run));
        let mut seconds = runs.collect::<Result<Vec<f64>>>()?;
        let steps = engine.step_seconds();
        seconds.sort_by(f64::total_cmp);
        let median = seconds[seconds.len() / 2];
        let what = if training { "train_step" } else { "forward" };
        let peak_bytes = engine.bytes(self.images.shape, training)?;
        let name = engine.device().name.clone();
        let operations = self.operations(what);
        let gflops = operations / median / 1e9;
        if self.arguments.json {
            // Every map read once for each layer that reads it: what a layer-by-layer pass must move.
            let maps =
                (self.architecture.filter_count() + self.architecture.hidden()) * self.images.pixels.len();
            let moved = if training { 12.0 } else { 4.0 } * maps as f64;
            let a = &self.arguments;
            let mut line = json!({
                "device": name, "backend": engine.device().backend, "what": what, "size": a.size, "depth": a.depth,
                "width": a.width, "batch": a.batch, "seconds": median, "gflops": gflops, "bytes_moved": moved,
                "gbytes_per_second": moved / median / 1e9, "peak_bytes": peak_bytes,
            });
            if let Some(peak) = self.peak {
                line["peak_gflops"] = json!(peak / 1e9);
                line["fraction_of_peak"] = json!(operations / median / peak);
            }
            console::json(&line);
        } else {
            let mebibytes = peak_bytes as f64 / (1 << 20) as f64;
            let line = format!("{what:<22}{:>9.2} ms {gflops:>8.1} GFLOP/s", median * 1e3);
            console::line(format!("{line} {} {mebibytes:>8.1} MiB  {name}", self.share(operations, median)));
        }
        if self.arguments.steps {
            self.print_steps(&steps, repeats as f64);
        }
        Ok(())
    }

    /// Prints what each kind of step took, where the engine can tell.
    fn print_steps(&self, steps: &[(&'static str, f64)], repeats: f64) {
        for &(step, total) in steps {
            let seconds = total / repeats;
            let operations = self.operations(step);
            let gflops = operations / seconds / 1e9;
            if self.arguments.json {
                let size = self.arguments.size;
                console::json(&json!({ "step": step, "size": size, "seconds": seconds, "gflops": gflops }));
            } else {
                let share = self.share(operations, seconds);
                console::line(format!("  {step:<20}{:>9.2} ms {gflops:>8.1} GFLOP/s {share}", seconds * 1e3));
            }
        }
    }

    fn share(&self, operations: f64, seconds: f64) -> String {
        self.peak
            .map_or(String::new(), |peak| format!("{:>4.0} % of peak", 100.0 * operations / seconds / peak))
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
            // The input image needs no gradient.
            "input_gradient" => filters - 18.0 * (a.inputs * a.hidden()) as f64,
            "mix" | "mix_weight_gradient" => mix,
            "mix_input_gradient" => 2.0 * (a.hidden() * a.outputs) as f64,
            "bias_gradient" => a.hidden() as f64,
            _ => 0.0,
        };
        each * self.images.pixels.len() as f64
    }
}

/// Numbers for each pixel, if there is memory for them.
fn fill<T>(count: usize, number: impl Fn(usize) -> T) -> Result<Vec<T>> {
    let mut numbers = Vec::new();
    if numbers.try_reserve_exact(count).is_err() {
        let wanted = "the images must fit into memory; lower --size or --batch";
        return Err(Error::setting(
            "--size",
            format!("too large for this machine ({count} pixels in all)"),
            wanted,
        ));
    }
    numbers.extend((0..count).map(number));
    Ok(numbers)
}
