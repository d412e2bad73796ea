//! The types of numbers in which stacks are converted.

use std::fmt;
use std::str::FromStr;

use ndarray::ArrayView4;
use tiff::decoder::DecodingResult;

use super::source::{SampleKind, SampleType};
use super::stack::Store;
use crate::error::{Error, Result};

/// A type of numbers that all formats of arrays have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberType {
    /// Whole numbers within 0 to 255.
    U8,
    /// Whole numbers within 0 to 65 535.
    U16,
    /// Whole numbers of 32 bits with a sign.
    I32,
    /// Floating-point numbers of 32 bits.
    F32,
}

impl NumberType {
    /// All of them, by the names that people give them.
    pub const NAMES: [(&'static str, NumberType); 4] = [
        ("u8", NumberType::U8),
        ("u16", NumberType::U16),
        ("i32", NumberType::I32),
        ("f32", NumberType::F32),
    ];

    /// The smallest that holds numbers of the type `stored`; of those of more than 32 bits the one that may hold them.
    pub(super) fn holding(stored: SampleType) -> Self {
        match (stored.kind, stored.bits) {
            (SampleKind::Unsigned, ..=8) => NumberType::U8,
            (SampleKind::Unsigned, 9..=16) => NumberType::U16,
            (SampleKind::Unsigned | SampleKind::Signed, _) => NumberType::I32,
            (SampleKind::Float, _) => NumberType::F32,
        }
    }

    /// How files store it.
    pub(super) fn sample(self) -> SampleType {
        let (kind, bits) = match self {
            NumberType::U8 => (SampleKind::Unsigned, 8),
            NumberType::U16 => (SampleKind::Unsigned, 16),
            NumberType::I32 => (SampleKind::Signed, 32),
            NumberType::F32 => (SampleKind::Float, 32),
        };
        SampleType { kind, bits }
    }

    /// The largest whole number that it holds; `None` where it holds others too.
    pub fn largest(self) -> Option<f64> {
        self.range().map(|(_, most)| most)
    }

    fn range(self) -> Option<(f64, f64)> {
        match self {
            NumberType::U8 => Some((0.0, u8::MAX.into())),
            NumberType::U16 => Some((0.0, u16::MAX.into())),
            NumberType::I32 => Some((i32::MIN.into(), i32::MAX.into())),
            NumberType::F32 => None,
        }
    }

    /// How numbers are stored as this type: rounded to whole ones, and refused where it does not hold them.
    pub(super) fn store(self) -> Store<f64> {
        match self {
            NumberType::U8 => |values| {
                checked(&values, NumberType::U8)?;
                Ok(DecodingResult::U8(values.iter().map(|value| rounded(*value) as u8).collect()))
            },
            NumberType::U16 => |values| {
                checked(&values, NumberType::U16)?;
                Ok(DecodingResult::U16(values.iter().map(|value| rounded(*value) as u16).collect()))
            },
            NumberType::I32 => |values| {
                checked(&values, NumberType::I32)?;
                Ok(DecodingResult::I32(values.iter().map(|value| rounded(*value) as i32).collect()))
            },
            NumberType::F32 => |values| {
                checked(&values, NumberType::F32)?;
                Ok(DecodingResult::F32(values.iter().map(|value| *value as f32).collect()))
            },
        }
    }
}

/// The nearest whole number; most are whole already, and rounding takes longer than seeing that.
fn rounded(value: f64) -> f64 {
    if f64::from(value as i32) == value { value } else { value.round() }
}

/// Refuses numbers that the type does not hold.
fn checked(values: &ArrayView4<f64>, numbers: NumberType) -> std::result::Result<(), String> {
    let Some((least, most)) = numbers.range() else {
        // What is not finite in the file stays as it is; what would become so is refused.
        let misfit = values.iter().find(|value| value.is_finite() && !(**value as f32).is_finite());
        return misfit.map_or(Ok(()), |value| {
            Err(format!("found the value {value}, which is beyond float32; divide the values before"))
        });
    };
    // The comparison is false of NaN too.
    let misfit = values.iter().find(|value| !(least..=most).contains(&rounded(**value)));
    misfit.map_or(Ok(()), |value| {
        Err(format!(
            "found the value {value}, but {} holds {least} to {most}; give another `dtype`, or scale and clip with `window LOW..HIGH`",
            numbers.sample()
        ))
    })
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
