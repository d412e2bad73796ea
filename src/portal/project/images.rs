//! Images that are added to a project and taken out.

use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use super::about::{Came, Image};
use super::places::{Listing, check_upload_name};
use super::purpose::Role;
use super::{Project, SERVER};
use crate::files::UnfinishedFile;
use crate::images::{ImageSource, page_size, write_tiff_f32};
use crate::phantom::shapes;
use crate::portal::journal::Shape;
use crate::portal::tiles::{measure, pages_of};
use crate::{Error, Result};

/// Most images of a project.
const MOST_IMAGES: usize = 10_000;

/// Where an image is.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    /// The file, or the folder or pattern of files, without links and dots.
    pub(super) real: PathBuf,
    /// The place inside the file, with a colon before it; else empty.
    pub(super) inside: String,
    /// Whether its slices are files.
    pub(super) is_of_files: bool,
}

/// An image that is not in the project yet.
struct Found {
    pages: Vec<ImageSource>,
    shape: Shape,
    channels: usize,
}

impl Project {
    /// What is in a folder that images may be taken from; of the first one where `path` is empty.
    ///
    /// # Errors
    /// [`Error::Input`] for folders that cannot be listed.
    pub(in crate::portal) fn browse(&self, path: &str) -> Result<Listing> {
        self.places.list(path)
    }

    /// Adds the images that `path` names: a file, a folder of files, a place inside a file, or a pattern. Each stack is one image. With
    /// `copy` the files are copied into the project. Gives their names in the project; those of images that were there already too. What
    /// was taken out comes back with its strokes.
    ///
    /// # Errors
    /// [`Error::Input`] for what cannot be read or may not, [`Error::Mismatch`] for stacks of slices of several sizes.
    pub fn add(&self, path: &str, copy: bool) -> Result<Vec<String>> {
        self.add_as(path, copy, None)
    }

    /// As [`Project::add`], for images of a denoising project that have this role; `None` leaves those that are there as they are.
    ///
    /// # Errors
    /// As [`Project::add`]; [`Error::Mismatch`] for a role in a project that segments.
    pub fn add_as(&self, path: &str, copy: bool, role: Option<Role>) -> Result<Vec<String>> {
        role.map_or(Ok(()), |_| self.check_has_roles())?;
        let input = self.places.check_input(path)?;
        let mut stacks: Vec<Vec<ImageSource>> = Vec::new();
        for page in pages_of(&input, false)? {
            match stacks.last_mut() {
                Some(stack) if stack[0].place() == page.place() => stack.push(page),
                _ => stacks.push(vec![page]),
            }
        }
        let mut ids = Vec::new();
        for stack in stacks {
            self.places.check(&stack[0].path)?;
            ids.push(self.add_image(Place::of(&stack), stack, came(copy), role)?);
        }
        Ok(ids)
    }

    /// Adds made-up images with shapes in noise, to try everything; those that are there already are added once.
    ///
    /// # Errors
    /// As [`Project::add`]; [`Error::Output`].
    pub fn add_sample(&self) -> Result<Vec<String>> {
        const IMAGES: u64 = 4;
        const SIZE: usize = 256;
        const NOISE: f32 = 0.15;
        if self.denoises() {
            return self.add_noisy_sample();
        }
        let mut ids = Vec::new();
        for seed in 1..=IMAGES {
            let path = self.folder.join(format!("images/sample-{seed}.tif"));
            if !path.exists() {
                let image = shapes::phantom(SIZE, NOISE, seed).image;
                write_tiff_f32(&path, &image.insert_axis(ndarray::Axis(0)))?;
            }
            let pages = pages_of(&path.display().to_string(), false)?;
            ids.push(self.add_image(Place::of(&pages), pages, Came::Copied, None)?);
        }
        Ok(ids)
    }

    /// Adds the image at a place, which these are the slices of, with this role if there is one.
    pub(super) fn add_image(
        &self,
        place: Place,
        pages: Vec<ImageSource>,
        came: Came,
        role: Option<Role>,
    ) -> Result<String> {
        let id = self.added_image(place, pages, came, role)?;
        // One that was there already may have another role now.
        role.map_or(Ok(true), |role| self.set_role(&id, role))?;
        Ok(id)
    }

    fn added_image(
        &self,
        place: Place,
        pages: Vec<ImageSource>,
        came: Came,
        role: Option<Role>,
    ) -> Result<String> {
        let found = Found::of(pages)?;
        let first = &found.pages[0];
        let Place { real, inside, is_of_files } = place;
        let known = |images: &[Image]| {
            let same = |image: &&Image| self.folder.join(&image.path) == real && image.inside == inside;
            images.iter().find(same).map(|image| image.id.clone())
        };
        if let Some(id) = known(&self.images()) {
            return Ok(id);
        }
        if self.images().len() >= MOST_IMAGES {
            let problem =
                format!("the project has {MOST_IMAGES} images, which is the most; begin another one");
            return Err(Error::Mismatch(problem));
        }
        let range = measure(&found.pages, found.shape, found.channels)?;
        if let Some(id) = self.taken_out_of(&real, &inside, &found) {
            self.put_back(&id)?;
            // The file may be another one than it was.
            self.change_about(|about| {
                for image in about.images.iter_mut().filter(|image| image.id == id) {
                    (image.lowest, image.highest) = (range.lowest, range.highest);
                    (image.low, image.high) = (range.low, range.high);
                }
            })?;
            return Ok(id);
        }
        let stem = first.file_stem();
        let path = match came {
            Came::Copied if !real.starts_with(&self.folder) && is_of_files => {
                self.copied_files(&found.pages)?
            }
            Came::Copied if !real.starts_with(&self.folder) => self.copied(&real, role)?,
            _ => real,
        };
        let path = path.strip_prefix(&self.folder).map_or_else(|_| path.clone(), Path::to_path_buf);
        let mut id = String::new();
        self.change_about(|about| {
            // Another request may have added it meanwhile.
            let same = |image: &&Image| (&image.path, &image.inside) == (&path, &inside);
            if let Some(image) = about.images().find(same) {
                id.clone_from(&image.id);
                return;
            }
            id = format!("i{}", about.next_image);
            about.next_image += 1;
            about.images.push(Image {
                id: id.clone(),
                name: format!("{stem}{inside}"),
                path,
                inside,
                is_of_files,
                came,
                role: role.unwrap_or_default(),
                width: found.shape.width,
                height: found.shape.height,
                slices: found.shape.slices,
                channels: found.channels,
                lowest: range.lowest,
                highest: range.highest,
                low: range.low,
                high: range.high,
                removed: false,
            });
        })?;
        Ok(id)
    }

    /// A free name in `images/` that is like `name`, and is given to nobody else.
    pub(super) fn free_name(&self, name: &str) -> PathBuf {
        let folder = self.folder.join("images");
        let (stem, ending) = name.split_once('.').map_or((name, ""), |(stem, _)| (stem, &name[stem.len()..]));
        let numbered = (2_u64..).map(|number| format!("{stem}-{number}{ending}"));
        let mut given = self.given_names.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names = std::iter::once(name.to_owned()).chain(numbered).map(|name| folder.join(name));
        let free =
            names.find(|path| !path.exists() && !given.contains(path)).unwrap_or_else(|| folder.join(name));
        given.insert(free.clone());
        free
    }

    /// As [`Self::free_name`], for an image of this role: those of each have a folder of their own, as images that belong together have the
    /// same names.
    fn free_name_of(&self, role: Option<Role>, name: &str) -> Result<PathBuf> {
        let Some(role) = role else { return Ok(self.free_name(name)) };
        let folder = self.folder.join("images").join(role.to_string());
        std::fs::create_dir_all(&folder).map_err(|error| {
            Error::output(&folder, format!("the folder cannot be made: {error}")).caused_by(error)
        })?;
        Ok(self.free_name(&format!("{role}/{name}")))
    }

    fn copied(&self, from: &Path, role: Option<Role>) -> Result<PathBuf> {
        let name = from.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let to = self.free_name_of(role, &name)?;
        copy_all(from, &to).map_err(|error| {
            Error::output(&to, format!("{} cannot be copied: {error}", from.display())).caused_by(error)
        })?;
        Ok(to)
    }

    /// Begins a file that a page sends, called `name`.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for what is no name of an image; [`Error::Output`].
    pub(in crate::portal) fn begin_upload(
        &self,
        name: &str,
        role: Option<Role>,
    ) -> Result<(UnfinishedFile, PathBuf)> {
        check_upload_name(name)?;
        role.map_or(Ok(()), |_| self.check_has_roles())?;
        let path = self.free_name_of(role, name)?;
        Ok((UnfinishedFile::create(&path)?, path))
    }

    /// All of the file has come: adds the images that are in it. A file that is no image does not stay.
    ///
    /// # Errors
    /// As [`Project::add`].
    pub(in crate::portal) fn end_upload(
        &self,
        file: UnfinishedFile,
        path: &Path,
        role: Option<Role>,
    ) -> Result<Vec<String>> {
        file.done()?;
        let added = pages_of(&path.display().to_string(), false)
            .and_then(|pages| self.add_image(Place::of(&pages), pages, Came::Uploaded, role));
        if added.is_err() {
            std::fs::remove_file(path).ok();
        }
        added.map(|id| vec![id])
    }

    /// Takes an image out of the project. Its file and its strokes stay. Gives whether there was such an image.
    ///
    /// # Errors
    /// [`Error::Output`] where that cannot be written.
    pub fn remove(&self, id: &str) -> Result<bool> {
        Ok(self.set_removed(SERVER, id, true)?.is_some())
    }

    /// Puts an image back that was taken out, with its strokes. Gives whether there is such an image.
    ///
    /// # Errors
    /// [`Error::Output`] where that cannot be written.
    pub fn put_back(&self, id: &str) -> Result<bool> {
        Ok(self.set_removed(SERVER, id, false)?.is_some())
    }

    /// The image that was taken out and is in this file, as large as it was, where there is one.
    fn taken_out_of(&self, real: &Path, inside: &str, found: &Found) -> Option<String> {
        let state = self.state();
        let same = |image: &&Image| {
            image.removed
                && self.folder.join(&image.path) == real
                && image.inside == inside
                && (image.shape(), image.channels) == (found.shape, found.channels)
        };
        state.about.images.iter().rev().find(same).map(|image| image.id.clone())
    }
}

/// How an image comes that is named by its path.
pub(super) fn came(copy: bool) -> Came {
    if copy { Came::Copied } else { Came::Linked }
}

impl Place {
    /// That of the stack that these are the slices of, in one file.
    pub(super) fn of(pages: &[ImageSource]) -> Self {
        let Some(first) = pages.first() else { return Self::default() };
        let inside =
            first.place().1.strip_prefix(&*first.path.to_string_lossy()).unwrap_or_default().to_owned();
        Self { real: first.real_path(), inside, is_of_files: false }
    }
}

impl Found {
    /// # Errors
    /// [`Error::Mismatch`] for slices of several sizes.
    fn of(pages: Vec<ImageSource>) -> Result<Self> {
        let Some(first) = pages.first() else {
            return Err(Error::Mismatch("there is no image in it".into()));
        };
        let size = page_size(first)?;
        for page in &pages {
            let other = page_size(page)?;
            if other != size {
                return Err(Error::Mismatch(format!(
                    "{} has {} x {} pixels of {} channels, but {} has {} x {} of {}; wanted the same in all slices of a stack",
                    page.name(),
                    other.2,
                    other.1,
                    other.0,
                    first.name(),
                    size.2,
                    size.1,
                    size.0
                )));
            }
        }
        let (channels, height, width) = size;
        let shape = Shape { slices: pages.len(), height, width };
        Ok(Self { pages, shape, channels })
    }
}

/// Copies a file, or a folder with all that is in it; what is half done is removed.
fn copy_all(from: &Path, to: &Path) -> std::io::Result<()> {
    fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
        if !from.is_dir() {
            return std::fs::copy(from, to).map(drop);
        }
        std::fs::create_dir(to)?;
        for entry in std::fs::read_dir(from)? {
            let entry = entry?;
            // Links could lead anywhere.
            if !entry.file_type()?.is_symlink() {
                copy(&entry.path(), &to.join(entry.file_name()))?;
            }
        }
        Ok(())
    }
    let copied = copy(from, to);
    if copied.is_err() {
        let removed = if to.is_dir() { std::fs::remove_dir_all(to) } else { std::fs::remove_file(to) };
        if let Err(error) = removed {
            log::debug!("{} cannot be removed: {error}", to.display());
        }
    }
    copied
}
