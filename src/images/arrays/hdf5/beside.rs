//! What HDF5 files hold beside images: which datasets there are, short lists of numbers, and attributes.

use std::collections::HashMap;
use std::path::Path;

use hdf5_pure::{AttrValue, Dataset};
#[cfg(feature = "portal")]
use hdf5_pure::{Datatype, VlenStringReadOptions};

use super::opened::{At, Object, Opened};
use super::search::{self, Held};
use super::{sample_type, shape_of};
use crate::error::{Error, Result};
use crate::images::file::{self, Format};

/// More datasets than this are not listed: scans that keep each projection in one of its own have some thousands.
const MOST_DATASETS: usize = 100_000;
/// The longest list of numbers that is read.
const MOST_NUMBERS: u64 = 1 << 20;
/// The longest list of texts.
#[cfg(feature = "portal")]
const MOST_TEXTS: u64 = 1 << 12;
/// The most bytes of its texts.
#[cfg(feature = "portal")]
const MOST_TEXT_BYTES: u64 = 1 << 20;

/// An HDF5 file, for what stands in it beside images, such as angles.
pub(crate) struct Hdf5File(Opened);

/// A dataset, and how long its axes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DatasetPlace {
    /// The path inside the file, from `/` on.
    pub(crate) place: String,
    pub(crate) shape: Vec<usize>,
    /// Whether that path is a link to where it is stored.
    pub(crate) is_linked: bool,
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
        Ok(Some(Self(Opened::new(path, system_file)?)))
    }

    /// All datasets of numbers, those of outer groups first, and those that are found by links behind all others.
    ///
    /// # Errors
    /// [`Error::Input`] for a damaged file.
    pub(crate) fn datasets(&self) -> Result<Vec<DatasetPlace>> {
        let found = search::datasets(&self.0, "", &self.0.file.root(), MOST_DATASETS)?;
        let readable = found.into_iter().filter(|found| found.candidate.is_readable);
        let (linked, own): (Vec<_>, Vec<_>) = readable
            .map(|found| DatasetPlace {
                place: found.candidate.place,
                shape: found.candidate.shape,
                is_linked: found.linked.is_some() || matches!(found.held, Held::Elsewhere(_)),
            })
            .partition(|dataset| dataset.is_linked);
        Ok([own, linked].concat())
    }

    /// The dataset of numbers at `place`, also by links; `None` where there is none.
    pub(crate) fn dataset(&self, place: &str) -> Option<DatasetPlace> {
        let (dataset, is_linked) = self.stored(place)?;
        sample_type(&dataset.datatype().ok()?)?;
        let shape = shape_of(&dataset.shape().ok()?)?;
        Some(DatasetPlace { place: place.to_owned(), shape, is_linked })
    }

    /// Whether there is a dataset at `place`, of whatever kind.
    pub(crate) fn holds(&self, place: &str) -> bool {
        self.stored(place).is_some()
    }

    /// The dataset at `place`, and whether links lead there.
    fn stored(&self, place: &str) -> Option<(Dataset, bool)> {
        match self.0.at(place).ok()?? {
            At::Here(own, Object::Dataset(dataset)) => {
                Some((dataset, own.trim_matches('/') != place.trim_matches('/')))
            }
            At::Here(_, Object::Group(_)) => None,
            At::Elsewhere(outward) => {
                let (_, _, dataset) = self.0.linked(&outward).ok()??;
                Some((dataset, true))
            }
        }
    }

    /// The numbers of a dataset of at most one axis; `None` where there is none of that name.
    ///
    /// # Errors
    /// [`Error::Input`] for a damaged dataset and for more numbers than a list may have.
    pub(crate) fn numbers(&self, place: &str) -> Result<Option<Vec<f64>>> {
        self.numbers_up_to(place, MOST_NUMBERS)
    }

    /// The numbers of a dataset of any axes, the last of which goes fastest, at most `most` of them; `None` where there is none of that
    /// name.
    ///
    /// # Errors
    /// [`Error::Input`] for a damaged dataset and for more numbers.
    pub(crate) fn numbers_up_to(&self, place: &str, most: u64) -> Result<Option<Vec<f64>>> {
        let failed = |error: hdf5_pure::Error| self.0.failed(&error);
        let Some((dataset, _)) = self.stored(place) else { return Ok(None) };
        let shape = dataset.shape().map_err(failed)?;
        let count = shape.iter().try_fold(1_u64, |count, length| count.checked_mul(*length));
        if count.is_none_or(|count| count > most) {
            let problem = format!("{place} has more numbers than a list of angles, keys or labels can have");
            return Err(Error::input(self.0.name(), problem));
        }
        if dataset.datatype().is_ok_and(|datatype| sample_type(&datatype).is_none()) {
            return Ok(None);
        }
        dataset.read_f64().map(Some).map_err(failed)
    }

    /// The texts of a dataset; `None` where there is none of that name, it holds something else, or very many.
    #[cfg(feature = "portal")]
    pub(crate) fn texts(&self, place: &str) -> Option<Vec<String>> {
        let (dataset, _) = self.stored(place)?;
        let count =
            dataset.shape().ok()?.iter().try_fold(1_u64, |count, length| count.checked_mul(*length))?;
        if count > MOST_TEXTS {
            return None;
        }
        let datatype = dataset.datatype().ok()?;
        if let Datatype::VariableLength { .. } = datatype {
            let options = VlenStringReadOptions::new().with_max_payload_bytes(MOST_TEXT_BYTES as usize);
            return dataset.read_vlen_strings(options).ok();
        }
        let bytes = count.checked_mul(datatype.type_size().into())?;
        if bytes <= MOST_TEXT_BYTES { dataset.read_string().ok() } else { None }
    }

    /// A letter of `TCZYX` for each of the `count` axes of a dataset; `None` where it does not say what they are.
    #[cfg(feature = "portal")]
    pub(crate) fn axes(&self, place: &str, count: usize) -> Option<Vec<char>> {
        super::attributes::axes(&self.attributes(place), count)
    }

    fn attributes(&self, place: &str) -> HashMap<String, AttrValue> {
        match self.0.at(place) {
            Ok(Some(At::Here(_, Object::Dataset(dataset)))) => dataset.attrs(),
            Ok(Some(At::Here(_, Object::Group(group)))) => group.attrs(),
            Ok(Some(At::Elsewhere(outward))) => match self.0.linked(&outward) {
                Ok(Some((_, _, dataset))) => dataset.attrs(),
                _ => return HashMap::new(),
            },
            _ => return HashMap::new(),
        }
        .unwrap_or_default()
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
