//! `project.toml`: the name, the images and the settings of a project.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Class;
use super::purpose::{Aim, LearnsFrom, Role};
use crate::files::{read_text, write_bytes_atomic};
use crate::portal::journal::Shape;
use crate::portal::tiles::ImageFile;
use crate::{Error, Result};

/// The version of the file.
const VERSION: u32 = 1;
/// Most bytes of the file.
const MOST_BYTES: u64 = 64 << 20;
/// What stands at the top of the file.
const HEAD: &str =
    "# A project of msd-gpu. Classes are listed for reading: what counts is in journal.jsonl.\n\n";

/// What the file holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct About {
    version: u32,
    /// What tells the project from all others, also after it was moved or renamed; empty in older files.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) id: String,
    pub(super) name: String,
    /// What the project is for; those of earlier versions segment.
    #[serde(rename = "task", default, skip_serializing_if = "is_default")]
    pub(super) aim: Aim,
    /// What a denoising network learns from.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) learns_from: LearnsFrom,
    /// The number of the next image: those of images that were taken out are not used again.
    pub(super) next_image: u64,
    /// Whether the network is trained while the project is open.
    #[serde(default)]
    pub(super) trains: bool,
    /// How deep the network is that was asked for; empty where none was.
    #[serde(default)]
    pub(super) depth: String,
    /// Settings of training by name, as text.
    #[serde(default)]
    pub(super) training: BTreeMap<String, String>,
    #[serde(default, skip_deserializing)]
    pub(super) classes: Vec<Class>,
    #[serde(default)]
    pub(super) images: Vec<Image>,
}

/// How an image came into a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Came {
    /// It is read where it lies.
    Linked,
    /// It was copied into the project.
    Copied,
    /// It was sent by the page.
    Uploaded,
}

/// An image of a project, of one slice or of many.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Image {
    /// Its name in the journal and in addresses, such as `i1`.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// The file or folder; inside the project, from there on.
    pub path: PathBuf,
    /// Where it is an array in a file of several: a colon and the place inside it, else empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub inside: String,
    /// Whether its slices are the files of a folder, or of a pattern, which the path is then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_of_files: bool,
    /// How it came.
    pub came: Came,
    /// What it is among those that a denoising network learns from.
    #[serde(default, skip_serializing_if = "is_default")]
    pub role: Role,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Slices.
    pub slices: usize,
    /// Numbers of each pixel.
    pub channels: usize,
    /// The smallest number that is shown: but for a few that are far from all others, the smallest of all.
    pub lowest: f64,
    /// The largest number that is shown.
    pub highest: f64,
    /// The 1st percentile.
    pub low: f64,
    /// The 99th percentile.
    pub high: f64,
    /// Whether it was taken out of the project. Its strokes are still in the journal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) removed: bool,
}

impl Image {
    /// What names it for reading, in the project folder `folder`.
    pub fn place(&self, folder: &Path) -> String {
        format!("{}{}", folder.join(&self.path).display(), self.inside)
    }

    pub(super) fn shape(&self) -> Shape {
        Shape { slices: self.slices, height: self.height, width: self.width }
    }

    /// The image as far as reading it goes.
    pub(in crate::portal) fn file(&self, folder: &Path) -> ImageFile {
        ImageFile {
            id: self.id.clone(),
            place: self.place(folder),
            is_of_files: self.is_of_files,
            shape: self.shape(),
            channels: self.channels,
            lowest: self.lowest,
            highest: self.highest,
        }
    }

    /// What tells its tiles from others of that name: other projects have an `i1` too, and a file may be replaced.
    pub(in crate::portal) fn key(&self, folder: &Path) -> String {
        let path = folder.join(&self.path);
        let file = std::fs::metadata(&path);
        // Of a pattern, the folder that its files are in.
        let file = file.or_else(|_| std::fs::metadata(path.parent().unwrap_or(&path)));
        let stamp = file.ok().map(|file| (file.len(), file.modified().ok()));
        let text = format!(
            "{stamp:?} {} {} {:?}",
            folder.display(),
            self.id,
            (self.lowest, self.highest, self.place(folder))
        );
        format!("{:016x}", twox_hash::XxHash3_128::oneshot(text.as_bytes()) as u64)
    }
}

/// Whether a value is what stands for it where it is left out.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// 16 hexadecimal digits by chance; none where the system has no random numbers.
fn random_id() -> String {
    let mut bytes = [0; 8];
    match rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, &mut bytes) {
        Ok(()) => format!("{:016x}", u64::from_le_bytes(bytes)),
        Err(_) => String::new(),
    }
}

impl About {
    /// That of a new project.
    pub(super) fn new(name: String) -> Self {
        Self {
            version: VERSION,
            id: random_id(),
            name,
            aim: Aim::default(),
            learns_from: LearnsFrom::default(),
            next_image: 1,
            trains: false,
            depth: String::new(),
            training: BTreeMap::new(),
            classes: Vec::new(),
            images: Vec::new(),
        }
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`Error::Input`] for a file that cannot be read or is of a later version.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = read_text(path, MOST_BYTES)?;
        let text = text.ok_or_else(|| Error::input(path, "is too large for a project; put back a copy"))?;
        let about: Self = toml::from_str(&text).map_err(|error| {
            let problem = format!("is no project: {}; correct it, or put back a copy", error.message());
            Error::input(path, problem)
        })?;
        if about.version != VERSION {
            let problem =
                format!("is of version {}, but this program knows {VERSION}; use a later one", about.version);
            return Err(Error::input(path, problem));
        }
        if let Some(image) = about
            .images
            .iter()
            .find(|image| image.width == 0 || image.height == 0 || image.slices == 0 || image.channels == 0)
        {
            return Err(Error::input(path, format!("the image {} has no pixels; take it out", image.id)));
        }
        Ok(about)
    }

    /// Writes the file at `path`.
    ///
    /// # Errors
    /// [`Error::Output`] where that fails; then the file is as it was.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let text = toml::to_string_pretty(self).map_err(|error| Error::output(path, error))?;
        write_bytes_atomic(path, format!("{HEAD}{text}").as_bytes())
    }

    /// The images that are there.
    pub(super) fn images(&self) -> impl Iterator<Item = &Image> {
        self.images.iter().filter(|image| !image.removed)
    }

    /// The image `id`, where there is one.
    pub(super) fn image(&self, id: &str) -> Option<&Image> {
        self.images().find(|image| image.id == id)
    }
}
