//! A project: a folder of plain files, of which one server at a time takes care.
//!
//! - `again`: how a model of the page is made again.
//! - `about`: `project.toml`: the name, the images and the settings ([`Image`]).
//! - `places`: which folders images may be taken from.
//! - `purpose`: whether images are segmented or denoised, and what a denoising network learns from.
//! - `images`: images that are added and taken out. `stacks`: those whose slices are files.
//! - `drawing`: entries that are added to the journal, undo, redo and classes.
//! - `sample`: made-up images for a project that denoises.
//! - `training_images`: the images that a denoising network learns from, as training names them.
//! - `looking`: tiles, labels and strokes, for pages.
//! - `planes`: the labels of all slices at one moment, for training.
//! - `exchange`: labels to files. `imports`: labels from files, and which class each value stands for.
//! - `pixels`: labels of Labkit and ilastik, which are pixels with names of classes.
//! - `written`: which labels these files have, also after a crash.

mod about;
mod again;
mod drawing;
mod exchange;
mod images;
mod imports;
mod looking;
mod pixels;
mod places;
mod planes;
mod purpose;
mod sample;
mod stacks;
mod training_images;
mod written;

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ndarray::Array2;

pub use about::{Came, Image};
pub(in crate::portal) use again::{Seen, steps_of};
pub(in crate::portal) use drawing::{Done, SERVER};
pub(in crate::portal) use imports::{Laid, Meanings, meanings};
pub use looking::Painted;
pub(in crate::portal) use planes::Planes;
pub use purpose::{Aim, LearnsFrom, Role};
pub(in crate::portal) use training_images::TrainingImages;

use about::About;
use places::Places;
use written::Written;

pub use super::journal::Class;
use super::journal::{Entry, History, ImageChange, JournalFile, Line, Shape, check_name};
use super::labels::{Given, Labels, Source};
pub use super::labels::{Rect, Region, Run};
use super::tiles::Tiles;
use crate::files::{FolderLock, make_and_try, remove_unfinished};
use crate::geometry::Window;
use crate::images::{ImageCache, ImageSource};
use crate::{Error, Result};

/// The folders of a project.
const FOLDERS: [&str; 6] = ["images", "labels", "runs", "models", "results", "cache"];
/// The changes of so many entries are remembered.
const MOST_CHANGES: usize = 10_000;

/// A project that is open. All methods may be called from any thread.
#[derive(Debug)]
pub struct Project {
    folder: PathBuf,
    places: Places,
    tiles: Tiles,
    imports: Imports,
    /// Files in `images/` that were named since the project was opened, so that two that come at once have names of their own.
    given_names: Mutex<HashSet<PathBuf>>,
    /// Held while labels are written to a file, so that two who ask at once do not write the same one.
    writing: Mutex<()>,
    state: Mutex<State>,
    /// Held as long as the project is open to be changed; `None` for one that is read alone.
    lock: Option<FolderLock>,
}

/// What changes while a project is open.
#[derive(Debug)]
struct State {
    about: About,
    journal: JournalFile,
    history: History,
    labels: Labels,
    /// What the latest entries have changed.
    changes: VecDeque<(u64, Vec<Region>)>,
    /// The entry behind which all changes are remembered.
    changes_from: u64,
    /// The labels that files of images have.
    written: Written,
}

/// Label files that were laid over.
#[derive(Debug)]
struct Imports {
    files: ImageCache,
    opened: Mutex<HashMap<String, Arc<Vec<ImageSource>>>>,
    /// Held while a file is laid over, so that two have numbers of their own.
    numbering: Mutex<()>,
}

/// Where labels find images.
struct Sources<'a> {
    about: &'a About,
    project: &'a Project,
}

impl Source for Sources<'_> {
    fn shape(&self, image: &str) -> Option<Shape> {
        // The strokes on an image that was taken out are still there.
        self.about.images.iter().find(|known| known.id == image).map(Image::shape)
    }

    fn grey(&self, image: &str, slice: usize, part: &Window) -> Result<Array2<f32>> {
        let image = self.about.images.iter().find(|known| known.id == image);
        let image = image.ok_or_else(|| Error::Mismatch("there is no such image in the project".into()))?;
        self.project.tiles.grey(&image.file(&self.project.folder), slice, part)
    }

    fn imported(&self, file: &str, slice: usize) -> Result<Vec<(u8, Vec<Run>)>> {
        self.project.imported(file, slice)
    }
}

impl State {
    /// The labels, and what they follow from.
    fn labels<'a>(&'a mut self, project: &'a Project) -> (&'a mut Labels, &'a History, Sources<'a>) {
        let Self { about, history, labels, .. } = self;
        (labels, history, Sources { about, project })
    }

    /// Does something with the labels and what they follow from.
    fn with_labels<T>(&mut self, project: &Project, work: impl FnOnce(&mut Labels, &Given<'_>) -> T) -> T {
        let (labels, history, source) = self.labels(project);
        work(labels, &Given { history, source: &source })
    }
}

impl Project {
    /// Opens the project in `folder`, or makes one there; images may be taken from the folders `allowed`.
    ///
    /// # Errors
    /// [`Error::Output`] where another server has it, or it takes no files; [`Error::Input`] for files that are damaged.
    pub fn open(folder: &Path, allowed: &[PathBuf]) -> Result<Self> {
        let is_new = !folder.join("project.toml").exists();
        if is_new && folder.join("journal.jsonl").exists() {
            let problem = "there is a journal but no project.toml; put back a copy of it";
            return Err(Error::input(folder, problem));
        }
        if is_new {
            check_is_no_other_folder(folder)?;
            make_and_try(folder).map_err(as_project)?;
        }
        let folder = folder.canonicalize().map_err(|error| {
            Error::input(folder, format!("the folder cannot be opened: {error}")).caused_by(error)
        })?;
        let lock = FolderLock::take(&folder).map_err(as_project)?;
        for name in FOLDERS {
            let path = folder.join(name);
            std::fs::create_dir_all(&path).map_err(|error| {
                Error::output(&path, format!("the folder cannot be made: {error}")).caused_by(error)
            })?;
            remove_unfinished(&path);
        }
        stacks::remove_left(&folder);
        remove_unfinished(&folder);
        // Images of the roles of a denoising project have folders of their own.
        for role in std::fs::read_dir(folder.join("images")).into_iter().flatten().flatten() {
            if role.file_type().is_ok_and(|kind| kind.is_dir()) {
                remove_unfinished(role.path());
            }
        }
        let file = folder.join("project.toml");
        let about = if is_new {
            let name = folder
                .file_name()
                .map_or_else(|| "project".into(), |name| name.to_string_lossy().into_owned());
            let about = About::new(if check_name(&name).is_ok() { name } else { "project".into() });
            about.write(&file)?;
            about
        } else {
            About::read(&file)?
        };
        let journal = JournalFile::open(&folder.join("journal.jsonl"))?;
        let places = Places::new(&folder, allowed)?;
        let project = Self::with(folder, places, about, journal, Some(lock))?;
        project.write_down_removed()?;
        Ok(project)
    }

    /// Images that were taken out before the journal said so: from now on it does.
    fn write_down_removed(&self) -> Result<()> {
        let unsaid: Vec<String> = {
            let state = self.state();
            let images = state.about.images.iter().filter(|image| image.removed);
            let unsaid = images.filter(|image| state.history.is_removed(&image.id).is_none());
            unsaid.map(|image| image.id.clone()).collect()
        };
        let mut state = self.state();
        for image in unsaid {
            let change = Entry::Image(ImageChange { image, removed: true });
            state.write(self, SERVER, vec![change], Vec::new())?;
        }
        Ok(())
    }

    /// Opens the project in `folder` as it was after the entry of the journal whose hash begins with `hash`, or as it is where that is
    /// empty, to be read alone. Images that were taken out since are there. A server may have it meanwhile.
    ///
    /// # Errors
    /// [`Error::Input`] for files that cannot be read, and where no entry has this hash.
    pub fn as_of(folder: &Path, hash: &str) -> Result<Self> {
        let folder = folder.canonicalize().map_err(|error| {
            Error::input(folder, format!("the folder cannot be opened: {error}; name that of a project"))
                .caused_by(error)
        })?;
        let mut about = About::read(&folder.join("project.toml"))?;
        // The file says what is there today; what was there then, the journal says.
        about.images.iter_mut().for_each(|image| image.removed = false);
        let journal = JournalFile::as_of(&folder.join("journal.jsonl"), hash)?;
        let places = Places::new(&folder, &[])?;
        Self::with(folder, places, about, journal, None)
    }

    fn with(
        folder: PathBuf,
        places: Places,
        about: About,
        (journal, lines): (JournalFile, Vec<Line>),
        lock: Option<FolderLock>,
    ) -> Result<Self> {
        let written = lock.as_ref().map_or_else(Written::default, |_| Written::read(&folder, &journal));
        let history = History::of(lines)?;
        let changes_from = journal.seq();
        let mut state = State {
            about,
            journal,
            history,
            labels: Labels::default(),
            changes: VecDeque::new(),
            changes_from,
            written,
        };
        state.take_over_removed();
        let imports = Imports {
            files: ImageCache::new(256 << 20),
            opened: Mutex::default(),
            numbering: Mutex::default(),
        };
        Ok(Self {
            folder,
            places,
            tiles: Tiles::default(),
            imports,
            given_names: Mutex::default(),
            writing: Mutex::default(),
            state: Mutex::new(state),
            lock,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folder of the project, without links and dots.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What tells the project from all others that may be served at the same address.
    pub(in crate::portal) fn id(&self) -> String {
        // A copy of a project has the number too.
        format!("{} {}", self.state().about.id, self.folder.display())
    }

    /// The name for people.
    pub fn name(&self) -> String {
        self.state().about.name.clone()
    }

    /// Gives the project another name.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for what is no name on a line, [`Error::Output`] where it cannot be written.
    pub fn rename(&self, name: &str) -> Result<()> {
        check_name(name)?;
        self.change_about(|about| name.clone_into(&mut about.name))
    }

    /// # Errors
    /// [`Error::Mismatch`] for a project that is read alone.
    fn check_may_change(&self) -> Result<()> {
        match self.lock {
            Some(_) => Ok(()),
            None => Err(Error::Mismatch("the project was opened to be read, not to be changed".into())),
        }
    }

    /// Changes `project.toml`: on the disk first.
    fn change_about(&self, change: impl FnOnce(&mut About)) -> Result<()> {
        self.check_may_change()?;
        let mut state = self.state();
        let mut about = state.about.clone();
        change(&mut about);
        about.classes = state.history.classes().cloned().collect();
        about.write(&self.folder.join("project.toml"))?;
        state.about = about;
        Ok(())
    }

    /// The settings of training that are kept, by name, as text.
    pub fn settings(&self) -> std::collections::BTreeMap<String, String> {
        self.state().about.training.clone()
    }

    /// How training was started last: the word for how deep the network is, which is empty where there was no start, and whether
    /// it is to go on.
    pub fn training(&self) -> (String, bool) {
        let state = self.state();
        (state.about.depth.clone(), state.about.trains)
    }

    /// Keeps how training was started: how deep the network is, whether it is trained, and the settings.
    ///
    /// # Errors
    /// [`Error::Output`] where that cannot be written.
    pub fn keep_training(
        &self,
        depth: &str,
        trains: bool,
        settings: std::collections::BTreeMap<String, String>,
    ) -> Result<()> {
        if self.training() == (depth.to_owned(), trains) && self.settings() == settings {
            return Ok(());
        }
        self.change_about(|about| {
            (about.depth, about.trains, about.training) = (depth.to_owned(), trains, settings);
        })
    }

    /// The number and the hash of the last entry of the journal; 0 and nothing before the first.
    pub fn journal_state(&self) -> (u64, String) {
        let state = self.state();
        (state.journal.seq(), state.journal.hash().to_owned())
    }

    /// The lines of the journal from the entry `seq` on.
    ///
    /// # Errors
    /// [`Error::Input`] where it cannot be read.
    pub fn journal_from(&self, seq: u64) -> Result<Vec<u8>> {
        self.state().journal.text_from(seq)
    }

    /// The classes that there are, in order of their numbers.
    pub fn classes(&self) -> Vec<Class> {
        self.state().history.classes().cloned().collect()
    }

    /// The class of a number that was removed, as it was.
    pub(in crate::portal) fn removed_class(&self, number: u8) -> Option<Class> {
        self.state().history.removed_class(number).cloned()
    }

    /// The images that there are, in the order in which they came.
    pub fn images(&self) -> Vec<Image> {
        self.state().about.images().cloned().collect()
    }

    /// The images that were taken out and can be put back, the latest first.
    pub fn taken_out(&self) -> Vec<Image> {
        let state = self.state();
        state.about.images.iter().rev().filter(|image| image.removed).cloned().collect()
    }

    /// The image `id`, where there is one.
    pub fn image(&self, id: &str) -> Option<Image> {
        self.state().about.image(id).cloned()
    }
}

/// Refuses a folder that holds other things, so that a slip of the pen makes no project of a home folder.
fn check_is_no_other_folder(folder: &Path) -> Result<()> {
    let Ok(mut entries) = std::fs::read_dir(folder) else { return Ok(()) };
    if entries.any(|entry| entry.is_ok_and(|entry| !entry.file_name().to_string_lossy().starts_with('.'))) {
        return Err(Error::input(
            folder,
            "holds other files and no project.toml; name a folder that is a project, is empty or is not there yet",
        ));
    }
    Ok(())
}

/// An error of a folder for results, as one of a folder for a project.
fn as_project(error: Error) -> Error {
    match error {
        Error::Output { path, problem, cause } => {
            let problem = problem
                .replace("`out`", "`project`")
                .replace("another run of msd-gpu is writing there", "another msd-gpu has it open");
            Error::Output { path, problem, cause }
        }
        other => other,
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod exchange_tests;
