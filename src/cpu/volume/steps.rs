//! The steps of schedules for volumes that are others than those of images.

use std::ops::Range;

use rayon::prelude::*;

use super::super::bands::{self, Band};
use super::super::convolve::Start;
use super::super::lanes::run;
use super::super::steps::{Numbers, add, finish, groups};
use super::super::workspace::Workspace;
use super::convolve::{ConvolveVolume, planes_at_once};
use super::filter_gradient::{FilterGradientVolume, FilterGradientVolumeBand, Reader};
use super::input_gradient::{InputGradientVolume, InputGradientVolumeBand, Later};
use super::{Dilations, Surroundings, input_gradient, room_for_rows};
use crate::geometry::Extent;
use crate::network::TAPS;
use crate::schedule::Schedule;

/// Rows of a slice over which filter gradients are summed in float32, and the most such sums that are kept apart. Fixed, so that the
/// order of sums does not depend on the number of threads.
const SUM_ROWS: usize = 64;
const MOST_SUMS: usize = 64;
/// Gradient maps that go through the whole volume together, and feature maps of which filter gradients are made together: so many that the
/// slices between which they are read stay in the last cache.
const GRADIENTS_AT_ONCE: usize = 8;
const MAPS_AT_ONCE: usize = 8;

impl Numbers {
    pub(in crate::cpu) fn convolve_volume(
        &self,
        pass: &mut Workspace,
        sources: Range<usize>,
        outputs: Range<usize>,
        first: bool,
        finishes: Range<usize>,
    ) {
        let Workspace { schedule, maps, surroundings: Some(surroundings), .. } = pass else { return };
        let form = &schedule.map_layout;
        let (inputs, biases) = (self.architecture.stem_channels(), self.layout.biases().start);
        let (from, into) = maps.read_and_write(sources.clone(), outputs.clone());
        let groups = groups(sources.clone(), planes_at_once(form.pitch));
        let height = surroundings.height_for_threads();
        // Each group goes through the whole volume: of its feature maps the slices that are read stay in the last cache.
        for (index, group) in groups.iter().enumerate() {
            let bands = bands::cut(into, form, schedule.rows(), height);
            bands.into_par_iter().for_each(|Band { rows, mut planes }| {
                let mut sums = Vec::new();
                for (plane, channel) in planes.iter_mut().zip(outputs.clone()) {
                    let hidden = channel - inputs;
                    let own = self.architecture.sources(self.architecture.layer_of(hidden)).end;
                    let group = group.start..group.end.min(own);
                    if group.is_empty() {
                        continue;
                    }
                    let filter = self.layout.filter(hidden, group.start).start;
                    let starts = first && index == 0;
                    let start =
                        if starts { Start::Bias(self.parameters[biases + hidden]) } else { Start::Running };
                    let kernel = ConvolveVolume {
                        surroundings,
                        sources: &from[(group.start - sources.start) * form.plane..],
                        plane: form.plane,
                        origin: form.origin(),
                        pitch: form.pitch,
                        filters: &self.parameters[filter..filter + group.len() * 3 * TAPS],
                        dilations: Dilations::of(&self.architecture, hidden),
                        rows: rows.clone(),
                        output: plane,
                        start,
                        finish: finishes.contains(&channel) && group.end == own.min(sources.end),
                        sums: &mut sums,
                    };
                    run(self.instructions, kernel);
                }
            });
        }
    }

    pub(in crate::cpu) fn input_gradient_volume(
        &self,
        pass: &mut Workspace,
        from: Range<usize>,
        channels: Range<usize>,
        finishes: Range<usize>,
    ) {
        let (places, later_places) =
            (pass.gradient_planes(channels.clone()), pass.gradient_planes(from.clone()));
        let Workspace { schedule, maps, surroundings: Some(surroundings), .. } = pass else { return };
        let form = &schedule.gradient_layout;
        let later = |channel: usize| {
            let hidden = channel - self.architecture.stem_channels();
            let filter = self.layout.filter(hidden, channels.start).start;
            Later { dilations: Dilations::of(&self.architecture, hidden), filter }
        };
        let later: Vec<Later> = from.map(later).collect();
        let (maps, into, after) = maps.around(places.clone());
        let gradients = &after[(later_places.start - places.end) * form.plane + form.origin()..];
        let height = surroundings.height_for_threads();
        let groups = groups(0..later.len(), GRADIENTS_AT_ONCE);
        for (index, group) in groups.iter().enumerate() {
            let shared = InputGradientVolume {
                surroundings,
                gradients: &gradients[group.start * form.plane..],
                later: &later[group.clone()],
                parameters: &self.parameters,
                plane: form.plane,
                pitch: form.pitch,
            };
            let is_last = index + 1 == groups.len();
            let bands = bands::cut(into, form, schedule.rows(), height);
            bands.into_par_iter().for_each(|Band { rows, mut planes }| {
                let kernel =
                    InputGradientVolumeBand { shared: &shared, rows: rows.clone(), channels: &mut planes };
                run(self.instructions, kernel);
                if is_last {
                    finish(schedule, maps, &mut planes, rows, channels.start, &finishes);
                }
            });
        }
    }

    pub(in crate::cpu) fn filter_gradient_volume(
        &mut self,
        pass: &mut Workspace,
        from: Range<usize>,
        sources: Range<usize>,
    ) {
        let places = pass.gradient_planes(from.clone());
        let Workspace { schedule, maps, surroundings: Some(surroundings), .. } = pass else { return };
        let surroundings: &Surroundings = surroundings;
        let form = &schedule.map_layout;
        let inputs = self.architecture.stem_channels();
        let pieces = pieces(surroundings.extent);
        let in_one = pieces.len().div_ceil(MOST_SUMS);
        let gradients = &maps.planes(places)[form.origin()..];
        for sources in groups(sources, MAPS_AT_ONCE) {
            let reader = |channel: usize| {
                let hidden = channel - inputs;
                let own = self.architecture.sources(self.architecture.layer_of(hidden)).end.min(sources.end);
                let dilations = Dilations::of(&self.architecture, hidden);
                Reader { dilations, sources: own.saturating_sub(sources.start) }
            };
            let readers: Vec<Reader> = from.clone().map(reader).collect();
            let shared = FilterGradientVolume {
                surroundings,
                maps: &maps.planes(sources.clone())[form.origin()..],
                gradients,
                readers: &readers,
                plane: form.plane,
                pitch: form.pitch,
            };
            let count = sources.len() * 3 * TAPS;
            let sums: Vec<Vec<f64>> = pieces
                .par_chunks(in_one)
                .map(|pieces| {
                    let mut sums = vec![0.0; readers.len() * count];
                    for (z, rows) in pieces {
                        let band = FilterGradientVolumeBand {
                            shared: &shared,
                            z: *z,
                            rows: rows.clone(),
                            sources: sources.len(),
                            sums: &mut sums,
                        };
                        run(self.instructions, band);
                    }
                    sums
                })
                .collect();
            let mut total = vec![0.0f64; readers.len() * count];
            for sums in &sums {
                total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
            }
            for ((channel, reader), sums) in from.clone().zip(&readers).zip(total.chunks_exact(count)) {
                let to = self.layout.filter(channel - inputs, sources.start).start;
                let count = reader.sources * 3 * TAPS;
                add(&mut self.gradients[to..to + count], &sums[..count]);
            }
        }
    }
}

/// The rows of each slice in pieces over which sums are made: slice and rows.
fn pieces(extent: Extent) -> Vec<(usize, Range<usize>)> {
    let of_slice =
        |z| (0..extent.y).step_by(SUM_ROWS).map(move |start| (z, start..(start + SUM_ROWS).min(extent.y)));
    (0..extent.z).flat_map(of_slice).collect()
}

/// Bytes of memory beside the planes: the sums of the largest step, and shifted rows for each thread.
pub(in crate::cpu) fn scratch_bytes(schedule: &Schedule, largest_step: u64) -> u64 {
    let extent = schedule.shape.extent;
    let sums = pieces_in(extent).min(MOST_SUMS) as u64 + 1;
    let half = room_for_rows(extent.y, schedule.map_layout.pitch);
    let staged = 4 * (input_gradient::STAGED_SLICES * 2 * half * rayon::current_num_threads()) as u64;
    8 * sums * largest_step * 3 + if schedule.trains() { staged } else { 0 }
}

fn pieces_in(extent: Extent) -> usize {
    extent.z * extent.y.div_ceil(SUM_ROWS)
}
