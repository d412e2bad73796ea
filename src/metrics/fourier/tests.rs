//! Fourier correlations against numpy's transforms and against theory.

use ndarray::Array3;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::*;

const EVEN: [f64; 3] = [1.0; 3];

fn correlation(halves: [Array3<f32>; 2], size: [f64; 3], support: Support) -> FourierCorrelation {
    let [first, second] = halves.map(|half| Spectrum::of(half, support).unwrap());
    FourierCorrelation::between(&first, &second, size).unwrap()
}

/// A common part, and one of its own for each.
fn halves(shape: (usize, usize, usize)) -> [Array3<f32>; 2] {
    let common = |z: usize, y: usize, x: usize| ((7 * y + 3 * x + x * y + 5 * z) % 16) as f32 / 16.0;
    [
        Array3::from_shape_fn(shape, |(z, y, x)| {
            common(z, y, x) + ((y * y + 5 * x + 3 * z) % 8) as f32 / 16.0
        }),
        Array3::from_shape_fn(shape, |(z, y, x)| {
            common(z, y, x) + ((x * x + 3 * y + 7 * z) % 11) as f32 / 22.0
        }),
    ]
}

fn noise(shape: (usize, usize, usize), seed: u64) -> Array3<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    Array3::from_shape_simple_fn(shape, || random.sample(StandardNormal))
}

#[test]
fn agrees_with_the_transforms_of_numpy() {
    // The same definitions with numpy.fft.fftn in float64, over all frequencies and not half of them.
    let wanted: [(_, _, _, &[f64], &[u64]); 3] = [
        (
            (1, 24, 30),
            EVEN,
            Support::Whole,
            &[
                0.993966, 0.995748, 0.953454, 0.83446, 0.970484, 0.810853, 0.821588, 0.744562, 0.721353,
                0.904411, 0.76229, 0.706287, 0.628902, 0.81118, 0.933336,
            ],
            &[4, 10, 16, 20, 28, 28, 34, 36, 52, 52, 52, 50, 76, 76, 58],
        ),
        (
            (1, 21, 21),
            EVEN,
            Support::Circle,
            &[
                0.986084, 0.939729, 0.817267, 0.93785, 0.836602, 0.745151, 0.748699, 0.77196, 0.694618,
                0.858906,
            ],
            &[8, 12, 16, 32, 28, 40, 40, 48, 68, 56],
        ),
        // A volume whose slices are twice as far apart as its rows and columns.
        (
            (8, 12, 9),
            [2.0, 1.0, 1.0],
            Support::Whole,
            &[0.999628, 0.60851, 0.871067, 0.813142],
            &[4, 28, 44, 89],
        ),
    ];
    for (shape, size, support, correlations, counts) in wanted {
        let found = correlation(halves(shape), size, support);
        let found_counts: Vec<u64> = found.shells().iter().map(|shell| shell.count).collect();
        assert_eq!(found_counts, counts);
        for (shell, wanted) in found.shells().iter().zip(correlations) {
            let found = shell.correlation.unwrap();
            assert!(
                (found - wanted).abs() < 3e-6,
                "{shape:?} at {}: {found} is not {wanted}",
                shell.frequency
            );
        }
    }
}

#[test]
fn equal_halves_agree_in_everything_and_noise_in_nothing() {
    for shape in [(1, 64, 64), (16, 24, 20)] {
        let half = noise(shape, 1).mapv(|value| 1000.0 + value);
        let same = correlation([half.clone(), half.mapv(|value| 3.0 * value - 7.0)], EVEN, Support::Whole);
        assert!(same.shells().iter().all(|shell| (shell.correlation.unwrap() - 1.0).abs() < 1e-4));
        let last = same.shells().last().unwrap().frequency;
        assert_eq!(last, 0.5);
        for threshold in Threshold::ALL {
            assert_eq!(same.crossing(threshold), Some(Crossing::Beyond(last)));
        }
        let other = correlation([noise(shape, 1), noise(shape, 2)], EVEN, Support::Whole);
        for shell in other.shells() {
            // As many numbers are independent as half of the shell holds, and fading makes them fewer.
            let bound = 5.0 / (shell.count as f64 / 2.0).sqrt();
            assert!(shell.correlation.unwrap().abs() < bound.min(1.0), "{shell:?}");
        }
    }
}

#[test]
fn noise_lowers_the_correlation_as_theory_says() {
    // Signal of variance 1 and noise of variance 3 in each half: 1 / (1 + 3).
    let shape = (1, 256, 256);
    let signal = noise(shape, 3);
    let half = |seed| &signal + &noise(shape, seed).mapv(|value| 3_f32.sqrt() * value);
    let found = correlation([half(4), half(5)], EVEN, Support::Whole);
    let shells: Vec<_> = found.shells().iter().filter(|shell| shell.count > 100).collect();
    let mean = shells.iter().filter_map(|shell| shell.correlation).sum::<f64>() / shells.len() as f64;
    assert!((mean - 0.25).abs() < 0.01, "{mean}");
}

#[test]
fn the_resolution_is_that_of_what_both_halves_share() {
    // Waves of up to 25 along 128 pixels with ten times the power of the noise, none beyond. Fading smears them over the next shells.
    let (side, last) = (128, 25);
    let mut signal = Array3::<f32>::zeros((1, side, side));
    let mut random = ChaCha8Rng::seed_from_u64(6);
    for ky in -last..=last {
        for kx in 0..=last {
            if ky * ky + kx * kx > last * last {
                continue;
            }
            let phase: f64 = random.random_range(0.0..std::f64::consts::TAU);
            for ((_, y, x), value) in signal.indexed_iter_mut() {
                let angle =
                    std::f64::consts::TAU * (ky as f64 * y as f64 + kx as f64 * x as f64) / side as f64;
                *value += (angle + phase).cos() as f32;
            }
        }
    }
    let half = |seed| &signal + &noise((1, side, side), seed).mapv(|value| 20.0 * value);
    let found = correlation([half(7), half(8)], EVEN, Support::Whole);
    for threshold in Threshold::ALL {
        let Some(Crossing::At(frequency)) = found.crossing(threshold) else { panic!("{threshold:?}") };
        let pixels = 1.0 / frequency;
        assert!((4.2..128.0 / 25.0).contains(&pixels), "{}: {pixels} pixels", threshold.name());
    }
}

#[test]
fn thresholds_are_those_of_their_papers() {
    // (0.2071 + 1.9102 / sqrt(n)) / (1.2071 + 0.9102 / sqrt(n))
    assert!((Threshold::HalfBit.of(1) - 1.0).abs() < 1e-12);
    assert!((Threshold::HalfBit.of(100) - 0.39812 / 1.29812).abs() < 1e-9);
    assert!((Threshold::HalfBit.of(u64::MAX) - 0.2071 / 1.2071).abs() < 1e-6);
    assert_eq!(Threshold::OneSeventh.of(3), 1.0 / 7.0);
}

#[test]
fn what_has_no_correlation_is_refused_or_has_none() {
    let of = |shape| Spectrum::of(noise(shape, 1), Support::Whole).unwrap();
    let error = FourierCorrelation::between(&of((1, 4, 5)), &of((1, 5, 4)), EVEN).unwrap_err().to_string();
    assert!(error.contains("5 x 4 x 1") && error.contains("4 x 5 x 1"), "{error}");
    for size in [[1.0, 0.0, 1.0], [1.0, f64::NAN, 1.0], [1.0, 1.0, 1e5]] {
        assert!(FourierCorrelation::between(&of((1, 4, 5)), &of((1, 4, 5)), size).is_err());
    }
    assert!(Spectrum::of(Array3::zeros((1, 0, 3)), Support::Whole).is_err());
    let mut broken = noise((1, 4, 4), 1);
    broken[[0, 1, 1]] = f32::NAN;
    assert!(Spectrum::of(broken, Support::Circle).is_err());
    // A single pixel has no frequencies, and a constant no power.
    for shape in [(1, 1, 1), (1, 1, 2), (3, 1, 1)] {
        let found = correlation([noise(shape, 1), noise(shape, 1)], EVEN, Support::Circle);
        assert!(found.shells().len() <= 1);
    }
    let flat = || Array3::from_elem((1, 8, 8), 7.0);
    let found = correlation([flat(), flat()], EVEN, Support::Whole);
    assert!(found.shells().iter().all(|shell| shell.correlation.is_none()));
    assert!(matches!(found.crossing(Threshold::OneSeventh), Some(Crossing::Before(_))));
    assert_eq!(Spectrum::bytes([usize::MAX, usize::MAX, 3]), None);
}
