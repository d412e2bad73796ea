//! The flags of `predict` and `watch` for which results are written, where and how.

use std::path::{Path, PathBuf};

use clap::Args;

use super::byte_size::byte_size;
use super::models::ModelArguments;
use crate::images::StackFormat;
use crate::inference::{Cutting, Ensemble, Halo, Products, Wishes};
use crate::{Error, Result};

/// Which files are written for each image, and how large images are cut.
#[derive(Debug, Args)]
pub struct ResultArguments {
    /// Folder for the results, which is made if it is not there; for one stack also the file, such as result.ome.zarr
    #[arg(long, value_name = "DIR")]
    pub(super) out: PathBuf,
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
    pub(super) pages: bool,
    /// Pixels around each tile that it is computed with: exact for all that count, auto for as many as keep outputs within 1e-4
    /// of their deviation, or a number [default: auto, with --tile exact]
    #[arg(long, value_name = "HALO")]
    halo: Option<String>,
    /// Memory that may be taken, such as 2GB; images that need more are cut into tiles [default: most of what is free]
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
}

/// Where results go, and in which format.
pub(super) struct Destination {
    pub(super) folder: PathBuf,
    format: Option<StackFormat>,
    /// What the only result is called, where a file is named.
    stem: Option<String>,
}

impl Destination {
    /// Whether a file is named, for a single result.
    pub(super) fn is_file(&self) -> bool {
        self.stem.is_some()
    }
}

impl ResultArguments {
    /// What `--out`, `--format` and `--ome` say.
    ///
    /// # Errors
    /// [`Error::Setting`] for a format that there is not.
    pub(super) fn destination(&self) -> Result<Destination> {
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

    /// What `--tile`, `--halo` and `--memory` say.
    ///
    /// # Errors
    /// [`Error::Setting`] for what is neither a halo nor a size.
    pub(super) fn cutting(&self, tile: Option<usize>) -> Result<Cutting> {
        let memory = self.memory.as_deref().map(byte_size).transpose()?;
        Ok(Cutting::new(tile, halo(self.halo.as_deref(), tile.is_some())?, memory))
    }

    /// Opens the models, once it is known that they can give the results that are wanted; with the files of these.
    ///
    /// # Errors
    /// Those of the models and the device; [`Error::Setting`] for results that they cannot give.
    pub(super) fn open(
        &self,
        models: &ModelArguments,
        destination: Destination,
    ) -> Result<(Ensemble, Products)> {
        let Destination { folder, format, stem } = destination;
        let wishes = Wishes {
            probabilities: self.probabilities,
            overlay: self.overlay,
            uncertainty: self.uncertainty,
            pages: self.pages,
        };
        let ensemble = models.open_for_parts(|model| {
            let products = Products::new(&model.task, models.predictions(), wishes, &folder);
            products.map(drop).map_err(|error| match error {
                Error::Mismatch(problem) => Error::model(models.first(), problem),
                other => other,
            })
        })?;
        let products = Products::of(&ensemble, wishes, &folder)?.in_format(format, stem);
        Ok((ensemble, products))
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
