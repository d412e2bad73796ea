//! Random changes of what a network is shown, so that few images teach what many would.
//!
//! - `strengths`: what one sample drew.
//! - `geometry`: turning, scaling and bending, of image, target and weights alike, in one interpolation; `volume_geometry`: of volumes.
//! - `elastic`: the smooth random displacements that bend.
//! - `intensity`: blur, contrast, brightness, gamma and noise, of the image alone.
//!
//! Each sample draws its own strength evenly between nothing and the strength that is set. What the n-th sample of
//! a run becomes depends on the seed and n alone.
//!
//! The image alone changes in brightness: a regression learns to give the same target whatever the brightness.

mod elastic;
mod geometry;
mod intensity;
mod strengths;
mod volume_geometry;

use rand_chacha::ChaCha8Rng;

use self::geometry::Geometry;
use self::strengths::Strengths;
use self::volume_geometry::VolumeGeometry;
use super::item::Item;
use super::random::{Stream, stream, uniform};
use super::sample::Sample;
use super::sampling::{Draw, cut};
use crate::error::{Error, Result};
use crate::settings::{Heading, Setting, declare_settings};

declare_settings! {
    /// How strongly samples are changed at most; 0 leaves something as it is.
    ///
    /// Intensities are those of the normalised image, so their unit is its standard deviation.
    #[derive(Debug, Clone, Copy, PartialEq)]
    pub struct Augmentation in Some("augmentation");
    required {}
    settings {
        /// Turn by up to this, either way.
        ///
        /// About the middle of the piece; of volumes about an axis in any direction, or along z where
        /// symmetries are not all or voxels are longer than wide.
        rotate: f64 = 0.0 => under("DEGREES");
        /// Enlarge or shrink by up to this: 0.1 for a factor of 1/1.1 to 1.1.
        ///
        /// About the middle of the piece; the logarithm of the factor is even. Of volumes along z too where
        /// symmetries are all and voxels as long as wide.
        scale: f64 = 0.0 => under("FRACTION");
        /// Bend: displace points 64 pixels apart by this standard deviation, and those between them smoothly.
        ///
        /// By a normal random vector, whose parts along the axes have this standard deviation each; of volumes along z too where
        /// symmetries are all and voxels as long as wide.
        elastic: f64 = 0.0 => under("PIXELS");
        /// Blur with a Gaussian of up to this standard deviation.
        blur: f64 = 0.0 => under("PIXELS");
        /// Multiply by a factor between 1/(1+X) and 1+X.
        ///
        /// The logarithm of the factor is even.
        contrast: Option<f64> = None => under("X")
            .described_default("0, or 0.3 where labels are strokes and images differ in brightness");
        /// Brighten or darken by up to X, where 1 is the standard deviation of the normalised image.
        ///
        /// By the same for all pixels and channels.
        brightness: Option<f64> = None => under("X")
            .described_default("0, or 0.2 where labels are strokes and images differ in brightness");
        /// Raise the brightness (0 at the darkest, 1 at the brightest pixel) to a power between 1/(1+X) and 1+X.
        ///
        /// Darkest and brightest of each channel; the logarithm of the power is even.
        gamma: f64 = 0.0 => under("X");
        /// Photon noise, of up to X standard deviations at the mean brightness.
        ///
        /// Photons are counted: the variance grows with the brightness over the darkest pixel of a channel.
        poisson: f64 = 0.0 => under("X");
        /// Normal noise of up to X standard deviations.
        ///
        /// Each pixel has its own.
        noise: f64 = 0.0 => under("X");
    }
    parts {}
}

const fn under(value_name: &'static str) -> Setting {
    Setting::under(Heading::Augmentation, value_name)
}

impl Default for Augmentation {
    fn default() -> Self {
        Self::with_required()
    }
}

impl Augmentation {
    /// Whether nothing is changed.
    pub fn is_off(&self) -> bool {
        let zero = |strength: Option<f64>| strength.is_none_or(|strength| strength == 0.0);
        let others = Self { contrast: None, brightness: None, ..*self };
        others == Self::default() && zero(self.contrast) && zero(self.brightness)
    }

    /// Checks the strengths.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the first that cannot be used.
    pub fn validate(&self) -> Result<()> {
        // Beyond a quarter of the control points' distance, displacements would fold the image over itself.
        let fold = elastic::SPACING as f64 / 4.0;
        let limits = [
            ("rotate", self.rotate, 180.0, "degrees"),
            ("scale", self.scale, 1.0, "(1 for a factor of 2)"),
            ("elastic", self.elastic, fold, "pixels"),
            ("blur", self.blur, 10.0, "pixels"),
            ("contrast", self.contrast.unwrap_or(0.0), 10.0, "(1 for a factor of 2)"),
            ("brightness", self.brightness.unwrap_or(0.0), 10.0, "standard deviations"),
            ("gamma", self.gamma, 10.0, "(1 for a power of 2)"),
            ("poisson", self.poisson, 10.0, "standard deviations"),
            ("noise", self.noise, 10.0, "standard deviations"),
        ];
        for (name, strength, most, unit) in limits {
            if !(0.0..=most).contains(&strength) {
                return Err(Error::setting(name, strength, format!("it must be from 0 to {most} {unit}")));
            }
        }
        Ok(())
    }

    /// The piece of `item` that `draw` takes, changed as the `n`-th sample of a run by `seed`. Of an image in files no more is read
    /// than the piece is made of.
    ///
    /// A piece that is turned, scaled or bent takes in what the image shows around it; beyond the image's edge, image,
    /// target and weights are mirrored.
    ///
    /// # Errors
    /// As [`Item::sample`].
    ///
    /// # Panics
    /// For a crop that does not lie inside the image, which the sampler of its size does not draw.
    pub fn apply(&self, item: &Item, draw: &Draw, seed: u64, n: u64) -> Result<Sample> {
        let plain = || Ok(cut(&item.part(|| draw.window(item.extent()))?, draw));
        if self.is_off() {
            return plain();
        }
        let mut random = stream(seed, Stream::Augmentation, n);
        let strengths = self.strengths(&mut random);
        let (whole, random) = (item.extent(), &mut random);
        let changed = if whole.z > 1 {
            let geometry = VolumeGeometry::new(whole, draw, &strengths, random);
            geometry.map(|geometry| Ok(geometry.apply(&item.part(|| geometry.window())?)))
        } else {
            let geometry = Geometry::new(whole, draw, &strengths, random);
            geometry.map(|geometry| Ok(geometry.apply(&item.part(|| geometry.window())?)))
        };
        let mut piece = changed.unwrap_or_else(plain)?;
        let slices = piece.slices;
        intensity::apply(&mut piece.image, slices, &strengths, random);
        Ok(piece)
    }

    fn strengths(&self, random: &mut ChaCha8Rng) -> Strengths {
        let mut even = || uniform(random);
        let mut signed = || 2.0 * even() - 1.0;
        let (degrees, factor) = (self.rotate * signed(), (1.0 + self.scale).powf(signed()));
        let (contrast, brightness) = (self.contrast.unwrap_or(0.0), self.brightness.unwrap_or(0.0));
        let (contrast, brightness) = ((1.0 + contrast).powf(signed()), brightness * signed());
        let gamma = (1.0 + self.gamma).powf(signed());
        Strengths {
            degrees,
            factor,
            contrast,
            brightness,
            gamma,
            elastic: self.elastic * even(),
            blur: self.blur * even(),
            poisson: self.poisson * even(),
            noise: self.noise * even(),
        }
    }
}

#[cfg(test)]
#[path = "augmentation_tests.rs"]
mod tests;
