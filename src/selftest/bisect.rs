//! Every quantity of a training step beside the reference, in the order in which the steps compute them: the first that is off tells which
//! step went wrong, as those after it only follow.

use super::cases::Case;
use super::checks::{feature_maps, random_setting, take_sides};
use super::compare::largest;
use super::expected::expected_forward;
use super::{Open, Outcome, Setting, tolerance};
use crate::engine::Plane;
use crate::network::ParameterLayout;

/// A quantity beside the reference.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// What it is: `map 3`, or `filter gradients of map 3`.
    pub what: String,
    /// The name of the step that computes it; see [`crate::schedule::Step::name`].
    pub step: &'static str,
    /// Its largest error, relative to the largest value; infinite where a number is NaN.
    pub error: f64,
    /// The largest error that it may have.
    pub allowed: f64,
}

impl Compared {
    /// Whether it is as it should be.
    pub fn is_right(&self) -> bool {
        self.error <= self.allowed
    }
}

/// The largest error of `found`, relative to `size`.
fn error(found: &[f32], wanted: &[f64], size: f64) -> f64 {
    if found.len() != wanted.len() {
        return f64::INFINITY;
    }
    let each = found.iter().zip(wanted).map(|(&f, &w)| (f64::from(f) - w).abs() / size);
    each.fold(0.0, |largest, error| if error.is_nan() { f64::INFINITY } else { error.max(largest) })
}

/// All quantities of a training step over the random network with a seed, as [`steps_in_order`] gives them.
///
/// # Errors
/// What the engine refuses.
pub fn random_network_in_order(open: &Open, seed: u64) -> Outcome<Vec<Compared>> {
    let case = Case::random(seed);
    let setting = random_setting(seed, &case)?;
    steps_in_order(open, &case, setting)
}

/// All quantities of a training step, of the last image of a batch where they are one for each, in their order, up to the first that is off.
///
/// # Errors
/// What the engine refuses.
pub fn steps_in_order(open: &Open, case: &Case, setting: Setting) -> Outcome<Vec<Compared>> {
    let parameters: Vec<f64> = case.parameters.iter().map(|&p| f64::from(p)).collect();
    let a = &case.architecture;
    let (images_end, inputs) = (a.inputs, a.stem_channels());
    let mut expected = expected_forward(case, &parameters);
    let mut engine = open(a, &case.parameters, setting)?;
    let mut all = Vec::new();
    let mut add = |what: String, step, error, allowed| {
        let compared = Compared { what, step, error, allowed };
        let is_right = compared.is_right();
        all.push(compared);
        is_right
    };

    let outputs = engine.forward(&case.images)?;
    let found = feature_maps(engine.as_mut(), case)?;
    let maps = &found[found.len() - 1];
    let image = expected.images.len() - 1;
    let forward = &mut expected.images[image].forward;
    let size = largest(&forward.maps);
    for (channel, (map, wanted)) in maps.iter().zip(&forward.maps).enumerate() {
        let step = match channel {
            _ if channel < images_end => "load",
            _ if channel < inputs => "stem",
            _ => "convolve",
        };
        if !add(format!("map {channel}"), step, error(map, wanted, size), tolerance::FORWARD) {
            return Ok(all);
        }
    }
    let size = largest(&forward.outputs);
    let pixels = case.images.shape.extent.pixels();
    let last = &outputs[outputs.len() - a.outputs * pixels..];
    for (output, (found, wanted)) in last.chunks(pixels).zip(&forward.outputs).enumerate() {
        if !add(format!("output {output}"), "mix", error(found, wanted, size), tolerance::FORWARD) {
            return Ok(all);
        }
    }
    take_sides(forward, maps, inputs);

    let expected = expected.with_gradients(case, &parameters);
    engine.accumulate(&case.images, &case.targets, case.loss, case.scale())?;
    // An engine that takes a batch image by image has only the last image's planes left.
    let left = if engine.read_plane(Plane::OutputGradient(0), image).is_ok() { image } else { 0 };
    let of_image = &expected.images[image];
    let size = largest(&of_image.output_gradient);
    for (output, wanted) in of_image.output_gradient.iter().enumerate() {
        let found = engine.read_plane(Plane::OutputGradient(output), left)?;
        let error = error(&found, wanted, size);
        if !add(format!("gradient of output {output}"), "loss", error, tolerance::FORWARD) {
            return Ok(all);
        }
    }
    let size = largest(&of_image.gradient_maps[inputs..]);
    let last_layer = a.channels() - a.width;
    for channel in (inputs..a.channels()).rev() {
        let found = engine.read_plane(Plane::Gradient(channel), left)?;
        let error = error(&found, &of_image.gradient_maps[channel], size);
        // What nothing reads but the mix has no other gradient.
        let step = if channel >= last_layer { "mix_input_gradient" } else { "input_gradient" };
        if !add(format!("gradient of map {channel}"), step, error, tolerance::GRADIENT_MAP) {
            return Ok(all);
        }
    }

    let gradients = engine.gradients()?;
    let layout = ParameterLayout::of(a);
    let size = largest(std::slice::from_ref(&expected.gradients));
    let mixing = layout.mix(0).start..layout.output_biases().end;
    let mut groups = vec![("gradients of the mix".to_owned(), "mix_weight_gradient", mixing)];
    for hidden in (0..a.hidden()).rev() {
        let end =
            if hidden + 1 < a.hidden() { layout.filter(hidden + 1, 0).start } else { layout.filters().end };
        let range = layout.filter(hidden, 0).start..end;
        groups.push((format!("filter gradients of map {}", inputs + hidden), "filter_gradient", range));
    }
    groups.push(("gradients of the biases".to_owned(), "bias_gradient", layout.biases()));
    for (what, step, range) in groups {
        let error = error(&gradients[range.clone()], &expected.gradients[range], size);
        if !add(what, step, error, tolerance::PARAMETER_GRADIENT) {
            return Ok(all);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Result;
    use crate::cpu::{CpuEngine, CpuOptions};
    use crate::engine::Engine;
    use crate::network::Architecture;

    fn engine(architecture: &Architecture, parameters: &[f32], setting: Setting) -> Result<Box<dyn Engine>> {
        let options = CpuOptions { block: Some(setting.block) };
        Ok(Box::new(CpuEngine::new(architecture, parameters, &options)?))
    }

    const PLAIN: Setting = Setting { block: 1, max_page_bytes: u64::MAX };

    #[test]
    fn a_right_engine_is_right_in_every_step() {
        for seed in 0..12 {
            let case = Case::random(seed);
            let all = steps_in_order(&engine, &case, PLAIN).unwrap();
            assert!(all.iter().all(Compared::is_right), "{seed}: {all:#?}");
            let a = &case.architecture;
            assert_eq!(all.len(), a.channels() + 2 * a.outputs + 2 * a.hidden() + 2, "{seed}");
        }
    }

    /// An engine of other parameters stands for one with a fault at a known place.
    #[test]
    fn the_first_step_that_goes_wrong_is_named() {
        let case = Case::random(3);
        let a = &case.architecture;
        let layout = ParameterLayout::of(a);
        for (parameter, what, step) in [
            (layout.filter(a.hidden() - 1, 0).start, format!("map {}", a.channels() - 1), "convolve"),
            (layout.output_biases().start, "output 0".to_owned(), "mix"),
        ] {
            let wrong = |architecture: &Architecture, parameters: &[f32], setting: Setting| {
                let mut parameters = parameters.to_vec();
                parameters[parameter] += 0.5;
                engine(architecture, &parameters, setting)
            };
            let all = steps_in_order(&wrong, &case, PLAIN).unwrap();
            let (last, before) = all.split_last().unwrap();
            assert!(!last.is_right() && before.iter().all(Compared::is_right), "{all:#?}");
            assert_eq!((&last.what, last.step), (&what, step));
        }
    }

    #[test]
    fn numbers_that_are_none_are_off() {
        assert_eq!(error(&[f32::NAN, 1.0], &[0.0, 1.0], 1.0), f64::INFINITY);
        assert_eq!(error(&[1.0], &[1.0, 1.0], 1.0), f64::INFINITY);
        assert_eq!(error(&[1.5, 1.0], &[1.0, 1.0], 2.0), 0.25);
    }
}
