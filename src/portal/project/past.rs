//! A project as it was.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use super::{Imports, Project, State};
use crate::images::ImageCache;
use crate::portal::journal::{History, JournalFile};
use crate::portal::labels::Labels;
use crate::portal::tiles::Tiles;
use crate::{Error, Result};

impl Project {
    /// The project as it was after the entry `seq` of its journal, with the images that it has now. Nothing can be added to it.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where there is no such entry; [`Error::Input`] for a journal that cannot be read.
    pub fn past(&self, seq: u64) -> Result<Self> {
        let (journal, lines) = JournalFile::past(&self.folder.join("journal.jsonl"), seq)?;
        if journal.seq() != seq {
            return Err(Error::Mismatch(format!(
                "the journal has {} entries and not {seq}; bring back the journal that had them",
                journal.seq()
            )));
        }
        let state = State {
            about: self.state().about.clone(),
            journal,
            history: History::of(lines)?,
            labels: Labels::default(),
            changes: VecDeque::new(),
            changes_from: seq,
            changed_at: HashMap::new(),
            written_at: HashMap::new(),
        };
        Ok(Self {
            folder: self.folder.clone(),
            places: self.places.clone(),
            tiles: Tiles::default(),
            imports: Imports { files: ImageCache::new(256 << 20), opened: Mutex::default() },
            state: Mutex::new(state),
            _lock: None,
        })
    }
}
