//! `msd-gpu inspect`.

use clap::Args;

use crate::Result;

/// Arguments of `inspect`.
#[derive(Debug, Args)]
pub struct InspectArguments {}

/// Runs the command.
pub fn run(_arguments: InspectArguments) -> Result<()> {
    Ok(())
}
