//! By what numbers are multiplied before they are split into halves (f16) for matrix units.
//!
//! Halves reach from 6e-8 to 65504, and have all their bits from 6e-5 on. The gradient of a mean loss is about one over the number of
//! pixels, which the second halves of large images would lose; images of photon counts can be above the largest half. So both
//! are multiplied by a power of two that brings their largest numbers near 1, which is exact, and the sums divided by it.

use rayon::prelude::*;

use super::params::LossCall;
use crate::engine::{Images, Targets};

/// Powers of two for one batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct SplitFactors {
    /// For gradient maps.
    gradients: f32,
    /// For feature maps.
    maps: f32,
}

impl Default for SplitFactors {
    fn default() -> Self {
        Self { gradients: 1.0, maps: 1.0 }
    }
}

impl SplitFactors {
    /// Those for the gradient of a loss that is multiplied by `scale`.
    pub fn of(images: &Images, targets: &Targets, scale: f32) -> Self {
        let heaviest = targets.weights.as_deref().map_or(1.0, largest);
        Self { gradients: towards_one(scale.abs() * heaviest), maps: towards_one(largest(&images.pixels)) }
    }

    /// What kernels get of them.
    pub fn call(self) -> LossCall {
        LossCall {
            gradient_factor: self.gradients,
            map_factor: self.maps,
            both_factors_inverse: 1.0 / self.gradients / self.maps,
            ..Default::default()
        }
    }
}

/// The largest magnitude; numbers that are none are left out, as they spoil what they meet in any case.
fn largest(numbers: &[f32]) -> f32 {
    numbers.par_chunks(1 << 16).map(largest_of_piece).reduce(|| 0.0, f32::max)
}

fn largest_of_piece(numbers: &[f32]) -> f32 {
    // Sixteen maxima at a time, which compilers turn into vector instructions.
    let mut largest = [0.0f32; 16];
    let (chunks, rest) = numbers.as_chunks::<16>();
    for chunk in chunks {
        for (most, number) in largest.iter_mut().zip(chunk) {
            *most = if number.abs() > *most { number.abs() } else { *most };
        }
    }
    largest.into_iter().chain(rest.iter().map(|number| number.abs())).fold(0.0, f32::max)
}

/// The power of two that brings `largest` to between 1 and 2, within what floats and their inverses can hold; 1 where there is
/// nothing to bring.
fn towards_one(largest: f32) -> f32 {
    if !largest.is_normal() {
        return 1.0;
    }
    // The exponent as floats keep it, from 1 to 254 for 2^-126 to 2^127.
    let exponent = (largest.to_bits() >> 23 & 0xff) as i32 - 127;
    2.0f32.powi((-exponent).clamp(-60, 60))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::TargetValues;
    use crate::geometry::{Extent, Shape};

    #[test]
    fn the_largest_numbers_come_near_one() {
        for number in [1.0, 1.5, 3.0e-7, 65535.0, 1.0e12, f32::MIN_POSITIVE, f32::MAX] {
            let factor = towards_one(number);
            assert_eq!(factor.to_bits() & 0x7f_ffff, 0, "{factor} is no power of two");
            let near = number * factor;
            assert!((1.0..2.0).contains(&near) || factor == 2.0f32.powi(60) || factor == 2.0f32.powi(-60));
        }
        assert_eq!([0.0, f32::NAN, f32::INFINITY].map(towards_one), [1.0; 3]);
    }

    #[test]
    fn factors_follow_the_batch_and_their_inverse_takes_them_back() {
        let shape = Shape { batch: 1, extent: Extent::plane(5, 8) };
        let mut pixels = vec![1.0; 40];
        pixels[37] = -40_000.0;
        pixels[3] = f32::NAN;
        let images = Images { shape, pixels };
        let mut targets = Targets { values: TargetValues::Classes(vec![0; 40]), weights: None };
        let scale = 1.0 / 1024.0;
        let factors = SplitFactors::of(&images, &targets, scale);
        assert_eq!(factors, SplitFactors { gradients: 1024.0, maps: 1.0 / 32768.0 });
        let call = factors.call();
        assert_eq!(call.gradient_factor * call.map_factor * call.both_factors_inverse, 1.0);
        targets.weights = Some(vec![8.0; 40]);
        assert_eq!(SplitFactors::of(&images, &targets, scale).gradients, 128.0);
    }
}
