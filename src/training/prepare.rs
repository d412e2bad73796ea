//! From files to what the loop needs: normalised images, and a model with everything but learnt parameters.

use std::collections::BTreeMap;
use std::path::Path;

use log::{info, warn};
use ndarray::{Array2, Array3, Axis};

use super::initial::{take_parameters, target_of};
use super::{Settings, TaskKind};
use crate::error::{Error, Result, counted_channels};
use crate::network::{
    Architecture, Class, InputNormalisation, Measure, Model, Normalisation, Task, initialise,
};
use crate::samples::{
    Classes, DataFiles, Dataset, Fingerprint, LabelMapping, LabelRule, Labelled, Sample, Target, fill_gaps,
};

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
        let (training, validation, task) = read(settings)?;
        Self::new(settings, training, validation, task)
    }

    /// Takes images with label images that are in memory, whose values are the classes; else as [`Prepared::new`].
    ///
    /// # Errors
    /// As [`Prepared::new`] and [`Dataset::from_labels`].
    pub fn from_labels(
        settings: &Settings,
        training: Vec<Labelled>,
        validation: Option<Vec<Labelled>>,
    ) -> Result<Self> {
        settings.validate()?;
        let found = Classes::Found { ignored: settings.ignore };
        let (training, mapping, rule) =
            Dataset::from_labels_by_rule(training, &settings.label_rule()?, found)?;
        let known = |labelled| Dataset::from_labels_by_rule(labelled, &rule, Classes::Known(&mapping));
        let validation = validation.map(known).transpose()?.map(|(set, ..)| set);
        let task = segmentation(&mapping, &rule, settings.class_names.as_deref())?;
        Self::new(settings, training, validation, task)
    }

    /// Takes images that are in memory already. Where `validation` is none, the settings may set a share or a fold of
    /// `training` aside.
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
        let outputs = match &task {
            Task::Segment { classes } => classes.len(),
            Task::Regress => training.target_channels().unwrap_or(1),
        };
        let initial = settings.initial_model(inputs)?;
        let architecture = match &initial {
            Some(model) => Architecture { outputs, ..model.architecture.clone() },
            None => settings.architecture(inputs, outputs)?,
        };
        check_labelled(&training)?;
        let (mut training, mut validation) =
            set_aside(settings, training, validation, architecture.receptive_field())?;
        check_labelled(&training)?;
        if let Some(validation) = &validation {
            same_channels("images", inputs, validation.channels())?;
            same_channels(
                "targets",
                training.target_channels().unwrap_or(1),
                validation.target_channels().unwrap_or(1),
            )?;
        }
        let provenance = provenance(settings, initial.as_ref(), &training, validation.as_ref());
        if let Some(weights) = settings.class_weights()? {
            let weights = weights.resolve(&training, outputs)?;
            info!("weights of the classes: {weights:?}");
            training.weigh_classes(&weights);
            validation.iter_mut().for_each(|set| set.weigh_classes(&weights));
            check_labelled(&training)?;
        }
        let (input, target) = normalisations(settings, &training, initial.as_ref())?;
        let kept = initial.is_some() && settings.keeps_normalisation();
        let remedy =
            "where it shows the same in another range of numbers, give `normalise mean` to measure anew";
        warn_of_range(
            &input,
            kept.then_some(&training),
            "the images that the model of `init` was trained on",
            remedy,
        );
        let remedy = "save it in the range of numbers of the training images, or give `normalise_per_image`";
        warn_of_range(&input, validation.as_ref(), "the training images", remedy);
        let mut model = Model {
            parameters: initialise(&architecture, settings.seed),
            architecture,
            task,
            input,
            target,
            slab: settings.slab,
            provenance,
        };
        if let Some(initial) = &initial {
            take_parameters(&mut model, initial);
        }
        model.validate()?;
        let ready = |mut set: Dataset| {
            normalise(&mut set, &model);
            set
        };
        Ok(Self { training: ready(training), validation: validation.map(ready), model })
    }
}

/// The classes that a mapping of label values has; they are named as `names` say, else by their values, or by their colours.
fn segmentation(mapping: &LabelMapping, rule: &LabelRule, names: Option<&str>) -> Result<Task> {
    let class = |&value: &i64| Class { value, name: rule.class_name(value) };
    let mut classes: Vec<Class> = mapping.values.iter().map(class).collect();
    if let Some(text) = names {
        let names: Vec<&str> = text.split(',').map(str::trim).collect();
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

/// Sets images aside for validation, where the settings say so; of a single image a part, as far from the rest as a network
/// of this receptive field in pixels sees.
fn set_aside(
    settings: &Settings,
    training: Dataset,
    validation: Option<Dataset>,
    receptive_field: usize,
) -> Result<(Dataset, Option<Dataset>)> {
    if validation.is_some() {
        return match settings.val_fraction {
            Some(fraction) => {
                let found = format!("{fraction} beside images for validation");
                let wanted = "these come either from elsewhere or from the training images; drop one";
                Err(Error::setting("val_fraction", found, wanted))
            }
            None => Ok((training, validation)),
        };
    }
    let (training, validation) = match (settings.val_fraction, settings.folds.zip(settings.fold)) {
        (Some(fraction), _) if training.samples.len() == 1 => {
            training.split_off_region(fraction, receptive_field, settings.seed)?
        }
        (Some(fraction), _) => training.split_off_fraction(fraction, settings.seed)?,
        (None, Some((folds, fold))) => training.split_off_fold(fold, folds)?,
        (None, None) => return Ok((training, None)),
    };
    info!("set aside for validation: {}", validation.names().join(", "));
    Ok((training, Some(validation)))
}

fn same_channels(what: &str, training: usize, validation: usize) -> Result<()> {
    if training == validation {
        return Ok(());
    }
    Err(Error::Mismatch(format!(
        "the validation {what} have {} where the training {what} have {training}; give {what} of the same kind",
        counted_channels(validation)
    )))
}

/// Reads the training images, those that are named for validation, and what is to be learnt.
fn read(settings: &Settings) -> Result<(Dataset, Option<Dataset>, Task)> {
    let Settings { images, targets, .. } = settings;
    let named = settings.val_images.as_deref().zip(settings.val_targets.as_deref());
    let files = |images, targets| DataFiles::new(images, targets).found_by(settings.discovery());
    let mut for_training = match settings.pairs.as_deref() {
        Some(list) => DataFiles::listed(list).found_by(settings.discovery()),
        None => files(images.as_str(), targets.as_str()).weighted(settings.weights.as_deref()),
    };
    if let Some(path) = &settings.init {
        for_training.channels = Some(Model::read(Path::new(path))?.architecture.inputs);
    }
    let for_validation = |set: &Dataset| {
        let (images, targets) = named?;
        let weighted = files(images, targets).weighted(settings.val_weights.as_deref());
        Some(weighted.of_channels(set.channels()))
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

/// Refuses an image that nothing can be learnt from: most often it was meant to be labelled.
fn check_labelled(training: &Dataset) -> Result<()> {
    match training.samples.iter().find(|sample| !sample.counts_in(None)) {
        None => Ok(()),
        Some(Sample { name, .. }) => Err(Error::Mismatch(format!(
            "the training image {name} has no pixel that counts: all are unlabelled or of weight 0; label some of it, or take it out"
        ))),
    }
}

/// Warns of the first image of `set` that is in another range of numbers than `others`, which `input` was measured over.
fn warn_of_range(input: &InputNormalisation, set: Option<&Dataset>, others: &str, remedy: &str) {
    let (Some(normalisation), Some(set)) = (input.of_set(), set) else { return };
    let misfit = |sample: &Sample| Some((sample.name.clone(), normalisation.misfit(sample.image.view())?));
    if let Some((name, misfit)) = set.samples.iter().find_map(misfit) {
        warn!("{name} is far from {others}: {misfit}; {remedy}");
    }
}

/// How images, and regression targets, are normalised.
fn normalisations(
    settings: &Settings,
    training: &Dataset,
    initial: Option<&Model>,
) -> Result<(InputNormalisation, Option<Normalisation>)> {
    let kept = initial.filter(|_| settings.keeps_normalisation());
    let measure = settings.measure()?.unwrap_or(Measure::MeanDeviation);
    // Gaps are no part of the image, and are left out as pixels of weight 0.
    let without_gaps: Vec<_> = training.samples.iter().map(|sample| weights_of_gaps(&sample.image)).collect();
    let views = training.samples.iter().zip(&without_gaps);
    let images: Vec<_> = views
        .map(|(sample, weights)| (sample.image.view(), weights.as_ref().map(|weights| weights.view())))
        .collect();
    let input = match kept {
        Some(model) => model.input.clone(),
        None if settings.normalise_per_image => InputNormalisation::PerImage { per_image: measure },
        None => measure.of(&images).into(),
    };
    for channel in 0..training.channels() {
        let mut values = images
            .iter()
            .flat_map(|(image, _)| image.index_axis(Axis(0), channel).into_iter())
            .filter(|value| !value.is_nan());
        let first = values.next();
        if let Some(level) = first.filter(|level| values.all(|value| value == *level)) {
            warn!("channel {channel} of every training image is {level} everywhere: it says nothing");
        }
    }
    let targets = training.samples.iter().filter_map(|sample| match &sample.target {
        // What does not count may hold anything, and must not move the scale.
        Target::Values(values) => {
            Some((values.view(), sample.weights.as_ref().map(|weights| weights.view())))
        }
        Target::Classes(_) => None,
    });
    let targets: Vec<_> = targets.collect();
    let target = (settings.task == TaskKind::Regress).then(|| {
        let outputs = training.target_channels().unwrap_or(1);
        kept.and_then(|model| target_of(model, outputs)).unwrap_or_else(|| measure.of(&targets))
    });
    Ok((input, target))
}

/// Weights `[y][x]` that are 0 where a channel of an image is NaN; `None` where none is.
fn weights_of_gaps(image: &Array3<f32>) -> Option<Array2<f32>> {
    let has_gaps = image.iter().any(|value| value.is_nan());
    has_gaps
        .then(|| image.map_axis(Axis(0), |pixel| if pixel.iter().any(|v| v.is_nan()) { 0.0 } else { 1.0 }))
}

/// Normalises images, and regression targets.
fn normalise(set: &mut Dataset, model: &Model) {
    for sample in &mut set.samples {
        // What is normalised by itself is measured with its gaps filled, as it will be where the model is applied.
        if model.input.of_set().is_none() {
            fill_gaps(&mut sample.image);
        }
        let input = model.input.of(sample.image.view()).into_owned();
        for (channel, mut plane) in sample.image.outer_iter_mut().enumerate() {
            input.apply(channel, &mut plane);
        }
        fill_gaps(&mut sample.image);
        if let (Target::Values(values), Some(target)) = (&mut sample.target, &model.target) {
            for (channel, mut plane) in values.outer_iter_mut().enumerate() {
                target.apply(channel, &mut plane);
            }
        }
    }
}

/// Where the model comes from, before it is trained.
fn provenance(
    settings: &Settings,
    initial: Option<&Model>,
    training: &Dataset,
    validation: Option<&Dataset>,
) -> BTreeMap<String, String> {
    let kept = initial.filter(|_| settings.keeps_normalisation());
    let measure =
        kept.and_then(|model| model.provenance.get("normalise")).unwrap_or(&settings.normalise).clone();
    let mut entries = vec![
        ("program", format!("msd-gpu {}", env!("CARGO_PKG_VERSION"))),
        ("images", settings.images.clone()),
        ("targets", settings.targets.clone()),
        ("training_images", training.samples.len().to_string()),
        ("training_fingerprint", Fingerprint::of_dataset(training).to_string()),
        ("seed", settings.seed.to_string()),
        ("normalise", measure),
    ];
    if let Some(path) = &settings.init {
        entries.push(("started_from", path.clone()));
    }
    if let Some(validation) = validation {
        warn_of_shared(training, validation);
        entries.push(("validation_images", validation.samples.len().to_string()));
        entries.push(("validation_fingerprint", Fingerprint::of_dataset(validation).to_string()));
    }
    entries.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}

/// Warns of validation images that are training images too, whatever their names.
fn warn_of_shared(training: &Dataset, validation: &Dataset) {
    let known: BTreeMap<Fingerprint, &str> =
        training.samples.iter().map(|sample| (Fingerprint::of_image(sample), sample.name.as_str())).collect();
    for sample in &validation.samples {
        if let Some(name) = known.get(&Fingerprint::of_image(sample)) {
            warn!(
                "the validation image {} is the training image {name}: the scores will flatter the model",
                sample.name
            );
        }
    }
}
