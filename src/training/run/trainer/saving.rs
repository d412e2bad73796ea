//! When and what a run saves.

use std::time::Instant;

use log::warn;

use super::Trainer;
use crate::Result;
use crate::training::run::checkpoint::Checkpoint;

/// Seconds between two savings within an epoch.
const SAVE_SECONDS: f64 = 30.0;
/// Saving takes at most one in so many seconds: epochs may be much shorter than writing takes.
const SAVE_SHARE: f64 = 50.0;

impl Trainer<'_> {
    pub(super) fn save_is_due(&self, epoch_ended: bool) -> bool {
        let seconds = self.saved.elapsed().as_secs_f64();
        let first = epoch_ended && self.progress.epoch == self.validate_every;
        let long = seconds > SAVE_SHARE * self.save_time.as_secs_f64();
        first || long && (epoch_ended || seconds > SAVE_SECONDS)
    }

    /// Saves the best model, the history and the checkpoint. The checkpoint is written last, so that it never refers to a model or
    /// history that is not saved yet.
    pub(super) fn save(&mut self) -> Result<()> {
        let Some(folder) = self.folder else { return Ok(()) };
        let start = Instant::now();
        self.take_losses(true)?;
        let parameters = self.checked_parameters()?;
        let (moments, average) = (self.engine.moments()?, self.engine.average()?);
        self.write_best()?;
        self.progress.minutes = if self.settings.max_minutes.is_some() { self.minutes() } else { 0.0 };
        let best_parameters =
            if self.progress.best_epoch > 0 { self.model.parameters.clone() } else { Vec::new() };
        let progress = self.progress.clone();
        folder.write_checkpoint(&Checkpoint { parameters, moments, average, best_parameters, progress })?;
        self.saved = Instant::now();
        self.save_time = start.elapsed();
        Ok(())
    }

    /// Writes the best model, if there is one yet, and the history.
    pub(super) fn write_best(&self) -> Result<()> {
        let Some(folder) = self.folder else { return Ok(()) };
        if self.progress.best_epoch > 0 {
            folder.write_model(&self.model)?;
        }
        folder.write_history(&self.history)
    }

    /// Refreshes the preview if there is a better model than the one it shows. A failure is only logged, since a missing picture is
    /// no reason to end a run.
    pub(super) fn refresh_preview(&mut self) {
        let refreshed =
            self.reports.refresh_preview(self.engine.as_mut(), &self.model.parameters, &self.judge);
        if let Err(error) = refreshed {
            warn!("there is no new preview: {error}");
        }
    }
}
