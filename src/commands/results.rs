//! The flags of `predict` and `watch` for which results are written, where and how.

use std::path::{Path, PathBuf};

use clap::Args;

use super::device::DeviceArguments;
use super::models::ModelArguments;
use crate::devices::Device;
use crate::inference::{Cutting, Destination, Ensemble, Products, Wishes};
use crate::{Error, Result};

/// Which files are written for each image, and how large images are cut.
#[derive(Debug, Args)]
pub struct ResultArguments {
    /// Folder for the results, which is made if it is not there; predict also takes the file of a single result, such as
    /// result.ome.zarr, or result.h5:/labels for the name of the dataset, which else is /data
    #[arg(long, value_name = "DIR")]
    pub(super) out: PathBuf,
    /// Format of the results: tiff, ome-tiff, zarr, hdf5, npy, mrc or nifti [default: that of each stack, and PNG or TIFF for images]
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

impl ResultArguments {
    /// What `--out`, `--format` and `--ome` say.
    ///
    /// # Errors
    /// [`Error::Setting`] for a format that there is not.
    pub(super) fn destination(&self) -> Result<Destination> {
        Destination::new(&self.out, self.format.as_deref(), self.ome == "0.4")
    }

    /// Which results are wanted.
    pub(super) fn wishes(&self) -> Wishes {
        let Self { probabilities, overlay, uncertainty, pages, .. } = *self;
        Wishes { probabilities, overlay, uncertainty, pages }
    }

    /// What `--tile`, `--halo` and `--memory` say.
    ///
    /// # Errors
    /// [`Error::Setting`] for what is neither a halo nor a size.
    pub(super) fn cutting(&self, tile: Option<usize>) -> Result<Cutting> {
        Cutting::of_text(tile, self.halo.as_deref(), self.memory.as_deref())
    }

    /// Opens the models on `devices` of those that the flags name, once it is known that they can give the results that are wanted, in
    /// `folder`.
    ///
    /// # Errors
    /// Those of the models and the device; [`Error::Setting`] for results that they cannot give.
    pub(super) fn open(
        &self,
        models: &ModelArguments,
        folder: &Path,
        devices: impl FnOnce(&DeviceArguments) -> Result<Vec<Device>>,
    ) -> Result<Ensemble> {
        models.open_for_parts(devices, |model| {
            let products = Products::new(&model.task, models.predictions(), self.wishes(), folder);
            products.map(drop).map_err(|error| match error {
                Error::Mismatch(problem) => Error::model(models.first(), problem),
                other => other,
            })
        })
    }
}
