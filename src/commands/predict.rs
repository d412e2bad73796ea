//! `msd-gpu predict`: a trained model applied to images.

use clap::Args;

use super::console;
use super::discovery::DiscoveryArguments;
use super::models::ModelArguments;
use super::progress::ImageProgress;
use super::results::ResultArguments;
use crate::inference::{Procedure, Request, Share, Work};
use crate::{Error, Result};

/// Arguments of `predict`.
#[derive(Debug, Args)]
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
    /// Go on where an earlier call of the same kind was stopped
    #[arg(long)]
    resume: bool,
    /// Do one of N shares, such as 2/8; each file is of one share [default: that of a Slurm array's job]
    #[arg(long, value_name = "i/N")]
    part: Option<String>,
    /// Say which results are missing in --out, and end
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

/// Applies the models to every image and writes the results, in order.
///
/// All that can be known before the first image is computed is checked before.
pub fn run(mut arguments: PredictArguments) -> Result<()> {
    arguments.models.choose()?;
    let request = arguments.request()?;
    let models = &arguments.models;
    let out = request.destination.folder();
    let mut ensemble = arguments.results.open(models, out)?;
    let work = request.work(&ensemble)?;
    let count = work.count();
    if let Some(share) = request.procedure.share {
        log::info!("this is part {share}: {count} of {} images", work.count_of_all_shares());
        if count == 0 {
            return Ok(());
        }
    }
    if arguments.verify {
        return verify(&work);
    }
    work.prepare(&ensemble)?;
    log::info!("applying {} on {}", models.description(), ensemble.device().name);
    let mut progress = ImageProgress::over(count);
    let failures = work.run(&mut ensemble, &mut progress)?;
    drop(progress);
    if !failures.is_empty() {
        let done = count - failures.len();
        log::info!("{done} of {count} images done; the results are in {}", out.display());
        failures.iter().for_each(|failure| log::error!("{}", failure.error));
        return Err(Error::Incomplete { failed: failures.len(), count });
    }
    let plural = if count == 1 { "" } else { "s" };
    log::info!("{count} image{plural} done; the results are in {}", out.display());
    Ok(())
}

/// Says which results are missing.
///
/// # Errors
/// [`Error::Incomplete`] where some are.
fn verify(work: &Work) -> Result<()> {
    let files = work.files();
    let missing: Vec<_> = files.iter().filter(|file| !file.exists()).collect();
    missing.iter().for_each(|file| console::line(format!("missing: {}", file.display())));
    if missing.is_empty() {
        log::info!("all {} results are there", files.len());
        return Ok(());
    }
    Err(Error::Incomplete { failed: missing.len(), count: files.len() })
}
