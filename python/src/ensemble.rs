//! The class `Ensemble`, and the function `evaluate`.

use std::path::{Path, PathBuf};

use msd_gpu::network;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::applied::{Applied, NamedModels, Place};
use crate::arrays::type_of;
use crate::errors::raised;
use crate::keywords;
use crate::model::Model;
use crate::process;

/// Several models that are applied together, such as those of the folds of a cross-validation: the mean of their probabilities or
/// values is taken.
///
/// models: a sequence of Model, model files, run folders or folders of folds, of the same task, classes and channels.
/// tta: average over all eight flips and rotations of each image as well, which is eight times the work. One model will do.
/// device, tile: as in Model.load; what is not given is that of the first Model.
///
/// Raises FileNotFoundError or another OSError for a file that cannot be read; TypeError for what is no model; ValueError for no
/// models and for models that do not agree; RuntimeError when the device fails.
#[pyclass(frozen, module = "msd_gpu")]
pub struct Ensemble {
    pub applied: Applied,
}

/// The models of a sequence with their names, and where the first of them is, if it is opened.
fn read_models(models: &Bound<'_, PyAny>) -> PyResult<(NamedModels, Option<Place>)> {
    let wanted = "a sequence of msd_gpu.Model, model files and run folders";
    let (Ok(items), false) = (models.try_iter(), models.extract::<PathBuf>().is_ok()) else {
        return Err(PyTypeError::new_err(format!("models is {}; wanted {wanted}", type_of(models))));
    };
    let (mut all, mut place) = (Vec::new(), None);
    for (index, item) in items.enumerate() {
        let item = item?;
        if let Ok(model) = item.cast::<Model>() {
            let applied = &model.get().applied;
            place.get_or_insert_with(|| applied.place.clone());
            all.push((format!("models[{index}]"), applied.model().clone()));
        } else if let Ok(path) = item.extract::<PathBuf>() {
            // A folder of folds has several.
            for path in network::Model::paths(&path) {
                let model = item.py().detach(|| network::Model::read(&path)).map_err(raised)?;
                all.push((path.display().to_string(), model));
            }
        } else {
            let found = type_of(&item);
            return Err(PyTypeError::new_err(format!("models[{index}] is {found}; wanted {wanted}")));
        }
    }
    if all.is_empty() {
        return Err(PyValueError::new_err("models is empty; wanted at least one"));
    }
    Ok((all, place))
}

impl Ensemble {
    fn open(
        models: &Bound<'_, PyAny>,
        tta: bool,
        device: Option<String>,
        tile: Option<usize>,
    ) -> PyResult<Self> {
        process::enter()?;
        let (opened, first) = read_models(models)?;
        let first = first.unwrap_or_else(|| Place { device: "auto".into(), tile: None });
        let place = Place { device: device.unwrap_or(first.device), tile: tile.or(first.tile) };
        Self::at(models.py(), opened, place, tta)
    }

    fn at(py: Python<'_>, models: NamedModels, place: Place, tta: bool) -> PyResult<Self> {
        let applied = py.detach(|| Applied::open(models, place, tta, None)).map_err(raised)?;
        Ok(Self { applied })
    }
}

#[pymethods]
impl Ensemble {
    #[new]
    #[pyo3(signature = (models, *, tta = None, device = None, tile = None, **unknown),
        text_signature = "(models, *, tta=False, device=None, tile=None)")]
    fn new(
        models: &Bound<'_, PyAny>,
        tta: Option<&Bound<'_, PyAny>>,
        device: Option<&Bound<'_, PyAny>>,
        tile: Option<&Bound<'_, PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        keywords::refuse("Ensemble", unknown, &["tta", "device", "tile"])?;
        let device = device.map(|device| keywords::text("device", device)).transpose()?;
        Self::open(models, keywords::flag("tta", tta)?, device, keywords::tile(tile)?)
    }

    /// The mean of what the models give: arrays in and out as for Model.predict. Labels are those of the largest mean probability.
    #[pyo3(signature = (array, *, probabilities = None, rescale = None, out = None, **unknown),
        text_signature = "($self, array, *, probabilities=False, rescale=None, out=None)")]
    fn predict<'py>(
        &self,
        array: &Bound<'py, PyAny>,
        probabilities: Option<&Bound<'py, PyAny>>,
        rescale: Option<&Bound<'py, PyAny>>,
        out: Option<&Bound<'py, PyAny>>,
        unknown: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        keywords::refuse("Ensemble.predict", unknown, &["probabilities", "rescale", "out"])?;
        self.applied.predict(array, keywords::flag("probabilities", probabilities)?, rescale, out)
    }

    /// Applies the models to images in files and writes the results to files, as Model.apply does for one.
    #[pyo3(signature = (input, out, **options),
        text_signature = "($self, input, out, *, probabilities=False, overlay=False, uncertainty=False, pages=False, format=None, ome='0.5', halo=None, memory=None, resume=False, part=None, keep_going=False, axes=None, channel=None, slices=None, level=0, raw=None, rescale=None, progress=None)")]
    fn apply(
        &self,
        input: &Bound<'_, PyAny>,
        out: &Bound<'_, PyAny>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Vec<PathBuf>> {
        self.applied.apply("Ensemble.apply", input, out, options)
    }

    /// How far the predictions are apart, for an array and rescale as Model.predict takes them. Gives a dict of float32 arrays: mean, which is
    /// the mean probabilities of the classes or the mean values; deviation, their standard deviation over all models and flips;
    /// and for a segmentation entropy, that of the mean probabilities of each pixel, in nats.
    ///
    /// Raises what predict raises.
    #[pyo3(signature = (array, *, rescale = None, **unknown), text_signature = "($self, array, *, rescale=None)")]
    fn uncertainty<'py>(
        &self,
        array: &Bound<'py, PyAny>,
        rescale: Option<&Bound<'py, PyAny>>,
        unknown: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        keywords::refuse("Ensemble.uncertainty", unknown, &["rescale"])?;
        self.applied.uncertainty(array, rescale)
    }

    /// Scores the mean of what the models give for images against their targets, as Model.evaluate does for one.
    #[pyo3(signature = (images, targets, **options),
        text_signature = "($self, images, targets, *, weights=None, ignore=None, threshold=None, classes=None, data_range=None, ssim_window=None, circle=False, rescale=None)")]
    fn evaluate<'py>(
        &self,
        images: &Bound<'py, PyAny>,
        targets: &Bound<'py, PyAny>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        self.applied.evaluate("Ensemble.evaluate", images, targets, options)
    }

    /// "segment" or "regress".
    #[getter]
    fn task(&self) -> &'static str {
        self.applied.task().name()
    }

    /// Channels of the images that it takes.
    #[getter]
    fn inputs(&self) -> usize {
        self.applied.model().architecture.inputs
    }

    /// Classes, or channels of what it gives.
    #[getter]
    fn outputs(&self) -> usize {
        self.applied.model().architecture.outputs
    }

    /// How many pixels to either side a pixel of the result depends on, as in Model.halo; with all flips and rotations as well.
    #[getter]
    fn halo(&self) -> usize {
        self.applied.halo()
    }

    /// The classes of a segmentation in the order of their probabilities, as (label value, name).
    #[getter]
    fn classes(&self) -> Vec<(i64, String)> {
        self.applied.classes()
    }

    /// Whether images are shown in all eight flips and rotations.
    #[getter]
    fn tta(&self) -> bool {
        self.applied.tta
    }

    /// The name of the device that it is on.
    #[getter]
    fn device(&self) -> &str {
        &self.applied.device
    }

    /// How many models there are.
    fn __len__(&self) -> usize {
        self.applied.models.len()
    }

    fn __repr__(&self) -> String {
        let (count, tta) = (self.__len__(), if self.tta() { ", tta" } else { "" });
        let models = if count == 1 { "model" } else { "models" };
        format!("<msd_gpu.Ensemble: {count} {models}{tta}, {}, on {}>", self.task(), self.device())
    }

    #[allow(clippy::type_complexity)] // The arguments of _restore.
    fn __reduce__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyAny>, (Vec<(String, Bound<'py, PyBytes>)>, bool, String, Option<usize>))>
    {
        let bytes = |(name, model): &(String, network::Model)| {
            Ok((name.clone(), PyBytes::new(py, &model.to_bytes().map_err(raised)?)))
        };
        let models = self.applied.models.iter().map(bytes).collect::<PyResult<Vec<_>>>()?;
        let Place { device, tile } = self.applied.place.clone();
        Ok((py.import("msd_gpu")?.getattr("_restore_ensemble")?, (models, self.applied.tta, device, tile)))
    }

    /// The ensemble that was pickled.
    #[staticmethod]
    fn _restore(
        py: Python<'_>,
        models: Vec<(String, Bound<'_, PyBytes>)>,
        tta: bool,
        device: String,
        tile: Option<usize>,
    ) -> PyResult<Self> {
        process::enter()?;
        let read = |(name, bytes): (String, Bound<'_, PyBytes>)| {
            let model = network::Model::from_bytes(bytes.as_bytes(), Path::new("the pickled model"));
            Ok((name, model.map_err(raised)?))
        };
        let models = models.into_iter().map(read).collect::<PyResult<_>>()?;
        Self::at(py, models, Place { device, tile }, tta)
    }
}

/// Scores what a model gives for images against their targets, as msd-gpu evaluate --json does; of a sequence of models, or an
/// Ensemble, the mean of what they give.
///
/// The other arguments and the dict that it gives are those of Model.evaluate.
#[pyfunction]
#[pyo3(signature = (models, images, targets, **options),
    text_signature = "(models, images, targets, *, weights=None, ignore=None, threshold=None, classes=None, data_range=None, ssim_window=None, circle=False, rescale=None)")]
pub fn evaluate<'py>(
    models: &Bound<'py, PyAny>,
    images: &Bound<'py, PyAny>,
    targets: &Bound<'py, PyAny>,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyDict>> {
    if let Ok(model) = models.cast::<Model>() {
        return model.get().applied.evaluate("evaluate", images, targets, options);
    }
    if let Ok(ensemble) = models.cast::<Ensemble>() {
        return ensemble.get().applied.evaluate("evaluate", images, targets, options);
    }
    Ensemble::open(models, false, None, None)?.applied.evaluate("evaluate", images, targets, options)
}
