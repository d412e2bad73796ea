//! What is found for volumes, slice by slice.

use ndarray::{Array2, Array3, Axis, s};

use crate::geometry::tiles::Tile;
use crate::geometry::{Extent, Window, as_volume, stacked};
use crate::inference::prediction::{Found, Prediction};

/// The part `window` of what was found for a volume of so many slices, slice by slice.
pub(super) fn of_slices(found: &Found, slices: usize, window: &Window) -> Vec<Found> {
    let Extent { z: count, y: height, .. } = window.extent;
    match found.part_of_volume(slices, window) {
        Found::Classes(classes) => {
            let slice = |z: usize| classes.slice(s![z * height..(z + 1) * height, ..]).to_owned();
            (0..count).map(|z| Found::Classes(slice(z))).collect()
        }
        Found::Prediction(found) => found.slices(count).into_iter().map(Found::Prediction).collect(),
    }
}

impl Prediction {
    /// Each of `count` slices of a volume, which lie one below the other.
    pub fn slices(&self, count: usize) -> Vec<Self> {
        let height = self.mean.dim().1 / count.max(1);
        let of = |values: &Array3<f32>, z: usize| {
            values.slice(s![.., z * height..(z + 1) * height, ..]).to_owned()
        };
        let slice = |z| Self {
            mean: of(&self.mean, z),
            deviation: self.deviation.as_ref().map(|values| of(values, z)),
        };
        (0..count).map(slice).collect()
    }

    /// The part `window` of this, which is of a volume of so many slices that lie one below the other.
    pub(in crate::inference) fn part_of_volume(&self, slices: usize, window: &Window) -> Self {
        let part = |values: &Array3<f32>| {
            let values = values.as_standard_layout();
            let volume = as_volume(values.view(), slices);
            stacked(volume.slice(s![.., window.slices(), window.rows(), window.columns()]).to_owned())
        };
        Self { mean: part(&self.mean), deviation: self.deviation.as_ref().map(part) }
    }
}

impl Found {
    /// As [`Prediction::part_of_volume`].
    pub(in crate::inference) fn part_of_volume(&self, slices: usize, window: &Window) -> Self {
        match self {
            Found::Classes(classes) => {
                let classes = classes.as_standard_layout();
                let volume = as_volume(classes.view().insert_axis(Axis(0)), slices);
                let part = volume.slice(s![.., window.slices(), window.rows(), window.columns()]).to_owned();
                Found::Classes(stacked(part).index_axis_move(Axis(0), 0))
            }
            Found::Prediction(prediction) => Found::Prediction(prediction.part_of_volume(slices, window)),
        }
    }

    /// The same of `height` x `width` pixels, without anything in it.
    pub(super) fn blank(&self, height: usize, width: usize) -> Self {
        match self {
            Found::Classes(_) => Found::Classes(Array2::zeros((height, width))),
            Found::Prediction(Prediction { mean, deviation }) => {
                let blank = |values: &Array3<f32>| Array3::zeros((values.dim().0, height, width));
                Found::Prediction(Prediction { mean: blank(mean), deviation: deviation.as_ref().map(blank) })
            }
        }
    }

    /// Puts what was found for the core of a tile where it belongs.
    pub(super) fn put(&mut self, found: &Found, tile: &Tile) {
        let (rows, columns) = (tile.core.rows(), tile.core.columns());
        match (self, found) {
            (Found::Classes(all), Found::Classes(found)) => all.slice_mut(s![rows, columns]).assign(found),
            (Found::Prediction(all), Found::Prediction(found)) => {
                all.mean.slice_mut(s![.., rows.clone(), columns.clone()]).assign(&found.mean);
                if let (Some(all), Some(found)) = (&mut all.deviation, &found.deviation) {
                    all.slice_mut(s![.., rows, columns]).assign(found);
                }
            }
            _ => {}
        }
    }
}
