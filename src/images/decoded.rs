//! A file's stored numbers, before they become an image or labels.

use tiff::decoder::DecodingResult;

/// Runs `$body` for the vector in `$samples`, whatever its type, which `$values` is then called.
macro_rules! each_type {
    ($samples:expr, $values:ident => $body:expr) => {
        match $samples {
            ::tiff::decoder::DecodingResult::U8($values) => $body,
            ::tiff::decoder::DecodingResult::U16($values) => $body,
            ::tiff::decoder::DecodingResult::U32($values) => $body,
            ::tiff::decoder::DecodingResult::U64($values) => $body,
            ::tiff::decoder::DecodingResult::I8($values) => $body,
            ::tiff::decoder::DecodingResult::I16($values) => $body,
            ::tiff::decoder::DecodingResult::I32($values) => $body,
            ::tiff::decoder::DecodingResult::I64($values) => $body,
            ::tiff::decoder::DecodingResult::F16($values) => $body,
            ::tiff::decoder::DecodingResult::F32($values) => $body,
            ::tiff::decoder::DecodingResult::F64($values) => $body,
        }
    };
}

/// As [`each_type`], and puts what `$body` makes into a vector of the same type.
macro_rules! map_type {
    ($samples:expr, $values:ident => $body:expr) => {
        match $samples {
            ::tiff::decoder::DecodingResult::U8($values) => ::tiff::decoder::DecodingResult::U8($body),
            ::tiff::decoder::DecodingResult::U16($values) => ::tiff::decoder::DecodingResult::U16($body),
            ::tiff::decoder::DecodingResult::U32($values) => ::tiff::decoder::DecodingResult::U32($body),
            ::tiff::decoder::DecodingResult::U64($values) => ::tiff::decoder::DecodingResult::U64($body),
            ::tiff::decoder::DecodingResult::I8($values) => ::tiff::decoder::DecodingResult::I8($body),
            ::tiff::decoder::DecodingResult::I16($values) => ::tiff::decoder::DecodingResult::I16($body),
            ::tiff::decoder::DecodingResult::I32($values) => ::tiff::decoder::DecodingResult::I32($body),
            ::tiff::decoder::DecodingResult::I64($values) => ::tiff::decoder::DecodingResult::I64($body),
            ::tiff::decoder::DecodingResult::F16($values) => ::tiff::decoder::DecodingResult::F16($body),
            ::tiff::decoder::DecodingResult::F32($values) => ::tiff::decoder::DecodingResult::F32($body),
            ::tiff::decoder::DecodingResult::F64($values) => ::tiff::decoder::DecodingResult::F64($body),
        }
    };
}

pub(super) use {each_type, map_type};

/// Above this, not every whole number is a float64, so a label stored as one may have been rounded.
const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;

/// What the stored numbers are to be taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    /// Brightness: palettes become colours, and white is the largest number.
    Intensities,
    /// Measured values, such as weights and regression targets: palettes become colours, all else is as stored. Programs
    /// write masks "white is zero" without turning their numbers.
    Values,
    /// Class labels: the numbers exactly as stored.
    Labels,
    /// Labels of which only the nearest class or the side of a threshold counts, which lossy compression leaves: as
    /// [`Purpose::Labels`], of JPEG files too.
    RoughLabels,
}

impl Purpose {
    /// Whether the numbers are labels, which have one channel whatever the image has.
    pub(super) fn is_labels(self) -> bool {
        matches!(self, Purpose::Labels | Purpose::RoughLabels)
    }
}

/// A page's numbers as its file stores them.
pub(super) struct Decoded {
    /// All samples, of the file's own type.
    pub(super) samples: DecodingResult,
    pub(super) height: usize,
    pub(super) width: usize,
    /// Samples per pixel in `samples`.
    pub(super) stored_channels: usize,
    /// How many of them, from the first, are channels of the image; the rest is alpha.
    pub(super) channels: usize,
    /// Whether all pixels of a channel come together, instead of all channels of a pixel.
    pub(super) planar: bool,
}

/// A label that is stored as a floating-point number; `None` where it is not whole.
pub(super) fn whole_float(value: f64) -> Option<i64> {
    (value.fract() == 0.0 && value.abs() <= LARGEST_EXACT).then_some(value as i64)
}
