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
    /// 2 for networks of images, whose filters have 3x3 taps; 3 for networks of volumes, whose filters have 3x3x3.
    #[serde(default = "two", skip_serializing_if = "is_two")]
    pub dimensions: usize,
    /// Distances in pixels between the taps of a filter, cycled through.
    pub dilations: Vec<usize>,
    /// In three dimensions, distances in slices between the taps of a filter, cycled through like the dilations; empty where they
    /// are those in pixels. In a layer of 0 the taps in the slices before and after stay 0 and are not learnt: voxels that are much longer
    /// than wide want few or no slices beside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dilations_z: Vec<usize>,
    /// What the dilations cycle over.
    pub dilation_mode: DilationMode,
    /// What is seen beyond the edge of an image.
    pub boundary: Boundary,
    /// Fixed filters in front of the layers.
    #[serde(default, skip_serializing_if = "Stem::is_none")]
    pub stem: Stem,
}

fn two() -> usize {
    2
}

fn is_two(dimensions: &usize) -> bool {
    *dimensions == two()
}

/// Most channels that a network may have in one place; a guard against damaged files and typing errors.
const MAX_CHANNELS: usize = 65_536;
/// Most filters: in two dimensions their taps, gradients and moments then take 4 GiB.
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
            dimensions: two(),
            dilations: (1..=10).collect(),
            dilations_z: Vec::new(),
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
        if !(2..=3).contains(&self.dimensions) {
            let wanted = "it must be 2 for images or 3 for volumes";
            return Err(Error::setting("dimensions", self.dimensions, wanted));
        }
        self.stem.validate()?;
        if self.is_of_volumes() && !self.stem.is_none() {
            let wanted = "its filters are for images, and networks of three dimensions have none; leave it out, or choose 2 `dimensions`";
            return Err(Error::setting("stem", &self.stem, wanted));
        }
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
        if !self.is_of_volumes() && !self.dilations_z.is_empty() {
            let wanted = "images have no slices beside them; leave it out, or choose 3 `dimensions`";
            return Err(Error::setting("dilations_z", format!("{:?}", self.dilations_z), wanted));
        }
        if let Some(bad) = self.dilations_z.iter().find(|&&s| s > MAX_DILATION) {
            return Err(Error::setting("dilations_z", bad, format!("each must be from 0 to {MAX_DILATION}")));
        }
        Ok(())
    }

    /// Whether the network is applied to volumes, with filters of three dimensions.
    pub fn is_of_volumes(&self) -> bool {
        self.dimensions == 3
    }

    /// Number of taps of a filter: 9, or 27 in three dimensions.
    pub fn taps(&self) -> usize {
        if self.is_of_volumes() { 27 } else { 9 }
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
        self.dilations[self.place_of(hidden) % self.dilations.len()]
    }

    /// The dilation of hidden channel `hidden` along z, in slices: 0 where its taps beside the slice are not there, as in two
    /// dimensions.
    pub fn dilation_z(&self, hidden: usize) -> usize {
        match (self.is_of_volumes(), self.dilations_z.len()) {
            (false, _) => 0,
            (true, 0) => self.dilation(hidden),
            (true, count) => self.dilations_z[self.place_of(hidden) % count],
        }
    }

    /// How far in their lists the dilations of hidden channel `hidden` are.
    fn place_of(&self, hidden: usize) -> usize {
        match self.dilation_mode {
            DilationMode::Channel => hidden,
            DilationMode::Layer => self.layer_of(hidden),
        }
    }

    /// The largest dilation that is in use, in pixels.
    pub fn largest_dilation(&self) -> usize {
        (0..self.hidden()).map(|h| self.dilation(h)).max().unwrap_or(0)
    }

    /// Number of filters: one for each hidden channel and each channel it reads.
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
        self.sum_over_layers(|hidden| self.dilation(hidden)) + self.stem.reach()
    }

    /// How many slices to either side an output voxel can depend on; 0 in two dimensions.
    pub fn halo_z(&self) -> usize {
        self.sum_over_layers(|hidden| self.dilation_z(hidden))
    }

    /// Height in slices of the box of voxels that one output voxel can depend on; see [`Architecture::receptive_field`].
    pub fn receptive_field_z(&self) -> usize {
        2 * self.halo_z() + 1
    }

    /// The largest of each layer, added up.
    fn sum_over_layers(&self, reach: impl Fn(usize) -> usize) -> usize {
        let of_layer = |layer| (0..self.width).map(|j| reach(layer * self.width + j)).max().unwrap_or(0);
        (0..self.depth).map(of_layer).sum()
    }
}

/// Reads a list of dilations: `1..10` (both ends included) or `1,2,4,8`.
///
/// # Errors
/// [`Error::Setting`] when the text is neither, or a dilation is 0 or larger than 4096.
pub fn parse_dilations(text: &str) -> Result<Vec<usize>> {
    parse_list("dilations", text, 1, "it must be like 1..10 or 1,2,4,8")
}

/// Reads a list of dilations along z, as [`parse_dilations`], but 0 is allowed.
///
/// # Errors
/// [`Error::Setting`] when the text is neither, or a dilation is larger than 4096.
pub fn parse_dilations_z(text: &str) -> Result<Vec<usize>> {
    parse_list("dilations_z", text, 0, "it must be like 1..5 or 0,1,2")
}

fn parse_list(name: &'static str, text: &str, least: usize, wanted: &str) -> Result<Vec<usize>> {
    let wrong = || Error::setting(name, format!("'{text}'"), wanted);
    let number =
        |part: &str| part.trim().parse::<usize>().ok().filter(|s| (least..=MAX_DILATION).contains(s));
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
        assert!(Architecture { dilations: vec![0], ..good.clone() }.validate().is_err());
        assert!(Architecture { dimensions: 4, ..good.clone() }.validate().is_err());
        assert!(Architecture { dilations_z: vec![1], ..good.clone() }.validate().is_err());
        let volumes = Architecture { dimensions: 3, ..good };
        assert!(volumes.validate().is_ok());
        assert!(Architecture { dilations_z: vec![0, 2], ..volumes.clone() }.validate().is_ok());
        assert!(Architecture { dilations_z: vec![5000], ..volumes.clone() }.validate().is_err());
        assert!(Architecture { stem: Stem::usual(), ..volumes }.validate().is_err());
    }

    #[test]
    fn volumes_have_a_halo_along_each_axis() {
        let images = Architecture { dilations: vec![1, 2, 3], ..Architecture::new(1, 1, 6) };
        assert_eq!((images.halo(), images.halo_z(), images.taps()), (12, 0, 9));
        let volumes = Architecture { dimensions: 3, ..images };
        assert_eq!((volumes.halo(), volumes.halo_z(), volumes.taps()), (12, 12, 27));
        let flat = Architecture { dilations_z: vec![0, 1], ..volumes };
        assert_eq!((flat.halo(), flat.halo_z(), flat.receptive_field_z()), (12, 3, 7));
    }

    #[test]
    fn descriptions_of_networks_of_images_stay_as_they_were() {
        let text = serde_json::to_string(&Architecture::new(1, 2, 3)).unwrap();
        assert!(!text.contains("dimensions") && !text.contains("_z"), "{text}");
        let volumes = Architecture { dimensions: 3, dilations_z: vec![0, 1], ..Architecture::new(1, 2, 3) };
        let text = serde_json::to_string(&volumes).unwrap();
        assert_eq!(serde_json::from_str::<Architecture>(&text).unwrap(), volumes);
    }
}
