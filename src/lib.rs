//! Train and apply Mixed-Scale Dense (MS-D) networks on scientific images, on any GPU or on a plain CPU.
//!
//! MS-D networks (Pelt & Sethian, PNAS 2018, doi 10.1073/pnas.1715832114) learn to segment and to denoise
//! from a handful of examples: every layer is one dilated 3x3 convolution over *all* earlier feature maps,
//! nothing is scaled down or up, and a 1x1 mix of all maps is the output. A hundred layers have fifty
//! thousand parameters.
//!
//! # A tour
//!
//! Modules are listed from the ground up: each uses only modules that are listed before it.
//!
//! Small things that all others may use:
//!
//! - [`error`]: the crate's one error type. [`watcher`]: progress callbacks, which can also stop the work.
//! - [`settings`]: what a setting is: declared once, with its type, default and help, for files, flags and Python.
//! - [`memory`]: how much memory this process may still take, checked before large pieces are taken.
//! - [`files`]: files that appear whole or not at all, and folders that one program uses at a time.
//! - [`peers`]: several ranks that do one work together, as threads or as processes of MPI.
//! - [`geometry`]: extents, windows, symmetries, boundaries and tiles.
//!
//! Networks, and what computes them:
//!
//! - [`network`]: what a network is. [`network::Architecture`], its parameters in one flat order, and
//!   [`network::Model`] with its file.
//! - [`schedule`]: how a network is computed, as a list of steps that both engines run.
//! - [`engine`]: the trait [`engine::Engine`] and what goes in and out: images, targets, losses and the optimiser's settings.
//! - [`mod@reference`]: the paper's equations in float64, slow on purpose: everything else is checked against it.
//! - [`selftest`]: an engine against the reference, for tests and for programs that want to be sure.
//! - [`cpu`] and [`mod@gpu`]: the engines. [`devices`] lists what is there and opens one.
//! - [`doctor`]: which piece is missing where no GPU is found, and each device of this machine against the reference.
//! - [`exchange`]: networks that come from other tools, and models that go to them.
//!
//! Images, and what is measured and shown of them:
//!
//! - [`metrics`]: IoU, Dice, PSNR, SSIM. [`pictures`]: arrays turned into pictures for people.
//!   [`tensorboard`]: files of events that TensorBoard shows.
//! - [`images`]: reading and writing images. [`tomography`]: from scans to volumes. [`phantom`]: generated images and scans.
//! - [`baselines`]: what people do without a network, to compare with. [`samples`]: data sets, label values, random draws.
//!
//! From images to a model and back:
//!
//! - [`inference`]: from a model to results. [`live`]: the same as images appear.
//!   [`evaluation`]: how good a network is. [`training`]: from images to a model.
//! - [`mod@portal`]: projects in the browser. [`commands`]: the command line.
//!
//! # Features
//!
//! All are on by default; without them this is a library for the CPU.
//!
//! - `cli`: the program `msd-gpu` and [`commands`].
//! - `gpu`: [`mod@gpu`] and GPUs among the [`devices`], through wgpu.
//! - `mpi`: ranks of [`peers`] that are processes; the library of MPI is loaded where it is needed.
//! - `portal`: [`mod@portal`], and with `cli` the command `serve`.
//!
//! # Training on arrays
//!
//! Images are arrays `[channel][y][x]`, label images `[y][x]` of any whole numbers.
//!
//! ```
//! use msd_gpu::inference::Predictor;
//! use msd_gpu::samples::Labelled;
//! use msd_gpu::training::{Prepared, Run, Settings, TaskKind};
//! use ndarray::{Array2, Array3};
//!
//! // Bright stripes, labelled 0 and 255.
//! let stripe = |y: usize, x: usize| (y + 2 * x) % 20 < 8;
//! let image = Array3::from_shape_fn((1, 48, 48), |(_, y, x)| if stripe(y, x) { 90.0 } else { 60.0 });
//! let labels = Array2::from_shape_fn((48, 48), |(y, x)| if stripe(y, x) { 255 } else { 0 });
//! let (name, labels_name) = ("stripes".to_owned(), "their labels".to_owned());
//! let example = Labelled { name, image: image.clone(), labels: labels.clone(), labels_name, weights: None };
//!
//! let mut settings = Settings::in_memory(TaskKind::Segment);
//! (settings.depth, settings.crop, settings.max_steps) = (Some(4), Some(48), Some(60));
//! let prepared = Prepared::from_labels(&settings, vec![example], None)?;
//! let outcome = Run::new(settings, &prepared).train()?;
//!
//! // Classes are counted from 0, in the order of their labels.
//! let mut predictor = Predictor::new(outcome.model, &msd_gpu::devices::choose("cpu")?, None)?;
//! let found = predictor.classes(&image)?;
//! let wrong = found.iter().zip(&labels).filter(|&(&class, &label)| (class == 1) != (label == 255)).count();
//! assert!(wrong < 48 * 48 / 10);
//! # Ok::<(), msd_gpu::Error>(())
//! ```
//!
//! [`training::Run`] can save into a folder, report to a [`watcher::Watcher`] and go on where it was stopped;
//! `examples/train_on_arrays.rs` shows more of it.
//!
//! # An engine by itself
//!
//! ```
//! use msd_gpu::engine::{Adam, Images, Loss, Targets};
//! use msd_gpu::network::{Architecture, initialise};
//! use msd_gpu::geometry::{Extent, Shape};
//!
//! // A network with one input channel, two classes and ten layers, on the CPU.
//! let architecture = Architecture::new(1, 2, 10);
//! let device = msd_gpu::devices::choose("cpu")?;
//! let mut engine = device.open(&architecture, &initialise(&architecture, 1))?;
//!
//! // One image of 16x16 pixels whose right half is the second class.
//! let right = |i: usize| i % 16 >= 8;
//! let shape = Shape { batch: 1, extent: Extent::plane(16, 16) };
//! let images = Images { shape, pixels: (0..256).map(|i| if right(i) { 1.0 } else { -1.0 }).collect() };
//! let targets = Targets::classes((0..256).map(|i| u32::from(right(i))).collect());
//!
//! for step in 1..=20 {
//!     engine.accumulate(&images, &targets, Loss::CrossEntropy, 1.0 / 256.0)?;
//!     engine.update(&Adam::new(0.01, step))?;
//! }
//! let losses = engine.losses(true)?;
//! assert!(losses[19] < 0.1 * losses[0]);
//! # Ok::<(), msd_gpu::Error>(())
//! ```

pub mod baselines;
#[cfg(feature = "cli")]
pub mod commands;
pub mod cpu;
pub mod devices;
pub mod doctor;
mod encoding;
pub mod engine;
pub mod error;
pub mod evaluation;
pub mod exchange;
pub mod files;
pub mod geometry;
#[cfg(feature = "gpu")]
pub mod gpu;
pub mod images;
pub mod inference;
pub mod live;
pub mod memory;
pub mod metrics;
pub mod network;
pub mod peers;
pub mod phantom;
pub mod pictures;
mod pipeline;
#[cfg(feature = "portal")]
pub mod portal;
pub mod reference;
pub mod registry;
pub mod samples;
pub mod schedule;
pub mod selftest;
pub mod settings;
pub mod tensorboard;
pub mod tomography;
pub mod training;
pub mod watcher;

pub use error::{Error, Result};
