//! Runs kernels on a device, whatever they compute. From the ground up:
//!
//! - [`template`] writes out the register tiles of the WGSL templates in `shaders/`, and `kernel` says what a kernel is:
//!   neither needs a device;
//! - `faults` lists what is known to go wrong with which driver, `adapters` finds devices, `device` opens one and keeps what went
//!   wrong on it, `memory` makes its buffers;
//! - `pipelines` compiles kernels and binds buffers to them, `readback` reads results back to the host, `timer` times
//!   passes on request;
//! - `matrices` says whether a device has matrix units that can be used, and tries them, with a kernel of its own;
//! - `peak` measures what a device can do at best, with a kernel of its own.

pub(super) mod adapters;
pub(super) mod device;
pub(super) mod faults;
pub(super) mod kernel;
pub(super) mod matrices;
pub(super) mod memory;
pub(super) mod peak;
pub(super) mod pipelines;
pub(super) mod readback;
pub mod template;
pub(super) mod timer;

pub use adapters::{GpuAdapter, adapters};
pub use faults::{FAULTS, Fault, Remedy};
pub use peak::peaks;
