//! Foam: a round piece of material full of round voids, and pairs of noisy and clean tomograms of it.

use std::f32::consts::TAU;

use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::error::{Error, Result};
use crate::tomography::{add_poisson_noise, filtered_back_projection, project};

/// Radius of the piece over half the image's side: the rest is air.
const PIECE: f32 = 0.9;
/// Largest and smallest radius of a void over the image's side; none is smaller than a pixel.
const LARGEST_VOID: f32 = 0.1;
const SMALLEST_VOID: f32 = 0.008;
/// Random places that are tried for voids.
const ATTEMPTS: usize = 1000;
/// Attenuation, in natural logarithms, of a ray through as much solid material as the image is wide.
const ATTENUATION: f64 = 2.0;

/// Foam seen from above, `[y][x]` of `size` x `size` pixels: material is 1, air and voids are 0, and a
/// pixel on an edge is the part of it that is material (sampled 4x4).
///
/// Voids do not overlap and lie wholly inside the piece, which leaves a margin of a twentieth on each side.
pub fn phantom(size: usize, seed: u64) -> Array2<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let side = size as f32;
    let centre = (side - 1.0) / 2.0;
    let piece = PIECE * side / 2.0;
    let mut image = Array2::zeros((size, size));
    fill_circle(&mut image, centre, centre, piece, 1.0);
    for (y, x, radius) in voids(side, piece, &mut rng) {
        fill_circle(&mut image, centre + y, centre + x, radius, -1.0);
    }
    image.mapv_inplace(|value| value.clamp(0.0, 1.0));
    image
}

/// The voids as (y, x, radius) in pixels from the piece's centre.
fn voids(side: f32, piece: f32, rng: &mut ChaCha8Rng) -> Vec<(f32, f32, f32)> {
    let smallest = (SMALLEST_VOID * side).max(1.0);
    let largest = (LARGEST_VOID * side).max(smallest);
    let wall = (0.004 * side).max(0.7);
    let mut voids: Vec<(f32, f32, f32)> = Vec::new();
    for attempt in 0..ATTEMPTS {
        // Large ones have their turn first and the limit falls, so that small ones fill the gaps.
        let limit = largest * (smallest / largest).powf(attempt as f32 / ATTEMPTS as f32);
        // The square root spreads the places evenly over the disc's area.
        let distance = piece * rng.random::<f32>().sqrt();
        let (sine, cosine) = rng.random_range(0.0..TAU).sin_cos();
        let (y, x) = (distance * sine, distance * cosine);
        let room = voids
            .iter()
            .map(|&(oy, ox, other)| (oy - y).hypot(ox - x) - other)
            .fold(piece - distance, f32::min)
            - wall;
        let radius = room.min(limit * rng.random_range(0.7..1.0));
        if radius >= smallest && radius >= 0.5 * limit {
            voids.push((y, x, radius));
        }
    }
    voids
}

/// Adds `value` times the part of each pixel that the circle covers.
fn fill_circle(image: &mut Array2<f32>, y: f32, x: f32, radius: f32, value: f32) {
    const SAMPLES: usize = 4;
    let (height, width) = image.dim();
    let span = |centre: f32, length: usize| {
        let first = (centre - radius - 1.0).max(0.0) as usize;
        first..((centre + radius + 2.0).max(0.0) as usize).min(length)
    };
    let offset = |sample: usize| (sample as f32 + 0.5) / SAMPLES as f32 - 0.5;
    for row in span(y, height) {
        for column in span(x, width) {
            let (dy, dx) = (row as f32 - y, column as f32 - x);
            let distance = dy.hypot(dx);
            let covered = if distance < radius - 0.8 {
                1.0
            } else if distance > radius + 0.8 {
                0.0
            } else {
                let inside = (0..SAMPLES * SAMPLES)
                    .filter(|s| (dy + offset(s / SAMPLES)).hypot(dx + offset(s % SAMPLES)) <= radius)
                    .count();
                inside as f32 / (SAMPLES * SAMPLES) as f32
            };
            image[[row, column]] += value * covered;
        }
    }
}

/// Two tomograms of one piece of foam, `[y][x]` of `size` x `size` pixels, as (input, target): the input
/// reconstructed from `angles_noisy` projections with the noise of `photons` photons a ray, the target from
/// `angles_clean` projections without noise. Material is about 1 in both, and air about 0.
///
/// # Errors
/// [`Error::Setting`] when `size` or a number of projections is 0, or `photons` is not finite and above 0.
pub fn denoising_pair(
    size: usize,
    angles_clean: usize,
    angles_noisy: usize,
    photons: f64,
    seed: u64,
) -> Result<(Array2<f32>, Array2<f32>)> {
    for (name, value) in [
        ("the size of the foam", size),
        ("the number of clean projections", angles_clean),
        ("the number of noisy projections", angles_noisy),
    ] {
        if value == 0 {
            return Err(Error::setting(name, value, "it must be at least 1"));
        }
    }
    let foam = phantom(size, seed);
    let target = filtered_back_projection(&project(&foam, angles_clean), size);
    let few = project(&foam, angles_noisy);
    let noisy = add_poisson_noise(&few, photons, ATTENUATION / size as f64, seed)?;
    Ok((filtered_back_projection(&noisy, size), target))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{SsimWindow, ssim};

    #[test]
    fn a_seed_gives_one_foam_and_another_seed_another() {
        assert_eq!(phantom(64, 1), phantom(64, 1));
        assert_ne!(phantom(64, 1), phantom(64, 2));
    }

    #[test]
    fn foam_is_material_and_voids_inside_a_disc() {
        let size = 200;
        let image = phantom(size, 3);
        assert!(image.iter().all(|v| (0.0..=1.0).contains(v)));
        let centre = (size as f32 - 1.0) / 2.0;
        let (mut inside, mut material) = (0.0, 0.0);
        for ((y, x), &value) in image.indexed_iter() {
            let distance = (y as f32 - centre).hypot(x as f32 - centre);
            if distance > 91.0 {
                assert_eq!(value, 0.0, "outside the piece at {y}, {x}");
            } else if distance < 89.0 {
                inside += 1.0;
                material += value;
            }
        }
        let part = material / inside;
        assert!((0.3..0.8).contains(&part), "{part} of the piece is material");
    }

    #[test]
    fn voids_of_many_sizes_do_not_touch() {
        let voids = voids(256.0, 115.0, &mut ChaCha8Rng::seed_from_u64(9));
        assert!(voids.len() > 60, "{} voids", voids.len());
        let radii = || voids.iter().map(|v| v.2);
        assert!(radii().fold(0.0, f32::max) > 4.0 * radii().fold(f32::INFINITY, f32::min));
        for (i, a) in voids.iter().enumerate() {
            assert!(a.0.hypot(a.1) + a.2 < 115.0);
            assert!(voids[..i].iter().all(|b| (a.0 - b.0).hypot(a.1 - b.1) > a.2 + b.2));
        }
    }

    #[test]
    fn the_target_is_near_the_foam_and_the_input_is_not() {
        let foam = phantom(128, 7);
        let (input, target) = denoising_pair(128, 256, 32, 1000.0, 7).unwrap();
        let error = |image: &Array2<f32>| (image - &foam).mapv(|v| v * v).mean().unwrap();
        assert!(error(&target) < 0.01, "{}", error(&target));
        assert!(error(&input) > 5.0 * error(&target), "{} and {}", error(&input), error(&target));
        assert!(ssim(input.view(), target.view(), 1.0, SsimWindow::Uniform).unwrap() < 0.7);
        // More photons and angles come nearer: the noise is what makes the input bad.
        let (better, _) = denoising_pair(128, 256, 256, 1e6, 7).unwrap();
        assert!(error(&better) < error(&input) / 5.0);
    }

    #[test]
    fn pairs_follow_their_seed_and_refuse_nothing_to_project() {
        let pair = |seed| denoising_pair(48, 40, 10, 500.0, seed).unwrap();
        assert_eq!(pair(1), pair(1));
        assert_ne!(pair(1).0, pair(2).0);
        assert!(denoising_pair(48, 0, 10, 500.0, 1).is_err());
        assert!(denoising_pair(48, 10, 0, 500.0, 1).is_err());
        assert!(denoising_pair(0, 10, 10, 500.0, 1).is_err());
        assert!(denoising_pair(48, 10, 10, f64::NAN, 1).is_err());
        assert!(denoising_pair(2, 10, 10, 500.0, 1).is_ok());
    }
}
