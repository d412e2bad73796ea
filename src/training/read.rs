//! The images that the settings of a run name.

use std::collections::BTreeMap;
use std::path::Path;

use super::prepare::{TRAINING, VALIDATION};
use super::{Settings, TaskKind};
use crate::error::{Error, Result};
use crate::network::{Class, Model, Task, Upscaling};
use crate::samples::{
    Classes, DataFiles, Dataset, Interpolation, LabelMapping, LabelRule, Measurements, Recordings, Upscaled,
};

/// Reads the training images, those that are named for validation, and what is to be learnt.
pub(super) fn read(
    settings: &Settings,
    measurements: &Measurements,
) -> Result<(Dataset, Option<Dataset>, Task)> {
    let Settings { images, targets, .. } = settings;
    let named = settings.val_images.as_deref().zip(settings.val_targets.as_deref());
    let cache = settings.cache_bytes()?;
    let upscaled = match settings.upscaling() {
        Some(Upscaling { factor, coarsening }) => Some(Upscaled {
            factor,
            interpolation: Interpolation::Bicubic,
            blur: coarsening.map(|coarsening| coarsening.blur),
            corner: settings.corner()?,
        }),
        None => None,
    };
    let files = |images, targets| {
        let files = DataFiles::new(images, targets).found_by(settings.discovery()).held_in(cache);
        files.upscaled(upscaled).of_volumes(settings.is_of_volumes())
    };
    if settings.alone || settings.coarsens() {
        let files = |images| {
            let files = DataFiles::of_recordings(Recordings::alone(images)).upscaled(upscaled);
            files.found_by(settings.discovery())
        };
        let mut for_training = files(images).held_in(cache).known_from(measurements, TRAINING);
        if let Some(path) = &settings.init {
            for_training.channels = Some(Model::read(Path::new(path))?.architecture.inputs);
        }
        let training = for_training.regression()?;
        let validation = settings.val_images.as_ref().map(|images| {
            let left = cache.map(|cache| cache.saturating_sub(training.held_bytes()));
            let files = files(images).of_channels(training.channels()).held_in(left);
            files.known_from(measurements, VALIDATION).regression()
        });
        return Ok((training, validation.transpose()?, Task::Regress));
    }
    let splits = settings.self_supervised().and_then(|learnt_from| learnt_from.splits());
    let mut for_training = match (settings.pairs.as_deref(), splits) {
        (_, Some(splits)) => {
            let combinations = splits.combinations().map(|one| (one.input, one.target)).collect();
            let recordings = Recordings { places: &settings.splits, combinations };
            DataFiles::of_recordings(recordings).found_by(settings.discovery()).held_in(cache)
        }
        (Some(list), None) => {
            let files = DataFiles::listed(list).found_by(settings.discovery()).held_in(cache);
            files.upscaled(upscaled).of_volumes(settings.is_of_volumes())
        }
        (None, None) => files(images.as_str(), targets.as_str()).weighted(settings.weights.as_deref()),
    };
    for_training = for_training.known_from(measurements, TRAINING);
    if let Some(path) = &settings.init {
        for_training.channels = Some(Model::read(Path::new(path))?.architecture.inputs);
    }
    let for_validation = |set: &Dataset| {
        let (images, targets) = named?;
        let weighted = files(images, targets).weighted(settings.val_weights.as_deref());
        // What the training images leave.
        let left = cache.map(|cache| cache.saturating_sub(set.held_bytes()));
        let files = weighted.of_channels(set.channels()).held_in(left);
        Some(files.known_from(measurements, VALIDATION))
    };
    match settings.task {
        TaskKind::Segment => {
            let found = Classes::Found { ignored: settings.ignore };
            let (training, mapping, rule) =
                for_training.by_rule(settings.label_rule()?).segmentation(found)?;
            let load = |files: DataFiles| files.by_rule(rule.clone()).segmentation(Classes::Known(&mapping));
            let validation = for_validation(&training).map(load).transpose()?.map(|(set, ..)| set);
            let task = segmentation(&mapping, &rule, settings.class_names.as_deref())?;
            Ok((training, validation, task))
        }
        TaskKind::Regress => {
            let training = for_training.regression()?;
            let validation = for_validation(&training).map(|files| files.regression()).transpose()?;
            Ok((training, validation, Task::Regress))
        }
    }
}

/// The classes that a mapping of label values has; they are named as `names` say, in their order or each behind its value and an equals
/// sign, else by their values, or by their colours.
pub(super) fn segmentation(mapping: &LabelMapping, rule: &LabelRule, names: Option<&str>) -> Result<Task> {
    let class = |&value: &i64| Class { value, name: rule.class_name(value) };
    let mut classes: Vec<Class> = mapping.values.iter().map(class).collect();
    if let Some(text) = names {
        let names: Vec<&str> = text.split(',').map(str::trim).collect();
        let by_value = |name: &&str| {
            let (value, name) = name.split_once('=')?;
            Some((value.trim().parse::<i64>().ok()?, name.trim().to_owned()))
                .filter(|(_, name)| !name.is_empty())
        };
        // Those of values that no label image has name nothing.
        if let Some(names) = names.iter().map(by_value).collect::<Option<BTreeMap<i64, String>>>() {
            for class in &mut classes {
                class.name = names.get(&class.value).unwrap_or(&class.name).clone();
            }
            return Ok(Task::Segment { classes });
        }
        if names.len() != classes.len() || names.iter().any(|name| name.is_empty()) {
            let values: Vec<String> = mapping.values.iter().map(i64::to_string).collect();
            let wanted = format!(
                "there must be {} names between commas, one for each label value: {}",
                classes.len(),
                values.join(", ")
            );
            return Err(Error::setting("class_names", format!("'{text}'"), wanted));
        }
        classes.iter_mut().zip(names).for_each(|(class, name)| class.name = name.to_owned());
    }
    Ok(Task::Segment { classes })
}
