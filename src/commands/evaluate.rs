//! `msd-gpu evaluate`: the outputs of trained models against targets.

use clap::Args;
use serde_json::{Value, json};

use super::discovery::DiscoveryArguments;
use super::models::ModelArguments;
use super::progress::ImageProgress;
use super::{console, table};
use crate::evaluation::{Judge, TaskScores};
use crate::images::{self, Discovery};
use crate::inference::Ensemble;
use crate::metrics::{Calibration, ClassScores, ConfusionMatrix, DataRange, RegressionScores};
use crate::network::{Class, Model, Task};
use crate::samples::{Classes, DataFiles, Dataset, LabelMapping, LabelRule, Target};
use crate::{Error, Result};

/// Arguments of `evaluate`.
#[derive(Debug, Args)]
pub struct EvaluateArguments {
    #[command(flatten)]
    models: ModelArguments,
    #[command(flatten)]
    discovery: DiscoveryArguments,
    /// What targets have at the end of their names but images have not, such as _mask
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    target_suffix: Option<String>,
    /// Images: a folder, a TIFF stack or a quoted pattern
    #[arg(long, value_name = "P")]
    images: String,
    /// Targets: a folder, a TIFF stack or a quoted pattern; names as the images'
    #[arg(long, value_name = "P")]
    targets: String,
    /// Value in label images of pixels that nobody labelled, such as 255: they do not count
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true)]
    ignore: Option<i64>,
    /// Label values from this one on are class 1, all below class 0, as in training
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true)]
    threshold: Option<i64>,
    /// Only these label values are classes, as in training: like 0,255, or 0,rest
    #[arg(long, value_name = "VALUES", allow_hyphen_values = true)]
    classes: Option<String>,
    /// Images of weights, of the same names as the images: pixels of weight 0 do not count
    #[arg(long, value_name = "P")]
    weights: Option<String>,
    /// Range of values that PSNR and SSIM refer to, such as 255 [default: largest minus smallest target]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    data_range: Option<f64>,
    /// Print one JSON object with all digits; scores that are undefined are null
    #[arg(long)]
    json: bool,
}

impl EvaluateArguments {
    fn discovery(&self) -> Discovery {
        self.discovery.discovery(self.target_suffix.as_deref())
    }
}

/// More classes than this make a confusion matrix that no screen shows.
const MAX_COLUMNS: usize = 16;

/// Predicts every image and prints the scores against its target.
pub fn run(arguments: EvaluateArguments) -> Result<()> {
    let mut range = None;
    let mut ensemble = arguments.models.open(|model| {
        range = arguments.data_range.map(|range| data_range(range, model)).transpose()?;
        match arguments.ignore.filter(|_| model.task == Task::Regress) {
            None => Ok(()),
            Some(value) => Err(Error::setting(
                "--ignore",
                value,
                "a regression has no label values; give --weights with 0 where pixels do not count",
            )),
        }
    })?;
    // All images have the channels of the first one: that is checked when they are loaded.
    let mut found = arguments.discovery().discover(&arguments.images)?;
    if ensemble.model().architecture.inputs == 1 && arguments.discovery.axes.is_none() {
        found = images::pages_as_images(found);
    }
    if let Some(first) = found.first() {
        ensemble.check_image(first)?;
    }
    log::info!("evaluating {} on {}", arguments.models.description(), ensemble.device().name);
    match ensemble.model().task {
        Task::Segment { .. } => segmentation(&arguments, &mut ensemble),
        Task::Regress => regression(&arguments, &mut ensemble, range),
    }
}

fn data_range(range: f64, model: &Model) -> Result<DataRange> {
    if model.task != Task::Regress {
        let wanted = "the scores of a segmentation have no range; leave it out";
        return Err(Error::setting("--data-range", range, wanted));
    }
    DataRange::given(range)
        .map_err(|_| Error::setting("--data-range", range, "it must be a number above 0, such as 255"))
}

/// The files that the arguments name, for the models' channels.
fn files<'a>(arguments: &'a EvaluateArguments, model: &Model) -> DataFiles<'a> {
    DataFiles::new(&arguments.images, &arguments.targets)
        .found_by(arguments.discovery())
        .weighted(arguments.weights.as_deref())
        .of_channels(model.architecture.inputs)
}

fn segmentation(arguments: &EvaluateArguments, ensemble: &mut Ensemble) -> Result<()> {
    let classes = ensemble.model().classes().to_vec();
    // The mapping counts classes by ascending value; the model's outputs may come in another order.
    let mut order: Vec<usize> = (0..classes.len()).collect();
    order.sort_by_key(|&output| classes[output].value);
    let values = order.iter().map(|&output| classes[output].value).collect();
    let known = LabelMapping { values, ignored: arguments.ignore };
    let rule = match LabelRule::from_settings(arguments.threshold, arguments.classes.as_deref(), None)? {
        // A model of coloured masks names its classes by the colours.
        LabelRule::AsStored => LabelRule::of_names(order.iter().map(|&output| classes[output].name.as_str())),
        rule => rule,
    };
    let files = files(arguments, ensemble.model()).by_rule(rule);
    let (mut dataset, ..) = files.segmentation(Classes::Known(&known))?;
    for sample in &mut dataset.samples {
        if let Target::Classes(classes) = &mut sample.target {
            classes.mapv_inplace(|class| order.get(class as usize).map_or(class, |&output| output as u32));
        }
    }
    let judge = Judge::new(&ensemble.model().task);
    let evaluation =
        judge.run(ensemble, &dataset.samples, &mut ImageProgress::over(dataset.samples.len()), |_, _| ())?;
    let TaskScores::Segment { matrix, calibration } = &evaluation.scores else { return Ok(()) };
    if arguments.json {
        console::json(&segmentation_json(&dataset, ensemble, matrix, calibration));
    } else {
        segmentation_table(&dataset, &classes, matrix).iter().for_each(console::line);
        reliability_table(calibration).iter().for_each(console::line);
    }
    Ok(())
}

fn segmentation_json(
    dataset: &Dataset,
    ensemble: &Ensemble,
    matrix: &ConfusionMatrix,
    calibration: &Calibration,
) -> Value {
    let per_class = ensemble.model().classes().iter().zip(matrix.per_class()).map(|(class, scores)| {
        let ClassScores { accuracy, precision, iou, dice, target_pixels } = scores;
        json!({
            "value": class.value, "name": class.name, "accuracy": accuracy, "precision": precision, "iou": iou,
            "dice": dice, "target_pixels": target_pixels,
        })
    });
    let rows: Vec<Vec<u64>> = matrix.counts().rows().into_iter().map(|row| row.to_vec()).collect();
    json!({
        "task": "segment", "device": ensemble.device().name, "models": ensemble.models(),
        "predictions": ensemble.predictions(), "images": dataset.samples.len(),
        "pixels": matrix.counts().sum(), "global_accuracy": matrix.global_accuracy(),
        "class_accuracy": matrix.class_accuracy(), "mean_iou": matrix.mean_iou(), "mean_dice": matrix.mean_dice(),
        "classes": per_class.collect::<Vec<_>>(), "confusion_matrix": rows,
        "calibration_error": calibration.expected_error(), "reliability": calibration.bins(),
    })
}

/// The scores for people: a row for each class, their means, and the confusion matrix.
fn segmentation_table(dataset: &Dataset, classes: &[Class], matrix: &ConfusionMatrix) -> Vec<String> {
    let header = ["class", "value", "accuracy", "precision", "IoU", "Dice", "target pixels"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for (class, scores) in classes.iter().zip(matrix.per_class()) {
        rows.push(vec![
            class.name.clone(),
            class.value.to_string(),
            score(scores.accuracy),
            score(scores.precision),
            score(scores.iou),
            score(scores.dice),
            scores.target_pixels.to_string(),
        ]);
    }
    let images = dataset.samples.len();
    let mut lines = vec![format!("{images} image{}", if images == 1 { "" } else { "s" }), String::new()];
    lines.extend(table::lines(&rows));
    lines.push(String::new());
    let means = [
        ("global accuracy", matrix.global_accuracy(), "of all pixels, those with the right class"),
        ("class accuracy", matrix.class_accuracy(), "mean over the classes of the targets"),
        ("mean IoU", matrix.mean_iou(), "mean over the classes of targets and predictions"),
        ("mean Dice", matrix.mean_dice(), "mean over the classes of targets and predictions"),
    ];
    let width = means.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
    lines.extend(means.map(|(name, value, meaning)| format!("{name:<width$}  {}  {meaning}", score(value))));
    lines.push(String::new());
    if classes.len() > MAX_COLUMNS {
        lines.push(format!("the confusion matrix of {} classes is in --json", classes.len()));
        return lines;
    }
    lines.push("confusion matrix in pixels: rows are targets, columns predictions".into());
    let names = classes.iter().map(|class| class.name.clone());
    let mut rows: Vec<Vec<String>> = vec![std::iter::once(String::new()).chain(names).collect()];
    for (class, counts) in classes.iter().zip(matrix.counts().rows()) {
        let counts = counts.iter().map(u64::to_string);
        rows.push(std::iter::once(class.name.clone()).chain(counts).collect());
    }
    lines.extend(table::lines(&rows));
    lines
}

/// For people: whether the probabilities can be taken at their word.
fn reliability_table(calibration: &Calibration) -> Vec<String> {
    let mut rows = vec![["confidence", "pixels", "mean", "accuracy"].map(str::to_owned).to_vec()];
    for bin in calibration.bins().iter().filter(|bin| bin.pixels > 0) {
        let range = format!("{:.3} to {:.3}", bin.above, bin.up_to);
        rows.push(vec![range, bin.pixels.to_string(), score(bin.confidence), score(bin.accuracy)]);
    }
    let error = score(calibration.expected_error());
    let mut lines = vec![
        String::new(),
        format!("expected calibration error  {error}  mean of |accuracy - confidence| by bins of confidence"),
        String::new(),
        "reliability: how probable the chosen class was said to be, and how often it was right".into(),
    ];
    lines.extend(table::lines(&rows));
    lines
}

fn score(value: Option<f64>) -> String {
    value.map_or("-".into(), |value| format!("{value:.4}"))
}

fn regression(
    arguments: &EvaluateArguments,
    ensemble: &mut Ensemble,
    given: Option<DataRange>,
) -> Result<()> {
    let dataset = files(arguments, ensemble.model()).regression()?;
    let (outputs, targets) = (ensemble.model().architecture.outputs, dataset.target_channels());
    if let Some(found) = targets.filter(|&found| found != outputs) {
        return Err(Error::Mismatch(format!(
            "the targets in {} have {found} channels, but the model gives {outputs}; give targets like those that it was trained on",
            arguments.targets
        )));
    }
    // What the network gained can be told where the input is already a guess at the target.
    let judge = Judge::new(&ensemble.model().task).with_range(given).comparing_input();
    let evaluation =
        judge.run(ensemble, &dataset.samples, &mut ImageProgress::over(dataset.samples.len()), |_, _| ())?;
    let TaskScores::Regress { output: after, input: before } = &evaluation.scores else { return Ok(()) };
    let range = after.data_range();
    if arguments.json {
        let scores = |scores: &RegressionScores| {
            json!({
                "mse": scores.mse(), "mae": scores.mae(),
                "psnr": scores.psnr().filter(|psnr| psnr.is_finite()), "ssim": scores.ssim(),
            })
        };
        let from = if given.is_some() { "given" } else { "targets" };
        console::json(&json!({
            "task": "regress", "device": ensemble.device().name, "models": ensemble.models(),
            "predictions": ensemble.predictions(), "images": dataset.samples.len(),
            "data_range": range.value(), "data_range_from": from, "output": scores(after),
            "input": before.as_ref().map(scores),
        }));
    } else {
        regression_table(&dataset, after, before.as_ref()).iter().for_each(console::line);
    }
    Ok(())
}

/// The scores for people: of the model's output, and of its input where that can be compared.
fn regression_table(
    dataset: &Dataset,
    after: &RegressionScores,
    before: Option<&RegressionScores>,
) -> Vec<String> {
    let header = ["", "MSE", "PSNR", "SSIM"].map(str::to_owned).to_vec();
    let row = |name: &str, scores: &RegressionScores| {
        let mse = scores.mse().map_or("-".into(), |mse| format!("{mse:.6e}"));
        vec![name.into(), mse, decibels(scores.psnr()), score(scores.ssim())]
    };
    let mut rows = vec![header];
    rows.extend(before.map(|before| row("input", before)));
    rows.push(row("output", after));
    let images = dataset.samples.len();
    let mut lines = vec![
        format!("{images} image{}", if images == 1 { "" } else { "s" }),
        format!("PSNR and SSIM refer to a data range of {}", after.data_range()),
        String::new(),
    ];
    lines.extend(table::lines(&rows));
    lines
}

fn decibels(psnr: Option<f64>) -> String {
    psnr.map_or("-".into(), |psnr| format!("{psnr:.2} dB"))
}
