//! The flags of `tomo` commands for where a volume goes, in which format, and how much memory that may take.

use std::path::PathBuf;

use clap::Args;

use crate::commands::convert::format;
use crate::images::{NewPlace, StackFormat};
use crate::inference::Destination;
use crate::settings::byte_size;
use crate::{Error, Result};

/// Where a volume goes.
#[derive(Debug, Args)]
pub struct VolumeArguments {
    /// The new volume, whose ending says the format: tif, ome.tif, btf, ome.zarr, h5, npy, mrc or nii
    #[arg(long, value_name = "FILE")]
    pub(super) out: PathBuf,
    /// Format of the file: tiff, ome-tiff, zarr, hdf5, npy, mrc or nifti [default: by the ending of --out]
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Write OME-Zarr of version 0.4 for older viewers, or 0.5
    #[arg(long, value_name = "VERSION", default_value = "0.5", value_parser = ["0.4", "0.5"])]
    ome: String,
    /// How much memory may be taken, such as 2GB [half of what is free, at most 4 GiB]
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
    /// Go on where an earlier run with the same flags was stopped
    #[arg(long)]
    pub(super) resume: bool,
}

impl VolumeArguments {
    /// # Errors
    /// [`crate::Error::Setting`] or [`crate::Error::Output`] for a format that there is not.
    pub(super) fn format(&self) -> Result<StackFormat> {
        if NewPlace::of(&self.out)?.dataset.is_some() {
            let wanted =
                "the volume is the dataset /data of its file; leave out the colon and what is behind it";
            return Err(Error::setting("out", self.out.display(), wanted));
        }
        format(self.format.as_deref(), &self.ome, &self.out)
    }

    /// The same, for predictions.
    ///
    /// # Errors
    /// As [`VolumeArguments::format`].
    pub(super) fn destination(&self) -> Result<Destination> {
        self.format()?;
        Destination::new(&self.out, self.format.as_deref(), self.ome == "0.4")
    }

    /// Bytes that may be taken, where somebody says it.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] for what is no size.
    pub(super) fn memory(&self) -> Result<Option<u64>> {
        self.memory.as_deref().map(|text| byte_size("memory", text)).transpose()
    }
}
