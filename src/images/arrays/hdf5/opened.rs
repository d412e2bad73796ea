//! A file that is open: what is at a path, with links followed, also into other files beside it.

use std::fs::File as SystemFile;
use std::path::{Component, Path, PathBuf};

use hdf5_pure::{Dataset, File, Group};

use super::damaged;
use super::links::{Followed, Groups};
use super::source::Structure;
use crate::error::{Error, Result};
use crate::images::file::{self, Format};

/// So many files are opened one after the other by links from each to the next.
const MOST_FILES: usize = 4;

/// An HDF5 file.
pub(super) struct Opened {
    pub(super) path: PathBuf,
    pub(super) system_file: SystemFile,
    pub(super) file: File,
    pub(super) groups: Groups,
    /// How many files led to this one.
    before: usize,
}

/// What is at a path of a file.
pub(super) enum Object {
    Dataset(Dataset),
    Group(Group),
}

/// A link to another file.
#[derive(Debug, Clone)]
pub(super) struct Outward {
    /// The path of the link.
    pub(super) link: String,
    /// The other file, as the link names it, and the path in it.
    pub(super) file: String,
    pub(super) place: String,
}

impl Opened {
    /// The file at `path`, which is open as `system_file`.
    ///
    /// # Errors
    /// [`Error::Input`] for one that is damaged or cannot be read.
    pub(super) fn new(path: &Path, system_file: SystemFile) -> Result<Self> {
        let unreadable = |error: std::io::Error| {
            Error::input(path, format!("cannot be read: {error}; check the disk")).caused_by(error)
        };
        let structure = Structure::new(system_file.try_clone().map_err(unreadable)?).map_err(unreadable)?;
        let file = File::from_source(structure.clone())
            .map_err(|error| damaged(&path.display().to_string(), &error.to_string()))?;
        let groups = Groups::new(&file, structure);
        Ok(Self { path: path.to_path_buf(), system_file, file, groups, before: 0 })
    }

    /// What messages call it.
    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// The error of the library that reads it, in words.
    pub(super) fn failed(&self, error: &hdf5_pure::Error) -> Error {
        damaged(&self.name(), &error.to_string())
    }

    /// The object at a path without soft links, which is empty for the group that all others are in.
    pub(super) fn object(&self, path: &str) -> Option<Object> {
        let path = path.trim_matches('/');
        if path.is_empty() {
            return Some(Object::Group(self.file.root()));
        }
        let dataset = self.file.dataset(path).ok().map(Object::Dataset);
        dataset.or_else(|| self.file.group(path).ok().map(Object::Group))
    }

    /// What `path` leads to in this file, and the path without soft links; or the link by which it leads to another.
    ///
    /// # Errors
    /// [`Error::Input`] for links that lead nowhere or round; `None` where there is nothing, and no link.
    pub(super) fn at(&self, path: &str) -> Result<Option<At>> {
        let path = path.trim_matches('/');
        // Most paths have no links, and are found without a look at all groups on the way.
        if let Some(object) = self.object(path) {
            let place = if path.is_empty() { String::new() } else { format!("/{path}") };
            return Ok(Some(At::Here(place, object)));
        }
        match self.groups.follow(path) {
            Followed::Here(place) => Ok(self.object(&place).map(|object| At::Here(place, object))),
            Followed::Elsewhere { link, file, place } => {
                Ok(Some(At::Elsewhere(Outward { link, file, place })))
            }
            Followed::Nothing { missing } if missing.trim_matches('/') == path => Ok(None),
            Followed::Nothing { missing } if !is_inside(path, &missing) => {
                let problem = format!(
                    "has nothing at '/{path}', as a link there leads to '{missing}', which is not there; name another place, or write the link again"
                );
                Err(Error::input(&self.path, problem))
            }
            Followed::Nothing { .. } => Ok(None),
            Followed::Endless => {
                let problem = format!(
                    "has nothing at '/{path}', as its links lead from one to the next without an end; name the place that is meant"
                );
                Err(Error::input(&self.path, problem))
            }
        }
    }

    /// The same file, open once more.
    ///
    /// # Errors
    /// As [`Opened::new`].
    pub(super) fn again(&self) -> Result<Self> {
        let system_file = self.system_file.try_clone().map_err(|error| {
            Error::input(&self.path, format!("cannot be read: {error}; check the disk")).caused_by(error)
        })?;
        Ok(Self { before: self.before, ..Self::new(&self.path, system_file)? })
    }

    /// The file that a link of this one leads to.
    ///
    /// # Errors
    /// [`Error::Input`] for one that is not in the same folder or below, not there, or no HDF5 file.
    pub(super) fn beside(&self, outward: &Outward) -> Result<Self> {
        let Outward { link, file, .. } = outward;
        let path = self.path_beside(outward)?;
        let (system_file, format) = file::open(&path)?;
        if format != Format::Hdf5 {
            let problem = format!(
                "has a link at '{link}' to the file '{file}', which is no HDF5 file; copy or export it again"
            );
            return Err(Error::input(&self.path, problem));
        }
        Ok(Self { before: self.before + 1, ..Self::new(&path, system_file)? })
    }

    /// Where the file is that a link of this one leads to.
    ///
    /// # Errors
    /// [`Error::Input`] for one that is not in the same folder or below, or not there.
    pub(super) fn path_beside(&self, outward: &Outward) -> Result<PathBuf> {
        let Outward { link, file, place } = outward;
        let failed = |problem: String| Error::input(&self.path, problem);
        let relative = Path::new(file);
        let is_below =
            relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !is_below || file.is_empty() {
            return Err(failed(format!(
                "has a link at '{link}' to the file '{file}', and only files in its own folder or below are followed; name that file itself, as in {file}:{place}, or copy it beside this one and link to it by its name"
            )));
        }
        if self.before + 1 >= MOST_FILES {
            return Err(failed(format!(
                "has a link at '{link}' to the file '{file}', after {MOST_FILES} files that were linked one to the next, which is the most that is followed; name that file itself"
            )));
        }
        let path = self.path.parent().unwrap_or(Path::new("")).join(relative);
        // Anything else than a file, such as a pipe, might never end.
        if !path.is_file() {
            return Err(failed(format!(
                "has a link at '{link}' to '{place}' in the file '{file}', which is not there; copy it beside this one"
            )));
        }
        Ok(path)
    }

    /// The dataset that a link leads to, in the file that it is in at last; `None` where that is none.
    ///
    /// # Errors
    /// As [`Opened::at`] and [`Opened::beside`].
    pub(super) fn linked(&self, outward: &Outward) -> Result<Option<(Self, String, Dataset)>> {
        let other = self.beside(outward)?;
        match other.at(&outward.place)? {
            Some(At::Here(place, Object::Dataset(dataset))) => Ok(Some((other, place, dataset))),
            Some(At::Elsewhere(outward)) => other.linked(&outward),
            _ => Ok(None),
        }
    }
}

/// Where a path leads.
pub(super) enum At {
    /// To an object of the same file, and the path that leads there without soft links.
    Here(String, Object),
    /// To another file.
    Elsewhere(Outward),
}

/// Whether `missing` is `path` or a group on the way there, so that no link was followed.
fn is_inside(path: &str, missing: &str) -> bool {
    let missing = missing.trim_matches('/');
    path.strip_prefix(missing).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
