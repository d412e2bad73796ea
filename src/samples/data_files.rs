//! Images, targets and weights that lie in files, to a dataset.

use log::warn;
use ndarray::{Array2, Array3, Axis};

use super::dataset::{Classes, Dataset, find_classes};
use super::label_rule::LabelRule;
use super::labels::LabelMapping;
use super::pair_list;
use super::sample::{Sample, Target};
use super::weights::{self, load_weights_with};
use crate::error::{Error, Result, counted_channels};
use crate::images::{
    Discovery, ImageSource, as_grey, check_gaps, has_equal_channels, page_size, read_image_with_gaps,
    read_values_with_gaps,
};
use crate::memory;

/// Where images, their targets and their weights lie, how they are looked for, and how label images are to be taken.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DataFiles<'a> {
    /// The images: a folder, a file or a pattern, see [`Discovery::discover`].
    pub images: &'a str,
    /// Their targets, see [`Discovery::pair`].
    pub targets: &'a str,
    /// How much each pixel counts, see [`load_weights_with`].
    pub weights: Option<&'a str>,
    /// A list of images with targets, weights and groups, in the place of those above.
    pub list: Option<&'a str>,
    /// How all of them are looked for.
    pub discovery: Discovery,
    /// What is made of the values of label images.
    pub rule: LabelRule,
    /// The channels that images are to have, where a model or other images say so: where that is one, grey images that were
    /// saved as colours are taken for grey.
    pub channels: Option<usize>,
}

/// A page of an image, and the page of its target.
pub(super) type Pair = (ImageSource, ImageSource);

/// Pairs that were found, and what a list says of them.
struct FoundPairs {
    pairs: Vec<Pair>,
    listed: Option<Vec<(Option<ImageSource>, String)>>,
}

impl<'a> DataFiles<'a> {
    /// Images and targets, where all pixels count and each value of a label image is a class.
    pub fn new(images: &'a str, targets: &'a str) -> Self {
        Self {
            images,
            targets,
            weights: None,
            list: None,
            discovery: Discovery::default(),
            rule: LabelRule::AsStored,
            channels: None,
        }
    }

    /// Images and their targets by a list of comma-separated values. Its first line is `image,target`, with `weight` and `group`
    /// where these are wanted; files are looked for from its folder.
    pub fn listed(list: &'a str) -> Self {
        Self { list: Some(list), ..Self::new(list, list) }
    }

    /// The same, looked for as `discovery` says.
    pub fn found_by(self, discovery: Discovery) -> Self {
        Self { discovery, ..self }
    }

    /// The same with weights of pixels.
    pub fn weighted(self, weights: Option<&'a str>) -> Self {
        Self { weights, ..self }
    }

    /// The same with labels taken by `rule`.
    pub fn by_rule(self, rule: LabelRule) -> Self {
        Self { rule, ..self }
    }

    /// The same for images of so many channels.
    pub fn of_channels(self, channels: usize) -> Self {
        Self { channels: Some(channels), ..self }
    }

    /// Loads images and label images for segmentation, the mapping of their values, and the rule that made these, in which
    /// colours that were asked for are listed.
    ///
    /// What looks like a mistake is warned of. Pages of a stack that nobody labelled are passed over. Pixels that do not count
    /// may be NaN or infinite; they are NaN in the image.
    ///
    /// # Errors
    /// [`Error::Input`] for files that cannot be read and labels that are no class, [`Error::Mismatch`] for images without
    /// target, targets of another size, images of different channel counts, and label images of more than 32 values where
    /// the rule does not say which are classes.
    pub fn segmentation(&self, classes: Classes) -> Result<(Dataset, LabelMapping, LabelRule)> {
        let found = self.checked_pairs(false)?;
        let pairs = &found.pairs;
        let mut labels =
            pairs.iter().map(|(_, target)| self.rule.read(target)).collect::<Result<Vec<_>>>()?;
        let names: Vec<_> = pairs.iter().map(|(_, target)| target.name()).collect();
        let (mapping, rule) = find_classes(&names, &mut labels, &self.rule, classes)?;
        let mut samples = Vec::with_capacity(pairs.len());
        for (((image, _), name), labels) in pairs.iter().zip(&names).zip(labels) {
            let target = Target::Classes(mapping.encode(name, &labels)?);
            samples.push(Sample::new(image.name(), read_image_with_gaps(image)?, target));
        }
        let set = self.finished(&found, samples)?;
        Ok((set, mapping, rule))
    }

    /// Loads images and target images for regression, such as denoising.
    ///
    /// As with [`DataFiles::segmentation`], pages without a pixel that counts are passed over, and what does not count may be
    /// NaN or infinite; such targets become the mean of those that count.
    ///
    /// # Errors
    /// [`Error::Input`] for files that cannot be read, [`Error::Mismatch`] for images without target, targets of another size,
    /// and images or targets of different channel counts.
    pub fn regression(&self) -> Result<Dataset> {
        let found = self.checked_pairs(true)?;
        let pairs = &found.pairs;
        let mut samples = Vec::with_capacity(pairs.len());
        for (image, target) in pairs {
            let values = Target::Values(read_values_with_gaps(target)?);
            samples.push(Sample::new(image.name(), read_image_with_gaps(image)?, values));
        }
        same_channels(
            pairs,
            &mut samples,
            None,
            |(_, target)| target,
            |sample| match &mut sample.target {
                Target::Values(values) => Some(values),
                Target::Classes(_) => None,
            },
        )?;
        self.finished(&found, samples)
    }

    /// What is the same for classes and values: channels, weights, numbers that are none, and pages without labels.
    fn finished(&self, found: &FoundPairs, mut samples: Vec<Sample>) -> Result<Dataset> {
        let pairs = found.pairs.as_slice();
        same_channels(
            pairs,
            &mut samples,
            self.channels,
            |(image, _)| image,
            |sample| Some(&mut sample.image),
        )?;
        let mut set = Dataset { samples };
        for (sample, (page, group)) in set.samples.iter_mut().zip(found.listed.iter().flatten()) {
            sample.group = Some(group.clone());
            sample.weights = page.as_ref().map(|page| weights_of(sample, page)).transpose()?;
        }
        if let Some(weights) = self.weights {
            load_weights_with(&self.discovery, &mut set, self.images, weights)?;
        }
        for (sample, (image, target)) in set.samples.iter_mut().zip(pairs) {
            check_gaps(&image.name(), &sample.image, |y, x| sample.counts_at(y, x))?;
            if let Target::Values(values) = &sample.target {
                check_gaps(&target.name(), values, |y, x| sample.counts_at(y, x))?;
            }
            sample.settle_gaps();
        }
        self.warn_of_equals(pairs, &set);
        pass_over_unlabelled(pairs, &mut set);
        Ok(set)
    }

    /// Warns of targets in other files that hold the images, and of images in colours that are grey.
    fn warn_of_equals(&self, pairs: &[Pair], set: &Dataset) {
        let equal = pairs.iter().zip(&set.samples).find(|(_, sample)| is_its_own_target(sample));
        if let Some((pair, _)) = equal.filter(|(pair, _)| !is_same_page(pair)) {
            warn_of_same(pair);
        }
        if set.channels() == 3 && set.samples.iter().all(|sample| has_equal_channels(&sample.image)) {
            warn!(
                "the images of {} are in colours whose red, green and blue are equal: save them as grey images, which a network takes in a third of the memory",
                self.images
            );
        }
    }

    /// Pairs images with targets, compares their headers and checks that there is memory for all of them, before minutes go by
    /// with reading pixels.
    fn checked_pairs(&self, regression: bool) -> Result<FoundPairs> {
        let (pairs, listed): (Vec<Pair>, _) = match self.list {
            Some(list) => {
                let listed = pair_list::read(list, &self.discovery, regression)?;
                let (pairs, others) =
                    listed.into_iter().map(|line| (line.pair, (line.weights, line.group))).unzip();
                (pairs, Some(others))
            }
            None => {
                let found = self.discovery.discover(self.images)?;
                let found_targets = match regression {
                    true => self.discovery.discover_targets(self.targets, &found)?,
                    false => self.discovery.discover_single_channel(self.targets)?,
                };
                (self.discovery.pair(&found, &found_targets, "target")?, None)
            }
        };
        // Said before labels are looked at: those of an image itself are refused for what they look like.
        if let Some(pair) = pairs.iter().find(|pair| is_same_page(pair)) {
            warn_of_same(pair);
        }
        let mut bytes = 0_u64;
        let mut all = Vec::new();
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
            all.push((channels, target_channels));
            let target_channels = if regression { target_channels } else { 1 };
            let pixel_bytes = (size_of::<f32>() * (channels + target_channels)) as u64;
            bytes = bytes.saturating_add(pixel_bytes.saturating_mul((height * width) as u64));
        }
        let images: Vec<_> =
            pairs.iter().map(|(image, _)| image).zip(all.iter().map(|found| found.0)).collect();
        check_channels(&images)?;
        if regression {
            let targets: Vec<_> =
                pairs.iter().map(|(_, target)| target).zip(all.iter().map(|found| found.1)).collect();
            check_channels(&targets)?;
        }
        let what = format!("the images of {} and their targets ({} of each)", self.images, pairs.len());
        memory::check(&what, bytes, "use fewer or smaller images")?;
        Ok(FoundPairs { pairs, listed })
    }
}

/// Loads images and label images for segmentation, and the mapping of their values, as [`DataFiles::segmentation`] with
/// nothing but these.
///
/// # Errors
/// As [`DataFiles::segmentation`].
pub fn load_segmentation(images: &str, targets: &str, classes: Classes) -> Result<(Dataset, LabelMapping)> {
    let (set, mapping, _) = DataFiles::new(images, targets).segmentation(classes)?;
    Ok((set, mapping))
}

/// Loads images and target images for regression, as [`DataFiles::regression`] with nothing but these.
///
/// # Errors
/// As [`DataFiles::regression`].
pub fn load_regression(images: &str, targets: &str) -> Result<Dataset> {
    DataFiles::new(images, targets).regression()
}

/// The weights of a sample, in `page`.
fn weights_of(sample: &Sample, page: &ImageSource) -> Result<Array2<f32>> {
    let weights = weights::read(page)?;
    let (_, height, width) = sample.image.dim();
    if weights.dim() == (height, width) {
        return Ok(weights);
    }
    Err(Error::Mismatch(format!(
        "{} is {width} x {height} pixels but its weights {} are {} x {}; wanted the same size, cut or export the weights again",
        sample.name,
        page.name(),
        weights.dim().1,
        weights.dim().0
    )))
}

/// Checks by their headers that pages have as many channels as the first one. Three beside one may be grey.
fn check_channels(pages: &[(&ImageSource, usize)]) -> Result<()> {
    let Some(&(first, wanted)) = pages.first() else { return Ok(()) };
    match pages.iter().find(|(_, found)| *found != wanted && !matches!((*found, wanted), (1, 3) | (3, 1))) {
        Some(&(page, found)) => Err(different_channels(page, found, first, wanted)),
        None => Ok(()),
    }
}

/// Takes grey images that were saved as colours for grey where one channel is `wanted`, or where others have one.
fn same_channels(
    pairs: &[Pair],
    samples: &mut [Sample],
    wanted: Option<usize>,
    page: impl Fn(&Pair) -> &ImageSource,
    array: impl Fn(&mut Sample) -> Option<&mut Array3<f32>>,
) -> Result<()> {
    let mut channels = |index: usize| array(&mut samples[index]).map_or(0, |array| array.dim().0);
    let all: Vec<usize> = (0..pairs.len()).map(&mut channels).collect();
    let Some(&first) = all.first() else { return Ok(()) };
    let mixed = all.iter().any(|&found| found != first);
    if !mixed && (wanted != Some(1) || first == 1) {
        return Ok(());
    }
    for (index, pair) in pairs.iter().enumerate().filter(|(index, _)| all[*index] != 1) {
        let Some(array) = array(&mut samples[index]) else { continue };
        if !has_equal_channels(array) {
            return match all.iter().position(|&found| found == 1) {
                Some(grey) => Err(different_channels(page(pair), all[index], page(&pairs[grey]), 1)),
                // All have as many channels, which whoever wanted one will refuse.
                None => Ok(()),
            };
        }
    }
    for (index, pair) in pairs.iter().enumerate() {
        if let Some(array) = array(&mut samples[index]) {
            *array = as_grey(&page(pair).name(), std::mem::take(array))?;
        }
    }
    Ok(())
}

fn different_channels(page: &ImageSource, channels: usize, first: &ImageSource, wanted: usize) -> Error {
    Error::Mismatch(format!(
        "{} has {} but {} has {wanted}; wanted the same number in all, convert one to the other's kind",
        page.name(),
        counted_channels(channels),
        first.name()
    ))
}

/// Whether a target is in the file and page of its image.
fn is_same_page((image, target): &Pair) -> bool {
    image.page == target.page && (image.path == target.path || image.real_path() == target.real_path())
}

fn warn_of_same((image, target): &Pair) {
    warn!(
        "the target {} of {} holds the pixels of the image itself; check that `targets` names the targets, or give `target_suffix` where they are in one folder with the images",
        target.name(),
        image.name()
    );
}

/// Whether the target of a sample is its image.
fn is_its_own_target(sample: &Sample) -> bool {
    match &sample.target {
        Target::Values(values) => *values == sample.image,
        Target::Classes(classes) => {
            // Class indices equal the pixels where the labels are 0, 1, 2 and so on.
            let image = sample.image.index_axis(Axis(0), 0);
            sample.image.dim().0 == 1
                && image.iter().zip(classes).all(|(pixel, class)| *pixel == *class as f32)
        }
    }
}

/// Takes out pages of stacks in which nothing counts.
fn pass_over_unlabelled(pairs: &[Pair], set: &mut Dataset) {
    let is_page: Vec<bool> =
        pairs.iter().map(|(image, target)| image.page.is_some() || target.page.is_some()).collect();
    set.pass_over_unlabelled(|index| is_page[index]);
}
