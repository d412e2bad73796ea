//! An open device, and what went wrong on it.

use std::sync::{Arc, Mutex};

use super::adapters::GpuAdapter;
use super::matrices::{self, MatrixUnits};
use crate::engine::DeviceInfo;
use crate::{Error, Result};

/// An open device and its queue. wgpu reports most errors later than the call that caused them, so they are stored here until
/// the next call checks for them.
pub(in crate::gpu) struct Device {
    pub info: DeviceInfo,
    pub wgpu: wgpu::Device,
    pub queue: wgpu::Queue,
    pub limits: wgpu::Limits,
    /// Whether shaders are compiled with wgpu's checks of indices, loops and divisors.
    pub checked: bool,
    /// Its matrix units, where they were asked for and passed their check.
    pub matrices: Option<MatrixUnits>,
    problem: Arc<Mutex<Option<String>>>,
}

/// What is asked of a device beyond what every one has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::gpu) struct Extras {
    /// Its matrix units, where it has some; wgpu calls what a device needs for them experimental.
    pub matrices: bool,
    /// Numbers of two bytes (f16), which the adapter must have.
    pub halves: bool,
}

impl Device {
    /// Opens `adapter`; `checked` as in [`crate::gpu::GpuOptions`].
    pub fn open(adapter: &GpuAdapter, checked: Option<bool>, extras: Extras) -> Result<Self> {
        let info = adapter.info();
        let limits = adapter.0.limits();
        let units = if extras.matrices { MatrixUnits::of(&adapter.0) } else { None };
        let halves = if extras.halves { wgpu::Features::SHADER_F16 } else { wgpu::Features::empty() };
        let request = adapter.0.request_device(&wgpu::DeviceDescriptor {
            label: Some("msd-gpu"),
            required_limits: limits.clone(),
            // For timing steps on request.
            required_features: adapter.0.features() & wgpu::Features::TIMESTAMP_QUERY
                | units.map_or(wgpu::Features::empty(), |_| matrices::FEATURES)
                | halves,
            experimental_features: match units {
                // SAFETY: wgpu asks for this word that its experimental features may have errors. Kernels with matrices load and store
                // only places that exist, and are used after a check on trusted devices, or where somebody asks for them.
                Some(_) => unsafe { wgpu::ExperimentalFeatures::enabled() },
                None => wgpu::ExperimentalFeatures::disabled(),
            },
            ..Default::default()
        });
        let (wgpu, queue) = pollster::block_on(request).map_err(|e| {
            let problem = format!("{e}; update its driver, or use `device cpu`");
            Error::device(&info.name, "opening it", problem).caused_by(e)
        })?;
        let problem: Arc<Mutex<Option<String>>> = Arc::default();
        // The first problem is kept: those that follow are mostly its consequences.
        let keep = |problem: Arc<Mutex<Option<String>>>| {
            move |message: String| {
                let mut kept = problem.lock().unwrap_or_else(|e| e.into_inner());
                kept.get_or_insert(message);
            }
        };
        let error = keep(problem.clone());
        wgpu.on_uncaptured_error(Arc::new(move |e: wgpu::Error| error(describe(&e))));
        let lost = keep(problem.clone());
        wgpu.set_device_lost_callback(move |reason, message| {
            // Dropping the device is no loss.
            if !matches!(reason, wgpu::DeviceLostReason::Destroyed) {
                lost(format!("the device was lost ({message}); start again, or use `device cpu`"));
            }
        });
        let checked = checked.unwrap_or_else(checks_are_wished);
        let mut device = Self { info, wgpu, queue, limits, checked, matrices: None, problem };
        if let Some(units) = units {
            match units.check(&device) {
                Ok(()) => device.matrices = Some(units),
                Err(problem) => {
                    log::warn!("{} is used without its matrix units: {problem}", device.info.name);
                    // What the check left behind is no problem of what comes.
                    device.problem.lock().unwrap_or_else(|e| e.into_inner()).take();
                }
            }
        }
        Ok(device)
    }

    /// An [`Error::Device`] of this device.
    pub fn error(&self, doing: &str, problem: impl std::fmt::Display) -> Error {
        Error::device(&self.info.name, doing, problem)
    }

    /// Fails when something went wrong since the device was opened.
    pub fn check(&self, doing: &str) -> Result<()> {
        match &*self.problem.lock().unwrap_or_else(|e| e.into_inner()) {
            Some(problem) => Err(self.error(doing, problem)),
            None => Ok(()),
        }
    }

    /// Waits until `submission` is done, or all that was submitted.
    pub fn wait(&self, submission: Option<wgpu::SubmissionIndex>, doing: &str) -> Result<()> {
        let waited = self.wgpu.poll(wgpu::PollType::Wait { submission_index: submission, timeout: None });
        self.check(doing)?;
        waited.map(|_| ()).map_err(|e| self.error(doing, e))
    }
}

/// Whether `MSD_GPU_CHECKED_SHADERS=1` asks for checks in shaders.
fn checks_are_wished() -> bool {
    std::env::var("MSD_GPU_CHECKED_SHADERS").is_ok_and(|wish| !matches!(wish.as_str(), "" | "0"))
}

/// A wgpu error in one line.
pub(in crate::gpu) fn describe(error: &wgpu::Error) -> String {
    let text = match error {
        wgpu::Error::OutOfMemory { .. } => {
            "out of memory; use smaller images, `tile`, `crop` or a smaller `batch`".into()
        }
        other => other.to_string(),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
