//! The buffers that a network's passes work in, and the recordings bound to them.

use std::collections::HashMap;
use std::ops::Range;

use super::params::LossCall;
use super::plan::{ClassesLayout, JudgedLayout, Pass, Plan, Slot, hidden_channels, smoothed_length};
use super::recorder::Recorder;
use super::scaling;
use crate::Result;
use crate::engine::{Judged, JudgedResult, Loss, LossSum, Plane, TargetValues, Targets};
use crate::geometry::Shape;
use crate::gpu::runtime::device::Device;
use crate::gpu::runtime::memory::{self, Use, buffer};
use crate::gpu::runtime::pipelines::Pipelines;
use crate::gpu::runtime::readback;
use crate::gpu::runtime::timer::Timer;
use crate::network::{Architecture, ParameterLayout};
use crate::schedule::{Page, PlaneLayout, Schedule};

/// The buffers that stay as long as the network does.
pub(super) struct Fixed {
    pub parameters: wgpu::Buffer,
    pub gradients: wgpu::Buffer,
    pub first_moments: wgpu::Buffer,
    pub second_moments: wgpu::Buffer,
    pub average: wgpu::Buffer,
    hidden: wgpu::Buffer,
    pub call: wgpu::Buffer,
    /// By what gradients are multiplied, where they are halves.
    pub scaling: wgpu::Buffer,
    pub loss: wgpu::Buffer,
}

impl Fixed {
    pub fn new(device: &Device, architecture: &Architecture) -> Result<Self> {
        let bytes = 4 * ParameterLayout::of(architecture).count() as u64;
        let table = hidden_channels(architecture);
        let table: &[u8] = bytemuck::cast_slice(&table);
        let hidden = buffer(device, "hidden channels", table.len() as u64, Use::Storage)?;
        device.queue.write_buffer(&hidden, 0, table);
        Ok(Self {
            parameters: buffer(device, "parameters", bytes, Use::Storage)?,
            gradients: buffer(device, "parameter gradients", bytes, Use::Storage)?,
            first_moments: buffer(device, "first moments", bytes, Use::Storage)?,
            second_moments: buffer(device, "second moments", bytes, Use::Storage)?,
            average: buffer(device, "averaged parameters", bytes, Use::Storage)?,
            hidden,
            call: buffer(device, "the loss's scale", size_of::<LossCall>() as u64, Use::Uniform)?,
            scaling: buffer(device, "the scale of gradients", scaling::BYTES, Use::Storage)?,
            loss: buffer(device, "the loss", 4, Use::Storage)?,
        })
    }
}

/// The buffers and recordings for images of one shape.
pub(super) struct Current {
    /// What its planes were made for: training, or a forward pass alone.
    schedule: Schedule,
    images: wgpu::Buffer,
    /// Only where there is a stem.
    smoothed: Option<wgpu::Buffer>,
    maps: Vec<wgpu::Buffer>,
    /// Sums that are not complete; only where feature maps are halves.
    sums: Option<wgpu::Buffer>,
    outputs: wgpu::Buffer,
    /// The buffer through which outputs are read back; made for the first forward pass.
    staging: Option<wgpu::Buffer>,
    targets: Option<TargetBuffers>,
    training: Option<Training>,
    judging: Option<Judging>,
    classes: Option<Classes>,
    recorders: HashMap<Pass, Recorder>,
    /// The pass that was recorded last.
    last: Option<Pass>,
}

/// What outputs are compared with.
struct TargetBuffers {
    values: wgpu::Buffer,
    weights: wgpu::Buffer,
}

impl TargetBuffers {
    /// For classes, or for values of so many `outputs`.
    fn new(device: &Device, shape: Shape, outputs: usize) -> Result<Self> {
        let pixels = (shape.batch * shape.extent.pixels()) as u64;
        let values = pixels * outputs as u64;
        Ok(Self {
            values: buffer(device, "uploaded targets", 4 * values, Use::Storage)?,
            weights: buffer(device, "uploaded weights", 4 * pixels, Use::Storage)?,
        })
    }
}

/// The buffers that only training needs.
struct Training {
    gradients: Vec<wgpu::Buffer>,
    output_gradients: wgpu::Buffer,
    partials: wgpu::Buffer,
}

/// The buffers that only judging needs.
struct Judging {
    layout: JudgedLayout,
    /// The loss in parts, and the classes.
    found: wgpu::Buffer,
    /// The buffer through which they are read back.
    staging: wgpu::Buffer,
}

/// The buffers that only taking classes needs.
struct Classes {
    layout: ClassesLayout,
    found: wgpu::Buffer,
    /// The buffer through which they are read back.
    staging: wgpu::Buffer,
}

/// Buffers for pages of numbers of so many bytes.
fn page_buffers(device: &Device, name: &str, pages: &[Page], number_bytes: u64) -> Result<Vec<wgpu::Buffer>> {
    let make = |page: &Page| {
        let name = format!("{name} {}..{}", page.channels.start, page.channels.end);
        buffer(device, &name, number_bytes * page.length as u64, Use::Storage)
    };
    pages.iter().map(make).collect()
}

impl Current {
    /// The buffers that every pass over the schedule's shape needs.
    pub fn new(device: &Device, architecture: &Architecture, schedule: &Schedule) -> Result<Self> {
        let shape = schedule.shape;
        let pixels = (shape.batch * architecture.inputs * shape.extent.pixels()) as u64;
        Ok(Self {
            schedule: schedule.clone(),
            images: buffer(device, "uploaded images", 4 * pixels, Use::Storage)?,
            smoothed: match smoothed_length(schedule) {
                0 => None,
                length => Some(buffer(device, "smoothed images", 4 * length, Use::Storage)?),
            },
            maps: page_buffers(device, "feature maps", &schedule.map_pages, schedule.map_bytes())?,
            sums: match &schedule.sums {
                None => None,
                Some(page) => Some(buffer(device, "sums", 4 * page.length as u64, Use::Storage)?),
            },
            outputs: buffer(device, "outputs", 4 * schedule.output_length() as u64, Use::Storage)?,
            staging: None,
            targets: None,
            training: None,
            judging: None,
            classes: None,
            recorders: HashMap::new(),
            last: None,
        })
    }

    /// Adds what `pass` needs, and binds its plan.
    pub fn add(
        &mut self,
        device: &Device,
        pipelines: &mut Pipelines,
        fixed: &Fixed,
        plan: &Plan,
        pass: Pass,
    ) -> Result<()> {
        let schedule = &plan.schedule;
        if schedule.trains() && self.training.is_none() {
            let outputs = 4 * schedule.output_length() as u64;
            // All are checked before the first is made, so that a refusal leaves the memory as it was.
            memory::check(&device.limits, "partial sums", 4 * plan.partials, Use::Storage)?;
            self.make_targets(device)?;
            self.training = Some(Training {
                gradients: page_buffers(device, "gradient maps", &schedule.gradient_pages, 4)?,
                output_gradients: buffer(device, "output gradients", outputs, Use::Storage)?,
                partials: buffer(device, "partial sums", 4 * plan.partials, Use::Storage)?,
            });
        }
        if let (Some(layout), None) = (plan.judged, &self.judging) {
            self.make_targets(device)?;
            let bytes = 4 * layout.length();
            self.judging = Some(Judging {
                layout,
                found: buffer(device, "judged outputs", bytes, Use::Storage)?,
                staging: buffer(device, "judged outputs that are read back", bytes, Use::Readback)?,
            });
        }
        if let (Some(layout), None) = (plan.classes, &self.classes) {
            let bytes = 4 * layout.length();
            self.classes = Some(Classes {
                layout,
                found: buffer(device, "classes", bytes, Use::Storage)?,
                staging: buffer(device, "classes that are read back", bytes, Use::Readback)?,
            });
        }
        if pass == Pass::Forward && self.staging.is_none() {
            let bytes = 4 * schedule.output_length() as u64;
            self.staging = Some(buffer(device, "outputs that are read back", bytes, Use::Readback)?);
        }
        let recorder = Recorder::new(device, pipelines, plan, |slot| self.buffer(fixed, slot))?;
        self.recorders.insert(pass, recorder);
        Ok(())
    }

    /// Makes the buffers of targets, if there are none yet: of all that its planes may be used for, as recordings stay bound to
    /// them.
    fn make_targets(&mut self, device: &Device) -> Result<()> {
        if self.targets.is_none() {
            let outputs = if self.trains() { self.schedule.architecture.outputs } else { 1 };
            self.targets = Some(TargetBuffers::new(device, self.shape(), outputs)?);
        }
        Ok(())
    }

    fn buffer<'a>(&'a self, fixed: &'a Fixed, slot: Slot) -> &'a wgpu::Buffer {
        // A plan names the buffers of training only when its schedule trains, those of judging only when it judges, those of
        // targets in both cases, and those of classes only when it takes them; then `add` made them.
        let training = || self.training.as_ref().expect("training buffers were made");
        let targets = || self.targets.as_ref().expect("buffers of targets were made");
        let judging = || self.judging.as_ref().expect("judging buffers were made");
        let classes = || self.classes.as_ref().expect("buffers of classes were made");
        match slot {
            Slot::Call => &fixed.call,
            Slot::Scaling => &fixed.scaling,
            Slot::Parameters => &fixed.parameters,
            Slot::ParameterGradients => &fixed.gradients,
            Slot::Hidden => &fixed.hidden,
            Slot::Loss => &fixed.loss,
            Slot::Images => &self.images,
            Slot::Smoothed => self.smoothed.as_ref().expect("the plan has a stem, for which it was made"),
            Slot::MapPage(page) => &self.maps[page],
            Slot::Sums => self.sums.as_ref().expect("the plan has halves, for which they were made"),
            Slot::Outputs => &self.outputs,
            Slot::Targets => &targets().values,
            Slot::Weights => &targets().weights,
            Slot::GradientPage(page) => &training().gradients[page],
            Slot::OutputGradients => &training().output_gradients,
            Slot::Partials => &training().partials,
            Slot::Judged => &judging().found,
            Slot::Classes => &classes().found,
        }
    }

    pub fn shape(&self) -> Shape {
        self.schedule.shape
    }

    /// Whether it has the planes of training.
    pub fn trains(&self) -> bool {
        self.schedule.trains()
    }

    /// Whether `pass` over `shape` can be recorded.
    pub fn is_ready(&self, shape: Shape, pass: Pass) -> bool {
        self.shape() == shape && self.recorders.contains_key(&pass)
    }

    /// Records `pass`, timed if there is a timer; nothing when it is not ready.
    pub fn record(
        &mut self,
        device: &Device,
        pass: Pass,
        timer: Option<&mut Timer>,
    ) -> Result<Vec<wgpu::CommandBuffer>> {
        self.last = Some(pass);
        self.recorders.get(&pass).map_or(Ok(Vec::new()), |recorder| recorder.record(device, timer))
    }

    pub fn images(&self) -> &wgpu::Buffer {
        &self.images
    }

    /// Uploads classes or values, and weights where there are some.
    pub fn upload_targets(&self, device: &Device, targets: &Targets) {
        let Some(buffers) = &self.targets else { return };
        let values: &[u8] = match &targets.values {
            TargetValues::Classes(classes) => bytemuck::cast_slice(classes),
            TargetValues::Values(values) => bytemuck::cast_slice(values),
        };
        device.queue.write_buffer(&buffers.values, 0, values);
        if let Some(weights) = &targets.weights {
            device.queue.write_buffer(&buffers.weights, 0, bytemuck::cast_slice(weights));
        }
    }

    /// Runs `commands`, a forward pass, and gives the outputs `[image][output][y][x]`.
    pub fn run_forward(
        &self,
        device: &Device,
        commands: Vec<wgpu::CommandBuffer>,
        doing: &str,
    ) -> Result<Vec<f32>> {
        let range = 0..self.schedule.output_length();
        let compact = |padded: &[f32]| self.compact(padded);
        match &self.staging {
            Some(staging) => {
                readback::read_through(device, commands, &self.outputs, range, staging, doing, compact)
            }
            None => Ok(compact(&readback::read(device, commands, &self.outputs, range, doing)?)),
        }
    }

    /// Runs `commands`, a pass that takes the most likely classes, and gives these `[image][y][x]`.
    pub fn run_classifying(
        &self,
        device: &Device,
        commands: Vec<wgpu::CommandBuffer>,
        doing: &str,
    ) -> Result<Vec<u8>> {
        let classes = self.classes.as_ref();
        let Classes { layout, found, staging } =
            classes.ok_or_else(|| device.error(doing, "nothing was prepared"))?;
        let range = 0..layout.length() as usize;
        let read = |numbers: &[u32]| layout.read(numbers);
        readback::read_through(device, commands, found, range, staging, doing, read)
    }

    /// Runs `commands`, a pass that judges one image by a loss of classes, and gives what it finds.
    pub fn run_judging(
        &self,
        device: &Device,
        commands: Vec<wgpu::CommandBuffer>,
        (targets, loss): (&Targets, Loss),
        doing: &str,
    ) -> Result<Judged> {
        let judging = self.judging.as_ref();
        let Judging { layout, found, staging } =
            judging.ok_or_else(|| device.error(doing, "nothing was prepared"))?;
        let range = 0..layout.length() as usize;
        let numbers: Vec<u32> =
            readback::read_through(device, commands, found, range, staging, doing, <[u32]>::to_vec)?;
        let (sum, dice, classes) = layout.read(numbers, loss.kind());
        Ok(Judged { loss: LossSum::of_sums(sum, dice, targets), result: JudgedResult::Classes(classes) })
    }

    /// The outputs from how they lie on the device.
    fn compact(&self, padded: &[f32]) -> Vec<f32> {
        let (page, form, shape) = (self.schedule.output_page(), &self.schedule.output_layout, self.shape());
        let mut outputs = Vec::with_capacity(shape.batch * page.channels.len() * shape.extent.pixels());
        for image in 0..shape.batch {
            for output in page.channels.clone() {
                let origin = page.origin(form, image, output);
                for y in 0..self.schedule.rows() {
                    let start = origin + y * form.pitch;
                    outputs.extend_from_slice(&padded[start..start + shape.extent.x]);
                }
            }
        }
        outputs
    }

    /// The buffer that holds a plane, and its rows there from row 0, column 0 on; nothing where the last pass did not compute
    /// it, or put something else in its place.
    fn plane(&self, plane: Plane, image: usize) -> Option<(&wgpu::Buffer, Range<usize>)> {
        let schedule = &self.schedule;
        let went_back = matches!(self.last, Some(Pass::Training(_)));
        let training = self.training.as_ref().filter(|_| went_back);
        let probabilities_there = matches!(self.last, Some(Pass::Judge(kind)) if kind.has_dice());
        let outputs = schedule.output_page();
        let hidden = schedule.architecture.stem_channels()..schedule.architecture.channels();
        let (buffer, page, form, number): (&wgpu::Buffer, Page, &PlaneLayout, usize) = match plane {
            Plane::Map(channel) => {
                let there = channel < hidden.end && (!went_back || schedule.keeps_map(channel));
                let page = there.then(|| schedule.map_page(channel))?;
                (&self.maps[page], schedule.map_pages[page].clone(), &schedule.map_layout, channel)
            }
            Plane::Gradient(channel) => {
                let training = training.filter(|_| hidden.contains(&channel))?;
                let page = schedule.gradient_page(channel);
                let buffers =
                    if schedule.gradient_shift.is_some() { &self.maps } else { &training.gradients };
                let number = channel + schedule.gradient_shift.unwrap_or_default();
                let pages = schedule.pages_of_gradients();
                (&buffers[page], pages[page].clone(), &schedule.gradient_layout, number)
            }
            Plane::Output(_) if probabilities_there => return None,
            Plane::Output(output) => (&self.outputs, outputs, &schedule.output_layout, output),
            Plane::OutputGradient(output) => {
                (&training?.output_gradients, outputs, &schedule.output_layout, output)
            }
        };
        let columns = self.shape().extent.x;
        (image < self.shape().batch && page.channels.contains(&number)).then(|| {
            let origin = page.origin(form, image, number);
            (buffer, origin..origin + (schedule.rows() - 1) * form.pitch + columns)
        })
    }

    /// A plane `[z][y][x]`; nothing where the last pass did not compute it, or put something else in its place.
    pub fn read_plane(
        &self,
        device: &Device,
        fixed: &Fixed,
        plane: Plane,
        image: usize,
    ) -> Result<Option<Vec<f32>>> {
        let doing = "reading a plane";
        let Some((buffer, range)) = self.plane(plane, image) else { return Ok(None) };
        if !self.is_of_halves(plane) {
            let padded: Vec<f32> = readback::read(device, Vec::new(), buffer, range, doing)?;
            return Ok(Some(self.strip(&padded)));
        }
        // Two of them are one number of four bytes; places of planes are even.
        let pairs = range.start / 2..range.end.div_ceil(2);
        let pairs: Vec<u32> = readback::read(device, Vec::new(), buffer, pairs, doing)?;
        let factor = match plane {
            Plane::Gradient(_) => {
                let largest: Vec<u32> = readback::read(device, Vec::new(), &fixed.scaling, 0..1, doing)?;
                scaling::inverse(largest[0])
            }
            _ => 1.0,
        };
        let halves: &[u16] = bytemuck::cast_slice(&pairs);
        let padded: Vec<f32> =
            halves.iter().map(|bits| factor * half::f16::from_bits(*bits).to_f32()).collect();
        Ok(Some(self.strip(&padded)))
    }

    /// Whether `plane` is stored in halves.
    fn is_of_halves(&self, plane: Plane) -> bool {
        matches!(plane, Plane::Map(_) | Plane::Gradient(_)) && self.sums.is_some()
    }

    /// A plane `[z][y][x]` from its rows on the device.
    fn strip(&self, padded: &[f32]) -> Vec<f32> {
        let columns = self.shape().extent.x;
        let rows = padded.chunks(self.schedule.map_layout.pitch);
        rows.flat_map(|row| &row[..columns]).copied().collect()
    }

    fn buffers(&self) -> impl Iterator<Item = &wgpu::Buffer> {
        let training = self.training.iter();
        let training = training.flat_map(|t| t.gradients.iter().chain([&t.output_gradients, &t.partials]));
        let targets = self.targets.iter().flat_map(|t| [&t.values, &t.weights]);
        let judging = self.judging.iter().flat_map(|j| [&j.found, &j.staging]);
        let classes = self.classes.iter().flat_map(|c| [&c.found, &c.staging]);
        let results = targets
            .chain(judging)
            .chain(classes)
            .chain(&self.staging)
            .chain(&self.smoothed)
            .chain(&self.sums);
        self.maps.iter().chain([&self.images, &self.outputs]).chain(training).chain(results)
    }

    /// Bytes of its buffers.
    pub fn bytes(&self) -> u64 {
        self.buffers().map(wgpu::Buffer::size).sum()
    }

    /// Bytes of its buffers that are not in the machine's memory to be read.
    #[cfg(test)]
    pub fn device_bytes(&self) -> u64 {
        let read = |buffer: &&wgpu::Buffer| buffer.usage().contains(wgpu::BufferUsages::MAP_READ);
        self.buffers().filter(|buffer| !read(buffer)).map(wgpu::Buffer::size).sum()
    }

    /// Gives the memory back at once; nothing may be under way that uses it.
    pub fn free(self) {
        self.buffers().for_each(wgpu::Buffer::destroy);
    }
}
