//! From what a detector counts to attenuation: frames of flat and dark fields averaged, bright specks removed, projections
//! normalised, and the logarithm taken.
//!
//! The order is: [`remove_zingers`] from projections and from the frames of flats, [`Frames`] to one flat and one dark field,
//! [`FlatField::transmissions`], and [`FlatField::minus_log`].

mod flat_field;
mod frames;
mod zingers;

pub use flat_field::{FlatField, FlatFieldSettings, Repairs};
pub use frames::{Average, Frames};
pub use zingers::{Around, remove_zingers};
