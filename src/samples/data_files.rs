//! Images, targets and weights that lie in files, to a dataset.

use std::sync::Arc;

use log::{debug, warn};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::channels::{same_channels, taken_as_grey};
use super::dataset::{Classes, Dataset, reading_bytes};
use super::found_classes::{FileLabels, FoundClasses, HeldLabels, find_classes};
use super::found_pairs::{FoundPairs, is_same_page, warn_of_same};
use super::in_files::{Facts, SampleFiles, TargetFile};
use super::item::Item;
use super::label_rule::LabelRule;
use super::labels::LabelMapping;
use super::measurements::{Measurements, Stamp, Stamps};
use super::pair_list::Pair;
use super::recordings::Recordings;
use super::sample::{Counting, Sample, Target, unlabelled};
use super::streaming::measured;
use super::upscaled::Upscaled;
use super::weight_images;
use crate::error::Result;
use crate::geometry::Window;
use crate::images::{
    Discovery, ImageCache, ImageSource, check_gaps, has_equal_channels, read_image_with_gaps,
    read_values_with_gaps,
};

/// Where images, their targets and their weights lie, how they are looked for, and how label images are to be taken.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DataFiles<'a> {
    /// The images: a folder, a file or a pattern, see [`Discovery::discover`].
    pub images: &'a str,
    /// Their targets, see [`Discovery::pair`].
    pub targets: &'a str,
    /// How much each pixel counts, an image of weights for each image, which pair as targets do.
    pub weights: Option<&'a str>,
    /// A list of images with targets, weights and groups, in the place of those above.
    pub list: Option<&'a str>,
    /// Recordings that are each other's targets, in the place of images and targets.
    pub recordings: Option<Recordings<'a>>,
    /// Where targets are finer than images, how these belong to them.
    pub upscaled: Option<Upscaled>,
    /// How all of them are looked for.
    pub discovery: Discovery,
    /// What is made of the values of label images.
    pub rule: LabelRule,
    /// The channels that images are to have, where a model or other images say so: where that is one, grey images that were
    /// saved as colours are taken for grey.
    pub channels: Option<usize>,
    /// Images are held in memory where all of them, with their targets, take no more than so many bytes; else they stay in their
    /// files, of which no more is kept. `None` for what is free, within reason.
    pub cache: Option<u64>,
    /// Whether images are slices of volumes: those that nobody labelled stay, as their neighbours are seen with them.
    pub whole_volumes: bool,
    /// What an earlier run has measured over images that stay in their files, and the name of this set there.
    pub known: Option<(&'a Measurements, &'a str)>,
}

impl<'a> DataFiles<'a> {
    /// Images and targets, where all pixels count and each value of a label image is a class.
    pub fn new(images: &'a str, targets: &'a str) -> Self {
        Self {
            images,
            targets,
            weights: None,
            list: None,
            recordings: None,
            upscaled: None,
            discovery: Discovery::default(),
            rule: LabelRule::AsStored,
            channels: None,
            cache: None,
            whole_volumes: false,
            known: None,
        }
    }

    /// Images and their targets by a list of comma-separated values. Its first line is `image,target`, with `weight` and `group`
    /// where these are wanted; files are looked for from its folder.
    pub fn listed(list: &'a str) -> Self {
        Self { list: Some(list), ..Self::new(list, list) }
    }

    /// Recordings of the same slices that are each other's targets.
    pub fn of_recordings(recordings: Recordings<'a>) -> Self {
        let first = recordings.places.first().map_or("", String::as_str);
        Self { recordings: Some(recordings), ..Self::new(first, first) }
    }

    /// The same, looked for as `discovery` says.
    pub fn found_by(self, discovery: Discovery) -> Self {
        Self { discovery, ..self }
    }

    /// The same with images that are brought onto the finer grid of their targets.
    pub fn upscaled(self, upscaled: Option<Upscaled>) -> Self {
        Self { upscaled, ..self }
    }

    /// The same with weights of pixels.
    pub fn weighted(self, weights: Option<&'a str>) -> Self {
        Self { weights, ..self }
    }

    /// The same with labels taken by `rule`.
    pub fn by_rule(self, rule: LabelRule) -> Self {
        Self { rule, ..self }
    }

    /// The same with at most so many bytes held in memory.
    pub fn held_in(self, cache: Option<u64>) -> Self {
        Self { cache, ..self }
    }

    /// The same for images that are slices of volumes, or are not.
    pub fn of_volumes(self, whole_volumes: bool) -> Self {
        Self { whole_volumes, ..self }
    }

    /// The same with what an earlier run has measured, where the set is called `name`; what is measured now is added to it.
    pub fn known_from(self, known: &'a Measurements, name: &'a str) -> Self {
        Self { known: Some((known, name)), ..self }
    }

    /// The same for images of so many channels.
    pub fn of_channels(self, channels: usize) -> Self {
        Self { channels: Some(channels), ..self }
    }

    /// Loads images and label images for segmentation, the mapping of their values, and the rule that made these, in which
    /// colours that were asked for are listed.
    ///
    /// What looks like a mistake is warned of. Pages of a stack that nobody labelled are passed over, unless they
    /// are slices of volumes. Pixels that do not count may be NaN or infinite; they are NaN in the image.
    ///
    /// # Errors
    /// [`Error::Input`] for files that cannot be read and labels that are no class, [`Error::Mismatch`] for images without
    /// target, targets of another size, images of different channel counts, and label images of more than 32 values where
    /// the rule does not say which are classes.
    ///
    /// [`Error::Input`]: crate::Error::Input
    /// [`Error::Mismatch`]: crate::Error::Mismatch
    pub fn segmentation(&self, classes: Classes) -> Result<(Dataset, LabelMapping, LabelRule)> {
        let found = self.checked_pairs(false)?;
        let pairs = &found.labelled();
        let names: Vec<_> = pairs.iter().map(|(_, target)| target.name()).collect();
        if let Some(room) = found.room_beside {
            let cache = Arc::new(ImageCache::new(room));
            let all_weights = self.weight_pages(&found)?;
            let weights: Vec<_> = found.of_labelled(&all_weights).cloned().collect();
            let mut labels = FileLabels {
                pairs,
                weights: &weights,
                names: &names,
                rule: &self.rule,
                cache: &cache,
                bytes: found.largest,
            };
            let targets = pairs.iter().map(|(_, target)| target);
            let stamp = Stamps::default().of(targets.chain(weights.iter().flatten()));
            let stamp = stamp.map(|stamp| stamp.with(&(&self.rule, classes)));
            let found_classes = self.known_or("classes", stamp, FoundClasses::is_usable, || {
                find_classes(&mut labels, &self.rule, classes).map(FoundClasses::from)
            })?;
            // Of all images, also those without a target.
            let mut of_labelled = found_classes.counting.iter().copied();
            let has_target = found.has_target.iter();
            let counting: Vec<Option<Counting>> = has_target
                .map(|has_target| if *has_target { of_labelled.next() } else { Some(Counting::Nothing) })
                .collect();
            let (mapping, rule) = found_classes.mapping(classes, &self.rule);
            let (shared_rule, shared_mapping) = (Arc::new(rule.clone()), Arc::new(mapping.clone()));
            let target = |index: usize, page: &ImageSource| match found.has_target[index] {
                false => TargetFile::Nothing,
                true => TargetFile::Labels {
                    page: page.clone(),
                    rule: shared_rule.clone(),
                    mapping: shared_mapping.clone(),
                },
            };
            return Ok((self.in_files(&found, &cache, all_weights, target, &counting)?, mapping, rule));
        }
        let mut labels =
            pairs.iter().map(|(_, target)| self.rule.read(target)).collect::<Result<Vec<_>>>()?;
        let (mapping, rule, _) = find_classes(&mut HeldLabels(&names, &mut labels), &self.rule, classes)?;
        let mut samples = Vec::with_capacity(found.pairs.len());
        let mut labels = names.iter().zip(labels);
        for ((image, _), has_target) in found.pairs.iter().zip(&found.has_target) {
            let image_read = read_image_with_gaps(image)?;
            let classes = match has_target.then(|| labels.next()).flatten() {
                Some((name, labels)) => mapping.encode(name, &labels)?,
                None => unlabelled(image_read.dim().1, image_read.dim().2),
            };
            samples.push(Sample::new(image.name(), image_read, Target::Classes(classes)));
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
    ///
    /// [`Error::Input`]: crate::Error::Input
    /// [`Error::Mismatch`]: crate::Error::Mismatch
    pub fn regression(&self) -> Result<Dataset> {
        let found = self.checked_pairs(true)?;
        let pairs = &found.pairs;
        if let Some(room) = found.room_beside {
            let cache = Arc::new(ImageCache::new(room));
            let pages: Vec<_> = pairs.iter().map(|(_, target)| target).collect();
            let channels: Vec<_> = found.sizes.iter().map(|size| size.target_channels).collect();
            let is_grey = taken_as_grey(&pages, &channels, None, |index| {
                let window = Window::whole(found.sizes[index].extent);
                Ok(has_equal_channels(&cache.values(pages[index], &window)?))
            })?;
            let target = |index: usize, page: &ImageSource| TargetFile::Values {
                page: page.clone(),
                stored_channels: channels[index],
                is_grey,
                is_image: self.targets_are_images(),
            };
            return self.in_files(&found, &cache, self.weight_pages(&found)?, target, &[]);
        }
        let mut samples = Vec::with_capacity(pairs.len());
        for (image, target) in pairs {
            let values = match self.targets_are_images() {
                true => read_image_with_gaps(target)?,
                false => read_values_with_gaps(target)?,
            };
            let values = Target::Values(values);
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

    /// Of samples in memory what is the same for classes and values: channels, weights, numbers that are none, and pages without
    /// labels.
    fn finished(&self, found: &FoundPairs, mut samples: Vec<Sample>) -> Result<Dataset> {
        let pairs = found.pairs.as_slice();
        same_channels(
            pairs,
            &mut samples,
            self.channels,
            |(image, _)| image,
            |sample| Some(&mut sample.image),
        )?;
        for ((sample, group), page) in samples.iter_mut().zip(found.groups()).zip(self.weight_pages(found)?) {
            sample.group = group;
            sample.weights = page.as_ref().map(weight_images::read).transpose()?;
        }
        for (sample, (image, target)) in samples.iter_mut().zip(pairs) {
            check_gaps(&image.name(), &sample.image, |y, x| sample.counts_at(y, x))?;
            if let Target::Values(values) = &sample.target {
                check_gaps(&target.name(), values, |y, x| sample.counts_at(y, x))?;
            }
            sample.settle_gaps();
        }
        let own_target = samples.iter().position(Sample::is_its_own_target);
        let all_equal = samples.iter().all(|sample| has_equal_channels(&sample.image));
        self.warn_of_equals(pairs, own_target, all_equal);
        let mut set = Dataset::unchecked(samples);
        self.pass_over_unlabelled(pairs, &mut set)?;
        Ok(set)
    }

    /// The same of samples that stay in their files; `target` says of each by its number where its target is, and `counting` what of it
    /// counts, where that is known. Targets of which it is not known are read to look at them.
    fn in_files(
        &self,
        found: &FoundPairs,
        cache: &Arc<ImageCache>,
        weights: Vec<Option<ImageSource>>,
        target: impl Fn(usize, &ImageSource) -> TargetFile,
        counting: &[Option<Counting>],
    ) -> Result<Dataset> {
        let pairs = found.pairs.as_slice();
        let pages: Vec<_> = pairs.iter().map(|(image, _)| image).collect();
        let channels: Vec<_> = found.sizes.iter().map(|size| size.channels).collect();
        let image_is_grey = taken_as_grey(&pages, &channels, self.channels, |index| {
            let window = Window::whole(found.sizes[index].extent);
            Ok(has_equal_channels(&cache.image(pages[index], &window)?))
        })?;
        let mut stamps = Stamps::default();
        let mut files: Vec<SampleFiles> = pairs
            .iter()
            .zip(&found.sizes)
            .zip(weights)
            .enumerate()
            .map(|(index, (((image, page), size), weights))| {
                let target = target(index, page);
                let stamp = stamps.of([image, page].into_iter().chain(&weights));
                SampleFiles {
                    stamp: stamp
                        .map(|stamp| stamp.with(&(image_is_grey, target.meaning(), weights.is_some()))),
                    image: image.clone(),
                    image_is_grey,
                    target,
                    weights,
                    stored_channels: size.channels,
                    extent: size.extent,
                    cache: cache.clone(),
                    facts: None,
                }
            })
            .collect();
        let all = files.iter().map(|files| files.stamp).collect::<Option<Vec<_>>>();
        let stamp = all.and_then(|all| Some(all.first()?.with(&all)));
        let is_usable = |facts: &Vec<Facts>| {
            facts.len() == files.len() && facts.iter().zip(&files).all(|(facts, files)| files.may_have(facts))
        };
        let facts = self.known_or("facts", stamp, is_usable, || {
            let counting = |index: usize| counting.get(index).copied().flatten();
            if (0..files.len()).any(|index| counting(index).is_none()) {
                debug!("reading all targets, {} of each", files.len());
            }
            measured(files.len(), reading_bytes(found.largest), |index| files[index].facts(counting(index)))
        })?;
        let own_target = facts.iter().position(|facts| facts.is_its_own_target);
        self.warn_of_equals(pairs, own_target, facts.iter().all(|facts| facts.has_equal_channels));
        for (files, facts) in files.iter_mut().zip(facts) {
            files.facts = Some(facts);
        }
        let items = files.into_iter().zip(found.groups());
        let items = items.map(|(files, group)| Item::in_files(files.image.name(), group, files));
        let mut set = Dataset { items: items.collect() };
        self.pass_over_unlabelled(pairs, &mut set)?;
        Ok(set)
    }

    /// What an earlier run has measured, or what `measure` gives.
    fn known_or<T: Serialize + DeserializeOwned>(
        &self,
        what: &str,
        stamp: Option<Stamp>,
        is_usable: impl Fn(&T) -> bool,
        measure: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        match self.known {
            Some((known, name)) => known.known_or(&format!("{name} {what}"), stamp, is_usable, measure),
            None => measure(),
        }
    }

    /// Where the weights of each image are, if it has any.
    fn weight_pages(&self, found: &FoundPairs) -> Result<Vec<Option<ImageSource>>> {
        let sizes = found.sizes.iter().map(|size| (size.extent.y, size.extent.x));
        if let Some(weights) = self.weights {
            // Slices of volumes that have no target have no weights.
            let labelled = sizes.zip(&found.has_target).filter(|(_, has_target)| **has_target);
            let sizes: Vec<_> = labelled.map(|(size, _)| size).collect();
            let pages = weight_images::pages_of_weights(&self.discovery, &sizes, self.images, weights)?;
            let mut pages = pages.into_iter();
            let of_each = |has_target: &bool| if *has_target { pages.next() } else { None };
            return Ok(found.has_target.iter().map(of_each).collect());
        }
        let Some(listed) = &found.listed else { return Ok(vec![None; found.pairs.len()]) };
        for (((page, _), (image, _)), size) in listed.iter().zip(&found.pairs).zip(sizes) {
            if let Some(page) = page {
                weight_images::check_size(&image.name(), size, page)?;
            }
        }
        Ok(listed.iter().map(|(page, _)| page.clone()).collect())
    }

    /// Takes out pages of stacks in which nothing counts, unless they are slices of volumes.
    fn pass_over_unlabelled(&self, pairs: &[Pair], set: &mut Dataset) -> Result<()> {
        if self.whole_volumes {
            return Ok(());
        }
        let is_page: Vec<bool> =
            pairs.iter().map(|(image, target)| image.page.is_some() || target.page.is_some()).collect();
        set.pass_over_unlabelled(|index| is_page[index])
    }

    /// Whether the numbers of targets are brightness as those of images.
    fn targets_are_images(&self) -> bool {
        self.recordings.is_some() || self.upscaled.is_some()
    }

    /// Whether each image is its own target.
    pub(super) fn learns_alone(&self) -> bool {
        self.recordings.as_ref().is_some_and(|recordings| recordings.places.len() == 1)
    }

    /// Warns of targets in other files that hold the images, of which one is at `own_target`, and of images in colours that are grey.
    fn warn_of_equals(&self, pairs: &[Pair], own_target: Option<usize>, all_equal: bool) {
        if self.learns_alone() {
            // Each is meant to be its own target.
        } else if let (Some((image, target)), Some(_)) =
            (own_target.map(|index| &pairs[index]), &self.recordings)
        {
            warn!(
                "{} holds the same pixels as {}: nothing can be learnt of noise that is the same in all recordings",
                target.name(),
                image.name()
            );
        } else if let Some(pair) = own_target.map(|index| &pairs[index]).filter(|pair| !is_same_page(pair)) {
            warn_of_same(pair);
        }
        if all_equal && !pairs.is_empty() {
            warn!(
                "the images of {} are in colours whose red, green and blue are equal: save them as grey images, which a network takes in a third of the memory",
                self.images
            );
        }
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
