//! One run: the loop, its checkpoint, its folder and its reports.

mod checkpoint;
mod folder;
mod judge;
mod memory;
mod outcome;
mod reports;
mod resume;
mod several;
mod trainer;

pub use folder::{RunFolder, read_settings};
pub(in crate::training) use judge::Judge;
pub use memory::{MemoryUse, image_bytes};
pub use outcome::{Outcome, StopReason};
pub use resume::check_same_settings;

use super::prepare::Prepared;
use super::session::Session;
use super::settings::Settings;
use crate::devices::{self, Device};
use crate::peers::{Alone, Peers};
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
    devices: Vec<Device>,
    peers: Option<&'a mut dyn Peers>,
    folder: Option<&'a RunFolder>,
    resumes: bool,
    relabelled: bool,
    watcher: Option<&'a mut dyn Watcher>,
    session: Option<&'a mut dyn Session>,
}

impl<'a> Run<'a> {
    /// A run with `settings` on images that were prepared with the same settings. Unless other methods change it, the run uses
    /// the devices that the settings name, saves nothing and reports no progress.
    pub fn new(settings: Settings, prepared: &'a Prepared) -> Self {
        Self {
            settings,
            prepared,
            devices: Vec::new(),
            peers: None,
            folder: None,
            resumes: false,
            relabelled: false,
            watcher: None,
            session: None,
        }
    }

    /// Trains on `device`.
    pub fn on(self, device: &Device) -> Self {
        Self { devices: vec![device.clone()], ..self }
    }

    /// Trains on all of `devices` at the same time: the images of each step are shared out, so the settings should have at least as
    /// many in a step (`batch`) as there are devices. The result is the same, to the last bit, as that of one processor, or of any other
    /// number of processors; GPUs, which must be of one model, give the same for any number from two on.
    pub fn on_all(self, devices: &[Device]) -> Self {
        Self { devices: devices.to_vec(), ..self }
    }

    /// Trains together with other ranks, each of which makes the same run on a device of its own: as [`Run::on_all`], where the ranks do not
    /// belong to this program. Only rank 0 saves anything, and only it reads what a run is to go on from.
    pub fn among(self, peers: &'a mut dyn Peers) -> Self {
        Self { peers: Some(peers), ..self }
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
    /// the folder), a resumed run has other settings or images than it was started with, or a file cannot be written. Of several devices or
    /// ranks, each of them: what goes wrong on one ends all of them.
    pub fn train(self) -> Result<Outcome> {
        let Self { settings, prepared, mut devices, peers, folder, resumes, relabelled, watcher, session } =
            self;
        let mut settings = prepared.filled(&settings);
        settings.fill_limit();
        settings.validate()?;
        let mut alone = Alone;
        let peers: &mut dyn Peers = match peers {
            Some(peers) => peers,
            None => &mut alone,
        };
        let folder = folder.filter(|_| peers.rank() == 0);
        let checkpoint = match (resumes, folder) {
            (false, _) => None,
            (true, Some(folder)) => folder.read_checkpoint()?,
            (true, None) if peers.rank() > 0 => None,
            (true, None) => {
                let problem = "a run without a folder cannot be resumed; say where it was saved";
                return Err(Error::Mismatch(problem.into()));
            }
        };
        if devices.is_empty() {
            devices = devices::choose_all(&settings.device)?;
        }
        if session.is_some() && devices.len().max(peers.size()) > 1 {
            let problem =
                "labels that are drawn while a run goes on are for one device; name one with `device`";
            return Err(Error::Mismatch(problem.into()));
        }
        let silent: &mut dyn Watcher = &mut ();
        let alone: &mut dyn Session = &mut ();
        let (watcher, session) = (watcher.unwrap_or(silent), session.unwrap_or(alone));
        let start = trainer::Start { checkpoint, relabelled };
        match &devices[..] {
            [device] => trainer::train(prepared, &settings, folder, device, start, peers, watcher, session),
            _ if peers.size() > 1 => Err(Error::Mismatch(format!(
                "rank {} was given {} devices, but each rank works on one of its own",
                peers.rank(),
                devices.len()
            ))),
            devices => several::train(prepared, &settings, folder, devices, start, watcher),
        }
    }
}
