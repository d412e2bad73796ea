//! Which image belongs to which target, and whether there is memory to hold all of them.

use std::collections::BTreeMap;

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
        let pairs = self.pairs.iter().zip(&self.has_target);
        pairs.filter(|(_, has_target)| **has_target).map(|(pair, _)| pair.clone()).collect()
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
        // Of volumes, all slices.
        let mut all = None;
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
                    _ => self.discovery.pair(&found, &found_targets, "target")?,
                };
                all = Some(found);
                (pairs, None)
            }
        };
        // Said before labels are looked at: those of an image itself are refused for what they look like.
        if let Some(pair) = pairs.iter().find(|pair| !self.learns_alone() && is_same_page(pair)) {
            warn_of_same(pair);
        }
        let pairs = match &self.upscaled {
            Some(upscaled) => upscaled.pairs(pairs)?,
            None => pairs,
        };
        let (pairs, has_target) = match all.filter(|_| self.whole_volumes) {
            Some(slices) => with_unlabelled(pairs, slices),
            None => {
                let count = pairs.len();
                (pairs, vec![true; count])
            }
        };
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

/// The pairs with those of `slices` that have no target, each paired with itself, in the order of the slices; and which of them have
/// one.
fn with_unlabelled(pairs: Vec<Pair>, slices: Vec<ImageSource>) -> (Vec<Pair>, Vec<bool>) {
    let place = |slice: &ImageSource| (slice.place().0.to_owned(), slice.place().1.to_owned(), slice.page);
    let mut targets: BTreeMap<_, _> = pairs.into_iter().map(|pair| (place(&pair.0), pair)).collect();
    let pair = |slice: ImageSource| match targets.remove(&place(&slice)) {
        Some(pair) => (pair, true),
        None => ((slice.clone(), slice), false),
    };
    slices.into_iter().map(pair).unzip()
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
