//! `msd-gpu tomo`: from the projections of parallel-beam scans to volumes.

mod centre;
mod denoise;
mod reconstruct;
mod scan;
mod simulate;
mod volume;

use clap::{Args, Subcommand};

use crate::Result;

/// Arguments of `tomo`.
#[derive(Debug, Args)]
pub struct TomoArguments {
    #[command(subcommand)]
    command: TomoCommand,
}

#[derive(Debug, Subcommand)]
enum TomoCommand {
    /// Find the column of the axis of rotation
    ///
    /// Prints it to standard output, counted from 0 at the middle of the first column, so that the middle of N columns is (N - 1) / 2. It is
    /// looked for at three heights, which are named where they differ.
    Centre(Box<centre::CentreArguments>),
    /// Make a denoised volume from a scan, without clean images
    ///
    /// Finds the axis of rotation, reconstructs shares of the projections, whose noise is independent, trains a network to foresee each from
    /// the others (Noise2Inverse), and writes the mean of what it makes of them. With --resume it goes on at the step where it was
    /// stopped. The same by hand: tomo reconstruct --split 2, train denoise --splits, predict.
    Denoise(Box<denoise::DenoiseArguments>),
    /// Reconstruct a volume from a scan, by filtered back-projection
    ///
    /// SCAN is an HDF5 file as DXchange (/exchange/data), NXtomo (image_key) or the beamline 8.3.2 of the ALS lay it out, or a stack or
    /// folder of projections in any format, with --flats, --darks and --angles or --range. Projections are divided by the beam, the
    /// logarithm is taken, and each row of the detector becomes a slice. The memory that it takes does not grow with the scan.
    Reconstruct(Box<reconstruct::ReconstructArguments>),
    /// Make a scan of a phantom, to try things on
    ///
    /// The same seed makes the same phantom and the same noise. Projections are exact integrals through round bodies, not those of an
    /// image; 20 flat and 10 dark fields come with them.
    Simulate(Box<simulate::SimulateArguments>),
}

/// Runs the command.
pub fn run(arguments: TomoArguments) -> Result<()> {
    match arguments.command {
        TomoCommand::Centre(arguments) => centre::run(&arguments),
        TomoCommand::Denoise(arguments) => denoise::run(&arguments),
        TomoCommand::Reconstruct(arguments) => reconstruct::run(&arguments),
        TomoCommand::Simulate(arguments) => simulate::run(&arguments),
    }
}
