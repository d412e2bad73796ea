//! The most likely class of each pixel, from a network's outputs.

use rayon::prelude::*;

use super::{Images, check_batch};
use crate::geometry::Shape;
use crate::network::Architecture;
use crate::{Error, Result};

/// Most classes of a network whose most likely classes are given in bytes by [`super::Engine::classify`].
pub const MAX_CLASSES: usize = 255;
/// What [`super::Engine::classify`] gives for a pixel of which an output is not a finite number. It is no class, as there are at most
/// [`MAX_CLASSES`] of them.
pub const NOT_FINITE: u8 = u8::MAX;

/// Pixels that one core takes at a time.
const PIXELS: usize = 1 << 16;

/// The index of the largest output of each pixel, of `[output][pixel]` with `pixels` pixels each; the lowest index where
/// several are equal.
pub fn most_likely(outputs: &[f32], pixels: usize) -> Vec<u32> {
    let mut classes = vec![0; pixels];
    each_band(outputs, pixels, &mut classes, |class, band, classes, best| {
        for ((chosen, best), &value) in classes.iter_mut().zip(best).zip(band) {
            if value > *best {
                (*best, *chosen) = (value, class as u32);
            }
        }
    });
    classes
}

/// As [`most_likely`], of the batch `[image][output][pixel]` of a network with `count` outputs, at most [`MAX_CLASSES`]: `[image][pixel]`,
/// with [`NOT_FINITE`] for pixels of which an output is not a finite number.
pub(super) fn most_likely_bytes(outputs: &[f32], count: usize, shape: Shape) -> Vec<u8> {
    let pixels = shape.extent.pixels();
    let mut all = vec![0; shape.batch * pixels];
    for (classes, outputs) in all.chunks_mut(pixels).zip(outputs.chunks(count * pixels)) {
        each_band(outputs, pixels, classes, |class, band, classes, best| {
            for ((chosen, best), &value) in classes.iter_mut().zip(best).zip(band) {
                if !value.is_finite() {
                    // Nothing is above infinity, so the mark stays.
                    (*best, *chosen) = (f32::INFINITY, NOT_FINITE);
                } else if value > *best {
                    (*best, *chosen) = (value, class as u8);
                }
            }
        });
    }
    all
}

/// Calls `compare` with each output, some of its pixels, what is chosen for these and the largest output so far; all cores take their
/// part.
fn each_band<C: Send>(
    outputs: &[f32],
    pixels: usize,
    classes: &mut [C],
    compare: impl Fn(usize, &[f32], &mut [C], &mut [f32]) + Sync,
) {
    classes.par_chunks_mut(PIXELS).enumerate().for_each(|(chunk, classes)| {
        let start = chunk * PIXELS;
        let mut best = vec![f32::NEG_INFINITY; classes.len()];
        for (class, plane) in outputs.chunks_exact(pixels).enumerate() {
            compare(class, &plane[start..start + classes.len()], classes, &mut best);
        }
    });
}

/// Checks that the classes of a batch can be given in bytes.
///
/// # Errors
/// As [`check_batch`]; [`Error::Mismatch`] for a network with more than [`MAX_CLASSES`] outputs.
pub(crate) fn check_classified(architecture: &Architecture, images: &Images) -> Result<()> {
    check_batch(architecture, images, None)?;
    match architecture.outputs {
        0..=MAX_CLASSES => Ok(()),
        outputs => Err(Error::Mismatch(format!(
            "the network has {outputs} outputs, but classes are given in bytes for at most {MAX_CLASSES}; take them from its outputs"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Extent;

    #[test]
    fn the_lowest_of_equal_outputs_is_chosen() {
        let classes = most_likely(&[1.0, 2.0, f32::NAN, 1.0, 3.0, f32::NAN, 0.0, 3.0, f32::NAN], 3);
        assert_eq!(classes, [0, 1, 0]);
    }

    #[test]
    fn bytes_are_the_same_classes_and_mark_what_is_not_finite() {
        let (low, high, nan) = (f32::NEG_INFINITY, f32::INFINITY, f32::NAN);
        let shape = Shape { batch: 2, extent: Extent::plane(1, 5) };
        let first = [1.0, 2.0, 0.0, nan, f32::MIN, 1.0, 3.0, high, 9.0, f32::MIN];
        let second = [-0.0, 5.0, low, 7.0, 1.0, 0.0, 4.0, 1.0, nan, 2.0];
        let classes = most_likely_bytes(&[first, second].concat(), 2, shape);
        let wanted = [0, 1, NOT_FINITE, NOT_FINITE, 0, 0, 0, NOT_FINITE, NOT_FINITE, 1];
        assert_eq!(classes, wanted);
        for (outputs, found) in [first, second].iter().zip(classes.chunks(5)) {
            for (class, found) in most_likely(outputs, 5).into_iter().zip(found) {
                assert!(*found == NOT_FINITE || u32::from(*found) == class);
            }
        }
    }
}
