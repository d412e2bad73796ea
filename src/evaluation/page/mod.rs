//! Scores, pictures and how they came about as one page that can be sent to a colleague: `evaluate --report`.
//!
//! - [`Report`]: what is on the page, and [`Report::to_html`], which writes it.
//! - [`Case`]: the pictures of one image. Only those of three images are kept, and large ones are reduced.
//! - [`PageFile`]: where it goes.
//!
//! The pieces of pages (tables, sliders, the style) are in [`crate::pictures::html`], the numbers in [`super::tables`].

mod cases;
mod date;
mod file;

use std::time::SystemTime;

pub(in crate::evaluation) use cases::Look;
pub use cases::{Case, Pictures};
pub use file::PageFile;

use super::halves::Halves;
use super::measures::Measures;
use super::scores::{Evaluation, TaskScores};
use super::tables::{Table, WHAT, calibration_error, counted, how_measured, of_images, tables};
use crate::metrics::{RegressionScores, Threshold};
use crate::network::Task;
use crate::pictures::{Page, Row, class_colour};

/// More images than this are not listed one by one.
const MOST_ROWS: usize = 1000;
/// More classes than this have no legend.
const MOST_COLOURS: usize = 64;

/// How what is on a page came about.
#[derive(Debug, Clone, Default)]
pub struct Provenance {
    /// Tables of names and what they are, such as the model and its settings, each under its heading.
    pub facts: Vec<(String, Vec<(String, String)>)>,
    /// The training of each model, where its run is known.
    pub trainings: Vec<Training>,
    /// The command line that wrote the page; nothing where a program did.
    pub command: Option<String>,
}

/// How a model was trained.
#[derive(Debug, Clone)]
pub struct Training {
    /// The model's name.
    pub name: String,
    /// The curves of loss and metrics, as SVG.
    pub curves: Option<String>,
    /// The settings of the run.
    pub settings: Option<String>,
}

/// What is on a page about scores.
#[derive(Debug, Clone)]
pub struct Report<'a> {
    /// What was judged, for the heading.
    pub title: String,
    /// The classes, or that values were compared.
    pub task: &'a Task,
    /// The scores.
    pub evaluation: &'a Evaluation,
    /// How they were measured.
    pub measures: Measures,
    /// The images that are shown.
    pub cases: &'a [Case],
    /// How it came about.
    pub provenance: Provenance,
    /// The scores of values that it is compared with besides the input, and their names.
    pub others: &'a [(&'static str, &'a RegressionScores)],
}

impl Report<'_> {
    /// The page as HTML, which needs nothing else.
    pub fn to_html(&self) -> String {
        let mut page = Page::new(format!("Evaluation of {}", self.title));
        let images = self.evaluation.images;
        page.paragraph(&format!("{} compared with their targets.", counted(images)));
        for line in how_measured(self.evaluation, self.measures) {
            page.paragraph(&sentence(&line));
        }
        page.section("Scores");
        for table in tables(self.task, self.evaluation, self.others) {
            add(&mut page, &table);
        }
        if let TaskScores::Segment { calibration, .. } = &self.evaluation.scores
            && calibration.expected_error().is_some()
        {
            page.paragraph(&sentence(&calibration_error(calibration).replace("  ", " ")));
        }
        self.images(&mut page);
        let (table, count) = of_images(&self.evaluation.image_scores, MOST_ROWS);
        page.section("All images");
        if count > table.rows.len() {
            page.paragraph(&format!("These are the {} worst of {count} images.", table.rows.len()));
        }
        if count < images {
            page.paragraph(&format!("{} without a pixel that counts left out.", counted(images - count)));
        }
        add(&mut page, &table);
        self.provenance.add_to(&mut page);
        page.finish()
    }

    /// The images that are shown.
    fn images(&self, page: &mut Page) {
        if self.cases.is_empty() {
            return;
        }
        page.section(match self.cases.len() {
            1 => "The image",
            2 => "The worst and the best image",
            _ => "The worst, the median and the best image",
        });
        if let Task::Segment { classes } = self.task {
            let named = (0_u32..).zip(classes).take(MOST_COLOURS);
            let mut colours: Vec<_> =
                named.map(|(index, class)| (class.name.clone(), class_colour(index))).collect();
            colours.push(("wrong".into(), cases::WRONG));
            colours.push(("does not count".into(), cases::NOT_COUNTED));
            page.legend(&colours);
        }
        for case in self.cases {
            let Some(image) = self.evaluation.image_scores.get(case.place) else { continue };
            let (table, _) = of_images(std::slice::from_ref(image), 1);
            let scores: Vec<String> = table
                .header
                .iter()
                .zip(table.rows.iter().flatten())
                .skip(2)
                .map(|(name, number)| format!("{name} {number}"))
                .collect();
            page.part(&format!("{}: {}", capital(case.word), image.name));
            page.paragraph(&sentence(&scores.join(", ")));
            let names: Vec<_> = case.layers.iter().map(|layer| layer.name.as_str()).collect();
            page.pair(|page| {
                // The output is shown first, where there is an input before it.
                page.slider(
                    &format!("{} of the {} image", capital(&names.join(" to ")), case.word),
                    &case.layers,
                    case.layers.len().saturating_sub(2),
                );
                page.figures(std::slice::from_ref(&case.error));
            });
            if let Some((svg, description)) = &case.profile {
                page.chart(svg, description);
            }
        }
    }
}

impl Provenance {
    fn add_to(&self, page: &mut Page) {
        let trainings: Vec<_> =
            self.trainings.iter().filter(|run| run.curves.is_some() || run.settings.is_some()).collect();
        if !trainings.is_empty() {
            page.section("Training");
        }
        for training in trainings {
            page.part(&training.name);
            if let Some(curves) = &training.curves {
                page.chart(
                    curves,
                    &format!("Loss and metrics over the steps of the training of {}.", training.name),
                );
            }
            if let Some(settings) = &training.settings {
                page.details("Settings of the run (config.toml)", settings);
            }
        }
        page.section("How this was made");
        for (heading, facts) in &self.facts {
            let rows: Vec<_> = facts.iter().map(|(name, text)| Row::new(name, vec![text.clone()])).collect();
            page.table(heading, &[], &rows, false);
        }
        let mut rows = vec![
            Row::new("program", vec![format!("msd-gpu {}", env!("CARGO_PKG_VERSION"))]),
            Row::new("date", vec![date::in_words(SystemTime::now())]),
        ];
        rows.extend(self.command.as_ref().map(|command| Row::new("command", vec![command.clone()])));
        page.table("This page", &[], &rows, false);
    }
}

/// The page about two halves, as HTML.
pub fn halves_page(halves: &Halves, provenance: &Provenance) -> String {
    let mut page = Page::new(format!("{} of two halves", capital(halves.method())));
    page.paragraph(&sentence(&halves.description()));
    page.section("Resolution");
    let rows: Vec<_> = Threshold::ALL
        .map(|threshold| Row::new(threshold.name(), vec![halves.resolution(threshold)]))
        .to_vec();
    page.table("Up to which details the halves agree", &["threshold", "resolution"], &rows, false);
    page.chart(
        &halves.chart().to_svg(),
        "The correlation of the halves over the frequency, with both thresholds.",
    );
    page.section("By frequency");
    let (header, rows) = halves.table();
    let rows: Vec<_> = rows
        .into_iter()
        .map(|mut row| {
            let name = if row.is_empty() { String::new() } else { row.remove(0) };
            Row::new(name, row)
        })
        .collect();
    page.table("Up to 20 of the shells of frequencies, evenly spaced", &header, &rows, true);
    provenance.add_to(&mut page);
    page.finish()
}

/// A table of scores, with the colours of classes where its rows are these.
fn add(page: &mut Page, table: &Table) {
    let row = |(index, cells): (u32, &Vec<String>)| Row {
        name: cells.first().cloned().unwrap_or_default(),
        colour: table.of_classes.then(|| class_colour(index)),
        cells: cells.iter().skip(1).cloned().collect(),
    };
    let rows: Vec<_> = (0_u32..).zip(&table.rows).map(row).collect();
    let header: Vec<_> = table.header.iter().map(String::as_str).collect();
    // Where the last column says what the numbers are, it is read as text.
    let numbers = table.header.last().is_none_or(|name| name != WHAT);
    page.table(&capital(&table.caption), &header, &rows, numbers);
}

/// With a capital letter at its beginning.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// With a capital letter and a full stop.
fn sentence(text: &str) -> String {
    format!("{}.", capital(text))
}
