//! A trained network with all that is needed to apply it: its task, its normalisation, its origin.

use std::collections::BTreeMap;
use std::ops::Range;

use ndarray::{Array3, Axis};
use serde::{Deserialize, Serialize};

use super::{
    Architecture, InputNormalisation, Normalisation, ParameterLayout, SelfSupervised, Splits, Upscaling,
};
use crate::settings::named_choices;
use crate::{Error, Result};

/// A class of a segmentation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// The value that the class has in label images.
    pub value: i64,
    /// The name that people read.
    pub name: String,
}

impl Class {
    /// The class in a legend: its name, and its value where the name is not just that.
    pub fn caption(&self) -> String {
        let plain = format!("class {}", self.value);
        if self.name == plain || self.name == self.value.to_string() {
            return plain;
        }
        format!("{} ({})", self.name, self.value)
    }
}

named_choices! {
    /// What a network is for: the kind of its [`Task`].
    pub enum TaskKind of "task" {
        /// The class of each pixel.
        Segment = "segment",
        /// The values of each pixel: denoising, deblurring, removing artefacts.
        Regress = "regress",
    }
}

/// What the outputs of a network mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Task {
    /// One output for each class; the softmax over them gives probabilities.
    Segment {
        /// The classes, in the order of the outputs.
        classes: Vec<Class>,
    },
    /// One output for each channel of the target image.
    Regress,
}

/// A network ready to be applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// The shape of the network.
    pub architecture: Architecture,
    /// All parameters, in the order of [`ParameterLayout`].
    pub parameters: Vec<f32>,
    /// What the outputs mean.
    pub task: Task,
    /// How input images are normalised.
    pub input: InputNormalisation,
    /// How regression targets were normalised; `None` for a segmentation.
    pub target: Option<Normalisation>,
    /// How many slices of a volume its images are made of, an odd number: the channels of each one behind the other, that of
    /// the result in the middle. 1 for images as they are.
    pub slab: usize,
    /// What it was trained on in the place of clean images; `None` where its targets were what it is to give.
    pub self_supervised: Option<SelfSupervised>,
    /// How its images are brought onto a finer grid before it sees them, which its results have; `None` where they stay as they are.
    pub upscaling: Option<Upscaling>,
    /// Where the model comes from: crate version, data, seed, device, scores; for people to read.
    pub provenance: BTreeMap<String, String>,
}

impl Model {
    /// Checks that the parts fit each other.
    ///
    /// # Errors
    /// [`Error::Setting`] or [`Error::Mismatch`] naming the part that does not.
    pub fn validate(&self) -> Result<()> {
        self.architecture.validate()?;
        let wanted = ParameterLayout::of(&self.architecture).count();
        if self.parameters.len() != wanted {
            let found = self.parameters.len();
            return Err(Error::Mismatch(format!(
                "the model has {found} parameters where its architecture has {wanted}; train it again"
            )));
        }
        if let Some(at) = self.parameters.iter().position(|p| !p.is_finite()) {
            return Err(Error::Mismatch(format!(
                "parameter {at} of the model is {}, not a finite number; train it again",
                self.parameters[at]
            )));
        }
        if self.slab.is_multiple_of(2) || !self.architecture.inputs.is_multiple_of(self.slab) {
            return Err(Error::Mismatch(format!(
                "the model takes slabs of {} slices with {} channels in all; wanted an odd number of slices, and as many channels in each; train it again",
                self.slab, self.architecture.inputs
            )));
        }
        if let Some(splits) = self.splits() {
            splits.validate()?;
        }
        if let Some(upscaling) = &self.upscaling {
            upscaling.validate()?;
        }
        let outputs = self.architecture.outputs;
        let fits = match (&self.task, &self.target) {
            (Task::Segment { classes }, None) => classes.len() == outputs,
            (Task::Regress, Some(target)) => target.usable(outputs),
            _ => false,
        };
        if !fits || !self.input.usable(self.architecture.inputs) {
            return Err(Error::Mismatch(
                "the model's classes or normalisation do not fit its inputs and outputs; train it again"
                    .into(),
            ));
        }
        Ok(())
    }

    /// Brings outputs `[output][y][x]` of a regression into the units of the target images; those of a segmentation stay.
    pub fn restore(&self, values: &mut Array3<f32>) {
        if let Some(target) = &self.target {
            for (channel, mut plane) in values.axis_iter_mut(Axis(0)).enumerate() {
                target.undo(channel, &mut plane);
            }
        }
    }

    /// Which channels of its images are those of the slice that it gives the result for; all of them where images are no slabs.
    pub fn middle_channels(&self) -> Range<usize> {
        let channels = self.architecture.inputs / self.slab.max(1);
        let first = self.slab / 2 * channels;
        first..first + channels
    }

    /// The recordings of each slice that it was trained on, where these were each other's targets.
    pub fn splits(&self) -> Option<Splits> {
        self.self_supervised.and_then(|learnt_from| learnt_from.splits())
    }

    /// How many pixels of a result lie along one of the image, in y and x.
    pub fn factor(&self) -> usize {
        self.upscaling.map_or(1, |upscaling| upscaling.factor)
    }

    /// Lets the outputs of a network in training begin as its input, which is a guess at them already, so that it learns what that
    /// lacks: the mixing weights of the input channels become what brings these into the units of the targets. Nothing changes where
    /// there are not as many channels in both, or images are normalised one by one.
    pub fn begin_with_input(&mut self) {
        let middle = self.middle_channels();
        let (InputNormalisation::Set(input), Some(target)) = (&self.input, &self.target) else { return };
        if middle.len() != self.architecture.outputs {
            return;
        }
        let layout = ParameterLayout::of(&self.architecture);
        for (output, channel) in middle.enumerate() {
            let weight = input.deviation[channel] / target.deviation[output];
            let bias = (input.mean[channel] - target.mean[output]) / target.deviation[output];
            self.parameters[layout.mix(output).start + channel] = weight;
            self.parameters[layout.output_biases().start + output] = bias;
        }
    }

    /// The classes of a segmentation; none for a regression.
    pub fn classes(&self) -> &[Class] {
        match &self.task {
            Task::Segment { classes } => classes,
            Task::Regress => &[],
        }
    }
}
