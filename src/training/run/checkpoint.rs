//! All that is needed to resume a run: the numbers of the engine, and the progress of the run.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use crate::encoding::{Float32Tensor, safetensors_bytes};
use crate::engine::Moments;
use crate::{Error, Result};

/// The version that this crate writes and reads.
const FORMAT: &str = "msd-gpu checkpoint 2";

/// The state of a run after a step.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::training) struct Checkpoint {
    pub(in crate::training) parameters: Vec<f32>,
    pub(in crate::training) moments: Moments,
    /// The averaged parameters; none where no average is kept.
    pub(in crate::training) average: Vec<f32>,
    /// The parameters of the best model; none before the first epoch ended.
    pub(in crate::training) best_parameters: Vec<f32>,
    pub(in crate::training) progress: Progress,
}

/// How far a run has come.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::training) struct Progress {
    /// The settings, as text, and the fingerprints of network and images.
    pub(in crate::training) settings: String,
    pub(in crate::training) fingerprints: (String, String),
    /// Steps made.
    pub(in crate::training) step: u64,
    /// Epochs ended.
    pub(in crate::training) epoch: u64,
    /// Steps made in the present epoch, and the sum of their losses.
    pub(in crate::training) epoch_steps: u64,
    #[serde(with = "bits")]
    pub(in crate::training) loss_sum: f64,
    /// Minutes of training, where a limit asks for them; else 0.
    #[serde(with = "bits")]
    pub(in crate::training) minutes: f64,
    /// What the best model so far was judged by (the smallest is best), the epoch that gave it, and where it comes from.
    #[serde(with = "bits")]
    pub(in crate::training) best: f64,
    pub(in crate::training) best_epoch: u64,
    pub(in crate::training) best_provenance: BTreeMap<String, String>,
    /// How often the learning rate dropped on a plateau, and the epoch of the last time.
    pub(in crate::training) drops: u64,
    pub(in crate::training) drop_epoch: u64,
    /// The GPU, and the sizes of its tiles: other ones would give other bits.
    #[serde(default)]
    pub(in crate::training) tuning: Option<(String, String)>,
    /// Whether a GPU adds the gradients of each image by itself, as several ranks do: a batch at once would give other bits.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::training) by_pieces: bool,
    /// Steps in an epoch, which stay as they were when the run began; `None` where an earlier version wrote it.
    #[serde(default)]
    pub(in crate::training) steps_in_epoch: Option<u64>,
    /// The labels that came after the first ones: the steps that were made before each came, and what tells them from others.
    #[serde(default)]
    pub(in crate::training) labels: Vec<(u64, String)>,
    /// The epoch in which they came last: patience begins anew then.
    #[serde(default)]
    pub(in crate::training) labels_epoch: u64,
}

impl Progress {
    /// Notes that other labels hold from the next step on. What was best by earlier ones is no measure any more.
    pub(in crate::training) fn take_labels(&mut self, version: &str) {
        // Labels by which no step was made leave nothing behind.
        self.labels.retain(|(steps, _)| *steps < self.step);
        // A run that goes on is given the labels again that it had.
        if self.labels.last().is_some_and(|(_, known)| known == version) {
            return;
        }
        self.labels.push((self.step, version.to_owned()));
        self.best = f64::INFINITY;
        (self.drops, self.drop_epoch, self.labels_epoch) = (0, self.epoch, self.epoch);
    }

    /// Epochs without a better model, by the present labels.
    pub(in crate::training) fn waited(&self) -> u64 {
        self.epoch.saturating_sub(self.best_epoch.max(self.labels_epoch))
    }

    /// The steps that were made before the present labels came.
    pub(in crate::training) fn relabelled_at(&self) -> u64 {
        self.labels.last().map_or(0, |(steps, _)| *steps)
    }

    /// From which step on which labels held; `None` where the first ones hold still.
    pub(in crate::training) fn labels_as_text(&self) -> Option<String> {
        let line = |(steps, version): &(u64, String)| format!("{version} from step {}", steps + 1);
        let lines: Vec<String> = self.labels.iter().map(line).collect();
        (!lines.is_empty()).then(|| lines.join(", "))
    }
}

/// Floating-point numbers are saved as their bits, so that a resumed run computes with exactly the same numbers.
mod bits {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::training) fn serialize<S: Serializer>(
        value: &f64,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(value.to_bits())
    }

    pub(in crate::training) fn deserialize<'d, D: Deserializer<'d>>(
        deserializer: D,
    ) -> Result<f64, D::Error> {
        u64::deserialize(deserializer).map(f64::from_bits)
    }
}

impl Checkpoint {
    pub(in crate::training) fn to_bytes(&self) -> Result<Vec<u8>> {
        let arrays = [
            ("parameters", &self.parameters),
            ("first_moments", &self.moments.first),
            ("second_moments", &self.moments.second),
            ("average", &self.average),
            ("best_parameters", &self.best_parameters),
        ];
        let unusual =
            |e: &dyn std::fmt::Display| Error::Mismatch(format!("the checkpoint cannot be written: {e}"));
        let tensors = arrays.map(|(name, values)| Float32Tensor { name, shape: vec![values.len()], values });
        let progress = serde_json::to_string(&self.progress).map_err(|e| unusual(&e))?;
        let metadata = [("format", FORMAT.to_string()), ("progress", progress)];
        safetensors_bytes(&tensors, &metadata).map_err(|e| unusual(&e))
    }

    pub(in crate::training) fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self> {
        let damaged = |what: &dyn std::fmt::Display| {
            Error::model(path, format!("is not a whole checkpoint ({what}); start anew with `out`"))
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
        let text = metadata.get("progress").ok_or_else(|| damaged(&"its progress is missing"))?;
        let progress: Progress = serde_json::from_str(text).map_err(|e| damaged(&e))?;
        if progress.best_epoch > progress.epoch || progress.epoch_steps > progress.step {
            return Err(damaged(&"its epochs contradict each other"));
        }
        let checkpoint = Self {
            parameters: array("parameters")?,
            moments: Moments { first: array("first_moments")?, second: array("second_moments")? },
            average: array("average")?,
            best_parameters: array("best_parameters")?,
            progress,
        };
        if checkpoint.best_parameters.is_empty() != (checkpoint.progress.best_epoch == 0) {
            return Err(damaged(&"it has a best epoch without parameters, or the other way round"));
        }
        Ok(checkpoint)
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
            average: vec![0.3],
            best_parameters: vec![7.0, 8.0],
            progress: Progress {
                settings: "depth = 3\n\"quoted\"".into(),
                step: 7,
                epoch: 2,
                epoch_steps: 3,
                loss_sum: 0.1 + 0.2,
                minutes: 1.0 / 3.0,
                best: f64::INFINITY,
                best_epoch: 1,
                drops: 2,
                tuning: Some(("a card".into(), "block=5".into())),
                ..Default::default()
            },
        };
        let bytes = checkpoint.to_bytes().unwrap();
        assert_eq!(bytes, checkpoint.to_bytes().unwrap());
        assert_eq!(Checkpoint::from_bytes(&bytes, Path::new("c")).unwrap(), checkpoint);
        for length in (0..bytes.len()).step_by(7) {
            let error = Checkpoint::from_bytes(&bytes[..length], Path::new("c.safetensors")).unwrap_err();
            assert!(error.to_string().starts_with("c.safetensors: "));
        }
    }
}
