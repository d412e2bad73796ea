//! Everything that a training run depends on.

mod checks;
mod monitor;
mod optimisation;

pub use monitor::Monitor;
pub use optimisation::{Optimisation, Optimizer, RateSchedule};

use serde::{Deserialize, Serialize};

use crate::engine::Loss;
use crate::geometry::Boundary;
use crate::network::{Architecture, DilationMode, Measure, parse_dilations};
use crate::samples::{Augmentation, ClassWeights};
use crate::{Error, Result};

/// What is to be learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum TaskKind {
    /// The class of each pixel.
    Segment,
    /// The values of each pixel: denoising, deblurring, removing artefacts.
    Regress,
}

/// The settings of a run, as they stand in its `config.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What is to be learnt.
    pub task: TaskKind,
    /// Training images: a folder, a glob or a stack.
    pub images: String,
    /// Their targets.
    pub targets: String,
    /// Validation images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_images: Option<String>,
    /// Their targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_targets: Option<String>,
    /// Share of the training images that is set aside for validation instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_fraction: Option<f64>,
    /// Folds of a cross-validation: each takes its share of the training images for validation instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folds: Option<usize>,
    /// Which of the folds this run is, from 1; without it, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fold: Option<usize>,
    /// Value in label images of pixels that nobody labelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore: Option<i64>,
    /// Images of how much each pixel counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// The same for the validation images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_weights: Option<String>,
    /// How much each class counts: `balanced`, or numbers such as `1,2,0.5`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_weights: Option<String>,
    /// Model file or run folder whose parameters the run starts from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<String>,
    /// Layers, the first, whose parameters stay as they are there.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub freeze: usize,
    /// What images and regression targets are normalised by: `mean`, percentiles such as `1..99`, or `init` for what the
    /// model of `init` has.
    #[serde(default = "default::normalise")]
    pub normalise: String,
    /// Whether images are normalised each by itself.
    #[serde(default)]
    pub normalise_per_image: bool,
    /// Number of layers.
    #[serde(default = "default::depth")]
    pub depth: usize,
    /// Channels of each layer.
    #[serde(default = "default::width")]
    pub width: usize,
    /// Dilations, such as `1..10` or `1,2,4,8`.
    #[serde(default = "default::dilations")]
    pub dilations: String,
    /// What is seen beyond the edge of an image.
    #[serde(default = "default::boundary")]
    pub boundary: Boundary,
    /// Images in each step.
    #[serde(default = "default::batch")]
    pub batch: usize,
    /// Rows and columns of the random pieces that are shown; 0 for whole images.
    #[serde(default = "default::crop")]
    pub crop: usize,
    /// Whether pieces are shown in all eight flips and rotations.
    #[serde(default = "default::symmetries")]
    pub symmetries: bool,
    /// Share of the pieces, 0 to 1, that lie about a pixel of a class drawn evenly.
    #[serde(default)]
    pub favour_rare: f64,
    /// Learning rate of Adam.
    #[serde(default = "default::lr")]
    pub lr: f64,
    /// Stop after so many epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_epochs: Option<u64>,
    /// Stop after so many minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_minutes: Option<f64>,
    /// Stop after so many steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u64>,
    /// Stop after so many epochs without a better model; 0 for never.
    #[serde(default = "default::patience")]
    pub patience: u64,
    /// Where all random numbers start from.
    #[serde(default = "default::seed")]
    pub seed: u64,
    /// The device: auto, cpu, gpu, an index or part of a name.
    #[serde(default = "default::device")]
    pub device: String,
    /// Whether event files for TensorBoard are written.
    #[serde(default)]
    pub tensorboard: bool,
    /// What the best model is best in.
    #[serde(default)]
    pub monitor: Monitor,
    /// Loss, optimiser and learning rate.
    #[serde(default)]
    pub optimisation: Optimisation,
    /// Random changes of the pieces.
    #[serde(default, skip_serializing_if = "Augmentation::is_off")]
    pub augmentation: Augmentation,
}

/// Epochs when nothing else ends a run.
const EPOCHS_WITHOUT_LIMIT: u64 = 1000;
/// The value of `normalise` that keeps what the initial model has.
pub(in crate::training) const INITIAL: &str = "init";

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks for a reference.
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// Defaults, in one place for `config.toml` and the command line.
pub mod default {
    use super::Boundary;

    /// Mean and standard deviation, which every pixel has a part in.
    pub fn normalise() -> String {
        "mean".into()
    }
    /// Layers: half the paper's 100, a quarter of its cost.
    pub fn depth() -> usize {
        50
    }
    /// The paper's width.
    pub fn width() -> usize {
        1
    }
    /// The paper's dilations.
    pub fn dilations() -> String {
        "1..10".into()
    }
    /// The paper's boundary.
    pub fn boundary() -> Boundary {
        Boundary::Reflect
    }
    /// One piece in each step.
    pub fn batch() -> usize {
        1
    }
    /// Pieces of 256x256 pixels: many steps a minute, and still wider than most features.
    pub fn crop() -> usize {
        256
    }
    /// All eight flips and rotations.
    pub fn symmetries() -> bool {
        true
    }
    /// Thrice the usual rate of Adam: with 0.001, micrographs at depth 50 were learnt much more slowly than with 0.004.
    pub fn lr() -> f64 {
        3e-3
    }
    /// Epochs without a better model.
    pub fn patience() -> u64 {
        100
    }
    /// The first seed.
    pub fn seed() -> u64 {
        1
    }
    /// The best hardware GPU, else the CPU.
    pub fn device() -> String {
        "auto".into()
    }
}

impl Settings {
    /// Settings with all defaults.
    pub fn new(task: TaskKind, images: impl Into<String>, targets: impl Into<String>) -> Self {
        Self {
            task,
            images: images.into(),
            targets: targets.into(),
            val_images: None,
            val_targets: None,
            val_fraction: None,
            folds: None,
            fold: None,
            ignore: None,
            weights: None,
            val_weights: None,
            class_weights: None,
            init: None,
            freeze: 0,
            normalise: default::normalise(),
            normalise_per_image: false,
            depth: default::depth(),
            width: default::width(),
            dilations: default::dilations(),
            boundary: default::boundary(),
            batch: default::batch(),
            crop: default::crop(),
            symmetries: default::symmetries(),
            favour_rare: 0.0,
            lr: default::lr(),
            max_epochs: None,
            max_minutes: None,
            max_steps: None,
            patience: default::patience(),
            seed: default::seed(),
            device: default::device(),
            tensorboard: false,
            monitor: Monitor::default(),
            optimisation: Optimisation::default(),
            augmentation: Augmentation::default(),
        }
    }

    /// What images are normalised by; `None` for what the model has that the run starts from.
    ///
    /// # Errors
    /// [`Error::Setting`] for a text that is none.
    pub fn measure(&self) -> Result<Option<Measure>> {
        if self.normalise == INITIAL { Ok(None) } else { self.normalise.parse().map(Some) }
    }

    /// How much classes count, where it was set.
    ///
    /// # Errors
    /// [`Error::Setting`] for a text that is none.
    pub fn class_weights(&self) -> Result<Option<ClassWeights>> {
        self.class_weights.as_deref().map(str::parse).transpose()
    }

    /// The loss: the one asked for, or the task's usual one.
    pub fn loss(&self) -> Loss {
        self.optimisation.loss.unwrap_or(match self.task {
            TaskKind::Segment => Loss::CrossEntropy,
            TaskKind::Regress => Loss::SquaredError,
        })
    }

    /// Fills in what is taken from the length of the run, given the steps in an epoch.
    pub(in crate::training) fn fit(&mut self, steps_in_epoch: u64) -> Result<()> {
        self.optimisation.fit(self.lr, self.last_step(steps_in_epoch))?;
        self.optimisation.loss = Some(self.loss());
        Ok(())
    }

    /// The step at which the limits end the run, where they say so.
    pub(in crate::training) fn last_step(&self, steps_in_epoch: u64) -> Option<u64> {
        let epochs = self.max_epochs.map(|epochs| epochs.saturating_mul(steps_in_epoch));
        [epochs, self.max_steps].into_iter().flatten().min()
    }

    /// The architecture for images of `inputs` channels and `outputs` classes or target channels.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the first number that cannot be used.
    pub fn architecture(&self, inputs: usize, outputs: usize) -> Result<Architecture> {
        let architecture = Architecture {
            inputs,
            outputs,
            width: self.width,
            depth: self.depth,
            dilations: parse_dilations(&self.dilations)?,
            dilation_mode: DilationMode::Channel,
            boundary: self.boundary,
        };
        architecture.validate()?;
        Ok(architecture)
    }

    /// Whether some limit ends the run. Patience alone may never.
    pub fn has_limit(&self) -> bool {
        self.max_epochs.is_some() || self.max_minutes.is_some() || self.max_steps.is_some()
    }

    /// Sets the limit of a run that has none.
    pub fn fill_limit(&mut self) {
        if !self.has_limit() {
            self.max_epochs = Some(EPOCHS_WITHOUT_LIMIT);
        }
    }

    /// The text of `config.toml`.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when a number cannot be written as TOML.
    pub fn to_toml(&self) -> Result<String> {
        let text = toml::to_string(self)
            .map_err(|e| Error::Mismatch(format!("the settings cannot be written as TOML: {e}")))?;
        Ok(format!(
            "# Settings of a run of msd-gpu {}. Repeat it with: msd-gpu train --config\n{text}",
            env!("CARGO_PKG_VERSION")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings::new(TaskKind::Segment, "images", "labels")
    }

    #[test]
    fn settings_come_back_from_their_text() {
        let all =
            Settings { val_fraction: Some(0.25), max_minutes: Some(1.5), max_steps: Some(7), ..settings() };
        let all = Settings { augmentation: Augmentation { rotate: 5.0, ..Default::default() }, ..all };
        let optimisation = Optimisation {
            loss: Some(Loss::Focal { gamma: 1.5 }),
            ema: Some(0.99),
            lr_steps: Some(7),
            ..Default::default()
        };
        let all = Settings { optimisation, monitor: Monitor::Dice, ..all };
        assert_eq!(toml::from_str::<Settings>(&all.to_toml().unwrap()).unwrap(), all);
        let short = "task = 'segment'\nimages = 'images'\ntargets = 'labels'";
        assert_eq!(toml::from_str::<Settings>(short).unwrap(), settings());
        assert!(
            toml::from_str::<Settings>("task = 'segment'\nimages = 'a'\ntargets = 'b'\ndeepth = 3").is_err()
        );
    }
}
