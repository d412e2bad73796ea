//! The settings of one step of the optimiser, and its state between steps.

/// One step of Adam (Kingma & Ba 2015, algorithm 1), or of AdamW where weights decay (Loshchilov & Hutter 2019,
/// algorithm 2).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    /// Learning rate.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the denominator.
    pub epsilon: f64,
    /// AdamW's decay: each parameter shrinks by this share of itself times the learning rate, apart from its moments.
    pub weight_decay: f64,
    /// Where the Euclidean norm of all gradients together is above this, they are scaled down to it (Pascanu et al. 2013,
    /// algorithm 1).
    pub clip_norm: Option<f64>,
    /// The average of the parameters keeps this share of itself, where one is kept; see [`Self::averaged_share`].
    pub average_decay: Option<f64>,
    /// The filters and biases of this many layers, counted from the first, are not changed. Their gradients are set to 0 before the
    /// norm of all gradients is taken.
    pub frozen_layers: usize,
    /// Number of this step, from 1.
    pub step: u64,
}

impl Adam {
    /// The authors' defaults at the given rate and step, without decay, clipping or average.
    pub fn new(learning_rate: f64, step: u64) -> Self {
        Self {
            learning_rate,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            clip_norm: None,
            average_decay: None,
            frozen_layers: 0,
            step,
        }
    }

    /// `learning_rate / (1 - beta1^step)`: the learning rate with the first moment's start corrected.
    pub fn corrected_rate(&self) -> f64 {
        self.learning_rate / (1.0 - self.beta1.powf(self.step as f64))
    }

    /// `1 / sqrt(1 - beta2^step)`: the factor that corrects the root of the second moment's start.
    pub fn root_correction(&self) -> f64 {
        1.0 / (1.0 - self.beta2.powf(self.step as f64)).sqrt()
    }

    /// The share of itself that weight decay leaves of a parameter.
    pub fn kept_share(&self) -> f64 {
        1.0 - self.learning_rate * self.weight_decay
    }

    /// The share of the moved parameters in their average: `1 - decay`, but more in the first steps,
    /// `9 / (10 + step)`, so that the average soon forgets where it started (as TensorFlow's moving averages do).
    /// 0 where no average is kept.
    pub fn averaged_share(&self) -> f64 {
        self.average_decay.map_or(0.0, |decay| (1.0 - decay).max(9.0 / (10.0 + self.step as f64)))
    }
}

/// Adam's two moments, each in the order of the parameters.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Moments {
    /// Decaying mean of the gradients.
    pub first: Vec<f32>,
    /// Decaying mean of their squares.
    pub second: Vec<f32>,
}
