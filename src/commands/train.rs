//! `msd-gpu train`: from images and targets to a model.

use std::path::{Path, PathBuf};

use clap::Args;
use log::info;

use super::device::{TuningArguments, named};
use super::folds;
use super::models_registry::nearest;
use super::ranks::{self, SilentWatcher};
use super::settings::SettingArguments;
use super::training_progress::{ProgressWatcher, describe, report};
use crate::files::read_text;
use crate::images;
use crate::network::TaskKind;
use crate::peers::Peers;
use crate::peers::mpi::World;
use crate::samples::Symmetries;
use crate::settings::Heading;
use crate::training::{
    Prepared, Run, RunFolder, Settings, check_same_settings, preview_augmentation, read_settings,
};
use crate::{Error, Result};

/// The ways to begin.
const USAGE: &str = "\
msd-gpu train <TASK> --images <P> --targets <P> --out <RUN> [OPTIONS]
       msd-gpu train <TASK> --pairs <LIST.csv> --out <RUN> [OPTIONS]
       msd-gpu train denoise --splits <P> <P>... --out <RUN> [OPTIONS]
       msd-gpu train denoise --alone --images <P> --out <RUN> [OPTIONS]
       msd-gpu train upscale --factor <N> --images <P> --targets <P> --out <RUN>
       msd-gpu train upscale --factor <N> --images <P> --out <RUN> [OPTIONS]
       msd-gpu train --config <FILE.toml> --out <RUN> [OPTIONS]
       msd-gpu train --resume <RUN> [OPTIONS]
       msd-gpu train <TASK> ... --out <RUN> --resume auto [OPTIONS]
       msd-gpu train --project <DIR> --journal <HASH> [--steps <N>] --out <RUN>";

/// Settings are a few kilobytes.
const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// Arguments of `train`. What is not given comes from `--config`, and else from the defaults in brackets.
#[derive(Debug, Args)]
#[command(override_usage = USAGE)]
pub struct TrainArguments {
    /// Folder for the model, the curves and the checkpoint
    #[arg(long, value_name = "RUN")]
    out: Option<PathBuf>,
    /// Go on with the run in this folder; limits (for the run as a whole), patience, device and where its images lie may be given
    /// anew. For scripts that are run again: auto goes on with the run of --out where there is one, and else begins it
    #[arg(long, value_name = "RUN")]
    resume: Option<PathBuf>,
    /// With --resume: go on with labels that were changed or added since, of the same classes
    #[arg(long)]
    new_labels: bool,
    /// Take settings from this file, such as the config.toml of another run
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// Train again as the page of `msd-gpu serve` has trained, in this project; needs --journal and --out
    #[cfg(feature = "portal")]
    #[arg(long, value_name = "DIR")]
    project: Option<PathBuf>,
    /// The hash of the journal of strokes that the model has seen, as `msd-gpu inspect` says it, or its beginning; needs --project
    #[cfg(feature = "portal")]
    #[arg(long, value_name = "HASH")]
    journal: Option<String>,
    /// With --journal: which of several models that have seen it, by its steps; else the one of most
    #[cfg(feature = "portal")]
    #[arg(long, value_name = "N", requires = "journal")]
    steps: Option<u64>,
    /// Go on from this model with other images: as --init, with a tenth of the learning rate unless --lr says another
    #[arg(long, value_name = "MODEL", conflicts_with = "init")]
    finetune: Option<String>,
    /// As --finetune, from the model of the registry for this task that is nearest to what --key says, as `predict --from-registry`
    /// finds it; =DIR names another registry
    #[arg(
        long, value_name = "DIR", num_args = 0..=1, require_equals = true, default_missing_value = "", requires = "keys",
        conflicts_with_all = ["init", "finetune"]
    )]
    finetune_from_registry: Option<String>,
    /// What is known of the images, for --finetune-from-registry: keys as in msd-gpu models, such as energy=24keV
    #[arg(long = "key", value_name = "KEY=VALUE", requires = "finetune_from_registry")]
    keys: Vec<String>,
    #[command(flatten)]
    settings: SettingArguments,
    /// Show images only as they are: the same as --symmetries none
    #[arg(long, conflicts_with = "symmetries", help_heading = Heading::Data.title())]
    no_symmetries: bool,
    /// Write pictures of what the network would be shown into this folder, and end
    #[arg(long, value_name = "DIR", help_heading = Heading::Augmentation.title())]
    preview_augmentation: Option<PathBuf>,
    #[command(flatten, next_help_heading = Heading::Device.title())]
    tuning: TuningArguments,
}

/// What `--resume` is told in scripts that are run again.
const AUTO: &str = "auto";
/// What the learning rate is divided by where a trained model only has to get used to other images.
const FINETUNING: f64 = 10.0;

impl TrainArguments {
    /// The model that is to get used to other images, where there is one.
    fn finetunes(&self, task: TaskKind) -> Result<Option<String>> {
        match &self.finetune_from_registry {
            None => Ok(self.finetune.clone()),
            Some(folder) => {
                let path = nearest(folder, &self.keys, |entry| entry.task == task)?;
                Ok(Some(path.to_string_lossy().into_owned()))
            }
        }
    }

    /// What says how a run begins, and has no meaning for one that goes on.
    fn beginnings(&self) -> impl Iterator<Item = &'static str> {
        let all = [
            ("--out", self.out.is_some()),
            ("--config", self.config.is_some()),
            ("--init", self.settings.get("init").is_some()),
            ("--finetune", self.finetune.is_some()),
            ("--finetune-from-registry", self.finetune_from_registry.is_some()),
            ("--preview-augmentation", self.preview_augmentation.is_some()),
        ];
        all.into_iter().filter(|(_, given)| *given).map(|(name, _)| name)
    }

    /// Decides whether `--resume auto` goes on with a run or begins it; of several ranks the first decides.
    fn decide(&mut self, world: Option<&mut World>) -> Result<()> {
        let Some(resume) = &self.resume else { return Ok(()) };
        if resume.as_os_str() != AUTO {
            let wanted = "a run goes on in its own folder, as it began; leave it out, or say --resume auto where the run may have to be begun";
            return self
                .beginnings()
                .next()
                .map_or(Ok(()), |name| Err(Error::setting(name, "given beside --resume", wanted)));
        }
        let Some(out) = &self.out else {
            let wanted = "it goes on with the run of --out; name its folder there";
            return Err(Error::setting("--resume", AUTO, wanted));
        };
        let mut begun = RunFolder::can_go_on(out);
        if let Some(world) = world {
            begun = world.gather(vec![begun.into()])?.first().is_some_and(|first| **first == [1]);
        }
        self.resume = None;
        if begun && self.preview_augmentation.is_none() {
            self.resume = self.out.take();
            (self.config, self.finetune, self.finetune_from_registry) = (None, None, None);
            self.settings.forget("init");
        }
        Ok(())
    }

    /// Whether it is about something else than one training.
    fn is_for_one(&self) -> bool {
        #[cfg(feature = "portal")]
        if self.project.is_some() || self.journal.is_some() {
            return true;
        }
        self.preview_augmentation.is_some()
    }

    fn has_limit(&self) -> bool {
        ["max_epochs", "max_minutes", "max_steps"].iter().any(|limit| self.settings.get(limit).is_some())
    }
}

/// Runs the command, together with the other processes that `mpirun` has started with this one.
pub fn run(arguments: TrainArguments) -> Result<()> {
    ranks::together(|world| train(arguments, world))
}

fn train(mut arguments: TrainArguments, mut world: Option<&mut World>) -> Result<()> {
    if let (Some(world), true) = (&world, arguments.is_for_one()) {
        let wanted = "this is done by one process; start it without mpirun";
        return Err(Error::setting("the number of processes", world.size(), wanted));
    }
    arguments.decide(world.as_deref_mut())?;
    #[cfg(feature = "portal")]
    if arguments.project.is_some() || arguments.journal.is_some() {
        let TrainArguments { project, journal, steps, out, tuning, .. } = &arguments;
        let device = tuning.choose(arguments.settings.get("device").unwrap_or("auto"))?;
        return super::repeat::run(project.as_deref(), journal.as_deref(), *steps, out.as_deref(), &device);
    }
    let mut settings = match (&arguments.resume, &arguments.config) {
        (Some(folder), _) => RunFolder::settings(folder)?,
        (_, Some(file)) => {
            let text = read_text(file, MAX_CONFIG_BYTES)?
                .ok_or_else(|| Error::input(file, "is longer than any settings; name a file of settings"))?;
            let mut settings = read_settings(&text, file)?;
            settings.found_from(file.parent().unwrap_or(Path::new("")));
            settings
        }
        _ => from_arguments(&arguments)?,
    };
    if arguments.new_labels && arguments.resume.is_none() {
        let wanted = "a new run takes the labels as they are; leave it out, or name the run with --resume";
        return Err(Error::setting("--new-labels", "given without a run to go on with", wanted));
    }
    if arguments.resume.is_none() && arguments.out.is_none() && arguments.preview_augmentation.is_none() {
        return Err(no_folder());
    }
    if arguments.resume.is_some() && arguments.has_limit() {
        settings.clear_limits();
    }
    let started = settings.clone();
    let coarsens = settings.coarsens();
    if let Some(path) = arguments.settings.get("init") {
        settings.start_from(path)?;
    }
    if let Some(path) = arguments.finetunes(settings.task)? {
        settings.start_from(&path)?;
        settings.lr /= FINETUNING;
    }
    arguments.settings.override_settings(&mut settings)?;
    if let Some(list) = arguments.settings.get("pairs") {
        (settings.images, settings.targets) = (list.into(), list.into());
    }
    if arguments.settings.get("splits").is_some() {
        let splits = settings.splits.clone();
        settings.learn_from_splits(splits);
    }
    if coarsens && arguments.settings.get("targets").is_none() {
        let named = settings.val_targets.clone();
        settings.coarsen_images();
        if arguments.settings.get("val_targets").is_some() {
            settings.val_targets = named;
        }
    }
    if settings.alone && arguments.settings.get("images").is_some() {
        settings.learn_alone();
    }
    if arguments.no_symmetries {
        settings.symmetries = Symmetries::None;
    }
    if arguments.resume.is_none() {
        settings.take_description()?;
    }
    if arguments.resume.is_some() {
        check_same_settings(&started, &settings)?;
        check_images_are_there(&settings)?;
    }
    settings.fill_limit();
    settings.validate()?;
    if let Some(folder) = &arguments.preview_augmentation {
        let pictures = preview_augmentation(&Prepared::load(&settings)?, &settings, folder)?;
        info!("{pictures} pictures of what the network would be shown are in {}", folder.display());
        return Ok(());
    }
    if let (Some(folds), None) = (settings.folds, settings.fold) {
        if let Some(world) = &world {
            let wanted =
                format!("{} processes work on one fold after the other; name it with --fold", world.size());
            return Err(Error::setting("--folds", folds, wanted));
        }
        if arguments.new_labels {
            let wanted =
                "folds are trained on the same labels throughout; go on with one fold, or train anew";
            return Err(Error::setting("--new-labels", "given for all folds", wanted));
        }
        let out = arguments.resume.as_ref().or(arguments.out.as_ref()).ok_or_else(no_folder)?;
        if arguments.resume.is_none() && out.join("config.toml").exists() {
            return Err(Error::output(
                out,
                "it holds a run already; name another folder with --out, or go on with it by --resume",
            ));
        }
        return folds::run(&settings, folds, out, &arguments.tuning.choose_all(&settings.device)?);
    }
    let devices = match &world {
        Some(world) => vec![arguments.tuning.choose_for(&settings.device, world.place().local_rank)?],
        None => arguments.tuning.choose_all(&settings.device)?,
    };
    // Of several processes the first has the folder.
    let leads = world.as_ref().is_none_or(|world| world.rank() == 0);
    if let (None, Some(out), true) = (&arguments.resume, &arguments.out, leads) {
        RunFolder::check_free(out)?;
    }
    let prepared = match &arguments.resume {
        Some(run) if arguments.new_labels => Prepared::relabelled(&settings, run)?,
        Some(run) => Prepared::resumed(&settings, run)?,
        None => Prepared::load(&settings)?,
    };
    let folder = match (&arguments.resume, &arguments.out) {
        _ if !leads => None,
        (Some(folder), _) => Some(RunFolder::open(folder)?),
        (None, Some(out)) => Some(RunFolder::create(out)?),
        (None, None) => return Err(no_folder()),
    };
    let ranks = world.as_ref().map_or(String::new(), |world| format!(" on each of {} ranks", world.size()));
    describe(&prepared, &settings, &(named(devices.iter().map(|device| &device.info)) + &ranks));
    let run = Run::new(settings, &prepared).on_all(&devices);
    let run = match (arguments.resume.is_some(), arguments.new_labels) {
        (false, _) => run,
        (true, false) => run.resume(),
        (true, true) => run.resume_relabelled(),
    };
    let run = match world {
        Some(world) => run.among(world),
        None => run,
    };
    let Some(folder) = folder else {
        return run.watched_by(&mut SilentWatcher::new()).train().map(|_| ());
    };
    let mut watcher = ProgressWatcher::new();
    let outcome = run.save_in(&folder).watched_by(&mut watcher).train()?;
    drop(watcher);
    report(&outcome, &folder);
    Ok(())
}

/// Checks that the images of a run that is to go on are where they were, or where they are said to be.
fn check_images_are_there(settings: &Settings) -> Result<()> {
    let splits = settings.splits.iter().map(|path| ("splits", path));
    let named = [("images", &settings.images), ("targets", &settings.targets)];
    for (name, path) in named.into_iter().filter(|_| settings.splits.is_empty()).chain(splits) {
        if !Path::new(path).exists() && images::discover(path).is_err() {
            let problem =
                format!("the run's {name} are no longer there; say where they are now with `{name}`");
            return Err(Error::input(path, problem));
        }
    }
    Ok(())
}

fn no_folder() -> Error {
    Error::setting("--out", "missing", "it must name a folder for the run, or --resume one to go on with")
}

fn from_arguments(arguments: &TrainArguments) -> Result<Settings> {
    let missing =
        |what: &str| Error::setting(what, "missing", "it must be given here or in a file with --config");
    let given = |name: &str, what: &str| arguments.settings.get(name).ok_or_else(|| missing(what));
    if arguments.settings.denoises
        && ["targets", "pairs", "splits", "alone"].iter().all(|name| arguments.settings.get(name).is_none())
    {
        return Err(Error::setting(
            "--targets",
            "missing",
            "denoising learns from clean images of the same scenes; without any, give several noisy recordings of each scene with --splits, whose noise a network cannot foresee from each other, or --alone for single images",
        ));
    }
    let factor = arguments.settings.get("factor").and_then(|text| text.parse::<usize>().ok()).unwrap_or(1);
    if arguments.settings.upscales && factor == 1 {
        let wanted = "it says how many times as fine the results are to be as the images: 2, 3 or 4";
        return Err(Error::setting("--factor", "missing", wanted));
    }
    let task = given("task", "the task (segment or regress, or denoise or upscale)")?.parse()?;
    if arguments.settings.get("splits").is_some() {
        let others = ["images", "targets", "pairs", "weights"];
        if let Some(other) = others.into_iter().find(|name| arguments.settings.get(name).is_some()) {
            let wanted = format!("the recordings are each other's targets; leave --{other} out, or --splits");
            return Err(Error::setting("--splits", format!("given beside --{other}"), wanted));
        }
        // They are taken with all other settings.
        let mut settings = Settings::new(task, "", "");
        settings.patience = Settings::default_patience(arguments.has_limit());
        return Ok(settings);
    }
    if arguments.settings.get("alone").is_some() {
        if let Some(other) =
            ["targets", "pairs"].into_iter().find(|name| arguments.settings.get(name).is_some())
        {
            let wanted = format!("the images are learnt from themselves; leave --{other} out, or --alone");
            return Err(Error::setting("--alone", format!("given beside --{other}"), wanted));
        }
        let mut settings = Settings::new(task, given("images", "--images")?, "");
        settings.learn_alone();
        settings.patience = Settings::default_patience(arguments.has_limit());
        return Ok(settings);
    }
    let list = arguments.settings.get("pairs");
    if factor != 1 && list.is_none() && arguments.settings.get("targets").is_none() {
        let images = given("images", "--images")?;
        let mut settings = Settings::new(task, images, images);
        // Known here already, so that the images stay their own targets with all else that is given.
        arguments.settings.override_settings(&mut settings)?;
        settings.coarsen_images();
        settings.patience = Settings::default_patience(arguments.has_limit());
        return Ok(settings);
    }
    if let (Some(_), Some(other)) = (
        list,
        ["images", "targets", "weights"].into_iter().find(|name| arguments.settings.get(name).is_some()),
    ) {
        let wanted = format!("the list says where these are; leave --{other} out, or --pairs");
        return Err(Error::setting("--pairs", format!("given beside --{other}"), wanted));
    }
    let mut settings = match list {
        Some(list) => Settings::new(task, list, list),
        None => Settings::new(task, given("images", "--images")?, given("targets", "--targets")?),
    };
    settings.patience = Settings::default_patience(arguments.has_limit());
    Ok(settings)
}
