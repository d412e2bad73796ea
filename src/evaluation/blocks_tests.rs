//! Tests of judging volumes block by block.

use std::borrow::Cow;

use ndarray::{Array2, Array3};

use super::*;
use crate::devices::Device;
use crate::engine::Loss;
use crate::evaluation::InTraining;
use crate::evaluation::ensemble::InSlabs;
use crate::evaluation::in_training::tests::untrained;
use crate::inference::{Cutting, Ensemble, Halo, Tiling};
use crate::metrics::UNLABELLED;
use crate::network::{Architecture, Measure, Model};
use crate::samples::{Dataset, Sample};

/// An untrained network of volumes that looks 4 voxels far and 3 slices, and two volumes with unlabelled and weighted voxels, and with
/// voxels that are no numbers where nothing counts.
fn case(segments: bool) -> (Model, Dataset) {
    let architecture = Architecture {
        dimensions: 3,
        dilations: vec![1, 2, 1],
        dilations_z: vec![1, 1, 1],
        ..Architecture::new(2, 2, 3)
    };
    let model = untrained(architecture, segments);
    let slice = |name: &str, z: usize, height: usize, width: usize| {
        let number = |y: usize, x: usize| ((z * 31 + y * 104_729 + x * 1_299_709) * 2_654_435_761) >> 7 & 255;
        let class = |(y, x): (usize, usize)| match number(x, y) % 7 {
            0 => UNLABELLED,
            n => (n % 2) as u32,
        };
        let mut image =
            Array3::from_shape_fn((2, height, width), |(c, y, x)| number(y + c, x) as f32 / 80.0 - 1.5);
        let target = match segments {
            true => Target::Classes(Array2::from_shape_fn((height, width), class)),
            false => Target::Values(Array3::from_shape_fn((2, height, width), |(c, y, x)| {
                number(y + c, x) as f32 / 100.0 - 1.0
            })),
        };
        let weights = z
            .is_multiple_of(2)
            .then(|| Array2::from_shape_fn((height, width), |(y, x)| ((x + y) % 3) as f32));
        if z == 2 {
            image[[1, 3, 0]] = f32::NAN;
        }
        Sample::new(format!("{name} page {z}"), image, target).with_weights(weights)
    };
    let of = |name: &'static str, depth: usize, height: usize, width: usize| {
        (0..depth).map(move |z| slice(name, z, height, width))
    };
    let set = Dataset::unchecked(of("a.tif", 20, 17, 23).chain(of("b.tif", 5, 30, 9)).collect::<Vec<_>>());
    (model, set.into_volumes().unwrap())
}

/// Samples of which nobody learns that they are volumes of slices.
struct Whole<'a>(&'a Dataset);

impl Samples for Whole<'_> {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn sample(&self, index: usize) -> Result<Cow<'_, Sample>> {
        self.0.sample(index)
    }
}

/// All numbers of an evaluation, with their bits.
fn numbers(evaluation: &Evaluation) -> (String, u64, Vec<u64>) {
    let losses = evaluation.image_losses.iter().map(|loss| loss.to_bits()).collect();
    let all = format!("{:?} {:?}", evaluation.scores, evaluation.image_scores);
    (all, evaluation.loss.to_bits(), losses)
}

#[test]
fn tiles_of_volumes_that_are_read_one_by_one_give_a_network_in_training_the_same_bits() {
    for (segments, loss) in [(true, Loss::CrossEntropyDice), (false, Loss::SquaredError)] {
        let (model, mut set) = case(segments);
        // In training nothing is left that is no number.
        let fill: crate::samples::ImageChange = std::sync::Arc::new(|image: &mut Array3<f32>| {
            image.mapv_inplace(|value| if value.is_finite() { value } else { 0.5 });
        });
        set.items_mut().iter_mut().for_each(|item| item.change_image(fill.clone()));
        let mut engine = Device::cpu().open(&model.architecture, &model.parameters).unwrap();
        for tile in [None, Some(8)] {
            let tiling = Tiling::new(&model.architecture, tile);
            let mut network = InTraining { engine: engine.as_mut(), model: &model, loss, tiling, step: 1 };
            let judge = Judge::new(&model.task);
            let blocks = judge.score_over(&mut network, &set, &mut ()).unwrap();
            let whole = judge.score_over(&mut network, &Whole(&set), &mut ()).unwrap();
            assert_eq!(numbers(&blocks), numbers(&whole), "{loss} in tiles of {tile:?}");
            assert_eq!(blocks.image_scores[0].name, "a.tif");
        }
    }
}

#[test]
fn slabs_of_volumes_give_trained_models_the_same_bits() {
    for segments in [true, false] {
        let (mut model, set) = case(segments);
        for by_itself in [false, true] {
            if by_itself {
                model.input =
                    crate::network::InputNormalisation::PerImage { per_image: Measure::MeanDeviation };
            }
            let open = |tile| {
                let models = vec![("m".to_owned(), model.clone())];
                Ensemble::new(models, &Device::cpu(), tile, false).unwrap()
            };
            let judge = Judge::new(&model.task).comparing_input();
            let whole = judge.score_over(&mut open(Some(7)), &Whole(&set), &mut ()).unwrap();
            let cutting = Cutting::new(Some(7), Halo::Exact, None);
            let mut ensemble = open(Some(7));
            let mut slabs = InSlabs { ensemble: &mut ensemble, cutting };
            let found = judge.score_over(&mut slabs, &set, &mut ()).unwrap();
            assert_eq!(numbers(&found), numbers(&whole), "classes: {segments}, by itself: {by_itself}");
        }
    }
}

#[test]
fn a_watcher_stops_a_volume_between_its_blocks() {
    struct Stops;
    impl Watcher for Stops {
        fn image(&mut self, image: &crate::watcher::ImageReport<'_>) -> crate::watcher::Flow {
            match image.done > 0.3 {
                true => crate::watcher::Flow::Break(()),
                false => crate::watcher::Flow::Continue(()),
            }
        }
    }
    let (model, set) = case(false);
    let models = vec![("m".to_owned(), model.clone())];
    let mut ensemble = Ensemble::new(models, &Device::cpu(), None, false).unwrap();
    let cutting = Cutting::new(Some(7), Halo::Exact, None);
    let mut slabs = InSlabs { ensemble: &mut ensemble, cutting };
    let error = Judge::new(&model.task).score_over(&mut slabs, &set, &mut Stops).unwrap_err();
    assert_eq!(error, crate::Error::Stopped { done: 0, count: 2 });
}
