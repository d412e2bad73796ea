//! What places of images look like, by the fixed filters of a stem alone: nothing has to be trained for that.

use ndarray::{Array3, ArrayView3, Zip, s};

use crate::devices::Device;
use crate::engine::{Engine, Images, Plane};
use crate::geometry::{Extent, Shape};
use crate::network::{Architecture, Measure, Normalisation, Stem, initialise};
use crate::{Error, Result};

/// The filters of [`Stem::usual`], on the processor, so that they give the same whatever a network is trained on.
pub(crate) struct Responses {
    engine: Box<dyn Engine>,
}

/// The responses in squares of pixels that lie side by side from the first row and column on; those of the last row and column may be
/// smaller. Both are `[response][row][column]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Squares {
    /// The mean of each response.
    pub(crate) means: Array3<f32>,
    /// The mean of its square.
    pub(crate) powers: Array3<f32>,
}

impl Responses {
    /// Of images of so many channels.
    ///
    /// # Errors
    /// For more channels than networks can have.
    pub(crate) fn new(channels: usize) -> Result<Self> {
        let architecture = Architecture {
            dilations: vec![1],
            stem: Stem::usual(),
            // There is no network without layers.
            ..Architecture::new(channels, 1, 1)
        };
        architecture.validate()?;
        Ok(Self { engine: Device::cpu().open(&architecture, &initialise(&architecture, 0))? })
    }

    /// How many channels images have.
    pub(crate) fn channels(&self) -> usize {
        self.engine.architecture().inputs
    }

    /// What `image`, `[channel][y][x]`, is normalised by, so that bright and dark images look alike.
    pub(crate) fn normalisation(image: ArrayView3<'_, f32>) -> Normalisation {
        Measure::MeanDeviation.of(&[(image, None)])
    }

    /// The responses to a part of an image, `[channel][y][x]`, in squares of `side` pixels. The part continues beyond its edges as if it were
    /// mirrored there.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for other channels; [`Error::OutOfMemory`].
    pub(crate) fn of_squares(
        &mut self,
        part: ArrayView3<'_, f32>,
        normalisation: &Normalisation,
        side: usize,
    ) -> Result<Squares> {
        let (channels, height, width) = part.dim();
        if channels != self.channels() || part.is_empty() || side == 0 {
            return Err(Error::Mismatch(format!(
                "a part of {width} x {height} pixels and {channels} channels was to be compared with others, but wanted pixels and {} channels",
                self.channels()
            )));
        }
        let mut pixels = part.as_standard_layout().into_owned();
        for (channel, mut plane) in pixels.outer_iter_mut().enumerate() {
            normalisation.apply(channel, plane.iter_mut());
        }
        let (pixels, _) = pixels.into_raw_vec_and_offset();
        self.engine
            .forward(&Images { shape: Shape { batch: 1, extent: Extent::plane(height, width) }, pixels })?;
        let responses = channels..self.engine.architecture().stem_channels();
        let dim = (responses.len(), height.div_ceil(side), width.div_ceil(side));
        let (mut means, mut powers) = (Array3::zeros(dim), Array3::zeros(dim));
        for (response, map) in responses.enumerate() {
            let plane = self.engine.read_plane(Plane::Map(map), 0)?;
            for (y, row) in plane.chunks_exact(width).enumerate() {
                for (x, value) in row.iter().enumerate() {
                    means[[response, y / side, x / side]] += value;
                    powers[[response, y / side, x / side]] += value * value;
                }
            }
        }
        for row in 0..dim.1 {
            for column in 0..dim.2 {
                let pixels = side.min(height - row * side) * side.min(width - column * side);
                let share = 1.0 / pixels as f32;
                let of = s![.., row, column];
                Zip::from(means.slice_mut(of)).and(powers.slice_mut(of)).for_each(|mean, power| {
                    *mean *= share;
                    *power *= share;
                });
            }
        }
        Ok(Squares { means, powers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_have_the_means_of_their_own_pixels() {
        // Flat on the left, stripes of two pixels on the right.
        let image = Array3::from_shape_fn((1, 40, 130), |(_, _, x)| match x {
            0..70 => 7.0,
            x => [5.0, 9.0][x / 2 % 2],
        });
        let mut responses = Responses::new(1).unwrap();
        let normalisation = Responses::normalisation(image.view());
        let found = responses.of_squares(image.view(), &normalisation, 16).unwrap();
        assert_eq!((found.means.dim(), found.powers.dim()), ((16, 3, 9), (16, 3, 9)));
        // The edges at the smallest scale.
        let edges = found.means.slice(s![1, .., ..]);
        assert!(edges.column(1).iter().all(|edge| *edge < 1e-3), "{edges}");
        assert!(edges.column(7).iter().all(|edge| *edge > 0.3), "{edges}");
        // Squares that are smaller, at the right and the lower edge, are means too.
        assert!((edges[[0, 7]] - edges[[2, 7]]).abs() < 1e-4 && edges[[1, 8]] > 0.1, "{edges}");
        let spread = &found.powers - &found.means.mapv(|mean| mean * mean);
        assert!(spread.iter().all(|variance| *variance > -1e-3), "{spread}");
        // Of an image that is brighter and has more contrast they are the same.
        let brighter = image.mapv(|value| 100.0 + 3.0 * value);
        let normalisation = Responses::normalisation(brighter.view());
        let same = responses.of_squares(brighter.view(), &normalisation, 16).unwrap();
        let furthest = (&same.means - &found.means).iter().fold(0.0_f32, |most, d| most.max(d.abs()));
        assert!(furthest < 1e-3, "{furthest}");
    }

    #[test]
    fn other_channels_are_refused() {
        let mut responses = Responses::new(2).unwrap();
        let image = Array3::zeros((1, 8, 8));
        let found = responses.of_squares(image.view(), &Normalisation::identity(1), 4);
        assert!(found.unwrap_err().to_string().contains("2 channels"));
    }
}
