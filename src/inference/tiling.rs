//! Whole images in tiles that a network computes one by one, whoever owns the engine.

use ndarray::{ArrayView3, s};

use crate::Result;
use crate::engine::Images;
use crate::geometry::tiles::{Span, spans};
use crate::geometry::{Extent, Shape};
use crate::network::Architecture;

/// How images are cut for a network. Every tile is computed with all the pixels around it that it depends on, so the results
/// are those of the whole image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tiling {
    /// Rows and columns of a tile that are kept; `None` for whole images.
    tile: Option<usize>,
    /// How far, in pixels, an output looks to either side.
    reach: usize,
}

/// Where a tile is in its image.
#[derive(Debug, Clone)]
pub struct Place {
    /// Along y.
    pub rows: Span,
    /// Along x.
    pub columns: Span,
    /// The share of the image that is done with this tile.
    pub done: f64,
}

impl Tiling {
    /// Tiles of at most `tile` rows and columns, or whole images.
    pub fn new(architecture: &Architecture, tile: Option<usize>) -> Self {
        Self { tile, reach: (architecture.receptive_field() - 1) / 2 }
    }

    /// Tiles for images of `extents` of which each is computed on at most `max_pixels` pixels, surroundings counted in; whole
    /// images where all of them are that small. A network that looks very far takes more, so that not all its work is done
    /// for surroundings.
    pub fn within(
        architecture: &Architecture,
        extents: impl IntoIterator<Item = Extent>,
        max_pixels: usize,
    ) -> Self {
        /// Rows and columns that are kept at least.
        const LEAST_CORE: usize = 128;
        let whole = Self::new(architecture, None);
        if extents.into_iter().all(|extent| extent.pixels() <= max_pixels) {
            return whole;
        }
        let core = max_pixels.isqrt().saturating_sub(2 * whole.reach).max(LEAST_CORE);
        Self { tile: Some(core), ..whole }
    }

    fn cut(&self, length: usize) -> Vec<Span> {
        match self.tile {
            Some(tile) => spans(length, tile, self.reach),
            None => vec![Span::whole(length)],
        }
    }

    /// The pixels that one tile of an image of `extent` is computed on: all tiles have the same.
    pub fn patch(&self, extent: Extent) -> Extent {
        let length = |length: usize| self.cut(length).first().map_or(length, |span| span.patch.len());
        Extent { y: length(extent.y), x: length(extent.x), ..extent }
    }

    /// The pixels that all tiles of an image of `extent` are computed on together.
    pub fn computed_pixels(&self, extent: Extent) -> u64 {
        let all = |length: usize| self.cut(length).iter().map(|span| span.patch.len() as u64).sum::<u64>();
        all(extent.y).saturating_mul(all(extent.x))
    }

    /// Calls `compute` with each tile of an image `[channel][y][x]` and its surroundings, which `prepare` has seen
    /// channel by channel.
    ///
    /// # Errors
    /// The first error of `compute`.
    pub fn each(
        &self,
        image: ArrayView3<f32>,
        prepare: impl Fn(usize, &mut [f32]),
        mut compute: impl FnMut(&Images, &Place) -> Result<()>,
    ) -> Result<()> {
        let (_, height, width) = image.dim();
        let (rows, columns) = (self.cut(height), self.cut(width));
        let count = rows.len() * columns.len();
        let mut done = 0;
        for y in &rows {
            for x in &columns {
                let patch = image.slice(s![.., y.patch.clone(), x.patch.clone()]);
                let (_, height, width) = patch.dim();
                let mut pixels: Vec<f32> = patch.iter().copied().collect();
                for (channel, plane) in pixels.chunks_exact_mut(height * width).enumerate() {
                    prepare(channel, plane);
                }
                let images =
                    Images { shape: Shape { batch: 1, extent: Extent::plane(height, width) }, pixels };
                done += 1;
                let done = done as f64 / count as f64;
                compute(&images, &Place { rows: y.clone(), columns: x.clone(), done })?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_keep_to_the_pixels_that_they_may_have() {
        // Looks 55 pixels far.
        let architecture = Architecture::new(1, 2, 10);
        let extents = [Extent::plane(700, 900), Extent::plane(80, 90)];
        let whole = Tiling::within(&architecture, extents, 700 * 900);
        assert_eq!(whole, Tiling::new(&architecture, None));
        assert_eq!(whole.computed_pixels(extents[0]), 700 * 900);
        let tiling = Tiling::within(&architecture, extents, 400 * 400);
        for extent in extents {
            assert!(tiling.patch(extent).pixels() <= 400 * 400, "{extent:?}");
        }
        assert!(tiling.computed_pixels(extents[0]) > 700 * 900);
        // A network that looks further than that still gets on.
        let far = Architecture::new(1, 2, 100);
        assert_eq!(Tiling::within(&far, extents, 400 * 400).tile, Some(128));
    }
}
