//! Images that we can make ourselves, with their targets: for demonstrations, tests and measurements.
//!
//! Everything is a function of its arguments: the same seed gives the same image on every machine of one
//! floating-point library, whatever the number of threads.
//!
//! - `shapes`, `foam`: single images with labels or targets; `cells`: volumes with labels.
//! - `solids`: objects in space, whose slices are sums of `ellipses`; `scan`: what a detector measures of them.

pub mod cells;
pub mod ellipses;
pub mod foam;
mod scan;
pub mod shapes;
mod solids;

pub use scan::Scanner;
pub use solids::{Phantom, PhantomKind};
