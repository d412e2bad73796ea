//! Creates buffers by their purpose. One that is too large for the device is refused before it is created.

use wgpu::BufferUsages as Usages;

use super::device::{Device, describe};
use crate::{Error, Result};

/// Bytes that the 32-bit indices of kernels, some of them signed, can reach, of numbers of four bytes.
const INDEX_REACH: u64 = 4 * i32::MAX as u64;
const WAY_OUT: &str = "use smaller images, `tile`, `crop` or a smaller `batch`";

/// What a buffer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gpu) enum Use {
    /// Kernels read and write it; it can be written and read back by copies.
    Storage,
    /// Parameters of kernels.
    Uniform,
    /// The host reads it.
    Readback,
    /// Readings of the device's clock.
    Queries,
}

/// Largest buffer of maps in bytes that the device can make and bind, and that 32-bit indices can reach, of numbers of so many bytes.
pub(in crate::gpu) fn max_page_bytes(limits: &wgpu::Limits, number_bytes: u64) -> u64 {
    let reach = INDEX_REACH / 4 * number_bytes;
    limits.max_storage_buffer_binding_size.min(limits.max_buffer_size).min(reach) / 4 * 4
}

/// Fails when a buffer of `bytes` bytes is above one of the device's limits.
pub(in crate::gpu) fn check(limits: &wgpu::Limits, name: &str, bytes: u64, purpose: Use) -> Result<()> {
    let mut bounds = vec![("max_buffer_size of this device", limits.max_buffer_size)];
    if purpose == Use::Storage {
        let most = limits.max_storage_buffer_binding_size;
        bounds.push(("max_storage_buffer_binding_size of this device", most));
        bounds.push(("what the indices of kernels can reach", INDEX_REACH));
    }
    match bounds.into_iter().find(|&(_, limit)| bytes > limit) {
        None => Ok(()),
        Some((limit_name, limit)) => Err(Error::OutOfMemory {
            buffer: format!("the buffer of {name}"),
            wanted: bytes,
            limit_name: limit_name.into(),
            limit,
            way_out: WAY_OUT.into(),
        }),
    }
}

/// A buffer of zeros.
///
/// # Errors
/// [`Error::OutOfMemory`] when it is above a limit or the driver has no memory for it.
pub(in crate::gpu) fn buffer(device: &Device, name: &str, bytes: u64, purpose: Use) -> Result<wgpu::Buffer> {
    let size = bytes.max(16).next_multiple_of(4);
    check(&device.limits, name, size, purpose)?;
    let usage = match purpose {
        Use::Storage => Usages::STORAGE | Usages::COPY_SRC | Usages::COPY_DST,
        Use::Uniform => Usages::UNIFORM | Usages::COPY_DST,
        Use::Readback => Usages::MAP_READ | Usages::COPY_DST,
        Use::Queries => Usages::QUERY_RESOLVE | Usages::COPY_SRC,
    };
    let no_memory = device.wgpu.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
    let invalid = device.wgpu.push_error_scope(wgpu::ErrorFilter::Validation);
    let descriptor = wgpu::BufferDescriptor { label: Some(name), size, usage, mapped_at_creation: false };
    let buffer = device.wgpu.create_buffer(&descriptor);
    let (invalid, no_memory) = (pollster::block_on(invalid.pop()), pollster::block_on(no_memory.pop()));
    if let Some(error) = invalid {
        return Err(device.error(&format!("making the buffer of {name}"), describe(&error)));
    }
    match no_memory.is_some() || tests_deny(size) {
        false => Ok(buffer),
        true => Err(Error::OutOfMemory {
            buffer: format!("the buffer of {name}"),
            wanted: size,
            limit_name: format!("what is left of the memory of {}, whose largest buffer", device.info.name),
            limit: device.limits.max_buffer_size,
            way_out: WAY_OUT.into(),
        }),
    }
}

#[cfg(test)]
thread_local! {
    static LARGEST: std::cell::Cell<u64> = const { std::cell::Cell::new(u64::MAX) };
}

/// Does `work` as on a device that has no memory for buffers of more than `bytes` bytes.
#[cfg(test)]
pub(crate) fn with_buffers_up_to<T>(bytes: u64, work: impl FnOnce() -> T) -> T {
    LARGEST.set(bytes);
    let done = work();
    LARGEST.set(u64::MAX);
    done
}

#[cfg(test)]
fn tests_deny(bytes: u64) -> bool {
    bytes > LARGEST.get()
}

#[cfg(not(test))]
fn tests_deny(_: u64) -> bool {
    false
}
