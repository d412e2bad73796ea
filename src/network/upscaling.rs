//! Images that a network sees on a finer grid than they have, as far as applying it depends on that.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How coarse images came about that were made from fine ones.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Coarsening {
    /// The standard deviation of the Gaussian that blurred them before, in fine pixels; 0 for none.
    pub blur: f64,
    /// The standard deviation of the noise that was added after, in the units of the images; 0 for none.
    pub noise: f64,
}

/// What comes before a network that learnt to find a fine image from a coarse one: interpolation onto the fine grid.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Upscaling {
    /// Fine pixels along a coarse one, in y and x.
    pub factor: usize,
    /// How the coarse images came about, where it learnt from fine images alone.
    pub coarsening: Option<Coarsening>,
}

impl Upscaling {
    /// The factors that there are.
    pub const FACTORS: std::ops::RangeInclusive<usize> = 2..=4;

    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for those that no training gives.
    pub(super) fn validate(&self) -> Result<()> {
        let of_noise = self.coarsening.is_none_or(|Coarsening { blur, noise }| {
            [blur, noise].iter().all(|deviation| deviation.is_finite() && *deviation >= 0.0)
        });
        if Self::FACTORS.contains(&self.factor) && of_noise {
            return Ok(());
        }
        Err(Error::Mismatch(format!(
            "the model brings images onto another grid by {self:?}; wanted a factor from {} to {} and deviations from 0 on; train it again",
            Self::FACTORS.start(),
            Self::FACTORS.end()
        )))
    }
}
