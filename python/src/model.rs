//! The class `Model`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use msd_gpu::devices::TuningPolicy;
use msd_gpu::files::write_bytes_atomic;
use msd_gpu::inference::Predictor;
use msd_gpu::network::{self, Task};
use msd_gpu::samples::check_finite;
use ndarray::{Array, Array3, ArrayD, Axis, Dimension};
use numpy::{Element, PyArray};
use pyo3::prelude::*;

use crate::arrays::{Numbers, to_image, wrong_shape};
use crate::errors::{raised, setting};

/// A trained network on a device. Threads may share it; it applies to one image at a time.
#[pyclass(frozen, module = "msd_gpu")]
pub struct Model {
    model: network::Model,
    device: String,
    predictor: Mutex<Predictor>,
}

impl Model {
    pub fn open(
        model: network::Model,
        device: &msd_gpu::devices::Device,
        tile: Option<usize>,
    ) -> msd_gpu::Result<Self> {
        let predictor = Predictor::new(model.clone(), device, tile)?;
        Ok(Self { model, device: device.info.name.clone(), predictor: Mutex::new(predictor) })
    }

    /// A panic in another thread leaves nothing half-done that the next image would see.
    fn predictor(&self) -> MutexGuard<'_, Predictor> {
        self.predictor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Model {
    /// Reads a model from a file, or from the folder of a run.
    ///
    /// device: "auto" (the best GPU, else the CPU), "cpu", "gpu", or an index or a part of a name in devices().
    /// tile: compute images in pieces of so many rows and columns, where they are too large for the device; the result
    /// is the same.
    ///
    /// Raises ValueError for a file that is not a model, an unknown device and tiles of 0 pixels; RuntimeError when the
    /// device fails.
    #[staticmethod]
    #[pyo3(signature = (path, *, device = "auto", tile = None))]
    fn load(py: Python<'_>, path: PathBuf, device: &str, tile: Option<usize>) -> PyResult<Self> {
        let open = || {
            Self::open(
                network::Model::read(&path)?,
                &msd_gpu::devices::choose(device)?.with_policy(TuningPolicy::Kept),
                tile,
            )
        };
        py.detach(open).map_err(raised)
    }

    /// Writes the model file.
    ///
    /// Raises ValueError when it cannot be written.
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        py.detach(|| write_bytes_atomic(&path, &self.model.to_bytes()?)).map_err(raised)
    }

    /// Applies the network to an image (y, x) or (c, y, x), or to a stack of images (n, c, y, x), of float32, float64,
    /// uint8 or uint16 in the units of the training images. Other threads of Python go on meanwhile.
    ///
    /// A segmentation gives labels in the values of the training labels, (y, x) or (n, y, x), of the smallest of uint8,
    /// uint16 and int64 that holds them all; with probabilities=True, float32 (classes, y, x) or (n, classes, y, x).
    /// A regression gives float32 in the units of its targets, (c, y, x) or (n, c, y, x), and (y, x) for an image (y, x)
    /// where it has one output.
    ///
    /// Raises TypeError for other arrays; ValueError for other shapes, an image of another number of channels, and
    /// probabilities of a regression; RuntimeError when the device fails.
    #[pyo3(signature = (array, *, probabilities = false))]
    fn predict<'py>(
        &self,
        py: Python<'py>,
        array: &Bound<'py, PyAny>,
        probabilities: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let Task::Segment { classes } = &self.model.task else {
            if probabilities {
                return Err(setting("probabilities", "True for a regression", "only classes have some"));
            }
            let flat = self.model.architecture.outputs == 1;
            return self.each(py, array, flat, Predictor::values);
        };
        if probabilities {
            return self.each(py, array, false, Predictor::probabilities);
        }
        let values: Vec<i64> = classes.iter().map(|class| class.value).collect();
        fn all<T: TryFrom<i64>>(values: &[i64]) -> Option<Vec<T>> {
            values.iter().map(|&value| T::try_from(value).ok()).collect()
        }
        if let Some(values) = all::<u8>(&values) {
            self.labels(py, array, &values)
        } else if let Some(values) = all::<u16>(&values) {
            self.labels(py, array, &values)
        } else {
            self.labels(py, array, &values)
        }
    }

    /// "segment" or "regress".
    #[getter]
    fn task(&self) -> &'static str {
        match self.model.task {
            Task::Segment { .. } => "segment",
            Task::Regress => "regress",
        }
    }

    /// Channels of the images that it takes.
    #[getter]
    fn inputs(&self) -> usize {
        self.model.architecture.inputs
    }

    /// Classes, or channels of what it gives.
    #[getter]
    fn outputs(&self) -> usize {
        self.model.architecture.outputs
    }

    /// The classes of a segmentation in the order of their probabilities, as (label value, name).
    #[getter]
    fn classes(&self) -> Vec<(i64, String)> {
        self.model.classes().iter().map(|class| (class.value, class.name.clone())).collect()
    }

    /// Where the model comes from: program, data, seed, device, scores.
    #[getter]
    fn provenance(&self) -> BTreeMap<String, String> {
        self.model.provenance.clone()
    }

    /// The name of the device that it is on.
    #[getter]
    fn device(&self) -> &str {
        &self.device
    }

    fn __repr__(&self) -> String {
        let a = &self.model.architecture;
        format!(
            "<msd_gpu.Model: {}, {} in, {} out, depth {}, width {}, on {}>",
            self.task(),
            a.inputs,
            a.outputs,
            a.depth,
            a.width,
            self.device
        )
    }
}

impl Model {
    fn labels<'py, T: Element + Copy + Default>(
        &self,
        py: Python<'py>,
        array: &Bound<'py, PyAny>,
        values: &[T],
    ) -> PyResult<Bound<'py, PyAny>> {
        self.each(py, array, false, |predictor, image| {
            Ok(predictor.classes(image)?.mapv(|class| values[class as usize]))
        })
    }

    /// Applies `compute` to each image, without the interpreter's lock. With `flat`, the single channel of what comes
    /// out is left out where the image has no axis for channels either.
    fn each<'py, T: Element + Copy + Default, D: Dimension>(
        &self,
        py: Python<'py>,
        array: &Bound<'py, PyAny>,
        flat: bool,
        compute: impl Fn(&mut Predictor, &Array3<f32>) -> msd_gpu::Result<Array<T, D>> + Sync,
    ) -> PyResult<Bound<'py, PyAny>> {
        let numbers = Numbers::of(array, "the image")?;
        let shape = numbers.shape();
        let count = match shape {
            [_, _] | [_, _, _] => None,
            [count, ..] if shape.len() == 4 && *count > 0 => Some(*count),
            _ => {
                let wanted = "(y, x), (c, y, x) or (n, c, y, x), with at least one image";
                return Err(wrong_shape("the image", shape, wanted));
            }
        };
        let mut all: ArrayD<T> = ArrayD::default(vec![0]);
        for index in 0..count.unwrap_or(1) {
            // Ctrl-C is heard between two images.
            py.check_signals()?;
            let image = to_image(numbers.at(count.map(|_| index)));
            let image = image.ok_or_else(|| wrong_shape("the image", shape, "(c, y, x)"))?;
            let compute =
                || check_finite("the image", &image).and_then(|()| compute(&mut self.predictor(), &image));
            let one = py.detach(compute).map_err(raised)?.into_dyn();
            let Some(count) = count else {
                all = if flat && shape.len() == 2 { one.index_axis_move(Axis(0), 0) } else { one };
                break;
            };
            if index == 0 {
                all = ArrayD::default([&[count], one.shape()].concat());
            }
            all.index_axis_mut(Axis(0), index).assign(&one);
        }
        Ok(PyArray::from_owned_array(py, all).into_any())
    }
}
