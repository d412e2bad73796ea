//! How far two measurements of the same thing agree, by frequency: Fourier ring correlation of images and Fourier shell
//! correlation of volumes, and the resolution that follows.
//!
//! - [`Spectrum`]: the Fourier transform of one of the two.
//! - [`FourierCorrelation`]: their correlation in each shell of frequencies; [`Threshold`]: what it has to exceed.
//!
//! Saxton & Baumeister, "The correlation averaging of a regularly arranged bacterial cell envelope protein", Journal of Microscopy
//! 127, 1982; Harauz & van Heel, "Exact filters for general geometry three dimensional reconstruction", Optik 73, 1986.

mod correlation;
mod spectrum;

pub use correlation::{Crossing, FourierCorrelation, Shell, Threshold};
pub use spectrum::{Spectrum, Support};

#[cfg(test)]
mod tests;
