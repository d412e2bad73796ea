//! A folder of models with keys that say what each was trained on, such as the beamline and the energy.
//!
//! A denoiser learns the noise of an instrument at its settings rather than one sample, so a model of an earlier experiment serves a
//! later one that was recorded alike. [`Registry::nearest`] finds the one whose keys are nearest to those that are wanted.
//!
//! - `keys`: keys, and how much two values differ ([`Keys`]). `entry`: the folder of one model ([`Entry`]).
//!
//! Each model is a folder of its name, with `model.safetensors` and `entry.toml`, which is read and written with any editor.

mod entry;
mod keys;

pub use entry::Entry;
pub use keys::{Difference, Keys};

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::network::Model;

/// More models than these are not looked at.
const MOST_MODELS: usize = 100_000;
/// The longest name of a model.
const MOST_LETTERS: usize = 100;

/// A folder of models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    folder: PathBuf,
}

/// What is in a registry.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Listing {
    /// Its models, in order of their names.
    pub entries: Vec<Entry>,
    /// Folders that are no models that can be read, each with what is wrong with it, in a sentence.
    pub damaged: Vec<Error>,
}

/// The model that is nearest to what is wanted.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Nearest {
    /// The model.
    pub entry: Entry,
    /// From 0, where all keys agree, to 1, where none does: the mean over the wanted keys.
    pub distance: f64,
    /// What each of the wanted keys is in the model.
    pub differences: Vec<Difference>,
}

impl Registry {
    /// The registry in `folder`, which need not be there yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// All models. Where there is no folder yet there are none.
    ///
    /// # Errors
    /// [`Error::Input`] where the folder cannot be read.
    pub fn list(&self) -> Result<Listing> {
        let unreadable = |error: std::io::Error| {
            let problem = format!("the registry of models cannot be read ({error}); name another folder");
            Error::input(&self.folder, problem).caused_by(error)
        };
        let found = match std::fs::read_dir(&self.folder) {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Listing::default()),
            Err(error) => return Err(unreadable(error)),
        };
        let mut listing = Listing::default();
        for entry in found.take(MOST_MODELS) {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name();
            let is_hidden = name.to_string_lossy().starts_with('.');
            if is_hidden || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            match Entry::read(&self.folder, &name.to_string_lossy()) {
                Ok(entry) => listing.entries.push(entry),
                Err(error) => listing.damaged.push(error),
            }
        }
        listing.entries.sort_by(|a, b| a.name.cmp(&b.name));
        listing.damaged.sort_by_key(Error::to_string);
        Ok(listing)
    }

    /// Copies the model at `model`, a file or run folder, into the registry with its keys; `name` is that of the file or folder where
    /// none is given. The copy appears whole, and never in the place of another model.
    ///
    /// # Errors
    /// [`Error::Model`] for what is no model; [`Error::Setting`] without keys, and for a name that is none or taken; [`Error::Output`] where
    /// it cannot be written.
    pub fn add(&self, model: &Path, keys: &Keys, name: Option<&str>) -> Result<Entry> {
        if keys.is_empty() {
            let wanted =
                "a model is found by what it was trained on; give at least one, such as energy=25keV";
            return Err(Error::setting("key", "missing", wanted));
        }
        if let [_, _, ..] = Model::paths(model).as_slice() {
            let problem = "is a folder of folds; wanted one model, add that of one fold or each by itself";
            return Err(Error::model(model, problem));
        }
        let own = || {
            let absolute = model.canonicalize().unwrap_or_else(|_| model.to_path_buf());
            let stem = if absolute.is_dir() { absolute.file_name() } else { absolute.file_stem() };
            stem.map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
        };
        let name = name.map_or_else(own, str::to_owned);
        check_name(&name)?;
        let read = Model::read(model)?;
        Entry::write(&self.folder, &name, model, &read, keys)
    }

    /// Removes a model.
    ///
    /// # Errors
    /// [`Error::Setting`] for a name that is none, [`Error::Input`] where there is no such model, [`Error::Output`] where its files stay.
    pub fn remove(&self, name: &str) -> Result<()> {
        check_name(name)?;
        Entry::remove(&self.folder, name)
    }

    /// The model whose keys are nearest to `wanted`, among those of which `fits` is true; of several alike the newest.
    ///
    /// The distance is the mean of [`Keys::differences`] over the wanted keys.
    ///
    /// # Errors
    /// [`Error::Setting`] without wanted keys; [`Error::Input`] where there is no model, or none that agrees in anything.
    pub fn nearest(&self, wanted: &Keys, fits: impl Fn(&Entry) -> bool) -> Result<Nearest> {
        if wanted.is_empty() {
            let problem = "nothing says which model is wanted; give what is known, such as energy=25keV";
            return Err(Error::setting("key", "missing", problem));
        }
        let Listing { entries, damaged } = self.list()?;
        damaged.iter().for_each(|error| log::warn!("passed over: {error}"));
        let mut fitting: Vec<Nearest> = entries
            .into_iter()
            .filter(fits)
            .map(|entry| {
                let differences = wanted.differences(&entry.keys);
                let sum: f64 = differences.iter().map(|difference| difference.amount).sum();
                Nearest { distance: sum / differences.len() as f64, entry, differences }
            })
            .collect();
        let count = fitting.len();
        // The first of those that are alike.
        fitting.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(b.entry.added.cmp(&a.entry.added)));
        match fitting.into_iter().next() {
            None => {
                let problem = "the registry holds no model that fits; add one, or name another registry";
                Err(Error::input(&self.folder, problem))
            }
            Some(nearest) if nearest.distance >= 1.0 => {
                let problem = format!(
                    "none of the {count} models of the registry agrees in anything with {wanted}; look which keys they have, or name a model"
                );
                Err(Error::input(&self.folder, problem))
            }
            Some(nearest) => Ok(nearest),
        }
    }
}

impl std::fmt::Display for Nearest {
    /// Which model it is and why.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let why: Vec<String> = self.differences.iter().map(Difference::to_string).collect();
        write!(f, "{} ({})", self.entry.name, why.join(", "))
    }
}

/// Refuses names that are not plain: they become folders, on any system.
fn check_name(name: &str) -> Result<()> {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    if (1..=MOST_LETTERS).contains(&name.len())
        && name.chars().all(is_plain)
        && !name.starts_with(['.', '-'])
        && !name.ends_with('.')
    {
        return Ok(());
    }
    let found: String = name.escape_debug().take(MOST_LETTERS).collect();
    let wanted = format!(
        "it must be up to {MOST_LETTERS} letters from a to z, digits, - and _, and points between them; give one with `name`"
    );
    Err(Error::setting("name", format!("'{found}'"), wanted))
}

#[cfg(test)]
mod tests;
