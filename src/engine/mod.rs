//! The trait that every engine implements, and the data that goes in and out.
//!
//! An engine holds one network's parameters, their gradients, their average and Adam's moments, and runs schedules
//! over batches of images. Gradients of several batches, also of different sizes, add up until
//! [`Engine::update`] uses them. Work may be queued: only what returns numbers waits for it.

mod example;
mod judged;
mod loss;
mod optimiser;
mod targets;

pub use example::example_batch;
pub(crate) use judged::check_judged;
pub use judged::{Judged, JudgedResult, LossSum, keep_inside, most_likely};
pub(crate) use loss::DiceSums;
pub use loss::{Loss, LossKind};
pub use optimiser::{Adam, Moments};
pub use targets::{IGNORED, TargetValues, Targets, check_batch};

use crate::Result;
use crate::geometry::Shape;
use crate::network::Architecture;

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
}

/// Kinds of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    /// The processor, by this crate's own kernels.
    Cpu,
    /// A graphics processor.
    Gpu,
    /// A program that plays a graphics processor on the processor: for tests, not for people.
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

    /// Replaces all parameters, in the order of [`crate::network::ParameterLayout`].
    fn set_parameters(&mut self, parameters: &[f32]) -> Result<()>;

    /// Reads all parameters.
    fn parameters(&mut self) -> Result<Vec<f32>>;

    /// Replaces Adam's moments.
    fn set_moments(&mut self, moments: &Moments) -> Result<()>;

    /// Reads Adam's moments.
    fn moments(&mut self) -> Result<Moments>;

    /// Replaces the average of the parameters, which starts as those that the engine was opened with.
    fn set_average(&mut self, average: &[f32]) -> Result<()>;

    /// Reads the average of the parameters; see [`Adam::average_decay`].
    fn average(&mut self) -> Result<Vec<f32>>;

    /// The outputs for a batch, `[image][output][y][x]`.
    fn forward(&mut self, images: &Images) -> Result<Vec<f32>>;

    /// Applies the network to one image, and judges its outputs by the targets; gradients are left alone. All of it may happen
    /// on the device, where only what metrics need comes back.
    ///
    /// # Errors
    /// [`crate::Error::Mismatch`] for more than one image and for what does not fit the network; else as [`Engine::forward`].
    fn judge(&mut self, images: &Images, targets: &Targets, loss: Loss) -> Result<Judged> {
        check_judged(self.architecture(), images, targets, loss)?;
        let outputs = self.forward(images)?;
        Ok(Judged::of(loss, targets, outputs, images.shape.extent.pixels()))
    }

    /// Adds a batch to the step: its loss, and the gradients of all parameters. The loss is the weighted sum over all
    /// terms times `scale`; give one over the total weight of the whole step to get the mean.
    fn accumulate(&mut self, images: &Images, targets: &Targets, loss: Loss, scale: f32) -> Result<()>;

    /// Ends the step: moves the parameters along the gradients added since the last update, and clears them.
    fn update(&mut self, adam: &Adam) -> Result<()>;

    /// Losses of ended steps that were not handed out yet, in order. Without `wait` only those that are at hand.
    fn losses(&mut self, wait: bool) -> Result<Vec<f32>>;

    /// The gradients added since the last update.
    fn gradients(&mut self) -> Result<Vec<f32>>;

    /// Reads one plane `[y][x]` of image `image` as the last pass left it, for a cross-check.
    fn read_plane(&mut self, plane: Plane, image: usize) -> Result<Vec<f32>>;

    /// Starts timing the kinds of steps anew, or stops it; whether they are timed from now on. An engine may have to run
    /// step by step for it, so timed passes can be slower in all; where nobody asks, timing costs nothing.
    fn time_steps(&mut self, on: bool) -> bool {
        let _ = on;
        false
    }

    /// Seconds that each kind of step took since this was last asked, while they are timed: by [`Step::name`], `judge` for
    /// what [`Engine::judge`] does after a forward pass, and `update` for [`Engine::update`].
    ///
    /// [`Step::name`]: crate::schedule::Step::name
    fn step_seconds(&mut self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }

    /// Bytes that each kind of step of a pass over `shape` must move; see [`crate::schedule::Schedule::traffic`].
    fn traffic(&self, shape: Shape, training: bool) -> Result<Vec<(&'static str, u64)>>;

    /// Bytes of memory that a pass over `shape` takes, with gradients if `training`.
    fn bytes(&self, shape: Shape, training: bool) -> Result<u64>;

    /// Bytes of memory that training on batches of one shape takes while images of other shapes are judged between its steps.
    ///
    /// # Errors
    /// As [`Engine::bytes`].
    fn bytes_in_turns(&self, training: Shape, applying: &[Shape]) -> Result<u64>;
}
