//! How an axis of an image is cut into tiles.
//!
//! A tile's *core* is what is kept of it, its *patch* what is computed: the core and `reach` pixels on either
//! side, clipped to the image. Where the patch ends inside the image, the network's boundary rule makes up
//! pixels that are not there, but what is made up travels no further than `reach` pixels inwards. Where the
//! patch ends with the image, the rule is the same as for the whole image. So the core is exact for every
//! boundary: mirroring never takes a pixel further away than the dilation that asked for it.

use std::ops::Range;

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

#[cfg(test)]
mod tests {
    use super::*;

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
