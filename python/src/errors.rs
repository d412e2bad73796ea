//! Errors and messages of the crate on their way to Python.

use std::io::ErrorKind;
use std::path::Path;

use log::{Level, LevelFilter, Log, Metadata, Record};
use msd_gpu::Error;
use msd_gpu::error::{Cause, with_settings};
use msd_gpu::settings::ValueKind;
use msd_gpu::training::Settings;
use pyo3::exceptions::{PyKeyboardInterrupt, PyMemoryError, PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;

/// The sentence of `error`, with settings as keywords: as an `OSError` where the system refused a file, a `MemoryError` where
/// the memory does not suffice, a `RuntimeError` where running failed, and a `ValueError` where the request or its input cannot
/// be used.
pub fn raised(error: Error) -> PyErr {
    raised_with(&error, in_python)
}

/// As [`raised`], where images come from files: what the library says of these stays.
pub fn raised_of_files(error: &Error) -> PyErr {
    raised_with(error, in_keywords)
}

fn raised_with(error: &Error, in_python: impl Fn(&str) -> String) -> PyErr {
    match error {
        Error::Input { path, problem, cause: Some(cause) }
        | Error::Model { path, problem, cause: Some(cause) } => {
            if let Some(refused) = of_system(path, &in_python(problem), cause) {
                return refused;
            }
        }
        Error::Output { path, problem, cause: Some(cause) } => {
            if let Some(refused) =
                of_system(path, &in_python(&format!("cannot be written: {problem}")), cause)
            {
                return refused;
            }
        }
        _ => {}
    }
    let sentence = in_python(&error.to_string());
    match error {
        Error::OutOfMemory { .. } => PyMemoryError::new_err(sentence),
        _ if error.is_failure() || matches!(*error, Error::Stopped { .. }) => {
            PyRuntimeError::new_err(sentence)
        }
        _ => PyValueError::new_err(sentence),
    }
}

/// The `OSError` for a file: Python makes it the one that belongs to the number, such as `FileNotFoundError`.
fn of_system(path: &Path, problem: &str, cause: &Cause) -> Option<PyErr> {
    let error = cause.io()?;
    let number = match error.kind() {
        ErrorKind::NotFound => Some(2),
        ErrorKind::PermissionDenied => Some(13),
        ErrorKind::AlreadyExists => Some(17),
        ErrorKind::NotADirectory => Some(20),
        ErrorKind::IsADirectory => Some(21),
        ErrorKind::StorageFull => Some(28),
        ErrorKind::ReadOnlyFilesystem => Some(30),
        _ => error.raw_os_error(),
    };
    let problem = without_numbers(problem);
    let Some(number) = number else {
        return Some(PyOSError::new_err(format!("{}: {problem}", path.display())));
    };
    let value = Python::attach(|py| {
        py.get_type::<PyOSError>().call1((number, problem, path.as_os_str())).map(PyErr::from_value)
    });
    Some(value.unwrap_or_else(|error| error))
}

/// The text without the numbers that Rust adds to the system's messages; Python shows its own.
fn without_numbers(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| all + part.split_once(')').map_or("", |(_, after)| after))
}

/// A sentence of the library with settings as keywords, without what it says of files alone.
fn in_python(text: &str) -> String {
    let for_files = |clause: &&str| {
        let name = clause.split('`').nth(1).and_then(|inside| inside.split(' ').next());
        let setting = Settings::all().find(|setting| Some(setting.name()) == name);
        setting.is_some_and(|setting| setting.is_for_files() && setting.kind() != ValueKind::Path)
    };
    let clauses: Vec<&str> = text.split(", ").filter(|clause| !for_files(clause)).collect();
    in_keywords(&clauses.join(", "))
}

/// A sentence of the library with settings as keywords.
pub fn in_keywords(text: &str) -> String {
    with_settings(text, |name, value| {
        if (name, value) == ("msd-gpu", Some("devices")) {
            return Some("msd_gpu.devices()".into());
        }
        if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
            return None;
        }
        let literal = |value: &str| match value.parse::<f64>() {
            Ok(_) => value.to_owned(),
            Err(_) => format!("\"{value}\""),
        };
        let setting = Settings::all().find(|setting| setting.name() == name);
        Some(match (setting.and_then(|setting| setting.part()), value) {
            (Some(part), value) => {
                format!("{part}={{\"{name}\": {}}}", value.map_or_else(|| "...".into(), literal))
            }
            (None, Some(value)) => format!("{name}={}", literal(value)),
            (None, None) => name.to_owned(),
        })
    })
}

/// A `ValueError` of the form of [`msd_gpu::Error::Setting`].
pub fn setting(name: &str, found: impl std::fmt::Display, wanted: &str) -> PyErr {
    raised(Error::setting(name, found, wanted))
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
        Python::attach(|py| {
            let Err(error) = log_line(py, method, &in_python(&record.args().to_string())) else { return };
            // Ctrl-C is heard by whatever runs Python next, also inside the logger: it must not get lost here. Another message
            // that cannot be written is no reason to stop.
            if error.is_instance_of::<PyKeyboardInterrupt>(py) {
                let again = py.import("_thread").and_then(|threads| threads.call_method0("interrupt_main"));
                drop(again);
            }
        });
    }

    fn flush(&self) {}
}

/// Passes a line to the logger `msd_gpu`, by the method that is called like its level.
pub fn log_line(py: Python<'_>, method: &str, line: &str) -> PyResult<()> {
    let logger = py.import("logging")?.call_method1("getLogger", ("msd_gpu",))?;
    logger.call_method1(method, ("%s", line)).map(drop)
}

/// Starts handing messages over; once is enough for a process.
pub fn forward_log() {
    if log::set_logger(&ToPython).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}
