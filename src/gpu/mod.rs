//! Runs a schedule on a graphics processor, through wgpu: Vulkan, Metal or DX12.
//!
//! No other module uses wgpu. This one has four parts, each of which uses only those before it:
//!
//! - `runtime` finds and opens devices, compiles kernels, copies data to and from the device, and measures time and peaks. It
//!   does not depend on networks.
//! - `network` turns a schedule into dispatches and runs them: the [`crate::engine::Engine`] of graphics processors.
//! - `back_projection` makes slices of tomograms from filtered projections, on its own.
//! - `tuning` finds the sizes of tiles with which a device is fastest, and keeps them for the next time.

mod back_projection;
mod network;
#[cfg(test)]
mod recording_tests;
mod runtime;
pub mod shaders;
mod tuning;

pub use back_projection::GpuBackProjector;
pub use network::{Field, GpuEngine, GpuOptions, Tuning};
pub use runtime::template;
pub use runtime::{FAULTS, Fault, GpuAdapter, Remedy, adapters, peaks};
pub use tuning::{Bucket, Cache, Trial, TuningKey, TuningResult, kernel_fingerprint, search};

/// The best adapter, for tests, which cannot do without one.
#[cfg(test)]
pub(crate) fn adapter_for_tests() -> GpuAdapter {
    let (adapter, _) = adapters().into_iter().next().expect(NO_ADAPTER);
    adapter
}

#[cfg(test)]
pub(crate) use runtime::memory::with_buffers_up_to;

/// The message of a test where there is no adapter.
#[cfg(test)]
pub(crate) const NO_ADAPTER: &str = "no Vulkan, Metal or DX12 device was found; install a driver, or a software Vulkan \
     (on Debian: apt-get install mesa-vulkan-drivers libvulkan1)";
