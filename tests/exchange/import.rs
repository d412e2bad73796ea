//! `msd-gpu import`. The files were written by PyTorch and h5py (`make_files.py`), what they give was computed there.

use std::path::{Path, PathBuf};

use msd_gpu::devices;
use msd_gpu::exchange::{ImportOptions, TaskKind, import};
use msd_gpu::geometry::Boundary;
use msd_gpu::inference::Predictor;
use msd_gpu::network::{DilationMode, Model, Task};
use ndarray::{Array, Array3, Dimension};
use safetensors::SafeTensors;

use super::{TOLERANCE, relative_distance};
use crate::support::{Bench, regression};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exchange/files").join(name)
}

fn expected(name: &str) -> Array3<f32> {
    stored("expected.safetensors", name)
}

/// The tensor `name` of one of the files.
pub(super) fn stored<D: Dimension>(container: &str, name: &str) -> Array<f32, D> {
    let bytes = std::fs::read(file(container)).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = tensors.tensor(name).unwrap();
    let values = tensor.data().as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
    let array = Array::from_shape_vec(tensor.shape(), values).unwrap();
    array.into_dimensionality().unwrap()
}

/// Runs `import` with these flags; gives the model that it wrote.
pub(super) fn imported(name: &str, flags: &str) -> Model {
    let bench = Bench::new();
    bench.succeeds(&format!("import {} --out m.safetensors {flags}", file(name).display()));
    Model::read(&bench.path("m.safetensors")).unwrap()
}

fn gives_what_its_tool_gives(name: &str, flags: &str) -> Model {
    let model = imported(name, flags);
    let mut predictor = Predictor::new(model.clone(), &devices::choose("cpu").unwrap(), None).unwrap();
    let image = expected(&format!("{name}.image"));
    let output = match model.task {
        Task::Regress => predictor.values(&image).unwrap(),
        Task::Segment { .. } => predictor.probabilities(&image).unwrap(),
    };
    let apart = relative_distance(&output, &expected(&format!("{name}.output")));
    assert!(apart < TOLERANCE, "{name}: {apart:.1e} apart");
    model
}

#[test]
fn networks_give_what_they_gave_in_their_tool() {
    let model = gives_what_its_tool_gives("regression.torch", "");
    let architecture = &model.architecture;
    assert_eq!(
        (architecture.boundary, architecture.dilation_mode),
        (Boundary::Symmetric, DilationMode::Layer)
    );
    let input = model.input.of_set().unwrap();
    assert_eq!((input.mean[0], input.deviation[0]), (75.0, 50.0));
    let target = model.target.unwrap();
    assert_eq!((target.mean[0], target.deviation[0]), (90.0, 40.0));
    assert_eq!(model.provenance["imported_from"], "regression.torch");

    let model = gives_what_its_tool_gives("segmentation.pt", "--dilations 1,2,4,8");
    assert_eq!((model.architecture.width, model.classes().len()), (2, 3));
    gives_what_its_tool_gives("mixed.pt", "");
    gives_what_its_tool_gives("regression.safetensors", "--task regress");

    let model = gives_what_its_tool_gives("regression.h5", "");
    assert_eq!(
        (model.architecture.boundary, &model.architecture.dilations[..]),
        (Boundary::Reflect, &[1, 2, 3, 4, 5][..])
    );
    gives_what_its_tool_gives("segmentation.h5", "--task segment");
}

#[test]
fn what_a_file_does_not_say_is_said_to_be_assumed() {
    let options = ImportOptions::default();
    let assumed = |name: &str| import(&file(name), &options).unwrap().assumed.join(" ");
    assert!(
        assumed("regression.torch").contains("1..10") && assumed("regression.torch").contains("`dilations`")
    );
    assert!(assumed("segmentation.h5").contains("`task"));
    assert_eq!(assumed("regression.h5"), "");
    let named = ImportOptions { dilations: Some(vec![1, 2]), task: Some(TaskKind::Regress) };
    let found = import(&file("regression.torch"), &named).unwrap();
    assert_eq!((found.model.architecture.dilations, found.assumed), (vec![1, 2], vec![]));
    // A regression with several outputs that were not normalised looks like a segmentation.
    let named = ImportOptions { task: Some(TaskKind::Regress), ..options };
    assert_eq!(import(&file("segmentation.h5"), &named).unwrap().model.task, Task::Regress);
}

#[test]
fn what_is_no_such_network_is_named() {
    let bench = Bench::new();
    let refuses = |name: &str, flags: &str, names: &[&str]| {
        let path = file(name);
        bench.refuses(&format!("import {} --out m.safetensors {flags}", path.display()), names);
    };
    refuses("dlsia.pt", "", &["dlsia.pt", "dlsia", "BatchNorm", "another architecture"]);
    refuses("dlsia_tensors.pt", "", &["dlsia", "BatchNorm"]);
    refuses("volume.pt", "", &["volume.pt", "weight1"]);
    refuses("expected.safetensors", "", &["[mixed.pt.image, ", ", ...]", "msd_block"]);
    refuses("regression.h5", "--dilations 1..10", &["--dilations", "msdnet"]);
    refuses("regression.h5", "--task segment", &["--task", "segment"]);
    refuses("regression.torch", "--dilations 0..3", &["--dilations"]);
    refuses("nowhere.pt", "", &["nowhere.pt", "cannot be read"]);
    bench.model("ours.safetensors", &regression(1, 1));
    bench.refuses("import ours.safetensors --out m.safetensors", &["ours.safetensors", "already"]);
    bench.bytes("text.pt", b"weights");
    bench.refuses("import text.pt --out m.safetensors", &["text.pt", "not a file that is known"]);
    bench.bytes("empty.h5", b"");
    bench.refuses("import empty.h5 --out m.safetensors", &["empty.h5"]);
    bench.path("folder/x");
    let torch = file("regression.torch");
    bench.refuses(&format!("import {} --out folder", torch.display()), &["--out", "folder"]);
    bench.refuses(&format!("import {} --out missing/m.safetensors", torch.display()), &["missing"]);
    assert_eq!(bench.names("."), ["empty.h5", "folder", "ours.safetensors", "text.pt"]);
}

#[test]
fn a_malicious_pickle_runs_nothing() {
    let bench = Bench::new();
    for name in ["malicious.pt", "malicious.torch"] {
        let call = format!("import {} --out m.safetensors", file(name).display());
        bench.refuses(&call, &[name, "posix.system", "nothing was run"]);
    }
    assert!(bench.names(".").is_empty());
}
