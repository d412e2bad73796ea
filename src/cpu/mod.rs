//! Runs a schedule on the processor: float32, all cores, and the widest vectors that the machine has.
//!
//! A `workspace` holds the planes for one size of images, and `steps` runs the kernel of each step of its schedule, which are in
//! `convolve`, `input_gradient`, `filter_gradient`, `mix` and `losses`. They share one pattern: the rows of the image
//! are cut into `bands`, the bands are shared among the cores, and within a band a kernel works on registers full of
//! neighbouring columns (`lanes`). Sums that run over the whole image are made per band of a fixed height and then
//! added in a fixed order, so that the result does not depend on the number of threads. Convolutions of volumes and their gradients are in
//! `volume`; all other steps take a volume for an image with the rows of all its slices.

mod bands;
mod convolve;
mod engine;
mod filter_gradient;
mod input_gradient;
mod lanes;
mod losses;
mod memory;
mod mix;
mod peak;
mod stem;
mod steps;
mod volume;
mod workspace;

pub use engine::{CpuEngine, CpuOptions, device};
pub use peak::{copy_peak, multiply_add_peak};
