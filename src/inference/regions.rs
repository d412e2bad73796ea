//! Images that come from elsewhere than files, such as the arrays of other programs, in regions that fit into memory: the caller
//! reads what a tile is computed from and keeps its result.

use ndarray::{Array2, Array3};

use super::ensemble::{Ensemble, Measured};
use super::parts::{measure_bands, measure_slices};
use super::plan::{self, Budget, Cutting, Halo};
use super::prediction::Prediction;
use crate::geometry::tiles::Tile;
use crate::geometry::{Extent, Window};
use crate::network::Measure;
use crate::watcher::Flow;
use crate::{Error, Result};

/// What has to be known of an image as a whole before regions of it are predicted.
#[derive(Debug, Clone, Default)]
pub struct WholeImage(Measured);

impl WholeImage {
    /// Measures an image of `channels` and `extent` by `measures`, those of [`Ensemble::measures`]; `read` gives windows of it,
    /// `[channel][y][x]`, which are whole rows. Without measures nothing is read.
    ///
    /// # Errors
    /// The first error of `read`.
    pub fn measured(
        measures: &[Measure],
        channels: usize,
        extent: Extent,
        read: &mut dyn FnMut(&Window) -> Result<Array3<f32>>,
    ) -> Result<Self> {
        measure_bands(channels, extent, measures, read).map(Self)
    }

    /// As [`WholeImage::measured`], of a volume of `channels` and so many slices, which `read` gives.
    ///
    /// # Errors
    /// The first error of `read`.
    pub fn measured_by_slices(
        measures: &[Measure],
        channels: usize,
        slices: usize,
        read: &mut dyn FnMut(usize) -> Result<Array3<f32>>,
    ) -> Result<Self> {
        measure_slices(channels, slices, measures, read).map(Self)
    }
}

impl Ensemble {
    /// The tiles in which an image of `extent` is computed: one where the memory that is free, or that of the device, holds the image, and
    /// `tile`, the rows and columns that are kept at most, allows it. Each is computed with all the pixels around it that count. For
    /// networks of volumes, `extent` and tiles are those of a volume.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] where not even the smallest tile can be computed.
    pub fn tiles(&mut self, extent: Extent, tile: Option<usize>) -> Result<Vec<Tile>> {
        let cutting = Cutting::new(tile, Halo::Exact, None);
        let tiles = if self.model().architecture.is_of_volumes() {
            self.tiles_of_volume(extent, &cutting)
        } else {
            let budget = Budget::of(&cutting, self, 0);
            let halo = self.halo();
            plan::tiling(self, extent, &cutting, &budget, halo).map(|tiling| tiling.tiles(extent).collect())
        };
        tiles.map_err(|error| match error {
            Error::OutOfMemory { buffer, wanted, limit_name, limit, .. } => {
                let way_out = "free some, or apply the model to files with a smaller `halo`".into();
                Error::OutOfMemory { buffer, wanted, limit_name, limit, way_out }
            }
            other => other,
        })
    }

    /// Predicts the core of `tile` from its `patch`, `[channel][y][x]`, in one piece, whatever the size of tiles that the models were
    /// opened with. `whole` is what is known of the image. The slices of volumes lie one below the other, in the patch and in the result.
    ///
    /// # Errors
    /// As [`Ensemble::predict_watched`].
    pub fn predict_tile(
        &mut self,
        patch: &Array3<f32>,
        tile: &Tile,
        whole: &WholeImage,
        deviation: bool,
        progress: &mut dyn FnMut(f64) -> Flow,
    ) -> Result<Prediction> {
        check_patch(patch, tile)?;
        let slices = tile.patch.extent.z;
        let found = self.in_one_piece(|ensemble| {
            ensemble.predict_measured((patch, slices), &whole.0, deviation, progress)
        })?;
        Ok(found.part_of_volume(slices, &tile.core_in_patch()))
    }

    /// As [`Ensemble::predict_tile`] where only the most probable class of each pixel is wanted, `[y][x]`; see [`Ensemble::classify`].
    ///
    /// # Errors
    /// As [`Ensemble::classify`].
    pub fn classify_tile(
        &mut self,
        patch: &Array3<f32>,
        tile: &Tile,
        whole: &WholeImage,
        progress: &mut dyn FnMut(f64) -> Flow,
    ) -> Result<Array2<u32>> {
        check_patch(patch, tile)?;
        self.check_segments()?;
        let slices = tile.patch.extent.z;
        let found =
            self.in_one_piece(|ensemble| ensemble.classify_measured((patch, slices), &whole.0, progress))?;
        Ok(found.part_of_volume(slices, &tile.core_in_patch()).into_classes())
    }
}

/// Checks that `patch` is that of `tile`.
fn check_patch(patch: &Array3<f32>, tile: &Tile) -> Result<()> {
    let Extent { z, y, x } = tile.patch.extent;
    let expected = (z * y, x);
    if (patch.dim().1, patch.dim().2) == expected {
        return Ok(());
    }
    let found = format!("a tile has {} x {} pixels", patch.dim().2, patch.dim().1);
    Err(Error::Mismatch(format!("{found}; wanted {} x {}", expected.1, expected.0)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ndarray::s;

    use super::*;
    use crate::devices;
    use crate::network::{Architecture, InputNormalisation, Model, Normalisation, Task, initialise};

    fn image() -> Array3<f32> {
        Array3::from_shape_fn((1, 50, 61), |(_, y, x)| {
            ((y * 7919 + x * 104_729) % 255) as f32 + 3.0 * x as f32
        })
    }

    fn window_of(image: &Array3<f32>, window: &Window) -> Array3<f32> {
        image.slice(s![.., window.rows(), window.columns()]).to_owned()
    }

    /// Models of one channel that look 1 + 2 + 3 pixels far; with `per_image`, each image is normalised by itself.
    fn open(per_image: bool, tile: Option<usize>) -> Ensemble {
        let architecture = Architecture { dilations: vec![1, 2, 3], ..Architecture::new(1, 2, 3) };
        let input = match per_image {
            true => InputNormalisation::PerImage { per_image: Measure::MeanDeviation },
            false => Normalisation { mean: vec![130.0], deviation: vec![70.0] }.into(),
        };
        let mut parameters = initialise(&architecture, 3);
        for (index, parameter) in parameters.iter_mut().enumerate().filter(|(_, p)| **p == 0.0) {
            *parameter = ((index * 37 % 23) as f32 - 9.0) / 60.0;
        }
        let model = Model {
            parameters,
            task: Task::Regress,
            input,
            target: Some(Normalisation::identity(2)),
            slab: 1,
            self_supervised: None,
            upscaling: None,
            provenance: BTreeMap::new(),
            architecture,
        };
        Ensemble::new(vec![("m".into(), model)], &devices::choose("cpu").unwrap(), tile, true).unwrap()
    }

    #[test]
    fn tiles_that_are_read_one_by_one_give_the_whole_image() {
        let image = image();
        let extent = Extent::plane(50, 61);
        for per_image in [false, true] {
            let wanted = open(per_image, None).predict(&image, true).unwrap();
            let mut ensemble = open(per_image, Some(16));
            assert_eq!(ensemble.halo(), 6);
            let tiles = ensemble.tiles(extent, Some(16)).unwrap();
            assert_eq!(tiles.len(), 16);
            let mut read = |window: &Window| Ok(window_of(&image, window));
            let whole = WholeImage::measured(&ensemble.measures(), 1, extent, &mut read).unwrap();
            for tile in tiles {
                let patch = window_of(&image, &tile.patch);
                let mut calls = 0;
                let mut progress = |_| {
                    calls += 1;
                    Flow::Continue(())
                };
                let found = ensemble.predict_tile(&patch, &tile, &whole, true, &mut progress).unwrap();
                // One piece for each symmetry.
                assert_eq!(calls, 8);
                let apart = |found: &Array3<f32>, all: &Array3<f32>| {
                    (found - &window_of(all, &tile.core)).mapv(f32::abs).fold(0.0_f32, |a, &b| a.max(b))
                };
                let deviation = wanted.deviation.as_ref().unwrap();
                assert!(apart(&found.mean, &wanted.mean) <= 1e-5, "{:?}", tile.core);
                assert!(apart(found.deviation.as_ref().unwrap(), deviation) <= 1e-5, "{:?}", tile.core);
            }
            // Tiles of other images are as they were.
            let again = ensemble.predict(&image, false).unwrap();
            assert!((&again.mean - &wanted.mean).iter().all(|apart| apart.abs() <= 1e-5));
        }
    }

    #[test]
    fn an_image_is_one_tile_where_it_fits_and_patches_of_other_sizes_are_refused() {
        let mut ensemble = open(false, None);
        let tiles = ensemble.tiles(Extent::plane(50, 61), None).unwrap();
        assert_eq!(tiles.len(), 1);
        assert_eq!(tiles[0].core, Window::whole(Extent::plane(50, 61)));
        let found = ensemble.predict_tile(
            &Array3::zeros((1, 50, 60)),
            &tiles[0],
            &WholeImage::default(),
            false,
            &mut |_| Flow::Continue(()),
        );
        assert_eq!(found.unwrap_err().to_string(), "a tile has 60 x 50 pixels; wanted 61 x 50");
    }

    #[cfg(feature = "gpu")]
    #[test]
    fn tiles_are_planned_by_the_memory_that_a_gpu_has() {
        use crate::gpu::with_buffers_up_to;
        let model = open(false, None).model().clone();
        let image = Array3::from_shape_fn((1, 128, 111), |(_, y, x)| ((y * 37 + x * 101) % 251) as f32);
        let extent = Extent::plane(128, 111);
        let device = devices::choose("gpu").unwrap();
        let open = || Ensemble::new(vec![("m".into(), model.clone())], &device, None, false).unwrap();
        let wanted = open().predict(&image, false).unwrap().mean;
        for (bytes, count) in [(u64::MAX, 1), (150_000, 4), (80_000, 16)] {
            let mut ensemble = open();
            with_buffers_up_to(bytes, || {
                let tiles = ensemble.tiles(extent, None).unwrap();
                assert_eq!(tiles.len(), count, "buffers of {bytes} bytes");
                for tile in tiles {
                    let patch = window_of(&image, &tile.patch);
                    let mut progress = |_| Flow::Continue(());
                    let whole = WholeImage::default();
                    let found = ensemble.predict_tile(&patch, &tile, &whole, false, &mut progress).unwrap();
                    let apart = (&found.mean - &window_of(&wanted, &tile.core)).mapv(f32::abs);
                    assert!(apart.fold(0.0_f32, |a, &b| a.max(b)) <= 1e-5, "{:?}", tile.core);
                }
            });
        }
        // Where there is not enough for any, the first tile says so.
        let mut ensemble = open();
        with_buffers_up_to(1000, || {
            let tile = ensemble.tiles(extent, None).unwrap()[0];
            let mut progress = |_| Flow::Continue(());
            let found = ensemble.predict_tile(&image, &tile, &WholeImage::default(), false, &mut progress);
            assert!(matches!(found, Err(Error::OutOfMemory { .. })), "{found:?}");
        });
    }
}
