//! Scores as tables of text, which the terminal and pages show alike.

use super::measures::Measures;
use super::scores::{Evaluation, ImageScores, TaskScores};
use crate::metrics::{Calibration, ConfusionMatrix, RegressionScores, SurfaceDistance};
use crate::network::{Class, Task};

/// More classes than this make a confusion matrix that no screen shows.
const MAX_COLUMNS: usize = 16;

/// The header of a column that says in words what numbers are.
pub(super) const WHAT: &str = "what it is";

/// A table: its first column has names, all others numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// What it shows.
    pub caption: String,
    /// The header, with that of the first column.
    pub header: Vec<String>,
    /// The rows; their first cells are names.
    pub rows: Vec<Vec<String>>,
    /// Whether its rows are the classes, in their order.
    pub of_classes: bool,
}

impl Table {
    fn new(caption: impl Into<String>, header: &[&str], rows: Vec<Vec<String>>) -> Self {
        let header = header.iter().map(|&cell| cell.to_owned()).collect();
        Self { caption: caption.into(), header, rows, of_classes: false }
    }
}

/// A number of images in words.
pub fn counted(images: usize) -> String {
    format!("{images} image{}", if images == 1 { "" } else { "s" })
}

/// How scores were measured, a sentence a line; nothing where there is nothing to say.
pub fn how_measured(evaluation: &Evaluation, measures: Measures) -> Vec<String> {
    let mut lines = Vec::new();
    if let TaskScores::Regress { output, .. } = &evaluation.scores {
        lines.push(format!("PSNR and SSIM refer to a data range of {}", output.data_range()));
        lines.push(format!("SSIM is taken in {}", output.ssim_window().description()));
    }
    if let Some([z, y, x]) = measures.surfaces {
        let size = if (z, x) == (y, y) { format!("{y}") } else { format!("{z} x {y} x {x}") };
        lines.push(format!(
            "distances between surfaces are taken within each image (each volume, of networks of volumes) and are means over those that hold the class, for pixels of {size}"
        ));
    }
    if measures.circle {
        lines.push("only pixels inside the inscribed circle of each image count".into());
    }
    lines
}

/// All tables of an evaluation, the main one first; `others` are scores of values that it is compared with, and their names.
pub fn tables(task: &Task, evaluation: &Evaluation, others: &[(&str, &RegressionScores)]) -> Vec<Table> {
    match (&evaluation.scores, task) {
        (TaskScores::Segment { matrix, calibration }, Task::Segment { classes }) => {
            let mut tables = vec![of_classes(classes, matrix), means(matrix)];
            tables.extend(of_surfaces(classes, evaluation));
            tables.extend(confusion(classes, matrix));
            if calibration.expected_error().is_some() {
                tables.push(reliability(calibration));
            }
            tables
        }
        (TaskScores::Regress { output, input }, _) => vec![of_values(output, input.as_ref(), others)],
        // The scores of classes are those of a segmentation.
        (TaskScores::Segment { .. }, Task::Regress) => Vec::new(),
    }
}

/// A row for each class.
pub fn of_classes(classes: &[Class], matrix: &ConfusionMatrix) -> Table {
    let row = |(class, scores): (&Class, crate::metrics::ClassScores)| {
        vec![
            class.name.clone(),
            class.value.to_string(),
            score(scores.accuracy),
            score(scores.precision),
            score(scores.iou),
            score(scores.dice),
            scores.target_pixels.to_string(),
        ]
    };
    let rows = classes.iter().zip(matrix.per_class()).map(row).collect();
    let header = ["class", "value", "accuracy", "precision", "IoU", "Dice", "target pixels"];
    Table { of_classes: true, ..Table::new("Scores of each class", &header, rows) }
}

/// The means over pixels and classes, with what they mean.
pub fn means(matrix: &ConfusionMatrix) -> Table {
    let means = [
        ("global accuracy", matrix.global_accuracy(), "of all pixels, those with the right class"),
        ("class accuracy", matrix.class_accuracy(), "mean over the classes of the targets"),
        ("mean IoU", matrix.mean_iou(), "mean over the classes of targets and predictions"),
        ("mean Dice", matrix.mean_dice(), "mean over the classes of targets and predictions"),
    ];
    let row =
        |(name, value, meaning): (&str, Option<f64>, &str)| vec![name.into(), score(value), meaning.into()];
    Table::new("Scores of all classes", &["score", "value", WHAT], means.map(row).to_vec())
}

/// How far the surfaces of each class are apart; `None` where that was not asked for.
pub fn of_surfaces(classes: &[Class], evaluation: &Evaluation) -> Option<Table> {
    let surfaces = evaluation.surfaces();
    let row = |(class, (distance, images)): (&Class, &(Option<SurfaceDistance>, usize))| {
        let of = |number: fn(SurfaceDistance) -> f64| score(distance.map(number));
        vec![class.name.clone(), of(|d| d.mean), of(|d| d.percentile_95), images.to_string()]
    };
    let rows: Vec<_> = classes.iter().zip(&surfaces).map(row).collect();
    let header = ["class", "mean", "95th percentile", "images"];
    let caption = "distance between the surfaces of target and prediction";
    (!rows.is_empty()).then(|| Table { of_classes: true, ..Table::new(caption, &header, rows) })
}

/// How many pixels of each class became which; `None` for more classes than a screen shows.
pub fn confusion(classes: &[Class], matrix: &ConfusionMatrix) -> Option<Table> {
    if classes.len() > MAX_COLUMNS {
        return None;
    }
    let names = classes.iter().map(|class| class.name.clone());
    let counts = matrix.counts();
    let rows = classes.iter().zip(counts.rows()).map(|(class, counts)| {
        let counts = counts.iter().map(u64::to_string);
        std::iter::once(class.name.clone()).chain(counts).collect()
    });
    Some(Table {
        caption: "confusion matrix in pixels: rows are targets, columns predictions".into(),
        header: std::iter::once(String::new()).chain(names).collect(),
        rows: rows.collect(),
        of_classes: true,
    })
}

/// Whether the probabilities can be taken at their word.
pub fn reliability(calibration: &Calibration) -> Table {
    let bins = calibration.bins();
    let bins = bins.iter().filter(|bin| bin.pixels > 0);
    let row = |bin: &crate::metrics::ReliabilityBin| {
        let range = format!("{:.3} to {:.3}", bin.above, bin.up_to);
        vec![range, bin.pixels.to_string(), score(bin.confidence), score(bin.accuracy)]
    };
    let caption = "reliability: how probable the class was said to be, how often it was right";
    Table::new(caption, &["confidence", "pixels", "mean", "accuracy"], bins.map(row).collect())
}

/// The expected calibration error with what it is.
pub fn calibration_error(calibration: &Calibration) -> String {
    let error = score(calibration.expected_error());
    format!("expected calibration error  {error}  mean of |accuracy - confidence| over bins")
}

/// The scores of the output, of the input where that can be compared, and of `others`.
pub fn of_values(
    output: &RegressionScores,
    input: Option<&RegressionScores>,
    others: &[(&str, &RegressionScores)],
) -> Table {
    let row = |name: &str, scores: &RegressionScores| {
        let mse = scores.mse().map_or("-".into(), |mse| format!("{mse:.6e}"));
        vec![name.into(), mse, decibels(scores.psnr()), score(scores.ssim())]
    };
    let mut rows: Vec<_> = input.map(|input| row("input", input)).into_iter().collect();
    rows.extend(others.iter().map(|(name, scores)| row(name, scores)));
    rows.push(row("output", output));
    Table::new("Scores over all images", &["", "MSE", "PSNR", "SSIM"], rows)
}

/// The scores of images by themselves, the worst first, of at most `most`; and the number of all.
pub fn of_images(images: &[ImageScores], most: usize) -> (Table, usize) {
    let places = ImageScores::worst_first(images);
    let metrics = images.first().map(|image| image.metrics.as_slice()).unwrap_or_default();
    let has_input = images.iter().all(|image| image.input.is_some()) && !images.is_empty();
    let mut header = vec!["image".to_owned(), "counted".into()];
    if has_input {
        header.extend(metrics.iter().map(|(name, _)| format!("{} of input", word(name))));
    }
    header.extend(metrics.iter().map(|(name, _)| word(name).to_owned()));
    let row = |&place: &usize| {
        let image = &images[place];
        let mut row = vec![image.name.clone(), image.counted.to_string()];
        let numbers = |metrics: &[(&'static str, Option<f64>)]| -> Vec<String> {
            metrics
                .iter()
                .map(|&(name, value)| if name == "psnr" { decibels(value) } else { score(value) })
                .collect()
        };
        if has_input {
            row.extend(numbers(image.input.as_deref().unwrap_or_default()));
        }
        row.extend(numbers(&image.metrics));
        row
    };
    let rows = places.iter().take(most).map(row).collect();
    let caption = "Scores of each image by itself, the worst first".into();
    (Table { caption, header, rows, of_classes: false }, places.len())
}

/// The name of a metric for people.
fn word(name: &str) -> &str {
    match name {
        "psnr" => "PSNR",
        "ssim" => "SSIM",
        "mean_iou" => "mean IoU",
        "mean_dice" => "mean Dice",
        "class_accuracy" => "class accuracy",
        "global_accuracy" => "global accuracy",
        other => other,
    }
}

/// A score from 0 to 1.
pub fn score(value: Option<f64>) -> String {
    value.map_or("-".into(), |value| format!("{value:.4}"))
}

/// A ratio in decibels.
pub fn decibels(psnr: Option<f64>) -> String {
    psnr.map_or("-".into(), |psnr| format!("{psnr:.2} dB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_listed_up_to_a_limit() {
        let image = |(index, error): (usize, f64)| ImageScores {
            name: format!("{index}.png"),
            counted: 9,
            metrics: vec![("psnr", Some(20.0 - error)), ("ssim", None)],
            input: (index != 1).then(|| vec![("psnr", None), ("ssim", Some(0.5))]),
            error: Some(error),
            surfaces: Vec::new(),
        };
        let images: Vec<_> = [1.0, 3.0, 2.0].into_iter().enumerate().map(image).collect();
        let (table, count) = of_images(&images, 2);
        assert_eq!(table.header, ["image", "counted", "PSNR", "SSIM"], "not all inputs have scores");
        assert_eq!(table.rows, [vec!["1.png", "9", "17.00 dB", "-"], vec!["2.png", "9", "18.00 dB", "-"]]);
        assert_eq!(count, 3);
        let (table, _) = of_images(&images[2..], 2);
        assert_eq!(table.header[2..], ["PSNR of input", "SSIM of input", "PSNR", "SSIM"]);
        assert_eq!(table.rows[0][2..], ["-", "0.5000", "18.00 dB", "-"]);
        assert!(of_images(&[], 2).0.rows.is_empty());
    }
}
