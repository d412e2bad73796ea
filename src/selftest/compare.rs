//! Compares numbers, and describes the first difference.

use std::fmt::Debug;

use crate::Error;

/// A description of the first difference that a check found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Difference(pub String);

impl From<Error> for Difference {
    /// An error of an engine is a difference too.
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

/// The result of a check.
pub type Outcome<T> = std::result::Result<T, Difference>;

/// Ends a check with a difference unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        // The condition is not negated in the `if`: comparisons with NaN are false, and must make the check fail.
        let holds: bool = $condition;
        if !holds {
            return Err($crate::selftest::Difference(format!($($text)+)));
        }
    };
}
pub(super) use ensure;

/// The largest magnitude in a set of planes: what errors in any of them are measured by, since each is made of
/// the others and a plane that happens to cancel to almost nothing keeps their rounding.
pub(super) fn largest(planes: &[Vec<f64>]) -> f64 {
    planes.iter().flatten().fold(1e-9, |largest, v| largest.max(v.abs()))
}

/// Fails unless every number differs by at most `tolerance` times `size`; NaN fails too. Returns the largest error, as a share of
/// `size`.
pub(super) fn compare(
    what: &str,
    found: &[f32],
    wanted: &[f64],
    size: f64,
    tolerance: f64,
    context: &dyn Debug,
) -> Outcome<f64> {
    ensure!(
        found.len() == wanted.len(),
        "{what}: {} numbers, wanted {}; {context:?}",
        found.len(),
        wanted.len()
    );
    let mut largest_error = 0.0f64;
    for (i, (&f, &w)) in found.iter().zip(wanted).enumerate() {
        let error = (f64::from(f) - w).abs() / size;
        ensure!(
            error <= tolerance,
            "{what}[{i}] is {f}, wanted {w}: error {error:.2e} of {size:.2e}; {context:?}"
        );
        largest_error = largest_error.max(error);
    }
    Ok(largest_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_described_with_its_place_and_nan_is_one() {
        let against = |found: &[f32]| compare("outputs", found, &[1.0, 2.0], 2.0, 1e-3, &"seed 7");
        assert!(against(&[1.0, 2.001]).is_ok_and(|error| (error - 5e-4).abs() < 1e-6));
        let said = against(&[1.0, 2.1]).unwrap_err().to_string();
        assert!(said.contains("outputs[1]") && said.contains("2.1") && said.contains("seed 7"), "{said}");
        assert!(against(&[f32::NAN, 2.0]).is_err());
        assert!(against(&[1.0]).is_err());
    }
}
