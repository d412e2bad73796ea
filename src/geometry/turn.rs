//! Turning and mirroring volumes without interpolation.

use ndarray::{Array4, ArrayView4, Axis};

use super::Symmetry;

/// Which axis of a volume becomes z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Upright {
    /// z stays.
    #[default]
    Z,
    /// z and y change places.
    Y,
    /// z and x change places.
    X,
}

/// One of the 48 ways to turn and mirror a cube onto itself: an axis becomes z, slices are turned or mirrored within their plane, and may be
/// put in reverse order, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Turn {
    /// Which axis becomes z.
    pub upright: Upright,
    /// What then becomes of each slice.
    pub within: Symmetry,
    /// Whether the last slice then comes first.
    pub reverses: bool,
}

impl Turn {
    /// Leaves everything as it is.
    pub const IDENTITY: Turn = Turn { upright: Upright::Z, within: Symmetry::IDENTITY, reverses: false };

    /// Turns a volume `[channel][z][y][x]`; the result is contiguous.
    pub fn apply<T: Clone>(self, volume: ArrayView4<'_, T>) -> Array4<T> {
        let mut view = volume;
        match self.upright {
            Upright::Z => {}
            Upright::Y => view.swap_axes(1, 2),
            Upright::X => view.swap_axes(1, 3),
        }
        let mut turned = self.within.apply(&view);
        if self.reverses {
            turned.invert_axis(Axis(1));
            turned = turned.as_standard_layout().into_owned();
        }
        turned
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_cube_has_48_turns_of_which_16_keep_z() {
        let cube = Array4::from_shape_fn((1, 3, 3, 3), |(_, z, y, x)| 9 * z + 3 * y + x);
        let all = |uprights: &[Upright]| {
            let mut found = HashSet::new();
            for &upright in uprights {
                for within in Symmetry::ALL {
                    for reverses in [false, true] {
                        let turned = Turn { upright, within, reverses }.apply(cube.view());
                        assert!(turned.is_standard_layout() && turned[[0, 1, 1, 1]] == 13);
                        found.insert(turned.into_raw_vec_and_offset().0);
                    }
                }
            }
            found
        };
        assert_eq!(all(&[Upright::Z, Upright::Y, Upright::X]).len(), 48);
        let keeping = all(&[Upright::Z]);
        assert_eq!(keeping.len(), 16);
        // Slices stay together.
        assert!(keeping.iter().all(|cube| cube.chunks(9).all(|slice| {
            let of = slice[0] / 9;
            slice.iter().all(|voxel| voxel / 9 == of)
        })));
        assert_eq!(Turn::IDENTITY.apply(cube.view()), cube);
    }
}
