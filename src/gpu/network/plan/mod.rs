//! From a schedule's steps to dispatches of kernels, as plain data: which variant, which parameters, which
//! buffers, how many workgroups. Nothing here needs a device.

mod backward;
mod classify;
#[cfg(test)]
mod count_tests;
mod cut;
mod forward;
mod judge;
mod loss;
mod pixel_sums;
mod runs;
mod volume;

use std::ops::Range;

pub(super) use self::classify::ClassesLayout;
pub(super) use self::cut::DispatchLimits;
use self::cut::Placed;
pub(super) use self::judge::JudgedLayout;
use super::params::*;
use super::tiles::Tuning;
use crate::engine::LossKind;
use crate::geometry::Boundary;
use crate::gpu::runtime::kernel::{Kernel, Shader};
use crate::network::{Architecture, ParameterLayout};
use crate::schedule::{Page, Schedule, Step};

/// Threads of a workgroup, in every kernel: columns of one row.
const LANES: u32 = 64;

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
    /// A channel of the images that the stem smooths.
    Smoothed,
    /// Uploaded classes or values.
    Targets,
    /// Uploaded weights of the pixels.
    Weights,
    MapPage(usize),
    /// The sums that are not complete, where feature maps are halves.
    Sums,
    /// By what gradients are multiplied, where they are halves.
    Scaling,
    GradientPage(usize),
    Outputs,
    OutputGradients,
    Partials,
    /// The loss of the present step.
    Loss,
    /// The results of judging, which are read back; see [`JudgedLayout`].
    Judged,
    /// The most likely classes, which are read back; see [`ClassesLayout`].
    Classes,
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
    /// About how many multiply-adds it does.
    pub multiply_adds: u64,
    /// The step of the schedule that it belongs to; the number of steps where it judges what they leave, or takes classes from it.
    pub step: usize,
}

/// Fewer sources or gradients than this are not worth copying their filters into a workgroup's memory first.
const FEWEST_STAGED: u32 = 5;

/// What a pass is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Pass {
    Forward,
    /// A forward pass, and then the most likely classes.
    Classify,
    /// Training with a loss.
    Training(LossKind),
    /// A forward pass whose outputs are judged by a loss of classes, without gradients.
    Judge(LossKind),
}

/// A schedule as dispatches.
#[derive(Debug)]
pub(super) struct Plan {
    /// What its dispatches may be.
    pub limits: DispatchLimits,
    pub schedule: Schedule,
    pub dispatches: Vec<Dispatch>,
    /// Numbers in the buffer of partial sums.
    pub partials: u64,
    /// Where the results lie, for a pass that judges.
    pub judged: Option<JudgedLayout>,
    /// Where the classes lie, for a pass that takes them.
    pub classes: Option<ClassesLayout>,
}

impl Plan {
    /// Bytes of the buffers that belong to its shape: planes, uploads, partial sums, classes and what judging leaves. Those that results
    /// are read back through lie in the machine's memory and are not counted.
    pub fn bytes(&self) -> u64 {
        self.buffers().into_iter().fold(self.schedule.bytes(), |all, (_, bytes)| all.saturating_add(bytes))
    }

    /// The buffers besides those of planes, and their bytes.
    pub fn buffers(&self) -> [(&'static str, u64); 7] {
        let (architecture, shape) = (&self.schedule.architecture, self.schedule.shape);
        let pixels = 4 * shape.batch as u64 * shape.extent.pixels() as u64;
        // Classes or values, and weights.
        let (values, weights) = match (self.schedule.trains(), self.judged) {
            (true, _) => (architecture.outputs, 1),
            (false, Some(_)) => (1, 1),
            (false, None) => (0, 0),
        };
        [
            ("uploaded images", pixels.saturating_mul(architecture.inputs as u64)),
            ("uploaded targets", pixels.saturating_mul(values as u64)),
            ("uploaded weights", pixels.saturating_mul(weights)),
            ("partial sums", 4 * self.partials),
            ("judged outputs", 4 * self.judged_length()),
            ("smoothed images", 4 * smoothed_length(&self.schedule)),
            ("classes", 4 * self.classes.map_or(0, |classes| classes.length())),
        ]
    }

    /// Numbers in the buffer that judging leaves its findings in.
    pub fn judged_length(&self) -> u64 {
        self.judged.map_or(0, |judged| judged.length())
    }

    /// The name of the step that a dispatch belongs to.
    pub fn step_name(&self, dispatch: &Dispatch) -> &'static str {
        let after_all = if self.classes.is_some() { "classify" } else { "judge" };
        self.schedule.steps.get(dispatch.step).map_or(after_all, Step::name)
    }
}

/// The table of hidden channels.
pub(super) fn hidden_channels(architecture: &Architecture) -> Vec<HiddenChannel> {
    let layout = ParameterLayout::of(architecture);
    let channel = |hidden| HiddenChannel {
        dilation: architecture.dilation(hidden) as u32,
        first_filter: layout.first_filter(hidden) as u32,
        sources: architecture.sources(architecture.layer_of(hidden)).end as u32,
        dilation_z: architecture.dilation_z(hidden) as u32,
    };
    (0..architecture.hidden()).map(channel).collect()
}

/// Plans the dispatches of a schedule; `pass` says which loss a training schedule computes, or what is done with the outputs of a
/// forward schedule.
pub(super) fn plan(schedule: Schedule, pass: Pass, tuning: &Tuning, limits: DispatchLimits) -> Plan {
    let mut planner = Planner {
        layout: ParameterLayout::of(&schedule.architecture),
        geometry: geometry(&schedule),
        schedule: &schedule,
        tuning,
        limits,
        pass,
        dispatches: Vec::new(),
        partials: 0,
        judged: None,
        classes: None,
        step: 0,
    };
    let runs = planner.runs();
    for (index, step) in schedule.steps.iter().enumerate() {
        planner.step = index;
        match runs.iter().find(|run| run.steps.contains(&index)) {
            Some(run) if run.steps.start == index => planner.add_run(run),
            Some(_) => {}
            None => planner.add(step),
        }
    }
    planner.step = schedule.steps.len();
    match pass {
        Pass::Judge(kind) => planner.judge(kind),
        Pass::Classify => planner.classify(),
        Pass::Forward | Pass::Training(_) => {}
    }
    let Planner { dispatches, partials, judged, classes, .. } = planner;
    Plan { dispatches, limits, partials, judged, classes, schedule }
}

fn geometry(schedule: &Schedule) -> Geometry {
    let Schedule { map_layout: maps, gradient_layout: gradients, output_layout: outputs, .. } = schedule;
    let architecture = &schedule.architecture;
    Geometry {
        rows: schedule.rows() as u32,
        columns: schedule.shape.extent.x as u32,
        batch: schedule.shape.batch as u32,
        margin: schedule.margin as u32,
        pitch: maps.pitch as u32,
        map_plane: maps.plane as u32,
        map_origin: (maps.guard + maps.origin()) as u32,
        gradient_plane: gradients.plane as u32,
        gradient_origin: (gradients.guard + gradients.origin()) as u32,
        output_plane: outputs.plane as u32,
        output_origin: (outputs.guard + outputs.origin()) as u32,
        boundary: match architecture.boundary {
            Boundary::Zeros => 0,
            Boundary::Reflect => 1,
            Boundary::Symmetric => 2,
        },
        inputs: architecture.stem_channels() as u32,
        outputs: architecture.outputs as u32,
        channels: architecture.channels() as u32,
        first_x: 0,
        first_y: 0,
        first_z: 0,
        slice_rows: schedule.shape.extent.y as u32,
        unused: 0,
    }
}

/// Numbers in the buffer in which the stem smooths a channel of the images, along rows and then along columns.
pub(super) fn smoothed_length(schedule: &Schedule) -> u64 {
    let pixels = (schedule.shape.batch * schedule.shape.extent.pixels()) as u64;
    if schedule.architecture.stem.is_none() { 0 } else { 2 * pixels }
}

struct Planner<'a> {
    schedule: &'a Schedule,
    layout: ParameterLayout,
    geometry: Geometry,
    tuning: &'a Tuning,
    limits: DispatchLimits,
    pass: Pass,
    dispatches: Vec<Dispatch>,
    partials: u64,
    judged: Option<JudgedLayout>,
    classes: Option<ClassesLayout>,
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

/// Lattice rows in groups of `rows`, of an image or slice of `height` rows and a dilation `s`: each lattice has its own groups, however
/// short.
fn lattices(height: u32, rows: u32, s: u32) -> u32 {
    if height <= rows * s { s.min(height) } else { height.div_ceil(rows * s) * s }
}

impl Planner<'_> {
    fn add(&mut self, step: &Step) {
        let volumes = self.schedule.architecture.is_of_volumes();
        match step {
            Step::Load => self.load(),
            Step::Stem => self.stem(),
            Step::Convolve { sources, outputs, first, finishes } if volumes => {
                self.convolve_volume(sources, outputs, *first, finishes)
            }
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
            Step::FilterGradient { gradients, sources } if volumes => {
                self.filter_gradient_volume(gradients, sources)
            }
            Step::FilterGradient { gradients, sources } => self.filter_gradient(gradients, sources),
            Step::BiasGradient { gradients } => self.bias_gradient(gradients),
        }
    }

    /// Adds dispatches for `workgroups`: one, or several where that would be too many along an axis, or where
    /// `multiply_adds` are too many for one.
    fn push(
        &mut self,
        shader: &'static Shader,
        values: &[(&str, u32)],
        params: &impl Placed,
        slots: &[Slot],
        workgroups: [u32; 3],
        multiply_adds: u64,
    ) {
        let pieces = self.limits.cut(workgroups, multiply_adds);
        let each = multiply_adds / pieces.len().max(1) as u64;
        for piece in pieces {
            let params = params.starting_at(piece.first);
            self.push_whole(shader, values, &params, slots, piece.workgroups, each);
        }
    }

    /// Adds one dispatch.
    fn push_whole(
        &mut self,
        shader: &'static Shader,
        values: &[(&str, u32)],
        params: &impl bytemuck::Pod,
        slots: &[Slot],
        workgroups: [u32; 3],
        multiply_adds: u64,
    ) {
        self.dispatches.push(Dispatch {
            kernel: Kernel::new(shader, values),
            params: bytemuck::bytes_of(params).to_vec(),
            slots: slots.to_vec(),
            workgroups,
            multiply_adds,
            step: self.step,
        });
    }

    /// Multiply-adds of `each` for every pixel of the batch.
    fn per_pixel(&self, each: u32, times: u32) -> u64 {
        let Geometry { batch, rows, columns, .. } = self.geometry;
        let pixels = u64::from(batch) * u64::from(rows) * u64::from(columns);
        pixels.saturating_mul(u64::from(each) * u64::from(times))
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

    /// Whether `across` x `down` workgroups for each image are too few to keep the device busy.
    fn too_few(&self, across: u32, down: u32) -> bool {
        let groups = u64::from(across) * u64::from(down) * u64::from(self.geometry.batch);
        groups < u64::from(self.tuning.workgroups / 8)
    }

    /// Where the gradient map of `channel` lies: the buffer, the channel that its first plane would belong to, which wraps below
    /// 0, and its number of planes.
    fn gradient_page(&self, channel: usize) -> (Slot, u32, u32) {
        let page = self.schedule.gradient_page(channel);
        let (start, planes) = span(&self.schedule.pages_of_gradients()[page]);
        match self.schedule.gradient_shift {
            Some(shift) => (Slot::MapPage(page), start.wrapping_sub(shift as u32), planes),
            None => (Slot::GradientPage(page), start, planes),
        }
    }

    /// Whether feature maps and gradient maps are halves.
    fn has_halves(&self) -> bool {
        self.schedule.sums.is_some()
    }

    /// Where feature maps are halves, of how many channels sums that are not complete are kept apart; else how many planes further
    /// than the maps that they become they lie.
    fn planes_of_sums(&self) -> u32 {
        self.schedule.sums.as_ref().map_or(self.schedule.sum_shift as u32, |page| count(&page.channels))
    }

    /// The same for gradient maps, before which they lie.
    fn planes_of_gradient_sums(&self) -> u32 {
        let shift = self.schedule.gradient_sum_shift as u32;
        self.schedule.sums.as_ref().map_or(shift, |page| count(&page.channels))
    }

    fn mix_start(&self) -> u32 {
        self.layout.mix(0).start as u32
    }

    fn sum_partials(
        &mut self,
        shader: &'static Shader,
        values: &[(&str, u32)],
        params: &SumPartialsParams,
        slots: &[Slot],
    ) {
        self.partials = self.partials.max(u64::from(params.count) * u64::from(params.chunks));
        let groups = params.count.div_ceil(LANES);
        let across = groups.min(self.limits.workgroups);
        self.push_whole(shader, values, params, slots, [across, groups.div_ceil(across), 1], 0);
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

#[cfg(test)]
mod tests;
