//! Images, targets and weights that lie in files, to a dataset.

use std::sync::Arc;

use log::{info, warn};
use ndarray::{Array2, Array3};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::dataset::{Classes, Dataset, HeldLabels, LabelImages, find_classes, reading_bytes};
use super::in_files::{Facts, SampleFiles, TargetFile};
use super::item::Item;
use super::label_rule::LabelRule;
use super::labels::LabelMapping;
use super::measurements::{Measurements, Stamp, Stamps};
use super::sample::{Sample, Target};
use super::streaming::{in_order, measured};
use super::{pair_list, weight_images};
use crate::error::{Bytes, Error, Result, counted_channels};
use crate::geometry::{Extent, Window};
use crate::images::{
    Discovery, ImageCache, ImageSource, as_grey, check_gaps, has_equal_channels, page_size,
    read_image_with_gaps, read_values_with_gaps,
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
    /// How much each pixel counts, an image of weights for each image, which pair as targets do.
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
    /// Images are held in memory where all of them, with their targets, take no more than so many bytes; else they stay in their
    /// files, of which no more is kept. `None` for what is free, within reason.
    pub cache: Option<u64>,
    /// What an earlier run has measured over images that stay in their files, and the name of this set there.
    pub known: Option<(&'a Measurements, &'a str)>,
}

/// The most that is held in memory where nobody says how much.
const MOST_USUALLY_HELD: u64 = 4_000_000_000;

/// A page of an image, and the page of its target.
pub(super) type Pair = (ImageSource, ImageSource);

/// Pairs that were found, and what a list says of them.
struct FoundPairs {
    pairs: Vec<Pair>,
    listed: Option<Vec<(Option<ImageSource>, String)>>,
    sizes: Vec<Size>,
    /// Bytes of the largest image in memory, with its target.
    largest: u64,
    /// Where the images are not held in memory: bytes that may be kept of their files.
    room_beside: Option<u64>,
}

/// What the headers of a pair say.
struct Size {
    channels: usize,
    target_channels: usize,
    extent: Extent,
}

impl FoundPairs {
    /// The group of each pair.
    fn groups(&self) -> Vec<Option<String>> {
        match &self.listed {
            Some(listed) => listed.iter().map(|(_, group)| Some(group.clone())).collect(),
            None => vec![None; self.pairs.len()],
        }
    }
}

/// What was found of the classes of label images.
#[derive(Serialize, Deserialize)]
struct FoundClasses {
    values: Vec<i64>,
    colours: Option<Vec<i64>>,
}

impl From<(LabelMapping, LabelRule)> for FoundClasses {
    fn from((mapping, rule): (LabelMapping, LabelRule)) -> Self {
        let colours = match rule {
            LabelRule::Colours(colours) => Some(colours),
            _ => None,
        };
        Self { values: mapping.values, colours }
    }
}

impl FoundClasses {
    /// Whether the values are in the order that a mapping has.
    fn is_usable(&self) -> bool {
        !self.values.is_empty() && self.values.is_sorted_by(|a, b| a < b)
    }

    /// The mapping and the rule, where the classes were asked for as `classes` and `rule` say.
    fn mapping(self, classes: Classes, rule: &LabelRule) -> (LabelMapping, LabelRule) {
        let mapping = match classes {
            Classes::Known(mapping) => mapping.clone(),
            Classes::Found { ignored } => LabelMapping { values: self.values, ignored },
        };
        (mapping, self.colours.map_or_else(|| rule.clone(), LabelRule::Colours))
    }
}

/// Label images that are read when their turn comes.
struct FileLabels<'a> {
    pairs: &'a [Pair],
    names: &'a [String],
    rule: &'a LabelRule,
    cache: &'a ImageCache,
    /// Bytes of the largest image with its target.
    bytes: u64,
}

impl LabelImages for FileLabels<'_> {
    fn each(&mut self, visit: &mut (dyn FnMut(&str, &mut Array2<i64>) -> Result<()> + Send)) -> Result<()> {
        let read = |index: usize| {
            let page = &self.pairs[index].1;
            let (_, height, width) = page_size(page)?;
            self.rule.read_part(self.cache, page, &Window::plane(0..height, 0..width))
        };
        in_order(self.pairs.len(), reading_bytes(self.bytes), read, |index, mut labels| {
            visit(&self.names[index], &mut labels)
        })
    }
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
            cache: None,
            known: None,
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

    /// The same with at most so many bytes held in memory.
    pub fn held_in(self, cache: Option<u64>) -> Self {
        Self { cache, ..self }
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
        let names: Vec<_> = pairs.iter().map(|(_, target)| target.name()).collect();
        if let Some(room) = found.room_beside {
            let cache = Arc::new(ImageCache::new(room));
            let mut labels =
                FileLabels { pairs, names: &names, rule: &self.rule, cache: &cache, bytes: found.largest };
            let stamp = Stamps::default().of(pairs.iter().map(|(_, target)| target));
            let stamp = stamp.map(|stamp| stamp.with(&(&self.rule, classes)));
            let found_classes = self.known_or("classes", stamp, FoundClasses::is_usable, || {
                find_classes(&mut labels, &self.rule, classes).map(FoundClasses::from)
            })?;
            let (mapping, rule) = found_classes.mapping(classes, &self.rule);
            let (shared_rule, shared_mapping) = (Arc::new(rule.clone()), Arc::new(mapping.clone()));
            let target = |_, page: &ImageSource| TargetFile::Labels {
                page: page.clone(),
                rule: shared_rule.clone(),
                mapping: shared_mapping.clone(),
            };
            return Ok((self.in_files(&found, &cache, target)?, mapping, rule));
        }
        let mut labels =
            pairs.iter().map(|(_, target)| self.rule.read(target)).collect::<Result<Vec<_>>>()?;
        let (mapping, rule) = find_classes(&mut HeldLabels(&names, &mut labels), &self.rule, classes)?;
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
            };
            return self.in_files(&found, &cache, target);
        }
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
        pass_over_unlabelled(pairs, &mut set)?;
        Ok(set)
    }

    /// The same of samples that stay in their files; `target` says of each by its number where its target is. All are read once, to
    /// look at them.
    fn in_files(
        &self,
        found: &FoundPairs,
        cache: &Arc<ImageCache>,
        target: impl Fn(usize, &ImageSource) -> TargetFile,
    ) -> Result<Dataset> {
        let pairs = found.pairs.as_slice();
        let pages: Vec<_> = pairs.iter().map(|(image, _)| image).collect();
        let channels: Vec<_> = found.sizes.iter().map(|size| size.channels).collect();
        let image_is_grey = taken_as_grey(&pages, &channels, self.channels, |index| {
            let window = Window::whole(found.sizes[index].extent);
            Ok(has_equal_channels(&cache.image(pages[index], &window)?))
        })?;
        let weights = self.weight_pages(found)?;
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
            measured(files.len(), reading_bytes(found.largest), |index| files[index].facts())
        })?;
        let own_target = facts.iter().position(|facts| facts.is_its_own_target);
        self.warn_of_equals(pairs, own_target, facts.iter().all(|facts| facts.has_equal_channels));
        for (files, facts) in files.iter_mut().zip(facts) {
            files.facts = Some(facts);
        }
        let items = files.into_iter().zip(found.groups());
        let items = items.map(|(files, group)| Item::in_files(files.image.name(), group, files));
        let mut set = Dataset { items: items.collect() };
        pass_over_unlabelled(pairs, &mut set)?;
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
            let pages = weight_images::pages_of_weights(
                &self.discovery,
                &sizes.collect::<Vec<_>>(),
                self.images,
                weights,
            )?;
            return Ok(pages.into_iter().map(Some).collect());
        }
        let Some(listed) = &found.listed else { return Ok(vec![None; found.pairs.len()]) };
        for (((page, _), (image, _)), size) in listed.iter().zip(&found.pairs).zip(sizes) {
            if let Some(page) = page {
                weight_images::check_size(&image.name(), size, page)?;
            }
        }
        Ok(listed.iter().map(|(page, _)| page.clone()).collect())
    }

    /// Warns of targets in other files that hold the images, of which one is at `own_target`, and of images in colours that are grey.
    fn warn_of_equals(&self, pairs: &[Pair], own_target: Option<usize>, all_equal: bool) {
        if let Some(pair) = own_target.map(|index| &pairs[index]).filter(|pair| !is_same_page(pair)) {
            warn_of_same(pair);
        }
        if all_equal && !pairs.is_empty() {
            warn!(
                "the images of {} are in colours whose red, green and blue are equal: save them as grey images, which a network takes in a third of the memory",
                self.images
            );
        }
    }

    /// Pairs images with targets, compares their headers and decides whether they are held in memory, before minutes go by with
    /// reading pixels.
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
        let (mut bytes, mut largest) = (0_u64, 0);
        let mut sizes = Vec::new();
        let weight_bytes = if self.weights.is_some() || listed.is_some() { size_of::<f32>() } else { 0 };
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
            let extent = Extent::plane(height, width);
            sizes.push(Size { channels, target_channels, extent });
            let target_channels = if regression { target_channels } else { 1 };
            let pixel_bytes = (size_of::<f32>() * (channels + target_channels) + weight_bytes) as u64;
            let sample = pixel_bytes.saturating_mul((height * width) as u64);
            (bytes, largest) = (bytes.saturating_add(sample), largest.max(sample));
        }
        let images: Vec<_> =
            pairs.iter().map(|(image, _)| image).zip(sizes.iter().map(|size| size.channels)).collect();
        check_channels(&images)?;
        if regression {
            let targets = pairs.iter().map(|(_, target)| target);
            check_channels(&targets.zip(sizes.iter().map(|size| size.target_channels)).collect::<Vec<_>>())?;
        }
        let room = self.cache.unwrap_or_else(usual_cache);
        let room_beside = (bytes > room).then_some(room);
        if room_beside.is_none() {
            let what = format!("the images of {} and their targets ({} of each)", self.images, pairs.len());
            memory::check(&what, bytes, "lower `cache`, so that they stay in their files")?;
        } else {
            info!(
                "the images of {} and their targets ({} of each) would take {} in memory, more than the {} of `cache`: they stay in their files and are read piece by piece",
                self.images,
                pairs.len(),
                Bytes(bytes),
                Bytes(room)
            );
            let what = format!("the largest image of {} and its target", self.images);
            memory::check(&what, reading_bytes(largest), "cut the images into smaller ones")?;
        }
        Ok(FoundPairs { pairs, listed, sizes, largest, room_beside })
    }
}

/// Bytes of images that are held in memory where nobody says how many: half of what is free, and no more than a few.
pub(super) fn usual_cache() -> u64 {
    memory::free().map_or(MOST_USUALLY_HELD, |free| (free.bytes / 2).min(MOST_USUALLY_HELD))
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

/// Checks by their headers that pages have as many channels as the first one. Three beside one may be grey.
fn check_channels(pages: &[(&ImageSource, usize)]) -> Result<()> {
    let Some(&(first, wanted)) = pages.first() else { return Ok(()) };
    match pages.iter().find(|(_, found)| *found != wanted && !matches!((*found, wanted), (1, 3) | (3, 1))) {
        Some(&(page, found)) => Err(different_channels(page, found, first, wanted)),
        None => Ok(()),
    }
}

/// Whether all of `pages`, which have so many `channels`, are taken for grey: where one channel is `wanted`, or where others have one,
/// and the others are grey images that were saved as colours, as `is_grey` says of each by its number.
///
/// # Errors
/// [`Error::Mismatch`] for images of several channels beside grey ones, and what comes of `is_grey`.
fn taken_as_grey(
    pages: &[&ImageSource],
    channels: &[usize],
    wanted: Option<usize>,
    mut is_grey: impl FnMut(usize) -> Result<bool>,
) -> Result<bool> {
    let Some(&first) = channels.first() else { return Ok(false) };
    let mixed = channels.iter().any(|&found| found != first);
    if !mixed && (wanted != Some(1) || first == 1) {
        return Ok(false);
    }
    for (index, &found) in channels.iter().enumerate().filter(|(_, found)| **found != 1) {
        if !is_grey(index)? {
            return match channels.iter().position(|&found| found == 1) {
                Some(grey) => Err(different_channels(pages[index], found, pages[grey], 1)),
                // All have as many channels, which whoever wanted one will refuse.
                None => Ok(false),
            };
        }
    }
    Ok(true)
}

/// Takes grey images that were saved as colours for grey where one channel is `wanted`, or where others have one.
fn same_channels(
    pairs: &[Pair],
    samples: &mut [Sample],
    wanted: Option<usize>,
    page: impl Fn(&Pair) -> &ImageSource,
    array: impl Fn(&mut Sample) -> Option<&mut Array3<f32>>,
) -> Result<()> {
    let pages: Vec<_> = pairs.iter().map(page).collect();
    let channels: Vec<usize> =
        samples.iter_mut().map(|sample| array(sample).map_or(0, |array| array.dim().0)).collect();
    let is_grey =
        |index: usize| Ok(array(&mut samples[index]).is_some_and(|array| has_equal_channels(array)));
    if taken_as_grey(&pages, &channels, wanted, is_grey)? {
        for (page, sample) in pages.iter().zip(samples) {
            if let Some(array) = array(sample) {
                *array = as_grey(&page.name(), std::mem::take(array))?;
            }
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

/// Takes out pages of stacks in which nothing counts.
fn pass_over_unlabelled(pairs: &[Pair], set: &mut Dataset) -> Result<()> {
    let is_page: Vec<bool> =
        pairs.iter().map(|(image, target)| image.page.is_some() || target.page.is_some()).collect();
    set.pass_over_unlabelled(|index| is_page[index])
}
