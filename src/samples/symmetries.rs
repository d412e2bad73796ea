//! Which flips and rotations images are shown in.

use crate::geometry::{Extent, Symmetry, Upright};
use crate::settings::named_choices;

named_choices! {
    /// Which flips and rotations images are shown in, each equally often.
    pub enum Symmetries of "symmetries", default All, switch All None {
        /// All eight flips and rotations; of volumes all 48 of a cube, where pieces are one.
        All = "all",
        /// All that keep z: of volumes the 16 that keep slices together, where voxels are longer than wide; of images all.
        KeepZ = "keep-z",
        /// As they are, and left and right exchanged: an up and a down stay what they are.
        Horizontal = "horizontal",
        /// As they are, and up and down exchanged.
        Vertical = "vertical",
        /// Turned by quarters, never mirrored; images that are not square by halves, as batches need one shape.
        Rotations = "rotations",
        /// Only as they are.
        None = "none",
    }
}

impl Symmetries {
    /// The symmetries of pieces that are square or not, the identity first.
    pub(super) fn of(self, square: bool) -> Vec<Symmetry> {
        let [identity, up_down, left_right, half, _, quarter, other_quarter, _] = Symmetry::ALL;
        match (self, square) {
            (Self::All | Self::KeepZ, true) => Symmetry::ALL.to_vec(),
            (Self::All | Self::KeepZ, false) => Symmetry::ALL[..4].to_vec(),
            (Self::Horizontal, _) => vec![identity, left_right],
            (Self::Vertical, _) => vec![identity, up_down],
            (Self::Rotations, true) => vec![identity, quarter, half, other_quarter],
            (Self::Rotations, false) => vec![identity, half],
            (Self::None, _) => vec![identity],
        }
    }
}

impl Symmetries {
    /// Whether slabs and volumes are shown with above and below exchanged too.
    pub(super) fn exchange_slices(self) -> bool {
        matches!(self, Self::All | Self::KeepZ)
    }

    /// Whether the axes of volumes are alike, so that any may become z.
    pub(super) fn mixes_axes(self) -> bool {
        self == Self::All
    }

    /// The axes that may become z in pieces of `extent`: others than z in cubes alone, as batches need one shape.
    pub(super) fn uprights(self, extent: Extent) -> &'static [Upright] {
        let is_cube = extent.z > 1 && extent.z == extent.y && extent.y == extent.x;
        if self.mixes_axes() && is_cube { &[Upright::Z, Upright::Y, Upright::X] } else { &[Upright::Z] }
    }
}

/// All for `true`, none for `false`.
impl From<bool> for Symmetries {
    fn from(all: bool) -> Self {
        if all { Self::All } else { Self::None }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn each_choice_turns_images_as_its_name_says() {
        let image = array![[1, 2], [3, 4]];
        let turned = |symmetries: Symmetries, square| -> Vec<_> {
            symmetries.of(square).iter().map(|s| s.apply2(&image)).collect()
        };
        assert_eq!(turned(Symmetries::Horizontal, true), [image.clone(), array![[2, 1], [4, 3]]]);
        assert_eq!(turned(Symmetries::Vertical, false), [image.clone(), array![[3, 4], [1, 2]]]);
        let quarters =
            [image.clone(), array![[3, 1], [4, 2]], array![[4, 3], [2, 1]], array![[2, 4], [1, 3]]];
        let found = turned(Symmetries::Rotations, true);
        assert!(found.len() == 4 && quarters.iter().all(|quarter| found.contains(quarter)), "{found:?}");
        assert_eq!(turned(Symmetries::Rotations, false), [image.clone(), array![[4, 3], [2, 1]]]);
        assert_eq!(turned(Symmetries::None, true), [image]);
        assert_eq!((Symmetries::All.of(true).len(), Symmetries::All.of(false).len()), (8, 4));
    }

    #[test]
    fn the_switch_that_it_was_is_read() {
        for (text, wanted) in
            [("true", Symmetries::All), ("false", Symmetries::None), ("\"vertical\"", Symmetries::Vertical)]
        {
            assert_eq!(serde_json::from_str::<Symmetries>(text).unwrap(), wanted);
        }
        assert!(
            serde_json::from_str::<Symmetries>("\"diagonal\"")
                .unwrap_err()
                .to_string()
                .contains("`rotations`")
        );
    }
}
