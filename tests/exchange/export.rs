//! `msd-gpu export`: ONNX and PyTorch give what `predict` gives.
//!
//! The comparisons need Python with numpy and onnxruntime, or torch; `tests/run.sh` runs them with the interpreter
//! that MSD_GPU_PYTHON names.

use std::process::Command;

use msd_gpu::exchange::{to_onnx, to_torch};
use msd_gpu::geometry::Boundary;
use msd_gpu::network::{
    Architecture, Class, DilationMode, InputNormalisation, Measure, Model, Normalisation, Stem, Task,
    initialise,
};
use ndarray::{Array, Array3, Dimension};
use safetensors::tensor::{Dtype, TensorView};

use crate::support::{Bench, regression};

/// A model in which every part matters, of 1 input and 3 outputs and so on as the architecture says.
pub(super) fn model(architecture: Architecture, segment: bool) -> Model {
    let mut parameters = initialise(&architecture, 11);
    for (index, parameter) in parameters.iter_mut().enumerate().filter(|(_, p)| **p == 0.0) {
        *parameter = ((index * 37 % 23) as f32 - 9.0) / 40.0;
    }
    let (inputs, outputs) = (architecture.inputs, architecture.outputs);
    let classes = (0..outputs as i64).map(|value| Class { value: 10 * value, name: value.to_string() });
    let scale = |count: usize, mean: f32| Normalisation {
        mean: (0..count).map(|channel| mean + 10.0 * channel as f32).collect(),
        deviation: (0..count).map(|channel| 60.0 + 7.0 * channel as f32).collect(),
    };
    Model {
        parameters,
        task: if segment { Task::Segment { classes: classes.collect() } } else { Task::Regress },
        input: scale(inputs, 120.0).into(),
        target: (!segment).then(|| scale(outputs, -30.0)),
        slab: 1,
        self_supervised: None,
        upscaling: None,
        provenance: Default::default(),
        architecture,
    }
}

fn models() -> Vec<Model> {
    let mut models = Vec::new();
    for boundary in [Boundary::Reflect, Boundary::Symmetric, Boundary::Zeros] {
        let paper = Architecture { boundary, ..Architecture::new(1, 1, 12) };
        let wide = |dilation_mode| Architecture {
            boundary,
            width: 3,
            dilations: vec![1, 3, 3, 7],
            dilation_mode,
            ..Architecture::new(2, 3, 4)
        };
        let stem: Stem = "0.7,3".parse().unwrap();
        models.push(model(Architecture { inputs: 2, outputs: 3, depth: 3, stem, ..paper.clone() }, true));
        models.push(model(paper.clone(), false));
        models.push(model(Architecture { outputs: 2, dilations: vec![2, 25], ..paper }, true));
        models.push(model(wide(DilationMode::Channel), false));
        models.push(model(wide(DilationMode::Layer), true));
    }
    models.push(model(Architecture { boundary: Boundary::Symmetric, ..Architecture::new(1, 2, 60) }, true));
    models
}

/// Rows and columns; smaller than most dilations, odd and large.
const SIZES: [(usize, usize); 4] = [(1, 1), (2, 9), (17, 1), (45, 33)];

/// Exports all models in the format of `flag`, lets `predict` compute what they give on images of all sizes, and has `script` compare.
fn compare(script: &str, flag: &str, ending: &str) {
    let bench = Bench::new();
    for (index, model) in models().iter().enumerate() {
        let case = format!("case{index}");
        bench.model(&format!("{case}/m.safetensors"), model);
        bench.succeeds(&format!("export {case}/m.safetensors {flag} {case}/exported.{ending}"));
        for (height, width) in SIZES {
            let shape = (model.architecture.inputs, height, width);
            let image = Array3::from_shape_fn(shape, |(c, y, x)| {
                ((c * 71 + y * 37 + x * 101 + y * x * 7) % 251) as f32
            });
            let name = format!("{height}x{width}");
            bench.floats(&format!("{case}/images/{name}.tif"), &image);
        }
        let segment = !model.classes().is_empty();
        let more = if segment { "--probabilities" } else { "" };
        bench.succeeds(&format!(
            "predict --model {case}/m.safetensors {case}/images --out {case}/out --device cpu {more}"
        ));
        for (height, width) in SIZES {
            let name = format!("{height}x{width}");
            let result = if segment { format!("{name}_probabilities") } else { name.clone() };
            let image = bench.read(&format!("{case}/images/{name}.tif"));
            let output = bench.read(&format!("{case}/out/{result}.tif"));
            bench.bytes(&format!("{case}/{name}.pair"), &pair(&image, &output));
        }
    }
    compared_by(script, &bench, models().len() * SIZES.len());
    if ending == "py" {
        models_are_kept(&bench, models().len());
    }
}

/// Has `script` compare what the exported files in the folders case0, case1 and so on give with all pairs in these.
pub(super) fn compared_by(script: &str, bench: &Bench, pairs: usize) {
    let python = std::env::var("MSD_GPU_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = format!("{}/tests/exchange/{script}", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(&python).arg(script).arg(bench.path("")).output().expect(&python);
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    eprint!("{text}");
    assert!(output.status.success(), "{text}");
    assert!(text.contains(&format!("{pairs} comparisons")), "{text}");
}

/// Checks that what each module wrote is a model of this program, with the same results.
pub(super) fn models_are_kept(bench: &Bench, cases: usize) {
    for index in 0..cases {
        let (ours, theirs) = (format!("case{index}/m.safetensors"), format!("case{index}/saved.safetensors"));
        let [ours, theirs] = [ours, theirs].map(|path| Model::read(&bench.path(&path)).unwrap());
        assert_eq!(
            (theirs.parameters, theirs.architecture, theirs.input, theirs.target, theirs.task),
            (ours.parameters, ours.architecture, ours.input, ours.target, ours.task)
        );
        assert_eq!(theirs.provenance["changed_in"], "PyTorch");
    }
}

/// An image or volume and an output as safetensors.
pub(super) fn pair<D: Dimension>(image: &Array<f32, D>, output: &Array<f32, D>) -> Vec<u8> {
    let bytes = |array: &Array<f32, D>| array.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let all = [("image", image, bytes(image)), ("output", output, bytes(output))];
    let views = all.iter().map(|(name, array, bytes)| {
        (*name, TensorView::new(Dtype::F32, array.shape().to_vec(), bytes).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

#[test]
#[ignore = "needs Python with numpy and onnxruntime; tests/run.sh runs it"]
fn onnxruntime_gives_what_predict_gives() {
    compare("compare_onnx.py", "--onnx", "onnx");
}

#[test]
#[ignore = "needs Python with torch; tests/run.sh runs it where it is installed"]
fn pytorch_gives_what_predict_gives() {
    compare("compare_torch.py", "--torch", "py");
}

#[test]
fn what_cannot_be_exported_is_named() {
    let bench = Bench::new();
    bench.model("m.safetensors", &regression(1, 1));
    bench.refuses("export m.safetensors --torch m.txt", &["--torch", "m.txt", ".py"]);
    bench.refuses("export m.safetensors --onnx missing/m.onnx", &["missing/m.onnx"]);
    bench.refuses("export nothing --onnx m.onnx", &["nothing"]);
    let outcome = bench.run("export m.safetensors");
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("--onnx") && outcome.stderr.contains("--torch"), "{}", outcome.stderr);
    assert_eq!(bench.names("."), ["m.safetensors"]);
}

#[test]
fn both_formats_can_be_written_at_once() {
    let bench = Bench::new();
    bench.model("m.safetensors", &regression(2, 1));
    bench.succeeds("export m.safetensors --onnx out.onnx --torch net.py");
    assert_eq!(bench.names("."), ["m.safetensors", "net.py", "net.weights.safetensors", "out.onnx"]);
    let module = std::fs::read_to_string(bench.path("net.py")).unwrap();
    assert!(module.contains("/ \"net.weights.safetensors\"\n"), "{module}");
    assert_eq!(Model::read(&bench.path("net.weights.safetensors")).unwrap(), regression(2, 1));
}

#[test]
fn a_model_that_normalises_each_image_by_itself_is_refused() {
    let per_image = InputNormalisation::PerImage { per_image: Measure::MeanDeviation };
    let model = Model { input: per_image, ..model(Architecture::new(1, 1, 2), false) };
    for error in [to_onnx(&model).err(), to_torch(&model, "m.safetensors".as_ref()).err()] {
        assert!(error.unwrap().to_string().contains("`normalise_per_image`"));
    }
}
