//! NIfTI files, of medical imaging: a header of 348 or 540 bytes, and the numbers behind it.
//!
//! The format is that of <https://nifti.nimh.nih.gov/>, versions 1 and 2. What people call i, j and k is x, y and z here: how
//! the axes lie in a body does not count.

use super::ArrayLayout;
use super::head::Head;
use crate::error::{Error, Result};
use crate::images::source::{SampleKind, SampleType};
use crate::images::space::{NiftiSpace, Space};
use crate::images::volume::VoxelSize;

fn damaged(name: &str, what: impl std::fmt::Display) -> Error {
    Error::input(name, format!("is a damaged NIfTI file ({what}); copy or export it again"))
}

/// The fields of a header.
struct Fields<'a> {
    bytes: &'a [u8],
    big_endian: bool,
    /// Whether it is the header of the second version.
    second: bool,
}

impl Fields<'_> {
    fn bytes<const N: usize>(&self, place: usize) -> [u8; N] {
        let mut field = [0; N];
        if let Some(bytes) = self.bytes.get(place..place + N) {
            field.copy_from_slice(bytes);
        }
        if self.big_endian {
            field.reverse();
        }
        field
    }

    fn short(&self, place: usize) -> i64 {
        i16::from_le_bytes(self.bytes(place)).into()
    }

    fn long(&self, place: usize) -> i64 {
        i64::from_le_bytes(self.bytes(place))
    }

    /// The float of the first version at one place, or that of the second at another.
    fn float(&self, first: usize, second: usize) -> f64 {
        if self.second {
            return f64::from_le_bytes(self.bytes(second));
        }
        let value = f32::from_le_bytes(self.bytes(first));
        // A float32 of 0.7 is 0.7, and not what follows behind its seventh digit.
        value.to_string().parse().unwrap_or(f64::NAN)
    }

    fn dimension(&self, number: usize) -> i64 {
        if self.second { self.long(16 + 8 * number) } else { self.short(40 + 2 * number) }
    }

    fn pixel(&self, axis: usize) -> f64 {
        self.float(76 + 4 * axis, 104 + 8 * axis)
    }
}

/// What the header of a file says that begins with `bytes` and that messages call `name`.
///
/// # Errors
/// [`Error::Input`] for a header that is damaged or of numbers that are not read, and for one whose numbers are in another file.
pub(super) fn head(name: &str, bytes: &[u8]) -> Result<Head> {
    let fields = fields(name, bytes)?;
    let magic = bytes.get(if fields.second { 4..8 } else { 344..348 });
    if matches!(magic, Some(b"ni1\0" | b"ni2\0")) {
        return Err(Error::input(
            name,
            "is the header of a NIfTI pair, whose numbers are in a file of their own (.img); join the two into one .nii file, as nibabel.save(nibabel.load('a.hdr'), 'a.nii') does",
        ));
    }
    let count = fields.dimension(0);
    let count = usize::try_from(count).ok().filter(|count| (1..=7).contains(count));
    let count = count.ok_or_else(|| damaged(name, format!("{} axes", fields.dimension(0))))?;
    let mut lengths = Vec::new();
    for axis in 1..=count {
        let length = fields.dimension(axis);
        lengths.push(usize::try_from(length).map_err(|_| damaged(name, format!("a side of {length}")))?);
    }
    while lengths.len() > 2 && lengths.last() == Some(&1) {
        lengths.pop();
    }
    if lengths.len() > 5 {
        let problem = format!(
            "is an array of {} axes; wanted at most five, which are columns, rows, slices, points in time and channels: take a part of it",
            lengths.len()
        );
        return Err(Error::input(name, problem));
    }
    let mut letters: Vec<char> = "XYZTC".chars().take(lengths.len()).collect();
    lengths.reverse();
    letters.reverse();
    let (numbers, is_colour) =
        numbers(name, if fields.second { fields.short(12) } else { fields.short(70) })?;
    if is_colour {
        lengths.push(3);
        letters.push('S');
    }
    let offset = if fields.second { fields.long(168) } else { fields.float(108, 0) as i64 };
    let least = if fields.second { 540 } else { 348 };
    let offset = u64::try_from(offset).ok().filter(|offset| *offset >= least);
    let offset = offset.ok_or_else(|| damaged(name, "its numbers begin inside its header"))?;
    let (slope, more) = (fields.float(112, 176), fields.float(116, 184));
    let applies =
        slope.is_finite() && more.is_finite() && slope != 0.0 && (slope, more) != (1.0, 0.0) && !is_colour;
    let layout = ArrayLayout {
        axes: Some(letters),
        voxel_size: voxel_size(&fields),
        space: Some(Space::Nifti(space(&fields))),
        ..ArrayLayout::plain(lengths, numbers)
    };
    Ok(Head { layout, offset, big_endian: fields.big_endian, scale: applies.then_some((slope, more)) })
}

/// The header in its version and its order of bytes, which its own length tells.
fn fields<'a>(name: &str, bytes: &'a [u8]) -> Result<Fields<'a>> {
    let length = bytes.first_chunk().copied().ok_or_else(|| damaged(name, "its header is cut off"))?;
    for (big_endian, length) in [(false, i32::from_le_bytes(length)), (true, i32::from_be_bytes(length))] {
        let second = match length {
            348 => false,
            540 => true,
            _ => continue,
        };
        if bytes.len() < length.unsigned_abs() as usize {
            return Err(damaged(name, "its header is cut off"));
        }
        return Ok(Fields { bytes, big_endian, second });
    }
    Err(damaged(name, format!("a header of {} bytes", i32::from_le_bytes(length))))
}

/// The type of each number, and whether three of them are a colour.
fn numbers(name: &str, code: i64) -> Result<(SampleType, bool)> {
    let (kind, bits) = match code {
        2 | 128 => (SampleKind::Unsigned, 8),
        4 => (SampleKind::Signed, 16),
        8 => (SampleKind::Signed, 32),
        16 => (SampleKind::Float, 32),
        64 => (SampleKind::Float, 64),
        256 => (SampleKind::Signed, 8),
        512 => (SampleKind::Unsigned, 16),
        768 => (SampleKind::Unsigned, 32),
        1024 => (SampleKind::Signed, 64),
        1280 => (SampleKind::Unsigned, 64),
        other => {
            let what = match other {
                1 => "single bits".to_owned(),
                32 | 1792 | 2048 => "complex numbers".to_owned(),
                1536 => "floats of 128 bits".to_owned(),
                2304 => "colours with transparency".to_owned(),
                _ => format!("numbers of type {other}"),
            };
            let problem = format!(
                "holds {what}; wanted whole numbers or floats of up to 64 bits, or colours (RGB24), convert them and save it again"
            );
            return Err(Error::input(name, problem));
        }
    };
    Ok((SampleType { kind, bits }, code == 128))
}

/// The unit of lengths and of times, as bits.
fn units(fields: &Fields<'_>) -> i32 {
    if fields.second { i32::from_le_bytes(fields.bytes(500)) } else { i32::from(fields.bytes[123]) }
}

/// Where the array lies. What is no number is 0.
fn space(fields: &Fields<'_>) -> NiftiSpace {
    let float = |first: usize, second: usize| {
        Some(fields.float(first, second)).filter(|n| n.is_finite()).unwrap_or(0.0)
    };
    let three = |first: usize, second: usize| [0, 1, 2].map(|n| float(first + 4 * n, second + 8 * n));
    let code = |first: usize, second: usize| {
        let code = if fields.second {
            i64::from(i32::from_le_bytes(fields.bytes(second)))
        } else {
            fields.short(first)
        };
        i16::try_from(code).unwrap_or(0)
    };
    NiftiSpace {
        qform_code: code(252, 344),
        sform_code: code(254, 348),
        qfac: if float(76, 104) < 0.0 { -1.0 } else { 1.0 },
        quaternion: three(256, 352),
        sizes: three(80, 112).map(f64::abs),
        q_offset: three(268, 376),
        rows: [0, 1, 2]
            .map(|row| [0, 1, 2, 3].map(|n| float(280 + 16 * row + 4 * n, 400 + 32 * row + 8 * n))),
        time_step: float(92, 136),
        time_offset: float(136, 216),
        time_unit: (units(fields) & 0x38) as u8,
    }
}

/// The size of a pixel; `None` where the header does not say it or leaves out the unit.
fn voxel_size(fields: &Fields<'_>) -> Option<VoxelSize> {
    let unit = match units(fields) & 7 {
        1 => "m",
        2 => "mm",
        3 => "\u{b5}m",
        _ => return None,
    };
    let along = |axis: usize| Some(fields.pixel(axis).abs()).filter(|size| size.is_finite() && *size > 0.0);
    let (x, y) = (along(1)?, along(2)?);
    Some(VoxelSize { z: along(3).unwrap_or(y), y, x, unit: unit.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(shorts: &[(usize, i16)], floats: &[(usize, f32)]) -> Vec<u8> {
        let mut bytes = vec![0; 352];
        bytes[..4].copy_from_slice(&348_i32.to_le_bytes());
        bytes[344..348].copy_from_slice(b"n+1\0");
        for (place, value) in [(40, 3_i16), (42, 4), (44, 3), (46, 2), (70, 4)].iter().chain(shorts) {
            bytes[*place..place + 2].copy_from_slice(&value.to_le_bytes());
        }
        for (place, value) in [(108, 352.0_f32)].iter().chain(floats) {
            bytes[*place..place + 4].copy_from_slice(&value.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn axes_and_scale_are_those_of_the_header() {
        let of = |shorts: &[(usize, i16)], floats: &[(usize, f32)]| {
            head("a.nii", &header(shorts, floats)).unwrap()
        };
        let plain = of(&[], &[(112, 1.0)]);
        assert_eq!((plain.layout.shape.as_slice(), plain.offset, plain.scale), (&[2, 3, 4][..], 352, None));
        assert_eq!(plain.layout.axes.unwrap(), ['Z', 'Y', 'X']);
        assert_eq!(of(&[], &[(112, 0.0), (116, 5.0)]).scale, None);
        assert_eq!(of(&[], &[(112, 0.5), (116, 5.0)]).scale, Some((0.5, 5.0)));
        assert_eq!(of(&[], &[(112, f32::NAN)]).scale, None);
        // Axes of one at the end are none.
        let flat = of(&[(40, 5), (46, 1), (48, 1), (50, 1)], &[]);
        assert_eq!(flat.layout.axes.unwrap(), ['Y', 'X']);
        let colours = of(&[(70, 128)], &[]);
        assert_eq!(
            (colours.layout.shape.as_slice(), colours.layout.axes.unwrap().len()),
            (&[2, 3, 4, 3][..], 4)
        );
        let channels = of(&[(40, 5), (46, 1), (48, 1), (50, 6)], &[]);
        assert_eq!(channels.layout.axes.unwrap(), ['C', 'T', 'Z', 'Y', 'X']);
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let refusal = |shorts: &[(usize, i16)], floats: &[(usize, f32)]| {
            head("a.nii", &header(shorts, floats)).unwrap_err().to_string()
        };
        assert!(refusal(&[(40, 9)], &[]).contains("9 axes"));
        assert!(refusal(&[(42, -4)], &[]).contains("a side of -4"));
        assert!(refusal(&[(70, 32)], &[]).contains("complex"));
        assert!(refusal(&[(40, 6), (48, 2), (50, 2), (52, 2)], &[]).contains("6 axes"));
        assert!(refusal(&[], &[(108, 20.0)]).contains("inside its header"));
        assert!(refusal(&[], &[(108, f32::NAN)]).contains("inside its header"));
        let mut pair = header(&[], &[]);
        pair[344..348].copy_from_slice(b"ni1\0");
        assert!(head("a.hdr", &pair).unwrap_err().to_string().contains("nibabel.save"));
        assert!(head("a.nii", &header(&[], &[])[..300]).unwrap_err().to_string().contains("cut off"));
    }
}
