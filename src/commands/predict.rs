//! `msd-gpu predict`: a trained model applied to images.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;

use super::models::ModelArguments;
use super::progress::ImageProgress;
use crate::images::{ImageSource, discover};
use crate::inference::{Products, Wishes, predict};
use crate::{Error, Result};

/// Arguments of `predict`.
#[derive(Debug, Args)]
pub struct PredictArguments {
    #[command(flatten)]
    models: ModelArguments,
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
}

/// Applies the models to every image and writes the results, in order.
///
/// All that can be known before the first image is computed is checked before.
pub fn run(arguments: PredictArguments) -> Result<()> {
    let PredictArguments { models, input, out, probabilities, overlay, uncertainty } = &arguments;
    let wishes = Wishes { probabilities: *probabilities, overlay: *overlay, uncertainty: *uncertainty };
    let mut ensemble = models.open(|model| {
        let products = Products::new(&model.task, models.predictions(), wishes, out);
        products.map(drop).map_err(|error| match error {
            Error::Mismatch(problem) => Error::model(models.first(), problem),
            other => other,
        })
    })?;
    let products = Products::of(&ensemble, wishes, out)?;
    let images = all_images(input)?;
    for image in &images {
        ensemble.check_image(image)?;
    }
    products.prepare(&images)?;
    log::info!("applying {} on {}", models.description(), ensemble.device().name);
    let count = images.len();
    let mut progress = ImageProgress::over(count);
    predict(&mut ensemble, &images, &products, &mut progress)?;
    drop(progress);
    let plural = if count == 1 { "" } else { "s" };
    log::info!("{count} image{plural} done; the results are in {}", out.display());
    Ok(())
}

/// All images that the inputs name, each once, however many of the inputs name it.
fn all_images(inputs: &[String]) -> Result<Vec<ImageSource>> {
    let mut seen = BTreeSet::new();
    let mut images = Vec::new();
    for input in inputs {
        images.extend(
            discover(input)?.into_iter().filter(|image| seen.insert((image.real_path(), image.page))),
        );
    }
    Ok(images)
}
