//! HOW a network is computed: a list of steps, as plain data.
//!
//! An architecture, a shape of images and a few options give a [`Schedule`]: which channels each step
//! reads and writes, in which order, and how the planes lie in memory. It depends neither on wgpu nor
//! on threads. Both engines run the same schedule, so that each channel of one can be compared with the
//! other's after any step; a schedule prints as text; and what it needs is known before memory is taken.

mod build;
mod planes;
mod runs;
mod steps;
mod text;
mod traffic;

pub use build::{Options, Schedule};
pub use planes::{Page, PlaneLayout, pages};
pub use runs::LayersAtOnce;
pub use steps::Step;
pub use traffic::update_traffic;
