//! Sizes, parts, symmetries and edges of images and volumes: plain numbers, of use to every other room.
//!
//! - [`Extent`] and [`Shape`]: how large an image or volume is, and a batch of them.
//! - [`Window`]: a part of one.
//! - [`Symmetry`]: turning and mirroring without interpolation; [`Turn`]: the same of volumes.
//! - [`as_volume`]: volumes with their slices one below the other.
//! - [`Footprint`]: which pixels around one belong to it.
//! - [`Boundary`]: what is seen beyond an edge.
//! - [`tiles`]: how an image or volume is cut into pieces that are computed one by one.
//!
//! Axes are z (slices), y (rows) and x (columns), in this order; a two-dimensional image has one slice. `tiles` and `window`
//! use `extent`, `turn` uses `symmetry`, and no other file here uses another.

mod boundary;
mod extent;
mod footprint;
mod stacked;
mod symmetry;
pub mod tiles;
mod turn;
mod window;

pub use boundary::{Boundary, mirrored};
pub use extent::{Extent, Shape};
pub use footprint::Footprint;
pub use stacked::{as_volume, as_volume_mut, stacked};
pub use symmetry::Symmetry;
pub use turn::{Turn, Upright};
pub use window::Window;
