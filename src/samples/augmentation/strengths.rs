//! How strongly one sample is changed.

/// What one sample drew, all of it, so that one setting does not move the random numbers of another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Strengths {
    pub(super) degrees: f64,
    pub(super) factor: f64,
    pub(super) elastic: f64,
    pub(super) blur: f64,
    pub(super) contrast: f64,
    pub(super) brightness: f64,
    pub(super) gamma: f64,
    pub(super) poisson: f64,
    pub(super) noise: f64,
}
