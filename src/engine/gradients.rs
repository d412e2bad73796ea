//! What was added to a step, outside of an engine.

/// The gradients of all parameters, in the order of the parameters, and the loss that they are of.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Gradients {
    /// One number for each parameter.
    pub values: Vec<f32>,
    /// The sum of the losses, each times its scale.
    pub loss: f64,
}

impl Gradients {
    /// Nothing yet, for `count` parameters.
    pub fn zeros(count: usize) -> Self {
        Self { values: vec![0.0; count], loss: 0.0 }
    }

    /// Adds others, of as many parameters. A sum depends, by rounding, on the order in which it is made.
    pub fn add(&mut self, values: impl Iterator<Item = f32>, loss: f64) {
        self.values.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        self.loss += loss;
    }
}
