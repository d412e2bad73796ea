//! `msd-gpu predict`: a trained model applied to images.

use std::path::PathBuf;

use clap::Args;

use super::console;
use super::discovery::DiscoveryArguments;
use super::models::ModelArguments;
use super::progress::ImageProgress;
use crate::inference::{Cutting, Destination, Procedure, Products, Request, Share, Wishes, Work};
use crate::{Error, Result};

/// Arguments of `predict`.
#[derive(Debug, Args)]
pub struct PredictArguments {
    #[command(flatten)]
    models: ModelArguments,
    #[command(flatten)]
    discovery: DiscoveryArguments,
    /// Images: folders, stacks, arrays such as scan.h5:/entry/data, files or quoted patterns such as 'slices/*.tif'
    #[arg(required = true)]
    input: Vec<String>,
    /// Folder for the results, which is made if it is not there; for one stack also the file, such as result.ome.zarr
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Format of the results: tiff, zarr, hdf5, npy, mrc or nifti [default: that of each stack, and PNG or TIFF for images]
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Write OME-Zarr of version 0.4 for older viewers, or 0.5
    #[arg(long, value_name = "VERSION", default_value = "0.5", value_parser = ["0.4", "0.5"])]
    ome: String,
    /// Write each class's probability too, as NAME_probabilities.tif with one channel for each class
    #[arg(long)]
    probabilities: bool,
    /// Write the labels in colours over the image too, as NAME_overlay.png
    #[arg(long)]
    overlay: bool,
    /// Write how sure the result is too: NAME_deviation.tif, the standard deviation over models and flips, and for
    /// classes NAME_entropy.tif, the entropy of their probabilities in nats
    #[arg(long)]
    uncertainty: bool,
    /// Write a file for each page of a stack, NAME_p0000 and so on, instead of a stack
    #[arg(long)]
    pages: bool,
    /// Pixels around each tile that it is computed with: exact for all that count, auto for as many as keep outputs within 1e-4
    /// of their deviation, or a number [default: auto, with --tile exact]
    #[arg(long, value_name = "HALO")]
    halo: Option<String>,
    /// Memory that may be taken, such as 2GB; images that need more are cut into tiles [default: most of what is free]
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
    /// Go on where an earlier call of the same kind was stopped
    #[arg(long)]
    resume: bool,
    /// Do one of N shares, such as 2/8; each file is of one share [default: that of a Slurm array's job]
    #[arg(long, value_name = "i/N")]
    part: Option<String>,
    /// Say which results are missing in --out, and end
    #[arg(long)]
    verify: bool,
}

impl PredictArguments {
    fn request(&self) -> Result<Request> {
        let tile = self.models.tile();
        let destination = Destination::new(&self.out, self.format.as_deref(), self.ome == "0.4")?;
        let cutting = Cutting::of_text(tile, self.halo.as_deref(), self.memory.as_deref())?;
        let share = match &self.part {
            Some(part) => Some(part.parse()?),
            None => Share::of_slurm(|name| std::env::var(name).ok()),
        };
        let Self { probabilities, overlay, uncertainty, pages, .. } = *self;
        Ok(Request {
            discovery: self.discovery.discovery(None),
            inputs: self.input.clone(),
            destination,
            wishes: Wishes { probabilities, overlay, uncertainty, pages },
            procedure: Procedure::new(cutting, self.resume, self.discovery.keep_going, share),
        })
    }
}

/// Applies the models to every image and writes the results, in order.
///
/// All that can be known before the first image is computed is checked before.
pub fn run(arguments: PredictArguments) -> Result<()> {
    let request = arguments.request()?;
    let models = &arguments.models;
    let out = request.destination.folder();
    let mut ensemble = models.open_for_parts(|model| {
        let products = Products::new(&model.task, models.predictions(), request.wishes, out);
        products.map(drop).map_err(|error| match error {
            Error::Mismatch(problem) => Error::model(models.first(), problem),
            other => other,
        })
    })?;
    let work = request.work(&ensemble)?;
    let count = work.count();
    if let Some(share) = request.procedure.share {
        log::info!("this is part {share}: {count} of {} images", work.count_of_all_shares());
        if count == 0 {
            return Ok(());
        }
    }
    if arguments.verify {
        return verify(&work);
    }
    work.prepare(&ensemble)?;
    log::info!("applying {} on {}", models.description(), ensemble.device().name);
    let mut progress = ImageProgress::over(count);
    let failures = work.run(&mut ensemble, &mut progress)?;
    drop(progress);
    if !failures.is_empty() {
        let done = count - failures.len();
        log::info!("{done} of {count} images done; the results are in {}", out.display());
        failures.iter().for_each(|failure| log::error!("{}", failure.error));
        return Err(Error::Incomplete { failed: failures.len(), count });
    }
    let plural = if count == 1 { "" } else { "s" };
    log::info!("{count} image{plural} done; the results are in {}", out.display());
    Ok(())
}

/// Says which results are missing.
///
/// # Errors
/// [`Error::Incomplete`] where some are.
fn verify(work: &Work) -> Result<()> {
    let files = work.files();
    let missing: Vec<_> = files.iter().filter(|file| !file.exists()).collect();
    missing.iter().for_each(|file| console::line(format!("missing: {}", file.display())));
    if missing.is_empty() {
        log::info!("all {} results are there", files.len());
        return Ok(());
    }
    Err(Error::Incomplete { failed: missing.len(), count: files.len() })
}
