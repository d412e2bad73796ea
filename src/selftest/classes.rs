//! The classes that an engine takes, against those of its own outputs: all of them.

use crate::engine::{Engine, NOT_FINITE, most_likely};
use crate::geometry::{Extent, Shape};
use crate::network::{Architecture, ParameterLayout};

use super::cases::Case;
use super::compare::ensure;
use super::{Open, Outcome, Setting};

/// Compares the classes of a batch with those of the engine's outputs for it; gives how many pixels have outputs that are not finite.
fn check_classes(engine: &mut dyn Engine, case: &Case, what: &str) -> Outcome<usize> {
    let (pixels, count) = (case.images.shape.extent.pixels(), case.architecture.outputs);
    // Before the outputs, so that these are not what an earlier pass has left.
    let classes = engine.classify(&case.images)?;
    let outputs = engine.forward(&case.images)?;
    ensure!(classes.len() == case.images.shape.batch * pixels, "{what}: there are {} classes", classes.len());
    let mut not_finite = 0;
    for (classes, outputs) in classes.chunks(pixels).zip(outputs.chunks(count * pixels)) {
        for (p, wanted) in most_likely(outputs, pixels).into_iter().enumerate() {
            let finite = (0..count).all(|k| outputs[k * pixels + p].is_finite());
            not_finite += usize::from(!finite);
            let wanted = if finite { wanted } else { u32::from(NOT_FINITE) };
            let found = u32::from(classes[p]);
            ensure!(found == wanted, "{what}: pixel {p} has class {found}, its outputs say {wanted}");
        }
    }
    Ok(not_finite)
}

/// Networks with one to 255 outputs, over images of all widths that numbers of four bytes are filled by, one or several, in one page
/// and in several, before and after a training step over images of the same size; outputs that are equal, infinite or NaN. Networks
/// with more outputs are refused.
///
/// # Errors
/// The first difference.
pub fn classes_agree(open: &Open) -> Outcome<()> {
    let sizes = [(1, 1, 1, 1), (2, 1, 9, 66), (3, 2, 7, 131), (5, 3, 4, 16), (255, 1, 5, 13)];
    for (seed, (outputs, batch, height, width)) in sizes.into_iter().enumerate() {
        let architecture = Architecture::new(2, outputs, 3);
        let shape = Shape { batch, extent: Extent::plane(height, width) };
        let case = Case::new(architecture.clone(), shape, true, seed as u64);
        let setting = Setting { block: 2, max_page_bytes: u64::MAX };
        let mut engine = open(&architecture, &case.parameters, setting)?;
        let what = format!("{outputs} outputs, {batch} images of {width} x {height} pixels");
        let not_finite = check_classes(engine.as_mut(), &case, &what)?;
        ensure!(not_finite == 0, "{what}: {not_finite} pixels have outputs that are not finite");
        engine.accumulate(&case.images, &case.targets, case.loss, case.scale())?;
        let gradients = engine.gradients()?;
        check_classes(engine.as_mut(), &case, &format!("{what}, after a step"))?;
        ensure!(engine.gradients()? == gradients, "{what}: taking classes moved gradients");
    }
    equal_and_not_finite_agree(open)?;
    let many =
        Case::new(Architecture::new(1, 256, 1), Shape { batch: 1, extent: Extent::plane(3, 3) }, true, 1);
    let mut engine =
        open(&many.architecture, &many.parameters, Setting { block: 1, max_page_bytes: u64::MAX })?;
    ensure!(engine.classify(&many.images).is_err(), "256 classes are given in bytes");
    Ok(())
}

fn equal_and_not_finite_agree(open: &Open) -> Outcome<()> {
    let architecture = Architecture::new(1, 3, 2);
    let shape = Shape { batch: 2, extent: Extent::plane(11, 70) };
    let mut case = Case::new(architecture.clone(), shape, true, 2);
    let layout = ParameterLayout::of(&architecture);
    // The last output is the second one again.
    let (second, last) = (layout.mix(1), layout.mix(2));
    let same = case.parameters[second].to_vec();
    case.parameters[last].copy_from_slice(&same);
    let mut engine = open(&architecture, &case.parameters, Setting { block: 1, max_page_bytes: u64::MAX })?;
    let (low, nan, pixels) = (f32::NEG_INFINITY, f32::NAN, 2 * shape.extent.pixels());
    for (biases, wanted) in [
        ([0.5, 0.5, 0.5], 0),
        ([-1e30, 0.5, 0.5], 0),
        ([nan, 0.5, 0.5], pixels),
        ([0.5, 0.5, -nan], pixels),
        ([0.5, f32::INFINITY, 0.5], pixels),
        ([low, 0.5, 0.5], pixels),
        ([low; 3], pixels),
    ] {
        let mut parameters = case.parameters.clone();
        parameters[layout.output_biases()].copy_from_slice(&biases);
        engine.set_parameters(&parameters)?;
        let not_finite = check_classes(engine.as_mut(), &case, &format!("biases {biases:?}"))?;
        ensure!(not_finite == wanted, "biases {biases:?}: {not_finite} pixels are not finite, not {wanted}");
    }
    // Single pixels.
    let mut parameters = case.parameters.clone();
    parameters[layout.output_biases()].fill(0.0);
    engine.set_parameters(&parameters)?;
    case.images.pixels[75] = nan;
    let not_finite = check_classes(engine.as_mut(), &case, "an image with NaN")?;
    ensure!(0 < not_finite && not_finite < pixels, "NaN in a pixel gives {not_finite} that are not finite");
    Ok(())
}
