//! The steps of a schedule.

use std::ops::Range;

/// One thing to compute. Channels are counted through, those before the first layer first; ranges of gradient maps use the
/// numbers of the channels that they are the gradients of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Copies the images into the input channels and fills their margins.
    Load,
    /// Computes the responses of the stem to the input channels, and fills their margins.
    Stem,
    /// Adds the dilated convolutions of the feature maps `sources` to the running sums of the channels
    /// `outputs`; those in `finishes` then have all their sources, and become ReLU of their sums.
    ///
    /// A channel reads only those of the sources that come before its own layer.
    Convolve {
        /// Finished feature maps to read.
        sources: Range<usize>,
        /// Hidden channels to add to.
        outputs: Range<usize>,
        /// The sums start here, from the biases.
        first: bool,
        /// The outputs that are complete after this step.
        finishes: Range<usize>,
    },
    /// Adds the 1x1 mix of the feature maps `sources` to the outputs.
    Mix {
        /// Finished feature maps to read.
        sources: Range<usize>,
        /// The sums start here, from the biases of the outputs.
        first: bool,
    },
    /// The loss of the outputs against the targets, and its gradient with respect to the outputs.
    Loss,
    /// Adds the gradients of the mixing weights of the channels `sources`; those of the output biases too
    /// when `biases`.
    MixWeightGradient {
        /// Finished feature maps to read.
        sources: Range<usize>,
        /// Whether the gradients of the output biases are added as well.
        biases: bool,
    },
    /// Starts the gradient maps of `channels` with the output gradients, back-propagated through the 1x1 mix.
    MixInputGradient {
        /// Hidden channels whose gradient maps are started.
        channels: Range<usize>,
        /// Those complete after this step: their gradients pass back through the ReLU.
        finishes: Range<usize>,
    },
    /// Adds to the gradient maps of `channels` the finished gradient maps `gradients`, back-propagated through the convolutions
    /// of their layers: the exact adjoint of [`Step::Convolve`], borders included.
    InputGradient {
        /// Finished gradient maps to read.
        gradients: Range<usize>,
        /// Hidden channels, all of earlier layers than `gradients`, to add to.
        channels: Range<usize>,
        /// Those complete after this step: their gradients pass back through the ReLU.
        finishes: Range<usize>,
    },
    /// Adds the gradients of the filters that lead from `sources` to the channels of `gradients`.
    ///
    /// A channel has filters only for those of the sources that come before its own layer.
    FilterGradient {
        /// Finished gradient maps to read.
        gradients: Range<usize>,
        /// Feature maps to read.
        sources: Range<usize>,
    },
    /// Adds the gradients of the biases of the channels of `gradients`.
    BiasGradient {
        /// Finished gradient maps to read.
        gradients: Range<usize>,
    },
}

impl Step {
    /// A short name of the kind of step, as used in texts and labels.
    pub fn name(&self) -> &'static str {
        match self {
            Step::Load => "load",
            Step::Stem => "stem",
            Step::Convolve { .. } => "convolve",
            Step::Mix { .. } => "mix",
            Step::Loss => "loss",
            Step::MixWeightGradient { .. } => "mix_weight_gradient",
            Step::MixInputGradient { .. } => "mix_input_gradient",
            Step::InputGradient { .. } => "input_gradient",
            Step::FilterGradient { .. } => "filter_gradient",
            Step::BiasGradient { .. } => "bias_gradient",
        }
    }

    /// Whether the step completes a layer, forward or backward: an engine may cut its recording here.
    pub fn completes_layer(&self) -> bool {
        match self {
            Step::Convolve { finishes, .. }
            | Step::MixInputGradient { finishes, .. }
            | Step::InputGradient { finishes, .. } => !finishes.is_empty(),
            _ => false,
        }
    }
}
