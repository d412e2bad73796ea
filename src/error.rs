//! The one error type of the crate.
//!
//! Every message is one sentence that names the file, setting or buffer, what was found, what was wanted and the way out.
//! Settings are called by the names that they have in `config.toml`, in Python and in [`crate::training::Settings`]; where a
//! sentence mentions one, it stands in backquotes, alone or with a value (`` `crop` ``, `` `device cpu` ``), so that a
//! program can show it as its users write it: the command line does so with flags.

use std::fmt::{Display, Formatter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What went wrong, by kind.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting or a combination of settings cannot be used.
    #[error("{setting} is {found}, but {wanted}")]
    Setting {
        /// The name of the setting, such as `val_fraction`.
        setting: String,
        /// The value that was found.
        found: String,
        /// What would be accepted, and the way out.
        wanted: String,
    },
    /// A file or folder that was named cannot be read as what it should be.
    #[error("{}: {problem}", path.display())]
    Input {
        /// The file or folder.
        path: PathBuf,
        /// What was found, what was wanted and the way out.
        problem: String,
        /// The error of the system or of a decoder.
        #[source]
        cause: Option<Cause>,
    },
    /// Images, targets, classes or sizes do not fit each other or the model.
    #[error("{0}")]
    Mismatch(String),
    /// A model file is damaged, of another version, or not a model.
    #[error("{}: {problem}", path.display())]
    Model {
        /// The model file.
        path: PathBuf,
        /// What was found, what was wanted and the way out.
        problem: String,
        /// The error of the system or of a decoder.
        #[source]
        cause: Option<Cause>,
    },
    /// A file or folder cannot be written.
    #[error("cannot write {}: {problem}", path.display())]
    Output {
        /// The file or folder.
        path: PathBuf,
        /// The system's message and the way out.
        problem: String,
        /// The system's error itself.
        #[source]
        cause: Option<Cause>,
    },
    /// No device fits the request.
    #[error(
        "no device matches '{wanted}': found {found}; choose one of these by index or part of its name, or `device cpu`"
    )]
    NoDevice {
        /// What was asked for.
        wanted: String,
        /// The devices that are there.
        found: String,
    },
    /// A buffer is larger than the memory or the limit that holds for it.
    #[error("{buffer} needs {}, but {limit_name} is {}; {way_out}", Bytes(*wanted), Bytes(*limit))]
    OutOfMemory {
        /// The buffer that was to be made.
        buffer: String,
        /// The bytes that it needs.
        wanted: u64,
        /// The name of the limit.
        limit_name: String,
        /// The limit in bytes.
        limit: u64,
        /// What to do about it.
        way_out: String,
    },
    /// The device stopped working or refused an operation.
    #[error("{device} failed while {doing}: {problem}")]
    Device {
        /// The device's name.
        device: String,
        /// What was being done.
        doing: String,
        /// The driver's message and the way out.
        problem: String,
        /// The driver's error itself.
        #[source]
        cause: Option<Cause>,
    },
    /// Training produced a loss that is not a finite number.
    #[error(
        "the loss is {loss} at step {step}, on {images}; lower `lr`, check the images for extreme values, or where `precision` is half, train with full"
    )]
    Diverged {
        /// The step, from 1.
        step: u64,
        /// The loss.
        loss: f32,
        /// The images that it was computed on.
        images: String,
    },
    /// Some images could not be done. Which and why has been logged, and the others are done.
    #[error("{failed} of {count} images could not be done; the others are, see the list above")]
    Incomplete {
        /// Images that failed.
        failed: usize,
        /// Images that there are.
        count: usize,
    },
    /// Some results are not there as they are wanted; which has been said.
    #[error("{missing} of {count} results are missing or differ; see the list above")]
    Missing {
        /// Results that are not there as they are wanted.
        missing: usize,
        /// Results that there should be.
        count: usize,
    },
    /// Another rank of the same work has ended, so that this one cannot go on; see [`crate::peers`].
    #[error("rank {rank} has ended, and the others with it; what it said last is the reason")]
    LostRank {
        /// The rank, from 0.
        rank: usize,
    },
    /// A [`crate::watcher::Watcher`] stopped the work.
    #[error("stopped on request after {done} of {count} images")]
    Stopped {
        /// Images that were done.
        done: usize,
        /// Images that there are.
        count: usize,
    },
}

impl Error {
    /// Whether running failed, and not the request: a device failed, the memory or the disk is full, or training diverged. All
    /// other errors say that the request, its input or the place for its output cannot be used.
    pub fn is_failure(&self) -> bool {
        match self {
            Error::Device { .. }
            | Error::Diverged { .. }
            | Error::Incomplete { .. }
            | Error::Missing { .. }
            | Error::LostRank { .. }
            | Error::OutOfMemory { .. } => true,
            Error::Output { cause: Some(cause), .. } | Error::Input { cause: Some(cause), .. } => {
                use std::io::ErrorKind as Kind;
                let kind = cause.io().map(std::io::Error::kind);
                matches!(
                    kind,
                    Some(
                        Kind::StorageFull
                            | Kind::QuotaExceeded
                            | Kind::FileTooLarge
                            | Kind::OutOfMemory
                            | Kind::WriteZero
                    )
                )
            }
            _ => false,
        }
    }

    /// An [`Error::Input`] for `path`.
    pub fn input(path: impl AsRef<Path>, problem: impl Display) -> Self {
        Error::Input { path: path.as_ref().to_path_buf(), problem: problem.to_string(), cause: None }
    }

    /// An [`Error::Model`] for `path`.
    pub fn model(path: impl AsRef<Path>, problem: impl Display) -> Self {
        Error::Model { path: path.as_ref().to_path_buf(), problem: problem.to_string(), cause: None }
    }

    /// An [`Error::Output`] for `path`.
    pub fn output(path: impl AsRef<Path>, problem: impl Display) -> Self {
        Error::Output { path: path.as_ref().to_path_buf(), problem: problem.to_string(), cause: None }
    }

    /// An [`Error::Device`].
    pub fn device(device: impl Into<String>, doing: impl Into<String>, problem: impl Display) -> Self {
        let (device, doing, problem) = (device.into(), doing.into(), problem.to_string());
        Error::Device { device, doing, problem, cause: None }
    }

    /// An [`Error::Setting`].
    pub fn setting(setting: impl Into<String>, found: impl Display, wanted: impl Into<String>) -> Self {
        Error::Setting { setting: setting.into(), found: found.to_string(), wanted: wanted.into() }
    }

    /// The error with what caused it, where its kind keeps that; see [`std::error::Error::source`].
    pub fn caused_by(mut self, error: impl std::error::Error + Send + Sync + 'static) -> Self {
        if let Error::Input { cause, .. }
        | Error::Model { cause, .. }
        | Error::Output { cause, .. }
        | Error::Device { cause, .. } = &mut self
        {
            *cause = Some(Cause(Arc::new(error)));
        }
        self
    }
}

/// A sentence of this library as the users of a program write its settings: `show` is given the name of each setting that stands
/// in backquotes, and the value beside it, if there is one. What it gives `None` for stays as it is.
pub fn with_settings(text: &str, show: impl Fn(&str, Option<&str>) -> Option<String>) -> String {
    let mut parts = text.split('`');
    let mut all = parts.next().unwrap_or_default().to_owned();
    // What is between two backquotes, and what is outside.
    while let Some(inside) = parts.next() {
        let Some(outside) = parts.next() else { return all + "`" + inside };
        let (name, value) =
            inside.split_once(' ').map_or((inside, None), |(name, value)| (name, Some(value)));
        all += &show(name, value).unwrap_or_else(|| format!("`{inside}`"));
        all += outside;
    }
    all
}

/// What caused an [`Error`]: an error of the system or of a library.
#[derive(Debug, Clone)]
pub struct Cause(Arc<dyn std::error::Error + Send + Sync>);

impl Cause {
    /// The system's error, if it is one.
    pub fn io(&self) -> Option<&std::io::Error> {
        self.0.downcast_ref()
    }
}

impl PartialEq for Cause {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_string() == other.0.to_string()
    }
}

impl Display for Cause {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

/// A number of bytes as people read it: `812 bytes`, `1.5 KiB`, `24.0 GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(
    /// The number.
    pub u64,
);

impl Display for Bytes {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        if self.0 < 1024 {
            return write!(f, "{} bytes", self.0);
        }
        let mut size = self.0 as f64 / 1024.0;
        let mut unit = 0;
        while size >= 1023.95 && unit + 1 < UNITS.len() {
            (size, unit) = (size / 1024.0, unit + 1);
        }
        write!(f, "{size:.1} {}", UNITS[unit])
    }
}

/// A number of channels as people say it: `1 channel`, `3 channels`.
pub(crate) fn counted_channels(channels: usize) -> String {
    format!("{channels} channel{}", if channels == 1 { "" } else { "s" })
}

/// The result of everything here that can fail.
pub type Result<T> = std::result::Result<T, Error>;

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::io::{Error as IoError, ErrorKind};

    use super::*;

    #[test]
    fn a_full_disk_is_a_failure_and_a_missing_folder_is_not() {
        let caused = |kind: ErrorKind| Error::output("a", "b").caused_by(IoError::from(kind));
        for full in [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::FileTooLarge] {
            assert!(caused(full).is_failure());
        }
        assert!(!caused(ErrorKind::NotFound).is_failure());
        assert!(!Error::output("a", "b").is_failure());
        let error = caused(ErrorKind::NotFound);
        assert_eq!(error.source().unwrap().to_string(), IoError::from(ErrorKind::NotFound).to_string());
        assert_eq!(error.clone(), error);
        assert_ne!(error, Error::output("a", "b"));
    }

    #[test]
    fn bytes_read_as_people_say_them() {
        let text = |bytes: u64| Bytes(bytes).to_string();
        assert_eq!(text(1004), "1004 bytes");
        assert_eq!(text(1536), "1.5 KiB");
        assert_eq!(text((1 << 20) - 1), "1.0 MiB");
        assert_eq!(text(24 << 30), "24.0 GiB");
        assert_eq!(text(u64::MAX), "16.0 EiB");
    }
}
