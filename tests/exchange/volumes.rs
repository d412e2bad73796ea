//! Networks of volumes: ONNX and PyTorch give what the equations give, and those of msd_pytorch give what PyTorch gave. The files of the
//! latter were written by PyTorch (`make_volumes.py`), which computed what they give too.

use msd_gpu::geometry::{Boundary, Extent};
use msd_gpu::network::{Architecture, DilationMode, Model};
use msd_gpu::reference;
use msd_gpu::selftest::Case;
use ndarray::{Array2, Array4, Axis};

use super::export::{compared_by, model, models_are_kept, pair};
use super::import::{imported, stored};
use super::{TOLERANCE, relative_distance};
use crate::support::Bench;

/// What the equations in float64 make of a volume `[channel][z][y][x]`, in the units of the targets or as probabilities.
fn given(model: &Model, volume: &Array4<f32>) -> Array4<f32> {
    let (_, z, y, x) = volume.dim();
    let parameters: Vec<f64> = model.parameters.iter().map(|&parameter| parameter.into()).collect();
    let input = model.input.of_set().unwrap();
    let mut normalised = volume.mapv(f64::from);
    for (channel, mut voxels) in normalised.outer_iter_mut().enumerate() {
        let (mean, deviation) = (f64::from(input.mean[channel]), f64::from(input.deviation[channel]));
        voxels.mapv_inplace(|value| (value - mean) / deviation);
    }
    let extent = Extent::new(z, y, x);
    let pass = reference::forward(&model.architecture, &parameters, normalised.as_slice().unwrap(), extent);
    let mut outputs = Array4::from_shape_vec((pass.outputs.len(), z, y, x), pass.outputs.concat()).unwrap();
    match &model.target {
        Some(target) => {
            for (channel, mut voxels) in outputs.outer_iter_mut().enumerate() {
                let (mean, deviation) =
                    (f64::from(target.mean[channel]), f64::from(target.deviation[channel]));
                voxels.mapv_inplace(|value| value * deviation + mean);
            }
        }
        None => {
            for mut classes in outputs.lanes_mut(Axis(0)) {
                let largest = classes.fold(f64::NEG_INFINITY, |most, &output| most.max(output));
                classes.mapv_inplace(|output| (output - largest).exp());
                classes /= classes.sum();
            }
        }
    }
    outputs.mapv(|value| value as f32)
}

/// In none of them are the taps beside the slice 0, also where nothing is seen through them.
fn models() -> Vec<Model> {
    let mut models = Vec::new();
    for boundary in [Boundary::Reflect, Boundary::Symmetric, Boundary::Zeros] {
        let paper = Architecture { dimensions: 3, boundary, ..Architecture::new(1, 1, 10) };
        let wide = |dilation_mode, dilations_z: &[usize]| Architecture {
            inputs: 2,
            outputs: 3,
            width: 3,
            depth: 4,
            dilations: vec![1, 3, 3, 7],
            dilations_z: dilations_z.to_vec(),
            dilation_mode,
            ..paper.clone()
        };
        let flat = Architecture { outputs: 2, depth: 3, dilations_z: vec![0], ..paper.clone() };
        let beyond = Architecture { dilations: vec![2, 25], dilations_z: vec![13, 1], ..flat.clone() };
        models.push(model(wide(DilationMode::Channel, &[0, 1, 2]), false));
        models.push(model(wide(DilationMode::Layer, &[0, 2]), true));
        models.extend([paper, flat].map(|architecture| model(architecture, false)));
        models.push(model(beyond, true));
    }
    models.extend((0..8).map(|seed| model(Case::random_volume(seed).architecture, seed % 2 == 0)));
    models
}

/// Slices, rows and columns; one voxel, one row, and smaller than most dilations along each axis.
const SIZES: [(usize, usize, usize); 4] = [(1, 1, 1), (2, 9, 3), (7, 1, 5), (6, 11, 13)];

/// Exports all models in the format of `flag`, and has `script` compare what they give with what the equations give.
fn compare(script: &str, flag: &str, ending: &str) {
    let bench = Bench::new();
    for (index, model) in models().iter().enumerate() {
        let case = format!("case{index}");
        bench.model(&format!("{case}/m.safetensors"), model);
        bench.succeeds(&format!("export {case}/m.safetensors {flag} {case}/exported.{ending}"));
        for (slices, rows, columns) in SIZES {
            let shape = (model.architecture.inputs, slices, rows, columns);
            let volume = Array4::from_shape_fn(shape, |(c, z, y, x)| {
                ((c * 71 + z * 53 + y * 37 + x * 101 + z * y * 11 + y * x * 7) % 251) as f32
            });
            let output = given(model, &volume);
            bench.bytes(&format!("{case}/{slices}x{rows}x{columns}.pair"), &pair(&volume, &output));
        }
    }
    compared_by(script, &bench, models().len() * SIZES.len());
    if ending == "py" {
        models_are_kept(&bench, models().len());
    }
}

#[test]
#[ignore = "needs Python with numpy and onnxruntime; tests/run.sh runs it"]
fn onnxruntime_gives_what_the_equations_give_for_volumes() {
    compare("compare_onnx.py", "--onnx", "onnx");
}

#[test]
#[ignore = "needs Python with torch; tests/run.sh runs it where it is installed"]
fn pytorch_gives_what_the_equations_give_for_volumes() {
    compare("compare_torch.py", "--torch", "py");
}

#[test]
fn networks_of_volumes_are_written_in_both_formats() {
    let bench = Bench::new();
    bench.model("m.safetensors", &models()[0]);
    bench.succeeds("export m.safetensors --onnx out.onnx --torch net.py");
    assert_eq!(bench.names("."), ["m.safetensors", "net.py", "net.weights.safetensors", "out.onnx"]);
}

#[test]
fn networks_of_msd_pytorch_give_what_pytorch_gave() {
    for (name, flags) in [("volumes_regression.torch", ""), ("volumes_segmentation.pt", "--dilations 1,2,4")]
    {
        let model = imported(name, flags);
        assert!(model.architecture.is_of_volumes(), "{name}");
        let part =
            |what: &str| -> Array4<f32> { stored("volumes_expected.safetensors", &format!("{name}.{what}")) };
        let apart = relative_distance(&given(&model, &part("image")), &part("output"));
        assert!(apart < TOLERANCE, "{name}: {apart:.1e} apart");
        if model.classes().is_empty() {
            // What the program itself gives, from a file to a file.
            let bench = Bench::new();
            bench.model("m.safetensors", &model);
            let slices: Vec<Array2<f32>> =
                part("image").index_axis(Axis(0), 0).outer_iter().map(|slice| slice.to_owned()).collect();
            bench.float_stack("v.tif", &slices);
            bench.succeeds("predict --model m.safetensors v.tif --out out --device cpu");
            for (z, wanted) in part("output").axis_iter(Axis(1)).enumerate() {
                let apart = relative_distance(&bench.read_page("out/v.tif", z), &wanted.to_owned());
                assert!(apart < TOLERANCE, "{name}, slice {z}: {apart:.1e} apart");
            }
        }
    }
}
