//! One run: the loop, its checkpoint, its folder and its reports.

mod checkpoint;
mod folder;
mod judge;
mod memory;
mod outcome;
mod reports;
mod resume;
mod trainer;

pub use folder::{RunFolder, read_settings};
pub use memory::{MemoryUse, image_bytes};
pub use outcome::{Outcome, StopReason};
pub use resume::check_same_settings;

use super::prepare::Prepared;
use super::session::Session;
use super::settings::Settings;
use crate::devices::{self, Device};
use crate::watcher::Watcher;
use crate::{Error, Result};

/// A training run: it is set up by its methods, and started by [`Run::train`].
///
/// ```
/// # use msd_gpu::training::{Prepared, Run, Settings};
/// # fn example(settings: Settings, prepared: Prepared) -> msd_gpu::Result<()> {
/// let outcome = Run::new(settings, &prepared).train()?;
/// println!("best after epoch {}", outcome.best_epoch);
/// # Ok(())
/// # }
/// ```
pub struct Run<'a> {
    settings: Settings,
    prepared: &'a Prepared,
    device: Option<Device>,
    folder: Option<&'a RunFolder>,
    resumes: bool,
    relabelled: bool,
    watcher: Option<&'a mut dyn Watcher>,
    session: Option<&'a mut dyn Session>,
}

impl<'a> Run<'a> {
    /// A run with `settings` on images that were prepared with the same settings. Unless other methods change it, the run uses
    /// the device that the settings name, saves nothing and reports no progress.
    pub fn new(settings: Settings, prepared: &'a Prepared) -> Self {
        Self {
            settings,
            prepared,
            device: None,
            folder: None,
            resumes: false,
            relabelled: false,
            watcher: None,
            session: None,
        }
    }

    /// Trains on `device`.
    pub fn on(self, device: &Device) -> Self {
        Self { device: Some(device.clone()), ..self }
    }

    /// Saves model, checkpoint, history and pictures in `folder`.
    pub fn save_in(self, folder: &'a RunFolder) -> Self {
        Self { folder: Some(folder), ..self }
    }

    /// Continues from the checkpoint in the run's folder, with the same results to the last bit as if the run had not been
    /// stopped. In a folder without a checkpoint the run starts from its first step.
    pub fn resume(self) -> Self {
        Self { resumes: true, ..self }
    }

    /// As [`Run::resume`], with labels that may be others than before, of the same classes, and other images: the run goes on from
    /// where it is, and keeps the moments of the optimiser. The images must have been prepared by [`Prepared::relabelled`].
    pub fn resume_relabelled(self) -> Self {
        Self { resumes: true, relabelled: true, ..self }
    }

    /// Asks `session` between steps for other labels, and shows it the network.
    pub fn in_session(self, session: &'a mut dyn Session) -> Self {
        Self { session: Some(session), ..self }
    }

    /// Reports the run's progress to `watcher`, which may stop the run; it then ends as it does at a limit.
    pub fn watched_by(self, watcher: &'a mut dyn Watcher) -> Self {
        Self { watcher: Some(watcher), ..self }
    }

    /// Trains until a limit, the patience or the watcher ends the run. Returns the best model, which is saved in the folder too.
    ///
    /// # Errors
    /// When the device fails, the loss is no longer finite ([`Error::Diverged`]; the best model so far stays in
    /// the folder), a resumed run has other settings or images than it was started with, or a file cannot be written.
    pub fn train(self) -> Result<Outcome> {
        let Self { settings, prepared, device, folder, resumes, relabelled, watcher, session } = self;
        let mut settings = prepared.filled(&settings);
        settings.fill_limit();
        settings.validate()?;
        let checkpoint = match (resumes, folder) {
            (false, _) => None,
            (true, Some(folder)) => folder.read_checkpoint()?,
            (true, None) => {
                let problem = "a run without a folder cannot be resumed; say where it was saved";
                return Err(Error::Mismatch(problem.into()));
            }
        };
        let device = device.map_or_else(|| devices::choose(&settings.device), Ok)?;
        let silent: &mut dyn Watcher = &mut ();
        let alone: &mut dyn Session = &mut ();
        let (watcher, session) = (watcher.unwrap_or(silent), session.unwrap_or(alone));
        let start = trainer::Start { checkpoint, relabelled };
        trainer::train(prepared, &settings, folder, &device, start, watcher, session)
    }
}
