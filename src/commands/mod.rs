//! The command line: one file for each subcommand.
//!
//! Results go to standard output, everything else to standard error. With `--json` the output is one JSON
//! object a line.

mod bench;
mod completions;
mod console;
mod convert;
mod demo;
mod device;
mod devices;
mod discovery;
mod doctor;
mod each_result;
mod errors;
mod evaluate;
mod export;
mod folds;
mod import;
mod inspect;
mod interrupt;
mod look;
mod man;
mod models;
mod models_registry;
mod pace;
mod pixel_size;
mod predict;
mod progress;
mod provenance;
mod ranks;
#[cfg(feature = "portal")]
mod repeat;
mod results;
#[cfg(feature = "portal")]
mod serve;
mod settings;
mod table;
mod terminal;
mod tomo;
mod train;
mod training_progress;
#[cfg(feature = "gpu")]
mod tune;
mod watch;

pub use self::errors::{exit_code, sentence};

use std::io::Write;

use clap::{Parser, Subcommand};

use crate::Result;

/// Train and apply Mixed-Scale Dense networks for scientific images, on any GPU or on a plain CPU.
#[derive(Debug, Parser)]
#[command(name = "msd-gpu", version, arg_required_else_help = true, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Say less (-q: only warnings) on standard error
    #[arg(short, long, global = true, help_heading = "Messages")]
    quiet: bool,
    /// Say more on standard error
    #[arg(short, long, global = true, help_heading = "Messages")]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make images, train on them for a minute and a half and show the result; needs no data
    Demo(demo::DemoArguments),
    /// List the devices that networks can run on
    Devices(devices::DevicesArguments),
    /// Say whether the GPUs of this machine work, and if not, which piece is missing
    ///
    /// Takes about a minute. Looks for the loader of Vulkan, its drivers and the cards, says what is missing with the commands that mend
    /// it, and then compares each device with a reference in float64: random networks and every kernel, as kernels are run and with
    /// run-time checks in them, and on the CPU with each kind of instructions. Ends with an error where no device passes, or where
    /// the one of --device does not.
    Doctor(doctor::DoctorArguments),
    /// Train a network on images and targets
    Train(Box<train::TrainArguments>),
    /// Apply a trained network to images
    Predict(predict::PredictArguments),
    /// Apply a trained network to images as they appear in a folder, or slices in an array
    ///
    /// Each file is read once it has not changed for --settle seconds, in the order in which files are complete. One that cannot
    /// be read then may be in the middle of being written: it is tried again when it changes, and named once it has not changed for
    /// --patience seconds. A file that is written again is done again. Of HDF5 datasets and Zarr arrays that grow each slice is done
    /// once it is stored.
    ///
    /// What is done is kept in --out, so that another watch goes on where this one ended, however it ended. Ctrl-C ends it once
    /// the image in progress is done.
    #[command(after_long_help = each_result::HELP)]
    Watch(Box<watch::WatchArguments>),
    /// Label images, train on them and look at the results in a browser
    ///
    /// A project is a folder of plain files: project.toml, labels, models and results, and journal.jsonl with all that was drawn, which is
    /// on the disk before the page says that it is saved. One server at a time has a project.
    ///
    /// The page is served to this machine alone unless --listen says otherwise. Images are read where they lie, from the folders
    /// that --allow names.
    #[cfg(feature = "portal")]
    Serve(serve::ServeArguments),
    /// Score what a trained network, or any program, gives for images against their targets
    Evaluate(evaluate::EvaluateArguments),
    /// Say what a model is, and what applying and training it take; or what an image or a stack is and holds
    Inspect(inspect::InspectArguments),
    /// List models that were kept with what they were trained on, add one, or remove one
    ///
    /// A denoiser learns the noise of an instrument at its settings, so a model of an earlier experiment serves a later one that was
    /// recorded alike: predict --from-registry and train --finetune-from-registry find it by its keys.
    Models(models_registry::ModelsArguments),
    /// Write an image or a stack in another format: TIFF, PNG, OME-Zarr, HDF5, NPY, MRC, NIfTI
    Convert(convert::ConvertArguments),
    /// Make volumes from the projections of a tomographic scan
    Tomo(tomo::TomoArguments),
    /// Turn a network of msdnet or msd_pytorch into a model
    Import(import::ImportArguments),
    /// Write a model for other programs: ONNX, PyTorch
    Export(export::ExportArguments),
    /// Measure the speed of this machine on MS-D networks
    Bench(bench::BenchArguments),
    /// Find the sizes of tiles with which a GPU is fastest, and keep them
    ///
    /// The first run on a hardware GPU makes a short search of its own; this is the thorough one. What is found holds for networks
    /// and batches like those timed (depth, width and pixels to the nearest power of two; from 512x512 pixels and depth 64
    /// on, for all larger ones), for this GPU, its driver and this version of msd-gpu. It is kept in the user's folder for
    /// caches, or in the one that MSD_GPU_CACHE names. Results differ by rounding from one tuning to another; a run that is
    /// resumed keeps the tuning that it was begun with.
    #[cfg(feature = "gpu")]
    Tune(tune::TuneArguments),
    /// Print what a shell needs to complete commands and flags
    #[command(long_about = completions::ABOUT)]
    Completions(completions::CompletionsArguments),
    /// Print a page of the manual, for example: msd-gpu man train | man -l -
    ///
    /// Without a command it is the page of the program, which names those of the commands. With --out all pages are written
    /// into a folder, such as ~/.local/share/man/man1, where man finds them.
    Man(man::ManArguments),
}

/// Sends log lines to standard error: information by default, `RUST_LOG` decides where it is set.
pub fn start_logging(arguments: &Arguments) {
    let level = match (arguments.quiet, arguments.verbose) {
        // Of several processes that work together one speaks.
        _ if matches!(arguments.command, Command::Train(_) | Command::Predict(_))
            && ranks::is_spoken_for() =>
        {
            "error"
        }
        (true, _) => "warn",
        (_, true) => "msd_gpu=debug,info",
        _ => "msd_gpu=info,warn",
    };
    let environment = env_logger::Env::default().default_filter_or(level);
    let line = |out: &mut env_logger::fmt::Formatter, record: &log::Record<'_>| {
        let (level, style) = (record.level(), out.default_level_style(record.level()));
        writeln!(out, "[{style}{level:<5}{style:#}] {}", errors::in_flags(&record.args().to_string()))
    };
    env_logger::Builder::from_env(environment).format(line).init();
}

/// Runs the command that the arguments name.
///
/// # Errors
/// As the command; see [`exit_code`].
pub fn run(arguments: Arguments) -> Result<()> {
    match arguments.command {
        Command::Demo(arguments) => demo::run(arguments),
        Command::Devices(arguments) => devices::run(arguments),
        Command::Doctor(arguments) => doctor::run(arguments),
        Command::Train(arguments) => train::run(*arguments),
        Command::Predict(arguments) => predict::run(arguments),
        Command::Watch(arguments) => watch::run(*arguments),
        #[cfg(feature = "portal")]
        Command::Serve(arguments) => serve::run(arguments),
        Command::Evaluate(arguments) => evaluate::run(arguments),
        Command::Inspect(arguments) => inspect::run(arguments),
        Command::Models(arguments) => models_registry::run(arguments),
        Command::Convert(arguments) => convert::run(arguments),
        Command::Tomo(arguments) => tomo::run(arguments),
        Command::Import(arguments) => import::run(arguments),
        Command::Export(arguments) => export::run(arguments),
        Command::Bench(arguments) => bench::run(arguments),
        #[cfg(feature = "gpu")]
        Command::Tune(arguments) => tune::run(arguments),
        Command::Completions(arguments) => {
            completions::run(arguments);
            Ok(())
        }
        Command::Man(arguments) => man::run(arguments),
    }
}
