//! How feature maps and gradient maps are stored.

use crate::settings::named_choices;

named_choices! {
    /// How feature maps are stored while a network is applied or trained, and gradient maps with them. Sums, parameters, their gradients and
    /// outputs are numbers of four bytes in any case.
    pub enum Precision of "precision", default Full {
        /// As numbers of four bytes (f32).
        Full = "full",
        /// As halves of two bytes (f16), on GPUs that have them: little more than half of the memory and of what is moved through it, and
        /// outputs that differ by some thousandths of the largest.
        Half = "half",
    }
}
