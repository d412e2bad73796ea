//! The ranges in which viewers show the channels of an image.

use super::planes::Plane;
use crate::images::source::{SampleKind, SampleType};

/// From the smallest to the largest number of each channel, as far as they are known.
pub(super) struct Ranges(Vec<Option<[f64; 2]>>);

impl Ranges {
    /// Those of `channels` channels of which nothing is known.
    pub(super) fn new(channels: usize) -> Self {
        Self(vec![None; channels])
    }

    /// Adds the numbers of a plane of a channel.
    pub(super) fn add(&mut self, channel: usize, plane: &Plane) {
        if let (Some(range), Some([low, high])) = (self.0.get_mut(channel), plane.range()) {
            let [lowest, highest] = range.unwrap_or([low, high]);
            *range = Some([lowest.min(low), highest.max(high)]);
        }
    }

    /// Those of all channels. Where nothing is known, all numbers of their type, and of floats those of probabilities.
    pub(super) fn of(&self, SampleType { kind, bits }: SampleType) -> Vec<[f64; 2]> {
        let numbers = 2_f64.powi(i32::from(bits));
        let all = match kind {
            SampleKind::Unsigned => [0.0, numbers - 1.0],
            SampleKind::Signed => [-numbers / 2.0, numbers / 2.0 - 1.0],
            SampleKind::Float => [0.0, 1.0],
        };
        // Viewers want a range that is more than a point.
        self.0.iter().map(|range| range.filter(|[low, high]| low < high).unwrap_or(all)).collect()
    }
}
