use std::borrow::Cow;

use ndarray::s;

use super::*;
use crate::geometry::Upright;
use crate::samples::augmentation::strengths::UNCHANGED;
use crate::samples::random::{Stream, stream};

/// An image without symmetries whose target classes are its values.
fn sample(height: usize, width: usize) -> Sample {
    let classes = Array2::from_shape_fn((height, width), |(y, x)| ((y * 37 + x * 11 + y * x) % 19) as u32);
    Sample {
        slices: 1,
        name: "a".into(),
        image: classes.mapv(|class| class as f32).insert_axis(Axis(0)),
        group: None,
        weights: Some(classes.mapv(|class| class as f32 + 0.5)),
        target: Target::Classes(classes),
    }
}

/// An image that rises by `down` a row and `right` a column: linear interpolation is exact on it.
fn slope(height: usize, width: usize, down: f32, right: f32) -> Sample {
    let image = Array3::from_shape_fn((1, height, width), |(_, y, x)| down * y as f32 + right * x as f32);
    Sample {
        name: "slope".into(),
        slices: 1,
        target: Target::Values(image.clone()),
        group: None,
        weights: None,
        image,
    }
}

fn whole(symmetry: Symmetry) -> Draw {
    Draw { index: 0, crop: None, symmetry, exchanges_slices: false, upright: Upright::Z, keeps_z: true }
}

fn changed(sample: &Sample, draw: &Draw, strengths: Strengths) -> Sample {
    let mut random = stream(3, Stream::Augmentation, 0);
    let whole = Part::whole(Cow::Borrowed(sample));
    let geometry = Geometry::new(whole.whole_extent(), draw, &strengths, &mut random).unwrap();
    let window = geometry.window();
    assert!(window.fits(whole.whole_extent()));
    // Of the image no more is needed than its window.
    let piece = geometry.apply(&whole);
    assert_eq!(geometry.apply(&Part::of_window(sample.cut(&window), window, whole.whole_extent())), piece);
    piece
}

fn classes(sample: &Sample) -> &Array2<u32> {
    let Target::Classes(classes) = &sample.target else { panic!("wanted classes") };
    classes
}

fn apart(a: &Array3<f32>, b: &Array3<f32>) -> f32 {
    (a - b).iter().fold(0.0, |most, v| most.max(v.abs()))
}

#[test]
fn a_quarter_turn_is_the_exact_symmetry() {
    let sample = sample(21, 21);
    // Anticlockwise: the right column becomes the top row.
    let turned = changed(&sample, &whole(Symmetry::IDENTITY), Strengths { degrees: 90.0, ..UNCHANGED });
    let expected = classes(&sample).clone().reversed_axes().slice(s![..;-1, ..]).to_owned();
    assert_eq!(classes(&turned), expected);
    assert!(apart(&turned.image, &expected.mapv(|v| v as f32).insert_axis(Axis(0))) < 1e-3);
    // So is any of the eight after a turn of none.
    for symmetry in Symmetry::ALL {
        // A whole turn is no turn, but goes through the interpolation.
        let piece = changed(&sample, &whole(symmetry), Strengths { degrees: 360.0, ..UNCHANGED });
        assert_eq!(classes(&piece), symmetry.apply2(classes(&sample)));
        assert!(apart(&piece.image, &symmetry.apply3(&sample.image)) < 1e-3);
        assert!(piece.image.is_standard_layout());
    }
}

#[test]
fn a_scale_keeps_the_centre_and_stretches_about_it() {
    let sample = slope(41, 31, 2.0, -3.0);
    for factor in [0.8, 1.25, 2.0] {
        let piece = changed(&sample, &whole(Symmetry::IDENTITY), Strengths { factor, ..UNCHANGED });
        let centre = sample.image[[0, 20, 15]];
        assert!((piece.image[[0, 20, 15]] - centre).abs() < 1e-3);
        // Ten rows below the centre lies what was 10 / factor rows below it.
        let expected = centre + 2.0 * 10.0 / factor as f32;
        assert!((piece.image[[0, 30, 15]] - expected).abs() < 1e-3, "{factor}");
    }
}

#[test]
fn a_piece_takes_in_what_the_image_shows_around_it() {
    let sample = slope(100, 100, 1.0, 10.0);
    let crop = Window::plane(40..56, 50..70);
    let draw = Draw {
        index: 0,
        crop: Some(crop),
        symmetry: Symmetry::IDENTITY,
        exchanges_slices: false,
        upright: Upright::Z,
        keeps_z: true,
    };
    let piece = changed(&sample, &draw, Strengths { degrees: 30.0, ..UNCHANGED });
    let (sine, cosine) = 30_f32.to_radians().sin_cos();
    for (y, x) in [(0, 0), (0, 19), (15, 0), (7, 11)] {
        let (dy, dx) = (y as f32 - 7.5, x as f32 - 9.5);
        let (from_y, from_x) = (47.5 + cosine * dy + sine * dx, 59.5 - sine * dy + cosine * dx);
        assert!((piece.image[[0, y, x]] - (from_y + 10.0 * from_x)).abs() < 2e-3);
    }
}

#[test]
fn labels_stay_labels_and_fit_the_image() {
    let mut sample = sample(50, 60);
    // Blocks of 5 x 5 pixels: inside them, interpolating changes nothing.
    let blocks = Array2::from_shape_fn((50, 60), |(y, x)| ((y / 5 * 7 + x / 5 * 3) % 4) as u32 * 10);
    sample.image = blocks.mapv(|v| v as f32).insert_axis(Axis(0));
    sample.weights = Some(blocks.mapv(|v| v as f32 + 0.5));
    sample.target = Target::Classes(blocks);
    let crop = Window::plane(3..43, 20..60);
    for (n, symmetry) in Symmetry::ALL.into_iter().enumerate() {
        let draw = Draw {
            index: 0,
            crop: Some(crop),
            symmetry,
            exchanges_slices: false,
            upright: Upright::Z,
            keeps_z: true,
        };
        let strengths = Strengths { degrees: 7.0 * n as f64, factor: 1.1, elastic: 2.0, ..UNCHANGED };
        let piece = changed(&sample, &draw, strengths);
        assert!(classes(&piece).iter().all(|v| v % 10 == 0 && *v <= 30), "a class that is none");
        assert_eq!(piece.weights, Some(classes(&piece).mapv(|v| v as f32 + 0.5)));
        let mut inside = 0;
        for ((y, x), class) in classes(&piece).indexed_iter() {
            let value = piece.image[[0, y, x]];
            // Half of what lies between two classes may fall to either of them.
            assert!((value - *class as f32).abs() <= 22.6, "{value} for class {class}");
            inside += usize::from(value == *class as f32);
        }
        assert!(inside > 800, "{inside} of 1600 pixels are inside blocks");
    }
}

#[test]
fn values_of_the_target_go_with_the_image() {
    let sample = slope(64, 64, 0.5, 1.5);
    let strengths = Strengths { degrees: -20.0, factor: 0.9, elastic: 3.0, ..UNCHANGED };
    let piece = changed(&sample, &whole(Symmetry::ALL[5]), strengths);
    assert_eq!(piece.target, Target::Values(piece.image.clone()));
    assert!(apart(&piece.image, &Symmetry::ALL[5].apply3(&sample.image)) > 1.0);
}

#[test]
fn nothing_to_do_is_left_to_the_exact_cut() {
    let sample = sample(8, 9);
    let mut random = stream(3, Stream::Augmentation, 0);
    assert!(
        Geometry::new(
            Extent::plane(sample.image.dim().1, sample.image.dim().2),
            &whole(Symmetry::IDENTITY),
            &UNCHANGED,
            &mut random
        )
        .is_none()
    );
}

#[test]
fn beyond_the_edge_the_image_is_mirrored() {
    let indices: Vec<usize> = (-5..8).map(|i| mirrored(i, 3)).collect();
    assert_eq!(indices, [1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1]);
    assert_eq!((mirrored(-7, 1), mirrored(9, 1)), (0, 0));
    // Shrunk to half, an image of 5 columns shows two more on either side.
    let sample = slope(1, 5, 0.0, 1.0);
    let piece = changed(&sample, &whole(Symmetry::IDENTITY), Strengths { factor: 0.5, ..UNCHANGED });
    assert_eq!(piece.image.into_raw_vec_and_offset().0, [2.0, 0.0, 2.0, 4.0, 2.0]);
}
