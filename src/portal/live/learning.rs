//! The thread that trains: a run that takes new labels between two steps, and shows what it has learnt.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::Start;
use super::curve;
use super::denoising;
use super::gains::Gains;
use super::labelled::{Gatherer, Labelled, Skipped};
use super::looking::ViewPredictor;
use super::showing::{Reporter, Shower, metric};
use super::state::{Next, Shared};
use crate::devices::{self, Device};
use crate::network::{Model, TaskKind};
use crate::training::{Prepared, Relabelled, Run, RunFolder, Session, Settings, Snapshot, StopReason};
use crate::{Error, Result};

/// More steps than anybody will make: a run ends when it is paused, or rests.
const NO_END: u64 = 1 << 40;
/// How long a showing takes while training does not go on.
const LOOKED_FOR: Duration = Duration::from_millis(500);
/// Between two times that labels are gathered, training goes on for so many times as long as that takes.
const GATHER_SHARE: u32 = 2;
/// Settings that say what layers a network has.
pub(super) const LAYERS: [&str; 6] = ["depth", "width", "dilations", "boundary", "stem", "slab"];

/// Does what is wanted until it is to end.
pub(super) fn work(shared: &Shared) {
    let mut looker = ViewPredictor::new();
    let mut gatherer = Gatherer::default();
    if let Err(error) = open_last(shared, &mut looker) {
        shared.report(true, |status| status.message = Some(error.to_string()));
    }
    loop {
        match shared.next(looker.is_open()) {
            Next::Close => return,
            Next::Forget => {
                looker.close();
                shared.keep(None);
                let forgotten = forget_last(shared);
                shared.report(true, |status| {
                    // Whoever has asked for the next network meanwhile has said how deep it is to be.
                    let (depth, state) = (status.depth, status.state);
                    *status = super::Status { depth, ..super::Status::idle() };
                    if state == "starting" {
                        status.state = state;
                    }
                    status.message = forgotten.err().map(|error| error.to_string());
                });
            }
            Next::Search => shared.found(looker.least_sure(shared).map_err(|error| error.to_string())),
            Next::Look => {
                if !looker.look(shared, LOOKED_FOR) {
                    shared.look_again();
                }
            }
            Next::Train(start) => {
                let learnt = match shared.project.denoises() {
                    true => denoising::learn(shared, &start, &mut looker),
                    false => learn(shared, &start, &mut looker, &mut gatherer),
                };
                learnt.unwrap_or_else(|error| shared.fail(error.to_string()));
            }
        }
    }
}

/// The folder of the last run that was not forgotten, and the number of the next one.
pub(super) fn runs(shared: &Shared) -> (Option<PathBuf>, u64) {
    let folder = shared.project.folder().join("runs");
    let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    let number = |name: &str| name.strip_prefix("live-")?.parse::<u64>().ok();
    let numbers = entries.filter_map(|entry| number(entry.file_name().to_str()?)).collect::<BTreeSet<u64>>();
    let last = numbers.last().copied().unwrap_or(0);
    let paths = numbers.into_iter().rev().map(|number| folder.join(format!("live-{number}")));
    // A folder without a run says that those before it are forgotten; a run that was killed before it had a model says nothing.
    let mut kept = paths.take_while(|path| path.join("config.toml").exists());
    (kept.find(|path| path.join("model.safetensors").exists()), last + 1)
}

/// So that the next run begins from nothing: the number after the last one is taken by an empty folder.
fn forget_last(shared: &Shared) -> Result<()> {
    let path = shared.project.folder().join("runs").join(format!("live-{}", runs(shared).1));
    std::fs::create_dir_all(&path).map_err(|error| Error::output(&path, error.to_string()).caused_by(error))
}

/// Shows the network of an earlier sitting.
pub(super) fn open_last(shared: &Shared, looker: &mut ViewPredictor) -> Result<()> {
    let (Some(folder), _) = runs(shared) else { return Ok(()) };
    let mut model = Model::read(&folder)?;
    // As the models that a run shows say it.
    let seen = model.provenance.get("labels").and_then(|labels| labels.rsplit(", ").next());
    let seen = seen.and_then(|last| last.split_once(" from step")).map(|(seen, _)| journal_of(seen));
    if let Some(seen) = seen {
        model.provenance.insert("journal".into(), seen);
    }
    if let Some(name) = folder.file_name() {
        model.provenance.insert("run".into(), name.to_string_lossy().into_owned());
    }
    let step = model.provenance.get("steps").and_then(|text| text.parse().ok()).unwrap_or(1);
    looker.update(model.clone(), &devices::choose(&shared.device)?)?;
    shared.keep(Some(model));
    let (curve, seconds) = curve::read(&folder, metric(shared.project.denoises()));
    let goes_on = shared.goes_on();
    shared.report(true, |status| {
        (status.state, status.step) = (if goes_on { "starting" } else { "paused" }, step);
        if status.curve.is_empty() {
            (status.curve, status.seconds) = (curve, seconds);
        }
    });
    Ok(())
}

/// The journal in what a run is told of labels, without how they are divided.
fn journal_of(version: &str) -> String {
    version.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// Trains until it is to end, or rests.
fn learn(shared: &Shared, start: &Start, looker: &mut ViewPredictor, gatherer: &mut Gatherer) -> Result<()> {
    let device = devices::choose(&shared.device)?;
    loop {
        let labelled = gatherer.gather(&shared.project)?;
        let skipped = labelled.skipped.clone();
        shared.report(false, |status| status.skipped = skipped);
        if labelled.present.len() < 2 {
            let message = match labelled.skipped.first() {
                None => "paint a few strokes of at least two classes; training begins by itself then".into(),
                Some(Skipped { name, reason, .. }) => format!(
                    "without the images that cannot be used there are not labels of two classes; {name}: {reason}"
                ),
            };
            shared.rest(labelled.seq, message);
            return Ok(());
        }
        let mut sitting = Sitting::begin(shared, start, &device, labelled)?;
        let ended = sitting.train(looker, gatherer)?;
        // A run that ended before it showed its network has saved it.
        if shared.model().is_none() {
            open_last(shared, looker)?;
        }
        match ended {
            Ended::OtherClasses => {}
            Ended::Rests(seq) => {
                let message = "with these labels the network becomes no better any more: training rests, and goes on with the next stroke";
                shared.rest(seq, message.into());
                return Ok(());
            }
            Ended::Stopped => {
                shared.report(true, |status| status.state = "paused");
                return Ok(());
            }
        }
    }
}

/// Why a sitting has ended.
enum Ended {
    Stopped,
    Rests(u64),
    /// A class was drawn that the network has no output for.
    OtherClasses,
}

/// A run, from its start or where it goes on to its end or pause.
struct Sitting<'a> {
    shared: &'a Shared,
    device: &'a Device,
    settings: Settings,
    prepared: Prepared,
    folder: RunFolder,
    goes_on: bool,
    /// The class numbers of the network's outputs.
    numbers: BTreeSet<u8>,
    labelled: Labelled,
}

impl<'a> Sitting<'a> {
    /// Goes on with the last run where its classes are those of the labels; else begins a new one, from the layers of the last one.
    fn begin(shared: &'a Shared, start: &Start, device: &'a Device, labelled: Labelled) -> Result<Self> {
        let (last, next) = runs(shared);
        // A network that has made no step was prepared by labels that may be others now: it is prepared anew.
        let last = match last {
            Some(folder) if RunFolder::steps_made(&folder)? > 0 => Some((Model::read(&folder)?, folder)),
            _ => None,
        };
        let last = last.map(|(model, folder)| (folder, model));
        if let Some((folder, model)) = &last {
            let numbers: BTreeSet<u8> =
                model.classes().iter().filter_map(|class| u8::try_from(class.value).ok()).collect();
            // A class whose labels were all undone keeps its output.
            if labelled.present.is_subset(&numbers) {
                let mut settings = RunFolder::settings(folder)?;
                settings.device.clone_from(&shared.device);
                without_limits(&mut settings);
                let (training, validation) = labelled.sets(&numbers)?;
                let prepared = Prepared::going_on(&settings, training, validation, model.clone())?;
                let folder = RunFolder::open(folder)?;
                return Ok(Self {
                    shared,
                    device,
                    settings,
                    prepared,
                    folder,
                    goes_on: true,
                    numbers,
                    labelled,
                });
            }
        }
        let mut settings = Settings::in_memory(TaskKind::Segment);
        settings.device.clone_from(&shared.device);
        settings.depth = start.depth.layers();
        let chooses_layers = start.settings.keys().any(|name| LAYERS.contains(&name.as_str()));
        if let Some((folder, _)) = last.as_ref().filter(|_| !chooses_layers) {
            settings.start_from(&folder.display().to_string())?;
        }
        // The layers of an earlier run take images as it did.
        let is_free = |name: &str| settings.init.is_none() || !name.starts_with("normalise");
        let wanted: Vec<_> = start.settings.iter().filter(|(name, _)| is_free(name)).collect();
        wanted.into_iter().try_for_each(|(name, text)| settings.set(name, text))?;
        without_limits(&mut settings);
        shared.clear_results();
        shared.report(true, |status| {
            (status.step, status.seconds, status.loss, status.score) = (0, 0.0, None, None);
            status.curve.clear();
        });
        let numbers = labelled.present.clone();
        let (training, validation) = labelled.sets(&numbers)?;
        let task = Labelled::task(&shared.project, &numbers);
        let prepared = Prepared::new(&settings, training, validation, task)?;
        let folder = RunFolder::create(shared.project.folder().join("runs").join(format!("live-{next}")))?;
        Ok(Self { shared, device, settings, prepared, folder, goes_on: false, numbers, labelled })
    }

    fn train(&mut self, looker: &mut ViewPredictor, gatherer: &mut Gatherer) -> Result<Ended> {
        let Self { shared, prepared, labelled, .. } = self;
        let chosen = prepared.chosen().to_vec();
        let seq = labelled.seq;
        let has_score = prepared.validation.is_some();
        shared.report(true, |status| {
            (status.state, status.message, status.chosen) = ("running", None, chosen);
            status.journal_seq = seq;
            status.score_note = note(has_score);
            if !has_score {
                status.score = None;
            }
        });
        let (ends, gains) = (Cell::new(false), RefCell::new(Gains::new()));
        let mut drawing = Drawing {
            shared,
            prepared,
            settings: &self.settings,
            numbers: &self.numbers,
            shower: Shower::new(shared, self.device, looker),
            gatherer,
            seq,
            journal: labelled.journal(),
            run: self.folder.path().file_name().unwrap_or_default().to_string_lossy().into_owned(),
            // The run is told at once which labels these are, so that it is known from its first step on.
            given: Some(prepared.labels_called(labelled.version())),
            relabelled_at: 0,
            gathered: Instant::now(),
            gathering: Duration::ZERO,
            other_classes: false,
            rests: false,
            ends: &ends,
            gains: &gains,
        };
        let mut reporter = Reporter::new(shared, &ends, &gains);
        let run = Run::new(self.settings.clone(), prepared).on(self.device).save_in(&self.folder);
        let run = if self.goes_on { run.resume_relabelled() } else { run };
        let outcome = run.watched_by(&mut reporter).in_session(&mut drawing).train()?;
        if outcome.reason != StopReason::Asked {
            shared.pause();
        }
        Ok(match (drawing.other_classes, drawing.rests) {
            (true, _) => Ended::OtherClasses,
            (_, true) => Ended::Rests(drawing.seq),
            _ => Ended::Stopped,
        })
    }
}

/// A run ends where people say so, or rests: by no limit.
pub(super) fn without_limits(settings: &mut Settings) {
    settings.clear_limits();
    (settings.max_steps, settings.patience) = (Some(NO_END), 0);
}

fn note(has_score: bool) -> String {
    if has_score {
        "mean IoU on labels that are set aside and not trained on (one of five parts of each image)".into()
    } else {
        "no score yet: labels in one of five parts of each image are set aside for it; paint in several places".into()
    }
}

/// Takes labels as they are drawn, and shows the network.
struct Drawing<'a> {
    shared: &'a Shared,
    prepared: &'a Prepared,
    settings: &'a Settings,
    numbers: &'a BTreeSet<u8>,
    shower: Shower<'a>,
    gatherer: &'a mut Gatherer,
    /// The last entry of the journal that the labels follow from.
    seq: u64,
    /// The journal that they follow from.
    journal: String,
    /// The name of the run's folder.
    run: String,
    given: Option<Relabelled>,
    /// The step before which labels came last.
    relabelled_at: u64,
    /// When labels were gathered last, and how long that took.
    gathered: Instant,
    gathering: Duration,
    other_classes: bool,
    rests: bool,
    /// Whether what is drawn ends the run, which the watcher does.
    ends: &'a Cell<bool>,
    gains: &'a RefCell<Gains>,
}

impl Session for Drawing<'_> {
    fn labels(&mut self, step: u64) -> Result<Option<Relabelled>> {
        if let Some(given) = self.given.take() {
            self.begin(step);
            return Ok(Some(given));
        }
        // What a run begins with is what it is prepared for: later strokes wait for its first step.
        if step == 1 || self.shared.project.journal_state().0 == self.seq {
            self.rests |= self.gains.borrow().may_rest(step);
            self.ends.set(self.ends.get() || self.rests);
            return Ok(None);
        }
        // However fast strokes come, most of the time is for training.
        if self.gathered.elapsed() < self.gathering * GATHER_SHARE {
            return Ok(None);
        }
        let start = Instant::now();
        let relabelled = self.relabelled(step);
        (self.gathered, self.gathering) = (Instant::now(), start.elapsed());
        relabelled
    }

    fn stepped(&mut self, step: u64, network: &mut Snapshot<'_>) -> Result<()> {
        let since = step - self.relabelled_at.min(step);
        self.shower.stepped(since, network, &[("journal", &self.journal), ("run", &self.run)])
    }
}

impl Drawing<'_> {
    /// Other labels hold from the step `step` on.
    fn begin(&mut self, step: u64) {
        self.relabelled_at = step;
        self.gains.borrow_mut().begin(step);
    }

    /// The labels as they are now; `None` where the run goes on with those that it has.
    fn relabelled(&mut self, step: u64) -> Result<Option<Relabelled>> {
        let labelled = self.gatherer.gather(&self.shared.project)?;
        self.seq = labelled.seq;
        let skipped = labelled.skipped.clone();
        self.shared.report(false, |status| status.skipped = skipped);
        if labelled.present.len() < 2 {
            // Nearly all was undone: the network goes on with what it had.
            return Ok(None);
        }
        if !labelled.present.is_subset(self.numbers) {
            self.other_classes = true;
            self.ends.set(true);
            return Ok(None);
        }
        self.begin(step);
        self.journal = labelled.journal();
        let (training, validation) = labelled.sets(self.numbers)?;
        let has_score = validation.is_some();
        let relabelled = self.prepared.relabel(self.settings, training, validation, labelled.version())?;
        self.shared.report(true, |status| {
            status.journal_seq = labelled.seq;
            status.score_note = note(has_score);
            if !has_score {
                status.score = None;
            }
        });
        Ok(Some(relabelled))
    }
}
