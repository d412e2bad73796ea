//! Which of the planes in a file are the channels of one image, by the names and lengths of its axes.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use crate::error::{Error, Result};

/// The letters that axes have: channels, depth, time, and rows and columns.
const KNOWN: [char; 8] = ['T', 'Z', 'C', 'Y', 'X', 'S', 'I', 'Q'];

/// The axes of a file as somebody says they are, such as `ZCYX`, outermost first.
///
/// `C` (or `S`, for samples) are the channels of an image; along all other axes before `Y` and `X` lie images of their own.
/// A number behind a letter is its length, as in `ZC2YX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Axes {
    text: String,
    /// The axes before rows and columns, with their lengths where they are said.
    outer: Vec<(char, Option<usize>)>,
}

impl FromStr for Axes {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            let wanted = "it must be letters of TZC, outermost first, and then YX, such as ZCYX; a number behind a letter is its length, as in ZC2YX";
            Error::setting("axes", format!("'{text}'"), wanted)
        };
        let mut all: Vec<(char, Option<usize>)> = Vec::new();
        for c in text.trim().to_ascii_uppercase().chars() {
            let is_new = KNOWN.contains(&c) && all.iter().all(|(known, _)| *known != c);
            match (c.to_digit(10), all.last_mut()) {
                (Some(digit), Some((_, length))) => {
                    let longer =
                        length.unwrap_or(0).checked_mul(10).and_then(|n| n.checked_add(digit as usize));
                    *length = Some(longer.ok_or_else(wrong)?);
                }
                (None, _) if is_new => all.push((c, None)),
                _ => return Err(wrong()),
            }
        }
        // Interleaved channels stand behind the columns; each page says itself how many it has.
        if all.last().is_some_and(|(last, _)| is_channel(*last)) {
            all.pop();
        }
        let (columns, rows) = (all.pop(), all.pop());
        if columns != Some(('X', None)) || rows != Some(('Y', None)) {
            return Err(wrong());
        }
        let letters = all.iter().map(|(letter, _)| *letter);
        if letters.clone().any(|letter| matches!(letter, 'X' | 'Y'))
            || letters.filter(|letter| is_channel(*letter)).count() > 1
            || all.iter().any(|(_, length)| *length == Some(0))
        {
            return Err(wrong());
        }
        Ok(Self { text: text.trim().to_owned(), outer: all })
    }
}

impl Axes {
    /// The axes before rows and columns of a file with `planes` planes, with their lengths; `known` are the lengths that the
    /// file itself gives, outermost first, whatever it calls them.
    ///
    /// # Errors
    /// [`Error::Setting`] where these do not fit the file, or cannot be known.
    pub(super) fn lengths(&self, path: &Path, planes: usize, known: &[usize]) -> Result<Vec<(char, usize)>> {
        let product = |lengths: &[usize]| lengths.iter().try_fold(1_usize, |all, n| all.checked_mul(*n));
        let fits = |lengths: &[usize]| {
            lengths.len() == self.outer.len()
                && product(lengths) == Some(planes)
                && self.outer.iter().zip(lengths).all(|((_, said), n)| said.is_none_or(|said| said == *n))
        };
        let named = |lengths: &[usize]| {
            self.outer.iter().map(|(letter, _)| *letter).zip(lengths.iter().copied()).collect()
        };
        // Files that hold one image stand beside stacks in a folder.
        if planes == 1 {
            return Ok(self.outer.iter().map(|(letter, _)| (*letter, 1)).collect());
        }
        if !self.outer.iter().any(|(letter, _)| is_channel(*letter)) && !self.outer.is_empty() {
            return Ok(vec![('Z', planes)]);
        }
        let longer: Vec<usize> = known.iter().copied().filter(|length| *length > 1).collect();
        if let Some(lengths) = [known, longer.as_slice()].into_iter().find(|lengths| fits(lengths)) {
            return Ok(named(lengths));
        }
        let said: Vec<usize> = self.outer.iter().filter_map(|(_, length)| *length).collect();
        if let Some(said) = product(&said).filter(|said| planes.is_multiple_of(*said)) {
            let rest = planes / said;
            let lengths: Vec<usize> = self.outer.iter().map(|(_, length)| length.unwrap_or(rest)).collect();
            if fits(&lengths) {
                return Ok(named(&lengths));
            }
        }
        let wanted = match self.outer.as_slice() {
            [] => format!(
                "{} has {planes} planes; say what they are, such as CYX for channels or ZYX for slices",
                path.display()
            ),
            _ if said.is_empty() => format!(
                "{} has {planes} planes, and how many of them are channels of one image it does not say; give the number behind the letter, such as ZC2YX",
                path.display()
            ),
            _ => format!(
                "{} has {planes} planes, which does not fit; correct the lengths or leave them out",
                path.display()
            ),
        };
        Err(Error::setting("axes", &self.text, wanted))
    }
}

/// Whether planes along this axis are channels of one image.
pub(super) fn is_channel(axis: char) -> bool {
    matches!(axis, 'C' | 'S')
}

/// The planes, counted through, of each image in turn, where planes lie along `axes` with the last one the fastest.
///
/// Their number is the product of the lengths, which the caller has compared with the file.
pub(super) fn images_along(axes: &[(char, usize)]) -> Vec<Vec<usize>> {
    let count = axes.iter().map(|(_, length)| length).product();
    let mut images: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for plane in 0..count {
        // The number of the image: as that of the plane, without the axis of channels.
        let (mut rest, mut image, mut step) = (plane, 0, 1);
        for (axis, length) in axes.iter().rev() {
            if !is_channel(*axis) {
                image += rest % length * step;
                step *= length;
            }
            rest /= length;
        }
        images.entry(image).or_default().push(plane);
    }
    images.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(text: &str, planes: usize, known: &[usize]) -> Result<Vec<(char, usize)>> {
        text.parse::<Axes>()?.lengths(Path::new("a.tif"), planes, known)
    }

    #[test]
    fn channels_are_gathered_from_wherever_they_lie() {
        assert_eq!(images_along(&[('Z', 3), ('C', 2)]), [[0, 1], [2, 3], [4, 5]]);
        assert_eq!(images_along(&[('C', 2), ('Z', 3)]), [[0, 3], [1, 4], [2, 5]]);
        assert_eq!(images_along(&[('T', 2), ('C', 2), ('Z', 2)]), [[0, 2], [1, 3], [4, 6], [5, 7]]);
        assert_eq!(images_along(&[('Z', 2)]), [[0], [1]]);
        assert_eq!(images_along(&[]), [[0]]);
    }

    #[test]
    fn lengths_come_from_the_file_or_from_what_is_said() {
        assert_eq!(lengths("CYX", 4, &[]), Ok(vec![('C', 4)]));
        assert_eq!(lengths("zcyx", 10, &[5, 2]), Ok(vec![('Z', 5), ('C', 2)]));
        assert_eq!(lengths("CZYX", 10, &[5, 1, 2]), Ok(vec![('C', 5), ('Z', 2)]));
        assert_eq!(lengths("ZC2YX", 10, &[10]), Ok(vec![('Z', 5), ('C', 2)]));
        assert_eq!(lengths("TZYXC", 10, &[]), Ok(vec![('Z', 10)]));
        assert_eq!(lengths("ZCYX", 1, &[]), Ok(vec![('Z', 1), ('C', 1)]));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_a_way_out() {
        for text in ["", "YXZ", "ZCY", "ZZYX", "CSYX", "C0YX", "2CYX", "ÄYX", "ZC99999999999999999999YX"] {
            let error = lengths(text, 2, &[]).unwrap_err().to_string();
            assert!(error.starts_with("axes is") && error.contains("such as ZCYX"), "{text}: {error}");
        }
        let error = lengths("ZCYX", 10, &[10]).unwrap_err().to_string();
        assert!(error.contains("a.tif has 10 planes") && error.contains("ZC2YX"), "{error}");
        assert!(lengths("ZC3YX", 10, &[]).unwrap_err().to_string().contains("does not fit"));
        assert!(lengths("YX", 10, &[]).unwrap_err().to_string().contains("CYX for channels"));
    }
}
