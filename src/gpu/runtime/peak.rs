//! What a device can do at best: the yardstick for the kernels.

use std::time::Instant;

use super::adapters::GpuAdapter;
use super::device::{Device, Extras};
use super::kernel::{Binding, Kernel, Shader, params, source};
use super::memory::{self, Use};
use super::pipelines::{Pipelines, bind_group};
use crate::engine::Peaks;
use crate::{Error, Result};

/// Workgroups: a million threads, some times what the largest devices hold at once.
const WORKGROUPS: u32 = 16_384;
const THREADS: u32 = 64;
const SUMS: u32 = 12;
/// Seconds that a run should take: long enough that starting it does not count, short enough for any time limit of a driver.
const SECONDS: f64 = 0.05;
/// Runs of that length; the best counts, as devices take a while to raise their clocks.
const REPEATS: usize = 5;
/// Bytes that are copied, where there is memory for two buffers of them: far more than any cache.
const COPY_BYTES: u64 = 256 << 20;
const LEAST_COPY_BYTES: u64 = 1 << 20;
/// Multiply-adds of each sum in a round of [`MULTIPLY_ADDS`].
const MULTIPLY_ADDS_AT_ONCE: u32 = 32;

params! {
    /// Keep in sync with shaders/multiply_adds.wgsl.
    MultiplyAddsParams { factor: f32, more: f32, rounds: u32, unused: u32 }
}

/// Multiply-adds in registers, to measure what a device can do.
pub static MULTIPLY_ADDS: Shader = Shader {
    name: "multiply_adds",
    entry: "multiply_adds",
    source: source!("multiply_adds"),
    pieces: |_| None,
    bindings: &[Binding::Uniform, Binding::ReadWrite],
    layouts: &[MultiplyAddsParams::LAYOUT],
    variants: &[&[("ROUNDS", MULTIPLY_ADDS_AT_ONCE)]],
};

params! {
    /// Keep in sync with shaders/copy.wgsl.
    CopyParams { fours: u32, threads: u32, unused_0: u32, unused_1: u32 }
}

/// A copy by a kernel, to measure how fast a device's memory is.
pub static COPY: Shader = Shader {
    name: "copy",
    entry: "copy",
    source: source!("copy"),
    pieces: |_| None,
    bindings: &[Binding::Uniform, Binding::Read, Binding::ReadWrite],
    layouts: &[CopyParams::LAYOUT],
    variants: &[&[]],
};

/// Measures what `adapter` can do at best.
///
/// # Errors
/// When the device cannot be opened or refuses.
pub fn peaks(adapter: &GpuAdapter) -> Result<Peaks> {
    let device = Device::open(adapter, None, Extras::default())?;
    let peaks = Peaks { operations: multiply_add_peak(&device)?, copied_bytes: copy_peak(&device)? };
    device.check("measuring its peaks")?;
    Ok(peaks)
}

/// Operations a second of multiply-adds in registers.
fn multiply_add_peak(device: &Device) -> Result<f64> {
    let doing = "measuring multiply-adds";
    let size = size_of::<MultiplyAddsParams>();
    let uniform = memory::buffer(device, "the yardstick's parameters", size as u64, Use::Uniform)?;
    let bytes = u64::from(4 * WORKGROUPS * THREADS);
    let results = memory::buffer(device, "the yardstick's results", bytes, Use::Storage)?;
    let pipeline = Pipelines::default().get(device, &Kernel::new(&MULTIPLY_ADDS, &[]))?;
    let bindings = bind_group(device, MULTIPLY_ADDS.name, &pipeline, (&uniform, 0, size), &[&results]);
    let each = 2.0 * f64::from(WORKGROUPS * THREADS) * f64::from(SUMS * MULTIPLY_ADDS_AT_ONCE);
    best_rate(device, doing, |rounds, encoder| {
        let params = MultiplyAddsParams { factor: 0.999_999, more: 1e-9, rounds, unused: 0 };
        device.queue.write_buffer(&uniform, 0, bytemuck::bytes_of(&params));
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&pipeline.pipeline);
        pass.set_bind_group(0, &bindings, &[]);
        pass.dispatch_workgroups(WORKGROUPS, 1, 1);
        each * f64::from(rounds)
    })
}

/// Bytes a second of copies in the device's memory, reading and writing counted: of the device's own command or of a kernel,
/// whichever is faster. The command may be run by a unit that is far slower than the kernels' access to memory.
fn copy_peak(device: &Device) -> Result<f64> {
    let mut bytes =
        COPY_BYTES.min(device.limits.max_buffer_size).min(memory::max_page_bytes(&device.limits, 4));
    let (from, to) = loop {
        let make = |name| memory::buffer(device, name, bytes, Use::Storage);
        match make("a copy's source").and_then(|from| Ok((from, make("a copy")?))) {
            Ok(buffers) => break buffers,
            Err(Error::OutOfMemory { .. }) if bytes > LEAST_COPY_BYTES => bytes = bytes / 2 / 4 * 4,
            Err(error) => return Err(error),
        }
    };
    let by_command = best_rate(device, "measuring copies", |rounds, encoder| {
        (0..rounds).for_each(|_| encoder.copy_buffer_to_buffer(&from, 0, &to, 0, bytes));
        2.0 * bytes as f64 * f64::from(rounds)
    })?;
    let size = size_of::<CopyParams>();
    let fours = u32::try_from(bytes / 16).unwrap_or(u32::MAX);
    let params = CopyParams { fours, threads: WORKGROUPS * THREADS, unused_0: 0, unused_1: 0 };
    let uniform = memory::buffer(device, "the yardstick's parameters", size as u64, Use::Uniform)?;
    device.queue.write_buffer(&uniform, 0, bytemuck::bytes_of(&params));
    let pipeline = Pipelines::default().get(device, &Kernel::new(&COPY, &[]))?;
    let bindings = bind_group(device, COPY.name, &pipeline, (&uniform, 0, size), &[&from, &to]);
    let by_kernel = best_rate(device, "measuring copies", |rounds, encoder| {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&pipeline.pipeline);
        pass.set_bind_group(0, &bindings, &[]);
        (0..rounds).for_each(|_| pass.dispatch_workgroups(WORKGROUPS, 1, 1));
        2.0 * 16.0 * f64::from(fours) * f64::from(rounds)
    })?;
    Ok(by_command.max(by_kernel))
}

/// The best of a few runs of about [`SECONDS`]. `record` records work of the given number of rounds and returns how much that is.
fn best_rate(
    device: &Device,
    doing: &str,
    mut record: impl FnMut(u32, &mut wgpu::CommandEncoder) -> f64,
) -> Result<f64> {
    let mut run = |rounds: u32| {
        let mut encoder = device.wgpu.create_command_encoder(&Default::default());
        let work = record(rounds, &mut encoder);
        let commands = encoder.finish();
        let start = Instant::now();
        let submission = device.queue.submit([commands]);
        device.wait(Some(submission), doing)?;
        Ok::<_, Error>((work, start.elapsed().as_secs_f64()))
    };
    // The first run compiles what the driver left for later, and clears memory.
    run(1)?;
    let mut rounds = 1u32;
    loop {
        let (_, seconds) = run(rounds)?;
        if seconds >= SECONDS / 2.0 || rounds >= u32::MAX / 16 {
            break;
        }
        // At most sixteenfold: a short run says little about a long one.
        rounds = (f64::from(rounds) * (SECONDS / seconds).clamp(1.5, 16.0)).ceil() as u32;
    }
    let mut best = 0.0f64;
    for _ in 0..REPEATS {
        let (work, seconds) = run(rounds)?;
        best = best.max(work / seconds);
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_are_those_of_a_device() {
        let peaks = peaks(&crate::gpu::adapter_for_tests()).unwrap();
        // From a software device to the largest accelerators; a loop that was optimised away would be far above.
        assert!((1e8..1e15).contains(&peaks.operations), "{peaks:?}");
        assert!((1e8..1e14).contains(&peaks.copied_bytes), "{peaks:?}");
    }
}
