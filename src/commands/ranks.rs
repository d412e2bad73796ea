//! Commands that several processes do together, which `mpirun` or a batch system has started.

use std::thread;
use std::time::Duration;

use super::errors::{exit_code, sentence};
use super::interrupt::Interrupt;
use crate::Result;
use crate::peers::mpi::World;
use crate::peers::{Peers, launched_together};
use crate::watcher::{Epoch, Flow, ImageReport, StepReport, TrainingPlan, Watcher};

/// How long another rank waits before it says what went wrong, as rank 0 may be about to say the same and end it; and how much longer
/// each does than the one before it.
const PATIENCE: Duration = Duration::from_millis(1500);
const LONGER: Duration = Duration::from_millis(50);
/// The longest of these waits.
const MOST_PATIENCE: Duration = Duration::from_millis(2500);

/// Whether this process is one that others speak for: it says nothing but errors.
pub(super) fn is_spoken_for() -> bool {
    launched_together().is_some_and(|place| place.rank > 0)
}

/// Does `work` together with the other processes of the job, where there are any. What goes wrong on one of them ends all, with its
/// message.
pub(super) fn together(work: impl FnOnce(Option<&mut World>) -> Result<()>) -> Result<()> {
    let world = World::join().inspect_err(|_| {
        // All have met the same.
        if let Some(place) = launched_together() {
            wait_for_others(place.rank);
        }
    })?;
    let Some(mut world) = world else { return work(None) };
    match work(Some(&mut world)) {
        Ok(()) => Ok(()),
        Err(error) => {
            let (rank, size) = (world.rank(), world.size());
            wait_for_others(rank);
            let which = if rank > 0 { format!("on rank {rank} of {size}: ") } else { String::new() };
            eprintln!("error: {which}{}", sentence(&error));
            world.abort(exit_code(&Err(error)))
        }
    }
}

fn wait_for_others(rank: usize) {
    if rank > 0 {
        let longer = LONGER.saturating_mul(u32::try_from(rank).unwrap_or(u32::MAX));
        thread::sleep(PATIENCE.saturating_add(longer).min(MOST_PATIENCE));
    }
}

/// Watches over a rank that others speak for: it listens to signals, and says nothing.
pub(super) struct SilentWatcher {
    interrupt: Interrupt,
}

impl SilentWatcher {
    pub(super) fn new() -> Self {
        Self { interrupt: Interrupt::listen("") }
    }
}

impl Watcher for SilentWatcher {
    fn started(&mut self, _plan: &TrainingPlan) -> Flow {
        self.interrupt.flow()
    }

    fn step(&mut self, _step: &StepReport) -> Flow {
        self.interrupt.flow()
    }

    fn epoch(&mut self, _epoch: &Epoch) -> Flow {
        self.interrupt.flow()
    }

    fn image(&mut self, _image: &ImageReport<'_>) -> Flow {
        self.interrupt.flow()
    }
}
