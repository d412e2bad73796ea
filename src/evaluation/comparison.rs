//! Results in files against targets in files: no network is needed.

use std::borrow::Cow;

use ndarray::Axis;

use super::judge::{Found, ImageResult, Judge, Judged, Samples};
use super::measures::Measures;
use super::page::{Case, Look, Pictures};
use super::scores::Evaluation;
use crate::network::{Class, Task, TaskKind};
use crate::samples::{LabelMapping, Results, Sample};
use crate::watcher::{Flow, Watcher};
use crate::{Error, Result};

/// What came of a comparison.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// What was compared: the classes that were found, or values.
    pub task: Task,
    /// The scores.
    pub evaluation: Evaluation,
    /// Pictures of the worst, the median and the best image, where they were asked for.
    pub cases: Vec<Case>,
}

/// Scores `results` against their targets, reading one pair after the other: label images twice, for their classes and for the
/// scores, and values twice where no range is given. With `pictures`, three images are read once more.
///
/// `kind` says whether they are classes or values; without it, [`Results::are_labels`] decides.
///
/// # Errors
/// [`Error::Input`] for files that cannot be read, [`Error::Mismatch`] for those that do not fit, [`Error::Setting`] for values of which
/// distances between surfaces are wanted, and [`Error::Stopped`].
pub fn compare(
    results: &Results,
    kind: Option<TaskKind>,
    measures: Measures,
    pictures: Option<Pictures>,
    watcher: &mut dyn Watcher,
) -> Result<Comparison> {
    let kind = match kind {
        Some(kind) => kind,
        None if results.are_labels()? => TaskKind::Segment,
        None => TaskKind::Regress,
    };
    if kind == TaskKind::Regress && measures.surfaces.is_some() {
        let wanted = "values have no surfaces; leave it out, or give `task segment` where they are classes";
        return Err(Error::setting("surface_distance", "given for values", wanted));
    }
    let mapping = match kind {
        TaskKind::Segment => Some(results.classes()?),
        TaskKind::Regress => None,
    };
    let task = match &mapping {
        Some(mapping) => {
            let class = |&value: &i64| Class { value, name: format!("class {value}") };
            Task::Segment { classes: mapping.values.iter().map(class).collect() }
        }
        None => Task::Regress,
    };
    let pairs = Pairs { results, mapping: mapping.as_ref() };
    let judge = Judge::new(&task).with_measures(measures);
    let evaluation = judge.run_over(&mut AsTheyAre, &pairs, watcher, |_, _| ())?;
    let cases = match pictures {
        Some(pictures) => {
            Look::new(&task, pictures, None).cases(&judge, &mut AsTheyAre, &pairs, &evaluation, watcher)?
        }
        None => Vec::new(),
    };
    Ok(Comparison { task, evaluation, cases })
}

struct Pairs<'a> {
    results: &'a Results,
    mapping: Option<&'a LabelMapping>,
}

impl Samples for Pairs<'_> {
    fn count(&self) -> usize {
        self.results.count()
    }

    fn sample(&self, index: usize) -> Result<Cow<'_, Sample>> {
        self.results.sample(index, self.mapping)
    }
}

/// Takes the image of a sample as what was found.
struct AsTheyAre;

impl Judged for AsTheyAre {
    fn apply(&mut self, sample: &Sample, _: &mut dyn FnMut(f64) -> Flow) -> Result<ImageResult> {
        let found = match sample.target {
            crate::samples::Target::Classes(_) => {
                Found::Classes(sample.image.index_axis(Axis(0), 0).mapv(|class| class as u32))
            }
            crate::samples::Target::Values(_) => Found::Values(sample.image.clone()),
        };
        Ok(ImageResult { found, probabilities: None, loss: None })
    }
}
