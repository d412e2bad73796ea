//! Training while labels are drawn.
//!
//! One thread trains and applies the network to what people look at, so that the two never take the device from each other. It does
//! what is noted in the shared state, which the threads that answer pages change.
//!
//! - `state`: what the threads have in common.
//! - `labelled`: labels as training takes them, and those that are set aside to score by.
//! - `curve`: the curve of a run of an earlier server.
//! - `denoising`: training of networks that denoise, on images as they are.
//! - `gains`: whether training still makes the network better.
//! - `learning`: the thread; a run that takes labels between two steps.
//! - `showing`: what is shown and told of a run while it goes on.
//! - `looking`: the network applied to what people look at; where it is least sure.
//! - `repeat`: the same training once more, from the journal ([`repeat()`]).
//! - `results`: what it gave, in tiles.

mod curve;
mod denoising;
mod gains;
mod labelled;
mod learning;
mod looking;
mod repeat;
mod results;
mod showing;
mod state;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};

use super::events::Events;
use super::project::{Project, Region};
use crate::files::write_bytes_atomic;
use crate::network::{Model, TaskKind};
use crate::training::Settings;
use crate::{Error, Result};
use state::Shared;

pub use labelled::Skipped;
pub use repeat::repeat;
pub use results::{Tile, What};

/// How deep a network is trained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Depth {
    /// As the device and the images suggest.
    #[default]
    Auto,
    /// Fast.
    Small,
    /// Slower, and better in the end.
    Large,
}

impl Depth {
    /// The word for it, as pages and projects write it.
    fn word(self) -> &'static str {
        match self {
            Depth::Auto => "auto",
            Depth::Small => "small",
            Depth::Large => "large",
        }
    }

    /// That of a word; `None` for others.
    fn of(word: &str) -> Option<Self> {
        [Depth::Auto, Depth::Small, Depth::Large].into_iter().find(|depth| depth.word() == word)
    }

    /// How many layers; `None` for what suits the labels.
    fn layers(self) -> Option<usize> {
        match self {
            Depth::Auto => None,
            Depth::Small => Some(10),
            Depth::Large => Some(50),
        }
    }
}

/// How training is to be started.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// How deep the network is.
    #[serde(default)]
    pub depth: Depth,
    /// Settings of training by name, as text.
    #[serde(default)]
    pub settings: std::collections::BTreeMap<String, String>,
}

/// How training goes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// `idle`, `starting`, `running`, `paused`, `resting` or `failed`.
    pub state: &'static str,
    /// What there is to say of it.
    pub message: Option<String>,
    /// How deep the network is.
    pub depth: Depth,
    /// Steps made.
    pub step: u64,
    /// Seconds of training.
    pub seconds: f64,
    /// Steps a second, lately.
    pub steps_a_second: f64,
    /// The loss, lately.
    pub loss: Option<f64>,
    /// The mean intersection over union on labels that were set aside; of networks that denoise the PSNR in decibels.
    pub score: Option<f64>,
    /// What the score is of.
    pub score_note: String,
    /// The last entry of the journal that training has seen.
    pub journal_seq: u64,
    /// Whether there is a model.
    pub model: bool,
    /// What was chosen, in lines.
    pub chosen: Vec<String>,
    /// Images that are labelled, but cannot be trained on.
    pub skipped: Vec<Skipped>,
    /// Step, loss and score.
    pub curve: Vec<(u64, f64, Option<f64>)>,
}

/// What a person looks at.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct View {
    /// The tab.
    pub tab: String,
    /// The image.
    pub image: String,
    /// The slice.
    pub slice: usize,
    /// The first column, in pixels.
    pub x: usize,
    /// The first row.
    pub y: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl Status {
    /// Before anything was trained.
    fn idle() -> Self {
        Self {
            state: "idle",
            message: None,
            depth: Depth::Auto,
            step: 0,
            seconds: 0.0,
            steps_a_second: 0.0,
            loss: None,
            score: None,
            score_note: String::new(),
            journal_seq: 0,
            model: false,
            chosen: Vec::new(),
            skipped: Vec::new(),
            curve: Vec::new(),
        }
    }
}

/// Settings of what is set aside for validation.
const ASIDE: [&str; 3] = ["val_fraction", "folds", "fold"];

/// Training while labels are drawn.
#[derive(Debug)]
pub struct Live {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Live {
    /// For `project`, on the device that is asked for; what happens is told to `events`. A network that was trained when the project was
    /// closed is trained on.
    pub fn new(project: Arc<Project>, events: Events, device: String) -> Self {
        let shared = Arc::new(Shared::new(project, events, device));
        if let Some(kept) = kept(&shared.project) {
            shared.report(false, |status| status.depth = kept.depth);
            match checked(&shared.project, &kept) {
                _ if !shared.project.training().1 => {}
                Ok(()) => shared.start(kept),
                Err(error) => log::warn!("training does not go on by itself: {error}"),
            }
        }
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("training".into()).spawn(move || {
            let work = std::panic::AssertUnwindSafe(|| learning::work(&own));
            if std::panic::catch_unwind(work).is_err() {
                own.fail("training has ended by a fault of the program; start the server anew".into());
            }
        });
        let thread = match thread {
            Ok(thread) => Some(thread),
            Err(error) => {
                shared.fail(format!("there is no thread for training: {error}"));
                None
            }
        };
        Self { shared, thread: Mutex::new(thread) }
    }

    /// Starts training, or goes on with it.
    ///
    /// # Errors
    /// [`Error::Setting`] for settings that cannot be used; [`Error::Mismatch`] where images are missing that a denoising network could
    /// learn from; [`Error::Output`] where it cannot be kept.
    pub fn start(&self, wish: Start) -> Result<()> {
        checked(&self.shared.project, &wish)?;
        if self.shared.project.denoises() {
            // What is missing is said at once.
            self.shared.project.training_images()?;
        }
        self.shared.project.keep_training(wish.depth.word(), true, wish.settings.clone())?;
        self.shared.start(wish);
        Ok(())
    }

    /// Why the network that there is cannot be trained on as is wished; `None` where it can be, and where there is none.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn conflict(&self, wish: &Start) -> Result<Option<String>> {
        checked(&self.shared.project, wish)?;
        let Some(kept) = kept(&self.shared.project).filter(|kept| kept != wish) else { return Ok(None) };
        if self.shared.model().is_none() && learning::runs(&self.shared).0.is_none() {
            return Ok(None);
        }
        let mut parts = vec![format!("depth {}", kept.depth.word())];
        parts.extend(kept.settings.iter().map(|(name, text)| format!("{name} {text}")));
        Ok(Some(format!(
            "the network that there is was started with other settings: {}; choose these to train it on, or start anew",
            parts.join(", ")
        )))
    }

    /// Pauses training.
    ///
    /// # Errors
    /// [`Error::Output`] where it cannot be kept that it pauses.
    pub fn pause(&self) -> Result<()> {
        self.shared.pause();
        let project = &self.shared.project;
        project.keep_training(&project.training().0, false, project.settings())
    }

    /// Forgets the network, so that the next start is from nothing. The folder of its run stays.
    ///
    /// # Errors
    /// [`Error::Output`] where it cannot be kept that there is none.
    pub fn forget(&self) -> Result<()> {
        self.shared.forget();
        let project = &self.shared.project;
        project.keep_training("", false, project.settings())
    }

    /// Whether the thread trains, or is to.
    pub fn is_busy(&self) -> bool {
        self.shared.goes_on()
    }

    /// How training goes.
    pub fn status(&self) -> Status {
        self.shared.status()
    }

    /// Labels have changed.
    pub fn labels_changed(&self) {
        self.shared.wake();
    }

    /// Images were added, or are learnt from otherwise than before: training that rests is worth another try in a project that denoises,
    /// where these are what is learnt from.
    pub fn images_changed(&self) {
        if self.shared.project.denoises() {
            self.shared.rest_no_more();
        }
    }

    /// A person looks at a part of an image.
    pub fn look_at(&self, view: View) {
        self.shared.look_at(view);
    }

    /// Where the network is least sure; `None` before there is one. Takes as long as applying it to the images.
    ///
    /// # Errors
    /// What comes of reading images, and what the device refuses.
    pub fn least_sure(&self) -> Result<Option<(Region, f32)>> {
        if self.shared.model().is_none() {
            return Ok(None);
        }
        self.shared.search().map_err(Error::Mismatch)
    }

    /// A tile of results; `None` where there is no such tile.
    ///
    /// # Errors
    /// None.
    pub fn result_tile(
        &self,
        image: &str,
        slice: usize,
        level: u32,
        ty: usize,
        tx: usize,
        what: What,
    ) -> Result<Option<Tile>> {
        let Some(known) = self.shared.project.image(image).filter(|known| slice < known.slices) else {
            return Ok(None);
        };
        Ok(self.shared.tile((image, slice), (known.height, known.width), (level, ty, tx), what))
    }

    /// What the network gave for pixels of a slice, by their rows and columns, as far as it was computed; and its version.
    pub(in crate::portal) fn pixels(
        &self,
        (image, slice): (&str, usize),
        places: impl Iterator<Item = (usize, usize)>,
        what: What,
    ) -> (Vec<u8>, u64) {
        self.shared.pixels((image, slice), places, what)
    }

    /// The hash of the journal that the network has seen, and its file, where there is one.
    pub fn seen(&self) -> Option<(String, PathBuf)> {
        let model = self.shared.model()?;
        let hash = model.provenance.get("journal")?.rsplit(' ').next()?.to_owned();
        Some((hash, self.model_file()?))
    }

    /// The model file as it is now, where there is one.
    pub fn model_file(&self) -> Option<PathBuf> {
        if self.shared.project.denoises() {
            return denoising::model_file(&self.shared);
        }
        let model = self.shared.model()?;
        let path = model_path(&self.shared.project, &model);
        let written = model.to_bytes().and_then(|bytes| write_bytes_atomic(&path, &bytes));
        match written {
            Ok(()) => Some(path),
            Err(error) => {
                log::warn!("{error}");
                None
            }
        }
    }

    /// Ends training in good order: what was learnt is saved.
    pub fn close(&self) {
        self.shared.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            log::warn!("training has ended by a fault; what was saved before stays");
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.close();
    }
}

/// How training was started last in a project; `None` where it was not.
fn kept(project: &Project) -> Option<Start> {
    Some(Start { depth: Depth::of(&project.training().0)?, settings: project.settings() })
}

/// Checks the settings of a start.
///
/// # Errors
/// [`Error::Setting`] for settings that cannot be used.
fn checked(project: &Project, wish: &Start) -> Result<()> {
    if project.denoises() {
        return denoising::check(wish);
    }
    let mut settings = Settings::in_memory(TaskKind::Segment);
    settings.depth = wish.depth.layers();
    wish.settings.iter().try_for_each(|(name, text)| settings.set(name, text))?;
    if let Some(name) = wish.settings.keys().find(|name| ASIDE.contains(&name.as_str())) {
        let wanted = "the page sets labels aside by itself to score the network; leave it out";
        return Err(Error::setting(name, "given", wanted));
    }
    settings.validate()
}

/// The file for `model`: by the journal that it has seen, and its steps.
fn model_path(project: &Project, model: &Model) -> PathBuf {
    let entry = |name: &str| model.provenance.get(name).map_or("", String::as_str);
    let hash = entry("journal").rsplit(' ').next().unwrap_or("");
    let name = format!("{}-{}.safetensors", &hash[..hash.len().min(12)], entry("steps"));
    project.folder().join("models").join(name)
}

#[cfg(test)]
mod tests;
