//! What a convolution reads beyond the edge of an image.

use crate::settings::named_choices;

named_choices! {
    /// How an image continues beyond its edges.
    pub enum Boundary of "boundary" {
        /// Mirrored without repeating the edge pixel: `c b | a b c | b a` (NumPy's `reflect`).
        Reflect = "reflect",
        /// Mirrored with the edge pixel repeated: `b a | a b c | c b` (NumPy's `symmetric`).
        Symmetric = "symmetric",
        /// Zero everywhere outside.
        Zeros = "zeros",
    }
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
        match self {
            Boundary::Zeros => None,
            Boundary::Reflect => Some(mirrored(index, length)),
            Boundary::Symmetric => {
                let phase = index.rem_euclid(2 * n);
                Some(phase.min(2 * n - 1 - phase) as usize)
            }
        }
    }
}

/// The index inside `0..length` that is seen at `index` under [`Boundary::Reflect`]: mirrored about the edge pixels, as
/// often as needed. `length` is at least 1.
pub fn mirrored(index: isize, length: usize) -> usize {
    if index.cast_unsigned() < length {
        return index.cast_unsigned();
    }
    let last = length as isize - 1;
    if last == 0 {
        return 0;
    }
    let phase = index.rem_euclid(2 * last);
    phase.min(2 * last - phase).cast_unsigned()
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
