//! What HDF5 files hold beside images: which datasets there are, short lists of numbers, and attributes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use hdf5_pure::{AttrValue, File, Group};

use super::source::Structure;
use super::{Candidate, Found, damaged, sample_type};
use crate::error::{Error, Result};
use crate::images::file::{self, Format};

/// More datasets than this are not listed: scans that keep each projection in one of its own have some thousands.
const MOST_DATASETS: usize = 100_000;
/// The longest list of numbers that is read.
const MOST_NUMBERS: u64 = 1 << 20;

/// An HDF5 file, for what stands in it beside images, such as angles.
pub(crate) struct Hdf5File {
    path: PathBuf,
    file: File,
}

/// A dataset, and how long its axes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DatasetPlace {
    /// The path inside the file, from `/` on.
    pub(crate) place: String,
    pub(crate) shape: Vec<usize>,
}

impl DatasetPlace {
    /// The last part of the path.
    pub(crate) fn name(&self) -> &str {
        self.place.rsplit('/').next().unwrap_or_default()
    }

    /// The group that it is in.
    pub(crate) fn group(&self) -> &str {
        self.place.rsplit_once('/').map_or("", |(group, _)| group)
    }
}

impl Hdf5File {
    /// The file at `path`; `None` where that is no HDF5 file.
    ///
    /// # Errors
    /// [`Error::Input`] for what cannot be read.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>> {
        let (system_file, format) = file::open(path)?;
        if format != Format::Hdf5 {
            return Ok(None);
        }
        let unreadable = |error: std::io::Error| {
            Error::input(path, format!("cannot be read: {error}; check the disk")).caused_by(error)
        };
        let structure = Structure::new(system_file).map_err(unreadable)?;
        let file = File::from_source(structure)
            .map_err(|error| damaged(&path.display().to_string(), &error.to_string()))?;
        Ok(Some(Self { path: path.to_path_buf(), file }))
    }

    fn failed(&self, error: &hdf5_pure::Error) -> Error {
        damaged(&self.path.display().to_string(), &error.to_string())
    }

    /// All datasets of numbers, those of outer groups first.
    ///
    /// # Errors
    /// [`Error::Input`] for a damaged file.
    pub(crate) fn datasets(&self) -> Result<Vec<DatasetPlace>> {
        let found = Found::of("", &self.file.root(), MOST_DATASETS).map_err(|error| self.failed(&error))?;
        let readable = found.0.into_iter().map(|(candidate, _)| candidate).filter(|found| found.is_readable);
        Ok(readable.map(|Candidate { place, shape, .. }| DatasetPlace { place, shape }).collect())
    }

    /// The numbers of a dataset of at most one axis; `None` where there is none of that name.
    ///
    /// # Errors
    /// [`Error::Input`] for a damaged dataset and for more numbers than a list may have.
    pub(crate) fn numbers(&self, place: &str) -> Result<Option<Vec<f64>>> {
        let Ok(dataset) = self.file.dataset(place.trim_matches('/')) else { return Ok(None) };
        let shape = dataset.shape().map_err(|error| self.failed(&error))?;
        let count = shape.iter().try_fold(1_u64, |count, length| count.checked_mul(*length));
        if count.is_none_or(|count| count > MOST_NUMBERS) {
            let problem = format!("{place} has more numbers than a list of angles or keys can have");
            return Err(Error::input(&self.path, problem));
        }
        if dataset.datatype().is_ok_and(|datatype| sample_type(&datatype).is_none()) {
            return Ok(None);
        }
        dataset.read_f64().map(Some).map_err(|error| self.failed(&error))
    }

    fn attributes(&self, place: &str) -> HashMap<String, AttrValue> {
        let place = place.trim_matches('/');
        let of_group = |group: Group| group.attrs().unwrap_or_default();
        match (place.is_empty(), self.file.dataset(place)) {
            (true, _) => of_group(self.file.root()),
            (false, Ok(dataset)) => dataset.attrs().unwrap_or_default(),
            (false, Err(_)) => self.file.group(place).map(of_group).unwrap_or_default(),
        }
    }

    /// The text of an attribute of a group or dataset.
    pub(crate) fn text(&self, place: &str, attribute: &str) -> Option<String> {
        self.attributes(place).get(attribute)?.as_str().map(str::to_owned)
    }

    /// The number of an attribute of a group or dataset, also where it is written as text or as a list of one.
    pub(crate) fn number(&self, place: &str, attribute: &str) -> Option<f64> {
        let attributes = self.attributes(place);
        let value = attributes.get(attribute)?;
        let whole = || value.as_i64().map(|number| number as f64);
        let text = || value.as_strings()?.first()?.trim().parse().ok();
        value.as_f64().or_else(whole).or_else(text)
    }
}
