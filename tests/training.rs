//! The training loop, used as a library.

use std::sync::Arc;

use msd_gpu::network::{Class, Model, Task};
use msd_gpu::samples::{Dataset, Sample, Target};
use msd_gpu::training::{Prepared, Run, RunFolder, Settings, TaskKind};
use msd_gpu::{Error, devices};
use ndarray::{Array2, Array3};

/// Images of 24x24 pixels whose right half is bright and of the second class.
fn halves(names: &[&str]) -> Dataset {
    let sample = |(number, name): (usize, &&str)| {
        let image = Array3::from_shape_fn((1, 24, 24), |(_, y, x)| {
            f32::from(u8::from(x > 12)) + 0.1 * ((y * 7 + x * 11 + number) % 5) as f32
        });
        let classes = Array2::from_shape_fn((24, 24), |(_, x)| u32::from(x > 12));
        Sample::new(*name, image, Target::Classes(classes))
    };
    Dataset::from_memory(names.iter().enumerate().map(sample).collect()).unwrap()
}

fn task() -> Task {
    Task::Segment { classes: [0, 1].map(|value| Class { value, name: value.to_string() }).to_vec() }
}

/// One pixel of one image is NaN, so the loss becomes NaN at the first piece that holds it.
#[test]
fn a_loss_that_is_no_number_names_step_and_image_and_leaves_the_best_model() {
    let mut settings = Settings::new(TaskKind::Segment, "none", "none");
    (settings.depth, settings.crop, settings.max_steps, settings.seed) = (Some(3), Some(8), Some(20_000), 3);
    let mut prepared =
        Prepared::new(&settings, halves(&["good", "bad"]), Some(halves(&["judge"])), task()).unwrap();
    prepared.training.items_mut()[1].change_image(Arc::new(|image| image[[0, 0, 0]] = f32::NAN));
    let folder = tempfile::tempdir().unwrap();
    let run = RunFolder::create(folder.path().join("run")).unwrap();
    let device = devices::choose("cpu").unwrap();
    let train = || Run::new(settings.clone(), &prepared).on(&device).save_in(&run);
    let error = train().train().unwrap_err();
    let Error::Diverged { step, loss, images } = &error else { panic!("{error}") };
    assert!(loss.is_nan());
    assert_eq!(images, "bad");
    // The run had come past its first epoch of 18 steps, or this would say nothing of the best model.
    let history = std::fs::read_to_string(run.path().join("history.csv")).unwrap();
    let best = history.lines().skip(1).filter(|line| line.ends_with(",1")).last().unwrap();
    let best_step: u64 = best.split(',').nth(1).unwrap().parse().unwrap();
    assert!(best_step >= 18 && best_step < *step, "{best_step} {step}");
    let kept = Model::read(run.path()).unwrap();
    assert_eq!(kept.provenance["steps"], best_step.to_string());
    // A resumed run ends in the same way: the checkpoint holds nothing that is not finite.
    let again = train().resume().train().unwrap_err();
    assert_eq!(again.to_string(), error.to_string());
}
