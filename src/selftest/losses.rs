//! Every loss of an engine against the reference.

use crate::engine::{IGNORED, TargetValues};
use crate::geometry::{Extent, Shape};
use crate::network::{Architecture, ParameterLayout};

use super::cases::{Case, OF_CLASSES, OF_VALUES};
use super::checks::check_case;
use super::compare::ensure;
use super::{Open, Outcome, Setting};

/// Every loss with and without weights: over several chunks of pixels, a class that one image lacks, an image without any
/// class, outputs so large that exponentials overflow, and targets of weight 0 that are NaN.
///
/// # Errors
/// The first difference.
pub fn losses_agree(open: &Open) -> Outcome<()> {
    let architecture = Architecture::new(1, 3, 2);
    let shape = Shape { batch: 3, extent: Extent::plane(41, 70) };
    let pixels = shape.extent.pixels();
    for (loss, weighted) in OF_CLASSES.into_iter().chain(OF_VALUES).flat_map(|l| [(l, false), (l, true)]) {
        let mut case = Case::new(architecture.clone(), shape, loss.is_of_classes(), u64::from(weighted));
        case.loss = loss;
        match &mut case.targets.values {
            TargetValues::Classes(classes) => {
                classes[..pixels].iter_mut().filter(|class| **class == 2).for_each(|class| *class = 1);
                classes[pixels..2 * pixels].fill(IGNORED);
            }
            TargetValues::Values(values) => {
                if let Some(weights) = &case.targets.weights {
                    let unweighted = weights[..pixels].iter().position(|&w| w == 0.0);
                    ensure!(unweighted.is_some(), "no pixel of the first image has weight 0");
                    unweighted.into_iter().for_each(|pixel| values[pixel] = f32::NAN);
                }
            }
        }
        check_case(open, 0, &case, Setting { block: 1, max_page_bytes: u64::MAX })?;
        // Hundreds apart, with softmax saturated: the same again, to the last digit of the reference.
        let layout = ParameterLayout::of(&architecture);
        for output in 0..3 {
            case.parameters[layout.mix(output).start] = 60.0 * (output as f32 - 1.0);
        }
        check_case(open, 1, &case, Setting { block: 2, max_page_bytes: u64::MAX })?;
    }
    Ok(())
}
