//! Which pixels around one belong together with it.

use crate::settings::named_choices;

named_choices! {
    /// Which pixels are hidden from a network together with one that it is to foresee, where their noise is correlated
    /// (StructN2V: Broaddus, Krull, Weigert, Schmidt & Myers, "Removing structured noise with self-supervised blind-spot
    /// networks", ISBI 2020).
    pub enum Footprint of "blind_mask", default Auto {
        /// As the noise of the images is correlated.
        Auto = "auto",
        /// None but the pixel itself.
        Point = "point",
        /// Those left and right of it.
        Horizontal = "horizontal",
        /// Those above and below it.
        Vertical = "vertical",
        /// Those left and right, above and below.
        Cross = "cross",
        /// All around it.
        Square = "square",
    }
}

impl Footprint {
    /// The (y, x) from the pixel in the middle to each that belongs to it, up to `extent` pixels away, the middle first. Where it is
    /// `transposed`, y and x have changed places.
    pub fn offsets(self, extent: usize, transposed: bool) -> Vec<(isize, isize)> {
        let reach = extent as isize;
        let along = || (-reach..=reach).filter(|away| *away != 0);
        let mut offsets = vec![(0, 0)];
        if matches!(self, Self::Horizontal | Self::Cross) {
            offsets.extend(along().map(|x| (0, x)));
        }
        if matches!(self, Self::Vertical | Self::Cross) {
            offsets.extend(along().map(|y| (y, 0)));
        }
        if self == Self::Square {
            let all = (-reach..=reach).flat_map(|y| (-reach..=reach).map(move |x| (y, x)));
            offsets.extend(all.filter(|place| *place != (0, 0)));
        }
        if transposed {
            offsets.iter_mut().for_each(|(y, x)| std::mem::swap(y, x));
        }
        offsets
    }
}
