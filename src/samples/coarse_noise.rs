//! Noise of coarse images, in the fine ones that these were brought onto the grid of.
//!
//! Interpolation is linear: that of an image with noise is that of the image and that of the noise together. So the noise is drawn on
//! the coarse grid, brought onto the fine one and added there, anew for each piece that is shown.

use ndarray::Array3;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::random::{Stream, stream};
use super::sample::Sample;
use super::sampling::Draw;
use super::upscaled::Interpolation;
use crate::error::Result;
use crate::geometry::{Extent, Window};
use crate::images::Resampling;

/// Normal noise of each pixel of coarse images, which does not depend on that of others.
#[derive(Debug, Clone, PartialEq)]
pub struct CoarseNoise {
    /// Fine pixels along a coarse one.
    pub factor: usize,
    /// How the coarse images are brought onto the grid of the fine ones.
    pub interpolation: Interpolation,
    /// The standard deviation in each channel, in the units of the samples.
    pub deviations: Vec<f32>,
}

impl CoarseNoise {
    /// Adds that of the `n`-th sample of a run by `seed`, which `draw` took of an image of `whole`.
    ///
    /// # Errors
    /// [`crate::Error::Input`] for more than there is memory for.
    pub fn add(&self, sample: &mut Sample, draw: &Draw, whole: Extent, seed: u64, n: u64) -> Result<()> {
        let window = draw.window(whole);
        let noise =
            self.of_window(&window, whole, &sample.name, &mut stream(seed, Stream::CoarseNoise, n))?;
        sample.image += &draw.symmetry.apply(&noise.view());
        Ok(())
    }

    /// Adds that of the `n`-th image of a set that is judged by, which is always the same.
    ///
    /// # Errors
    /// As [`CoarseNoise::add`].
    pub fn add_to_judge(&self, sample: &mut Sample, seed: u64, n: u64) -> Result<()> {
        let whole = Extent::plane(sample.image.dim().1, sample.image.dim().2);
        let mut random = stream(seed, Stream::CoarseNoiseToJudge, n);
        let noise = self.of_window(&Window::whole(whole), whole, &sample.name, &mut random)?;
        sample.image += &noise;
        Ok(())
    }

    /// The noise in a part of a fine image of `whole`, `[channel][y][x]`.
    fn of_window(
        &self,
        window: &Window,
        whole: Extent,
        name: &str,
        random: &mut ChaCha8Rng,
    ) -> Result<Array3<f32>> {
        let finer = Resampling::Finer { factor: self.factor, kernel: self.interpolation.kernel() };
        let coarse = Extent::plane(whole.y.div_ceil(self.factor), whole.x.div_ceil(self.factor));
        let Extent { y, x, .. } = finer.needed(window, coarse).extent;
        let mut noise = Array3::zeros((self.deviations.len(), y, x));
        for (mut plane, deviation) in noise.outer_iter_mut().zip(&self.deviations) {
            plane.mapv_inplace(|_: f32| {
                let number: f32 = StandardNormal.sample(random);
                deviation * number
            });
        }
        finer.apply(name, noise.view(), window, coarse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Upright;
    use crate::samples::{Sampler, Target};

    fn sample(height: usize, width: usize) -> Sample {
        let image = Array3::zeros((2, height, width));
        Sample::new("a", image.clone(), Target::Values(image))
    }

    fn noise() -> CoarseNoise {
        CoarseNoise { factor: 2, interpolation: Interpolation::Bicubic, deviations: vec![0.0, 3.0] }
    }

    #[test]
    fn noise_depends_on_seed_and_number_alone_and_has_its_deviation_on_the_coarse_grid() {
        let sampler = Sampler::new(vec![Extent::plane(150, 130)], Some(128), true, 5).unwrap();
        let whole = Extent::plane(150, 130);
        let with = |seed: u64, n: u64| {
            let mut sample = sample(128, 128);
            noise().add(&mut sample, &sampler.draw(n).unwrap(), whole, seed, n).unwrap();
            sample.image
        };
        assert_eq!(with(1, 4), with(1, 4));
        assert_ne!(with(1, 4), with(2, 4));
        assert_ne!(with(1, 4), with(1, 5));
        let image = with(1, 4);
        assert!(image.index_axis(ndarray::Axis(0), 0).iter().all(|value| *value == 0.0));
        // The weights of the two phases of factor 2 have the same sum of squares, that of the four weights at 0.25, 0.75, 1.25 and 1.75.
        let squares: f64 =
            [0.8671875_f64, 0.2265625, -0.0703125, -0.0234375].iter().map(|weight| weight * weight).sum();
        let found = image.index_axis(ndarray::Axis(0), 1).mapv(f64::from).std(0.0);
        assert!((found / (3.0 * squares) - 1.0).abs() < 0.05, "{found}, wanted {}", 3.0 * squares);
    }

    #[test]
    fn a_piece_that_was_turned_has_the_noise_that_was_turned() {
        let whole = Extent::plane(8, 8);
        let of = |symmetry| {
            let draw = Draw {
                index: 0,
                crop: Some(Window::plane(1..6, 2..7)),
                symmetry,
                exchanges_slices: false,
                upright: Upright::Z,
                keeps_z: true,
            };
            let mut sample = sample(5, 5);
            noise().add(&mut sample, &draw, whole, 9, 3).unwrap();
            sample.image
        };
        for symmetry in crate::geometry::Symmetry::ALL {
            assert_eq!(of(symmetry), symmetry.apply3(&of(crate::geometry::Symmetry::IDENTITY)));
        }
    }
}
