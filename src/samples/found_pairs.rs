//! Which image belongs to which target, and whether there is memory to hold all of them.

use log::{info, warn};

use super::channels::check_channels;
use super::data_files::DataFiles;
use super::dataset::reading_bytes;
use super::pair_list::{self, Pair};
use super::upscaled::{Corner, Upscaled};
use crate::error::{Bytes, Error, Result};
use crate::geometry::Extent;
use crate::images::{ImageSource, page_size};
use crate::memory;

/// The most that is held in memory where nobody says how much.
const MOST_USUALLY_HELD: u64 = 4_000_000_000;

/// Pairs that were found, and what a list says of them.
pub(super) struct FoundPairs {
    pub(super) pairs: Vec<Pair>,
    /// Whether each image has a target; slices of volumes that have none are paired with themselves.
    pub(super) has_target: Vec<bool>,
    pub(super) listed: Option<Vec<(Option<ImageSource>, String)>>,
    pub(super) sizes: Vec<Size>,
    /// Bytes of the largest image in memory, with its target.
    pub(super) largest: u64,
    /// Where the images are not held in memory: bytes that may be kept of their files.
    pub(super) room_beside: Option<u64>,
}

/// What the headers of a pair say.
pub(super) struct Size {
    pub(super) channels: usize,
    pub(super) target_channels: usize,
    pub(super) extent: Extent,
}

impl FoundPairs {
    /// The pairs of images that have a target.
    pub(super) fn labelled(&self) -> Vec<Pair> {
        self.of_labelled(&self.pairs).cloned().collect()
    }

    /// Of what there is for each pair, that of images that have a target.
    pub(super) fn of_labelled<'a, T>(&'a self, all: &'a [T]) -> impl Iterator<Item = &'a T> {
        all.iter().zip(&self.has_target).filter(|(_, has_target)| **has_target).map(|(one, _)| one)
    }

    /// The group of each pair.
    pub(super) fn groups(&self) -> Vec<Option<String>> {
        match &self.listed {
            Some(listed) => listed.iter().map(|(_, group)| Some(group.clone())).collect(),
            None => vec![None; self.pairs.len()],
        }
    }
}

impl DataFiles<'_> {
    /// Pairs images with targets, compares their headers and decides whether they are held in memory, before minutes go by with
    /// reading pixels.
    pub(super) fn checked_pairs(&self, regression: bool) -> Result<FoundPairs> {
        let mut has_target = None;
        let (pairs, listed): (Vec<Pair>, _) = match (self.list, &self.recordings) {
            (_, Some(recordings)) => {
                let (pairs, groups) = self.pairs_of_recordings(recordings)?;
                (pairs, Some(groups.into_iter().map(|group| (None, group)).collect()))
            }
            (Some(list), None) => {
                let listed = pair_list::read(list, &self.discovery, regression)?;
                let (pairs, others) =
                    listed.into_iter().map(|line| (line.pair, (line.weights, line.group))).unzip();
                (pairs, Some(others))
            }
            (None, None) => {
                let found = self.discovery.discover(self.images)?;
                let found_targets = match regression {
                    true => self.discovery.discover_targets(self.targets, &found)?,
                    false => self.discovery.discover_single_channel(self.targets)?,
                };
                let corner = self.upscaled.as_ref().and_then(|upscaled| upscaled.corner);
                let pairs = match corner {
                    Some(Corner { z: Some(z), .. }) => Upscaled::slices_from(z, &found, found_targets, self)?,
                    // Of volumes, slices without labels stay between those that have some.
                    _ if self.whole_volumes && !regression => {
                        let slices = self.discovery.pair_slices(&found, &found_targets, "target")?;
                        has_target = Some(slices.iter().map(|(_, target)| target.is_some()).collect());
                        let paired = |(image, target): (ImageSource, Option<ImageSource>)| match target {
                            Some(target) => (image, target),
                            None => (image.clone(), image),
                        };
                        slices.into_iter().map(paired).collect()
                    }
                    _ => self.discovery.pair(&found, &found_targets, "target")?,
                };
                (pairs, None)
            }
        };
        // Said before labels are looked at: those of an image itself are refused for what they look like.
        let same = |index: usize| has_target.as_ref().is_none_or(|has: &Vec<bool>| has[index]);
        let own_target = pairs.iter().enumerate().find(|(index, pair)| same(*index) && is_same_page(pair));
        if let Some((_, pair)) = own_target.filter(|_| !self.learns_alone()) {
            warn_of_same(pair);
        }
        let pairs = match &self.upscaled {
            Some(upscaled) => upscaled.pairs(pairs)?,
            None => pairs,
        };
        let has_target: Vec<bool> = has_target.unwrap_or_else(|| vec![true; pairs.len()]);
        let (mut bytes, mut largest) = (0_u64, 0);
        let mut sizes = Vec::new();
        let weight_bytes = if self.weights.is_some() || self.list.is_some() { size_of::<f32>() } else { 0 };
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
                "the images of {} and their targets ({} of each) would take {} in memory, more than the {} of `cache`: they stay in their files, are read through first, to be measured, and then piece by piece",
                self.images,
                pairs.len(),
                Bytes(bytes),
                Bytes(room)
            );
            let what = format!("the largest image of {} and its target", self.images);
            memory::check(&what, reading_bytes(largest), "cut the images into smaller ones")?;
        }
        Ok(FoundPairs { pairs, has_target, listed, sizes, largest, room_beside })
    }
}

/// Bytes of images that are held in memory where nobody says how many: half of what is free, and no more than a few.
fn usual_cache() -> u64 {
    memory::free().map_or(MOST_USUALLY_HELD, |free| (free.bytes / 2).min(MOST_USUALLY_HELD))
}

/// Whether a target is in the file and page of its image.
pub(super) fn is_same_page((image, target): &Pair) -> bool {
    image.page == target.page && (image.path == target.path || image.real_path() == target.real_path())
}

pub(super) fn warn_of_same((image, target): &Pair) {
    warn!(
        "the target {} of {} holds the pixels of the image itself; check that `targets` names the targets, or give `target_suffix` where they are in one folder with the images",
        target.name(),
        image.name()
    );
}
