//! The registry of the kernels that networks run: every kernel with its template, its bindings, its parameters and its
//! variants.

use super::params::*;
use crate::gpu::runtime::kernel::Binding::{self, Read, ReadWrite, Uniform};
use crate::gpu::runtime::kernel::{Shader, StructLayout, Variant, source};

/// The text of a piece in shaders/shared/.
pub fn shared(name: &str) -> Option<&'static str> {
    match name {
        "maps" => Some(source!("shared/maps")),
        "sums" => Some(source!("shared/sums")),
        "gradient_sums" => Some(source!("shared/gradient_sums")),
        "scaling" => Some(source!("shared/scaling")),
        "geometry" => Some(source!("shared/geometry")),
        "hidden" => Some(source!("shared/hidden")),
        "mirror" => Some(source!("shared/mirror")),
        "add_lanes" => Some(source!("shared/add_lanes")),
        "loss" => Some(source!("shared/loss")),
        "call" => Some(source!("shared/call")),
        "boundary" => Some(source!("shared/boundary")),
        "fill_margins" => Some(source!("shared/fill_margins")),
        "stem" => Some(source!("shared/stem")),
        "input_gradient_bindings" => Some(source!("shared/input_gradient_bindings")),
        "class_loss" => Some(source!("shared/class_loss")),
        _ => None,
    }
}

/// Variants without values.
const PLAIN: &[Variant] = &[&[]];

macro_rules! shader {
    ($(#[$doc:meta])* $id:ident, $name:literal, $entry:literal, $bindings:expr, $layouts:expr, $variants:expr) => {
        $(#[$doc])*
        pub static $id: Shader = Shader {
            name: $name,
            entry: $entry,
            source: source!($name),
            pieces: shared,
            bindings: $bindings,
            layouts: $layouts,
            variants: $variants,
        };
    };
}

mod forward;
mod layers;

pub use self::forward::*;
pub use self::layers::*;

/// Sources whose filters a workgroup of convolve keeps at a time, and gradients in input_gradient.
const CHUNK: u32 = 16;

/// The bindings of a loss.
const LOSS_BINDINGS: &[Binding] = &[Uniform, Uniform, Read, Read, Read, ReadWrite, ReadWrite];
/// The structs of a loss.
const LOSS_LAYOUTS: &[StructLayout] = &[Geometry::LAYOUT, LossParams::LAYOUT, LossCall::LAYOUT];

shader!(
    /// Cross-entropy of the softmax, or its focal form, and its gradient.
    SOFTMAX_CROSS_ENTROPY, "softmax_cross_entropy", "softmax_cross_entropy", LOSS_BINDINGS, LOSS_LAYOUTS,
    &[&[("FOCAL", 0), ("GRADIENT", 1), ("SUMS", 1)], &[("FOCAL", 1), ("GRADIENT", 1), ("SUMS", 1)]]
);
shader!(
    /// A loss of values, and its gradient.
    VALUE_LOSS, "value_loss", "value_loss", LOSS_BINDINGS, LOSS_LAYOUTS,
    &[
        &[("SQUARED", 1), ("SUMS", 1)],
        &[("ABSOLUTE", 1), ("SUMS", 1)],
        &[("HUBER", 1), ("SUMS", 1)],
        &[("CHARBONNIER", 1), ("SUMS", 1)],
    ]
);
shader!(
    /// The probabilities of the classes.
    SOFTMAX, "softmax", "softmax", LOSS_BINDINGS, LOSS_LAYOUTS, &[&[("SUMS", 1)]]
);
shader!(
    /// Partial sums that Dice is made of.
    DICE_SUMS, "dice_sums", "dice_sums", LOSS_BINDINGS, LOSS_LAYOUTS, &[&[("SUMS", 3)]]
);
shader!(
    /// Dice from its sums, and the numbers of its gradient.
    DICE_SLOPES, "dice_slopes", "dice_slopes",
    &[Uniform, Uniform, Read, Read, Read, ReadWrite, ReadWrite, ReadWrite], LOSS_LAYOUTS,
    &[&[("SUMS", 1)]]
);
shader!(
    /// The gradient of Dice, alone or with cross-entropy.
    DICE_GRADIENT, "dice_gradient", "dice_gradient", LOSS_BINDINGS, LOSS_LAYOUTS,
    &[&[("CROSS_ENTROPY", 0), ("SUMS", 1)], &[("CROSS_ENTROPY", 1), ("SUMS", 1)]]
);
/// The bindings of a loss of classes that is judged: no output gradients.
const JUDGED_BINDINGS: &[Binding] = &[Uniform, Uniform, Read, Read, Read, ReadWrite];

shader!(
    /// Cross-entropy of the softmax, or its focal form, without any gradient.
    JUDGED_CROSS_ENTROPY, "softmax_cross_entropy", "softmax_cross_entropy", JUDGED_BINDINGS, LOSS_LAYOUTS,
    &[&[("FOCAL", 0), ("JUDGE", 1), ("SUMS", 1)], &[("FOCAL", 1), ("JUDGE", 1), ("SUMS", 1)]]
);
shader!(
    /// The probabilities of the classes in the place of the outputs.
    SOFTMAX_WITHIN, "softmax", "softmax",
    &[Uniform, Uniform, Read, ReadWrite, Read, ReadWrite], LOSS_LAYOUTS,
    &[&[("JUDGE", 1), ("WITHIN", 1), ("SUMS", 1)]]
);
shader!(
    /// Partial sums that Dice is made of, from probabilities in the place of the outputs.
    JUDGED_DICE_SUMS, "dice_sums", "dice_sums", JUDGED_BINDINGS, LOSS_LAYOUTS, &[&[("JUDGE", 1), ("SUMS", 3)]]
);
shader!(
    /// The most likely classes.
    ARGMAX, "argmax", "argmax",
    &[Uniform, Read, ReadWrite],
    &[Geometry::LAYOUT, ArgmaxParams::LAYOUT],
    PLAIN
);
shader!(
    /// The most likely classes, four in a number.
    PACKED_ARGMAX, "argmax", "argmax",
    &[Uniform, Read, ReadWrite],
    &[Geometry::LAYOUT, ArgmaxParams::LAYOUT],
    &[&[("PACKED", 1)]]
);
shader!(
    /// Starts gradient maps from the output gradients; `CHANNELS` channels a thread.
    MIX_INPUT_GRADIENT, "mix_input_gradient", "mix_input_gradient",
    &[Uniform, Read, Read, ReadWrite, Read],
    &[Geometry::LAYOUT, MixInputGradientParams::LAYOUT],
    &[&[("CHANNELS", 1)], &[("CHANNELS", 2)], &[("CHANNELS", 4)]]
);
shader!(
    /// The same where the feature maps are in the page of the gradient maps.
    MIX_INPUT_GRADIENT_MAPS_WITHIN, "mix_input_gradient", "mix_input_gradient",
    &[Uniform, Read, Read, ReadWrite],
    &[Geometry::LAYOUT, MixInputGradientParams::LAYOUT],
    &[
        &[("CHANNELS", 1), ("MAPS_WITHIN", 1)],
        &[("CHANNELS", 2), ("MAPS_WITHIN", 1)],
        &[("CHANNELS", 4), ("MAPS_WITHIN", 1)],
    ]
);
/// The tiles of input_gradient, with the flags of a shader: rows and channels a thread, and quads of channels where weights are
/// staged.
macro_rules! input_gradient_tiles {
    ($flags:tt: $(($rows:literal, $channels:literal, $staged:literal, $quads:literal)),* $(,)?) => {
        &[$(input_gradient_tiles!(one $rows $channels $staged $quads $flags)),*]
    };
    (one $rows:literal $channels:literal $staged:literal $quads:literal [$($flag:literal),*]) => {
        &[
            ("ROWS", $rows), ("CHANNELS", $channels), ("STAGED", $staged), ("QUADS", $quads), ("CHUNK", CHUNK),
            $(($flag, 1)),*
        ]
    };
    ($flags:tt) => {
        input_gradient_tiles!($flags:
            (1, 1, 0, 0), (1, 2, 0, 0), (1, 4, 0, 0), (1, 5, 0, 0), (1, 10, 0, 0),
            (2, 1, 0, 0), (2, 2, 0, 0), (2, 4, 0, 0), (2, 5, 0, 0), (2, 10, 0, 0),
            (4, 1, 0, 0), (4, 2, 0, 0), (4, 4, 0, 0), (4, 5, 0, 0), (4, 10, 0, 0),
            (1, 4, 1, 1), (1, 8, 1, 2), (1, 12, 1, 3), (1, 20, 1, 5),
            (2, 4, 1, 1), (2, 8, 1, 2), (2, 12, 1, 3), (2, 20, 1, 5),
            (4, 4, 1, 1), (4, 8, 1, 2), (4, 12, 1, 3), (4, 20, 1, 5),
        )
    };
}

/// The structs of input_gradient.
const INPUT_GRADIENT_LAYOUTS: &[StructLayout] =
    &[Geometry::LAYOUT, HiddenChannel::LAYOUT, InputGradientParams::LAYOUT];

shader!(
    /// Back-propagates gradients through convolutions; `ROWS` pixels of `CHANNELS` channels a thread.
    INPUT_GRADIENT, "input_gradient", "input_gradient",
    &[Uniform, Read, Read, ReadWrite, Read, Read], INPUT_GRADIENT_LAYOUTS,
    input_gradient_tiles!([])
);
shader!(
    /// The same where the gradients that are read are in the page of those that are added to.
    INPUT_GRADIENT_WITHIN, "input_gradient", "input_gradient",
    &[Uniform, Read, Read, ReadWrite, Read], INPUT_GRADIENT_LAYOUTS,
    input_gradient_tiles!(["GRADIENTS_WITHIN"])
);
shader!(
    /// The same where the feature maps are in that page.
    INPUT_GRADIENT_MAPS_WITHIN, "input_gradient", "input_gradient",
    &[Uniform, Read, Read, ReadWrite, Read], INPUT_GRADIENT_LAYOUTS,
    input_gradient_tiles!(["MAPS_WITHIN"])
);
shader!(
    /// The same where both are.
    INPUT_GRADIENT_ALL_WITHIN, "input_gradient", "input_gradient",
    &[Uniform, Read, Read, ReadWrite], INPUT_GRADIENT_LAYOUTS,
    input_gradient_tiles!(["GRADIENTS_WITHIN", "MAPS_WITHIN"])
);
/// The tiles of input_gradient_volume, with the flags of a shader: channels a thread.
macro_rules! input_gradient_volume_tiles {
    ($($flag:literal),*) => {
        &[
            &[("CHANNELS", 1), $(($flag, 1)),*],
            &[("CHANNELS", 2), $(($flag, 1)),*],
            &[("CHANNELS", 4), $(($flag, 1)),*],
            &[("CHANNELS", 5), $(($flag, 1)),*],
        ]
    };
}

shader!(
    /// Back-propagates gradients through convolutions of volumes; `CHANNELS` channels a thread.
    INPUT_GRADIENT_VOLUME, "input_gradient_volume", "input_gradient_volume",
    &[Uniform, Read, Read, ReadWrite, Read, Read], INPUT_GRADIENT_LAYOUTS,
    input_gradient_volume_tiles!()
);
shader!(
    /// The same where the gradients that are read are in the page of those that are added to.
    INPUT_GRADIENT_VOLUME_WITHIN, "input_gradient_volume", "input_gradient_volume",
    &[Uniform, Read, Read, ReadWrite, Read], INPUT_GRADIENT_LAYOUTS,
    input_gradient_volume_tiles!("GRADIENTS_WITHIN")
);
shader!(
    /// The same where the feature maps are in that page.
    INPUT_GRADIENT_VOLUME_MAPS_WITHIN, "input_gradient_volume", "input_gradient_volume",
    &[Uniform, Read, Read, ReadWrite, Read], INPUT_GRADIENT_LAYOUTS,
    input_gradient_volume_tiles!("MAPS_WITHIN")
);
shader!(
    /// The same where both are.
    INPUT_GRADIENT_VOLUME_ALL_WITHIN, "input_gradient_volume", "input_gradient_volume",
    &[Uniform, Read, Read, ReadWrite], INPUT_GRADIENT_LAYOUTS,
    input_gradient_volume_tiles!("GRADIENTS_WITHIN", "MAPS_WITHIN")
);
shader!(
    /// Partial sums of the gradients of filters for volumes; one gradient and one source a workgroup.
    FILTER_GRADIENT_VOLUME, "filter_gradient_volume", "filter_gradient_volume",
    &[Uniform, Read, Read, Read, ReadWrite],
    &[Geometry::LAYOUT, HiddenChannel::LAYOUT, FilterGradientVolumeParams::LAYOUT],
    &[&[("SUMS", 27)]]
);
shader!(
    /// Partial sums of filter gradients; one gradient and `CHANNELS` sources a thread.
    FILTER_GRADIENT, "filter_gradient", "filter_gradient",
    &[Uniform, Read, Read, Read, ReadWrite],
    &[Geometry::LAYOUT, HiddenChannel::LAYOUT, FilterGradientParams::LAYOUT],
    &[
        &[("CHANNELS", 1), ("SUMS", 9)],
        &[("CHANNELS", 2), ("SUMS", 18)],
        &[("CHANNELS", 4), ("SUMS", 36)],
    ]
);
/// Bytes of a workgroup's memory that `filter_gradient_product` takes at most, and its threads: more than some devices have.
pub const PRODUCT_BYTES: u32 = 16 * 32 * (31 + 17);
pub const PRODUCT_THREADS: u32 = 160;

shader!(
    /// The same as a product of matrices; ten gradients and 64 `QUADS` sources a workgroup.
    FILTER_GRADIENT_PRODUCT, "filter_gradient_product", "filter_gradient_product",
    &[Uniform, Read, Read, Read, ReadWrite],
    &[Geometry::LAYOUT, HiddenChannel::LAYOUT, FilterProductParams::LAYOUT],
    &[
        &[("QUADS", 1), ("PIXELS", 32), ("PARTS", 5), ("GRADIENTS", 2)],
        &[("QUADS", 2), ("PIXELS", 16), ("PARTS", 10), ("GRADIENTS", 1)],
    ]
);
/// The variants of filter_gradient_matrix: the size of matrices, threads of a subgroup and matrices of pixels at a time, by
/// matrices across.
macro_rules! filter_matrix_tiles {
    ($(($size:literal, $lanes:literal, $steps:literal, $across:literal)),* $(,)?) => {
        &[$(&[
            ("SIZE", $size), ("LANES", $lanes), ("ACROSS", $across), ("STEPS", $steps),
            ("HALF_SIZE", $size / 2), ("SOURCES", 2 * $across * $size), ("GRADIENTS", 12 * $size / 9),
            ("PIXELS", $size * $steps), ("PAIRS", $size * $steps / 2), ("STRIDE", ($size * $steps + 8) / 2),
            // Rows that all threads copy at a time.
            ("STEP", 8 * $lanes / ($size * $steps / 2)),
            ("GRADIENT_COPIES", 12 * $size / (8 * $lanes / ($size * $steps / 2))),
            ("SOURCE_COPIES", 2 * $across * $size / (8 * $lanes / ($size * $steps / 2))),
        ]),*]
    };
}
/// Bytes of a workgroup's memory that `filter_gradient_matrix` takes at most, and its threads: more than some devices have.
pub const MATRIX_BYTES: u32 = 2 * 4 * (12 * 16 + 128) * 12;
pub const MATRIX_THREADS: u32 = 256;

shader!(
    /// The same by matrix units; 12 `SIZE` / 9 gradients and `SOURCES` sources a workgroup.
    FILTER_GRADIENT_MATRIX, "filter_gradient_matrix", "filter_gradient_matrix",
    &[Uniform, Uniform, Read, Read, Read, ReadWrite],
    &[Geometry::LAYOUT, HiddenChannel::LAYOUT, FilterMatrixParams::LAYOUT, LossCall::LAYOUT],
    filter_matrix_tiles!((16, 32, 1, 4), (16, 32, 1, 2), (8, 32, 2, 4), (8, 32, 2, 2), (8, 8, 1, 4), (8, 8, 1, 2))
);
shader!(
    /// Partial sums of the gradients of mixing weights; `OUTPUTS` x `CHANNELS` a thread.
    MIX_WEIGHT_GRADIENT, "mix_weight_gradient", "mix_weight_gradient",
    &[Uniform, Read, Read, ReadWrite],
    &[Geometry::LAYOUT, MixWeightGradientParams::LAYOUT],
    &[
        &[("OUTPUTS", 1), ("CHANNELS", 4), ("SUMS", 4)],
        &[("OUTPUTS", 2), ("CHANNELS", 4), ("SUMS", 8)],
        &[("OUTPUTS", 4), ("CHANNELS", 4), ("SUMS", 16)],
    ]
);
shader!(
    /// Partial sums of gradient maps or output gradients over the pixels.
    BIAS_GRADIENT, "bias_gradient", "bias_gradient",
    &[Uniform, Read, ReadWrite],
    &[Geometry::LAYOUT, BiasGradientParams::LAYOUT],
    &[&[("SUMS", 1)]]
);
shader!(
    /// Adds partial sums to a table of numbers.
    SUM_PARTIALS, "sum_partials", "sum_partials",
    &[Uniform, Read, ReadWrite],
    &[SumPartialsParams::LAYOUT],
    PLAIN
);
shader!(
    /// Adds partial sums to the gradients of filters.
    SUM_FILTER_PARTIALS, "sum_partials", "sum_partials",
    &[Uniform, Read, ReadWrite, Read],
    &[HiddenChannel::LAYOUT, SumPartialsParams::LAYOUT],
    &[&[("FILTERS", 1), ("TAPS", 9)], &[("FILTERS", 1), ("TAPS", 27)]]
);
shader!(
    /// The same from partial sums of matrices.
    SUM_MATRIX_PARTIALS, "sum_partials", "sum_partials",
    &[Uniform, Read, ReadWrite, Read],
    &[HiddenChannel::LAYOUT, SumPartialsParams::LAYOUT],
    &[&[("FILTERS", 1), ("MATRIX", 1), ("TAPS", 9)]]
);
shader!(
    /// Adam: changes the parameters.
    ADAM, "adam", "adam",
    &[Uniform, ReadWrite, ReadWrite, ReadWrite, ReadWrite, ReadWrite],
    &[AdamParams::LAYOUT],
    PLAIN
);
shader!(
    /// Adam with gradients that are clipped to a norm.
    CLIPPED_ADAM, "adam", "adam",
    &[Uniform, ReadWrite, ReadWrite, ReadWrite, ReadWrite, ReadWrite, Read],
    &[AdamParams::LAYOUT],
    &[&[("CLIP", 1), ("SUMS", 1)]]
);
shader!(
    /// Sums of the squares of all gradients.
    GRADIENT_SQUARES, "gradient_squares", "gradient_squares",
    &[Uniform, Read, ReadWrite],
    &[GradientSquaresParams::LAYOUT],
    &[&[("SUMS", 1)]]
);
mod halves;

pub use self::halves::*;

/// Every kernel of networks.
pub static SHADERS: [&Shader; 69] = [
    &LOAD,
    &LOAD_HALF,
    &STEM_ROWS,
    &STEM_COLUMNS,
    &STEM_RESPONSES,
    &STEM_RESPONSES_HALF,
    &CONVOLVE,
    &CONVOLVE_WITHIN,
    &CONVOLVE_HALF,
    &CONVOLVE_HALF_WITHIN,
    &CONVOLVE_LAYERS,
    &CONVOLVE_VOLUME,
    &CONVOLVE_VOLUME_WITHIN,
    &CONVOLVE_VOLUME_HALF,
    &CONVOLVE_VOLUME_HALF_WITHIN,
    &MIX,
    &MIX_HALF,
    &SOFTMAX_CROSS_ENTROPY,
    &VALUE_LOSS,
    &SOFTMAX,
    &DICE_SUMS,
    &DICE_SLOPES,
    &DICE_GRADIENT,
    &JUDGED_CROSS_ENTROPY,
    &SOFTMAX_WITHIN,
    &JUDGED_DICE_SUMS,
    &ARGMAX,
    &PACKED_ARGMAX,
    &MIX_INPUT_GRADIENT,
    &MIX_INPUT_GRADIENT_MAPS_WITHIN,
    &INPUT_GRADIENT,
    &INPUT_GRADIENT_WITHIN,
    &INPUT_GRADIENT_MAPS_WITHIN,
    &INPUT_GRADIENT_ALL_WITHIN,
    &INPUT_GRADIENT_LAYERS,
    &INPUT_GRADIENT_VOLUME,
    &INPUT_GRADIENT_VOLUME_WITHIN,
    &INPUT_GRADIENT_VOLUME_MAPS_WITHIN,
    &INPUT_GRADIENT_VOLUME_ALL_WITHIN,
    &FILTER_GRADIENT,
    &FILTER_GRADIENT_VOLUME,
    &FILTER_GRADIENT_PRODUCT,
    &FILTER_GRADIENT_MATRIX,
    &MIX_WEIGHT_GRADIENT,
    &BIAS_GRADIENT,
    &SUM_PARTIALS,
    &SUM_FILTER_PARTIALS,
    &SUM_MATRIX_PARTIALS,
    &ADAM,
    &CLIPPED_ADAM,
    &GRADIENT_SQUARES,
    &LARGEST_GRADIENT,
    &MIX_INPUT_GRADIENT_HALF,
    &MIX_INPUT_GRADIENT_HALF_MAPS_WITHIN,
    &INPUT_GRADIENT_HALF,
    &INPUT_GRADIENT_HALF_WITHIN,
    &INPUT_GRADIENT_HALF_MAPS_WITHIN,
    &INPUT_GRADIENT_HALF_ALL_WITHIN,
    &INPUT_GRADIENT_VOLUME_HALF,
    &INPUT_GRADIENT_VOLUME_HALF_WITHIN,
    &INPUT_GRADIENT_VOLUME_HALF_MAPS_WITHIN,
    &INPUT_GRADIENT_VOLUME_HALF_ALL_WITHIN,
    &FILTER_GRADIENT_HALF,
    &FILTER_GRADIENT_VOLUME_HALF,
    &FILTER_GRADIENT_PRODUCT_HALF,
    &MIX_WEIGHT_GRADIENT_HALF,
    &BIAS_GRADIENT_HALF,
    &SUM_SCALED_PARTIALS,
    &SUM_SCALED_FILTER_PARTIALS,
];
