use ndarray::{Array2, array};

use super::*;
use crate::samples::augmentation::strengths::UNCHANGED;
use crate::samples::random::{Stream, stream};

fn changed(image: &Array3<f32>, strengths: Strengths) -> Array3<f32> {
    let mut image = image.clone();
    apply(&mut image, 1, &strengths, &mut stream(5, Stream::Augmentation, 1));
    image
}

fn mean_and_variance(values: impl Iterator<Item = f32> + Clone) -> (f64, f64) {
    let count = values.clone().count() as f64;
    let mean = values.clone().map(f64::from).sum::<f64>() / count;
    (mean, values.map(|v| (f64::from(v) - mean).powi(2)).sum::<f64>() / count)
}

#[test]
fn brightness_adds_and_contrast_multiplies_all_channels_alike() {
    let image = array![[[0.0, 1.0]], [[-2.0, 3.0]]];
    let out = changed(&image, Strengths { brightness: 0.5, contrast: 2.0, ..UNCHANGED });
    assert_eq!(out, array![[[0.5, 2.5]], [[-3.5, 6.5]]]);
    assert_eq!(changed(&image, UNCHANGED), image);
}

#[test]
fn gamma_keeps_the_ends_and_bends_what_lies_between() {
    let image = array![[[-1.0, 0.0, 1.0]], [[5.0, 5.0, 5.0]]];
    let out = changed(&image, Strengths { gamma: 2.0, ..UNCHANGED });
    assert_eq!(out, array![[[-1.0, -0.5, 1.0]], [[5.0, 5.0, 5.0]]]);
}

#[test]
fn noise_has_the_stated_deviation() {
    let image = Array3::from_elem((2, 200, 200), 3.0);
    let out = changed(&image, Strengths { noise: 0.25, ..UNCHANGED });
    let (mean, variance) = mean_and_variance(out.iter().copied());
    assert!((mean - 3.0).abs() < 0.005 && (variance.sqrt() / 0.25 - 1.0).abs() < 0.02, "{mean} {variance}");
    assert_ne!(out.index_axis(Axis(0), 0), out.index_axis(Axis(0), 1), "channels have noise of their own");
}

#[test]
fn the_variance_of_photons_grows_with_the_brightness() {
    // Brightness 0, 1, 2 and 3 over the darkest pixel, of mean 1.5: the variance is 0.2^2 at 1.5. With 0.2 there are
    // 56 photons at the mean, so that both ways of drawing them are used; with 0.9 there are two.
    for deviation in [0.2, 0.9] {
        let image = Array3::from_shape_fn((1, 400, 400), |(_, y, _)| (y % 4) as f32 - 7.0);
        let out = changed(&image, Strengths { poisson: deviation, ..UNCHANGED });
        for level in 0..4 {
            let rows = out.index_axis(Axis(0), 0);
            let values: Vec<f32> = (level..400).step_by(4).flat_map(|y| rows.row(y).to_vec()).collect();
            let (mean, variance) = mean_and_variance(values.iter().copied());
            let expected = deviation * deviation * level as f64 / 1.5;
            // 40000 pixels: the variance is known to 1 %, a little less for few photons.
            assert!(
                (mean - (level as f64 - 7.0)).abs() < 0.03 * deviation,
                "{deviation} {level}: mean {mean}"
            );
            assert!((variance - expected).abs() <= 0.05 * expected, "{deviation} {level}: {variance}");
        }
    }
}

#[test]
fn few_photons_come_in_whole_numbers_with_the_poisson_distribution() {
    let mut random = stream(1, Stream::Augmentation, 2);
    let mut counts = [0_u32; 12];
    for _ in 0..50_000 {
        let count = poisson(2.5, &mut random);
        assert_eq!(count.fract(), 0.0);
        counts[(count as usize).min(11)] += 1;
    }
    let mut probability = (-2.5_f64).exp();
    for (count, &found) in counts.iter().take(7).enumerate() {
        let expected = 50_000.0 * probability;
        assert!(
            (f64::from(found) - expected).abs() < 4.0 * expected.sqrt(),
            "{count}: {found} for {expected}"
        );
        probability *= 2.5 / (count + 1) as f64;
    }
    assert_eq!(poisson(0.0, &mut random), 0.0);
}

#[test]
fn blur_is_a_gaussian_that_keeps_the_sum() {
    let mut point = Array2::zeros((41, 33));
    point[[20, 16]] = 1.0;
    let out = changed(&point.clone().insert_axis(Axis(0)), Strengths { blur: 2.0, ..UNCHANGED });
    let out = out.index_axis(Axis(0), 0);
    assert!((out.sum() - 1.0).abs() < 1e-5);
    let spread: f32 = out.indexed_iter().map(|((y, _), v)| v * (y as f32 - 20.0).powi(2)).sum();
    // Cutting off at three deviations takes a little of the variance of 4.
    assert!((3.8..4.0).contains(&spread), "{spread}");
    assert!((out[[22, 16]] / out[[20, 16]] - (-0.5_f32).exp()).abs() < 1e-4);
    assert!((out[[20, 14]] / out[[20, 16]] - (-0.5_f32).exp()).abs() < 1e-4);
    // A constant stays one up to the edges, also where the image is smaller than the Gaussian.
    for size in [(1, 1), (3, 2), (40, 30)] {
        let flat = Array3::from_elem((1, size.0, size.1), 2.5);
        let out = changed(&flat, Strengths { blur: 4.0, ..UNCHANGED });
        assert!(out.iter().all(|v| (v - 2.5).abs() < 1e-5), "{size:?}");
    }
}
