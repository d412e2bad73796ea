//! Training of networks that denoise: on the images of the project as they are when training starts. It is the run that `msd-gpu train
//! denoise` makes of them, which is shown while it goes on.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};

use super::Start;
use super::gains::Gains;
use super::learning::{LAYERS, open_last, runs, without_limits};
use super::looking::ViewPredictor;
use super::showing::{Reporter, Shower};
use super::state::Shared;
use crate::devices;
use crate::files::write_bytes_atomic;
use crate::network::{Model, TaskKind};
use crate::portal::project::{LearnsFrom, TrainingImages};
use crate::settings::ValueKind;
use crate::training::{Prepared, Run, RunFolder, Session, Settings, Snapshot, StopReason};
use crate::{Error, Result};

/// From so many slices on, this share of them is set aside for the score, where nobody says how many.
const FEWEST_SLICES: usize = 5;
const ASIDE: f64 = 0.2;
/// Settings of files that may be chosen: they say how images are learnt from, not which.
const OF_FILES: [&str; 5] = ["scheme", "blind_spot", "blind_mask", "blind_extent", "cache"];
/// Settings of networks that the page cannot show.
const NOT_SHOWN: [&str; 2] = ["slab", "dimensions"];

/// Trains until it is to end, or the network becomes no better.
pub(super) fn learn(shared: &Shared, start: &Start, looker: &mut ViewPredictor) -> Result<()> {
    let device = devices::choose(&shared.device)?;
    let sources = shared.project.training_images()?;
    let (last, next) = runs(shared);
    let last = match last {
        Some(folder) if RunFolder::steps_made(&folder)? > 0 => Some(folder),
        _ => None,
    };
    let number = |folder: &Path| folder.file_name()?.to_str()?.strip_prefix("live-")?.parse::<u64>().ok();
    let known = last.as_deref().and_then(number).map(|number| sources.compared_to(number));
    let goes_on = known.is_some_and(|(_, same)| same);
    let (settings, prepared, folder) = match last.filter(|_| known.is_some_and(|(same_kind, _)| same_kind)) {
        Some(folder) if goes_on => {
            let mut settings = RunFolder::settings(&folder)?;
            settings.device.clone_from(&shared.device);
            without_limits(&mut settings);
            let prepared = Prepared::resumed(&settings, &folder)?;
            (settings, prepared, RunFolder::open(folder)?)
        }
        // With other images, a new run begins from the layers of the last one.
        last => {
            let settings = settings(shared, start, &sources, next, last.as_deref())?;
            shared.clear_results();
            shared.report(true, |status| {
                (status.step, status.seconds, status.loss, status.score) = (0, 0.0, None, None);
                status.curve.clear();
            });
            let prepared = Prepared::load(&settings)?;
            let folder = shared.project.folder().join("runs").join(format!("live-{next}"));
            (settings, prepared, RunFolder::create(folder)?)
        }
    };
    let chosen = prepared.chosen().iter().cloned().chain(sources.left_out()).collect();
    let has_score = prepared.validation.is_some();
    shared.report(true, |status| {
        (status.state, status.message, status.chosen) = ("running", None, chosen);
        status.score_note = note(sources.learns_from(), has_score);
    });
    let (ends, gains) = (Cell::new(false), RefCell::new(Gains::new()));
    let mut watching = Watching {
        shower: Shower::new(shared, &device, looker),
        run: folder.path().file_name().unwrap_or_default().to_string_lossy().into_owned(),
        first: None,
        rests: false,
        ends: &ends,
        gains: &gains,
    };
    let mut reporter = Reporter::new(shared, &ends, &gains);
    let run = Run::new(settings, &prepared).on(&device).save_in(&folder);
    let run = if goes_on { run.resume() } else { run };
    let outcome = run.watched_by(&mut reporter).in_session(&mut watching).train()?;
    let (rests, run) = (watching.rests, watching.run);
    // A run that ended before it showed its network has saved it.
    if shared.model().and_then(|model| model.provenance.get("run").cloned()) != Some(run) {
        open_last(shared, looker)?;
    }
    if outcome.reason != StopReason::Asked {
        shared.pause();
    }
    if rests {
        let message = "the network becomes no better any more, so that training rests; add images, or pause and train to go on all the same";
        shared.rest(shared.project.journal_state().0, message.into());
        return Ok(());
    }
    shared.report(true, |status| status.state = "paused");
    Ok(())
}

/// The settings of the run `number`, which begins from the layers of the run in the folder `last`, where there is one.
fn settings(
    shared: &Shared,
    start: &Start,
    sources: &TrainingImages<'_>,
    number: u64,
    last: Option<&Path>,
) -> Result<Settings> {
    let mut settings = sources.lay_out(number)?;
    settings.device.clone_from(&shared.device);
    settings.depth = start.depth.layers();
    let chooses_layers = start.settings.keys().any(|name| LAYERS.contains(&name.as_str()));
    if let Some(folder) = last.filter(|_| !chooses_layers) {
        settings.start_from(&folder.display().to_string())?;
    }
    if sources.slices() >= FEWEST_SLICES {
        settings.val_fraction = Some(ASIDE);
    }
    // The layers of an earlier run take images as it did.
    let is_free = |name: &str| settings.init.is_none() || !name.starts_with("normalise");
    let wanted: Vec<_> = start.settings.iter().filter(|(name, _)| is_free(name)).collect();
    wanted.into_iter().try_for_each(|(name, text)| settings.set(name, text))?;
    without_limits(&mut settings);
    Ok(settings)
}

/// Checks the settings of a start.
///
/// # Errors
/// [`Error::Setting`] for settings that cannot be used, among them all that name files.
pub(super) fn check(start: &Start) -> Result<()> {
    let mut settings = Settings::in_memory(TaskKind::Regress);
    settings.depth = start.depth.layers();
    for (name, text) in &start.settings {
        let known = Settings::all().find(|setting| setting.name() == name);
        let names_files = known.is_some_and(|setting| {
            (setting.is_for_files() && !OF_FILES.contains(&name.as_str()))
                || setting.kind() == ValueKind::Path
        });
        if names_files || name == "task" {
            let wanted = "the page learns from the images of the project; leave it out";
            return Err(Error::setting(name, "given", wanted));
        }
        if NOT_SHOWN.contains(&name.as_str()) {
            let wanted = "the page shows networks that see one slice at a time; leave it out, or train by `msd-gpu train`";
            return Err(Error::setting(name, "given", wanted));
        }
        // What is about images in files can only be read here: whether it fits is seen with them.
        match OF_FILES.contains(&name.as_str()) {
            true => Settings::in_memory(TaskKind::Regress).set(name, text)?,
            false => settings.set(name, text)?,
        }
    }
    settings.validate()
}

fn note(learns_from: LearnsFrom, has_score: bool) -> String {
    if !has_score {
        return format!(
            "no score: with at least {FEWEST_SLICES} images or slices, one of five is set aside for it"
        );
    }
    let by = match learns_from {
        LearnsFrom::Pairs => {
            "how near the result is to clean images that are set aside and not trained on (one of five)"
        }
        LearnsFrom::Splits => {
            "how near the result is to the other recordings of slices that are set aside (one of five); these are noisy themselves, so that it stays low"
        }
        LearnsFrom::Alone => {
            "how well hidden pixels of images that are set aside (one of five) are predicted; these are noisy themselves, so that it stays low"
        }
    };
    format!("PSNR in decibels: {by}")
}

/// Shows the network between steps.
struct Watching<'a> {
    shower: Shower<'a>,
    /// The name of the run's folder.
    run: String,
    /// The first step of this sitting.
    first: Option<u64>,
    rests: bool,
    ends: &'a Cell<bool>,
    gains: &'a RefCell<Gains>,
}

impl Session for Watching<'_> {
    fn stepped(&mut self, step: u64, network: &mut Snapshot<'_>) -> Result<()> {
        if self.first.is_none() {
            self.first = Some(step);
            self.gains.borrow_mut().begin(step);
        }
        self.rests |= self.gains.borrow().may_rest(step);
        self.ends.set(self.ends.get() || self.rests);
        let since = step + 1 - self.first.unwrap_or(step).min(step);
        self.shower.stepped(since, network, &[("run", &self.run)])
    }
}

/// The model file of the network: the best one so far, as `msd-gpu train` gives it, or before the first that was judged, the one of now.
pub(super) fn model_file(shared: &Shared) -> Option<PathBuf> {
    let shown = shared.model()?;
    let run = shown.provenance.get("run")?.clone();
    let best = Model::read(&shared.project.folder().join("runs").join(&run)).ok();
    let mut model = best.unwrap_or(shown);
    let steps = model.provenance.get("steps")?.clone();
    let path = shared.project.folder().join("models").join(format!("{run}-{steps}.safetensors"));
    model.provenance.insert("run".into(), run);
    match model.to_bytes().and_then(|bytes| write_bytes_atomic(&path, &bytes)) {
        Ok(()) => Some(path),
        Err(error) => {
            log::warn!("{error}");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_name_files_are_refused() {
        let with = |name: &str, text: &str| {
            check(&Start { settings: [(name.to_owned(), text.to_owned())].into(), ..Start::default() })
        };
        for name in [
            "images",
            "targets",
            "pairs",
            "splits",
            "val_images",
            "weights",
            "init",
            "axes",
            "raw",
            "task",
            "slab",
        ] {
            let error = with(name, "1").unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
        for (name, text) in [
            ("depth", "4"),
            ("blind_mask", "point"),
            ("scheme", "1:x"),
            ("val_fraction", "0.5"),
            ("lr", "0.01"),
        ] {
            with(name, text).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        assert!(
            with("depth", "0x").is_err()
                && with("nonsense", "1").is_err()
                && with("blind_mask", "no").is_err()
        );
    }
}
