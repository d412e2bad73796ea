//! From a network, a shape and a few options to a list of steps.
//!
//! Layers are taken in *blocks*. Every map before a block is final when the block starts, so one step
//! gathers the contributions of all of them to all layers of the block: blocked forward substitution. Inside, the block
//! is halved again and again: once the earlier half is final, one step adds its contributions to the whole later half.
//! The gradients go the same way in reverse. A block of one layer is the plain layer-by-layer schedule.

use std::ops::Range;

use super::planes::{Page, PlaneLayout, pages};
use super::steps::Step;
use crate::Result;
use crate::geometry::Shape;
use crate::network::Architecture;

/// What an engine asks of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Layers in a block; 1 for layer by layer.
    pub block: usize,
    /// Largest buffer of feature maps or gradient maps, in bytes.
    pub max_page_bytes: u64,
    /// Numbers to which rows are aligned.
    pub alignment: usize,
}

/// A network's computation for one shape of images, as plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The network.
    pub architecture: Architecture,
    /// The images.
    pub shape: Shape,
    /// Width of the margins in pixels: the largest dilation.
    pub margin: usize,
    /// How feature maps lie in memory.
    pub map_layout: PlaneLayout,
    /// How gradient maps, outputs and output gradients lie in memory.
    pub gradient_layout: PlaneLayout,
    /// The buffers of feature maps.
    pub map_pages: Vec<Page>,
    /// The buffers of gradient maps, of hidden channels only; none for a forward schedule.
    pub gradient_pages: Vec<Page>,
    /// What to compute, in order.
    pub steps: Vec<Step>,
}

impl Schedule {
    /// A forward pass: from images to outputs.
    ///
    /// # Errors
    /// When the network or the shape is unusable, or one channel is larger than a page may be.
    pub fn forward(architecture: &Architecture, shape: Shape, options: &Options) -> Result<Self> {
        let mut schedule = Self::empty(architecture, shape, options)?;
        schedule.add_forward(options.block.max(1));
        Ok(schedule)
    }

    /// The forward pass, the loss, and the gradients of all parameters.
    ///
    /// # Errors
    /// As [`Schedule::forward`].
    pub fn training(architecture: &Architecture, shape: Shape, options: &Options) -> Result<Self> {
        let mut schedule = Self::empty(architecture, shape, options)?;
        let hidden = architecture.inputs..architecture.channels();
        let form = &schedule.gradient_layout;
        schedule.gradient_pages = pages("gradient maps", hidden, form, shape.batch, options.max_page_bytes)?;
        schedule.add_forward(options.block.max(1));
        schedule.steps.push(Step::Loss);
        schedule.add_backward(options.block.max(1));
        Ok(schedule)
    }

    /// Whether the schedule computes gradients.
    pub fn trains(&self) -> bool {
        self.steps.contains(&Step::Loss)
    }

    /// Bytes of feature maps, gradient maps, outputs and output gradients; parameters and scratch come on top.
    pub fn bytes(&self) -> u64 {
        let pages = self.map_pages.iter().chain(&self.gradient_pages).map(|page| page.length as u128);
        let outputs = self.output_length() as u128 * if self.trains() { 2 } else { 1 };
        u64::try_from(4 * (pages.sum::<u128>() + outputs)).unwrap_or(u64::MAX)
    }

    /// Numbers in the buffer of outputs, and in that of their gradients.
    pub fn output_length(&self) -> usize {
        self.output_page().length
    }

    /// The outputs (and their gradients) as a page of channels `0..outputs`.
    pub fn output_page(&self) -> Page {
        let outputs = self.architecture.outputs;
        let length = self.shape.batch * outputs * self.gradient_layout.plane + 2 * self.gradient_layout.guard;
        Page { channels: 0..outputs, length }
    }

    /// The page of feature maps that holds `channel`.
    pub fn map_page(&self, channel: usize) -> usize {
        page_of(&self.map_pages, channel)
    }

    /// The page of gradient maps that holds `channel`.
    pub fn gradient_page(&self, channel: usize) -> usize {
        page_of(&self.gradient_pages, channel)
    }

    /// The steps cut where layers are complete: one recording for each piece.
    pub fn recordings(&self) -> Vec<Range<usize>> {
        let mut pieces = Vec::new();
        let mut start = 0;
        for (index, step) in self.steps.iter().enumerate() {
            if step.completes_layer() || index + 1 == self.steps.len() {
                pieces.push(start..index + 1);
                start = index + 1;
            }
        }
        pieces
    }

    fn empty(architecture: &Architecture, shape: Shape, options: &Options) -> Result<Self> {
        architecture.validate()?;
        let margin = architecture.largest_dilation();
        let map_layout = PlaneLayout::maps(shape.extent, margin, options.alignment)?;
        let gradient_layout = PlaneLayout::gradients(shape.extent, margin, options.alignment)?;
        let most = options.max_page_bytes;
        // The outputs are one buffer; checking them as one page of one channel finds those that are too large.
        pages("outputs", 0..1, &gradient_layout, shape.batch * architecture.outputs, most)?;
        let map_pages = pages("feature maps", 0..architecture.channels(), &map_layout, shape.batch, most)?;
        Ok(Self {
            architecture: architecture.clone(),
            shape,
            margin,
            map_layout,
            gradient_layout,
            map_pages,
            gradient_pages: Vec::new(),
            steps: Vec::new(),
        })
    }

    fn blocks(&self, block: usize) -> impl DoubleEndedIterator<Item = Range<usize>> + use<> {
        let depth = self.architecture.depth;
        (0..depth.div_ceil(block)).map(move |b| b * block..((b + 1) * block).min(depth))
    }

    fn add_forward(&mut self, block: usize) {
        self.steps.push(Step::Load);
        for layers in self.blocks(block) {
            let older = self.architecture.sources(layers.start);
            let outputs = self.architecture.layer_channels(layers.clone());
            self.add_convolve(older, outputs, true);
            for (earlier, later) in halves(layers) {
                let sources = self.architecture.layer_channels(earlier);
                let outputs = self.architecture.layer_channels(later);
                self.add_convolve(sources, outputs, false);
            }
        }
        for (index, sources) in
            cut(&self.map_pages, &(0..self.architecture.channels())).into_iter().enumerate()
        {
            self.steps.push(Step::Mix { sources, first: index == 0 });
        }
    }

    /// Adds `sources` to `outputs`, page by page. Of the outputs, the layer that follows right after the sources is
    /// then complete.
    fn add_convolve(&mut self, sources: Range<usize>, outputs: Range<usize>, from_biases: bool) {
        let complete = sources.end..sources.end + self.architecture.width;
        for outputs in cut(&self.map_pages, &outputs) {
            let pieces = cut(&self.map_pages, &sources);
            for (index, piece) in pieces.iter().enumerate() {
                let last = index + 1 == pieces.len();
                let finishes = if last { overlap(&complete, &outputs) } else { outputs.start..outputs.start };
                let first = from_biases && index == 0;
                self.steps.push(Step::Convolve {
                    sources: piece.clone(),
                    outputs: outputs.clone(),
                    first,
                    finishes,
                });
            }
        }
    }

    fn add_backward(&mut self, block: usize) {
        let architecture = self.architecture.clone();
        let (channels, width) = (architecture.channels(), architecture.width);
        for (index, sources) in cut(&self.map_pages, &(0..channels)).into_iter().enumerate() {
            self.steps.push(Step::MixWeightGradient { sources, biases: index == 0 });
        }
        for layers in self.blocks(block).rev() {
            let inside = architecture.layer_channels(layers.clone());
            let later = inside.end..channels;
            for piece in cut(&self.gradient_pages, &inside) {
                let complete = if later.is_empty() { channels - width..channels } else { 0..0 };
                let finishes = overlap(&complete, &piece);
                self.steps.push(Step::MixInputGradient { channels: piece, finishes });
            }
            if !later.is_empty() {
                self.add_input_gradient(later, inside.clone());
            }
            for (earlier, later) in halves(layers.clone()).into_iter().rev() {
                let channels = architecture.layer_channels(earlier);
                self.add_input_gradient(architecture.layer_channels(later), channels);
            }
            for gradients in cut(&self.gradient_pages, &inside) {
                for sources in cut(&self.map_pages, &architecture.sources(layers.end - 1)) {
                    self.steps.push(Step::FilterGradient { gradients: gradients.clone(), sources });
                }
                self.steps.push(Step::BiasGradient { gradients });
            }
        }
    }

    /// Hands `gradients` back to `channels`, page by page. Of the channels, the last layer is then complete.
    fn add_input_gradient(&mut self, gradients: Range<usize>, channels: Range<usize>) {
        let complete = channels.end - self.architecture.width..channels.end;
        for channels in cut(&self.gradient_pages, &channels) {
            let pieces = cut(&self.gradient_pages, &gradients);
            for (index, piece) in pieces.iter().enumerate() {
                let last = index + 1 == pieces.len();
                let finishes =
                    if last { overlap(&complete, &channels) } else { channels.start..channels.start };
                let gradients = piece.clone();
                self.steps.push(Step::InputGradient { gradients, channels: channels.clone(), finishes });
            }
        }
    }
}

/// All pairs of an earlier and a later half that a block is cut into, in the order in which the earlier halves are
/// final. Together they connect every layer to every earlier one of the block exactly once.
fn halves(layers: Range<usize>) -> Vec<(Range<usize>, Range<usize>)> {
    if layers.len() < 2 {
        return Vec::new();
    }
    let middle = layers.start + layers.len() / 2;
    let (earlier, later) = (layers.start..middle, middle..layers.end);
    let mut pairs = halves(earlier.clone());
    pairs.push((earlier, later.clone()));
    pairs.extend(halves(later));
    pairs
}

fn page_of(pages: &[Page], channel: usize) -> usize {
    pages.partition_point(|page| page.channels.end <= channel)
}

/// Cuts `channels` where pages end.
fn cut(pages: &[Page], channels: &Range<usize>) -> Vec<Range<usize>> {
    pages.iter().map(|page| overlap(&page.channels, channels)).filter(|piece| !piece.is_empty()).collect()
}

/// What two ranges share; an empty range at the start of `b` when that is nothing.
fn overlap(a: &Range<usize>, b: &Range<usize>) -> Range<usize> {
    let shared = a.start.max(b.start)..a.end.min(b.end);
    if shared.is_empty() { b.start..b.start } else { shared }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Extent;

    fn options(block: usize, max_page_bytes: u64) -> Options {
        Options { block, max_page_bytes, alignment: 4 }
    }

    fn shape() -> Shape {
        Shape { batch: 2, extent: Extent::plane(6, 7) }
    }

    /// Plays a schedule with bookkeeping instead of numbers: every pair of channels must be connected exactly once,
    /// forward, backward and in the filter gradients, and nothing may be read before it is finished.
    fn check(architecture: &Architecture, options: &Options) {
        let schedule = Schedule::training(architecture, shape(), options).unwrap();
        let (channels, inputs) = (architecture.channels(), architecture.inputs);
        let layer_start = |c: usize| architecture.sources(architecture.layer_of(c - inputs)).end;
        let mut forward = vec![vec![0; channels]; channels];
        let (mut backward, mut filters) = (forward.clone(), forward.clone());
        let mut finished: Vec<bool> = (0..channels).map(|c| c < inputs).collect();
        let mut started = finished.clone();
        let (mut finished_gradient, mut started_gradient) = (vec![false; channels], vec![false; channels]);
        for step in &schedule.steps {
            match step {
                Step::Convolve { sources, outputs, first, finishes } => {
                    for o in outputs.clone() {
                        assert_ne!(started[o], *first, "sum of {o} started twice or not at all");
                        started[o] = true;
                        assert!(!finished[o]);
                        for s in sources.clone().filter(|&s| s < layer_start(o)) {
                            assert!(finished[s], "{o} reads {s} before it is finished");
                            forward[o][s] += 1;
                        }
                    }
                    finishes.clone().for_each(|o| finished[o] = true);
                }
                Step::MixInputGradient { channels, finishes } => {
                    channels
                        .clone()
                        .for_each(|c| assert!(!std::mem::replace(&mut started_gradient[c], true)));
                    finishes.clone().for_each(|c| finished_gradient[c] = true);
                }
                Step::InputGradient { gradients, channels, finishes } => {
                    for (g, c) in gradients.clone().flat_map(|g| channels.clone().map(move |c| (g, c))) {
                        assert!(finished_gradient[g] && started_gradient[c] && !finished_gradient[c]);
                        assert!(c < layer_start(g));
                        backward[g][c] += 1;
                    }
                    finishes.clone().for_each(|c| finished_gradient[c] = true);
                }
                Step::FilterGradient { gradients, sources } => {
                    for g in gradients.clone() {
                        assert!(finished_gradient[g]);
                        sources.clone().filter(|&s| s < layer_start(g)).for_each(|s| filters[g][s] += 1);
                    }
                }
                _ => {}
            }
        }
        for c in inputs..channels {
            assert!(finished[c] && finished_gradient[c]);
            for s in 0..channels {
                let connected = usize::from(s < layer_start(c));
                assert_eq!(forward[c][s], connected);
                assert_eq!(filters[c][s], connected);
                assert_eq!(backward[c][s], connected * usize::from(s >= inputs));
            }
        }
    }

    #[test]
    fn every_pair_of_channels_is_connected_exactly_once() {
        for width in 1..4 {
            for depth in [1, 2, 5, 8] {
                let architecture = Architecture { width, ..Architecture::new(2, 3, depth) };
                for block in [1, 2, 3, 100] {
                    for most in [u64::MAX, 60_000, 16_000] {
                        check(&architecture, &options(block, most));
                    }
                }
            }
        }
    }

    #[test]
    fn recordings_cover_all_steps_and_end_with_layers() {
        let schedule =
            Schedule::training(&Architecture::new(1, 2, 5), shape(), &options(1, u64::MAX)).unwrap();
        let pieces = schedule.recordings();
        assert_eq!(pieces.iter().map(Range::len).sum::<usize>(), schedule.steps.len());
        assert_eq!(pieces.len(), 5 + 5 + 1, "five layers forward, five backward, and the last gradients");
    }
}
