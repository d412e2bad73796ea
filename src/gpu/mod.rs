//! Runs a schedule on a graphics processor, through wgpu: Vulkan, Metal or DX12.
//!
//! Nothing outside this module knows wgpu. In it, from the ground up:
//!
//! - [`template`] writes out the register tiles of the WGSL templates in `shaders/`, and [`shaders`] lists every kernel
//!   with its bindings and variants; neither needs a device;
//! - `params` mirrors the structs that kernels share with the host;
//! - `plan` turns a schedule's steps into dispatches, as plain data;
//! - `adapters` finds devices, `device` opens one and keeps what went wrong on it, `memory` makes its buffers;
//! - `pipelines` compiles kernels, `recorder` binds a plan to buffers and records it, `passes` holds the buffers of a
//!   shape and `shapes` those of a few, `optimiser` moves the parameters, `readback` brings numbers home, `timer` times steps on request;
//! - `engine` is the [`crate::engine::Engine`] that puts them together;
//! - `tuning` says which sizes of tiles there are, finds the fastest by trial, and keeps it for the next time;
//! - `peak` measures what a device can do at best.

mod adapters;
mod device;
mod engine;
mod memory;
mod optimiser;
mod params;
mod passes;
mod peak;
mod pipelines;
mod plan;
mod readback;
mod recorder;
pub mod shaders;
mod shapes;
pub mod template;
mod timer;
mod tuning;

pub use adapters::{GpuAdapter, adapters};
pub use engine::{GpuEngine, GpuOptions};
pub use peak::peaks;
pub use tuning::{Bucket, Cache, Field, Trial, Tuning, TuningKey, TuningResult, kernel_fingerprint, search};
