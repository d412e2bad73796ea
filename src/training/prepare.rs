//! From files to what the loop needs: normalised images, and a model with everything but learnt parameters.

use std::collections::BTreeMap;
use std::path::Path;

use log::{info, warn};

use super::choices::{Facts, choose, may_favour};
use super::initial::{same_outputs, take_parameters, target_of};
use super::normalise::{Change, changes, normalise};
use super::read::{read, segmentation};
use super::relabel::check_channels;
use super::run::RunFolder;
use super::seen_labels::SeenLabels;
use super::survey::{Survey, Wanted};
use super::{MixingStart, Settings, TaskKind};
use super::{start, stem};
use crate::error::{Error, Result, counted_channels};
use crate::geometry::{Extent, Footprint};
use crate::network::{Architecture, Class, InputNormalisation, Measure, Model, Task, initialise};
use crate::samples::{
    BlindSpots, ClassRows, ClassTotals, Classes, CoarseNoise, Dataset, Fingerprint, Interpolation, Item,
    Labelled, Measurements, Stamp, correlated_noise,
};

/// What the sets are called among what was measured.
pub(super) const TRAINING: &str = "training";
pub(super) const VALIDATION: &str = "validation";
/// So many classes are named with their shares.
const MOST_SHARES: usize = 8;

/// Normalised images with their targets, and the model to be trained on them.
pub struct Prepared {
    /// Images to train on; regression targets are normalised too.
    pub training: Dataset,
    /// Images to judge by.
    pub validation: Option<Dataset>,
    /// The model with its initial parameters.
    pub model: Model,
    /// What was measured over images that stay in their files.
    pub(in crate::training) measurements: Measurements,
    /// What the places of the pixels of each class depend on.
    pub(in crate::training) stamp: Option<Stamp>,
    /// How many pixels of each class are in each row, where draws favour some and that was counted already.
    pub(in crate::training) rows: Option<ClassRows>,
    /// The weight of the pixels of each class; of none for values.
    pub(in crate::training) totals: ClassTotals,
    /// The pixels that are hidden from the network, where it learns without targets.
    pub(in crate::training) blind_spots: Option<BlindSpots>,
    /// The noise of coarse images that are made of fine ones, in the units of the normalised images.
    pub(in crate::training) coarse_noise: Option<CoarseNoise>,
    /// What settings that are left open are chosen by.
    facts: Facts,
    chosen: Vec<String>,
}

impl Prepared {
    /// Reads the images that the settings name.
    ///
    /// # Errors
    /// When a file cannot be used, or images, targets and settings do not fit each other.
    pub fn load(settings: &Settings) -> Result<Self> {
        Self::load_with(settings, Measurements::default(), true)
    }

    /// As [`Prepared::load`], for the run in the folder `run`, which is to go on: what was measured over its images is not measured
    /// again where their files are as they were. Where there is a checkpoint, whose parameters the run goes on with, those of the model
    /// are not fitted to the images.
    ///
    /// # Errors
    /// As [`Prepared::load`].
    pub fn resumed(settings: &Settings, run: &Path) -> Result<Self> {
        if RunFolder::was_relabelled(run)? {
            return Self::relabelled(settings, run);
        }
        Self::load_with(settings, RunFolder::measurements(run), !RunFolder::has_checkpoint(run))
    }

    /// As [`Prepared::load`], for the run in the folder `run`, which is to go on with labels that may be others than before:
    /// images are normalised as the model of the run does it.
    ///
    /// # Errors
    /// As [`Prepared::load`] and [`Model::read`].
    pub fn relabelled(settings: &Settings, run: &Path) -> Result<Self> {
        settings.validate()?;
        let measurements = Measurements::default();
        let (training, validation, task) = read(settings, &measurements)?;
        let model = Model::read(run)?;
        if task != model.task {
            let problem = "the classes are not those that the run was started with; bring them back, or train on with the new ones in a new folder, with `out`, from the model of this run, with `init`";
            return Err(Error::Mismatch(problem.into()));
        }
        Self::measured(settings, training, validation, task, measurements, Some(model), false)
    }

    fn load_with(settings: &Settings, measurements: Measurements, fits_mixing: bool) -> Result<Self> {
        settings.validate()?;
        let (training, validation, task) = read(settings, &measurements)?;
        Self::measured(settings, training, validation, task, measurements, None, fits_mixing)
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
        // The slices of volumes stay, as their neighbours are seen with them.
        let counting =
            |set: Dataset| if settings.is_of_volumes() { Ok(set) } else { set.without_unlabelled() };
        let (training, validation) = (counting(training)?, validation.map(counting).transpose()?);
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
        Self::measured(settings, training, validation, task, Measurements::default(), None, true)
    }

    /// As [`Prepared::new`], for a run that goes on from `model`: images are normalised as it does it, and labels may be others than
    /// those that it was trained with, of the same classes.
    ///
    /// # Errors
    /// As [`Prepared::new`].
    pub fn going_on(
        settings: &Settings,
        training: Dataset,
        validation: Option<Dataset>,
        model: Model,
    ) -> Result<Self> {
        let task = model.task.clone();
        Self::measured(settings, training, validation, task, Measurements::default(), Some(model), false)
    }

    fn measured(
        settings: &Settings,
        training: Dataset,
        validation: Option<Dataset>,
        task: Task,
        measurements: Measurements,
        continued: Option<Model>,
        fits_mixing: bool,
    ) -> Result<Self> {
        settings.validate()?;
        let (training, validation) = if settings.is_of_volumes() {
            let counting = |set: Dataset| set.into_volumes()?.without_unlabelled();
            (counting(training)?, validation.map(counting).transpose()?)
        } else {
            (training, validation)
        };
        let inputs = training.channels();
        let outputs = match &task {
            Task::Segment { classes } => classes.len(),
            Task::Regress => training.target_channels().unwrap_or(1),
        };
        let continues = continued.is_some();
        let initial = continued.map_or_else(|| settings.initial_model(inputs), |model| Ok(Some(model)))?;
        let architecture = |settings: &Settings| match &initial {
            Some(model) => Ok(Architecture { outputs, ..model.architecture.clone() }),
            None => settings.architecture(inputs, outputs),
        };
        check_labelled(&training)?;
        let (mut training, mut validation) =
            set_aside(settings, training, validation, &architecture(settings)?)?;
        check_labelled(&training)?;
        if let Some(validation) = &validation {
            same_channels("images", inputs, validation.channels())?;
            same_channels(
                "targets",
                training.target_channels().unwrap_or(1),
                validation.target_channels().unwrap_or(1),
            )?;
        }
        initial.iter().try_for_each(|model| check_channels(inputs, model))?;
        let kept = initial.as_ref().filter(|_| continues || settings.keeps_normalisation());
        let measure = settings.measure()?.unwrap_or(Measure::MeanDeviation);
        let regresses = settings.task == TaskKind::Regress;
        let kept_target = kept.filter(|_| regresses).and_then(|model| target_of(model, outputs));
        let class_weights = settings.class_weights()?;
        let wanted = Wanted {
            classes: if regresses { 0 } else { outputs },
            input: (kept.is_none() && !settings.normalise_per_image).then_some(measure),
            target: (regresses && kept_target.is_none()).then_some(measure),
            prints: validation.is_some(),
            usual: kept.and_then(|model| model.input.of_set()).cloned(),
        };
        let survey = |name: &str, set: &Dataset, wanted: &Wanted, labels: Option<&mut SeenLabels>| {
            let stamp = set.stamp().map(|stamp| stamp.with(wanted));
            let is_usable = |known: &Survey| known.is_of(set, wanted);
            let name = format!("{name} survey");
            measurements.known_or(&name, stamp, is_usable, || Survey::of(set, wanted, labels))
        };
        let may_fit = fits_mixing && settings.mixing_start != MixingStart::Zero && !settings.is_of_volumes();
        // Labels in memory are soon counted when draws turn out to need it.
        let may_favour = may_favour(settings) && !training.is_in_memory();
        let mut seen = (!regresses).then(|| SeenLabels::new(may_fit, may_favour));
        let found = survey(TRAINING, &training, &wanted, seen.as_mut())?;
        // None were read where the measurements are those of an earlier run.
        let mut seen = seen.filter(SeenLabels::is_of_some);
        tell_of_gaps(&mut training, &found.gaps);
        let mut chosen = settings.clone();
        let pixels = training.sizes().iter().map(|size| size.pixels() as f64).sum::<f64>();
        let labelled = (!regresses).then(|| found.totals.sum() / pixels);
        let initial_network = initial.as_ref().map(|model| model.architecture.clone());
        let noise = match (settings.alone, settings.blind_mask) {
            (true, Footprint::Auto) => Some(correlated_noise(&training, settings.middle_channels(inputs))?),
            _ => None,
        };
        let shares = found.totals.shares();
        if let Task::Segment { classes } = &task {
            info!("the labelled pixels are {}", shares_text(classes, &shares));
        }
        let (spread, gain_by_itself) = (found.spread, found.gain_by_itself);
        let pixels = training.sizes().iter().map(Extent::pixels).collect();
        let facts =
            Facts { labelled, shares, pixels, spread, gain_by_itself, initial: initial_network, noise };
        let lines = choose(&mut chosen, &facts);
        lines.iter().for_each(|line| info!("{line}"));
        let settings = &chosen;
        let architecture = architecture(settings)?;
        let measured = found.input.filter(|_| !settings.normalise_per_image);
        let input = match (kept, measured) {
            (Some(model), _) => model.input.clone(),
            (None, Some(normalisation)) => normalisation.into(),
            (None, None) => InputNormalisation::PerImage { per_image: measure },
        };
        let target = kept_target.or(found.target);
        for (channel, level) in found.levels.iter().enumerate() {
            if let Some(level) = level {
                warn!("channel {channel} of every training image is {level} everywhere: it says nothing");
            }
        }
        let remedy =
            "where it shows the same in another range of numbers, give `normalise mean` to measure anew";
        warn_of_range(found.misfit, "the images that the model was trained on", remedy);
        let mut provenance = provenance(settings, initial.as_ref(), training.len());
        provenance.insert("training_fingerprint".into(), found.fingerprint.to_string());
        if let Some(validation) = &mut validation {
            let wanted = Wanted { prints: true, usual: input.of_set().cloned(), ..Wanted::default() };
            let judging = survey(VALIDATION, validation, &wanted, None)?;
            tell_of_gaps(validation, &judging.gaps);
            warn_of_shared((&training, &found.prints), (validation, &judging.prints));
            let remedy =
                "save it in the range of numbers of the training images, or give `normalise_per_image`";
            warn_of_range(judging.misfit, "the training images", remedy);
            provenance.insert("validation_images".into(), validation.len().to_string());
            provenance.insert("validation_fingerprint".into(), judging.fingerprint.to_string());
        }
        let (training_stamp, validation_stamp) =
            (training.stamp(), validation.as_ref().and_then(Dataset::stamp));
        let mut stamp = training_stamp;
        let mut totals = found.totals;
        if let Some(weights) = class_weights {
            let weights = weights.resolve(&totals)?;
            totals = totals.weighed(&weights);
            seen = seen.and_then(|seen| seen.weighed(&weights));
            stamp = stamp.map(|stamp| stamp.with(&weights));
            info!("weights of the classes: {weights:?}");
            training.weigh_classes(&weights);
            validation.iter_mut().for_each(|set| set.weigh_classes(&weights));
            check_labelled(&training)?;
        }
        let mut model = Model {
            parameters: initialise(&architecture, settings.seed),
            architecture,
            task,
            input,
            target,
            slab: settings.slab,
            self_supervised: settings.self_supervised(),
            upscaling: settings.upscaling(),
            provenance,
        };
        match &initial {
            Some(initial) => take_parameters(&mut model, initial),
            None if settings.factor > 1 => model.begin_with_input(),
            None => {}
        }
        model.validate()?;
        let normalised = |name: &str, set: &mut Dataset, stamp: Option<Stamp>| {
            let stamp = stamp.map(|stamp| stamp.with(&model.input));
            let is_usable = |known: &Vec<Change>| {
                known.len() == set.len() && known.iter().all(|change| change.is_for(inputs))
            };
            let found = || changes(set, &model.input);
            let changes = match set.is_in_memory() {
                true => found()?,
                false => measurements.known_or(&format!("{name} images"), stamp, is_usable, found)?,
            };
            normalise(set, changes, model.target.as_ref());
            Ok::<_, Error>(())
        };
        normalised(TRAINING, &mut training, training_stamp)?;
        if let Some(set) = &mut validation {
            normalised(VALIDATION, set, validation_stamp)?;
        }
        if initial.is_none() {
            stem::measure(&mut model, &training)?;
        }
        let is_new = initial.as_ref().is_none_or(|initial| !same_outputs(&model, initial));
        if is_new && fits_mixing && settings.mixing_start == MixingStart::Fitted {
            start::fit_mixing(&mut model, &training, seen.as_mut().and_then(SeenLabels::take_chosen))?;
        }
        let favours =
            [settings.favour_rare, settings.favour_labelled].iter().flatten().any(|share| *share > 0.0);
        let rows = seen.filter(|_| favours).and_then(SeenLabels::rows);
        let blind_spots = settings.blind_spots(inputs);
        let coarse_noise = coarse_noise(&model);
        Ok(Self {
            training,
            validation,
            model,
            measurements,
            stamp,
            rows,
            totals,
            blind_spots,
            coarse_noise,
            facts,
            chosen: lines,
        })
    }

    /// What was chosen of settings that are left open, and why: a line each, with the names of settings in backquotes.
    pub fn chosen(&self) -> &[String] {
        &self.chosen
    }

    /// The `settings` with which these were prepared, with what they leave open filled in by what is seen of the images and labels: as a
    /// run takes them.
    pub fn filled(&self, settings: &Settings) -> Settings {
        let mut settings = settings.clone();
        choose(&mut settings, &self.facts);
        settings
    }
}

/// The share of each class, or of so many classes the rarest and the most frequent.
fn shares_text(classes: &[Class], shares: &[f64]) -> String {
    let of = |class: usize| format!("{} {:.2} %", classes[class].name, 100.0 * shares[class]);
    let mut order: Vec<usize> = (0..classes.len().min(shares.len())).collect();
    if order.len() <= MOST_SHARES {
        return order.into_iter().map(of).collect::<Vec<_>>().join(", ");
    }
    order.sort_by(|a, b| shares[*b].total_cmp(&shares[*a]));
    let (first, last) = (order[0], order[order.len() - 1]);
    format!("of {} classes, from {} to {}", order.len(), of(first), of(last))
}

/// The noise of the coarse images that `model` learns from, in the units of its normalised images; `None` where there is none.
fn coarse_noise(model: &Model) -> Option<CoarseNoise> {
    let upscaling = model.upscaling?;
    let noise = upscaling.coarsening.map(|coarsening| coarsening.noise).filter(|noise| *noise > 0.0)?;
    let deviations = &model.input.of_set()?.deviation;
    Some(CoarseNoise {
        factor: upscaling.factor,
        interpolation: Interpolation::Bicubic,
        deviations: deviations.iter().map(|unit| (noise / f64::from(*unit)) as f32).collect(),
    })
}

/// Sets images aside for validation, where the settings say so; of a single image or volume a part, as far from the rest
/// as a network of `architecture` sees.
fn set_aside(
    settings: &Settings,
    training: Dataset,
    validation: Option<Dataset>,
    architecture: &Architecture,
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
        (Some(fraction), _)
            if training.len() == 1 || !settings.splits.is_empty() && training.is_of_one_place() =>
        {
            // A volume is cut along its longest side. A network may look less far along z than within slices.
            let along_z = training.items().first().is_some_and(|item| {
                let extent = item.extent();
                extent.z > 1 && extent.z >= extent.y.max(extent.x)
            });
            let field =
                if along_z { architecture.receptive_field_z() } else { architecture.receptive_field() };
            training.split_off_steps(fraction, field, settings.factor, settings.seed)?
        }
        (Some(fraction), _) => training.split_off_fraction(fraction, settings.seed)?,
        (None, Some((folds, fold))) => training.split_off_fold(fold, folds)?,
        (None, None) => return Ok((training, None)),
    };
    info!("set aside for validation: {}", validation.names().join(", "));
    Ok((training, Some(validation)))
}

/// Says of each image whether it has gaps, so that only those that have are looked at again when they are normalised.
fn tell_of_gaps(set: &mut Dataset, gaps: &[bool]) {
    set.items_mut().iter_mut().zip(gaps).for_each(|(item, has_gaps)| item.tell_of_gaps(*has_gaps));
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

/// Refuses an image that nothing can be learnt from: most often it was meant to be labelled.
fn check_labelled(training: &Dataset) -> Result<()> {
    for item in training.items() {
        if !item.counts_in(None)? {
            return Err(Error::Mismatch(format!(
                "the training image {} has no pixel that counts: all are unlabelled or of weight 0; label some of it, or take it out",
                item.name()
            )));
        }
    }
    Ok(())
}

/// Warns of an image that is in another range of numbers than `others`.
fn warn_of_range(misfit: Option<(String, String)>, others: &str, remedy: &str) {
    if let Some((name, misfit)) = misfit {
        warn!("{name} is far from {others}: {misfit}; {remedy}");
    }
}

/// Where the model comes from, before it is trained.
fn provenance(settings: &Settings, initial: Option<&Model>, images: usize) -> BTreeMap<String, String> {
    let kept = initial.filter(|_| settings.keeps_normalisation());
    let measure =
        kept.and_then(|model| model.provenance.get("normalise")).unwrap_or(&settings.normalise).clone();
    let mut entries = vec![
        ("program", format!("msd-gpu {}", env!("CARGO_PKG_VERSION"))),
        ("training_images", images.to_string()),
        ("seed", settings.seed.to_string()),
        ("normalise", measure),
    ];
    if settings.splits.is_empty() {
        entries.push(("images", settings.images.clone()));
        entries.push(("targets", settings.targets.clone()));
    } else {
        entries.push(("splits", settings.splits.join(", ")));
    }
    if let Some(path) = &settings.init {
        entries.push(("started_from", path.clone()));
    }
    entries.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}

/// Warns of validation images that are training images too, whatever their names; each set with the fingerprints of its images.
fn warn_of_shared(training: (&Dataset, &[Fingerprint]), validation: (&Dataset, &[Fingerprint])) {
    let known: BTreeMap<Fingerprint, &str> =
        training.1.iter().copied().zip(training.0.items().iter().map(Item::name)).collect();
    for (item, print) in validation.0.items().iter().zip(validation.1) {
        if let Some(name) = known.get(print) {
            warn!(
                "the validation image {} is the training image {name}: the scores will flatter the model",
                item.name()
            );
        }
    }
}
