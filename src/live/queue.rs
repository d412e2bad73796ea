//! Which images are done when more come than can be done.

use std::collections::VecDeque;

/// Which of the images are done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Policy {
    /// All, in order; those that come faster than they are done wait.
    #[default]
    All,
    /// The first, and then each so-many-th, in order.
    Every(u64),
    /// The newest that is there when the one before is done; older ones are passed over.
    Latest,
}

/// What waits to be done. It holds names, not images, so it takes little memory however long it is.
#[derive(Debug)]
pub(super) struct Queue<T> {
    policy: Policy,
    waiting: VecDeque<T>,
    skipped: Vec<T>,
    /// How many have come, with those of earlier runs.
    count: u64,
}

impl<T> Queue<T> {
    /// For a watch before which `count` images came.
    pub(super) fn new(policy: Policy, count: u64) -> Self {
        Self { policy, waiting: VecDeque::new(), skipped: Vec::new(), count }
    }

    /// Adds what has come, or gives it back where it is passed over; `is_new` says that it did not come before, such as an image
    /// that could not be read at first.
    #[must_use]
    pub(super) fn push(&mut self, item: T, is_new: bool) -> Option<T> {
        let is_wanted = match self.policy {
            Policy::Every(n) if is_new => self.count.is_multiple_of(n.max(1)),
            _ => true,
        };
        self.count += u64::from(is_new);
        if !is_wanted {
            return Some(item);
        }
        self.waiting.push_back(item);
        None
    }

    /// Says that an item is passed over.
    pub(super) fn skip(&mut self, item: T) {
        self.skipped.push(item);
    }

    /// At most `most` items to do next, in order.
    pub(super) fn take(&mut self, most: usize) -> Vec<T> {
        match self.policy {
            Policy::Latest => {
                let newest = if most > 0 { self.waiting.pop_back() } else { None };
                if newest.is_some() {
                    self.skipped.extend(self.waiting.drain(..));
                }
                newest.into_iter().collect()
            }
            _ => self.waiting.drain(..most.min(self.waiting.len())).collect(),
        }
    }

    /// What was passed over since this was called last.
    pub(super) fn take_skipped(&mut self) -> Vec<T> {
        std::mem::take(&mut self.skipped)
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(policy: Policy, before: u64) -> Queue<u64> {
        let mut queue = Queue::new(policy, before);
        for item in 0..7 {
            if let Some(item) = queue.push(item, true) {
                queue.skip(item);
            }
        }
        queue
    }

    #[test]
    fn all_are_taken_in_order() {
        let mut queue = filled(Policy::All, 3);
        assert_eq!((queue.take(3), queue.take(9)), (vec![0, 1, 2], vec![3, 4, 5, 6]));
        assert!(queue.take_skipped().is_empty() && queue.len() == 0);
    }

    #[test]
    fn each_third_is_taken_also_by_a_watch_that_goes_on() {
        let mut queue = filled(Policy::Every(3), 0);
        assert_eq!(queue.take(9), [0, 3, 6]);
        assert_eq!(queue.take_skipped(), [1, 2, 4, 5]);
        // What was wanted and could not be read at first is wanted still, and counts once.
        assert!(queue.push(3, false).is_none());
        assert_eq!(queue.take(9), [3]);
        assert_eq!(filled(Policy::Every(3), 7).take(9), [2, 5]);
    }

    #[test]
    fn the_newest_is_taken_and_older_ones_are_passed_over() {
        let mut queue = filled(Policy::Latest, 0);
        assert!(queue.take(0).is_empty() && queue.len() == 7);
        assert_eq!(queue.take(5), [6]);
        assert_eq!(queue.take_skipped(), [0, 1, 2, 3, 4, 5]);
        assert!(queue.take(1).is_empty());
    }
}
