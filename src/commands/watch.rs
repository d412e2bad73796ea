//! `msd-gpu watch`: a trained model applied to images as they appear.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::console;
use super::discovery::DiscoveryArguments;
use super::each_result::EachResult;
use super::interrupt::Interrupt;
use super::models::ModelArguments;
use super::results::ResultArguments;
use crate::live::{Done, Pace, Policy, Summary, Viewer, Watched, watch};
use crate::watcher::Flow;
use crate::{Error, Result};

/// Arguments of `watch`.
#[derive(Debug, Args)]
pub struct WatchArguments {
    #[command(flatten)]
    models: ModelArguments,
    #[command(flatten)]
    discovery: DiscoveryArguments,
    /// Folder that images come into, or an array that grows, such as scan.h5:/entry/data or scan.zarr
    #[arg(value_name = "IN")]
    input: String,
    #[command(flatten)]
    results: ResultArguments,
    /// Where more images come than can be done: do the first and then each N-th only [default: all, in order]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "latest")]
    every: Option<u64>,
    /// Where more images come than can be done: do the newest that is there, and pass over those before it
    #[arg(long)]
    latest: bool,
    /// Seconds between two looks at the folder
    #[arg(long, value_name = "SECONDS", default_value = "0.1", value_parser = seconds)]
    poll: Duration,
    /// Seconds that a file must not change before it is read; 0 where files are renamed into the folder once they are complete
    #[arg(long, value_name = "SECONDS", default_value = "0.5", value_parser = seconds)]
    settle: Duration,
    /// Seconds that a file that cannot be read must not change before it is given up
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    patience: Duration,
    /// End after N images
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// End when nothing has happened for so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    until_idle: Option<Duration>,
    /// Run a command for each image, with the image and its results as its last arguments; see below
    #[arg(long, value_name = "CMD")]
    exec: Option<String>,
    /// Print a JSON object for each image on standard output
    #[arg(long)]
    json: bool,
}

/// A number of seconds, such as 0.5.
fn seconds(text: &str) -> std::result::Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "wanted a number of seconds, such as 0.5".to_owned())?;
    Duration::try_from_secs_f64(number).map_err(|_| "wanted a number of seconds from 0 on".to_owned())
}

/// Applies the models to images as they appear.
pub fn run(mut arguments: WatchArguments) -> Result<()> {
    arguments.models.choose()?;
    let WatchArguments { models, discovery, results, .. } = &arguments;
    let interrupt =
        Interrupt::listen("stopping once the image in progress is done; a second time stops at once");
    let destination = results.destination()?;
    if destination.is_file() {
        let wanted = "each image has results of its own; name a folder";
        return Err(Error::setting("out", format!("{}, the name of a file", results.out.display()), wanted));
    }
    let exec = arguments.exec.as_deref().map(EachResult::new).transpose()?;
    let cutting = results.cutting(models.tile())?;
    let mut watched = Watched::new(&arguments.input, discovery.discovery(None));
    watched.policy = match (arguments.every, arguments.latest) {
        (Some(n), _) => Policy::Every(n),
        (None, true) => Policy::Latest,
        (None, false) => Policy::All,
    };
    // No machine is to do nothing but look.
    watched.poll = arguments.poll.max(Duration::from_millis(1));
    (watched.settle, watched.patience) = (arguments.settle, arguments.patience);
    (watched.until_idle, watched.count) = (arguments.until_idle, arguments.count);
    let mut ensemble = results.open(models, destination.folder(), |device| Ok(vec![device.choose()?]))?;
    if ensemble.model().architecture.is_of_volumes() {
        let problem = "is a network of volumes, of which slices are not there yet when an image appears; name a model of images, or use `predict` once all are there";
        return Err(Error::model(models.first(), problem));
    }
    let products = destination.products(&ensemble, results.wishes())?;
    log::info!("applying {} on {}", models.description(), ensemble.device().name);
    log::info!("watching {}; results go to {}", arguments.input, products.folder().display());
    let mut console = Console { json: arguments.json, exec, interrupt };
    let summary = watch(&mut ensemble, &watched, &products, cutting, &mut console)?;
    log::info!("{}", sentence(&summary));
    if summary.failed > 0 && console.flow().is_continue() {
        let count = summary.failed + (summary.done + summary.before) as usize;
        return Err(Error::Incomplete { failed: summary.failed, count });
    }
    Ok(())
}

/// What became of all images.
fn sentence(summary: &Summary) -> String {
    const BEFORE: &str = "there before";
    let Summary { done, before, unknown, passed_over, failed, waiting, changing, held, pace, .. } = *summary;
    let mut text = format!("{done} image{} done", if done == 1 { "" } else { "s" });
    if done > 0 {
        text += &format!(" ({})", words(&pace));
    }
    for (count, what) in [
        (before, BEFORE),
        (passed_over, "passed over"),
        (failed as u64, "could not be used"),
        (waiting as u64, "left to do"),
        (changing as u64, "being written"),
        (held as u64, "there without all their neighbours"),
    ] {
        if count > 0 {
            text += &format!(", {count} {what}");
        }
        if what == BEFORE && unknown > 0 {
            text += &format!(" ({unknown} of them not known to be of these models)");
        }
    }
    text
}

/// Latency and rate.
fn words(pace: &Pace) -> String {
    let latency = format!("latency p50 {:.2} s, p95 {:.2} s", pace.p50, pace.p95);
    // A single image tells no rate.
    if pace.rate > 0.0 { format!("{latency}; {:.1} images/s", pace.rate) } else { latency }
}

/// Says what happens: a line for each image.
struct Console {
    json: bool,
    exec: Option<EachResult>,
    interrupt: Interrupt,
}

impl Viewer for Console {
    fn done(&mut self, done: &Done<'_>) -> Result<bool> {
        let files: Vec<String> = done.files.iter().map(|file| file.display().to_string()).collect();
        match done.latency {
            Some(latency) => {
                let waiting = match done.waiting {
                    0 => String::new(),
                    waiting => format!("; {waiting} waiting"),
                };
                log::info!(
                    "{} -> {} in {:.2} s ({}{waiting})",
                    done.name,
                    files.join(", "),
                    latency.as_secs_f64(),
                    words(&done.pace)
                );
            }
            None => log::info!("{} has its results: {}", done.name, files.join(", ")),
        }
        if self.json {
            console::json(&json!({
                "image": done.name,
                "results": files,
                "latency_seconds": done.latency.map(|latency| latency.as_secs_f64()),
                "latency_p50_seconds": done.pace.p50,
                "latency_p95_seconds": done.pace.p95,
                "images_per_second": done.pace.rate,
                "done": done.count,
                "waiting": done.waiting,
            }));
        }
        match &self.exec {
            Some(exec) => exec.run(done.path, done.slice, done.files),
            None => Ok(true),
        }
    }

    fn failed(&mut self, name: &str, error: &Error) {
        let text = super::sentence(error);
        let text = if text.contains(name) { text } else { format!("{name}: {text}") };
        log::error!("{text}");
        if self.json {
            console::json(&json!({ "image": name, "error": text }));
        }
    }

    fn passed_over(&mut self, name: &str) {
        log::debug!("{name} is passed over");
        if self.json {
            console::json(&json!({ "image": name, "passed_over": true }));
        }
    }

    fn flow(&mut self) -> Flow {
        self.interrupt.flow()
    }
}
