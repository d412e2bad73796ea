//! `msd-gpu evaluate`: the outputs of trained models against targets.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use serde_json::Value;

use super::discovery::DiscoveryArguments;
use super::models::ModelArguments;
use super::pixel_size::voxel_size;
use super::progress::ImageProgress;
use super::settings::one_of;
use super::{console, provenance, table};
use crate::evaluation::page::{Case, PageFile, Pictures, Report, halves_page};
use crate::evaluation::tables::{
    Table, calibration_error, confusion, counted, how_measured, means, of_classes, of_surfaces, of_values,
    reliability,
};
use crate::evaluation::{
    Comparison, Evaluation, Halves, Measures, Scoring, TaskScores, UpscaledSets, UpscalingScores, compare,
    report,
};
use crate::images::{Discovery, Slices, check_one_volume};
use crate::inference::{Cutting, Ensemble};
use crate::metrics::{RegressionScores, SsimWindow, Support, Threshold};
use crate::network::{Coarsening, Model, Task, TaskKind, Upscaling};
use crate::samples::{
    Corner, DataFiles, Dataset, Interpolation, LabelRule, Recordings, ResultFiles, Upscaled,
};
use crate::{Error, Result};

/// Arguments of `evaluate`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what is judged").required(true).args(["models", "from_registry", "predictions", "halves"])), after_help = AFTER_HELP)]
pub struct EvaluateArguments {
    #[command(flatten)]
    models: ModelArguments<false>,
    /// Compare these results, of this program or another, instead of a model's: a folder, a TIFF stack or a quoted pattern;
    /// label images, or images of values
    #[arg(long, value_name = "P", conflicts_with_all = ["images", "tta", "tile", "rescale"])]
    predictions: Option<String>,
    /// Say up to which details two images or volumes agree that are recordings of the same, such as reconstructions of every other
    /// projection: by Fourier ring or shell correlation
    #[arg(long, value_names = ["A", "B"], num_args = 2, conflicts_with_all = [
        "images", "targets", "pairs", "weights", "ignore", "threshold", "classes", "target_suffix", "data_range",
        "ssim_window", "tta", "tile", "rescale",
    ])]
    halves: Option<Vec<String>>,
    /// How large a pixel of --halves is, such as 0.65um, or 2x0.65x0.65um along z, y and x [default: what the first file says]
    #[arg(long, value_name = "SIZE", requires = "halves")]
    voxel_size: Option<String>,
    /// What --predictions are: classes or values [default: by what the first target holds]
    #[arg(long, value_parser = one_of::<TaskKind>(TaskKind::CHOICES), value_name = "TASK", requires = "predictions")]
    task: Option<TaskKind>,
    #[command(flatten)]
    discovery: DiscoveryArguments,
    /// What targets have at the end of their names but images have not, such as _mask
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    target_suffix: Option<String>,
    /// Images: a folder, a TIFF stack or a quoted pattern
    #[arg(long, value_name = "P", required_unless_present_any = ["predictions", "pairs", "halves"])]
    images: Option<String>,
    /// Targets: a folder, a TIFF stack or a quoted pattern; names as the images'. Of a model that makes images finer, without targets
    /// the images are fine ones, which are made coarse as in training
    #[arg(long, value_name = "P", required_unless_present_any = ["pairs", "images", "halves"])]
    targets: Option<String>,
    /// Of a model that makes images finer: where in the coarse images the corner of the fine ones lies, where these show a part: Y,X, or
    /// with slices Z,Y,X, in whole coarse pixels from 0
    #[arg(long, value_name = "Y,X", requires = "targets", conflicts_with_all = ["predictions", "weights"])]
    at: Option<String>,
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
    /// Windows that SSIM is taken in [default: uniform]
    #[arg(long, value_parser = one_of::<SsimWindow>(SsimWindow::CHOICES), value_name = "WINDOW")]
    ssim_window: Option<SsimWindow>,
    /// Only pixels inside the circle that fits into an image count, as in reconstructions of tomography
    #[arg(long)]
    circle: bool,
    /// How much memory to take at most for volumes, such as 2GB: what does not fit is scored in tiles, block by block
    /// [default: three quarters of what is free]
    #[arg(long, value_name = "SIZE", conflicts_with_all = ["predictions", "halves"])]
    memory: Option<String>,
    /// How far the surfaces of each class are apart within each image, or each volume for networks of volumes: the mean and the
    /// 95th percentile, for pixels of this size along z, y and x [without a size: 1]
    #[arg(
        long, value_name = "SIZE", num_args = 0..=1, require_equals = true, default_missing_value = "1", conflicts_with = "halves"
    )]
    surface_distance: Option<String>,
    /// Write DIR/report.html as well: scores and pictures of the worst, the median and the best image in one file, which needs
    /// nothing else
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// The row whose values the report draws, of input, output and target [the middle one]
    #[arg(long, value_name = "N", requires = "report", conflicts_with = "halves")]
    profile_row: Option<usize>,
    /// Print one JSON object with all digits; scores that are undefined are null
    #[arg(long)]
    json: bool,
}

impl EvaluateArguments {
    /// How images are looked for, for models that take slabs of `slab` slices.
    fn discovery(&self, slab: usize) -> Discovery {
        self.discovery.discovery(self.target_suffix.as_deref()).of_slabs(slab)
    }

    /// The size of a pixel, where the distances between surfaces are wanted.
    fn surfaces(&self) -> Result<Option<[f64; 3]>> {
        let size =
            self.surface_distance.as_deref().map(|text| voxel_size("surface_distance", text)).transpose()?;
        Ok(size.map(|size| [size.z, size.y, size.x]))
    }

    /// What pictures are to show, where a page is wanted.
    fn pictures(&self) -> Option<Pictures> {
        self.report.as_ref().map(|_| Pictures { profile_row: self.profile_row })
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

/// Prints the scores of models or of results against targets.
pub fn run(mut arguments: EvaluateArguments) -> Result<()> {
    arguments.models.choose()?;
    // Before anything is computed.
    let page = arguments.report.as_deref().map(PageFile::new).transpose()?;
    match (&arguments.halves, &arguments.predictions) {
        (Some(halves), _) => correlate_halves(&arguments, halves, page),
        (None, Some(predictions)) => compare_files(&arguments, predictions, page),
        (None, None) => evaluate_models(&arguments, page),
    }
}

/// What was scored, and how it came about.
struct Scored<'a> {
    title: String,
    task: &'a Task,
    evaluation: &'a Evaluation,
    measures: Measures,
    cases: &'a [Case],
    models: &'a [PathBuf],
    /// The scores of what it is compared with, and their names.
    others: &'a [(&'static str, &'a RegressionScores)],
}

/// Writes the page of scores.
fn write_page(page: PageFile, arguments: &EvaluateArguments, scored: Scored<'_>) -> Result<()> {
    let Scored { title, task, evaluation, measures, cases, models, others } = scored;
    let files = [
        ("images", &arguments.images),
        ("predictions", &arguments.predictions),
        ("targets", &arguments.targets),
        ("pairs", &arguments.pairs),
        ("weights", &arguments.weights),
    ];
    let provenance = provenance::of(models, &files);
    let report = Report { title, task, evaluation, measures, cases, provenance, others };
    write(page, &report.to_html())
}

fn write(page: PageFile, text: &str) -> Result<()> {
    let path = page.path().to_path_buf();
    page.write(text)?;
    log::info!("wrote {}", path.display());
    Ok(())
}

/// Compares results in files with their targets.
fn compare_files(arguments: &EvaluateArguments, predictions: &str, page: Option<PageFile>) -> Result<()> {
    let measures = Measures {
        range: arguments.data_range.map(Scoring::range).transpose()?,
        window: arguments.ssim_window.unwrap_or_default(),
        circle: arguments.circle,
        surfaces: arguments.surfaces()?,
    };
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
    let compared = compare(&results, arguments.task, measures, arguments.pictures(), &mut progress)?;
    drop(progress);
    let Comparison { task, evaluation, cases } = compared;
    if let Some(page) = page {
        let title = predictions.to_owned();
        let scored = Scored {
            title,
            task: &task,
            evaluation: &evaluation,
            measures,
            cases: &cases,
            models: &[],
            others: &[],
        };
        write_page(page, arguments, scored)?;
    }
    if arguments.json {
        console::json(&Value::Object(report(&task, &evaluation, measures)));
    } else {
        print(&task, &evaluation, measures, &[]);
    }
    Ok(())
}

/// Predicts every image and scores it against its target.
fn evaluate_models(arguments: &EvaluateArguments, page: Option<PageFile>) -> Result<()> {
    let mut scoring = None;
    let mut ensemble = arguments.models.open(|model| {
        if let (Some(_), Task::Regress) = (&arguments.surface_distance, &model.task) {
            let wanted = "values have no surfaces; leave it out";
            return Err(Error::setting("surface_distance", "given for a regression model", wanted));
        }
        let new = Scoring::new(model, arguments.ignore, arguments.data_range)?;
        let new = new.with_surfaces(arguments.surfaces()?);
        let new = new.measured_in(model, arguments.ssim_window, arguments.circle)?;
        if arguments.memory.is_some() && !model.architecture.is_of_volumes() {
            let wanted = "images are scored as a whole; leave it out, or give `tile`";
            return Err(Error::setting("memory", "given for a network of images", wanted));
        }
        let new = new.within(Cutting::of_text(arguments.models.tile(), None, arguments.memory.as_deref())?);
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
        return evaluate_upscaling(arguments, &mut ensemble, &scoring, upscaling, page);
    }
    if arguments.at.is_some() {
        let wanted = "its images and targets have the same pixels; leave it out";
        return Err(Error::setting("at", "given for a model that does not make images finer", wanted));
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
    let (evaluation, cases) = match arguments.pictures() {
        Some(pictures) => scoring.run_with_pictures(&mut ensemble, dataset, pictures, &mut progress)?,
        None => (scoring.run(&mut ensemble, dataset, &mut progress)?, Vec::new()),
    };
    drop(progress);
    let (task, measures) = (&ensemble.model().task, scoring.measures());
    if let Some(page) = page {
        let title = arguments.models.description();
        let (evaluation, cases, models) = (&evaluation, &cases, &arguments.models.paths());
        write_page(
            page,
            arguments,
            Scored { title, task, evaluation, measures, cases, models, others: &[] },
        )?;
    }
    if arguments.json {
        console::json(&scoring.report(&ensemble, &evaluation));
    } else {
        print(task, &evaluation, measures, &[]);
    }
    Ok(())
}

/// Scores a model that makes images finer, beside interpolation.
fn evaluate_upscaling(
    arguments: &EvaluateArguments,
    ensemble: &mut Ensemble,
    scoring: &Scoring,
    Upscaling { factor, coarsening }: Upscaling,
    page: Option<PageFile>,
) -> Result<()> {
    let model = ensemble.model();
    let inputs = model.architecture.inputs;
    let alone = arguments.images.as_ref().filter(|_| arguments.targets.is_none());
    let corner: Option<Corner> = arguments.at.as_deref().map(str::parse).transpose()?;
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
        let upscaled = Upscaled { factor, interpolation, blur, corner };
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
    let measures = scoring.measures();
    let found =
        UpscalingScores::of(ensemble, &sets, alone.is_some(), measures, arguments.pictures(), &mut progress)?;
    drop(progress);
    let others = [("bicubic", found.bicubic.as_ref()), ("Lanczos", found.lanczos.as_ref())];
    let others: Vec<_> = others.into_iter().filter_map(|(name, scores)| Some((name, scores?))).collect();
    let (task, evaluation) = (&ensemble.model().task, &found.evaluation);
    if let Some(page) = page {
        let title = arguments.models.description();
        let (cases, models) = (&found.cases, &arguments.models.paths());
        let scored = Scored { title, task, evaluation, measures, cases, models, others: &others };
        write_page(page, arguments, scored)?;
    }
    if arguments.json {
        console::json(&scoring.report_upscaling(ensemble, &found));
    } else {
        print(task, evaluation, measures, &others);
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
        .of_volumes(model.architecture.is_of_volumes())
        // All memory that may be taken is for the network and what it is applied to.
        .held_in(arguments.memory.as_ref().map(|_| 0))
        .of_channels(model.architecture.inputs);
    let dataset = match model.task {
        Task::Segment { .. } => files.by_rule(scoring.rule().clone()).segmentation(scoring.classes())?.0,
        Task::Regress => files.regression()?,
    };
    match model.architecture.is_of_volumes() {
        true => dataset.into_volumes()?.without_unlabelled(),
        false => Ok(dataset),
    }
}

/// Correlates two halves, and says up to which details they agree.
fn correlate_halves(arguments: &EvaluateArguments, halves: &[String], page: Option<PageFile>) -> Result<()> {
    let size = arguments.voxel_size.as_deref().map(|text| voxel_size("voxel_size", text)).transpose()?;
    // clap demands two.
    let [first, second] = halves else { return Ok(()) };
    let volume = |path: &str| {
        let pages = arguments.discovery(1).discover(path)?;
        check_one_volume(path, &pages)?;
        Slices::new(path, pages)
    };
    let support = if arguments.circle { Support::Circle } else { Support::Whole };
    let found = Halves::correlate(&volume(first)?, &volume(second)?, size, support)?;
    if let Some(page) = page {
        let files = [("first half", &Some(first.clone())), ("second half", &Some(second.clone()))];
        write(page, &halves_page(&found, &provenance::of(&[], &files)))?;
    }
    if arguments.json {
        console::json(&found.report());
        return Ok(());
    }
    console::line(found.description());
    console::line("");
    let rows =
        Threshold::ALL.map(|threshold| format!("{:<9} {}", threshold.name(), found.resolution(threshold)));
    console::line("resolution, by the threshold");
    rows.iter().for_each(console::line);
    console::line("");
    let (header, mut rows) = found.table();
    rows.insert(0, header.into_iter().map(str::to_owned).collect());
    table::lines(&rows).iter().for_each(console::line);
    Ok(())
}

/// The scores for people.
fn print(task: &Task, evaluation: &Evaluation, measures: Measures, others: &[(&str, &RegressionScores)]) {
    let mut lines = vec![counted(evaluation.images)];
    lines.extend(how_measured(evaluation, measures));
    lines.push(String::new());
    match (&evaluation.scores, task) {
        (TaskScores::Segment { matrix, calibration }, Task::Segment { classes }) => {
            lines.extend(lines_of(of_classes(classes, matrix)));
            lines.push(String::new());
            let means = means(matrix).rows;
            let width = means.iter().filter_map(|row| row.first()).map(String::len).max().unwrap_or(0);
            lines.extend(means.iter().filter_map(|row| match row.as_slice() {
                [name, value, meaning] => Some(format!("{name:<width$}  {value}  {meaning}")),
                _ => None,
            }));
            if let Some(table) = of_surfaces(classes, evaluation) {
                lines.extend(lines_under_caption(table));
                lines.push(String::new());
            }
            match confusion(classes, matrix) {
                Some(table) => lines.extend(lines_under_caption(table)),
                None => lines.push(format!("the confusion matrix of {} classes is in --json", classes.len())),
            }
            if calibration.expected_error().is_some() {
                lines.extend([String::new(), calibration_error(calibration), String::new()]);
                lines.extend(lines_under_caption(reliability(calibration)));
            }
        }
        (TaskScores::Regress { output, input }, _) => {
            lines.extend(lines_of(of_values(output, input.as_ref(), others)));
        }
        // The scores of classes are those of a segmentation.
        (TaskScores::Segment { .. }, Task::Regress) => {}
    }
    lines.iter().for_each(console::line);
}

fn lines_under_caption(table: Table) -> Vec<String> {
    let mut lines = vec![table.caption.clone()];
    lines.extend(lines_of(table));
    lines
}

/// A table in columns, under its header.
fn lines_of(table: Table) -> Vec<String> {
    let rows: Vec<Vec<String>> = std::iter::once(table.header).chain(table.rows).collect();
    table::lines(&rows)
}
