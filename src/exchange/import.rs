//! Recognises the files of other tools and turns them into models.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

use super::found::Found;
use super::tensors::{Element, Place, Tensors, dense};
use super::{Problem, msd_pytorch, msdnet, torch_file};
use crate::network::{Class, Model, Task, TaskKind};
use crate::{Error, Result};

/// Largest file that is read, in bytes: far more than any network that fits the limits of an architecture.
const MAX_BYTES: u64 = 1 << 32;

/// What some files do not hold.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// The dilations of the layers, cycled through; `None` for what the file says, else 1 to 10.
    pub dilations: Option<Vec<usize>>,
    /// What the network is for; `None` for what the file says.
    pub task: Option<TaskKind>,
}

/// A network that was imported.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// The network, with the scaling of its images as normalisation.
    pub model: Model,
    /// What was assumed because the file does not hold it: sentences for people.
    pub assumed: Vec<String>,
}

/// Reads a network of msdnet (HDF5) or of msd_pytorch (`torch.save` of PyTorch 0.4 or later, or safetensors with its
/// names). What kind of file it is shows in its content.
///
/// # Errors
/// [`Error::Model`] for a file that is none of these, damaged, of another architecture, or holds anything but tensors
/// and plain containers; [`Error::Setting`] for options that contradict the file.
pub fn import(path: &Path, options: &ImportOptions) -> Result<Imported> {
    let unreadable =
        |error| Error::model(path, format!("cannot be read ({error}); wanted a file of a network"));
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if metadata.len() > MAX_BYTES {
        let problem =
            format!("has {} bytes, more than any network; wanted at most {MAX_BYTES}", metadata.len());
        return Err(Error::model(path, problem));
    }
    import_bytes(std::fs::read(path).map_err(unreadable)?, path, options)
}

/// Reads a network from the bytes of a file; `path` is named in errors and noted in the model.
///
/// # Errors
/// As [`import`].
pub fn import_bytes(bytes: Vec<u8>, path: &Path, options: &ImportOptions) -> Result<Imported> {
    let problem = |problem: String| Error::model(path, problem);
    let is_hdf5 = bytes.starts_with(msdnet::HDF5_START);
    if is_hdf5 && options.dilations.is_some() {
        let wanted = "a file of msdnet says its dilations itself; leave the flag out";
        return Err(Error::setting("dilations", "given", wanted));
    }
    let found = match is_hdf5 {
        true => msdnet::read(bytes).map_err(problem)?,
        false => msd_pytorch::read(&tensors(&bytes).map_err(problem)?, options.dilations.as_deref())
            .map_err(problem)?,
    };
    let Imported { mut model, assumed } = complete(found, options.task)?;
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    model.provenance.insert("imported_from".into(), name);
    model.provenance.insert("program".into(), concat!("msd-gpu ", env!("CARGO_PKG_VERSION")).into());
    model.validate().map_err(|error| Error::model(path, error))?;
    Ok(Imported { model, assumed })
}

/// The tensors of a file of PyTorch or safetensors.
fn tensors(bytes: &[u8]) -> Problem<Tensors<'_>> {
    if bytes.starts_with(torch_file::ZIP_START) || bytes.starts_with(torch_file::LEGACY_START) {
        return torch_file::read(bytes);
    }
    let header = bytes.first_chunk::<8>().map(|length| u64::from_le_bytes(*length));
    if header.is_some_and(|length| length < bytes.len() as u64) && bytes.get(8) == Some(&b'{') {
        return safetensors(bytes);
    }
    Err("is not a file that is known; wanted msdnet's .h5, msd_pytorch's .torch or .pt, or safetensors"
        .into())
}

fn safetensors(bytes: &[u8]) -> Problem<Tensors<'_>> {
    let damaged =
        |error: &dyn std::fmt::Display| format!("is a damaged safetensors file ({error}); copy it again");
    // This checks that all tensors lie in the file.
    SafeTensors::deserialize(bytes).map_err(|error| damaged(&error))?;
    let (length, header) = SafeTensors::read_metadata(bytes).map_err(|error| damaged(&error))?;
    if header.metadata().as_ref().is_some_and(|m| m.get("format").is_some_and(|f| f.starts_with("msd-gpu"))) {
        return Err("is a model of msd-gpu already; use it as it is".into());
    }
    let mut places = BTreeMap::new();
    for (name, info) in header.tensors() {
        let element = match info.dtype {
            Dtype::F32 => Element::Float32,
            Dtype::F64 => Element::Float64,
            other => Element::Other(other.bitsize().div_ceil(8)),
        };
        let start = 8 + length;
        let storage = start + info.data_offsets.0..start + info.data_offsets.1;
        let strides = dense(&info.shape).ok_or_else(|| damaged(&"a tensor is larger than the file"))?;
        places.insert(name, Place { element, storage, offset: 0, shape: info.shape.clone(), strides });
    }
    Ok(Tensors::new(bytes, places))
}

/// Decides what the network is for, from the file, the flag and the number of outputs.
fn complete(found: Found, flag: Option<TaskKind>) -> Result<Imported> {
    let Found { mut model, task, mut assumed } = found;
    let outputs = model.architecture.outputs;
    let kind = match (task, flag) {
        (Some(says), Some(flag)) if says != flag => {
            let wanted = "the file says otherwise; leave the flag out";
            return Err(Error::setting("task", flag, wanted));
        }
        (Some(kind), _) | (None, Some(kind)) => kind,
        (None, None) => {
            let kind = if outputs == 1 { TaskKind::Regress } else { TaskKind::Segment };
            let (is, other) = match kind {
                TaskKind::Segment => {
                    ("a segmentation, as it has several outputs and none is scaled", "regress")
                }
                TaskKind::Regress => ("a regression, as it has one output", "segment"),
            };
            assumed.push(format!("the file does not say what the network is for: it is taken for {is}; `task {other}` if it is not"));
            kind
        }
    };
    // Classes are numbered from 0.
    let class = |value: i64| Class { value, name: value.to_string() };
    model.task = match kind {
        TaskKind::Regress => Task::Regress,
        TaskKind::Segment => Task::Segment { classes: (0..outputs as i64).map(class).collect() },
    };
    if kind == TaskKind::Segment {
        model.target = None;
    }
    Ok(Imported { model, assumed })
}
