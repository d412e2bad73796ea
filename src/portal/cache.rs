//! What was computed last, while there is room for it.

use std::collections::HashMap;
use std::hash::Hash;

/// Values by their keys, of which those whose last use is longest ago are dropped when they take more than a number of bytes.
#[derive(Debug)]
pub(super) struct Cache<K, V> {
    room: usize,
    bytes: usize,
    /// Counts uses.
    clock: u64,
    kept: HashMap<K, Kept<V>>,
}

#[derive(Debug)]
struct Kept<V> {
    used: u64,
    bytes: usize,
    value: V,
}

impl<K: Clone + Eq + Hash, V> Cache<K, V> {
    /// One that keeps at most `room` bytes.
    pub(super) fn new(room: usize) -> Self {
        Self { room, bytes: 0, clock: 0, kept: HashMap::new() }
    }

    /// The value of `key`, where it is there.
    pub(super) fn get(&mut self, key: &K) -> Option<&mut V> {
        self.clock += 1;
        let kept = self.kept.get_mut(key)?;
        kept.used = self.clock;
        Some(&mut kept.value)
    }

    /// Keeps `value`, which takes `bytes`. What was put last is kept in any case, so that whoever computed it can use it.
    pub(super) fn put(&mut self, key: K, value: V, bytes: usize) {
        self.clock += 1;
        let kept = Kept { used: self.clock, bytes, value };
        self.bytes += bytes;
        if let Some(before) = self.kept.insert(key, kept) {
            self.bytes -= before.bytes;
        }
        self.make_room();
    }

    /// Takes the value of `key` out, where it is there.
    pub(super) fn take(&mut self, key: &K) -> Option<V> {
        let kept = self.kept.remove(key)?;
        self.bytes -= kept.bytes;
        Some(kept.value)
    }

    /// Drops the values whose keys `is_stale` says yes to.
    pub(super) fn drop_if(&mut self, is_stale: impl Fn(&K) -> bool) {
        let bytes = &mut self.bytes;
        self.kept.retain(|key, kept| {
            let stays = !is_stale(key);
            if !stays {
                *bytes -= kept.bytes;
            }
            stays
        });
    }

    fn make_room(&mut self) {
        while self.bytes > self.room && self.kept.len() > 1 {
            let oldest = self.kept.iter().min_by_key(|(_, kept)| kept.used).map(|(key, _)| key.clone());
            let Some(dropped) = oldest.and_then(|key| self.kept.remove(&key)) else { break };
            self.bytes -= dropped.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_longest_is_dropped_first() {
        let mut cache = Cache::new(10);
        for key in 0..3 {
            cache.put(key, key * 10, 3);
        }
        assert_eq!(cache.get(&0), Some(&mut 0));
        cache.put(3, 30, 3);
        assert_eq!((cache.get(&1).copied(), cache.bytes), (None, 9));
        assert_eq!(cache.get(&0), Some(&mut 0));
        assert_eq!((cache.take(&2), cache.take(&2), cache.bytes), (Some(20), None, 6));
        // What is larger than all the room is kept until something else comes.
        cache.put(4, 40, 100);
        assert_eq!((cache.get(&4).copied(), cache.kept.len()), (Some(40), 1));
        cache.put(5, 50, 1);
        assert_eq!((cache.get(&4).copied(), cache.bytes), (None, 1));
        cache.put(5, 51, 2);
        cache.drop_if(|key| *key == 5);
        assert_eq!((cache.get(&5).copied(), cache.bytes), (None, 0));
    }
}
