//! Cuts whole images into tiles, on which a network is run one after the other. The engine is the caller's.

use ndarray::{ArrayView3, s};

use crate::Result;
use crate::engine::Images;
use crate::geometry::tiles::{Tile, tiles};
use crate::geometry::{Extent, Shape, as_volume};
use crate::network::Architecture;

/// Rows and columns that a tile keeps at least where its size is chosen by the memory there is.
pub(super) const LEAST_TILE: usize = 16;

/// How images are cut for a network. Every tile is computed with all the pixels around it that it depends on, so the results
/// are those of the whole image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tiling {
    /// Rows and columns, and of volumes slices, of a tile that are kept; `None` for whole images.
    tile: Option<usize>,
    /// How many pixels on either side a tile is computed with; for exact results, as far as an output looks.
    reach: usize,
    /// The same along z, in slices.
    reach_z: usize,
}

impl Tiling {
    /// Tiles of at most `tile` rows and columns, or whole images.
    pub fn new(architecture: &Architecture, tile: Option<usize>) -> Self {
        Self { tile, reach: architecture.halo(), reach_z: architecture.halo_z() }
    }

    /// Tiles of at most `tile` rows and columns, or whole images, of which each is computed with `halo` pixels around it.
    pub(super) fn cut(tile: Option<usize>, halo: usize) -> Self {
        Self { tile, reach: halo, reach_z: 0 }
    }

    /// Rows and columns of a tile that are kept at most; `None` for whole images.
    pub(super) fn tile(&self) -> Option<usize> {
        self.tile
    }

    /// The same, or with smaller tiles, of at most `most` rows and columns.
    pub(super) fn at_most(self, most: Option<usize>) -> Self {
        Self { tile: self.tile.into_iter().chain(most).min(), ..self }
    }

    /// Tiles of which each is computed on fewer pixels than these where they cut an image of `extent`: of half the size, or of half of
    /// that and so on, as small tiles are computed on their surroundings mostly. `None` where they would become too small.
    pub(super) fn halved(self, extent: Extent) -> Option<Self> {
        let pixels = self.patch(extent).pixels();
        let side = self.tile.unwrap_or(usize::MAX).min(extent.y.max(extent.x).max(extent.z));
        std::iter::successors(Some(side / 2), |side| Some(side / 2))
            .take_while(|side| *side >= LEAST_TILE)
            .map(|side| Self { tile: Some(side), ..self })
            .find(|smaller| smaller.patch(extent).pixels() < pixels)
    }

    /// How many pixels around it each tile is computed with.
    pub(super) fn halo(&self) -> usize {
        self.reach
    }

    /// How many tiles an image of `extent` has.
    pub(super) fn count(&self, extent: Extent) -> usize {
        self.tiles(extent).len()
    }

    /// Tiles for images of `extents` of which each is computed on at most `max_pixels` pixels, surroundings counted in; whole
    /// images where all of them are that small. A network that looks very far takes more, so that not all its work is done
    /// for surroundings; of volumes, tiles see less around them than all that counts.
    pub fn within(
        architecture: &Architecture,
        extents: impl IntoIterator<Item = Extent>,
        max_pixels: usize,
    ) -> Self {
        /// Rows and columns that are kept at least.
        const LEAST_CORE: usize = 128;
        const LEAST_CORE_OF_VOLUMES: usize = 32;
        /// Slices, rows and columns around a tile of a volume at most.
        const MOST_AROUND_VOLUMES: usize = 24;
        let whole = Self::new(architecture, None);
        if extents.into_iter().all(|extent| extent.pixels() <= max_pixels) {
            return whole;
        }
        if architecture.is_of_volumes() {
            // All that a deep network can see is mostly larger than any volume. With 24 voxels around its tiles, a network of depth 16 and
            // dilations up to 4 gave outputs within 7e-6 of their deviation.
            let most = |reach: usize| reach.min(MOST_AROUND_VOLUMES);
            let (reach, reach_z) = (most(whole.reach), most(whole.reach_z));
            let core = ((max_pixels as f64).cbrt() as usize).saturating_sub(2 * reach);
            return Self { tile: Some(core.max(LEAST_CORE_OF_VOLUMES)), reach, reach_z };
        }
        let core = max_pixels.isqrt().saturating_sub(2 * whole.reach).max(LEAST_CORE);
        Self { tile: Some(core), ..whole }
    }

    /// The tiles of an image of `extent`, in a fixed order.
    pub(crate) fn tiles(&self, extent: Extent) -> impl ExactSizeIterator<Item = Tile> {
        let side = self.tile.unwrap_or(usize::MAX);
        tiles(extent, Extent::new(side, side, side), [self.reach_z, self.reach, self.reach])
    }

    /// The pixels that one tile of an image of `extent` is computed on: all tiles have the same.
    pub fn patch(&self, extent: Extent) -> Extent {
        self.tiles(extent).next().map_or(extent, |tile| tile.patch.extent)
    }

    /// The pixels that all tiles of an image of `extent` are computed on together.
    pub fn computed_pixels(&self, extent: Extent) -> u64 {
        (self.tiles(extent).len() as u64).saturating_mul(self.patch(extent).pixels() as u64)
    }

    /// Calls `compute` with each tile of an image `[channel][y][x]`, or of a volume with the rows of so many slices one below the other:
    /// the tile and its surroundings, which `prepare` has seen channel by channel, where it is, and the share of the image that is done
    /// with it.
    ///
    /// # Errors
    /// The first error of `compute`.
    pub fn each(
        &self,
        image: ArrayView3<f32>,
        slices: usize,
        prepare: impl Fn(usize, &mut [f32]),
        mut compute: impl FnMut(&Images, &Tile, f64) -> Result<()>,
    ) -> Result<()> {
        let image = image.as_standard_layout();
        let volume = as_volume(image.view(), slices);
        let (_, _, height, width) = volume.dim();
        let tiles = self.tiles(Extent::new(slices, height, width));
        let count = tiles.len() as f64;
        for (index, tile) in tiles.enumerate() {
            let part = s![.., tile.patch.slices(), tile.patch.rows(), tile.patch.columns()];
            let patch = volume.slice(part);
            let mut pixels: Vec<f32> = patch.iter().copied().collect();
            let extent = tile.patch.extent;
            for (channel, plane) in pixels.chunks_exact_mut(extent.pixels()).enumerate() {
                prepare(channel, plane);
            }
            let images = Images { shape: Shape { batch: 1, extent }, pixels };
            compute(&images, &tile, (index + 1) as f64 / count)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_halved_until_they_take_less() {
        let extent = Extent::plane(300, 200);
        let half = |tiling: Tiling| tiling.halved(extent).map(|smaller| smaller.tile.unwrap());
        assert_eq!(half(Tiling::cut(None, 10)), Some(150));
        assert_eq!(half(Tiling::cut(Some(150), 10)), Some(75));
        // Half of it, with its surroundings, is all of the image.
        assert_eq!(half(Tiling::cut(None, 90)), Some(75));
        assert_eq!(half(Tiling::cut(Some(32), 10)), Some(16));
        for least in [Tiling::cut(Some(31), 10), Tiling::cut(Some(16), 10), Tiling::cut(None, 300)] {
            assert_eq!(half(least), None);
        }
        let tiling = Tiling::cut(Some(50), 10);
        assert_eq!(tiling.at_most(None), tiling);
        assert_eq!(tiling.at_most(Some(60)), tiling);
        assert_eq!(tiling.at_most(Some(40)), Tiling::cut(Some(40), 10));
        assert_eq!(Tiling::cut(None, 10).at_most(Some(40)), Tiling::cut(Some(40), 10));
    }

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
