//! Images that are in memory already: the checks that reading files would have made.

use ndarray::{Array2, Array3, ArrayBase};

use super::dataset::{Classes, Dataset};
use super::found_classes::{HeldLabels, find_classes};
use super::label_rule::LabelRule;
use super::labels::LabelMapping;
use super::sample::{Sample, Target};
use crate::error::{Error, Result, counted_channels};

/// An image with a label image, in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    /// What the image is called in messages.
    pub name: String,
    /// The image, `[channel][y][x]`.
    pub image: Array3<f32>,
    /// Label values, `[y][x]`.
    pub labels: Array2<i64>,
    /// What these are called in messages.
    pub labels_name: String,
    /// How much each pixel counts, `[y][x]`; `None` where all count 1.
    pub weights: Option<Array2<f32>>,
}

impl Dataset {
    /// Images and label images that were not read from files, in this order, and the mapping of the labels' values; as
    /// [`super::load_segmentation`] for files. Images in which nothing counts are passed over, where others are labelled.
    ///
    /// # Errors
    /// [`Error::Input`] for labels that are no class, and as [`Dataset::from_memory`].
    pub fn from_labels(labelled: Vec<Labelled>, classes: Classes) -> Result<(Self, LabelMapping)> {
        let (set, mapping, _) = Self::from_labels_by_rule(labelled, &LabelRule::AsStored, classes)?;
        Ok((set.without_unlabelled()?, mapping))
    }

    /// As [`Dataset::from_labels`], with labels taken by `rule`; gives the rule too, in which colours that were asked for are
    /// listed. All images stay, as they may be slices of volumes; see [`Dataset::without_unlabelled`].
    ///
    /// # Errors
    /// As [`Dataset::from_labels`], and [`Error::Mismatch`] for label images of more than 32 values where the rule does not
    /// say which are classes.
    pub fn from_labels_by_rule(
        mut labelled: Vec<Labelled>,
        rule: &LabelRule,
        classes: Classes,
    ) -> Result<(Self, LabelMapping, LabelRule)> {
        let names: Vec<_> = labelled.iter().map(|one| one.labels_name.clone()).collect();
        let mut labels: Vec<_> = labelled.iter_mut().map(|one| std::mem::take(&mut one.labels)).collect();
        let (mapping, rule, _) = find_classes(&mut HeldLabels(&names, &mut labels), rule, classes)?;
        let mut samples = Vec::with_capacity(labelled.len());
        for (Labelled { name, image, labels_name, weights, .. }, labels) in labelled.into_iter().zip(labels) {
            let target = Target::Classes(mapping.encode(&labels_name, &labels)?);
            samples.push(Sample::new(name, image, target).with_weights(weights));
        }
        Ok((Self::from_memory(samples)?, mapping, rule))
    }

    /// Without the images in which nothing counts, where others are labelled.
    ///
    /// # Errors
    /// What comes of reading those that are in files.
    pub fn without_unlabelled(mut self) -> Result<Self> {
        self.pass_over_unlabelled(|_| true)?;
        Ok(self)
    }

    /// Images that were not read from files, in this order.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for no images, empty ones, different numbers of channels, targets or weights of another size,
    /// numbers that are not finite where pixels count, and weights below 0.
    pub fn from_memory(samples: Vec<Sample>) -> Result<Self> {
        if samples.is_empty() {
            return Err(Error::Mismatch("there are no images; give at least one".into()));
        }
        let channels = |sample: &Sample| {
            let target = match &sample.target {
                Target::Values(values) => values.dim().0,
                Target::Classes(_) => 1,
            };
            (sample.image.dim().0, target)
        };
        let mut samples = samples;
        for sample in &mut samples {
            check(sample)?;
            sample.settle_gaps();
        }
        let first = &samples[0];
        let wanted = channels(first);
        for sample in &samples {
            let found = channels(sample);
            if found != wanted {
                return Err(Error::Mismatch(format!(
                    "{} has {} and its target {}, but {} has {} and {}; wanted the same number in all",
                    sample.name,
                    counted_channels(found.0),
                    found.1,
                    first.name,
                    wanted.0,
                    wanted.1
                )));
            }
        }
        Ok(Self::unchecked(samples))
    }
}

fn check(sample: &Sample) -> Result<()> {
    let Sample { name, image, target, weights, .. } = sample;
    let (channels, height, width) = image.dim();
    if image.is_empty() {
        return Err(Error::Mismatch(format!(
            "{name} has {} of {width} x {height} pixels; wanted at least one of each",
            counted_channels(channels)
        )));
    }
    let target_size = match target {
        Target::Classes(classes) => classes.dim(),
        Target::Values(values) => (values.dim().1, values.dim().2),
    };
    let sizes = [("target", Some(target_size)), ("weights", weights.as_ref().map(|weights| weights.dim()))];
    for (what, size) in sizes {
        if let Some((h, w)) = size.filter(|&size| size != (height, width)) {
            return Err(Error::Mismatch(format!(
                "{name} is {width} x {height} pixels but its {what} {w} x {h}; wanted the same size"
            )));
        }
    }
    if let Some(weights) = weights {
        check_finite(&format!("the weights of {name}"), weights)?;
        if let Some(weight) = weights.iter().find(|&&weight| weight < 0.0) {
            return Err(Error::Mismatch(format!(
                "{name} has a weight of {weight}; wanted numbers from 0 (does not count) upwards"
            )));
        }
    }
    let counted = |values: &Array3<f32>| {
        let is_gap =
            |(_, y, x): (usize, usize, usize), value: &f32| !value.is_finite() && sample.counts_at(y, x);
        values.indexed_iter().filter(|(place, value)| is_gap(*place, value)).count()
    };
    finite(name, counted(image))?;
    match target {
        Target::Values(values) => finite(&format!("the target of {name}"), counted(values)),
        Target::Classes(_) => Ok(()),
    }
}

/// Checks that an array, which is called `name` in the error, has finite numbers only.
///
/// # Errors
/// [`Error::Mismatch`] with the number of those that are not.
pub fn check_finite<S: ndarray::Data<Elem = f32>, D: ndarray::Dimension>(
    name: &str,
    numbers: &ArrayBase<S, D>,
) -> Result<()> {
    finite(name, numbers.iter().filter(|number| !number.is_finite()).count())
}

/// Refuses an array in which `count` numbers that count are not finite.
fn finite(name: &str, count: usize) -> Result<()> {
    if count == 0 {
        return Ok(());
    }
    Err(Error::Mismatch(format!(
        "{name} has {count} numbers that are NaN, infinite or beyond float32; replace them by finite ones"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_become_classes_as_those_of_files_do() {
        let one = |labels: [[i64; 2]; 1]| Labelled {
            name: "image 0".into(),
            image: Array3::zeros((1, 1, 2)),
            labels: ndarray::arr2(&labels),
            labels_name: "target 0".into(),
            weights: None,
        };
        let classes = Classes::Found { ignored: Some(9) };
        let (set, mapping) = Dataset::from_labels(vec![one([[7, -1]]), one([[9, 7]])], classes).unwrap();
        assert_eq!(mapping.values, [-1, 7]);
        let target = |index: usize| match &set.sample(index).unwrap().target {
            Target::Classes(classes) => classes.iter().copied().collect::<Vec<_>>(),
            Target::Values(_) => Vec::new(),
        };
        assert_eq!((target(0), target(1)), (vec![1, 0], vec![crate::metrics::UNLABELLED, 1]));
        let error =
            Dataset::from_labels(vec![one([[3, 7]])], Classes::Known(&mapping)).unwrap_err().to_string();
        assert!(error.contains("target 0") && error.contains("label 3"), "{error}");
    }

    fn sample() -> Sample {
        Sample {
            slices: 1,
            name: "image 0".into(),
            image: Array3::ones((2, 3, 4)),
            target: Target::Values(Array3::zeros((1, 3, 4))),
            group: None,
            weights: Some(Array2::ones((3, 4))),
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        assert!(Dataset::from_memory(vec![sample(), sample()]).is_ok());
        let nan = Array3::from_elem((2, 3, 4), f32::NAN);
        let refusals = [
            ("at least one", vec![]),
            ("at least one of each", vec![Sample { image: Array3::zeros((2, 0, 4)), ..sample() }]),
            ("target 5 x 3", vec![Sample { target: Target::Classes(Array2::zeros((3, 5))), ..sample() }]),
            ("weights 4 x 2", vec![Sample { weights: Some(Array2::ones((2, 4))), ..sample() }]),
            ("24 numbers", vec![Sample { image: nan.clone(), ..sample() }]),
            ("the target of image 0", vec![Sample { target: Target::Values(nan), ..sample() }]),
            ("a weight of -1", vec![Sample { weights: Some(-Array2::ones((3, 4))), ..sample() }]),
            ("has 3 channels", vec![sample(), Sample { image: Array3::ones((3, 3, 4)), ..sample() }]),
        ];
        for (part, samples) in refusals {
            let error = Dataset::from_memory(samples).unwrap_err().to_string();
            assert!(error.contains(part), "'{part}' is not in: {error}");
        }
    }
}
