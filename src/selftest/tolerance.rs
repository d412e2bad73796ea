//! Largest errors of an engine, relative to the largest value of the quantity in the network. All tolerances are here, and they are
//! not raised to make a check pass.

/// Feature maps and outputs: a few hundred multiply-adds in float32.
pub const FORWARD: f64 = 5e-6;
/// Feature maps that are stored as halves, and outputs: each map is rounded to 11 bits, and so is all that is computed from it.
pub const HALF_FORWARD: f64 = 2e-3;
/// Gradient maps that are stored as halves, and gradients of parameters, beside those that follow from the engine's own feature maps and
/// outputs: each gradient map is rounded to 11 bits, and so is all that is computed from it.
pub const HALF_GRADIENT: f64 = 2e-3;
/// Each point of a curve of twenty training steps with halves: Adam makes steps of full length of small gradients, too.
pub const HALF_CURVE: f64 = 2e-2;
/// Gradient maps: two passes through the network.
pub const GRADIENT_MAP: f64 = 1e-5;
/// Gradients of parameters: sums over all pixels on top.
pub const PARAMETER_GRADIENT: f64 = 1e-5;
/// The loss.
pub const LOSS: f64 = 1e-5;
/// Parameters after a few steps of Adam, relative to the learning rate.
pub const ADAM: f64 = 2e-2;
/// Each point of a curve of twenty training steps.
pub const CURVE: f64 = 1e-3;
