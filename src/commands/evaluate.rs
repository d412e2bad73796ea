//! `msd-gpu evaluate`.

use clap::Args;

use crate::Result;

/// Arguments of `evaluate`.
#[derive(Debug, Args)]
pub struct EvaluateArguments {}

/// Runs the command.
pub fn run(_arguments: EvaluateArguments) -> Result<()> {
    Ok(())
}
