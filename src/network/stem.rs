//! Fixed filters in front of the layers: the *stem*.
//!
//! A network that learns from a few brush strokes has to find filters first that tell textures, edges and blobs apart. The stem has
//! them from the start: each channel of the image is smoothed with Gaussians of a few scales, and of each smoothed image the stem
//! gives four *responses*. They stand beside the channels of the image, as more channels that all layers read.
//!
//! With g the image smoothed at scale s, and central differences of neighbouring pixels for its derivatives,
//!
//! ```text
//! 0  g
//! 1  s sqrt(g_x² + g_y²)                                                 strength of the edge
//! 2  s² ( (g_xx + g_yy)/2 + sqrt( ((g_xx - g_yy)/2)² + g_xy² ) )         larger eigenvalue of the Hessian
//! 3  s² ( (g_xx + g_yy)/2 - sqrt( ((g_xx - g_yy)/2)² + g_xy² ) )         smaller one
//! ```
//!
//! These are the features that interactive segmentation by random forests has used for long (ilastik, Trainable Weka Segmentation).
//! Each is then shifted and multiplied, by two numbers of [`ParameterLayout::stem`](super::ParameterLayout::stem) that are measured on
//! the training images and not learnt, so that it has a mean of 0 and a deviation of 1 there. Image and smoothed image continue beyond their edges
//! as the network's boundary says.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Responses of one scale.
pub const RESPONSES: usize = 4;
/// Most scales of a stem.
const MAX_SCALES: usize = 16;
/// Smallest and largest scale, in hundredths of a pixel.
const SCALE_RANGE: std::ops::RangeInclusive<u32> = 30..=3_000;

/// The standard deviation of a Gaussian, in whole hundredths of a pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "f64", into = "f64")]
pub struct Scale(u32);

impl From<f64> for Scale {
    /// To the nearest hundredth; what is no number of pixels becomes 0, which [`Stem::validate`] refuses.
    fn from(pixels: f64) -> Self {
        Self((100.0 * pixels).round() as u32)
    }
}

impl From<Scale> for f64 {
    fn from(scale: Scale) -> Self {
        scale.pixels()
    }
}

impl Scale {
    /// The standard deviation in pixels.
    pub fn pixels(self) -> f64 {
        f64::from(self.0) / 100.0
    }

    /// How many pixels to either side its Gaussian reaches: three standard deviations.
    pub fn radius(self) -> usize {
        (3 * self.0).div_ceil(100) as usize
    }

    /// The weights of the pixels at distances 0, 1 and so on to the radius; over both sides they sum to 1.
    pub fn weights(self) -> Vec<f64> {
        let s = self.pixels();
        let heights: Vec<f64> = (0..=self.radius()).map(|d| (-0.5 * (d as f64 / s).powi(2)).exp()).collect();
        let sum = 2.0 * heights.iter().sum::<f64>() - heights[0];
        heights.into_iter().map(|height| height / sum).collect()
    }
}

/// Fixed filters in front of the layers; none unless there are scales.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Stem {
    /// The scales, ascending.
    pub scales: Vec<Scale>,
}

impl Stem {
    /// The scales that were found to do: more gained nothing.
    pub fn usual() -> Self {
        Self { scales: [0.7, 1.6, 3.5, 8.0].map(Scale::from).to_vec() }
    }

    /// Whether there are no filters.
    pub fn is_none(&self) -> bool {
        self.scales.is_empty()
    }

    /// Responses for each channel of the image.
    pub fn responses(&self) -> usize {
        RESPONSES * self.scales.len()
    }

    /// How many pixels to either side a response depends on.
    pub fn reach(&self) -> usize {
        // Derivatives are taken of neighbouring pixels.
        self.scales.iter().map(|scale| scale.radius() + 1).max().unwrap_or(0)
    }

    /// Checks that the scales are usable.
    ///
    /// # Errors
    /// [`Error::Setting`] where they are not.
    pub fn validate(&self) -> Result<()> {
        let wanted = format!(
            "it must be sizes from {} to {} pixels, at most {MAX_SCALES} and ascending, such as 0.7,1.6,3.5,8",
            f64::from(*SCALE_RANGE.start()) / 100.0,
            f64::from(*SCALE_RANGE.end()) / 100.0
        );
        let usable = self.scales.len() <= MAX_SCALES
            && self.scales.iter().all(|scale| SCALE_RANGE.contains(&scale.0))
            && self.scales.is_sorted_by(|a, b| a < b);
        if usable { Ok(()) } else { Err(Error::setting("stem", self, wanted)) }
    }
}

impl std::fmt::Display for Stem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_none() {
            return f.write_str("none");
        }
        let texts: Vec<String> = self.scales.iter().map(|scale| scale.pixels().to_string()).collect();
        f.write_str(&texts.join(","))
    }
}

impl std::str::FromStr for Stem {
    type Err = Error;

    /// Reads `none` or sizes in pixels, such as `0.7,1.6,3.5,8`.
    fn from_str(text: &str) -> Result<Self> {
        if text.trim() == "none" {
            return Ok(Self::default());
        }
        let wanted = "it must be none, or sizes in pixels such as 0.7,1.6,3.5,8";
        let number = |part: &str| part.trim().parse::<f64>().ok().filter(|scale| scale.is_finite());
        let scales: Option<Vec<Scale>> = text.split(',').map(|part| number(part).map(Scale::from)).collect();
        let stem =
            Self { scales: scales.ok_or_else(|| Error::setting("stem", format!("'{text}'"), wanted))? };
        stem.validate().map(|()| stem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_read_and_refused() {
        let usual: Stem = "0.7, 1.6,3.5,8".parse().unwrap();
        assert_eq!(usual, Stem::usual());
        assert_eq!(usual.to_string(), "0.7,1.6,3.5,8");
        assert_eq!("none".parse::<Stem>().unwrap(), Stem::default());
        for bad in ["", "a", "0", "1,1", "2,1", "-1", "0.1", "31", "nan", "inf", "1,,2", "1e300"] {
            let error = bad.parse::<Stem>().unwrap_err().to_string();
            assert!(error.contains("0.7,1.6,3.5,8"), "{bad}: {error}");
        }
        let text = serde_json::to_string(&usual).unwrap();
        assert_eq!(text, "[0.7,1.6,3.5,8.0]");
        assert_eq!(serde_json::from_str::<Stem>(&text).unwrap(), usual);
    }

    #[test]
    fn weights_are_those_of_a_gaussian() {
        let weights = Scale::from(1.6).weights();
        assert_eq!(weights.len(), 1 + 5);
        let sum = 2.0 * weights.iter().sum::<f64>() - weights[0];
        assert!((sum - 1.0).abs() < 1e-15);
        assert!((weights[2] / weights[0] - (-0.5f64 * (2.0f64 / 1.6).powi(2)).exp()).abs() < 1e-15);
        assert_eq!(Stem::usual().reach(), 25);
        assert_eq!(Stem::default().reach(), 0);
    }
}
