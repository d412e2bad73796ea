//! The folder of one model of a registry: `model.safetensors`, and `entry.toml` with its keys.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::check_name;
use super::keys::Keys;
use crate::error::{Error, Result};
use crate::files::read_text;
use crate::network::{Model, Task, TaskKind};

const MODEL: &str = "model.safetensors";
const ENTRY: &str = "entry.toml";
/// The version of `entry.toml`.
const VERSION: u32 = 1;
/// Bytes of it at most.
const MOST_BYTES: u64 = 64 << 10;
const HEAD: &str = "# A model of a registry of msd-gpu, and what it was trained on. Keys may be changed with any editor.\n\n";

/// A model of a registry.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Entry {
    /// Its name, that of its folder.
    pub name: String,
    /// What it was trained on.
    pub keys: Keys,
    /// When it was added, in seconds since 1970.
    pub added: u64,
    /// From where it was copied.
    pub source: String,
    /// What it is for.
    pub task: TaskKind,
    /// Channels of the images that it takes.
    pub inputs: usize,
    /// Its layers.
    pub depth: usize,
    /// Its file.
    pub path: PathBuf,
}

/// What `entry.toml` holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    added: u64,
    #[serde(default)]
    source: String,
    keys: BTreeMap<String, String>,
}

impl Entry {
    fn new(folder: &Path, name: &str, model: &Model, added: u64, source: String, keys: Keys) -> Self {
        let task = match model.task {
            Task::Segment { .. } => TaskKind::Segment,
            Task::Regress => TaskKind::Regress,
        };
        Self {
            name: name.to_owned(),
            keys,
            added,
            source,
            task,
            inputs: model.architecture.inputs,
            depth: model.architecture.depth,
            path: folder.join(name).join(MODEL),
        }
    }

    /// The model called `name` of the registry in `folder`.
    ///
    /// # Errors
    /// [`Error::Input`] or [`Error::Model`] for files that are missing or damaged.
    pub(super) fn read(folder: &Path, name: &str) -> Result<Self> {
        let place = folder.join(name);
        let damaged = |problem: String| {
            let shown = folder.join(name.escape_debug().take(200).collect::<String>()).join(ENTRY);
            Error::input(shown, format!("{problem}; correct it, or remove its folder"))
        };
        check_name(name).map_err(|_| damaged("its folder has a name that no model has".into()))?;
        let text = read_text(&place.join(ENTRY), MOST_BYTES)?
            .ok_or_else(|| damaged("is longer than the keys of any model".into()))?;
        let stored: Stored = toml::from_str(&text).map_err(|error| {
            damaged(format!("holds no keys of a model ({})", error.message().replace('\n', " ")))
        })?;
        if stored.version != VERSION {
            return Err(damaged(format!("is of version {}, but {VERSION} is read", stored.version)));
        }
        let mut keys = Keys::default();
        for (key, value) in &stored.keys {
            keys.insert(key, value)
                .map_err(|problem| damaged(format!("has a key that is none ({problem})")))?;
        }
        let source: String = stored.source.chars().filter(|letter| !letter.is_control()).collect();
        let model = Model::read(&place.join(MODEL))?;
        Ok(Self::new(folder, name, &model, stored.added, source, keys))
    }

    /// Makes the folder of the model called `name`, which came from `source`.
    ///
    /// # Errors
    /// [`Error::Setting`] for a name that is taken, [`Error::Output`] where it cannot be written.
    pub(super) fn write(
        folder: &Path,
        name: &str,
        source: &Path,
        model: &Model,
        keys: &Keys,
    ) -> Result<Self> {
        let place = folder.join(name);
        let failed = |error: std::io::Error| {
            let problem =
                format!("{error}; check the permissions and the free space, or name another registry");
            Error::output(&place, problem).caused_by(error)
        };
        let taken = || {
            let wanted =
                "the registry has a model of that name; give another with `name`, or remove that one";
            Error::setting("name", format!("'{name}'"), wanted)
        };
        let is_taken = || std::fs::symlink_metadata(&place).is_ok();
        if is_taken() {
            return Err(taken());
        }
        let added = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let source = source.canonicalize().unwrap_or_else(|_| source.to_path_buf()).display().to_string();
        let stored = Stored {
            version: VERSION,
            added,
            source: source.clone(),
            keys: keys.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        };
        let text = toml::to_string(&stored).map_err(|error| Error::output(&place, error))?;
        let bytes = model.to_bytes()?;
        std::fs::create_dir_all(folder).map_err(failed)?;
        // Written beside its place, so that a model is there whole or not at all.
        let unfinished = folder.join(format!(".{name}.{}.part", std::process::id()));
        let written = std::fs::create_dir(&unfinished)
            .and_then(|()| write_file(&unfinished.join(MODEL), &bytes))
            .and_then(|()| write_file(&unfinished.join(ENTRY), format!("{HEAD}{text}").as_bytes()))
            // A folder with files in it is never replaced by another.
            .and_then(|()| std::fs::rename(&unfinished, &place));
        if let Err(error) = written {
            let _ = std::fs::remove_dir_all(&unfinished);
            return Err(if is_taken() { taken() } else { failed(error) });
        }
        Ok(Self::new(folder, name, model, added, source, keys.clone()))
    }

    /// Removes the files and the folder of the model called `name`, and nothing else.
    ///
    /// # Errors
    /// [`Error::Input`] where there is none, [`Error::Output`] where something stays.
    pub(super) fn remove(folder: &Path, name: &str) -> Result<()> {
        let place = folder.join(name);
        let is_entry = std::fs::symlink_metadata(&place).is_ok_and(|found| found.is_dir())
            && [ENTRY, MODEL].iter().any(|file| place.join(file).is_file());
        if !is_entry {
            let problem = format!("the registry holds no model '{name}'; look which there are");
            return Err(Error::input(folder, problem));
        }
        let removed =
            [ENTRY, MODEL].iter().try_for_each(|file| match std::fs::remove_file(place.join(file)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            });
        removed.and_then(|()| std::fs::remove_dir(&place)).map_err(|error| {
            let problem = format!("the folder of the model stays ({error}); remove what else is in it");
            Error::output(&place, problem).caused_by(error)
        })
    }

    /// The day on which it was added, such as 2026-11-28, by universal time.
    pub fn day(&self) -> String {
        // Days to a date of the Gregorian calendar, in eras of 400 years that begin in March.
        let days = self.added / 86_400 + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let (year, month) = match month {
            0..=9 => (year + 400 * era, month + 3),
            _ => (year + 400 * era + 1, month - 9),
        };
        format!("{year:04}-{month:02}-{day:02}")
    }
}

/// A new file that the disk has.
fn write_file(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = std::fs::File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
