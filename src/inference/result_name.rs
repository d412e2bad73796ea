//! What a single result is called where the user names its file.

use std::ffi::OsString;
use std::path::Path;

use crate::images::{NewPlace, StackFormat};

/// The file name of a single result, as the user wrote it, and what other files of the same result are called after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultName {
    /// The name as it was written.
    pub(super) file: OsString,
    /// Without its ending: the names of other files of the result begin with it.
    pub(super) stem: String,
    /// The ending without the first dot, such as `ome.zarr`.
    pub(super) ending: String,
    /// The dataset of an HDF5 file, where one is named.
    pub(super) dataset: Option<String>,
}

impl ResultName {
    /// That of the file `new`.
    pub fn of(new: &NewPlace) -> Self {
        let file = new.path.file_name().unwrap_or_default().to_owned();
        let text = file.to_string_lossy().into_owned();
        let (before, last) = text.rsplit_once('.').unwrap_or((text.as_str(), ""));
        let (stem, ending) = match before.rsplit_once('.') {
            Some((stem, inner)) if inner.eq_ignore_ascii_case("ome") && !stem.is_empty() => {
                (stem, format!("{inner}.{last}"))
            }
            _ => (before, last.to_owned()),
        };
        Self { stem: stem.to_owned(), ending, dataset: new.dataset.clone(), file }
    }
}

/// Why no file of the name `out` is written, where its ending says that it is packed, and what to write instead.
pub(super) fn packed_ending(out: &Path) -> Option<&'static str> {
    let ending = out.extension()?.to_str()?.to_ascii_lowercase();
    match (ending.as_str(), StackFormat::of_name(out)) {
        ("npz", _) => Some("NPZ files are not written; name a file that ends in .npy"),
        ("gz", Some(_)) => {
            Some("packed files are not written; leave out .gz, and pack the result with gzip afterwards")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_of_two_parts_are_one_ending() {
        let of = |path: &str| {
            let ResultName { file, stem, ending, .. } =
                ResultName::of(&NewPlace { path: path.into(), dataset: None });
            (file.into_string().unwrap(), stem, ending)
        };
        let named =
            |file: &str, stem: &str, ending: &str| (file.to_owned(), stem.to_owned(), ending.to_owned());
        assert_eq!(of("r/q.OME.zarr"), named("q.OME.zarr", "q", "OME.zarr"));
        assert_eq!(of("r/q.zarr"), named("q.zarr", "q", "zarr"));
        assert_eq!(of("a.b.tiff"), named("a.b.tiff", "a.b", "tiff"));
        assert_eq!(packed_ending(Path::new("a.nii.gz")).map(|_| ()), Some(()));
        assert_eq!(packed_ending(Path::new("a.tar.gz")), None);
    }
}
