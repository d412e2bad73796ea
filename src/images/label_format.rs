//! In how many bits labels are stored.

use std::ops::RangeInclusive;

/// How label images are stored: the smallest format that holds their values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelFormat {
    /// 8-bit PNG, for labels within 0 to 255.
    Png8,
    /// 16-bit PNG, for labels within 0 to 65 535.
    Png16,
    /// int32 TIFF, for all others.
    Tiff32,
}

impl LabelFormat {
    /// The smallest format that holds all of `values`; `None` where one of them is no int32.
    pub fn holding(values: impl IntoIterator<Item = i64>) -> Option<Self> {
        let (least, most) = values.into_iter().fold((0, 0), |(least, most), v| (v.min(least), v.max(most)));
        if least >= 0 && most <= i64::from(u8::MAX) {
            Some(LabelFormat::Png8)
        } else if least >= 0 && most <= i64::from(u16::MAX) {
            Some(LabelFormat::Png16)
        } else if least >= i64::from(i32::MIN) && most <= i64::from(i32::MAX) {
            Some(LabelFormat::Tiff32)
        } else {
            None
        }
    }

    /// The ending of the file's name, without the dot.
    pub fn ending(self) -> &'static str {
        match self {
            LabelFormat::Png8 | LabelFormat::Png16 => "png",
            LabelFormat::Tiff32 => "tif",
        }
    }

    /// The labels that it holds.
    pub fn range(self) -> RangeInclusive<i64> {
        match self {
            LabelFormat::Png8 => 0..=u8::MAX.into(),
            LabelFormat::Png16 => 0..=u16::MAX.into(),
            LabelFormat::Tiff32 => i32::MIN.into()..=i32::MAX.into(),
        }
    }

    /// What is wrong with a label that it does not hold.
    pub(super) fn misfit(self, label: i64) -> String {
        let (least, most) = (self.range().start().to_owned(), self.range().end().to_owned());
        format!(
            "found the label {label}, but this kind of label file holds {least} to {most}; use smaller class numbers"
        )
    }
}
