//! What the outputs should be, and how much each pixel counts.

use super::{Images, Loss, Shape};
use crate::network::Architecture;
use crate::{Error, Result};

/// The class of a pixel that is left out of the loss.
pub const IGNORED: u32 = u32::MAX;

/// What the outputs should be, with a weight for each pixel.
#[derive(Debug, Clone, PartialEq)]
pub struct Targets {
    /// Classes or values.
    pub values: TargetValues,
    /// How much each pixel counts, `[image][y][x]`, finite and not negative; `None` where all count 1. A pixel of
    /// weight 0 has no part in the loss, whatever its value.
    pub weights: Option<Vec<f32>>,
}

/// The wanted classes or values.
#[derive(Debug, Clone, PartialEq)]
pub enum TargetValues {
    /// The class of each pixel, `[image][y][x]`, or [`IGNORED`].
    Classes(Vec<u32>),
    /// The wanted outputs, `[image][output][y][x]`.
    Values(Vec<f32>),
}

impl Targets {
    /// Classes `[image][y][x]` of equal weight.
    pub fn classes(classes: Vec<u32>) -> Self {
        Self { values: TargetValues::Classes(classes), weights: None }
    }

    /// Values `[image][output][y][x]` of equal weight.
    pub fn values(values: Vec<f32>) -> Self {
        Self { values: TargetValues::Values(values), weights: None }
    }

    /// The weight of all terms of the loss: of the pixels that have a class, or of the pixels once for each output.
    /// One over it is the scale that makes the loss a mean.
    pub fn total_weight(&self) -> f64 {
        let sum = |weights: &[f32]| weights.iter().map(|&w| f64::from(w)).sum::<f64>();
        match (&self.values, &self.weights) {
            (TargetValues::Classes(classes), None) => {
                classes.iter().filter(|&&c| c != IGNORED).count() as f64
            }
            (TargetValues::Classes(classes), Some(weights)) => {
                let counted = classes.iter().zip(weights).filter(|&(&class, _)| class != IGNORED);
                counted.map(|(_, &w)| f64::from(w)).sum()
            }
            (TargetValues::Values(values), None) => values.len() as f64,
            (TargetValues::Values(values), Some(weights)) => {
                sum(weights) * (values.len() / weights.len().max(1)) as f64
            }
        }
    }
}

/// Checks that a batch fits a network before any of it is used.
///
/// # Errors
/// [`Error::Mismatch`] saying what was found and wanted.
pub fn check_batch(
    architecture: &Architecture,
    images: &Images,
    targets: Option<(&Targets, Loss)>,
) -> Result<()> {
    let Shape { batch, extent } = images.shape;
    let numbers = |channels: usize| {
        let plane = extent.z.checked_mul(extent.y).and_then(|n| n.checked_mul(extent.x));
        plane.and_then(|n| n.checked_mul(batch)).and_then(|n| n.checked_mul(channels)).filter(|&n| n > 0)
    };
    let check = |what: &str, found: usize, channels: usize| match numbers(channels) {
        Some(wanted) if wanted == found => Ok(()),
        wanted => Err(Error::Mismatch(format!(
            "the batch has {found} {what}, but {batch} images of {}x{}x{} with {channels} channels need {}",
            extent.z,
            extent.y,
            extent.x,
            wanted.map_or("at least one pixel and a countable number".into(), |n| n.to_string()),
        ))),
    };
    check("pixels", images.pixels.len(), architecture.inputs)?;
    let Some((targets, loss)) = targets else { return Ok(()) };
    if loss.is_of_classes() != matches!(targets.values, TargetValues::Classes(_)) {
        let (of, found) = if loss.is_of_classes() { ("classes", "values") } else { ("values", "classes") };
        return Err(Error::Mismatch(format!(
            "the loss {loss} is one of {of}, but the targets are {found}; choose another loss"
        )));
    }
    if let Some(weights) = &targets.weights {
        check("weights", weights.len(), 1)?;
        if let Some(weight) = weights.iter().find(|w| !w.is_finite() || **w < 0.0) {
            return Err(Error::Mismatch(format!(
                "a pixel has the weight {weight}; weights must be finite numbers from 0 on"
            )));
        }
    }
    match &targets.values {
        TargetValues::Values(values) => check("target values", values.len(), architecture.outputs),
        TargetValues::Classes(classes) => {
            check("target pixels", classes.len(), 1)?;
            let known = architecture.outputs as u32;
            match classes.iter().find(|&&class| class >= known && class != IGNORED) {
                None => Ok(()),
                Some(class) => Err(Error::Mismatch(format!(
                    "a target pixel has class {class}, but the network has {known} outputs; classes count from 0"
                ))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Extent;

    #[test]
    fn the_total_weight_is_that_of_what_counts() {
        let classes = Targets::classes(vec![0, 1, IGNORED, 1]);
        assert_eq!(classes.total_weight(), 3.0);
        let weighted = Targets { weights: Some(vec![0.5, 2.0, 7.0, 0.0]), ..classes };
        assert_eq!(weighted.total_weight(), 2.5);
        let values = Targets::values(vec![0.0; 8]);
        assert_eq!(values.total_weight(), 8.0);
        let weighted = Targets { weights: Some(vec![0.5, 2.0, 0.0, 0.0]), ..values };
        assert_eq!(weighted.total_weight(), 5.0);
    }

    #[test]
    fn unusable_weights_are_refused() {
        let images = Images { shape: Shape { batch: 1, extent: Extent::plane(1, 2) }, pixels: vec![0.0; 2] };
        let check = |weights: Vec<f32>| {
            let targets = Targets { weights: Some(weights), ..Targets::classes(vec![0, 1]) };
            check_batch(&Architecture::new(1, 2, 1), &images, Some((&targets, Loss::CrossEntropy)))
        };
        assert!(check(vec![0.0, 3.0]).is_ok());
        for weights in [vec![1.0], vec![1.0, -1.0], vec![f32::NAN, 1.0], vec![1.0, f32::INFINITY]] {
            assert!(check(weights).unwrap_err().to_string().contains("weight"));
        }
    }
}
