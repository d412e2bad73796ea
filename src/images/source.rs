//! Where one image is: a file, or a page of one.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::arrays::{ArrayImage, Growth};
use super::derived::Derived;
use super::mean::Averaged;
use super::slab::Slab;
use crate::error::{Error, Result};

/// What the header of one image says, kept so that no file is opened again to ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Channels of the image that reading gives: without alpha, and with a PNG palette resolved.
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) samples: SampleType,
    /// Whether all pixels of a channel come together in the file, instead of all channels of a pixel.
    pub(super) planar: bool,
    /// Whether the numbers of brightness are turned, as the file has white as zero; labels and weights are not.
    pub(super) is_turned: bool,
    /// Further channels of the file that are left out, as they say what is transparent.
    pub(super) alpha: usize,
    /// Where the page begins in its TIFF file, so that a long stack need not be walked for each page; `None` for PNG.
    pub(super) directory: Option<u64>,
}

impl Header {
    /// What images that are parts of one have in common: channels, height, width and type of number.
    pub(super) fn kind(&self) -> (usize, usize, usize, SampleType) {
        (self.channels, self.height, self.width, self.samples)
    }

    /// Checks that the slice called `name` is of the kind of this one, which is called `first`.
    ///
    /// # Errors
    /// [`Error::Mismatch`].
    pub(super) fn check_slice(&self, first: &str, name: &str, found: &Self) -> Result<()> {
        if found.kind() == self.kind() {
            return Ok(());
        }
        let described = |header: &Self| {
            let Self { channels, height, width, samples, .. } = header;
            format!("{width} x {height} pixels of {channels} {samples}")
        };
        Err(Error::Mismatch(format!(
            "{name} has {} but {first} has {}; wanted the same in all slices of a volume",
            described(found),
            described(self)
        )))
    }
}

/// How a file stores one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SampleType {
    pub(super) kind: SampleKind,
    pub(super) bits: u8,
}

/// What the bits of a number stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SampleKind {
    Unsigned,
    Signed,
    Float,
}

impl fmt::Display for SampleType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            SampleKind::Unsigned => "uint",
            SampleKind::Signed => "int",
            SampleKind::Float => "float",
        };
        write!(f, "{kind}{}", self.bits)
    }
}

/// One two-dimensional image inside a file.
///
/// [`discover`](super::discover) makes them, and remembers what each header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSource {
    /// The file.
    pub path: PathBuf,
    /// The page, counted from 0; `None` when the file holds one image only. Where images have several pages as their
    /// channels, the number of the image.
    pub page: Option<usize>,
    /// The file's name without its ending; for a page of a stack with the page, as `stack_p0003`.
    pub stem: String,
    /// What the header says, as discovery found it; `None` where nobody has looked, or where the header is damaged, which
    /// whoever reads the image will report.
    pub(super) header: Option<Header>,
    /// What the image's channels are made of, in order; empty where it is the page as a whole, which stands where the header
    /// says.
    pub(super) planes: Vec<Plane>,
    /// Where the image is a part of an array, which one of it; then the planes are none.
    pub(super) array: Option<ArrayImage>,
    /// Where its channels are those of several slices, which; all else is about the middle one.
    pub(super) slab: Option<Slab>,
    /// Where it is the mean of several images, which; all else is about the first one.
    pub(super) averaged: Option<Averaged>,
    /// Of a smaller level of a pyramid of pages, how many rows and columns the finest one has.
    pub(super) finest: Option<(usize, usize)>,
    /// Where it is computed from another image, from which; all else but the size is about that one.
    pub(super) derived: Option<Arc<Derived>>,
    /// Where files are the slices of one stack, the folder that they are in; the page is then the number of the slice.
    pub(super) stack: Option<Arc<Path>>,
}

/// A page of a TIFF file, or a part of one, that is a channel of an image or several of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plane {
    /// The page, counted from 0, for messages.
    pub(super) page: usize,
    /// Where the page's directory begins.
    pub(super) directory: u64,
    /// How many bytes behind the numbers that the directory tells of those of this page lie: stacks that are too long for a
    /// directory each have one for all.
    pub(super) behind: u64,
    /// The only one of the page's channels that belongs to the image; `None` for all of them.
    pub(super) channel: Option<usize>,
}

impl ImageSource {
    /// The path without links and dots where there is such a file, else as it is.
    pub fn real_path(&self) -> PathBuf {
        self.path.canonicalize().unwrap_or_else(|_| self.path.clone())
    }

    /// The name for messages: the path, and the page when there are several.
    pub fn name(&self) -> String {
        if let [first, others @ ..] = self.averaged() {
            let more = match others {
                [only] => only.name(),
                _ => format!("{} others", others.len()),
            };
            return format!("the mean of {} and {more}", first.name());
        }
        if self.stack.is_some() {
            return self.path.display().to_string();
        }
        if let Some(ArrayImage { array, .. }) = &self.array {
            return match self.page {
                Some(page) => format!("{} slice {page}", array.name()),
                None => array.name().to_owned(),
            };
        }
        match self.page {
            Some(image) if self.planes.len() > 1 => format!("{} image {image}", self.path.display()),
            Some(page) => format!("{} page {page}", self.path.display()),
            None => self.path.display().to_string(),
        }
    }

    /// The file's name without its ending.
    pub(crate) fn file_stem(&self) -> String {
        stem_of(self.stack.as_ref().map_or(self.path.as_path(), AsRef::as_ref))
    }

    /// The name for messages of the file that the image is in, with the place inside it where there is one.
    pub(crate) fn file_name(&self) -> String {
        match self.place() {
            (path, "") => path.display().to_string(),
            (_, inside) => inside.to_owned(),
        }
    }

    /// What tells the file that the image is in from others: its path, and the place inside it where there is one; of files that are the
    /// slices of a stack, their folder.
    pub(crate) fn place(&self) -> (&Path, &str) {
        if let Some(folder) = &self.stack {
            return (folder, "");
        }
        (&self.path, self.array.as_ref().map_or("", |image| image.array.name()))
    }

    /// The same as slice `number` of a stack, called so that the name is the same however many slices there will be.
    pub(crate) fn as_slice(&self, number: usize) -> Self {
        let stem = format!("{}_p{}", self.file_stem(), page_digits(number, 0));
        Self { page: Some(number), stem, ..self.clone() }
    }

    /// What is there of the image, where it is a part of an array that another program may still be writing; `None` for a page of
    /// a file that is not an array.
    pub(crate) fn growth(&self) -> Option<Growth> {
        self.array.as_ref().map(|image| image.array.growth(image.number))
    }

    /// Which blocks of which array the image lies in: where this is the same, so is [`Self::growth`].
    pub(crate) fn blocks_of_growth(&self) -> Option<(usize, Vec<usize>)> {
        self.array
            .as_ref()
            .map(|image| (Arc::as_ptr(&image.array) as usize, image.array.group_of(image.number)))
    }

    /// The images in files that it is made of: the slices of a slab, those that it is the mean of, or itself.
    pub(crate) fn stored_images(&self) -> Vec<&ImageSource> {
        if let Some(derived) = &self.derived {
            return derived.from.stored_images();
        }
        match (self.averaged(), &self.slab) {
            ([], None) => vec![self],
            ([], Some(slab)) => slab.slices().collect(),
            (images, _) => images.iter().flat_map(Self::stored_images).collect(),
        }
    }

    /// What tells the image from others in its file, and how its file says that it is stored.
    pub(crate) fn identity(&self) -> String {
        if let Some(derived) = &self.derived {
            return derived.identity();
        }
        if !self.averaged().is_empty() {
            let places = self.averaged().iter().map(|image| (image.path.clone(), image.identity()));
            return format!("mean of {:?}", places.collect::<Vec<_>>());
        }
        let array = self.array.as_ref().map(|image| {
            let name = image.array.name();
            let inside = name.strip_prefix(&*self.path.to_string_lossy()).unwrap_or(name);
            (inside.to_owned(), image.array.axes(), image.number, image.channel)
        });
        let slab = self.slab.as_ref().map(|slab| slab.slices().len());
        format!("{:?} {:?} {:?} {array:?} {slab:?}", self.page, self.header, self.planes)
    }

    /// As [`Self::identity`], with where its numbers lie in a file without a header, as whoever named it said.
    pub(crate) fn identity_as_read(&self) -> String {
        let place = self.array.as_ref().map(|image| image.array.place());
        format!("{} {}", self.identity(), place.unwrap_or_default())
    }

    /// The files that its numbers are in: of a slab, those of all its slices, of a mean, those of all images, and of
    /// what is computed from another image, those of that one.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        let mut stored = self;
        while let Some(derived) = &stored.derived {
            stored = &derived.from;
        }
        let images = match stored.averaged() {
            [] => std::slice::from_ref(stored),
            averaged => averaged,
        };
        images.iter().flat_map(|image| {
            let slices = image.slab.iter().flat_map(Slab::slices);
            std::iter::once(image).chain(slices).flat_map(Self::own_files)
        })
    }

    /// The file that was named, and those to which links have led from there.
    fn own_files(&self) -> impl Iterator<Item = &Path> {
        let linked = self.array.iter().flat_map(|image| image.array.linked_files());
        std::iter::once(self.path.as_path()).chain(linked.map(PathBuf::as_path))
    }

    /// Each of the planes by itself; the image as it is where it has only one.
    pub(super) fn parts(&self) -> Vec<ImageSource> {
        let count = self.planes.len();
        if count < 2 && self.planes.iter().all(|plane| plane.channel.is_none()) {
            return vec![self.clone()];
        }
        let part = |plane: &Plane| {
            let header = self.header.map(|header| Header {
                channels: header.channels / count,
                directory: Some(plane.directory),
                ..header
            });
            ImageSource { page: Some(plane.page), header, planes: vec![*plane], ..self.clone() }
        };
        self.planes.iter().map(part).collect()
    }
}

/// The name of the file at `path` without its ending, of which `.nii.gz` and `.ome.zarr` have two parts.
pub(super) fn stem_of(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let ends = |wanted: &str| path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case(wanted));
    match stem.rsplit_once('.') {
        Some((before, inner)) if !before.is_empty() && (ends("gz") || ends("zarr") && inner == "ome") => {
            before.to_owned()
        }
        _ => stem,
    }
}

/// A page's number for the end of a name, in as many digits as the last of `count` pages needs, so that names sort.
pub(super) fn page_digits(page: usize, count: usize) -> String {
    let digits = count.saturating_sub(1).to_string().len().max(4);
    format!("{page:0digits$}")
}
