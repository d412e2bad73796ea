//! Which labels the files of images in `labels/` have. It is kept beside them, so that after a crash those are known that are not up to date.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::files::{read_text, write_bytes_atomic};
use crate::portal::journal::JournalFile;

/// The file, in the folder of the project. Hidden, so that who names the folder as images does not find it.
const FILE: &str = "labels/.written.json";
/// Most bytes of the file.
const MOST_BYTES: u64 = 16 << 20;

/// Up to which entry of the journal a file has the labels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    seq: u64,
    hash: String,
}

/// For each image whose labels are in a file, up to which entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Written {
    images: BTreeMap<String, Stamp>,
}

impl Written {
    /// What is known of the files of the project in `folder`, as far as it is of this journal. Where nothing can be known, all labels are
    /// written anew.
    pub(super) fn read(folder: &Path, journal: &JournalFile) -> Self {
        let path = folder.join(FILE);
        if !path.exists() {
            return Self::default();
        }
        let text = read_text(&path, MOST_BYTES).ok().flatten();
        let Some(Self { mut images }) = text.and_then(|text| serde_json::from_str(&text).ok()) else {
            log::warn!("{} cannot be read: all labels will be written anew", path.display());
            return Self::default();
        };
        let numbers = images.values().map(|stamp| stamp.seq).collect();
        let hashes = journal.hashes(&numbers).unwrap_or_default();
        images.retain(|_, stamp| hashes.get(&stamp.seq) == Some(&stamp.hash));
        Self { images }
    }

    /// Whether the file of an image has its labels up to the entry `seq`, where it is there at all.
    pub(super) fn has(&self, image: &str, seq: u64) -> bool {
        self.images.get(image).is_some_and(|stamp| stamp.seq >= seq)
    }

    /// The file of an image has its labels up to the entry `seq` with this hash.
    pub(super) fn add(&mut self, image: &str, seq: u64, hash: String) {
        self.images.insert(image.to_owned(), Stamp { seq, hash });
    }

    /// Keeps it in the project in `folder`.
    ///
    /// # Errors
    /// [`crate::Error::Output`].
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        let text = serde_json::to_string(self).map_err(|error| crate::Error::output(&path, error))?;
        write_bytes_atomic(path, text.as_bytes())
    }
}
