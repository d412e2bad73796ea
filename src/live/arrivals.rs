//! Which files or slices are new, still being written, ready, done or given up.
//!
//! Nothing here looks at a disk or a clock: what was seen, and when, is told, so that tests can tell any story.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::Error;
use crate::files::Stamp;
use crate::images::natural_order;

/// How long something has to stay as it is before it is taken for complete, the shortest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wait {
    /// It is known to be complete.
    None,
    /// As long as files are given to settle.
    Settle,
    /// As long as it takes to give up: it may well be that more will come.
    Patience,
}

/// A file or slice that is there.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// What tells it from others: the name of a file in its folder, or the number of a slice.
    pub(super) key: String,
    pub(super) stamp: Stamp,
    pub(super) wait: Wait,
}

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ready {
    pub(super) key: String,
    pub(super) stamp: Stamp,
    /// When it was first seen as it is.
    pub(super) since: Instant,
    /// Whether it was not ready before, since it was done last.
    pub(super) is_new: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Stage {
    /// It has not been as it is for long enough.
    Changing,
    /// It is ready, and whoever does it has not said what became of it.
    Queued,
    /// It could not be used, but may be what another program has not finished.
    Tried(Error),
    /// It could not be used, and has not changed for long enough to say so.
    GivenUp,
    Done,
}

#[derive(Debug)]
struct Known {
    stamp: Stamp,
    since: Instant,
    stage: Stage,
    /// Whether it was ready before, but could not be done.
    is_tried: bool,
}

/// All files of a folder, or slices of an array, and what has become of each.
#[derive(Debug)]
pub(super) struct Arrivals {
    settle: Duration,
    patience: Duration,
    known: HashMap<String, Known>,
}

impl Arrivals {
    /// What is unchanged for `settle` is ready. What cannot be used then is tried again when it changes, and once more when it
    /// has been unchanged for `patience`; only then is it given up.
    pub(super) fn new(settle: Duration, patience: Duration) -> Self {
        Self { settle, patience: patience.max(settle), known: HashMap::new() }
    }

    /// Takes over what an earlier run has done, as it was then.
    pub(super) fn done_before(&mut self, key: String, stamp: Stamp, now: Instant) {
        self.known.insert(key, Known { stamp, since: now, stage: Stage::Done, is_tried: false });
    }

    /// Whether nothing is left to do with it, unless it changes.
    pub(super) fn is_over(&self, key: &str) -> bool {
        self.known.get(key).is_some_and(|known| matches!(known.stage, Stage::Done | Stage::GivenUp))
    }

    /// Takes note of what is there `now`; gives what is ready, in order of appearance: that which was complete first, by when it was
    /// seen and then by when it was written, and in natural order of the names where these are the same. Also says whether
    /// anything has changed.
    pub(super) fn observe(&mut self, seen: Vec<Seen>, now: Instant) -> (Vec<Ready>, bool) {
        let mut ready = Vec::new();
        let mut has_changed = false;
        for Seen { key, stamp, wait } in seen {
            let known = self.known.entry(key.clone()).or_insert_with(|| {
                has_changed = true;
                Known { stamp, since: now, stage: Stage::Changing, is_tried: false }
            });
            if known.stamp != stamp {
                has_changed = true;
                // What turns out to be complete has been so since it was seen.
                if wait != Wait::None || known.stage != Stage::Changing {
                    known.since = now;
                }
                known.stamp = stamp;
                if known.stage != Stage::Queued {
                    known.stage = Stage::Changing;
                }
            }
            let age = now.saturating_duration_since(known.since);
            let is_ready = match (&known.stage, wait) {
                (Stage::Changing, Wait::None) => true,
                (Stage::Changing, Wait::Settle) => age >= self.settle,
                (Stage::Changing, Wait::Patience) | (Stage::Tried(_), _) => age >= self.patience,
                _ => false,
            };
            if is_ready {
                known.stage = Stage::Queued;
                ready.push(Ready { key, stamp, since: known.since, is_new: !known.is_tried });
            }
        }
        ready.sort_by(|a, b| {
            let place = |ready: &Ready| (ready.since, ready.stamp.modified);
            place(a).cmp(&place(b)).then_with(|| natural_order(&a.key, &b.key))
        });
        (ready, has_changed)
    }

    /// Forgets what is not there any more, as `is_there` says; gives what could not be used before it went away.
    pub(super) fn forget_missing(&mut self, is_there: impl Fn(&str) -> bool) -> Vec<(String, Error)> {
        let mut lost = Vec::new();
        self.known.retain(|key, known| match &known.stage {
            Stage::Done | Stage::GivenUp | Stage::Queued => true,
            Stage::Changing => is_there(key),
            Stage::Tried(error) => {
                let stays = is_there(key);
                if !stays {
                    lost.push((key.clone(), error.clone()));
                }
                stays
            }
        });
        lost.sort_by(|a, b| natural_order(&a.0, &b.0));
        lost
    }

    /// Says that something was done as it was with `stamp`. Where it has changed since, it is done again.
    pub(super) fn done(&mut self, key: &str, stamp: Stamp) {
        if let Some(known) = self.known.get_mut(key) {
            known.stage = if known.stamp == stamp { Stage::Done } else { Stage::Changing };
            known.is_tried = false;
        }
    }

    /// Says that something was not as it should be when its turn came: another program is writing it again.
    pub(super) fn has_changed(&mut self, key: &str, now: Instant) {
        if let Some(known) = self.known.get_mut(key) {
            (known.stage, known.since, known.is_tried) = (Stage::Changing, now, true);
        }
    }

    /// Says that something could not be used as it was with `stamp`; gives the error where it is given up with that.
    pub(super) fn failed(&mut self, key: &str, stamp: Stamp, error: Error, now: Instant) -> Option<Error> {
        let known = self.known.get_mut(key)?;
        known.is_tried = true;
        if known.stamp != stamp {
            known.stage = Stage::Changing;
            return None;
        }
        if now.saturating_duration_since(known.since) >= self.patience {
            known.stage = Stage::GivenUp;
            return Some(error);
        }
        known.stage = Stage::Tried(error);
        None
    }

    /// How many are being written, as far as is known.
    pub(super) fn changing(&self) -> usize {
        self.known.values().filter(|known| known.stage == Stage::Changing).count()
    }

    /// Gives up all that could not be used so far.
    pub(super) fn give_up(&mut self) -> Vec<(String, Error)> {
        let mut lost = Vec::new();
        for (key, known) in &mut self.known {
            if let Stage::Tried(error) = &known.stage {
                lost.push((key.clone(), error.clone()));
                known.stage = Stage::GivenUp;
            }
        }
        lost.sort_by(|a, b| natural_order(&a.0, &b.0));
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: u64 = 10;
    const PATIENCE: u64 = 100;

    /// A story, in seconds since it began.
    struct Story {
        begin: Instant,
        arrivals: Arrivals,
    }

    impl Story {
        fn new() -> Self {
            let (settle, patience) = (Duration::from_secs(SETTLE), Duration::from_secs(PATIENCE));
            Self { begin: Instant::now(), arrivals: Arrivals::new(settle, patience) }
        }

        fn at(&self, second: u64) -> Instant {
            self.begin + Duration::from_secs(second)
        }

        /// The keys that are ready when these files of so many bytes are seen.
        fn see(&mut self, second: u64, files: &[(&str, u64)]) -> Vec<String> {
            let seen = files.iter().map(|(key, bytes)| seen(key, *bytes, Wait::Settle)).collect();
            let now = self.at(second);
            self.arrivals.observe(seen, now).0.into_iter().map(|ready| ready.key).collect()
        }

        fn fail(&mut self, second: u64, key: &str, bytes: u64) -> Option<Error> {
            let now = self.at(second);
            self.arrivals.failed(key, of(bytes), Error::Mismatch("bad".into()), now)
        }
    }

    fn of(bytes: u64) -> Stamp {
        Stamp { bytes, modified: 0 }
    }

    fn seen(key: &str, bytes: u64, wait: Wait) -> Seen {
        Seen { key: key.into(), stamp: of(bytes), wait }
    }

    #[test]
    fn a_file_is_ready_once_it_is_unchanged_for_long_enough_and_only_once() {
        let mut story = Story::new();
        assert!(story.see(0, &[("a", 1)]).is_empty());
        assert!(story.see(9, &[("a", 2)]).is_empty());
        assert!(story.see(18, &[("a", 2)]).is_empty());
        assert_eq!(story.arrivals.changing(), 1);
        assert_eq!(story.see(19, &[("a", 2)]), ["a"]);
        assert!(story.see(30, &[("a", 2)]).is_empty());
        story.arrivals.done("a", of(2));
        assert!(story.see(50, &[("a", 2)]).is_empty() && story.arrivals.is_over("a"));
        // Written again, it is done again.
        assert!(story.see(60, &[("a", 3)]).is_empty());
        assert_eq!(story.see(70, &[("a", 3)]), ["a"]);
    }

    #[test]
    fn order_is_by_completion_then_by_the_time_of_writing_then_as_people_count() {
        let mut story = Story::new();
        story.see(0, &[("z10", 1), ("z9", 1), ("b", 1)]);
        story.see(1, &[("z10", 1), ("z9", 1), ("b", 2), ("a", 1)]);
        let at = |key: &str, bytes, modified| Seen {
            stamp: Stamp { bytes, modified },
            ..seen(key, bytes, Wait::Settle)
        };
        // All are ready at the same time, but two of them were complete later.
        assert_eq!(story.see(11, &[("a", 1), ("b", 2), ("z10", 1), ("z9", 1)]), ["z9", "z10", "a", "b"]);
        let both = vec![at("d", 1, 7), at("c", 1, 8)];
        let (begin, end) = (story.at(20), story.at(30));
        story.arrivals.observe(both.clone(), begin);
        let (ready, _) = story.arrivals.observe(both, end);
        assert_eq!(ready.iter().map(|ready| ready.key.as_str()).collect::<Vec<_>>(), ["d", "c"]);
    }

    #[test]
    fn what_cannot_be_used_is_tried_when_it_changes_and_given_up_when_it_does_not() {
        let mut story = Story::new();
        story.see(0, &[("a", 1)]);
        assert_eq!(story.see(10, &[("a", 1)]), ["a"]);
        assert!(story.fail(11, "a", 1).is_none());
        assert!(story.see(30, &[("a", 1)]).is_empty());
        // The writer was slow, and goes on.
        assert!(story.see(40, &[("a", 2)]).is_empty());
        assert_eq!(story.see(50, &[("a", 2)]), ["a"]);
        assert!(story.fail(51, "a", 2).is_none());
        assert!(story.see(139, &[("a", 2)]).is_empty());
        // Once more, as network file systems may tell of a change late.
        assert_eq!(story.see(140, &[("a", 2)]), ["a"]);
        assert!(story.fail(141, "a", 2).is_some());
        assert!(story.arrivals.is_over("a") && story.see(900, &[("a", 2)]).is_empty());
        assert!(story.see(901, &[("a", 3)]).is_empty());
        assert_eq!(story.see(911, &[("a", 3)]), ["a"]);
    }

    #[test]
    fn what_changes_while_it_waits_or_is_done_is_done_again() {
        let mut story = Story::new();
        story.see(0, &[("a", 1), ("b", 1)]);
        assert_eq!(story.see(10, &[("a", 1), ("b", 1)]), ["a", "b"]);
        assert!(story.see(11, &[("a", 2), ("b", 2)]).is_empty());
        story.arrivals.done("a", of(1));
        assert!(story.fail(12, "b", 1).is_none());
        assert_eq!(story.see(21, &[("a", 2), ("b", 2)]), ["a", "b"]);
        let now = story.at(22);
        story.arrivals.has_changed("a", now);
        assert!(story.see(31, &[("a", 2)]).is_empty());
        assert_eq!(story.see(32, &[("a", 2)]), ["a"]);
    }

    #[test]
    fn what_goes_away_is_forgotten_and_named_where_it_was_bad() {
        let mut story = Story::new();
        story.see(0, &[("a", 1), ("b", 1), ("c", 1)]);
        assert_eq!(story.see(10, &[("b", 1), ("c", 1)]), ["b", "c"]);
        story.fail(11, "b", 1);
        story.fail(11, "c", 1);
        let lost = story.arrivals.forget_missing(|key| key == "c");
        assert_eq!(lost.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["b"]);
        assert_eq!(story.arrivals.changing(), 0);
        assert_eq!(story.arrivals.give_up().len(), 1);
        assert!(story.arrivals.is_over("c") && story.arrivals.give_up().is_empty());
    }

    #[test]
    fn what_is_known_to_be_complete_does_not_wait_and_what_may_grow_waits_longer() {
        let mut story = Story::new();
        let now = story.at(0);
        let (ready, changed) = story.arrivals.observe(vec![seen("a", 1, Wait::None)], now);
        assert!(ready.len() == 1 && changed);
        story.arrivals.observe(vec![seen("b", 1, Wait::Patience)], now);
        let later = story.at(99);
        assert!(story.arrivals.observe(vec![seen("b", 1, Wait::Patience)], later).0.is_empty());
        // It turns out to be complete: that it has been since it was first seen.
        let (ready, _) = story.arrivals.observe(vec![seen("b", 5, Wait::None)], later);
        assert_eq!(ready[0].since, now);
    }

    #[test]
    fn what_was_done_before_is_done_unless_it_is_another_file() {
        let mut story = Story::new();
        let now = story.at(0);
        story.arrivals.done_before("a".into(), of(1), now);
        story.arrivals.done_before("b".into(), of(1), now);
        assert!(story.see(0, &[("a", 1), ("b", 2)]).is_empty());
        assert_eq!(story.see(10, &[("a", 1), ("b", 2)]), ["b"]);
    }
}
