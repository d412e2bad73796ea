//! MRC files, of electron microscopy: a header of 1024 bytes, further ones of any length, and the numbers behind them.
//!
//! The format is MRC2014 (<https://www.ccpem.ac.uk/mrc-format/mrc2014/>), and what IMOD does otherwise.

use super::ArrayLayout;
use super::head::Head;
use crate::error::{Error, Result};
use crate::images::source::{SampleKind, SampleType};
use crate::images::space::Space;
use crate::images::volume::VoxelSize;

/// How long the first header is.
pub(in crate::images) const HEADER_BYTES: usize = 1024;
/// The unit of lengths in the header.
pub(in crate::images) const UNIT: &str = "\u{c5}";
/// What stands in byte 152 of the files of IMOD.
const IMOD_STAMP: i32 = 1_146_047_817;
/// Longer sides are taken for a sign of the other order of bytes.
const MOST_SIDE: i32 = 1 << 24;

fn damaged(name: &str, what: impl std::fmt::Display) -> Error {
    Error::input(name, format!("is a damaged MRC file ({what}); copy or export it again"))
}

/// The words of a header.
struct Words<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl Words<'_> {
    /// The four bytes at a place inside the header.
    fn word(&self, place: usize) -> [u8; 4] {
        let mut word = [0; 4];
        if let Some(bytes) = self.bytes.get(place..place + 4) {
            word.copy_from_slice(bytes);
        }
        if self.big_endian {
            word.reverse();
        }
        word
    }

    fn whole(&self, place: usize) -> i32 {
        i32::from_le_bytes(self.word(place))
    }

    fn float(&self, place: usize) -> f32 {
        f32::from_le_bytes(self.word(place))
    }

    /// Whether a header in this order of bytes may be meant.
    fn is_sane(&self) -> bool {
        let sides = [0, 4, 8].map(|place| self.whole(place));
        sides.iter().all(|side| (1..=MOST_SIDE).contains(side)) && (0..=127).contains(&self.whole(12))
    }
}

/// What the header of a file says that begins with `bytes` and that messages call `name`.
///
/// # Errors
/// [`Error::Input`] for a header that is damaged or of numbers that are not read.
pub(super) fn head(name: &str, bytes: &[u8]) -> Result<Head> {
    if bytes.len() < HEADER_BYTES {
        return Err(damaged(name, format!("it has {} bytes and no whole header", bytes.len())));
    }
    // The stamp tells the order of bytes, but there are programs that write the wrong one.
    let stamp = Words { bytes, big_endian: bytes[212] == 0x11 };
    let other = Words { bytes, big_endian: !stamp.big_endian };
    let words = if stamp.is_sane() || !other.is_sane() { stamp } else { other };
    let side = |place: usize| {
        let side = words.whole(place);
        usize::try_from(side)
            .ok()
            .filter(|side| *side > 0)
            .ok_or_else(|| damaged(name, format!("a side of {side}")))
    };
    let (columns, rows, sections) = (side(0)?, side(4)?, side(8)?);
    let numbers = numbers(name, &words)?;
    let extended = words.whole(92);
    let extended = u64::try_from(extended)
        .map_err(|_| damaged(name, format!("a further header of {extended} bytes")))?;

    let axes = [72, 68, 64].map(|place| words.whole(place));
    let letter = |axis: i32| usize::try_from(axis - 1).ok().and_then(|axis| "XYZ".chars().nth(axis));
    let mut letters: Vec<char> = match axes {
        // Programs of old left them out.
        [0, 0, 0] => vec!['Z', 'Y', 'X'],
        _ => axes.iter().filter_map(|axis| letter(*axis)).collect(),
    };
    if "XYZ".chars().any(|axis| !letters.contains(&axis)) {
        return Err(damaged(name, format!("the axes {axes:?}, of which each should be one of 1, 2 and 3")));
    }
    let mut shape = vec![sections, rows, columns];
    let in_volume = usize::try_from(words.whole(36)).unwrap_or(0);
    // A stack of volumes, whose slices come one after the other.
    if (401..=630).contains(&words.whole(88)) && in_volume > 0 && sections.is_multiple_of(in_volume) {
        shape.splice(0..1, [sections / in_volume, in_volume]);
        letters.insert(0, 'T');
    }
    let layout = ArrayLayout {
        axes: Some(letters),
        voxel_size: voxel_size(&words),
        space: origin(&words),
        ..ArrayLayout::plain(shape, numbers)
    };
    let offset = HEADER_BYTES as u64 + extended;
    Ok(Head { layout, offset, big_endian: words.big_endian, scale: None })
}

fn numbers(name: &str, words: &Words<'_>) -> Result<SampleType> {
    // IMOD wrote bytes without sign for long, and says which it means.
    let without_sign = words.whole(152) == IMOD_STAMP && words.whole(156) & 1 == 0;
    let (kind, bits) = match words.whole(12) {
        0 if without_sign => (SampleKind::Unsigned, 8),
        0 => (SampleKind::Signed, 8),
        1 => (SampleKind::Signed, 16),
        2 => (SampleKind::Float, 32),
        6 => (SampleKind::Unsigned, 16),
        12 => (SampleKind::Float, 16),
        mode @ (3 | 4) => {
            let problem = format!(
                "holds complex numbers (mode {mode}); wanted mode 0, 1, 2, 6 or 12, save their absolute values as mode 2"
            );
            return Err(Error::input(name, problem));
        }
        mode => {
            let problem = format!(
                "holds numbers of mode {mode}; wanted mode 0, 1, 2, 6 or 12, save it again as one of these"
            );
            return Err(Error::input(name, problem));
        }
    };
    Ok(SampleType { kind, bits })
}

/// Where the first pixel lies; `None` where the header leaves that open.
fn origin(words: &Words<'_>) -> Option<Space> {
    let origin = [196, 200, 204].map(|place| f64::from(words.float(place)));
    let is_said = origin.iter().all(|n| n.is_finite()) && origin.iter().any(|n| *n != 0.0);
    is_said.then_some(Space::Mrc(origin))
}

/// The lengths of the cell, each divided by its number of samples; `None` where the header does not say.
fn voxel_size(words: &Words<'_>) -> Option<VoxelSize> {
    let along = |axis: usize| {
        let size = f64::from(words.float(40 + 4 * axis)) / f64::from(words.whole(28 + 4 * axis));
        // A float32 of 5.4 is 5.4, and not what follows behind its seventh digit.
        let size = (size as f32).to_string().parse::<f64>().ok()?;
        Some(size).filter(|size| size.is_finite() && *size > 0.0)
    };
    Some(VoxelSize { z: along(2)?, y: along(1)?, x: along(0)?, unit: UNIT.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with these words at these places.
    fn header(words: &[(usize, i32)], big_endian: bool, stamp: u8) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        let usual = [(0, 4), (4, 3), (8, 6), (12, 1), (28, 4), (32, 3), (36, 6), (64, 1), (68, 2), (72, 3)];
        for (place, word) in usual.iter().chain(words) {
            let word = if big_endian { word.to_be_bytes() } else { word.to_le_bytes() };
            bytes[*place..place + 4].copy_from_slice(&word);
        }
        bytes[208..212].copy_from_slice(b"MAP ");
        bytes[212..214].fill(stamp);
        bytes
    }

    #[test]
    fn headers_are_read_in_either_order_whatever_the_stamp_says() {
        for big_endian in [false, true] {
            for stamp in [0x44, 0x11, 0] {
                let head = head("a.mrc", &header(&[(92, 256)], big_endian, stamp)).unwrap();
                assert_eq!((head.offset, head.big_endian), (1280, big_endian), "{stamp}");
                assert_eq!(head.layout.shape, [6, 3, 4]);
                assert_eq!(head.layout.numbers.to_string(), "int16");
                assert_eq!(head.layout.voxel_size, None);
            }
        }
    }

    #[test]
    fn modes_axes_and_sizes_are_those_of_the_header() {
        let of = |words: &[(usize, i32)]| head("a.mrc", &header(words, false, 0x44));
        let kind = |words: &[(usize, i32)]| of(words).unwrap().layout.numbers.to_string();
        assert_eq!(kind(&[(12, 0)]), "int8");
        assert_eq!(kind(&[(12, 0), (152, IMOD_STAMP)]), "uint8");
        assert_eq!(kind(&[(12, 0), (152, IMOD_STAMP), (156, 1)]), "int8");
        assert_eq!(kind(&[(12, 6)]), "uint16");
        assert_eq!(kind(&[(12, 12)]), "float16");
        let axes =
            |words: &[(usize, i32)]| of(words).unwrap().layout.axes.unwrap().into_iter().collect::<String>();
        assert_eq!(axes(&[]), "ZYX");
        assert_eq!(axes(&[(64, 0), (68, 0), (72, 0)]), "ZYX");
        assert_eq!(axes(&[(64, 3), (68, 1), (72, 2)]), "YXZ");
        let volumes = of(&[(88, 401), (36, 2)]).unwrap().layout;
        assert_eq!(
            (volumes.shape.as_slice(), volumes.axes.unwrap().as_slice()),
            (&[3, 2, 3, 4][..], &['T', 'Z', 'Y', 'X'][..])
        );
        let lengths =
            [(40, 8.0_f32), (44, 4.5), (48, 12.0)].map(|(place, size)| (place, size.to_bits() as i32));
        let size = of(&lengths).unwrap().layout.voxel_size.unwrap();
        assert_eq!(size, VoxelSize { z: 2.0, y: 1.5, x: 2.0, unit: UNIT.into() });
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for (words, part) in [
            (&[(0, -1)][..], "a side of -1"),
            (&[(8, 0)], "a side of 0"),
            (&[(12, 4)], "complex"),
            (&[(12, 101)], "mode 101"),
            (&[(92, -5)], "a further header of -5 bytes"),
            (&[(64, 1), (68, 1)], "the axes [3, 1, 1]"),
        ] {
            let error = head("a.mrc", &header(words, false, 0x44)).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert!(head("a.mrc", &[0; 700]).unwrap_err().to_string().contains("no whole header"));
    }
}
