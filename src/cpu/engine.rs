//! The engine: owns the parameters and the planes, and runs schedules on them.

use std::time::Instant;

use super::lanes::Instructions;
use super::memory::WAY_OUT;
use super::steps::{Numbers, scratch_bytes};
use super::workspace::{ImageTarget, Objective, Workspace};
use crate::engine::{
    Adam, DeviceInfo, DeviceKind, Engine, Gradients, Images, Loss, Moments, Plane, Targets, check_batch,
};
use crate::geometry::{Extent, Shape};
use crate::network::{Architecture, ParameterLayout};
use crate::schedule::{Options, Schedule};
use crate::watcher::Flow;
use crate::{Error, Result, memory};

/// Layers in a block unless the options say otherwise: measured best at 256x256, depth 50 (1, 5, 10 and 20 were tried).
const BLOCK: usize = 10;
/// The same for volumes: the gradients of a block take planes of their own, and 27 taps make up for maps that are read more often.
const BLOCK_OF_VOLUMES: usize = 5;
/// Numbers that rows are aligned to: a cache line.
const ALIGNMENT: usize = 16;
/// How a [`CpuEngine`] works.
#[derive(Debug, Clone, Default)]
pub struct CpuOptions {
    /// Layers in a block of the schedule; `None` for the measured best.
    pub block: Option<usize>,
}

/// An engine on the processor.
///
/// A batch is taken image by image, so its memory does not depend on the size of the batch. Each image adds one number to the gradient
/// of a parameter, so that a batch gives the same bits as the gradients of its images, added in their order.
pub struct CpuEngine {
    device: DeviceInfo,
    block: usize,
    numbers: Numbers,
    moments: Moments,
    average: Vec<f32>,
    /// Loss added since the last update, and the losses of ended steps.
    running_loss: f64,
    losses: Vec<f32>,
    /// For training steps.
    training: Option<Workspace>,
    /// For applying the network to images of another size than it is trained on: judging between steps then leaves the
    /// memory of training alone.
    applying: Option<Workspace>,
    /// Whether the last pass was in `training`.
    last_in_training: bool,
}

/// What the processor is called.
pub fn device() -> DeviceInfo {
    let threads = rayon::current_num_threads();
    let name = format!("CPU, {threads} threads, {}", Instructions::best().name());
    DeviceInfo {
        name,
        backend: "cpu".into(),
        kind: DeviceKind::Cpu,
        driver: String::new(),
        shares_memory: true,
    }
}

impl CpuEngine {
    /// An engine for `architecture` with `parameters` in the order of [`ParameterLayout`]. Memory for images is taken later, by the
    /// first pass over each size.
    ///
    /// # Errors
    /// [`Error::Setting`] when the architecture is unusable; [`Error::Mismatch`] when there are not as many parameters as it has.
    pub fn new(architecture: &Architecture, parameters: &[f32], options: &CpuOptions) -> Result<Self> {
        architecture.validate()?;
        let layout = ParameterLayout::of(architecture);
        let count = layout.count();
        let mut engine = Self {
            device: device(),
            block: options.block.unwrap_or(if architecture.is_of_volumes() {
                BLOCK_OF_VOLUMES
            } else {
                BLOCK
            }),
            numbers: Numbers {
                architecture: architecture.clone(),
                layout,
                instructions: Instructions::best(),
                parameters: vec![0.0; count],
                gradients: vec![0.0; count],
                seconds: Default::default(),
            },
            moments: Moments { first: vec![0.0; count], second: vec![0.0; count] },
            average: parameters.to_vec(),
            running_loss: 0.0,
            losses: Vec::new(),
            training: None,
            applying: None,
            last_in_training: false,
        };
        engine.set_parameters(parameters)?;
        Ok(engine)
    }

    fn schedule(&self, extent: Extent, training: bool) -> Result<Schedule> {
        let options = Options {
            block: self.block,
            max_page_bytes: u64::MAX,
            alignment: ALIGNMENT,
            share_planes: true,
            half_maps: false,
        };
        let shape = Shape { batch: 1, extent };
        let build = if training { Schedule::training } else { Schedule::forward };
        build(&self.numbers.architecture, shape, &options)
    }

    /// Makes the planes for images of this size ready, and notes in `last_in_training` which they are.
    fn prepare(&mut self, extent: Extent, training: bool) -> Result<()> {
        let fits = |workspace: &Option<Workspace>| {
            workspace.as_ref().is_some_and(|workspace| workspace.schedule.shape.extent == extent)
        };
        // Planes for training do for applying too.
        self.last_in_training = training || fits(&self.training);
        if self.last_in_training && fits(&self.training) || !self.last_in_training && fits(&self.applying) {
            return Ok(());
        }
        let schedule = self.schedule(extent, training)?;
        let place = if training { &mut self.training } else { &mut self.applying };
        let before = place.take();
        let wanted = schedule.bytes().saturating_add(scratch_bytes(&schedule));
        let taken = before.as_ref().map_or(0, Workspace::capacity);
        let bytes = wanted.saturating_sub(taken);
        memory::check("the planes of this network and image size", bytes, WAY_OUT)?;
        *place = Some(Workspace::new(schedule, before)?);
        Ok(())
    }

    /// The planes that were made ready last, and the numbers.
    fn current(&mut self) -> Option<(&mut Workspace, &mut Numbers)> {
        let workspace = if self.last_in_training { &mut self.training } else { &mut self.applying };
        workspace.as_mut().map(|workspace| (workspace, &mut self.numbers))
    }

    fn check_count(&self, what: &str, found: usize) -> Result<()> {
        let wanted = self.numbers.layout.count();
        if found == wanted {
            return Ok(());
        }
        Err(Error::Mismatch(format!("{found} {what} were given to a network that has {wanted} parameters")))
    }
}

impl Engine for CpuEngine {
    fn device(&self) -> &DeviceInfo {
        &self.device
    }

    fn architecture(&self) -> &Architecture {
        &self.numbers.architecture
    }

    fn set_parameters(&mut self, parameters: &[f32]) -> Result<()> {
        self.check_count("parameters", parameters.len())?;
        self.numbers.parameters.copy_from_slice(parameters);
        Ok(())
    }

    fn parameters(&mut self) -> Result<Vec<f32>> {
        Ok(self.numbers.parameters.clone())
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

    fn set_average(&mut self, average: &[f32]) -> Result<()> {
        self.check_count("averaged parameters", average.len())?;
        self.average.copy_from_slice(average);
        Ok(())
    }

    fn average(&mut self) -> Result<Vec<f32>> {
        Ok(self.average.clone())
    }

    fn forward_while(&mut self, images: &Images, go_on: &mut dyn FnMut(f64) -> Flow) -> Result<Vec<f32>> {
        check_batch(&self.numbers.architecture, images, None)?;
        self.prepare(images.shape.extent, false)?;
        let pixels = images.shape.extent.pixels();
        let count = images.shape.batch * self.numbers.architecture.outputs * pixels;
        let mut outputs = memory::reserve("the outputs of the network", count, WAY_OUT)?;
        let batch = images.shape.batch;
        for (index, image) in
            images.pixels.chunks_exact(self.numbers.architecture.inputs * pixels).enumerate()
        {
            if let Some((workspace, numbers)) = self.current() {
                let mut go_on = |done: f64| go_on((index as f64 + done) / batch as f64);
                if numbers.run(workspace, image, None, &mut go_on).is_none() {
                    return Err(Error::Stopped { done: index, count: batch });
                }
                workspace.take_outputs(&mut outputs);
            }
        }
        Ok(outputs)
    }

    fn accumulate_while(
        &mut self,
        images: &Images,
        targets: &Targets,
        loss: Loss,
        scale: f32,
        go_on: &mut dyn FnMut() -> Flow,
    ) -> Result<()> {
        check_batch(&self.numbers.architecture, images, Some((targets, loss)))?;
        self.prepare(images.shape.extent, true)?;
        let pixels = images.shape.extent.pixels();
        for (index, image) in
            images.pixels.chunks_exact(self.numbers.architecture.inputs * pixels).enumerate()
        {
            let target = ImageTarget::of(targets, index, pixels, self.numbers.architecture.outputs);
            let objective = Objective { target, loss, scale };
            if let Some((workspace, numbers)) = self.current() {
                let Some(loss) = numbers.run(workspace, image, Some(objective), &mut |_| go_on()) else {
                    self.take_gradients()?;
                    return Err(Error::Stopped { done: index, count: images.shape.batch });
                };
                self.running_loss += loss;
            }
        }
        Ok(())
    }

    fn update(&mut self, adam: &Adam) -> Result<()> {
        let start = Instant::now();
        let (rate, root) = (adam.corrected_rate() as f32, adam.root_correction() as f32);
        let (beta1, beta2, epsilon) = (adam.beta1 as f32, adam.beta2 as f32, adam.epsilon as f32);
        let (kept, averaged) = (adam.kept_share() as f32, adam.averaged_share() as f32);
        // Taken in float64: in float32, 1 - 0.999 is wrong in the fifth digit.
        let (share1, share2) = ((1.0 - adam.beta1) as f32, (1.0 - adam.beta2) as f32);
        let Numbers { parameters, gradients, layout, .. } = &mut self.numbers;
        let [frozen_filters, frozen_biases] = layout.first_layers(adam.frozen_layers);
        gradients[frozen_filters.clone()].fill(0.0);
        gradients[frozen_biases.clone()].fill(0.0);
        let clip = adam.clip_norm.map_or(1.0, |most| {
            let norm = gradients.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>().sqrt();
            if norm > most { (most / norm) as f32 } else { 1.0 }
        });
        for learnt in [frozen_filters.end..frozen_biases.start, frozen_biases.end..layout.learnt().end] {
            let numbers = parameters[learnt.clone()].iter_mut().zip(&mut gradients[learnt.clone()]);
            let (first, second) = (&mut self.moments.first, &mut self.moments.second);
            let moments = first[learnt.clone()].iter_mut().zip(&mut second[learnt.clone()]);
            for (((p, gradient), (m, v)), average) in numbers.zip(moments).zip(&mut self.average[learnt]) {
                let g = clip * *gradient;
                *m = beta1 * *m + share1 * g;
                *v = beta2 * *v + share2 * g * g;
                *p = kept * *p - rate * *m / (v.sqrt() * root + epsilon);
                *average += averaged * (*p - *average);
                *gradient = 0.0;
            }
        }
        self.losses.push(std::mem::take(&mut self.running_loss) as f32);
        *self.numbers.seconds.entry("update").or_default() += start.elapsed().as_secs_f64();
        Ok(())
    }

    fn losses(&mut self, _wait: bool) -> Result<Vec<f32>> {
        Ok(std::mem::take(&mut self.losses))
    }

    fn gradients(&mut self) -> Result<Vec<f32>> {
        Ok(self.numbers.gradients.clone())
    }

    fn take_gradients(&mut self) -> Result<Gradients> {
        let values = self.numbers.gradients.clone();
        self.numbers.gradients.fill(0.0);
        Ok(Gradients { values, loss: std::mem::take(&mut self.running_loss) })
    }

    fn set_gradients(&mut self, gradients: &Gradients) -> Result<()> {
        self.check_count("gradients", gradients.values.len())?;
        self.numbers.gradients.copy_from_slice(&gradients.values);
        self.running_loss = gradients.loss;
        Ok(())
    }

    fn read_plane(&mut self, plane: Plane, image: usize) -> Result<Vec<f32>> {
        let missing =
            || Error::Mismatch(format!("{plane:?} of image {image} was not computed by the last pass"));
        let workspace = if self.last_in_training { &self.training } else { &self.applying };
        let pass = workspace.as_ref().filter(|_| image == 0).ok_or_else(missing)?;
        let Schedule { architecture, map_layout, gradient_layout, output_layout, shape, .. } = &pass.schedule;
        let (channels, outputs) = (0..architecture.channels(), 0..architecture.outputs);
        let hidden = architecture.stem_channels()..channels.end;
        let (planes, held, index, form) = match plane {
            // Gradient maps have taken the places of later feature maps.
            Plane::Map(c) if pass.went_back && !pass.schedule.keeps_map(c) => return Err(missing()),
            Plane::Map(c) => (&pass.maps, channels, c, map_layout),
            Plane::Gradient(c) if pass.went_back && hidden.contains(&c) => {
                let index = pass.gradient_plane(c);
                (&pass.maps, index..index + 1, index, gradient_layout)
            }
            Plane::Gradient(_) => return Err(missing()),
            Plane::Output(output) => (&pass.outputs, outputs, output, output_layout),
            Plane::OutputGradient(output) if pass.went_back => {
                (&pass.output_gradients, outputs, output, output_layout)
            }
            Plane::OutputGradient(_) => return Err(missing()),
        };
        if !held.contains(&index) {
            return Err(missing());
        }
        Ok(planes.pixels(index, form, shape.extent))
    }

    // Two readings of the clock a step cost nothing that could be measured, so steps are always timed.
    fn time_steps(&mut self, on: bool) -> bool {
        self.numbers.seconds.clear();
        on
    }

    fn step_seconds(&mut self) -> Vec<(&'static str, f64)> {
        std::mem::take(&mut self.numbers.seconds).into_iter().collect()
    }

    fn traffic(&self, shape: Shape, training: bool) -> Result<Vec<(&'static str, u64)>> {
        let schedule = self.schedule(shape.extent, training)?;
        let batch = shape.batch as u64;
        Ok(schedule.traffic().into_iter().map(|(step, bytes)| (step, batch * bytes)).collect())
    }

    fn bytes_in_turns(&self, training: Shape, applying: &[Shape]) -> Result<u64> {
        let mut most = 0;
        for shape in applying.iter().filter(|shape| shape.extent != training.extent) {
            most = most.max(self.schedule(shape.extent, false)?.bytes());
        }
        Ok(self.bytes(training, true)?.saturating_add(most))
    }

    fn bytes(&self, shape: Shape, training: bool) -> Result<u64> {
        let parameters = 5 * 4 * self.numbers.layout.count() as u64;
        let schedule = self.schedule(shape.extent, training)?;
        Ok(schedule.bytes().saturating_add(scratch_bytes(&schedule)).saturating_add(parameters))
    }
}
