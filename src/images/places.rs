//! Which files a path, a pattern or a place inside a file names.

use std::path::{Path, PathBuf};

use super::notices::warn_once;
use super::stack::StackFormat;
use crate::error::{Error, Result};

/// The endings of files that hold one image, in lower case.
const IMAGE_EXTENSIONS: [&str; 3] = ["png", "jpg", "jpeg"];
/// The endings of files without a header, in lower case.
const RAW_EXTENSIONS: [&str; 6] = ["raw", "dat", "bin", "vol", "img", "data"];

/// A file or a folder that is an array, and the place inside it where one is named.
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) inside: Option<String>,
}

impl Place {
    /// What `text` names where that is a file with a place inside it, such as `scan.h5:/entry/data`.
    fn inside(text: &str) -> Option<Self> {
        let (path, inside) = text.rsplit_once(':')?;
        let path = PathBuf::from(path);
        let there =
            !path.as_os_str().is_empty() && path.exists() && (path.is_file() || is_array_folder(&path));
        there.then(|| Place { path, inside: Some(inside.to_owned()) })
    }
}

/// How files are listed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Listing {
    /// Whether links that lead nowhere are listed too.
    pub(super) keep_going: bool,
    /// Whether files without a header are wanted.
    pub(super) raw: bool,
}

/// Whether a file of this name, which has just appeared in a folder, may be an image or a stack: by its ending, and by not being
/// called as hidden and temporary files are. Zarr folders are none.
pub(crate) fn arriving_name(file: &Path, raw: bool) -> bool {
    let is_zarr = file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("zarr"));
    !is_zarr && named_as(file, raw).is_some()
}

/// Whether a folder of this name may be a Zarr array or a group of them, and is not hidden.
pub(crate) fn is_zarr_name(folder: &Path) -> bool {
    let is_zarr = folder.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("zarr"));
    is_zarr && named_as(folder, false).is_some()
}

/// The file or Zarr folder that `p` names, which need not be there yet, and the place inside it where one is named.
pub(crate) fn split_place(p: &str) -> (PathBuf, Option<String>) {
    let path = PathBuf::from(p);
    match p.rsplit_once(':') {
        Some((before, inside))
            if !path.exists()
                && (Path::new(before).exists() || named_as(Path::new(before), false).is_some()) =>
        {
            (PathBuf::from(before), Some(inside.to_owned()))
        }
        _ => (path, None),
    }
}

/// Whether `p` names something: a file, a folder, a place inside a file, or images by a pattern.
pub(crate) fn is_there(p: &str) -> bool {
    Path::new(p).exists()
        || Place::inside(p).is_some()
        || p.contains(['*', '?', '[']) && Listing::default().places(p).is_ok()
}

/// Whether the folder at `path` is an array or a group of them: Zarr keeps each of its chunks in a file of its own.
pub(crate) fn is_array_folder(path: &Path) -> bool {
    [".zarray", ".zgroup", ".zattrs", "zarr.json"].iter().any(|name| path.join(name).is_file())
}

impl Listing {
    /// The files that `p` names: a file, a folder, a place inside a file, or a pattern.
    ///
    /// # Errors
    /// [`Error::Input`] where nothing is there, or no image among it.
    pub(super) fn places(self, p: &str) -> Result<Vec<Place>> {
        let path = Path::new(p);
        let whole =
            |files: Vec<PathBuf>| files.into_iter().map(|path| Place { path, inside: None }).collect();
        if path.is_dir() && !is_array_folder(path) {
            self.files_of_folder(path).map(whole)
        } else if path.exists() {
            Ok(vec![Place { path: path.to_path_buf(), inside: None }])
        } else if path.is_symlink() {
            Err(dangling(path))
        } else if let Some(place) = Place::inside(p) {
            Ok(vec![place])
        } else if p.contains(['*', '?', '[']) {
            self.files_of_pattern(p).map(whole)
        } else {
            Err(Error::input(
                path,
                "no such file or folder; give a folder of images, a TIFF stack or a quoted pattern such as 'slices/*.tif'",
            )
            .caused_by(std::io::Error::from(std::io::ErrorKind::NotFound)))
        }
    }

    /// What `file` is to be taken for by its name; with `keep_going`, links that lead nowhere have names too.
    ///
    /// # Errors
    /// [`Error::Input`] for a link with the name of an image that leads nowhere.
    fn named_as(self, file: &Path) -> Result<Option<Named>> {
        let Some(named) = named_as(file, self.raw) else { return Ok(None) };
        if file.is_symlink() && !file.exists() {
            return if self.keep_going { Ok(Some(named)) } else { Err(dangling(file)) };
        }
        let there = match named {
            Named::Array => file.is_file() || is_array_folder(file),
            Named::Image => file.is_file(),
        };
        Ok(there.then_some(named))
    }

    /// The images among `files`, or where there are none the arrays.
    fn chosen(
        self,
        files: impl Iterator<Item = Result<PathBuf>>,
        others: &mut usize,
    ) -> Result<Vec<PathBuf>> {
        let (mut images, mut arrays) = (Vec::new(), Vec::new());
        for file in files {
            let file = file?;
            match self.named_as(&file)? {
                Some(Named::Image) => images.push(file),
                Some(Named::Array) => arrays.push(file),
                None => *others += 1,
            }
        }
        if images.is_empty() {
            return Ok(arrays);
        }
        if let Some(array) = arrays.first() {
            warn_once(format!(
                "{} is passed over, as there are images beside it; name it by itself where it is wanted",
                array.display()
            ));
        }
        Ok(images)
    }

    fn files_of_folder(self, folder: &Path) -> Result<Vec<PathBuf>> {
        let unreadable = |error: std::io::Error| {
            Error::input(folder, format!("the folder cannot be listed: {error}; check its permissions"))
        };
        let entries = std::fs::read_dir(folder).map_err(unreadable)?;
        let files =
            self.chosen(entries.map(|entry| entry.map(|entry| entry.path()).map_err(unreadable)), &mut 0)?;
        if files.is_empty() {
            return Err(Error::input(
                folder,
                "the folder holds no images; wanted files ending in .png, .tif or .tiff (or .jpg), or arrays (.h5, .zarr, .npy, .mrc, .nii)",
            ));
        }
        Ok(files)
    }

    fn files_of_pattern(self, pattern: &str) -> Result<Vec<PathBuf>> {
        let matches = glob::glob(&literal_folders(pattern)).map_err(|error| {
            Error::input(pattern, format!("is not a pattern: {error}; write * for any name"))
        })?;
        let matches = matches.map(|file| file.map_err(|error| Error::input(error.path(), error.error())));
        let mut others = 0;
        let files = self.chosen(matches, &mut others)?;
        if files.is_empty() {
            return Err(Error::input(
                pattern,
                match others {
                    0 => "the pattern matches no file; check the folder and the ending".to_owned(),
                    _ => format!(
                        "the pattern matches {others} names but no image; wanted files ending in .png, .tif or .tiff (or .jpg), or arrays (.h5, .zarr, .npy, .mrc, .nii)"
                    ),
                },
            ));
        }
        Ok(files)
    }
}

/// What a file is to be taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Image,
    Array,
}

/// What a file is to be taken for by its name; `None` for hidden files and other endings.
fn named_as(file: &Path, raw: bool) -> Option<Named> {
    let name = file.file_name()?.to_string_lossy().to_lowercase();
    let ending = file.extension()?.to_string_lossy().to_lowercase();
    let is = |endings: &[&str]| endings.contains(&ending.as_str());
    if name.starts_with('.') {
        None
    } else if raw {
        is(&RAW_EXTENSIONS).then_some(Named::Image)
    } else if is(&IMAGE_EXTENSIONS) {
        Some(Named::Image)
    } else {
        StackFormat::of_name(file)
            .map(|format| if format == StackFormat::Tiff { Named::Image } else { Named::Array })
    }
}

fn dangling(link: &Path) -> Error {
    let target = std::fs::read_link(link).map(|target| target.display().to_string()).unwrap_or_default();
    Error::input(
        link,
        format!("is a link to {target}, which is not there; put the file there or remove the link"),
    )
}

/// The pattern with the folders at its beginning that are there by their very name, such as `[2024] run`, taken literally.
fn literal_folders(pattern: &str) -> String {
    let mut ends = pattern.match_indices(std::path::is_separator).map(|(at, _)| at);
    match ends.rfind(|&end| Path::new(&pattern[..end]).is_dir()) {
        Some(end) => glob::Pattern::escape(&pattern[..end]) + &pattern[end..],
        None => pattern.to_owned(),
    }
}
