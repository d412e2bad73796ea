//! All images of a run with their targets, checked against each other.

use std::collections::BTreeMap;

use log::{info, warn};
use ndarray::Array2;

use super::label_rule::LabelRule;
use super::labels::LabelMapping;
use super::masks::{flattened, inspect};
use super::random::{Stream, permutation, stream};
use super::sample::{Sample, Target};
use crate::error::{Error, Result};

/// Which values of label images are classes.
#[derive(Debug, Clone, Copy)]
pub enum Classes<'a> {
    /// All that are found but this one, which stands for pixels that nobody labelled.
    Found {
        /// The value that is no class.
        ignored: Option<i64>,
    },
    /// Those of a mapping, for images that have to do with others, such as validation images.
    Known(&'a LabelMapping),
}

/// Images of equal channel count, though not always of equal size, with their targets.
///
/// Made by [`super::DataFiles`] or [`Dataset::from_memory`], which check it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Dataset {
    /// The images, in natural order of their names.
    pub samples: Vec<Sample>,
}

impl Dataset {
    /// The channels of the images; 0 without images.
    pub fn channels(&self) -> usize {
        self.samples.first().map_or(0, |sample| sample.image.dim().0)
    }

    /// The channels of regression targets; `None` for classes, whose number the [`LabelMapping`] knows.
    pub fn target_channels(&self) -> Option<usize> {
        match &self.samples.first()?.target {
            Target::Values(values) => Some(values.dim().0),
            Target::Classes(_) => None,
        }
    }

    /// The names of the images, in order.
    pub fn names(&self) -> Vec<&str> {
        self.samples.iter().map(|sample| sample.name.as_str()).collect()
    }

    /// The `(height, width)` of each image in pixels, in order.
    pub fn sizes(&self) -> Vec<(usize, usize)> {
        self.samples.iter().map(|sample| (sample.image.dim().1, sample.image.dim().2)).collect()
    }

    /// Takes `fraction` of the images, a run of images that follow each other, for validation: `(training, validation)`.
    ///
    /// Neighbours in a stack look alike, and scattered ones would tell too much about each other from either side. The images
    /// are divided into equal runs, of which `seed` chooses one. The number of images is rounded, but at least one goes to each
    /// side. Both sides keep the order.
    ///
    /// # Errors
    /// [`Error::Setting`] for a fraction not between 0 and 1, [`Error::Mismatch`] for fewer than two images.
    pub fn split_off_fraction(self, fraction: f64, seed: u64) -> Result<(Dataset, Dataset)> {
        if !(fraction > 0.0 && fraction < 1.0) {
            return Err(Error::setting(
                "val_fraction",
                fraction,
                "wanted a number between 0 and 1, such as 0.2",
            ));
        }
        let groups = self.groups();
        let count = groups.iter().max().map_or(0, |last| last + 1);
        if count < 2 {
            let what = if self.samples.len() > count { "group of images" } else { "images" };
            return Err(Error::Mismatch(format!(
                "found {count} {what}, but `val_fraction` needs at least two, one to train on and one to validate on; give more images, or `val_images`"
            )));
        }
        let wanted = ((count as f64 * fraction).round() as usize).clamp(1, count - 1);
        let order = permutation(&mut stream(seed, Stream::Split, 0), count / wanted);
        let start = order.last().map_or(0, |run| run * wanted);
        let range = start..start + wanted;
        Ok(self.divided(&groups.iter().map(|group| range.contains(group)).collect::<Vec<_>>()))
    }

    /// Takes fold `fold` of `folds`, both counted from 1, for validation: `(training, validation)`.
    ///
    /// A fold is a run of images that follow each other, all folds about equally long: neighbours in a stack look alike,
    /// and would tell too much about each other from either side.
    ///
    /// # Errors
    /// [`Error::Setting`] for fewer than two folds or a fold that there is not, [`Error::Mismatch`] for fewer images
    /// than folds.
    pub fn split_off_fold(self, fold: usize, folds: usize) -> Result<(Dataset, Dataset)> {
        let groups = self.groups();
        let count = groups.iter().max().map_or(0, |last| last + 1);
        if folds < 2 {
            return Err(Error::setting("folds", folds, "it must be at least 2, such as 5"));
        }
        if !(1..=folds).contains(&fold) {
            return Err(Error::setting("fold", fold, format!("it must be from 1 to {folds}, as `folds`")));
        }
        if count < folds {
            return Err(Error::Mismatch(format!(
                "found {count} {} for {folds} folds, but each fold needs one; lower `folds` or give more images",
                if self.samples.len() > count { "groups of images" } else { "images" }
            )));
        }
        // The first folds take one more where they do not come out even.
        let start = |fold: usize| fold * (count / folds) + fold.min(count % folds);
        let range = start(fold - 1)..start(fold);
        Ok(self.divided(&groups.iter().map(|group| range.contains(group)).collect::<Vec<_>>()))
    }

    /// Of each image a number that those of its group share, in the order of their first images; images without a group have
    /// their own.
    fn groups(&self) -> Vec<usize> {
        let mut known: BTreeMap<&str, usize> = BTreeMap::new();
        let mut count = 0;
        let mut number = || {
            count += 1;
            count - 1
        };
        self.samples
            .iter()
            .map(|sample| match &sample.group {
                Some(group) => *known.entry(group).or_insert_with(&mut number),
                None => number(),
            })
            .collect()
    }

    /// Takes out images in which nothing counts, of those that `may_go` says by their index; where nothing counts in any image,
    /// all stay, for whoever needs labels to say so.
    pub(super) fn pass_over_unlabelled(&mut self, may_go: impl Fn(usize) -> bool) {
        let goes = |(index, sample): (usize, &Sample)| may_go(index) && !sample.counts_in(None);
        let passed: Vec<bool> = self.samples.iter().enumerate().map(goes).collect();
        let count = passed.iter().filter(|&&passed| passed).count();
        if count == 0 || count == passed.len() {
            return;
        }
        let first = passed.iter().position(|&passed| passed).map_or("", |index| &self.samples[index].name);
        info!(
            "{count} of {} images are passed over, as none of their pixels is labelled or has a weight above 0; the first is {first}",
            passed.len()
        );
        let mut keep = passed.into_iter().map(|passed| !passed);
        self.samples.retain(|_| keep.next().unwrap_or(true));
    }

    fn divided(self, is_validation: &[bool]) -> (Dataset, Dataset) {
        let (mut training, mut validation) = (Vec::new(), Vec::new());
        for (sample, is_validation) in self.samples.into_iter().zip(is_validation) {
            if *is_validation { validation.push(sample) } else { training.push(sample) }
        }
        (Dataset { samples: training }, Dataset { samples: validation })
    }
}

/// What the classes of label images are, each of which has a name in messages: applies `rule` to them, warns of what looks like
/// a mistake, and gives the mapping of their values and the rule, in which colours that were asked for are listed.
pub(super) fn find_classes(
    names: &[String],
    labels: &mut [Array2<i64>],
    rule: &LabelRule,
    classes: Classes,
) -> Result<(LabelMapping, LabelRule)> {
    fn named<'n>(names: &'n [String], labels: &'n [Array2<i64>]) -> Vec<(&'n str, &'n Array2<i64>)> {
        names.iter().map(String::as_str).zip(labels).collect()
    }
    let ignored = match classes {
        Classes::Known(mapping) => mapping.ignored,
        Classes::Found { ignored } => ignored,
    };
    let resolved = rule.clone().resolved(named(names, labels))?;
    if *rule == LabelRule::FoundColours {
        let values = resolved.values().unwrap_or_default();
        let colours: Vec<_> = values.into_iter().map(|value| resolved.class_name(value)).collect();
        info!("the colours of the label images are the classes, in this order: {}", colours.join(","));
    }
    if let (LabelRule::AsStored, Classes::Found { .. }) = (&resolved, classes) {
        inspect(&named(names, labels), ignored)?.iter().for_each(|problem| warn!("{problem}"));
    }
    let mut told = false;
    if resolved != LabelRule::AsStored {
        for (name, labels) in names.iter().zip(labels.iter_mut()) {
            let before = labels.clone();
            resolved.apply(name, labels, ignored)?;
            if let Some(problem) = flattened(name, &before, labels, &resolved).filter(|_| !told) {
                warn!("{problem}");
                told = true;
            }
        }
    }
    let mapping = match classes {
        Classes::Known(mapping) => mapping.clone(),
        Classes::Found { .. } => {
            let found = LabelMapping::from_labels(named(names, labels), ignored)?;
            LabelMapping { values: resolved.values().unwrap_or(found.values), ..found }
        }
    };
    Ok((mapping, resolved))
}

#[cfg(test)]
#[path = "dataset_tests.rs"]
mod tests;
