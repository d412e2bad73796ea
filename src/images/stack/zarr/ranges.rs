//! The ranges in which viewers show the channels of an image.

use std::fs::File;
use std::io::Read;

use flate2::read::{GzDecoder, ZlibDecoder};

use super::planes::Plane;
use super::{OmeVersion, ZarrFile};
use crate::Result;
use crate::images::arrays::from_bytes;
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

impl ZarrFile {
    /// Takes up the ranges of the images that were written before, so that a stack that goes on says of itself what one says that was
    /// written at once. They are those of the smallest level, of which a plane is one chunk.
    ///
    /// # Errors
    /// [`crate::Error::Output`] where a chunk is not there, or damaged.
    pub(super) fn read_ranges(&mut self) -> Result<()> {
        if self.labels() || self.stack.layout.annotations().channels.is_empty() {
            return Ok(());
        }
        for image in self.own.start..self.next {
            for channel in 0..self.stack.channels {
                let plane = self.smallest(image, channel).ok_or_else(|| self.not_there())?;
                self.ranges.add(self.axes.channel(image, channel), &plane);
            }
        }
        Ok(())
    }

    /// A plane of the smallest level as it was written; `None` where it cannot be read.
    fn smallest(&self, image: usize, channel: usize) -> Option<Plane> {
        let levels = self.levels();
        let [rows, columns] = *levels.last()?;
        let numbers = self.stack.numbers;
        let count = rows * columns * usize::from(numbers.bits / 8);
        let file = File::open(self.file(levels.len() - 1, image, channel, [0, 0])).ok()?;
        let mut bytes = Vec::new();
        // In a shard the only chunk comes first, and where it ends is seen from itself.
        match self.version {
            OmeVersion::V05 => GzDecoder::new(file).take(count as u64).read_to_end(&mut bytes),
            OmeVersion::V04 => ZlibDecoder::new(file).take(count as u64).read_to_end(&mut bytes),
        }
        .ok()?;
        (bytes.len() == count).then(|| Plane { numbers: from_bytes(numbers, false, &bytes), rows, columns })
    }
}
