//! Images as a network takes them: what becomes of the numbers of each.

use std::sync::Arc;

use ndarray::{Array2, Array3};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::network::{InputNormalisation, Measure, Measuring, Normalisation};
use crate::samples::{Dataset, GapMeans, Item, Target, TargetChange, fill, gap_means};

/// How the numbers of an image become those that a network takes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Change {
    /// What is put in the place of gaps, for each channel, before the image is normalised and after it.
    before: Option<Vec<f32>>,
    input: Normalisation,
    after: Option<Vec<f32>>,
}

impl Change {
    /// Whether it fits images of so many channels.
    pub(super) fn is_for(&self, channels: usize) -> bool {
        let fits = |means: &Option<Vec<f32>>| means.as_ref().is_none_or(|means| means.len() == channels);
        let Normalisation { mean, deviation } = &self.input;
        fits(&self.before) && fits(&self.after) && mean.len() == channels && deviation.len() == channels
    }

    fn apply(&self, image: &mut Array3<f32>) {
        if let Some(means) = &self.before {
            fill(image, means);
        }
        for (channel, mut plane) in image.outer_iter_mut().enumerate() {
            self.input.apply(channel, &mut plane);
        }
        if let Some(means) = &self.after {
            fill(image, means);
        }
    }

    /// Of an image that is normalised by itself: it is measured with its gaps filled, as it will be where the model is applied.
    fn by_itself(image: &Array3<f32>, input: &InputNormalisation) -> Self {
        let before = gap_means(image);
        let measured = match &before {
            None => input.of(image.view()).into_owned(),
            Some(means) => {
                let mut filled = image.clone();
                fill(&mut filled, means);
                input.of(filled.view()).into_owned()
            }
        };
        Self { before, input: measured, after: None }
    }

    /// As [`Change::by_itself`], of a volume by its slices, which are read several times.
    fn of_volume_by_itself(volume: &Item, measure: Measure) -> Result<Self> {
        let mut gaps = GapMeans::default();
        volume.visit_slices(|slice| gaps.add(slice))?;
        let before = gaps.means();
        let mut measuring = Measuring::new(measure, volume.channels());
        while !measuring.is_done() {
            volume.visit_slices(|slice| match &before {
                None => measuring.add(&(slice.view(), None)),
                Some(means) => {
                    let mut filled = slice.clone();
                    fill(&mut filled, means);
                    measuring.add(&(filled.view(), None));
                }
            })?;
            measuring.end_pass();
        }
        Ok(Self { before, input: measuring.normalisation(), after: None })
    }

    /// Of an image or volume with gaps that is normalised as all are: these become the mean of what is normalised.
    fn with_gaps(item: &Item, input: &Normalisation) -> Result<Self> {
        let plain = Self { before: None, input: input.clone(), after: None };
        let mut gaps = GapMeans::default();
        item.visit_slices(|slice| {
            let mut normalised = slice.clone();
            plain.apply(&mut normalised);
            gaps.add(&normalised);
        })?;
        Ok(Self { after: gaps.means(), ..plain })
    }
}

/// What becomes of each image where images are normalised as `input` says.
///
/// # Errors
/// What comes of reading images that are normalised by themselves or have gaps.
pub(super) fn changes(set: &Dataset, input: &InputNormalisation) -> Result<Vec<Change>> {
    let mut changes: Vec<Change> = Vec::with_capacity(set.len());
    match input {
        InputNormalisation::PerImage { per_image } if set.items().iter().any(Item::is_volume) => {
            for item in set.items() {
                changes.push(Change::of_volume_by_itself(item, *per_image)?);
            }
        }
        InputNormalisation::PerImage { .. } => set.visit(|_, sample| {
            changes.push(Change::by_itself(&sample.image, input));
            Ok(())
        })?,
        InputNormalisation::Set(normalisation) => {
            for item in set.items() {
                changes.push(match item.may_have_gaps() {
                    true => Change::with_gaps(item, normalisation)?,
                    false => Change { before: None, input: normalisation.clone(), after: None },
                });
            }
        }
    }
    Ok(changes)
}

/// Normalises images by these changes, and regression targets by `target`.
pub(super) fn normalise(set: &mut Dataset, changes: Vec<Change>, target: Option<&Normalisation>) {
    let target_change: Option<TargetChange> = target.cloned().map(|normalisation| {
        let change = move |target: &mut Target, _: &mut Option<Array2<f32>>| {
            if let Target::Values(values) = target {
                for (channel, mut plane) in values.outer_iter_mut().enumerate() {
                    normalisation.apply(channel, &mut plane);
                }
            }
        };
        Arc::new(change) as TargetChange
    });
    for (item, change) in set.items_mut().iter_mut().zip(changes) {
        item.change_image(Arc::new(move |image| change.apply(image)));
        if let Some(change) = &target_change {
            item.change_target(change.clone(), true);
        }
    }
}
