//! What a convolution sees beyond the edge of an image.

use serde::{Deserialize, Serialize};

/// How an image continues beyond its edges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Boundary {
    /// Mirrored without repeating the edge pixel: `c b | a b c | b a` (NumPy's `reflect`).
    Reflect,
    /// Mirrored with the edge pixel repeated: `b a | a b c | c b` (NumPy's `symmetric`).
    Symmetric,
    /// Zero everywhere outside.
    Zeros,
}

impl Boundary {
    /// The index inside `0..length` whose pixel is seen at `index`, or `None` where zero is seen.
    ///
    /// The mirror bounces as often as needed, so any index has an answer, however small the image.
    pub fn source(self, index: isize, length: usize) -> Option<usize> {
        let n = length as isize;
        if (0..n).contains(&index) {
            return Some(index as usize);
        }
        let folded = match self {
            Boundary::Zeros => return None,
            Boundary::Reflect if n == 1 => 0,
            Boundary::Reflect => {
                let phase = index.rem_euclid(2 * n - 2);
                phase.min(2 * n - 2 - phase)
            }
            Boundary::Symmetric => {
                let phase = index.rem_euclid(2 * n);
                phase.min(2 * n - 1 - phase)
            }
        };
        Some(folded as usize)
    }

    /// The name used on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Boundary::Reflect => "reflect",
            Boundary::Symmetric => "symmetric",
            Boundary::Zeros => "zeros",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(boundary: Boundary, length: usize) -> Vec<Option<usize>> {
        (-4..length as isize + 4).map(|i| boundary.source(i, length)).collect()
    }

    #[test]
    fn mirrors_as_numpy_pads() {
        // numpy.pad([0, 1, 2], 4, mode=...)
        let reflect = [2, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2].map(Some);
        let expected: Vec<_> =
            [0usize, 1, 2, 1].map(Some).into_iter().chain(reflect.into_iter().skip(4)).collect();
        assert_eq!(seen(Boundary::Reflect, 3), expected);
        let symmetric = [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0].map(Some);
        assert_eq!(seen(Boundary::Symmetric, 3), symmetric);
        assert!(seen(Boundary::Zeros, 3)[..4].iter().all(Option::is_none));
        assert_eq!(seen(Boundary::Reflect, 1), [Some(0); 9]);
    }
}
