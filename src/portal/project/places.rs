//! Which folders a page may name files of.

use std::path::{Path, PathBuf};

use crate::images::{arriving_name, is_array_folder, natural_order};
use crate::{Error, Result};

/// Most entries of a folder that are listed.
const MOST_ENTRIES: usize = 20_000;

/// The project folder, and others that images may be taken from.
#[derive(Debug)]
pub(super) struct Places {
    /// Without links and dots; the project comes last.
    roots: Vec<PathBuf>,
}

/// What is in a folder.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(in crate::portal) struct Listing {
    pub(in crate::portal) path: String,
    /// The folder above, where that may be looked at too.
    pub(in crate::portal) parent: Option<String>,
    /// The folders that may be looked at from the top.
    pub(in crate::portal) roots: Vec<String>,
    pub(in crate::portal) folders: Vec<String>,
    pub(in crate::portal) images: Vec<String>,
}

impl Places {
    /// The project in `project`, and the folders `allowed`, all of which are there.
    ///
    /// # Errors
    /// [`Error::Input`] for a folder that is not there.
    pub(super) fn new(project: &Path, allowed: &[PathBuf]) -> Result<Self> {
        let mut roots = Vec::new();
        for folder in allowed.iter().map(PathBuf::as_path).chain([project]) {
            let found = folder.canonicalize().ok().filter(|folder| folder.is_dir());
            let found = found.ok_or_else(|| {
                Error::input(folder, "is not a folder that can be read; name one with `allow`")
            })?;
            if !roots.contains(&found) {
                roots.push(found);
            }
        }
        Ok(Self { roots })
    }

    /// `text` as a path: one that is not complete begins at the first folder.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        match self.roots.first() {
            Some(root) => root.join(text),
            None => PathBuf::from(text),
        }
    }

    /// The path without links and dots, where it is there and lies in one of the folders.
    ///
    /// # Errors
    /// [`Error::Input`] for all others, with the same words whether they are there or not.
    pub(super) fn check(&self, path: &Path) -> Result<PathBuf> {
        let real = path.canonicalize().ok();
        real.filter(|real| self.roots.iter().any(|root| real.starts_with(root))).ok_or_else(|| {
            let roots: Vec<_> = self.roots.iter().map(|root| root.display().to_string()).collect();
            Error::input(
                path,
                format!(
                    "is not there, or not in a folder that this server may read, which are {}; start it with --allow FOLDER for another one",
                    roots.join(", ")
                ),
            )
        })
    }

    /// Checks what names images: a file, a folder, a place inside a file, or a pattern. Of a pattern the folder above the first part with
    /// a wildcard is checked; what it finds is to be checked again.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub(super) fn check_input(&self, text: &str) -> Result<String> {
        let path = self.path(text);
        let text = path.display().to_string();
        if let Ok(real) = self.check(&path) {
            return Ok(real.display().to_string());
        }
        // Without the place inside a file.
        if let Some((file, inside)) = text.rsplit_once(':')
            && let Ok(real) = self.check(Path::new(file))
        {
            return Ok(format!("{}:{inside}", real.display()));
        }
        if let Some(wildcard) = text.find(['*', '?', '[']) {
            let folder = text[..wildcard].rfind('/').map_or("", |end| &text[..end]);
            // A pattern could step out again behind the wildcard.
            if !text[wildcard..].split('/').any(|part| part == "..") {
                let real = self.check(Path::new(folder))?;
                return Ok(format!("{}{}", real.display(), &text[folder.len()..]));
            }
        }
        Err(self.check(&path).err().unwrap_or_else(|| Error::input(&path, "is not there")))
    }

    /// What is in the folder `text`, or in the first one where that is empty.
    ///
    /// # Errors
    /// As [`Self::check`]; [`Error::Input`] for a folder that cannot be listed.
    pub(super) fn list(&self, text: &str) -> Result<Listing> {
        let path = self.check(&self.path(text))?;
        let unreadable = |error: std::io::Error| {
            Error::input(&path, format!("the folder cannot be listed: {error}; check its permissions"))
        };
        let (mut folders, mut images) = (Vec::new(), Vec::new());
        for entry in std::fs::read_dir(&path).map_err(unreadable)?.take(MOST_ENTRIES) {
            let entry = entry.map_err(unreadable)?.path();
            let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            if entry.is_dir() {
                if is_array_folder(&entry) { images.push(name) } else { folders.push(name) }
            } else if arriving_name(&entry, false) {
                images.push(name);
            }
        }
        folders.sort_by(|a, b| natural_order(a, b));
        images.sort_by(|a, b| natural_order(a, b));
        let parent = path.parent().filter(|parent| self.check(parent).is_ok());
        Ok(Listing {
            parent: parent.map(|parent| parent.display().to_string()),
            roots: self.roots.iter().map(|root| root.display().to_string()).collect(),
            path: path.display().to_string(),
            folders,
            images,
        })
    }
}

/// Refuses names of uploaded files that are more than a name, or none of an image.
///
/// # Errors
/// [`Error::Mismatch`] for these.
pub(super) fn check_upload_name(name: &str) -> Result<()> {
    let is_plain = !name.is_empty()
        && name.len() <= 200
        && !name.starts_with('.')
        && !name.contains(['/', '\\', ':', '*', '?', '[', '"', '<', '>', '|'])
        && !name.chars().any(char::is_control);
    if is_plain && arriving_name(Path::new(name), false) {
        return Ok(());
    }
    Err(Error::Mismatch(format!(
        "'{}' is no name of an image; wanted one such as slice.png or stack.tif",
        name.chars().filter(|c| !c.is_control()).take(80).collect::<String>()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_of_the_folders_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["project/images", "data/inner", "secret"] {
            std::fs::create_dir_all(path(name)).unwrap();
        }
        for name in ["secret/a.png", "data/b.png", "data/inner/c.tif", "data/notes.txt", "data/.d.png"] {
            std::fs::write(path(name), b"x").unwrap();
        }
        let places = Places::new(&path("project"), &[path("data")]).unwrap();
        let is_allowed = |text: &str| places.check_input(text).is_ok();
        let secret = path("secret").display().to_string();
        for text in
            ["b.png", "inner", "inner/../b.png", "*.png", "*/c.tif", "b.png:/entry/data", "../project/images"]
        {
            assert!(is_allowed(text), "{text}");
        }
        assert!(is_allowed(path("data/b.png").to_str().unwrap()));
        for text in [
            "../secret/a.png",
            "inner/../../secret",
            "../secret/*.png",
            "*/../../secret/a.png",
            "/etc/passwd",
            "/etc/*",
            &format!("{secret}/a.png"),
            &format!("{secret}/none.png"),
            &format!("{secret}:x"),
            "missing.png",
            "..",
            "/",
        ] {
            let error = places.check_input(text).unwrap_err().to_string();
            assert!(error.contains("may read"), "{text}: {error}");
            assert!(places.list(text).is_err(), "{text}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(path("secret"), path("data/link")).unwrap();
            assert!(!is_allowed("link/a.png") && places.list("link").is_err());
            std::fs::remove_file(path("data/link")).unwrap();
        }
        let listing = places.list("").unwrap();
        assert_eq!(
            (listing.folders, listing.images, listing.parent),
            (vec!["inner".into()], vec!["b.png".into()], None)
        );
        let inner = places.list("inner").unwrap();
        assert_eq!(inner.parent, Some(path("data").canonicalize().unwrap().display().to_string()));
        assert!(Places::new(&path("project"), &[path("none")]).is_err());
    }

    #[test]
    fn uploads_have_plain_names_of_images() {
        for name in ["a.png", "Ä b.TIF", "stack.ome.tiff", "x.nii.gz"] {
            assert!(check_upload_name(name).is_ok(), "{name}");
        }
        let long = format!("{}.png", "a".repeat(300));
        for name in [
            "", ".", "..", "../a.png", "a/b.png", "a\\b.png", ".a.png", "a.sh", "a.png\n", "<b>.png",
            "a:b.png", &long,
        ] {
            assert!(check_upload_name(name).is_err(), "{name}");
        }
    }
}
