//! Judging on an engine against the float64 reference (losses, and classes where rounding does not decide them), and against the
//! engine's own outputs (every class, every value).

use crate::engine::{Engine, Judged, JudgedResult, LossSum, TargetValues, Targets, keep_inside, most_likely};
use crate::geometry::{Extent, Shape, Window};
use crate::network::{Architecture, ParameterLayout};

use super::cases::{Case, OF_CLASSES, OF_VALUES};
use super::compare::{compare, ensure, largest};
use super::expected::expected_forward;
use super::{Open, Outcome, Setting, tolerance};
use crate::reference;

/// Judges the targets inside `window` of a case of one image. What the network gives must be the most likely classes or the values
/// of `outputs`.
fn judged(engine: &mut dyn Engine, case: &Case, window: &Window, outputs: &[f32]) -> Outcome<Judged> {
    let Case { images, targets, loss, .. } = case;
    let extent = images.shape.extent;
    let mut inside = targets.clone();
    keep_inside(&mut inside, extent, window);
    let judged = engine.judge(images, &inside, *loss)?;
    let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    let same = match (&judged.result, &targets.values) {
        (JudgedResult::Classes(classes), TargetValues::Classes(_)) => {
            *classes == most_likely(outputs, extent.pixels())
        }
        (JudgedResult::Values(values), TargetValues::Values(_)) => bits(values) == bits(outputs),
        _ => false,
    };
    ensure!(same, "{loss}: what the network gives is not what its outputs say");
    let (found, wanted) = (judged.loss.weight(), inside.total_weight());
    ensure!((found - wanted).abs() <= 1e-12 * wanted, "{loss}: the weight is {found}, wanted {wanted}");
    Ok(judged)
}

/// Compares the most likely classes with those of the reference's outputs `[output][y][x]`, where the largest output is further
/// above the second one than the rounding of an engine may be.
fn check_classes(classes: &[u32], outputs: &[Vec<f64>]) -> Outcome<()> {
    let rounding = 2.0 * tolerance::FORWARD * largest(outputs);
    let mut decided = 0;
    for (p, &class) in classes.iter().enumerate() {
        let mut by_size: Vec<usize> = (0..outputs.len()).collect();
        by_size.sort_by(|&a, &b| outputs[b][p].total_cmp(&outputs[a][p]));
        if outputs[by_size[0]][p] - outputs[by_size[1]][p] > rounding {
            decided += 1;
            ensure!(class as usize == by_size[0], "pixel {p} has class {class}, wanted {}", by_size[0]);
        }
    }
    ensure!(2 * decided > classes.len(), "only {decided} of {} pixels were compared", classes.len());
    Ok(())
}

/// Judges a case of one image as a whole and in tiles.
fn check_judging(engine: &mut dyn Engine, case: &Case) -> Outcome<()> {
    let parameters: Vec<f64> = case.parameters.iter().map(|&p| f64::from(p)).collect();
    let expected = expected_forward(case, &parameters);
    let forward = &expected.images[0].forward;
    let (wanted, _) = reference::loss(&forward.outputs, &case.targets, case.loss, 1.0);
    let outputs = engine.forward(&case.images)?;
    let context = (case.loss, case.targets.weights.is_some());
    let loss = |what: &str, sum: &LossSum| {
        compare(what, &[sum.loss() as f32], &[wanted], wanted + 1e-9, tolerance::LOSS, &context).map(drop)
    };
    let extent = case.images.shape.extent;
    let whole = judged(engine, case, &Window::whole(extent), &outputs)?;
    loss("the loss of an image", &whole.loss)?;
    if let JudgedResult::Classes(classes) = &whole.result {
        check_classes(classes, &forward.outputs)?;
    }
    let (row, column) = (extent.y / 3, extent.x - 5);
    let mut merged: Option<LossSum> = None;
    for rows in [0..row, row..extent.y] {
        for columns in [0..column, column..extent.x] {
            let window = Window::new(0..1, rows.clone(), columns);
            let part = judged(engine, case, &window, &outputs)?.loss;
            match &mut merged {
                None => merged = Some(part),
                Some(merged) => merged.merge(&part),
            }
        }
    }
    merged.iter().try_for_each(|merged| loss("the loss of an image in tiles", merged))
}

/// Every loss with and without weights, of images with pixels that do not count, as a whole and in tiles that are merged, before
/// and after a training step over images of the same size; classes where outputs are equal, infinite or NaN. Judging
/// leaves gradients alone, and several images at once are refused.
///
/// # Errors
/// The first difference.
pub fn judging_agrees(open: &Open) -> Outcome<()> {
    let architecture = Architecture::new(2, 3, 3);
    let shape = Shape { batch: 1, extent: Extent::plane(61, 150) };
    for (loss, weighted) in OF_CLASSES.into_iter().chain(OF_VALUES).flat_map(|l| [(l, false), (l, true)]) {
        let case = Case::new(architecture.clone(), shape, loss.is_of_classes(), u64::from(weighted));
        let case = Case { loss, ..case };
        let setting = Setting { block: 2, max_page_bytes: u64::MAX };
        let mut engine = open(&architecture, &case.parameters, setting)?;
        check_judging(engine.as_mut(), &case)?;
        engine.accumulate(&case.images, &case.targets, loss, case.scale())?;
        let gradients = engine.gradients()?;
        check_judging(engine.as_mut(), &case)?;
        ensure!(engine.gradients()? == gradients, "{loss}: judging moved gradients");
    }
    classes_of_nan_and_infinity_agree(open, &architecture, shape)?;
    let two = Case::new(architecture, Shape { batch: 2, ..shape }, true, 1);
    let mut engine =
        open(&two.architecture, &two.parameters, Setting { block: 1, max_page_bytes: u64::MAX })?;
    let refused = engine.judge(&two.images, &two.targets, two.loss).is_err();
    ensure!(refused, "two images are judged as one");
    Ok(())
}

/// Classes alone are compared, as the loss is NaN here: an output that is NaN is never the most likely class.
fn classes_of_nan_and_infinity_agree(open: &Open, architecture: &Architecture, shape: Shape) -> Outcome<()> {
    let mut case = Case::new(architecture.clone(), shape, true, 2);
    case.targets = Targets::classes(vec![0; shape.extent.pixels()]);
    let layout = ParameterLayout::of(architecture);
    let setting = Setting { block: 1, max_page_bytes: u64::MAX };
    let mut engine = open(architecture, &case.parameters, setting)?;
    let (low, nan) = (f32::NEG_INFINITY, f32::NAN);
    for biases in [
        [0.5, 0.5, 0.5],
        [nan, 0.5, 0.5],
        [0.5, -nan, f32::INFINITY],
        [low, nan, low],
        [nan; 3],
        [low, low, -1e30],
    ] {
        let mut parameters = case.parameters.clone();
        // The last output is the second one again, so that they are equal where their biases are.
        let (second, last) = (layout.mix(1), layout.mix(2));
        let same = parameters[second].to_vec();
        parameters[last].copy_from_slice(&same);
        parameters[layout.output_biases()].copy_from_slice(&biases);
        engine.set_parameters(&parameters)?;
        let outputs = engine.forward(&case.images)?;
        for loss in OF_CLASSES {
            case.loss = loss;
            judged(engine.as_mut(), &case, &Window::whole(shape.extent), &outputs)?;
        }
    }
    Ok(())
}
