//! The same training once more: from the journal, and from what a model says of itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use log::info;

use super::labelled::{Gatherer, Labelled, Rule};
use crate::devices::Device;
use crate::network::Model;
use crate::portal::project::Project;
use crate::training::{Prepared, Relabelled, Run, RunFolder, Session, Settings, Snapshot};
use crate::watcher::Watcher;
use crate::{Error, Result};

/// The fewest characters that a hash may be shortened to.
const SHORTEST: usize = 6;

/// Trains as the page has trained in the project in `folder`, up to the model that was taken out of the page with the labels of
/// `journal`, the hash of a journal or the beginning of one, after so many `steps`; `None` takes the one of most steps. The labels are the
/// same from the same steps on, so that on the same kind of device the model is the same bit for bit. The page may be open meanwhile.
/// `watcher` is told of the steps.
///
/// # Errors
/// [`Error::Mismatch`] where no model of the project has seen that journal, where the journal is no longer the one that it has seen, and
/// where what is made on the same device is another model; as [`Run::train`].
pub fn repeat(
    folder: &Path,
    journal: &str,
    steps: Option<u64>,
    device: &Device,
    watcher: &mut dyn Watcher,
) -> Result<Model> {
    let (path, model) = find(folder, journal, steps)?;
    let recipe = Recipe::of(&path, &model)?;
    info!(
        "{}: {} steps of {}, with labels that changed {} times",
        path.display(),
        recipe.steps,
        recipe.run.display(),
        recipe.labels.len() - 1
    );
    let mut settings = RunFolder::settings(&recipe.run)?;
    settings.clear_limits();
    (settings.max_steps, settings.patience) = (Some(recipe.steps), 0);
    settings.device.clone_from(&device.info.name);
    if let Some(init) = &mut settings.init {
        *init = beside(&recipe.run, init);
    }
    let numbers: BTreeSet<u8> =
        model.classes().iter().filter_map(|class| u8::try_from(class.value).ok()).collect();
    let mut gatherer = Gatherer::default();
    let mut labels = BTreeMap::new();
    let mut first = None;
    for (step, seq, hash, rule) in &recipe.labels {
        let past = Project::as_of(folder, hash)?;
        if past.journal_state().0 != *seq {
            return Err(Error::Mismatch(format!(
                "the journal is not the one that {} has seen; bring back that of its time",
                path.display()
            )));
        }
        let found = gatherer.gather_again(&past, rule)?;
        if first.is_none() {
            let (training, validation) = found.sets(&numbers)?;
            first = Some((training, validation, Labelled::task(&past, &numbers)));
        }
        labels.insert(*step, found);
    }
    let Some((training, validation, task)) = first else { return Err(unclear(&path)) };
    let prepared = Prepared::new(&settings, training, validation, task)?;
    let mut replay =
        Replay { prepared: &prepared, settings: &settings, numbers, labels, last: recipe.steps, model: None };
    Run::new(settings.clone(), &prepared).on(device).watched_by(watcher).in_session(&mut replay).train()?;
    let made = replay.model.ok_or_else(|| unclear(&path))?;
    if made.parameters != model.parameters {
        if model.provenance.get("device") == Some(&device.info.name) {
            return Err(Error::Mismatch(format!(
                "what was made is another model than {}; its images or the model that it started from have changed since, or this program: bring back those of its time",
                path.display()
            )));
        }
        log::warn!(
            "{} was trained on another device, and differs from what was made in its last digits at least; take that device to compare them",
            path.display()
        );
    }
    let mut provenance = model.provenance.clone();
    provenance.insert("device".into(), device.info.name.clone());
    Ok(Model { provenance, ..made })
}

/// The path of the model that a run in the folder `run` started from. Of runs of the page it is the one beside this, wherever the project
/// lay when it was written down.
fn beside(run: &Path, init: &str) -> String {
    let path = Path::new(init);
    let is_of_page = path.file_name().and_then(|name| name.to_str()).is_some_and(is_live)
        && path.parent().and_then(Path::file_name).is_some_and(|folder| folder == "runs");
    match path.file_name() {
        Some(name) if is_of_page => run.with_file_name(name).display().to_string(),
        _ => init.to_owned(),
    }
}

/// Whether a run of this name is one of the page.
fn is_live(run: &str) -> bool {
    run.strip_prefix("live-").is_some_and(|number| number.parse::<u64>().is_ok())
}

/// The model file of the project that has seen the journal and made so many steps; where these are not given, the one of most steps.
fn find(project: &Path, journal: &str, wanted: Option<u64>) -> Result<(PathBuf, Model)> {
    if journal.len() < SHORTEST || !journal.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let wanted = format!("it must be the hash of a journal, or at least its first {SHORTEST} characters");
        return Err(Error::setting("journal", format!("'{journal}'"), wanted));
    }
    let folder = project.join("models");
    let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let files = entries.filter(|path| path.extension().is_some_and(|ending| ending == "safetensors"));
    let mut best: Option<(u64, PathBuf, Model)> = None;
    for path in files {
        // One that is damaged is not the one.
        let Ok(model) = Model::read(&path) else { continue };
        let hash = model.provenance.get("journal").and_then(|text| text.rsplit(' ').next());
        let steps = model.provenance.get("steps").and_then(|text| text.parse().ok()).unwrap_or(0);
        let is_better = best.as_ref().is_none_or(|(most, ..)| steps > *most);
        let is_wanted = wanted.is_none_or(|wanted| wanted == steps);
        if hash.is_some_and(|hash| hash.starts_with(journal)) && is_wanted && is_better {
            best = Some((steps, path, model));
        }
    }
    best.map(|(_, path, model)| (path, model)).ok_or_else(|| {
        let after = wanted.map_or_else(String::new, |steps| format!(" after {steps} steps"));
        Error::Mismatch(format!(
            "no model in {} has seen the journal {journal}{after}; `inspect` says of a model file which journal it has seen, and its steps",
            folder.display()
        ))
    })
}

/// How a model was made.
struct Recipe {
    run: PathBuf,
    steps: u64,
    /// The steps from which on labels held, with the entry of the journal that they follow from, its hash, and how they were divided.
    labels: Vec<(u64, u64, String, Rule)>,
}

impl Recipe {
    fn of(path: &Path, model: &Model) -> Result<Self> {
        let unclear = || unclear(path);
        let entry = |name: &str| model.provenance.get(name).ok_or_else(unclear);
        let run = entry("run")?;
        if !is_live(run) {
            return Err(unclear());
        }
        let models = path.parent().and_then(Path::parent).ok_or_else(unclear)?;
        // Such as "journal 7 5ac1 by-region from step 1, journal 9 77d0 by-region without i3 from step 150"; earlier versions say
        // nothing of how they were divided.
        let labels = entry("labels")?.split(", ").map(|part| {
            let words: Vec<&str> = part.split(' ').collect();
            let ["journal", seq, hash, rule @ .., "from", "step", step] = words.as_slice() else {
                return Err(unclear());
            };
            let rule = Rule::of(rule).ok_or_else(unclear)?;
            let number = |text: &str| text.parse::<u64>().map_err(|_| unclear());
            Ok((number(step)?, number(seq)?, (*hash).to_owned(), rule))
        });
        let labels = labels.collect::<Result<Vec<_>>>()?;
        let steps = entry("steps")?.parse().map_err(|_| unclear())?;
        Ok(Self { run: models.join("runs").join(run), steps, labels })
    }
}

fn unclear(path: &Path) -> Error {
    Error::model(path, "does not say from which labels it was made; take a model out of the page anew")
}

/// Gives labels at the steps at which they were given before, and keeps the last network.
struct Replay<'a> {
    prepared: &'a Prepared,
    settings: &'a Settings,
    numbers: BTreeSet<u8>,
    labels: BTreeMap<u64, Labelled>,
    last: u64,
    model: Option<Model>,
}

impl Session for Replay<'_> {
    fn labels(&mut self, step: u64) -> Result<Option<Relabelled>> {
        let Some(labels) = self.labels.get(&step) else { return Ok(None) };
        let (training, validation) = labels.sets(&self.numbers)?;
        let version = labels.version();
        // Asked again for the same step, the run has them.
        self.labels.remove(&step);
        self.prepared.relabel(self.settings, training, validation, version).map(Some)
    }

    fn stepped(&mut self, step: u64, network: &mut Snapshot<'_>) -> Result<()> {
        if step == self.last {
            self.model = Some(network.model()?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_the_page_starts_from_the_one_beside_it() {
        let run = Path::new("/new/project/runs/live-3");
        for (init, wanted) in [
            ("/old/place/runs/live-2", "/new/project/runs/live-2"),
            ("runs/live-2", "/new/project/runs/live-2"),
            ("/old/place/live-2", "/old/place/live-2"),
            ("/old/runs/live-x", "/old/runs/live-x"),
            ("/old/runs/other/model.safetensors", "/old/runs/other/model.safetensors"),
        ] {
            assert_eq!(beside(run, init), wanted);
        }
    }
}
