//! What is watched: a folder, or an array or stack that grows, and how.

use std::path::Path;
use std::time::Duration;

use super::queue::Policy;
use super::source::{Folder, Growing, Source};
use crate::images::{Discovery, StackFormat, is_array_folder, split_place};
use crate::inference::Products;
use crate::{Error, Result};

/// What is watched, and how.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Watched {
    /// A folder, or a file or Zarr folder with the place of an array inside, such as `scan.h5:/entry/data`.
    pub input: String,
    /// How its files are taken.
    pub discovery: Discovery,
    /// How long to wait between two looks.
    pub poll: Duration,
    /// How long a file must not change before it is read.
    pub settle: Duration,
    /// How long a file that cannot be used must not change before it is given up.
    pub patience: Duration,
    /// Which images are done.
    pub policy: Policy,
    /// The watch ends when nothing has happened for so long; `None` for never.
    pub until_idle: Option<Duration>,
    /// The watch ends after so many images; `None` for never.
    pub count: Option<u64>,
}

impl Watched {
    /// All that comes into `input`, with no end.
    pub fn new(input: impl Into<String>, discovery: Discovery) -> Self {
        Self {
            input: input.into(),
            discovery,
            poll: Duration::from_millis(100),
            settle: Duration::from_millis(500),
            patience: Duration::from_secs(10),
            policy: Policy::All,
            until_idle: None,
            count: None,
        }
    }
}

/// What `input` is called from anywhere, whether it is there yet or not.
pub(super) fn full_name(input: &str) -> String {
    let (path, inside) = split_place(input);
    let in_folder = || {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some(folder.canonicalize().ok()?.join(path.file_name()?))
    };
    let path = path.canonicalize().ok().or_else(in_folder).unwrap_or_else(|| path.clone());
    let inside = inside.map(|inside| format!(":{inside}")).unwrap_or_default();
    format!("{}{inside}", path.display())
}

/// Whether files are watched, and not the slices of one.
pub(super) fn is_folder(watched: &Watched) -> bool {
    let path = split_place(&watched.input).0;
    path.is_dir() && !is_array_folder(&path) && !has_array_name(&path)
}

/// What is to be looked at, for models that take `channels` channels.
///
/// # Errors
/// [`Error::Setting`] and [`Error::Input`] for what cannot be watched.
pub(super) fn source(watched: &Watched, products: &Products, channels: usize) -> Result<Box<dyn Source>> {
    let path = split_place(&watched.input).0;
    if is_folder(watched) {
        if watched.discovery.slices.is_some() {
            let wanted = "it counts the slices of one stack; leave it out to watch a folder, or take each so-many-th image with `every`";
            return Err(Error::setting("slices", "given for a folder", wanted));
        }
        let is_same =
            |folder: &Path| matches!((folder.canonicalize(), path.canonicalize()), (Ok(a), Ok(b)) if a == b);
        if is_same(products.folder()) {
            let wanted =
                "the images are in that folder, and results would be taken for images; name another folder";
            return Err(Error::setting("out", products.folder().display(), wanted));
        }
        return Ok(Box::new(Folder::new(path, watched.discovery.raw.is_some())));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !path.exists() && (!has_array_name(&path) || !folder.is_dir()) {
        let problem = "no such folder; make it before it is watched, or name an array that will be written, such as scan.h5:/entry/data";
        return Err(Error::input(&path, problem));
    }
    let growing = Growing::new(&watched.input, watched.discovery.clone(), channels, watched.patience)?;
    Ok(Box::new(growing))
}

/// Whether the name is that of a stack or an array.
fn has_array_name(path: &Path) -> bool {
    StackFormat::of_name(path).is_some()
}
