//! Parallel-beam projection of an image, and the noise of counted photons.

use std::f64::consts::PI;

use ndarray::{Array2, ArrayView2, Axis};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Poisson};
use rayon::prelude::*;

use super::rows_mut;
use crate::error::{Error, Result};

/// The angle of projection `index` of `count`, in radians: evenly over half a turn, from 0.
pub(super) fn angle(index: usize, count: usize) -> f64 {
    PI * index as f64 / count as f64
}

/// The sinogram `[angle][detector]` of an image `[y][x]`: line integrals in values times pixel widths.
///
/// Angle `a` of `angles` is pi a / `angles`. Detectors are a pixel wide, as many as the image's longer side
/// has pixels, and centred on it: detector t measures along the line x cos + y sin = t with x, y and t counted from
/// the centre. What lies outside the circle that fits into the image leaves the detector at some angles.
/// Along a ray the image is interpolated linearly (Joseph, IEEE Transactions on Medical Imaging 1(3), 1982).
pub fn project(image: &Array2<f32>, angles: usize) -> Array2<f32> {
    let (height, width) = image.dim();
    let detectors = height.max(width);
    // Rays that run along x step through columns: on the transposed image they step through rows too.
    let standard = image.as_standard_layout();
    let turned = image.t().as_standard_layout().into_owned();
    let mut sinogram = Array2::zeros((angles, detectors));
    rows_mut(&mut sinogram).enumerate().for_each(|(a, row)| {
        let (sine, cosine) = angle(a, angles).sin_cos();
        if cosine.abs() >= sine.abs() {
            project_rows(standard.view(), cosine, sine, row);
        } else {
            project_rows(turned.view(), sine, cosine, row);
        }
    });
    sinogram
}

/// Adds to detector t the integral along column * `across` + row * `along` = t (all from the centre),
/// for rays that cross every row: |across| >= |along|.
fn project_rows(image: ArrayView2<f32>, across: f64, along: f64, detectors: &mut [f32]) {
    let (rows, columns) = image.dim();
    let centre = |length: usize| (length as f64 - 1.0) / 2.0;
    let step = 1.0 / across;
    let weight = step.abs() as f32;
    for (y, line) in image.axis_iter(Axis(0)).enumerate() {
        let Some(line) = line.to_slice() else { continue };
        // Detector 0 meets this row at column `first`; the next one lies `step` further.
        let first = (-centre(detectors.len()) - (y as f64 - centre(rows)) * along) * step + centre(columns);
        for (t, sum) in detectors.iter_mut().enumerate() {
            let column = first + t as f64 * step;
            let left = column.floor();
            let fraction = (column - left) as f32;
            // Outside the image there is nothing: a neighbour beyond the edge counts as 0.
            let value = |offset: f64| {
                let index = left + offset;
                if index >= 0.0 { line.get(index as usize).copied().unwrap_or(0.0) } else { 0.0 }
            };
            *sum += weight * ((1.0 - fraction) * value(0.0) + fraction * value(1.0));
        }
    }
}

/// The sinogram as a detector that counts photons would measure it (Beer and Lambert's law).
///
/// `sinogram` is `[angle][detector]`, as [`project`] gives it, and so is the result, in the same units. Every value p attenuates its
/// ray by `absorption` p in natural logarithms: of `photons` photons sent along the ray, Poisson(photons exp(-absorption p)) are
/// counted, at least 1, and the value becomes -ln(counts / photons) / absorption. The same `seed` gives the same noise.
///
/// # Errors
/// [`Error::Setting`] when `photons` or `absorption` is not finite and above 0.
pub fn add_poisson_noise(
    sinogram: &Array2<f32>,
    photons: f64,
    absorption: f64,
    seed: u64,
) -> Result<Array2<f32>> {
    for (name, value) in [("the number of photons", photons), ("the absorption", absorption)] {
        if !(value.is_finite() && value > 0.0) {
            return Err(Error::setting(name, value, "it must be a number above 0"));
        }
    }
    let mut noisy = sinogram.as_standard_layout().into_owned();
    rows_mut(&mut noisy).enumerate().for_each(|(a, row)| {
        // A stream of random numbers for every angle: the threads' order does not matter.
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(a as u64);
        for value in row {
            let expected = photons * (-absorption * f64::from(*value)).exp();
            // Only an expectation of 0 (or none at all) has no distribution: nothing arrives.
            let counts: f64 = Poisson::new(expected).map_or(0.0, |poisson| poisson.sample(&mut rng));
            *value = (-(counts.max(1.0) / photons).ln() / absorption) as f32;
        }
    });
    Ok(noisy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phantom::foam;

    #[test]
    fn every_projection_holds_the_whole_image() {
        let image = foam::phantom(128, 4);
        let total = image.sum();
        let sinogram = project(&image, 37);
        assert_eq!(sinogram.dim(), (37, 128));
        for (a, row) in sinogram.axis_iter(Axis(0)).enumerate() {
            assert!((row.sum() - total).abs() < 0.01 * total, "angle {a}: {} is not {total}", row.sum());
        }
    }

    #[test]
    fn the_first_angle_sums_columns_and_the_quarter_turn_rows() {
        let image = Array2::from_shape_fn((5, 5), |(y, x)| (3 * y + x * x) as f32);
        let sinogram = project(&image, 2);
        for i in 0..5 {
            assert!((sinogram[[0, i]] - image.column(i).sum()).abs() < 1e-3);
            assert!((sinogram[[1, i]] - image.row(i).sum()).abs() < 1e-3);
        }
    }

    #[test]
    fn a_dot_lands_where_the_angle_says() {
        // Right of and below the centre, at 45 degrees: t = (3 + 4) / sqrt 2 = 4.95 from detector 10.
        let mut image = Array2::zeros((21, 21));
        image[[14, 13]] = 1.0;
        let sinogram = project(&image, 4);
        let row = sinogram.row(1);
        let brightest = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
        assert_eq!(brightest, 15);
    }

    #[test]
    fn images_of_any_shape_are_projected() {
        assert_eq!(project(&Array2::ones((3, 8)), 5).dim(), (5, 8));
        assert_eq!(project(&Array2::zeros((0, 0)), 5).dim(), (5, 0));
        assert_eq!(project(&Array2::zeros((4, 4)), 0).dim(), (0, 4));
    }

    #[test]
    fn noise_keeps_the_mean_and_has_the_variance_of_counting() {
        let (value, photons, absorption) = (40.0f32, 1000.0, 0.02);
        let noisy = add_poisson_noise(&Array2::from_elem((100, 100), value), photons, absorption, 1).unwrap();
        let mean = noisy.mean().unwrap();
        let deviation = noisy.std(0.0);
        // By error propagation the logarithm of n counts deviates by 1 / sqrt(n).
        let counts = photons * (-absorption * f64::from(value)).exp();
        let wanted = (1.0 / counts.sqrt() / absorption) as f32;
        assert!((mean - value).abs() < 0.15, "{mean}");
        assert!((deviation / wanted - 1.0).abs() < 0.05, "{deviation} is not {wanted}");
    }

    #[test]
    fn noise_follows_its_seed_and_rows_differ() {
        let flat = Array2::from_elem((3, 50), 1.0);
        let noisy = |seed| add_poisson_noise(&flat, 100.0, 0.5, seed).unwrap();
        assert_eq!(noisy(1), noisy(1));
        assert_ne!(noisy(1), noisy(2));
        assert_ne!(noisy(1).row(0), noisy(1).row(1));
    }

    #[test]
    fn darkness_stays_finite_and_bad_settings_are_errors() {
        let dark = Array2::from_elem((1, 4), 1e6);
        let noisy = add_poisson_noise(&dark, 100.0, 1.0, 1).unwrap();
        assert!(noisy.iter().all(|v| (v - 100f32.ln()).abs() < 1e-5));
        for (photons, absorption) in [(0.0, 1.0), (f64::NAN, 1.0), (10.0, 0.0), (10.0, -1.0)] {
            assert!(add_poisson_noise(&dark, photons, absorption, 1).is_err());
        }
    }
}
