//! The dispatches that add up products and planes over all pixels: gradients of mixing weights and of biases.

use std::ops::Range;

use super::super::params::*;
use super::super::shaders;
use super::{Planner, Slot, count, single_numbers, span, tile};

impl Planner<'_> {
    pub(super) fn mix_weight_gradient(&mut self, sources: &Range<usize>, biases: bool) {
        let (outputs, channels) = (tile(self.geometry.outputs, 4), 4);
        let tiles = count(sources).div_ceil(channels);
        let groups = tiles * self.geometry.outputs.div_ceil(outputs);
        let items = self.lines();
        let chunks = self.chunks(groups, items);
        let page = self.schedule.map_page(sources.start);
        let (page_start, page_channels) = span(&self.schedule.map_pages[page]);
        let params = MixWeightGradientParams {
            geometry: self.geometry,
            source_start: sources.start as u32,
            source_end: sources.end as u32,
            page_start,
            page_channels,
            tiles,
            chunks,
            items,
            column_tiles: self.columns(),
        };
        let slots = [Slot::OutputGradients, Slot::MapPage(page), Slot::Partials];
        let values = [("OUTPUTS", outputs)];
        let work = self.per_pixel(count(sources), self.geometry.outputs);
        let shader = match self.has_halves() {
            true => &shaders::MIX_WEIGHT_GRADIENT_HALF,
            false => &shaders::MIX_WEIGHT_GRADIENT,
        };
        self.push(shader, &values, &params, &slots, [groups, chunks, 1], work);
        let sum = SumPartialsParams {
            count: groups * outputs * channels,
            elements: outputs * channels,
            chunks,
            target_start: self.mix_start(),
            tiles,
            across: channels,
            source_start: sources.start as u32,
            source_end: sources.end as u32,
            row_end: self.geometry.outputs,
            down: outputs,
            row_length: self.geometry.channels,
            ..Default::default()
        };
        self.sum_partials(&shaders::SUM_PARTIALS, &[], &sum, &[Slot::Partials, Slot::ParameterGradients]);
        if biases {
            let page = self.schedule.output_page();
            let geometry = Geometry {
                gradient_plane: self.geometry.output_plane,
                gradient_origin: self.geometry.output_origin,
                ..self.geometry
            };
            let (start, channels) = span(&page);
            let target = self.layout.output_biases().start;
            let of_outputs = (Slot::OutputGradients, start, channels);
            self.sum_planes(of_outputs, geometry, &page.channels, target, false);
        }
    }

    pub(super) fn bias_gradient(&mut self, gradients: &Range<usize>) {
        let page = self.gradient_page(gradients.start);
        let target =
            self.layout.biases().start + gradients.start - self.schedule.architecture.stem_channels();
        self.sum_planes(page, self.geometry, gradients, target, self.has_halves())
    }

    /// Adds up the pixels of each of `channels` of a page, a slot with its first channel and their number, into consecutive
    /// gradients of parameters from `target` on. With `halves` they are gradient maps that are halves, and were multiplied.
    fn sum_planes(
        &mut self,
        (slot, page_start, page_channels): (Slot, u32, u32),
        geometry: Geometry,
        channels: &Range<usize>,
        target: usize,
        halves: bool,
    ) {
        let items = self.lines();
        let chunks = self.chunks(count(channels), items).min(256);
        let params = BiasGradientParams {
            geometry,
            channel_start: channels.start as u32,
            page_start,
            page_channels,
            chunks,
            items,
            column_tiles: self.columns(),
        };
        let workgroups = [count(channels), chunks, 1];
        let work = self.per_pixel(1, count(channels));
        let shader = if halves { &shaders::BIAS_GRADIENT_HALF } else { &shaders::BIAS_GRADIENT };
        self.push(shader, &[], &params, &[slot, Slot::Partials], workgroups, work);
        let sum = SumPartialsParams { chunks, ..single_numbers(count(channels), target as u32) };
        let slots = [Slot::Partials, Slot::ParameterGradients, Slot::Scaling];
        match halves {
            true => self.sum_partials(&shaders::SUM_SCALED_PARTIALS, &[], &sum, &slots),
            false => self.sum_partials(&shaders::SUM_PARTIALS, &[], &sum, &slots[..2]),
        }
    }
}
