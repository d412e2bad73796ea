//! Whether training still makes the network better, or can rest.

use std::time::{Duration, Instant};

/// Training rests after so many steps and so much time with the same labels at the earliest.
const STEPS: u64 = 4000;
const TIME: Duration = Duration::from_secs(180);
/// It goes on where the last third of the steps has made the network better by this share.
const GAIN: f64 = 0.01;
/// A loss is kept after so many steps.
const EVERY: u64 = 20;

/// Losses and scores since labels came last.
#[derive(Debug)]
pub(super) struct Gains {
    first: u64,
    since: Instant,
    losses: Vec<(u64, f64)>,
    scores: Vec<(u64, f64)>,
}

impl Gains {
    pub(super) fn new() -> Self {
        Self { first: 0, since: Instant::now(), losses: Vec::new(), scores: Vec::new() }
    }

    /// Other labels hold from the step `step` on.
    pub(super) fn begin(&mut self, step: u64) {
        *self = Self { first: step, ..Self::new() };
    }

    /// The mean loss of the last steps.
    pub(super) fn loss(&mut self, step: u64, loss: f64) {
        if step.is_multiple_of(EVERY) && loss.is_finite() {
            self.losses.push((step, loss));
        }
    }

    /// The score after a step.
    pub(super) fn score(&mut self, step: u64, score: f64) {
        if score.is_finite() {
            self.scores.push((step, score));
        }
    }

    /// Whether training may rest before the step `step`.
    pub(super) fn may_rest(&self, step: u64) -> bool {
        self.may_rest_after(step, self.since.elapsed())
    }

    fn may_rest_after(&self, step: u64, time: Duration) -> bool {
        let steps = step.saturating_sub(self.first);
        if steps < STEPS || time < TIME {
            return false;
        }
        let last_third = step - steps / 3;
        // A score says more than the loss, which falls as well where the network learns labels by heart.
        let scores = best(&self.scores, last_third, f64::max);
        let gained = match scores.or_else(|| best(&self.losses, last_third, f64::min)) {
            Some((before, last)) => {
                (last - before).abs() > GAIN * before.abs() && is_better(scores.is_some(), before, last)
            }
            None => false,
        };
        !gained
    }
}

fn is_better(higher: bool, before: f64, last: f64) -> bool {
    if higher { last > before } else { last < before }
}

/// The best before the step `border` and from it on; `None` where there is none in one of the parts.
fn best(points: &[(u64, f64)], border: u64, better: fn(f64, f64) -> f64) -> Option<(f64, f64)> {
    let (before, last) = points.split_at(points.partition_point(|(step, _)| *step < border));
    let of = |part: &[(u64, f64)]| part.iter().map(|(_, value)| *value).reduce(better);
    Some((of(before)?, of(last)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may_rest(steps: u64, seconds: u64, loss: impl Fn(u64) -> f64, score: Option<fn(u64) -> f64>) -> bool {
        let mut gains = Gains::new();
        gains.begin(1000);
        for step in 1000..1000 + steps {
            gains.loss(step, loss(step));
            if let Some(score) = score.filter(|_| step % 100 == 0) {
                gains.score(step, score(step));
            }
        }
        gains.may_rest_after(1000 + steps, Duration::from_secs(seconds))
    }

    #[test]
    fn training_rests_after_steps_and_minutes_that_gained_nothing() {
        let falls = |step: u64| 10.0 / step as f64;
        let flat = |step: u64| 0.5 + 0.001 * (step % 3) as f64;
        assert!(may_rest(4000, 200, flat, None));
        assert!(!may_rest(3999, 200, flat, None) && !may_rest(4000, 100, flat, None));
        assert!(!may_rest(4000, 200, falls, None) && !may_rest(30_000, 9000, falls, None));
        // The score counts where there is one.
        assert!(may_rest(4000, 200, falls, Some(|_| 0.8)));
        assert!(!may_rest(4000, 200, flat, Some(|step| step as f64 / 1e4)));
        assert!(may_rest(4000, 200, flat, Some(|step| 1.0 - step as f64 / 1e4)));
        // Without any loss there is nothing to wait for.
        assert!(may_rest(4000, 200, |_| f64::NAN, None));
    }
}
