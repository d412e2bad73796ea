//! From entries of the journal to the label of each pixel.
//!
//! - `runs`: pixels as runs along rows; those of a brush and of a polygon.
//! - `fill`: the connected pixels of like grey. `between`: what lies between two slices.
//! - `plane`: the labels of a slice, of which only the tiles that have some take memory ([`Plane`]).
//! - `aside`: which of them are set aside to score a network by.
//! - `replay`: entries in their order to planes; after an undo only the region that it concerns is computed anew ([`Labels`]).

mod aside;
mod between;
mod fill;
mod plane;
mod replay;
mod runs;

pub(super) use plane::{Division, Plane};
pub(super) use replay::{Given, Labels, Source};
pub use runs::{Rect, Region, Run};
