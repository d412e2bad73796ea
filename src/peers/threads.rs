//! Ranks that are threads of one program.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::{Gathered, Peers};
use crate::{Error, Result};

/// What lies between the ranks.
struct Table {
    /// What was given in this round; `None` of ranks that have not come yet.
    given: Vec<Option<Arc<Vec<u8>>>>,
    /// Rounds that were completed, and what was given in the last of them.
    rounds: u64,
    gathered: Gathered,
    /// The first rank that has ended.
    ended: Option<usize>,
}

/// Ranks that are threads of one program; see [`on_threads`].
pub struct ThreadPeers {
    shared: Arc<(Mutex<Table>, Condvar)>,
    rank: usize,
    size: usize,
}

impl ThreadPeers {
    /// `size` ranks, in their order, to be given to as many threads.
    fn of(size: usize) -> Vec<Self> {
        let table = Table { given: vec![None; size], rounds: 0, gathered: Vec::new(), ended: None };
        let shared = Arc::new((Mutex::new(table), Condvar::new()));
        (0..size).map(|rank| Self { shared: Arc::clone(&shared), rank, size }).collect()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing is left half-done by a panic while it was locked.
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Peers for ThreadPeers {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn gather(&mut self, own: Vec<u8>) -> Result<Gathered> {
        let mut table = self.table();
        let round = table.rounds;
        table.given[self.rank] = Some(Arc::new(own));
        if table.given.iter().all(Option::is_some) {
            table.gathered = table.given.iter_mut().filter_map(Option::take).collect();
            table.rounds += 1;
            self.shared.1.notify_all();
        }
        // A round cannot be completed twice before all ranks have taken what it gave.
        while table.rounds == round {
            if let Some(rank) = table.ended {
                return Err(Error::LostRank { rank });
            }
            table = self.shared.1.wait(table).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(table.gathered.clone())
    }
}

impl Drop for ThreadPeers {
    /// Nobody waits for a rank that has ended, however it ended.
    fn drop(&mut self) {
        let mut table = self.table();
        table.ended.get_or_insert(self.rank);
        self.shared.1.notify_all();
    }
}

/// Does `work` on `size` ranks at the same time, each on a thread with its share of the threads that the processor has for parallel work
/// (at least one), and `meanwhile` on this thread. Gives what rank 0 came to.
///
/// # Errors
/// What went wrong on a rank; what others only missed by that is not told. [`Error::Device`] when threads cannot be started. A rank that
/// panics ends the others, and the panic goes on here.
pub fn on_threads<T: Send>(
    size: usize,
    work: impl Fn(ThreadPeers) -> Result<T> + Sync,
    meanwhile: impl FnOnce(),
) -> Result<T> {
    let threads = (rayon::current_num_threads() / size.max(1)).max(1);
    let no_threads = |error: &dyn std::fmt::Display| {
        let problem = format!("{error}; raise the limit of memory or of processes, or use fewer devices");
        Error::device("the processor", "starting threads", problem)
    };
    let pool = |_| rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pools: std::result::Result<Vec<_>, _> = (0..size).map(pool).collect();
    let pools = pools.map_err(|error| no_threads(&error))?;
    let results = thread::scope(|scope| {
        let mut started = Vec::with_capacity(size);
        for (peers, pool) in ThreadPeers::of(size).into_iter().zip(&pools) {
            let named = thread::Builder::new().name(format!("rank {}", peers.rank));
            let work = &work;
            let on_rank = move || pool.install(|| work(peers));
            // The panic is kept, as the others end by themselves.
            started.push(named.spawn_scoped(scope, move || catch_unwind(AssertUnwindSafe(on_rank))));
        }
        // Rank 0 is whom this thread may wait for.
        if started.first().is_some_and(std::result::Result::is_ok) {
            meanwhile();
        }
        let ended = started.into_iter().map(|thread| match thread {
            Ok(thread) => thread.join().unwrap_or_else(Err),
            Err(error) => Ok(Err(no_threads(&error))),
        });
        ended.collect::<Vec<_>>()
    });
    let mut first = None;
    let mut failure = None;
    for result in results {
        match result {
            Err(panic) => resume_unwind(panic),
            Ok(Ok(value)) => drop(first.get_or_insert(value)),
            // That another rank was missed says nothing beside why it was missed.
            Ok(Err(error @ Error::LostRank { .. })) => drop(failure.get_or_insert(error)),
            Ok(Err(error)) if matches!(failure, None | Some(Error::LostRank { .. })) => failure = Some(error),
            Ok(Err(_)) => {}
        }
    }
    match (failure, first) {
        (None, Some(value)) => Ok(value),
        (Some(error), _) => Err(error),
        (None, None) => Err(no_threads(&"there is no rank")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_gets_what_everybody_gave_round_after_round() {
        for size in [1, 2, 3, 8] {
            let work = |mut peers: ThreadPeers| {
                for round in 0..200u8 {
                    // Of another length each time, and sometimes nothing.
                    let own = vec![round; (peers.rank() + usize::from(round)) % 3];
                    for (rank, bytes) in peers.gather(own)?.iter().enumerate() {
                        assert_eq!(**bytes, vec![round; (rank + usize::from(round)) % 3]);
                    }
                }
                Ok(peers.rank())
            };
            assert_eq!(on_threads(size, work, || ()).unwrap(), 0);
        }
    }

    #[test]
    fn the_error_of_a_rank_ends_all_and_is_the_one_that_is_told() {
        for failing in 0..4 {
            let work = |mut peers: ThreadPeers| {
                for round in 0..10 {
                    if (peers.rank(), round) == (failing, 5) {
                        return Err(Error::Mismatch("no more".into()));
                    }
                    peers.gather(Vec::new())?;
                }
                Ok(())
            };
            assert_eq!(on_threads(4, work, || ()), Err(Error::Mismatch("no more".into())));
        }
    }

    #[test]
    fn a_panic_of_a_rank_ends_all_and_goes_on() {
        let work = |mut peers: ThreadPeers| {
            peers.gather(Vec::new())?;
            assert!(peers.rank() != 2, "rank 2 breaks");
            peers.gather(Vec::new()).map(|_| ())
        };
        let panic = catch_unwind(|| on_threads(4, work, || ())).unwrap_err();
        assert_eq!(*panic.downcast_ref::<&str>().unwrap(), "rank 2 breaks");
    }

    #[test]
    fn each_rank_has_its_share_of_threads() {
        let all = rayon::current_num_threads();
        let work = |mut peers: ThreadPeers| {
            peers.gather(Vec::new())?;
            Ok(rayon::current_num_threads())
        };
        assert_eq!(on_threads(2, work, || ()).unwrap(), (all / 2).max(1));
    }
}
