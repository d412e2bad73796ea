//! The dispatches of a forward pass.

use std::ops::Range;

use super::super::params::*;
use super::super::shaders;
use super::{FEWEST_STAGED, LANES, Planner, Slot, count, lattices, span, tile};
use crate::network::{Architecture, DilationMode, RESPONSES};

/// Outputs a thread in convolve, as the registry has them.
const OUTPUT_TILES: [u32; 4] = [1, 2, 3, 5];

/// The outputs of a step in groups of one dilation, as `ConvolveParams` numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OutputGroups {
    /// Outputs in a group.
    outputs: u32,
    count: u32,
    span: u32,
    stride: u32,
}

impl OutputGroups {
    /// Groups of at most `most` of `outputs`, whose dilations are given.
    fn of(architecture: &Architecture, outputs: &Range<usize>, dilations: &[u32], most: u32) -> Self {
        let number = count(outputs);
        // Dilations come again after so many channels.
        let period = architecture.dilations.len() as u32;
        let by_layer = architecture.dilation_mode == DilationMode::Layer;
        let width = architecture.width as u32;
        let period = if by_layer { period.saturating_mul(width) } else { period };
        let apart = |size: u32| {
            let span = period.min(number).max(1);
            let in_turn = number.div_ceil(period);
            Self { outputs: size, count: span * in_turn.div_ceil(size), span, stride: period }
        };
        let beside = |size: u32| Self { outputs: size, count: number.div_ceil(size), span: 1, stride: 1 };
        let sizes = OUTPUT_TILES.into_iter().filter(|&size| size <= most);
        let all = sizes.flat_map(|size| [apart(size), beside(size)]);
        let fits = |groups: &Self| {
            (0..groups.count).all(|group| {
                let first = group % groups.span + group / groups.span * groups.outputs * groups.stride;
                let members = (0..groups.outputs).map(|o| first + o * groups.stride).filter(|&o| o < number);
                let mut members = members.map(|output| dilations[output as usize]);
                members.next().is_none_or(|first| members.all(|other| other == first))
            })
        };
        // A thread loads each pixel once, and multiplies it for every output of its group, those beyond the end too.
        const LOAD: u32 = 2;
        let cost = |groups: &Self| groups.count.saturating_mul(groups.outputs + LOAD);
        all.filter(fits).min_by_key(cost).unwrap_or(beside(1))
    }
}

impl Planner<'_> {
    pub(super) fn load(&mut self) {
        let inputs = self.schedule.architecture.inputs;
        for (index, page) in self.schedule.map_pages.iter().enumerate() {
            let channels = page.channels.start..page.channels.end.min(inputs);
            if channels.is_empty() {
                continue;
            }
            let (page_start, page_channels) = span(page);
            let params = LoadParams {
                geometry: self.geometry,
                channel_start: channels.start as u32,
                channel_count: count(&channels),
                page_start,
                page_channels,
                image_channels: inputs as u32,
                ..Default::default()
            };
            let across = (self.geometry.columns + 2 * self.geometry.margin).div_ceil(LANES);
            let rows = self.geometry.rows + 2 * self.geometry.margin;
            let workgroups = [across, rows, self.geometry.batch * count(&channels)];
            let shader = if self.has_halves() { &shaders::LOAD_HALF } else { &shaders::LOAD };
            self.push(shader, &[], &params, &[Slot::Images, Slot::MapPage(index)], workgroups, 0);
        }
    }

    pub(super) fn stem(&mut self) {
        let architecture = &self.schedule.architecture;
        let mut changes = self.layout.stem().step_by(2 * RESPONSES);
        for input in 0..architecture.inputs {
            let first = architecture.responses(input).step_by(RESPONSES);
            for ((scale, first), change_start) in architecture.stem.scales.iter().zip(first).zip(&mut changes)
            {
                let params = StemParams {
                    geometry: self.geometry,
                    input: input as u32,
                    image_channels: architecture.inputs as u32,
                    radius: scale.radius() as u32,
                    scale: scale.pixels() as f32,
                    // The weight at the centre is the inverse of the sum.
                    inverse_sum: scale.weights()[0] as f32,
                    first_response: first as u32,
                    change_start: change_start as u32,
                    ..Default::default()
                };
                let Geometry { rows, batch, columns, margin, .. } = self.geometry;
                let pixels = [self.columns(), rows, batch];
                let work = self.per_pixel(2 * params.radius + 1, 1);
                let slots = [Slot::Images, Slot::Smoothed];
                self.push(&shaders::STEM_ROWS, &[], &params, &slots, pixels, work);
                self.push(&shaders::STEM_COLUMNS, &[], &params, &slots[1..], pixels, work);
                for (index, page) in self.schedule.map_pages.iter().enumerate() {
                    let channels = page.channels.start.max(first)..page.channels.end.min(first + RESPONSES);
                    if channels.is_empty() {
                        continue;
                    }
                    let (page_start, page_channels) = span(page);
                    let params = StemParams {
                        channel_start: channels.start as u32,
                        channel_count: count(&channels),
                        page_start,
                        page_channels,
                        ..params
                    };
                    let slots = [Slot::Parameters, Slot::Smoothed, Slot::MapPage(index)];
                    let across = (columns + 2 * margin).div_ceil(LANES);
                    let elements = [across, rows + 2 * margin, batch * count(&channels)];
                    let shader = match self.has_halves() {
                        true => &shaders::STEM_RESPONSES_HALF,
                        false => &shaders::STEM_RESPONSES,
                    };
                    self.push(shader, &[], &params, &slots, elements, 0);
                }
            }
        }
    }

    pub(super) fn convolve(
        &mut self,
        sources: &Range<usize>,
        outputs: &Range<usize>,
        first: bool,
        finishes: &Range<usize>,
    ) {
        let architecture = &self.schedule.architecture;
        let dilations =
            outputs.clone().map(|o| architecture.dilation(o - architecture.stem_channels()) as u32);
        let dilations: Vec<u32> = dilations.collect();
        let most = dilations.iter().copied().max().unwrap_or(1);
        // Copying the filters of a few sources first takes longer than it saves.
        let staged = if count(sources) < FEWEST_STAGED { 0 } else { self.tuning.staged };
        let most_outputs = if staged == 1 { self.tuning.convolve_outputs } else { 1 };
        let groups = OutputGroups::of(architecture, outputs, &dilations, most_outputs);
        let lanes = if staged == 1 { self.tuning.convolve_lanes } else { LANES };
        let across = self.geometry.columns.div_ceil(lanes).saturating_mul(groups.count);
        let image_rows = self.geometry.rows;
        // The number of groups does not grow steadily with the dilation, so it is computed for each.
        let down = |rows: u32| dilations.iter().map(|&s| lattices(image_rows, rows, s)).max().unwrap_or(1);
        let lattice = image_rows.div_ceil(most);
        let most_rows = if staged == 1 && groups.outputs <= 2 { 16 } else { 8 };
        let mut rows = tile(lattice, self.tuning.convolve_rows.min(most_rows));
        while rows > 1 && self.too_few(across, down(rows)) {
            rows /= 2;
        }
        let (from, into) = (self.schedule.map_page(sources.start), self.schedule.map_page(outputs.start));
        let (source_page_start, source_page_channels) = span(&self.schedule.map_pages[from]);
        let (output_page_start, output_page_channels) = span(&self.schedule.map_pages[into]);
        let params = ConvolveParams {
            geometry: self.geometry,
            source_start: sources.start as u32,
            source_end: sources.end as u32,
            source_page_start,
            source_page_channels,
            output_start: outputs.start as u32,
            output_end: outputs.end as u32,
            output_page_start,
            output_page_channels,
            finish_start: finishes.start as u32,
            finish_end: finishes.end as u32,
            first: first.into(),
            bias_start: self.layout.biases().start as u32,
            groups: groups.count,
            span: groups.span,
            stride: groups.stride,
            sum_planes: self.planes_of_sums(),
        };
        let slots = self.convolve_slots(from, into);
        let shader = match (self.has_halves(), from == into) {
            (false, false) => &shaders::CONVOLVE,
            (false, true) => &shaders::CONVOLVE_WITHIN,
            (true, false) => &shaders::CONVOLVE_HALF,
            (true, true) => &shaders::CONVOLVE_HALF_WITHIN,
        };
        let workgroups = [across, down(rows), self.geometry.batch];
        let work = self.per_pixel(9 * count(sources), count(outputs));
        let values = [("ROWS", rows), ("OUTPUTS", groups.outputs), ("STAGED", staged), ("LANES", lanes)];
        self.push(shader, &values, &params, &slots, workgroups, work);
    }

    /// What convolutions bind that read the page `from` and add to channels of the page `into`.
    pub(super) fn convolve_slots(&self, from: usize, into: usize) -> Vec<Slot> {
        let mut slots = vec![Slot::Parameters, Slot::Hidden, Slot::MapPage(into)];
        slots.extend(self.has_halves().then_some(Slot::Sums));
        slots.extend((from != into).then_some(Slot::MapPage(from)));
        slots
    }

    pub(super) fn mix(&mut self, sources: &Range<usize>, first: bool) {
        let outputs = tile(self.geometry.outputs, 4);
        let tiles = self.geometry.outputs.div_ceil(outputs);
        let page = self.schedule.map_page(sources.start);
        let (page_start, page_channels) = span(&self.schedule.map_pages[page]);
        let params = MixParams {
            geometry: self.geometry,
            source_start: sources.start as u32,
            source_end: sources.end as u32,
            page_start,
            page_channels,
            first: first.into(),
            mix_start: self.mix_start(),
            bias_start: self.layout.output_biases().start as u32,
            tiles,
        };
        let slots = [Slot::Parameters, Slot::MapPage(page), Slot::Outputs];
        let workgroups = [self.columns(), self.geometry.rows, self.geometry.batch * tiles];
        let work = self.per_pixel(count(sources), self.geometry.outputs);
        let shader = if self.has_halves() { &shaders::MIX_HALF } else { &shaders::MIX };
        self.push(shader, &[("OUTPUTS", outputs)], &params, &slots, workgroups, work);
    }
}
