//! Where a new file is to be, as people write it: a path, or one with a dataset in it.

use std::path::{Path, PathBuf};

use super::StackFormat;
use crate::error::{Error, Result};
use crate::images::arrays::Hdf5File;
use crate::images::places::split_place;

/// The longest name of a group or dataset that is written.
const MOST_NAME_BYTES: usize = 255;

/// A file that is to be written, and the dataset in it where one is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPlace {
    /// The file or folder.
    pub path: PathBuf,
    /// The dataset of an HDF5 file, such as `/entry/data`.
    pub dataset: Option<String>,
}

impl NewPlace {
    /// What `out` names, such as `result.tif` or `result.h5:/entry/data`.
    ///
    /// # Errors
    /// [`Error::Setting`] for a place inside a file of another format, for one that is no name of a dataset, and for an HDF5 file that is
    /// there and holds other datasets, as a new file takes its place.
    pub fn of(out: &Path) -> Result<Self> {
        let whole = Self { path: out.to_path_buf(), dataset: None };
        let Some((path, Some(dataset))) = out.to_str().map(split_place) else { return Ok(whole) };
        let wrong = |wanted: &str| Err(Error::setting("out", out.display(), wanted));
        match StackFormat::of_name(&path) {
            // The colon belongs to the name of a folder.
            None => return Ok(whole),
            Some(StackFormat::Hdf5) => {}
            Some(_) => {
                return wrong(
                    "only HDF5 files have places inside; leave out the colon and what is behind it",
                );
            }
        }
        let names: Vec<&str> = dataset.split('/').filter(|name| !name.is_empty()).collect();
        let is_name = |name: &&str| {
            name.len() <= MOST_NAME_BYTES && ![".", ".."].contains(name) && !name.contains('\0')
        };
        if names.is_empty() || !names.iter().all(is_name) {
            return wrong("behind the colon there must be the name of a dataset, such as result.h5:/data");
        }
        let new = Self { path, dataset: Some(format!("/{}", names.join("/"))) };
        new.check_others(out)?;
        Ok(new)
    }

    /// Refuses a file with other datasets, which would be lost.
    fn check_others(&self, out: &Path) -> Result<()> {
        if !self.path.is_file() {
            return Ok(());
        }
        // What cannot be read as HDF5 is replaced as any other file.
        let Ok(Some(there)) = Hdf5File::open(&self.path) else { return Ok(()) };
        let datasets = there.datasets().map_err(|_| {
            let wanted = format!(
                "{} is HDF5 and cannot be read to its end, so that what is in it might be lost; name another file",
                self.path.display()
            );
            Error::setting("out", out.display(), wanted)
        })?;
        match datasets.iter().find(|other| Some(&other.place) != self.dataset.as_ref()) {
            None => Ok(()),
            Some(other) => {
                let wanted = format!(
                    "{} holds {} too, which would be lost, as a new file is written; name another file",
                    self.path.display(),
                    other.place
                );
                Err(Error::setting("out", out.display(), wanted))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dataset_is_named_behind_a_colon_in_hdf5_files_alone() {
        let of = |text: &str| NewPlace::of(Path::new(text));
        let new = |path: &str, dataset: Option<&str>| NewPlace {
            path: path.into(),
            dataset: dataset.map(str::to_owned),
        };
        assert_eq!(of("r/a.h5").unwrap(), new("r/a.h5", None));
        assert_eq!(of("r/a.hdf5:labels").unwrap(), new("r/a.hdf5", Some("/labels")));
        assert_eq!(of("a.h5:/entry//data/").unwrap(), new("a.h5", Some("/entry/data")));
        assert_eq!(of("folder:/x").unwrap(), new("folder:/x", None));
        assert!(of("a.tif:/x").unwrap_err().to_string().contains("only HDF5 files"));
        for wrong in ["a.h5:", "a.h5:/", "a.h5:/../x", &format!("a.h5:/{}", "x".repeat(256))] {
            assert!(of(wrong).unwrap_err().to_string().contains("the name of a dataset"), "{wrong}");
        }
    }
}
