//! The loop that applies models to what appears, in order.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::arrivals::{Arrivals, Stamp};
use super::latency::{Latencies, Pace};
use super::poller::{GivenUp, Inbox, Item, Outcome, look_again_and_again};
use super::queue::{Policy, Queue};
use super::record::{Record, Work};
use super::source::{Folder, Growing, Source};
use crate::images::{
    Discovery, ImageSource, StackFormat, has_end_mark, is_array_folder, pages_as_images, split_place,
};
use crate::inference::{Cutting, Ensemble, Failure, Products, Series};
use crate::watcher::{Flow, ImageReport, Watcher};
use crate::{Error, Result};

/// How long images that are done at a time may take: reading, computing and writing overlap among them, but a stop waits.
const BATCH: Duration = Duration::from_millis(500);
const MOST_IN_BATCH: usize = 64;
/// How long the loop sleeps at most before it asks whether to stop.
const NAP: Duration = Duration::from_millis(50);

/// What is watched, and how.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Watched {
    /// A folder, or a file or Zarr folder with the place of an array inside, such as `scan.h5:/entry/data`.
    pub input: String,
    /// How its files are taken.
    pub discovery: Discovery,
    /// How long to wait between two looks.
    pub poll: Duration,
    /// How long a file must not change before it is read.
    pub settle: Duration,
    /// How long a file that cannot be used must not change before it is given up.
    pub patience: Duration,
    /// Which images are done.
    pub policy: Policy,
    /// The watch ends when nothing has happened for so long; `None` for never.
    pub until_idle: Option<Duration>,
    /// The watch ends after so many images; `None` for never.
    pub count: Option<u64>,
}

impl Watched {
    /// All that comes into `input`, with no end.
    pub fn new(input: impl Into<String>, discovery: Discovery) -> Self {
        Self {
            input: input.into(),
            discovery,
            poll: Duration::from_millis(100),
            settle: Duration::from_millis(500),
            patience: Duration::from_secs(10),
            policy: Policy::All,
            until_idle: None,
            count: None,
        }
    }
}

/// An image whose results are there.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Done<'a> {
    /// What messages call it.
    pub name: &'a str,
    /// The file that it is in, and for an array which slice it is.
    pub path: &'a Path,
    /// The number of the slice, where a stack or array is watched.
    pub slice: Option<usize>,
    /// Its results.
    pub files: &'a [PathBuf],
    /// How long its results were there after it was first seen as it is; `None` where they were there before.
    pub latency: Option<Duration>,
    /// How many images have been done.
    pub count: u64,
    /// How many are ready to be done.
    pub waiting: usize,
    /// Latency and rate of the last images.
    pub pace: Pace,
}

/// Is told what happens in a watch.
pub trait Viewer {
    /// The results of an image are there. Unless it gives `true`, a later watch tells of them again.
    ///
    /// # Errors
    /// Whatever is to end the watch.
    fn done(&mut self, done: &Done<'_>) -> Result<bool>;

    /// An image cannot be used. It may be done later, if it changes.
    fn failed(&mut self, name: &str, error: &Error);

    /// An image is passed over, as the [`Policy`] says.
    fn passed_over(&mut self, name: &str) {
        let _ = name;
    }

    /// Whether the watch goes on. Where it does not, what is being done is finished.
    fn flow(&mut self) -> Flow {
        Flow::Continue(())
    }
}

/// What became of a watch.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// Images that were done.
    pub done: u64,
    /// Images that were not done, as their results were there.
    pub before: u64,
    /// Images that were passed over, as the [`Policy`] says.
    pub passed_over: u64,
    /// Images that could not be used.
    pub failed: usize,
    /// Images that were there and ready when the watch ended.
    pub waiting: usize,
    /// Files that were still being written then.
    pub changing: usize,
    /// Latency and rate of the last images.
    pub pace: Pace,
}

/// Applies `ensemble` to each image as it appears, in order, until `viewer` or the settings say that it is enough. Results are those of
/// `products`; of an array each slice has files of its own.
///
/// What is done is kept in the folder of the results, so that nothing is done twice by a watch that follows this one, however this
/// one ended. An image that was written again is done again.
///
/// # Errors
/// [`Error::Input`] for a folder that cannot be listed and [`Error::Setting`] for settings that do not fit it;
/// [`Error::Output`] when results cannot be written or another program writes there; those of the device, and of `viewer`.
pub fn watch(
    ensemble: &mut Ensemble,
    watched: &Watched,
    products: &Products,
    cutting: Cutting,
    viewer: &mut dyn Viewer,
) -> Result<Summary> {
    let grey = ensemble.model().architecture.inputs == 1;
    let source = source(watched, products, grey)?;
    let by_pages = products.clone().by_pages();
    // What is not complete has no stack of results.
    let products = if is_folder(watched) { products } else { &by_pages };
    products.prepare(&[])?;
    let series = Series::begin(products, cutting)?;
    let work = Work { input: full_name(&watched.input), identity: series.identity(ensemble) };
    let record = Record::open(products.folder(), &work)?;
    let mut arrivals = Arrivals::new(watched.settle, watched.patience);
    let begin = Instant::now();
    record.finished().for_each(|(key, stamp)| arrivals.done_before(key, stamp, begin));
    let inbox = Inbox::new(Queue::new(watched.policy, record.count()));
    let (outcomes, receiver) = channel();
    let mut progress = Progress {
        record,
        outcomes,
        inbox: &inbox,
        viewer,
        latencies: Latencies::default(),
        failed: BTreeSet::new(),
        summary: Summary::default(),
        active: begin,
    };
    let summary = thread::scope(|scope| {
        let (inbox, pause) = (&inbox, watched.poll);
        let look = move || look_again_and_again(source, arrivals, pause, &receiver, inbox);
        let poller = thread::Builder::new().spawn_scoped(scope, look).map_err(|error| {
            let problem = format!("{error}; raise the limit of memory or of processes");
            Error::device("this machine", "starting a thread", problem).caused_by(error)
        })?;
        let (discovery, patience) = (&watched.discovery, watched.patience);
        let mut work = Loop { ensemble, series, products, discovery, patience, grey };
        let ended = work.run(watched, &mut progress);
        // The thread ends when nobody is there to tell it what became of images.
        let Progress { outcomes, .. } = &mut progress;
        drop(std::mem::replace(outcomes, channel().0));
        if let Err(panic) = poller.join() {
            std::panic::resume_unwind(panic);
        }
        ended.map(|()| progress.finish())
    })?;
    Ok(summary)
}

/// What `input` is called from anywhere, whether it is there yet or not.
fn full_name(input: &str) -> String {
    let (path, inside) = split_place(input);
    let in_folder = || {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some(folder.canonicalize().ok()?.join(path.file_name()?))
    };
    let path = path.canonicalize().ok().or_else(in_folder).unwrap_or_else(|| path.clone());
    let inside = inside.map(|inside| format!(":{inside}")).unwrap_or_default();
    format!("{}{inside}", path.display())
}

/// Whether files are watched, and not the slices of one.
fn is_folder(watched: &Watched) -> bool {
    let path = split_place(&watched.input).0;
    path.is_dir() && !is_array_folder(&path) && !has_array_name(&path)
}

/// What `watched` says.
fn source(watched: &Watched, products: &Products, grey: bool) -> Result<Box<dyn Source>> {
    let path = split_place(&watched.input).0;
    if is_folder(watched) {
        if watched.discovery.slices.is_some() {
            let wanted = "it counts the slices of one stack; leave it out to watch a folder, or take each so-many-th image with `every`";
            return Err(Error::setting("slices", "given for a folder", wanted));
        }
        let is_same =
            |folder: &Path| matches!((folder.canonicalize(), path.canonicalize()), (Ok(a), Ok(b)) if a == b);
        if is_same(products.folder()) {
            let wanted =
                "the images are in that folder, and results would be taken for images; name another folder";
            return Err(Error::setting("out", products.folder().display(), wanted));
        }
        return Ok(Box::new(Folder::new(path, watched.discovery.raw.is_some())));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !path.exists() && (!has_array_name(&path) || !folder.is_dir()) {
        let problem = "no such folder; make it before it is watched, or name an array that will be written, such as scan.h5:/entry/data";
        return Err(Error::input(&path, problem));
    }
    let growing = Growing::new(&watched.input, watched.discovery.clone(), grey, watched.patience)?;
    Ok(Box::new(growing))
}

/// Whether the name is that of a stack or an array.
fn has_array_name(path: &Path) -> bool {
    StackFormat::of_name(path).is_some()
}

/// What computes.
struct Loop<'a> {
    ensemble: &'a mut Ensemble,
    series: Series<'a>,
    products: &'a Products,
    discovery: &'a Discovery,
    patience: Duration,
    grey: bool,
}

/// What becomes of an item before it is computed.
enum Prepared {
    Images(Vec<ImageSource>),
    /// Its results are there.
    There(Vec<PathBuf>, PathBuf),
    Changed,
    Unusable(Error),
}

impl Loop<'_> {
    fn run(&mut self, watched: &Watched, progress: &mut Progress<'_>) -> Result<()> {
        let mut most = 1;
        loop {
            progress.tell_given_up();
            if progress.viewer.flow().is_break() {
                return Ok(());
            }
            let left = watched.count.map_or(u64::MAX, |count| count.saturating_sub(progress.summary.done));
            if left == 0 {
                return Ok(());
            }
            let items = progress.take(most.min(usize::try_from(left).unwrap_or(usize::MAX)))?;
            if items.is_empty() {
                if progress.is_idle(watched) {
                    return Ok(());
                }
                progress.inbox.wait(NAP);
                continue;
            }
            let (count, begin) = (items.len() as u32, Instant::now());
            self.do_all(items, progress)?;
            progress.active = Instant::now();
            let each = begin.elapsed() / count;
            let fitting = BATCH.as_nanos() / each.as_nanos().max(1);
            // Not much more than what was measured.
            most = usize::try_from(fitting).unwrap_or(MOST_IN_BATCH).clamp(1, MOST_IN_BATCH).min(4 * most);
        }
    }

    /// Does what is ready, in order. Images in files of their own are read, computed and written at the same time.
    fn do_all(&mut self, items: Vec<Item>, progress: &mut Progress<'_>) -> Result<()> {
        let mut single = Vec::new();
        for item in items {
            match self.prepared(&item, progress) {
                Prepared::Images(mut images) if images.len() == 1 => {
                    single.extend(images.pop().map(|image| (item, image)));
                }
                Prepared::Images(images) => {
                    self.do_single(std::mem::take(&mut single), progress)?;
                    self.do_stack(&item, &images, progress)?;
                }
                Prepared::There(files, path) => {
                    self.do_single(std::mem::take(&mut single), progress)?;
                    progress.done(&item, &path, &files, false)?;
                }
                Prepared::Changed => progress.tell(&item, Outcome::Changed),
                Prepared::Unusable(error) => progress.tell(&item, Outcome::Failed(item.ready.stamp, error)),
            }
        }
        self.do_single(single, progress)
    }

    fn prepared(&self, item: &Item, progress: &mut Progress<'_>) -> Prepared {
        let images = match &item.image {
            Some(image) => vec![image.clone()],
            None => {
                let path = Path::new(&item.name);
                // A file that is written again just now would be read half.
                match std::fs::metadata(path) {
                    Ok(metadata) if Stamp::of(&metadata) != item.ready.stamp => return Prepared::Changed,
                    Ok(_) => {}
                    Err(error) => {
                        let problem = format!("cannot be read: {error}; check the path and its permissions");
                        return Prepared::Unusable(Error::input(path, problem).caused_by(error));
                    }
                }
                // It is looked at again when it changes. What never gets an end is taken as it is.
                if item.ready.since.elapsed() < self.patience && has_end_mark(path) == Ok(false) {
                    let problem =
                        "ends before its end, as if it were still being written; copy or export it again";
                    return Prepared::Unusable(Error::input(path, problem));
                }
                match self.discovery.discover(&item.name) {
                    Ok(images) if self.grey && self.discovery.axes.is_none() => pages_as_images(images),
                    Ok(images) => images,
                    Err(error) => return Prepared::Unusable(error),
                }
            }
        };
        let files = self.products.files(&images);
        if let Err(error) = self.products.check(&images) {
            return Prepared::Unusable(error);
        }
        if let Err(error) = progress.record.claim(&item.ready.key, &files) {
            return Prepared::Unusable(error);
        }
        if !progress.record.has(&item.ready.key) && files.iter().all(|file| file.exists()) {
            let path = images.first().map(|image| image.path.clone()).unwrap_or_default();
            return Prepared::There(files, path);
        }
        match images.iter().try_for_each(|image| self.ensemble.check_image(image)) {
            Ok(()) => Prepared::Images(images),
            Err(error) => Prepared::Unusable(error),
        }
    }

    /// Does images that are in files of their own, or slices.
    fn do_single(&mut self, items: Vec<(Item, ImageSource)>, progress: &mut Progress<'_>) -> Result<()> {
        let (items, images): (Vec<Item>, Vec<ImageSource>) = items.into_iter().unzip();
        if items.is_empty() {
            return Ok(());
        }
        let mut told = vec![false; items.len()];
        let mut reports = Reports { progress, items: &items, images: &images, told: &mut told, error: None };
        let ended = self.series.predict(self.ensemble, &images, true, &mut reports);
        if let Some(error) = reports.error {
            return Err(error);
        }
        match ended {
            Ok(failures) => {
                for Failure { index, error, .. } in failures {
                    progress.tell(&items[index], Outcome::Failed(items[index].ready.stamp, error));
                }
                Ok(())
            }
            Err(error) if items.len() == 1 => fate(&items[0], error, progress),
            // One of them is to blame: which, is found one by one.
            Err(_) => {
                let left = items.into_iter().zip(images).zip(told).filter(|(_, told)| !told);
                let mut left = left.map(|(item, _)| item);
                left.try_for_each(|item| self.do_single(vec![item], progress))
            }
        }
    }

    /// Does a file of several images as a whole.
    fn do_stack(&mut self, item: &Item, images: &[ImageSource], progress: &mut Progress<'_>) -> Result<()> {
        let mut files = Files(Vec::new());
        match self.series.predict(self.ensemble, images, false, &mut files) {
            Ok(_) => {
                let path = images.first().map(|image| image.path.clone()).unwrap_or_default();
                progress.done(item, &path, &files.0, true)
            }
            Err(error) => fate(item, error, progress),
        }
    }
}

/// What becomes of an item that failed with `error`: where that is its own fault, the others go on.
fn fate(item: &Item, error: Error, progress: &mut Progress<'_>) -> Result<()> {
    match error {
        Error::Input { .. } | Error::Mismatch(_) | Error::Setting { .. } | Error::OutOfMemory { .. } => {
            progress.tell(item, Outcome::Failed(item.ready.stamp, error));
            Ok(())
        }
        other => Err(other),
    }
}

/// Tells of images of their own as soon as they are written.
struct Reports<'a, 'p> {
    progress: &'a mut Progress<'p>,
    items: &'a [Item],
    images: &'a [ImageSource],
    told: &'a mut [bool],
    error: Option<Error>,
}

impl Watcher for Reports<'_, '_> {
    fn image(&mut self, report: &ImageReport<'_>) -> Flow {
        if report.done >= 1.0 && !report.files.is_empty() && !self.told[report.index] {
            self.told[report.index] = true;
            let (item, path) = (&self.items[report.index], &self.images[report.index].path);
            self.error = self.progress.done(item, path, report.files, true).err();
        }
        // An image that has been begun is finished, whoever asks for an end.
        if self.error.is_some() { Flow::Break(()) } else { Flow::Continue(()) }
    }
}

/// Gathers what is written for a stack.
struct Files(Vec<PathBuf>);

impl Watcher for Files {
    fn image(&mut self, report: &ImageReport<'_>) -> Flow {
        self.0.extend_from_slice(report.files);
        Flow::Continue(())
    }
}

/// What has been done, and whom to tell.
struct Progress<'a> {
    record: Record,
    outcomes: Sender<(String, Outcome)>,
    inbox: &'a Inbox,
    viewer: &'a mut dyn Viewer,
    latencies: Latencies,
    /// What could not be used, by key.
    failed: BTreeSet<String>,
    summary: Summary,
    /// When something was done last.
    active: Instant,
}

impl Progress<'_> {
    /// The next items, in order.
    fn take(&mut self, most: usize) -> Result<Vec<Item>> {
        let mut state = self.inbox.lock();
        if let Some(error) = state.error.take() {
            return Err(error);
        }
        let items = state.queue.take(most);
        let skipped = state.queue.take_skipped();
        drop(state);
        for item in skipped {
            self.record.add(&item.ready.key, item.ready.stamp, &[])?;
            self.tell(&item, Outcome::Done(item.ready.stamp));
            self.summary.passed_over += 1;
            self.viewer.passed_over(&item.name);
        }
        Ok(items)
    }

    /// The thread that looks is gone only when it failed, which is told elsewhere.
    fn tell(&mut self, item: &Item, outcome: Outcome) {
        if matches!(outcome, Outcome::Failed(..)) {
            self.record.release(&item.ready.key);
        }
        self.outcomes.send((item.ready.key.clone(), outcome)).ok();
    }

    /// The results of an item are there.
    fn done(&mut self, item: &Item, path: &Path, files: &[PathBuf], is_new: bool) -> Result<()> {
        let now = Instant::now();
        let latency = is_new.then(|| now.saturating_duration_since(item.ready.since));
        match latency {
            Some(latency) => {
                self.latencies.add(now, latency);
                self.summary.done += 1;
            }
            None => self.summary.before += 1,
        }
        self.failed.remove(&item.ready.key);
        let done = Done {
            name: &item.name,
            path,
            slice: item.image.as_ref().and_then(|image| image.page),
            files,
            latency,
            count: self.summary.done,
            waiting: self.inbox.lock().queue.len(),
            pace: self.latencies.pace(),
        };
        if self.viewer.done(&done)? {
            self.record.add(&item.ready.key, item.ready.stamp, files)?;
        }
        self.tell(item, Outcome::Done(item.ready.stamp));
        Ok(())
    }

    fn tell_given_up(&mut self) {
        let given_up = std::mem::take(&mut self.inbox.lock().given_up);
        for GivenUp { key, name, error } in given_up {
            self.viewer.failed(&name, &error);
            self.failed.insert(key);
        }
    }

    /// Whether the watch is to end because nothing happens.
    fn is_idle(&self, watched: &Watched) -> bool {
        let Some(idle) = watched.until_idle else { return false };
        let state = self.inbox.lock();
        let since = self.active.max(state.active);
        // What was done last is to have been looked at again.
        since.elapsed() >= idle.max(2 * watched.poll) && state.changing == 0 && state.looks > 1
    }

    fn finish(mut self) -> Summary {
        self.tell_given_up();
        let state = self.inbox.lock();
        Summary {
            failed: self.failed.len(),
            waiting: state.queue.len(),
            changing: state.changing,
            pace: self.latencies.pace(),
            ..self.summary
        }
    }
}
