//! Stands in for `mpi` in a build without that feature, and on systems that it is not for: there are no ranks that are processes.

use std::convert::Infallible;

use super::{Gathered, Peers, Place, launched_together};
use crate::{Error, Result};

/// All processes of an MPI job, of which this build knows none.
#[derive(Debug)]
pub struct World(Infallible);

impl World {
    /// `None` for a process that was started by itself.
    ///
    /// # Errors
    /// [`Error::Setting`] where it was started with others, which would all do the same.
    pub fn join() -> Result<Option<Self>> {
        let Some(place) = launched_together() else { return Ok(None) };
        let wanted = "this build of msd-gpu has no MPI; build it with the feature mpi, or set MSD_GPU_MPI=none where each process is to \
                      do something by itself";
        Err(Error::setting("the number of processes that were started together", place.size, wanted))
    }

    /// Where this process is among the others.
    pub fn place(&self) -> Place {
        match self.0 {}
    }

    /// Ends all processes of the job at once.
    pub fn abort(self, _code: u8) -> ! {
        match self.0 {}
    }
}

impl Peers for World {
    fn rank(&self) -> usize {
        match self.0 {}
    }

    fn size(&self) -> usize {
        match self.0 {}
    }

    fn gather(&mut self, _own: Vec<u8>) -> Result<Gathered> {
        match self.0 {}
    }
}
