//! What was measured over images in files, kept so that it need not be measured again while the files are as they were.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use twox_hash::xxhash3_128::Hasher;

use crate::error::Result;
use crate::images::ImageSource;

/// Results of passes over images in files, each with a stamp of all that it depends on.
#[derive(Debug, Default)]
pub struct Measurements(Mutex<BTreeMap<String, Entry>>);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    stamp: String,
    /// As JSON.
    found: String,
}

impl Measurements {
    /// Those that [`Measurements::to_bytes`] gave; none of bytes that are something else.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(Mutex::new(serde_json::from_slice(bytes).unwrap_or_default()))
    }

    /// All of them; `None` where there are none.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.is_empty() { None } else { serde_json::to_vec(&*entries).ok() }
    }

    /// What is called `name` and was measured when the stamp was the same, if it is `usable`; else what `measure` gives, which is kept
    /// where there is a stamp.
    ///
    /// # Errors
    /// Those of `measure`.
    pub(crate) fn known_or<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
        stamp: Option<Stamp>,
        usable: impl Fn(&T) -> bool,
        measure: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let Some(stamp) = stamp.map(|stamp| stamp.to_string()) else { return measure() };
        let known = {
            let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let entry = entries.get(name).filter(|entry| entry.stamp == stamp);
            entry.and_then(|entry| serde_json::from_str::<T>(&entry.found).ok())
        };
        if let Some(known) = known.filter(usable) {
            log::debug!("{name} is known from an earlier run");
            return Ok(known);
        }
        let found = measure()?;
        if let Ok(text) = serde_json::to_string(&found) {
            let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            entries.insert(name.to_owned(), Entry { stamp, found: text });
        }
        Ok(found)
    }
}

/// A hash of all that a measurement depends on: which files, of which size and time of change, and what was made of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp(u128);

impl Stamp {
    /// The stamp of something that depends on what this one is of, and on `more`.
    pub(crate) fn with(self, more: &impl Debug) -> Self {
        let mut hasher = Hasher::new();
        hasher.write(&self.0.to_le_bytes());
        hasher.write(format!("{more:?}").as_bytes());
        Self(hasher.finish_128())
    }
}

impl std::fmt::Display for Stamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Makes stamps of pages; each file is asked once for its size and its time.
#[derive(Default)]
pub(super) struct Stamps {
    files: BTreeMap<PathBuf, Option<String>>,
}

impl Stamps {
    /// The stamp of some pages; `None` where it cannot be known whether they change: of folders, and where a file does not tell
    /// its time.
    pub(super) fn of<'a>(&mut self, pages: impl IntoIterator<Item = &'a ImageSource>) -> Option<Stamp> {
        let mut hasher = Hasher::new();
        hasher.write(env!("CARGO_PKG_VERSION").as_bytes());
        for page in pages {
            for path in page.files() {
                if !self.files.contains_key(path) {
                    self.files.insert(path.to_path_buf(), state(path));
                }
                let state = self.files.get(path)?.as_ref()?;
                hasher.write(state.as_bytes());
            }
            hasher.write(page.identity().as_bytes());
        }
        Some(Stamp(hasher.finish_128()))
    }
}

/// Where a file is, how large it is, and when it was changed.
fn state(path: &Path) -> Option<String> {
    let path = path.canonicalize().ok()?;
    let file = std::fs::metadata(&path).ok().filter(std::fs::Metadata::is_file)?;
    let changed = file.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(format!("{path:?} {} {changed:?}", file.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_is_known_until_its_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tif");
        let write = |value: f32| {
            crate::images::write_tiff_f32(&path, &ndarray::Array3::from_elem((1, 2, 2), value)).unwrap();
            crate::images::discover(path.to_str().unwrap()).unwrap().remove(0)
        };
        let page = write(1.0);
        let stamp = || Stamps::default().of([&page]);
        let first = Measurements::default();
        let measure = |known: &Measurements, stamp: Option<Stamp>, value: u32| {
            known.known_or("it", stamp, |_| true, || Ok(value)).unwrap()
        };
        assert_eq!(measure(&first, stamp(), 1), 1);
        let later = Measurements::from_bytes(&first.to_bytes().unwrap());
        assert_eq!(measure(&later, stamp(), 2), 1);
        assert_eq!(measure(&later, stamp().map(|stamp| stamp.with(&"else")), 3), 3);
        assert_eq!(measure(&later, None, 4), 4);
        assert_eq!(measure(&first, stamp(), 5), 1);
        assert_eq!(first.known_or("it", stamp(), |known: &u32| *known > 1, || Ok(6)).unwrap(), 6);
        let before = stamp();
        let time = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        assert_ne!(stamp(), before);
        assert_eq!(measure(&first, stamp(), 7), 7);
        assert!(Measurements::from_bytes(b"{ damaged").to_bytes().is_none());
        std::fs::remove_file(&path).unwrap();
        assert_eq!(stamp(), None);
    }
}
