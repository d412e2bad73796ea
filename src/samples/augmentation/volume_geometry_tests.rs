use std::borrow::Cow;

use ndarray::s;

use super::*;
use crate::geometry::{Symmetry, Upright};
use crate::samples::augmentation::geometry::Geometry;
use crate::samples::augmentation::strengths::UNCHANGED;
use crate::samples::random::{Stream, stream};

/// A volume without symmetries whose target classes are its values.
fn sample(extent: Extent) -> Sample {
    let Extent { z, y, x } = extent;
    let class = |(row, x): (usize, usize)| ((row * 37 + x * 11 + row * x) % 19) as u32;
    let classes = Array2::from_shape_fn((z * y, x), class);
    let weights = classes.mapv(|class| class as f32 + 0.5);
    let image = classes.mapv(|class| class as f32).insert_axis(Axis(0));
    Sample::new("a", image, Target::Classes(classes)).with_weights(weights).of_slices(z)
}

/// A volume that rises by these amounts a slice, a row and a column: linear interpolation is exact on it.
fn slope(extent: Extent, [dz, dy, dx]: [f32; 3]) -> Sample {
    let Extent { z, y, x } = extent;
    let value =
        |(_, row, x): (usize, usize, usize)| dz * (row / y) as f32 + dy * (row % y) as f32 + dx * x as f32;
    let image = Array3::from_shape_fn((1, z * y, x), value);
    Sample::new("slope", image.clone(), Target::Values(image)).of_slices(z)
}

fn whole(keeps_z: bool) -> Draw {
    Draw {
        index: 0,
        crop: None,
        symmetry: Symmetry::IDENTITY,
        exchanges_slices: false,
        upright: Upright::Z,
        keeps_z,
    }
}

fn changed(sample: &Sample, draw: &Draw, strengths: Strengths, seed: u64) -> Sample {
    let random = &mut stream(seed, Stream::Augmentation, 0);
    let whole = Part::whole(Cow::Borrowed(sample));
    let geometry = VolumeGeometry::new(whole.whole_extent(), draw, &strengths, random).unwrap();
    let window = geometry.window();
    assert!(window.fits(whole.whole_extent()));
    // Of the volume no more is needed than its window.
    let piece = geometry.apply(&whole);
    let part = Part::of_window(sample.cut(&window), window, whole.whole_extent());
    assert_eq!(geometry.apply(&part), piece);
    piece
}

fn apart(a: &Array3<f32>, b: &Array3<f32>) -> f32 {
    (a - b).iter().fold(0.0, |most, v| most.max(v.abs()))
}

#[test]
fn a_rotation_keeps_lengths_and_its_axis_and_turns_by_its_angle() {
    for seed in 0..20 {
        let axis = any_direction(&mut stream(seed, Stream::Augmentation, 1));
        let matrix = rotation(33.0, axis);
        let times = |v: [f64; 3]| matrix.map(|row| row.iter().zip(&v).map(|(a, b)| a * b).sum::<f64>());
        let kept = times(axis);
        assert!(kept.iter().zip(&axis).all(|(a, b)| (a - b).abs() < 1e-12));
        let columns: Vec<[f64; 3]> = (0..3).map(|column| matrix.map(|row| row[column])).collect();
        for (i, a) in columns.iter().enumerate() {
            for (j, b) in columns.iter().enumerate() {
                let product: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                assert!((product - f64::from(u8::from(i == j))).abs() < 1e-12);
            }
        }
        let trace = matrix[0][0] + matrix[1][1] + matrix[2][2];
        assert!((trace - 1.0 - 2.0 * 33_f64.to_radians().cos()).abs() < 1e-12);
    }
}

#[test]
fn within_slices_each_slice_becomes_what_the_image_would() {
    let extent = Extent::new(5, 21, 17);
    let volume = sample(extent);
    let strengths = Strengths { degrees: 25.0, factor: 1.2, ..UNCHANGED };
    let piece = changed(&volume, &whole(true), strengths, 3);
    for z in 0..5 {
        let slice = volume.cut(&Window::new(z..z + 1, 0..21, 0..17)).of_slices(1);
        let random = &mut stream(3, Stream::Augmentation, 0);
        let geometry = Geometry::new(Extent::plane(21, 17), &whole(true), &strengths, random).unwrap();
        let wanted = geometry.apply(&Part::whole(Cow::Borrowed(&slice)));
        let found = piece.cut(&Window::new(z..z + 1, 0..21, 0..17)).of_slices(1);
        assert!(apart(&found.image, &wanted.image) < 1e-4);
        assert_eq!((found.target, found.weights), (wanted.target, wanted.weights));
    }
}

#[test]
fn places_are_those_of_the_turn_in_space() {
    let extent = Extent::new(60, 60, 60);
    let rise = [1.0, 10.0, -3.0];
    let sample = slope(extent, rise);
    let crop = Window::new(24..36, 20..34, 22..40);
    let draw = Draw { crop: Some(crop), ..whole(false) };
    let strengths = Strengths { degrees: 40.0, factor: 0.9, ..UNCHANGED };
    let piece = changed(&sample, &draw, strengths, 8);
    assert_eq!((piece.slices, piece.image.dim()), (12, (1, 12 * 14, 18)));
    assert_eq!(piece.target, Target::Values(piece.image.clone()));
    let axis = any_direction(&mut stream(8, Stream::Augmentation, 0));
    let matrix = rotation(40.0, axis);
    let middle = [29.5, 26.5, 30.5];
    for at in [[0, 0, 0], [11, 13, 17], [3, 12, 1], [6, 0, 9]] {
        let offset = [at[0] as f64 - 5.5, at[1] as f64 - 6.5, at[2] as f64 - 8.5];
        let wanted: f64 = (0..3)
            .map(|axis| {
                let turned: f64 = matrix[axis].iter().zip(&offset).map(|(a, b)| a * b).sum();
                (middle[axis] + turned / 0.9) * f64::from(rise[axis])
            })
            .sum();
        let found = piece.image[[0, at[0] * 14 + at[1], at[2]]];
        assert!((f64::from(found) - wanted).abs() < 2e-3, "{found}, wanted {wanted}");
    }
}

#[test]
fn labels_stay_labels_and_turns_of_the_cube_are_exact() {
    let extent = Extent::new(9, 9, 9);
    let sample = sample(extent);
    for upright in [Upright::Z, Upright::Y, Upright::X] {
        for (symmetry, exchanges_slices) in [(Symmetry::ALL[3], true), (Symmetry::ALL[6], false)] {
            let draw = Draw { symmetry, exchanges_slices, upright, ..whole(false) };
            // A whole turn is no turn, but goes through the interpolation.
            let piece = changed(&sample, &draw, Strengths { degrees: 360.0, ..UNCHANGED }, 5);
            let wanted = sample.turned_part(&Window::whole(extent), draw.turn());
            assert!(apart(&piece.image, &wanted.image) < 1e-3);
            assert_eq!((piece.target, piece.weights), (wanted.target, wanted.weights));
        }
    }
    let strengths = Strengths { degrees: 17.0, factor: 1.1, elastic: 2.0, ..UNCHANGED };
    let piece = changed(&sample, &whole(false), strengths, 5);
    let Target::Classes(classes) = &piece.target else { panic!("wanted classes") };
    assert!(classes.iter().all(|class| *class < 19));
    assert_eq!(piece.weights, Some(classes.mapv(|class| class as f32 + 0.5)));
    assert_ne!(piece.image, sample.image);
    // Bent within slices, a volume whose slices are constant stays as it is.
    let flat = slope(extent, [2.0, 0.0, 0.0]);
    let strengths = Strengths { elastic: 4.0, ..UNCHANGED };
    assert!(apart(&changed(&flat, &whole(true), strengths, 5).image, &flat.image) < 1e-5);
    let bent = changed(&flat, &whole(false), strengths, 5);
    assert!(bent.image.slice(s![0, .., ..]).iter().zip(&flat.image).any(|(a, b)| (a - b).abs() > 0.1));
}
