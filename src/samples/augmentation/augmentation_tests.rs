use std::borrow::Cow;
use std::collections::HashSet;

use ndarray::{Array2, Array3, Axis};
use rayon::prelude::*;

use super::*;
use crate::geometry::{Extent, Symmetry, Upright};
use crate::samples::item::Part;
use crate::samples::sample::Target;
use crate::samples::sampling::Sampler;

fn all() -> Augmentation {
    Augmentation {
        rotate: 15.0,
        scale: 0.2,
        elastic: 3.0,
        blur: 1.0,
        contrast: Some(0.2),
        brightness: Some(0.2),
        gamma: 0.3,
        poisson: 0.1,
        noise: 0.1,
    }
}

fn sample() -> Sample {
    let classes = Array2::from_shape_fn((90, 70), |(y, x)| u32::from((y / 9 + x / 7) % 2 == 0));
    Sample {
        slices: 1,
        name: "a".into(),
        image: classes.mapv(|class| class as f32 * 2.0 - 1.0).insert_axis(Axis(0)),
        target: Target::Classes(classes),
        group: None,
        weights: None,
    }
}

fn bits(sample: &Sample) -> Vec<u32> {
    sample.image.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn the_nth_sample_depends_on_seed_and_number_alone() {
    let item = Item::from(sample());
    let sampler = Sampler::new(vec![Extent::plane(90, 70)], Some(48), true, 4).unwrap();
    let nth = |n: u64| all().apply(&item, &sampler.draw(n).unwrap(), 4, n).unwrap();
    let forward: Vec<Sample> = (0..24).map(nth).collect();
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let again: Vec<Sample> =
            pool.install(|| (0..24_usize).into_par_iter().rev().map(|n| nth(n as u64)).collect());
        assert!(again.iter().rev().eq(&forward), "{threads} threads");
    }
    let different: HashSet<_> = forward.iter().map(bits).collect();
    assert_eq!(different.len(), 24);
    assert_ne!(all().apply(&item, &sampler.draw(0).unwrap(), 5, 0).unwrap(), forward[0]);
}

#[test]
fn without_strength_there_is_no_change() {
    let sample = sample();
    let sampler = Sampler::new(vec![Extent::plane(90, 70)], Some(32), true, 4).unwrap();
    for n in 0..8 {
        let draw = sampler.draw(n).unwrap();
        let item = Item::from(sample.clone());
        let plain = cut(&Part::whole(Cow::Borrowed(&sample)), &draw);
        assert_eq!(Augmentation::default().apply(&item, &draw, 1, n).unwrap(), plain);
    }
    // Elastic deformation of nothing is the identity among other changes too.
    let noise = Augmentation { noise: 0.1, ..Default::default() };
    let geometry = Strengths {
        elastic: 0.0,
        degrees: 0.0,
        factor: 1.0,
        ..noise.strengths(&mut stream(1, Stream::Draw, 1))
    };
    let (draw, mut random) = (sampler.draw(0).unwrap(), stream(1, Stream::Draw, 1));
    assert!(Geometry::new(Extent::plane(90, 70), &draw, &geometry, &mut random).is_none());
}

#[test]
fn strengths_cover_what_was_set_and_nothing_beyond() {
    let drawn: Vec<Strengths> =
        (0..2000).map(|n| all().strengths(&mut stream(1, Stream::Augmentation, n))).collect();
    let covers = |value: &dyn Fn(&Strengths) -> f64, least: f64, most: f64| {
        let found = drawn.iter().map(value).fold((f64::MAX, f64::MIN), |(l, m), v| (l.min(v), m.max(v)));
        let slack = 0.01 * (most - least);
        assert!((least..least + slack).contains(&found.0), "{} for {least}", found.0);
        assert!(found.1 <= most && found.1 > most - slack, "{} for {most}", found.1);
    };
    covers(&|s| s.degrees, -15.0, 15.0);
    covers(&|s| s.factor, 1.0 / 1.2, 1.2);
    covers(&|s| s.elastic, 0.0, 3.0);
    covers(&|s| s.blur, 0.0, 1.0);
    covers(&|s| s.contrast, 1.0 / 1.2, 1.2);
    covers(&|s| s.brightness, -0.2, 0.2);
    covers(&|s| s.gamma, 1.0 / 1.3, 1.3);
    covers(&|s| s.poisson, 0.0, 0.1);
    covers(&|s| s.noise, 0.0, 0.1);
    // One setting does not move the random numbers of another.
    let alone = Augmentation { noise: 0.1, ..Default::default() };
    assert_eq!(alone.strengths(&mut stream(1, Stream::Augmentation, 7)).noise, drawn[7].noise);
}

#[test]
fn intensities_leave_the_target_alone() {
    let sample = sample();
    let draw = Draw {
        index: 0,
        crop: None,
        symmetry: Symmetry::IDENTITY,
        exchanges_slices: false,
        upright: Upright::Z,
        keeps_z: true,
    };
    let geometry_off = Augmentation { rotate: 0.0, scale: 0.0, elastic: 0.0, ..all() };
    let piece = geometry_off.apply(&sample.clone().into(), &draw, 1, 1).unwrap();
    assert_eq!(piece.target, sample.target);
    assert_ne!(piece.image, sample.image);
    let image = Array3::from_elem((2, 20, 20), 1.5);
    let values = Sample { target: Target::Values(image.clone()), image, ..sample };
    assert_eq!(geometry_off.apply(&values.clone().into(), &draw, 1, 1).unwrap().target, values.target);
}

#[test]
fn unusable_strengths_are_named() {
    assert!(all().validate().is_ok() && Augmentation::default().validate().is_ok());
    for (name, bad) in [
        ("rotate", Augmentation { rotate: 181.0, ..all() }),
        ("elastic", Augmentation { elastic: 17.0, ..all() }),
        ("noise", Augmentation { noise: f64::NAN, ..all() }),
        ("gamma", Augmentation { gamma: -0.1, ..all() }),
    ] {
        assert!(bad.validate().unwrap_err().to_string().starts_with(name));
    }
}

#[test]
fn the_settings_are_read_strictly_and_whole_numbers_will_do() {
    let read: Augmentation = toml::from_str("rotate = 10\nnoise = 0.2").unwrap();
    assert_eq!(read, Augmentation { rotate: 10.0, noise: 0.2, ..Default::default() });
    assert!(toml::from_str::<Augmentation>("rotat = 10").is_err());
}
