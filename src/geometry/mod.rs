//! Sizes, parts, symmetries and edges of images and volumes: plain numbers, of use to every other room.
//!
//! - [`Extent`] and [`Shape`]: how large an image or volume is, and a batch of them.
//! - [`Window`]: a part of one.
//! - [`Symmetry`]: turning and mirroring without interpolation.
//! - [`Boundary`]: what is seen beyond an edge.
//! - [`tiles`]: how an axis is cut into pieces that are computed one by one.

mod boundary;
mod extent;
mod symmetry;
pub mod tiles;
mod window;

pub use boundary::Boundary;
pub use extent::{Extent, Shape};
pub use symmetry::Symmetry;
pub use window::Crop;
