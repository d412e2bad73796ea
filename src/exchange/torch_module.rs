//! Writes a model as a PyTorch module for people's own scripts.
//!
//! The module is one text for all models, `torch_module.py`: it reads the architecture and the weights from the model
//! file beside it, and writes such a file again, which this program then takes.

use std::path::Path;

use crate::network::Model;
use crate::{Error, Result};

const MODULE: &str = include_str!("torch_module.py");
/// What stands in the text for the name of the weights' file.
const WEIGHTS: &str = "WEIGHTS_FILE_NAME";

/// The text of the Python file for `model`, whose model file is `weights`, in the same folder.
///
/// # Errors
/// As [`Model::validate`]; [`Error::Mismatch`] for a model that normalises each image by itself; [`Error::Setting`] for a
/// file name that is not text.
pub fn to_torch(model: &Model, weights: &Path) -> Result<String> {
    model.validate()?;
    super::shared_normalisation(model)?;
    let name = weights.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
        Error::setting("torch", weights.display(), "the file's name must be text, as Python reads it")
    })?;
    let quoted = serde_json::to_string(name).map_err(|error| Error::Mismatch(error.to_string()))?;
    Ok(MODULE.replace(WEIGHTS, &quoted))
}
