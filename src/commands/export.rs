//! `msd-gpu export`: a model for other programs.

use std::path::PathBuf;

use clap::Args;

use crate::exchange::{OPSET, to_onnx, to_torch};
use crate::files::write_bytes_atomic;
use crate::network::Model;
use crate::{Error, Result};

/// Arguments of `export`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("format").required(true).multiple(true))]
pub struct ExportArguments {
    /// Run folder or model file
    #[arg(value_name = "M")]
    model: PathBuf,
    /// Write an ONNX file: images of any size in their own units to values or probabilities
    #[arg(long, value_name = "FILE", group = "format")]
    onnx: Option<PathBuf>,
    /// Write a PyTorch module, and its weights beside it as FILE.weights.safetensors
    #[arg(long, value_name = "FILE.py", group = "format")]
    torch: Option<PathBuf>,
}

/// Reads the model and writes the formats that were asked for.
pub fn run(arguments: ExportArguments) -> Result<()> {
    if let Some(file) = arguments.torch.as_ref().filter(|file| file.extension().is_none_or(|end| end != "py"))
    {
        return Err(Error::setting("--torch", file.display(), "it must end in .py, as Python imports it"));
    }
    let model = Model::read(&arguments.model)?;
    if let Some(file) = &arguments.onnx {
        write_bytes_atomic(file, &to_onnx(&model)?)?;
        log::info!("{} -> {} (ONNX, opset {OPSET})", arguments.model.display(), file.display());
    }
    if let Some(file) = &arguments.torch {
        // Not `model.safetensors` for `model.py`: it could take the place of another run's model.
        let weights = file.with_extension("weights.safetensors");
        if file.extension().is_none_or(|ending| ending != "py") {
            return Err(Error::setting(
                "--torch",
                file.display(),
                "it must end in .py, as Python imports it",
            ));
        }
        let module = to_torch(&model, &weights)?;
        write_bytes_atomic(&weights, &model.to_bytes()?)?;
        write_bytes_atomic(file, module.as_bytes())?;
        log::info!("{} -> {} with {}", arguments.model.display(), file.display(), weights.display());
    }
    Ok(())
}
