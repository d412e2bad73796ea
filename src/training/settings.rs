//! Everything that a training run depends on.

use serde::{Deserialize, Serialize};

use super::monitor::Monitor;
use super::optimisation::Optimisation;
use crate::data::Augmentation;
use crate::engine::Loss;
use crate::network::{Architecture, Boundary, DilationMode, parse_dilations};
use crate::{Error, Result};

/// What is to be learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
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

/// Defaults, in one place for `config.toml` and the command line.
pub mod default {
    use super::Boundary;

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
            monitor: Monitor::default(),
            optimisation: Optimisation::default(),
            augmentation: Augmentation::default(),
        }
    }

    /// Checks every number that does not need the images.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the first that cannot be used.
    pub fn validate(&self) -> Result<()> {
        self.architecture(1, 1)?;
        if self.batch == 0 || self.batch > 4096 {
            return Err(Error::setting("--batch", self.batch, "it must be from 1 to 4096"));
        }
        self.augmentation.validate()?;
        self.validate_favour_rare()?;
        // Engines compute in float32.
        if !((self.lr as f32).is_finite() && self.lr as f32 > 0.0) {
            return Err(Error::setting("--lr", self.lr, "it must be a number above 0, such as 0.003"));
        }
        self.optimisation.validate(self.lr)?;
        self.validate_loss()?;
        self.monitor.validate(self.task)?;
        if self.max_minutes.is_some_and(|minutes| minutes.is_nan() || minutes <= 0.0) {
            let found = self.max_minutes.unwrap_or_default();
            return Err(Error::setting("--max-minutes", found, "it must be a number above 0"));
        }
        for (name, limit) in [("--max-epochs", self.max_epochs), ("--max-steps", self.max_steps)] {
            if limit == Some(0) {
                return Err(Error::setting(name, 0, "it must be at least 1"));
            }
        }
        // The integers of config.toml have a sign.
        let whole =
            [("--seed", Some(self.seed)), ("--max-epochs", self.max_epochs), ("--max-steps", self.max_steps)];
        for (name, value) in whole.into_iter().chain([("--patience", Some(self.patience))]) {
            if let Some(value) = value.filter(|&value| i64::try_from(value).is_err()) {
                return Err(Error::setting(name, value, format!("it must be at most {}", i64::MAX)));
            }
        }
        if self.val_images.is_some() != self.val_targets.is_some() {
            let found = if self.val_images.is_some() { "--val-images alone" } else { "--val-targets alone" };
            return Err(Error::setting(
                "validation",
                found,
                "--val-images and --val-targets go together; give both",
            ));
        }
        if self.val_images.is_some() && self.val_fraction.is_some() {
            let wanted =
                "validation images come either from --val-images or from the training images; drop one";
            return Err(Error::setting("--val-fraction", "given beside --val-images", wanted));
        }
        Ok(())
    }

    /// The loss: the one asked for, or the task's usual one.
    pub fn loss(&self) -> Loss {
        self.optimisation.loss.unwrap_or(match self.task {
            TaskKind::Segment => Loss::CrossEntropy,
            TaskKind::Regress => Loss::SquaredError,
        })
    }

    fn validate_loss(&self) -> Result<()> {
        let wanted = match (self.task, self.loss().is_of_classes()) {
            (TaskKind::Segment, false) => {
                "a segmentation needs a loss of classes: cross-entropy, focal, dice or cross-entropy+dice"
            }
            (TaskKind::Regress, true) => "a regression needs a loss of values: l2, l1, huber or charbonnier",
            _ => return Ok(()),
        };
        Err(Error::setting("--loss", self.loss(), wanted))
    }

    /// Fills in what is taken from the length of the run, given the steps in an epoch.
    pub(super) fn fit(&mut self, steps_in_epoch: u64) -> Result<()> {
        self.optimisation.fit(self.lr, self.last_step(steps_in_epoch))?;
        self.optimisation.loss = Some(self.loss());
        Ok(())
    }

    /// The step at which the limits end the run, where they say so.
    pub(super) fn last_step(&self, steps_in_epoch: u64) -> Option<u64> {
        let epochs = self.max_epochs.map(|epochs| epochs.saturating_mul(steps_in_epoch));
        [epochs, self.max_steps].into_iter().flatten().min()
    }

    fn validate_favour_rare(&self) -> Result<()> {
        let wanted = if !(0.0..=1.0).contains(&self.favour_rare) {
            "it must be a share of the pieces, from 0 to 1"
        } else if self.favour_rare > 0.0 && self.crop == 0 {
            "whole images (--crop 0) have no pieces to choose; set --crop, or leave it out"
        } else if self.favour_rare > 0.0 && self.task == TaskKind::Regress {
            "a regression has no classes; leave it out"
        } else {
            return Ok(());
        };
        Err(Error::setting("--favour-rare", self.favour_rare, wanted))
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

    #[test]
    fn unusable_numbers_are_named() {
        let refusals = [
            ("--batch", Settings { batch: 0, ..settings() }),
            ("--lr", Settings { lr: f64::NAN, ..settings() }),
            ("--max-minutes", Settings { max_minutes: Some(0.0), ..settings() }),
            ("--max-steps", Settings { max_steps: Some(0), ..settings() }),
            ("--depth", Settings { depth: 0, ..settings() }),
            ("--dilations", Settings { dilations: "x".into(), ..settings() }),
            ("--favour-rare", Settings { favour_rare: 1.5, ..settings() }),
            ("--favour-rare", Settings { favour_rare: 0.5, crop: 0, ..settings() }),
            (
                "--noise",
                Settings { augmentation: Augmentation { noise: -1.0, ..Default::default() }, ..settings() },
            ),
            ("--monitor", Settings { monitor: Monitor::Psnr, ..settings() }),
            (
                "--loss",
                Settings {
                    optimisation: Optimisation { loss: Some(Loss::SquaredError), ..Default::default() },
                    ..settings()
                },
            ),
            ("validation", Settings { val_images: Some("v".into()), ..settings() }),
        ];
        for (name, settings) in refusals {
            let error = settings.validate().unwrap_err().to_string();
            assert!(error.starts_with(name), "{error} does not name {name}");
        }
        assert!(settings().validate().is_ok());
    }
}
