//! `msd-gpu predict`.

use clap::Args;

use crate::Result;

/// Arguments of `predict`.
#[derive(Debug, Args)]
pub struct PredictArguments {}

/// Runs the command.
pub fn run(_arguments: PredictArguments) -> Result<()> {
    Ok(())
}
