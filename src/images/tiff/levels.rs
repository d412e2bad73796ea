//! Smaller versions of pages: in directories below those of the pages (SubIFDs), as pyramids of OME-TIFF have them, or in pages behind them.

use std::io::{Read, Seek};
use std::path::Path;

use super::directory::ByteLayout;
use super::metadata::Frame;
use super::tags::{Tags, names};
use crate::error::{Error, Result};
use crate::images::source::ImageSource;
use crate::images::volume::VoxelSize;

/// More smaller versions of a page are not looked at; each halves it, and no page has more pixels than numbers of 64 bits count.
const MOST_LEVELS: u64 = 64;

/// A smaller version of a page.
pub(super) struct Smaller {
    /// Where its directory begins.
    pub(super) directory: u64,
    pub(super) tags: Tags,
}

/// What the tags of a page say of the size and layout of its numbers.
pub(super) fn frame(tags: &Tags, file: &mut (impl Read + Seek)) -> Frame {
    let mut number = |tag| tags.number_if_whole(file, tag).map_or(0, |number| number as usize);
    Frame {
        height: number(names::IMAGE_LENGTH),
        width: number(names::IMAGE_WIDTH),
        samples: number(names::SAMPLES_PER_PIXEL).max(1),
        planar: number(names::PLANAR_CONFIGURATION) == 2,
    }
}

/// The smaller versions of the page with these `tags` in directories below its own, the largest first, and the first `most` of them; none
/// where they are something else, such as the raw numbers of a camera.
pub(super) fn below(
    tags: &Tags,
    file: &mut (impl Read + Seek),
    layout: ByteLayout,
    most: usize,
) -> Vec<Smaller> {
    let places = tags.numbers(file, names::SUB_DIRECTORIES, MOST_LEVELS).unwrap_or_default();
    let mut last = frame(tags, file);
    let mut all = Vec::new();
    for directory in places.into_iter().take(most) {
        let Ok(tags) = Tags::read(file, layout, directory) else { return all };
        let frame = frame(&tags, file);
        if !is_smaller(frame, last) {
            return all;
        }
        last = frame;
        all.push(Smaller { directory, tags });
    }
    all
}

/// Whether `small` can be `large` made smaller.
fn is_smaller(small: Frame, large: Frame) -> bool {
    let is_within = small.height <= large.height && small.width <= large.width;
    is_within
        && (small.height, small.width) != (large.height, large.width)
        && small.height.min(small.width) > 0
        && (small.samples, small.planar) == (large.samples, large.planar)
}

/// Which of the pages behind the first one of these are that one made smaller, by the same whole number along rows and columns, each more
/// than the one before.
pub(super) fn behind(frames: &[Frame]) -> Vec<usize> {
    let Some((first, others)) = frames.split_first() else { return Vec::new() };
    let mut last = *first;
    let mut all = Vec::new();
    for (number, frame) in others.iter().enumerate() {
        let by = times((first.height, first.width), (frame.height, frame.width));
        if is_smaller(*frame, last) && by.is_some() {
            last = *frame;
            all.push(number + 1);
        }
    }
    all
}

/// By which whole number both sides of `large` were divided for those of `small`, whatever way that was rounded.
fn times(large: (usize, usize), small: (usize, usize)) -> Option<usize> {
    // The longer side tells it best: a few pixels are what several numbers come to.
    let (long, short) = if large.0 >= large.1 { (large.0, small.0) } else { (large.1, small.1) };
    let nearest = long.checked_add(short / 2)?.checked_div(short)?.max(1);
    // Of deep levels several numbers fit even so, and most of them were made by halving again and again.
    let exact = Some(nearest).filter(|by| long % by == 0);
    let halved = 1_usize.checked_shl((nearest as f64).log2().round() as u32);
    // A side that is shorter than the number is still a pixel.
    let fits =
        |large: usize, small: usize, by: usize| ((large / by).max(1)..=large.div_ceil(by)).contains(&small);
    [exact, halved, Some(nearest)]
        .into_iter()
        .flatten()
        .find(|by| fits(large.0, small.0, *by) && fits(large.1, small.1, *by))
}

/// How many pixels along rows and columns of `large` lie along one of `small`, which is that made smaller.
fn coarseness(large: (usize, usize), small: (usize, usize)) -> (f64, f64) {
    let of_side = |large: usize, small: usize| match times((large, large), (small, small)) {
        Some(by) => by as f64,
        None => large as f64 / small.max(1) as f64,
    };
    match times(large, small) {
        Some(by) => (by as f64, by as f64),
        None => (of_side(large.0, small.0), of_side(large.1, small.1)),
    }
}

impl ImageSource {
    /// The size of a pixel where `size` is that of one of the finest level.
    pub(in crate::images) fn at_level(&self, size: VoxelSize) -> VoxelSize {
        // What is computed from an image has another size than that.
        let mut stored = self;
        while let Some(derived) = &stored.derived {
            stored = &derived.from;
        }
        let (Some((rows, columns)), Some(header)) = (stored.finest, stored.header) else { return size };
        let (y, x) = coarseness((rows, columns), (header.height, header.width));
        VoxelSize { y: size.y * y, x: size.x * x, ..size }
    }
}

/// Says that a file has smaller versions of its pages, where none of them was asked for: `smaller` in directories below theirs, of which the
/// first page has `levels`.
pub(super) fn say_levels(path: &Path, levels: usize, level: usize, smaller: u64) {
    let name = path.display();
    match (smaller, levels, level) {
        (0, ..) => {}
        (_, 0, _) => log::info!("{name}: {smaller} smaller versions of its pages are left out"),
        (_, levels, 0) => log::info!(
            "{name} has {} levels, of which the finest is taken; `level 1` takes the next one",
            levels + 1
        ),
        _ => {}
    }
}

/// Refuses a level that there is not among `levels` smaller versions, or not of a page, which has so many of them.
///
/// # Errors
/// [`Error::Setting`], [`Error::Input`].
pub(super) fn check_level(
    path: &Path,
    levels: usize,
    level: usize,
    (page, of_page): (usize, usize),
) -> Result<()> {
    let count = levels + 1;
    if level > levels {
        let problem = format!("{} has {count} levels, 0 to {levels}; name one of these", path.display());
        return Err(Error::setting("level", level, problem));
    }
    if level > of_page {
        let problem = format!(
            "has {count} levels of its first page and {} of page {page}; take level 0, or write the pyramid again",
            of_page + 1
        );
        return Err(Error::input(path, problem));
    }
    Ok(())
}

/// The last byte of a page's numbers, where its tags say it.
pub(super) fn end(tags: &Tags, file: &mut (impl Read + Seek)) -> Option<u64> {
    let (offsets, bytes) = match tags.numbers_if_whole(file, names::TILE_OFFSETS) {
        Some(offsets) => (offsets, tags.numbers_if_whole(file, names::TILE_BYTE_COUNTS)?),
        None => (
            tags.numbers_if_whole(file, names::STRIP_OFFSETS)?,
            tags.numbers_if_whole(file, names::STRIP_BYTE_COUNTS)?,
        ),
    };
    offsets.iter().zip(&bytes).map(|(offset, bytes)| offset.saturating_add(*bytes)).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(sizes: &[(usize, usize)]) -> Vec<Frame> {
        sizes
            .iter()
            .map(|(height, width)| Frame { height: *height, width: *width, samples: 1, planar: false })
            .collect()
    }

    #[test]
    fn pages_that_are_the_first_one_made_smaller_are_found() {
        // A thumbnail of another shape, and a picture of the label.
        assert_eq!(
            behind(&frames(&[(1001, 2003), (333, 1024), (500, 1002), (251, 501), (400, 400)])),
            [2, 3]
        );
        assert_eq!(behind(&frames(&[(15_100, 20_000), (7550, 10_000), (117, 156)])), [1, 2]);
        assert_eq!(behind(&frames(&[(64, 64), (64, 64), (128, 128)])), [0; 0]);
        assert_eq!(behind(&[]), [0; 0]);
    }

    #[test]
    fn rounding_does_not_change_how_much_smaller_a_version_is() {
        for (large, small, wanted) in [
            ((1001, 800), (500, 400), (2.0, 2.0)),
            ((1001, 801), (501, 400), (2.0, 2.0)),
            ((1001, 3), (251, 1), (4.0, 4.0)),
            ((9, 9), (9, 9), (1.0, 1.0)),
            ((100, 60), (30, 30), (100.0 / 30.0, 2.0)),
            // 15100 / 117 is nearer to 129, and two pixels of five to 3.
            ((15_100, 20_000), (117, 156), (128.0, 128.0)),
            ((15_100, 20_000), (118, 157), (128.0, 128.0)),
            ((27, 54), (3, 6), (9.0, 9.0)),
            ((1001, 700), (250, 350), (4.0, 2.0)),
            ((5, 2000), (1, 500), (4.0, 4.0)),
            ((2000, 5), (1000, 2), (2.0, 2.0)),
        ] {
            assert_eq!(coarseness(large, small), wanted, "{large:?} {small:?}");
        }
    }
}
