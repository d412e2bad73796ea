//! The one error type of the crate.
//!
//! Every message is one sentence that names the file, flag or buffer, what was found, what was wanted
//! and the way out. [`Error::exit_code`] tells a wrong request or input (2) from a failure while running (1).

use std::path::{Path, PathBuf};

/// What went wrong, by kind.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// A flag, a setting or a combination of them cannot be used.
    #[error("{setting} is {found}, but {wanted}")]
    Setting {
        /// The flag or setting as the user writes it, such as `--tile`.
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
    },
    /// A file or folder cannot be written.
    #[error("cannot write {}: {problem}", path.display())]
    Output {
        /// The file or folder.
        path: PathBuf,
        /// What the system said and the way out.
        problem: String,
    },
    /// No device fits the request.
    #[error(
        "no device matches '{wanted}': found {found}; choose one of these by index or part of its name, or --device cpu"
    )]
    NoDevice {
        /// What was asked for.
        wanted: String,
        /// The devices that are there.
        found: String,
    },
    /// A buffer is larger than the memory or the limit that holds for it.
    #[error("{buffer} needs {wanted} bytes, but {limit_name} is {limit} bytes; {way_out}")]
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
        /// What the driver said, and the way out.
        problem: String,
    },
    /// Training produced a loss that is not a finite number.
    #[error(
        "the loss is {loss} at step {step}, on {images}; lower --lr, or check the images for extreme values"
    )]
    Diverged {
        /// The step, from 1.
        step: u64,
        /// The loss.
        loss: f32,
        /// The images that it was computed on.
        images: String,
    },
}

impl Error {
    /// The exit code of the program: 1 when a device failed or training went astray, and 2 when the request, its
    /// input or the place for its output cannot be used.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Device { .. } | Error::Diverged { .. } => 1,
            _ => 2,
        }
    }

    /// An [`Error::Input`] for `path`.
    pub fn input(path: impl AsRef<Path>, problem: impl std::fmt::Display) -> Self {
        Error::Input { path: path.as_ref().to_path_buf(), problem: problem.to_string() }
    }

    /// An [`Error::Model`] for `path`.
    pub fn model(path: impl AsRef<Path>, problem: impl std::fmt::Display) -> Self {
        Error::Model { path: path.as_ref().to_path_buf(), problem: problem.to_string() }
    }

    /// An [`Error::Output`] for `path`.
    pub fn output(path: impl AsRef<Path>, problem: impl std::fmt::Display) -> Self {
        Error::Output { path: path.as_ref().to_path_buf(), problem: problem.to_string() }
    }

    /// An [`Error::Setting`].
    pub fn setting(
        setting: impl Into<String>,
        found: impl std::fmt::Display,
        wanted: impl Into<String>,
    ) -> Self {
        Error::Setting { setting: setting.into(), found: found.to_string(), wanted: wanted.into() }
    }
}

/// The result of everything here that can fail.
pub type Result<T> = std::result::Result<T, Error>;
