//! Opening the array that a path names, whatever its format.

use std::path::Path;

use super::planes::{OpenArray, Wanted};
use super::raw::RawFormat;
use super::{StoredArray, hdf5, packed, raw, zarr};
use crate::error::{Error, Result};
use crate::images::file::{self, Format};

/// The array in the file or folder at `path`, at the place `inside` it where one is named.
///
/// # Errors
/// [`Error::Input`] for what cannot be read, for a place that there is not, and for files of several arrays where none is named;
/// [`Error::Setting`] for settings that do not fit.
pub(in crate::images) fn open(path: &Path, inside: Option<&str>, wanted: Wanted<'_>) -> Result<OpenArray> {
    if path.is_dir() {
        return OpenArray::new(path, Box::new(zarr::open(path, inside, wanted.level)?), wanted);
    }
    let (file, format) = file::open(path)?;
    let name = path.display().to_string();
    let stored: Box<dyn StoredArray> = match format {
        Format::Hdf5 => hdf5::open(path, file, inside)?,
        Format::Zip => packed::open_zip(&name, file, inside)?,
        _ => {
            if let Some(inside) = inside
                && format.is_array()
            {
                let problem = format!("holds one array, but '{inside}' was wanted inside it; leave that out");
                return Err(Error::input(path, problem));
            }
            match format {
                Format::Gzip => packed::open_gzip(&name, file)?,
                other => packed::open_plain(&name, file, other)
                    .ok_or_else(|| file::not_an_image(path, other))??,
            }
        }
    };
    OpenArray::new(path, stored, wanted)
}

/// The array in the file at `path`, whose numbers lie as `format` says.
///
/// # Errors
/// As [`open`].
pub(in crate::images) fn open_raw(path: &Path, format: &RawFormat, wanted: Wanted<'_>) -> Result<OpenArray> {
    let (file, _) = file::open(path)?;
    OpenArray::new(path, Box::new(raw::open(path, file, format)?), wanted)
}
