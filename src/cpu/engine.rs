//! The engine: owns the parameters and the planes, and hands each step to its kernel.

use std::ops::Range;

use rayon::prelude::*;

use super::bands::{self, Band};
use super::convolve::{ConvolveBand, Start};
use super::filter_gradient::{BAND_ROWS, FilterGradient, FilterGradientBand, Reader};
use super::input_gradient::{InputGradient, InputGradientBand, Later, Preimages, mask};
use super::lanes::{Instructions, run};
use super::losses::LossBand;
use super::memory::{Margins, Planes, check_free};
use super::mix::{ProductSums, WeightedSums};
use crate::engine::{Adam, DeviceInfo, DeviceKind, Engine, Images, Moments, Plane, Targets, check_batch};
use crate::network::{Architecture, ParameterLayout, TAPS};
use crate::schedule::{Extent, Options, Schedule, Shape, Step};
use crate::{Error, Result};

/// Layers in a block where nothing else is asked for: measured best from 128x128 to 512x512.
const BLOCK: usize = 10;
/// Numbers that rows are aligned to: a cache line.
const ALIGNMENT: usize = 16;
/// Bytes of planes that one core should work on at a time, so that they stay in its cache.
const CACHE_BYTES: usize = 1 << 20;

/// How a [`CpuEngine`] works.
#[derive(Debug, Clone, Default)]
pub struct CpuOptions {
    /// Layers in a block of the schedule; `None` for the measured best.
    pub block: Option<usize>,
}

/// An engine on the processor.
///
/// A batch is taken image by image, so its memory does not depend on the size of the batch.
pub struct CpuEngine {
    device: DeviceInfo,
    architecture: Architecture,
    layout: ParameterLayout,
    block: usize,
    instructions: Instructions,
    parameters: Vec<f32>,
    gradients: Vec<f32>,
    moments: Moments,
    /// Loss added since the last update, and the losses of ended steps.
    running_loss: f64,
    losses: Vec<f32>,
    pass: Option<Pass>,
}

/// All that one shape of images needs.
struct Pass {
    schedule: Schedule,
    maps: Planes,
    gradients: Planes,
    outputs: Planes,
    output_gradients: Planes,
    margins: Margins,
    rows: Preimages,
    mirrored: Vec<Option<usize>>,
    zeros: Vec<f32>,
}

/// What the processor is called.
pub fn device() -> DeviceInfo {
    let threads = rayon::current_num_threads();
    let name = format!("CPU, {threads} threads, {}", Instructions::best().name());
    DeviceInfo { name, backend: "cpu".into(), kind: DeviceKind::Cpu, driver: String::new() }
}

impl CpuEngine {
    /// An engine for `architecture` with the given parameters.
    ///
    /// # Errors
    /// When the architecture is unusable or the parameters are not as many as it needs.
    pub fn new(architecture: &Architecture, parameters: &[f32], options: &CpuOptions) -> Result<Self> {
        architecture.validate()?;
        let layout = ParameterLayout::of(architecture);
        let count = layout.count();
        let mut engine = Self {
            device: device(),
            architecture: architecture.clone(),
            layout,
            block: options.block.unwrap_or(BLOCK),
            instructions: Instructions::best(),
            parameters: vec![0.0; count],
            gradients: vec![0.0; count],
            moments: Moments { first: vec![0.0; count], second: vec![0.0; count] },
            running_loss: 0.0,
            losses: Vec::new(),
            pass: None,
        };
        engine.set_parameters(parameters)?;
        Ok(engine)
    }

    fn schedule(&self, extent: Extent, training: bool) -> Result<Schedule> {
        let options = Options { block: self.block, most_page_bytes: u64::MAX, alignment: ALIGNMENT };
        let shape = Shape { batch: 1, extent };
        let build = if training { Schedule::training } else { Schedule::forward };
        build(&self.architecture, shape, &options)
    }

    /// Gets the planes ready for images of this size.
    fn prepare(&mut self, extent: Extent, training: bool) -> Result<()> {
        let ready = self.pass.as_ref().is_some_and(|pass| {
            pass.schedule.shape.extent == extent && (pass.schedule.trains() || !training)
        });
        if !ready {
            // The old planes go before new ones are taken.
            self.pass = None;
            let schedule = self.schedule(extent, training)?;
            check_free("the planes of this network and image size", schedule.bytes())?;
            self.pass = Some(Pass::new(schedule)?);
        }
        Ok(())
    }

    /// Runs the forward steps, or all of them when there are targets, for one image; gives the loss.
    fn run(&mut self, image: &[f32], target: Option<(Target, f32)>) -> f64 {
        let Some(mut pass) = self.pass.take() else { return 0.0 };
        let mut loss = 0.0;
        let steps = std::mem::take(&mut pass.schedule.steps);
        for step in &steps {
            match step {
                Step::Load => pass.load(image),
                Step::Convolve { sources, outputs, first, finishes } => {
                    self.convolve(&mut pass, sources.clone(), outputs.clone(), *first, finishes.clone());
                }
                Step::Mix { sources, first } => self.mix(&mut pass, sources.clone(), *first),
                Step::Loss => match target {
                    Some((target, scale)) => loss = pass.loss(target, scale),
                    None => break,
                },
                Step::MixWeightGradient { sources, biases } => {
                    self.mix_weight_gradient(&mut pass, sources.clone(), *biases);
                }
                Step::MixInputGradient { channels, finishes } => {
                    self.mix_input_gradient(&mut pass, channels.clone(), finishes.clone());
                }
                Step::InputGradient { gradients, channels, finishes } => {
                    self.input_gradient(&mut pass, gradients.clone(), channels.clone(), finishes.clone());
                }
                Step::FilterGradient { gradients, sources } => {
                    self.filter_gradient(&mut pass, gradients.clone(), sources.clone());
                }
                Step::BiasGradient { gradients } => self.bias_gradient(&mut pass, gradients.clone()),
            }
        }
        pass.schedule.steps = steps;
        self.pass = Some(pass);
        loss
    }

    fn convolve(
        &self,
        pass: &mut Pass,
        sources: Range<usize>,
        outputs: Range<usize>,
        first: bool,
        finishes: Range<usize>,
    ) {
        let Pass { schedule, maps, margins, .. } = pass;
        let (form, extent) = (&schedule.map_form, schedule.shape.extent);
        let height = bands::height_for_threads(extent.y);
        let at_once = planes_in_cache(form.pitch, height + 2 * schedule.margin);
        let (inputs, biases) = (self.architecture.inputs, self.layout.biases().start);
        let (from, into) = maps.read_and_write(sources.clone(), outputs.clone());
        bands::cut(into, form, extent.y, height).into_par_iter().for_each(|Band { rows, planes }| {
            let mut planes = planes;
            // A group of feature maps goes to all outputs before the next group, while it is in cache.
            for start in sources.clone().step_by(at_once) {
                let group = start..(start + at_once).min(sources.end);
                for (plane, channel) in planes.iter_mut().zip(outputs.clone()) {
                    let hidden = channel - inputs;
                    let own =
                        self.architecture.sources(self.architecture.layer_of(hidden)).end.min(sources.end);
                    let group = group.start..group.end.min(own);
                    let begin = first && start == sources.start;
                    let filter = self.layout.filter(hidden, group.start).start;
                    run(
                        self.instructions,
                        ConvolveBand {
                            sources: &from[(group.start - sources.start) * form.plane()..],
                            plane: form.plane(),
                            origin: form.origin(),
                            pitch: form.pitch,
                            filters: &self.parameters[filter..filter + group.len() * TAPS],
                            dilation: self.architecture.dilation(hidden),
                            columns: extent.x,
                            rows: rows.clone(),
                            output: plane,
                            left: form.left,
                            start: if begin {
                                Start::Bias(self.parameters[biases + hidden])
                            } else {
                                Start::Running
                            },
                            finish: finishes.contains(&channel) && group.end == own,
                        },
                    );
                }
            }
            for (plane, channel) in planes.iter_mut().zip(outputs.clone()) {
                if finishes.contains(&channel) {
                    margins.fill_beside(plane);
                }
            }
        });
        for (plane, channel) in into.chunks_exact_mut(form.plane()).zip(outputs) {
            if finishes.contains(&channel) {
                margins.fill_above_and_below(plane);
            }
        }
    }

    fn mix(&self, pass: &mut Pass, sources: Range<usize>, first: bool) {
        let Pass { schedule, maps, outputs, .. } = pass;
        let (form, extent) = (&schedule.map_form, schedule.shape.extent);
        let from = maps.planes(sources.clone());
        let into = outputs.planes_mut(0..self.architecture.outputs);
        let height = bands::height_for_threads(extent.y);
        let biases = &self.parameters[self.layout.output_biases()];
        bands::cut(into, &schedule.gradient_form, extent.y, height).into_par_iter().for_each(|mut band| {
            run(
                self.instructions,
                WeightedSums {
                    from,
                    plane: form.plane(),
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
        });
    }

    fn mix_input_gradient(&self, pass: &mut Pass, channels: Range<usize>, finishes: Range<usize>) {
        let Pass { schedule, maps, gradients, output_gradients, .. } = pass;
        let (form, extent) = (&schedule.gradient_form, schedule.shape.extent);
        let from = output_gradients.planes(0..self.architecture.outputs);
        let into = gradients.planes_mut(channels.clone());
        let height = bands::height_for_threads(extent.y);
        let zeros = vec![0.0; channels.len()];
        bands::cut(into, form, extent.y, height).into_par_iter().for_each(|mut band| {
            let rows = band.rows.clone();
            run(
                self.instructions,
                WeightedSums {
                    from,
                    plane: form.plane(),
                    origin: form.origin(),
                    pitch: form.pitch,
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
        pass: &mut Pass,
        from: Range<usize>,
        channels: Range<usize>,
        finishes: Range<usize>,
    ) {
        let Pass { schedule, maps, gradients, rows, mirrored, .. } = pass;
        let (form, extent) = (&schedule.gradient_form, schedule.shape.extent);
        let later = |channel: usize| {
            let hidden = channel - self.architecture.inputs;
            let filter = self.layout.filter(hidden, channels.start).start;
            Later { dilation: self.architecture.dilation(hidden), filter }
        };
        let later: Vec<Later> = from.clone().map(later).collect();
        let height = bands::height_for_threads(extent.y);
        let (from, into) = gradients.read_and_write(from, channels.clone());
        let shared = InputGradient {
            gradients: from,
            later: &later,
            at_once: planes_in_cache(form.pitch, height + 2 * schedule.margin),
            parameters: &self.parameters,
            plane: form.plane(),
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

    fn filter_gradient(&mut self, pass: &mut Pass, from: Range<usize>, sources: Range<usize>) {
        let Pass { schedule, maps, gradients, zeros, .. } = pass;
        let (map_form, form, extent) = (&schedule.map_form, &schedule.gradient_form, schedule.shape.extent);
        let inputs = self.architecture.inputs;
        let mut sums = 0;
        let mut readers = Vec::new();
        for channel in from.clone() {
            let hidden = channel - inputs;
            let own = self.architecture.sources(self.architecture.layer_of(hidden)).end.min(sources.end);
            let count = own.saturating_sub(sources.start);
            readers.push(Reader { dilation: self.architecture.dilation(hidden), sources: count, sums });
            sums += count * TAPS;
        }
        let shared = FilterGradient {
            maps: maps.planes(sources.clone()),
            map_plane: map_form.plane(),
            map_origin: map_form.origin(),
            gradients: gradients.planes(from.clone()),
            gradient_plane: form.plane(),
            readers: &readers,
            left: form.left,
            pitch: form.pitch,
            height: extent.y,
            width: extent.x,
            zeros,
        };
        let margin = schedule.margin as isize;
        let partial = sum_bands(sums, extent.y + 2 * schedule.margin, |rows, sums| {
            let rows = rows.start as isize - margin..rows.end as isize - margin;
            run(self.instructions, FilterGradientBand { shared: &shared, rows, sums });
        });
        for (channel, reader) in from.zip(&readers) {
            let to = self.layout.filter(channel - inputs, sources.start).start;
            let count = reader.sources * TAPS;
            add(&mut self.gradients[to..to + count], &partial[reader.sums..reader.sums + count]);
        }
    }

    fn mix_weight_gradient(&mut self, pass: &mut Pass, sources: Range<usize>, biases: bool) {
        let Pass { schedule, maps, output_gradients, .. } = pass;
        let (map_form, form, extent) = (&schedule.map_form, &schedule.gradient_form, schedule.shape.extent);
        let outputs = self.architecture.outputs;
        let products = |right: Option<&[f32]>, right_count: usize| {
            sum_bands(outputs * right_count, extent.y, |rows, sums| {
                let kernel = ProductSums {
                    left: output_gradients.planes(0..outputs),
                    left_plane: form.plane(),
                    left_origin: form.origin(),
                    left_count: outputs,
                    right,
                    right_plane: map_form.plane(),
                    right_origin: map_form.origin(),
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

    fn bias_gradient(&mut self, pass: &mut Pass, from: Range<usize>) {
        let Pass { schedule, gradients, .. } = pass;
        let (form, extent) = (&schedule.gradient_form, schedule.shape.extent);
        let sums = sum_bands(from.len(), extent.y, |rows, sums| {
            let kernel = ProductSums {
                left: gradients.planes(from.clone()),
                left_plane: form.plane(),
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
        let to = self.layout.biases().start + from.start - self.architecture.inputs;
        add(&mut self.gradients[to..to + sums.len()], &sums);
    }

    fn check_count(&self, what: &str, found: usize) -> Result<()> {
        let wanted = self.layout.count();
        if found == wanted {
            return Ok(());
        }
        Err(Error::Mismatch(format!("{found} {what} were given to a network that has {wanted} parameters")))
    }
}

/// The wanted outputs of one image.
#[derive(Clone, Copy)]
enum Target<'a> {
    Classes(&'a [u32]),
    Values(&'a [f32]),
}

impl Pass {
    fn new(schedule: Schedule) -> Result<Self> {
        let (map_form, form) = (&schedule.map_form, &schedule.gradient_form);
        let (extent, margin) = (schedule.shape.extent, schedule.margin);
        let boundary = schedule.architecture.boundary;
        let nothing = || crate::schedule::Page { channels: 0..0, length: 0 };
        let page = |pages: &[crate::schedule::Page]| pages.first().cloned().unwrap_or_else(nothing);
        let output_page = schedule.output_page();
        let trains = schedule.trains();
        let m = margin as isize;
        let width = extent.x as isize;
        let mirrored = (-m..0).chain(width..width + m).map(|x| boundary.source(x, extent.x)).collect();
        Ok(Self {
            maps: Planes::new("feature maps", &page(&schedule.map_pages), map_form)?,
            gradients: Planes::new("gradient maps", &page(&schedule.gradient_pages), form)?,
            outputs: Planes::new("outputs", &output_page, form)?,
            output_gradients: Planes::new(
                "output gradients",
                &if trains { output_page } else { nothing() },
                form,
            )?,
            margins: Margins::new(map_form, extent, margin, boundary),
            rows: Preimages::new(extent.y, margin, boundary),
            mirrored,
            zeros: vec![0.0; form.pitch],
            schedule,
        })
    }

    fn load(&mut self, image: &[f32]) {
        let Self { schedule, maps, margins, .. } = self;
        let (form, extent) = (&schedule.map_form, schedule.shape.extent);
        let planes = maps.planes_mut(0..schedule.architecture.inputs);
        for (plane, image) in
            planes.chunks_exact_mut(form.plane()).zip(image.chunks_exact(extent.y * extent.x))
        {
            let own = form.above * form.pitch;
            for (row, pixels) in plane[own..].chunks_exact_mut(form.pitch).zip(image.chunks_exact(extent.x)) {
                row[form.left..form.left + extent.x].copy_from_slice(pixels);
            }
            margins.fill_beside(&mut plane[own..own + extent.y * form.pitch]);
            margins.fill_above_and_below(plane);
        }
    }

    fn loss(&mut self, target: Target, scale: f32) -> f64 {
        let Self { schedule, outputs, output_gradients, .. } = self;
        let (form, extent) = (&schedule.gradient_form, schedule.shape.extent);
        let count = schedule.architecture.outputs;
        let outputs = outputs.planes(0..count);
        let into = output_gradients.planes_mut(0..count);
        // Bands of a fixed height: the loss is a sum over them.
        let losses: Vec<f64> = bands::cut(into, form, extent.y, BAND_ROWS)
            .into_par_iter()
            .map(|mut band| {
                let band = LossBand {
                    outputs,
                    plane: form.plane(),
                    origin: form.origin(),
                    pitch: form.pitch,
                    columns: extent.x,
                    rows: band.rows,
                    gradients: &mut band.planes,
                    left: form.left,
                    scale,
                };
                match target {
                    Target::Classes(classes) => band.cross_entropy(classes),
                    Target::Values(values) => band.squared_error(values, extent.y),
                }
            })
            .collect();
        losses.iter().sum()
    }

    /// The outputs without the gaps between rows.
    fn take_outputs(&self, into: &mut Vec<f32>) {
        for output in 0..self.schedule.architecture.outputs {
            into.extend(self.outputs.pixels(output, self.schedule.shape.extent));
        }
    }
}

/// Planes whose bands of `rows` rows fit into a core's cache together; a few at least.
fn planes_in_cache(pitch: usize, rows: usize) -> usize {
    (CACHE_BYTES / (4 * pitch * rows)).max(4)
}

/// Sends the gradients of finished channels back through the ReLU.
fn finish(
    schedule: &Schedule,
    maps: &Planes,
    channels: &mut [&mut [f32]],
    rows: Range<usize>,
    first: usize,
    finishes: &Range<usize>,
) {
    let (map_form, form, columns) = (&schedule.map_form, &schedule.gradient_form, schedule.shape.extent.x);
    for (gradient, channel) in channels.iter_mut().zip(first..) {
        if finishes.contains(&channel) {
            let map = maps.planes(channel..channel + 1);
            for (gradient, y) in gradient.chunks_exact_mut(form.pitch).zip(rows.clone()) {
                let from = map_form.origin() + y * map_form.pitch;
                mask(&mut gradient[form.left..form.left + columns], &map[from..from + columns]);
            }
        }
    }
}

/// Fills `count` sums for each band of [`BAND_ROWS`] rows, and adds the bands in order.
fn sum_bands(count: usize, rows: usize, band: impl Fn(Range<usize>, &mut [f32]) + Sync) -> Vec<f64> {
    let bands = rows.div_ceil(BAND_ROWS);
    let mut partial = vec![0.0f32; bands * count];
    if count > 0 {
        partial.par_chunks_exact_mut(count).enumerate().for_each(|(index, sums)| {
            band(index * BAND_ROWS..((index + 1) * BAND_ROWS).min(rows), sums);
        });
    }
    let mut total = vec![0.0f64; count];
    for sums in partial.chunks_exact(count.max(1)) {
        total.iter_mut().zip(sums).for_each(|(total, sum)| *total += f64::from(*sum));
    }
    total
}

fn add(gradients: &mut [f32], sums: &[f64]) {
    gradients.iter_mut().zip(sums).for_each(|(gradient, sum)| *gradient += *sum as f32);
}

impl Engine for CpuEngine {
    fn device(&self) -> &DeviceInfo {
        &self.device
    }

    fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    fn set_parameters(&mut self, parameters: &[f32]) -> Result<()> {
        self.check_count("parameters", parameters.len())?;
        self.parameters.copy_from_slice(parameters);
        Ok(())
    }

    fn parameters(&mut self) -> Result<Vec<f32>> {
        Ok(self.parameters.clone())
    }

    fn set_moments(&mut self, moments: &Moments) -> Result<()> {
        self.check_count("first moments", moments.first.len())?;
        self.check_count("second moments", moments.second.len())?;
        self.moments = moments.clone();
        Ok(())
    }

    fn moments(&mut self) -> Result<Moments> {
        Ok(self.moments.clone())
    }

    fn forward(&mut self, images: &Images) -> Result<Vec<f32>> {
        check_batch(&self.architecture, images, None)?;
        self.prepare(images.shape.extent, false)?;
        let pixels = images.shape.extent.pixels();
        let mut outputs = Vec::with_capacity(images.shape.batch * self.architecture.outputs * pixels);
        for image in images.pixels.chunks_exact(self.architecture.inputs * pixels) {
            self.run(image, None);
            if let Some(pass) = &self.pass {
                pass.take_outputs(&mut outputs);
            }
        }
        Ok(outputs)
    }

    fn accumulate(&mut self, images: &Images, targets: &Targets, scale: f32) -> Result<()> {
        check_batch(&self.architecture, images, Some(targets))?;
        self.prepare(images.shape.extent, true)?;
        let pixels = images.shape.extent.pixels();
        for (index, image) in images.pixels.chunks_exact(self.architecture.inputs * pixels).enumerate() {
            let target = match targets {
                Targets::Classes(classes) => Target::Classes(&classes[index * pixels..(index + 1) * pixels]),
                Targets::Values(values) => {
                    let one = self.architecture.outputs * pixels;
                    Target::Values(&values[index * one..(index + 1) * one])
                }
            };
            self.running_loss += self.run(image, Some((target, scale)));
        }
        Ok(())
    }

    fn update(&mut self, adam: &Adam) -> Result<()> {
        let (rate, root) = (adam.corrected_rate() as f32, adam.root_correction() as f32);
        let (beta1, beta2, epsilon) = (adam.beta1 as f32, adam.beta2 as f32, adam.epsilon as f32);
        // Taken in float64: in float32, 1 - 0.999 is wrong in the fifth digit.
        let (share1, share2) = ((1.0 - adam.beta1) as f32, (1.0 - adam.beta2) as f32);
        let moments = self.moments.first.iter_mut().zip(&mut self.moments.second);
        for ((p, g), (m, v)) in self.parameters.iter_mut().zip(&mut self.gradients).zip(moments) {
            *m = beta1 * *m + share1 * *g;
            *v = beta2 * *v + share2 * *g * *g;
            *p -= rate * *m / (v.sqrt() * root + epsilon);
            *g = 0.0;
        }
        self.losses.push(std::mem::take(&mut self.running_loss) as f32);
        Ok(())
    }

    fn losses(&mut self, _wait: bool) -> Result<Vec<f32>> {
        Ok(std::mem::take(&mut self.losses))
    }

    fn gradients(&mut self) -> Result<Vec<f32>> {
        Ok(self.gradients.clone())
    }

    fn read_plane(&mut self, plane: Plane, image: usize) -> Result<Vec<f32>> {
        let missing =
            || Error::Mismatch(format!("{plane:?} of image {image} was not computed by the last pass"));
        let pass = self.pass.as_ref().filter(|_| image == 0).ok_or_else(missing)?;
        let (planes, channel) = match plane {
            Plane::Map(channel) => (&pass.maps, channel),
            Plane::Gradient(channel) => (&pass.gradients, channel),
            Plane::Output(output) => (&pass.outputs, output),
            Plane::OutputGradient(output) => (&pass.output_gradients, output),
        };
        if !planes.holds(channel) {
            return Err(missing());
        }
        Ok(planes.pixels(channel, pass.schedule.shape.extent))
    }

    fn bytes(&self, shape: Shape, training: bool) -> Result<u64> {
        let parameters = 4 * 4 * self.layout.count() as u64;
        Ok(self.schedule(shape.extent, training)?.bytes() + parameters)
    }
}
