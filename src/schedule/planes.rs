//! How images, feature maps and gradient maps lie in memory.
//!
//! A *plane* is one channel of one image. Feature maps carry a margin as wide as the largest dilation, in
//! which the step that writes a plane repeats its mirror images, so that no convolution needs a case for the edge.
//! Gradient maps need no margin above and below; beside each row they have zeros that are at least two
//! margins wide, shared between the end of a row and the start of the next. Where they take the places of feature maps, their
//! rows lie where those of the feature maps lay, and the step that starts a gradient map sets the numbers beside its rows to 0.
//!
//! Planes lie in *pages*: buffers of consecutive channels, `[image][channel][row][column]`, none larger than
//! a device can bind.

use std::ops::Range;

use crate::geometry::Extent;
use crate::{Error, Result};

/// How the rows of a plane lie in memory, counted in numbers (not bytes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PlaneLayout {
    /// Rows of margin above the first row, and as many below the last.
    pub above: usize,
    /// Numbers before column 0 of each row.
    pub left: usize,
    /// Distance between rows.
    pub pitch: usize,
    /// Rows, margins included.
    pub rows: usize,
    /// Numbers in one plane: its rows, and one alignment more where that makes an odd number of them. Planes a power of
    /// two apart would compete for the same few places of a cache.
    pub plane: usize,
    /// Numbers before the first plane of a page and after its last one, so that a read beside a row stays inside.
    pub guard: usize,
}

impl PlaneLayout {
    /// The layout of feature maps of `extent` pixels with a margin of `margin` pixels on every side, and rows aligned to `alignment`
    /// numbers of 4 bytes, at least 1.
    ///
    /// # Errors
    /// [`Error::Setting`] when `extent` has no pixels or several slices, or a plane would have more bytes than this machine can address.
    pub fn maps(extent: Extent, margin: usize, alignment: usize) -> Result<Self> {
        Self::new(extent, margin, margin, alignment)
    }

    /// The layout of outputs, of output gradients, and of gradient maps in pages of their own: as [`PlaneLayout::maps`], but without
    /// margins above and below.
    ///
    /// # Errors
    /// As [`PlaneLayout::maps`].
    pub fn gradients(extent: Extent, margin: usize, alignment: usize) -> Result<Self> {
        Self::new(extent, 0, margin, alignment)
    }

    /// The layout of all planes of networks of volumes: slices one below the other as if they were one image of `extent.z * extent.y`
    /// rows, without margins, because what lies beyond an edge along z would take too much memory.
    ///
    /// # Errors
    /// As [`PlaneLayout::maps`], which takes no more than one slice.
    pub fn volumes(extent: Extent, alignment: usize) -> Result<Self> {
        /// Numbers that lie in one set of a cache: 64 sets of lines of 64 bytes are usual.
        const SETS: usize = 64 * 16;
        /// How far the planes of a group are to be apart in these sets: further than a row of 96 numbers.
        const APART: usize = 9 * 16;
        let rows = extent.z.checked_mul(extent.y).ok_or_else(|| too_large(extent))?;
        let form = Self::new(Extent::plane(rows, extent.x), 0, 0, alignment)?;
        // Slices are often a multiple of the sets apart, so that rows of three slices meet in one set already: those of several planes
        // must not meet there too.
        let beyond = (SETS + APART - form.plane % SETS) % SETS;
        let plane = form.plane.checked_add(beyond.next_multiple_of(alignment));
        Ok(Self { plane: plane.ok_or_else(|| too_large(extent))?, ..form })
    }

    fn new(extent: Extent, above: usize, margin: usize, alignment: usize) -> Result<Self> {
        if extent.z != 1 || extent.y == 0 || extent.x == 0 {
            let found = format!("{}x{}x{}", extent.z, extent.y, extent.x);
            return Err(Error::setting(
                "the image size (slices x rows x columns)",
                found,
                "it must be of at least 1x1 pixels, and of 1 slice for a network of 2 dimensions",
            ));
        }
        let left = margin.next_multiple_of(alignment);
        let form = (|| {
            // Whole vectors of columns, and a margin beside the last of them: no lane reads beyond its row.
            let columns = extent.x.checked_next_multiple_of(alignment)?;
            let pitch =
                columns.checked_add(left)?.checked_add(margin)?.checked_next_multiple_of(alignment)?;
            let rows = extent.y.checked_add(2 * above)?;
            // The widest read beside a row: two margins, and the unused lanes of a vector.
            let guard = (2 * margin + 64).next_multiple_of(alignment);
            let plane = ((pitch.checked_mul(rows)? / alignment) | 1).checked_mul(alignment)?;
            let bytes = plane.checked_add(2 * guard)?.checked_mul(4)?;
            isize::try_from(bytes).ok()?;
            Some(Self { above, left, pitch, rows, plane, guard })
        })();
        form.ok_or_else(|| too_large(extent))
    }

    /// Place of row 0, column 0 within a plane.
    pub fn origin(&self) -> usize {
        self.above * self.pitch + self.left
    }
}

fn too_large(extent: Extent) -> Error {
    let found = format!("{}x{}", extent.y, extent.x);
    Error::setting(
        "the image size",
        found,
        "its planes must be countable on this machine; cut it into tiles with `tile`",
    )
}

/// A buffer of consecutive channels, for all images of the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The channels it holds, inputs counted in.
    pub channels: Range<usize>,
    /// Numbers in the buffer, guards included.
    pub length: usize,
}

impl Page {
    /// Place of row 0, column 0 of channel `channel` of image `image`.
    pub fn origin(&self, form: &PlaneLayout, image: usize, channel: usize) -> usize {
        let plane = image * self.channels.len() + (channel - self.channels.start);
        form.guard + plane * form.plane + form.origin()
    }
}

/// Cuts `channels` into as few pages as `max_bytes` for a buffer of numbers of `number_bytes` bytes allows.
///
/// # Errors
/// [`Error::OutOfMemory`] when not even one channel fits.
pub fn pages(
    what: &str,
    channels: Range<usize>,
    form: &PlaneLayout,
    batch: usize,
    max_bytes: u64,
    number_bytes: u64,
) -> Result<Vec<Page>> {
    let plane = (form.plane as u128) * batch as u128;
    let guards = 2 * form.guard as u128;
    let most = u128::from(max_bytes / number_bytes.max(1));
    let fitting = most.saturating_sub(guards) / plane.max(1);
    if fitting == 0 && !channels.is_empty() {
        return Err(Error::OutOfMemory {
            buffer: format!("one channel of the {what}"),
            wanted: u64::try_from(u128::from(number_bytes) * (plane + guards)).unwrap_or(u64::MAX),
            limit_name: "the largest buffer of this device".into(),
            limit: max_bytes,
            way_out: "use smaller images, `tile`, `crop` or a smaller `batch`".into(),
        });
    }
    let count = (channels.len() as u128).div_ceil(fitting.max(1)).max(1) as usize;
    let per_page = channels.len().div_ceil(count).max(1);
    let page = |start: usize| {
        let end = (start + per_page).min(channels.end);
        let length = (end - start) as u128 * plane + guards;
        Page { channels: start..end, length: length as usize }
    };
    Ok(channels.clone().step_by(per_page).map(page).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_aligned_and_far_enough_apart() {
        for (x, margin) in [(1, 1), (256, 10), (17, 300), (512, 16)] {
            let form = PlaneLayout::maps(Extent::plane(9, x), margin, 16).unwrap();
            assert_eq!(form.left % 16, 0);
            assert_eq!(form.pitch % 16, 0);
            assert!(form.left >= margin && form.pitch >= form.left + x + margin);
            assert_eq!(form.rows, 9 + 2 * margin);
        }
    }

    #[test]
    fn pages_hold_every_channel_once_and_stay_under_the_limit() {
        let form = PlaneLayout::maps(Extent::plane(8, 8), 2, 4).unwrap();
        let limit = 4 * (3 * 2 * form.plane + 2 * form.guard) as u64;
        let pages = pages("feature maps", 2..9, &form, 2, limit, 4).unwrap();
        assert_eq!(pages.iter().map(|p| p.channels.clone()).collect::<Vec<_>>(), [2..5, 5..8, 8..9]);
        assert!(pages.iter().all(|p| 4 * p.length as u64 <= limit));
        let halves = super::pages("feature maps", 2..9, &form, 2, limit / 2, 2).unwrap();
        assert_eq!(halves, pages);
        assert_eq!(pages[1].origin(&form, 1, 6), form.guard + 4 * form.plane + form.origin());
    }

    #[test]
    fn a_limit_below_one_channel_is_an_error_with_the_bytes() {
        let form = PlaneLayout::maps(Extent::plane(8, 8), 2, 4).unwrap();
        let error = pages("feature maps", 0..1, &form, 1, 64, 4).unwrap_err().to_string();
        assert!(error.contains("64 bytes") && error.contains("tile"), "{error}");
    }

    #[test]
    fn sizes_that_overflow_are_refused() {
        assert!(PlaneLayout::maps(Extent::plane(usize::MAX / 2, 100), 10, 16).is_err());
        assert!(PlaneLayout::maps(Extent::plane(0, 100), 10, 16).is_err());
    }
}
