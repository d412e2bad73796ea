//! `msd-gpu demo`.

use clap::Args;

use crate::Result;

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArguments {}

/// Runs the command.
pub fn run(_arguments: DemoArguments) -> Result<()> {
    Ok(())
}
