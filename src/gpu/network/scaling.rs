//! By what gradients are multiplied before they are stored as halves (f16).
//!
//! Halves reach to 65504, and have all their bits from 6e-5 on. The gradient of a mean loss is about one over the number of pixels, of which
//! they would lose all or most. So each batch's gradient maps are multiplied by the power of two that brings its largest output gradient to
//! between 32 and 64, which is exact, and the gradients of parameters, which are sums in f32, are divided by it. The device finds that number
//! itself (`shaders/largest_gradient.wgsl`), for each batch anew: it depends on nothing but the batch and the parameters, so a run that goes
//! on gives the same bits, and a loss whose gradients are large at a few pixels, as that of Dice for a rare class is, needs no other rule.
//!
//! A gradient map would have to be a thousand times the largest output gradient to be beyond halves. There it is cut off at the largest
//! half, so that no gradient becomes infinite, and the host is told ([`BEYOND_HALVES`]).

/// The bytes of `Scaling` in shaders/shared/scaling.wgsl: the largest output gradient, and whether a gradient was cut off.
pub(super) const BYTES: u64 = 8;
/// Where the second of them lies.
pub(super) const BEYOND_AT: u64 = 4;

/// What is said when a gradient was cut off.
pub(super) const BEYOND_HALVES: &str = "gradients were larger than halves can hold beside the others of their step, and were cut off; if the loss \
    does not fall, train with `precision full` or a smaller learning rate";

/// By what stored gradients are multiplied to be what they were, where `largest` are the bits of the largest output gradient, without its
/// sign. As in shaders/shared/scaling.wgsl.
pub(super) fn inverse(largest: u32) -> f32 {
    let exponent = (largest >> 23) as i32;
    let power = if matches!(exponent, 0 | 255) { 0 } else { (132 - exponent).clamp(-100, 100) };
    2.0f32.powi(-power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_output_gradient_comes_to_between_32_and_64() {
        for largest in [1.0f32, 2.5e-7, 0.75, 63.9, 64.0, 1e20, 3e-25] {
            let factor = 1.0 / inverse(largest.to_bits());
            assert_eq!(factor.to_bits() & 0x7f_ffff, 0, "{factor} is no power of two");
            assert!((32.0..64.0).contains(&(largest * factor)), "{largest}");
        }
        for nothing in [0.0, f32::NAN, f32::INFINITY, f32::MIN_POSITIVE / 4.0] {
            assert_eq!(inverse(nothing.to_bits()), 1.0);
        }
    }
}
