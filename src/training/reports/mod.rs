//! What a run shows while it goes: the preview of the best model, and events for TensorBoard.

mod augmentation_preview;
mod history;
pub(in crate::training) mod preview;

pub use augmentation_preview::preview_augmentation;
pub use history::{Epoch, History};

use std::time::Instant;

use self::preview::preview;
use super::judge::with_parameters;
use super::run::RunFolder;
use crate::Result;
use crate::engine::Engine;
use crate::samples::Dataset;
use crate::tensorboard::EventFile;

/// Seconds between two refreshings of the preview.
const PREVIEW_SECONDS: f64 = 10.0;

/// Pictures in the event file are at least this factor apart in steps, as each takes megabytes.
const PICTURE_GROWTH: f64 = 1.25;

/// The bytes of a preview.
struct Picture {
    step: u64,
    size: (usize, usize),
    png: Vec<u8>,
}

/// Writes what people look at.
pub(in crate::training) struct Reports<'a> {
    folder: &'a RunFolder,
    events: Option<EventFile>,
    /// The step of the last picture in the event file.
    pictured: u64,
    /// A later one that is not in it yet.
    unpictured: Option<Picture>,
    /// The step of the best model and the losses of the images that judged it, where the preview does not show it yet.
    due: Option<(u64, Vec<f64>)>,
    written: Option<Instant>,
}

impl<'a> Reports<'a> {
    /// Reports on a run that goes on after step `step`; with `tensorboard`, in a file of events too.
    ///
    /// # Errors
    /// [`crate::Error::Output`] when that file cannot be made.
    pub(in crate::training) fn new(folder: &'a RunFolder, tensorboard: bool, step: u64) -> Result<Self> {
        let events = tensorboard.then(|| EventFile::create(folder.path(), step)).transpose()?;
        Ok(Self { folder, events, pictured: 0, unpictured: None, due: None, written: None })
    }

    /// The last epoch of `history` has ended; `losses` are those of the images that judged it.
    ///
    /// # Errors
    /// [`crate::Error::Output`] when events cannot be written.
    pub(in crate::training) fn epoch(&mut self, history: &History, losses: Vec<f64>) -> Result<()> {
        let Some(epoch) = history.epochs.last() else { return Ok(()) };
        if epoch.best {
            self.due = Some((epoch.step, losses));
        }
        match &mut self.events {
            None => Ok(()),
            Some(events) => {
                let mut scalars = vec![
                    ("loss/training".to_owned(), epoch.training_loss),
                    ("loss/validation".to_owned(), epoch.validation_loss),
                    ("learning_rate".to_owned(), epoch.learning_rate),
                ];
                let metrics = history.metrics.iter().zip(&epoch.metrics);
                scalars.extend(metrics.map(|(name, &value)| (format!("validation/{name}"), value)));
                events.add_scalars(epoch.step, &scalars)
            }
        }
    }

    /// Whether it is long enough since the preview was written.
    pub(in crate::training) fn preview_may_be_refreshed(&self) -> bool {
        self.written.is_none_or(|at| at.elapsed().as_secs_f64() > PREVIEW_SECONDS)
    }

    /// Writes the preview of the best model, whose parameters are `best`, over the images of `set`, if there is a better
    /// one than it shows. The engine gets its own parameters back.
    ///
    /// # Errors
    /// When the device fails, or a file cannot be written.
    pub(in crate::training) fn refresh_preview(
        &mut self,
        engine: &mut dyn Engine,
        best: &[f32],
        set: &Dataset,
    ) -> Result<()> {
        let Some((step, losses)) = self.due.take() else { return Ok(()) };
        let picture = with_parameters(engine, best, |engine| preview(engine, set, &losses))?;
        let (height, width, _) = picture.dim();
        let png = self.folder.write_preview(&picture)?;
        self.unpictured = self.events.is_some().then_some(Picture { step, size: (height, width), png });
        if step as f64 >= PICTURE_GROWTH * self.pictured as f64 {
            self.finish()?;
        }
        self.written = Some(Instant::now());
        Ok(())
    }

    /// Puts the last preview into the event file, if it is not there.
    ///
    /// # Errors
    /// [`crate::Error::Output`] when it cannot be written.
    pub(in crate::training) fn finish(&mut self) -> Result<()> {
        if let (Some(events), Some(picture)) = (&mut self.events, self.unpictured.take()) {
            events.add_png(picture.step, "preview", picture.size, &picture.png)?;
            self.pictured = picture.step;
        }
        Ok(())
    }
}
