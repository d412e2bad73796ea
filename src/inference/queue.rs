//! Parts of images through an ensemble: on one device, or on several, of which each takes the next part that none has begun.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use log::info;

use super::ensemble::Ensemble;
use super::failures::Failures;
use super::reporter::Reporter;
use crate::pipeline::{Event, Worker, pipeline, pipeline_on};
use crate::watcher::Flow;
use crate::{Error, Result};

/// Computes an item on a device; the last argument takes the share of it that is done.
type Compute<'q, I, R, W> =
    &'q (dyn Fn(&mut Ensemble, &I, R, &mut dyn FnMut(f64) -> Flow) -> Result<W> + Sync);

/// What there is to compute, and how: `I` is a part of an image or a volume, `R` what is read of it, and `W` its result.
pub(super) struct Queue<'q, I, R, W> {
    pub(super) items: &'q [I],
    /// The number of an item's image, of a volume that of its first slice.
    pub(super) image_of: fn(&I) -> usize,
    pub(super) compute: Compute<'q, I, R, W>,
    /// Which image is how far when so much of an item is done.
    pub(super) reached: &'q (dyn Fn(&I, f64) -> (usize, f64) + Sync),
    /// How many images there are, and the number of the first, for the error that says where the work was stopped.
    pub(super) images: Range<usize>,
}

impl<I: Sync, R: Send, W: Send> Queue<'_, I, R, W> {
    /// Reads, computes and writes all items, in order; of an item without a result, nothing is written but that.
    ///
    /// # Errors
    /// Of the first item that failed, all before it are written.
    pub(super) fn run(
        &self,
        ensemble: &mut Ensemble,
        mut read: impl FnMut(&I) -> Result<R> + Send,
        failures: &mut Failures<'_>,
        reporter: &mut Reporter<'_>,
        write: impl FnMut(&I, Option<W>) -> Result<()> + Send,
    ) -> Result<()> {
        let devices = ensemble.devices().len();
        if (1..devices).contains(&self.items.len()) {
            let (count, idle) = (self.items.len(), devices - self.items.len());
            let parts = if count == 1 { "is 1 part".to_owned() } else { format!("are {count} parts") };
            info!(
                "{idle} of {devices} devices have nothing to do, as there {parts} to compute; a new run with a smaller `tile` shares large images out"
            );
        }
        let ended = ensemble.on_each(|mut devices| match &mut devices[..] {
            [only] => pipeline(
                self.items,
                |item| Ok(read(item)),
                |item, read| {
                    reporter.report_written();
                    let image = (self.image_of)(item);
                    if failures.has_given_up(image) {
                        return Ok(None);
                    }
                    let mut progress = |done: f64| {
                        let (image, done) = (self.reached)(item, done);
                        reporter.tile(image, done)
                    };
                    failures.accept(image, self.computed(only, item, read, &mut progress))
                },
                write,
            ),
            _ => self.run_on(devices, read, failures, reporter, write),
        });
        reporter.report_written();
        ended
    }

    /// The result of an item, once it was read.
    ///
    /// # Errors
    /// What is wrong with it, and [`Error::Stopped`].
    fn computed(
        &self,
        ensemble: &mut Ensemble,
        item: &I,
        read: Result<R>,
        progress: &mut dyn FnMut(f64) -> Flow,
    ) -> Result<W> {
        let result = read.and_then(|read| (self.compute)(ensemble, item, read, progress));
        result.map_err(|error| match error {
            Error::Stopped { .. } => self.stopped_at(item),
            other => other,
        })
    }

    /// The error for work that was stopped at this item.
    fn stopped_at(&self, item: &I) -> Error {
        let done = (self.image_of)(item).saturating_sub(self.images.start);
        Error::Stopped { done, count: self.images.len() }
    }

    /// As [`Queue::run`], on several devices.
    fn run_on(
        &self,
        devices: Vec<&mut Ensemble>,
        read: impl FnMut(&I) -> Result<R> + Send,
        failures: &mut Failures<'_>,
        reporter: &mut Reporter<'_>,
        write: impl FnMut(&I, Option<W>) -> Result<()> + Send,
    ) -> Result<()> {
        let ended = AtomicBool::new(false);
        let stopped = AtomicBool::new(false);
        // The item that failed last, and its image: what comes after it of the same image need not be computed.
        let failed: Mutex<Option<(usize, usize)>> = Mutex::new(None);
        let (ended, stopped, failed) = (&ended, &stopped, &failed);
        let worker = |ensemble| -> Worker<'_, I, Result<R>, (usize, f64), Option<Result<W>>> {
            let ensemble: &mut Ensemble = ensemble;
            Box::new(move |index, item, read, tell| {
                let image = (self.image_of)(item);
                let of_image = *failed.lock().unwrap_or_else(PoisonError::into_inner);
                if of_image.is_some_and(|(at, of)| of == image && at < index) {
                    return None;
                }
                let mut progress = |done: f64| {
                    tell((self.reached)(item, done));
                    match stopped.load(Ordering::Relaxed) || ended.load(Ordering::Relaxed) {
                        true => Flow::Break(()),
                        false => Flow::Continue(()),
                    }
                };
                let result = match stopped.load(Ordering::Relaxed) {
                    true => Err(self.stopped_at(item)),
                    false => self.computed(ensemble, item, read, &mut progress),
                };
                if result.is_err() {
                    *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some((index, image));
                }
                Some(result)
            })
        };
        let workers = devices.into_iter().map(worker).collect();
        let here = |event: Event<'_, I, (usize, f64), Option<Result<W>>>| {
            reporter.report_written();
            if reporter.is_stopped() {
                stopped.store(true, Ordering::Relaxed);
            }
            match event {
                Event::Told((image, done)) => {
                    if reporter.tile(image, done).is_break() {
                        stopped.store(true, Ordering::Relaxed);
                    }
                    Ok(None)
                }
                Event::Computed(item, Some(result)) => {
                    failures.accept((self.image_of)(item), result).map(Some)
                }
                // It was given up: an item before it has failed.
                Event::Computed(_, None) => Ok(Some(None)),
            }
        };
        pipeline_on(self.items, read, workers, ended, here, write)
    }
}
