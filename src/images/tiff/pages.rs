//! Which images a TIFF file holds: its pages, without thumbnails, gathered where pages are channels of one image.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use super::directory::{ByteLayout, MAX_PAGES, damaged, directories, layout};
use super::levels::{behind, below, check_level, end, frame, say_levels};
use super::metadata::{self, Frame, MAX_PLANES, Series, has_channel_pages};
use super::tags::{Tags, names};
use crate::error::{Error, Result};
use crate::images::axes::is_channel;
use crate::images::axes::{Axes, images_along};
use crate::images::notices::warn_once;
use crate::images::orientation::warn_of_orientation;
use crate::images::slab::Run;
use crate::images::source::Plane;

/// The images of a file.
pub(in crate::images) struct Found {
    /// Of what each is made; a page as a whole is a single plane.
    pub(in crate::images) images: Vec<Vec<Plane>>,
    /// Whether the images are something else than the pages of the file's directories as they are.
    pub(in crate::images) gathered: bool,
    /// How many images the file has, those that are missing too as far as they are known.
    pub(in crate::images) count: usize,
    /// Which of them follow each other in space.
    pub(in crate::images) run: Run,
    /// Of a smaller level, how many rows and columns each page has at the finest one.
    pub(in crate::images) finest: BTreeMap<usize, (usize, usize)>,
}

/// A page with what its tags say.
struct Page {
    plane: Plane,
    frame: Frame,
    /// Whether it shows another page smaller, or is a mask of one.
    is_secondary: bool,
    is_mask: bool,
    /// Whether all of its numbers are in the file.
    is_whole: bool,
}

/// The pages of a file.
struct Pages<'a> {
    path: &'a Path,
    description: String,
    /// In order.
    pages: Vec<Page>,
    /// Why pages are missing, where they are.
    broken: Option<String>,
    /// Whether nobody knows how many are missing.
    is_open_ended: bool,
    /// Whether they lie one behind the other without directories of their own.
    is_raw: bool,
    /// How many smaller versions the first page has.
    levels: usize,
    /// Pages that are left out as they have none, where a smaller version of the first page is taken.
    without_levels: BTreeSet<usize>,
    finest: BTreeMap<usize, (usize, usize)>,
}

/// The images in the TIFF file at `path`, which is `file`; `axes` say what its planes are, whatever the file says of itself.
///
/// Of a stack that is cut off, the whole pages are taken where `keep_going` says so. Of a pyramid the pages of a `level` are taken, 0 being
/// the finest; of a file without smaller versions of its pages, these.
///
/// # Errors
/// [`Error::Input`] for a damaged list of pages and a stack that is cut off, [`Error::Setting`] for axes that do not fit, and for a level
/// that there is not beside others.
pub(in crate::images) fn images(
    path: &Path,
    file: &File,
    axes: Option<&Axes>,
    keep_going: bool,
    level: usize,
) -> Result<Found> {
    let pages = Pages::read(path, file, level)?;
    let broken = pages.broken.clone();
    let (open_ended, present) = (pages.is_open_ended, pages.pages.len());
    let whole = pages.pages.iter().filter(|page| page.is_whole).count();
    let (mut found, expected) = pages.gather(axes)?;
    let Some(what) = broken else { return Ok(found) };
    // It was a stack, also where a single page is left.
    found.count = found.count.max(2);
    let usable = found.images.len();
    let plural = if usable == 1 { "image" } else { "images" };
    if usable == 0 {
        return Err(damaged(path, what));
    }
    if !keep_going {
        return Err(Error::input(
            path,
            format!(
                "is a damaged or truncated TIFF file ({what}); copy or export it again, or use its {usable} whole {plural} with `keep_going`"
            ),
        ));
    }
    let missing = expected.unwrap_or(present + usize::from(open_ended)) - whole;
    let least = if open_ended && expected.is_none() { "at least " } else { "" };
    warn_once(format!(
        "{} is cut off ({what}): its {usable} whole {plural} are used, and {least}{missing} pages are missing",
        path.display()
    ));
    Ok(found)
}

/// Whether the samples of pages with tags like `tags` are planes of an array, which tifffile has written as colours with alpha, as
/// the description of the file's first page says.
pub(super) fn are_planes_of_an_array(
    file: &mut (impl Read + Seek),
    layout: ByteLayout,
    tags: &Tags,
) -> std::io::Result<bool> {
    let frame = frame(tags, file);
    if frame.samples < 2 || !frame.planar {
        return Ok(false);
    }
    file.seek(std::io::SeekFrom::Start(layout.first_offset_place()))?;
    let first = layout.offset(file)?;
    let description =
        Tags::read(file, layout, first)?.text(file, names::IMAGE_DESCRIPTION).unwrap_or_default();
    Ok(metadata::are_planes_of_an_array(&description, frame))
}

impl<'a> Pages<'a> {
    fn read(path: &'a Path, file: &File, level: usize) -> Result<Self> {
        let length = file.metadata().map_err(|error| Error::input(path, error))?.len();
        let chain = directories(path, file)?;
        let mut reader = BufReader::with_capacity(4096, file);
        let layout = layout(path, &mut reader)?;
        let mut all = Pages {
            path,
            description: String::new(),
            pages: Vec::new(),
            is_open_ended: chain.broken.is_some(),
            broken: chain.broken,
            is_raw: false,
            levels: 0,
            without_levels: BTreeSet::new(),
            finest: BTreeMap::new(),
        };
        let mut smaller = 0;
        for (number, place) in chain.places.iter().enumerate() {
            let tags = Tags::read(&mut reader, layout, *place)
                .map_err(|error| damaged(path, format!("the tags of page {number}: {error}")))?;
            if number == 0 {
                all.description = tags.text(&mut reader, names::IMAGE_DESCRIPTION).unwrap_or_default();
                let orientation = tags.number_if_whole(&mut reader, names::ORIENTATION);
                warn_of_orientation(path, orientation.and_then(|number| u8::try_from(number).ok()));
            }
            let mut plane = Plane { page: number, directory: *place, behind: 0, channel: None };
            let frame = frame(&tags, &mut reader);
            if chain.places.len() == 1 && all.add_raw(&tags, &mut reader, plane, frame, length) {
                return Ok(all);
            }
            // Bit 0 is for smaller versions, bit 2 for masks of what is transparent.
            let kind = tags.number_if_whole(&mut reader, names::SUBFILE_TYPE).unwrap_or(0);
            let (is_secondary, is_mask) = (kind & 0b101 != 0, kind & 0b100 != 0);
            smaller += tags.count(names::SUB_DIRECTORIES);
            let wants_level = level > 0 && !is_secondary && (number == 0 || all.levels > 0);
            // Of the first page all are counted, of others no more are needed than the one that is taken.
            let most = if number == 0 { usize::MAX } else { level };
            let mut below =
                if number == 0 || wants_level { below(&tags, &mut reader, layout, most) } else { Vec::new() };
            if number == 0 {
                all.levels = below.len();
            }
            let mut end_of_page = end(&tags, &mut reader);
            // Pages beside a pyramid, such as pictures of the label of a slide; of a stack of pyramids one would be missing.
            let is_beside = all
                .pages
                .first()
                .is_some_and(|first| (first.frame.height, first.frame.width) != (frame.height, frame.width));
            if wants_level && below.is_empty() && is_beside {
                all.without_levels.insert(number);
                continue;
            }
            if wants_level && all.levels > 0 {
                check_level(path, all.levels, level, (number, below.len()))?;
                let smaller = below.swap_remove(level - 1);
                plane.directory = smaller.directory;
                end_of_page = end(&smaller.tags, &mut reader);
                all.finest.insert(number, (frame.height, frame.width));
            }
            let is_whole = end_of_page.is_none_or(|end| end <= length);
            all.pages.push(Page { plane, frame, is_secondary, is_mask, is_whole });
        }
        say_levels(path, all.levels, level, smaller);
        all.say_left_out(all.without_levels.len(), "only other pages have smaller versions");
        if level > 0 && all.levels == 0 {
            all.take_level_behind(level)?;
        }
        let cut = all.pages.iter().filter(|page| !page.is_whole).count();
        // Of a file with one page only, reading tells what is wrong.
        if cut > 0 && all.broken.is_none() && all.pages.len() > 1 {
            all.broken =
                Some(format!("the pixels of {cut} of its {} pages end outside of it", all.pages.len()));
        }
        all.leave_out_secondary();
        Ok(all)
    }

    /// Adds the pages that lie one behind the other after a single directory, as programs write stacks that are too long for
    /// the offsets of TIFF. Whether there are such pages.
    fn add_raw(
        &mut self,
        tags: &Tags,
        file: &mut (impl Read + Seek),
        plane: Plane,
        frame: Frame,
        length: u64,
    ) -> bool {
        let Some(series) =
            metadata::series(&self.description, frame).pop().filter(|series| series.may_be_raw)
        else {
            return false;
        };
        let Some(count) = series.page_count().filter(|count| (2..=MAX_PAGES).contains(count)) else {
            return false;
        };
        let bits = tags.numbers_if_whole(file, names::BITS_PER_SAMPLE).unwrap_or_default();
        let bits: u64 = bits.first().copied().unwrap_or(1);
        let offsets = tags.numbers_if_whole(file, names::STRIP_OFFSETS).unwrap_or_default();
        let strips = tags.numbers_if_whole(file, names::STRIP_BYTE_COUNTS).unwrap_or_default();
        let bytes = [frame.height as u64, frame.width as u64, frame.samples as u64]
            .iter()
            .try_fold(bits / 8, |all, n| all.checked_mul(*n))
            .filter(|bytes| *bytes > 0 && bits.is_multiple_of(8));
        let (Some(bytes), Some(&start)) = (bytes, offsets.first()) else { return false };
        let contiguous =
            offsets.windows(2).zip(&strips).all(|(pair, bytes)| pair[0].checked_add(*bytes) == Some(pair[1]));
        let compressed = tags.number_if_whole(file, names::COMPRESSION).is_some_and(|kind| kind != 1);
        // A directory behind the numbers of its page: nothing was written on without directories.
        if compressed || !contiguous || plane.directory > start || start >= length {
            return false;
        }
        let whole = usize::try_from((length - start) / bytes).unwrap_or(usize::MAX).min(count);
        if whole <= 1 {
            // Programs that take a page out of a stack keep its description.
            warn_once(format!(
                "{} says that it has {count} images, but holds the numbers of one only; if it should be a stack, copy or export it again",
                self.path.display()
            ));
            return false;
        }
        if whole < count {
            let what = format!("it ends after {whole} of {count} images");
            self.broken = Some(what);
        }
        self.is_raw = true;
        self.pages.extend((0..whole).map(|page| Page {
            plane: Plane { page, behind: bytes * page as u64, ..plane },
            frame,
            is_secondary: false,
            is_mask: false,
            is_whole: true,
        }));
        true
    }

    /// Takes a smaller version of the only image from among the pages behind it, where there are such.
    ///
    /// # Errors
    /// [`Error::Setting`] for one that there is not beside others.
    fn take_level_behind(&mut self, level: usize) -> Result<()> {
        let Some(first) = self.pages.first() else { return Ok(()) };
        let is_one = self.pages[1..].iter().all(|page| page.is_secondary)
            || self.description.starts_with("Aperio")
            || metadata::series(&self.description, first.frame).is_empty() && self.is_pyramid();
        if self.broken.is_some() || first.is_secondary || !is_one {
            return Ok(());
        }
        let shown: Vec<&Page> = self.pages.iter().filter(|page| !page.is_mask).collect();
        let behind = behind(&shown.iter().map(|page| page.frame).collect::<Vec<_>>());
        if behind.is_empty() {
            return Ok(());
        }
        let Some(place) = behind.get(level - 1) else {
            return check_level(self.path, behind.len(), level, (0, behind.len()));
        };
        let (directory, is_whole, frame) =
            (shown[*place].plane.directory, shown[*place].is_whole, first.frame);
        self.finest.insert(0, (frame.height, frame.width));
        self.pages.truncate(1);
        self.pages[0].plane.directory = directory;
        self.pages[0].is_whole = is_whole;
        Ok(())
    }

    /// Takes away thumbnails, smaller versions and masks.
    fn leave_out_secondary(&mut self) {
        let before = self.pages.len();
        if self.pages.iter().any(|page| !page.is_secondary) {
            self.pages.retain(|page| !page.is_secondary);
        }
        // Slide scanners write smaller versions and pictures of the label as plain pages behind the slide.
        if self.description.starts_with("Aperio")
            && let Some(first) = self.pages.first().map(|page| page.frame)
        {
            self.pages.retain(|page| (page.frame.height, page.frame.width) == (first.height, first.width));
        }
        self.say_left_out(before - self.pages.len(), "thumbnails, smaller versions or masks of others");
    }

    fn say_left_out(&self, count: usize, why: &str) {
        if count > 0 {
            let path = self.path.display();
            let pages = if count == 1 { "1 page is" } else { &format!("{count} pages are") };
            warn_once(format!("{path}: {pages} left out: {why}"));
        }
    }

    /// The images that whole pages make, and how many pages there should be, where the file says so.
    fn gather(self, axes: Option<&Axes>) -> Result<(Found, Option<usize>)> {
        let Some(frame) = self.pages.first().map(|page| page.frame) else {
            return Ok((
                Found {
                    images: Vec::new(),
                    gathered: false,
                    count: 0,
                    run: Run::along(&[]),
                    finest: BTreeMap::new(),
                },
                None,
            ));
        };
        let series = metadata::series(&self.description, frame);
        if axes.is_none() && series.is_empty() && metadata::is_part_of_a_set(&self.description) {
            warn_once(format!(
                "{} is one of several files that OME-XML calls parts of one data set: its pages are taken as images of their own; save the set as one file where channels belong together",
                self.path.display()
            ));
        }
        if let Some(axes) = axes {
            let spread = if frame.planar { frame.samples } else { 1 };
            let single = match series.as_slice() {
                [only] if only.order.is_none() => Some(only),
                _ => None,
            };
            let expected =
                single.and_then(Series::page_count).filter(|n| self.may_have(*n)).unwrap_or(self.pages.len());
            let mut known: Vec<usize> =
                single.map_or(Vec::new(), |series| series.page_axes().iter().map(|(_, n)| *n).collect());
            if known.iter().product::<usize>() != expected {
                known = vec![expected];
            }
            known.extend((spread > 1).then_some(spread));
            let axes = axes.lengths(self.path, expected * spread, &known)?;
            return Ok((self.along(&axes, spread, None), Some(expected)));
        }
        if series.iter().any(|series| series.order.is_some()) {
            return Ok((self.ordered(&series), None));
        }
        match series.first() {
            Some(only) if only.page_count().is_some_and(|count| self.may_have(count)) => {
                let expected = only.page_count();
                Ok((self.along(&only.axes, only.spread, None), expected))
            }
            other => {
                let only_first = self.broken.is_none() && self.is_pyramid();
                if let Some(other) = other.filter(|other| !only_first && has_channel_pages(other)) {
                    self.warn_of_contradiction(other);
                }
                if only_first {
                    self.say_left_out(
                        self.pages.len() - 1,
                        "by their sizes, smaller versions of the first page; for images of their own, give `axes ZYX`",
                    );
                }
                let axes = [('Z', if only_first { 1 } else { self.pages.len() })];
                Ok((self.along(&axes, 1, None), None))
            }
        }
    }

    /// Whether each page is as large as the one before divided by the same number, as programs write smaller versions of an image that
    /// do not say so in their tags.
    fn is_pyramid(&self) -> bool {
        let is_smaller = |by: usize, pair: &[Page]| {
            let (large, small) = (pair[0].frame, pair[1].frame);
            // Some programs round down, others up.
            let fits = |large: usize, small: usize| (large / by..=large.div_ceil(by)).contains(&small);
            large.height > small.height
                && large.width > small.width
                && fits(large.height, small.height)
                && fits(large.width, small.width)
                && (large.samples, large.planar) == (small.samples, small.planar)
        };
        self.pages.len() > 1 && (2..=4).any(|by| self.pages.windows(2).all(|pair| is_smaller(by, pair)))
    }

    /// Whether the file may have had this many pages.
    fn may_have(&self, count: usize) -> bool {
        count == self.pages.len() || self.broken.is_some() && count > self.pages.len() && count <= MAX_PLANES
    }

    fn warn_of_contradiction(&self, series: &Series) {
        warn_once(format!(
            "{} has {} pages, but {} speaks of other ones, so each page is taken as an image; say with `axes` what they are, such as `axes CYX` for channels",
            self.path.display(),
            self.pages.len(),
            series.source
        ));
    }

    /// The images of planes that lie along `axes`, `spread` of them in each page. `order` says the number of the page of each,
    /// instead of one page after the other.
    fn along(&self, axes: &[(char, usize)], spread: usize, order: Option<&[usize]>) -> Found {
        let by_number: BTreeMap<usize, &Page> =
            self.pages.iter().map(|page| (page.plane.page, page)).collect();
        let plane = |plane: usize| {
            let (index, channel) = (plane / spread, plane % spread);
            let page = match order {
                Some(order) => by_number.get(order.get(index)?).copied(),
                None => self.pages.get(index),
            }?;
            page.is_whole.then_some(Plane { channel: (spread > 1).then_some(channel), ..page.plane })
        };
        let groups = images_along(axes);
        let count = groups.len();
        // A file with a single page is reported by whoever reads it.
        let images: Vec<Vec<Plane>> = match (self.pages.as_slice(), self.broken.is_some()) {
            ([only], false) if spread == 1 => vec![vec![only.plane]],
            _ => groups
                .iter()
                .filter_map(|group| group.iter().map(|number| plane(*number)).collect())
                .collect(),
        };
        let images: Vec<Vec<Plane>> = images.into_iter().map(|planes| whole_pages(planes, spread)).collect();
        let plain = |(index, planes): (usize, &Vec<Plane>)| matches!(planes.as_slice(), [Plane { page, channel: None, .. }] if *page == index);
        let gathered = self.is_raw || !images.iter().enumerate().all(plain);
        let outer: Vec<_> =
            axes.iter().copied().filter(|(axis, length)| !is_channel(*axis) && *length > 1).collect();
        Found { images, gathered, count, run: Run::along(&outer), finest: self.finest.clone() }
    }

    /// The images of series that say the page of each plane.
    fn ordered(self, series: &[Series]) -> Found {
        let is_left_out = |series: &&Series| {
            series
                .order
                .as_ref()
                .is_some_and(|order| order.iter().all(|page| self.without_levels.contains(page)))
        };
        let series: Vec<&Series> = series.iter().filter(|series| !is_left_out(series)).collect();
        let has = |number: &usize| self.pages.iter().any(|page| page.plane.page == *number);
        let pages: Vec<usize> =
            series.iter().flat_map(|series| series.order.iter().flatten()).copied().collect();
        let numbers: BTreeSet<usize> = pages.iter().copied().collect();
        if numbers.len() != pages.len() || self.broken.is_none() && !pages.iter().all(has) {
            if let Some(first) = series.first() {
                self.warn_of_contradiction(first);
            }
            return self.along(&[('Z', self.pages.len())], 1, None);
        }
        let mut all = Found {
            images: Vec::new(),
            gathered: false,
            count: 0,
            run: Run::along(&[]),
            finest: BTreeMap::new(),
        };
        for series in series {
            let found = self.along(&series.axes, 1, series.order.as_deref());
            all.images.extend(found.images);
            all.finest = found.finest;
            all.count += found.count;
            all.run = found.run;
        }
        let others = self.pages.iter().filter(|page| !numbers.contains(&page.plane.page)).count();
        self.say_left_out(others, "its OME-XML lists them for no image");
        let plain = |(index, planes): (usize, &Vec<Plane>)| matches!(planes.as_slice(), [Plane { page, .. }] if *page == index);
        all.gathered = !all.images.iter().enumerate().all(plain);
        all
    }
}

/// Planes that are all the channels of their pages, in order, as the pages themselves.
fn whole_pages(planes: Vec<Plane>, spread: usize) -> Vec<Plane> {
    let whole = planes.chunks(spread).all(|page| {
        page.len() == spread
            && page
                .iter()
                .enumerate()
                .all(|(n, plane)| plane.page == page[0].page && plane.channel == Some(n))
    });
    if spread < 2 || !whole {
        return planes;
    }
    planes.into_iter().step_by(spread).map(|plane| Plane { channel: None, ..plane }).collect()
}
