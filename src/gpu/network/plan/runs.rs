//! Which layers inside a block are computed in one dispatch, and on squares of which size.
//!
//! A block is halved again and again (see [`crate::schedule`]), so the layers of each part of it have their steps one after the other. A *run*
//! is such a part whose steps become one dispatch.

use std::ops::Range;

use super::super::params::*;
use super::super::shaders::{self, LAYERS_NUMBERS};
use super::cut::Placed;
use super::{Planner, Slot, span};
use crate::gpu::runtime::kernel::Shader;
use crate::schedule::{Schedule, Step};

/// Fewer layers are not worth it: two have one step.
const FEWEST_LAYERS: usize = 3;
/// Sides of squares in pixels, the largest first: the larger a square, the less is computed again around it.
const SIDES: [u64; 3] = [32, 16, 8];
/// So many times the multiply-adds of the layers by themselves are the most that is worth it.
const MOST_WORK: u64 = 8;
/// A workgroup has four times as many threads as most have. Of the workgroups that keep a device busy, one in so many is enough here.
const FEWER_WORKGROUPS: u32 = 32;

/// Consecutive layers that are computed at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    /// The steps whose place the dispatch takes.
    pub steps: Range<usize>,
    /// The channels of the layers. Those of the first layer are complete before, or on the way back, those of the last.
    pub channels: Range<usize>,
    pub squares: Squares,
}

/// The squares that a run is computed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Squares {
    /// Pixels along a side.
    side: u32,
    /// How far around its square a workgroup computes the layer that comes first, in pixels.
    reach: u32,
    /// Numbers that it keeps in its memory.
    numbers: u32,
    /// Multiply-adds for one square.
    multiply_adds: u64,
}

/// What bounds a run.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    layers: usize,
    /// Numbers in a workgroup's memory.
    numbers: u64,
    /// Workgroups that keep the device busy.
    workgroups: u64,
}

impl Squares {
    /// The best squares for layers of `width` channels; `None` where none are worth it. From the layer that is computed last, which is
    /// computed on the square alone, each one before reaches further by the next of `growth`. `squares` says how many there would be of a
    /// side.
    fn of(
        growth: impl Iterator<Item = u64>,
        width: u64,
        bounds: Bounds,
        squares: impl Fn(u64) -> u64,
    ) -> Option<Self> {
        let mut reaches = vec![0_u64];
        for more in growth {
            reaches.push(reaches.last()?.checked_add(more)?);
        }
        let reach = *reaches.last()?;
        // Beyond that nothing fits any workgroup.
        if reach > u64::from(u16::MAX) {
            return None;
        }
        let of_side = |side: u64| {
            let areas: Vec<u64> = reaches.iter().rev().map(|reach| (side + 2 * reach).pow(2)).collect();
            // The one that is computed last is not kept.
            let numbers = width * areas.iter().rev().skip(1).sum::<u64>();
            // Each layer reads all those before it, and the one that was complete.
            let work = |area: &dyn Fn(usize) -> u64| {
                (0..areas.len())
                    .map(|layer| 9 * width * width * (layer as u64 + 1) * area(layer))
                    .sum::<u64>()
            };
            let multiply_adds = work(&|layer| areas[layer]);
            let fits = numbers <= bounds.numbers && multiply_adds <= MOST_WORK * work(&|_| side * side);
            fits.then_some(Self {
                side: side as u32,
                reach: reach as u32,
                numbers: numbers as u32,
                multiply_adds,
            })
        };
        let fitting: Vec<Self> = SIDES.into_iter().filter_map(of_side).collect();
        let enough = fitting.iter().find(|found| squares(u64::from(found.side)) >= bounds.workgroups);
        enough.or(fitting.last()).copied()
    }
}

/// The earlier layers and the later ones that a step connects.
fn halves(step: &Step) -> Option<[&Range<usize>; 2]> {
    match step {
        Step::Convolve { sources, outputs, .. } => Some([sources, outputs]),
        Step::InputGradient { gradients, channels, .. } => Some([channels, gradients]),
        _ => None,
    }
}

/// The steps of `schedule` by which the layers of each block are connected to each other, forward or backward, with the block's channels.
fn inside_blocks(schedule: &Schedule, backward: bool) -> Vec<(Range<usize>, Range<usize>)> {
    let mut found = Vec::new();
    for (index, step) in schedule.steps.iter().enumerate() {
        let block = match step {
            Step::Convolve { outputs, first: true, .. } if !backward => outputs,
            Step::MixInputGradient { channels, .. } if backward => channels,
            _ => continue,
        };
        // On the way back, the gradients of later blocks may come first.
        let inside = |step: &Step| {
            halves(step).is_some_and(|[from, to]| block.start <= from.start && to.end <= block.end)
        };
        let rest = &schedule.steps[index + 1..];
        let before = rest.iter().take_while(|step| halves(step).is_some() && !inside(step)).count();
        let number = rest[before..].iter().take_while(|step| inside(step)).count();
        let start = index + 1 + before;
        found.push((start..start + number, block.clone()));
    }
    found
}

/// The runs of the forward pass or the way back of `schedule`.
fn runs(schedule: &Schedule, backward: bool, bounds: Bounds) -> Vec<Run> {
    let mut runs = Vec::new();
    for (steps, block) in inside_blocks(schedule, backward) {
        add_runs(schedule, steps, &block, bounds, &mut runs);
    }
    runs
}

/// Adds the runs among `steps`, which connect all of `channels` to each other: all of them, or those of both halves.
fn add_runs(
    schedule: &Schedule,
    steps: Range<usize>,
    channels: &Range<usize>,
    bounds: Bounds,
    runs: &mut Vec<Run>,
) {
    let layers = channels.len() / schedule.architecture.width;
    if layers < FEWEST_LAYERS {
        return;
    }
    // The step between both halves: those of the half that is complete first come before it.
    let middle = steps.clone().find_map(|step| {
        let both = halves(&schedule.steps[step]);
        let both = both.filter(|[from, to]| from.start == channels.start && to.end == channels.end);
        Some((step, both?))
    });
    let Some((middle, [from, to])) = middle else { return };
    let backward = matches!(schedule.steps[middle], Step::InputGradient { .. });
    let fits = layers <= bounds.layers;
    if let Some(squares) = fits.then(|| squares_of(schedule, channels, backward, bounds)).flatten() {
        runs.push(Run { steps, channels: channels.clone(), squares });
        return;
    }
    let (first, second) = if backward { (to, from) } else { (from, to) };
    add_runs(schedule, steps.start..middle, first, bounds, runs);
    add_runs(schedule, middle + 1..steps.end, second, bounds, runs);
}

fn squares_of(
    schedule: &Schedule,
    channels: &Range<usize>,
    backward: bool,
    bounds: Bounds,
) -> Option<Squares> {
    let architecture = &schedule.architecture;
    let dilation = |channel: usize| architecture.dilation(channel - architecture.stem_channels()) as u64;
    let layers = channels.clone().step_by(architecture.width);
    let dilations: Vec<u64> =
        layers.map(|layer| (layer..layer + architecture.width).map(dilation).max().unwrap_or(1)).collect();
    let extent = schedule.shape.extent;
    let squares = |side: u64| {
        let along = |pixels: usize| (pixels as u64).div_ceil(side);
        along(extent.y) * along(extent.x) * schedule.shape.batch as u64
    };
    let width = architecture.width as u64;
    // A layer reads the earlier ones by its own dilation. So a map is needed as far around as all later layers read one after the other, the
    // second layer's furthest; the first is there. A gradient map is read by its own dilation, and needed as far around as it and those of
    // the layers before it are read, but for the first's, which nothing here reads; the last is there.
    if backward {
        let growth = &dilations[1..dilations.len() - 1];
        Squares::of(growth.iter().copied(), width, bounds, squares)
    } else {
        Squares::of(dilations[2..].iter().rev().copied(), width, bounds, squares)
    }
}

impl Planner<'_> {
    /// The layers that are computed at once: none unless the schedule has room for them.
    pub(super) fn runs(&self) -> Vec<Run> {
        let width = self.schedule.architecture.width;
        let most = self.limits.workgroup_bytes / 4;
        let bounds = |layers: u32, room: usize| Bounds {
            // As many as the sums leave room for.
            layers: (layers as usize).min(room / width + 1),
            numbers: LAYERS_NUMBERS.into_iter().filter(|&n| n <= most).max().unwrap_or(0).into(),
            workgroups: (self.tuning.workgroups / FEWER_WORKGROUPS).into(),
        };
        let forward = bounds(self.tuning.convolve_layers, self.schedule.sum_shift);
        let backward = bounds(self.tuning.gradient_layers, self.schedule.gradient_sum_shift);
        let mut all = runs(self.schedule, false, forward);
        all.extend(runs(self.schedule, true, backward));
        all
    }

    /// Adds the dispatch of a run.
    pub(super) fn add_run(&mut self, run: &Run) {
        let Run { channels, squares, steps } = run;
        let page = self.schedule.map_page(channels.start);
        let (page_start, page_channels) = span(&self.schedule.map_pages[page]);
        let width = self.schedule.architecture.width;
        if let Step::InputGradient { .. } = self.schedule.steps[steps.start] {
            let params = InputGradientLayersParams {
                geometry: self.geometry,
                channel_start: channels.start as u32,
                channel_end: channels.end as u32,
                page_start,
                page_channels,
                width: width as u32,
                gradient_planes: self.schedule.gradient_shift.unwrap_or(0) as u32,
                sum_planes: self.schedule.gradient_sum_shift as u32,
                tile: squares.side,
                reach: squares.reach,
                farthest: self.largest_dilation(&(channels.start + width..channels.end)),
            };
            return self.push_squares(&shaders::INPUT_GRADIENT_LAYERS, squares, &params, page);
        }
        let params = ConvolveLayersParams {
            geometry: self.geometry,
            channel_start: channels.start as u32,
            channel_end: channels.end as u32,
            page_start,
            page_channels,
            width: width as u32,
            sum_planes: self.planes_of_sums(),
            tile: squares.side,
            reach: squares.reach,
        };
        self.push_squares(&shaders::CONVOLVE_LAYERS, squares, &params, page);
    }

    /// Adds the dispatch of a kernel that has a workgroup for each of `squares`.
    fn push_squares(
        &mut self,
        shader: &'static Shader,
        squares: &Squares,
        params: &impl Placed,
        page: usize,
    ) {
        let slots = [Slot::Parameters, Slot::Hidden, Slot::MapPage(page)];
        let Geometry { rows, columns, batch, .. } = self.geometry;
        let workgroups = [columns.div_ceil(squares.side), rows.div_ceil(squares.side), batch];
        let number = workgroups.iter().map(|&n| u64::from(n)).product::<u64>();
        let numbers = LAYERS_NUMBERS.into_iter().find(|&n| n >= squares.numbers).unwrap_or(LAYERS_NUMBERS[0]);
        let work = squares.multiply_adds.saturating_mul(number);
        self.push(shader, &[("NUMBERS", numbers)], params, &slots, workgroups, work);
    }
}

#[cfg(test)]
mod tests;
