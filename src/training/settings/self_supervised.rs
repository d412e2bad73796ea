//! Learning without clean images: from recordings of the same slices, or from images alone.

use std::ops::Range;

use super::Settings;
use crate::geometry::Footprint;
use crate::network::{SelfSupervised, SplitScheme, Splits, TaskKind};
use crate::samples::{BlindSpots, Replacement};
use crate::{Error, Result};

/// How far pixels that are hidden are from the one in their middle, where nobody says how far.
const EXTENT_OF_SPOTS: usize = 4;
/// Beyond this many pixels from the middle, a hidden one has nothing to do with it.
const MOST_EXTENT: usize = 32;

impl Settings {
    /// Takes the recordings at `splits` for each other's targets, in the place of images and targets.
    pub fn learn_from_splits(&mut self, splits: Vec<String>) {
        // What is said of the images of a run is said of the first recording.
        let first = splits.first().cloned().unwrap_or_default();
        (self.images, self.targets) = (first.clone(), first);
        self.splits = splits;
    }

    /// What is learnt from in the place of clean images, where that is so.
    pub(in crate::training) fn self_supervised(&self) -> Option<SelfSupervised> {
        let (count, scheme) = (self.splits.len(), self.scheme);
        if self.alone {
            let mask = self.blind_mask;
            return Some(SelfSupervised::BlindSpots { mask, extent: self.extent_of_spots() });
        }
        (count > 0).then_some(SelfSupervised::Splits(Splits { count, scheme }))
    }

    /// Takes the images for their own targets, of which the network is shown what is around each pixel.
    pub fn learn_alone(&mut self) {
        self.alone = true;
        self.targets.clone_from(&self.images);
    }

    fn extent_of_spots(&self) -> usize {
        match self.blind_mask {
            Footprint::Point => 0,
            _ => self.blind_extent.unwrap_or(EXTENT_OF_SPOTS),
        }
    }

    /// Which of `channels` are those of the slice that the result is for.
    pub(in crate::training) fn middle_channels(&self, channels: usize) -> Range<usize> {
        let slab = self.slab.max(1);
        let each = channels / slab;
        slab / 2 * each..(slab / 2 + 1) * each
    }

    /// The pixels that are hidden in images of so many `channels`, where they are learnt alone.
    pub(in crate::training) fn blind_spots(&self, channels: usize) -> Option<BlindSpots> {
        let channels = self.middle_channels(channels);
        let (replacement, footprint, extent) = (self.blind_spot, self.blind_mask, self.extent_of_spots());
        self.alone.then_some(BlindSpots { replacement, footprint, extent, channels })
    }

    /// Checks images that are learnt alone.
    pub(super) fn validate_alone(&self) -> Result<()> {
        if !self.alone {
            let of_spots = [
                ("blind_spot", self.blind_spot != Replacement::default()),
                ("blind_mask", self.blind_mask != Footprint::default()),
                ("blind_extent", self.blind_extent.is_some()),
            ];
            return of_spots.into_iter().find(|(_, is_set)| *is_set).map_or(Ok(()), |(name, _)| {
                let wanted = "it says which pixels are hidden from a network that learns without targets; give `alone` too";
                Err(Error::setting(name, "given without `alone`", wanted))
            });
        }
        if self.task == TaskKind::Segment {
            let wanted = "classes cannot be learnt from the images alone; denoise them, or give `targets`";
            return Err(Error::setting("alone", "given for a segmentation", wanted));
        }
        let others = [
            ("targets", self.targets != self.images),
            ("splits", !self.splits.is_empty()),
            ("pairs", self.pairs.is_some()),
            ("weights", self.weights.is_some()),
            ("val_images", self.val_images.is_some()),
            ("target_suffix", self.target_suffix.is_some()),
            ("slices_of_targets", self.slices_of_targets.is_some()),
        ];
        if let Some((name, _)) = others.into_iter().find(|(_, is_set)| *is_set) {
            let wanted = format!("the images are learnt from themselves; leave `{name}` out, or `alone`");
            return Err(Error::setting("alone", format!("given beside `{name}`"), wanted));
        }
        if !self.augmentation.is_off() {
            let wanted = "what changes the images would change their noise or spread it over pixels; leave `augmentation` out";
            return Err(Error::setting("alone", "given beside random changes of the images", wanted));
        }
        if let Some(extent) = self.blind_extent.filter(|extent| !(1..=MOST_EXTENT).contains(extent)) {
            return Err(Error::setting(
                "blind_extent",
                extent,
                format!("it must be from 1 to {MOST_EXTENT} pixels"),
            ));
        }
        Ok(())
    }

    /// Checks recordings that are each other's targets.
    pub(super) fn validate_splits(&self) -> Result<()> {
        let Some(first) = self.splits.first() else {
            if self.scheme == SplitScheme::default() {
                return Ok(());
            }
            let wanted = "it says which recordings are learnt from which; give these with `splits`";
            return Err(Error::setting("scheme", format!("{} without `splits`", self.scheme), wanted));
        };
        if self.task == TaskKind::Segment {
            let wanted = "recordings of the same slices have no classes; denoise with them, or give `images` and `targets`";
            return Err(Error::setting("splits", "given for a segmentation", wanted));
        }
        if self.splits.len() < 2 {
            let wanted = "each is learnt from the others; give at least two recordings of the same slices";
            return Err(Error::setting("splits", format!("{first} alone"), wanted));
        }
        let others = [
            ("images", self.images != *first),
            ("targets", self.targets != *first),
            ("pairs", self.pairs.is_some()),
            ("weights", self.weights.is_some()),
            ("target_suffix", self.target_suffix.is_some()),
            ("slices_of_targets", self.slices_of_targets.is_some()),
        ];
        if let Some((name, _)) = others.into_iter().find(|(_, is_set)| *is_set) {
            let wanted = format!("the recordings are images and targets of each other; leave `{name}` out");
            return Err(Error::setting("splits", format!("given beside `{name}`"), wanted));
        }
        if self.val_images.is_some() {
            let wanted = "recordings are judged by slices of their own; set some aside with `val_fraction`, or leave `val_images` out";
            return Err(Error::setting("splits", "given beside `val_images`", wanted));
        }
        Ok(())
    }
}
