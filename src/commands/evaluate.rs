//! `msd-gpu evaluate`: the outputs of trained models against targets.

use clap::{ArgGroup, Args};
use serde_json::Value;

use super::discovery::DiscoveryArguments;
use super::models::ModelArguments;
use super::progress::ImageProgress;
use super::settings::one_of;
use super::{console, table};
use crate::evaluation::{Comparison, Scoring, TaskScores, UpscaledSets, UpscalingScores, compare, report};
use crate::images::Discovery;
use crate::inference::Ensemble;
use crate::metrics::{Calibration, ConfusionMatrix, RegressionScores};
use crate::network::{Class, Coarsening, Model, Task, TaskKind, Upscaling};
use crate::samples::{DataFiles, Dataset, Interpolation, LabelRule, Recordings, ResultFiles, Upscaled};
use crate::{Error, Result};

/// Arguments of `evaluate`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what is judged").required(true).args(["models", "from_registry", "predictions"])), after_help = AFTER_HELP)]
pub struct EvaluateArguments {
    #[command(flatten)]
    models: ModelArguments<false>,
    /// Compare these results, of this program or another, instead of a model's: a folder, a TIFF stack or a quoted pattern;
    /// label images, or images of values
    #[arg(long, value_name = "P", conflicts_with_all = ["images", "tta", "tile", "rescale"])]
    predictions: Option<String>,
    /// What --predictions are: classes or values [default: by what the first target holds]
    #[arg(long, value_parser = one_of::<TaskKind>(TaskKind::CHOICES), value_name = "TASK", requires = "predictions")]
    task: Option<TaskKind>,
    #[command(flatten)]
    discovery: DiscoveryArguments,
    /// What targets have at the end of their names but images have not, such as _mask
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    target_suffix: Option<String>,
    /// Images: a folder, a TIFF stack or a quoted pattern
    #[arg(long, value_name = "P", required_unless_present_any = ["predictions", "pairs"])]
    images: Option<String>,
    /// Targets: a folder, a TIFF stack or a quoted pattern; names as the images'. Of a model that makes images finer, without targets
    /// the images are fine ones, which are made coarse as in training
    #[arg(long, value_name = "P", required_unless_present_any = ["pairs", "images"])]
    targets: Option<String>,
    /// List of images with their targets, as train --pairs takes it: lines image,target, and weight where wanted
    #[arg(long, value_name = "LIST.csv", conflicts_with_all = ["images", "targets", "weights", "predictions"])]
    pairs: Option<String>,
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
    /// How images are looked for, for models that take slabs of `slab` slices.
    fn discovery(&self, slab: usize) -> Discovery {
        self.discovery.discovery(self.target_suffix.as_deref()).of_slabs(slab)
    }

    /// Where targets are looked for; clap demands them where there is no list.
    fn targets(&self) -> &str {
        self.targets.as_deref().or(self.pairs.as_deref()).unwrap_or_default()
    }
}

const AFTER_HELP: &str = "\
Which number to report: mean IoU or mean Dice where classes differ in size, as each class counts the same and every wrong
pixel lowers it; class accuracy where missing a class is worse than finding too much of it. Global accuracy says little where
one class covers most of the image: calling every pixel background may reach 0.95. For values, PSNR and SSIM with the data
range that they refer to.";

/// More classes than this make a confusion matrix that no screen shows.
const MAX_COLUMNS: usize = 16;

/// Prints the scores of models or of results against targets.
pub fn run(mut arguments: EvaluateArguments) -> Result<()> {
    arguments.models.choose()?;
    match &arguments.predictions {
        Some(predictions) => compare_files(&arguments, predictions),
        None => evaluate_models(&arguments),
    }
}

/// Compares results in files with their targets.
fn compare_files(arguments: &EvaluateArguments, predictions: &str) -> Result<()> {
    let given = arguments.data_range.map(Scoring::range).transpose()?;
    let files = ResultFiles {
        results: predictions,
        targets: arguments.targets(),
        weights: arguments.weights.as_deref(),
        discovery: arguments.discovery(1),
        rule: LabelRule::from_settings(arguments.threshold, arguments.classes.as_deref(), None)?,
        ignored: arguments.ignore,
    };
    let results = files.pair()?;
    let mut progress = ImageProgress::over(results.count());
    let Comparison { task, evaluation } = compare(&results, arguments.task, given, &mut progress)?;
    drop(progress);
    if arguments.json {
        console::json(&Value::Object(report(&task, &evaluation, given.is_some())));
        return Ok(());
    }
    match (&task, &evaluation.scores) {
        (Task::Segment { classes }, TaskScores::Segment { matrix, .. }) => {
            segmentation_table(evaluation.images, classes, matrix).iter().for_each(console::line);
        }
        (_, TaskScores::Regress { output, .. }) => {
            regression_table(evaluation.images, &[("output", output)]).iter().for_each(console::line);
        }
        _ => {}
    }
    Ok(())
}

/// Predicts every image and scores it against its target.
fn evaluate_models(arguments: &EvaluateArguments) -> Result<()> {
    let mut scoring = None;
    let mut ensemble = arguments.models.open(|model| {
        let new = Scoring::new(model, arguments.ignore, arguments.data_range)?;
        scoring = Some(new.by_rule(arguments.threshold, arguments.classes.as_deref())?);
        Ok(())
    })?;
    // There is a first model, or none could be opened.
    let Some(scoring) = scoring else { return Ok(()) };
    // All images have the channels of the first one: that is checked when they are loaded.
    if let Some(images) = &arguments.images {
        let model = ensemble.model();
        let found = arguments.discovery(model.slab).discover_for(images, model.architecture.inputs)?;
        if let Some(first) = found.first() {
            ensemble.check_image(first)?;
        }
    }
    log::info!("evaluating {} on {}", arguments.models.description(), ensemble.device().name);
    if let Some(upscaling) = ensemble.model().upscaling {
        return evaluate_upscaling(arguments, &mut ensemble, &scoring, upscaling);
    }
    if arguments.targets.is_none() && arguments.pairs.is_none() {
        return Err(Error::setting("--targets", "missing", "it must name what the images are to become"));
    }
    let dataset = load(arguments, ensemble.model(), &scoring)?;
    if let Some(first) = dataset.items().first() {
        ensemble.check_channels(first.name(), first.channels())?;
    }
    scoring.check_targets(&format!("the targets in {}", arguments.targets()), &dataset)?;
    let mut progress = ImageProgress::over(dataset.len());
    let evaluation = scoring.run(&mut ensemble, dataset, &mut progress)?;
    drop(progress);
    if arguments.json {
        console::json(&scoring.report(&ensemble, &evaluation));
        return Ok(());
    }
    let images = evaluation.images;
    match &evaluation.scores {
        TaskScores::Segment { matrix, calibration } => {
            segmentation_table(images, ensemble.model().classes(), matrix).iter().for_each(console::line);
            reliability_table(calibration).iter().for_each(console::line);
        }
        TaskScores::Regress { output: after, input: before } => {
            let before = before.as_ref().map(|before| ("input", before));
            let rows: Vec<_> = before.into_iter().chain([("output", after)]).collect();
            regression_table(images, &rows).iter().for_each(console::line);
        }
    }
    Ok(())
}

/// Scores a model that makes images finer, beside interpolation.
fn evaluate_upscaling(
    arguments: &EvaluateArguments,
    ensemble: &mut Ensemble,
    scoring: &Scoring,
    Upscaling { factor, coarsening }: Upscaling,
) -> Result<()> {
    let model = ensemble.model();
    let inputs = model.architecture.inputs;
    let alone = arguments.images.as_ref().filter(|_| arguments.targets.is_none());
    let load = |interpolation, slab: usize| {
        let files = match (&arguments.pairs, alone) {
            (None, Some(images)) => DataFiles::of_recordings(Recordings::alone(images)),
            (Some(list), _) => DataFiles::listed(list),
            (None, None) => {
                DataFiles::new(arguments.images.as_deref().unwrap_or_default(), arguments.targets())
            }
        };
        // A model that learnt from pairs says nothing of how coarse images come about.
        let blur = alone.map(|_| coarsening.map_or(0.0, |Coarsening { blur, .. }| blur));
        let upscaled = Upscaled { factor, interpolation, blur, corner: None };
        let files = files.found_by(arguments.discovery(slab)).upscaled(Some(upscaled));
        files.weighted(arguments.weights.as_deref()).of_channels(inputs / model.slab * slab).regression()
    };
    let seen = load(Interpolation::Bicubic, model.slab)?;
    let bicubic = if model.slab == 1 { seen.clone() } else { load(Interpolation::Bicubic, 1)? };
    let lanczos = load(Interpolation::Lanczos, 1)?;
    if let Some(first) = seen.items().first() {
        ensemble.check_channels(first.name(), first.channels())?;
    }
    let targets = arguments.targets.as_ref().or(arguments.images.as_ref()).or(arguments.pairs.as_ref());
    scoring.check_targets(&format!("the targets in {}", targets.map_or("", String::as_str)), &seen)?;
    let mut progress = ImageProgress::over(seen.len());
    let sets = UpscaledSets { seen: &seen, bicubic: &bicubic, lanczos: &lanczos };
    let range = scoring.given_range();
    let found = UpscalingScores::of(ensemble, &sets, alone.is_some(), range, &mut progress)?;
    drop(progress);
    if arguments.json {
        console::json(&scoring.report_upscaling(ensemble, &found));
        return Ok(());
    }
    if let TaskScores::Regress { output, .. } = &found.evaluation.scores {
        let others = [("bicubic", found.bicubic.as_ref()), ("Lanczos", found.lanczos.as_ref())];
        let others = others.into_iter().filter_map(|(name, scores)| Some((name, scores?)));
        let rows: Vec<_> = others.chain([("output", output)]).collect();
        regression_table(found.evaluation.images, &rows).iter().for_each(console::line);
    }
    Ok(())
}

/// The images with their targets and weights.
fn load(arguments: &EvaluateArguments, model: &Model, scoring: &Scoring) -> Result<Dataset> {
    let files = match (&arguments.pairs, &arguments.images) {
        (Some(list), _) => DataFiles::listed(list),
        (None, images) => DataFiles::new(images.as_deref().unwrap_or_default(), arguments.targets()),
    };
    let files = files
        .found_by(arguments.discovery(model.slab))
        .weighted(arguments.weights.as_deref())
        .of_channels(model.architecture.inputs);
    match model.task {
        Task::Segment { .. } => {
            let (dataset, ..) = files.by_rule(scoring.rule().clone()).segmentation(scoring.classes())?;
            Ok(dataset)
        }
        Task::Regress => files.regression(),
    }
}

/// The scores for people: a row for each class, their means, and the confusion matrix.
fn segmentation_table(images: usize, classes: &[Class], matrix: &ConfusionMatrix) -> Vec<String> {
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
        format!("expected calibration error  {error}  mean of |accuracy - confidence| over bins"),
        String::new(),
        "reliability: how probable the class was said to be, how often it was right".into(),
    ];
    lines.extend(table::lines(&rows));
    lines
}

fn score(value: Option<f64>) -> String {
    value.map_or("-".into(), |value| format!("{value:.4}"))
}

/// The scores of values for people, each with what it is of.
fn regression_table(images: usize, scores: &[(&str, &RegressionScores)]) -> Vec<String> {
    let header = ["", "MSE", "PSNR", "SSIM"].map(str::to_owned).to_vec();
    let row = |name: &str, scores: &RegressionScores| {
        let mse = scores.mse().map_or("-".into(), |mse| format!("{mse:.6e}"));
        vec![name.into(), mse, decibels(scores.psnr()), score(scores.ssim())]
    };
    let mut rows = vec![header];
    rows.extend(scores.iter().map(|(name, scores)| row(name, scores)));
    let mut lines = vec![format!("{images} image{}", if images == 1 { "" } else { "s" })];
    lines.extend(
        scores
            .first()
            .map(|(_, scores)| format!("PSNR and SSIM refer to a data range of {}", scores.data_range())),
    );
    lines.push(String::new());
    lines.extend(table::lines(&rows));
    lines
}

fn decibels(psnr: Option<f64>) -> String {
    psnr.map_or("-".into(), |psnr| format!("{psnr:.2} dB"))
}
