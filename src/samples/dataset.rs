//! All images of a run with their targets, checked against each other.

use super::labels::LabelMapping;
use super::random::{Stream, permutation, stream};
use super::sample::{Sample, Target};
use crate::error::{Error, Result};
use crate::images::{Discovery, ImageSource, page_size, read_image, read_labels};
use crate::memory;

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
/// Made by [`load_segmentation`], [`load_regression`] or [`Dataset::from_memory`], which check it.
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

    /// Takes `fraction` of the images, chosen at random by `seed`, for validation: `(training, validation)`.
    ///
    /// The number is rounded, but at least one image goes to each side. Both sides keep the order.
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
        let count = self.samples.len();
        if count < 2 {
            return Err(Error::Mismatch(format!(
                "found {count} images, but `val_fraction` needs at least two, one to train on and one to validate on; give more images, or `val_images`"
            )));
        }
        let wanted = ((count as f64 * fraction).round() as usize).clamp(1, count - 1);
        let mut is_validation = vec![false; count];
        for index in permutation(&mut stream(seed, Stream::Split, 0), count).into_iter().take(wanted) {
            is_validation[index] = true;
        }
        Ok(self.divided(&is_validation))
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
        let count = self.samples.len();
        if folds < 2 {
            return Err(Error::setting("folds", folds, "it must be at least 2, such as 5"));
        }
        if !(1..=folds).contains(&fold) {
            return Err(Error::setting("fold", fold, format!("it must be from 1 to {folds}, as `folds`")));
        }
        if count < folds {
            return Err(Error::Mismatch(format!(
                "found {count} images for {folds} folds, but each fold needs one; lower `folds` or give more images"
            )));
        }
        // The first folds take one more where they do not come out even.
        let start = |fold: usize| fold * (count / folds) + fold.min(count % folds);
        let range = start(fold - 1)..start(fold);
        Ok(self.divided(&(0..count).map(|index| range.contains(&index)).collect::<Vec<_>>()))
    }

    fn divided(self, is_validation: &[bool]) -> (Dataset, Dataset) {
        let (mut training, mut validation) = (Vec::new(), Vec::new());
        for (sample, is_validation) in self.samples.into_iter().zip(is_validation) {
            if *is_validation { validation.push(sample) } else { training.push(sample) }
        }
        (Dataset { samples: training }, Dataset { samples: validation })
    }
}

/// Loads images and label images for segmentation, and the mapping of their values.
///
/// `images` and `targets` are a folder, a file or a pattern each, see [`Discovery::discover`] and [`Discovery::pair`].
///
/// # Errors
/// [`Error::Input`] for files that cannot be read and labels that are no class, [`Error::Mismatch`] for
/// images without target, targets of another size, and images of different channel counts.
pub fn load_segmentation(images: &str, targets: &str, classes: Classes) -> Result<(Dataset, LabelMapping)> {
    load_segmentation_with(&Discovery::default(), images, targets, classes)
}

/// As [`load_segmentation`], with images and targets looked for as `discovery` says.
///
/// # Errors
/// As [`load_segmentation`], and of [`Discovery::discover`].
pub fn load_segmentation_with(
    discovery: &Discovery,
    images: &str,
    targets: &str,
    classes: Classes,
) -> Result<(Dataset, LabelMapping)> {
    let pairs = checked_pairs(discovery, images, targets, false)?;
    let labels = pairs.iter().map(|(_, target)| read_labels(target)).collect::<Result<Vec<_>>>()?;
    let names: Vec<_> = pairs.iter().map(|(_, target)| target.name()).collect();
    let mapping = match classes {
        Classes::Known(mapping) => mapping.clone(),
        Classes::Found { ignored } => {
            LabelMapping::from_labels(names.iter().map(String::as_str).zip(&labels), ignored)?
        }
    };
    let mut samples = Vec::with_capacity(pairs.len());
    for (((image, _), name), labels) in pairs.iter().zip(&names).zip(labels) {
        let target = Target::Classes(mapping.encode(name, &labels)?);
        samples.push(Sample::new(image.name(), read_image(image)?, target));
    }
    Ok((Dataset { samples }, mapping))
}

/// Loads images and target images for regression, such as denoising.
///
/// `images` and `targets` are as for [`load_segmentation`].
///
/// # Errors
/// [`Error::Input`] for files that cannot be read, [`Error::Mismatch`] for images without target, targets
/// of another size, and images or targets of different channel counts.
pub fn load_regression(images: &str, targets: &str) -> Result<Dataset> {
    load_regression_with(&Discovery::default(), images, targets)
}

/// As [`load_regression`], with images and targets looked for as `discovery` says.
///
/// # Errors
/// As [`load_regression`], and of [`Discovery::discover`].
pub fn load_regression_with(discovery: &Discovery, images: &str, targets: &str) -> Result<Dataset> {
    let mut samples = Vec::new();
    for (image, target) in checked_pairs(discovery, images, targets, true)? {
        let values = Target::Values(read_image(&target)?);
        samples.push(Sample::new(image.name(), read_image(&image)?, values));
    }
    Ok(Dataset { samples })
}

/// Pairs images with targets, compares their headers and checks that there is memory for all of them, before minutes go by
/// with reading pixels.
fn checked_pairs(
    discovery: &Discovery,
    images: &str,
    targets: &str,
    regression: bool,
) -> Result<Vec<(ImageSource, ImageSource)>> {
    let found = discovery.discover(images)?;
    let found_targets = match regression {
        true => discovery.discover_targets(targets, &found)?,
        false => discovery.discover_single_channel(targets)?,
    };
    let pairs = discovery.pair(&found, &found_targets, "target")?;
    let mut first_channels = None;
    let mut bytes = 0_u64;
    for (image, target) in &pairs {
        let (channels, height, width) = page_size(image)?;
        let (target_channels, target_height, target_width) = page_size(target)?;
        if (height, width) != (target_height, target_width) {
            return Err(Error::Mismatch(format!(
                "{} is {width} x {height} pixels but its target {} is {target_width} x {target_height}; wanted the same size, cut or export the target again",
                image.name(),
                target.name()
            )));
        }
        let (first, first_target) = *first_channels.get_or_insert((channels, target_channels));
        let (first_image, first_target_page) = &pairs[0];
        if channels != first {
            return Err(different_channels(image, channels, first_image, first));
        }
        if regression && target_channels != first_target {
            return Err(different_channels(target, target_channels, first_target_page, first_target));
        }
        let target_channels = if regression { target_channels } else { 1 };
        let pixel_bytes = (size_of::<f32>() * (channels + target_channels)) as u64;
        bytes = bytes.saturating_add(pixel_bytes.saturating_mul((height * width) as u64));
    }
    let what = format!("the images of {images} and their targets ({} of each)", pairs.len());
    memory::check(&what, bytes, "use fewer or smaller images")?;
    Ok(pairs)
}

fn different_channels(page: &ImageSource, channels: usize, first: &ImageSource, wanted: usize) -> Error {
    Error::Mismatch(format!(
        "{} has {channels} channels but {} has {wanted}; wanted the same number in all, convert one to the other's kind",
        page.name(),
        first.name()
    ))
}

#[cfg(test)]
#[path = "dataset_tests.rs"]
mod tests;
