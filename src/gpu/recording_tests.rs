//! Kernels, bindings and recordings on wgpu's device without a driver: nothing is computed there, but wgpu validates what it
//! validates everywhere, so that a machine without Vulkan finds what would be refused. What it cannot show is that results are right,
//! that a driver compiles the kernels, and kernels for matrix units, which it does not have.

use wgpu::BufferUsages;

use super::back_projection::GpuBackProjector;
use super::network::{GpuEngine, GpuOptions, Tuning};
use super::runtime::adapters::{GpuAdapter, adapter_without_driver};
use super::runtime::device::{Device, Extras};
use super::runtime::kernel::{Binding, Kernel};
use super::runtime::pipelines::{Pipelines, bind_group};
use super::shaders::{LAYERS_BYTES, PRODUCT_BYTES, SHADERS};
use crate::engine::{
    Adam, BACK_PROJECTION_LANES as LANES, BackProjection, BackProjector, DeviceKind, Engine, Gradients,
    Images, Loss, Precision, Targets,
};
use crate::geometry::{Boundary, Extent, Shape};
use crate::network::{Architecture, initialise};

/// The limits that every device has, with as much memory of a workgroup as the largest kernel takes.
fn limits() -> wgpu::Limits {
    let largest = PRODUCT_BYTES.max(LAYERS_BYTES);
    wgpu::Limits { max_compute_workgroup_storage_size: largest, ..wgpu::Limits::default() }
}

fn adapter() -> GpuAdapter {
    adapter_without_driver(limits())
}

#[test]
fn every_kernel_fits_its_bindings() {
    let device = Device::open(&adapter(), None, Extras { halves: true, matrices: false }).unwrap();
    let mut pipelines = Pipelines::default();
    let kernels = SHADERS.into_iter().filter(|shader| !shader.name.ends_with("_matrix"));
    for shader in kernels {
        for variant in 0..shader.variants.len() {
            pipelines.get(&device, &Kernel { shader, variant }).unwrap();
        }
    }
    device.check("compiling all kernels").unwrap();
}

/// A network, the images that it is shown, and how it is run.
struct Recorded {
    architecture: Architecture,
    shape: Shape,
    /// The largest buffer of feature maps, in planes of about the images' size; `None` for one that holds all.
    planes_of_page: Option<u64>,
    tuning: Tuning,
    precision: Precision,
}

impl Recorded {
    fn new(architecture: Architecture, batch: usize, extent: Extent) -> Self {
        let shape = Shape { batch, extent };
        let tuning = Tuning::safe(DeviceKind::Gpu);
        Self { architecture, shape, planes_of_page: None, tuning, precision: Precision::Full }
    }

    fn open(&self) -> GpuEngine {
        // Margins and guards come on top.
        let plane = 4 * 4 * (self.shape.batch * (self.shape.extent.pixels() + 1000)) as u64;
        let options = GpuOptions {
            tuning: Some(self.tuning),
            max_page_bytes: self.planes_of_page.map(|planes| planes * plane),
            precision: self.precision,
            ..Default::default()
        };
        GpuEngine::open(&adapter(), &self.architecture, &initialise(&self.architecture, 1), options).unwrap()
    }

    fn images(&self, shape: Shape) -> Images {
        Images { shape, pixels: vec![0.5; shape.batch * self.architecture.inputs * shape.extent.pixels()] }
    }

    /// Every pass: one that is invalid is an error of the call that submits it, or of a later one.
    fn run(&self) {
        let Self { architecture, shape, .. } = self;
        let mut engine = self.open();
        let count = engine.parameters().unwrap().len();
        let (all, one) = (self.images(*shape), self.images(Shape { batch: 1, ..*shape }));
        for times in [false, true] {
            assert_eq!(engine.time_steps(times), times);
            let outputs = engine.forward(&all).unwrap();
            assert_eq!(outputs.len(), shape.batch * architecture.outputs * shape.extent.pixels());
            engine.classify(&all).unwrap();
            let classes = |shape: Shape| Targets::classes(vec![1; shape.batch * shape.extent.pixels()]);
            for loss in [Loss::CrossEntropy, Loss::Focal { gamma: 2.0 }, Loss::Dice, Loss::CrossEntropyDice] {
                engine.judge(&one, &classes(one.shape), loss).unwrap();
                engine.accumulate(&all, &classes(*shape), loss, 1.0).unwrap();
            }
            let values = || Targets::values(vec![0.5; outputs.len()]);
            let values_losses = [
                Loss::SquaredError,
                Loss::AbsoluteError,
                Loss::Huber { delta: 1.0 },
                Loss::Charbonnier { epsilon: 0.1 },
            ];
            for loss in values_losses {
                engine.accumulate(&all, &values(), loss, 1.0).unwrap();
            }
            engine.update(&Adam::new(1e-3, 1)).unwrap();
            engine.update(&Adam { clip_norm: Some(1.0), ..Adam::new(1e-3, 2) }).unwrap();
            assert!(!engine.losses(true).unwrap().is_empty());
        }
        // In the planes of training.
        engine.forward(&all).unwrap();
        let Gradients { values, .. } = engine.take_gradients().unwrap();
        assert_eq!(values.len(), count);
        engine.set_gradients(&Gradients { values, loss: 0.0 }).unwrap();
        assert_eq!(engine.average().unwrap().len(), count);
    }
}

/// Widths, boundaries, stems, batches, volumes, and buffers of feature maps that hold all of them and that hold few.
#[test]
fn passes_of_all_kinds_of_networks_are_recorded() {
    let image = Extent::plane(21, 70);
    let narrow = Architecture::new(1, 2, 12);
    let wide = Architecture { width: 8, boundary: Boundary::Zeros, ..Architecture::new(3, 5, 4) };
    let stem = Architecture { width: 2, stem: "0.7,1.6".parse().unwrap(), ..Architecture::new(1, 3, 6) };
    let volumes = Architecture { width: 2, dimensions: 3, ..Architecture::new(1, 2, 5) };
    for (architecture, batch, extent) in
        [(narrow, 1, image), (wide, 3, image), (stem, 2, image), (volumes, 2, Extent::new(3, 9, 20))]
    {
        let recorded = Recorded::new(architecture, batch, extent);
        recorded.run();
        let recorded =
            Recorded { planes_of_page: Some(8), tuning: Tuning::safe(DeviceKind::Software), ..recorded };
        recorded.run();
        for planes_of_page in [None, Some(8)] {
            let precision = Precision::Half;
            let architecture = recorded.architecture.clone();
            Recorded { planes_of_page, precision, architecture, ..recorded }.run();
        }
    }
}

#[test]
fn tiles_of_all_sizes_are_recorded() {
    let architecture = Architecture { width: 4, dilations: vec![1, 2], ..Architecture::new(2, 5, 10) };
    let recorded = Recorded::new(architecture, 2, Extent::plane(18, 70));
    let targets = Targets::classes(vec![1; recorded.shape.batch * recorded.shape.extent.pixels()]);
    for tuning in Tuning::covering() {
        let recorded = Recorded { tuning, architecture: recorded.architecture.clone(), ..recorded };
        let images = recorded.images(recorded.shape);
        for precision in [Precision::Half, Precision::Full] {
            let recorded = Recorded { precision, architecture: recorded.architecture.clone(), ..recorded };
            let mut engine = recorded.open();
            engine.forward(&images).unwrap_or_else(|error| panic!("{tuning}: {error}"));
            engine
                .accumulate(&images, &targets, Loss::CrossEntropy, 1.0)
                .and_then(|()| engine.gradients())
                .unwrap_or_else(|error| panic!("{tuning}: {error}"));
        }
    }
}

#[test]
fn the_sums_along_rays_are_recorded() {
    let mut projector = GpuBackProjector::open(&adapter()).unwrap();
    let (width, size) = (64, 37);
    let directions = vec![(0.0, 1.0); 150];
    let rows = vec![[0.5; LANES]; width * directions.len()];
    let work = BackProjection { rows: &rows, width, directions: &directions, axis: 31.3, size };
    assert_eq!(projector.back_project(&work).unwrap().len(), size * size);
}

/// What the tests above would find: a buffer that is bound both to be written and to be read.
#[test]
fn a_wrong_recording_is_an_error() {
    let device = Device::open(&adapter(), None, Extras::default()).unwrap();
    let shader = SHADERS
        .into_iter()
        .find(|shader| shader.bindings == [Binding::Uniform, Binding::Read, Binding::ReadWrite]);
    let kernel =
        Kernel { shader: shader.expect("a kernel that reads one buffer and writes one"), variant: 0 };
    let pipeline = Pipelines::default().get(&device, &kernel).unwrap();
    let make = |usage: BufferUsages| {
        let descriptor = wgpu::BufferDescriptor { label: None, size: 1024, usage, mapped_at_creation: false };
        device.wgpu.create_buffer(&descriptor)
    };
    let (uniform, storage) = (make(BufferUsages::UNIFORM), make(BufferUsages::STORAGE));
    let bindings =
        bind_group(&device, "the same twice", &pipeline, (&uniform, 0, 256), &[&storage, &storage]);
    device.check("binding").unwrap();
    let mut encoder = device.wgpu.create_command_encoder(&Default::default());
    let mut pass = encoder.begin_compute_pass(&Default::default());
    pass.set_pipeline(&pipeline.pipeline);
    pass.set_bind_group(0, &bindings, &[]);
    pass.dispatch_workgroups(1, 1, 1);
    drop(pass);
    device.queue.submit([encoder.finish()]);
    let error = device.check("dispatching").unwrap_err().to_string();
    assert!(error.contains("conflict"), "{error}");
}
