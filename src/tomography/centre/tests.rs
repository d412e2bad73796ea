use std::f64::consts::PI;

use ndarray::{Array2, s};

use super::*;

const COLUMNS: usize = 160;

/// Discs (x, y, radius, absorption) as shares of half the width, about the axis.
const DISCS: [(f64, f64, f64, f64); 6] = [
    (0.0, 0.05, 0.75, 1.0),
    (0.3, -0.2, 0.2, 1.5),
    (-0.35, 0.25, 0.12, -0.8),
    (0.1, 0.45, 0.08, 2.0),
    (-0.2, -0.4, 0.15, -0.5),
    (0.5, 0.3, 0.05, 2.5),
];

/// The exact sinogram of some discs about `centre`, in attenuation of 2 at most about. Discs are `size` pixels for a share of 1.
fn sinogram(angles: usize, turn: f64, centre: f64, size: f64) -> Array2<f32> {
    Array2::from_shape_fn((angles, COLUMNS), |(a, column)| {
        let (sine, cosine) = (turn * a as f64 / angles as f64).sin_cos();
        let chord = |&(x, y, radius, absorption): &(f64, f64, f64, f64)| {
            let t = (column as f64 - centre) / size - (x * cosine + y * sine);
            absorption * 2.0 * (radius * radius - t * t).max(0.0).sqrt()
        };
        DISCS.iter().map(chord).sum::<f64>() as f32
    })
}

/// A number from 0 to 1 for each place.
fn noise(place: (usize, usize)) -> f64 {
    let bits = (place.0 as u64 * 7919 + place.1 as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let bits = (bits ^ bits >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (bits >> 40) as f64 / (1u64 << 24) as f64
}

/// Noise of about a thousand photons, and stripes.
fn spoilt(mut sinogram: Array2<f32>) -> Array2<f32> {
    for ((a, x), value) in sinogram.indexed_iter_mut() {
        // The sum of some is nearly normal; of twelve its variance is 1.
        let normal = (0..12).map(|k| noise((a * 12 + k, x))).sum::<f64>() - 6.0;
        let counts = 1000.0 * (-f64::from(*value)).exp();
        let stripe = if x % 23 == 5 { 0.2 } else { 0.05 * noise((999_999, x)) };
        *value += (normal / counts.sqrt() + stripe) as f32;
    }
    sinogram
}

const MIDDLE: f64 = (COLUMNS as f64 - 1.0) / 2.0;
const SIZE: f64 = 60.0;

#[test]
fn the_wedge_finds_known_centres() {
    let settings = WedgeSettings { left: 25.0, right: 25.0, ..WedgeSettings::default() };
    for shift in [0.0, 0.3, -4.6, 11.75, -15.5] {
        let clean = sinogram(180, PI, MIDDLE + shift, SIZE);
        let found = by_wedge(clean.view(), &settings).unwrap();
        assert!((found.column - MIDDLE - shift).abs() < 0.25, "{found:?} for a shift of {shift}");
        assert!(found.sharpness > 0.2, "{found:?}");
        let found = by_wedge(spoilt(clean).view(), &settings).unwrap();
        assert!((found.column - MIDDLE - shift).abs() < 0.5, "{found:?} for a shift of {shift} with noise");
    }
}

#[test]
fn foam_that_is_projected_turns_about_the_middle() {
    let sinogram = crate::tomography::project(&crate::phantom::foam::phantom(128, 2), 150);
    let found = by_wedge(sinogram.view(), &WedgeSettings::default()).unwrap();
    assert!((found.column - 63.5).abs() < 0.25, "{found:?}");
    // Cut off on one side, the middle is elsewhere.
    let found = by_wedge(sinogram.slice(s![.., 9..]), &WedgeSettings::default()).unwrap();
    assert!((found.column - 54.5).abs() < 0.25, "{found:?}");
}

#[test]
fn opposite_projections_find_known_centres() {
    for shift in [0.0, 0.3, -4.6, 21.75, -30.5] {
        // The rows of a projection are those of one sample each: discs seen from many sides.
        let whole = sinogram(80, 2.0 * PI, MIDDLE + shift, 40.0);
        let (first, opposite) = (whole.slice(s![..40, ..]), whole.slice(s![40.., ..]));
        let found = by_registration(first, opposite).unwrap();
        assert!((found.column - MIDDLE - shift).abs() < 0.25, "{found:?} for a shift of {shift}");
        let whole = spoilt(whole);
        let (first, opposite) = (whole.slice(s![..40, ..]), whole.slice(s![40.., ..]));
        let found = by_registration(first, opposite).unwrap();
        assert!((found.column - MIDDLE - shift).abs() < 0.5, "{found:?} for a shift of {shift} with noise");
    }
}

#[test]
fn a_whole_turn_finds_an_axis_at_either_edge() {
    for centre in [12.3, 30.0, MIDDLE, 125.5, 149.0] {
        // The sample is nearly twice as wide as the detector.
        let clean = sinogram(180, 2.0 * PI, centre, 150.0);
        for (sinogram, bound) in [(clean.clone(), 0.25), (spoilt(clean), 0.5)] {
            let found = by_overlap(sinogram.view()).unwrap();
            assert!((found.centre.column - centre).abs() < bound, "{found:?} for {centre}");
            let columns = 2.0 * centre.min(2.0 * MIDDLE - centre) + 1.0;
            assert!((found.columns - columns).abs() < 2.0 * bound, "{found:?} for {centre}");
            assert!(centre == MIDDLE || found.left == (centre < MIDDLE), "{found:?} for {centre}");
        }
    }
}

#[test]
fn what_has_no_centre_is_an_error_that_says_so() {
    let settings = WedgeSettings::default();
    let error = |sinogram: &Array2<f32>| by_wedge(sinogram.view(), &settings).unwrap_err().to_string();
    assert!(error(&Array2::ones((180, COLUMNS))).contains("everywhere"));
    assert!(error(&Array2::ones((5, COLUMNS))).contains("at least 16 rows"));
    assert!(error(&Array2::ones((180, 4))).contains("of 16 columns"));
    let mut bad = sinogram(180, PI, MIDDLE, SIZE);
    bad[[3, 4]] = f32::NAN;
    assert!(error(&bad).contains("row 3, column 4"));
    // The centre is 20 pixels off the middle, and the search ends before.
    let near = WedgeSettings { left: 5.0, right: 5.0, ..settings };
    let off = sinogram(180, PI, MIDDLE + 20.0, 45.0);
    let text = by_wedge(off.view(), &near).unwrap_err().to_string();
    assert!(text.contains("search more widely"), "{text}");
    let outside = WedgeSettings { left: -200.0, right: 300.0, ..settings };
    assert!(by_wedge(off.view(), &outside).unwrap_err().to_string().contains("columns are 0 to 159"));
    for settings in [
        WedgeSettings { step: 0.0, ..settings },
        WedgeSettings { fine: f64::NAN, ..settings },
        WedgeSettings { ratio: -1.0, ..settings },
        WedgeSettings { left: -10.0, right: 5.0, ..settings },
    ] {
        assert!(by_wedge(off.view(), &settings).is_err(), "{settings:?}");
    }

    let flat = Array2::ones((20, COLUMNS));
    assert!(by_registration(flat.view(), off.slice(s![..20, ..])).is_err());
    assert!(by_registration(off.slice(s![..20, ..]), off.slice(s![..21, ..])).is_err());
    assert!(by_overlap(flat.view()).is_err());
    let chance = Array2::from_shape_fn((40, COLUMNS), |place| noise(place) as f32);
    assert!(by_overlap(chance.view()).unwrap_err().to_string().contains("do not fit"));
}

#[test]
fn small_sinograms_are_no_trouble() {
    for (angles, columns) in [(16, 16), (17, 33), (16, 64), (40, 16)] {
        let values = Array2::from_shape_fn((angles, columns), |(a, x)| (noise((a, x)) * 3.0) as f32);
        // Found or not: neither is a crash.
        let _ = by_wedge(values.view(), &WedgeSettings::default());
        let _ = by_overlap(values.view());
        let _ = by_registration(values.view(), values.view());
    }
}
