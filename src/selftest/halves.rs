//! Checks of engines that store feature maps as halves.

use super::cases::Case;
use super::checks::{feature_maps, random_setting};
use super::compare::{compare, ensure, largest};
use super::expected::expected_forward;
use super::{Open, Outcome, Setting, tolerance};
use crate::engine::{Images, Plane};
use crate::geometry::{Extent, Shape};
use crate::network::{Architecture, ParameterLayout};

/// The feature maps and outputs of the random networks with the seeds `cases`, of images and of volumes, where `open` opens engines whose
/// feature maps are halves; gives the largest error, relative to the largest value.
///
/// # Errors
/// The first difference.
pub fn halves_agree(open: &Open, cases: std::ops::Range<u64>) -> Outcome<f64> {
    let mut all = 0.0f64;
    for seed in cases {
        for case in [Case::random(seed), Case::random_volume(seed)] {
            let setting = random_setting(seed, &case)?;
            // The sums of a layer have to be in one buffer.
            let setting = Setting { max_page_bytes: setting.max_page_bytes.saturating_mul(2), ..setting };
            all = all.max(check_forward(open, seed, &case, setting)?);
        }
    }
    Ok(all)
}

/// The feature maps and outputs of one case, by an engine whose feature maps are halves; gives the largest error, relative to the largest
/// value.
///
/// # Errors
/// The first difference.
pub fn check_forward(open: &Open, seed: u64, case: &Case, setting: Setting) -> Outcome<f64> {
    let parameters: Vec<f64> = case.parameters.iter().map(|&p| f64::from(p)).collect();
    let expected = expected_forward(case, &parameters);
    let a = &case.architecture;
    let context = (seed, a, case.images.shape, setting);
    let mut engine = open(a, &case.parameters, setting)?;
    let outputs = engine.forward(&case.images)?;
    let wanted: Vec<f64> = expected.images.iter().flat_map(|image| image.forward.outputs.concat()).collect();
    let size = largest(std::slice::from_ref(&wanted));
    let mut all = compare("outputs", &outputs, &wanted, size, tolerance::HALF_FORWARD, &context)?;
    for (image, maps) in expected.images.iter().zip(feature_maps(engine.as_mut(), case)?) {
        let wanted = &image.forward.maps;
        let size = largest(wanted);
        for (channel, map) in maps.iter().enumerate() {
            let what = format!("map {channel}");
            let error = compare(&what, map, &wanted[channel], size, tolerance::HALF_FORWARD, &context)?;
            all = all.max(error);
            let is_half = |value: &f32| half::f16::from_f32(*value).to_f32().to_bits() == value.to_bits();
            ensure!(map.iter().all(is_half), "{what} holds numbers that are no halves; {context:?}");
        }
    }
    let refused = engine.accumulate(&case.images, &case.targets, case.loss, 1.0);
    ensure!(refused.is_err(), "an engine with halves computes gradients");
    Ok(all)
}

/// Sums are full until they are complete: four sources add a half each to 2048, which as a half has no place for less than 2.
///
/// # Errors
/// Where a sum is another one.
pub fn sums_of_halves_are_full(open: &Open) -> Outcome<()> {
    let architecture = Architecture { dilations: vec![1], ..Architecture::new(1, 1, 4) };
    let layout = ParameterLayout::of(&architecture);
    let mut parameters = vec![0.0; layout.count()];
    let middle = |hidden: usize, source: usize| 9 * (layout.first_filter(hidden) + source) + 4;
    // The first layers give 1 each, and the last one adds half of the image and of each of them to its bias.
    for layer in 0..3 {
        parameters[layout.biases().start + layer] = 1.0;
    }
    parameters[layout.biases().start + 3] = 2048.0;
    for source in 0..4 {
        parameters[middle(3, source)] = 0.5;
    }
    let shape = Shape { batch: 1, extent: Extent::plane(7, 9) };
    let images = Images { shape, pixels: vec![1.0; shape.extent.pixels()] };
    for block in 1..=4 {
        let mut engine = open(&architecture, &parameters, Setting { block, max_page_bytes: u64::MAX })?;
        engine.forward(&images)?;
        let map = engine.read_plane(Plane::Map(4), 0)?;
        ensure!(map.iter().all(|sum| *sum == 2050.0), "in blocks of {block}, sums are {:?}", map.first());
    }
    Ok(())
}
