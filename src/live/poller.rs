//! A thread that looks at a source again and again, and what it leaves for the one that computes.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::arrivals::{Arrivals, Ready};
use super::queue::Queue;
use super::source::{Look, Source};
use crate::Error;
use crate::files::Stamp;
use crate::images::ImageSource;

/// The longest share of the time that is spent on looking: one part in so many.
const SHARE: u32 = 5;

/// An image that is ready to be done.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) ready: Ready,
    /// What messages call it.
    pub(super) name: String,
    /// Where it is, where that is known already; else it is in a file of its own.
    pub(super) image: Option<ImageSource>,
}

/// What became of an item.
#[derive(Debug)]
pub(super) enum Outcome {
    Done(Stamp),
    Failed(Stamp, Error),
    /// It was not as it should be when its turn came.
    Changed,
}

/// Something that could not be used.
#[derive(Debug)]
pub(super) struct GivenUp {
    pub(super) key: String,
    pub(super) name: String,
    pub(super) error: Error,
}

/// What one thread leaves for the other.
#[derive(Debug)]
pub(super) struct Inbox {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) queue: Queue<Item>,
    pub(super) given_up: Vec<GivenUp>,
    /// How many are still being written, as far as is known.
    pub(super) changing: usize,
    /// When something has changed last.
    pub(super) active: Instant,
    /// How many are there that wait for neighbours which are not.
    pub(super) held: usize,
    /// Whether no more are expected, so that those are done as they are.
    pub(super) is_ending: bool,
    /// How often the source was looked at.
    pub(super) looks: u64,
    /// What ended the looking.
    pub(super) error: Option<Error>,
}

impl Inbox {
    pub(super) fn new(queue: Queue<Item>) -> Self {
        let (given_up, active) = (Vec::new(), Instant::now());
        let (held, is_ending) = (0, false);
        let state = State { queue, given_up, changing: 0, held, is_ending, active, looks: 0, error: None };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is something new, at most so long.
    pub(super) fn wait(&self, most: Duration) {
        let state = self.lock();
        let is_idle =
            |state: &mut State| state.queue.len() == 0 && state.given_up.is_empty() && state.error.is_none();
        drop(self.changed.wait_timeout_while(state, most, is_idle));
    }
}

/// Looks at `source` every `pause` until whoever sends `outcomes` has gone; then gives up what could not be used so far.
pub(super) fn look_again_and_again(
    mut source: Box<dyn Source>,
    mut arrivals: Arrivals,
    pause: Duration,
    outcomes: &Receiver<(String, Outcome)>,
    inbox: &Inbox,
) {
    loop {
        let begin = Instant::now();
        if inbox.lock().is_ending {
            source.end();
        }
        let found = source.look(&arrivals, begin);
        let Look { seen, names } = match found {
            Ok(look) => look,
            Err(error) => {
                inbox.lock().error = Some(error);
                inbox.changed.notify_all();
                return;
            }
        };
        while let Some(trouble) = source.trouble() {
            log::warn!("{trouble}");
        }
        let (ready, has_changed) = arrivals.observe(seen, begin);
        let lost = names.map(|names| arrivals.forget_missing(|key| names.contains(key))).unwrap_or_default();
        let mut state = inbox.lock();
        for ready in ready {
            let is_new = ready.is_new;
            let item = Item { name: source.name(&ready.key), image: source.image(&ready.key), ready };
            if let Some(item) = state.queue.push(item, is_new) {
                arrivals.done(&item.ready.key, item.ready.stamp);
                state.queue.skip(item);
            }
        }
        let given_up = |(key, error): (String, Error)| GivenUp { name: source.name(&key), key, error };
        state.given_up.extend(lost.into_iter().map(given_up));
        state.changing = arrivals.changing();
        state.held = source.held();
        state.looks += 1;
        if has_changed {
            state.active = begin;
        }
        drop(state);
        inbox.changed.notify_all();
        // A file server is not to be kept busy by this alone.
        let next = Instant::now() + pause.max(begin.elapsed() * (SHARE - 1));
        loop {
            match outcomes.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok((key, outcome)) => {
                    let now = Instant::now();
                    let error = match outcome {
                        Outcome::Done(stamp) => {
                            arrivals.done(&key, stamp);
                            None
                        }
                        Outcome::Changed => {
                            arrivals.has_changed(&key, now);
                            None
                        }
                        Outcome::Failed(stamp, error) => arrivals.failed(&key, stamp, error, now),
                    };
                    if let Some(error) = error {
                        inbox.lock().given_up.push(GivenUp { name: source.name(&key), key, error });
                        inbox.changed.notify_all();
                    }
                }
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => {
                    let lost = arrivals.give_up().into_iter();
                    let given_up = lost.map(|(key, error)| GivenUp { name: source.name(&key), key, error });
                    let mut state = inbox.lock();
                    state.given_up.extend(given_up);
                    state.changing = arrivals.changing();
                    return;
                }
            }
        }
    }
}
