//! From a schedule's steps to dispatches of kernels, as plain data: which variant, which parameters, which
//! buffers, how many workgroups. Nothing here needs a device.

use std::ops::Range;

use super::params::*;
use super::shaders::{self, Kernel, Shader};
use crate::network::{Architecture, Boundary, ParameterLayout};
use crate::schedule::{Page, Schedule, Step};
use crate::{Error, Result};

/// Threads of a workgroup, in every kernel: columns of one row.
const LANES: u32 = 64;
/// Rows of a lattice that one work item of filter_gradient walks down.
const SEGMENT: u32 = 16;

/// A buffer by what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Slot {
    /// The scale of the present call.
    Call,
    Parameters,
    ParameterGradients,
    /// The table of hidden channels.
    Hidden,
    /// Uploaded images.
    Images,
    /// Uploaded classes or values.
    Targets,
    MapPage(usize),
    GradientPage(usize),
    Outputs,
    OutputGradients,
    Partials,
    /// The loss of the present step.
    Loss,
}

/// One dispatch.
#[derive(Debug, Clone)]
pub(super) struct Dispatch {
    pub kernel: Kernel,
    /// The bytes of binding 0.
    pub params: Vec<u8>,
    /// Bindings 1, 2, ...
    pub slots: Vec<Slot>,
    pub workgroups: [u32; 3],
    /// The step of the schedule that it belongs to.
    pub step: usize,
}

/// What a pass is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Pass {
    Forward,
    /// Training against classes.
    Classes,
    /// Training against values.
    Values,
}

/// The sizes of tiles that suit a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tuning {
    /// Layers in a block.
    pub block: usize,
    /// Most pixels a thread in convolve and in input_gradient.
    pub convolve_rows: u32,
    pub gradient_rows: u32,
    /// Most channels a thread in input_gradient and filter_gradient.
    pub gradient_channels: u32,
    pub filter_channels: u32,
    /// Workgroups that keep the device busy: tiles are made smaller, and pixels shared by more workgroups, until there
    /// are as many.
    pub workgroups: u32,
    /// Most workgroups on one axis.
    pub most_workgroups: u32,
}

/// A schedule as dispatches.
#[derive(Debug)]
pub(super) struct Plan {
    pub schedule: Schedule,
    pub dispatches: Vec<Dispatch>,
    /// Numbers in the buffer of partial sums.
    pub partials: u64,
}

/// The table of hidden channels.
pub(super) fn hidden_channels(architecture: &Architecture) -> Vec<HiddenChannel> {
    let layout = ParameterLayout::of(architecture);
    let channel = |hidden| HiddenChannel {
        dilation: architecture.dilation(hidden) as u32,
        first_filter: layout.first_filter(hidden) as u32,
        sources: architecture.sources(architecture.layer_of(hidden)).end as u32,
        unused: 0,
    };
    (0..architecture.hidden()).map(channel).collect()
}

/// Plans the dispatches of a schedule; `pass` says which loss a training schedule computes.
///
/// # Errors
/// When a dispatch would need more workgroups than the device allows.
pub(super) fn plan(schedule: Schedule, pass: Pass, tuning: &Tuning) -> Result<Plan> {
    let mut planner = Planner {
        layout: ParameterLayout::of(&schedule.architecture),
        geometry: geometry(&schedule),
        schedule: &schedule,
        tuning,
        pass,
        dispatches: Vec::new(),
        partials: 0,
        step: 0,
    };
    for (index, step) in schedule.steps.iter().enumerate() {
        planner.step = index;
        planner.add(step)?;
    }
    let (dispatches, partials) = (planner.dispatches, planner.partials);
    Ok(Plan { dispatches, partials, schedule })
}

fn geometry(schedule: &Schedule) -> Geometry {
    let (maps, gradients) = (&schedule.map_form, &schedule.gradient_form);
    let architecture = &schedule.architecture;
    Geometry {
        rows: schedule.shape.extent.y as u32,
        columns: schedule.shape.extent.x as u32,
        batch: schedule.shape.batch as u32,
        margin: schedule.margin as u32,
        pitch: maps.pitch as u32,
        map_plane: maps.plane() as u32,
        map_origin: (maps.guard + maps.origin()) as u32,
        gradient_plane: gradients.plane() as u32,
        gradient_origin: (gradients.guard + gradients.origin()) as u32,
        boundary: match architecture.boundary {
            Boundary::Zeros => 0,
            Boundary::Reflect => 1,
            Boundary::Symmetric => 2,
        },
        inputs: architecture.inputs as u32,
        width: architecture.width as u32,
        outputs: architecture.outputs as u32,
        channels: architecture.channels() as u32,
        unused_0: 0,
        unused_1: 0,
    }
}

struct Planner<'a> {
    schedule: &'a Schedule,
    layout: ParameterLayout,
    geometry: Geometry,
    tuning: &'a Tuning,
    pass: Pass,
    dispatches: Vec<Dispatch>,
    partials: u64,
    step: usize,
}

/// The first channel of a page and their number.
fn span(page: &Page) -> (u32, u32) {
    (page.channels.start as u32, page.channels.len() as u32)
}

fn count(range: &Range<usize>) -> u32 {
    range.len() as u32
}

/// The smallest of the tile sizes 1, 2, 4, ... that covers `number`, or `most`.
fn tile(number: u32, most: u32) -> u32 {
    number.next_power_of_two().min(most)
}

impl Planner<'_> {
    fn add(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Load => self.load(),
            Step::Convolve { sources, outputs, first, finishes } => {
                self.convolve(sources, outputs, *first, finishes)
            }
            Step::Mix { sources, first } => self.mix(sources, *first),
            Step::Loss => self.loss(),
            Step::MixWeightGradient { sources, biases } => self.mix_weight_gradient(sources, *biases),
            Step::MixInputGradient { channels, finishes } => {
                self.each_map_page(channels, finishes, |planner, channels, page| {
                    planner.mix_input_gradient(channels, finishes, page)
                })
            }
            Step::InputGradient { gradients, channels, finishes } => {
                self.each_map_page(channels, finishes, |planner, channels, page| {
                    planner.input_gradient(gradients, channels, finishes, page)
                })
            }
            Step::FilterGradient { gradients, sources } => self.filter_gradient(gradients, sources),
            Step::BiasGradient { gradients } => self.bias_gradient(gradients),
        }
    }

    fn push(
        &mut self,
        shader: &'static Shader,
        values: &[(&str, u32)],
        params: &impl bytemuck::Pod,
        slots: &[Slot],
        workgroups: [u32; 3],
    ) -> Result<()> {
        let most = self.tuning.most_workgroups;
        if workgroups.iter().any(|&n| n > most) {
            let extent = self.schedule.shape.extent;
            let found = format!("{}x{} in batches of {}", extent.y, extent.x, self.schedule.shape.batch);
            let wanted = format!(
                "{} would need {workgroups:?} workgroups and this device runs {most} on an axis; use --tile, --crop or a smaller --batch",
                shader.name
            );
            return Err(Error::setting("the image size", found, wanted));
        }
        self.dispatches.push(Dispatch {
            kernel: Kernel::new(shader, values),
            params: bytemuck::bytes_of(params).to_vec(),
            slots: slots.to_vec(),
            workgroups,
            step: self.step,
        });
        Ok(())
    }

    fn columns(&self) -> u32 {
        self.geometry.columns.div_ceil(LANES)
    }

    /// Rows of 64 columns in the batch.
    fn lines(&self) -> u32 {
        self.geometry.batch * self.geometry.rows * self.columns()
    }

    /// Over how many workgroups to share `items` work items, when `others` others do the same.
    fn chunks(&self, others: u32, items: u32) -> u32 {
        self.tuning.workgroups.div_ceil(others).min(items).clamp(1, 1024)
    }

    fn mix_start(&self) -> u32 {
        self.layout.mix(0).start as u32
    }

    fn load(&mut self) -> Result<()> {
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
            };
            let across = (self.geometry.columns + 2 * self.geometry.margin).div_ceil(LANES);
            let rows = self.geometry.rows + 2 * self.geometry.margin;
            let workgroups = [across, rows, self.geometry.batch * count(&channels)];
            self.push(&shaders::LOAD, &[], &params, &[Slot::Images, Slot::MapPage(index)], workgroups)?;
        }
        Ok(())
    }

    fn convolve(
        &mut self,
        sources: &Range<usize>,
        outputs: &Range<usize>,
        first: bool,
        finishes: &Range<usize>,
    ) -> Result<()> {
        let architecture = &self.schedule.architecture;
        let dilations = outputs.clone().map(|o| architecture.dilation(o - architecture.inputs) as u32);
        let dilations: Vec<u32> = dilations.collect();
        let most = dilations.iter().copied().max().unwrap_or(1);
        let (image_rows, across) = (self.geometry.rows, self.columns() * count(outputs));
        // Lattice rows in groups of `rows`: each lattice has its own, however short.
        // The number of groups does not grow steadily with the dilation, so each is asked.
        let groups = |rows: u32, s: u32| {
            if image_rows <= rows * s { s.min(image_rows) } else { image_rows.div_ceil(rows * s) * s }
        };
        let down = |rows: u32| dilations.iter().map(|&s| groups(rows, s)).max().unwrap_or(1);
        let lattice = image_rows.div_ceil(most);
        let mut rows = tile(lattice, self.tuning.convolve_rows);
        while rows > 1 && across * down(rows) * self.geometry.batch < self.tuning.workgroups / 8 {
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
            output_count: count(outputs),
            output_page_start,
            output_page_channels,
            finish_start: finishes.start as u32,
            finish_end: finishes.end as u32,
            first: first.into(),
            bias_start: self.layout.biases().start as u32,
        };
        let slots = [Slot::Parameters, Slot::Hidden, Slot::MapPage(from), Slot::MapPage(into)];
        let workgroups = [across, down(rows), self.geometry.batch];
        self.push(&shaders::CONVOLVE, &[("ROWS", rows)], &params, &slots, workgroups)
    }

    fn mix(&mut self, sources: &Range<usize>, first: bool) -> Result<()> {
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
        self.push(&shaders::MIX, &[("OUTPUTS", outputs)], &params, &slots, workgroups)
    }

    fn loss(&mut self) -> Result<()> {
        let shader = match self.pass {
            Pass::Values => &shaders::SQUARED_ERROR,
            _ => &shaders::SOFTMAX_CROSS_ENTROPY,
        };
        let items = self.lines();
        // One thread adds up the partial losses, so there are not too many.
        let chunks = self.chunks(1, items).min(256);
        let params =
            LossParams { geometry: self.geometry, chunks, items, column_tiles: self.columns(), unused: 0 };
        let slots = [Slot::Call, Slot::Outputs, Slot::Targets, Slot::OutputGradients, Slot::Partials];
        self.push(shader, &[], &params, &slots, [chunks, 1, 1])?;
        let sum = SumPartialsParams { chunks, ..single_numbers(1, 0) };
        self.sum_partials(&shaders::SUM_PARTIALS, &sum, &[Slot::Partials, Slot::Loss])
    }

    fn sum_partials(
        &mut self,
        shader: &'static Shader,
        params: &SumPartialsParams,
        slots: &[Slot],
    ) -> Result<()> {
        self.partials = self.partials.max(u64::from(params.count) * u64::from(params.chunks));
        let groups = params.count.div_ceil(LANES);
        let across = groups.min(self.tuning.most_workgroups);
        self.push(shader, &[], params, slots, [across, groups.div_ceil(across), 1])
    }

    /// Cuts `channels` where the maps of `finishes`, whose signs are the ReLU's mask, lie in another page.
    fn each_map_page(
        &mut self,
        channels: &Range<usize>,
        finishes: &Range<usize>,
        mut add: impl FnMut(&mut Self, &Range<usize>, usize) -> Result<()>,
    ) -> Result<()> {
        let mut start = channels.start;
        let schedule = self.schedule;
        let cuts = schedule.map_pages.iter().map(|page| page.channels.start);
        let cuts = cuts.filter(|cut| finishes.start < *cut && *cut < finishes.end);
        for end in cuts.chain([channels.end]) {
            let page = schedule.map_page(end - 1);
            add(self, &(start..end), page)?;
            start = end;
        }
        Ok(())
    }

    fn mix_input_gradient(
        &mut self,
        channels: &Range<usize>,
        finishes: &Range<usize>,
        map_page: usize,
    ) -> Result<()> {
        let size = tile(count(channels), 4);
        let tiles = count(channels).div_ceil(size);
        let page = self.schedule.gradient_page(channels.start);
        let (page_start, page_channels) = span(&self.schedule.gradient_pages[page]);
        let (map_page_start, map_page_channels) = span(&self.schedule.map_pages[map_page]);
        let params = MixInputGradientParams {
            geometry: self.geometry,
            channel_start: channels.start as u32,
            channel_end: channels.end as u32,
            finish_start: finishes.start as u32,
            finish_end: finishes.end as u32,
            page_start,
            page_channels,
            map_page_start,
            map_page_channels,
            mix_start: self.mix_start(),
            tiles,
        };
        let slots =
            [Slot::Parameters, Slot::OutputGradients, Slot::GradientPage(page), Slot::MapPage(map_page)];
        let workgroups = [self.columns(), self.geometry.rows, self.geometry.batch * tiles];
        self.push(&shaders::MIX_INPUT_GRADIENT, &[("CHANNELS", size)], &params, &slots, workgroups)
    }

    fn input_gradient(
        &mut self,
        gradients: &Range<usize>,
        channels: &Range<usize>,
        finishes: &Range<usize>,
        map_page: usize,
    ) -> Result<()> {
        let architecture = &self.schedule.architecture;
        let reach = gradients.clone().map(|g| architecture.dilation(g - architecture.inputs)).max();
        let mut size = tile(count(channels), self.tuning.gradient_channels);
        let mut rows = tile(self.geometry.rows, self.tuning.gradient_rows);
        let across = |size: u32| self.columns() * count(channels).div_ceil(size);
        let groups =
            |size: u32, rows: u32| across(size) * self.geometry.rows.div_ceil(rows) * self.geometry.batch;
        while rows > 1 && groups(size, rows) < self.tuning.workgroups / 8 {
            rows /= 2;
        }
        while size > 1 && groups(size, rows) < self.tuning.workgroups / 8 {
            size /= 2;
        }
        let from = self.schedule.gradient_page(gradients.start);
        let into = self.schedule.gradient_page(channels.start);
        let (gradient_page_start, gradient_page_channels) = span(&self.schedule.gradient_pages[from]);
        let (channel_page_start, channel_page_channels) = span(&self.schedule.gradient_pages[into]);
        let (map_page_start, map_page_channels) = span(&self.schedule.map_pages[map_page]);
        let params = InputGradientParams {
            geometry: self.geometry,
            gradient_start: gradients.start as u32,
            gradient_end: gradients.end as u32,
            gradient_page_start,
            gradient_page_channels,
            channel_start: channels.start as u32,
            channel_end: channels.end as u32,
            channel_page_start,
            channel_page_channels,
            finish_start: finishes.start as u32,
            finish_end: finishes.end as u32,
            map_page_start,
            map_page_channels,
            tiles: count(channels).div_ceil(size),
            reach: reach.unwrap_or(0) as u32,
        };
        let slots = [
            Slot::Parameters,
            Slot::Hidden,
            Slot::GradientPage(from),
            Slot::GradientPage(into),
            Slot::MapPage(map_page),
        ];
        let workgroups = [across(size), self.geometry.rows.div_ceil(rows), self.geometry.batch];
        let values = [("ROWS", rows), ("CHANNELS", size)];
        self.push(&shaders::INPUT_GRADIENT, &values, &params, &slots, workgroups)
    }

    fn filter_gradient(&mut self, gradients: &Range<usize>, sources: &Range<usize>) -> Result<()> {
        let architecture = &self.schedule.architecture;
        let size = tile(count(sources), self.tuning.filter_channels);
        let tiles = count(sources).div_ceil(size);
        let pairs = tiles * count(gradients);
        // The most work items of any of the gradients, counted as the kernel does.
        let items = gradients.clone().map(|g| {
            let s = architecture.dilation(g - architecture.inputs) as u32;
            let segments = ((self.geometry.rows - 1) / s + 3).div_ceil(SEGMENT);
            self.geometry.batch * self.columns() * segments * s.min(self.geometry.rows)
        });
        let chunks = self.chunks(pairs, items.max().unwrap_or(1));
        let (from, map) =
            (self.schedule.gradient_page(gradients.start), self.schedule.map_page(sources.start));
        let (gradient_page_start, gradient_page_channels) = span(&self.schedule.gradient_pages[from]);
        let (source_page_start, source_page_channels) = span(&self.schedule.map_pages[map]);
        let params = FilterGradientParams {
            geometry: self.geometry,
            gradient_start: gradients.start as u32,
            gradient_page_start,
            gradient_page_channels,
            source_start: sources.start as u32,
            source_end: sources.end as u32,
            source_page_start,
            source_page_channels,
            tiles,
            chunks,
            segment: SEGMENT,
            column_tiles: self.columns(),
        };
        let slots = [Slot::Hidden, Slot::GradientPage(from), Slot::MapPage(map), Slot::Partials];
        self.push(&shaders::FILTER_GRADIENT, &[("CHANNELS", size)], &params, &slots, [pairs, chunks, 1])?;
        let sum = SumPartialsParams {
            count: pairs * 9 * size,
            elements: 9 * size,
            chunks,
            tiles,
            across: size,
            source_start: sources.start as u32,
            source_end: sources.end as u32,
            row_start: gradients.start as u32,
            inputs: self.geometry.inputs,
            ..Default::default()
        };
        let slots = [Slot::Partials, Slot::ParameterGradients, Slot::Hidden];
        self.sum_partials(&shaders::SUM_FILTER_PARTIALS, &sum, &slots)
    }

    fn mix_weight_gradient(&mut self, sources: &Range<usize>, biases: bool) -> Result<()> {
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
        self.push(&shaders::MIX_WEIGHT_GRADIENT, &values, &params, &slots, [groups, chunks, 1])?;
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
        self.sum_partials(&shaders::SUM_PARTIALS, &sum, &[Slot::Partials, Slot::ParameterGradients])?;
        if biases {
            let page = self.schedule.output_page();
            self.sum_planes(Slot::OutputGradients, &page, &page.channels, self.layout.output_biases().start)?;
        }
        Ok(())
    }

    fn bias_gradient(&mut self, gradients: &Range<usize>) -> Result<()> {
        let page = self.schedule.gradient_page(gradients.start);
        let target = self.layout.biases().start + gradients.start - self.schedule.architecture.inputs;
        let pages = &self.schedule.gradient_pages;
        self.sum_planes(Slot::GradientPage(page), &pages[page], gradients, target)
    }

    /// Adds up the pixels of each of `channels` into consecutive gradients of parameters from `target` on.
    fn sum_planes(&mut self, slot: Slot, page: &Page, channels: &Range<usize>, target: usize) -> Result<()> {
        let items = self.lines();
        let chunks = self.chunks(count(channels), items).min(256);
        let (page_start, page_channels) = span(page);
        let params = BiasGradientParams {
            geometry: self.geometry,
            channel_start: channels.start as u32,
            page_start,
            page_channels,
            chunks,
            items,
            column_tiles: self.columns(),
        };
        let workgroups = [count(channels), chunks, 1];
        self.push(&shaders::BIAS_GRADIENT, &[], &params, &[slot, Slot::Partials], workgroups)?;
        let sum = SumPartialsParams { chunks, ..single_numbers(count(channels), target as u32) };
        self.sum_partials(&shaders::SUM_PARTIALS, &sum, &[Slot::Partials, Slot::ParameterGradients])
    }
}

/// Sums of one number a group, which go to consecutive places from `target` on.
fn single_numbers(groups: u32, target: u32) -> SumPartialsParams {
    SumPartialsParams {
        count: groups,
        elements: 1,
        target_start: target,
        tiles: 1,
        across: 1,
        source_end: 1,
        row_end: groups,
        down: 1,
        row_length: 1,
        ..Default::default()
    }
}
