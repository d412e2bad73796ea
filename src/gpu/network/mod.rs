//! Runs a schedule on a device. From the ground up:
//!
//! - `params` mirrors the structs that kernels share with the host, `shaders` lists every kernel with its bindings and
//!   variants, and `tiles` says which sizes of tiles they may be run with;
//! - `plan` turns a schedule's steps into dispatches, as plain data;
//! - `recorder` binds a plan to buffers and records it, `passes` holds the buffers of a shape and `shapes` those of a
//!   few, `optimiser` changes the parameters, `losses` reads back the losses of ended steps;
//! - `split` says by what numbers are multiplied before matrix units get them, and `scaling` by what gradients that are stored as halves;
//! - `engine` is the [`crate::engine::Engine`] that puts them together.

mod engine;
mod losses;
mod optimiser;
mod params;
mod passes;
mod plan;
mod recorder;
mod scaling;
pub(super) mod shaders;
mod shapes;
mod split;
mod tiles;

pub use engine::{GpuEngine, GpuOptions};
pub use tiles::{Field, Tuning};
