//! Several ranks that do one work together, such as the steps of a training, and the messages between them.
//!
//! A rank is one of the parties, counted from 0; each has its own engine. Ranks do not share memory. All that they know of each
//! other goes through [`Peers::gather`], which all of them call in the same order, as in MPI. There are three kinds:
//!
//! - [`Alone`]: one rank by itself.
//! - [`on_threads`]: ranks are threads of this program, each with its share of the processor's threads.
//! - [`mpi`]: ranks are processes that `mpirun` or a batch system has started, on one machine or many (feature `mpi`).

mod message;
#[cfg(all(feature = "mpi", unix))]
pub mod mpi;
#[cfg(not(all(feature = "mpi", unix)))]
#[path = "without_mpi.rs"]
pub mod mpi;
mod place;
mod threads;

use std::ops::Range;
use std::sync::Arc;

pub use message::{Message, MessageReader};
pub use place::{Place, VARIABLE, launched_together, threads_of_this_process};
pub use threads::{ThreadPeers, on_threads};

use crate::Result;

/// What each rank gave, in the order of the ranks.
pub type Gathered = Vec<Arc<Vec<u8>>>;

/// The ranks of a work, as one of them sees them.
pub trait Peers {
    /// The number of this rank, from 0. Rank 0 leads: it writes files and reports progress.
    fn rank(&self) -> usize;

    /// How many ranks there are.
    fn size(&self) -> usize;

    /// Gives every rank what each of them gives. All ranks call this equally often and in the same order; each waits for the slowest.
    ///
    /// # Errors
    /// [`crate::Error::LostRank`] when another rank has ended before it gave anything; [`crate::Error::Device`] when messages cannot be
    /// sent.
    fn gather(&mut self, own: Vec<u8>) -> Result<Gathered>;
}

/// One rank by itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

impl Peers for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn gather(&mut self, own: Vec<u8>) -> Result<Gathered> {
        Ok(vec![Arc::new(own)])
    }
}

/// The share of `count` things that one of `size` ranks has: neighbours, and as many for each rank as can be. Put behind each
/// other, the shares of all ranks are the things in their order.
pub fn share(count: usize, rank: usize, size: usize) -> Range<usize> {
    let place = |rank: usize| (rank as u128 * count as u128 / size.max(1) as u128) as usize;
    place(rank)..place(rank + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_all_things_in_their_order() {
        for count in 0..20 {
            for size in 1..9 {
                let all: Vec<usize> = (0..size).flat_map(|rank| share(count, rank, size)).collect();
                assert_eq!(all, (0..count).collect::<Vec<_>>());
                let lengths = (0..size).map(|rank| share(count, rank, size).len());
                assert!(lengths.clone().max().unwrap() - lengths.min().unwrap() <= 1, "{count} {size}");
            }
        }
        assert_eq!(share(usize::MAX, 2, 3).end, usize::MAX);
    }
}
