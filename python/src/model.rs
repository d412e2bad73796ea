//! The class `Model`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use msd_gpu::devices::Device;
use msd_gpu::evaluation::metric_names;
use msd_gpu::exchange::{self, ExportFormat};
use msd_gpu::files::write_bytes_atomic;
use msd_gpu::network;
use msd_gpu::training::{History, RunFolder};
use msd_gpu::watcher::Epoch;
use msd_gpu::{Error, Result};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::applied::{Applied, Place};
use crate::errors::raised;
use crate::keywords;
use crate::process;

/// A trained network on a device.
///
/// Threads may share it; it is applied to one image at a time. It can be copied and pickled, and chooses its device anew
/// where it is unpickled, by what was asked for here ("auto", "cpu" and so on).
#[pyclass(frozen, module = "msd_gpu")]
pub struct Model {
    pub applied: Applied,
    history: History,
}

impl Model {
    /// Opens a model at a place; where that was chosen before, on `device`.
    pub fn open(
        model: network::Model,
        history: History,
        place: Place,
        device: Option<&Device>,
    ) -> Result<Self> {
        let applied = Applied::open(vec![("the model".into(), model)], place, false, device)?;
        Ok(Self { applied, history })
    }
}

/// Reads a model and, where `path` is the folder of a run, its history.
fn read(path: &Path) -> Result<(network::Model, History)> {
    let model = network::Model::read(path)?;
    let metrics = metric_names(&model.task);
    let history = if path.is_dir() { RunFolder::history(path, metrics)? } else { None };
    Ok((model, history.unwrap_or_else(|| History::new(metrics))))
}

/// The numbers of an epoch by name.
pub fn epoch_dict<'py>(py: Python<'py>, epoch: &Epoch) -> PyResult<Bound<'py, PyDict>> {
    let numbers = PyDict::new(py);
    numbers.set_item("epoch", epoch.epoch)?;
    numbers.set_item("step", epoch.step)?;
    numbers.set_item("minutes", epoch.minutes)?;
    numbers.set_item("training_loss", epoch.training_loss)?;
    numbers.set_item("validation_loss", epoch.validation_loss)?;
    for (name, value) in &epoch.metrics {
        numbers.set_item(name, value)?;
    }
    numbers.set_item("learning_rate", epoch.learning_rate)?;
    numbers.set_item("best", epoch.best)?;
    Ok(numbers)
}

#[pymethods]
impl Model {
    /// Reads a model from a file, or from the folder of a run.
    ///
    /// device: "auto" (the best GPU, else the CPU), "cpu", "gpu", or an index or a part of a name in devices().
    /// tile: compute images in pieces of so many rows and columns, where they are too large for the device; the result
    /// is the same.
    ///
    /// Raises FileNotFoundError, PermissionError or another OSError for a file that cannot be read; ValueError for one that is
    /// not a model, an unknown device and tiles of 0 pixels; RuntimeError when the device fails.
    #[staticmethod]
    #[pyo3(signature = (path, *, device = None, tile = None, **unknown),
        text_signature = "(path, *, device='auto', tile=None)")]
    fn load(
        py: Python<'_>,
        path: &Bound<'_, PyAny>,
        device: Option<&Bound<'_, PyAny>>,
        tile: Option<&Bound<'_, PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        process::enter()?;
        keywords::refuse("Model.load", unknown, &["device", "tile"])?;
        let path = keywords::path("path", path)?;
        let device = device.map_or_else(|| Ok("auto".into()), |device| keywords::text("device", device))?;
        let place = Place { device, tile: keywords::tile(tile)? };
        let open = || {
            let (model, history) = read(&path)?;
            Self::open(model, history, place, None)
        };
        py.detach(open).map_err(raised)
    }

    /// Writes the model file.
    ///
    /// Raises FileNotFoundError where the folder is missing, or another OSError when the file cannot be written.
    fn save(&self, py: Python<'_>, path: &Bound<'_, PyAny>) -> PyResult<()> {
        let path = keywords::path("path", path)?;
        py.detach(|| write_bytes_atomic(&path, &self.applied.model().to_bytes()?)).map_err(raised)
    }

    /// Writes the model for other tools: format="onnx" is an ONNX file, format="torch" a PyTorch module, whose name must end in
    /// .py and which has its weights beside it, as NAME.weights.safetensors.
    ///
    /// Raises ValueError for another format or name, and for a model that normalises each image by itself; OSError when a file
    /// cannot be written.
    fn export(&self, py: Python<'_>, path: &Bound<'_, PyAny>, format: &Bound<'_, PyAny>) -> PyResult<()> {
        let (path, format) = (keywords::path("path", path)?, keywords::text("format", format)?);
        let write = || {
            let format: ExportFormat = format.parse()?;
            exchange::export(self.applied.model(), &path, format).map(drop).map_err(|error| match error {
                Error::Setting { setting, found, wanted } if setting == "torch" => {
                    Error::Setting { setting: "path".into(), found, wanted }
                }
                other => other,
            })
        };
        py.detach(write).map_err(raised)
    }

    /// Applies the network to an image, or to a stack of images of equal size, in the units of the training images. Other
    /// threads of Python go on meanwhile.
    ///
    /// array: integers, floating-point numbers or booleans of any size, byte order and layout; all become float32. What its
    /// axes are follows from the channels of the images that the model takes (see inputs):
    ///   of one channel: (y, x) is an image, (n, y, x) a stack, and so is (n, 1, y, x);
    ///   of several: (c, y, x) is an image, and (n, c, y, x) a stack.
    /// For a network of three dimensions a stack is one volume, whose slices see each other, and an image a volume of one slice.
    /// A masked array gives a masked array: masked pixels are filled with the mean of the others of their image and channel,
    /// and masked in the result.
    /// What has a shape, a dtype and slicing, such as a dataset of h5py, an array of zarr or dask, and np.memmap, is read slice by slice,
    /// or by those that lie together in a chunk, and never as a whole; slices that the memory does not hold, or with tile= in load larger
    /// ones, in tiles with all the pixels around them that count. Such arrays are not masked.
    ///
    /// A segmentation gives labels in the values of the training labels, (y, x) or (n, y, x), of the smallest of uint8,
    /// uint16 and int64 that holds them all; with probabilities=True, float32 (classes, y, x) or (n, classes, y, x).
    /// A regression gives float32 in the units of its targets, (c, y, x) or (n, c, y, x); where it has one output, (y, x) for
    /// (y, x) and (n, y, x) for (n, y, x).
    ///
    /// A model of slabs takes each slice with its neighbours as channels, (slices, y, x); apply makes slabs of stacks by itself.
    ///
    /// rescale: bring each image to the range of numbers of the training images, by its own mean and deviation ("mean") or
    /// percentiles ("1..99"): for the same scene in another bit depth.
    /// out: an array to write into, slice by slice, of NumPy, h5py or zarr or what else takes slices as these do; it has the shape of the
    /// result, and its type or one that holds all its numbers. It is given back. After an error it has the slices that were done.
    ///
    /// Raises TypeError for what is no array of numbers, and for an out of another type; ValueError for other shapes, an image of another number of channels,
    /// numbers that are not finite, probabilities of a regression, and another rescale than the training images were normalised
    /// by; RuntimeError when the device fails, and in a process
    /// that was forked after msd_gpu was used.
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
        keywords::refuse("Model.predict", unknown, &["probabilities", "rescale", "out"])?;
        self.applied.predict(array, keywords::flag("probabilities", probabilities)?, rescale, out)
    }

    /// Applies the network to images in files and writes the results to files, as msd-gpu predict does: read, computed and written at
    /// the same time, in memory that does not grow with the files. Gives the paths of the results.
    ///
    /// input: a folder, a stack or another file of images, an array inside a file ("scan.h5:/entry/data", "scan.ome.zarr") or a pattern
    /// ("slices/*.tif"); or a sequence of these.
    /// out: a folder, which is made if it is not there; for a single stack also the file, such as "result.ome.zarr".
    /// probabilities, overlay, uncertainty: write these too, as files of their own. pages: a file for each page of a stack.
    /// format: "tiff", "zarr", "hdf5", "npy", "mrc" or "nifti"; else that of each stack, and PNG or TIFF for images. ome: version of
    /// OME-Zarr, "0.5" or "0.4".
    /// memory: how much may be taken, in bytes or as "2GB"; images that need more are cut into tiles. Else most of what is free.
    /// halo: pixels around each tile that it is computed with: "exact" for all that count, "auto" for as many as keep the outputs within
    /// 1e-4 of their deviation, or a number; "auto", and "exact" where tile was set in load.
    /// resume: go on where an earlier call of the same kind was stopped. part: do one of several shares of the files, such as "2/8".
    /// keep_going: pass over images that cannot be used, and raise at the end; each is in the log.
    /// axes, channel, slices, level, raw: what the files do not say, and which part of them is taken; msd-gpu predict --help describes
    /// each. rescale: as in predict.
    /// progress: called as progress(index, count, done, name) when an image or a tile is done: the number of the image, from 0, how many
    /// there are, the share of the image that is done, and its name. It stops the work by returning False; what it raises stops it, too.
    ///
    /// Ctrl-C stops the work after a tile. What was begun and is not complete has hidden names, and never looks finished.
    ///
    /// Raises FileNotFoundError or another OSError for files that cannot be read or written; TypeError for values of another type;
    /// ValueError for images and settings that cannot be used; MemoryError; RuntimeError when the device fails, when progress
    /// stopped the work, when images were passed over, and in a process that was forked after msd_gpu was used.
    #[pyo3(signature = (input, out, **options),
        text_signature = "($self, input, out, *, probabilities=False, overlay=False, uncertainty=False, pages=False, format=None, ome='0.5', halo=None, memory=None, resume=False, part=None, keep_going=False, axes=None, channel=None, slices=None, level=0, raw=None, rescale=None, progress=None)")]
    fn apply(
        &self,
        input: &Bound<'_, PyAny>,
        out: &Bound<'_, PyAny>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Vec<PathBuf>> {
        self.applied.apply("Model.apply", input, out, options)
    }

    /// Scores what the network gives for images against their targets, as msd-gpu evaluate --json does.
    ///
    /// images, targets, weights: as train takes them, with dimensions=3 where the network is one of volumes; pixels of weight 0,
    /// masked ones and those with the label ignore do not count.
    /// threshold, classes: how labels become the model's classes, as in train. A model that was trained on colours takes these,
    /// (y, x, 3) too.
    /// rescale: as in predict.
    /// ssim_window: "uniform" (7 x 7 pixels, the default) or "gaussian" (as Wang et al. 2004).
    /// circle: whether only pixels inside the circle that fits into an image count, as in reconstructions of tomography.
    /// data_range: what PSNR and SSIM of a regression refer to, such as 255; else largest minus smallest target.
    ///
    /// Gives a dict. Of a segmentation: mean_iou, mean_dice, class_accuracy, global_accuracy, classes (a dict for each),
    /// confusion_matrix (rows are targets), calibration_error, reliability. Of a regression: output and input (the images
    /// themselves as a first guess; None where channels differ), each with mse, mae, psnr and ssim; data_range. Scores that are
    /// undefined are None.
    ///
    /// Raises TypeError and ValueError as train does; RuntimeError when the device fails.
    #[pyo3(signature = (images, targets, **options),
        text_signature = "($self, images, targets, *, weights=None, ignore=None, threshold=None, classes=None, data_range=None, ssim_window=None, circle=False, rescale=None)")]
    fn evaluate<'py>(
        &self,
        images: &Bound<'py, PyAny>,
        targets: &Bound<'py, PyAny>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        self.applied.evaluate("Model.evaluate", images, targets, options)
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

    /// How many pixels to either side a pixel of the result depends on. Blocks of an image that are computed with so many pixels around
    /// them give what the whole image gives, as with dask.array.map_overlap; not where each image is normalised by itself, or rescaled.
    #[getter]
    fn halo(&self) -> usize {
        self.applied.halo()
    }

    /// The classes of a segmentation in the order of their probabilities, as (label value, name).
    #[getter]
    fn classes(&self) -> Vec<(i64, String)> {
        self.applied.classes()
    }

    /// Where the model comes from: program, data, seed, device, scores.
    #[getter]
    fn provenance(&self) -> BTreeMap<String, String> {
        self.applied.model().provenance.clone()
    }

    /// The epochs of its training as dicts: epoch, step, minutes, training_loss, validation_loss, the metrics on the validation
    /// images, learning_rate, and best, which is True where an epoch gave the best model so far. What was not judged is NaN.
    ///
    /// Empty for a model that was read from a file alone, not from the folder of a run.
    #[getter]
    fn history<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        self.history.epochs.iter().map(|epoch| epoch_dict(py, epoch)).collect()
    }

    /// The name of the device that it is on.
    #[getter]
    fn device(&self) -> &str {
        &self.applied.device
    }

    fn __repr__(&self) -> String {
        let a = &self.applied.model().architecture;
        format!(
            "<msd_gpu.Model: {}, {} in, {} out, depth {}, width {}, on {}>",
            self.task(),
            a.inputs,
            a.outputs,
            a.depth,
            a.width,
            self.applied.device
        )
    }

    #[allow(clippy::type_complexity)] // The arguments of _restore.
    fn __reduce__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>, String, Option<usize>, String))> {
        let bytes = PyBytes::new(py, &self.applied.model().to_bytes().map_err(raised)?);
        let Place { device, tile } = self.applied.place.clone();
        Ok((py.import("msd_gpu")?.getattr("_restore_model")?, (bytes, device, tile, self.history.to_csv())))
    }

    /// The model that was pickled.
    #[staticmethod]
    fn _restore(
        py: Python<'_>,
        bytes: &[u8],
        device: String,
        tile: Option<usize>,
        history: &str,
    ) -> PyResult<Self> {
        process::enter()?;
        let open = || {
            let model = network::Model::from_bytes(bytes, Path::new("the pickled model"))?;
            let metrics = metric_names(&model.task);
            let history = History::from_csv(history, metrics, history.lines().count().saturating_sub(1));
            let history = history.unwrap_or_else(|| History::new(metrics));
            Self::open(model, history, Place { device, tile }, None)
        };
        py.detach(open).map_err(raised)
    }
}
