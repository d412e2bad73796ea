//! A published denoiser of msd_pytorch and its published result (Hendriksen et al., Noise2Inverse, 2020), where the
//! data is there: the network was applied to the mean of three of four reconstructions, for each of the four choices.

use std::path::{Path, PathBuf};

use msd_gpu::exchange::{ImportOptions, import};
use msd_gpu::inference::Predictor;
use msd_gpu::{devices, images};
use ndarray::Array3;

use super::{TOLERANCE, relative_distance};

/// The units of the network are 200 times those of the reconstructions.
const UNIT: f32 = 200.0;

fn image(path: &Path) -> Array3<f32> {
    images::read_image(&images::discover(path.to_str().unwrap()).unwrap()[0]).unwrap()
}

fn reproduces_the_published_slice(device: &str) {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/golden_denoiser");
    if !folder.is_dir() {
        eprintln!("skipped: {} is not here", folder.display());
        return;
    }
    let parts: Vec<_> =
        (0..4).map(|part| image(&folder.join(format!("reconstructions/{part}/output_00256.tif")))).collect();
    let model = import(&folder.join("weights/weights.torch"), &ImportOptions::default()).unwrap().model;
    assert_eq!((model.architecture.depth, model.parameters.len()), (100, 45_652));
    let mut predictor = Predictor::new(model, &devices::choose(device).unwrap(), None).unwrap();
    let mut mean = Array3::zeros(parts[0].dim());
    for left_out in 0..4 {
        let others = (0..4).filter(|part| *part != left_out);
        let sum = others.fold(Array3::zeros(mean.dim()), |sum: Array3<f32>, part| sum + &parts[part]);
        mean += &(predictor.values(&(sum * (UNIT / 3.0))).unwrap() / (4.0 * UNIT));
    }
    let apart = relative_distance(&mean, &image(&folder.join("denoised/output_00256.tif")));
    eprintln!("{device}: relative distance {apart:.2e}");
    assert!(apart < TOLERANCE, "{device}: relative distance {apart:.2e}");
}

#[test]
fn the_published_slice_on_the_cpu() {
    reproduces_the_published_slice("cpu");
}

#[test]
fn the_published_slice_on_a_gpu() {
    reproduces_the_published_slice("gpu");
}
