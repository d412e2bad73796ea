//! Networks that come from other tools, and models that go to them.
//!
//! [`import`] recognises by content what msdnet and msd_pytorch wrote; no Python is needed and none is run.
//! [`to_onnx`] and [`to_torch`] write a model for others, [`export()`] as files. This module depends on models and not on engines.

mod export;
mod found;
mod import;
mod msd_pytorch;
mod msdnet;
mod onnx;
mod onnx_stem;
mod pickle;
mod scaling;
mod tensors;
mod torch_file;
mod torch_module;

use crate::network::{Model, Normalisation};
use crate::{Error, Result};

pub use crate::network::TaskKind;
pub use export::{ExportFormat, check_module_name, export};
pub use import::{ImportOptions, Imported, import, import_bytes};
pub use onnx::{OPSET, to_onnx};
pub use torch_module::to_torch;

/// What a file's reader gives; the error is the rest of a sentence that starts with the file's name.
type Problem<T> = std::result::Result<T, String>;

/// The normalisation that all images have in `model`, as other tools need it.
fn shared_normalisation(model: &Model) -> Result<&Normalisation> {
    model.input.of_set().ok_or_else(|| {
        Error::Mismatch(
            "the model normalises each image by itself, which cannot be exported; train one with `normalise mean` and without `normalise_per_image`, so that all images are measured together"
                .into(),
        )
    })
}

/// Why dlsia's networks are refused.
fn dlsia() -> String {
    "is a network of dlsia, another architecture: after every layer it applies its activation and BatchNorm to all maps, the image included; wanted a network of msdnet or msd_pytorch, or train one with msd-gpu train".into()
}
