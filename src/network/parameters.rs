//! The numbers that a network learns, in one flat order.

use std::ops::Range;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};

use super::Architecture;

/// Taps of one filter of a network of images: 3 rows of 3, the row (y) slowest. Those of volumes have three times as many, the
/// slice (z) slowest; see [`Architecture::taps`].
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
    /// Taps of one filter.
    taps: usize,
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
            taps: architecture.taps(),
        }
    }

    /// Number of parameters: with t taps of a filter, 9 or 27, t sum_i w (i w + c_in) + w d + (w d + c_in) c_out + c_out, and two for
    /// each response of the stem.
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

    /// Number of filters.
    pub fn filter_count(&self) -> usize {
        self.filters
    }

    /// Index, in whole filters, of the filter that leads from channel 0 to `hidden`; those for
    /// channels 1, 2, ... follow.
    pub fn first_filter(&self, hidden: usize) -> usize {
        let (layer, place) = (hidden / self.width, hidden % self.width);
        let before_layer =
            self.width * (layer * self.inputs + self.width * (layer * layer.saturating_sub(1) / 2));
        before_layer + place * (self.inputs + layer * self.width)
    }

    /// The taps of the filter from channel `source` to hidden channel `hidden`.
    pub fn filter(&self, hidden: usize, source: usize) -> Range<usize> {
        let start = self.taps * (self.first_filter(hidden) + source);
        start..start + self.taps
    }

    /// All filters.
    pub fn filters(&self) -> Range<usize> {
        0..self.taps * self.filters
    }

    /// The biases of the hidden channels.
    pub fn biases(&self) -> Range<usize> {
        let start = self.taps * self.filters;
        start..start + self.hidden
    }

    /// The filters and the biases of the first `layers` layers.
    pub fn first_layers(&self, layers: usize) -> [Range<usize>; 2] {
        let (hidden, start) = (layers * self.width, self.biases().start);
        [0..self.taps * self.first_filter(hidden), start..start + hidden]
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
/// n_c = t (c_in + w (d - 1)) + c_out with t taps of a filter, 9 or 27 (Pelt & Sethian 2018, after He et al. 2015); all else zero, taps
/// beside the slice in layers of dilation 0 along z among them. Responses of the stem stay as they are.
pub fn initialise(architecture: &Architecture, seed: u64) -> Vec<f32> {
    let layout = ParameterLayout::of(architecture);
    let connections = layout.taps
        * (architecture.stem_channels() + architecture.width * (architecture.depth - 1))
        + architecture.outputs;
    let deviation = (2.0 / connections as f64).sqrt();
    // A normal distribution needs a finite deviation that is not negative, which this one is as the count is positive.
    let normal = Normal::new(0.0, deviation).expect("the deviation is finite");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut parameters = vec![0.0; layout.count()];
    parameters[layout.filters()].fill_with(|| normal.sample(&mut random) as f32);
    for hidden in (0..architecture.hidden()).filter(|_| architecture.is_of_volumes()) {
        if architecture.dilation_z(hidden) == 0 {
            for source in architecture.sources(architecture.layer_of(hidden)) {
                let filter = &mut parameters[layout.filter(hidden, source)];
                filter[..TAPS].fill(0.0);
                filter[2 * TAPS..].fill(0.0);
            }
        }
    }
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

    #[test]
    fn volumes_have_27_taps_and_none_beside_where_there_is_no_dilation_along_z() {
        let images = Architecture { width: 2, ..Architecture::new(2, 3, 4) };
        let volumes = Architecture { dimensions: 3, dilations_z: vec![0, 1], ..images.clone() };
        let (flat, deep) = (ParameterLayout::of(&images), ParameterLayout::of(&volumes));
        assert_eq!(deep.filters().len(), 3 * flat.filters().len());
        assert_eq!(deep.count() - deep.filters().len(), flat.count() - flat.filters().len());
        let parameters = initialise(&volumes, 1);
        for hidden in 0..volumes.hidden() {
            let taps = &parameters[deep.filter(hidden, 1)];
            assert_eq!(taps.len(), 27);
            let beside = taps[..9].iter().chain(&taps[18..]).all(|&tap| tap == 0.0);
            assert_eq!(beside, volumes.dilation_z(hidden) == 0);
            assert!(taps[9..18].iter().all(|&tap| tap != 0.0));
        }
        let filters = &parameters[deep.filter(1, 0)];
        let expected = (2.0f64 / (27.0 * (2.0 + 2.0 * 3.0) + 3.0)).sqrt();
        let largest = filters.iter().fold(0.0f32, |most, tap| most.max(tap.abs()));
        assert!(f64::from(largest) < 5.0 * expected, "{largest} with a deviation of {expected}");
    }
}
