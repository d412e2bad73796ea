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
    /// block of layers.
    pub gradient_shift: Option<usize>,
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
        let hidden = architecture.stem_channels()..architecture.channels();
        let (batch, most) = (shape.batch, options.max_page_bytes);
        if options.share_planes {
            // Once the gradients of a block of layers are final, and those of the filters that lead to it are computed, nothing
            // reads its feature maps again: they were read by later layers, which are done. So the gradient maps of each
            // block go where the feature maps of the block after it were, and those of the last block into planes of
            // their own.
            let shift = options.block.clamp(1, architecture.depth) * architecture.width;
            let planes = 0..architecture.channels() + shift;
            schedule.map_pages = pages("feature maps", planes, &schedule.map_layout, batch, most)?;
            schedule.gradient_layout = schedule.map_layout;
            schedule.gradient_shift = Some(shift);
        } else {
            let form = &schedule.gradient_layout;
            schedule.gradient_pages = pages("gradient maps", hidden, form, batch, most)?;
        }
        schedule.add_forward(options.block.max(1));
        schedule.steps.push(Step::Loss);
        schedule.add_backward(options.block.max(1));
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

    /// Bytes of feature maps, gradient maps, outputs and output gradients; parameters and scratch come on top.
    pub fn bytes(&self) -> u64 {
        let pages = self.map_pages.iter().chain(&self.gradient_pages).map(|page| page.length as u128);
        let outputs = self.output_length() as u128 * if self.trains() { 2 } else { 1 };
        u64::try_from(4 * (pages.sum::<u128>() + outputs)).unwrap_or(u64::MAX)
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
        self.gradient_shift.is_none_or(|shift| channel < self.architecture.stem_channels() + shift)
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
        pages("outputs", 0..1, &output_layout, shape.batch * architecture.outputs, most)?;
        let map_pages = pages("feature maps", 0..architecture.channels(), &map_layout, shape.batch, most)?;
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
            steps: Vec::new(),
        })
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
mod tests {
    use super::*;
    use crate::geometry::Extent;

    fn options(block: usize, max_page_bytes: u64) -> Options {
        Options { block, max_page_bytes, alignment: 4, share_planes: false }
    }

    fn shape() -> Shape {
        Shape { batch: 2, extent: Extent::plane(6, 7) }
    }

    /// What a plane holds.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Held {
        Nothing,
        Map(usize),
        Gradient(usize),
    }

    /// Which plane holds what, by the kind of page, the page and the plane.
    struct Planes<'a> {
        schedule: &'a Schedule,
        held: Vec<((bool, usize, usize), Held)>,
    }

    impl Planes<'_> {
        fn place(&self, what: Held) -> (bool, usize, usize) {
            let schedule = self.schedule;
            let (separate, page, plane) = match (what, schedule.gradient_shift) {
                (Held::Map(c), _) => (false, schedule.map_page(c), c),
                (Held::Gradient(c), Some(shift)) => (false, schedule.gradient_page(c), c + shift),
                (Held::Gradient(c), None) => (true, schedule.gradient_page(c), c),
                (Held::Nothing, _) => unreachable!(),
            };
            let pages = if separate { &schedule.gradient_pages } else { &schedule.map_pages };
            assert!(pages[page].channels.contains(&plane), "{what:?} is not in page {page}");
            (separate, page, plane)
        }

        fn write(&mut self, what: Held) {
            let place = self.place(what);
            self.held.retain(|(other, _)| *other != place);
            self.held.push((place, what));
        }

        /// Nothing may be read after its plane was taken.
        fn read(&self, what: Held) {
            let place = self.place(what);
            let held = self.held.iter().find(|(other, _)| *other == place).map_or(Held::Nothing, |h| h.1);
            assert_eq!(held, what, "the plane {place:?} of {what:?} was taken");
        }

        fn read_maps(&self, channels: impl Iterator<Item = usize>) {
            channels.for_each(|c| self.read(Held::Map(c)));
        }

        fn read_gradients(&self, channels: &Range<usize>) {
            channels.clone().for_each(|c| self.read(Held::Gradient(c)));
        }
    }

    /// Plays a schedule with bookkeeping instead of numbers: every pair of channels must be connected exactly once,
    /// forward, backward and in the filter gradients, and nothing may be read before it is finished, nor after its plane
    /// was taken by something else.
    fn check(architecture: &Architecture, options: &Options) {
        let schedule = Schedule::training(architecture, shape(), options).unwrap();
        let (channels, inputs) = (architecture.channels(), architecture.stem_channels());
        let layer_start = |c: usize| architecture.sources(architecture.layer_of(c - inputs)).end;
        let mut forward = vec![vec![0; channels]; channels];
        let (mut backward, mut filters) = (forward.clone(), forward.clone());
        let mut finished: Vec<bool> = (0..channels).map(|c| c < inputs).collect();
        let mut started = finished.clone();
        let (mut finished_gradient, mut started_gradient) = (vec![false; channels], vec![false; channels]);
        let mut planes = Planes { schedule: &schedule, held: Vec::new() };
        for step in &schedule.steps {
            match step {
                Step::Load => (0..schedule.architecture.inputs).for_each(|c| planes.write(Held::Map(c))),
                Step::Stem => {
                    (schedule.architecture.inputs..inputs).for_each(|c| planes.write(Held::Map(c)));
                }
                Step::Convolve { sources, outputs, first, finishes } => {
                    for o in outputs.clone() {
                        assert_ne!(started[o], *first, "sum of {o} started twice or not at all");
                        started[o] = true;
                        assert!(!finished[o]);
                        if *first {
                            planes.write(Held::Map(o));
                        }
                        planes.read(Held::Map(o));
                        for s in sources.clone().filter(|&s| s < layer_start(o)) {
                            assert!(finished[s], "{o} reads {s} before it is finished");
                            planes.read(Held::Map(s));
                            forward[o][s] += 1;
                        }
                    }
                    finishes.clone().for_each(|o| finished[o] = true);
                }
                Step::Mix { sources, .. } | Step::MixWeightGradient { sources, .. } => {
                    planes.read_maps(sources.clone());
                }
                Step::Loss => {}
                Step::MixInputGradient { channels, finishes } => {
                    channels
                        .clone()
                        .for_each(|c| assert!(!std::mem::replace(&mut started_gradient[c], true)));
                    channels.clone().for_each(|c| planes.write(Held::Gradient(c)));
                    planes.read_maps(finishes.clone());
                    finishes.clone().for_each(|c| finished_gradient[c] = true);
                }
                Step::InputGradient { gradients, channels, finishes } => {
                    for (g, c) in gradients.clone().flat_map(|g| channels.clone().map(move |c| (g, c))) {
                        assert!(finished_gradient[g] && started_gradient[c] && !finished_gradient[c]);
                        assert!(c < layer_start(g));
                        backward[g][c] += 1;
                    }
                    planes.read_gradients(gradients);
                    planes.read_gradients(channels);
                    planes.read_maps(finishes.clone());
                    finishes.clone().for_each(|c| finished_gradient[c] = true);
                }
                Step::FilterGradient { gradients, sources } => {
                    planes.read_gradients(gradients);
                    for g in gradients.clone() {
                        assert!(finished_gradient[g]);
                        let read = sources.clone().filter(|&s| s < layer_start(g));
                        planes.read_maps(read.clone());
                        read.for_each(|s| filters[g][s] += 1);
                    }
                }
                Step::BiasGradient { gradients } => planes.read_gradients(gradients),
            }
        }
        for c in inputs..channels {
            assert!(finished[c] && finished_gradient[c]);
            planes.read(Held::Gradient(c));
            for s in 0..channels {
                let connected = usize::from(s < layer_start(c));
                assert_eq!(forward[c][s], connected);
                assert_eq!(filters[c][s], connected);
                assert_eq!(backward[c][s], connected * usize::from(s >= inputs));
            }
        }
        planes.read_maps((0..channels).filter(|&c| schedule.keeps_map(c)));
    }

    #[test]
    fn every_pair_of_channels_is_connected_exactly_once() {
        for width in 1..4 {
            for depth in [1, 2, 5, 8] {
                let architecture = Architecture { width, ..Architecture::new(2, 3, depth) };
                for block in [1, 2, 3, 100] {
                    for most in [u64::MAX, 60_000, 16_000] {
                        for share_planes in [false, true] {
                            check(&architecture, &Options { share_planes, ..options(block, most) });
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn shared_planes_take_one_for_each_channel_and_a_block_more() {
        let architecture = Architecture { width: 2, ..Architecture::new(1, 3, 9) };
        let shape = Shape { batch: 2, extent: Extent::plane(60, 70) };
        let with = |share_planes, block| {
            let options = Options { share_planes, ..options(block, u64::MAX) };
            Schedule::training(&architecture, shape, &options).unwrap()
        };
        for block in [1, 4, 100] {
            let (apart, shared) = (with(false, block), with(true, block));
            assert_eq!(apart.steps, shared.steps);
            assert_eq!(shared.map_pages[0].channels, 0..19 + 2 * block.min(9));
            let plane = 4 * shape.batch * shared.map_layout.plane;
            let outputs = 2 * 4 * shared.output_length();
            let guards = 2 * 4 * shared.map_layout.guard;
            assert_eq!(shared.bytes() as usize, (19 + 2 * block.min(9)) * plane + outputs + guards);
            assert_eq!(shared.clone().into_forward().steps, apart.clone().into_forward().steps);
        }
        assert!(with(true, 4).bytes() < with(false, 4).bytes());
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
