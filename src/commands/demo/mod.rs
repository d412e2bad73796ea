//! `msd-gpu demo`: the whole way from images to a trained network, on images that it makes itself.
//!
//! `tomography` is the founding experiment: volumes from few projections. `volume` compares networks of two and of three dimensions.
//!
//! The images are written as files and read back like anybody's, so that the commands it prints at the end do
//! the same with the user's own.

mod tomography;
mod volume;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use log::info;
use ndarray::{Array2, Array3, Axis};

use super::console;
use super::device::DeviceArguments;
use super::training_progress::{ProgressWatcher, report};
use crate::devices::Device;
use crate::evaluation::{Evaluation, Found, Judge, TaskScores};
use crate::files::write_bytes_atomic;
use crate::images::{write_labels, write_png_rgb8, write_tiff_f32};
use crate::inference::Ensemble;
use crate::metrics::{DataRange, RegressionScores};
use crate::network::{Class, Model};
use crate::phantom::{foam, shapes};
use crate::pictures::{grey_picture, label_picture, montage, over_legend, range_of, stretch, stretch_with};
use crate::samples::{Classes, LabelMapping, Sample, Target, load_regression, load_segmentation};
use crate::training::{Outcome, Prepared, Run, RunFolder, Settings, StopReason, TaskKind};
use crate::{Error, Result};

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArguments {
    /// What to show
    #[arg(value_enum, default_value = "segment")]
    what: What,
    /// Folder for the images, the model and the pictures [demo-segment, demo-denoise, demo-tomography or demo-volume]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Minutes of training, of each network
    #[arg(long, default_value_t = 1.5, allow_negative_numbers = true)]
    minutes: f64,
    /// Of the volume: with streaks along z, as in tomograms with a missing wedge
    #[arg(long)]
    wedge: bool,
    #[command(flatten)]
    device: DeviceArguments,
}

/// What a demo shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Shapes of several sizes and textures in strong noise, by class
    Segment,
    /// Foam, reconstructed from few noisy projections
    Denoise,
    /// A fibre composite from 128 noisy projections instead of 1024: trained on one piece and judged on another, beside smoother filters,
    /// total variation, and a network that has seen the noisy projections alone
    Tomography,
    /// Cells in a volume, learnt by networks of slices, of slabs of slices and of three dimensions in the same time
    Volume,
}

/// Which pairs of images and targets a demo makes and learns from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pairs {
    Segment,
    Denoise,
}

/// Images for training, for validation, and for the final judgement.
const SETS: [(&str, u64); 3] = [("train", 24), ("validation", 4), ("test", 4)];
/// Rows and columns of the shapes, and of the foam.
const SHAPES_SIZE: usize = 128;
const FOAM_SIZE: usize = 192;
/// Deviation of the noise on the shapes.
const SHAPES_NOISE: f32 = 0.25;
/// Projections of the clean and of the noisy tomograms, and photons a ray of the noisy ones.
const FOAM_ANGLES: (usize, usize) = (384, 48);
const FOAM_PHOTONS: f64 = 1e4;
/// Rows of the picture.
const PICTURES: usize = 3;

/// Runs the command.
pub fn run(arguments: DemoArguments) -> Result<()> {
    if arguments.wedge && arguments.what != What::Volume {
        let wanted = "only `demo volume` has streaks; leave it out";
        return Err(Error::setting("--wedge", "given for another demo", wanted));
    }
    let device = arguments.device.choose()?;
    let what = match arguments.what {
        What::Segment => Pairs::Segment,
        What::Denoise => Pairs::Denoise,
        What::Tomography => {
            let out = arguments.out.unwrap_or_else(|| "demo-tomography".into());
            return tomography::run(&out, arguments.minutes, arguments.device.name(), &device);
        }
        What::Volume => {
            let out = arguments.out.unwrap_or_else(|| "demo-volume".into());
            let (minutes, name) = (arguments.minutes, arguments.device.name());
            return volume::run(&out, minutes, arguments.wedge, name, &device);
        }
    };
    let (kind, images, settings, folder) = match what {
        Pairs::Segment => ("segment", "labels", TaskKind::Segment, "demo-segment"),
        Pairs::Denoise => ("regress", "targets", TaskKind::Regress, "demo-denoise"),
    };
    let out = &arguments.out.unwrap_or_else(|| folder.into());
    let place = |set: &str, what: &str| out.join(set).join(what).display().to_string();
    let settings = Settings {
        val_images: Some(place("validation", "images")),
        val_targets: Some(place("validation", images)),
        depth: Some(30),
        batch: 2,
        crop: Some(128),
        max_minutes: Some(arguments.minutes),
        device: arguments.device.name().into(),
        ..Settings::new(settings, place("train", "images"), place("train", images))
    };
    settings.validate()?;
    let folder = RunFolder::create(out.join("run"))?;
    info!("making images in {}", out.display());
    make_images(out, what)?;
    let prepared = Prepared::load(&settings)?;
    let mut watcher = ProgressWatcher::new();
    let run = Run::new(settings, &prepared).on(&device).save_in(&folder);
    let outcome = run.watched_by(&mut watcher).train()?;
    drop(watcher);
    report(&outcome, &folder);

    // A search would take longer than the few images.
    let (text, picture) = judge(out, what, &outcome, &device.without_search())?;
    write_png_rgb8(out.join("picture.png"), &picture)?;
    write_bytes_atomic(out.join("metrics.txt"), text.as_bytes())?;
    console::line(text.trim_end());
    console::line(format!(
        "
Input, target and output side by side: {picture}

With your own images (PNG or TIFF, targets of the same names):
  msd-gpu train {kind} --images IMAGES --targets TARGETS --val-fraction 0.2 --max-minutes 20 --out RUN
  msd-gpu predict --model RUN MORE_IMAGES --out RESULTS
  msd-gpu evaluate --model RUN --images TEST_IMAGES --targets TEST_TARGETS",
        picture = out.join("picture.png").display(),
    ));
    Ok(())
}

/// Trains one of several networks until its minutes are over.
fn train(settings: Settings, folder: &RunFolder, device: &Device) -> Result<Model> {
    let prepared = Prepared::load(&settings)?;
    let mut watcher = ProgressWatcher::new();
    let run = Run::new(settings, &prepared).on(device).save_in(folder);
    let outcome = run.watched_by(&mut watcher).train()?;
    drop(watcher);
    if outcome.reason == StopReason::Asked {
        return Err(Error::Stopped { done: 0, count: 1 });
    }
    report(&outcome, folder);
    Ok(outcome.model)
}

/// Writes the images of all sets with their targets.
fn make_images(out: &Path, what: Pairs) -> Result<()> {
    let mut seed = 0;
    for (set, count) in SETS {
        let targets = match what {
            Pairs::Segment => "labels",
            Pairs::Denoise => "targets",
        };
        let (images, targets) = (out.join(set).join("images"), out.join(set).join(targets));
        for folder in [&images, &targets] {
            std::fs::create_dir_all(folder).map_err(|e| {
                Error::output(folder, format!("{e}; name a folder that can be made with --out"))
            })?;
        }
        for number in 0..count {
            seed += 1;
            let image = images.join(format!("{number:02}.tif"));
            match what {
                Pairs::Segment => {
                    let phantom = shapes::phantom(SHAPES_SIZE, SHAPES_NOISE, seed);
                    write_tiff_f32(image, &one_channel(phantom.image))?;
                    write_labels(targets.join(format!("{number:02}.png")), &phantom.labels.mapv(i64::from))?;
                }
                Pairs::Denoise => {
                    let (clean, noisy) = FOAM_ANGLES;
                    let (input, target) = foam::denoising_pair(FOAM_SIZE, clean, noisy, FOAM_PHOTONS, seed)?;
                    write_tiff_f32(image, &one_channel(input))?;
                    write_tiff_f32(targets.join(format!("{number:02}.tif")), &one_channel(target))?;
                }
            }
        }
    }
    Ok(())
}

fn one_channel(image: Array2<f32>) -> Array3<f32> {
    image.insert_axis(Axis(0))
}

/// Applies the best model to the test images: a few lines of metrics, and the picture.
fn judge(out: &Path, what: Pairs, outcome: &Outcome, device: &Device) -> Result<(String, Array3<u8>)> {
    let model = &outcome.model;
    let place = |what: &str| out.join("test").join(what).display().to_string();
    let test = match what {
        Pairs::Segment => {
            let values = model.classes().iter().map(|class| class.value).collect();
            let mapping = LabelMapping { values, ignored: None };
            load_segmentation(&place("images"), &place("labels"), Classes::Known(&mapping))?.0
        }
        Pairs::Denoise => load_regression(&place("images"), &place("targets"))?,
    };
    let mut network = Ensemble::new(vec![("the model".into(), model.clone())], device, None, false)?;
    let judge = match what {
        Pairs::Segment => Judge::new(&model.task),
        Pairs::Denoise => Judge::new(&model.task).with_range(Some(DataRange::given(1.0)?)).comparing_input(),
    };
    let mut rows = Vec::new();
    let evaluation =
        judge.run_over(&mut network, &test, &mut (), |sample, found| rows.push(row(sample, found)))?;
    rows.truncate(PICTURES);
    let names: Vec<String> = model.classes().iter().map(class_name).collect();
    let picture = montage(&["input", "target", "output"], &rows);
    Ok((words(&evaluation, model), over_legend(picture, &names)))
}

/// Image, target and output side by side.
fn row(sample: &Sample, found: &Found) -> Vec<Array3<u8>> {
    match (&sample.target, found) {
        (Target::Classes(wanted), Found::Classes(found)) => {
            vec![grey(&sample.image), label_picture(wanted.view()), label_picture(found.view())]
        }
        (Target::Values(wanted), Found::Values(found)) => {
            let greys = range_of(wanted.index_axis(Axis(0), 0)).unwrap_or((0.0, 1.0));
            let show =
                |image: &Array3<f32>| grey_picture(stretch_with(image.index_axis(Axis(0), 0), greys).view());
            vec![show(&sample.image), show(wanted), show(found)]
        }
        _ => Vec::new(),
    }
}

/// What a class of the demo shows.
fn class_name(class: &Class) -> String {
    let name = usize::try_from(class.value).ok().and_then(|value| shapes::CLASS_NAMES.get(value));
    name.map_or_else(|| class.name.clone(), |name| (*name).to_owned())
}

/// The scores, for people.
fn words(evaluation: &Evaluation, model: &Model) -> String {
    let count = evaluation.images;
    match &evaluation.scores {
        TaskScores::Segment { matrix, .. } => {
            let number = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.3}"));
            let mut text = format!("On {count} images that were not trained on:\n");
            for (class, scores) in model.classes().iter().zip(matrix.per_class()) {
                text += &format!("  {:<17} IoU {}\n", class_name(class), number(scores.iou));
            }
            let (iou, accuracy) = (number(matrix.mean_iou()), number(matrix.class_accuracy()));
            text + &format!("  {:<17} IoU {iou}, class accuracy {accuracy}\n", "mean")
        }
        TaskScores::Regress { output, input } => {
            let line = |name: &str, scores: &RegressionScores| {
                let (psnr, ssim) = (scores.psnr().unwrap_or(f64::NAN), scores.ssim().unwrap_or(f64::NAN));
                format!("  {name:<7} PSNR {psnr:.2} dB, SSIM {ssim:.3}\n")
            };
            let mut text = format!("On {count} images that were not trained on (data range 1):\n");
            text += &input.as_ref().map_or(String::new(), |input| line("input", input));
            text + &line("output", output)
        }
    }
}

fn grey(image: &Array3<f32>) -> Array3<u8> {
    grey_picture(stretch(image.index_axis(Axis(0), 0)).view())
}
