//! Turning and mirroring images without interpolation.

use ndarray::{Array2, Array3, ArrayBase, Axis, Data, Dimension, RemoveAxis};

/// One of the eight ways to turn and mirror a square onto itself.
///
/// It acts on the last two axes of any array, y and x, and leaves those before them as they are: an image
/// `[channel][y][x]` is turned channel by channel, a volume `[channel][z][y][x]` slice by slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Symmetry(u8);

impl Symmetry {
    /// Leaves everything as it is.
    pub const IDENTITY: Symmetry = Symmetry(0);
    /// All eight, the identity first; the first four keep the shape of a rectangle.
    pub const ALL: [Symmetry; 8] = [
        Symmetry(0),
        Symmetry(1),
        Symmetry(2),
        Symmetry(3),
        Symmetry(4),
        Symmetry(5),
        Symmetry(6),
        Symmetry(7),
    ];

    fn mirrors_y(self) -> bool {
        self.0 & 1 != 0
    }

    fn mirrors_x(self) -> bool {
        self.0 & 2 != 0
    }

    /// Whether y and x change places, which comes before the mirroring.
    pub fn transposes(self) -> bool {
        self.0 & 4 != 0
    }

    /// The symmetry that undoes this one.
    pub fn inverse(self) -> Symmetry {
        if self.transposes() {
            Symmetry(4 | u8::from(self.mirrors_x()) | u8::from(self.mirrors_y()) << 1)
        } else {
            self
        }
    }

    /// Turns an image of shape `[channel][y][x]`; the result is contiguous.
    pub fn apply3<T: Clone>(self, image: &Array3<T>) -> Array3<T> {
        self.apply(image)
    }

    /// Turns an image of shape `[y][x]`; the result is contiguous.
    pub fn apply2<T: Clone>(self, image: &Array2<T>) -> Array2<T> {
        self.apply(image)
    }

    /// Turns an array whose last two axes are y and x; the result is contiguous.
    pub fn apply<T: Clone, S: Data<Elem = T>, D: Dimension + RemoveAxis>(
        self,
        image: &ArrayBase<S, D>,
    ) -> ndarray::Array<T, D> {
        let (y, x) = (image.ndim() - 2, image.ndim() - 1);
        let mut view = image.view();
        if self.transposes() {
            view.swap_axes(y, x);
        }
        if self.mirrors_y() {
            view.invert_axis(Axis(y));
        }
        if self.mirrors_x() {
            view.invert_axis(Axis(x));
        }
        view.as_standard_layout().into_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use ndarray::{Array4, array};

    use super::*;

    #[test]
    fn there_are_eight_symmetries_and_each_has_its_inverse() {
        let image = array![[1, 2, 3], [4, 5, 6]];
        let turned: HashSet<_> =
            Symmetry::ALL.iter().map(|s| s.apply2(&image).into_raw_vec_and_offset().0).collect();
        assert_eq!(turned.len(), 8);
        for symmetry in Symmetry::ALL {
            let there = symmetry.apply2(&image);
            assert_eq!(there.dim() == (3, 2), symmetry.transposes());
            assert!(there.is_standard_layout());
            assert_eq!(symmetry.inverse().apply2(&there), image);
        }
        // A volume is turned slice by slice.
        let volume = Array4::from_shape_fn((2, 3, 4, 5), |(c, z, y, x)| c * 60 + z * 20 + y * 5 + x);
        for symmetry in Symmetry::ALL {
            let turned = symmetry.apply(&volume);
            for (there, slices) in turned.outer_iter().zip(volume.outer_iter()) {
                for (there, slice) in there.outer_iter().zip(slices.outer_iter()) {
                    assert_eq!(there, symmetry.apply(&slice));
                }
            }
        }
        assert_eq!(Symmetry(1).apply2(&image), array![[4, 5, 6], [1, 2, 3]]);
        assert_eq!(Symmetry(2).apply2(&image), array![[3, 2, 1], [6, 5, 4]]);
        assert_eq!(Symmetry(4).apply2(&image), array![[1, 4], [2, 5], [3, 6]]);
    }
}
