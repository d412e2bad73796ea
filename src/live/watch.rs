//! The loop that applies models to what appears, in order.

use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use super::arrivals::Arrivals;
use super::poller::{Inbox, Item, Outcome, look_again_and_again};
use super::progress::Progress;
use super::queue::Queue;
use super::record::{Record, Work};
use super::viewer::{Summary, Viewer};
use super::watched::{Watched, full_name, is_folder, source};
use crate::files::Stamp;
use crate::images::{Discovery, ImageSource, has_end_mark};
use crate::inference::{Cutting, Ensemble, Failure, Products, ResultState, Series};
use crate::pipeline::no_thread;
use crate::watcher::{Flow, ImageReport, Watcher};
use crate::{Error, Result};

/// How long images that are done at a time may take: reading, computing and writing overlap among them, but a stop waits.
const BATCH: Duration = Duration::from_millis(500);
const MOST_IN_BATCH: usize = 64;
/// How long the loop sleeps at most before it asks whether to stop.
const NAP: Duration = Duration::from_millis(50);

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
    let (channels, slab) = (ensemble.model().architecture.inputs, ensemble.model().slab);
    let watched = &Watched { discovery: watched.discovery.clone().of_slabs(slab), ..watched.clone() };
    let source = source(watched, products, channels)?;
    let by_pages = products.clone().by_pages();
    // What is not complete has no stack of results.
    let products = if is_folder(watched) { products } else { &by_pages };
    products.prepare(&[])?;
    let series = Series::begin(ensemble, products, cutting)?;
    let work = Work { input: full_name(&watched.input), identity: series.identity(ensemble) };
    let record = Record::open(products.folder(), &work)?;
    let mut arrivals = Arrivals::new(watched.settle, watched.patience);
    let begin = Instant::now();
    record.finished().for_each(|(key, stamp)| arrivals.done_before(key, stamp, begin));
    let inbox = Inbox::new(Queue::new(watched.policy, record.count()));
    let (outcomes, receiver) = channel();
    let mut progress = Progress::new(record, outcomes, &inbox, viewer);
    let summary = thread::scope(|scope| {
        let (inbox, pause) = (&inbox, watched.poll);
        let look = move || look_again_and_again(source, arrivals, pause, &receiver, inbox);
        let poller = thread::Builder::new().spawn_scoped(scope, look).map_err(no_thread)?;
        let (discovery, patience) = (&watched.discovery, watched.patience);
        let mut work = Loop { ensemble, series, products, discovery, patience, channels };
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

/// What computes.
struct Loop<'a> {
    ensemble: &'a mut Ensemble,
    series: Series<'a>,
    products: &'a Products,
    discovery: &'a Discovery,
    patience: Duration,
    /// The channels that the models take.
    channels: usize,
}

/// What becomes of an item before it is computed.
enum Prepared {
    Images(Vec<ImageSource>),
    /// Its results are there; whether it is known that these models made them.
    There {
        files: Vec<PathBuf>,
        path: PathBuf,
        is_known: bool,
    },
    Changed,
    Unusable(Error),
    /// Its results are there, and other models made them.
    OfOthers(Error),
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
                if !progress.ends_held(watched, left) && progress.is_idle(watched) {
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
                Prepared::There { files, path, is_known } => {
                    self.do_single(std::mem::take(&mut single), progress)?;
                    if !is_known {
                        progress.tell_unknown(self.products.folder());
                    }
                    progress.done(&item, &path, &files, false)?;
                }
                Prepared::OfOthers(error) => {
                    self.do_single(std::mem::take(&mut single), progress)?;
                    return Err(error);
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
                match self.discovery.discover_for(&item.name, self.channels) {
                    Ok(images) => images,
                    Err(error) => return Prepared::Unusable(error),
                }
            }
        };
        let slab = self.ensemble.model().slab;
        if slab > 1 && item.image.is_none() && images.len() == 1 {
            return Prepared::Unusable(Error::Mismatch(format!(
                "{} is a single slice, and the model takes slabs of {slab}, of which the others may not be there yet; use `predict` once all are there, or a model of single slices",
                item.name
            )));
        }
        let images =
            match images.into_iter().map(|image| self.ensemble.seen(image)).collect::<Result<Vec<_>>>() {
                Ok(images) => images,
                Err(error) => return Prepared::Unusable(error),
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
            let of_volumes = self.ensemble.model().architecture.is_of_volumes();
            match self.series.state(&images, of_volumes) {
                state @ (ResultState::Same
                | ResultState::Touched
                | ResultState::Unknown
                | ResultState::OtherLength { .. }) => {
                    return Prepared::There { files, path, is_known: state == ResultState::Same };
                }
                ResultState::Other | ResultState::OtherWork => {
                    let file = files.first().map(|file| file.display().to_string()).unwrap_or_default();
                    let found = format!(
                        "{}, where {file} was made by other models or settings",
                        self.products.folder().display()
                    );
                    let wanted = "its results would be mixed with those of these models; name another folder, or remove the results that are there";
                    return Prepared::OfOthers(Error::setting("out", found, wanted));
                }
                // The image has changed since, or one of its results is not there.
                _ => {}
            }
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
