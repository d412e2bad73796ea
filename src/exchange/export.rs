//! Writes a model as files of other tools.

use std::path::{Path, PathBuf};

use super::{to_onnx, to_torch};
use crate::files::write_bytes_atomic;
use crate::network::Model;
use crate::settings::named_choices;
use crate::{Error, Result};

named_choices! {
    /// What a model can be written as.
    pub enum ExportFormat of "format" {
        /// An ONNX file: images or volumes of any size in their own units to values or probabilities.
        Onnx = "onnx",
        /// A PyTorch module, with its weights beside it.
        Torch = "torch",
    }
}

/// Writes `model` as `file`. A PyTorch module, whose name must end in `.py`, has its weights beside it, in the file that is
/// returned.
///
/// # Errors
/// As [`to_onnx`] and [`to_torch`]; [`Error::Setting`] for a module of another name; [`Error::Output`] when a file cannot be
/// written.
pub fn export(model: &Model, file: &Path, format: ExportFormat) -> Result<Option<PathBuf>> {
    match format {
        ExportFormat::Onnx => {
            write_bytes_atomic(file, &to_onnx(model)?)?;
            Ok(None)
        }
        ExportFormat::Torch => {
            check_module_name(file)?;
            // Not `model.safetensors` for `model.py`: it could take the place of another run's model.
            let weights = file.with_extension("weights.safetensors");
            let module = to_torch(model, &weights)?;
            write_bytes_atomic(&weights, &model.to_bytes()?)?;
            write_bytes_atomic(file, module.as_bytes())?;
            Ok(Some(weights))
        }
    }
}

/// Checks that Python can import the file of a PyTorch module.
///
/// # Errors
/// [`Error::Setting`] for a name that does not end in `.py`.
pub fn check_module_name(file: &Path) -> Result<()> {
    match file.extension() {
        Some(ending) if ending == "py" => Ok(()),
        _ => Err(Error::setting("torch", file.display(), "it must end in .py, as Python imports it")),
    }
}
