//! `msd-gpu demo tomography`: what few noisy projections of a fibre composite show, after networks and after what people do without
//! (Pelt, Batenburg & Sethian, Journal of Imaging 4(11), 2018).
//!
//! Networks are trained on one piece and judged on another. All pieces are scanned twice, with many projections and with few; what the
//! many show is the target. The network that learns without targets has only the few of the piece that it is judged on.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use log::info;
use ndarray::{Array2, Array3, Axis, s};
use rayon::prelude::*;

use super::train;
use crate::baselines::total_variation;
use crate::commands::console;
use crate::devices::Device;
use crate::files::write_bytes_atomic;
use crate::geometry::Window;
use crate::images::{StackFormat, open_volume, write_png_rgb8};
use crate::inference::Ensemble;
use crate::metrics::circle::blank_outside;
use crate::metrics::{DataRange, RegressionScores};
use crate::network::Model;
use crate::phantom::{Phantom, PhantomKind, Scanner};
use crate::pictures::{grey_picture, montage, stretch_with};
use crate::tomography::{
    Corrections, Filter, ReconstructionSettings, Reconstructor, Scan, ScanFiles, ScanGeometry, ScanWishes,
    Share, reconstruct_scan,
};
use crate::training::{RunFolder, Settings, TaskKind};
use crate::{Error, Result};

/// The pieces: folder, slices, and the seed that they follow from.
const PIECES: [(&str, usize, u64); 3] = [("train", 24, 1), ("validation", 4, 2), ("test", 8, 3)];
/// Rows and columns of a slice, and how far slices are from each other in pixels.
const SIZE: usize = 256;
const SPACING: f64 = 8.0;
/// Projections and photons of the thorough scan and of the short one.
const MANY: (usize, f64) = (1024, 20_000.0);
const FEW: (usize, f64) = (128, 2_000.0);
/// Shares of the few projections, for learning without targets.
const SHARES: usize = 2;
/// What is tuned on so many of the training slices.
const TUNING_SLICES: usize = 4;
/// Iterations of total variation.
const ITERATIONS: usize = 150;
/// Rows and columns of the corner that is enlarged, and where it begins.
const CORNER: usize = 64;
const CORNER_AT: (usize, usize) = (112, 64);

/// A volume `[slice][y][x]`.
type Slices = Array3<f32>;

/// Runs the demonstration in the folder `out`.
pub(super) fn run(out: &Path, minutes: f64, device_name: &str, device: &Device) -> Result<()> {
    let settings = |settings: Settings| Settings {
        depth: Some(30),
        batch: 2,
        crop: Some(128),
        max_minutes: Some(minutes),
        device: device_name.into(),
        ..settings
    };
    let place = |piece: &str, file: &str| out.join(piece).join(file).display().to_string();
    let supervised = settings(Settings {
        val_images: Some(place("validation", "few.tif")),
        val_targets: Some(place("validation", "many.tif")),
        ..Settings::new(TaskKind::Regress, place("train", "few.tif"), place("train", "many.tif"))
    });
    let mut alone = settings(Settings::new(TaskKind::Regress, "", ""));
    alone.learn_from_splits((0..SHARES).map(|number| place("test", &share_name(number))).collect());
    supervised.validate()?;
    let folder = RunFolder::create(out.join("run"))?;
    let folder_alone = RunFolder::create(out.join("run-noise2inverse"))?;
    info!("making scans and reconstructions in {}", out.display());
    for (piece, slices, seed) in PIECES {
        make(&out.join(piece), slices, seed)?;
    }
    let model = train(supervised, &folder, device)?;
    let model_alone = train(alone, &folder_alone, device)?;

    info!("judging");
    // A search for tiles would take longer than the few images.
    let device = device.clone().without_search();
    let read = |piece: &str, file: &str| slices_of(&place(piece, file));
    let (few, many) = (read("test", "few.tif")?, read("test", "many.tif")?);
    let shares: Vec<Slices> =
        (0..SHARES).map(|number| read("test", &share_name(number))).collect::<Result<_>>()?;
    let (filter, filtered) = best_filter(out)?;
    let (strength, smooth) = best_strength(out, &few)?;
    let learned = predict(model, &device, &[&few])?;
    let learned_alone = predict(model_alone, &device, &shares.iter().collect::<Vec<_>>())?;

    let rows = [
        ("128 projections".to_owned(), &few),
        (format!("filter: {filter}"), &filtered),
        (format!("total variation, strength {strength:.1e}"), &smooth),
        ("network, without targets".to_owned(), &learned_alone),
        ("network, with targets".to_owned(), &learned),
    ];
    let mut text = format!(
        "{} slices of a piece that was not trained on, beside {} projections of it (data range {:.4}, what a core of a fibre adds, in the circle):\n",
        many.dim().0,
        MANY.0,
        value()
    );
    for (name, volume) in &rows {
        let scores = scores(&many, volume)?;
        let (psnr, ssim) = (scores.psnr().unwrap_or(f64::NAN), scores.ssim().unwrap_or(f64::NAN));
        text += &format!("  {name:<35} PSNR {psnr:.2} dB, SSIM {ssim:.3}\n");
    }
    let picture = picture(&many, &rows.each_ref().map(|(_, volume)| *volume));
    write_png_rgb8(out.join("picture.png"), &picture)?;
    write_bytes_atomic(out.join("metrics.txt"), text.as_bytes())?;
    console::line(text.trim_end());
    console::line(format!(
        "
Above a slice, below its corner enlarged: {picture}

The same with your own scans:
  msd-gpu tomo reconstruct SCAN.h5 --out many.tif
  msd-gpu tomo reconstruct SCAN.h5 --every 8 --out few.tif
  msd-gpu train regress --images few.tif --targets many.tif --val-fraction 0.2 --max-minutes 20 --out RUN
  msd-gpu predict --model RUN OTHER_FEW.tif --out denoised.tif
and without a thorough scan:
  msd-gpu tomo denoise SCAN.h5 --out denoised.tif",
        picture = out.join("picture.png").display(),
    ));
    Ok(())
}

fn share_name(number: usize) -> String {
    format!("few_{number}.tif")
}

/// What material of value 1 is in a reconstruction, in 1 / pixel.
fn value() -> f64 {
    Scanner::default().attenuation / SIZE as f64
}

/// Scans a piece twice and reconstructs the scans.
fn make(folder: &Path, slices: usize, seed: u64) -> Result<()> {
    std::fs::create_dir_all(folder)
        .map_err(|e| Error::output(folder, format!("{e}; name a folder that can be made with --out")))?;
    let phantom = Phantom::new(PhantomKind::Fibres, SIZE, slices, SPACING, seed);
    for (name, (projections, photons)) in [("many", MANY), ("few", FEW)] {
        let scanner = Scanner { projections, photons: Some(photons), seed, ..Scanner::default() };
        let file = folder.join(format!("{name}.h5"));
        scanner.scan(&phantom)?.write_dxchange(&file, None)?;
        let scan = Scan::open(&file.display().to_string(), &ScanFiles::default())?;
        let volume = |first: usize, step: usize, out: PathBuf| -> Result<Share> {
            let projections: Vec<usize> = (first..projections).step_by(step).collect();
            let reconstructor = reconstructor(&scan, &projections, Filter::default())?;
            Ok(Share { projections, reconstructor, out })
        };
        let mut volumes = vec![volume(0, 1, folder.join(format!("{name}.tif")))?];
        if name == "few" {
            for number in 0..SHARES {
                volumes.push(volume(number, SHARES, folder.join(share_name(number)))?);
            }
        }
        reconstruct_scan(&scan, &volumes, &ScanWishes::new(0..slices, StackFormat::Tiff), &mut ())?;
    }
    Ok(())
}

fn reconstructor(scan: &Scan, projections: &[usize], filter: Filter) -> Result<Reconstructor> {
    let angles = projections.iter().map(|&projection| scan.angles()[projection]).collect();
    let geometry = ScanGeometry::new(angles, scan.size().1, (SIZE as f64 - 1.0) / 2.0)?;
    Reconstructor::new(geometry, ReconstructionSettings { filter, ..Default::default() })
}

/// The slices of a volume in a file.
fn slices_of(path: &str) -> Result<Slices> {
    let volume = open_volume(path)?;
    Ok(volume.read(Window::whole(volume.extent()))?.index_axis_move(Axis(0), 0))
}

/// What a model makes of a volume, or of recordings of it.
fn predict(model: Model, device: &Device, recordings: &[&Slices]) -> Result<Slices> {
    let mut ensemble = Ensemble::new(vec![("the model".into(), model)], device, None, false)?;
    let first = recordings.first().ok_or_else(|| Error::Mismatch("no recordings; wanted one".into()))?;
    let mut results = Slices::zeros(first.dim());
    for (number, mut place) in results.outer_iter_mut().enumerate() {
        let images: Vec<Array3<f32>> =
            recordings.iter().map(|volume| volume.slice(s![number..number + 1, .., ..]).to_owned()).collect();
        let prediction = match images.as_slice() {
            [image] => ensemble.predict(image, false)?,
            several => ensemble.predict_recordings(several, false, &mut |_| ControlFlow::Continue(()))?,
        };
        place.assign(&prediction.mean.index_axis(Axis(0), 0));
    }
    Ok(results)
}

/// How near `found` is to `wanted` in the circle that all projections show.
fn scores(wanted: &Slices, found: &Slices) -> Result<RegressionScores> {
    let mut scores = RegressionScores::new(DataRange::given(value())?);
    let mut wanted = wanted.clone();
    blank_outside(&mut wanted);
    for (wanted, found) in wanted.outer_iter().zip(found.outer_iter()) {
        scores.add(wanted.insert_axis(Axis(0)), found.insert_axis(Axis(0)))?;
    }
    Ok(scores)
}

fn psnr(wanted: &Slices, found: &Slices) -> Result<f64> {
    Ok(scores(wanted, found)?.psnr().unwrap_or(f64::NEG_INFINITY))
}

/// Some slices of the training piece, from few and from many projections.
fn tuning_slices(out: &Path) -> Result<(Slices, Slices)> {
    let read = |file: &str| -> Result<Slices> {
        let slices = slices_of(&out.join("train").join(file).display().to_string())?;
        let step = slices.dim().0.div_ceil(TUNING_SLICES).max(1);
        Ok(slices.slice(s![..;step, .., ..]).to_owned())
    };
    Ok((read("few.tif")?, read("many.tif")?))
}

/// The filter that does best on training slices, and the test piece reconstructed with it.
fn best_filter(out: &Path) -> Result<(Filter, Slices)> {
    let reconstructed = |piece: &str, filter: Filter| -> Result<Slices> {
        let path = out.join(piece).join("few.h5").display().to_string();
        let scan = Scan::open(&path, &ScanFiles::default())?;
        let corrected = Corrections::default().read(&scan, 0..scan.size().0)?;
        let all: Vec<usize> = (0..scan.angles().len()).collect();
        reconstructor(&scan, &all, filter)?.reconstruct(corrected.sinograms.view())
    };
    let wanted = slices_of(&out.join("train").join("many.tif").display().to_string())?;
    let mut best = (Filter::default(), f64::NEG_INFINITY);
    for &filter in Filter::ALL {
        let found = psnr(&wanted, &reconstructed("train", filter)?)?;
        if found > best.1 {
            best = (filter, found);
        }
    }
    Ok((best.0, reconstructed("test", best.0)?))
}

/// The strength of total variation that does best on training slices, and the test piece after it.
fn best_strength(out: &Path, few: &Slices) -> Result<(f64, Slices)> {
    let smoothed = |volume: &Slices, strength: f64| {
        let slices: Vec<Array2<f32>> = (0..volume.dim().0)
            .into_par_iter()
            .map(|number| total_variation(volume.index_axis(Axis(0), number), strength as f32, ITERATIONS))
            .collect();
        let mut all = Slices::zeros(volume.dim());
        all.outer_iter_mut().zip(&slices).for_each(|(mut place, slice)| place.assign(slice));
        all
    };
    let (tuned_few, tuned_many) = tuning_slices(out)?;
    let mut best = (0.0, f64::NEG_INFINITY);
    // In shares of what material is.
    for step in 0..12 {
        let strength = value() * 0.02 * 1.6_f64.powi(step);
        let found = psnr(&tuned_many, &smoothed(&tuned_few, strength))?;
        if found > best.1 {
            best = (strength, found);
        }
    }
    Ok((best.0, smoothed(few, best.0)))
}

/// A slice of the target and of all results, and below each its corner, enlarged.
fn picture(many: &Slices, results: &[&Slices]) -> Array3<u8> {
    let slice = many.dim().0 / 2;
    let greys = (-0.1 * value() as f32, 1.15 * value() as f32);
    let (y, x) = CORNER_AT;
    let all = || std::iter::once(many).chain(results.iter().copied());
    let show = |image: ndarray::ArrayView2<f32>| grey_picture(stretch_with(image, greys).view());
    let whole = all().map(|volume| show(volume.index_axis(Axis(0), slice))).collect();
    let corner =
        all().map(|volume| enlarged(&show(volume.slice(s![slice, y..y + CORNER, x..x + CORNER])))).collect();
    let captions = [
        "1024 projections",
        "128 projections",
        "smoother filter",
        "total variation",
        "no targets",
        "with targets",
    ];
    montage(&captions, &[whole, corner])
}

/// As large as a whole slice, without smoothing.
fn enlarged(picture: &Array3<u8>) -> Array3<u8> {
    let factor = SIZE / CORNER;
    let (height, width, colours) = picture.dim();
    Array3::from_shape_fn((factor * height, factor * width, colours), |(y, x, colour)| {
        picture[[y / factor, x / factor, colour]]
    })
}
