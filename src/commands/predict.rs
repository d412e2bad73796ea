//! `msd-gpu predict`: a trained model applied to images.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;

use super::console;
use super::discovery::DiscoveryArguments;
use super::models::ModelArguments;
use super::progress::ImageProgress;
use crate::images::{Discovery, ImageSource, StackFormat, pages_as_images};
use crate::inference::{Cutting, Halo, Procedure, Products, Share, Wishes, predict};
use crate::settings::byte_size;
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

/// Where results go, and in which format.
struct Destination {
    folder: PathBuf,
    format: Option<StackFormat>,
    /// What the only result is called, where a file is named.
    stem: Option<String>,
}

impl PredictArguments {
    /// What `--out`, `--format` and `--ome` say.
    fn destination(&self) -> Result<Destination> {
        let of_version = |format: StackFormat| match format {
            StackFormat::Zarr if self.ome == "0.4" => StackFormat::Zarr04,
            other => other,
        };
        let named = self.format.as_deref().map(|name| {
            let known = StackFormat::NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            known.map(|(_, format)| of_version(*format)).ok_or_else(|| {
                let names = StackFormat::NAMES.map(|(name, _)| name).join(", ");
                Error::setting("format", format!("'{name}'"), format!("it must be one of {names}"))
            })
        });
        let named = named.transpose()?;
        // A folder that is there is one, whatever its name ends in; that of a Zarr is a result.
        let by_name = StackFormat::of_name(&self.out)
            .filter(|format| !self.out.is_dir() || *format == StackFormat::Zarr);
        let Some(by_name) = by_name else {
            return Ok(Destination { folder: self.out.clone(), format: named, stem: None });
        };
        let name = self.out.file_name().unwrap_or_default().to_string_lossy();
        let stem = name.rsplit_once('.').map_or(name.as_ref(), |(stem, _)| stem);
        let folder = self.out.parent().filter(|folder| !folder.as_os_str().is_empty());
        Ok(Destination {
            folder: folder.unwrap_or(Path::new(".")).to_path_buf(),
            format: Some(named.unwrap_or_else(|| of_version(by_name))),
            stem: Some(stem.trim_end_matches(".ome").to_owned()),
        })
    }
}

/// What `--halo` says.
fn halo(text: Option<&str>, has_tile: bool) -> Result<Halo> {
    match text {
        None if has_tile => Ok(Halo::Exact),
        None | Some("auto") => Ok(Halo::Auto),
        Some("exact") => Ok(Halo::Exact),
        Some(number) => number.parse().map(Halo::Pixels).map_err(|_| {
            Error::setting("halo", format!("'{number}'"), "it must be exact, auto or a number of pixels")
        }),
    }
}

/// Applies the models to every image and writes the results, in order.
///
/// All that can be known before the first image is computed is checked before.
pub fn run(arguments: PredictArguments) -> Result<()> {
    let PredictArguments { models, discovery, input, probabilities, overlay, uncertainty, pages, .. } =
        &arguments;
    let Destination { folder: out, format, stem } = arguments.destination()?;
    let out = &out;
    let memory = arguments.memory.as_deref().map(|text| byte_size("memory", text)).transpose()?;
    if memory == Some(0) {
        return Err(Error::setting("memory", 0, "it must be a size such as 2GB, 1.5GiB or 500M"));
    }
    let cutting =
        Cutting::new(models.tile(), halo(arguments.halo.as_deref(), models.tile().is_some())?, memory);
    let share = match &arguments.part {
        Some(part) => Some(part.parse()?),
        None => Share::of_slurm(|name| std::env::var(name).ok()),
    };
    let wishes =
        Wishes { probabilities: *probabilities, overlay: *overlay, uncertainty: *uncertainty, pages: *pages };
    let mut ensemble = models.open_for_parts(|model| {
        let products = Products::new(&model.task, models.predictions(), wishes, out);
        products.map(drop).map_err(|error| match error {
            Error::Mismatch(problem) => Error::model(models.first(), problem),
            other => other,
        })
    })?;
    let single = stem.is_some();
    let products = Products::of(&ensemble, wishes, out)?.in_format(format, stem);
    let mut images = all_images(&discovery.discovery(None), input)?;
    if ensemble.model().architecture.inputs == 1 && discovery.axes.is_none() {
        images = pages_as_images(images);
    }
    let all = images.len();
    let files: BTreeSet<_> = images.iter().map(ImageSource::place).collect();
    if single && (files.len() > 1 || *pages) {
        let found = format!("{}, the name of a file, for {} of them", arguments.out.display(), files.len());
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
