//! All images of a run with their targets, checked against each other.

use std::borrow::Cow;
use std::collections::BTreeMap;

use log::{debug, info};
use ndarray::{Array2, Array3};

use super::item::Item;
use super::labels::LabelMapping;
use super::measurements::Stamp;
use super::random::{Stream, permutation, stream};
use super::sample::{Sample, Target};
use super::streaming::in_order;
use crate::error::{Error, Result};
use crate::geometry::{Extent, Window};
use crate::images::usual_block_bytes;

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

/// Images of equal channel count, though not always of equal size, with their targets: in memory, or in their files.
///
/// Made by [`super::DataFiles`] or [`Dataset::from_memory`], which check it. Cloning it copies no pixels.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The images, in natural order of their names.
    pub(super) items: Vec<Item>,
}

/// Where in a dataset something is that is visited: an image, or a slice of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The image or volume, as an index into the dataset.
    pub item: usize,
    /// The slice of the volume; 0 for an image.
    pub slice: usize,
    /// How many slices of the volume are visited; 1 for an image.
    pub slices: usize,
}

/// What is visited of an image or of a slice of a volume.
#[derive(Debug, Clone, Copy)]
pub enum Visited<'a> {
    /// All of an image.
    Sample(&'a Sample),
    /// The image `[channel][y][x]` of a slice.
    Image(&'a Array3<f32>),
    /// The target and the weights `[y][x]` of a slice.
    Target(&'a Target, Option<&'a Array2<f32>>),
}

impl<'a> Visited<'a> {
    /// The image, if it is there.
    pub fn image(&self) -> Option<&'a Array3<f32>> {
        match self {
            Self::Sample(sample) => Some(&sample.image),
            Self::Image(image) => Some(image),
            Self::Target(..) => None,
        }
    }

    /// The target and its weights, if they are there.
    pub fn target(&self) -> Option<(&'a Target, Option<&'a Array2<f32>>)> {
        match self {
            Self::Sample(sample) => Some((&sample.target, sample.weights.as_ref())),
            Self::Image(_) => None,
            Self::Target(target, weights) => Some((target, *weights)),
        }
    }
}

/// What is wanted of a place.
#[derive(Clone, Copy)]
enum What {
    Sample,
    Image,
    Target,
}

/// What is read of a place, or is in memory already.
enum Read<'a> {
    Sample(Cow<'a, Sample>),
    Image(Cow<'a, Array3<f32>>),
    Target(Target, Option<Array2<f32>>),
}

impl<'a> Read<'a> {
    fn target(item: &'a Item) -> Result<Self> {
        if item.is_in_memory() {
            return item.sample().map(Self::Sample);
        }
        let (target, weights) = item.target_part(&Window::whole(item.extent()))?;
        Ok(Self::Target(target, weights))
    }

    fn visited(&self, what: What) -> Visited<'_> {
        match (self, what) {
            (Self::Sample(sample), What::Target) => Visited::Target(&sample.target, sample.weights.as_ref()),
            (Self::Sample(sample), _) => Visited::Sample(sample),
            (Self::Image(image), _) => Visited::Image(image),
            (Self::Target(target, weights), _) => Visited::Target(target, weights.as_ref()),
        }
    }
}

impl Place {
    /// Whether nothing comes of this image or volume any more.
    pub fn is_last(&self) -> bool {
        self.slice + 1 == self.slices
    }
}

impl Dataset {
    /// Of samples that nobody checked.
    pub(crate) fn unchecked(samples: impl IntoIterator<Item = Sample>) -> Self {
        Self { items: samples.into_iter().map(Item::from).collect() }
    }

    /// The images with their targets, in natural order of their names.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The images with their targets, to change them ([`Item::change_image`]).
    pub fn items_mut(&mut self) -> &mut [Item] {
        &mut self.items
    }

    /// How many images there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The images at these places, in this order.
    ///
    /// # Panics
    /// For a place beyond the last.
    pub fn chosen(&self, places: impl IntoIterator<Item = usize>) -> Self {
        Self { items: places.into_iter().map(|place| self.items[place].clone()).collect() }
    }

    /// The channels of the images; 0 without images.
    pub fn channels(&self) -> usize {
        self.items.first().map_or(0, Item::channels)
    }

    /// The channels of regression targets; `None` for classes, whose number the [`LabelMapping`] knows.
    pub fn target_channels(&self) -> Option<usize> {
        self.items.first()?.target_channels()
    }

    /// The names of the images, in order.
    pub fn names(&self) -> Vec<&str> {
        self.items.iter().map(Item::name).collect()
    }

    /// The size of each image in pixels, in order.
    pub fn sizes(&self) -> Vec<Extent> {
        self.items.iter().map(Item::extent).collect()
    }

    /// The slices of each file, or of each folder of single images, as one volume, in their order: for networks of three dimensions.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for slices of one volume that differ in size.
    pub fn into_volumes(self) -> Result<Self> {
        let mut volumes: Vec<(String, Vec<Item>)> = Vec::new();
        for item in self.items {
            let place = item.volume_name().to_owned();
            match volumes.last_mut() {
                Some((name, slices)) if *name == place => {
                    if slices[0].extent() != item.extent() {
                        return Err(Error::Mismatch(format!(
                            "{} is {} pixels but {} is {}; wanted slices of one size in a volume",
                            item.name(),
                            item.extent(),
                            slices[0].name(),
                            slices[0].extent()
                        )));
                    }
                    slices.push(item);
                }
                _ => volumes.push((place, vec![item])),
            }
        }
        let items = volumes.into_iter().map(|(name, slices)| Item::of_slices(name, slices)).collect();
        Ok(Self { items })
    }

    /// Bytes that the images, targets and weights take that are in memory, and what is kept of files at most.
    pub fn held_bytes(&self) -> u64 {
        let held = self.items.iter().map(Item::held_bytes);
        let (bytes, room) = held
            .fold((0_u64, u64::MAX), |(sum, room), (bytes, own)| (sum.saturating_add(bytes), room.min(own)));
        bytes.min(room)
    }

    /// Bytes of the blocks of arrays that are kept at most while this set and `others` are read from their files.
    pub(crate) fn block_bytes(&self, others: &Dataset) -> u64 {
        let mut pages = Vec::new();
        self.items.iter().chain(&others.items).for_each(|item| item.add_pages(&mut pages));
        usual_block_bytes(pages)
    }

    /// Whether no image has to be read.
    pub fn is_in_memory(&self) -> bool {
        self.items.iter().all(Item::is_in_memory)
    }

    /// What tells whether all images are in files that are as they were; `None` where one is in memory or was changed, and where it
    /// cannot be known.
    pub fn stamp(&self) -> Option<Stamp> {
        let stamps = self.items.iter().map(Item::stamp).collect::<Option<Vec<_>>>()?;
        Some(stamps.first()?.with(&stamps))
    }

    /// Image `index`, counted from 0, with its target.
    ///
    /// # Errors
    /// As [`Item::sample`].
    ///
    /// # Panics
    /// For an index beyond the last.
    pub fn sample(&self, index: usize) -> Result<Cow<'_, Sample>> {
        self.items[index].sample()
    }

    /// Calls `visit` with each image and its sample, in order; of volumes with each slice. What is not in memory is read ahead by all
    /// threads.
    ///
    /// # Errors
    /// The first error of reading or of `visit`.
    pub fn visit(&self, mut visit: impl FnMut(Place, &Sample) -> Result<()> + Send) -> Result<()> {
        self.tell_of_pass("images and targets");
        let places = self.places();
        in_order(
            places.len(),
            self.reading_bytes(),
            |index| self.at(places[index]).sample(),
            |index, sample| visit(places[index], &sample),
        )
    }

    /// As [`Dataset::visit`], but of each volume first the images of all slices and then their targets, as its fingerprint needs them:
    /// no target is read twice for it.
    ///
    /// # Errors
    /// As [`Dataset::visit`].
    pub fn visit_apart(&self, mut visit: impl FnMut(Place, Visited) -> Result<()> + Send) -> Result<()> {
        self.tell_of_pass("images and targets");
        let mut parts = Vec::new();
        for places in self.places().chunk_by(|one, next| one.item == next.item) {
            match places {
                [place] => parts.push((*place, What::Sample)),
                slices => {
                    for what in [What::Image, What::Target] {
                        parts.extend(slices.iter().map(|place| (*place, what)));
                    }
                }
            }
        }
        let read = |index: usize| {
            let (place, what) = parts[index];
            let item = self.at(place);
            match what {
                What::Sample => item.sample().map(Read::Sample),
                What::Image => item.image().map(Read::Image),
                What::Target => Read::target(item),
            }
        };
        in_order(parts.len(), self.reading_bytes(), read, |index, read| {
            let (place, what) = parts[index];
            visit(place, read.visited(what))
        })
    }

    /// As [`Dataset::visit`], with the images alone.
    ///
    /// # Errors
    /// As [`Dataset::visit`].
    pub(crate) fn visit_images(
        &self,
        mut visit: impl FnMut(Place, &Array3<f32>) -> Result<()> + Send,
    ) -> Result<()> {
        self.tell_of_pass("images");
        let places = self.places();
        in_order(
            places.len(),
            self.reading_bytes(),
            |index| self.at(places[index]).image(),
            |index, image| visit(places[index], &image),
        )
    }

    /// The images one after the other, of volumes the slices.
    fn places(&self) -> Vec<Place> {
        let of_item =
            |(item, slices): (usize, usize)| (0..slices).map(move |slice| Place { item, slice, slices });
        self.items.iter().map(|item| item.slices().len()).enumerate().flat_map(of_item).collect()
    }

    fn at(&self, place: Place) -> &Item {
        &self.items[place.item].slices()[place.slice]
    }

    fn tell_of_pass(&self, what: &str) {
        if !self.is_in_memory() {
            debug!("reading all {what}, {} of each", self.len());
        }
    }

    /// As [`Dataset::visit`], with targets and weights alone.
    ///
    /// # Errors
    /// As [`Dataset::visit`].
    pub fn visit_targets(
        &self,
        mut visit: impl FnMut(Place, &Target, Option<&Array2<f32>>) -> Result<()> + Send,
    ) -> Result<()> {
        self.tell_of_pass("targets");
        let places = self.places();
        let read = |index: usize| Read::target(self.at(places[index]));
        in_order(places.len(), self.reading_bytes(), read, |index, read| {
            match read.visited(What::Target).target() {
                Some((target, weights)) => visit(places[index], target, weights),
                None => Ok(()),
            }
        })
    }

    /// Bytes that are taken while the largest image, or slice of a volume, is read that is not in memory.
    pub fn reading_bytes(&self) -> u64 {
        let in_files = self.items.iter().flat_map(Item::slices).filter(|item| !item.is_in_memory());
        in_files.map(|item| reading_bytes(item.bytes())).max().unwrap_or(0)
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
            let what = if self.items.len() > count { "group of images" } else { "images" };
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
                if self.items.len() > count { "groups of images" } else { "images" }
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
        self.items
            .iter()
            .map(|item| match item.group() {
                Some(group) => *known.entry(group).or_insert_with(&mut number),
                None => number(),
            })
            .collect()
    }

    /// Takes out images in which nothing counts, of those that `may_go` says by their index; where nothing counts in any image,
    /// all stay, for whoever needs labels to say so.
    ///
    /// # Errors
    /// What comes of reading those of which it is not known.
    pub(super) fn pass_over_unlabelled(&mut self, may_go: impl Fn(usize) -> bool) -> Result<()> {
        let goes = |(index, item): (usize, &Item)| Ok(may_go(index) && !item.counts_in(None)?);
        let passed = self.items.iter().enumerate().map(goes).collect::<Result<Vec<bool>>>()?;
        let count = passed.iter().filter(|&&passed| passed).count();
        if count == 0 || count == passed.len() {
            return Ok(());
        }
        let first = passed.iter().position(|&passed| passed).map_or("", |index| self.items[index].name());
        info!(
            "{count} of {} images are passed over, as none of their pixels is labelled or has a weight above 0; the first is {first}",
            passed.len()
        );
        let mut keep = passed.into_iter().map(|passed| !passed);
        self.items.retain(|_| keep.next().unwrap_or(true));
        Ok(())
    }

    fn divided(self, is_validation: &[bool]) -> (Dataset, Dataset) {
        let (mut training, mut validation) = (Vec::new(), Vec::new());
        for (item, is_validation) in self.items.into_iter().zip(is_validation) {
            if *is_validation { validation.push(item) } else { training.push(item) }
        }
        (Dataset { items: training }, Dataset { items: validation })
    }
}

/// Bytes that are taken while a sample of so many bytes is read: its numbers, these as they are stored, and labels as whole numbers.
pub(super) fn reading_bytes(sample: u64) -> u64 {
    sample.saturating_add(sample.saturating_mul(3) / 2)
}

#[cfg(test)]
#[path = "dataset_tests.rs"]
mod tests;
