//! Filtered back-projection: from a sinogram back to the image.
//!
//! Kak & Slaney, "Principles of Computerized Tomographic Imaging", 1988, chapter 3.3.

use std::f64::consts::PI;

use ndarray::{Array2, ArrayView1};
use rayon::prelude::*;

use super::projection::angle;
use super::rows_mut;

/// Reconstructs an image `[y][x]` of `size` x `size` pixels from a parallel-beam sinogram
/// `[angle][detector]` laid out as [`project`](super::project) does, with the Ram-Lak filter.
///
/// Pixels are as wide as detectors and the image is centred on them. Outside the circle that every angle
/// sees the result is 0. The image has the units of the one that was projected.
pub fn filtered_back_projection(sinogram: &Array2<f32>, size: usize) -> Array2<f32> {
    let (angles, detectors) = sinogram.dim();
    let mut image = Array2::zeros((size, size));
    if angles == 0 || detectors == 0 {
        return image;
    }
    let filtered: Vec<Vec<f32>> = (0..angles).into_par_iter().map(|a| ram_lak(sinogram.row(a))).collect();
    let directions: Vec<(f32, f32)> = (0..angles)
        .map(|a| {
            let (sine, cosine) = angle(a, angles).sin_cos();
            (sine as f32, cosine as f32)
        })
        .collect();

    let pixel_centre = (size as f32 - 1.0) / 2.0;
    let detector_centre = (detectors as f32 - 1.0) / 2.0;
    // The sum over angles stands for an integral over half a turn (equation 63).
    let weight = (PI / angles as f64) as f32;
    rows_mut(&mut image).enumerate().for_each(|(row, line)| {
        let y = row as f32 - pixel_centre;
        let half_width = (detector_centre * detector_centre - y * y).max(-1.0);
        if half_width < 0.0 {
            return;
        }
        let half_width = half_width.sqrt();
        let first = (pixel_centre - half_width).ceil().max(0.0) as usize;
        let end = ((pixel_centre + half_width).floor() as usize + 1).min(size);
        let Some(line) = line.get_mut(first..end) else { return };
        for (values, &(sine, cosine)) in filtered.iter().zip(&directions) {
            let start = (first as f32 - pixel_centre) * cosine + y * sine + detector_centre;
            for (x, sum) in line.iter_mut().enumerate() {
                let place = start + x as f32 * cosine;
                // Inside the circle only rounding can leave the detector, and both ends are kept in by one.
                let left = (place.max(0.0) as usize).min(detectors - 1);
                let right = (left + 1).min(detectors - 1);
                let fraction = place - left as f32;
                *sum += values[left] + fraction * (values[right] - values[left]);
            }
        }
        for sum in line {
            *sum *= weight;
        }
    });
    image
}

/// The row convolved with the Ram-Lak filter in its spatial form for detectors of width 1 (equation 61):
/// h(0) = 1/4, h(n) = -1 / (n pi)^2 for odd n, 0 for even n.
fn ram_lak(row: ArrayView1<f32>) -> Vec<f32> {
    let row = row.to_vec();
    let odd_taps: Vec<f32> =
        (0..row.len()).step_by(2).map(|n| (-1.0 / ((n + 1) as f64 * PI).powi(2)) as f32).collect();
    (0..row.len())
        .map(|t| {
            let after = row[t + 1..].iter().step_by(2);
            let before = row[..t].iter().rev().step_by(2);
            let sum: f32 = after.zip(&odd_taps).chain(before.zip(&odd_taps)).map(|(v, h)| v * h).sum();
            row[t] / 4.0 + sum
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tomography::project;

    fn disc(size: usize, radius: f32, value: f32) -> Array2<f32> {
        let centre = (size as f32 - 1.0) / 2.0;
        Array2::from_shape_fn((size, size), |(y, x)| {
            // A pixel at the edge is covered in part.
            let distance = (y as f32 - centre).hypot(x as f32 - centre);
            value * (radius + 0.5 - distance).clamp(0.0, 1.0)
        })
    }

    #[test]
    fn the_filter_has_the_taps_of_kak_and_slaney() {
        let mut impulse = vec![0.0; 9];
        impulse[4] = 1.0;
        let response = ram_lak(ArrayView1::from(&impulse));
        let tap = |n: f32| -1.0 / (n * std::f32::consts::PI).powi(2);
        for (found, wanted) in response.iter().zip([0.0, tap(3.0), 0.0, tap(1.0), 0.25]) {
            assert!((found - wanted).abs() < 1e-7);
        }
        assert_eq!(response[..4], response.iter().rev().copied().collect::<Vec<_>>()[..4]);
    }

    #[test]
    fn a_disc_comes_back_with_its_value() {
        let size = 96;
        let image = disc(size, 30.0, 2.5);
        let back = filtered_back_projection(&project(&image, 150), size);
        let centre = (size as f32 - 1.0) / 2.0;
        for ((y, x), &value) in back.indexed_iter() {
            let distance = (y as f32 - centre).hypot(x as f32 - centre);
            if distance < 26.0 {
                assert!((value - 2.5).abs() < 0.1, "{value} at {y}, {x}");
            } else if distance > 34.0 {
                assert!(value.abs() < 0.1, "{value} at {y}, {x}");
            }
        }
    }

    #[test]
    fn a_shape_off_centre_comes_back_at_its_place() {
        let size = 64;
        let mut image = Array2::zeros((size, size));
        image.slice_mut(ndarray::s![12..20, 40..52]).fill(1.0);
        let back = filtered_back_projection(&project(&image, 120), size);
        let inside = back.slice(ndarray::s![14..18, 42..50]).mean().unwrap();
        assert!((inside - 1.0).abs() < 0.05, "{inside}");
        // Its mirror places hold nothing: neither axis is turned.
        for region in [ndarray::s![44..52, 40..52], ndarray::s![12..20, 12..24]] {
            assert!(back.slice(region).mean().unwrap().abs() < 0.05);
        }
    }

    #[test]
    fn sizes_other_than_the_detector_crop_or_pad() {
        let image = disc(64, 20.0, 1.0);
        let sinogram = project(&image, 90);
        let whole = filtered_back_projection(&sinogram, 64);
        let cropped = filtered_back_projection(&sinogram, 32);
        let padded = filtered_back_projection(&sinogram, 80);
        for y in 0..32 {
            for x in 0..32 {
                assert!((cropped[[y, x]] - whole[[y + 16, x + 16]]).abs() < 1e-4);
                assert!((padded[[y + 24, x + 24]] - whole[[y + 16, x + 16]]).abs() < 1e-4);
            }
        }
        assert_eq!(padded[[0, 0]], 0.0);
    }

    #[test]
    fn empty_and_tiny_sinograms_are_no_trouble() {
        assert_eq!(filtered_back_projection(&Array2::zeros((0, 8)), 4), Array2::<f32>::zeros((4, 4)));
        assert_eq!(filtered_back_projection(&Array2::zeros((3, 0)), 4), Array2::<f32>::zeros((4, 4)));
        assert_eq!(filtered_back_projection(&Array2::ones((3, 1)), 1).dim(), (1, 1));
        assert_eq!(filtered_back_projection(&Array2::ones((3, 8)), 0).dim(), (0, 0));
        assert!(filtered_back_projection(&Array2::ones((3, 2)), 5).iter().all(|v| v.is_finite()));
    }
}
