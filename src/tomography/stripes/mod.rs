//! Removing stripes from sinograms, which become rings in slices.
//!
//! A column of the detector that measures too much or too little does so at every angle: in a sinogram `[angle][column]` it is
//! a stripe along the angle. What is removed here are stripes of attenuation, after the logarithm.
//!
//! - N. T. Vo, R. C. Atwood, M. Drakopoulos, "Superior techniques for eliminating ring artifacts in X-ray
//!   micro-tomography", Optics Express 26(22), 28396, 2018: algorithms 3 to 6.
//! - B. Münch, P. Trtik, F. Marone, M. Stampanoni, "Stripe and ring artifact removal with combined
//!   wavelet-Fourier filtering", Optics Express 17(10), 8567, 2009.

mod faulty;
mod fourier_wavelet;
mod medians;
mod sorting;
mod wavelets;

use ndarray::{ArrayViewMut2, ArrayViewMut3, Axis};
use rayon::prelude::*;

use crate::error::{Error, Result};

/// How stripes are found and removed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stripes {
    /// Columns sorted along the angle are smoothed by the median of `width` columns, and go back to their angles
    /// (Vo et al., algorithm 3). For stripes that are narrower than half of `width`, also those that fade.
    Sorting {
        /// An odd number of columns.
        width: usize,
    },
    /// Columns whose mean stands out are replaced, and all others scaled, but for those that see air only (Vo et al.,
    /// algorithm 5). For stripes that are up to half as wide as `width`.
    Large {
        /// How many times the spread of usual columns a faulty one is away from them: above 1, higher finds fewer.
        ratio: f64,
        /// An odd number of columns.
        width: usize,
    },
    /// Columns that do not respond, or that fluctuate, are bridged from their good neighbours (Vo et al., algorithm 6).
    Dead {
        /// As in [`Stripes::Large`], of how much a column fluctuates.
        ratio: f64,
        /// An odd number of columns.
        width: usize,
    },
    /// [`Stripes::Dead`] and [`Stripes::Large`] with the width `large`, then [`Stripes::Sorting`] with the width `small`.
    All {
        /// As in [`Stripes::Large`].
        ratio: f64,
        /// An odd number of columns.
        large: usize,
        /// An odd number of columns.
        small: usize,
    },
    /// What is constant along the angle is damped where it varies across columns, at each scale of a wavelet decomposition
    /// with Daubechies' wavelet of five vanishing moments (Münch et al.).
    FourierWavelet {
        /// The standard deviation of the Gaussian that is taken out along the angle, in steps of frequency: higher takes more
        /// with the stripes, such as those that fade.
        sigma: f64,
        /// How often the sinogram is halved; `None` halves as often as there is something to halve: log2 of its longer side,
        /// rounded up. Half the width of the widest stripes is removed with log2 of it.
        levels: Option<usize>,
    },
}

impl Stripes {
    /// [`Stripes::Sorting`] as published.
    pub const SORTING: Self = Self::Sorting { width: 21 };
    /// [`Stripes::Large`] as published.
    pub const LARGE: Self = Self::Large { ratio: 3.0, width: 61 };
    /// [`Stripes::Dead`] as published.
    pub const DEAD: Self = Self::Dead { ratio: 3.0, width: 61 };
    /// [`Stripes::All`] as published.
    pub const ALL: Self = Self::All { ratio: 3.0, large: 61, small: 21 };
    /// [`Stripes::FourierWavelet`] as it is widely used. With all levels it also takes coarse shades of the sample, those that are
    /// round about the axis: of foam on 256 columns a quarter of the root mean square, where three levels take a twentieth.
    /// Where absorption is to be measured, give as few levels as the stripes are wide.
    pub const FOURIER_WAVELET: Self = Self::FourierWavelet { sigma: 2.0, levels: None };

    /// The same for a detector of `columns` columns: windows are at most an eighth as wide, as what was published for a thousand columns and
    /// more takes all of a narrow detector for a stripe. Where nobody says how many levels a wavelet has, it has three on 256 columns and one more
    /// each time they double, as all of them would take shades of the sample with the stripes.
    #[must_use]
    pub fn for_columns(self, columns: usize) -> Self {
        const LEAST: usize = 3;
        let most = (columns / 8).max(LEAST);
        let most = most - usize::from(most.is_multiple_of(2));
        let narrow = |width: usize| width.min(most);
        match self {
            Self::Sorting { width } => Self::Sorting { width: narrow(width) },
            Self::Large { ratio, width } => Self::Large { ratio, width: narrow(width) },
            Self::Dead { ratio, width } => Self::Dead { ratio, width: narrow(width) },
            Self::All { ratio, large, small } => {
                Self::All { ratio, large: narrow(large), small: narrow(small) }
            }
            Self::FourierWavelet { sigma, levels: None } => {
                let levels = (columns / 32).checked_ilog2().unwrap_or(0).max(1);
                Self::FourierWavelet { sigma, levels: Some(levels as usize) }
            }
            Self::FourierWavelet { .. } => self,
        }
    }

    /// # Errors
    /// [`Error::Setting`] when a number is out of its range.
    fn check(&self) -> Result<()> {
        let odd = |name: &str, width: usize| {
            if width % 2 == 1 && width <= 1 << 20 {
                return Ok(());
            }
            Err(Error::setting(name, width, "it must be an odd number of columns, such as 21 or 61"))
        };
        let above_one = |ratio: f64| {
            if ratio.is_finite() && ratio > 1.0 {
                return Ok(());
            }
            Err(Error::setting(
                "the ratio by which stripes stand out",
                ratio,
                "it must be above 1, such as 3",
            ))
        };
        const WIDTH: &str = "the width over which stripes are smoothed";
        match *self {
            Self::Sorting { width } => odd(WIDTH, width),
            Self::Large { ratio, width } | Self::Dead { ratio, width } => {
                above_one(ratio).and(odd(WIDTH, width))
            }
            Self::All { ratio, large, small } => {
                above_one(ratio).and(odd(WIDTH, large)).and(odd(WIDTH, small))
            }
            Self::FourierWavelet { sigma, .. } if !(sigma.is_finite() && sigma > 0.0) => Err(Error::setting(
                "the width of the damping of stripes",
                sigma,
                "it must be above 0, such as 2",
            )),
            Self::FourierWavelet { levels: Some(0), .. } => {
                Err(Error::setting("the number of wavelet levels", 0, "it must be at least 1"))
            }
            Self::FourierWavelet { .. } => Ok(()),
        }
    }

    /// Removes stripes from a sinogram in standard layout with finite values. All settings are in their ranges.
    fn apply(&self, sinogram: &mut [f32], columns: usize) {
        match *self {
            Self::Sorting { width } => sorting::remove_by_sorting(sinogram, columns, width),
            Self::Large { ratio, width } => faulty::remove_large(sinogram, columns, ratio, width),
            Self::Dead { ratio, width } => faulty::remove_dead(sinogram, columns, ratio, width),
            Self::All { ratio, large, small } => {
                faulty::remove_dead(sinogram, columns, ratio, large);
                faulty::remove_large(sinogram, columns, ratio, large);
                sorting::remove_by_sorting(sinogram, columns, small);
            }
            Self::FourierWavelet { sigma, levels } => {
                fourier_wavelet::remove(sinogram, columns, sigma, levels);
            }
        }
    }
}

/// Removes stripes from one sinogram `[angle][column]` of attenuation.
///
/// # Errors
/// [`Error::Setting`] when a number of `stripes` is out of its range, and [`Error::Mismatch`] when a value is not a finite number.
/// Then the sinogram is as it was.
pub fn remove_stripes(mut sinogram: ArrayViewMut2<f32>, stripes: &Stripes) -> Result<()> {
    stripes.check()?;
    let columns = sinogram.ncols();
    if sinogram.is_empty() {
        return Ok(());
    }
    if let Some(((angle, column), value)) = sinogram.indexed_iter().find(|(_, value)| !value.is_finite()) {
        return Err(Error::Mismatch(format!(
            "the sinogram is {value} at angle {angle}, column {column}, but stripes are removed from finite numbers only; \
             take the logarithm with repairs first"
        )));
    }
    // In a stack of projections the angles of a row are far apart: a copy of it is quicker to go through.
    let mut values: Vec<f32> = sinogram.iter().copied().collect();
    stripes.apply(&mut values, columns);
    sinogram.iter_mut().zip(values).for_each(|(into, value)| *into = value);
    Ok(())
}

/// Removes stripes from projections `[angle][row][column]` of attenuation: from the sinogram of each row of the detector, many at a
/// time. Needs memory for about five sinograms per thread.
///
/// # Errors
/// As [`remove_stripes`]; then some rows may be done.
pub fn remove_stripes_of_rows(mut projections: ArrayViewMut3<f32>, stripes: &Stripes) -> Result<()> {
    stripes.check()?;
    let sinograms: Vec<_> = projections.axis_iter_mut(Axis(1)).collect();
    sinograms.into_par_iter().enumerate().try_for_each(|(row, sinogram)| {
        remove_stripes(sinogram, stripes).map_err(|error| match error {
            Error::Mismatch(problem) => Error::Mismatch(format!("row {row} of the projections: {problem}")),
            other => other,
        })
    })
}

#[cfg(test)]
mod tests;
