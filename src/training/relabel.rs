//! Other labels for a run that goes on.

use super::normalise::{changes, normalise};
use super::prepare::Prepared;
use super::settings::Settings;
use crate::error::{Error, Result, counted_channels};
use crate::metrics::UNLABELLED;
use crate::network::{Model, Task};
use crate::samples::{ClassTotals, Dataset, Target};

/// Images with other labels than a run has had so far, as the run takes them. Made by [`Prepared::relabel`].
#[derive(Debug, Clone)]
pub struct Relabelled {
    pub(in crate::training) training: Dataset,
    /// The weight of the pixels of each class in these.
    pub(in crate::training) totals: ClassTotals,
    pub(in crate::training) validation: Option<Dataset>,
    pub(in crate::training) version: String,
}

impl Prepared {
    /// Makes images and labels fit for a run with `settings` that was started with these: they are normalised as its images are, and
    /// classes get the weights that the settings give them for these labels. Images in which nothing is labelled are left out.
    /// `version` is what tells these labels from others, such as the hash of a journal; it is kept in the model.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for images or labels of another kind than those that the run was started with, and where nothing is
    /// labelled; what comes of reading images.
    pub fn relabel(
        &self,
        settings: &Settings,
        training: Dataset,
        validation: Option<Dataset>,
        version: impl Into<String>,
    ) -> Result<Relabelled> {
        let settings = self.filled(settings);
        let mut training = labelled(training)?;
        if training.is_empty() {
            let problem = "none of the images has a pixel that counts; label some of them";
            return Err(Error::Mismatch(problem.into()));
        }
        let mut validation = validation.map(labelled).transpose()?.filter(|set| !set.is_empty());
        let mut totals = check(&training, &self.model)?;
        validation.iter().try_for_each(|set| check(set, &self.model).map(|_| ()))?;
        if let Some(weights) = settings.class_weights()? {
            let weights = weights.resolve(&totals)?;
            totals = totals.weighed(&weights);
            training.weigh_classes(&weights);
            validation.iter_mut().for_each(|set| set.weigh_classes(&weights));
        }
        for set in [&mut training].into_iter().chain(&mut validation) {
            let changes = changes(set, &self.model.input)?;
            normalise(set, changes, self.model.target.as_ref());
        }
        Ok(Relabelled { training, totals, validation, version: version.into() })
    }

    /// The labels that these were prepared with, called `version`: for a run that is to record from which step on they hold.
    pub fn labels_called(&self, version: impl Into<String>) -> Relabelled {
        let (training, validation) = (self.training.clone(), self.validation.clone());
        Relabelled { training, totals: self.totals.clone(), validation, version: version.into() }
    }
}

/// Checks that the images of a run that goes on from `model` have as many channels as it takes.
pub(super) fn check_channels(channels: usize, model: &Model) -> Result<()> {
    if channels == model.architecture.inputs {
        return Ok(());
    }
    Err(Error::Mismatch(format!(
        "the images have {}, but the run was started with images of {}; convert the images, or start a new run",
        counted_channels(channels),
        counted_channels(model.architecture.inputs)
    )))
}

/// The images in which something counts.
fn labelled(set: Dataset) -> Result<Dataset> {
    let counts = set.items().iter().map(|item| item.counts_in(None)).collect::<Result<Vec<bool>>>()?;
    Ok(set.chosen((0..set.len()).filter(|&index| counts[index])))
}

/// Checks that images and targets are of the kind that the model takes and gives. Returns how much of each class there is.
fn check(set: &Dataset, model: &Model) -> Result<ClassTotals> {
    check_channels(set.channels(), model)?;
    let classes = match &model.task {
        Task::Segment { classes } => classes.len(),
        Task::Regress => 0,
    };
    let targets = set.target_channels();
    if targets.is_some() != (classes == 0) || targets.is_some_and(|count| count != model.architecture.outputs)
    {
        let problem =
            "the targets are of another kind than those that the run was started with; start a new run";
        return Err(Error::Mismatch(problem.into()));
    }
    let mut totals = ClassTotals::new(classes);
    set.visit(|_, sample| {
        let Target::Classes(found) = &sample.target else { return Ok(()) };
        if let Some(class) =
            found.iter().find(|class| **class != UNLABELLED && **class as usize >= classes)
        {
            return Err(Error::Mismatch(format!(
                "{} has class {class}, but the run was started with {classes} classes; start a new run, from its model with `init`",
                sample.name
            )));
        }
        totals.add(sample);
        Ok(())
    })?;
    Ok(totals)
}
