//! Changes of brightness, in the order in which a microscope makes them: optics, light, detector.

use ndarray::{Array3, ArrayViewMut2, Axis};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::strengths::Strengths;
use crate::geometry::mirrored;
use crate::samples::random::uniform;

/// Above so many photons, their number is drawn from the normal distribution of equal mean and variance.
const MANY_PHOTONS: f64 = 64.0;

/// Changes a normalised image `[channel][y][x]`, or a volume with the rows of so many slices.
pub(super) fn apply(image: &mut Array3<f32>, slices: usize, strengths: &Strengths, random: &mut ChaCha8Rng) {
    let Strengths { blur, contrast, brightness, gamma, poisson, noise, .. } = *strengths;
    for mut plane in image.axis_iter_mut(Axis(0)) {
        if blur > 0.0 {
            let height = plane.dim().0 / slices.max(1);
            plane
                .axis_chunks_iter_mut(Axis(0), height.max(1))
                .for_each(|mut slice| self::blur(&mut slice, blur));
        }
        if contrast != 1.0 || brightness != 0.0 {
            let (contrast, brightness) = (contrast as f32, brightness as f32);
            plane.mapv_inplace(|value| contrast * value + brightness);
        }
        if gamma != 1.0 {
            self::gamma(&mut plane, gamma as f32);
        }
        if poisson > 0.0 {
            count_photons(&mut plane, poisson, random);
        }
        if noise > 0.0 {
            plane.mapv_inplace(|value| value + noise as f32 * normal(random));
        }
    }
}

fn normal(random: &mut ChaCha8Rng) -> f32 {
    StandardNormal.sample(random)
}

/// Convolves with a Gaussian of `deviation` pixels, sampled to 3 deviations and of sum 1; the plane is mirrored about its
/// edge pixels.
fn blur(plane: &mut ArrayViewMut2<f32>, deviation: f64) {
    let reach = (3.0 * deviation).ceil() as isize;
    let mut weights: Vec<f64> =
        (-reach..=reach).map(|i| (-0.5 * (i as f64 / deviation).powi(2)).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight /= sum);
    let weights: Vec<f32> = weights.into_iter().map(|weight| weight as f32).collect();

    let (height, width) = plane.dim();
    let rows = plane.to_owned();
    // A row is a sum of whole rows, and then of its own shifted copies: long loops without any index arithmetic.
    let mut padded = vec![0.0; width + 2 * reach.cast_unsigned()];
    for y in 0..height {
        let middle = &mut padded[reach.cast_unsigned()..reach.cast_unsigned() + width];
        middle.fill(0.0);
        for (offset, weight) in (-reach..=reach).zip(&weights) {
            let row = rows.row(mirrored(y as isize + offset, height));
            middle.iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * value);
        }
        for beyond in 1..=reach {
            let (left, right) = (mirrored(-beyond, width), mirrored(width as isize - 1 + beyond, width));
            let at = |column: usize| reach.cast_unsigned() + column;
            padded[(reach - beyond).cast_unsigned()] = padded[at(left)];
            padded[at(width - 1) + beyond.cast_unsigned()] = padded[at(right)];
        }
        let mut row = plane.row_mut(y);
        row.fill(0.0);
        for (offset, weight) in weights.iter().enumerate() {
            row.iter_mut().zip(&padded[offset..]).for_each(|(sum, value)| *sum += weight * value);
        }
    }
}

fn limits(plane: &ArrayViewMut2<f32>) -> (f32, f32) {
    plane.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(least, most), &v| (least.min(v), most.max(v)))
}

/// Raises the brightness between the darkest and the brightest pixel to a power; both stay where they are.
fn gamma(plane: &mut ArrayViewMut2<f32>, power: f32) {
    let (least, most) = limits(plane);
    let range = most - least;
    if range > 0.0 && range.is_finite() {
        plane.mapv_inplace(|value| least + range * ((value - least) / range).powf(power));
    }
}

/// Replaces each brightness b over the darkest pixel by N / k, where N is Poisson of mean k b: its variance is b / k,
/// and k such that it is `deviation` squared at the mean brightness.
fn count_photons(plane: &mut ArrayViewMut2<f32>, deviation: f64, random: &mut ChaCha8Rng) {
    let (least, _) = limits(plane);
    let least = f64::from(least);
    let mean = plane.iter().map(|&v| f64::from(v) - least).sum::<f64>() / plane.len() as f64;
    let per_unit = mean / (deviation * deviation);
    if per_unit > 0.0 && per_unit.is_finite() {
        plane.mapv_inplace(|value| {
            let photons = poisson(per_unit * (f64::from(value) - least), random);
            (least + photons / per_unit) as f32
        });
    }
}

/// A Poisson number of the given mean.
fn poisson(mean: f64, random: &mut ChaCha8Rng) -> f64 {
    if mean > MANY_PHOTONS {
        return mean + mean.sqrt() * f64::from(normal(random));
    }
    // Counts up until the distribution function passes an even random number (Devroye 1986, section X.3.3).
    let mut left = uniform(random);
    let (mut probability, mut count) = ((-mean).exp(), 0.0);
    while left >= probability && probability > 0.0 {
        left -= probability;
        count += 1.0;
        probability *= mean / count;
    }
    count
}

#[cfg(test)]
#[path = "intensity_tests.rs"]
mod tests;
