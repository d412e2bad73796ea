//! `msd-gpu demo volume`: cells in a volume, learnt by networks of slices, of slabs of slices and of three dimensions in the same time.
//!
//! Two of the classes are discs of one brightness in any slice, and differ in how they go on above and below it.

use std::path::Path;

use log::info;
use ndarray::{Array2, Array3, Axis};

use super::train;
use crate::commands::console;
use crate::devices::Device;
use crate::evaluation::{Found, Judge, TaskScores};
use crate::files::write_bytes_atomic;
use crate::geometry::{Extent, Window};
use crate::images::{Discovery, LabelFormat, NewStack, Sink, StackFormat, write_png_rgb8};
use crate::inference::Ensemble;
use crate::metrics::{ConfusionMatrix, UNLABELLED};
use crate::network::Model;
use crate::phantom::cells::{CLASSES, cells};
use crate::pictures::{grey_picture, label_picture, montage, orthogonal_cuts, over_legend, stretch};
use crate::samples::{Classes, DataFiles, LabelMapping};
use crate::training::{RunFolder, Settings, TaskKind};
use crate::{Error, Result};

/// The volumes: folder, name, and the seed that they follow from.
const VOLUMES: [(&str, &str, u64); 4] =
    [("train", "a", 1), ("train", "b", 2), ("validation", "c", 3), ("test", "d", 4)];
/// Slices, rows and columns of a volume, and the deviation of its noise.
const EXTENT: Extent = Extent { z: 48, y: 96, x: 96 };
const NOISE: f32 = 0.3;
/// Slices of a slab.
const SLAB: usize = 5;

/// A network that is compared.
struct Contestant {
    name: &'static str,
    folder: &'static str,
    dimensions: usize,
    slab: usize,
}

const CONTESTANTS: [Contestant; 3] = [
    Contestant { name: "slices", folder: "run-2d", dimensions: 2, slab: 1 },
    Contestant { name: "slabs of 5", folder: "run-slab", dimensions: 2, slab: SLAB },
    Contestant { name: "volumes", folder: "run-3d", dimensions: 3, slab: 1 },
];

/// Runs the demonstration in the folder `out`.
pub(super) fn run(out: &Path, minutes: f64, wedge: bool, device_name: &str, device: &Device) -> Result<()> {
    let place = |set: &str, what: &str| out.join(set).join(what).display().to_string();
    let settings = |contestant: &Contestant| Settings {
        val_images: Some(place("validation", "images")),
        val_targets: Some(place("validation", "labels")),
        dimensions: contestant.dimensions,
        slab: contestant.slab,
        depth: Some(if contestant.dimensions == 3 { 16 } else { 30 }),
        dilations: if contestant.dimensions == 3 { "1..4".into() } else { "1..10".into() },
        crop: Some(if contestant.dimensions == 3 { 32 } else { 96 }),
        favour_rare: Some(0.5),
        class_names: Some(CLASSES.join(",")),
        max_minutes: Some(minutes),
        device: device_name.into(),
        ..Settings::new(TaskKind::Segment, place("train", "images"), place("train", "labels"))
    };
    for contestant in &CONTESTANTS {
        settings(contestant).validate()?;
    }
    let folders: Vec<RunFolder> = CONTESTANTS
        .iter()
        .map(|contestant| RunFolder::create(out.join(contestant.folder)))
        .collect::<Result<_>>()?;
    info!("making volumes in {}", out.display());
    for (set, name, seed) in VOLUMES {
        make(&out.join(set), name, wedge, seed)?;
    }
    let mut results = Vec::new();
    for (contestant, folder) in CONTESTANTS.iter().zip(&folders) {
        info!("training the network of {} for {minutes} minutes", contestant.name);
        let model = train(settings(contestant), folder, device)?;
        results.push((contestant, judge(out, model, contestant, device)?));
    }

    let mut text = format!(
        "Dice on a volume of {EXTENT} voxels that was not trained on, after {minutes} minutes each:\n  {:<12}",
        ""
    );
    for (contestant, _) in &results {
        text += &format!("{:>12}", contestant.name);
    }
    let number = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.3}"));
    let row = |name: &str, value: &dyn Fn(&ConfusionMatrix) -> Option<f64>| {
        let values = results.iter().map(|(_, found)| format!("{:>12}", number(value(&found.matrix))));
        format!("\n  {name:<12}{}", values.collect::<String>())
    };
    for (class, name) in CLASSES.iter().enumerate() {
        text += &row(name, &|matrix| matrix.per_class()[class].dice);
    }
    text += &row("mean", &ConfusionMatrix::mean_dice);
    let picture = picture(&results);
    write_png_rgb8(out.join("picture.png"), &picture)?;
    write_bytes_atomic(out.join("metrics.txt"), format!("{text}\n").as_bytes())?;
    console::line(text);
    console::line(format!(
        "
The middle slice, below and beside it cuts along z: {picture}

The same with your own volumes (stacks, or folders of slices; labels likewise):
  msd-gpu train segment --dimensions 3 --images VOLUMES --targets LABELS --val-fraction 0.2 --max-minutes 20 --out RUN
  msd-gpu predict --model RUN OTHER.tif --out labels.tif",
        picture = out.join("picture.png").display(),
    ));
    Ok(())
}

/// Writes a volume and its labels.
fn make(folder: &Path, name: &str, wedge: bool, seed: u64) -> Result<()> {
    let (volume, labels) = cells(EXTENT, NOISE, wedge, seed);
    let stack = |what: &str| -> Result<NewStack> {
        let folder = folder.join(what);
        std::fs::create_dir_all(&folder)
            .map_err(|e| Error::output(&folder, format!("{e}; name a folder that can be made with --out")))?;
        Ok(NewStack::new(folder.join(format!("{name}.tif")), EXTENT))
    };
    let whole = Window::whole(EXTENT);
    let mut sink = Box::new(stack("images")?.values(StackFormat::Tiff)?);
    sink.write(whole, volume.view().insert_axis(Axis(0)))?;
    sink.done()?;
    let mut sink = Box::new(stack("labels")?.labels(StackFormat::Tiff, LabelFormat::Png8, None)?);
    sink.write(whole, labels.mapv(i64::from).view().insert_axis(Axis(0)))?;
    sink.done()
}

/// What a network makes of the test volume: rows of all slices, one below the other.
struct Judgement {
    matrix: ConfusionMatrix,
    input: Array2<f32>,
    wanted: Array2<u32>,
    found: Array2<u32>,
}

/// Judges a model by the test volume.
fn judge(out: &Path, model: Model, contestant: &Contestant, device: &Device) -> Result<Judgement> {
    let place = |what: &str| out.join("test").join(what).display().to_string();
    let values = model.classes().iter().map(|class| class.value).collect();
    let mapping = LabelMapping { values, ignored: None };
    let discovery = Discovery { slab: contestant.slab, ..Discovery::default() };
    let (images, labels) = (place("images"), place("labels"));
    let files = DataFiles::new(&images, &labels).found_by(discovery);
    let set = files.segmentation(Classes::Known(&mapping))?.0;
    let set = if contestant.dimensions == 3 { set.into_volumes()? } else { set };
    // A search for tiles would take longer than the volume.
    let device = device.clone().without_search();
    let task = model.task.clone();
    let middle = model.middle_channels().start;
    let mut network = Ensemble::new(vec![("the model".into(), model)], &device, None, false)?;
    let (mut input, mut wanted, mut found) = (Vec::new(), Vec::new(), Vec::new());
    let evaluation = Judge::new(&task).run_over(&mut network, &set, &mut (), |sample, result| {
        input.extend(sample.image.index_axis(Axis(0), middle).iter().copied());
        if let crate::samples::Target::Classes(classes) = &sample.target {
            wanted.extend(classes.iter().copied());
        }
        if let Found::Classes(classes) = result {
            found.extend(classes.iter().copied());
        }
    })?;
    let TaskScores::Segment { matrix, .. } = evaluation.scores else {
        return Err(Error::Mismatch("the model is no segmentation; wanted one".into()));
    };
    let shape = (EXTENT.z * EXTENT.y, EXTENT.x);
    let other =
        |_| Error::Mismatch("the test volume has another size than it was made with; wanted the same".into());
    Ok(Judgement {
        matrix,
        input: Array2::from_shape_vec(shape, input).map_err(other)?,
        wanted: Array2::from_shape_vec(shape, wanted).map_err(other)?,
        found: Array2::from_shape_vec(shape, found).map_err(other)?,
    })
}

/// Cuts through the volume, its labels, and what each network makes of it.
fn picture(results: &[(&Contestant, Judgement)]) -> Array3<u8> {
    let Some((_, first)) = results.first() else { return Array3::zeros((1, 1, 3)) };
    let grey = stretch(first.input.view());
    let labels =
        |classes: &Array2<u32>| label_picture(orthogonal_cuts(classes.view(), EXTENT.z, UNLABELLED).view());
    let mut row = vec![grey_picture(orthogonal_cuts(grey.view(), EXTENT.z, 0).view()), labels(&first.wanted)];
    let mut captions = vec!["input", "target"];
    for (contestant, result) in results {
        row.push(labels(&result.found));
        captions.push(contestant.name);
    }
    let names: Vec<String> = CLASSES.map(str::to_owned).to_vec();
    over_legend(montage(&captions, &[row]), &names)
}
