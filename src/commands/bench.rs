//! `msd-gpu bench`: how fast this machine is on MS-D networks.

use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::console;
use crate::engine::{Adam, Engine, Images, Targets};
use crate::network::{Architecture, initialise};
use crate::schedule::{Extent, Shape};
use crate::{Error, Result, devices};

/// Arguments of `bench`.
#[derive(Debug, Args)]
pub struct BenchArguments {
    /// Device: auto, cpu, gpu, an index or part of a name from `msd-gpu devices`
    #[arg(long, default_value = "auto")]
    device: String,
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
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// Classes of the network that is timed.
const CLASSES: usize = 2;

/// Times a forward pass and a training step: the paper's network on one batch, Adam and loss included.
pub fn run(arguments: BenchArguments) -> Result<()> {
    if arguments.repeats == 0 {
        return Err(Error::setting("--repeats", 0, "it must be at least 1"));
    }
    if arguments.batch == 0 {
        return Err(Error::setting("--batch", 0, "it must be at least 1"));
    }
    let architecture =
        Architecture { width: arguments.width, ..Architecture::new(1, CLASSES, arguments.depth) };
    architecture.validate()?;
    let shape = Shape { batch: arguments.batch, extent: Extent::plane(arguments.size, arguments.size) };
    let device = devices::choose(&arguments.device)?;
    let mut engine = device.open(&architecture, &initialise(&architecture, 1))?;
    // Asking for the memory first finds sizes that cannot be counted before any image is made.
    let peak = [engine.bytes(shape, false)?, engine.bytes(shape, true)?];
    let pixels = shape.batch * shape.extent.pixels();
    let images = Images { shape, pixels: fill(pixels, |i| (i % 1009 * 7919 % 1009) as f32 / 500.0 - 1.0)? };
    let targets = Targets::Classes(fill(pixels, |i| (i / 100 % CLASSES) as u32)?);
    let operations = 18.0 * architecture.filter_count() as f64 * pixels as f64;

    for (what, factor, peak) in [("forward", 1.0, peak[0]), ("train_step", 3.0, peak[1])] {
        let mut step = 0;
        let mut once = |engine: &mut dyn Engine| -> Result<f64> {
            let start = Instant::now();
            if what == "forward" {
                engine.forward(&images)?;
            } else {
                step += 1;
                engine.accumulate(&images, &targets, 1.0 / pixels as f32)?;
                engine.update(&Adam::new(1e-3, step))?;
                engine.losses(true)?;
            }
            Ok(start.elapsed().as_secs_f64())
        };
        once(engine.as_mut())?;
        once(engine.as_mut())?;
        let mut seconds =
            (0..arguments.repeats).map(|_| once(engine.as_mut())).collect::<Result<Vec<f64>>>()?;
        seconds.sort_by(f64::total_cmp);
        let median = seconds[seconds.len() / 2];
        let gflops = factor * operations / median / 1e9;
        // Every map read once for each layer that reads it: what a layer-by-layer pass must move.
        let moved =
            factor * 4.0 * (architecture.filter_count() + architecture.hidden()) as f64 * pixels as f64;
        let info = engine.device();
        if arguments.json {
            console::json(&json!({
                "device": info.name, "backend": info.backend, "what": what, "size": arguments.size,
                "depth": arguments.depth, "width": arguments.width, "batch": arguments.batch, "seconds": median,
                "gflops": gflops, "bytes_moved": moved, "gbytes_per_second": moved / median / 1e9, "peak_bytes": peak,
            }));
        } else {
            let network = format!("depth {}, width {}", arguments.depth, arguments.width);
            let images = format!("{} of {size}x{size}", arguments.batch, size = arguments.size);
            console::line(format!(
                "{what:<10} {:>9.2} ms {gflops:>8.1} GFLOP/s {:>7.1} MiB  {network}, {images}, {}",
                median * 1e3,
                peak as f64 / (1 << 20) as f64,
                info.name
            ));
        }
    }
    Ok(())
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
