//! The kernels that compute several layers at once.

use super::super::params::*;
use super::shared;
use crate::gpu::runtime::kernel::Binding::{Read, ReadWrite, Uniform};
use crate::gpu::runtime::kernel::{Shader, Variant, source};

/// Numbers of a workgroup's memory in which they keep maps, one size of it for each variant, and their threads.
pub const LAYERS_NUMBERS: [u32; 3] = [4096, 8192, 12_288];
pub const LAYERS_THREADS: u32 = 256;
/// Bytes of a workgroup's memory that they take at most: more than some devices have.
pub const LAYERS_BYTES: u32 = 4 * LAYERS_NUMBERS[2];

/// `NUMBERS` numbers in a workgroup's memory, `PIXELS` pixels a thread at a time.
const VARIANTS: &[Variant] = &[
    &[("NUMBERS", LAYERS_NUMBERS[0]), ("PIXELS", 4), ("THREADS", LAYERS_THREADS)],
    &[("NUMBERS", LAYERS_NUMBERS[1]), ("PIXELS", 4), ("THREADS", LAYERS_THREADS)],
    &[("NUMBERS", LAYERS_NUMBERS[2]), ("PIXELS", 4), ("THREADS", LAYERS_THREADS)],
];

shader!(
    /// Completes the feature maps of several consecutive layers.
    CONVOLVE_LAYERS, "convolve_layers", "convolve_layers",
    &[Uniform, Read, Read, ReadWrite],
    &[Geometry::LAYOUT, HiddenChannel::LAYOUT, ConvolveLayersParams::LAYOUT],
    VARIANTS
);
shader!(
    /// Completes the gradient maps of several consecutive layers.
    INPUT_GRADIENT_LAYERS, "input_gradient_layers", "input_gradient_layers",
    &[Uniform, Read, Read, ReadWrite],
    &[Geometry::LAYOUT, HiddenChannel::LAYOUT, InputGradientLayersParams::LAYOUT],
    VARIANTS
);
