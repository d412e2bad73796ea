//! Images whose slices are files: of a folder or a pattern on the server, or sent by a page one by one.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::Project;
use super::about::Came;
use super::images::{Place, came};
use super::places::check_upload_name;
use crate::files::UnfinishedFile;
use crate::images::{ImageSource, is_array_folder};
use crate::portal::journal::check_name;
use crate::portal::tiles::pages_of;
use crate::{Error, Result};

/// Where the slices lie that a page sends, until all are there: these names with a key behind it.
const SENT: &str = "cache/stack-";
/// Most slices that are sent for one stack.
const MOST_SENT: usize = 20_000;

/// Removes slices that an earlier server was sent and that never became an image.
pub(super) fn remove_left(project: &Path) {
    let Ok(entries) = std::fs::read_dir(project.join("cache")) else { return };
    let is_left = |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with("stack-");
    for entry in entries.flatten().filter(is_left) {
        if let Err(error) = std::fs::remove_dir_all(entry.path()) {
            log::warn!("{} cannot be removed: {error}", entry.path().display());
        }
    }
}

impl Project {
    /// Adds the files of a folder, or of a pattern, as the slices of one image, in the natural order of their names. With `copy` they are
    /// copied into the project. Gives its name in the project.
    ///
    /// # Errors
    /// [`Error::Input`] for what cannot be read or may not, is no folder, or holds stacks; [`Error::Mismatch`] for slices of several sizes, and
    /// in a project that denoises.
    pub fn add_files_as_stack(&self, path: &str, copy: bool) -> Result<String> {
        self.check_takes_stacks()?;
        let input = self.places.check_input(path)?;
        let named = Path::new(&input);
        if named.is_file() || is_array_folder(named) {
            let problem = "is no folder of slices; name the folder that they are in, or add it as it is";
            return Err(Error::input(named, problem));
        }
        let pages = pages_of(&input, true)?;
        for page in &pages {
            // Links could lead anywhere.
            self.places.check(&page.path)?;
        }
        let place = Place { real: named.to_path_buf(), inside: String::new(), is_of_files: true };
        self.add_image(place, pages, came(copy), None)
    }

    /// Copies the files of a stack into a folder of the project; gives that.
    pub(super) fn copied_files(&self, pages: &[ImageSource]) -> Result<PathBuf> {
        let folder = pages.first().and_then(|page| page.path.parent()).and_then(Path::file_name);
        let to = self.free_name(&folder.unwrap_or_default().to_string_lossy());
        let names: Vec<_> = pages.iter().map(|page| page.path.file_name().unwrap_or_default()).collect();
        let differ = names.iter().collect::<HashSet<_>>().len() == names.len();
        // A copy that was not finished is removed at the next start.
        let unfinished =
            self.folder.join(format!("{SENT}copy-{}", to.file_name().unwrap_or_default().to_string_lossy()));
        let copy = || {
            std::fs::create_dir_all(&unfinished)?;
            for (number, (page, name)) in pages.iter().zip(&names).enumerate() {
                // Files of several folders can have the same name.
                let name = match differ {
                    true => name.to_os_string(),
                    false => format!("{number:06}-{}", name.to_string_lossy()).into(),
                };
                std::fs::copy(&page.path, unfinished.join(name))?;
            }
            std::fs::rename(&unfinished, &to)
        };
        copy().map_err(|error: std::io::Error| {
            std::fs::remove_dir_all(&unfinished).ok();
            Error::output(&to, format!("the slices cannot be copied: {error}; free some space"))
                .caused_by(error)
        })?;
        Ok(to)
    }

    /// Begins a slice, called `name`, of the stack with this key, which a page makes up.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for what is no name of an image or no key, and for very many slices; [`Error::Output`].
    pub(in crate::portal) fn begin_slice(&self, key: &str, name: &str) -> Result<UnfinishedFile> {
        self.check_takes_stacks()?;
        check_upload_name(name)?;
        let folder = self.sent(key)?;
        std::fs::create_dir_all(&folder).map_err(|error| {
            Error::output(&folder, format!("the folder cannot be made: {error}")).caused_by(error)
        })?;
        if std::fs::read_dir(&folder).is_ok_and(|entries| entries.count() >= MOST_SENT) {
            let problem = format!(
                "more than {MOST_SENT} slices were sent for one stack; name their folder on the server"
            );
            return Err(Error::Mismatch(problem));
        }
        UnfinishedFile::create(&folder.join(name))
    }

    /// All slices of the stack with this key were sent: they become one image, called `name`. Slices that are no stack do not stay.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where none were sent, for what is no name, and for slices of several sizes; else as [`Project::add`].
    pub(in crate::portal) fn end_slices(&self, key: &str, name: &str) -> Result<String> {
        self.check_takes_stacks()?;
        let sent = self.sent(key)?;
        if !sent.is_dir() {
            return Err(Error::Mismatch("no slices of this stack were sent; send them first".into()));
        }
        let added = check_name(name).and_then(|()| {
            let kept = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '_' | ' ') { c } else { '_' };
            let plain: String = name.chars().map(kept).take(60).collect();
            let folder = self.free_name(plain.trim());
            std::fs::rename(&sent, &folder).map_err(|error| {
                Error::output(&folder, format!("the slices cannot be kept: {error}")).caused_by(error)
            })?;
            let place = Place { real: folder.clone(), inside: String::new(), is_of_files: true };
            let added = pages_of(&folder.display().to_string(), true)
                .and_then(|pages| self.add_image(place, pages, Came::Uploaded, None));
            if added.is_err() {
                std::fs::remove_dir_all(&folder).ok();
            }
            added
        });
        if added.is_err() {
            std::fs::remove_dir_all(&sent).ok();
        }
        added
    }

    /// Forgets the slices of the stack with this key that were sent so far.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for what is no key; [`Error::Output`] where they cannot be removed.
    pub(in crate::portal) fn forget_slices(&self, key: &str) -> Result<()> {
        let sent = self.sent(key)?;
        if sent.is_dir() {
            std::fs::remove_dir_all(&sent).map_err(|error| {
                Error::output(&sent, format!("cannot be removed: {error}")).caused_by(error)
            })?;
        }
        Ok(())
    }

    /// A network that denoises learns from files as training names them, each of which is an image.
    fn check_takes_stacks(&self) -> Result<()> {
        if self.denoises() {
            let problem = "in a project that denoises each file is an image; add the folder, or its files, without `stack`";
            return Err(Error::Mismatch(problem.into()));
        }
        Ok(())
    }

    /// Where the slices of a stack with this key lie.
    fn sent(&self, key: &str) -> Result<PathBuf> {
        let is_key = (8..=64).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_key {
            return Err(Error::Mismatch("`stack` must be 8 to 64 letters and digits".into()));
        }
        Ok(self.folder.join(format!("{SENT}{key}")))
    }
}
