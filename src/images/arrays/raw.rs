//! Files of numbers without a header, whose form somebody has to say.

use std::fs::File;
use std::path::Path;
use std::str::FromStr;

use super::ArrayLayout;
use super::contiguous::{Contiguous, bytes_of};
use crate::error::{Error, Result};
use crate::images::source::{SampleKind, SampleType};

/// The form of a file without header, such as `2048x2048x1000:u16le`: columns, rows and slices as detectors and ImageJ count
/// them, and the type of the numbers with the order of their bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::images) struct RawFormat {
    /// The lengths of the axes, outermost first.
    shape: Vec<usize>,
    numbers: SampleType,
    big_endian: bool,
    /// How many bytes stand before the numbers; `None` for as many as the file has more.
    offset: Option<u64>,
}

impl FromStr for RawFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::setting(
                "raw",
                format!("'{text}'"),
                "it must be columns x rows x slices, a colon, and the type of the numbers (u8, u16, u32, i8, i16, i32, f32 or f64, then le or be), such as 2048x2048x1000:u16le; +512 at the end passes over a header of so many bytes",
            )
        };
        let (sizes, rest) = text.trim().split_once(':').ok_or_else(wrong)?;
        let (numbers, offset) = match rest.split_once('+') {
            Some((numbers, offset)) => (numbers, Some(offset.parse().map_err(|_| wrong())?)),
            None => (rest, None),
        };
        let mut shape = Vec::new();
        for size in sizes.split(['x', 'X']) {
            let size: usize = size.trim().parse().map_err(|_| wrong())?;
            shape.push(Some(size).filter(|size| *size > 0).ok_or_else(wrong)?);
        }
        shape.reverse();
        if !(2..=5).contains(&shape.len()) {
            return Err(wrong());
        }
        let numbers = numbers.trim().to_ascii_lowercase();
        let (numbers, big_endian) = match numbers.strip_suffix("be") {
            Some(numbers) => (numbers, true),
            None => (numbers.strip_suffix("le").unwrap_or(&numbers), false),
        };
        let numbers = sample_type(numbers).ok_or_else(wrong)?;
        Ok(Self { shape, numbers, big_endian, offset })
    }
}

/// The type of a name such as `u16` or `uint16`.
pub(super) fn sample_type(name: &str) -> Option<SampleType> {
    let (kind, bits) = name.split_at_checked(name.find(|c: char| c.is_ascii_digit())?)?;
    let kind = match kind {
        "u" | "uint" => SampleKind::Unsigned,
        "i" | "int" => SampleKind::Signed,
        "f" | "float" => SampleKind::Float,
        _ => return None,
    };
    let bits: u8 = bits.parse().ok()?;
    let there_is = match kind {
        SampleKind::Float => matches!(bits, 16 | 32 | 64),
        _ => matches!(bits, 8 | 16 | 32 | 64),
    };
    there_is.then_some(SampleType { kind, bits })
}

/// The array in the file at `path`, which has the form `format`.
///
/// # Errors
/// [`Error::Input`] for a file that cannot be read or is shorter.
pub(super) fn open(path: &Path, file: File, format: &RawFormat) -> Result<Contiguous> {
    let name = path.display().to_string();
    let layout = ArrayLayout::plain(format.shape.clone(), format.numbers);
    let found = file.metadata().map(|metadata| metadata.len()).unwrap_or_default();
    let bytes = bytes_of(&name, &layout)?;
    let offset = match format.offset {
        Some(offset) => offset,
        None if found == bytes || found < bytes => 0,
        None => {
            return Err(Error::setting(
                "raw",
                format!("of {bytes} bytes for {name}"),
                format!(
                    "the file has {} more; correct the sizes or the type, or give +{} at the end where a header of so many bytes stands before the numbers",
                    found - bytes,
                    found - bytes
                ),
            ));
        }
    };
    Contiguous::new(&name, file, offset, format.big_endian, layout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_as_people_write_them() {
        let format: RawFormat = "2048x1024x10:u16be+512".parse().unwrap();
        assert_eq!(format.shape, [10, 1024, 2048]);
        assert_eq!(
            (format.numbers.to_string().as_str(), format.big_endian, format.offset),
            ("uint16", true, Some(512))
        );
        let format: RawFormat = "3X2:float32".parse().unwrap();
        assert_eq!((format.shape.as_slice(), format.big_endian, format.offset), (&[2, 3][..], false, None));
        for wrong in
            ["", "3x2", "3x2:u12", "3:u8", "0x2:u8", "3x2:u8+x", "-3x2:u8", "1x1x1x1x1x1:u8", "2x2:f8"]
        {
            let error = wrong.parse::<RawFormat>().unwrap_err().to_string();
            assert!(error.contains("2048x2048x1000:u16le"), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_file_of_another_length_is_refused_with_what_it_has_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.raw");
        std::fs::write(&path, [0; 14]).unwrap();
        let of = |text: &str| open(&path, File::open(&path).unwrap(), &text.parse().unwrap());
        assert!(of("3x2:u16").unwrap_err().to_string().contains("the file has 2 more"));
        assert!(of("3x2:u16+2").is_ok());
        assert!(of("7x2:u8").is_ok());
        assert!(of("7x3:u8").unwrap_err().to_string().contains("ends at 21"));
    }
}
