//! Shapes in noise: images to segment, with labels that are right everywhere.
//!
//! A simplified form of the synthetic segmentation task of Pelt & Sethian, PNAS 2018, doi
//! 10.1073/pnas.1715832114: shapes of several kinds, sizes and textures in strong Gaussian noise. The mean
//! brightness of a shape does not depend on its class. Two classes differ by size only and two by texture
//! only, and flat triangles and rings belong to the background, so a pixel has to be judged by the whole
//! shape around it.

use std::f32::consts::{PI, SQRT_2, TAU};

use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// What the labels mean: the name of label `i` is `CLASS_NAMES[i]`.
pub const CLASS_NAMES: [&str; 5] =
    ["background", "small disc", "large disc", "striped square", "checkered square"];

/// An image and its labels, both `[y][x]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ShapesPhantom {
    /// Grey values: background about 0.2, shapes about 0.6 on average, before the noise.
    pub image: Array2<f32>,
    /// Class of every pixel, an index into [`CLASS_NAMES`].
    pub labels: Array2<u32>,
}

/// A length of the textures' patterns, in pixels: a light and a dark part.
const PATTERN_PERIOD: f32 = 8.0;
/// Empty pixels between any two shapes.
const GAP: f32 = 3.0;
/// Shapes for an image of 256x256 pixels, if all find a place.
const SHAPES_PER_65536_PIXELS: f32 = 36.0;
/// Places tried for one shape before it is left out.
const ATTEMPTS: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    SmallDisc,
    LargeDisc,
    StripedSquare,
    CheckeredSquare,
    Triangle,
    Ring,
}

/// The shapes go through this cycle, so that every class is about as frequent as the others.
const CYCLE: [Kind; 8] = [
    Kind::SmallDisc,
    Kind::LargeDisc,
    Kind::StripedSquare,
    Kind::CheckeredSquare,
    Kind::SmallDisc,
    Kind::Triangle,
    Kind::Ring,
    Kind::SmallDisc,
];

impl Kind {
    fn label(self) -> u32 {
        match self {
            Kind::Triangle | Kind::Ring => 0,
            Kind::SmallDisc => 1,
            Kind::LargeDisc => 2,
            Kind::StripedSquare => 3,
            Kind::CheckeredSquare => 4,
        }
    }

    /// Smallest and largest radius of the circle around the shape, in pixels.
    fn radii(self) -> (f32, f32) {
        match self {
            Kind::SmallDisc => (4.0, 6.5),
            Kind::LargeDisc => (12.0, 20.0),
            Kind::StripedSquare | Kind::CheckeredSquare => (13.0, 22.0),
            Kind::Triangle => (12.0, 20.0),
            Kind::Ring => (9.0, 16.0),
        }
    }

    /// Whether a point is inside the shape of that radius, in the shape's own axes.
    fn contains(self, u: f32, v: f32, radius: f32) -> bool {
        let distance = u.hypot(v);
        match self {
            Kind::SmallDisc | Kind::LargeDisc => distance <= radius,
            Kind::Ring => distance <= radius && distance >= 0.55 * radius,
            Kind::StripedSquare | Kind::CheckeredSquare => u.abs().max(v.abs()) <= radius / SQRT_2,
            Kind::Triangle => {
                let half = 3f32.sqrt() / 2.0;
                [-v, half * u + 0.5 * v, -half * u + 0.5 * v].iter().all(|&side| side <= radius / 2.0)
            }
        }
    }

    /// Brightness of a point from 0 to 1. The mean over a shape is 0.6 whatever the texture.
    fn texture(self, u: f32, v: f32) -> f32 {
        let wave = |x: f32| (TAU * x / PATTERN_PERIOD).sin();
        let pattern = match self {
            Kind::StripedSquare => wave(u),
            Kind::CheckeredSquare => wave(u) * wave(v),
            _ => return 0.6,
        };
        if pattern >= 0.0 { 1.0 } else { 0.2 }
    }
}

struct Shape {
    kind: Kind,
    y: f32,
    x: f32,
    radius: f32,
    angle: f32,
    contrast: f32,
}

/// Makes an image of `size` x `size` pixels with Gaussian noise of standard deviation `noise` (0.25 is
/// strong; a negative or undefined one counts as 0).
///
/// Shapes keep their size in pixels whatever the image's size; in an image too small for the larger ones
/// only the smaller ones appear.
pub fn phantom(size: usize, noise: f32, seed: u64) -> ShapesPhantom {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut image = background(size, &mut rng);
    let mut labels = Array2::zeros((size, size));
    for shape in place_shapes(size, &mut rng) {
        draw(&shape, &mut image, &mut labels);
    }
    let noise = noise.max(0.0);
    image.mapv_inplace(|value| {
        let normal: f32 = StandardNormal.sample(&mut rng);
        value + noise * normal
    });
    ShapesPhantom { image, labels }
}

/// A slow ramp in a random direction, as uneven illumination gives.
fn background(size: usize, rng: &mut ChaCha8Rng) -> Array2<f32> {
    let (sine, cosine) = rng.random_range(0.0..TAU).sin_cos();
    let centre = (size as f32 - 1.0) / 2.0;
    Array2::from_shape_fn((size, size), |(y, x)| {
        0.2 + 0.1 * ((x as f32 - centre) * cosine + (y as f32 - centre) * sine) / size as f32
    })
}

fn place_shapes(size: usize, rng: &mut ChaCha8Rng) -> Vec<Shape> {
    let side = size as f32;
    let wanted = (SHAPES_PER_65536_PIXELS * side * side / 65536.0).ceil() as usize;
    // A small image holds only part of the cycle: it starts anywhere, so that no class is left out for ever.
    let start = rng.random_range(0..CYCLE.len());
    let mut kinds: Vec<(Kind, f32)> = (0..wanted)
        .map(|i| {
            let kind = CYCLE[(start + i) % CYCLE.len()];
            let (smallest, largest) = kind.radii();
            (kind, rng.random_range(smallest..largest))
        })
        .collect();
    // Large ones first: small ones still find a place between them.
    kinds.sort_by(|a, b| b.1.total_cmp(&a.1));

    let mut placed: Vec<Shape> = Vec::with_capacity(kinds.len());
    for (kind, radius) in kinds {
        let (low, high) = (radius, side - 1.0 - radius);
        if low >= high {
            continue;
        }
        for _ in 0..ATTEMPTS {
            let (y, x) = (rng.random_range(low..high), rng.random_range(low..high));
            let free =
                placed.iter().all(|other| (other.y - y).hypot(other.x - x) > other.radius + radius + GAP);
            if free {
                let angle = rng.random_range(-PI..PI);
                let contrast = rng.random_range(0.6..0.8);
                placed.push(Shape { kind, y, x, radius, angle, contrast });
                break;
            }
        }
    }
    placed
}

/// Adds the shape to the image, its edges smoothed by 3x3 samples a pixel; the label goes by the pixel's centre.
fn draw(shape: &Shape, image: &mut Array2<f32>, labels: &mut Array2<u32>) {
    let (height, width) = image.dim();
    let (sine, cosine) = shape.angle.sin_cos();
    let span = |centre: f32, length: usize| {
        let first = (centre - shape.radius - 1.0).max(0.0) as usize;
        let end = ((centre + shape.radius + 2.0) as usize).min(length);
        first..end
    };
    for y in span(shape.y, height) {
        for x in span(shape.x, width) {
            let own_axes = |dy: f32, dx: f32| {
                let (dy, dx) = (y as f32 + dy - shape.y, x as f32 + dx - shape.x);
                (dx * cosine + dy * sine, dy * cosine - dx * sine)
            };
            let mut brightness = 0.0;
            for sample in 0..9 {
                let (u, v) =
                    own_axes((sample / 3) as f32 / 3.0 - 1.0 / 3.0, (sample % 3) as f32 / 3.0 - 1.0 / 3.0);
                if shape.kind.contains(u, v, shape.radius) {
                    brightness += shape.kind.texture(u, v) / 9.0;
                }
            }
            image[[y, x]] += shape.contrast * brightness;
            let (u, v) = own_axes(0.0, 0.0);
            if shape.kind.contains(u, v, shape.radius) {
                labels[[y, x]] = shape.kind.label();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(values: impl Iterator<Item = f32>) -> f32 {
        let values: Vec<f32> = values.collect();
        values.iter().sum::<f32>() / values.len() as f32
    }

    #[test]
    fn a_seed_gives_one_phantom_and_another_seed_another() {
        let first = phantom(96, 0.3, 5);
        assert_eq!(first, phantom(96, 0.3, 5));
        assert_ne!(first.labels, phantom(96, 0.3, 6).labels);
    }

    #[test]
    fn labels_are_classes_and_every_class_appears() {
        for size in [96, 128, 256] {
            let mut pixels = [0usize; CLASS_NAMES.len()];
            for seed in 0..6 {
                for &label in &phantom(size, 0.0, seed).labels {
                    pixels[label as usize] += 1;
                }
            }
            let labelled = 6 * size * size;
            assert!(pixels.iter().all(|&count| count > labelled / 200), "{size}: {pixels:?}");
            assert!(pixels[0] < labelled * 9 / 10, "{size}: hardly any shapes, {pixels:?}");
        }
    }

    #[test]
    fn the_mean_brightness_does_not_give_the_class_away() {
        let mut sums = [(0.0f64, 0u64); CLASS_NAMES.len()];
        for seed in 0..12 {
            let made = phantom(256, 0.0, seed);
            for (&value, &label) in made.image.iter().zip(&made.labels) {
                sums[label as usize].0 += f64::from(value);
                sums[label as usize].1 += 1;
            }
        }
        let means: Vec<f64> = sums.iter().map(|(sum, count)| sum / *count as f64).collect();
        // Edge pixels are partly background: small discs are a little darker for that.
        assert!(means[1..].iter().all(|m| (m - 0.62).abs() < 0.06), "{means:?}");
        assert!(means[0] < 0.3, "{means:?}");
    }

    #[test]
    fn the_noise_has_the_standard_deviation_that_was_asked_for() {
        let (clean, noisy) = (phantom(128, 0.0, 3), phantom(128, 0.25, 3));
        assert_eq!(clean.labels, noisy.labels);
        let noise = &noisy.image - &clean.image;
        assert!(mean(noise.iter().copied()).abs() < 0.01);
        assert!((mean(noise.iter().map(|v| v * v)).sqrt() - 0.25).abs() < 0.01);
        assert_eq!(phantom(64, f32::NAN, 1), phantom(64, -1.0, 1));
    }

    #[test]
    fn any_size_works() {
        for size in [0, 1, 7, 20, 45] {
            let made = phantom(size, 0.3, 1);
            assert_eq!((made.image.dim(), made.labels.dim()), ((size, size), (size, size)));
            assert!(made.image.iter().all(|v| v.is_finite()));
        }
    }
}
