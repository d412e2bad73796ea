//! Samples that are volumes: their parts, and slices put together.

use ndarray::{Array2, Array3, ArrayView3, Axis, concatenate, s};

use super::sample::{Sample, Target};
use crate::geometry::{Extent, Turn, Window, as_volume, stacked};

/// The part `window` of an image of so many slices, turned.
pub(super) fn part<T: Clone>(
    image: ArrayView3<'_, T>,
    slices: usize,
    window: &Window,
    turn: Turn,
) -> Array3<T> {
    let whole = image.as_standard_layout();
    let volume = as_volume(whole.view(), slices);
    let part = volume.slice(s![.., window.slices(), window.rows(), window.columns()]);
    stacked(turn.apply(part))
}

/// The same of an image of one channel, `[row of all slices][x]`.
pub(super) fn flat_part<T: Clone>(
    image: &Array2<T>,
    slices: usize,
    window: &Window,
    turn: Turn,
) -> Array2<T> {
    part(image.view().insert_axis(Axis(0)), slices, window, turn).index_axis_move(Axis(0), 0)
}

/// The slices of a volume, all of one size and kind, one below the other; of a volume of `extent` that is called `name`.
///
/// # Panics
/// Where slices differ in size, channels or kind of target.
pub(super) fn joined(name: String, slices: Vec<Sample>, extent: Extent) -> Sample {
    let images: Vec<_> = slices.iter().map(|slice| slice.image.view()).collect();
    let image = concatenate(Axis(1), &images).expect("slices are of one size");
    let (all, each): (Vec<_>, Vec<_>) = slices.into_iter().map(|slice| (slice.target, slice.weights)).unzip();
    let weights = weights(each, extent);
    Sample::new(name, image, targets(all)).with_weights(weights).of_slices(extent.z)
}

/// Targets of slices one below the other.
///
/// # Panics
/// As [`joined`].
pub(super) fn targets(slices: Vec<Target>) -> Target {
    let classes: Option<Vec<_>> = slices
        .iter()
        .map(|target| match target {
            Target::Classes(classes) => Some(classes.view()),
            Target::Values(_) => None,
        })
        .collect();
    if let Some(classes) = classes {
        return Target::Classes(concatenate(Axis(0), &classes).expect("slices are of one size"));
    }
    let values = slices.iter().filter_map(|target| match target {
        Target::Values(values) => Some(values.view()),
        Target::Classes(_) => None,
    });
    Target::Values(concatenate(Axis(1), &values.collect::<Vec<_>>()).expect("slices are of one size"))
}

/// Weights of slices of a volume of `extent` one below the other, 1 for those that have none; `None` where none has any.
pub(super) fn weights(slices: Vec<Option<Array2<f32>>>, extent: Extent) -> Option<Array2<f32>> {
    slices.iter().any(Option::is_some).then(|| {
        let ones = Array2::ones((extent.y, extent.x));
        let all: Vec<_> = slices.iter().map(|weights| weights.as_ref().unwrap_or(&ones).view()).collect();
        concatenate(Axis(0), &all).expect("slices are of one size")
    })
}
