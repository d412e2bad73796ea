//! What each loss leads to: a network that can only give one constant learns the constant for which the loss is smallest.

use msd_gpu::cpu::{CpuEngine, CpuOptions};
use msd_gpu::engine::{Adam, Engine, Images, Loss, TargetValues, Targets};
use msd_gpu::geometry::{Extent, Shape};
use msd_gpu::network::{Architecture, initialise};

/// The outputs that are learnt for a black image; only the biases of the outputs can change there.
fn learnt(loss: Loss, targets: &Targets, outputs: usize) -> Vec<f64> {
    const STEPS: u64 = 1500;
    let architecture = Architecture::new(1, outputs, 1);
    let pixels = match &targets.values {
        TargetValues::Classes(classes) => classes.len(),
        TargetValues::Values(values) => values.len() / outputs,
    };
    let parameters = initialise(&architecture, 1);
    let mut engine = CpuEngine::new(&architecture, &parameters, &CpuOptions::default()).unwrap();
    let shape = Shape { batch: 1, extent: Extent::plane(1, pixels) };
    let images = Images { shape, pixels: vec![0.0; pixels] };
    let scale = (1.0 / targets.total_weight()) as f32;
    for step in 1..=STEPS {
        engine.accumulate(&images, targets, loss, scale).unwrap();
        let rate = 0.1 * (1.0 - step as f64 / (STEPS + 1) as f64);
        engine.update(&Adam::new(rate, step)).unwrap();
    }
    let outputs = engine.forward(&images).unwrap();
    outputs.chunks(pixels).map(|plane| f64::from(plane[0])).collect()
}

#[test]
fn values_come_to_the_mean_the_median_and_between() {
    // An outlier among five; the pixel without weight does not count.
    let values = Targets {
        values: TargetValues::Values(vec![0.0, 0.0, 0.0, 0.0, 10.0, 77.0]),
        weights: Some(vec![1.0, 1.0, 1.0, 1.0, 1.0, 0.0]),
    };
    let found = |loss| learnt(loss, &values, 1)[0];
    let near = |loss: Loss, wanted: f64| {
        let found = found(loss);
        assert!((found - wanted).abs() < 2e-3, "{loss}: {found}, wanted {wanted}");
    };
    near(Loss::SquaredError, 2.0);
    near(Loss::AbsoluteError, 0.0);
    // Four pull back with x, one pulls on with delta.
    near(Loss::Huber { delta: 1.0 }, 0.25);
    near(Loss::Huber { delta: 0.4 }, 0.1);
    // Four times x / sqrt(x^2 + epsilon^2) is almost 1.
    near(Loss::Charbonnier { epsilon: 1.0 }, 1.0 / f64::sqrt(15.0));
}

#[test]
fn weights_move_the_mean() {
    let values = Targets { weights: Some(vec![3.0, 1.0]), ..Targets::values(vec![0.0, 4.0]) };
    assert!((learnt(Loss::SquaredError, &values, 1)[0] - 1.0).abs() < 1e-3);
}

#[test]
fn classes_come_to_the_probabilities_of_the_smallest_loss() {
    let classes = Targets::classes(vec![0, 0, 0, 0, 0, 0, 0, 1, 1, 1]);
    let focal = Loss::Focal { gamma: 2.0 };
    for loss in [Loss::CrossEntropy, focal, Loss::Dice, Loss::CrossEntropyDice] {
        let outputs = learnt(loss, &classes, 2);
        let value = |logit: f64| loss.of_image(&classes, 2, |k, _| k as f64 * logit);
        let found = outputs[1] - outputs[0];
        let smallest =
            (-4000..=4000).map(|i| f64::from(i) / 1000.0).min_by(|&a, &b| value(a).total_cmp(&value(b)));
        let smallest = smallest.unwrap();
        assert!((found - smallest).abs() < 5e-3, "{loss}: {found}, wanted {smallest}");
        // All but the focal loss find how often the class is there; that one is less sure of itself.
        let share = 1.0 / (1.0 + f64::exp(-found));
        assert!(
            if loss == focal { share > 0.35 && share < 0.5 } else { (share - 0.3).abs() < 2e-3 },
            "{share}"
        );
    }
}
