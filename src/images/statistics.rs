//! What the numbers of a stack are like, gathered slice by slice, of which each may come in parts.

use super::number_type::NumberType;
use super::source::SampleType;

/// As many numbers are kept at most where they cannot be counted one by one.
const MOST_SAMPLES: u64 = 1 << 20;

/// What the numbers of a stack are like. Those that are not finite count nowhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// How many there are.
    pub count: u64,
    /// How many more are NaN or infinite.
    pub not_finite: u64,
    /// The smallest one.
    pub minimum: f64,
    /// The largest one.
    pub maximum: f64,
    /// Their mean.
    pub mean: f64,
    values: Values,
    /// The sum of the numbers of the slice that is being added, and how many they are.
    slice: (f64, u64),
}

/// What is known of how numbers are spread.
#[derive(Debug, Clone, PartialEq)]
enum Values {
    /// How often each whole number from 0 on is there.
    Counts(Vec<u64>),
    /// Some of them, evenly spread over the stack, in order of their size at the end.
    Samples { values: Vec<f64>, every: u64, seen: u64 },
}

impl Statistics {
    /// Of no numbers yet; those that come are `total` of the type `stored`, in rows of `width`.
    pub(super) fn new(stored: SampleType, total: u64, width: usize) -> Self {
        let values = match NumberType::holding(stored) {
            NumberType::U8 => Values::Counts(vec![0; 1 << 8]),
            NumberType::U16 => Values::Counts(vec![0; 1 << 16]),
            _ => {
                let mut every = total.div_ceil(MOST_SAMPLES).max(1);
                // Else the same few columns would stand for all of them.
                while every > 1 && common_divisor(every, width as u64) > 1 {
                    every += 1;
                }
                Values::Samples { values: Vec::new(), every, seen: 0 }
            }
        };
        Self {
            count: 0,
            not_finite: 0,
            minimum: f64::INFINITY,
            maximum: f64::NEG_INFINITY,
            mean: 0.0,
            values,
            slice: (0.0, 0),
        }
    }

    /// As [`Statistics::add`], of numbers of which the first is in this place among all, where they come in another order.
    pub(super) fn add_at<'a>(&mut self, place: u64, numbers: impl Iterator<Item = &'a f64>) {
        if let Values::Samples { seen, .. } = &mut self.values {
            *seen = place;
        }
        self.add(numbers);
    }

    /// Adds numbers of a slice; the rest of them comes later, or [`Statistics::end_slice`].
    pub(super) fn add<'a>(&mut self, numbers: impl Iterator<Item = &'a f64>) {
        let (mut sum, mut added) = self.slice;
        for &number in numbers {
            if let Values::Samples { values, every, seen } = &mut self.values {
                if seen.is_multiple_of(*every) && number.is_finite() {
                    values.push(number);
                }
                *seen += 1;
            }
            if !number.is_finite() {
                self.not_finite += 1;
                continue;
            }
            if let Values::Counts(counts) = &mut self.values
                && let Some(count) = counts.get_mut(number as usize)
            {
                *count += 1;
            }
            self.minimum = self.minimum.min(number);
            self.maximum = self.maximum.max(number);
            sum += number;
            added += 1;
        }
        self.slice = (sum, added);
    }

    /// All numbers of a slice have come.
    pub(super) fn end_slice(&mut self) {
        let (sum, added) = std::mem::take(&mut self.slice);
        self.count += added;
        if self.count > 0 {
            self.mean += (sum - self.mean * added as f64) / self.count as f64;
        }
    }

    /// All numbers have come.
    pub(super) fn finish(&mut self) {
        if let Values::Samples { values, .. } = &mut self.values {
            values.sort_by(f64::total_cmp);
        }
    }

    /// From how many numbers percentiles and the histogram are; `None` where that is all of them.
    pub fn samples(&self) -> Option<u64> {
        match &self.values {
            Values::Samples { values, every, .. } if *every > 1 => Some(values.len() as u64),
            _ => None,
        }
    }

    /// The number below which `percent` of all are, between two of them in proportion; NaN where there are none.
    pub fn percentile(&self, percent: f64) -> f64 {
        let known = match &self.values {
            Values::Counts(_) => self.count,
            Values::Samples { values, .. } => values.len() as u64,
        };
        let place = percent.clamp(0.0, 100.0) / 100.0 * known.saturating_sub(1) as f64;
        let (below, above) = (self.at(place.floor() as u64), self.at(place.ceil() as u64));
        below + (above - below) * place.fract()
    }

    /// The number at a place in order of size, counted from 0.
    fn at(&self, place: u64) -> f64 {
        match &self.values {
            Values::Samples { values, .. } => {
                usize::try_from(place).ok().and_then(|place| values.get(place)).copied().unwrap_or(f64::NAN)
            }
            Values::Counts(counts) => {
                let mut before = 0;
                let found = counts.iter().position(|count| {
                    before += count;
                    before > place
                });
                found.map_or(f64::NAN, |number| number as f64)
            }
        }
    }

    /// How many of the numbers are in each of at most `most` equal parts from the smallest to the largest; of few whole numbers a
    /// part for each.
    pub fn histogram(&self, most: usize) -> Vec<u64> {
        if self.count == 0 || most == 0 {
            return Vec::new();
        }
        let span = self.maximum - self.minimum;
        let bins = match &self.values {
            Values::Counts(_) => most.min(span as usize + 1),
            Values::Samples { .. } => most,
        };
        let mut histogram = vec![0; bins];
        let width = if matches!(self.values, Values::Counts(_)) { span + 1.0 } else { span };
        let mut add = |number: f64, count: u64| {
            let bin = if width > 0.0 { (number - self.minimum) / width * bins as f64 } else { 0.0 };
            histogram[(bin as usize).min(bins - 1)] += count;
        };
        match &self.values {
            Values::Samples { values, .. } => values.iter().for_each(|number| add(*number, 1)),
            Values::Counts(counts) => {
                let there = counts.iter().enumerate().filter(|(_, count)| **count > 0);
                there.for_each(|(number, count)| add(number as f64, *count));
            }
        }
        histogram
    }
}

fn common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::source::SampleKind;

    fn of(stored: SampleType, numbers: &[f64]) -> Statistics {
        let mut statistics = Statistics::new(stored, numbers.len() as u64, 7);
        for slice in numbers.chunks(13) {
            // A slice may come in parts.
            slice.chunks(5).for_each(|part| statistics.add(part.iter()));
            statistics.end_slice();
        }
        statistics.finish();
        statistics
    }

    #[test]
    fn counted_and_kept_numbers_say_the_same() {
        let numbers: Vec<f64> = (0..1001).map(|n| f64::from(n * 37 % 1001 / 4)).collect();
        let counted = of(SampleType { kind: SampleKind::Unsigned, bits: 8 }, &numbers);
        let kept = of(SampleType { kind: SampleKind::Float, bits: 32 }, &numbers);
        for statistics in [&counted, &kept] {
            assert_eq!((statistics.minimum, statistics.maximum, statistics.count), (0.0, 250.0, 1001));
            assert!((statistics.mean - numbers.iter().sum::<f64>() / 1001.0).abs() < 1e-9);
            assert_eq!([0.0, 50.0, 100.0].map(|p| statistics.percentile(p)), [0.0, 125.0, 250.0]);
            assert_eq!(statistics.histogram(80).iter().sum::<u64>(), 1001);
            assert_eq!(statistics.samples(), None);
        }
        assert_eq!(
            of(SampleType { kind: SampleKind::Unsigned, bits: 8 }, &[3.0, 5.0, 5.0]).histogram(80),
            [1, 0, 2]
        );
    }

    #[test]
    fn what_is_not_finite_counts_nowhere_and_large_stacks_are_sampled() {
        let float = SampleType { kind: SampleKind::Float, bits: 32 };
        let with = of(float, &[1.0, f64::NAN, 3.0, f64::INFINITY]);
        assert_eq!((with.count, with.not_finite, with.mean, with.maximum), (2, 2, 2.0, 3.0));
        let none = of(float, &[f64::NAN]);
        assert!(none.percentile(50.0).is_nan() && none.histogram(9).is_empty());
        let row: Vec<f64> = (0..1024).map(f64::from).collect();
        let mut large = Statistics::new(float, 4096 * 1024, 1024);
        for _ in 0..4096 {
            large.add(row.iter());
            large.end_slice();
        }
        large.finish();
        assert!(large.samples().is_some_and(|count| count <= MOST_SAMPLES));
        assert!((large.percentile(50.0) - 511.5).abs() < 3.0 && large.mean == 511.5);
    }
}
