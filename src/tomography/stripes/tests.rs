use ndarray::{Array2, Array3, Axis};

use super::*;
use crate::phantom::foam;
use crate::tomography::{add_poisson_noise, project};

const SIZE: usize = 256;
// The published widths are those of detectors with two thousand columns.
const SORTING: Stripes = Stripes::Sorting { width: 9 };
const LARGE: Stripes = Stripes::Large { ratio: 3.0, width: 31 };
const DEAD: Stripes = Stripes::Dead { ratio: 3.0, width: 31 };
const FOURIER_WAVELET: Stripes = Stripes::FourierWavelet { sigma: 2.0, levels: Some(3) };
const ALL: Stripes = Stripes::All { ratio: 3.0, large: 31, small: 9 };

/// The sinogram of foam with the noise of many photons, in attenuation, 180 angles.
fn clean() -> Array2<f32> {
    let absorption = 2.0 / SIZE as f64;
    let sinogram = add_poisson_noise(&project(&foam::phantom(SIZE, 3), 180), 1e5, absorption, 1).unwrap();
    sinogram * absorption as f32
}

/// The root mean square of the difference.
fn error(a: &Array2<f32>, b: &Array2<f32>) -> f32 {
    (a - b).mapv(|d| d * d).mean().unwrap().sqrt()
}

fn removed(sinogram: &Array2<f32>, stripes: &Stripes) -> Array2<f32> {
    let mut sinogram = sinogram.clone();
    remove_stripes(sinogram.view_mut(), stripes).unwrap();
    sinogram
}

fn with(sinogram: &Array2<f32>, change: impl Fn(usize, usize, f32) -> f32) -> Array2<f32> {
    Array2::from_shape_fn(sinogram.dim(), |(a, x)| change(a, x, sinogram[[a, x]]))
}

#[test]
fn a_sinogram_without_stripes_stays_nearly_as_it_is() {
    let clean = clean();
    let zero = Array2::zeros(clean.dim());
    let size = error(&clean, &zero);
    for (stripes, bound) in
        [(SORTING, 0.03), (LARGE, 0.05), (DEAD, 1e-6), (ALL, 0.06), (FOURIER_WAVELET, 0.05)]
    {
        let change = error(&removed(&clean, &stripes), &clean) / size;
        assert!(change < bound, "{stripes:?} changes {change}");
    }
}

#[test]
fn each_removes_stripes_of_its_kind() {
    let clean = clean();
    let narrow = |x: usize| x % 19 == 7;
    let constant = with(&clean, |_, x, v| v + if narrow(x) { 0.3 } else { 0.0 });
    let fading = with(&clean, |a, x, v| v + if narrow(x) { 0.4 * a as f32 / 180.0 } else { 0.0 });
    let wide = with(&clean, |_, x, v| if (50..59).contains(&x) { 1.5 * v } else { v });
    let dead = with(&clean, |_, x, v| if x == 70 || x == 71 { 0.2 } else { v });
    let fluctuating = with(&clean, |a, x, v| if x == 40 { (a * 7919 % 13) as f32 / 5.0 } else { v });
    // As much of the stripes may stay. What a filter changes without stripes is measured above.
    for (name, sinogram, stripes, left) in [
        ("constant", &constant, SORTING, 0.12),
        ("fading", &fading, SORTING, 0.42),
        ("wide", &wide, LARGE, 0.3),
        ("dead", &dead, DEAD, 0.25),
        ("fluctuating", &fluctuating, DEAD, 0.1),
        ("constant", &constant, ALL, 0.45),
        ("wide", &wide, ALL, 0.42),
        ("dead", &dead, ALL, 0.2),
        ("fluctuating", &fluctuating, ALL, 0.2),
        ("constant", &constant, FOURIER_WAVELET, 0.42),
        ("fading", &fading, FOURIER_WAVELET, 0.42),
    ] {
        let left_here = error(&removed(sinogram, &stripes), &removed(&clean, &stripes));
        let ratio = left_here / error(sinogram, &clean);
        assert!(ratio < left, "{ratio} of {name} stripes is left by {stripes:?}");
    }
}

#[test]
fn rows_of_projections_are_done_like_sinograms() {
    let clean = clean();
    let mut slab = Array3::zeros((180, 3, SIZE));
    for row in 0..3 {
        let striped = with(&clean, |_, x, v| v + if x % 23 == 5 * row { 0.3 } else { 0.0 });
        slab.index_axis_mut(Axis(1), row).assign(&striped);
    }
    let before = slab.clone();
    remove_stripes_of_rows(slab.view_mut(), &SORTING).unwrap();
    for row in 0..3 {
        let alone = removed(&before.index_axis(Axis(1), row).to_owned(), &SORTING);
        assert_eq!(slab.index_axis(Axis(1), row), alone);
    }
}

#[test]
fn small_and_flat_sinograms_are_no_trouble() {
    let kinds = [Stripes::SORTING, Stripes::LARGE, Stripes::DEAD, Stripes::ALL, Stripes::FOURIER_WAVELET];
    for stripes in kinds {
        for (angles, columns) in [(0, 0), (0, 5), (5, 0), (1, 1), (1, 9), (9, 1), (2, 3), (4, 4)] {
            for value in [0.0, 2.0] {
                let flat = Array2::from_elem((angles, columns), value);
                let done = removed(&flat, &stripes);
                assert!(done.iter().all(|v| (v - value).abs() < 1e-4), "{stripes:?} {angles}x{columns}");
            }
        }
    }
}

#[test]
fn numbers_out_of_range_are_errors() {
    for stripes in [
        Stripes::Sorting { width: 4 },
        Stripes::Sorting { width: 0 },
        Stripes::Large { ratio: 1.0, width: 61 },
        Stripes::Dead { ratio: f64::NAN, width: 61 },
        Stripes::All { ratio: 3.0, large: 61, small: 20 },
        Stripes::FourierWavelet { sigma: 0.0, levels: None },
        Stripes::FourierWavelet { sigma: 2.0, levels: Some(0) },
    ] {
        assert!(remove_stripes(Array2::zeros((4, 4)).view_mut(), &stripes).is_err(), "{stripes:?}");
    }
    let mut sinogram = Array2::zeros((4, 4));
    sinogram[[2, 3]] = f32::NAN;
    let error = remove_stripes(sinogram.view_mut(), &Stripes::SORTING).unwrap_err().to_string();
    assert!(error.contains("angle 2, column 3"), "{error}");
}
