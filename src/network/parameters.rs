//! The numbers that a network learns, in one flat order.

use std::ops::Range;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};

use super::Architecture;

/// Taps of one filter: 3 rows of 3, the row (y) slowest.
pub const TAPS: usize = 9;

/// Where each parameter lies in the flat list that parameters, gradients and Adam's moments share.
///
/// The order is: filters by hidden channel, then by the channel it reads, then by tap; biases of the
/// hidden channels; mixing weights by output, then by channel; biases of the outputs. What comes last is not learnt: the shifts and
/// factors of the stem's responses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterLayout {
    /// Channels before the first layer.
    inputs: usize,
    /// Responses of the stem among them.
    responses: usize,
    outputs: usize,
    width: usize,
    hidden: usize,
    filters: usize,
}

impl ParameterLayout {
    /// The layout of `architecture`.
    pub fn of(architecture: &Architecture) -> Self {
        Self {
            inputs: architecture.stem_channels(),
            responses: architecture.stem_channels() - architecture.inputs,
            outputs: architecture.outputs,
            width: architecture.width,
            hidden: architecture.hidden(),
            filters: architecture.filter_count(),
        }
    }

    /// Number of parameters: 9 sum_i w (i w + c_in) + w d + (w d + c_in) c_out + c_out, and two for each response of the stem.
    pub fn count(&self) -> usize {
        self.stem().end
    }

    /// Those that are learnt: all but the stem's.
    pub fn learnt(&self) -> Range<usize> {
        0..self.output_biases().end
    }

    /// The shifts and factors of the stem's responses: of each, in the order of its channels, what is subtracted and what it is then
    /// multiplied by.
    pub fn stem(&self) -> Range<usize> {
        let start = self.output_biases().end;
        start..start + 2 * self.responses
    }

    /// Number of 3x3 filters.
    pub fn filter_count(&self) -> usize {
        self.filters
    }

    /// Index, in filters of nine taps, of the filter that leads from channel 0 to `hidden`; those for
    /// channels 1, 2, ... follow.
    pub fn first_filter(&self, hidden: usize) -> usize {
        let (layer, place) = (hidden / self.width, hidden % self.width);
        let before_layer =
            self.width * (layer * self.inputs + self.width * (layer * layer.saturating_sub(1) / 2));
        before_layer + place * (self.inputs + layer * self.width)
    }

    /// The nine taps of the filter from channel `source` to hidden channel `hidden`.
    pub fn filter(&self, hidden: usize, source: usize) -> Range<usize> {
        let start = TAPS * (self.first_filter(hidden) + source);
        start..start + TAPS
    }

    /// All filters.
    pub fn filters(&self) -> Range<usize> {
        0..TAPS * self.filters
    }

    /// The biases of the hidden channels.
    pub fn biases(&self) -> Range<usize> {
        let start = TAPS * self.filters;
        start..start + self.hidden
    }

    /// The filters and the biases of the first `layers` layers.
    pub fn first_layers(&self, layers: usize) -> [Range<usize>; 2] {
        let (hidden, start) = (layers * self.width, self.biases().start);
        [0..TAPS * self.first_filter(hidden), start..start + hidden]
    }

    /// The mixing weights of output `output`, one for each channel.
    pub fn mix(&self, output: usize) -> Range<usize> {
        let channels = self.inputs + self.hidden;
        let start = self.biases().end + output * channels;
        start..start + channels
    }

    /// The biases of the outputs.
    pub fn output_biases(&self) -> Range<usize> {
        let start = self.mix(self.outputs).start;
        start..start + self.outputs
    }
}

/// Draws the paper's initial parameters: filters from a normal distribution of deviation sqrt(2 / n_c),
/// n_c = 9 (c_in + w (d - 1)) + c_out (Pelt & Sethian 2018, after He et al. 2015); all else zero. Responses of the stem stay as they
/// are.
pub fn initialise(architecture: &Architecture, seed: u64) -> Vec<f32> {
    let layout = ParameterLayout::of(architecture);
    let connections = TAPS * (architecture.stem_channels() + architecture.width * (architecture.depth - 1))
        + architecture.outputs;
    let deviation = (2.0 / connections as f64).sqrt();
    // A normal distribution needs a finite deviation that is not negative, which this one is as the count is positive.
    let normal = Normal::new(0.0, deviation).expect("the deviation is finite");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut parameters = vec![0.0; layout.count()];
    parameters[layout.filters()].fill_with(|| normal.sample(&mut random) as f32);
    for response in parameters[layout.stem()].as_chunks_mut::<2>().0 {
        *response = [0.0, 1.0];
    }
    parameters
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(inputs: usize, outputs: usize, depth: usize) -> usize {
        ParameterLayout::of(&Architecture::new(inputs, outputs, depth)).count()
    }

    #[test]
    fn counts_are_the_papers() {
        assert_eq!(count(1, 1, 100), 45_652);
        assert_eq!(count(3, 11, 100), 48_494);
        assert_eq!(count(3, 11, 200), 186_944);
    }

    #[test]
    fn filters_follow_each_other_without_gaps() {
        let architecture = Architecture { width: 3, ..Architecture::new(2, 2, 4) };
        let layout = ParameterLayout::of(&architecture);
        let mut next = 0;
        for hidden in 0..architecture.hidden() {
            for source in architecture.sources(architecture.layer_of(hidden)) {
                assert_eq!(layout.filter(hidden, source), next..next + TAPS);
                next += TAPS;
            }
        }
        assert_eq!(layout.filters(), 0..next);
        assert_eq!(layout.first_layers(2)[0].end, layout.filter(2 * 3, 0).start);
        assert_eq!(layout.first_layers(4), [layout.filters(), layout.biases()]);
        assert_eq!(layout.biases().start, next);
        assert_eq!(layout.mix(0).start, layout.biases().end);
        assert_eq!(layout.mix(1).end, layout.output_biases().start);
    }

    #[test]
    fn initial_filters_have_the_papers_deviation_and_all_else_is_zero() {
        let architecture = Architecture::new(1, 2, 100);
        let layout = ParameterLayout::of(&architecture);
        let parameters = initialise(&architecture, 7);
        let filters = &parameters[layout.filters()];
        let square = filters.iter().map(|&h| (h as f64).powi(2)).sum::<f64>() / filters.len() as f64;
        let expected = 2.0 / (9.0 * 100.0 + 2.0);
        assert!((square / expected - 1.0).abs() < 0.03, "variance {square}, wanted {expected}");
        assert!(parameters[layout.biases().start..].iter().all(|&p| p == 0.0));
        assert_eq!(parameters, initialise(&architecture, 7));
        assert_ne!(parameters, initialise(&architecture, 8));
    }
}
