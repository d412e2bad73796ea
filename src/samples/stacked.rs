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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::samples::sampling::cut;
    use crate::samples::{Dataset, Sampler};

    const EXTENT: Extent = Extent { z: 5, y: 6, x: 7 };

    /// Slices whose voxels are numbered through, with the same numbers as classes and weights.
    fn slices(file: &str) -> Vec<Sample> {
        let slice = |z: usize| {
            let number = move |y: usize, x: usize| (z * EXTENT.y + y) * EXTENT.x + x;
            let shape = (EXTENT.y, EXTENT.x);
            let image =
                Array3::from_shape_fn((2, EXTENT.y, EXTENT.x), |(c, y, x)| (1000 * c + number(y, x)) as f32);
            let classes = Array2::from_shape_fn(shape, |(y, x)| number(y, x) as u32);
            let weights = (z != 1).then(|| classes.mapv(|class| class as f32));
            Sample::new(format!("{file} page {z}"), image, Target::Classes(classes)).with_weights(weights)
        };
        (0..EXTENT.z).map(slice).collect()
    }

    #[test]
    fn slices_of_a_file_become_a_volume_of_which_any_part_is_read() {
        let set =
            Dataset::unchecked(slices("a.tif").into_iter().chain(slices("b.tif"))).into_volumes().unwrap();
        assert_eq!((set.names(), set.sizes()), (vec!["a.tif", "b.tif"], vec![EXTENT; 2]));
        let item = &set.items()[1];
        let whole = item.sample().unwrap();
        assert_eq!((whole.slices, whole.image.dim()), (5, (2, 30, 7)));
        // Where a slice has no weights, each voxel counts 1.
        assert_eq!(whole.weights.as_ref().unwrap()[[6, 0]], 1.0);
        let window = Window::new(1..4, 2..5, 3..7);
        let part = item.part(|| window).unwrap();
        assert_eq!(part.sample(), &whole.cut(&window));
        assert_eq!(part.sample().image[[1, 3 + 2, 1]], 1000.0 + ((2 * 6 + 4) * 7 + 4) as f32);
        let (target, weights) = item.target_part(&window).unwrap();
        assert_eq!((&target, &weights), (&part.sample().target, &part.sample().weights));
        let aside = item.cut(window, "aside".into());
        assert_eq!(
            (aside.extent(), aside.sample().unwrap().image.clone()),
            (window.extent, part.sample().image.clone())
        );
        let mut differing = slices("c.tif");
        differing.push(Sample::new(
            "c.tif page 5",
            Array3::zeros((2, 3, 3)),
            Target::Classes(Array2::zeros((3, 3))),
        ));
        let error = Dataset::unchecked(differing).into_volumes().unwrap_err().to_string();
        assert!(error.contains("c.tif page 5") && error.contains("one size"), "{error}");
    }

    #[test]
    fn files_are_volumes_of_their_own_whatever_their_folder_is_called() {
        let slice =
            |name: &str| Sample::new(name, Array3::zeros((1, 3, 3)), Target::Classes(Array2::zeros((3, 3))));
        let names =
            ["a page 1/x.h5 slice 0", "a page 1/x.h5 slice 1", "a page 1/y.h5 slice 0", "b/0.png", "b/1.png"];
        let set = Dataset::unchecked(names.map(slice).to_vec()).into_volumes().unwrap();
        assert_eq!(set.names(), ["a page 1/x.h5", "a page 1/y.h5", "b"]);
    }

    #[test]
    fn draws_take_image_target_and_weights_alike_and_reach_every_place_and_turn() {
        let set = Dataset::unchecked(slices("a.tif")).into_volumes().unwrap();
        let item = &set.items()[0];
        let sampler = Sampler::new(set.sizes(), Some(3), true, 5).unwrap();
        let (mut places, mut turns) = (HashSet::new(), HashSet::new());
        for n in 0..3000 {
            let draw = sampler.draw(n).unwrap();
            let crop = draw.crop.unwrap();
            places.insert((crop.z, crop.y, crop.x));
            turns.insert((draw.upright, draw.symmetry, draw.exchanges_slices));
            if n < 100 {
                let piece = cut(&item.part(|| crop).unwrap(), &draw);
                assert_eq!((piece.slices, piece.image.dim()), (3, (2, 9, 3)));
                let Target::Classes(classes) = &piece.target else { panic!("wanted classes") };
                assert_eq!(piece.image.index_axis(Axis(0), 0), classes.mapv(|class| class as f32));
                let found: HashSet<u32> = classes.iter().copied().collect();
                let wanted = item.sample().unwrap().cut(&crop);
                let Target::Classes(wanted) = &wanted.target else { panic!("wanted classes") };
                assert_eq!(found, wanted.iter().copied().collect());
            }
        }
        assert_eq!((places.len(), turns.len()), (3 * 4 * 5, 48));
        // Whole volumes that are no cubes, and those whose z is not to be mixed, keep z.
        for sampler in [
            Sampler::new(set.sizes(), None, true, 5).unwrap(),
            Sampler::new(set.sizes(), Some(3), crate::samples::Symmetries::KeepZ, 5).unwrap(),
        ] {
            let draws = (0..400).map(|n| sampler.draw(n).unwrap());
            let turns: HashSet<_> =
                draws.map(|draw| (draw.upright, draw.symmetry, draw.exchanges_slices)).collect();
            assert!(turns.iter().all(|(upright, ..)| *upright == crate::geometry::Upright::Z));
            assert!(turns.len() == 8 || turns.len() == 16, "{}", turns.len());
        }
    }
}
