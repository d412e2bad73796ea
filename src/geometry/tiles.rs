//! How an image or volume is cut into tiles.
//!
//! A tile's *core* is what is kept of it, its *patch* what is computed: the core and `reach` pixels on either
//! side, clipped to the image. Where the patch ends inside the image, the network's boundary rule makes up
//! pixels that are not there, but what is made up travels no further than `reach` pixels inwards. Where the
//! patch ends with the image, the rule is the same as for the whole image. So the core is exact for every
//! boundary: mirroring never reads a pixel that is further away than the dilation.

use std::ops::Range;

use super::extent::Extent;
use super::window::Window;

/// One tile along one axis, in pixels of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// What is kept of this tile; the cores of all tiles cover the axis once.
    pub core: Range<usize>,
    /// What is computed for it.
    pub patch: Range<usize>,
}

impl Span {
    /// The whole axis in one piece.
    pub fn whole(length: usize) -> Self {
        Self { core: 0..length, patch: 0..length }
    }

    /// The core, counted from the start of the patch.
    pub fn core_in_patch(&self) -> Range<usize> {
        self.core.start - self.patch.start..self.core.end - self.patch.start
    }
}

/// Cuts an axis of `length` pixels into as few tiles of at most `tile` pixels as do, about equally long.
///
/// All patches have one length, those at the ends too, so that an engine allocates once.
pub fn spans(length: usize, tile: usize, reach: usize) -> Vec<Span> {
    let count = length.div_ceil(tile.max(1)).max(1);
    let core = length.div_ceil(count);
    let patch = reach.saturating_mul(2).saturating_add(core).min(length);
    // Rounding up can leave nothing for the last tiles.
    (0..count)
        .map(|index| (index * core).min(length)..((index + 1) * core).min(length))
        .filter(|core| !core.is_empty())
        .map(|core| {
            let start = core.start.saturating_sub(reach).min(length - patch);
            Span { core, patch: start..start + patch }
        })
        .collect()
}

/// One tile of an image or volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// What is kept of this tile; the cores of all tiles cover the whole once.
    pub core: Window,
    /// What is computed for it.
    pub patch: Window,
}

impl Tile {
    /// The core, counted from the start of the patch.
    pub fn core_in_patch(&self) -> Window {
        Window {
            z: self.core.z - self.patch.z,
            y: self.core.y - self.patch.y,
            x: self.core.x - self.patch.x,
            extent: self.core.extent,
        }
    }
}

/// Cuts an image or volume of `extent` into tiles whose cores are at most `tile` large, with `reach` pixels (z, y, x) on
/// either side; see [`spans`] for each axis.
///
/// The tiles of one slab of slices follow each other, row by row, those with the smallest x first. An axis along which
/// `tile` is as long as the image, or longer, is not cut.
pub fn tiles(extent: Extent, tile: Extent, reach: [usize; 3]) -> impl ExactSizeIterator<Item = Tile> {
    let slabs = spans(extent.z, tile.z, reach[0]);
    let rows = spans(extent.y, tile.y, reach[1]);
    let columns = spans(extent.x, tile.x, reach[2]);
    let (in_row, in_slab) = (columns.len(), rows.len() * columns.len());
    (0..slabs.len() * in_slab).map(move |index| {
        let (z, y, x) = (&slabs[index / in_slab], &rows[index % in_slab / in_row], &columns[index % in_row]);
        Tile {
            core: Window::new(z.core.clone(), y.core.clone(), x.core.clone()),
            patch: Window::new(z.patch.clone(), y.patch.clone(), x.patch.clone()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_a_volume_once_slab_by_slab() {
        let extent = Extent::new(5, 7, 9);
        for (tile, reach) in [
            (Extent::new(2, 3, 4), [1, 0, 2]),
            (Extent::new(1, 7, 9), [0, 50, 50]),
            (Extent::new(1, 1, 1), [9, 9, 9]),
            (Extent::new(usize::MAX, usize::MAX, usize::MAX), [3, 3, 3]),
        ] {
            let mut seen = vec![0; extent.pixels()];
            let mut last = None;
            for tile in tiles(extent, tile, reach) {
                assert!(tile.patch.fits(extent) && tile.patch.contains(&tile.core));
                assert_eq!(tile.patch.counted_from(&tile.patch), Some(Window::whole(tile.patch.extent)));
                assert_eq!(tile.core.counted_from(&tile.patch), Some(tile.core_in_patch()));
                let place = (tile.core.z, tile.core.y, tile.core.x);
                assert!(last.is_none_or(|last| last < place), "{place:?} after {last:?}");
                last = Some(place);
                for z in tile.core.slices() {
                    for y in tile.core.rows() {
                        tile.core.columns().for_each(|x| seen[(z * extent.y + y) * extent.x + x] += 1);
                    }
                }
            }
            assert!(seen.iter().all(|&count| count == 1));
        }
        let whole: Vec<_> = tiles(extent, Extent::new(9, 9, 9), [1, 1, 1]).collect();
        assert_eq!(whole, [Tile { core: Window::whole(extent), patch: Window::whole(extent) }]);
        assert_eq!(tiles(Extent::new(0, 7, 9), Extent::new(1, 2, 3), [0; 3]).count(), 0);
    }

    #[test]
    fn cores_cover_the_axis_once_and_patches_hold_their_reach() {
        for length in 1..40 {
            for tile in 1..45 {
                for reach in [0, 1, 3, 10, 50, usize::MAX] {
                    let spans = spans(length, tile, reach);
                    let mut next = 0;
                    for span in &spans {
                        assert_eq!(span.core.start, next);
                        assert!(!span.core.is_empty() && span.core.len() <= tile);
                        next = span.core.end;
                        assert!(span.patch.start <= span.core.start.saturating_sub(reach));
                        assert!(span.patch.end >= span.core.end.saturating_add(reach).min(length));
                        assert!(span.patch.end <= length);
                        assert_eq!(span.patch.len(), spans[0].patch.len());
                        assert_eq!(span.core_in_patch().len(), span.core.len());
                    }
                    assert_eq!(next, length);
                    assert!(spans.len() <= length.div_ceil(tile));
                }
            }
        }
    }

    #[test]
    fn a_last_tile_is_no_sliver() {
        let spans = spans(101, 50, 5);
        assert_eq!(spans.iter().map(|span| span.core.len()).collect::<Vec<_>>(), [34, 34, 33]);
        assert_eq!(spans[2].patch, 57..101);
        assert_eq!(Span::whole(7), super::spans(7, 9, 2)[0]);
    }
}
