//! How long images take from their arrival to their result, and how many there are in a second.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How many of the last images count: enough for the slowest twentieth of them.
const KEPT: usize = 1000;

/// What was measured of the images that were done last.
#[derive(Debug, Clone, Default)]
pub(super) struct Latencies {
    /// When the results were there, and how long after the images.
    last: VecDeque<(Instant, Duration)>,
}

/// Latency and rate of the images that were done last, at most a thousand.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct Pace {
    /// Seconds from an image to its result that half of the images took at most.
    pub p50: f64,
    /// Seconds that all but a twentieth of them took at most.
    pub p95: f64,
    /// Images in a second, from the first of them to the last; 0 before there are two.
    pub rate: f64,
}

impl Latencies {
    /// An image's result was there at `now`, `latency` after the image.
    pub(super) fn add(&mut self, now: Instant, latency: Duration) {
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back((now, latency));
    }

    pub(super) fn pace(&self) -> Pace {
        let mut latencies: Vec<Duration> = self.last.iter().map(|(_, latency)| *latency).collect();
        latencies.sort_unstable();
        // The smallest that so many percent do not exceed.
        let quantile = |percent: usize| {
            let place = (latencies.len() * percent).div_ceil(100).saturating_sub(1);
            latencies.get(place).map_or(0.0, Duration::as_secs_f64)
        };
        let rate = match (self.last.front(), self.last.back()) {
            (Some((first, _)), Some((last, _))) if last > first => {
                (self.last.len() - 1) as f64 / (*last - *first).as_secs_f64()
            }
            _ => 0.0,
        };
        Pace { p50: quantile(50), p95: quantile(95), rate }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_rate_are_those_of_the_last_thousand() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.pace(), Pace::default());
        let begin = Instant::now();
        latencies.add(begin, Duration::from_secs(3));
        assert_eq!(latencies.pace(), Pace { p50: 3.0, p95: 3.0, rate: 0.0 });
        // From 1 to 100 seconds, four in a second.
        for i in 0..2000_u32 {
            latencies
                .add(begin + Duration::from_millis(250) * i, Duration::from_secs(u64::from(i % 100 + 1)));
        }
        assert_eq!(latencies.pace(), Pace { p50: 50.0, p95: 95.0, rate: 4.0 });
    }
}
