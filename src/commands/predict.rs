//! `msd-gpu predict`: a trained model applied to images.

use std::collections::BTreeSet;

use clap::Args;

use super::console;
use super::discovery::DiscoveryArguments;
use super::models::ModelArguments;
use super::progress::ImageProgress;
use super::results::ResultArguments;
use crate::images::{Discovery, ImageSource, pages_as_images};
use crate::inference::{Procedure, Products, Share, predict};
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
    #[command(flatten)]
    results: ResultArguments,
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

/// Applies the models to every image and writes the results, in order.
///
/// All that can be known before the first image is computed is checked before.
pub fn run(arguments: PredictArguments) -> Result<()> {
    let PredictArguments { models, discovery, input, results, .. } = &arguments;
    let destination = results.destination()?;
    let cutting = results.cutting(models.tile())?;
    let share = match &arguments.part {
        Some(part) => Some(part.parse()?),
        None => Share::of_slurm(|name| std::env::var(name).ok()),
    };
    let single = destination.is_file();
    let (mut ensemble, products) = results.open(models, destination)?;
    let out = products.folder();
    let mut images = all_images(&discovery.discovery(None), input)?;
    if ensemble.model().architecture.inputs == 1 && discovery.axes.is_none() {
        images = pages_as_images(images);
    }
    let all = images.len();
    let files: BTreeSet<_> = images.iter().map(ImageSource::place).collect();
    if single && (files.len() > 1 || results.pages) {
        let found = format!("{}, the name of a file, for {} of them", results.out.display(), files.len());
        return Err(Error::setting("out", found, "give a folder for several results"));
    }
    if let Some(share) = share {
        images = share.of(images);
        log::info!("this is part {share}: {} of {all} images", images.len());
        if images.is_empty() {
            return Ok(());
        }
    }
    if arguments.verify {
        return verify(&products, &images);
    }
    for image in &images {
        let fits = ensemble.check_image(image);
        // One that does not fit is passed over when its turn comes.
        if !discovery.keep_going {
            fits?;
        }
    }
    products.prepare(&images)?;
    log::info!("applying {} on {}", models.description(), ensemble.device().name);
    let count = images.len();
    let mut progress = ImageProgress::over(count);
    let procedure = Procedure::new(cutting, arguments.resume, discovery.keep_going, share);
    let failures = predict(&mut ensemble, &images, &products, &procedure, &mut progress)?;
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
fn verify(products: &Products, images: &[ImageSource]) -> Result<()> {
    let files = products.files(images);
    let missing: Vec<_> = files.iter().filter(|file| !file.exists()).collect();
    missing.iter().for_each(|file| console::line(format!("missing: {}", file.display())));
    if missing.is_empty() {
        log::info!("all {} results are there", files.len());
        return Ok(());
    }
    Err(Error::Incomplete { failed: missing.len(), count: files.len() })
}

/// All images that the inputs name, each once, however many of the inputs name it.
fn all_images(discovery: &Discovery, inputs: &[String]) -> Result<Vec<ImageSource>> {
    let mut seen = BTreeSet::new();
    let mut images = Vec::new();
    for input in inputs {
        images.extend(
            discovery
                .discover(input)?
                .into_iter()
                .filter(|image| seen.insert((image.real_path(), image.place().1.to_owned(), image.page))),
        );
    }
    Ok(images)
}
