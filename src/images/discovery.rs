//! Which images a path, a pattern or a stack names.

use std::cmp::Ordering;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use super::arrays::{ArrayImage, OpenArray, RawFormat, Wanted, open as open_array, open_raw};
use super::axes::Axes;
use super::decode::of_planes;
use super::file::{Format, open};
use super::notices::warn_once;
use super::places::{Listing, Place};
use super::selection::SliceSelection;
use super::slab::{self, Run};
use super::source::{Header, ImageSource, Plane, page_digits, stem_of};
use super::{jpeg, png, tiff};
use crate::error::{Error, Result};

/// How images are looked for: what their files do not tell rightly, or what is to be passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Discovery {
    /// What the planes of a file are, outermost axis first, such as `ZCYX`; `None` for what each file says of itself.
    pub axes: Option<String>,
    /// What stands at the end of a target's stem but not of its image's, such as `_mask`.
    pub target_suffix: Option<String>,
    /// Whether the whole pages of stacks that are cut off are taken.
    pub keep_going: bool,
    /// The only channel that is wanted, counted from 0; `None` for all.
    pub channel: Option<usize>,
    /// Which slices of each stack or run of single images are wanted, see [`SliceSelection`]; `None` for all.
    pub slices: Option<String>,
    /// The slices of the images to which the slices of the targets belong, in order; `None` where each image has one.
    pub slices_of_targets: Option<String>,
    /// Which level of a pyramid of arrays is wanted, 0 being the finest.
    pub level: usize,
    /// How numbers lie in files without a header, such as `2048x2048x1000:u16le`.
    pub raw: Option<String>,
    /// How many slices are the channels of an image, that in the middle and its neighbours; 0 or 1 for slices as they are.
    pub slab: usize,
    /// Whether the files of a folder or pattern, of one image each, are the slices of one stack, as if they were pages of one file.
    pub one_stack: bool,
}

/// All images that `p` names, as their files say; see [`Discovery::discover`].
///
/// # Errors
/// As [`Discovery::discover`].
pub fn discover(p: &str) -> Result<Vec<ImageSource>> {
    Discovery::default().discover(p)
}

impl Discovery {
    /// With these values.
    pub fn new(axes: Option<String>, target_suffix: Option<String>, keep_going: bool) -> Self {
        Self { axes, target_suffix, keep_going, ..Self::default() }
    }

    /// The same, with slabs of `slab` slices as images; 1 for slices as they are.
    pub fn of_slabs(self, slab: usize) -> Self {
        Self { slab, ..self }
    }

    /// All images that `p` names, in natural order of their stems (`z2` before `z10`).
    ///
    /// `p` is a folder (all its PNG, TIFF and JPEG files, or where there are none its HDF5, Zarr, NPY, MRC and NIfTI files; not
    /// those of folders inside, not hidden ones), a file, or a glob pattern. A TIFF file of several pages gives one
    /// [`ImageSource`] for each, unless the file or `axes` say that pages are channels of one image; an array gives one for each
    /// slice. Behind a file of several arrays stands which one is meant, as in `scan.h5:/entry/data`.
    ///
    /// # Errors
    /// [`Error::Input`] when nothing is there, no image is among it, a TIFF file's list of pages is damaged or a stack is cut
    /// off; [`Error::Setting`] for axes that do not fit a file.
    pub fn discover(&self, p: &str) -> Result<Vec<ImageSource>> {
        let raw = self.raw.as_deref().map(str::parse::<RawFormat>).transpose()?;
        let mut images = Vec::new();
        let listing = Listing { keep_going: self.keep_going, raw: self.raw.is_some() };
        for Place { path, inside } in listing.places(p)? {
            let found = match &raw {
                Some(format) => open_raw(&path, format, self.wanted()).and_then(|array| self.of_array(array)),
                None if inside.is_some() || path.is_dir() => {
                    open_array(&path, inside.as_deref(), self.wanted()).and_then(|array| self.of_array(array))
                }
                None => self.images_of_file(&path),
            };
            let has_level = |images: &Vec<ImageSource>| images.iter().any(|image| image.finest.is_some());
            if self.level > 0 && !path.is_dir() && found.as_ref().is_ok_and(|images| !has_level(images)) {
                let (name, level) = (path.display(), self.level);
                warn_once(format!("{name} has no levels: it is taken as it is, not at level {level}"));
            }
            match found {
                // Whoever reads it is told again what is wrong with it, and can go on with the others.
                Err(Error::Input { .. }) if self.keep_going => images.push(unread(&path)),
                found => images.extend(found?),
            }
        }
        if self.one_stack {
            sort(&mut images);
            images = as_one_stack(p, images)?;
        }
        if self.slab > 1 {
            sort(&mut images);
            images = slab::of_folders(images, self.slab)?;
        }
        sort(&mut images);
        self.select_slices(p, &mut images)?;
        say_alpha(&images);
        Ok(images)
    }

    /// As [`Discovery::discover`], for models that take images of `channels` channels: for those of one, pages that are said to be
    /// channels are images of their own, unless `axes` say otherwise.
    ///
    /// # Errors
    /// As [`Discovery::discover`].
    pub fn discover_for(&self, p: &str, channels: usize) -> Result<Vec<ImageSource>> {
        let images = self.discover(p)?;
        Ok(if channels == 1 && self.axes.is_none() { pages_as_images(images) } else { images })
    }

    fn wanted(&self) -> Wanted<'_> {
        Wanted { axes: self.axes.as_deref(), level: self.level }
    }

    /// Keeps the slices that are wanted: of each stack by their numbers in it, of images in files of their own by their places.
    ///
    /// # Errors
    /// [`Error::Setting`] where none is left.
    fn select_slices(&self, p: &str, images: &mut Vec<ImageSource>) -> Result<()> {
        let Some(text) = &self.slices else { return Ok(()) };
        let wanted: SliceSelection = text.parse()?;
        let count = images.len();
        let mut single = 0;
        images.retain(|image| {
            let number = image.page.unwrap_or_else(|| {
                single += 1;
                single - 1
            });
            wanted.contains(number)
        });
        if images.is_empty() {
            let problem =
                format!("{p} has {count} slices, of which that names none; they are counted from 0");
            return Err(Error::setting("slices", wanted, problem));
        }
        Ok(())
    }

    /// The images of an array, one for each slice.
    ///
    /// # Errors
    /// [`Error::Setting`] for a channel that there is not.
    fn of_array(&self, array: OpenArray) -> Result<Vec<ImageSource>> {
        array.check_channel(self.channel)?;
        let array = Arc::new(array);
        let count = array.image_count();
        let name = stem_of(array.path());
        let source = |number: usize| {
            let stem = match count {
                1 => name.clone(),
                _ => format!("{name}_p{}", page_digits(number, count)),
            };
            ImageSource {
                path: array.path().to_path_buf(),
                page: (count > 1).then_some(number),
                stem,
                header: Some(array.header(self.channel)),
                planes: Vec::new(),
                array: Some(ArrayImage { array: array.clone(), number, channel: self.channel }),
                slab: None,
                averaged: None,
                finest: None,
                derived: None,
                stack: None,
            }
        };
        self.in_slabs((0..count).map(source).collect(), Run::along(&array.image_axes()))
    }

    /// The images of a stack as slabs, where these are wanted. A file with one image is a slice of its folder.
    fn in_slabs(&self, images: Vec<ImageSource>, run: Run) -> Result<Vec<ImageSource>> {
        match self.slab > 1 && images.iter().all(|image| image.page.is_some()) {
            true => slab::of_stack(images, run, self.slab),
            false => Ok(images),
        }
    }

    /// As [`Discovery::discover`], for images that have one channel, such as labels: each page is an image, and what the file or
    /// `axes` say of channels does not count.
    ///
    /// # Errors
    /// As [`Discovery::discover`].
    pub fn discover_single_channel(&self, p: &str) -> Result<Vec<ImageSource>> {
        Ok(apart(&Discovery { axes: None, channel: None, slab: 1, ..self.clone() }.discover(p)?))
    }

    /// As [`Discovery::discover`], for the targets of `images`, which may have several channels too: `axes` are about images, and
    /// count for targets where these then are as many.
    ///
    /// # Errors
    /// As [`Discovery::discover`].
    pub fn discover_targets(&self, p: &str, images: &[ImageSource]) -> Result<Vec<ImageSource>> {
        let as_files_say = Discovery { axes: None, channel: None, slab: 1, ..self.clone() }.discover(p)?;
        if self.axes.is_some() && as_files_say.len() != images.len() {
            match (Discovery { slab: 1, ..self.clone() }).discover(p) {
                Ok(by_axes) if by_axes.len() == images.len() => return Ok(by_axes),
                _ => {}
            }
        }
        Ok(as_files_say)
    }
}

/// `images` with each page as an image of its own where pages are channels, for models of one channel: many programs write
/// slices and call them channels.
pub(super) fn pages_as_images(images: Vec<ImageSource>) -> Vec<ImageSource> {
    let gathered: Vec<_> = images.iter().filter(|image| image.planes.len() > 1).collect();
    let Some(first) = gathered.first() else { return images };
    let others = match gathered.len() {
        1 => String::new(),
        count => format!(" (and {} more images)", count - 1),
    };
    warn_once(format!(
        "{}{others} is said to have {} channels, each in a page, but one channel is wanted: each page is taken as an image",
        first.name(),
        first.planes.len()
    ));
    apart(&images)
}

/// Each plane of `images` as an image of its own.
pub(super) fn apart(images: &[ImageSource]) -> Vec<ImageSource> {
    let mut all = Vec::new();
    for image in images {
        let parts = image.parts();
        if parts.len() < 2 {
            all.extend(parts);
            continue;
        }
        // The stem of the file, without the number of the image.
        let file_stem = image.file_stem();
        let count =
            images.iter().filter(|other| other.path == image.path).map(|other| other.planes.len()).sum();
        all.extend(parts.into_iter().map(|part| {
            let page = part.page.unwrap_or(0);
            ImageSource { stem: format!("{file_stem}_p{}", page_digits(page, count)), ..part }
        }));
    }
    sort(&mut all);
    all
}

/// Tells of channels that are left out because their files say that they are transparency.
fn say_alpha(images: &[ImageSource]) {
    let with: Vec<_> =
        images.iter().filter(|image| image.header.is_some_and(|header| header.alpha > 0)).collect();
    if let [first, others @ ..] = with.as_slice() {
        let others = match others.len() {
            0 => String::new(),
            count => format!(" and {count} more images"),
        };
        warn_once(format!(
            "the last channel of {}{others} is left out: the files say that it is transparency (alpha)",
            first.name()
        ));
    }
}

/// The file at `path` as an image of which nothing is known.
fn unread(path: &Path) -> ImageSource {
    let stem = stem_of(path);
    ImageSource {
        path: path.to_path_buf(),
        page: None,
        stem,
        header: None,
        planes: Vec::new(),
        array: None,
        slab: None,
        averaged: None,
        finest: None,
        derived: None,
        stack: None,
    }
}

/// Images in files of their own, in their order, as the slices of one stack, which `p` names.
///
/// # Errors
/// [`Error::Input`] for a file of several images.
fn as_one_stack(p: &str, images: Vec<ImageSource>) -> Result<Vec<ImageSource>> {
    if let Some(several) = images.iter().find(|image| image.page.is_some()) {
        let path = several.path.display();
        let problem =
            format!("holds several files, of which {path} is a stack itself; name the stacks one by one");
        return Err(Error::input(p, problem));
    }
    let folder: Arc<Path> = match images.first().and_then(|image| image.path.parent()) {
        Some(folder) => folder.into(),
        None => return Ok(images),
    };
    let (count, name) = (images.len(), stem_of(&folder));
    let slice = |(number, image): (usize, ImageSource)| ImageSource {
        page: Some(number),
        stem: format!("{name}_p{}", page_digits(number, count)),
        stack: Some(folder.clone()),
        ..image
    };
    Ok(images.into_iter().enumerate().map(slice).collect())
}

impl Discovery {
    /// The images in the file at `path`, each with what its header says; the file is opened once.
    ///
    /// A file that is no image, or whose header is damaged, is one all the same: reading it tells what is wrong.
    fn images_of_file(&self, path: &Path) -> Result<Vec<ImageSource>> {
        let name = stem_of(path);
        let source = |page, stem, planes| ImageSource { page, stem, planes, ..unread(path) };
        let (file, format) = open(path)?;
        if format.is_array() {
            return open_array(path, None, self.wanted()).and_then(|array| self.of_array(array));
        }
        let axes = self.axes.as_deref().map(str::parse::<Axes>).transpose()?;
        if format != Format::Tiff {
            let mut only = unread(path);
            only.header = match format {
                Format::Png => png::header(&only, &file).ok(),
                Format::Jpeg => jpeg::header(&only, &file).ok(),
                _ => None,
            };
            return Ok(vec![self.of_channel(only)?]);
        }
        let tiff::Found { images, gathered, count, run, finest } =
            tiff::images(path, &file, axes.as_ref(), self.keep_going, self.level)?;
        let several = count > 1;
        // Images that are pages have their numbers, so that a page is found again by its name.
        let page_of = |planes: &Vec<Plane>| match planes.as_slice() {
            [Plane { page, channel: None, .. }] => Some(*page),
            _ => None,
        };
        let pages: Option<Vec<usize>> = images.iter().map(page_of).collect();
        let pages = pages.filter(|pages| pages.is_sorted());
        let mut sources = Vec::new();
        for (number, planes) in images.into_iter().enumerate() {
            let number = pages.as_ref().map_or(number, |pages| pages[number]);
            let stem = if several {
                format!("{name}_p{}", page_digits(number, count.max(number + 1)))
            } else {
                name.clone()
            };
            let first = planes.first().map(|plane| plane.page);
            let mut image = source(several.then_some(number), stem, planes);
            image.finest = first.and_then(|page| finest.get(&page).copied());
            image.header = Self::header_of(&image, &file)?;
            // The page as a whole, at the place that its header tells.
            if !gathered && image.header.is_some() {
                image.planes = Vec::new();
            }
            sources.push(self.of_channel(image)?);
        }
        self.in_slabs(sources, run)
    }

    /// The image with the only channel that is wanted, where one is.
    ///
    /// # Errors
    /// [`Error::Setting`] for a channel that there is not.
    fn of_channel(&self, mut image: ImageSource) -> Result<ImageSource> {
        let (Some(wanted), Some(header)) = (self.channel, image.header) else { return Ok(image) };
        if (wanted, header.channels) == (0, 1) {
            return Ok(image);
        }
        if wanted >= header.channels {
            let problem =
                format!("{} has {}, counted from 0; name one of these", image.name(), header.channels);
            return Err(Error::setting("channel", wanted, problem));
        }
        let in_page = header.channels / image.planes.len().max(1);
        let (place, channel) = (wanted / in_page, wanted % in_page);
        let whole = Plane {
            page: image.page.unwrap_or(0),
            directory: header.directory.unwrap_or(0),
            behind: 0,
            channel: None,
        };
        let plane = image.planes.get(place).copied().unwrap_or(whole);
        let channel = plane.channel.or((in_page > 1).then_some(channel));
        image.header =
            Some(Header { channels: 1, directory: header.directory.map(|_| plane.directory), ..header });
        image.planes = vec![Plane { channel, ..plane }];
        Ok(image)
    }

    /// What the headers of an image's planes say together; `None` where one is damaged.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for planes of different kinds.
    fn header_of(image: &ImageSource, file: &File) -> Result<Option<Header>> {
        let mut first: Option<Header> = None;
        for plane in &image.planes {
            let Ok(header) = tiff::header(image, file, Some(plane.directory)) else { return Ok(None) };
            if first.is_some_and(|first| first.kind() != header.kind()) {
                let name = image.path.display();
                let problem = format!(
                    "{name} has pages that are channels of one image, as it says or `axes` say, but differ in size or type of number; take each page as an image with `axes ZYX`"
                );
                return Err(Error::Mismatch(problem));
            }
            first = first.or(Some(header));
        }
        first.map(|header| of_planes(header, image)).transpose()
    }
}

/// Brings images into the natural order of their stems.
fn sort(images: &mut [ImageSource]) {
    images.sort_by(|a, b| {
        natural_order(&a.stem, &b.stem).then(a.page.cmp(&b.page)).then_with(|| a.path.cmp(&b.path))
    });
}

/// Compares names as people count: runs of digits by their number, all else by character.
pub(crate) fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut rest_a, mut rest_b) = (a, b);
    loop {
        let (first_a, first_b) = match (rest_a.chars().next(), rest_b.chars().next()) {
            (Some(first_a), Some(first_b)) => (first_a, first_b),
            // Equal as numbers but not as text, as `z1` and `z01`: any fixed order will do.
            (None, None) => return a.cmp(b),
            (left, right) => return left.is_some().cmp(&right.is_some()),
        };
        if first_a.is_ascii_digit() && first_b.is_ascii_digit() {
            let (number_a, after_a) = leading_digits(rest_a);
            let (number_b, after_b) = leading_digits(rest_b);
            let order = number_a.len().cmp(&number_b.len()).then_with(|| number_a.cmp(number_b));
            if order != Ordering::Equal {
                return order;
            }
            (rest_a, rest_b) = (after_a, after_b);
        } else {
            if first_a != first_b {
                return first_a.cmp(&first_b);
            }
            (rest_a, rest_b) = (&rest_a[first_a.len_utf8()..], &rest_b[first_b.len_utf8()..]);
        }
    }
}

/// The digits `text` begins with, without leading zeros, and what follows them.
fn leading_digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (text[..end].trim_start_matches('0'), &text[end..])
}

#[cfg(test)]
#[path = "discovery_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "stacks_tests.rs"]
mod stacks_tests;
