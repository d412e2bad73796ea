//! From files to what the loop needs: normalised images, and a model with everything but learnt parameters.

use std::collections::BTreeMap;

use log::info;

use super::settings::{Settings, TaskKind};
use crate::data::{ChannelStatistics, Dataset, Target, load_regression, load_segmentation};
use crate::network::{Class, Model, Normalisation, Task, initialise};
use crate::{Error, Result};

/// Normalised images with their targets, and the model to be trained on them.
pub struct Prepared {
    /// Images to train on; regression targets are normalised too.
    pub training: Dataset,
    /// Images to judge by.
    pub validation: Option<Dataset>,
    /// The model with its initial parameters.
    pub model: Model,
}

impl Prepared {
    /// Reads the images that the settings name.
    ///
    /// # Errors
    /// When a file cannot be used, or images, targets and settings do not fit each other.
    pub fn load(settings: &Settings) -> Result<Self> {
        settings.validate()?;
        let validation = settings.val_images.as_deref().zip(settings.val_targets.as_deref());
        let (training, validation, task) = match settings.task {
            TaskKind::Segment => {
                let (training, mapping) = load_segmentation(&settings.images, &settings.targets, None)?;
                let validation =
                    validation.map(|(images, targets)| load_segmentation(images, targets, Some(&mapping)));
                let classes = mapping.values.iter().map(|&value| Class { value, name: value.to_string() });
                (
                    training,
                    validation.transpose()?.map(|(set, _)| set),
                    Task::Segment { classes: classes.collect() },
                )
            }
            TaskKind::Regress => {
                let validation = validation.map(|(images, targets)| load_regression(images, targets));
                (
                    load_regression(&settings.images, &settings.targets)?,
                    validation.transpose()?,
                    Task::Regress,
                )
            }
        };
        let (training, validation) = match settings.val_fraction {
            None => (training, validation),
            Some(fraction) => {
                let (training, validation) = training.split_off_fraction(fraction, settings.seed)?;
                info!("set aside for validation: {}", validation.names().join(", "));
                (training, Some(validation))
            }
        };
        Self::new(settings, training, validation, task)
    }

    /// Takes images that are in memory already.
    ///
    /// # Errors
    /// When images, targets and settings do not fit each other.
    pub fn new(
        settings: &Settings,
        training: Dataset,
        validation: Option<Dataset>,
        task: Task,
    ) -> Result<Self> {
        settings.validate()?;
        let inputs = training.channels();
        if let Some(validation) = &validation {
            same_channels("images", inputs, validation.channels())?;
            same_channels(
                "targets",
                training.target_channels().unwrap_or(1),
                validation.target_channels().unwrap_or(1),
            )?;
        }
        let outputs = match &task {
            Task::Segment { classes } => classes.len(),
            Task::Regress => training.target_channels().unwrap_or(1),
        };
        let architecture = settings.architecture(inputs, outputs)?;
        let input = normalisation(ChannelStatistics::of_images(&training)?);
        let target = match task {
            Task::Segment { .. } => None,
            Task::Regress => Some(normalisation(ChannelStatistics::of_targets(&training)?)),
        };
        let model = Model {
            parameters: initialise(&architecture, settings.seed),
            architecture,
            task,
            input,
            target,
            provenance: provenance(settings, &training),
        };
        model.validate()?;
        let ready = |mut set: Dataset| {
            normalise(&mut set, &model);
            set
        };
        Ok(Self { training: ready(training), validation: validation.map(ready), model })
    }
}

fn same_channels(what: &str, training: usize, validation: usize) -> Result<()> {
    if training == validation {
        return Ok(());
    }
    Err(Error::Mismatch(format!(
        "the validation {what} have {validation} channels where the training {what} have {training}; give {what} of the same kind"
    )))
}

fn normalisation(statistics: ChannelStatistics) -> Normalisation {
    Normalisation { mean: statistics.mean, deviation: statistics.deviation }
}

/// Brings images, and regression targets, to mean 0 and deviation 1.
fn normalise(set: &mut Dataset, model: &Model) {
    for sample in &mut set.samples {
        for (channel, mut plane) in sample.image.outer_iter_mut().enumerate() {
            model.input.apply(channel, &mut plane);
        }
        if let (Target::Values(values), Some(target)) = (&mut sample.target, &model.target) {
            for (channel, mut plane) in values.outer_iter_mut().enumerate() {
                target.apply(channel, &mut plane);
            }
        }
    }
}

fn provenance(settings: &Settings, training: &Dataset) -> BTreeMap<String, String> {
    let entries = [
        ("program", format!("msd-gpu {}", env!("CARGO_PKG_VERSION"))),
        ("images", settings.images.clone()),
        ("targets", settings.targets.clone()),
        ("training_images", training.samples.len().to_string()),
        ("seed", settings.seed.to_string()),
    ];
    entries.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}
