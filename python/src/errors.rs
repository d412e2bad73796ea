//! Errors and messages of the crate on their way to Python.

use log::{Level, LevelFilter, Log, Metadata, Record};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

/// The sentence of `error` as a `RuntimeError` where running failed, and a `ValueError` where the request or its input
/// cannot be used.
pub fn raised(error: msd_gpu::Error) -> PyErr {
    if error.is_failure() {
        PyRuntimeError::new_err(error.to_string())
    } else {
        PyValueError::new_err(error.to_string())
    }
}

/// A `ValueError` of the form of [`msd_gpu::Error::Setting`].
pub fn setting(name: &str, found: impl std::fmt::Display, wanted: &str) -> PyErr {
    raised(msd_gpu::Error::setting(name, found, wanted))
}

/// Hands the crate's messages to the logger `msd_gpu` of Python's standard library. Those of other crates, such as the
/// drivers', are left out.
struct ToPython;

impl Log for ToPython {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.level() <= Level::Info && metadata.target().starts_with("msd_gpu")
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let method = match record.level() {
            Level::Error => "error",
            Level::Warn => "warning",
            _ => "info",
        };
        // A message that cannot be written is no reason to stop.
        let _ = Python::attach(|py| {
            let logger = py.import("logging")?.call_method1("getLogger", ("msd_gpu",))?;
            logger.call_method1(method, ("%s", record.args().to_string())).map(drop)
        });
    }

    fn flush(&self) {}
}

/// Starts handing messages over; once is enough for a process.
pub fn forward_log() {
    if log::set_logger(&ToPython).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}
