//! The engine: one network on one device.

use std::collections::VecDeque;

use super::losses::Losses;
use super::optimiser::Optimiser;
use super::params::LossCall;
use super::passes::Fixed;
use super::plan::{self, DispatchLimits, Pass, Plan};
use super::recorder;
use super::scaling;
use super::shapes::{MAX_SPARE_BYTES, Shapes};
use super::split::SplitFactors;
use super::tiles::Tuning;
use crate::engine::{
    Adam, DeviceInfo, Engine, Gradients, Images, Judged, Loss, LossKind, MAX_CLASSES, Moments, Plane,
    Precision, Targets, check_batch, check_classified, check_judged,
};
use crate::geometry::Shape;
use crate::gpu::runtime::adapters::GpuAdapter;
use crate::gpu::runtime::device::{Device, Extras};
use crate::gpu::runtime::faults::Remedy;
use crate::gpu::runtime::memory;
use crate::gpu::runtime::pipelines::Pipelines;
use crate::gpu::runtime::readback;
use crate::gpu::runtime::timer::Timer;
use crate::network::{Architecture, ParameterLayout};
use crate::schedule::{Options, Schedule};
use crate::watcher::Flow;
use crate::{Error, Result};

/// Numbers to which the rows of planes are aligned: 64 bytes, a cache line.
const ALIGNMENT: usize = 16;
/// Submissions under way before another waits for the oldest, so that uploads do not pile up.
const SUBMISSIONS_UNDER_WAY: usize = 6;

/// What may be chosen about a [`GpuEngine`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GpuOptions {
    /// The sizes of tiles; `None` for those that are safe on the device.
    pub tuning: Option<Tuning>,
    /// Layers in a block of the schedule; `None` for those of the tuning.
    pub block: Option<usize>,
    /// Largest buffer of maps in bytes; `None` for as much as the device can bind.
    pub max_page_bytes: Option<u64>,
    /// Whether shaders check indices, loops and divisors while they run; `None` for what the environment variable
    /// `MSD_GPU_CHECKED_SHADERS` says, and no if it says nothing.
    pub checked_shaders: Option<bool>,
    /// Whether the adapter is used as if its driver had no known fault ([`crate::gpu::FAULTS`]), to see whether it has it.
    pub despite_faults: bool,
    /// How feature maps and gradient maps are stored; halves are for adapters that have them ([`GpuAdapter::has_halves`]).
    pub precision: Precision,
}

/// An engine on a graphics processor.
pub struct GpuEngine {
    device: Device,
    architecture: Architecture,
    layout: ParameterLayout,
    options: Options,
    tuning: Tuning,
    dispatch_limits: DispatchLimits,
    pipelines: Pipelines,
    fixed: Fixed,
    optimiser: Optimiser,
    shapes: Shapes,
    losses: Losses,
    under_way: VecDeque<wgpu::SubmissionIndex>,
    /// While steps are timed. Passes are then waited for one by one.
    timer: Option<Timer>,
}

impl GpuEngine {
    /// Opens a device for a network with `parameters` in the order of [`ParameterLayout`]. Kernels are compiled and memory for images is
    /// taken later, by the first pass over each shape.
    ///
    /// # Errors
    /// [`Error::Setting`] when the architecture is unusable, and for halves on a device without them; [`Error::Mismatch`] when there are not as many parameters as it has;
    /// [`Error::Device`] when the device cannot be opened, or is avoided for a fault of its driver; [`Error::OutOfMemory`] when it has
    /// no memory for the parameters.
    pub fn open(
        adapter: &GpuAdapter,
        architecture: &Architecture,
        parameters: &[f32],
        options: GpuOptions,
    ) -> Result<Self> {
        architecture.validate()?;
        let layout = ParameterLayout::of(architecture);
        let fault = adapter.fault().filter(|_| !options.despite_faults);
        let tuning = match fault {
            Some(fault) if fault.remedy == Remedy::Avoid => return Err(fault.error(&adapter.info().name)),
            Some(_) => Tuning::safe_on(adapter),
            None => options.tuning.unwrap_or_else(|| Tuning::safe_on(adapter)),
        };
        let half_maps = options.precision == Precision::Half;
        if half_maps && !adapter.has_halves() {
            let wanted = format!(
                "{} cannot store feature maps as halves (SHADER_F16 of wgpu); use `precision full`, or another device",
                adapter.info().name
            );
            return Err(Error::setting("precision", Precision::Half.name(), wanted));
        }
        // Kernels with matrices read numbers of four bytes.
        let extras = Extras { matrices: tuning.matrices > 0 && !half_maps, halves: half_maps };
        let device = Device::open(adapter, options.checked_shaders, extras)?;
        let tuning = tuning.within(&device.limits);
        let limits = DispatchLimits::new(device.limits.max_compute_workgroups_per_dimension);
        let limits = if device.info.shares_memory { limits } else { limits.of_card() };
        let workgroup_bytes = device.limits.max_compute_workgroup_storage_size;
        let limits = DispatchLimits { matrices: device.matrices, workgroup_bytes, ..limits };
        let most = memory::max_page_bytes(&device.limits, if half_maps { 2 } else { 4 });
        let options = Options {
            block: options.block.unwrap_or(tuning.block as usize).max(1),
            max_page_bytes: options.max_page_bytes.map_or(most, |bytes| bytes.min(most)),
            alignment: ALIGNMENT,
            share_planes: true,
            half_maps,
        };
        let fixed = Fixed::new(&device, architecture)?;
        let optimiser = Optimiser::new(&device, layout.clone())?;
        let mut engine = Self {
            device,
            architecture: architecture.clone(),
            layout,
            options,
            tuning,
            dispatch_limits: limits,
            pipelines: Pipelines::default(),
            fixed,
            optimiser,
            shapes: Shapes::default(),
            losses: Losses::default(),
            under_way: VecDeque::new(),
            timer: None,
        };
        engine.set_parameters(parameters)?;
        engine.set_average(parameters)?;
        Ok(engine)
    }

    /// Whether kernels use the device's matrix units.
    pub fn uses_matrices(&self) -> bool {
        self.device.matrices.is_some() && self.tuning.matrices > 0
    }

    /// Changes the sizes of tiles and blocks. Kernels that were compiled before are kept.
    ///
    /// # Errors
    /// When the device fails.
    pub(in crate::gpu) fn retune(&mut self, tuning: Tuning) -> Result<()> {
        self.shapes.clear(&self.device)?;
        (self.tuning, self.options.block) = (tuning.within(&self.device.limits), tuning.block as usize);
        Ok(())
    }

    /// The schedule for `shape` as dispatches.
    fn plan(&self, shape: Shape, pass: Pass) -> Result<Plan> {
        let trains = matches!(pass, Pass::Training(_));
        let schedule = if trains { Schedule::training } else { Schedule::forward };
        Ok(self.plan_of(schedule(&self.architecture, shape, &self.options)?, pass))
    }

    /// The dispatches of a schedule, with room in it for what the tuning wants.
    fn plan_of(&self, schedule: Schedule, pass: Pass) -> Plan {
        let schedule = schedule.with_sums_apart(self.tuning.layers_at_once(), self.options.max_page_bytes);
        plan::plan(schedule, pass, &self.tuning, self.dispatch_limits)
    }

    /// Makes the buffers and the recording for a pass over `shape` the current ones.
    fn prepare(&mut self, shape: Shape, pass: Pass) -> Result<()> {
        if self.shapes.turn_to(shape, pass) {
            return Ok(());
        }
        // Where the shape was trained with, its outputs are computed in the planes of training.
        let trained =
            self.shapes.current().is_some_and(|current| current.shape() == shape && current.trains());
        let plan = if trained && !matches!(pass, Pass::Training(_)) {
            let schedule = Schedule::training(&self.architecture, shape, &self.options)?.into_forward();
            self.plan_of(schedule, pass)
        } else {
            self.plan(shape, pass)?
        };
        let (device, pipelines) = (&self.device, &mut self.pipelines);
        self.shapes.add(device, pipelines, &self.fixed, &self.architecture, &plan, pass)
    }

    /// Uploads a batch and records the pass over it.
    fn start(
        &mut self,
        images: &Images,
        targets: Option<&Targets>,
        pass: Pass,
    ) -> Result<Vec<wgpu::CommandBuffer>> {
        self.prepare(images.shape, pass)?;
        let device = &self.device;
        let current = self.shapes.current_mut().filter(|current| current.is_ready(images.shape, pass));
        let current = current.ok_or_else(|| device.error("preparing a pass", "nothing was prepared"))?;
        // Writes are staged now and copied when the queue comes to them, after the steps under way: so one buffer is
        // enough for uploading the next images while these are in use.
        device.queue.write_buffer(current.images(), 0, bytemuck::cast_slice(&images.pixels));
        if let Some(targets) = targets {
            current.upload_targets(device, targets);
        }
        let mut commands = current.record(device, pass, self.timer.as_mut())?;
        if let Some(timer) = &self.timer {
            let mut encoder = device.wgpu.create_command_encoder(&Default::default());
            timer.resolve(&mut encoder);
            commands.push(encoder.finish());
        }
        Ok(commands)
    }

    /// Uploads the scale and the number of the loss for the present call.
    fn set_call(&self, targets: &Targets, loss: Loss, scale: f32, split: SplitFactors) {
        let weighted = u32::from(targets.weights.is_some());
        let number = loss.number().unwrap_or_default() as f32;
        let call = LossCall { scale, weighted, number, ..split.call() };
        self.device.queue.write_buffer(&self.fixed.call, 0, bytemuck::bytes_of(&call));
    }

    /// Keeps the number of submissions under way bounded, and collects what was timed.
    fn submitted(&mut self, submission: wgpu::SubmissionIndex, doing: &str) -> Result<()> {
        if let Some(timer) = &mut self.timer {
            timer.collect(&self.device)?;
        }
        self.under_way.push_back(submission);
        if self.under_way.len() > SUBMISSIONS_UNDER_WAY {
            let oldest = self.under_way.pop_front();
            self.device.wait(oldest, doing)?;
        }
        self.device.check(doing)
    }

    /// The pass that takes most memory of those without gradients and targets.
    fn applying(&self) -> Pass {
        if self.architecture.outputs <= MAX_CLASSES { Pass::Classify } else { Pass::Forward }
    }

    /// Bytes that a plan takes, together with the network's parameters.
    fn bytes_of(&self, plan: &Plan) -> u64 {
        let parameters = 5 * 4 * self.layout.count() as u64;
        let params = recorder::uniform_bytes(plan, &self.device.limits);
        plan.bytes().saturating_add(parameters + params)
    }

    fn read_numbers(&self, buffer: &wgpu::Buffer, doing: &str) -> Result<Vec<f32>> {
        self.device.check(doing)?;
        readback::read(&self.device, Vec::new(), buffer, 0..self.layout.count(), doing)
    }

    /// Replaces numbers that are one for each parameter.
    fn write_numbers(&self, buffer: &wgpu::Buffer, what: &str, numbers: &[f32]) -> Result<()> {
        let wanted = self.layout.count();
        if numbers.len() != wanted {
            let found = numbers.len();
            return Err(Error::Mismatch(format!(
                "there are {found} {what}, but the network has {wanted} parameters; give one for each"
            )));
        }
        let doing = format!("writing the {what}");
        self.device.check(&doing)?;
        self.device.queue.write_buffer(buffer, 0, bytemuck::cast_slice(numbers));
        self.device.check(&doing)
    }
}

impl Engine for GpuEngine {
    fn device(&self) -> &DeviceInfo {
        &self.device.info
    }

    fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    fn set_parameters(&mut self, parameters: &[f32]) -> Result<()> {
        self.write_numbers(&self.fixed.parameters, "parameters", parameters)
    }

    fn parameters(&mut self) -> Result<Vec<f32>> {
        self.read_numbers(&self.fixed.parameters, "reading the parameters")
    }

    fn set_moments(&mut self, moments: &Moments) -> Result<()> {
        self.write_numbers(&self.fixed.first_moments, "first moments", &moments.first)?;
        self.write_numbers(&self.fixed.second_moments, "second moments", &moments.second)
    }

    fn moments(&mut self) -> Result<Moments> {
        let first = self.read_numbers(&self.fixed.first_moments, "reading the first moments")?;
        let second = self.read_numbers(&self.fixed.second_moments, "reading the second moments")?;
        Ok(Moments { first, second })
    }

    fn set_average(&mut self, average: &[f32]) -> Result<()> {
        self.write_numbers(&self.fixed.average, "averaged parameters", average)
    }

    fn average(&mut self) -> Result<Vec<f32>> {
        self.read_numbers(&self.fixed.average, "reading the averaged parameters")
    }

    // What is given to a GPU is computed to its end.
    fn forward_while(&mut self, images: &Images, _: &mut dyn FnMut(f64) -> Flow) -> Result<Vec<f32>> {
        let doing = "applying the network";
        check_batch(&self.architecture, images, None)?;
        self.device.check(doing)?;
        let commands = self.start(images, None, Pass::Forward)?;
        let current =
            self.shapes.current().ok_or_else(|| self.device.error(doing, "nothing was prepared"))?;
        let outputs = current.run_forward(&self.device, commands, doing)?;
        if let Some(timer) = &mut self.timer {
            timer.collect(&self.device)?;
        }
        Ok(outputs)
    }

    fn classify_while(&mut self, images: &Images, _: &mut dyn FnMut(f64) -> Flow) -> Result<Vec<u8>> {
        let doing = "taking classes";
        check_classified(&self.architecture, images)?;
        self.device.check(doing)?;
        let commands = self.start(images, None, Pass::Classify)?;
        let current =
            self.shapes.current().ok_or_else(|| self.device.error(doing, "nothing was prepared"))?;
        let classes = current.run_classifying(&self.device, commands, doing)?;
        if let Some(timer) = &mut self.timer {
            timer.collect(&self.device)?;
        }
        Ok(classes)
    }

    fn judge(&mut self, images: &Images, targets: &Targets, loss: Loss) -> Result<Judged> {
        let doing = "judging the network";
        check_judged(&self.architecture, images, targets, loss)?;
        if !loss.is_of_classes() {
            // The metrics of a regression need all outputs, which are read back in any case. Computing the loss on the device would
            // save nothing and need an upload of the targets, so it is computed here, in float64.
            let outputs = self.forward(images)?;
            return Ok(Judged::of(loss, targets, outputs, images.shape.extent.pixels()));
        }
        self.device.check(doing)?;
        let commands = self.start(images, Some(targets), Pass::Judge(loss.kind()))?;
        self.set_call(targets, loss, 1.0, SplitFactors::default());
        let current =
            self.shapes.current().ok_or_else(|| self.device.error(doing, "nothing was prepared"))?;
        let judged = current.run_judging(&self.device, commands, (targets, loss), doing)?;
        if let Some(timer) = &mut self.timer {
            timer.collect(&self.device)?;
        }
        Ok(judged)
    }

    fn accumulate_while(
        &mut self,
        images: &Images,
        targets: &Targets,
        loss: Loss,
        scale: f32,
        _: &mut dyn FnMut() -> Flow,
    ) -> Result<()> {
        let doing = "computing gradients";
        check_batch(&self.architecture, images, Some((targets, loss)))?;
        self.device.check(doing)?;
        let commands = self.start(images, Some(targets), Pass::Training(loss.kind()))?;
        let split = match self.uses_matrices() {
            true => SplitFactors::of(images, targets, scale),
            false => SplitFactors::default(),
        };
        self.set_call(targets, loss, scale, split);
        // The largest output gradient is looked for anew.
        self.device.queue.write_buffer(&self.fixed.scaling, 0, &[0; scaling::BEYOND_AT as usize]);
        let submission = self.device.queue.submit(commands);
        self.submitted(submission, doing)
    }

    fn update(&mut self, adam: &Adam) -> Result<()> {
        let doing = "updating the parameters";
        self.device.check(doing)?;
        let clips = adam.clip_norm.is_some();
        self.optimiser.prepare(&self.device, &mut self.pipelines, &self.fixed, clips)?;
        let staging = self.losses.next(&self.device)?;
        let mut encoder = self.device.wgpu.create_command_encoder(&Default::default());
        let span = self.timer.as_mut().map(|timer| timer.span(&self.device, "update")).transpose()?;
        let most = self.dispatch_limits.workgroups;
        self.optimiser.record(&self.device, &mut encoder, &self.fixed, adam, most, span);
        if let Some(timer) = &self.timer {
            timer.resolve(&mut encoder);
        }
        encoder.copy_buffer_to_buffer(&self.fixed.loss, 0, &staging, 0, 4);
        encoder.clear_buffer(&self.fixed.loss, 0, None);
        encoder.copy_buffer_to_buffer(&self.fixed.scaling, scaling::BEYOND_AT, &staging, 4, 4);
        encoder.clear_buffer(&self.fixed.scaling, scaling::BEYOND_AT, None);
        let submission = self.device.queue.submit([encoder.finish()]);
        self.losses.sent(staging, submission.clone());
        self.submitted(submission, doing)
    }

    fn losses(&mut self, wait: bool) -> Result<Vec<f32>> {
        self.device.check("reading losses")?;
        self.losses.take(&self.device, wait)
    }

    fn gradients(&mut self) -> Result<Vec<f32>> {
        self.read_numbers(&self.fixed.gradients, "reading the gradients")
    }

    fn take_gradients(&mut self) -> Result<Gradients> {
        let doing = "taking the gradients";
        let values = self.read_numbers(&self.fixed.gradients, doing)?;
        let loss: Vec<f32> = readback::read(&self.device, Vec::new(), &self.fixed.loss, 0..1, doing)?;
        let mut encoder = self.device.wgpu.create_command_encoder(&Default::default());
        encoder.clear_buffer(&self.fixed.gradients, 0, None);
        encoder.clear_buffer(&self.fixed.loss, 0, None);
        let submission = self.device.queue.submit([encoder.finish()]);
        self.submitted(submission, doing)?;
        Ok(Gradients { values, loss: loss.iter().copied().map(f64::from).sum() })
    }

    fn set_gradients(&mut self, gradients: &Gradients) -> Result<()> {
        self.write_numbers(&self.fixed.gradients, "gradients", &gradients.values)?;
        self.device.queue.write_buffer(&self.fixed.loss, 0, bytemuck::bytes_of(&(gradients.loss as f32)));
        self.device.check("writing the gradients")
    }

    fn read_plane(&mut self, plane: Plane, image: usize) -> Result<Vec<f32>> {
        self.device.check("reading a plane")?;
        let found = match self.shapes.current() {
            Some(current) => current.read_plane(&self.device, &self.fixed, plane, image)?,
            None => None,
        };
        let missing = || format!("there is no {plane:?} of image {image}; run a pass that computes it first");
        found.ok_or_else(|| Error::Mismatch(missing()))
    }

    fn time_steps(&mut self, on: bool) -> bool {
        self.timer = if on { Timer::new(&self.device) } else { None };
        on && self.timer.is_some()
    }

    fn step_seconds(&mut self) -> Vec<(&'static str, f64)> {
        self.timer.as_mut().map_or(Vec::new(), Timer::take)
    }

    fn traffic(&self, shape: Shape, training: bool) -> Result<Vec<(&'static str, u64)>> {
        let schedule = if training { Schedule::training } else { Schedule::forward };
        Ok(schedule(&self.architecture, shape, &self.options)?.traffic())
    }

    fn bytes(&self, shape: Shape, training: bool) -> Result<u64> {
        // Buffers are of one size for all losses.
        let pass = if training { Pass::Training(LossKind::SquaredError) } else { self.applying() };
        let plan = self.plan(shape, pass)?;
        plan.buffers().into_iter().try_for_each(|(name, bytes)| {
            memory::check(&self.device.limits, name, bytes, memory::Use::Storage)
        })?;
        Ok(self.bytes_of(&plan))
    }

    fn reserve(&mut self, shape: Shape) -> Result<()> {
        self.device.check("taking memory")?;
        self.prepare(shape, self.applying())
    }

    fn bytes_in_turns(&self, training: Shape, applying: &[Shape]) -> Result<u64> {
        // Buffers are of one size for all losses of classes; those of values are judged by a forward pass, which takes less.
        let judge = |shape: Shape| self.plan(shape, Pass::Judge(LossKind::CrossEntropy));
        // Planes and targets of training do for judging too.
        let mut all = vec![self.bytes(training, true)?];
        if applying.contains(&training) {
            all[0] = all[0].saturating_add(4 * judge(training)?.judged_length());
        }
        let mut shapes: Vec<Shape> = applying.iter().copied().filter(|shape| *shape != training).collect();
        shapes.dedup();
        for shape in shapes {
            all.push(self.bytes_of(&judge(shape)?));
        }
        all.sort_unstable();
        let largest = all.pop().unwrap_or(0);
        // Buffers of several shapes stay, the smaller ones if they are small enough.
        let fits = |spare: u64, bytes| if spare + bytes <= MAX_SPARE_BYTES { spare + bytes } else { spare };
        Ok(largest.saturating_add(all.into_iter().fold(0, fits)))
    }
}

#[cfg(test)]
mod tests;
