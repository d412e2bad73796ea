//! What a run shows while it goes: the preview of the best model, and events for TensorBoard.

use std::time::Instant;

use super::folder::RunFolder;
use super::judge::{Judge, with_parameters};
use crate::Result;
use crate::engine::Engine;
use crate::tensorboard::EventFile;
use crate::training::reports::{History, preview};

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
    /// Where files go; a run that saves nothing has none.
    folder: Option<&'a RunFolder>,
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
    /// Reports on a run that goes on after step `step`, into a folder if there is one; with `tensorboard`, in a file of events
    /// there too.
    ///
    /// # Errors
    /// [`crate::Error::Output`] when that file cannot be made.
    pub(in crate::training) fn new(
        folder: Option<&'a RunFolder>,
        tensorboard: bool,
        step: u64,
    ) -> Result<Self> {
        let events = folder.filter(|_| tensorboard).map(|folder| EventFile::create(folder.path(), step));
        let events = events.transpose()?;
        Ok(Self { folder, events, pictured: 0, unpictured: None, due: None, written: None })
    }

    /// Reports the last epoch of `history`; `losses` are those of the images that the network was judged by. When an epoch is
    /// judged only after it has been reported, `reported` is true and its training loss and learning rate are not written again.
    ///
    /// # Errors
    /// [`crate::Error::Output`] when events cannot be written.
    pub(in crate::training) fn epoch(
        &mut self,
        history: &History,
        losses: Vec<f64>,
        reported: bool,
    ) -> Result<()> {
        let Some(epoch) = history.epochs.last() else { return Ok(()) };
        if epoch.best && self.folder.is_some() {
            self.due = Some((epoch.step, losses));
        }
        match &mut self.events {
            None => Ok(()),
            Some(events) => {
                let mut scalars = vec![("loss/validation".to_owned(), epoch.validation_loss)];
                if !reported {
                    scalars.push(("loss/training".to_owned(), epoch.training_loss));
                    scalars.push(("learning_rate".to_owned(), epoch.learning_rate));
                }
                scalars
                    .extend(epoch.metrics.iter().map(|(name, value)| (format!("validation/{name}"), *value)));
                events.add_scalars(epoch.step, &scalars)
            }
        }
    }

    /// Whether it is long enough since the preview was written.
    pub(in crate::training) fn preview_may_be_refreshed(&self) -> bool {
        self.written.is_none_or(|at| at.elapsed().as_secs_f64() > PREVIEW_SECONDS)
    }

    /// Writes the preview of the best model, whose parameters are `best`, over the images that judged it, if there is a better
    /// one than it shows. The engine gets its own parameters back.
    ///
    /// # Errors
    /// When the device fails, or a file cannot be written.
    pub(in crate::training) fn refresh_preview(
        &mut self,
        engine: &mut dyn Engine,
        best: &[f32],
        judge: &Judge,
    ) -> Result<()> {
        let (Some((step, losses)), Some(folder)) = (self.due.take(), self.folder) else { return Ok(()) };
        let (captions, samples) = preview::chosen(judge.set(), &losses)?;
        let mut rows = Vec::new();
        with_parameters(engine, best, |engine| {
            judge.evaluate(engine, samples.as_slice(), step, &mut (), |sample, found| {
                rows.push(preview::row(sample, found, judge.model()));
            })
        })?;
        let picture = preview::picture(&captions, &rows, judge.model());
        let (height, width, _) = picture.dim();
        let png = folder.write_preview(&picture)?;
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
