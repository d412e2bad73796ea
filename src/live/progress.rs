//! What a watch has done so far: kept in its record, and told.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use super::latency::Latencies;
use super::poller::{GivenUp, Inbox, Item, Outcome};
use super::record::Record;
use super::viewer::{Done, Summary, Viewer};
use super::watched::Watched;
use crate::Result;

/// What has been done, and whom to tell.
pub(super) struct Progress<'a> {
    pub(super) record: Record,
    pub(super) outcomes: Sender<(String, Outcome)>,
    pub(super) inbox: &'a Inbox,
    pub(super) viewer: &'a mut dyn Viewer,
    latencies: Latencies,
    /// What could not be used, by key.
    failed: BTreeSet<String>,
    pub(super) summary: Summary,
    /// When something was done last.
    pub(super) active: Instant,
}

impl<'a> Progress<'a> {
    /// At the beginning of a watch.
    pub(super) fn new(
        record: Record,
        outcomes: Sender<(String, Outcome)>,
        inbox: &'a Inbox,
        viewer: &'a mut dyn Viewer,
    ) -> Self {
        Self {
            record,
            outcomes,
            inbox,
            viewer,
            latencies: Latencies::default(),
            failed: BTreeSet::new(),
            summary: Summary::default(),
            active: Instant::now(),
        }
    }

    /// The next items, in order.
    pub(super) fn take(&mut self, most: usize) -> Result<Vec<Item>> {
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
    pub(super) fn tell(&mut self, item: &Item, outcome: Outcome) {
        if matches!(outcome, Outcome::Failed(..)) {
            self.record.release(&item.ready.key);
        }
        self.outcomes.send((item.ready.key.clone(), outcome)).ok();
    }

    /// The results of an item are there.
    pub(super) fn done(&mut self, item: &Item, path: &Path, files: &[PathBuf], is_new: bool) -> Result<()> {
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

    /// Says, the first time, that a result in `folder` is taken over of which it is not known what made it.
    pub(super) fn tell_unknown(&mut self, folder: &Path) {
        self.summary.unknown += 1;
        if self.summary.unknown == 1 {
            log::warn!(
                "results that lie in {} and of which no record says what made them, or that have changed since, are taken over; name another folder with `out` where they are not of these models",
                folder.display()
            );
        }
    }

    pub(super) fn tell_given_up(&mut self) {
        let given_up = std::mem::take(&mut self.inbox.lock().given_up);
        for GivenUp { key, name, error } in given_up {
            self.viewer.failed(&name, &error);
            self.failed.insert(key);
        }
    }

    /// Where the last slices wait for neighbours that will not come, has them done with those before them mirrored: once nothing has
    /// happened for so long that the watch is to end, or for as long as patience lasts where no more are wanted than these, `left`. Gives
    /// whether it does.
    pub(super) fn ends_held(&self, watched: &Watched, left: u64) -> bool {
        let held = self.inbox.lock().held as u64;
        let is_end = self.is_idle(watched) || held >= left && self.is_quiet(watched.patience, watched);
        let mut state = self.inbox.lock();
        if !is_end || held == 0 || state.is_ending {
            return false;
        }
        // They are seen at the next look.
        (state.is_ending, state.active, state.looks) = (true, Instant::now(), 0);
        true
    }

    /// Whether the watch is to end because nothing happens.
    pub(super) fn is_idle(&self, watched: &Watched) -> bool {
        watched.until_idle.is_some_and(|idle| self.is_quiet(idle, watched))
    }

    /// Whether nothing has happened for so long.
    fn is_quiet(&self, idle: Duration, watched: &Watched) -> bool {
        let state = self.inbox.lock();
        let since = self.active.max(state.active);
        // What was done last is to have been looked at again.
        since.elapsed() >= idle.max(2 * watched.poll) && state.changing == 0 && state.looks > 1
    }

    pub(super) fn finish(mut self) -> Summary {
        self.tell_given_up();
        let state = self.inbox.lock();
        Summary {
            failed: self.failed.len(),
            waiting: state.queue.len(),
            changing: state.changing,
            held: state.held,
            pace: self.latencies.pace(),
            ..self.summary
        }
    }
}
