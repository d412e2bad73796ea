//! `msd-gpu predict`: a trained model applied to images.

use clap::Args;
use serde::{Deserialize, Serialize};

use super::console;
use super::device::named;
use super::discovery::DiscoveryArguments;
use super::errors::sentence;
use super::models::ModelArguments;
use super::progress::ImageProgress;
use super::ranks::{self, SilentWatcher};
use super::results::ResultArguments;
use crate::inference::{Ensemble, Finding, Procedure, Request, ResultState, Share, Work};
use crate::peers::Peers;
use crate::peers::mpi::World;
use crate::{Error, Result};

/// What `--device` takes here.
const DEVICE: &str = "Device: auto, cpu, gpu, gpu:1 for the second one, an index or part of a name from `msd-gpu devices`; or several, like \
    gpu:0,gpu:1, or all, of which each takes the next image or tile";

/// Arguments of `predict`.
#[derive(Debug, Args)]
#[command(mut_arg("device", |device| device.help(DEVICE)))]
pub struct PredictArguments {
    #[command(flatten)]
    models: ModelArguments,
    #[command(flatten)]
    discovery: DiscoveryArguments,
    /// Images: folders, stacks, arrays such as scan.h5:/entry/data, files or quoted patterns such as 'slices/*.tif'
    #[arg(required = true)]
    input: Vec<String>,
    #[command(flatten)]
    results: ResultArguments,
    /// Go on where an earlier call of the same kind was stopped, and pass over results that are there and unchanged
    #[arg(long)]
    resume: bool,
    /// Do one of N shares, such as 2/8: of the files, or of the slices where results are OME-Zarr [default: that of a job in an
    /// array of Slurm]
    #[arg(long, value_name = "i/N")]
    part: Option<String>,
    /// Say which results are missing in --out, or differ from what was written there by these models, and end
    #[arg(long)]
    verify: bool,
}

impl PredictArguments {
    fn request(&self) -> Result<Request> {
        let share = match &self.part {
            Some(part) => Some(part.parse()?),
            None => Share::of_slurm(|name| std::env::var(name).ok()),
        };
        let cutting = self.results.cutting(self.models.tile())?;
        Ok(Request {
            discovery: self.discovery.discovery(None),
            inputs: self.input.clone(),
            destination: self.results.destination()?,
            wishes: self.results.wishes(),
            procedure: Procedure::new(cutting, self.resume, self.discovery.keep_going, share),
        })
    }
}

/// Applies the models to every image and writes the results, in order; together with the other processes that `mpirun` has started with
/// this one.
///
/// All that can be known before the first image is computed is checked before.
pub fn run(arguments: PredictArguments) -> Result<()> {
    ranks::together(|world| predict(arguments, world))
}

fn predict(mut arguments: PredictArguments, world: Option<&mut World>) -> Result<()> {
    arguments.models.choose()?;
    let mut request = arguments.request()?;
    if arguments.verify && ranks::is_spoken_for() {
        // One looks at what all are to make.
        return Ok(());
    }
    if let Some(world) = world.as_ref().filter(|_| !arguments.verify) {
        let share = request.procedure.share.unwrap_or(Share::WHOLE);
        request.procedure.share = Some(share.among(world.rank(), world.size())?);
        request.procedure.cutting = request.procedure.cutting.beside(world.place().local_size);
    }
    let local_rank = world.as_ref().map(|world| world.place().local_rank);
    let models = &arguments.models;
    let out = request.destination.folder();
    let mut ensemble = arguments.results.open(models, out, |device| device.choose_all_for(local_rank))?;
    let work = request.work(&ensemble)?;
    let count = work.count();
    if arguments.verify {
        return verify(&work, &ensemble);
    }
    if let Some(share) = request.procedure.share {
        log::info!("this is part {share}: {count} of {} images", work.count_of_all_shares());
    }
    let mut failures = Vec::new();
    if count > 0 {
        work.prepare(&ensemble)?;
        let devices = named(ensemble.devices());
        log::info!("applying {} on {devices}", models.description());
        failures = match ranks::is_spoken_for() {
            true => work.run(&mut ensemble, &mut SilentWatcher::new())?,
            false => work.run(&mut ensemble, &mut ImageProgress::over(count))?,
        };
    }
    let problems = failures.iter().map(|failure| sentence(&failure.error)).collect();
    let Some(all) = Ended { count, problems }.of_all(world)? else { return Ok(()) };
    let Ended { count, problems } = all;
    let failed = problems.len();
    if failed > 0 {
        log::info!("{} of {count} images done; the results are in {}", count - failed, out.display());
        problems.iter().for_each(|problem| log::error!("{problem}"));
        return Err(Error::Incomplete { failed, count });
    }
    if count > 0 {
        let plural = if count == 1 { "" } else { "s" };
        match &work.files()[..] {
            [only] if request.destination.is_file() => {
                log::info!("{count} image{plural} done; the result is {}", only.display());
            }
            _ => log::info!("{count} image{plural} done; the results are in {}", out.display()),
        }
    }
    Ok(())
}

/// What became of the images of a process, or of all.
#[derive(Serialize, Deserialize)]
struct Ended {
    count: usize,
    /// What was wrong with those that could not be predicted.
    problems: Vec<String>,
}

impl Ended {
    /// What became of the images of all processes, once all have ended; `None` where another process speaks for this one.
    fn of_all(self, world: Option<&mut World>) -> Result<Option<Self>> {
        let Some(world) = world else { return Ok(Some(self)) };
        let mut all = Self { count: 0, problems: Vec::new() };
        for one in world.gather(serde_json::to_vec(&self).unwrap_or_default())? {
            let one: Self = serde_json::from_slice(&one).map_err(|_| {
                Error::Mismatch(
                    "another process has sent what this one does not understand; start the same program on every rank".into(),
                )
            })?;
            all.count += one.count;
            all.problems.extend(one.problems);
        }
        Ok((world.rank() == 0).then_some(all))
    }
}

/// Says which results are missing, or are not what these models make of these images.
///
/// # Errors
/// [`Error::Missing`] where some are.
fn verify(work: &Work, ensemble: &Ensemble) -> Result<()> {
    let count = work.files().len();
    let (mut wrong, mut touched, mut unknown) = (0, 0, 0);
    for Finding { file, state, slices, .. } in work.findings(ensemble) {
        let file = file.display();
        // By their numbers in the stack.
        let slices: Vec<String> =
            slices.iter().map(|slices| format!("{}..{}", slices.start, slices.end)).collect();
        let which = if slices.is_empty() { String::new() } else { format!(", slices {}", slices.join(" ")) };
        match state {
            ResultState::Touched => touched += 1,
            ResultState::Unknown => unknown += 1,
            ResultState::Missing => {
                wrong += 1;
                console::line(format!("missing: {file}{which}"));
            }
            other => {
                wrong += 1;
                console::line(format!("differs: {file}{which}: {other}"));
            }
        }
    }
    if touched > 0 {
        log::warn!(
            "{touched} of {count} results were copied or changed after they were written, at the same length"
        );
    }
    if unknown > 0 {
        log::warn!(
            "of {unknown} of {count} results only the names were compared: no record in their folder says what made them"
        );
    }
    if wrong == 0 {
        log::info!("all {count} results are there");
        return Ok(());
    }
    Err(Error::Missing { missing: wrong, count })
}
