//! `msd-gpu export`: a model for other programs.

use std::path::PathBuf;

use clap::Args;

use crate::Result;
use crate::exchange::{ExportFormat, OPSET, check_module_name, export};
use crate::network::Model;

/// Arguments of `export`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("format").required(true).multiple(true))]
pub struct ExportArguments {
    /// Run folder or model file
    #[arg(value_name = "M")]
    model: PathBuf,
    /// Write an ONNX file: images or volumes of any size in their own units to values or probabilities; of a model that makes
    /// images finer, the network alone, which takes the interpolated image
    #[arg(long, value_name = "FILE", group = "format")]
    onnx: Option<PathBuf>,
    /// Write a PyTorch module, and its weights beside it as FILE.weights.safetensors
    #[arg(long, value_name = "FILE.py", group = "format")]
    torch: Option<PathBuf>,
}

/// Reads the model and writes the formats that were asked for.
pub fn run(arguments: ExportArguments) -> Result<()> {
    arguments.torch.as_deref().map_or(Ok(()), check_module_name)?;
    let model = Model::read(&arguments.model)?;
    if let factor @ 2.. = model.factor() {
        log::info!(
            "the network alone is exported: its input is the image after bicubic interpolation (a = -0.5, on the middles of pixels) onto a grid {factor} times as fine"
        );
    }
    if let Some(file) = &arguments.onnx {
        export(&model, file, ExportFormat::Onnx)?;
        log::info!("{} -> {} (ONNX, opset {OPSET})", arguments.model.display(), file.display());
    }
    if let Some(file) = &arguments.torch
        && let Some(weights) = export(&model, file, ExportFormat::Torch)?
    {
        log::info!("{} -> {} with {}", arguments.model.display(), file.display(), weights.display());
    }
    Ok(())
}
