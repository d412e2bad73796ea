//! Ranks that are processes of one MPI job.
//!
//! The library of MPI is loaded when a launcher has started several processes, and not before: so one build of this program runs with
//! Open MPI and with MPICH and its relatives (MVAPICH, Intel MPI, Cray MPICH), whose handles and constants differ, and needs neither of
//! them where there is none.

mod library;

use std::sync::Arc;

use log::debug;

use self::library::Calls;
use super::{Gathered, Peers, Place, VARIABLE, launched_together};
use crate::{Error, Result};

/// All processes of the job. When it is dropped while its thread panics, all of them end; otherwise this one leaves MPI.
///
/// It must stay in the thread that has made it.
pub struct World {
    calls: Box<dyn Calls>,
    place: Place,
}

impl World {
    /// Joins the other processes of the job; `None` where this process was started by itself.
    ///
    /// # Errors
    /// [`Error::Device`] when no library of MPI can be loaded, or when it knows of other processes than the launcher.
    pub fn join() -> Result<Option<Self>> {
        let Some(place) = launched_together() else { return Ok(None) };
        let calls = library::load(&place)?;
        let (rank, size) = calls.begin()?;
        debug!("rank {rank} of {size}, by {}", calls.name());
        let world = Self { calls, place };
        if (rank, size) == (place.rank, place.size) {
            return Ok(Some(world));
        }
        let problem = format!(
            "it says that this is process {rank} of {size}, and the launcher that it is {} of {}: launcher and library belong to different \
             kinds of MPI; use the launcher of this one, or name the library of the other in the variable {}",
            place.rank, place.size, VARIABLE
        );
        Err(Error::device(world.calls.name(), "joining the other processes", problem))
    }

    /// Where this process is among the others.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Ends all processes of the job at once. The launcher gets `code`.
    pub fn abort(self, code: u8) -> ! {
        self.calls.abort(code);
        // What is above does not return.
        std::process::exit(code.into())
    }
}

impl Peers for World {
    fn rank(&self) -> usize {
        self.place.rank
    }

    fn size(&self) -> usize {
        self.place.size
    }

    fn gather(&mut self, own: Vec<u8>) -> Result<Gathered> {
        let lengths = self.calls.gather_lengths(own.len() as u64, self.place.size)?;
        // MPI counts by 32-bit integers.
        let counts: Option<Vec<i32>> = lengths.iter().map(|&length| i32::try_from(length).ok()).collect();
        let total =
            counts.as_ref().and_then(|counts| counts.iter().try_fold(0i32, |all, &n| all.checked_add(n)));
        let (Some(counts), Some(total)) = (counts, total) else {
            let problem =
                "what all ranks send is more than 2 GiB, which MPI cannot count; use a smaller `batch`";
            return Err(Error::device(self.calls.name(), "sending numbers to the other processes", problem));
        };
        let mut all = vec![0u8; total as usize];
        // Open MPI refuses places without any bytes.
        if total > 0 {
            self.calls.gather(&own, &counts, &mut all)?;
        }
        let mut rest = &all[..];
        let mut gathered = Gathered::new();
        for count in counts {
            let (one, after) = rest.split_at(count as usize);
            gathered.push(Arc::new(one.to_vec()));
            rest = after;
        }
        Ok(gathered)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The others would wait for this rank for ever. The panic has been printed.
            self.calls.abort(101);
        }
        self.calls.end();
    }
}
