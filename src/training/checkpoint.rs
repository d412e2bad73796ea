//! All that is needed to go on with a run: parameters, moments, and how far it had come.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::engine::Moments;
use crate::{Error, Result};

/// The version that this crate writes and reads.
const FORMAT: &str = "msd-gpu checkpoint 1";

/// The state of a run at the end of an epoch.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Checkpoint {
    pub(super) parameters: Vec<f32>,
    pub(super) moments: Moments,
    /// Steps made.
    pub(super) step: u64,
    /// Epochs ended.
    pub(super) epoch: u64,
    /// Minutes of training.
    pub(super) minutes: f64,
    /// The best loss so far, the epoch that gave it, and its parameters.
    pub(super) best_loss: f64,
    pub(super) best_epoch: u64,
    pub(super) best_parameters: Vec<f32>,
}

impl Checkpoint {
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>> {
        let bytes = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let arrays = [
            ("parameters", bytes(&self.parameters)),
            ("first_moments", bytes(&self.moments.first)),
            ("second_moments", bytes(&self.moments.second)),
            ("best_parameters", bytes(&self.best_parameters)),
        ];
        let unusual = |e: safetensors::SafeTensorError| {
            Error::Mismatch(format!("the checkpoint cannot be written: {e}"))
        };
        let mut tensors = Vec::new();
        for (name, bytes) in &arrays {
            tensors
                .push((*name, TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes).map_err(unusual)?));
        }
        // Floating point numbers are kept as bits: a run that goes on must be the one that was stopped.
        let numbers = [
            ("format", FORMAT.to_string()),
            ("step", self.step.to_string()),
            ("epoch", self.epoch.to_string()),
            ("minutes", self.minutes.to_bits().to_string()),
            ("best_loss", self.best_loss.to_bits().to_string()),
            ("best_epoch", self.best_epoch.to_string()),
        ];
        let metadata: HashMap<String, String> = numbers.map(|(name, text)| (name.to_string(), text)).into();
        safetensors::serialize(tensors, Some(metadata)).map_err(unusual)
    }

    pub(super) fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self> {
        let damaged = |what: &dyn std::fmt::Display| {
            Error::model(path, format!("is not a whole checkpoint ({what}); start anew with --out"))
        };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(&e))?;
        let file = SafeTensors::deserialize(bytes).map_err(|e| damaged(&e))?;
        let metadata = header.metadata().clone().unwrap_or_default();
        if metadata.get("format").map(String::as_str) != Some(FORMAT) {
            return Err(damaged(&format!("its format is not '{FORMAT}'")));
        }
        let array = |name: &str| -> Result<Vec<f32>> {
            let view = file.tensor(name).map_err(|e| damaged(&e))?;
            if view.dtype() != Dtype::F32 {
                return Err(damaged(&format!("{name} are not float32")));
            }
            Ok(view.data().as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect())
        };
        let number = |name: &str| -> Result<u64> {
            metadata
                .get(name)
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| damaged(&format!("{name} is missing")))
        };
        if number("best_epoch")? > number("epoch")?.saturating_add(1) {
            return Err(damaged(&"its best epoch has not been yet"));
        }
        Ok(Self {
            parameters: array("parameters")?,
            moments: Moments { first: array("first_moments")?, second: array("second_moments")? },
            step: number("step")?,
            epoch: number("epoch")?,
            minutes: f64::from_bits(number("minutes")?),
            best_loss: f64::from_bits(number("best_loss")?),
            best_epoch: number("best_epoch")?,
            best_parameters: array("best_parameters")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_to_the_last_bit_and_damage_is_named() {
        let checkpoint = Checkpoint {
            parameters: vec![0.1, -2.0],
            moments: Moments { first: vec![1e-20, 3.0], second: vec![4.0, 5.0] },
            step: 7,
            epoch: 2,
            minutes: 0.1 + 0.2,
            best_loss: f64::INFINITY,
            best_epoch: 1,
            best_parameters: vec![7.0, 8.0],
        };
        let bytes = checkpoint.to_bytes().unwrap();
        assert_eq!(Checkpoint::from_bytes(&bytes, Path::new("c")).unwrap(), checkpoint);
        for length in (0..bytes.len()).step_by(7) {
            let error = Checkpoint::from_bytes(&bytes[..length], Path::new("c.safetensors")).unwrap_err();
            assert!(error.to_string().starts_with("c.safetensors: "));
        }
    }
}
