//! Learning to find fine images from coarse ones.

use super::{IN_MEMORY, Settings};
use crate::network::{Coarsening, TaskKind, Upscaling};
use crate::samples::Corner;
use crate::{Error, Result};

/// Beyond this many fine pixels a blur leaves nothing of a factor of up to 4.
const MOST_BLUR: f64 = 16.0;

impl Settings {
    /// Takes the images for the targets, from which the coarse images are made.
    pub fn coarsen_images(&mut self) {
        self.targets.clone_from(&self.images);
        self.val_targets.clone_from(&self.val_images);
    }

    /// Whether the images are fine ones, from which the coarse ones are made.
    pub fn coarsens(&self) -> bool {
        self.factor > 1 && self.images == self.targets && self.images != IN_MEMORY && self.pairs.is_none()
    }

    /// How images are brought onto a finer grid, where they are; those in memory are there already.
    pub(in crate::training) fn upscaling(&self) -> Option<Upscaling> {
        let coarsening = Coarsening { blur: self.coarse_blur, noise: self.coarse_noise };
        let coarsening = self.coarsens().then_some(coarsening);
        (self.factor > 1).then_some(Upscaling { factor: self.factor, coarsening })
    }

    /// Where in the coarse images the corner of the fine ones lies.
    ///
    /// # Errors
    /// [`Error::Setting`] for a text that says no place.
    pub(in crate::training) fn corner(&self) -> Result<Option<Corner>> {
        self.at.as_deref().map(str::parse).transpose()
    }

    /// Checks what images on a finer grid are learnt from.
    pub(super) fn validate_upscaling(&self) -> Result<()> {
        let factors = Upscaling::FACTORS;
        if self.factor == 1 {
            let of_upscaling = [
                ("coarse_blur", self.coarse_blur != 0.0),
                ("coarse_noise", self.coarse_noise != 0.0),
                ("at", self.at.is_some()),
            ];
            return of_upscaling.into_iter().find(|(_, is_set)| *is_set).map_or(Ok(()), |(name, _)| {
                let wanted = "it is about images that are to become finer; give `factor` too";
                Err(Error::setting(name, "given without `factor`", wanted))
            });
        }
        if !factors.contains(&self.factor) {
            let wanted = format!(
                "it must be {}, 3 or {}, or 1 for images that stay as they are",
                factors.start(),
                factors.end()
            );
            return Err(Error::setting("factor", self.factor, wanted));
        }
        if self.task == TaskKind::Segment {
            let wanted = "a segmentation has the grid of its images; leave it out, or upscale";
            return Err(Error::setting("factor", "given for a segmentation", wanted));
        }
        if self.alone || !self.splits.is_empty() {
            let found = format!("given beside `{}`", if self.alone { "alone" } else { "splits" });
            let wanted = "noise and pixels are found by networks of their own; denoise first, then upscale";
            return Err(Error::setting("factor", found, wanted));
        }
        if !self.augmentation.is_off() {
            let wanted = "what changes images at random changes what the network is to find in them; leave `augmentation` out";
            return Err(Error::setting("factor", "given beside random changes of the images", wanted));
        }
        let corner = self.corner()?;
        for (name, value, most) in
            [("coarse_blur", self.coarse_blur, MOST_BLUR), ("coarse_noise", self.coarse_noise, f64::MAX)]
        {
            if !(0.0..=most).contains(&value) {
                let wanted = match most == MOST_BLUR {
                    true => format!("it must be from 0 to {MOST_BLUR} fine pixels"),
                    false => "it must be a number from 0 on, in the units of the images".into(),
                };
                return Err(Error::setting(name, value, wanted));
            }
            if value > 0.0 && !self.coarsens() {
                let wanted =
                    "the coarse images are there, with their own blur and noise; leave it out, or `targets`";
                return Err(Error::setting(name, "given beside `targets`", wanted));
            }
        }
        if self.coarsens() {
            let others = [
                ("at", corner.is_some()),
                ("weights", self.weights.is_some()),
                ("target_suffix", self.target_suffix.is_some()),
                ("slices_of_targets", self.slices_of_targets.is_some()),
                ("val_targets", self.val_targets != self.val_images),
            ];
            if let Some((name, _)) = others.into_iter().find(|(_, is_set)| *is_set) {
                let wanted =
                    format!("coarse images are made of fine ones; leave `{name}` out, or give `targets`");
                return Err(Error::setting(name, "given for fine images alone", wanted));
            }
        }
        if corner.is_some() {
            let others = [
                ("pairs", self.pairs.is_some()),
                ("weights", self.weights.is_some()),
                ("val_images", self.val_images.is_some()),
                ("slices_of_targets", self.slices_of_targets.is_some()),
            ];
            if let Some((name, _)) = others.into_iter().find(|(_, is_set)| *is_set) {
                let wanted =
                    format!("it says where `targets` lie in `images` and no others; leave `{name}` out");
                return Err(Error::setting("at", format!("given beside `{name}`"), wanted));
            }
        }
        Ok(())
    }
}
