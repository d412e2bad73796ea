//! Which layers inside a block are computed in one dispatch, and on squares of which size.
//!
//! A block is halved again and again (see [`crate::schedule`]), so the layers of each part of it have their steps one after the other. A *run*
//! is such a part whose steps become one dispatch.

use std::ops::Range;

use super::super::params::*;
use super::super::shaders::{self, LAYERS_NUMBERS};
use super::{Planner, Slot, span};
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
    /// The channels of the layers. Those of the first layer are complete before.
    pub channels: Range<usize>,
    pub squares: Squares,
}

/// The squares that a run is computed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Squares {
    /// Pixels along a side.
    side: u32,
    /// How far around its square a workgroup computes the second layer, in pixels.
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
    /// The best squares for layers of `width` channels whose largest dilations are given, the first layer's too, which does not matter; `None`
    /// where none are worth it. `squares` says how many there would be of a side.
    fn of(dilations: &[u64], width: u64, bounds: Bounds, squares: impl Fn(u64) -> u64) -> Option<Self> {
        // How far each layer after the first is computed around the square, the last one first: as far as all later ones read together.
        let reaches: Vec<u64> = dilations.iter().skip(2).rev().try_fold(vec![0_u64], |mut reaches, d| {
            reaches.push(reaches.last()?.checked_add(*d)?);
            Some(reaches)
        })?;
        let reach = *reaches.last()?;
        // Beyond that nothing fits any workgroup.
        if reach > u64::from(u16::MAX) {
            return None;
        }
        let of_side = |side: u64| {
            let areas: Vec<u64> = reaches.iter().rev().map(|reach| (side + 2 * reach).pow(2)).collect();
            // The last layer is not kept.
            let numbers = width * areas.iter().rev().skip(1).sum::<u64>();
            // Each layer reads all earlier ones of the run.
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

/// The runs of the forward pass of `schedule`.
fn runs(schedule: &Schedule, bounds: Bounds) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut index = 0;
    while let Some(step) = schedule.steps.get(index) {
        index += 1;
        if let Step::Convolve { outputs, first: true, .. } = step {
            let inside = |step: &&Step| matches!(step, Step::Convolve { first: false, .. });
            let steps = index..index + schedule.steps[index..].iter().take_while(inside).count();
            add_runs(schedule, steps, outputs, bounds, &mut runs);
        }
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
    let squares = if layers <= bounds.layers { squares_of(schedule, channels, bounds) } else { None };
    if let Some(squares) = squares {
        runs.push(Run { steps, channels: channels.clone(), squares });
        return;
    }
    let connects_halves = |step: &Step| {
        matches!(step, Step::Convolve { sources, outputs, .. }
            if sources.start == channels.start && outputs.end == channels.end)
    };
    if let Some(middle) = steps.clone().find(|&step| connects_halves(&schedule.steps[step]))
        && let Step::Convolve { sources, outputs, .. } = &schedule.steps[middle]
    {
        add_runs(schedule, steps.start..middle, sources, bounds, runs);
        add_runs(schedule, middle + 1..steps.end, outputs, bounds, runs);
    }
}

fn squares_of(schedule: &Schedule, channels: &Range<usize>, bounds: Bounds) -> Option<Squares> {
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
    Squares::of(&dilations, architecture.width as u64, bounds, squares)
}

impl Planner<'_> {
    /// The layers that are computed at once: none unless the schedule has room for them.
    pub(super) fn runs(&self) -> Vec<Run> {
        if self.schedule.sum_shift == 0 {
            return Vec::new();
        }
        let width = self.schedule.architecture.width;
        let most = self.limits.workgroup_bytes / 4;
        let bounds = Bounds {
            // As many as the sums leave room for.
            layers: (self.tuning.layers_at_once as usize).min(self.schedule.sum_shift / width + 1),
            numbers: LAYERS_NUMBERS.into_iter().filter(|&n| n <= most).max().unwrap_or(0).into(),
            workgroups: (self.tuning.workgroups / FEWER_WORKGROUPS).into(),
        };
        runs(self.schedule, bounds)
    }

    /// Adds the dispatch of a run.
    pub(super) fn add_run(&mut self, run: &Run) {
        let Run { channels, squares, .. } = run;
        let page = self.schedule.map_page(channels.start);
        let (page_start, page_channels) = span(&self.schedule.map_pages[page]);
        let params = ConvolveLayersParams {
            geometry: self.geometry,
            channel_start: channels.start as u32,
            channel_end: channels.end as u32,
            page_start,
            page_channels,
            width: self.schedule.architecture.width as u32,
            sum_planes: self.planes_of_sums(),
            tile: squares.side,
            reach: squares.reach,
        };
        let slots = [Slot::Parameters, Slot::Hidden, Slot::MapPage(page)];
        let Geometry { rows, columns, batch, .. } = self.geometry;
        let workgroups = [columns.div_ceil(squares.side), rows.div_ceil(squares.side), batch];
        let number = workgroups.iter().map(|&n| u64::from(n)).product::<u64>();
        let numbers = LAYERS_NUMBERS.into_iter().find(|&n| n >= squares.numbers).unwrap_or(LAYERS_NUMBERS[0]);
        let values = [("NUMBERS", numbers)];
        let work = squares.multiply_adds.saturating_mul(number);
        self.push(&shaders::CONVOLVE_LAYERS, &values, &params, &slots, workgroups, work);
    }
}

#[cfg(test)]
mod tests;
