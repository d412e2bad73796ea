//! The shape of a Mixed-Scale Dense network (Pelt & Sethian, PNAS 2018, doi 10.1073/pnas.1715832114).

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::Stem;
use crate::geometry::Boundary;
use crate::{Error, Result};

/// Whether dilations cycle over the channels or over the layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DilationMode {
    /// Channel `j` of layer `i` has dilation `dilations[(i * width + j) % len]`, as in the paper.
    Channel,
    /// All channels of layer `i` have dilation `dilations[i % len]`.
    Layer,
}

/// The architecture of an MS-D network: everything about it but its parameters.
///
/// Channels are counted through: first the `inputs` channels of the image, then the responses of the stem where there is one, then the
/// `width` channels of layer 0, of layer 1, and so on. A *hidden* channel is one that a layer computes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Architecture {
    /// Channels of the input image.
    pub inputs: usize,
    /// Channels of the output: classes of a segmentation, or channels of a regression target.
    pub outputs: usize,
    /// Channels of each layer.
    pub width: usize,
    /// Number of layers.
    pub depth: usize,
    /// Distances in pixels between the taps of a filter, cycled through.
    pub dilations: Vec<usize>,
    /// What the dilations cycle over.
    pub dilation_mode: DilationMode,
    /// What is seen beyond the edge of an image.
    pub boundary: Boundary,
    /// Fixed filters in front of the layers.
    #[serde(default, skip_serializing_if = "Stem::is_none")]
    pub stem: Stem,
}

/// Most channels that a network may have in one place; a guard against damaged files and typing errors.
const MAX_CHANNELS: usize = 65_536;
/// Most filters: their taps, gradients and moments then take 4 GiB.
const MAX_FILTERS: usize = 1 << 25;
/// Largest dilation in pixels.
const MAX_DILATION: usize = 4_096;

impl Architecture {
    /// The paper's architecture: width 1, dilations 1 to 10, mirrored boundary.
    pub fn new(inputs: usize, outputs: usize, depth: usize) -> Self {
        Self {
            inputs,
            outputs,
            width: 1,
            depth,
            dilations: (1..=10).collect(),
            dilation_mode: DilationMode::Channel,
            boundary: Boundary::Reflect,
            stem: Stem::default(),
        }
    }

    /// Checks that every number is usable.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the first number that is not.
    pub fn validate(&self) -> Result<()> {
        let sizes = [
            ("inputs", self.inputs),
            ("outputs", self.outputs),
            ("width", self.width),
            ("depth", self.depth),
        ];
        for (name, value) in sizes {
            if value == 0 || value > MAX_CHANNELS {
                return Err(Error::setting(name, value, format!("it must be from 1 to {MAX_CHANNELS}")));
            }
        }
        self.stem.validate()?;
        if self.inputs * (1 + self.stem.responses()) > MAX_CHANNELS {
            let found = format!("{} for {} channels", self.stem, self.inputs);
            let wanted = format!("it may have at most {MAX_CHANNELS} responses; name fewer sizes, or none");
            return Err(Error::setting("stem", found, wanted));
        }
        let hidden = self.width.checked_mul(self.depth).filter(|&n| n <= MAX_CHANNELS);
        if hidden.is_none() {
            let wanted = format!("width times depth must be at most {MAX_CHANNELS}; lower one of them");
            return Err(Error::setting(
                "`width` times `depth`",
                format!("{} x {}", self.width, self.depth),
                wanted,
            ));
        }
        if self.filter_count() > MAX_FILTERS {
            let found = format!("{} x {}, which has {} filters", self.width, self.depth, self.filter_count());
            let wanted = format!("a network may have at most {MAX_FILTERS} filters; lower one of them");
            return Err(Error::setting("`width` times `depth`", found, wanted));
        }
        if self.dilations.is_empty() {
            return Err(Error::setting(
                "dilations",
                "empty",
                "it must name at least one dilation, such as 1..10",
            ));
        }
        if let Some(bad) = self.dilations.iter().find(|&&s| s == 0 || s > MAX_DILATION) {
            return Err(Error::setting("dilations", bad, format!("each must be from 1 to {MAX_DILATION}")));
        }
        Ok(())
    }

    /// Number of channels that layers compute: width times depth.
    pub fn hidden(&self) -> usize {
        self.width * self.depth
    }

    /// Number of channels that are there before the first layer: those of the image, and the responses of the stem to each.
    pub fn stem_channels(&self) -> usize {
        self.inputs * (1 + self.stem.responses())
    }

    /// The channels of the stem's responses to channel `input` of the image: for each scale the responses in their order.
    pub fn responses(&self, input: usize) -> Range<usize> {
        let start = self.inputs + input * self.stem.responses();
        start..start + self.stem.responses()
    }

    /// Number of channels in all: those before the first layer and hidden ones.
    pub fn channels(&self) -> usize {
        self.stem_channels() + self.hidden()
    }

    /// The layer, from 0, that computes hidden channel `hidden` (counted from 0 without those before the first layer).
    pub fn layer_of(&self, hidden: usize) -> usize {
        hidden / self.width
    }

    /// The channels that layer `layer` reads: those before the first layer and all earlier layers.
    pub fn sources(&self, layer: usize) -> Range<usize> {
        0..self.stem_channels() + layer * self.width
    }

    /// The channels that the layers `layers` compute, those before the first layer counted in.
    pub fn layer_channels(&self, layers: Range<usize>) -> Range<usize> {
        self.stem_channels() + layers.start * self.width..self.stem_channels() + layers.end * self.width
    }

    /// The dilation in pixels of hidden channel `hidden` (counted from 0 without those before the first layer).
    pub fn dilation(&self, hidden: usize) -> usize {
        let place = match self.dilation_mode {
            DilationMode::Channel => hidden,
            DilationMode::Layer => self.layer_of(hidden),
        };
        self.dilations[place % self.dilations.len()]
    }

    /// The largest dilation that is in use, in pixels.
    pub fn largest_dilation(&self) -> usize {
        (0..self.hidden()).map(|h| self.dilation(h)).max().unwrap_or(0)
    }

    /// Number of 3x3 filters: one for each hidden channel and each channel it reads.
    pub fn filter_count(&self) -> usize {
        (0..self.depth).map(|layer| self.width * self.sources(layer).len()).sum()
    }

    /// Width in pixels of the square of input pixels that one output pixel can depend on: each layer adds
    /// twice its largest dilation, and the stem what its filters reach.
    pub fn receptive_field(&self) -> usize {
        2 * self.halo() + 1
    }

    /// How many pixels to either side an output pixel can depend on.
    pub fn halo(&self) -> usize {
        (0..self.depth)
            .map(|layer| (0..self.width).map(|j| self.dilation(layer * self.width + j)).max().unwrap_or(0))
            .sum::<usize>()
            + self.stem.reach()
    }
}

/// Reads a list of dilations: `1..10` (both ends included) or `1,2,4,8`.
///
/// # Errors
/// [`Error::Setting`] when the text is neither, or a dilation is 0 or larger than 4096.
pub fn parse_dilations(text: &str) -> Result<Vec<usize>> {
    let wrong = || Error::setting("dilations", format!("'{text}'"), "it must be like 1..10 or 1,2,4,8");
    let number = |part: &str| part.trim().parse::<usize>().ok().filter(|s| (1..=MAX_DILATION).contains(s));
    if let Some((first, last)) = text.split_once("..") {
        let (first, last) = (number(first).ok_or_else(wrong)?, number(last).ok_or_else(wrong)?);
        return if first <= last { Ok((first..=last).collect()) } else { Err(wrong()) };
    }
    text.split(',').map(|part| number(part).ok_or_else(wrong)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dilations_cycle_over_channels_or_layers() {
        let mut architecture =
            Architecture { width: 2, dilations: vec![1, 2, 4], ..Architecture::new(1, 1, 3) };
        let all = |a: &Architecture| (0..a.hidden()).map(|h| a.dilation(h)).collect::<Vec<_>>();
        assert_eq!(all(&architecture), [1, 2, 4, 1, 2, 4]);
        architecture.dilation_mode = DilationMode::Layer;
        assert_eq!(all(&architecture), [1, 1, 2, 2, 4, 4]);
    }

    #[test]
    fn receptive_field_of_the_papers_network() {
        // Ten rounds of 1 + 2 + ... + 10 on either side.
        assert_eq!(Architecture::new(1, 1, 100).receptive_field(), 2 * 550 + 1);
    }

    #[test]
    fn dilation_lists_are_read_and_refused() {
        assert_eq!(parse_dilations("1..3").unwrap(), [1, 2, 3]);
        assert_eq!(parse_dilations("1, 2,8").unwrap(), [1, 2, 8]);
        for bad in ["", "0..3", "3..1", "1,,2", "1..", "a", "1,5000", "-1"] {
            assert!(parse_dilations(bad).is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn unusable_numbers_are_refused() {
        let good = Architecture::new(1, 2, 10);
        assert!(good.validate().is_ok());
        assert!(Architecture { depth: 0, ..good.clone() }.validate().is_err());
        assert!(Architecture { width: 60_000, depth: 60_000, ..good.clone() }.validate().is_err());
        assert!(Architecture { depth: 30_000, ..good.clone() }.validate().is_err());
        assert!(Architecture { dilations: vec![], ..good.clone() }.validate().is_err());
        assert!(Architecture { dilations: vec![0], ..good }.validate().is_err());
    }
}
