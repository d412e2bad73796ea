//! Trained models against targets in the units of their files: what must fit, how classes are counted, and the report.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::ensemble::InSlabs;
use super::judge::Judge;
use super::measures::Measures;
use super::page::{Case, Look, Pictures};
use super::scores::{Evaluation, TaskScores};
use super::upscaling::UpscalingScores;
use crate::error::{Error, Result, counted_channels};
use crate::inference::{Cutting, Ensemble};
use crate::metrics::{ClassScores, DataRange, RegressionScores, SsimWindow};
use crate::network::{Model, Task};
use crate::samples::{Classes, Dataset, LabelMapping, LabelRule, Target, TargetChange};
use crate::watcher::Watcher;

/// How models of one task and the same classes are scored.
#[derive(Debug, Clone)]
pub struct Scoring {
    mapping: LabelMapping,
    /// The output of each class of the mapping.
    order: Vec<usize>,
    rule: LabelRule,
    measures: Measures,
    outputs: usize,
    /// How volumes are cut.
    cutting: Cutting,
}

impl Scoring {
    /// For `model`, and others that agree with it. Pixels with the label `ignored` do not count; PSNR and SSIM refer to
    /// `range`, or to the range of the targets.
    ///
    /// # Errors
    /// [`Error::Setting`] for labels of a regression, a range of a segmentation, and one that is not above 0.
    pub fn new(model: &Model, ignored: Option<i64>, range: Option<f64>) -> Result<Self> {
        let range = match (range, &model.task) {
            (None, _) => None,
            (Some(range), Task::Segment { .. }) => {
                let wanted = "the scores of a segmentation have no range; leave it out";
                return Err(Error::setting("data_range", range, wanted));
            }
            (Some(range), Task::Regress) => Some(Self::range(range)?),
        };
        if let (Some(value), Task::Regress) = (ignored, &model.task) {
            let wanted = "a regression has no label values; give `weights` with 0 where pixels do not count";
            return Err(Error::setting("ignore", value, wanted));
        }
        // The mapping counts classes by ascending value; the model's outputs may come in another order.
        let classes = model.classes();
        let mut order: Vec<usize> = (0..classes.len()).collect();
        order.sort_by_key(|&output| classes[output].value);
        let values = order.iter().map(|&output| classes[output].value).collect();
        // A model of coloured masks names its classes by the colours.
        let rule = LabelRule::of_names(order.iter().map(|&output| classes[output].name.as_str()));
        let outputs = model.architecture.outputs;
        let measures = Measures { range, ..Measures::default() };
        Ok(Self {
            mapping: LabelMapping { values, ignored },
            order,
            rule,
            measures,
            outputs,
            cutting: Cutting::default(),
        })
    }

    /// The range of values that PSNR and SSIM refer to.
    ///
    /// # Errors
    /// [`Error::Setting`] for a number that is not above 0.
    pub fn range(range: f64) -> Result<DataRange> {
        DataRange::given(range)
            .map_err(|_| Error::setting("data_range", range, "it must be a number above 0, such as 255"))
    }

    /// Label images are taken by the rule of `threshold` or `classes`, as in training; with neither, as they are.
    ///
    /// # Errors
    /// As [`LabelRule::from_settings`].
    pub fn by_rule(self, threshold: Option<i64>, classes: Option<&str>) -> Result<Self> {
        Ok(match LabelRule::from_settings(threshold, classes, None)? {
            LabelRule::AsStored => self,
            rule => Self { rule, ..self },
        })
    }

    /// SSIM of what `model` gives is taken in windows of this kind, the usual ones for `None`, and only pixels inside the inscribed circle
    /// count if that is wanted, as in reconstructions of tomography.
    ///
    /// # Errors
    /// [`Error::Setting`] for a window where the model gives classes, and for the circle where it takes volumes.
    pub fn measured_in(mut self, model: &Model, window: Option<SsimWindow>, circle: bool) -> Result<Self> {
        if let (Some(window), Task::Segment { .. }) = (window, &model.task) {
            let wanted = "the scores of a segmentation have no SSIM; leave it out";
            return Err(Error::setting("ssim_window", window, wanted));
        }
        if circle && model.architecture.is_of_volumes() {
            let wanted = "scores of volumes are of all their voxels; leave it out";
            return Err(Error::setting("circle", "given for a network of volumes", wanted));
        }
        self.measures.window = window.unwrap_or_default();
        self.measures.circle = circle;
        Ok(self)
    }

    /// The size of a pixel along z, y and x, where the distances between the surfaces of classes are wanted.
    pub fn with_surfaces(mut self, size: Option<[f64; 3]>) -> Self {
        self.measures.surfaces = size;
        self
    }

    /// Volumes are computed in tiles and within memory as `cutting` says.
    pub fn within(self, cutting: Cutting) -> Self {
        Self { cutting, ..self }
    }

    /// How scores are measured.
    pub fn measures(&self) -> Measures {
        self.measures
    }

    /// The rule by which label images are taken.
    pub fn rule(&self) -> &LabelRule {
        &self.rule
    }

    /// The classes that label images are read with.
    pub fn classes(&self) -> Classes<'_> {
        Classes::Known(&self.mapping)
    }

    /// Checks that targets, which are called `name`, have as many channels as the model gives.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for another number.
    pub fn check_targets(&self, name: &str, dataset: &Dataset) -> Result<()> {
        let Self { outputs, .. } = self;
        match dataset.target_channels().filter(|found| found != outputs) {
            None => Ok(()),
            Some(found) => Err(Error::Mismatch(format!(
                "{name} have {}, but the model gives {outputs}; give targets like those that it was trained on",
                counted_channels(found)
            ))),
        }
    }

    /// Scores what `ensemble` gives for the images of `dataset`, whose classes are counted as [`Scoring::classes`] has them.
    ///
    /// # Errors
    /// As [`Scoring::check_targets`] and [`Judge::run`].
    pub fn run(
        &self,
        ensemble: &mut Ensemble,
        dataset: Dataset,
        watcher: &mut dyn Watcher,
    ) -> Result<Evaluation> {
        let dataset = self.counted_by_outputs(dataset)?;
        let judge = self.judge(ensemble.model());
        judge.score_over(&mut InSlabs { ensemble, cutting: self.cutting }, &dataset, watcher)
    }

    /// As [`Scoring::run`], with pictures of the worst, the median and the best image, for which the models are applied once more.
    ///
    /// # Errors
    /// As [`Scoring::run`].
    pub fn run_with_pictures(
        &self,
        ensemble: &mut Ensemble,
        dataset: Dataset,
        pictures: Pictures,
        watcher: &mut dyn Watcher,
    ) -> Result<(Evaluation, Vec<Case>)> {
        let dataset = self.counted_by_outputs(dataset)?;
        let judge = self.judge(ensemble.model());
        let mut slabs = InSlabs { ensemble: &mut *ensemble, cutting: self.cutting };
        let evaluation = judge.score_over(&mut slabs, &dataset, watcher)?;
        let (task, channel) = (ensemble.model().task.clone(), ensemble.model().middle_channels().start);
        let look = Look::new(&task, pictures, Some(channel));
        let cases = look.cases(&judge, ensemble, &dataset, &evaluation, watcher)?;
        Ok((evaluation, cases))
    }

    fn judge(&self, model: &Model) -> Judge {
        // What the network gained can be told where the input is already a guess at the target.
        Judge::new(&model.task).with_measures(self.measures).comparing_input()
    }

    /// The images with the classes of their targets counted as the model's outputs are.
    fn counted_by_outputs(&self, mut dataset: Dataset) -> Result<Dataset> {
        self.check_targets("the targets", &dataset)?;
        let order = self.order.clone();
        let change: TargetChange = Arc::new(move |target, _| {
            if let Target::Classes(classes) = target {
                classes
                    .mapv_inplace(|class| order.get(class as usize).map_or(class, |&output| output as u32));
            }
        });
        dataset.items_mut().iter_mut().for_each(|item| item.change_target(change.clone(), true));
        Ok(dataset)
    }

    /// As [`Scoring::report`], with the scores of interpolation in the place of those of the input.
    pub fn report_upscaling(&self, ensemble: &Ensemble, found: &UpscalingScores) -> Value {
        let mut report = object(self.report(ensemble, &found.evaluation));
        report.remove("input");
        let (bicubic, lanczos) = (found.bicubic.as_ref().map(values), found.lanczos.as_ref().map(values));
        report.extend(object(json!({ "bicubic": bicubic, "lanczos": lanczos })));
        Value::Object(report)
    }

    /// All scores of an evaluation of `ensemble` as one JSON object: those of [`report`], what was judged and where, and how far
    /// its probabilities, or the images themselves, are right.
    pub fn report(&self, ensemble: &Ensemble, evaluation: &Evaluation) -> Value {
        let mut entries = report(&ensemble.model().task, evaluation, self.measures);
        entries.extend(object(json!({
            "device": ensemble.device().name, "models": ensemble.models(), "predictions": ensemble.predictions(),
        })));
        entries.extend(object(match &evaluation.scores {
            TaskScores::Segment { calibration, .. } => {
                json!({ "calibration_error": calibration.expected_error(), "reliability": calibration.bins() })
            }
            TaskScores::Regress { input, .. } => json!({ "input": input.as_ref().map(values) }),
        }));
        Value::Object(entries)
    }
}

/// The scores of an evaluation as the entries of a JSON object; those that are undefined or infinite are null. `measures` says
/// how they were measured.
pub fn report(task: &Task, evaluation: &Evaluation, measures: Measures) -> Map<String, Value> {
    let images = evaluation.images;
    let mut entries = object(match (&evaluation.scores, task) {
        (TaskScores::Segment { matrix, .. }, Task::Segment { classes }) => {
            let surfaces = evaluation.surfaces();
            let per_class = classes.iter().zip(matrix.per_class()).enumerate().map(|(index, (class, scores))| {
                let ClassScores { accuracy, precision, iou, dice, target_pixels } = scores;
                let mut of_class = json!({
                    "value": class.value, "name": class.name, "accuracy": accuracy, "precision": precision,
                    "iou": iou, "dice": dice, "target_pixels": target_pixels,
                });
                if let Some((distance, images)) = surfaces.get(index) {
                    of_class["surface_distance"] = json!({
                        "mean": distance.map(|distance| distance.mean),
                        "percentile_95": distance.map(|distance| distance.percentile_95), "images": images,
                    });
                }
                of_class
            });
            let rows: Vec<Vec<u64>> = matrix.counts().rows().into_iter().map(|row| row.to_vec()).collect();
            json!({
                "task": "segment", "images": images, "pixels": matrix.counts().sum(),
                "global_accuracy": matrix.global_accuracy(), "class_accuracy": matrix.class_accuracy(),
                "mean_iou": matrix.mean_iou(), "mean_dice": matrix.mean_dice(),
                "classes": per_class.collect::<Vec<_>>(), "confusion_matrix": rows,
            })
        }
        (TaskScores::Regress { output, .. }, _) => json!({
            "task": "regress", "images": images, "data_range": output.data_range().value(),
            "data_range_from": if measures.range.is_some() { "given" } else { "targets" },
            "ssim_window": output.ssim_window(), "output": values(output),
        }),
        // The scores of classes are those of a segmentation.
        _ => Value::Null,
    });
    entries.insert("circle".into(), measures.circle.into());
    entries
}

fn values(scores: &RegressionScores) -> Value {
    json!({
        "mse": scores.mse(), "mae": scores.mae(), "psnr": scores.psnr().filter(|psnr| psnr.is_finite()),
        "ssim": scores.ssim(),
    })
}

/// The entries of what is an object.
fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(entries) => entries,
        _ => Map::new(),
    }
}
