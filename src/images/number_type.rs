//! The types of numbers in which stacks are converted.

use std::fmt;
use std::str::FromStr;

use half::f16;
use ndarray::ArrayView4;
use tiff::decoder::DecodingResult;

use super::source::{SampleKind, SampleType};
use super::stack::Store;
use crate::error::{Error, Result};

/// A type of numbers that files store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NumberType {
    /// Whole numbers within 0 to 255.
    U8,
    /// Whole numbers within 0 to 65 535.
    U16,
    /// Whole numbers of 32 bits without a sign.
    U32,
    /// Whole numbers of 64 bits without a sign.
    U64,
    /// Whole numbers within -128 to 127.
    I8,
    /// Whole numbers within -32 768 to 32 767.
    I16,
    /// Whole numbers of 32 bits with a sign.
    I32,
    /// Whole numbers of 64 bits with a sign.
    I64,
    /// Floating-point numbers of 16 bits.
    F16,
    /// Floating-point numbers of 32 bits.
    F32,
    /// Floating-point numbers of 64 bits.
    F64,
}

impl NumberType {
    /// All of them, by the names that people give them.
    pub const NAMES: [(&'static str, NumberType); 11] = [
        ("u8", NumberType::U8),
        ("u16", NumberType::U16),
        ("u32", NumberType::U32),
        ("u64", NumberType::U64),
        ("i8", NumberType::I8),
        ("i16", NumberType::I16),
        ("i32", NumberType::I32),
        ("i64", NumberType::I64),
        ("f16", NumberType::F16),
        ("f32", NumberType::F32),
        ("f64", NumberType::F64),
    ];

    /// The smallest that holds numbers of the type `stored`.
    pub(super) fn holding(stored: SampleType) -> Self {
        match (stored.kind, stored.bits) {
            (SampleKind::Unsigned, ..=8) => NumberType::U8,
            (SampleKind::Unsigned, 9..=16) => NumberType::U16,
            (SampleKind::Unsigned, 17..=32) => NumberType::U32,
            (SampleKind::Unsigned, _) => NumberType::U64,
            (SampleKind::Signed, ..=8) => NumberType::I8,
            (SampleKind::Signed, 9..=16) => NumberType::I16,
            (SampleKind::Signed, 17..=32) => NumberType::I32,
            (SampleKind::Signed, _) => NumberType::I64,
            (SampleKind::Float, ..=16) => NumberType::F16,
            (SampleKind::Float, 17..=32) => NumberType::F32,
            (SampleKind::Float, _) => NumberType::F64,
        }
    }

    /// How files store it.
    pub(super) fn sample(self) -> SampleType {
        let (kind, bits) = match self {
            NumberType::U8 => (SampleKind::Unsigned, 8),
            NumberType::U16 => (SampleKind::Unsigned, 16),
            NumberType::U32 => (SampleKind::Unsigned, 32),
            NumberType::U64 => (SampleKind::Unsigned, 64),
            NumberType::I8 => (SampleKind::Signed, 8),
            NumberType::I16 => (SampleKind::Signed, 16),
            NumberType::I32 => (SampleKind::Signed, 32),
            NumberType::I64 => (SampleKind::Signed, 64),
            NumberType::F16 => (SampleKind::Float, 16),
            NumberType::F32 => (SampleKind::Float, 32),
            NumberType::F64 => (SampleKind::Float, 64),
        };
        SampleType { kind, bits }
    }

    /// The largest whole number that it holds, of those that float64 has; `None` where it holds others than whole ones too.
    pub fn largest(self) -> Option<f64> {
        self.range().map(|(_, most)| most)
    }

    /// The least and the largest number of those that float64 has; `None` where it holds others than whole ones.
    fn range(self) -> Option<(f64, f64)> {
        // Above these, the next float64 is 2^63 and 2^64.
        const MOST_I64: f64 = 9_223_372_036_854_774_784.0;
        const MOST_U64: f64 = 18_446_744_073_709_549_568.0;
        match self {
            NumberType::U8 => Some((0.0, u8::MAX.into())),
            NumberType::U16 => Some((0.0, u16::MAX.into())),
            NumberType::U32 => Some((0.0, u32::MAX.into())),
            NumberType::U64 => Some((0.0, MOST_U64)),
            NumberType::I8 => Some((i8::MIN.into(), i8::MAX.into())),
            NumberType::I16 => Some((i16::MIN.into(), i16::MAX.into())),
            NumberType::I32 => Some((i32::MIN.into(), i32::MAX.into())),
            NumberType::I64 => Some((i64::MIN as f64, MOST_I64)),
            NumberType::F16 | NumberType::F32 | NumberType::F64 => None,
        }
    }

    /// How numbers are stored as this type: rounded to whole ones, and refused where it does not hold them.
    pub(super) fn store(self) -> Store<f64> {
        macro_rules! stored {
            ($variant:ident, $of:expr) => {
                |values| {
                    checked(&values, NumberType::$variant)?;
                    Ok(DecodingResult::$variant(values.iter().map($of).collect()))
                }
            };
        }
        match self {
            NumberType::U8 => stored!(U8, |value| rounded(*value) as u8),
            NumberType::U16 => stored!(U16, |value| rounded(*value) as u16),
            NumberType::U32 => stored!(U32, |value| rounded(*value) as u32),
            NumberType::U64 => stored!(U64, |value| rounded(*value) as u64),
            NumberType::I8 => stored!(I8, |value| rounded(*value) as i8),
            NumberType::I16 => stored!(I16, |value| rounded(*value) as i16),
            NumberType::I32 => stored!(I32, |value| rounded(*value) as i32),
            NumberType::I64 => stored!(I64, |value| rounded(*value) as i64),
            NumberType::F16 => stored!(F16, |value| f16::from_f64(*value)),
            NumberType::F32 => stored!(F32, |value| *value as f32),
            NumberType::F64 => stored!(F64, |value| *value),
        }
    }

    /// How whole numbers are stored as this type without going through float64, which does not have all of 64 bits; `None` for types
    /// of fewer bits, and for those of floating-point numbers.
    pub(super) fn store_whole(self) -> Option<Store<i128>> {
        macro_rules! stored {
            ($variant:ident, $type:ty) => {
                |values| {
                    let whole = values.iter().map(|value| {
                        <$type>::try_from(*value)
                            .map_err(|_| misfit(value, NumberType::$variant, <$type>::MIN, <$type>::MAX))
                    });
                    Ok(DecodingResult::$variant(whole.collect::<std::result::Result<_, _>>()?))
                }
            };
        }
        match self {
            NumberType::U64 => Some(stored!(U64, u64)),
            NumberType::I64 => Some(stored!(I64, i64)),
            _ => None,
        }
    }
}

/// The nearest whole number; most are whole already, and rounding takes longer than seeing that.
fn rounded(value: f64) -> f64 {
    if f64::from(value as i32) == value { value } else { value.round() }
}

/// What is wrong with a number that the type does not hold.
fn misfit(
    value: impl fmt::Display,
    numbers: NumberType,
    least: impl fmt::Display,
    most: impl fmt::Display,
) -> String {
    format!(
        "found the value {value}, but {numbers} holds {least} to {most}; give another `dtype`, or scale and clip with `window LOW..HIGH`"
    )
}

/// Refuses numbers that the type does not hold.
fn checked(values: &ArrayView4<f64>, numbers: NumberType) -> std::result::Result<(), String> {
    let Some((least, most)) = numbers.range() else {
        // What is not finite in the file stays as it is; what would become so is refused.
        let stays = |value: f64| match numbers {
            NumberType::F16 => f16::from_f64(value).is_finite(),
            NumberType::F32 => (value as f32).is_finite(),
            _ => true,
        };
        let found = values.iter().find(|value| value.is_finite() && !stays(**value));
        return found.map_or(Ok(()), |value| {
            Err(format!("found the value {value}, which is beyond {numbers}; divide the values before"))
        });
    };
    // The comparison is false of NaN too.
    let found = values.iter().find(|value| !(least..=most).contains(&rounded(**value)));
    found.map_or(Ok(()), |value| Err(misfit(value, numbers, least, most)))
}

impl fmt::Display for NumberType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sample().fmt(f)
    }
}

impl FromStr for NumberType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let known = Self::NAMES.iter().find(|(name, _)| *name == text);
        known.map(|(_, numbers)| *numbers).ok_or_else(|| {
            let names = Self::NAMES.map(|(name, _)| name).join(", ");
            Error::setting("dtype", format!("'{text}'"), format!("it must be one of {names}"))
        })
    }
}
