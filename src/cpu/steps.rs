//! Runs the steps of a schedule, each with its kernel, band by band.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Instant;

use rayon::prelude::*;

use super::bands::{self, Band};
use super::convolve::{ConvolveBand, Start};
use super::filter_gradient::{FilterGradient, FilterGradientBand, Reader};
use super::input_gradient::{InputGradient, InputGradientBand, Later, mask};
use super::lanes::{Instructions, run};
use super::mix::{ProductSums, WeightedSums};
use super::stem::StemPass;
use super::volume;
use super::workspace::{Objective, Workspace};
use crate::network::{Architecture, ParameterLayout, TAPS};
use crate::schedule::{Schedule, Step};
use crate::watcher::Flow;

/// Planes that are read in one go, so that a band of them stays in a core's cache; what they contribute is added up before
/// it joins a running sum.
const PLANES_AT_ONCE: usize = 12;

/// A network's numbers, as the steps read and write them.
pub(super) struct Numbers {
    pub(super) architecture: Architecture,
    pub(super) layout: ParameterLayout,
    pub(super) instructions: Instructions,
    pub(super) parameters: Vec<f32>,
    /// Gradients added since the last update.
    pub(super) gradients: Vec<f32>,
    /// Seconds that each kind of step took.
    pub(super) seconds: BTreeMap<&'static str, f64>,
}

impl Numbers {
    /// Runs the forward steps, or all of them when there are targets, for one image; gives the loss, or `None` where `go_on` ends it, which
    /// is told after each step which share of the steps is done.
    pub(super) fn run(
        &mut self,
        pass: &mut Workspace,
        image: &[f32],
        objective: Option<Objective>,
        go_on: &mut dyn FnMut(f64) -> Flow,
    ) -> Option<f64> {
        let mut loss = Some(0.0);
        let volumes = self.architecture.is_of_volumes();
        pass.went_back = objective.is_some();
        let steps = std::mem::take(&mut pass.schedule.steps);
        let forward = steps.iter().take_while(|step| **step != Step::Loss).count();
        let count = if objective.is_some() { steps.len() } else { forward };
        for (number, step) in steps.iter().enumerate() {
            let start = Instant::now();
            match step {
                Step::Load => pass.load(image),
                Step::Stem => self.stem(pass),
                Step::Convolve { sources, outputs, first, finishes } if volumes => {
                    self.convolve_volume(pass, sources.clone(), outputs.clone(), *first, finishes.clone());
                }
                Step::Convolve { sources, outputs, first, finishes } => {
                    self.convolve(pass, sources.clone(), outputs.clone(), *first, finishes.clone());
                }
                Step::Mix { sources, first } => self.mix(pass, sources.clone(), *first),
                Step::Loss => match objective {
                    Some(objective) => loss = Some(pass.loss(objective)),
                    None => break,
                },
                Step::MixWeightGradient { sources, biases } => {
                    self.mix_weight_gradient(pass, sources.clone(), *biases);
                }
                Step::MixInputGradient { channels, finishes } => {
                    self.mix_input_gradient(pass, channels.clone(), finishes.clone());
                }
                Step::InputGradient { gradients, channels, finishes } if volumes => {
                    let (gradients, channels) = (gradients.clone(), channels.clone());
                    self.input_gradient_volume(pass, gradients, channels, finishes.clone());
                }
                Step::InputGradient { gradients, channels, finishes } => {
                    self.input_gradient(pass, gradients.clone(), channels.clone(), finishes.clone());
                }
                Step::FilterGradient { gradients, sources } if volumes => {
                    self.filter_gradient_volume(pass, gradients.clone(), sources.clone());
                }
                Step::FilterGradient { gradients, sources } => {
                    self.filter_gradient(pass, gradients.clone(), sources.clone());
                }
                Step::BiasGradient { gradients } => self.bias_gradient(pass, gradients.clone()),
            }
            *self.seconds.entry(step.name()).or_default() += start.elapsed().as_secs_f64();
            if go_on((number + 1) as f64 / count as f64).is_break() {
                loss = None;
                break;
            }
        }
        pass.schedule.steps = steps;
        loss
    }

    fn stem(&self, pass: &mut Workspace) {
        let Workspace { schedule, maps, margins, .. } = pass;
        let stem = StemPass {
            architecture: &self.architecture,
            changes: StemPass::changes(&self.layout, &self.parameters),
            instructions: self.instructions,
            form: &schedule.map_layout,
            extent: schedule.shape.extent,
            margins,
        };
        stem.run(maps);
    }

    fn convolve(
        &self,
        pass: &mut Workspace,
        sources: Range<usize>,
        outputs: Range<usize>,
        first: bool,
        finishes: Range<usize>,
    ) {
        let Workspace { schedule, maps, margins, .. } = pass;
        let (form, extent) = (&schedule.map_layout, schedule.shape.extent);
        let height = bands::height_for_threads(extent.y);
        let (inputs, biases) = (self.architecture.stem_channels(), self.layout.biases().start);
        let (from, into) = maps.read_and_write(sources.clone(), outputs.clone());
        let groups = groups(sources.clone(), PLANES_AT_ONCE);
        bands::cut(into, form, extent.y, height).into_par_iter().for_each(|Band { rows, planes }| {
            let mut planes = planes;
            let mut sums = Vec::new();
            for columns in bands::spans(extent.x) {
                // A group of feature maps goes to all outputs before the next group, while it is in cache.
                for (index, group) in groups.iter().enumerate() {
                    for (plane, channel) in planes.iter_mut().zip(outputs.clone()) {
                        let hidden = channel - inputs;
                        let own = self.architecture.sources(self.architecture.layer_of(hidden)).end;
                        let group = group.start..group.end.min(own);
                        if group.is_empty() {
                            continue;
                        }
                        let filter = self.layout.filter(hidden, group.start).start;
                        run(
                            self.instructions,
                            ConvolveBand {
                                sources: &from[(group.start - sources.start) * form.plane..],
                                plane: form.plane,
                                origin: form.origin(),
                                pitch: form.pitch,
                                filters: &self.parameters[filter..filter + group.len() * TAPS],
                                dilation: self.architecture.dilation(hidden),
                                columns: columns.clone(),
                                rows: rows.clone(),
                                output: plane,
                                left: form.left,
                                start: if first && index == 0 {
                                    Start::Bias(self.parameters[biases + hidden])
                                } else {
                                    Start::Running
                                },
                                finish: finishes.contains(&channel) && group.end == own.min(sources.end),
                                sums: &mut sums,
                            },
                        );
                    }
                }
            }
            for (plane, channel) in planes.iter_mut().zip(outputs.clone()) {
                if finishes.contains(&channel) {
                    margins.fill_beside(plane);
                }
            }
        });
        for (plane, channel) in into.chunks_exact_mut(form.plane).zip(outputs) {
            if finishes.contains(&channel) {
                margins.fill_above_and_below(plane);
            }
        }
    }

    fn mix(&self, pass: &mut Workspace, sources: Range<usize>, first: bool) {
        let Workspace { schedule, maps, outputs, .. } = pass;
        let (form, extent) = (&schedule.map_layout, schedule.shape.extent);
        let from = maps.planes(sources.clone());
        let into = outputs.planes_mut(0..self.architecture.outputs);
        let height = bands::height_for_threads(schedule.rows());
        let biases = &self.parameters[self.layout.output_biases()];
        bands::cut(into, &schedule.output_layout, schedule.rows(), height).into_par_iter().for_each(
            |mut band| {
                run(
                    self.instructions,
                    WeightedSums {
                        from,
                        plane: form.plane,
                        origin: form.origin(),
                        pitch: form.pitch,
                        count: sources.len(),
                        parameters: &self.parameters,
                        first_weight: self.layout.mix(0).start + sources.start,
                        next_result: self.architecture.channels(),
                        next_plane: 1,
                        start: first.then_some(biases),
                        columns: extent.x,
                        rows: band.rows,
                        into: &mut band.planes,
                        left: form.left,
                    },
                );
            },
        );
    }

    fn mix_input_gradient(&self, pass: &mut Workspace, channels: Range<usize>, finishes: Range<usize>) {
        let places = pass.gradient_planes(channels.clone());
        let Workspace { schedule, maps, output_gradients, .. } = pass;
        let (form, outputs, extent) =
            (&schedule.gradient_layout, &schedule.output_layout, schedule.shape.extent);
        let from = output_gradients.planes(0..self.architecture.outputs);
        let (maps, into, _) = maps.around(places);
        let height = bands::height_for_threads(schedule.rows());
        let zeros = vec![0.0; channels.len()];
        bands::cut(into, form, schedule.rows(), height).into_par_iter().for_each(|mut band| {
            let rows = band.rows.clone();
            // Feature maps had their margins where gradient maps have zeros.
            for row in band.planes.iter_mut().flat_map(|plane| plane.chunks_exact_mut(form.pitch)) {
                row[..form.left].fill(0.0);
                row[form.left + extent.x..].fill(0.0);
            }
            run(
                self.instructions,
                WeightedSums {
                    from,
                    plane: outputs.plane,
                    origin: outputs.origin(),
                    pitch: outputs.pitch,
                    count: self.architecture.outputs,
                    parameters: &self.parameters,
                    first_weight: self.layout.mix(0).start + channels.start,
                    next_result: 1,
                    next_plane: self.architecture.channels(),
                    start: Some(&zeros),
                    columns: extent.x,
                    rows: rows.clone(),
                    into: &mut band.planes,
                    left: form.left,
                },
            );
            finish(schedule, maps, &mut band.planes, rows, channels.start, &finishes);
        });
    }

    fn input_gradient(
        &self,
        pass: &mut Workspace,
        from: Range<usize>,
        channels: Range<usize>,
        finishes: Range<usize>,
    ) {
        let (places, later_places) =
            (pass.gradient_planes(channels.clone()), pass.gradient_planes(from.clone()));
        let Workspace { schedule, maps, rows, mirrored, .. } = pass;
        let (form, extent) = (&schedule.gradient_layout, schedule.shape.extent);
        let later = |channel: usize| {
            let hidden = channel - self.architecture.stem_channels();
            let filter = self.layout.filter(hidden, channels.start).start;
            Later { dilation: self.architecture.dilation(hidden), filter }
        };
        let later: Vec<Later> = from.clone().map(later).collect();
        let height = bands::height_for_threads(extent.y);
        let (maps, into, after) = maps.around(places.clone());
        let shared = InputGradient {
            gradients: &after[(later_places.start - places.end) * form.plane + form.above * form.pitch..],
            later: &later,
            groups: &groups(0..later.len(), PLANES_AT_ONCE),
            parameters: &self.parameters,
            plane: form.plane,
            pitch: form.pitch,
            left: form.left,
            height: extent.y,
            width: extent.x,
            margin: schedule.margin,
            rows,
            mirrored,
        };
        bands::cut(into, form, extent.y, height).into_par_iter().for_each(|mut band| {
            let rows = band.rows.clone();
            run(
                self.instructions,
                InputGradientBand { shared: &shared, rows: rows.clone(), channels: &mut band.planes },
            );
            finish(schedule, maps, &mut band.planes, rows, channels.start, &finishes);
        });
    }

    fn filter_gradient(&mut self, pass: &mut Workspace, from: Range<usize>, sources: Range<usize>) {
        let places = pass.gradient_planes(from.clone());
        let Workspace { schedule, maps, zeros, .. } = pass;
        let (map_layout, form, extent) =
            (&schedule.map_layout, &schedule.gradient_layout, schedule.shape.extent);
        let inputs = self.architecture.stem_channels();
        let readers: Vec<Reader> = from
            .clone()
            .map(|channel| {
                let layer = self.architecture.layer_of(channel - inputs);
                let own = self.architecture.sources(layer).end.min(sources.end);
                let dilation = self.architecture.dilation(channel - inputs);
                Reader { dilation, sources: own.saturating_sub(sources.start) }
            })
            .collect();
        let shared = FilterGradient {
            maps: maps.planes(sources.clone()),
            map_plane: map_layout.plane,
            map_origin: map_layout.origin(),
            gradients: &maps.planes(places)[form.above * form.pitch..],
            gradient_plane: form.plane,
            readers: &readers,
            left: form.left,
            pitch: form.pitch,
            height: extent.y,
            zeros,
        };
        let margin = schedule.margin as isize;
        let count = sources.len() * TAPS;
        let total = sum_bands(readers.len() * count, extent.y, |rows, sums| {
            // Mirrored rows go with those beside them.
            let start = if rows.start == 0 { -margin } else { rows.start as isize };
            let end = rows.end as isize + if rows.end == extent.y { margin } else { 0 };
            for columns in bands::spans(extent.x) {
                let sums = &mut *sums;
                let band = FilterGradientBand {
                    shared: &shared,
                    rows: start..end,
                    columns,
                    sources: sources.len(),
                    sums,
                };
                run(self.instructions, band);
            }
        });
        for ((channel, reader), sums) in from.zip(&readers).zip(total.chunks_exact(count)) {
            let to = self.layout.filter(channel - inputs, sources.start).start;
            let count = reader.sources * TAPS;
            add(&mut self.gradients[to..to + count], &sums[..count]);
        }
    }

    fn mix_weight_gradient(&mut self, pass: &mut Workspace, sources: Range<usize>, biases: bool) {
        let Workspace { schedule, maps, output_gradients, .. } = pass;
        let (map_layout, form, extent) =
            (&schedule.map_layout, &schedule.output_layout, schedule.shape.extent);
        let outputs = self.architecture.outputs;
        let products = |right: Option<&[f32]>, right_count: usize| {
            sum_bands(outputs * right_count, schedule.rows(), |rows, sums| {
                let kernel = ProductSums {
                    left: output_gradients.planes(0..outputs),
                    left_plane: form.plane,
                    left_origin: form.origin(),
                    left_count: outputs,
                    right,
                    right_plane: map_layout.plane,
                    right_origin: map_layout.origin(),
                    right_count,
                    pitch: form.pitch,
                    columns: extent.x,
                    rows,
                    sums,
                };
                run(self.instructions, kernel);
            })
        };
        let weights = products(Some(maps.planes(sources.clone())), sources.len());
        let output_biases = if biases { products(None, 1) } else { Vec::new() };
        for (output, weights) in weights.chunks_exact(sources.len()).enumerate() {
            let to = self.layout.mix(output).start + sources.start;
            add(&mut self.gradients[to..to + weights.len()], weights);
        }
        let to = self.layout.output_biases().start;
        add(&mut self.gradients[to..to + output_biases.len()], &output_biases);
    }

    fn bias_gradient(&mut self, pass: &mut Workspace, from: Range<usize>) {
        let gradients = pass.maps.planes(pass.gradient_planes(from.clone()));
        let schedule = &pass.schedule;
        let (form, extent) = (&schedule.gradient_layout, schedule.shape.extent);
        let sums = sum_bands(from.len(), schedule.rows(), |rows, sums| {
            let kernel = ProductSums {
                left: gradients,
                left_plane: form.plane,
                left_origin: form.origin(),
                left_count: from.len(),
                right: None,
                right_plane: 0,
                right_origin: 0,
                right_count: 1,
                pitch: form.pitch,
                columns: extent.x,
                rows,
                sums,
            };
            run(self.instructions, kernel);
        });
        let to = self.layout.biases().start + from.start - self.architecture.stem_channels();
        add(&mut self.gradients[to..to + sums.len()], &sums);
    }
}

/// Cuts planes to read into groups of nearly equal size that are added up at once. They depend on nothing but the number
/// of planes, because sums are rounded where a group ends.
pub(super) fn groups(planes: Range<usize>, at_once: usize) -> Vec<Range<usize>> {
    let count = planes.len().div_ceil(at_once);
    let place = |index: usize| planes.start + index * planes.len() / count.max(1);
    (0..count).map(|index| place(index)..place(index + 1)).collect()
}

/// Sends the gradients of finished channels back through the ReLU.
pub(super) fn finish(
    schedule: &Schedule,
    maps: &[f32],
    channels: &mut [&mut [f32]],
    rows: Range<usize>,
    first: usize,
    finishes: &Range<usize>,
) {
    let (map_layout, form, columns) =
        (&schedule.map_layout, &schedule.gradient_layout, schedule.shape.extent.x);
    for (gradient, channel) in channels.iter_mut().zip(first..) {
        if finishes.contains(&channel) {
            let map = &maps[channel * map_layout.plane..][..map_layout.plane];
            for (gradient, y) in gradient.chunks_exact_mut(form.pitch).zip(rows.clone()) {
                let from = map_layout.origin() + y * map_layout.pitch;
                mask(&mut gradient[form.left..form.left + columns], &map[from..from + columns]);
            }
        }
    }
}

/// Bytes of the sums of the largest step, for all bands and in total.
pub(super) fn scratch_bytes(schedule: &Schedule) -> u64 {
    let bands = schedule.rows().div_ceil(bands::SUM_ROWS);
    let filters = schedule.steps.iter().map(|step| match step {
        Step::FilterGradient { gradients, sources } => gradients.len() * sources.len() * TAPS,
        _ => 0,
    });
    if schedule.architecture.is_of_volumes() {
        return volume::scratch_bytes(schedule, filters.max().unwrap_or(0) as u64);
    }
    filters.max().unwrap_or(0) as u64 * (4 * bands as u64 + 8)
}

/// Fills `count` sums for each band of [`bands::SUM_ROWS`] rows, and adds the bands in order.
fn sum_bands(count: usize, rows: usize, band: impl Fn(Range<usize>, &mut [f32]) + Sync) -> Vec<f64> {
    let bands = rows.div_ceil(bands::SUM_ROWS);
    let mut partial = vec![0.0f32; bands * count];
    if count > 0 {
        partial.par_chunks_exact_mut(count).enumerate().for_each(|(index, sums)| {
            band(index * bands::SUM_ROWS..((index + 1) * bands::SUM_ROWS).min(rows), sums);
        });
    }
    let mut total = vec![0.0f64; count];
    for sums in partial.chunks_exact(count.max(1)) {
        total.iter_mut().zip(sums).for_each(|(total, sum)| *total += f64::from(*sum));
    }
    total
}

pub(super) fn add(gradients: &mut [f32], sums: &[f64]) {
    gradients.iter_mut().zip(sums).for_each(|(gradient, sum)| *gradient += *sum as f32);
}
