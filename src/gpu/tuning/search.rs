//! Looks for a faster tuning, one field after the other. The caller measures how long a tuning takes.

use crate::Result;
use crate::gpu::network::Tuning;

/// A tuning must be faster by this share to replace another one: smaller differences may be noise of the measurement.
const MARGIN: f64 = 0.03;

/// A value that was tried.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trial {
    /// The field.
    pub field: &'static str,
    /// Its value.
    pub value: u32,
    /// What a training step and a forward pass took with it; `None` where the device refused.
    pub seconds: Option<f64>,
    /// Whether it was kept, at least until another value of its field was faster still.
    pub faster: bool,
}

/// The result of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct TuningResult {
    /// The fastest tuning, and the one that it was looked for from.
    pub tuning: Tuning,
    pub start: Tuning,
    /// What a training step and a forward pass take with it, and what they took with the tuning at the start.
    pub seconds: f64,
    pub seconds_at_start: f64,
    /// Whether every value was tried; false where the time was over before.
    pub complete: bool,
}

/// Tries every value of every field while `has_time`, each together with the best values of the other fields so far, and calls `tried`
/// with each trial. `seconds` measures how long a training step and a forward pass take together.
///
/// # Errors
/// Where `seconds` fails for a tuning that it could measure before. A value for which the first measurement fails is left out.
pub(super) fn search(
    start: Tuning,
    mut seconds: impl FnMut(Tuning) -> Result<f64>,
    mut has_time: impl FnMut() -> bool,
    mut tried: impl FnMut(Trial),
) -> Result<TuningResult> {
    let seconds_at_start = seconds(start)?;
    let mut found =
        TuningResult { tuning: start, start, seconds: seconds_at_start, seconds_at_start, complete: true };
    let faster = |this: f64, other: f64| this < other * (1.0 - MARGIN);
    let mut refused = false;
    for field in Tuning::fields_by_weight() {
        for &value in field.values {
            let Some(candidate) = found.tuning.with(field, value).filter(|c| *c != found.tuning) else {
                continue;
            };
            if !has_time() {
                found.complete = false;
                break;
            }
            let mut trial = Trial { field: field.name, value, seconds: None, faster: false };
            match seconds(candidate) {
                Ok(first) => {
                    trial.seconds = Some(first);
                    if faster(first, found.seconds) {
                        // The device's clock rate changes with time, so both are measured again, one right after the other.
                        found.seconds = seconds(found.tuning)?;
                        let again = seconds(candidate)?;
                        if faster(again, found.seconds) {
                            (found.tuning, found.seconds, trial.faster) = (candidate, again, true);
                        }
                    }
                }
                Err(error) => {
                    log::debug!("{}={value} cannot be used here: {error}", field.name);
                    refused = true;
                }
            }
            tried(trial);
        }
    }
    // Small gains may have been chance, so the best tuning is compared with the start once more. This also returns an error where
    // the device was lost, for which every trial failed.
    if found.tuning != start || refused {
        found.seconds_at_start = seconds(start)?;
        found.seconds = seconds(found.tuning)?;
        if !faster(found.seconds, found.seconds_at_start) {
            (found.tuning, found.seconds) = (start, found.seconds_at_start);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::engine::DeviceKind;

    fn safe() -> Tuning {
        Tuning::safe(DeviceKind::Gpu)
    }

    /// A device on which some values are faster than others.
    fn cost(tuning: Tuning) -> f64 {
        let rows = if tuning.convolve_rows == 4 { 0.5 } else { 1.0 };
        let workgroups = if tuning.workgroups == 512 { 0.5 } else { 1.0 };
        // Below MARGIN, so the search must not choose it.
        let block = if tuning.block == 10 { 0.98 } else { 1.0 };
        rows * workgroups * block
    }

    #[test]
    fn what_is_faster_by_the_margin_is_found_and_all_else_stays() {
        let mut trials = Vec::new();
        let found = search(safe(), |t| Ok(cost(t)), || true, |trial| trials.push(trial)).unwrap();
        assert_eq!(found.tuning, Tuning { convolve_rows: 4, workgroups: 512, ..safe() });
        assert_eq!((found.seconds_at_start, found.seconds, found.complete), (1.0, 0.25, true));
        let values: usize = Tuning::FIELDS.iter().map(|field| field.values.len() - 1).sum();
        assert!(trials.len() >= values, "{trials:?}");
        assert!(trials.iter().any(|t| (t.field, t.value, t.faster) == ("convolve_rows", 4, true)));
        assert!(trials.iter().any(|t| (t.field, t.value, t.faster) == ("block", 10, false)));
    }

    #[test]
    fn a_device_that_warms_up_is_not_taken_for_a_better_tuning() {
        let mut calls = 0;
        let seconds = |_| {
            calls += 1;
            Ok(if calls == 1 { 9.0 } else { 1.0 })
        };
        let found = search(safe(), seconds, || true, |_| ()).unwrap();
        assert_eq!((found.tuning, found.seconds), (safe(), 1.0));
    }

    #[test]
    fn time_that_is_over_keeps_what_is_best_so_far() {
        let mut left = 3;
        let mut has_time = || {
            left -= 1;
            left >= 0
        };
        let mut trials = 0;
        let found = search(safe(), |t| Ok(cost(t)), &mut has_time, |_| trials += 1).unwrap();
        assert_eq!((found.tuning, found.complete, trials), (Tuning { convolve_rows: 4, ..safe() }, false, 3));
    }

    #[test]
    fn refused_values_are_left_out_and_a_lost_device_is_an_error() {
        let refusal = || Error::Mismatch("no".into());
        let refuses = |t: Tuning| if t.convolve_rows == 4 { Err(refusal()) } else { Ok(cost(t)) };
        let found = search(safe(), refuses, || true, |_| ()).unwrap();
        assert_eq!(found.tuning, Tuning { workgroups: 512, ..safe() });
        let mut calls = 0;
        let lost = |_| {
            calls += 1;
            if calls > 5 { Err(refusal()) } else { Ok(1.0) }
        };
        assert!(search(safe(), lost, || true, |_| ()).is_err());
        assert!(search(safe(), |_| Err(refusal()), || true, |_| ()).is_err());
    }
}
