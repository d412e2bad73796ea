//! Images with what they are to become, as they come from Python, to the crate's data sets.

use msd_gpu::evaluation::Scoring;
use msd_gpu::samples::{Dataset, Labelled, Sample, Target};
use msd_gpu::training::TaskKind;
use ndarray::{Array2, Array3, Zip};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::arrays::{self, Mask, Numbers, tuple, type_of};
use crate::sources::shape_of;

/// The keywords of images, targets and weights.
pub struct Keywords {
    pub images: &'static str,
    pub targets: &'static str,
    pub weights: &'static str,
}

pub const TRAINING: Keywords = Keywords { images: "images", targets: "targets", weights: "weights" };
pub const VALIDATION: Keywords =
    Keywords { images: "val_images", targets: "val_targets", weights: "val_weights" };

/// Images with targets and weights. Masked pixels have weight 0.
pub struct Pairs {
    keywords: Keywords,
    images: Vec<Array3<f32>>,
    targets: Targets,
    weights: Vec<Option<Array2<f32>>>,
    /// Where the images are the slices of several volumes, how many each has; else empty.
    volumes: Vec<usize>,
}

/// What targets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    Labels,
    /// Labels that are colours, each of which may be given as red, green and blue.
    Colours,
    Values,
}

impl TargetKind {
    /// Those of a task, whose labels are colours or not.
    pub fn of(task: TaskKind, colours: bool) -> Self {
        match (task, colours) {
            (TaskKind::Regress, _) => Self::Values,
            (TaskKind::Segment, true) => Self::Colours,
            (TaskKind::Segment, false) => Self::Labels,
        }
    }
}

enum Targets {
    /// Labels, and which pixels have none.
    Labels(Vec<(Array2<i64>, Option<Mask>)>),
    Values(Vec<Array3<f32>>),
}

/// Whether the items of `targets` are volumes by themselves, `(z, y, x)`.
fn are_volumes(targets: &Bound<'_, PyAny>, kind: TargetKind) -> PyResult<bool> {
    let Ok(first) = targets.get_item(0) else { return Ok(false) };
    let Some(shape) = shape_of(&first)? else { return Ok(false) };
    Ok(match kind {
        TargetKind::Labels => shape.len() >= 3,
        TargetKind::Colours => shape.len() >= 4 || shape.len() == 3 && shape[2] != 3,
        // The items of one array are slices with channels; a list is one of volumes.
        TargetKind::Values => shape.len() >= 3 && shape_of(targets)?.is_none(),
    })
}

/// As [`arrays::each`]; where the items are `volumes`, of the slices of each, and how many each has.
fn each_slice<'py, T>(
    sequence: &Bound<'py, PyAny>,
    name: &str,
    volumes: bool,
    read: impl Fn(&Numbers<'py>) -> PyResult<T>,
) -> PyResult<(Vec<T>, Vec<usize>)> {
    if !volumes {
        return Ok((arrays::each(sequence, name, read)?, Vec::new()));
    }
    let (mut all, mut counts) = (Vec::new(), Vec::new());
    let Ok(items) = sequence.try_iter() else {
        let found = type_of(sequence);
        return Err(PyTypeError::new_err(format!(
            "{name} is {found}; wanted a sequence of volumes (z, y, x), as the items of targets are such"
        )));
    };
    for (index, volume) in items.enumerate() {
        let volume = volume?;
        if let Some(shape) = shape_of(&volume)?.filter(|shape| shape.len() < 3) {
            return Err(PyValueError::new_err(format!(
                "{name}[{index}] has the shape {}; wanted a volume (z, y, x), as the items of targets are such",
                tuple(&shape)
            )));
        }
        let slices = arrays::each(&volume, &format!("{name}[{index}]"), &read)?;
        counts.push(slices.len());
        all.extend(slices);
    }
    Ok((all, counts))
}

impl Pairs {
    /// Those of arrays; `of_volumes` says that the network is one of volumes.
    pub fn of(
        keywords: Keywords,
        images: &Bound<'_, PyAny>,
        targets: &Bound<'_, PyAny>,
        weights: Option<&Bound<'_, PyAny>>,
        kind: TargetKind,
        of_volumes: bool,
    ) -> PyResult<Self> {
        let several = of_volumes && are_volumes(targets, kind)?;
        let (images, volumes) = each_slice(images, keywords.images, several, Numbers::image)?;
        let mut masks: Vec<Vec<Option<Mask>>> = Vec::new();
        let (targets, count, slices) = match kind {
            TargetKind::Labels | TargetKind::Colours => {
                let read = if kind == TargetKind::Colours { Numbers::colours } else { Numbers::labels };
                let (labels, slices) = each_slice(targets, keywords.targets, several, read)?;
                masks.push(labels.iter().map(|(_, mask)| mask.clone()).collect());
                let count = labels.len();
                (Targets::Labels(labels), count, slices)
            }
            TargetKind::Values => {
                let (all, slices) = each_slice(targets, keywords.targets, several, Numbers::image)?;
                let (values, mask): (Vec<_>, Vec<_>) = all.into_iter().unzip();
                masks.push(mask);
                let count = values.len();
                (Targets::Values(values), count, slices)
            }
        };
        let weights = weights
            .map(|weights| each_slice(weights, keywords.weights, several, Numbers::plane))
            .transpose()?;
        let of_weights = weights.as_ref().map(|(_, slices)| slices);
        for (what, found) in [(keywords.targets, Some(&slices)), (keywords.weights, of_weights)] {
            let Some(found) = found else { continue };
            if found.len() != volumes.len() {
                return Err(PyValueError::new_err(format!(
                    "there are {} volumes in {} but {} in {what}; give one for each",
                    volumes.len(),
                    keywords.images,
                    found.len()
                )));
            }
            let differs = |(_, (wanted, found)): &(usize, (&usize, &usize))| wanted != found;
            if let Some((index, (wanted, found))) = volumes.iter().zip(found).enumerate().find(differs) {
                return Err(PyValueError::new_err(format!(
                    "{}[{index}] has {wanted} slices but {what}[{index}] has {found}; give one for each",
                    keywords.images
                )));
            }
        }
        let weights = weights.map(|(weights, _)| weights);
        for (what, count) in
            [(keywords.targets, Some(count)), (keywords.weights, weights.as_ref().map(Vec::len))]
        {
            if let Some(count) = count.filter(|&count| count != images.len()) {
                return Err(PyValueError::new_err(format!(
                    "there are {} {} but {count} {what}; give one for each",
                    images.len(),
                    keywords.images
                )));
            }
        }
        let (images, mask): (Vec<_>, Vec<_>) = images.into_iter().unzip();
        masks.push(mask);
        let mut merged: Vec<Option<Array2<f32>>> = match weights {
            None => vec![None; images.len()],
            Some(weights) => {
                let (weights, mask): (Vec<_>, Vec<_>) = weights.into_iter().unzip();
                masks.push(mask);
                weights.into_iter().map(Some).collect()
            }
        };
        for mask in masks {
            for ((weights, mask), image) in merged.iter_mut().zip(mask).zip(&images) {
                let Some(mask) = mask else { continue };
                let (_, height, width) = image.dim();
                let weights = weights.get_or_insert_with(|| Array2::ones((height, width)));
                // Another size is refused, by name, where image and target are compared.
                if weights.dim() == mask.dim() {
                    Zip::from(weights).and(&mask).for_each(|weight, &masked| {
                        *weight = if masked { 0.0 } else { *weight };
                    });
                }
            }
        }
        Ok(Self { keywords, images, targets, weights: merged, volumes })
    }

    /// A label that is there: what pixels without one can be given, as they do not count. `None` where no pixel has a label,
    /// and where targets are values.
    pub fn some_label(&self) -> Option<i64> {
        let Targets::Labels(labels) = &self.targets else { return None };
        labels.iter().find_map(|(labels, mask)| match mask {
            None => labels.first().copied(),
            Some(mask) => labels.iter().zip(mask).find(|&(_, &masked)| !masked).map(|(&label, _)| label),
        })
    }

    /// Channels of the first image, with its name.
    pub fn first(&self) -> Option<(String, usize)> {
        self.images.first().map(|image| (name_of(&self.volumes, self.keywords.images, 0), image.dim().0))
    }

    /// Images with label images; pixels without a label have `unlabelled`, and weight 0. None where targets are values.
    pub fn labelled(self, unlabelled: i64) -> Vec<Labelled> {
        let Self { keywords, images, targets, weights, volumes } = self;
        let Targets::Labels(labels) = targets else { return Vec::new() };
        let all = images.into_iter().zip(labels).zip(weights);
        all.enumerate()
            .map(|(index, ((image, (mut labels, mask)), weights))| {
                if let Some(mask) = &mask {
                    Zip::from(&mut labels).and(mask).for_each(|label, &masked| {
                        *label = if masked { unlabelled } else { *label };
                    });
                }
                let name = name_of(&volumes, keywords.images, index);
                let labels_name = name_of(&volumes, keywords.targets, index);
                Labelled { name, image, labels, labels_name, weights }
            })
            .collect()
    }

    /// Images with the images that they are to become.
    pub fn with_values(self) -> msd_gpu::Result<Dataset> {
        let Self { keywords, images, targets, weights, volumes } = self;
        let Targets::Values(values) = targets else { return Dataset::from_memory(Vec::new()) };
        let all = images.into_iter().zip(values).zip(weights).enumerate();
        let samples = all.map(|(index, ((image, values), weights))| {
            let name = name_of(&volumes, keywords.images, index);
            Sample::new(name, image, Target::Values(values)).with_weights(weights)
        });
        Dataset::from_memory(samples.collect())
    }

    /// A data set with the classes that `scoring` knows; pixels without a label have `unlabelled`, which is one, and weight 0.
    pub fn with_classes(self, scoring: &Scoring, unlabelled: i64) -> msd_gpu::Result<Dataset> {
        let labelled = self.labelled(unlabelled);
        let (dataset, ..) = Dataset::from_labels_by_rule(labelled, scoring.rule(), scoring.classes())?;
        Ok(dataset)
    }
}

/// What the image at `index` is called, where `volumes` of so many slices come one after the other, or none.
fn name_of(volumes: &[usize], keyword: &str, index: usize) -> String {
    let mut slice = index;
    for (volume, &count) in volumes.iter().enumerate() {
        if slice < count {
            // The library tells by such a name which slices are one volume.
            return format!("{keyword}[{volume}] slice {slice}");
        }
        slice -= count;
    }
    format!("{keyword}[{index}]")
}
