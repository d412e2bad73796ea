//! The flags of `predict` and `evaluate` for which models are applied, and how.

use std::path::{Path, PathBuf};

use clap::Args;

use super::device::{DeviceArguments, PrecisionArguments};
use super::models_registry::RegistryArguments;
use crate::Result;
use crate::devices::Device;
use crate::geometry::Symmetry;
use crate::inference::Ensemble;
use crate::network::Model;

/// What may stand in the place of `--model` where that is required.
const OTHER_MODELS: [&str; 1] = ["from_registry"];

/// Models, and how an image goes through them. At least one has to be named where that is `REQUIRED`.
#[derive(Debug, Args)]
pub struct ModelArguments<const REQUIRED: bool = true> {
    /// Run folder, model file or folder of folds; of several models, the mean of their probabilities or values is taken
    #[arg(long = "model", value_name = "M", required_unless_present_any = OTHER_MODELS[..usize::from(REQUIRED)].iter())]
    models: Vec<PathBuf>,
    #[command(flatten)]
    registry: RegistryArguments,
    /// Average over all eight flips and rotations of each image as well: eight times the work
    #[arg(long)]
    tta: bool,
    /// Compute large images in tiles of N x N pixels: less memory, same result
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    tile: Option<usize>,
    /// Bring each image to the range of numbers of the training images, by its own mean and deviation (mean) or percentiles
    /// (like 1..99): for the same scene in another bit depth
    #[arg(long, value_name = "MEASURE")]
    rescale: Option<String>,
    #[command(flatten)]
    device: DeviceArguments,
    #[command(flatten)]
    precision: PrecisionArguments,
}

impl<const REQUIRED: bool> ModelArguments<REQUIRED> {
    /// Takes the model of the registry where one is wanted; comes before all else.
    pub(super) fn choose(&mut self) -> Result<()> {
        self.models.extend(self.registry.choose()?);
        Ok(())
    }

    /// Reads and opens the models; `check` sees the first one before a device is opened.
    pub(super) fn open(&self, check: impl FnOnce(&Model) -> Result<()>) -> Result<Ensemble> {
        self.open_on(self.tile, |device| Ok(vec![device.choose()?]), check)
    }

    /// As [`Self::open`], for images that whoever calls cuts into tiles, on the `devices` that the flags name.
    pub(super) fn open_for_parts(
        &self,
        devices: impl FnOnce(&DeviceArguments) -> Result<Vec<Device>>,
        check: impl FnOnce(&Model) -> Result<()>,
    ) -> Result<Ensemble> {
        self.open_on(self.tile.filter(|tile| *tile == 0), devices, check)
    }

    fn open_on(
        &self,
        tile: Option<usize>,
        devices: impl FnOnce(&DeviceArguments) -> Result<Vec<Device>>,
        check: impl FnOnce(&Model) -> Result<()>,
    ) -> Result<Ensemble> {
        let mut models = Vec::new();
        for path in self.paths() {
            models.push((path.display().to_string(), Model::read(&path)?));
        }
        if let Some((_, first)) = models.first() {
            check(first)?;
        }
        let rescale =
            self.rescale.as_deref().map(|text| Ensemble::rescale_measure(text, &models)).transpose()?;
        let precision = self.precision.get()?;
        let devices = devices(&self.device)?.into_iter().map(|device| device.with_precision(precision));
        let mut ensemble = Ensemble::on_all(&models, &devices.collect::<Vec<_>>(), tile, self.tta)?;
        ensemble.rescale(rescale);
        Ok(ensemble)
    }

    /// The size of tiles that is asked for.
    pub(super) fn tile(&self) -> Option<usize> {
        self.tile
    }

    /// The run folders or files of all models.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.models.iter().flat_map(|path| Model::paths(path)).collect()
    }

    /// The first of the models.
    pub(super) fn first(&self) -> &Path {
        self.models.first().map_or(Path::new(""), PathBuf::as_path)
    }

    /// From how many predictions a mean is taken.
    pub(super) fn predictions(&self) -> usize {
        self.paths().len() * if self.tta { Symmetry::ALL.len() } else { 1 }
    }

    /// The models, for a line of the log.
    pub(super) fn description(&self) -> String {
        let names: Vec<_> = self.models.iter().map(|path| path.display().to_string()).collect();
        let how = if self.tta { " in eight flips and rotations" } else { "" };
        format!("{}{how}", names.join(", "))
    }
}
