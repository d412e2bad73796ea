//! What the thread that trains and those that answer pages have in common.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::results::{Place, ResultTile, Results, Tile, What, values_tile};
use super::{Start, Status, View};
use crate::network::Model;
use crate::portal::events::{Event, Events};
use crate::portal::project::{Project, Region};

/// Views of so many tabs are remembered.
const MOST_VIEWS: usize = 8;
/// Points of the curve that are kept; of more, every second one is.
const MOST_POINTS: usize = 1000;
/// Time between two reports to the pages.
const REPORT: Duration = Duration::from_millis(250);
/// The longest that a page waits for the place where the network is least sure.
const LONGEST_SEARCH: Duration = Duration::from_secs(60);

/// What is wanted of the thread.
#[derive(Debug, Default)]
struct Wanted {
    trains: bool,
    start: Start,
    forgets: bool,
    closes: bool,
    searches: bool,
}

/// An answer to a search.
type Found = Result<Option<(Region, f32)>, String>;

#[derive(Debug)]
struct Inner {
    wanted: Wanted,
    status: Status,
    views: Vec<View>,
    /// Whether views have changed since they were computed.
    looks: bool,
    results: Results,
    model: Option<Model>,
    found: Option<Found>,
    reported: Instant,
    /// The entry of the journal at which training came to rest.
    rests_at: Option<u64>,
}

/// Shared by all threads.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) project: Arc<Project>,
    pub(super) events: Events,
    pub(super) device: String,
    inner: Mutex<Inner>,
    changed: Condvar,
}

/// What the thread does next.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    Close,
    Forget,
    Search,
    Look,
    Train(Start),
}

impl Shared {
    pub(super) fn new(project: Arc<Project>, events: Events, device: String) -> Self {
        let inner = Inner {
            wanted: Wanted::default(),
            status: Status::idle(),
            views: Vec::new(),
            looks: false,
            results: Results::default(),
            model: None,
            found: None,
            reported: Instant::now(),
            rests_at: None,
        };
        Self { project, events, device, inner: Mutex::new(inner), changed: Condvar::new() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is something to do. `can_look` says whether there is a network.
    pub(super) fn next(&self, can_look: bool) -> Next {
        let mut inner = self.inner();
        loop {
            if inner.wanted.closes {
                return Next::Close;
            }
            if std::mem::take(&mut inner.wanted.forgets) {
                return Next::Forget;
            }
            if std::mem::take(&mut inner.wanted.searches) {
                return Next::Search;
            }
            let rests = inner.rests_at == Some(self.project.journal_state().0);
            if inner.wanted.trains && !rests {
                inner.rests_at = None;
                return Next::Train(inner.wanted.start.clone());
            }
            if can_look && std::mem::take(&mut inner.looks) {
                return Next::Look;
            }
            inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether a run is to go on. What a run cannot do meanwhile ends it.
    pub(super) fn goes_on(&self) -> bool {
        let wanted = &self.inner().wanted;
        wanted.trains && !wanted.closes && !wanted.forgets
    }

    /// Whether somebody waits for the place where the network is least sure.
    pub(super) fn is_searched(&self) -> bool {
        std::mem::take(&mut self.inner().wanted.searches)
    }

    /// Answers those who wait for it.
    pub(super) fn found(&self, found: Found) {
        self.inner().found = Some(found);
        self.changed.notify_all();
    }

    /// Training is to start, or to go on.
    pub(super) fn start(&self, start: Start) {
        let mut inner = self.inner();
        inner.wanted.trains = true;
        inner.status.depth = start.depth;
        inner.wanted.start = start;
        inner.rests_at = None;
        inner.status.state = "starting";
        inner.status.message = None;
        self.tell(&mut inner, true);
        self.changed.notify_all();
    }

    pub(super) fn pause(&self) {
        let mut inner = self.inner();
        inner.wanted.trains = false;
        if inner.status.state != "idle" {
            inner.status.state = "paused";
        }
        self.tell(&mut inner, true);
        self.changed.notify_all();
    }

    pub(super) fn forget(&self) {
        let mut inner = self.inner();
        (inner.wanted.trains, inner.wanted.forgets) = (false, true);
        self.changed.notify_all();
    }

    pub(super) fn close(&self) {
        self.inner().wanted.closes = true;
        self.changed.notify_all();
    }

    /// Labels have changed: who rests wakes up.
    pub(super) fn wake(&self) {
        drop(self.inner());
        self.changed.notify_all();
    }

    /// Training that rests goes on.
    pub(super) fn rest_no_more(&self) {
        self.inner().rests_at = None;
        self.changed.notify_all();
    }

    /// A tab looks at something else.
    pub(super) fn look_at(&self, view: View) {
        let mut inner = self.inner();
        inner.views.retain(|known| known.tab != view.tab);
        inner.views.insert(0, view);
        inner.views.truncate(MOST_VIEWS);
        inner.looks = true;
        self.changed.notify_all();
    }

    /// What tabs look at, the latest first.
    pub(super) fn views(&self) -> Vec<View> {
        self.inner().views.clone()
    }

    /// Not all that is looked at is computed yet.
    pub(super) fn look_again(&self) {
        self.inner().looks = true;
    }

    /// Waits for the place where the network is least sure.
    pub(super) fn search(&self) -> Found {
        let mut inner = self.inner();
        (inner.wanted.searches, inner.found) = (true, None);
        self.changed.notify_all();
        let end = Instant::now() + LONGEST_SEARCH;
        loop {
            if let Some(found) = inner.found.clone() {
                return found;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || inner.wanted.closes {
                return Err("the search took longer than a minute; try again".into());
            }
            inner = self.changed.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(super) fn version_of(&self, place: &Place) -> Option<u64> {
        self.inner().results.version(place)
    }

    pub(super) fn put(&self, place: Place, tile: ResultTile) {
        self.inner().results.put(place, tile);
    }

    pub(super) fn tile(
        &self,
        of: (&str, usize),
        extent: (usize, usize),
        tile: (u32, usize, usize),
        what: What,
    ) -> Option<Tile> {
        if what != What::Values {
            return self.inner().results.tile(of, extent, tile, what);
        }
        let known = self.inner().results.values(of, extent, tile)?;
        values_tile(&known, extent, tile)
    }

    /// As [`Results::pixels`].
    pub(super) fn pixels(
        &self,
        of: (&str, usize),
        places: impl Iterator<Item = (usize, usize)>,
        what: What,
    ) -> (Vec<u8>, u64) {
        self.inner().results.pixels(of, places, what)
    }

    /// The network as it was last seen.
    pub(super) fn model(&self) -> Option<Model> {
        self.inner().model.clone()
    }

    /// Keeps the network, for those who want it as a file.
    pub(super) fn keep(&self, model: Option<Model>) {
        let mut inner = self.inner();
        inner.status.model = model.is_some();
        if model.is_none() {
            inner.results.clear();
        }
        inner.model = model;
        inner.looks = true;
    }

    pub(super) fn status(&self) -> Status {
        self.inner().status.clone()
    }

    /// Changes what is told of training, and tells it to the pages: at once, or where the last time is a while ago.
    pub(super) fn report(&self, at_once: bool, change: impl FnOnce(&mut Status)) {
        let mut inner = self.inner();
        change(&mut inner.status);
        while inner.status.curve.len() > MOST_POINTS {
            let mut place = 0;
            inner.status.curve.retain(|_| {
                place += 1;
                place % 2 == 0
            });
        }
        self.tell(&mut inner, at_once);
    }

    /// Forgets what earlier networks gave.
    pub(super) fn clear_results(&self) {
        self.inner().results.clear();
    }

    /// Training has come to rest with the labels of the entry `seq`.
    pub(super) fn rest(&self, seq: u64, message: String) {
        let mut inner = self.inner();
        inner.rests_at = Some(seq);
        let trains = inner.wanted.trains;
        drop(inner);
        self.report(true, |status| {
            status.state = if trains { "resting" } else { "paused" };
            status.message = Some(message);
        });
    }

    /// Training cannot go on.
    pub(super) fn fail(&self, message: String) {
        self.inner().wanted.trains = false;
        self.report(true, |status| {
            status.state = "failed";
            status.message = Some(message);
        });
    }

    fn tell(&self, inner: &mut Inner, at_once: bool) {
        if !at_once && inner.reported.elapsed() < REPORT {
            return;
        }
        inner.reported = Instant::now();
        let mut value = serde_json::to_value(&inner.status).unwrap_or_default();
        if let Some(object) = value.as_object_mut() {
            object.remove("curve");
            let point = inner.status.curve.last();
            object.insert("point".into(), serde_json::to_value(point).unwrap_or_default());
        }
        self.events.send(&Event::Training(value));
    }
}
