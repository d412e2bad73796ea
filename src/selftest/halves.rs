//! Checks of engines that store feature maps as halves.

use super::cases::Case;
use super::checks::{feature_maps, random_setting};
use super::compare::{compare, ensure, largest};
use super::expected::{expected_forward, expected_of};
use super::{Agreement, Open, Outcome, Setting, tolerance};
use crate::engine::{Adam, Engine, Images, Loss, Plane, Targets};
use crate::geometry::{Extent, Shape};
use crate::network::{Architecture, ParameterLayout};
use crate::reference;

/// The pixels of which a loss is the mean where its gradients are much too small for halves: those of an image of 2000 x 2000.
const MANY_PIXELS: f64 = 4e6;

/// Feature maps, outputs, gradient maps and gradients of the random networks with the seeds `cases`, of images and of volumes, where `open`
/// opens engines that store maps as halves; gives how closely they agree.
///
/// # Errors
/// The first difference.
pub fn halves_agree(open: &Open, cases: std::ops::Range<u64>) -> Outcome<Agreement> {
    let mut all = Agreement::default();
    for seed in cases {
        for case in [Case::random(seed), Case::random_volume(seed)] {
            let setting = random_setting(seed, &case)?;
            // The sums of a layer have to be in one buffer.
            let setting = Setting { max_page_bytes: setting.max_page_bytes.saturating_mul(2), ..setting };
            all.merge(&check_halves(open, seed, &case, setting)?);
        }
    }
    Ok(all)
}

/// Forward, loss, every map and every gradient of one case, by an engine that stores maps as halves; gives how closely it agrees. With an odd
/// seed the loss is as small as the mean over a large image, so that halves could not hold its gradients as they are.
///
/// # Errors
/// The first difference.
pub fn check_halves(open: &Open, seed: u64, case: &Case, setting: Setting) -> Outcome<Agreement> {
    let parameters: Vec<f64> = case.parameters.iter().map(|&p| f64::from(p)).collect();
    let expected = expected_forward(case, &parameters);
    let a = &case.architecture;
    let context = (seed, a, case.images.shape, setting);
    let mut engine = open(a, &case.parameters, setting)?;
    let outputs = engine.forward(&case.images)?;
    let wanted: Vec<f64> = expected.images.iter().flat_map(|image| image.forward.outputs.concat()).collect();
    let size = largest(std::slice::from_ref(&wanted));
    let forward = compare("outputs", &outputs, &wanted, size, tolerance::HALF_FORWARD, &context)?;
    let mut all = Agreement::default();
    all.forward = forward;
    for (image, maps) in expected.images.iter().zip(feature_maps(engine.as_mut(), case)?) {
        let wanted = &image.forward.maps;
        let size = largest(wanted);
        for (channel, map) in maps.iter().enumerate() {
            let what = format!("map {channel}");
            let error = compare(&what, map, &wanted[channel], size, tolerance::HALF_FORWARD, &context)?;
            all.forward = all.forward.max(error);
            let is_half = |value: &f32| half::f16::from_f32(*value).to_f32().to_bits() == value.to_bits();
            ensure!(map.iter().all(is_half), "{what} holds numbers that are no halves; {context:?}");
        }
    }
    let scale = if seed.is_multiple_of(2) { case.scale() } else { (1.0 / MANY_PIXELS) as f32 };
    all.gradients = check_backward(engine.as_mut(), case, scale, &(scale, &context))?;
    Ok(all)
}

/// Loss and gradients where the loss is multiplied by `scale`, beside those that follow from the feature maps and outputs of the engine: so
/// that no pixel is on another side of a ReLU, and what is compared is the way back alone. Gives the largest error of gradients.
fn check_backward(
    engine: &mut dyn Engine,
    case: &Case,
    scale: f32,
    context: &dyn std::fmt::Debug,
) -> Outcome<f64> {
    let a = &case.architecture;
    let Shape { batch, extent } = case.images.shape;
    let hidden = a.stem_channels()..a.channels();
    engine.accumulate(&case.images, &case.targets, case.loss, scale)?;
    let mut maps = vec![Vec::new(); batch];
    let mut output_gradients = vec![Vec::new(); batch];
    for image in 0..batch {
        for channel in hidden.clone() {
            maps[image].push(engine.read_plane(Plane::Gradient(channel), image)?);
        }
        for output in 0..a.outputs {
            output_gradients[image].push(engine.read_plane(Plane::OutputGradient(output), image)?);
        }
    }
    let gradients = engine.gradients()?;
    // In the planes of training, which the gradient maps leave now.
    let outputs = engine.forward(&case.images)?;
    let wide = |plane: &[f32]| plane.iter().map(|&value| f64::from(value)).collect::<Vec<_>>();
    let outputs = outputs.chunks(a.outputs * extent.pixels());
    let forwards =
        feature_maps(engine, case)?.into_iter().zip(outputs).map(|(maps, outputs)| reference::Forward {
            maps: maps.iter().map(|map| wide(map)).collect(),
            outputs: outputs.chunks(extent.pixels()).map(wide).collect(),
        });
    let parameters = wide(&case.parameters);
    let expected = expected_of(case, forwards, f64::from(scale)).with_gradients(case, &parameters);
    let mut all = 0.0f64;
    for (image, expected) in expected.images.iter().enumerate() {
        let wanted = &expected.output_gradient;
        let size = size_of(wanted);
        for (found, wanted) in output_gradients[image].iter().zip(wanted) {
            compare("output gradient", found, wanted, size, tolerance::FORWARD, context)?;
        }
        let wanted = &expected.gradient_maps[hidden.clone()];
        let size = size_of(wanted);
        for (channel, (found, wanted)) in maps[image].iter().zip(wanted).enumerate() {
            let what = format!("gradient map {}", hidden.start + channel);
            all = all.max(compare(&what, found, wanted, size, tolerance::HALF_GRADIENT, context)?);
        }
    }
    let size = size_of(std::slice::from_ref(&expected.gradients));
    let error =
        compare("gradients", &gradients, &expected.gradients, size, tolerance::HALF_GRADIENT, context)?;
    engine.accumulate(&case.images, &case.targets, case.loss, scale)?;
    let twice: Vec<f64> = gradients.iter().map(|&g| 2.0 * f64::from(g)).collect();
    compare("gradients of two batches", &engine.gradients()?, &twice, size, tolerance::LOSS, context)?;
    engine.update(&Adam::new(1e-3, 1))?;
    let loss = 2.0 * expected.loss;
    let size = loss.max(f64::MIN_POSITIVE);
    compare("loss", &engine.losses(true)?, &[loss], size, tolerance::LOSS, context)?;
    Ok(all.max(error))
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

/// Gradients are full until they are complete, and are cut off where they are beyond halves. The first layer gets 8 from the mix, and from each
/// of three later layers a share for which a half has no place beside 8; with 8192 in the place of 8 it keeps the largest half.
///
/// # Errors
/// Where a gradient is another one.
pub fn gradients_of_halves_are_full(open: &Open) -> Outcome<()> {
    let architecture = Architecture { dilations: vec![1], ..Architecture::new(1, 1, 4) };
    let layout = ParameterLayout::of(&architecture);
    let middle = |hidden: usize, source: usize| 9 * (layout.first_filter(hidden) + source) + 4;
    let shape = Shape { batch: 1, extent: Extent::plane(7, 9) };
    let pixels = shape.extent.pixels();
    let images = Images { shape, pixels: vec![1.0; pixels] };
    let targets = Targets::values(vec![-1e6; pixels]);
    // The largest output gradient, 1 at each pixel, becomes 32.
    let beyond = 65504.0 / 32.0;
    for (mix, wanted) in [(8.0, 8.0 + 2.0 / 256.0), (8192.0, beyond)] {
        let mut parameters = vec![0.0; layout.count()];
        parameters[layout.biases()].fill(1.0);
        let weights = layout.mix(0).start + 1;
        parameters[weights] = mix;
        for later in 1..4 {
            parameters[weights + later] = 1.0 / 256.0;
            parameters[middle(later, 1)] = 0.5;
        }
        for block in 1..=4 {
            let mut engine = open(&architecture, &parameters, Setting { block, max_page_bytes: u64::MAX })?;
            engine.accumulate(&images, &targets, Loss::AbsoluteError, 1.0)?;
            let map = engine.read_plane(Plane::Gradient(1), 0)?;
            ensure!(
                map.iter().all(|sum| *sum == wanted),
                "in blocks of {block}, gradients are {:?}, wanted {wanted}",
                map.first()
            );
            let bias = engine.gradients()?[layout.biases().start];
            ensure!(bias == pixels as f32 * wanted, "the gradient of the bias is {bias}");
            engine.update(&Adam::new(1e-3, 1))?;
            ensure!(engine.parameters()?.iter().all(|p| p.is_finite()), "a gradient was not finite");
        }
    }
    Ok(())
}

/// The largest value of `planes`, of gradients however small.
fn size_of(planes: &[Vec<f64>]) -> f64 {
    planes.iter().flatten().fold(f64::MIN_POSITIVE, |largest, value| largest.max(value.abs()))
}
