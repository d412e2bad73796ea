//! `msd-gpu predict`: a trained model applied to images.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;

use super::discovery::DiscoveryArguments;
use super::models::ModelArguments;
use super::progress::ImageProgress;
use crate::images::{Discovery, ImageSource, pages_as_images};
use crate::inference::{Products, Wishes, predict, predict_keeping_going};
use crate::{Error, Result};

/// Arguments of `predict`.
#[derive(Debug, Args)]
pub struct PredictArguments {
    #[command(flatten)]
    models: ModelArguments,
    #[command(flatten)]
    discovery: DiscoveryArguments,
    /// Images: folders, TIFF stacks, files or quoted patterns such as 'slices/*.tif'
    #[arg(required = true)]
    input: Vec<String>,
    /// Folder for the results; it is made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
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
}

/// Applies the models to every image and writes the results, in order.
///
/// All that can be known before the first image is computed is checked before.
pub fn run(arguments: PredictArguments) -> Result<()> {
    let PredictArguments { models, discovery, input, out, probabilities, overlay, uncertainty, pages } =
        &arguments;
    let wishes =
        Wishes { probabilities: *probabilities, overlay: *overlay, uncertainty: *uncertainty, pages: *pages };
    let mut ensemble = models.open(|model| {
        let products = Products::new(&model.task, models.predictions(), wishes, out);
        products.map(drop).map_err(|error| match error {
            Error::Mismatch(problem) => Error::model(models.first(), problem),
            other => other,
        })
    })?;
    let products = Products::of(&ensemble, wishes, out)?;
    let mut images = all_images(&discovery.discovery(None), input)?;
    if ensemble.model().architecture.inputs == 1 && discovery.axes.is_none() {
        images = pages_as_images(images);
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
    let failures = match discovery.keep_going {
        true => predict_keeping_going(&mut ensemble, &images, &products, &mut progress)?,
        false => {
            predict(&mut ensemble, &images, &products, &mut progress)?;
            Vec::new()
        }
    };
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

/// All images that the inputs name, each once, however many of the inputs name it.
fn all_images(discovery: &Discovery, inputs: &[String]) -> Result<Vec<ImageSource>> {
    let mut seen = BTreeSet::new();
    let mut images = Vec::new();
    for input in inputs {
        images.extend(
            discovery
                .discover(input)?
                .into_iter()
                .filter(|image| seen.insert((image.real_path(), image.page))),
        );
    }
    Ok(images)
}
