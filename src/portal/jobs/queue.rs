//! The jobs of a project, and the thread that does them.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::job::{Format, Images, Job, State, Wish};
use super::looks::Classes;
use super::work::{Progress, work};
use crate::network::Model;
use crate::portal::cache::Cache;
use crate::portal::events::{Event, Events};
use crate::portal::project::{Project, Seen, steps_of};
use crate::portal::tiles::Tile;
use crate::{Error, Result};

/// The model that a job applies, in its folder.
pub(super) const MODEL: &str = "model.safetensors";
/// Most jobs of a project.
const MOST_JOBS: usize = 10_000;
/// Results of images that are kept open for those who look at them.
const MOST_OPEN: usize = 4;

/// The jobs of a project.
pub(in crate::portal) struct Jobs {
    shared: Arc<Shared>,
    /// The file of the model that jobs apply, where there is one.
    model: Box<dyn Fn() -> Option<PathBuf> + Send + Sync>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Jobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jobs").field("shared", &self.shared).finish_non_exhaustive()
    }
}

/// What the thread and those who ask have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) project: Arc<Project>,
    events: Events,
    pub(super) device: String,
    jobs: Mutex<Vec<Job>>,
    /// By the name of the job and the image.
    looked_at: Mutex<Cache<(String, String), Arc<Classes>>>,
    changed: Condvar,
    /// Whether the job that runs is to stop, and whether the server ends.
    stops: AtomicBool,
    closes: AtomicBool,
}

/// What became of a wish to stop a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::portal) enum Stopping {
    /// It stops, or will not begin.
    Stops,
    /// It was over already.
    Over,
    /// There is no such job.
    Unknown,
}

impl Jobs {
    /// Those of `project`, with `device` for the work; `model` gives the file of the model as it is now. What was running when the server
    /// ended goes on.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where the system gives no thread.
    pub(in crate::portal) fn open(
        project: Arc<Project>,
        model: impl Fn() -> Option<PathBuf> + Send + Sync + 'static,
        events: Events,
        device: String,
    ) -> Result<Self> {
        let mut jobs = Vec::new();
        let results = project.folder().join("results");
        for entry in std::fs::read_dir(&results).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if number_of(&name).is_none() {
                continue;
            }
            match Job::read(&entry.path()) {
                Ok(mut job) if job.job == name => {
                    if job.state == State::Running {
                        job.message = Some("goes on after the server was started anew".into());
                    }
                    jobs.push(job);
                }
                Ok(_) => {
                    log::warn!("{} holds a job of another name and is passed over", entry.path().display())
                }
                Err(error) => log::warn!("{error}"),
            }
        }
        jobs.sort_by_key(|job| number_of(&job.job));
        let shared = Arc::new(Shared {
            project,
            events,
            device,
            jobs: Mutex::new(jobs),
            looked_at: Mutex::new(Cache::new(MOST_OPEN)),
            changed: Condvar::new(),
            stops: AtomicBool::new(false),
            closes: AtomicBool::new(false),
        });
        let of_worker = shared.clone();
        let worker = std::thread::Builder::new().name("jobs".into()).spawn(move || of_worker.run());
        let worker = worker.map_err(|error| {
            Error::Mismatch(format!("no thread can be started for jobs: {error}; end other programs"))
        })?;
        Ok(Self { shared, model: Box::new(model), worker: Mutex::new(Some(worker)) })
    }

    /// All jobs, in order.
    pub(in crate::portal) fn all(&self) -> Vec<Job> {
        self.shared.jobs().clone()
    }

    /// The job of this name, where there is one.
    pub(in crate::portal) fn job(&self, name: &str) -> Option<Job> {
        self.shared.jobs().iter().find(|job| job.job == name).cloned()
    }

    /// Adds a job, with the model as it is now; gives its name. `None` where there is no model yet.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for images that there are not; [`Error::Output`].
    pub(in crate::portal) fn add(&self, wish: Wish) -> Result<Option<String>> {
        let project = &self.shared.project;
        let known: Vec<String> = project.images().into_iter().map(|image| image.id).collect();
        if project.denoises() && wish.format == Format::Png {
            let problem = "denoised images have numbers with fractions, which PNG files cannot hold; choose tif, ome-zarr or npy";
            return Err(Error::Mismatch(problem.into()));
        }
        let images = match wish.images {
            Images::All(_) => project.images_to_work_on().into_iter().map(|image| image.id).collect(),
            Images::Named(names) => {
                if let Some(name) = names.iter().find(|name| !known.contains(name)) {
                    let name: String = name.chars().take(40).collect();
                    return Err(Error::Mismatch(format!("there is no image '{name}' in the project")));
                }
                let mut once = Vec::new();
                names.into_iter().for_each(|name| {
                    if !once.contains(&name) {
                        once.push(name)
                    }
                });
                once
            }
        };
        if images.is_empty() {
            return Err(Error::Mismatch("there is no image to apply the network to; add some".into()));
        }
        let Some(model) = (self.model)() else { return Ok(None) };
        let mut jobs = self.shared.jobs();
        if jobs.len() >= MOST_JOBS {
            return Err(Error::Mismatch(format!(
                "the project has {MOST_JOBS} jobs; take folders out of results/"
            )));
        }
        // A folder without a readable job has its number all the same.
        let taken = |number: u64| self.shared.folder(&format!("j{number}")).exists();
        let last = jobs.last().and_then(|job| number_of(&job.job)).unwrap_or(0);
        let number = (last + 1..).find(|number| !taken(*number)).unwrap_or(last + 1);
        let name = format!("j{number}");
        let folder = self.shared.folder(&name);
        let failed = |error: std::io::Error| {
            Error::output(&folder, format!("the model cannot be copied there: {error}")).caused_by(error)
        };
        std::fs::create_dir_all(&folder).map_err(failed)?;
        std::fs::copy(&model, folder.join(MODEL)).map_err(failed)?;
        // By what made the model, which may have seen less than was drawn by now.
        let model = Model::read(&folder.join(MODEL))?;
        let seen = Seen::of(&model);
        let job = Job {
            job: name.clone(),
            kind: wish.kind,
            state: State::Waiting,
            done: 0.0,
            message: None,
            images,
            products: wish.products,
            format: wish.format,
            journal: seen.as_ref().map(|seen| seen.journal.clone()).unwrap_or_default(),
            steps: steps_of(&model).filter(|_| seen.is_some() || project.denoises()),
            command: project.command_of(&model),
            files: Vec::new(),
            table: Vec::new(),
            finished: Vec::new(),
            skipped: Vec::new(),
        };
        job.write(&folder)?;
        self.shared.tell(&job);
        jobs.push(job);
        drop(jobs);
        self.shared.changed.notify_all();
        Ok(Some(name))
    }

    /// Stops a job.
    ///
    /// # Errors
    /// [`Error::Output`] where it cannot be written down.
    pub(in crate::portal) fn stop(&self, name: &str) -> Result<Stopping> {
        let mut jobs = self.shared.jobs();
        let Some(job) = jobs.iter_mut().find(|job| job.job == name) else { return Ok(Stopping::Unknown) };
        match job.state {
            State::Waiting => {
                job.state = State::Stopped;
                job.write(&self.shared.folder(name))?;
                self.shared.tell(job);
            }
            State::Running => self.shared.stops.store(true, Ordering::Relaxed),
            State::Done | State::Failed | State::Stopped => return Ok(Stopping::Over),
        }
        Ok(Stopping::Stops)
    }

    /// Where a file of a job is that a page may download; `None` where there is none of this name.
    pub(in crate::portal) fn file(&self, name: &str, file: &str) -> Option<PathBuf> {
        let job = self.job(name)?;
        let found = job.files.iter().find(|known| known.name == file)?;
        Some(self.shared.folder(name).join(&found.path))
    }

    /// The classes of a tile of an image by a job, row by row, with its rows and columns; `None` where there is none.
    ///
    /// # Errors
    /// Those of reading the result.
    pub(in crate::portal) fn tile(
        &self,
        name: &str,
        image: &str,
        slice: usize,
        place: (u32, usize, usize),
    ) -> Result<Option<(Vec<u8>, usize, usize)>> {
        match self.classes(name, image)? {
            Some(classes) => super::looks::tile(&classes, slice, place),
            None => Ok(None),
        }
    }

    /// The classes in rows and columns of a slice of an image by a job, row by row; `None` where there are none.
    ///
    /// # Errors
    /// Those of reading the result.
    pub(in crate::portal) fn part(
        &self,
        name: &str,
        image: &str,
        slice: usize,
        part: (Range<usize>, Range<usize>),
    ) -> Result<Option<Vec<u8>>> {
        match self.classes(name, image)? {
            Some(classes) => super::looks::part(&classes, slice, part),
            None => Ok(None),
        }
    }

    /// What a job has found in an image, open to be looked at.
    fn classes(&self, name: &str, image: &str) -> Result<Option<Arc<Classes>>> {
        let key = (name.to_owned(), image.to_owned());
        let looked_at = || self.shared.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
        let known = looked_at().get(&key).cloned();
        let classes = match known {
            Some(classes) => classes,
            None => {
                let Some(labels) = self.labels(name, image) else { return Ok(None) };
                let classes = Arc::new(Classes::open_to_look(&labels)?);
                looked_at().put(key, Arc::clone(&classes), 1);
                classes
            }
        };
        Ok(Some(classes))
    }

    /// A tile of the values of an image by a job that denoises, as tiles of images are; `None` where there is none.
    ///
    /// # Errors
    /// Those of reading the result.
    pub(in crate::portal) fn values_tile(
        &self,
        name: &str,
        image: &str,
        slice: usize,
        place: (u32, usize, usize),
    ) -> Result<Option<Arc<Tile>>> {
        let values = {
            let jobs = self.shared.jobs();
            let job = jobs.iter().find(|job| job.job == name);
            let finished = job.and_then(|job| job.finished.iter().find(|finished| finished.image == image));
            finished.and_then(|finished| finished.values.clone())
        };
        let Some((path, channels)) = values else { return Ok(None) };
        let file = (self.shared.folder(name).join(path), channels);
        self.shared.project.result_tile(image, name, &file, slice, place)
    }

    /// The file or folder with the classes of an image by a job; `None` where they are not there.
    fn labels(&self, name: &str, image: &str) -> Option<PathBuf> {
        let jobs = self.shared.jobs();
        let job = jobs.iter().find(|job| job.job == name)?;
        let finished = job.finished.iter().find(|finished| finished.image == image)?;
        Some(self.shared.folder(name).join(finished.labels.as_ref()?))
    }

    /// Ends the thread. What runs is left so that another server goes on with it.
    pub(in crate::portal) fn close(&self) {
        self.shared.closes.store(true, Ordering::Relaxed);
        // Locked once, so that the thread either sees the flag or waits for this already.
        drop(self.shared.jobs());
        self.shared.changed.notify_all();
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if worker.is_some_and(|worker| worker.join().is_err()) {
            log::warn!("the thread of jobs has failed");
        }
    }
}

/// The number in a name such as `j12`.
fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix('j')?;
    let is_plain =
        !digits.is_empty() && !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain { digits.parse().ok() } else { None }
}

impl Shared {
    fn jobs(&self) -> MutexGuard<'_, Vec<Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.project.folder().join("results").join(name)
    }

    fn tell(&self, job: &Job) {
        self.events.send(&Event::Job(job.view()));
    }

    /// Does job after job.
    fn run(&self) {
        while let Some((mut job, resumed)) = self.next() {
            let folder = self.folder(&job.job);
            let progress = &mut JobProgress { shared: self, folder: &folder, told: None };
            let ended = work(self, &folder, &mut job, resumed, progress);
            if self.closes.load(Ordering::Relaxed) && matches!(ended, Err(Error::Stopped { .. })) {
                return;
            }
            match ended {
                Ok(()) if job.finished.is_empty() && !job.skipped.is_empty() => {
                    (job.state, job.message) = (State::Failed, job.left_out());
                }
                Ok(()) => (job.state, job.done, job.message) = (State::Done, 1.0, job.left_out()),
                Err(Error::Stopped { .. }) => job.state = State::Stopped,
                Err(error) => {
                    log::error!("{}: {error}", job.job);
                    (job.state, job.message) = (State::Failed, Some(error.to_string()));
                }
            }
            if let Err(error) = job.write(&folder) {
                log::error!("{error}");
            }
            self.put(&job);
        }
    }

    /// Waits for the next job; `None` when the server ends. Says whether it was begun before.
    fn next(&self) -> Option<(Job, bool)> {
        let mut jobs = self.jobs();
        loop {
            if self.closes.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(job) = jobs.iter_mut().find(|job| !job.state.is_over()) {
                let resumed = job.state == State::Running;
                job.state = State::Running;
                self.stops.store(false, Ordering::Relaxed);
                if let Err(error) = job.write(&self.folder(&job.job)) {
                    log::error!("{error}");
                }
                self.tell(job);
                return Some((job.clone(), resumed));
            }
            jobs = self.changed.wait(jobs).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The job as it is now, for all who ask.
    fn put(&self, job: &Job) {
        let mut jobs = self.jobs();
        if let Some(place) = jobs.iter_mut().find(|known| known.job == job.job) {
            place.clone_from(job);
        }
        self.tell(job);
    }
}

/// Tells how far the job is.
struct JobProgress<'a> {
    shared: &'a Shared,
    folder: &'a Path,
    told: Option<std::time::Instant>,
}

impl Progress for JobProgress<'_> {
    fn stops(&self) -> bool {
        self.shared.stops.load(Ordering::Relaxed) || self.shared.closes.load(Ordering::Relaxed)
    }

    fn done(&mut self, job: &Job) {
        const EVERY: std::time::Duration = std::time::Duration::from_millis(250);
        if self.told.is_none_or(|told| told.elapsed() >= EVERY) {
            self.told = Some(std::time::Instant::now());
            self.shared.put(job);
        }
    }

    fn finished_image(&mut self, job: &Job) -> Result<()> {
        job.write(self.folder)?;
        self.shared.put(job);
        Ok(())
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
