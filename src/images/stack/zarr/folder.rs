//! The folder of a stack while it is unfinished: made anew, found again or filled together with other programs; and how it gets its name.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{ZarrFile, json_text, shared};
use crate::error::{Error, Result};
use crate::files::{read_text, remove_unfinished};

impl ZarrFile {
    /// Refuses a place for the folder that is not there.
    fn check_place(&self) -> Result<()> {
        let parent = self.stack.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        if let Some(parent) = parent
            && !parent.is_dir()
        {
            let problem = format!("the folder {} is not there; make the folder first", parent.display());
            return Err(Error::output(&self.stack.path, problem));
        }
        Ok(())
    }

    /// Makes the unfinished folder anew.
    pub(super) fn start(&self) -> Result<()> {
        self.check_place()?;
        remove(&self.unfinished).map_err(|error| self.failed(error))?;
        for (place, json) in self.arrays() {
            self.write_json(&place, &json)?;
        }
        Ok(())
    }

    /// Makes the unfinished folder, or takes part in filling the one that another program has made.
    pub(super) fn join(&self) -> Result<()> {
        if self.stack.work.is_none() {
            let problem =
                "several programs fill it, and it is not said what it is a result of; give its `work`";
            return Err(Error::output(&self.stack.path, problem));
        }
        self.check_place()?;
        shared::take_back(&self.stack.path).map_err(|error| self.failed(error))?;
        for (place, json) in self.groups().into_iter().chain(self.arrays()) {
            // Of programs that find nothing here at the same time all write the same.
            match holds(&self.unfinished.join(&place), &json) {
                None => self.write_json(&place, &json)?,
                Some(true) => {}
                Some(false) => {
                    return Err(Error::output(&self.stack.path, shared::taken(&self.unfinished)));
                }
            }
        }
        // What this program has written before is not passed over where it is gone.
        let last_level = self.levels().len() - 1;
        let last = self.stack.channels.saturating_sub(1);
        let is_gone = |image: &usize| !self.file(last_level, *image, last, [0, 0]).exists();
        if (self.own.start..self.next).any(|image| is_gone(&image)) {
            return Err(self.not_there());
        }
        (0..=last_level).try_for_each(|level| {
            std::fs::create_dir_all(self.level(level)).map_err(|error| self.failed(error))
        })
    }

    /// Refuses an unfinished folder that is another stack's, and removes what a killed program left of an image in it, or of the
    /// groups.
    pub(super) fn check_unfinished(&self) -> Result<()> {
        for (place, json) in self.arrays() {
            if holds(&self.unfinished.join(place), &json) != Some(true) {
                return Err(self.not_there());
            }
        }
        // What the groups say may have been half-written, when all images were there.
        for folder in ["", "labels", &self.place] {
            remove_unfinished(self.unfinished.join(folder));
        }
        for channel in 0..self.stack.channels {
            for level in 0..self.levels().len() {
                if let Some(folder) = self.file(level, self.next, channel, [0, 0]).parent() {
                    remove_unfinished(folder);
                }
            }
        }
        Ok(())
    }

    /// The images are gone that were written before.
    pub(super) fn not_there(&self) -> Error {
        let problem = format!(
            "{} images of it were to be there in {}, which holds none or others; start it anew",
            self.stack.written,
            self.unfinished.display()
        );
        Error::output(&self.stack.path, problem)
    }

    /// Whether the folder has its name, from another program that has written what was left.
    pub(super) fn is_named_by_others(&self) -> bool {
        self.stack.share.is_some()
            && !self.unfinished.exists()
            && self.stack.work.as_deref().is_some_and(|work| shared::is_complete(&self.stack.path, work))
    }

    /// Brings back, or removes, a result that was about to be replaced when the program was killed.
    pub(super) fn settle_replaced(&self) -> Result<()> {
        let replaced = replaced(&self.stack.path);
        if !replaced.exists() {
            return Ok(());
        }
        let settled = if self.stack.path.exists() {
            match self.stack.share {
                // Another program may be about to put it there.
                Some(_) => Ok(()),
                None => remove(&replaced),
            }
        } else {
            std::fs::rename(&replaced, &self.stack.path)
        };
        settled.map_err(|error| self.failed(error))
    }

    /// Gives the folder its name, over what was there.
    pub(super) fn give_name(&self) -> Result<()> {
        let replaced = replaced(&self.stack.path);
        let is_there = self.stack.path.exists();
        if is_there {
            std::fs::rename(&self.stack.path, &replaced).map_err(|error| self.failed(error))?;
        }
        std::fs::rename(&self.unfinished, &self.stack.path).map_err(|error| self.failed(error))?;
        if is_there && let Err(error) = remove(&replaced) {
            log::warn!("{} cannot be removed: {error}", replaced.display());
        }
        Ok(())
    }
}

/// Where a result is kept while another takes its place.
pub(super) fn replaced(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.replaced"))
}

/// Whether a file holds `json`, as [`json_text`] writes it; `None` where there is no file that can be read. What it holds else is not
/// taken apart, which might take many times the memory of its text.
pub(super) fn holds(file: &Path, json: &Value) -> Option<bool> {
    let wanted = json_text(json);
    let found = read_text(file, wanted.len() as u64).ok()?;
    Some(found.is_some_and(|found| found == wanted))
}

/// Whether the folder at `path` is one of Zarr, or an empty one.
pub(super) fn is_zarr(path: &Path) -> bool {
    let has = |name: &str| path.join(name).is_file();
    let is_empty = || std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    path.is_dir() && (has("zarr.json") || has(".zgroup") || has(".zarray") || is_empty())
}

/// Removes a folder with all that is in it, where there is one.
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
