//! Training while labels are drawn.
//!
//! This is the place for it: so far it answers that it is idle.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::events::Events;
use super::project::{Project, Region};
use crate::{Error, Result};

/// How deep a network is trained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Depth {
    /// As the device and the images suggest.
    #[default]
    Auto,
    /// Fast.
    Small,
    /// Slower, and better in the end.
    Large,
}

/// How training is to be started.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// How deep the network is.
    #[serde(default)]
    pub depth: Depth,
    /// Settings of training by name, as text.
    #[serde(default)]
    pub settings: std::collections::BTreeMap<String, String>,
}

/// How training goes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// `idle`, `starting`, `running`, `paused`, `resting` or `failed`.
    pub state: &'static str,
    /// What there is to say of it.
    pub message: Option<String>,
    /// Steps made.
    pub step: u64,
    /// Seconds of training.
    pub seconds: f64,
    /// Steps a second, lately.
    pub steps_a_second: f64,
    /// The loss, lately.
    pub loss: Option<f64>,
    /// The mean intersection over union on strokes that were set aside.
    pub score: Option<f64>,
    /// What the score is of.
    pub score_note: String,
    /// The last entry of the journal that training has seen.
    pub journal_seq: u64,
    /// Whether there is a model.
    pub model: bool,
    /// What was chosen, in lines.
    pub chosen: Vec<String>,
    /// Step, loss and score.
    pub curve: Vec<(u64, f64, Option<f64>)>,
}

/// What a person looks at.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct View {
    /// The tab.
    pub tab: String,
    /// The image.
    pub image: String,
    /// The slice.
    pub slice: usize,
    /// The first column, in pixels.
    pub x: usize,
    /// The first row.
    pub y: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// What a tile of results shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// The class of each pixel.
    Classes,
    /// How unsure it is.
    Uncertainty,
}

/// A tile of results: a byte a pixel, row by row, 255 where nothing was computed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// The numbers.
    pub values: Vec<u8>,
    /// The version of the network that they are of.
    pub version: u64,
}

/// Training while labels are drawn.
#[derive(Debug)]
pub struct Live;

impl Live {
    /// For `project`, on the device that is asked for; what happens is told to `events`.
    pub fn new(project: Arc<Project>, events: Events, device: String) -> Self {
        let _ = (project, events, device);
        Self
    }

    /// Starts training, or goes on with it.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where there is nothing to train on.
    pub fn start(&self, wish: Start) -> Result<()> {
        let _ = wish;
        Err(Error::Mismatch("this version cannot train in the page; use `msd-gpu train`".into()))
    }

    /// Pauses training.
    ///
    /// # Errors
    /// None so far.
    pub fn pause(&self) -> Result<()> {
        Ok(())
    }

    /// Forgets the network, so that the next start is from nothing.
    ///
    /// # Errors
    /// None so far.
    pub fn forget(&self) -> Result<()> {
        Ok(())
    }

    /// How training goes.
    pub fn status(&self) -> Status {
        Status {
            state: "idle",
            message: None,
            step: 0,
            seconds: 0.0,
            steps_a_second: 0.0,
            loss: None,
            score: None,
            score_note: String::new(),
            journal_seq: 0,
            model: false,
            chosen: Vec::new(),
            curve: Vec::new(),
        }
    }

    /// Labels have changed.
    pub fn labels_changed(&self) {}

    /// A person looks at a part of an image.
    pub fn look_at(&self, view: View) {
        let _ = view;
    }

    /// Where the network is least sure; `None` before anything was computed.
    ///
    /// # Errors
    /// None so far.
    pub fn least_sure(&self) -> Result<Option<Region>> {
        Ok(None)
    }

    /// A tile of results; `None` where there is no such tile.
    ///
    /// # Errors
    /// None so far.
    pub fn result_tile(
        &self,
        image: &str,
        slice: usize,
        level: u32,
        ty: usize,
        tx: usize,
        what: What,
    ) -> Result<Option<Tile>> {
        let _ = (image, slice, level, ty, tx, what);
        Ok(None)
    }

    /// The model file as it is now, where there is one.
    pub fn model_file(&self) -> Option<PathBuf> {
        None
    }

    /// Ends training in good order.
    pub fn close(&self) {}
}
