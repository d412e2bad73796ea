//! The trait that every engine implements, and the data that goes in and out.
//!
//! An engine holds one network's parameters, their gradients, their average and Adam's moments, and runs schedules
//! over batches of images. Gradients of several batches, also of different sizes, add up until
//! [`Engine::update`] uses them. Work may be queued on the device; methods that return numbers wait until these are computed. So an
//! error of the device may be returned by a later call than the one that caused it.

mod back_projection;
mod classes;
mod example;
mod gradients;
mod judged;
mod loss;
mod optimiser;
mod precision;
mod targets;

pub use back_projection::{BackProjection, BackProjector, LANES as BACK_PROJECTION_LANES};
pub(crate) use classes::check_classified;
use classes::most_likely_bytes;
pub use classes::{MAX_CLASSES, NOT_FINITE, most_likely};
pub use example::example_batch;
pub use gradients::Gradients;
pub(crate) use judged::check_judged;
pub use judged::{Judged, JudgedResult, LossSum, keep_inside};
pub(crate) use loss::DiceSums;
pub use loss::{Loss, LossKind};
pub use optimiser::{Adam, Moments};
pub use precision::Precision;
pub use targets::{IGNORED, TargetValues, Targets, check_batch};

use crate::Result;
use crate::geometry::Shape;
use crate::network::Architecture;
use crate::watcher::Flow;

/// What an engine runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// The device's name, as the driver gives it.
    pub name: String,
    /// `cpu`, `vulkan`, `metal`, `dx12` or `gl`.
    pub backend: String,
    /// What kind of device it is.
    pub kind: DeviceKind,
    /// The driver and its version, where there is one.
    pub driver: String,
    /// Whether its memory is that of the machine, as a processor's is and that of graphics beside one on a chip.
    pub shares_memory: bool,
}

/// Kinds of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    /// The processor, by this crate's own kernels.
    Cpu,
    /// A graphics processor.
    Gpu,
    /// A software implementation of a GPU, which computes on the processor. Meant for tests: the CPU engine is faster.
    Software,
}

/// What a device can do at best, as measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peaks {
    /// Float32 operations a second of multiply-adds in registers, each counted as two.
    pub operations: f64,
    /// Bytes a second of a copy through memory, reading and writing counted.
    pub copied_bytes: f64,
}

/// What a graphics device allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceLimits {
    /// Bytes of memory that it has, or may use of the machine's; `None` where the driver does not say.
    pub memory: Option<u64>,
    /// Bytes of the largest buffer.
    pub buffer_bytes: u64,
    /// Bytes of the largest piece of a buffer that a kernel can be given.
    pub binding_bytes: u64,
    /// Threads of the largest workgroup.
    pub workgroup_threads: u32,
    /// Bytes of memory that the threads of a workgroup share.
    pub workgroup_bytes: u32,
    /// Whether it has a clock that times kernels.
    pub has_clock: bool,
}

/// A batch of images of one size, already normalised.
#[derive(Debug, Clone, PartialEq)]
pub struct Images {
    /// Number and size of the images.
    pub shape: Shape,
    /// Pixels, `[image][channel][y][x]`.
    pub pixels: Vec<f32>,
}

/// The planes that can be read back for a cross-check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plane {
    /// The feature map of a channel, inputs counted in.
    Map(usize),
    /// The gradient map of a hidden channel, inputs counted in.
    Gradient(usize),
    /// An output.
    Output(usize),
    /// The gradient of an output.
    OutputGradient(usize),
}

/// Runs one network on one device.
pub trait Engine: Send {
    /// What it runs on.
    fn device(&self) -> &DeviceInfo;

    /// The network.
    fn architecture(&self) -> &Architecture;

    /// Replaces all parameters, in the order of [`crate::network::ParameterLayout`]. Moments, gradients and average stay as they are.
    ///
    /// # Errors
    /// [`crate::Error::Mismatch`] when there are not as many as the network has; [`crate::Error::Device`] when the device fails.
    fn set_parameters(&mut self, parameters: &[f32]) -> Result<()>;

    /// Reads all parameters, in the order of [`crate::network::ParameterLayout`].
    ///
    /// # Errors
    /// [`crate::Error::Device`] when the device fails.
    fn parameters(&mut self) -> Result<Vec<f32>>;

    /// Replaces Adam's moments, both in the order of the parameters.
    ///
    /// # Errors
    /// As [`Engine::set_parameters`].
    fn set_moments(&mut self, moments: &Moments) -> Result<()>;

    /// Reads Adam's moments, both in the order of the parameters.
    ///
    /// # Errors
    /// As [`Engine::parameters`].
    fn moments(&mut self) -> Result<Moments>;

    /// Replaces the average of the parameters, in their order. It starts as the parameters that the engine was opened with.
    ///
    /// # Errors
    /// As [`Engine::set_parameters`].
    fn set_average(&mut self, average: &[f32]) -> Result<()>;

    /// Reads the average of the parameters, in their order; see [`Adam::average_decay`].
    ///
    /// # Errors
    /// As [`Engine::parameters`].
    fn average(&mut self) -> Result<Vec<f32>>;

    /// The network's raw outputs for a batch, `[image][output][y][x]`.
    ///
    /// # Errors
    /// [`crate::Error::Mismatch`] when the batch does not fit the network or has no pixels; [`crate::Error::Setting`] for a shape that
    /// engines cannot compute, such as one with several slices; [`crate::Error::OutOfMemory`]; [`crate::Error::Device`] when the device
    /// fails.
    fn forward(&mut self, images: &Images) -> Result<Vec<f32>> {
        self.forward_while(images, &mut |_| Flow::Continue(()))
    }

    /// As [`Engine::forward`]. An engine that computes layer by layer while this is called tells `go_on` after each of them which share is
    /// done, from 0 to 1, and is stopped by it.
    ///
    /// # Errors
    /// [`crate::Error::Stopped`] where `go_on` asked for that; else as [`Engine::forward`].
    fn forward_while(&mut self, images: &Images, go_on: &mut dyn FnMut(f64) -> Flow) -> Result<Vec<f32>>;

    /// The most likely class of each pixel of a batch, `[image][y][x]`: the index of its largest output, the lowest where several are
    /// equal. [`NOT_FINITE`] stands where an output of the pixel is not a finite number. All of it may happen on the device, from which only
    /// a byte a pixel is read back. `go_on` is that of [`Engine::forward_while`].
    ///
    /// # Errors
    /// [`crate::Error::Mismatch`] for a network with more than [`MAX_CLASSES`] outputs; else as [`Engine::forward_while`].
    fn classify_while(&mut self, images: &Images, go_on: &mut dyn FnMut(f64) -> Flow) -> Result<Vec<u8>> {
        check_classified(self.architecture(), images)?;
        let outputs = self.forward_while(images, go_on)?;
        Ok(most_likely_bytes(&outputs, self.architecture().outputs, images.shape))
    }

    /// [`Engine::classify_while`], to its end.
    ///
    /// # Errors
    /// As [`Engine::classify_while`].
    fn classify(&mut self, images: &Images) -> Result<Vec<u8>> {
        self.classify_while(images, &mut |_| Flow::Continue(()))
    }

    /// Applies the network to one image and compares its outputs with the targets: the loss, before any scale, and the most likely
    /// classes or the values. Gradients stay as they are. All of it may happen on the device, from which only what metrics need is
    /// read back.
    ///
    /// # Errors
    /// [`crate::Error::Mismatch`] for more than one image and for images or targets that do not fit the network or the loss; else as
    /// [`Engine::forward`].
    fn judge(&mut self, images: &Images, targets: &Targets, loss: Loss) -> Result<Judged> {
        check_judged(self.architecture(), images, targets, loss)?;
        let outputs = self.forward(images)?;
        Ok(Judged::of(loss, targets, outputs, images.shape.extent.pixels()))
    }

    /// Adds a batch to the present step: its loss, and the gradients of all parameters. The loss is the weighted sum over all
    /// terms times `scale`; pass one over the total weight of the whole step ([`Targets::total_weight`]) to get the mean.
    ///
    /// # Errors
    /// [`crate::Error::Mismatch`] when images or targets do not fit the network or the loss; else as [`Engine::forward`].
    fn accumulate(&mut self, images: &Images, targets: &Targets, loss: Loss, scale: f32) -> Result<()> {
        self.accumulate_while(images, targets, loss, scale, &mut || Flow::Continue(()))
    }

    /// As [`Engine::accumulate`]. An engine that computes layer by layer while this is called asks `go_on` after each of them, and is
    /// stopped by it: then gradients and loss are what they are after an update.
    ///
    /// # Errors
    /// [`crate::Error::Stopped`] where `go_on` asked for that; else as [`Engine::accumulate`].
    fn accumulate_while(
        &mut self,
        images: &Images,
        targets: &Targets,
        loss: Loss,
        scale: f32,
        go_on: &mut dyn FnMut() -> Flow,
    ) -> Result<()>;

    /// Ends the step: changes parameters, moments and average by the gradients that were added since the last update, and sets the
    /// gradients to 0.
    ///
    /// # Errors
    /// [`crate::Error::Device`] when the device fails; [`crate::Error::OutOfMemory`] when a buffer for this cannot be made.
    fn update(&mut self, adam: &Adam) -> Result<()>;

    /// The losses of ended steps that no earlier call has returned, one for each step, in the order of the steps. With `wait` all of
    /// them, else those that are already computed and read back.
    ///
    /// # Errors
    /// [`crate::Error::Device`] when the device fails.
    fn losses(&mut self, wait: bool) -> Result<Vec<f32>>;

    /// The sum of the gradients added since the last update, in the order of the parameters.
    ///
    /// # Errors
    /// [`crate::Error::Device`] when the device fails.
    fn gradients(&mut self) -> Result<Vec<f32>>;

    /// Reads what was added since the last update, and takes it away, so that gradients that are added next begin at 0.
    ///
    /// # Errors
    /// [`crate::Error::Device`] when the device fails.
    fn take_gradients(&mut self) -> Result<Gradients>;

    /// Puts `gradients` in the place of what was added since the last update.
    ///
    /// # Errors
    /// As [`Engine::set_parameters`].
    fn set_gradients(&mut self, gradients: &Gradients) -> Result<()>;

    /// Reads one plane `[y][x]` of image `image` of the batch as the last pass left it, without margins; for cross-checks.
    ///
    /// # Errors
    /// [`crate::Error::Mismatch`] when the last pass did not compute that plane or has put another one in its place;
    /// [`crate::Error::Device`] when the device fails.
    fn read_plane(&mut self, plane: Plane, image: usize) -> Result<Vec<f32>>;

    /// Starts timing each kind of step from 0, or stops it. Returns whether steps are timed from now on: not every device can. While
    /// steps are timed, passes may take longer in total, as the engine may have to run them step by step; otherwise timing costs
    /// nothing.
    fn time_steps(&mut self, on: bool) -> bool {
        let _ = on;
        false
    }

    /// Seconds that each kind of step took since the last call of this method, while they are timed: by [`Step::name`], `judge` and
    /// `classify` for what [`Engine::judge`] and [`Engine::classify`] do after a forward pass, and `update` for [`Engine::update`].
    ///
    /// [`Step::name`]: crate::schedule::Step::name
    fn step_seconds(&mut self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }

    /// Bytes that each kind of step of a pass over `shape` must move through memory at least; see
    /// [`crate::schedule::Schedule::traffic`].
    ///
    /// # Errors
    /// When the shape is unusable or too large for the engine.
    fn traffic(&self, shape: Shape, training: bool) -> Result<Vec<(&'static str, u64)>>;

    /// Bytes of the device's memory that a pass over `shape` takes, parameters included; with gradients if `training`, else with what
    /// [`Engine::classify`] takes.
    ///
    /// # Errors
    /// When the shape is unusable or too large for the engine.
    fn bytes(&self, shape: Shape, training: bool) -> Result<u64>;

    /// Takes the memory of the device for applying the network to batches of `shape`, so that it is known whether there is enough; it is kept
    /// as that of a pass is. Does nothing on devices of which that is known otherwise.
    ///
    /// # Errors
    /// As [`Engine::forward`].
    fn reserve(&mut self, shape: Shape) -> Result<()> {
        let _ = shape;
        Ok(())
    }

    /// Bytes of memory that training on batches of one shape takes while images of other shapes are judged between its steps.
    ///
    /// # Errors
    /// As [`Engine::bytes`].
    fn bytes_in_turns(&self, training: Shape, applying: &[Shape]) -> Result<u64>;
}
