//! `msd-gpu predict`: a trained model applied to images.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;
use ndarray::{Array3, Axis};

use super::models::ModelArguments;
use super::progress::Progress;
use crate::files::make_and_try;
use crate::images;
use crate::images::{ImageSource, LabelFormat};
use crate::inference::Prediction;
use crate::inference::pipeline;
use crate::network::{Class, Model, Task};
use crate::{Error, Result, pictures};

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

/// How much of the class's colour an overlay shows.
const OPACITY: f32 = 0.5;

/// A file that is written for each image.
#[derive(Debug, Clone, Copy)]
enum Product {
    Labels(LabelFormat),
    Values,
    Probabilities,
    Overlay,
    Deviation,
    Entropy,
}

impl Product {
    fn file_name(self, stem: &str) -> String {
        match self {
            Product::Labels(format) => format!("{stem}.{}", format.ending()),
            Product::Values => format!("{stem}.tif"),
            Product::Probabilities => format!("{stem}_probabilities.tif"),
            Product::Overlay => format!("{stem}_overlay.png"),
            Product::Deviation => format!("{stem}_deviation.tif"),
            Product::Entropy => format!("{stem}_entropy.tif"),
        }
    }
}

/// Applies the models to every image and writes the results, in order; images are read and results written while
/// others are computed.
///
/// All that can be known before the first image is computed is checked before.
pub fn run(arguments: PredictArguments) -> Result<()> {
    let mut ensemble = arguments.models.open(|model| products(model, &arguments).map(drop))?;
    let products = products(ensemble.model(), &arguments)?;
    let pages = pages(&arguments.input)?;
    for page in &pages {
        ensemble.check_channels(&page.name(), images::page_size(page)?.0)?;
    }
    check_names(&pages, &products)?;
    check_place(&arguments.out, &pages)?;
    make_and_try(&arguments.out)?;
    log::info!("applying {} on {}", arguments.models.description(), ensemble.device().name);

    let progress = Progress::over(pages.len());
    let task =
        Products { classes: ensemble.model().classes().to_vec(), products, out: arguments.out.clone() };
    pipeline::run(
        &pages,
        images::read_image,
        |page, image| {
            let found = ensemble.predict(&image, task.want_deviation()).map_err(|error| match error {
                Error::Mismatch(problem) => Error::Mismatch(format!("{}: {problem}", page.name())),
                other => other,
            })?;
            Ok((task.wants_image().then_some(image), found))
        },
        |page, (image, found)| {
            let written = task.write(page, image.as_ref(), &found)?;
            progress.done(format!("{} -> {}", page.name(), written.join(", ")));
            Ok(())
        },
    )?;
    drop(progress);
    let count = pages.len();
    log::info!(
        "{count} image{} done; the results are in {}",
        if count == 1 { "" } else { "s" },
        arguments.out.display()
    );
    Ok(())
}

/// The files that are to be written for each image.
fn products(model: &Model, arguments: &PredictArguments) -> Result<Vec<Product>> {
    let several = arguments.models.predictions() > 1;
    let deviation = (arguments.uncertainty && several).then_some(Product::Deviation);
    if model.task == Task::Regress {
        for (flag, wanted) in [("--probabilities", arguments.probabilities), ("--overlay", arguments.overlay)]
        {
            if wanted {
                let found = "given for a regression model";
                return Err(Error::setting(flag, found, "it shows classes; leave it out"));
            }
        }
        if arguments.uncertainty && !several {
            let found = "given for a single prediction of values";
            let wanted = "only several can differ; name more than one --model, or average with --tta";
            return Err(Error::setting("--uncertainty", found, wanted));
        }
        return Ok([Product::Values].into_iter().chain(deviation).collect());
    }
    let values = model.classes().iter().map(|class| class.value);
    let format = LabelFormat::holding(values).ok_or_else(|| {
        Error::model(
            arguments.models.first(),
            "has classes with values beyond 32 bits, which no label image holds; train on smaller label values",
        )
    })?;
    let mut products = vec![Product::Labels(format)];
    products.extend(arguments.probabilities.then_some(Product::Probabilities));
    products.extend(arguments.overlay.then_some(Product::Overlay));
    products.extend(deviation);
    products.extend(arguments.uncertainty.then_some(Product::Entropy));
    Ok(products)
}

/// All images that the inputs name, each once, however many of the inputs name it.
fn pages(inputs: &[String]) -> Result<Vec<ImageSource>> {
    let mut seen = BTreeSet::new();
    let mut pages = Vec::new();
    for input in inputs {
        for page in images::discover(input)? {
            if seen.insert((real(&page.path), page.page)) {
                pages.push(page);
            }
        }
    }
    Ok(pages)
}

/// The path without links and dots where there is such a file, else as it is.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

/// Refuses images whose results would get the same file name.
fn check_names(pages: &[ImageSource], products: &[Product]) -> Result<()> {
    let mut owners = BTreeMap::new();
    for page in pages {
        for product in products {
            let name = product.file_name(&page.stem);
            if let Some(other) = owners.insert(name.clone(), page) {
                return Err(Error::Mismatch(format!(
                    "{} and {} would both be written to {name}; rename one, or predict them into different folders",
                    other.name(),
                    page.name()
                )));
            }
        }
    }
    Ok(())
}

/// Refuses a folder for the results that holds inputs: a label image could take the place of its image.
fn check_place(out: &Path, pages: &[ImageSource]) -> Result<()> {
    let Ok(place) = out.canonicalize() else { return Ok(()) };
    match pages.iter().find(|page| real(&page.path).parent() == Some(&place)) {
        None => Ok(()),
        Some(page) => Err(Error::setting(
            "--out",
            out.display(),
            format!(
                "the input {} is in that folder and could be overwritten; name another folder",
                page.name()
            ),
        )),
    }
}

/// What is written for each image, and where.
struct Products {
    /// The classes of a segmentation.
    classes: Vec<Class>,
    products: Vec<Product>,
    out: PathBuf,
}

impl Products {
    fn want_deviation(&self) -> bool {
        self.products.iter().any(|product| matches!(product, Product::Deviation))
    }

    /// Whether a picture shows the image itself too.
    fn wants_image(&self) -> bool {
        self.products.iter().any(|product| matches!(product, Product::Overlay))
    }

    /// Writes the files of one image; gives their paths.
    fn write(
        &self,
        page: &ImageSource,
        image: Option<&Array3<f32>>,
        found: &Prediction,
    ) -> Result<Vec<String>> {
        let mut written = Vec::new();
        for &product in &self.products {
            let path = self.out.join(product.file_name(&page.stem));
            match product {
                Product::Labels(format) => {
                    let labels = found.classes().mapv(|class| self.classes[class as usize].value);
                    images::write_labels_as(&path, &labels, format)?;
                }
                Product::Values | Product::Probabilities => images::write_tiff_f32(&path, &found.mean)?,
                Product::Overlay => {
                    // Colours over colours could not be told apart: the image is shown grey.
                    if let Some(grey) = image.and_then(|image| image.mean_axis(Axis(0))) {
                        let picture = pictures::overlay(grey.view(), found.classes().view(), OPACITY)?;
                        images::write_png_rgb8(&path, &picture)?;
                    }
                }
                Product::Deviation => {
                    if let Some(deviation) = &found.deviation {
                        images::write_tiff_f32(&path, deviation)?;
                    }
                }
                Product::Entropy => images::write_tiff_f32(&path, &found.entropy().insert_axis(Axis(0)))?,
            }
            written.push(path.display().to_string());
        }
        Ok(written)
    }
}
