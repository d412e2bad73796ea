//! The CPU engine against the float64 reference.

#[macro_use]
mod cross_check;

use msd_gpu::Result;
use msd_gpu::cpu::{CpuEngine, CpuOptions};
use msd_gpu::engine::{Engine, Gradients, Images, Loss, TargetValues, Targets};
use msd_gpu::geometry::{Extent, Shape};
use msd_gpu::network::{Architecture, initialise};
use msd_gpu::selftest::Setting;

fn open(architecture: &Architecture, parameters: &[f32], setting: Setting) -> Result<Box<dyn Engine>> {
    let options = CpuOptions { block: Some(setting.block) };
    Ok(Box::new(CpuEngine::new(architecture, parameters, &options)?))
}

engine_tests!(open, 120, 40);

/// Several ranks add up the gradients of single images, which must give the bits of one that takes them all.
#[test]
fn a_batch_gives_the_bits_of_its_images_one_after_the_other() {
    for (outputs, loss, dimensions, extent) in [
        (3, Loss::CrossEntropyDice, 2, Extent::plane(67, 41)),
        (2, Loss::Huber { delta: 0.5 }, 2, Extent::plane(67, 41)),
        (3, Loss::CrossEntropyDice, 3, Extent::new(5, 37, 19)),
    ] {
        let plain = Architecture::new(2, outputs, 7);
        let architecture = Architecture { width: 2, dimensions, dilations: vec![1, 3, 20], ..plain };
        let parameters = initialise(&architecture, 4);
        let (batch, pixels) = (5, extent.pixels());
        let number = |i: usize| ((i * 7919) % 101) as f32 / 50.0 - 1.0;
        let images: Vec<f32> = (0..batch * 2 * pixels).map(number).collect();
        let targets = |range: std::ops::Range<usize>| Targets {
            values: match loss.is_of_classes() {
                true => TargetValues::Classes(range.clone().map(|i| (i % 11 % outputs) as u32).collect()),
                false => TargetValues::Values(
                    (range.start * outputs..range.end * outputs).map(|i| number(i + 3)).collect(),
                ),
            },
            weights: Some(range.map(|i| (i % 5) as f32 * 0.3).collect()),
        };
        let images_of = |images: &[f32]| Images {
            shape: Shape { batch: images.len() / (2 * pixels), extent },
            pixels: images.to_vec(),
        };
        let setting = Setting { block: 3, max_page_bytes: u64::MAX };
        let mut engine = open(&architecture, &parameters, setting).unwrap();
        engine.accumulate(&images_of(&images), &targets(0..batch * pixels), loss, 1e-3).unwrap();
        let whole = engine.take_gradients().unwrap();
        let mut sum = Gradients::zeros(parameters.len());
        for (image, pixels_of_image) in images.chunks(2 * pixels).enumerate() {
            let targets = targets(image * pixels..(image + 1) * pixels);
            engine.accumulate(&images_of(pixels_of_image), &targets, loss, 1e-3).unwrap();
            let one = engine.take_gradients().unwrap();
            sum.add(one.values.into_iter(), one.loss);
        }
        assert!(whole.values.iter().all(|g| g.is_finite()) && whole.values.iter().any(|g| *g != 0.0));
        assert_eq!(sum.loss.to_bits(), whole.loss.to_bits());
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert!(bits(&sum.values) == bits(&whole.values));
    }
}
