//! Jobs from the wish to the files, over an end of the server in between.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ndarray::{Array2, Array3};

use super::*;
use crate::files::write_bytes_atomic;
use crate::images::{write_png_grey8, write_tiff_f32};
use crate::network::{Architecture, Class, Model, Normalisation, ParameterLayout, Task, initialise};

/// A model that gives class 3 where the image is brighter than 127, else class 0.
fn model() -> Model {
    let architecture = Architecture { dilations: vec![1], ..Architecture::new(1, 2, 1) };
    let layout = ParameterLayout::of(&architecture);
    let mut parameters = initialise(&architecture, 5);
    for class in 0..2 {
        parameters[layout.mix(class)].fill(0.0);
        parameters[layout.mix(class).start] = class as f32;
        parameters[layout.output_biases().start + class] = class as f32 * -127.5 / 64.0;
    }
    let class = |value: i64| Class { value, name: format!("class {value}") };
    Model {
        parameters,
        architecture,
        task: Task::Segment { classes: vec![class(0), class(3)] },
        input: Normalisation { mean: vec![0.0], deviation: vec![64.0] }.into(),
        target: None,
        slab: 1,
        self_supervised: None,
        upscaling: None,
        provenance: BTreeMap::from([
            ("journal".to_owned(), "journal 7 5ac1".to_owned()),
            ("steps".to_owned(), "20".to_owned()),
        ]),
    }
}

struct Bench {
    folder: tempfile::TempDir,
    project: Arc<Project>,
}

impl Bench {
    /// A project with two images, of which the right halves are bright, and a model.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("data")).unwrap();
        let bright = |x: usize| if x >= 300 { 200_u8 } else { 20 };
        write_png_grey8(path("data/a.png"), &Array2::from_shape_fn((300, 600), |(_, x)| bright(x))).unwrap();
        let image = Array3::from_shape_fn((1, 300, 600), |(_, _, x)| f32::from(bright(x)));
        write_tiff_f32(path("data/a b.tif"), &image).unwrap();
        write_bytes_atomic(path("model"), &model().to_bytes().unwrap()).unwrap();
        let project = Arc::new(Project::open(&path("project"), &[path("data")]).unwrap());
        assert_eq!(project.add("a.png", false).unwrap(), ["i1"]);
        assert_eq!(project.add("a b.tif", false).unwrap(), ["i2"]);
        Self { folder, project }
    }

    fn jobs(&self) -> Jobs {
        let model = self.folder.path().join("model");
        let model = move || model.exists().then(|| model.clone());
        Jobs::open(self.project.clone(), model, Events::default(), "cpu".into()).unwrap()
    }
}

fn wish(text: &str) -> Wish {
    serde_json::from_str(text).unwrap()
}

fn over(jobs: &Jobs, name: &str) -> Job {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let job = jobs.job(name).unwrap();
        if job.state.is_over() {
            return job;
        }
        assert!(Instant::now() < deadline, "{job:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_job_gives_files_a_table_and_tiles() {
    let bench = Bench::new();
    let jobs = bench.jobs();
    for format in ["tif", "ome-zarr", "npy", "png"] {
        let text = format!(
            r#"{{"kind":"predict","images":"all","products":["classes","probabilities"],"format":"{format}"}}"#
        );
        let name = jobs.add(wish(&text)).unwrap().unwrap();
        let job = over(&jobs, &name);
        assert_eq!((job.state, &job.message, job.done), (State::Done, &None, 1.0), "{format}");
        // What made the model, not what was drawn since.
        assert_eq!((job.journal.as_str(), job.steps), ("5ac1", Some(20)));
        let command = job.command.unwrap();
        assert!(command.ends_with(" --journal 5ac1 --steps 20 --out again"), "{command}");
        let files: Vec<&str> = job.files.iter().map(|file| file.name.as_str()).collect();
        let wanted: &[&str] = match format {
            "tif" => &["a.tif", "a_probabilities.tif", "a_b.tif", "a_b_probabilities.tif", "table.csv"],
            "ome-zarr" => &[
                "a.ome.zarr.zip",
                "a_probabilities.ome.zarr.zip",
                "a_b.ome.zarr.zip",
                "a_b_probabilities.ome.zarr.zip",
                "table.csv",
            ],
            "npy" => &["a.npy", "a_probabilities.npy", "a_b.npy", "a_b_probabilities.npy", "table.csv"],
            _ => &["a.png", "a_probabilities.tif", "a b.png", "a b_probabilities.tif", "table.csv"],
        };
        assert_eq!(files, wanted);
        assert!(files.iter().all(|file| jobs.file(&name, file).unwrap().exists()));
        assert_eq!(jobs.file(&name, "../job.json"), None);
        let rows: Vec<_> = job
            .table
            .iter()
            .map(|row| (row.image.as_str(), row.class, row.pixels, row.share, row.objects))
            .collect();
        assert_eq!(
            rows,
            [
                ("i1", 0, 90_000, 0.5, 1),
                ("i1", 3, 90_000, 0.5, 1),
                ("i2", 0, 90_000, 0.5, 1),
                ("i2", 3, 90_000, 0.5, 1)
            ]
        );
        let (values, height, width) = jobs.tile(&name, "i2", 0, (0, 0, 1)).unwrap().unwrap();
        assert_eq!((height, width), (256, 256));
        assert!(
            values.iter().enumerate().all(|(at, class)| *class == if at % 256 >= 300 - 256 { 3 } else { 0 })
        );
        let (values, height, width) = jobs.tile(&name, "i1", 0, (2, 0, 0)).unwrap().unwrap();
        assert_eq!((height, width, values.iter().filter(|class| **class == 3).count()), (75, 150, 75 * 75));
        assert_eq!(jobs.tile(&name, "i1", 1, (0, 0, 0)).unwrap(), None);
        assert_eq!(jobs.tile(&name, "i9", 0, (0, 0, 0)).unwrap(), None);
    }
    let table = std::fs::read_to_string(jobs.file("j1", "table.csv").unwrap()).unwrap();
    assert!(table.starts_with("image,class,pixels,share,objects\ni1,0,90000,0.5,1\n"), "{table}");
    jobs.close();
    // Another server knows them.
    let jobs = bench.jobs();
    assert_eq!(jobs.all().len(), 4);
    assert_eq!(jobs.stop("j1").unwrap(), Stopping::Over);
    assert_eq!(jobs.stop("j9").unwrap(), Stopping::Unknown);
    jobs.close();
}

#[test]
fn what_was_cut_off_goes_on_and_what_was_stopped_does_not() {
    let bench = Bench::new();
    let jobs = bench.jobs();
    let name = jobs.add(wish(r#"{"kind":"predict","images":["i2"]}"#)).unwrap().unwrap();
    let done = over(&jobs, &name);
    jobs.close();
    // As a server leaves jobs that was killed: one running, of which nothing is done, one waiting, one stopped.
    let folder = |name: &str| bench.project.folder().join("results").join(name);
    for (number, state) in [(2, State::Running), (3, State::Waiting), (4, State::Stopped)] {
        let job = Job {
            job: format!("j{number}"),
            state,
            done: 0.0,
            files: Vec::new(),
            table: Vec::new(),
            finished: Vec::new(),
            ..done.clone()
        };
        std::fs::create_dir(folder(&job.job)).unwrap();
        std::fs::copy(folder("j1").join(MODEL), folder(&job.job).join(MODEL)).unwrap();
        job.write(&folder(&job.job)).unwrap();
    }
    std::fs::create_dir(folder("j5")).unwrap();
    std::fs::write(folder("j5").join("job.json"), "{").unwrap();
    let jobs = bench.jobs();
    for name in ["j2", "j3"] {
        let job = over(&jobs, name);
        assert_eq!((job.state, &job.table), (State::Done, &done.table));
    }
    assert_eq!(over(&jobs, "j4").state, State::Stopped);
    // A number that is taken by something that cannot be read is not used again.
    assert_eq!(jobs.add(wish(r#"{"kind":"predict","images":["i1"]}"#)).unwrap().unwrap(), "j6");
    over(&jobs, "j6");
    jobs.close();
}

#[test]
fn a_job_that_names_files_outside_of_its_folder_is_passed_over() {
    let bench = Bench::new();
    let jobs = bench.jobs();
    let name = jobs.add(wish(r#"{"kind":"predict","images":["i2"]}"#)).unwrap().unwrap();
    let done = over(&jobs, &name);
    jobs.close();
    let folder = bench.project.folder().join("results").join(&name);
    assert!(Job::read(&folder).is_ok());
    for path in ["../../project.toml", "/etc/hostname", "a/../../../project.toml"] {
        let mut job = done.clone();
        job.files[0].path = path.into();
        job.write(&folder).unwrap();
        assert!(bench.jobs().file(&name, &job.files[0].name).is_none(), "{path}");
        let mut job = done.clone();
        job.finished[0].labels = Some(path.into());
        job.write(&folder).unwrap();
        let error = Job::read(&folder).unwrap_err().to_string();
        assert!(error.contains(path) && error.contains("not in the folder of the job"), "{error}");
    }
}

#[test]
fn what_cannot_be_done_is_told() {
    let bench = Bench::new();
    let jobs = bench.jobs();
    assert!(jobs.add(wish(r#"{"kind":"predict","images":["i7"]}"#)).is_err());
    assert!(jobs.add(wish(r#"{"kind":"predict","images":[]}"#)).is_err());
    std::fs::remove_file(bench.folder.path().join("data/a.png")).unwrap();
    let name = jobs.add(wish(r#"{"kind":"predict","images":["i1"]}"#)).unwrap().unwrap();
    let job = over(&jobs, &name);
    assert_eq!(job.state, State::Failed);
    assert!(job.message.unwrap().contains("a.png"));
    std::fs::remove_file(bench.folder.path().join("model")).unwrap();
    assert_eq!(jobs.add(wish(r#"{"kind":"predict","images":["i2"]}"#)).unwrap(), None);
    jobs.close();
}

#[test]
fn an_image_that_cannot_be_used_is_left_out_and_named() {
    let bench = Bench::new();
    let jobs = bench.jobs();
    let file = bench.folder.path().join("data/a.png");
    let predict = || over(&jobs, &jobs.add(wish(r#"{"kind":"predict","images":"all"}"#)).unwrap().unwrap());
    std::fs::rename(&file, bench.folder.path().join("away.png")).unwrap();
    let job = predict();
    assert_eq!(job.state, State::Done, "{job:?}");
    assert_eq!(job.finished.iter().map(|finished| finished.image.as_str()).collect::<Vec<_>>(), ["i2"]);
    let view = job.view();
    assert_eq!((&view["skipped"][0]["image"], view["skipped"].as_array().unwrap().len()), (&"i1".into(), 1));
    let message = job.message.unwrap();
    assert!(message.starts_with("1 of 2 images") && message.contains("a.png"), "{message}");
    assert!(jobs.file(&job.job, "table.csv").is_some());
    // None that can be used is a failure.
    std::fs::remove_file(bench.folder.path().join("data/a b.tif")).unwrap();
    let job = predict();
    assert_eq!(job.state, State::Failed, "{job:?}");
    assert!(job.message.unwrap().contains("and 1 more"));
}

#[test]
fn results_that_are_looked_at_are_opened_once() {
    let bench = Bench::new();
    let jobs = bench.jobs();
    let text = r#"{"kind":"predict","images":["i2"],"format":"png"}"#;
    let job = over(&jobs, &jobs.add(wish(text)).unwrap().unwrap());
    assert_eq!(job.state, State::Done, "{job:?}");
    let tile = || jobs.tile(&job.job, "i2", 0, (0, 0, 0)).unwrap().unwrap();
    let first = tile();
    // What was decoded is still there when the file is gone.
    let labels = jobs.labels(&job.job, "i2").unwrap();
    if labels.is_dir() {
        std::fs::remove_dir_all(labels).unwrap()
    } else {
        std::fs::remove_file(labels).unwrap()
    }
    assert_eq!(tile(), first);
}
