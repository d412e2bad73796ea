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

/// Those that change nothing.
#[cfg(test)]
pub(super) const UNCHANGED: Strengths = Strengths {
    degrees: 0.0,
    factor: 1.0,
    elastic: 0.0,
    blur: 0.0,
    contrast: 1.0,
    brightness: 0.0,
    gamma: 1.0,
    poisson: 0.0,
    noise: 0.0,
};
