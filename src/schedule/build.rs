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

/// What an engine can choose about a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Layers in a block; 1 for layer by layer.
    pub block: usize,
    /// Largest buffer of feature maps or gradient maps, in bytes.
    pub max_page_bytes: u64,
    /// Numbers to which rows are aligned.
    pub alignment: usize,
    /// Whether gradient maps take the places of feature maps that nothing reads any more: training then takes one plane for
    /// each channel and one block more, instead of two for each channel.
    pub share_planes: bool,
    /// Whether feature maps and gradient maps are stored as halves (f16) of two bytes. Sums are kept as numbers of four bytes until they are
    /// complete, for the channels of one block. In training, gradient maps share planes with feature maps then, whatever `share_planes` says.
    pub half_maps: bool,
}

/// A network's computation for one shape of images, as plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The network.
    pub architecture: Architecture,
    /// The images.
    pub shape: Shape,
    /// Width of the margins in pixels: the largest dilation, or 0 for networks of volumes.
    pub margin: usize,
    /// How feature maps lie in memory.
    pub map_layout: PlaneLayout,
    /// How gradient maps lie in memory: as feature maps do where they share planes.
    pub gradient_layout: PlaneLayout,
    /// How outputs and output gradients lie in memory.
    pub output_layout: PlaneLayout,
    /// The buffers of feature maps; where planes are shared, the first block's worth of planes after the last channel is
    /// for gradient maps alone.
    pub map_pages: Vec<Page>,
    /// The buffers of gradient maps, of hidden channels only; none for a forward schedule, and none where planes are shared.
    pub gradient_pages: Vec<Page>,
    /// Where planes are shared, how many planes further than the feature map of a channel its gradient map lies: those of a
    /// block of layers, and `gradient_sum_shift`.
    pub gradient_shift: Option<usize>,
    /// How many planes further than the feature map of a hidden channel its sum lies until it is complete: 0 where that is in the place of the
    /// map. See [`Schedule::with_sums_apart`].
    pub sum_shift: usize,
    /// The same for gradient maps: how many planes before the gradient map its sum lies.
    pub gradient_sum_shift: usize,
    /// Where feature maps are halves, the buffer in which the sums of a block's channels lie until they are complete, those of feature maps
    /// and later those of gradient maps, laid out as feature maps are; its channels are counted from the first of the block.
    pub sums: Option<Page>,
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
        let block = schedule.block(options)?;
        schedule.add_forward(block);
        Ok(schedule)
    }

    /// The forward pass, the loss, and the gradients of all parameters.
    ///
    /// # Errors
    /// As [`Schedule::forward`].
    pub fn training(architecture: &Architecture, shape: Shape, options: &Options) -> Result<Self> {
        let mut schedule = Self::empty(architecture, shape, options)?;
        let block = schedule.block(options)?;
        let hidden = architecture.stem_channels()..architecture.channels();
        let (batch, most) = (shape.batch, options.max_page_bytes);
        if options.share_planes || options.half_maps {
            // Once the gradients of a block of layers are final, and those of the filters that lead to it are computed, nothing
            // reads its feature maps again: they were read by later layers, which are done. So the gradient maps of each
            // block go where the feature maps of the block after it were, and those of the last block into planes of
            // their own.
            let shift = block.min(architecture.depth) * architecture.width;
            let planes = 0..architecture.channels() + shift;
            let number = schedule.map_bytes();
            schedule.map_pages = pages("feature maps", planes, &schedule.map_layout, batch, most, number)?;
            schedule.gradient_layout = schedule.map_layout;
            schedule.gradient_shift = Some(shift);
        } else {
            let form = &schedule.gradient_layout;
            schedule.gradient_pages = pages("gradient maps", hidden, form, batch, most, 4)?;
        }
        schedule.add_forward(block);
        schedule.steps.push(Step::Loss);
        schedule.add_backward(block);
        Ok(schedule)
    }

    /// The forward pass of a training schedule, over the same planes.
    pub fn into_forward(mut self) -> Self {
        self.steps
            .truncate(self.steps.iter().position(|step| *step == Step::Loss).unwrap_or(self.steps.len()));
        self
    }

    /// Whether the schedule computes gradients.
    pub fn trains(&self) -> bool {
        self.steps.contains(&Step::Loss)
    }

    /// Bytes of feature maps, gradient maps, sums, outputs and output gradients; parameters and scratch come on top.
    pub fn bytes(&self) -> u64 {
        let numbers = |pages: &[Page]| pages.iter().map(|page| page.length as u128).sum::<u128>();
        let outputs = self.output_length() as u128 * if self.trains() { 2 } else { 1 };
        let others = numbers(&self.gradient_pages) + numbers(self.sums.as_slice()) + outputs;
        let maps = u128::from(self.map_bytes()) * numbers(&self.map_pages);
        u64::try_from(maps + 4 * others).unwrap_or(u64::MAX)
    }

    /// Bytes of a number in feature maps and gradient maps: 4, or 2 where they are halves.
    pub fn map_bytes(&self) -> u64 {
        if self.sums.is_some() { 2 } else { 4 }
    }

    /// Rows of a plane without its margins: those of all slices, which lie one below the other.
    pub fn rows(&self) -> usize {
        self.shape.extent.z * self.shape.extent.y
    }

    /// Numbers in the buffer of outputs, and in that of their gradients.
    pub fn output_length(&self) -> usize {
        self.output_page().length
    }

    /// The outputs (and their gradients) as a page of channels `0..outputs`.
    pub fn output_page(&self) -> Page {
        let outputs = self.architecture.outputs;
        let form = &self.output_layout;
        let length = self.shape.batch * outputs * form.plane + 2 * form.guard;
        Page { channels: 0..outputs, length }
    }

    /// The page of feature maps that holds `channel`.
    pub fn map_page(&self, channel: usize) -> usize {
        page_of(&self.map_pages, channel)
    }

    /// The page that holds the gradient map of `channel`: one of feature maps where planes are shared.
    pub fn gradient_page(&self, channel: usize) -> usize {
        match self.gradient_shift {
            Some(shift) => page_of(&self.map_pages, channel + shift),
            None => page_of(&self.gradient_pages, channel),
        }
    }

    /// The pages that hold gradient maps.
    pub fn pages_of_gradients(&self) -> &[Page] {
        if self.gradient_shift.is_some() { &self.map_pages } else { &self.gradient_pages }
    }

    /// Whether the feature map of `channel` is still there after the gradients were computed.
    pub fn keeps_map(&self, channel: usize) -> bool {
        let first_plane = self.architecture.stem_channels();
        self.gradient_shift.is_none_or(|shift| channel < first_plane + shift - self.gradient_sum_shift)
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
        let (extent, alignment) = (shape.extent, options.alignment);
        let (margin, map_layout, output_layout) = if architecture.is_of_volumes() {
            let layout = PlaneLayout::volumes(extent, alignment)?;
            (0, layout, layout)
        } else {
            let margin = architecture.largest_dilation();
            let maps = PlaneLayout::maps(extent, margin, alignment)?;
            (margin, maps, PlaneLayout::gradients(extent, margin, alignment)?)
        };
        let most = options.max_page_bytes;
        // The outputs are one buffer; checking them as one page of one channel finds those that are too large.
        pages("outputs", 0..1, &output_layout, shape.batch * architecture.outputs, most, 4)?;
        let channels = 0..architecture.channels();
        let number = if options.half_maps { 2 } else { 4 };
        let map_pages = pages("feature maps", channels, &map_layout, shape.batch, most, number)?;
        Ok(Self {
            architecture: architecture.clone(),
            shape,
            margin,
            map_layout,
            gradient_layout: output_layout,
            output_layout,
            map_pages,
            gradient_pages: Vec::new(),
            gradient_shift: None,
            sum_shift: 0,
            gradient_sum_shift: 0,
            sums: None,
            steps: Vec::new(),
        })
    }

    /// Layers in a block; where feature maps are halves, the buffer of sums for them is added.
    fn block(&mut self, options: &Options) -> Result<usize> {
        let block = options.block.max(1);
        if options.half_maps { self.add_sums(block, options.max_page_bytes) } else { Ok(block) }
    }

    /// Adds the buffer of sums for blocks of `block` layers, or of as many as one buffer has room for; gives how many.
    fn add_sums(&mut self, block: usize, max_page_bytes: u64) -> Result<usize> {
        let Architecture { width, depth, .. } = self.architecture;
        let (form, batch) = (&self.map_layout, self.shape.batch);
        let room = u128::from(max_page_bytes / 4).saturating_sub(2 * form.guard as u128);
        let layer = (form.plane as u128).saturating_mul(batch as u128).saturating_mul(width as u128).max(1);
        let fitting = usize::try_from(room / layer).unwrap_or(usize::MAX);
        let block = block.clamp(1, depth.max(1)).min(fitting.max(1));
        let channels = block * width;
        // One buffer, as that of outputs: where not even one layer fits, this says so.
        let whole = pages("sums of a layer", 0..1, form, batch.saturating_mul(channels), max_page_bytes, 4)?;
        self.sums = whole.into_iter().next().map(|page| Page { channels: 0..channels, ..page });
        Ok(block)
    }

    fn blocks(&self, block: usize) -> impl DoubleEndedIterator<Item = Range<usize>> + use<> {
        let depth = self.architecture.depth;
        (0..depth.div_ceil(block)).map(move |b| b * block..((b + 1) * block).min(depth))
    }

    fn add_forward(&mut self, block: usize) {
        self.steps.push(Step::Load);
        if !self.architecture.stem.is_none() {
            self.steps.push(Step::Stem);
        }
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
            for piece in self.cut_gradients(&inside) {
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
            for gradients in self.cut_gradients(&inside) {
                for sources in cut(&self.map_pages, &architecture.sources(layers.end - 1)) {
                    self.steps.push(Step::FilterGradient { gradients: gradients.clone(), sources });
                }
                self.steps.push(Step::BiasGradient { gradients });
            }
        }
    }

    /// Cuts channels where the pages of their gradient maps end.
    fn cut_gradients(&self, channels: &Range<usize>) -> Vec<Range<usize>> {
        let Some(shift) = self.gradient_shift else { return cut(&self.gradient_pages, channels) };
        let planes = channels.start + shift..channels.end + shift;
        let pieces = cut(&self.map_pages, &planes).into_iter();
        pieces.map(|piece| piece.start - shift..piece.end - shift).collect()
    }

    /// Back-propagates `gradients` to `channels`, page by page. Of the channels, the last layer is then complete.
    fn add_input_gradient(&mut self, gradients: Range<usize>, channels: Range<usize>) {
        let complete = channels.end - self.architecture.width..channels.end;
        for channels in self.cut_gradients(&channels) {
            let pieces = self.cut_gradients(&gradients);
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
mod tests;
