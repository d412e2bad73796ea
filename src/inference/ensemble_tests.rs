//! What averaging promises.

use std::collections::BTreeMap;

use ndarray::s;

use super::*;
use crate::devices;
use crate::geometry::Boundary;
use crate::inference::softmax;
use crate::network::{Architecture, Class, Normalisation, initialise};

/// A network in which every parameter changes the result, and whose result is not symmetric.
fn regression(architecture: Architecture, seed: u64) -> Model {
    let mut parameters = initialise(&architecture, seed);
    for (index, parameter) in parameters.iter_mut().enumerate().filter(|(_, p)| **p == 0.0) {
        *parameter = (((index as u64 * 37 + seed * 11) % 23) as f32 - 9.0) / 30.0;
    }
    let ones = |count: usize, mean| Normalisation { mean: vec![mean; count], deviation: vec![60.0; count] };
    Model {
        parameters,
        task: Task::Regress,
        input: ones(architecture.inputs, 100.0).into(),
        target: Some(ones(architecture.outputs, 5.0)),
        slab: 1,
        self_supervised: None,
        upscaling: None,
        provenance: BTreeMap::new(),
        architecture,
    }
}

fn segmentation(values: &[i64], seed: u64) -> Model {
    let classes = values.iter().map(|&value| Class { value, name: value.to_string() }).collect();
    let architecture = Architecture { dilations: vec![1, 3, 2], ..Architecture::new(1, values.len(), 3) };
    Model { task: Task::Segment { classes }, target: None, ..regression(architecture, seed) }
}

fn image(height: usize, width: usize) -> Array3<f32> {
    Array3::from_shape_fn((1, height, width), |(_, y, x)| {
        ((((y * 104_729 + x * 1_299_709) * 2_654_435_761_usize) >> 7) & 255) as f32
    })
}

fn open(models: &[Model], tile: Option<usize>, symmetries: bool) -> Ensemble {
    let named = models.iter().enumerate().map(|(i, model)| (format!("model {i}"), model.clone())).collect();
    Ensemble::new(named, &devices::choose("cpu").unwrap(), tile, symmetries).unwrap()
}

fn apart(a: &Array3<f32>, b: &Array3<f32>) -> f32 {
    (a - b).iter().fold(0.0, |most, v| most.max(v.abs()))
}

#[test]
fn one_model_alone_gives_what_its_predictor_gives() {
    let model = segmentation(&[0, 1, 2], 1);
    let image = image(9, 14);
    let mut predictor = Predictor::new(model.clone(), &devices::choose("cpu").unwrap(), None).unwrap();
    let found = open(&[model], None, false).predict(&image, true).unwrap();
    assert_eq!(found.mean, predictor.probabilities(&image).unwrap());
    assert_eq!(found.classes(), predictor.classes(&image).unwrap());
    assert!(found.deviation.unwrap().iter().all(|&deviation| deviation == 0.0));
}

#[test]
fn classes_alone_are_those_of_the_prediction() {
    let models = [segmentation(&[0, 1, 2], 1), segmentation(&[0, 1, 2], 2)];
    let image = image(19, 24);
    let mut go_on = |_| Flow::Continue(());
    for (count, symmetries) in [(1, false), (1, true), (2, false)] {
        for tile in [None, Some(8)] {
            let mut ensemble = open(&models[..count], tile, symmetries);
            let wanted = ensemble.predict(&image, false).unwrap().classes();
            assert_eq!(ensemble.classify(&image, &mut go_on).unwrap(), wanted);
            let cut = ensemble.tiles(Extent::plane(19, 24), Some(10)).unwrap();
            for part in cut {
                let patch = image.slice(s![.., part.patch.rows(), part.patch.columns()]).to_owned();
                let found = ensemble.classify_tile(&patch, &part, &Default::default(), &mut go_on).unwrap();
                assert_eq!(found, wanted.slice(s![part.core.rows(), part.core.columns()]));
            }
        }
    }
    // Outputs that are not finite are as wrong as where more than classes is wanted.
    let mut extreme = models[0].clone();
    extreme.input = Normalisation { mean: vec![100.0], deviation: vec![1e-6] }.into();
    let mut ensemble = open(&[extreme], None, false);
    let image = image.mapv(|value| value * 1e36);
    let wanted = ensemble.predict(&image, false).unwrap_err().to_string();
    assert!(wanted.contains("not finite"), "{wanted}");
    assert_eq!(ensemble.classify(&image, &mut go_on).unwrap_err().to_string(), wanted);
    let values = regression(Architecture::new(1, 2, 2), 1);
    assert!(open(&[values], None, false).classify(&image, &mut go_on).is_err());
}

#[test]
fn networks_with_more_classes_than_a_byte_holds_give_them_too() {
    let model = segmentation(&(0..300).collect::<Vec<_>>(), 1);
    let (image, mut ensemble) = (image(6, 7), open(&[model], None, false));
    let wanted = ensemble.predict(&image, false).unwrap().classes();
    assert_eq!(ensemble.classify(&image, &mut |_| Flow::Continue(())).unwrap(), wanted);
}

#[test]
fn a_turned_image_gives_the_same_turned() {
    for boundary in [Boundary::Reflect, Boundary::Symmetric, Boundary::Zeros] {
        let mut model = segmentation(&[0, 1, 2], 4);
        model.architecture.boundary = boundary;
        let image = image(13, 21);
        let mut alone = open(std::slice::from_ref(&model), None, false);
        let plain = alone.predict(&image, false).unwrap().mean;
        for tile in [None, Some(8)] {
            let mut averaged = open(std::slice::from_ref(&model), tile, true);
            let wanted = averaged.predict(&image, true).unwrap();
            for symmetry in Symmetry::ALL {
                let turned = averaged.predict(&symmetry.apply3(&image), true).unwrap();
                assert!(
                    apart(&turned.mean, &symmetry.apply3(&wanted.mean)) < 1e-6,
                    "{boundary:?} {symmetry:?}"
                );
                let deviation = symmetry.apply3(wanted.deviation.as_ref().unwrap());
                assert!(apart(&turned.deviation.unwrap(), &deviation) < 1e-6);
                // Not because the network does not care how an image is turned.
                let turned = alone.predict(&symmetry.apply3(&image), false).unwrap().mean;
                let same = apart(&turned, &symmetry.apply3(&plain)) < 1e-2;
                assert_eq!(same, symmetry == Symmetry::IDENTITY);
            }
        }
    }
}

#[test]
fn probabilities_are_averaged_and_scatter_about_their_mean() {
    // Of one architecture and of two: those that share one take turns.
    let third = Model {
        architecture: Architecture { width: 2, ..segmentation(&[0, 1], 3).architecture },
        ..segmentation(&[0, 1], 3)
    };
    let third = Model { parameters: regression(third.architecture.clone(), 3).parameters, ..third };
    let models = [segmentation(&[0, 1], 1), segmentation(&[0, 1], 2), third];
    let image = image(8, 5);
    let device = devices::choose("cpu").unwrap();
    let all: Vec<Array3<f32>> = models
        .iter()
        .map(|model| softmax(Predictor::new(model.clone(), &device, None).unwrap().outputs(&image).unwrap()))
        .collect();
    let mut ensemble = open(&models, None, false);
    assert_eq!((ensemble.models(), ensemble.predictions(), ensemble.predictors.len()), (3, 3, 2));
    // Twice: the engines are left as they were found.
    for _ in 0..2 {
        let found = ensemble.predict(&image, true).unwrap();
        let deviation = found.deviation.as_ref().unwrap();
        for (at, &mean) in found.mean.indexed_iter() {
            let values: Vec<f64> = all.iter().map(|one| f64::from(one[at])).collect();
            let wanted = values.iter().sum::<f64>() / 3.0;
            let variance = values.iter().map(|v| (v - wanted).powi(2)).sum::<f64>() / 3.0;
            assert!((f64::from(mean) - wanted).abs() < 1e-6);
            assert!((f64::from(deviation[at]) - variance.sqrt()).abs() < 1e-5);
        }
        assert!(deviation.iter().any(|&deviation| deviation > 0.01));
    }
}

#[test]
fn values_are_averaged_in_the_units_of_the_targets() {
    let architecture = Architecture { dilations: vec![1, 2], ..Architecture::new(1, 1, 2) };
    let first = regression(architecture.clone(), 1);
    let other = Normalisation { mean: vec![-40.0], deviation: vec![0.5] };
    let second = Model { target: Some(other), ..regression(architecture, 2) };
    let image = image(6, 7);
    let device = devices::choose("cpu").unwrap();
    let alone = |model: &Model| Predictor::new(model.clone(), &device, None).unwrap().values(&image).unwrap();
    let (a, b) = (alone(&first), alone(&second));
    let found = open(&[first, second], None, false).predict(&image, true).unwrap();
    assert!(apart(&found.mean, &((&a + &b) / 2.0)) < 1e-4);
    assert!(apart(&found.deviation.unwrap(), &((&a - &b).mapv(f32::abs) / 2.0)) < 1e-4);
}

#[test]
fn entropy_goes_from_nothing_to_the_logarithm_of_the_classes() {
    let mean = Array3::from_shape_vec((2, 1, 3), vec![1.0, 0.5, 0.75, 0.0, 0.5, 0.25]).unwrap();
    let entropy = Prediction { mean, deviation: None }.entropy();
    let wanted = [0.0, 2.0_f32.ln(), -(0.75 * 0.75_f32.ln() + 0.25 * 0.25_f32.ln())];
    assert!(entropy.iter().zip(wanted).all(|(found, wanted)| (found - wanted).abs() < 1e-6), "{entropy}");
}

#[test]
fn models_that_disagree_are_named() {
    let first = segmentation(&[0, 1], 1);
    let two_channels = Architecture { inputs: 2, ..first.architecture.clone() };
    let two_channels = Model { task: first.task.clone(), target: None, ..regression(two_channels, 1) };
    let cases = [
        (regression(first.architecture.clone(), 1), "B is a regression, but A is a segmentation"),
        (segmentation(&[0, 255], 1), "B has the classes 0, 255, but A has the classes 0, 1"),
        (two_channels, "B has 2 channels in its images, but A has 1 channel in its images"),
    ];
    let device = devices::choose("cpu").unwrap();
    for (second, wanted) in cases {
        let models = vec![("A".to_owned(), first.clone()), ("B".to_owned(), second)];
        let error = Ensemble::new(models, &device, None, true).err().unwrap().to_string();
        assert!(error.starts_with(wanted) && error.contains("model"), "{error}");
    }
    let wide = Architecture { outputs: 2, ..Architecture::new(1, 1, 2) };
    let models = [regression(Architecture::new(1, 1, 2), 1), regression(wide, 1)];
    let models = models.into_iter().zip(["A", "B"]).map(|(model, name)| (name.to_owned(), model)).collect();
    let error = Ensemble::new(models, &device, None, false).err().unwrap().to_string();
    assert!(
        error.starts_with("B has 2 channels in its results, but A has 1 channel in its results"),
        "{error}"
    );
    assert!(Ensemble::new(Vec::new(), &device, None, false).is_err());
}
