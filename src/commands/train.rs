//! `msd-gpu train`.

use clap::Args;

use crate::Result;

/// Arguments of `train`.
#[derive(Debug, Args)]
pub struct TrainArguments {}

/// Runs the command.
pub fn run(_arguments: TrainArguments) -> Result<()> {
    Ok(())
}
