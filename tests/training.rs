//! The training loop, used as a library.

use std::sync::Arc;

use msd_gpu::metrics::UNLABELLED;
use msd_gpu::network::{Class, Model, Task};
use msd_gpu::samples::{Dataset, Sample, Target};
use msd_gpu::training::{
    Outcome, Prepared, Relabelled, Run, RunFolder, Session, Settings, Snapshot, StopReason, TaskKind,
};
use msd_gpu::watcher::{Epoch, Flow, ImageReport, StepReport, Watcher};
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

/// What a run on so many processors comes to: the parameters of its best model.
fn trained_on(
    count: usize,
    settings: &Settings,
    prepared: &Prepared,
    watcher: &mut dyn Watcher,
) -> msd_gpu::Result<Vec<f32>> {
    let devices = vec![devices::choose("cpu")?; count];
    let outcome = Run::new(settings.clone(), prepared).on_all(&devices).watched_by(watcher).train()?;
    Ok(outcome.model.parameters)
}

/// Notes who calls, and stops after a step.
struct Noting {
    thread: std::thread::ThreadId,
    steps: Vec<u64>,
    epochs: Vec<u64>,
    images: Vec<usize>,
    last: u64,
}

impl Watcher for Noting {
    fn step(&mut self, step: &StepReport) -> Flow {
        assert_eq!(std::thread::current().id(), self.thread);
        self.steps.push(step.step);
        if step.step == self.last { Flow::Break(()) } else { Flow::Continue(()) }
    }

    fn epoch(&mut self, epoch: &Epoch) -> Flow {
        self.epochs.push(epoch.epoch);
        Flow::Continue(())
    }

    fn image(&mut self, image: &ImageReport<'_>) -> Flow {
        self.images.extend((image.done >= 1.0).then_some(image.index));
        Flow::Continue(())
    }
}

/// Asks to stop while step `given_up` is computed.
struct GivesUp {
    given_up: u64,
    made: u64,
    layers: usize,
}

impl Watcher for GivesUp {
    fn within_step(&mut self) -> Flow {
        self.layers += usize::from(self.made + 1 == self.given_up);
        if self.layers == 5 { Flow::Break(()) } else { Flow::Continue(()) }
    }

    fn step(&mut self, step: &StepReport) -> Flow {
        self.made = step.step;
        Flow::Continue(())
    }
}

#[test]
fn a_step_that_is_given_up_is_made_by_the_run_that_goes_on() {
    let mut settings = Settings::new(TaskKind::Segment, "none", "none");
    // Whole images: a step is an epoch.
    (settings.depth, settings.crop, settings.batch, settings.max_epochs) = (Some(3), Some(0), 2, Some(15));
    let prepared = Prepared::new(&settings, halves(&["a", "b"]), Some(halves(&["x"])), task()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let device = devices::choose("cpu").unwrap();
    let whole = Run::new(settings.clone(), &prepared).on(&device).train().unwrap();
    assert_eq!(whole.steps, 15);
    for given_up in [1, 7, 15] {
        let run = RunFolder::create(folder.path().join(given_up.to_string())).unwrap();
        let train = || Run::new(settings.clone(), &prepared).on(&device).save_in(&run);
        let mut watcher = GivesUp { given_up, made: 0, layers: 0 };
        let outcome = train().watched_by(&mut watcher).train().unwrap();
        assert_eq!((outcome.steps, outcome.reason), (given_up - 1, StopReason::Asked));
        let outcome = train().resume().train().unwrap();
        assert_eq!((outcome.steps, outcome.reason), (15, StopReason::Limit));
        assert!(outcome.model.parameters == whole.model.parameters, "given up in step {given_up}");
        let losses = |outcome: &Outcome| -> Vec<(u64, f64)> {
            outcome.history.epochs.iter().map(|epoch| (epoch.epoch, epoch.training_loss)).collect()
        };
        assert_eq!(losses(&outcome), losses(&whole), "given up in step {given_up}");
    }
}

#[test]
fn several_devices_are_watched_and_stopped_as_one() {
    let mut settings = Settings::new(TaskKind::Segment, "none", "none");
    (settings.depth, settings.crop, settings.batch) = (Some(3), Some(8), 3);
    let judged = halves(&["x", "y", "z"]);
    let prepared = Prepared::new(&settings, halves(&["a", "b"]), Some(judged), task()).unwrap();
    let train = |count: usize| {
        let thread = std::thread::current().id();
        let mut noting =
            Noting { thread, steps: Vec::new(), epochs: Vec::new(), images: Vec::new(), last: 17 };
        let parameters = trained_on(count, &settings, &prepared, &mut noting).unwrap();
        (parameters, noting)
    };
    let (wanted, one) = train(1);
    assert_eq!(one.steps, (1..=17).collect::<Vec<_>>());
    assert!(!one.epochs.is_empty() && one.images.starts_with(&[0, 1, 2]));
    for count in [2, 3] {
        let (found, several) = train(count);
        assert_eq!(found, wanted);
        assert_eq!((several.steps, several.epochs), (one.steps.clone(), one.epochs.clone()));
        // Rank 0 tells of the images that it judges.
        assert!(several.images.iter().all(|&index| index < 3usize.div_ceil(count)));
    }
    let session: &mut dyn Session = &mut ();
    let devices = vec![devices::choose("cpu").unwrap(); 2];
    let refused = Run::new(settings.clone(), &prepared).on_all(&devices).in_session(session).train();
    assert!(refused.unwrap_err().to_string().contains("one device"));
}

#[test]
fn what_goes_wrong_on_one_device_ends_all() {
    let mut settings = Settings::new(TaskKind::Segment, "none", "none");
    (settings.depth, settings.crop, settings.batch, settings.max_steps) = (Some(3), Some(8), 4, Some(20_000));
    let validation = Some(halves(&["judge"]));
    let mut prepared = Prepared::new(&settings, halves(&["good", "bad"]), validation, task()).unwrap();
    // One watcher stands for all that may panic.
    struct Panics;
    impl Watcher for Panics {
        fn step(&mut self, step: &StepReport) -> Flow {
            assert!(step.step < 5, "step {} panics", step.step);
            Flow::Continue(())
        }
    }
    let train = std::panic::AssertUnwindSafe(|| trained_on(4, &settings, &prepared, &mut Panics));
    let caught = std::panic::catch_unwind(train);
    assert_eq!(caught.unwrap_err().downcast_ref::<String>().unwrap(), "step 5 panics");
    prepared.training.items_mut()[1].change_image(Arc::new(|image| image[[0, 0, 0]] = f32::NAN));
    let error = trained_on(4, &settings, &prepared, &mut ()).unwrap_err();
    assert!(matches!(&error, Error::Diverged { images, .. } if images.contains("bad")), "{error}");
}

/// The same images; of the labels only those of the first `columns` columns on each side of the border.
fn strokes(names: &[&str], columns: usize) -> Dataset {
    let mut set = halves(names);
    for item in set.items_mut() {
        let unlabel = move |target: &mut Target, _: &mut Option<Array2<f32>>| {
            let Target::Classes(classes) = target else { return };
            for ((y, x), class) in classes.indexed_iter_mut() {
                if y > 4 || x.abs_diff(12) > columns {
                    *class = UNLABELLED;
                }
            }
        };
        item.change_target(Arc::new(unlabel), false);
    }
    set
}

/// Gives other labels from one step on, and keeps the network after another.
struct Drawing<'a> {
    prepared: &'a Prepared,
    settings: &'a Settings,
    /// The labels come with this step; also to a run that goes on after it.
    at: u64,
    given: bool,
    shown: Vec<Model>,
}

impl Session for Drawing<'_> {
    fn labels(&mut self, step: u64) -> msd_gpu::Result<Option<Relabelled>> {
        if step < self.at || std::mem::replace(&mut self.given, true) {
            return Ok(None);
        }
        let labels = strokes(&["a", "b", "c"], 9);
        self.prepared.relabel(self.settings, labels, None, "more strokes").map(Some)
    }

    fn stepped(&mut self, step: u64, network: &mut Snapshot<'_>) -> msd_gpu::Result<()> {
        if step.is_multiple_of(10) {
            self.shown.push(network.model()?);
        }
        Ok(())
    }
}

#[test]
fn labels_drawn_while_a_run_goes_on_count_at_once_and_give_the_same_bits_again() {
    let mut settings = Settings::new(TaskKind::Segment, "none", "none");
    (settings.depth, settings.crop, settings.max_steps) = (Some(3), Some(16), Some(30));
    settings.stem = "none".into();
    (settings.optimisation.ema, settings.favour_labelled) = (Some(0.9), Some(1.0));
    let prepared = Prepared::new(&settings, strokes(&["a", "b"], 2), None, task()).unwrap();
    let device = devices::choose("cpu").unwrap();
    let folder = tempfile::tempdir().unwrap();
    // Trains up to each number of steps, going on from the one before.
    let trained = |name: &str, at: u64, ends: &[u64]| {
        let run = RunFolder::create(folder.path().join(name)).unwrap();
        let mut shown = Vec::new();
        for (sitting, &end) in ends.iter().enumerate() {
            let mut settings = settings.clone();
            settings.max_steps = Some(end);
            let mut drawing =
                Drawing { prepared: &prepared, settings: &settings, at, given: false, shown: Vec::new() };
            let all = Run::new(settings.clone(), &prepared).on(&device).save_in(&run);
            let all = if sitting == 0 { all } else { all.resume() };
            all.in_session(&mut drawing).train().unwrap();
            shown.append(&mut drawing.shown);
        }
        shown
    };
    let whole = trained("whole", 16, &[30]);
    let parameters = |models: &[Model]| models.iter().map(|m| m.parameters.clone()).collect::<Vec<_>>();
    assert_eq!(whole.len(), 3);
    // Labels of a third image came too; what was made before them is as if they had never come.
    let never = trained("never", 1000, &[30]);
    assert_eq!(whole[0].parameters, never[0].parameters);
    assert_ne!(whole[1].parameters, never[1].parameters);
    assert_ne!(parameters(&trained("earlier", 12, &[30]))[1..], parameters(&whole)[1..]);
    // The same labels from the same step on give the same bits, also where the run was stopped before or after.
    for (name, ends) in [("again", &[30][..]), ("before", &[11, 30]), ("at", &[15, 30]), ("after", &[23, 30])]
    {
        assert_eq!(parameters(&trained(name, 16, ends)), parameters(&whole), "{name}");
    }
    let model = Model::read(&folder.path().join("whole")).unwrap();
    assert_eq!(model.provenance["labels"], "more strokes from step 16");
}

#[test]
fn labels_of_another_kind_are_refused_while_a_run_goes_on() {
    let mut settings = Settings::new(TaskKind::Segment, "none", "none");
    (settings.depth, settings.crop) = (Some(3), Some(16));
    let prepared = Prepared::new(&settings, strokes(&["a", "b"], 2), None, task()).unwrap();
    let refused = |set: Dataset| prepared.relabel(&settings, set, None, "v").unwrap_err().to_string();
    assert!(refused(strokes(&["a"], 0).chosen([])).contains("label some"), "no image at all");
    let one =
        |image: Array3<f32>, target| Dataset::from_memory(vec![Sample::new("z", image, target)]).unwrap();
    let classes = |class| Target::Classes(Array2::from_elem((24, 24), class));
    let error = refused(one(Array3::zeros((2, 24, 24)), classes(0)));
    assert!(error.contains("2 channels"), "{error}");
    let error = refused(one(Array3::zeros((1, 24, 24)), classes(2)));
    assert!(error.contains("class 2") && error.contains("2 classes"), "{error}");
    let error = refused(one(Array3::zeros((1, 24, 24)), Target::Values(Array3::zeros((1, 24, 24)))));
    assert!(error.contains("another kind"), "{error}");
    let error = refused(one(Array3::zeros((1, 24, 24)), classes(UNLABELLED)));
    assert!(error.contains("label some"), "{error}");
}
