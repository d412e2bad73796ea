//! `msd-gpu import`: a network that was trained with another tool, as a model of this one.

use std::path::PathBuf;

use clap::Args;

use super::settings::one_of;
use crate::exchange::{self, ImportOptions, Imported};
use crate::files::write_bytes_atomic;
use crate::network::{TaskKind, parse_dilations};
use crate::{Error, Result};

/// Arguments of `import`.
#[derive(Debug, Args)]
pub struct ImportArguments {
    /// Network of msdnet (.h5) or msd_pytorch (.torch, .pt, .safetensors); what it is shows in its content
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Model file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Dilations of the layers, such as 1..10 or 1,2,4,8; files of msd_pytorch do not say them [default: 1..10]
    #[arg(long, value_name = "LIST")]
    dilations: Option<String>,
    /// What the network is for, where the file does not say it
    #[arg(long, value_parser = one_of::<TaskKind>(TaskKind::CHOICES))]
    task: Option<TaskKind>,
}

/// Reads the network and writes the model.
pub fn run(arguments: ImportArguments) -> Result<()> {
    let ImportArguments { file, out, dilations, task } = arguments;
    let dilations = dilations.as_deref().map(parse_dilations).transpose()?;
    if out.is_dir() {
        let wanted = "name a file in it, such as model.safetensors";
        return Err(Error::setting("--out", format!("the folder {}", out.display()), wanted));
    }
    let Imported { model, assumed } = exchange::import(&file, &ImportOptions { dilations, task })?;
    write_bytes_atomic(&out, &model.to_bytes()?)?;
    for sentence in assumed {
        log::warn!("{sentence}");
    }
    log::info!("{} -> {}; msd-gpu inspect says what it is", file.display(), out.display());
    Ok(())
}
