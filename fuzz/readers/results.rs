//! Results of models: journals and records of what is done, and the models themselves.

use std::path::Path;
use std::time::Duration;

use msd_gpu::devices::Device;
use msd_gpu::exchange::{ImportOptions, import_bytes};
use msd_gpu::images::{Discovery, discover};
use msd_gpu::inference::{Cutting, Ensemble, Halo, Procedure, Products, Wishes, predict};
use msd_gpu::live::{Done, Viewer, Watched, watch};
use msd_gpu::network::Model;
use msd_gpu::registry::{Keys, Registry};
use msd_gpu::watcher::{Flow, Watcher};

use super::{StopsAt, first_line, in_folder, put, smallest};

/// The lines of the journal of a prediction that was stopped, behind the first one, which tells what it is of.
pub fn prediction(bytes: &[u8]) {
    in_folder(&[], "unused", &["a.png"], |folder| {
        let journal = folder.join("out/.msd-gpu-predict.part");
        predict_tiles(folder, false, &mut StopsAt(0.7));
        put(&journal, &[first_line(&journal).as_bytes(), bytes].concat());
        predict_tiles(folder, true, &mut ());
    });
}

/// What a folder says of the results in it.
pub fn results(bytes: &[u8]) {
    in_folder(&[], "unused", &["a.png"], |folder| {
        put(&folder.join("out/.msd-gpu-results.jsonl"), bytes);
        predict_tiles(folder, true, &mut ());
    });
}

/// The record of a watch, with and without the line at its beginning that tells what it is of.
pub fn watched(bytes: &[u8]) {
    in_folder(&[], "unused", &["a.png"], |folder| {
        let record = folder.join("out/.msd-gpu-watch.jsonl");
        watch_once(folder);
        let first = first_line(&record);
        for lines in [bytes, &[first.as_bytes(), bytes].concat()] {
            put(&record, lines);
            watch_once(folder);
        }
    });
}

/// Begins to watch a folder, and ends when it was looked into.
fn watch_once(folder: &Path) {
    let (mut ensemble, products) = prepared(&folder.join("out"));
    put(&folder.join("in/readme.txt"), &[]);
    let mut watched = Watched::new(folder.join("in").display().to_string(), Discovery::default());
    watched.poll = Duration::from_millis(1);
    let cutting = Cutting::new(None, Halo::Auto, None);
    let _ = watch(&mut ensemble, &watched, &products, cutting, &mut Leaves);
}

/// Sees what is there and goes away.
struct Leaves;

impl Viewer for Leaves {
    fn done(&mut self, _: &Done<'_>) -> msd_gpu::Result<bool> {
        Ok(true)
    }

    fn failed(&mut self, _: &str, _: &msd_gpu::Error) {}

    fn flow(&mut self) -> Flow {
        Flow::Break(())
    }
}

/// Applies a network to the image in a folder, in six tiles.
fn predict_tiles(folder: &Path, resume: bool, watcher: &mut dyn Watcher) {
    let (mut ensemble, products) = prepared(&folder.join("out"));
    let images = discover(&folder.join("a.png").display().to_string()).expect("the image is there");
    products.prepare(&images).expect("the folder takes results");
    let procedure = Procedure::new(Cutting::new(Some(2), Halo::Exact, None), resume, false, None);
    let _ = predict(&mut ensemble, &images, &products, &procedure, watcher);
}

/// The smallest network, and its results in the folder `out`.
fn prepared(out: &Path) -> (Ensemble, Products) {
    let models = vec![("model".to_owned(), smallest())];
    let ensemble = Ensemble::new(models, &Device::cpu(), None, false).expect("the network is whole");
    let products = Products::of(&ensemble, Wishes::default(), out).expect("the network has results");
    (ensemble, products)
}

/// What a registry says of one of its models.
pub fn registry(bytes: &[u8]) {
    in_folder(&[], "unused", &[], |folder| {
        let (model, registry) = (folder.join("model.safetensors"), Registry::new(folder.join("models")));
        put(&model, &smallest().to_bytes().expect("the network is whole"));
        let keys = Keys::parse(&["sample=bone"]).expect("the key is one");
        registry.add(&model, &keys, Some("m")).expect("the folder takes models");
        put(&folder.join("models/m/entry.toml"), bytes);
        let _ = registry.list();
        let _ = registry.nearest(&keys, |_| true);
    });
}

/// A model of this program.
pub fn model(bytes: &[u8]) {
    if let Ok(model) = Model::from_bytes(bytes, Path::new("model")) {
        let _ = model.to_bytes();
        // What it says of its training is read too.
        let _ = Ensemble::new(vec![("model".to_owned(), model)], &Device::cpu(), None, false);
    }
}

/// A network of another program.
pub fn exchange(bytes: &[u8]) {
    let _ = import_bytes(bytes.to_vec(), Path::new("network"), &ImportOptions::default());
}
