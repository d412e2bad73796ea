//! `msd-gpu tomo denoise`: from a scan to a denoised volume, without clean images.
//!
//! Four steps, each of which goes on where it was cut short: the centre of rotation, reconstructions of disjoint shares of the
//! projections, a network that learns from them (Noise2Inverse), and what it makes of them. `plan` is what stands in the folder of
//! the work, `training` chooses how long is trained, `report` says what came of it.

mod plan;
mod report;
mod training;

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use log::{info, warn};

use self::plan::Plan;
use super::reconstruct::{ReconstructionArguments, numbered, shares_of};
use super::scan::ScanArguments;
use super::volume::VolumeArguments;
use crate::commands::console;
use crate::commands::device::DeviceArguments;
use crate::commands::progress::ImageProgress;
use crate::files::remove_unfinished;
use crate::images::{Discovery, StackFormat};
use crate::inference::{Cutting, Ensemble, Halo, Procedure, Request, Wishes};
use crate::network::Model;
use crate::tomography::{Scan, ScanWishes, reconstruct_scan};
use crate::{Error, Result};

/// With no more projections than one for so many columns, most of what is wrong with a slice is what they leave out.
const COLUMNS_OF_FEW: usize = 4;

/// Arguments of `tomo denoise`.
#[derive(Debug, Args)]
pub struct DenoiseArguments {
    #[command(flatten)]
    scan: ScanArguments,
    #[command(flatten)]
    volume: VolumeArguments,
    #[command(flatten)]
    how: ReconstructionArguments,
    /// Shares of the projections, each of which is reconstructed by itself and learnt from the others
    #[arg(long, value_name = "K", default_value_t = 2, help_heading = "Denoising")]
    split: usize,
    /// Minutes of training [as many as 3000 steps take on the device, but 2 to 60]
    #[arg(long, value_name = "MINUTES", allow_negative_numbers = true, help_heading = "Denoising")]
    minutes: Option<f64>,
    /// Steps of training, in the place of minutes: the same result wherever it is repeated on the same device
    #[arg(long, value_name = "N", conflicts_with = "minutes", help_heading = "Denoising")]
    steps: Option<u64>,
    /// Show the network each slice with its neighbours, this many together: an odd number
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Denoising")]
    slab: usize,
    /// Apply this model, of an earlier scan of the same instrument, in the place of training one
    #[arg(long, value_name = "M", conflicts_with_all = ["minutes", "steps", "slab"], help_heading = "Denoising")]
    model: Option<PathBuf>,
    /// Folder for reconstructions, model and report [the name of --out with -work]
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Device")]
    device: DeviceArguments,
}

/// Runs the command.
pub fn run(arguments: &DenoiseArguments) -> Result<()> {
    let out = &arguments.volume.out;
    let destination = arguments.volume.destination()?;
    if let Some(minutes) = arguments.minutes.filter(|minutes| !(minutes.is_finite() && *minutes > 0.0)) {
        return Err(Error::setting("minutes", minutes, "it must be a number above 0"));
    }
    if arguments.steps == Some(0) {
        return Err(Error::setting("steps", 0, "there must be at least one"));
    }
    let memory = arguments.volume.memory()?;
    let model = arguments.model.as_deref().map(|path| Ok((path, Model::read(path)?))).transpose()?;
    let split = match &model {
        Some((path, model)) => model.splits().map(|splits| splits.count).ok_or_else(|| {
            let problem =
                "it was not trained on shares of projections; name one that was, or leave `model` out";
            Error::model(*path, problem)
        })?,
        None => arguments.split,
    };
    let scan = arguments.how.open(&arguments.scan)?;
    let count = scan.angles().len();
    if !(2..=count / 2).contains(&split) {
        let wanted = format!("wanted from 2 shares to {}, of at least two projections each", count / 2);
        return Err(Error::setting("split", split, wanted));
    }
    if out.exists() {
        return Err(Error::output(out, "it is there already; name another file with `out`, or move it away"));
    }
    let columns = scan.size().1;
    if COLUMNS_OF_FEW * count <= columns {
        warn!(
            "{count} projections of {columns} columns leave streaks, which are no noise and stay: with many projections of one sample, `train denoise --images FEW --targets MANY` learns to take them away too"
        );
    }
    let work = arguments.work.clone().unwrap_or_else(|| work_folder(out));
    let device = arguments.device.choose()?;
    let base = work.join("share.tif");
    let shares: Vec<PathBuf> = (0..split).map(|number| numbered(&base, number)).collect();
    let training = training::Training {
        shares: &shares,
        slices: arguments.scan.rows(&scan)?.len(),
        slab: arguments.slab,
        minutes: arguments.minutes,
        steps: arguments.steps,
        device: &device,
        device_name: arguments.device.name(),
    };
    training.check()?;
    let mut plan = Plan::open(&work, &asked(arguments, split), arguments.volume.resume)?;
    let mut timings = report::Timings::default();

    let clock = Instant::now();
    reconstruct(arguments, &scan, &mut plan, &shares, &base)?;
    timings.add("reconstructions", clock);

    let clock = Instant::now();
    let (path, model) = match model {
        Some((path, model)) => (path.to_path_buf(), model),
        None => (work.join("run"), training.run(&mut plan)?),
    };
    timings.add("training", clock);

    let clock = Instant::now();
    let mut ensemble = Ensemble::new(vec![(path.display().to_string(), model)], &device, None, false)?;
    let request = Request {
        discovery: Discovery::default(),
        inputs: shares.iter().map(|share| share.display().to_string()).collect(),
        destination,
        wishes: Wishes::default(),
        procedure: Procedure::new(Cutting::new(None, Halo::Auto, memory), true, false, None),
    };
    let todo = request.work(&ensemble)?;
    todo.prepare(&ensemble)?;
    info!("applying the network on {}", ensemble.device().name);
    let mut progress = ImageProgress::over(todo.count());
    let failures = todo.run(&mut ensemble, &mut progress)?;
    drop(progress);
    if let Some(failure) = failures.into_iter().next() {
        return Err(failure.error);
    }
    timings.add("denoising", clock);
    let text = report::write(&work, &scan, &plan, &shares, out, arguments.how.unit(&scan), &timings)?;
    // Of an earlier run that was killed while it wrote a small file; nothing is gone on with any more.
    remove_unfinished(&work);
    console::line(text.trim_end());
    info!("the volume is {}; reconstructions, model and report are in {}", out.display(), work.display());
    Ok(())
}

/// Where reconstructions, model and report go where nobody says it.
fn work_folder(out: &Path) -> PathBuf {
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.rsplit_once('.').map_or(name.as_ref(), |(stem, _)| stem);
    out.with_file_name(format!("{}-work", stem.trim_end_matches(".ome")))
}

/// What tells this work from another.
fn asked(arguments: &DenoiseArguments, split: usize) -> String {
    let DenoiseArguments { scan, how, minutes, steps, slab, model, .. } = arguments;
    format!("{scan:?} {how:?} split {split} minutes {minutes:?} steps {steps:?} slab {slab} model {model:?}")
}

/// Reconstructs each share of the projections into its file, unless that was done; `base` is what the files' names are made of.
fn reconstruct(
    arguments: &DenoiseArguments,
    scan: &Scan,
    plan: &mut Plan,
    files: &[PathBuf],
    base: &Path,
) -> Result<()> {
    if plan.reconstructed() && files.iter().all(|file| file.exists()) {
        info!("the reconstructions are there");
        return Ok(());
    }
    let split = files.len();
    let mut wishes = ScanWishes::new(arguments.scan.rows(scan)?, StackFormat::Tiff);
    wishes.corrections = arguments.scan.corrections(scan)?;
    wishes.memory = arguments.volume.memory()?;
    // Those of which only some are under their names were cut short at the very end.
    wishes.resume = arguments.volume.resume && files.iter().all(|file| !file.exists());
    let centre = match plan.centre() {
        Some(centre) => centre,
        None => arguments.how.centre(scan, &wishes.corrections)?,
    };
    let shares = shares_of(scan, &arguments.how, centre, split, base)?;
    plan.set_centre(centre)?;
    if let Some(share) = shares.first() {
        let size = share.reconstructor.size();
        let slices = wishes.rows.len();
        info!(
            "{split} reconstructions of {slices} slices of {size} x {size} pixels in {} from {} projections each, centre {centre:.2}",
            arguments.how.unit(scan),
            share.projections.len()
        );
    }
    reconstruct_scan(scan, &shares, &wishes, &mut ImageProgress::over(1))?;
    plan.set_reconstructed()
}
