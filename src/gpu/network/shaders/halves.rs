//! The kernels of a backward pass where feature maps and gradient maps are halves: those of shaders/mod.rs with `HALF`.

use super::super::params::*;
use super::{CHUNK, INPUT_GRADIENT_LAYOUTS, shared};
use crate::gpu::runtime::kernel::Binding::{Read, ReadWrite, Uniform};
use crate::gpu::runtime::kernel::{Shader, source};

shader!(
    /// The largest output gradient, by which gradients are brought into the range of halves.
    LARGEST_GRADIENT, "largest_gradient", "largest_gradient",
    &[Uniform, Read, ReadWrite],
    &[Geometry::LAYOUT, LargestGradientParams::LAYOUT],
    &[&[]]
);
shader!(
    /// Starts gradient maps from the output gradients; `CHANNELS` channels a thread.
    MIX_INPUT_GRADIENT_HALF, "mix_input_gradient", "mix_input_gradient",
    &[Uniform, Read, Read, ReadWrite, ReadWrite, ReadWrite, Read],
    &[Geometry::LAYOUT, MixInputGradientParams::LAYOUT],
    &[&[("CHANNELS", 1), ("HALF", 1)], &[("CHANNELS", 2), ("HALF", 1)], &[("CHANNELS", 4), ("HALF", 1)]]
);
shader!(
    /// The same where the feature maps are in the page of the gradient maps.
    MIX_INPUT_GRADIENT_HALF_MAPS_WITHIN, "mix_input_gradient", "mix_input_gradient",
    &[Uniform, Read, Read, ReadWrite, ReadWrite, ReadWrite],
    &[Geometry::LAYOUT, MixInputGradientParams::LAYOUT],
    &[
        &[("CHANNELS", 1), ("HALF", 1), ("MAPS_WITHIN", 1)],
        &[("CHANNELS", 2), ("HALF", 1), ("MAPS_WITHIN", 1)],
        &[("CHANNELS", 4), ("HALF", 1), ("MAPS_WITHIN", 1)],
    ]
);
shader!(
    /// Back-propagates gradients through convolutions; `ROWS` pixels of `CHANNELS` channels a thread.
    INPUT_GRADIENT_HALF, "input_gradient", "input_gradient",
    &[Uniform, Read, Read, ReadWrite, ReadWrite, ReadWrite, Read, Read], INPUT_GRADIENT_LAYOUTS,
    input_gradient_tiles!(["HALF"])
);
shader!(
    /// The same where the gradients that are read are in the page of those that are added to.
    INPUT_GRADIENT_HALF_WITHIN, "input_gradient", "input_gradient",
    &[Uniform, Read, Read, ReadWrite, ReadWrite, ReadWrite, Read], INPUT_GRADIENT_LAYOUTS,
    input_gradient_tiles!(["HALF", "GRADIENTS_WITHIN"])
);
shader!(
    /// The same where the feature maps are in that page.
    INPUT_GRADIENT_HALF_MAPS_WITHIN, "input_gradient", "input_gradient",
    &[Uniform, Read, Read, ReadWrite, ReadWrite, ReadWrite, Read], INPUT_GRADIENT_LAYOUTS,
    input_gradient_tiles!(["HALF", "MAPS_WITHIN"])
);
shader!(
    /// The same where both are.
    INPUT_GRADIENT_HALF_ALL_WITHIN, "input_gradient", "input_gradient",
    &[Uniform, Read, Read, ReadWrite, ReadWrite, ReadWrite], INPUT_GRADIENT_LAYOUTS,
    input_gradient_tiles!(["HALF", "GRADIENTS_WITHIN", "MAPS_WITHIN"])
);
shader!(
    /// Back-propagates gradients through convolutions of volumes; `CHANNELS` channels a thread.
    INPUT_GRADIENT_VOLUME_HALF, "input_gradient_volume", "input_gradient_volume",
    &[Uniform, Read, Read, ReadWrite, ReadWrite, ReadWrite, Read, Read], INPUT_GRADIENT_LAYOUTS,
    input_gradient_volume_tiles!("HALF")
);
shader!(
    /// The same where the gradients that are read are in the page of those that are added to.
    INPUT_GRADIENT_VOLUME_HALF_WITHIN, "input_gradient_volume", "input_gradient_volume",
    &[Uniform, Read, Read, ReadWrite, ReadWrite, ReadWrite, Read], INPUT_GRADIENT_LAYOUTS,
    input_gradient_volume_tiles!("HALF", "GRADIENTS_WITHIN")
);
shader!(
    /// The same where the feature maps are in that page.
    INPUT_GRADIENT_VOLUME_HALF_MAPS_WITHIN, "input_gradient_volume", "input_gradient_volume",
    &[Uniform, Read, Read, ReadWrite, ReadWrite, ReadWrite, Read], INPUT_GRADIENT_LAYOUTS,
    input_gradient_volume_tiles!("HALF", "MAPS_WITHIN")
);
shader!(
    /// The same where both are.
    INPUT_GRADIENT_VOLUME_HALF_ALL_WITHIN, "input_gradient_volume", "input_gradient_volume",
    &[Uniform, Read, Read, ReadWrite, ReadWrite, ReadWrite], INPUT_GRADIENT_LAYOUTS,
    input_gradient_volume_tiles!("HALF", "GRADIENTS_WITHIN", "MAPS_WITHIN")
);
shader!(
    /// Partial sums of the gradients of filters for volumes; one gradient and one source a workgroup.
    FILTER_GRADIENT_VOLUME_HALF, "filter_gradient_volume", "filter_gradient_volume",
    &[Uniform, Read, Read, Read, ReadWrite],
    &[Geometry::LAYOUT, HiddenChannel::LAYOUT, FilterGradientVolumeParams::LAYOUT],
    &[&[("SUMS", 27), ("HALF", 1)]]
);
shader!(
    /// Partial sums of filter gradients; one gradient and `CHANNELS` sources a thread.
    FILTER_GRADIENT_HALF, "filter_gradient", "filter_gradient",
    &[Uniform, Read, Read, Read, ReadWrite],
    &[Geometry::LAYOUT, HiddenChannel::LAYOUT, FilterGradientParams::LAYOUT],
    &[
        &[("CHANNELS", 1), ("SUMS", 9), ("HALF", 1)],
        &[("CHANNELS", 2), ("SUMS", 18), ("HALF", 1)],
        &[("CHANNELS", 4), ("SUMS", 36), ("HALF", 1)],
    ]
);
shader!(
    /// The same as a product of matrices; ten gradients and 64 `QUADS` sources a workgroup.
    FILTER_GRADIENT_PRODUCT_HALF, "filter_gradient_product", "filter_gradient_product",
    &[Uniform, Read, Read, Read, ReadWrite],
    &[Geometry::LAYOUT, HiddenChannel::LAYOUT, FilterProductParams::LAYOUT],
    &[
        &[("QUADS", 1), ("PIXELS", 32), ("PARTS", 5), ("GRADIENTS", 2), ("HALF", 1)],
        &[("QUADS", 2), ("PIXELS", 16), ("PARTS", 10), ("GRADIENTS", 1), ("HALF", 1)],
    ]
);
shader!(
    /// Partial sums of the gradients of mixing weights; `OUTPUTS` x `CHANNELS` a thread.
    MIX_WEIGHT_GRADIENT_HALF, "mix_weight_gradient", "mix_weight_gradient",
    &[Uniform, Read, Read, ReadWrite],
    &[Geometry::LAYOUT, MixWeightGradientParams::LAYOUT],
    &[
        &[("OUTPUTS", 1), ("CHANNELS", 4), ("SUMS", 4), ("HALF", 1)],
        &[("OUTPUTS", 2), ("CHANNELS", 4), ("SUMS", 8), ("HALF", 1)],
        &[("OUTPUTS", 4), ("CHANNELS", 4), ("SUMS", 16), ("HALF", 1)],
    ]
);
shader!(
    /// Partial sums of gradient maps over the pixels.
    BIAS_GRADIENT_HALF, "bias_gradient", "bias_gradient",
    &[Uniform, Read, ReadWrite],
    &[Geometry::LAYOUT, BiasGradientParams::LAYOUT],
    &[&[("SUMS", 1), ("HALF", 1)]]
);
shader!(
    /// Adds partial sums of gradients that were multiplied to a table of numbers.
    SUM_SCALED_PARTIALS, "sum_partials", "sum_partials",
    &[Uniform, Read, ReadWrite, Read],
    &[SumPartialsParams::LAYOUT],
    &[&[("SCALED", 1)]]
);
shader!(
    /// Adds them to the gradients of filters.
    SUM_SCALED_FILTER_PARTIALS, "sum_partials", "sum_partials",
    &[Uniform, Read, ReadWrite, Read, Read],
    &[HiddenChannel::LAYOUT, SumPartialsParams::LAYOUT],
    &[&[("FILTERS", 1), ("TAPS", 9), ("SCALED", 1)], &[("FILTERS", 1), ("TAPS", 27), ("SCALED", 1)]]
);
