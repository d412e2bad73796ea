//! The GPU engine against the float64 reference, on whatever adapter is best; a software Vulkan will do.

#[macro_use]
mod cross_check;

use msd_gpu::engine::{DeviceKind, Engine, Precision};
use msd_gpu::geometry::{Boundary, Extent, Shape};
use msd_gpu::gpu::{GpuAdapter, GpuEngine, GpuOptions, Tuning, adapters};
use msd_gpu::network::{Architecture, initialise};
use msd_gpu::selftest::{Case, Setting, check_case, check_halves};
use msd_gpu::{Error, Result};

fn adapter() -> GpuAdapter {
    let (adapter, _) = adapters().into_iter().next().expect(
        "no Vulkan, Metal or DX12 device was found; install a driver, or a software Vulkan (on Debian: apt-get \
         install mesa-vulkan-drivers libvulkan1)",
    );
    adapter
}

fn open_with(
    architecture: &Architecture,
    parameters: &[f32],
    setting: Setting,
    checked: Option<bool>,
) -> Result<Box<dyn Engine>> {
    let options = GpuOptions {
        block: Some(setting.block),
        max_page_bytes: Some(setting.max_page_bytes),
        checked_shaders: checked,
        ..Default::default()
    };
    Ok(Box::new(GpuEngine::open(&adapter(), architecture, parameters, options)?))
}

fn open(architecture: &Architecture, parameters: &[f32], setting: Setting) -> Result<Box<dyn Engine>> {
    open_with(architecture, parameters, setting, None)
}

engine_tests!(open, 40, 20);

/// Every boundary, several pages and dilations beyond the image among them: an index outside would be another number here.
#[test]
fn checked_and_unchecked_shaders_compute_the_same() {
    for checked in [true, false] {
        let open = move |architecture: &Architecture, parameters: &[f32], setting| {
            open_with(architecture, parameters, setting, Some(checked))
        };
        msd_gpu::selftest::random_networks_agree(&open, 40..56).unwrap();
    }
}

fn open_tuned(
    adapter: &GpuAdapter,
    architecture: &Architecture,
    parameters: &[f32],
    tuning: Tuning,
) -> Result<Box<dyn Engine>> {
    let options = GpuOptions { tuning: Some(tuning), ..Default::default() };
    Ok(Box::new(GpuEngine::open(adapter, architecture, parameters, options)?))
}

fn open_tuned_with_halves(
    adapter: &GpuAdapter,
    architecture: &Architecture,
    parameters: &[f32],
    tuning: Tuning,
) -> Result<Box<dyn Engine>> {
    let options = GpuOptions { tuning: Some(tuning), precision: Precision::Half, ..Default::default() };
    Ok(Box::new(GpuEngine::open(adapter, architecture, parameters, options)?))
}

/// Every kernel that the tuner may choose, in blocks of every size and shared by as many workgroups as it may choose.
#[test]
fn every_tuning_agrees() {
    // A test beside `Tuning` makes sure that these run every kernel on this network and shape.
    let architecture = Architecture { width: 4, dilations: vec![1, 2], ..Architecture::new(2, 5, 10) };
    let shape = Shape { batch: 2, extent: Extent::plane(18, 70) };
    let case = Case::new(architecture, shape, true, 5);
    let adapter = adapter();
    for tuning in Tuning::covering() {
        let open = |architecture: &Architecture, parameters: &[f32], _: Setting| {
            open_tuned(&adapter, architecture, parameters, tuning)
        };
        let outcome = check_case(&open, 5, &case, Setting { block: 0, max_page_bytes: u64::MAX });
        outcome.unwrap_or_else(|difference| panic!("{tuning}: {difference}"));
    }
}

/// The tiles of volumes, which follow from three fields of a tuning alone.
#[test]
fn every_tuning_of_volumes_agrees() {
    // A test beside `Tuning` makes sure that these run every kernel of volumes on this network and shape.
    let architecture =
        Architecture { dimensions: 3, width: 2, dilations: vec![1, 2], ..Architecture::new(1, 2, 10) };
    let shape = Shape { batch: 1, extent: Extent::new(2, 9, 20) };
    let case = Case::new(architecture, shape, true, 5);
    let adapter = adapter();
    let mut seen = std::collections::BTreeSet::new();
    for tuning in Tuning::covering() {
        let fields = tuning.to_string();
        let fields = fields.split_whitespace().filter(|field| {
            ["convolve_rows=", "gradient_channels=", "block="].iter().any(|name| field.starts_with(name))
        });
        if !seen.insert(fields.map(str::to_owned).collect::<Vec<_>>()) {
            continue;
        }
        let open = |architecture: &Architecture, parameters: &[f32], _: Setting| {
            open_tuned(&adapter, architecture, parameters, tuning)
        };
        let setting = Setting { block: 0, max_page_bytes: u64::MAX };
        check_case(&open, 5, &case, setting).unwrap_or_else(|difference| panic!("{tuning}: {difference}"));
        if adapter.has_halves() {
            let open = |architecture: &Architecture, parameters: &[f32], _: Setting| {
                open_tuned_with_halves(&adapter, architecture, parameters, tuning)
            };
            let outcome = check_halves(&open, 5, &case, setting);
            outcome.unwrap_or_else(|difference| panic!("{tuning}, halves: {difference}"));
        }
    }
}

/// Matrix units, where the device has some: batches with weights, every boundary, shaders with and without checks.
/// `MSD_GPU_NEEDS_MATRICES=1` makes it a failure that it has none.
#[test]
fn matrix_units_agree() {
    let adapter = adapter();
    let safe = Tuning::safe(DeviceKind::Gpu).to_string();
    let tuning = Tuning::parse(&safe.replace("matrices=0", "matrices=1"));
    // A test beside `Tuning` makes sure that these run every kernel with matrices.
    for (width, depth, boundary, seed) in
        [(2, 12, Boundary::Reflect, 4), (4, 20, Boundary::Symmetric, 5), (2, 20, Boundary::Zeros, 7)]
    {
        let architecture = Architecture { width, boundary, ..Architecture::new(2, 5, depth) };
        let shape = Shape { batch: 2, extent: Extent::plane(13, 40) };
        let case = Case::new(architecture, shape, true, seed);
        let adapter = adapter.clone();
        let open = move |architecture: &Architecture, parameters: &[f32], _: Setting| {
            let options = GpuOptions { tuning, checked_shaders: Some(seed == 5), ..Default::default() };
            let engine = GpuEngine::open(&adapter, architecture, parameters, options)?;
            let needed = std::env::var_os("MSD_GPU_NEEDS_MATRICES").is_some();
            assert!(engine.uses_matrices() || !needed, "{} has no matrix units", adapter.info().name);
            Ok(Box::new(engine) as Box<dyn Engine>)
        };
        let outcome = check_case(&open, seed, &case, Setting { block: 0, max_page_bytes: u64::MAX });
        outcome.unwrap_or_else(|difference| panic!("{boundary:?}, width {width}: {difference}"));
    }
}

fn open_with_halves(
    architecture: &Architecture,
    parameters: &[f32],
    setting: Setting,
) -> Result<Box<dyn Engine>> {
    let options = GpuOptions {
        block: Some(setting.block).filter(|block| *block > 0),
        max_page_bytes: Some(setting.max_page_bytes),
        precision: Precision::Half,
        ..Default::default()
    };
    Ok(Box::new(GpuEngine::open(&adapter(), architecture, parameters, options)?))
}

/// Maps of two bytes, where the device has them: in one page and in several, in blocks of all sizes, images and volumes, all losses, and
/// losses whose gradients are much too small for them.
#[test]
fn halves_agree() {
    if adapter().has_halves() {
        msd_gpu::selftest::halves_agree(&open_with_halves, 0..24).unwrap();
        msd_gpu::selftest::sums_of_halves_are_full(&open_with_halves).unwrap();
        msd_gpu::selftest::gradients_of_halves_are_full(&open_with_halves).unwrap();
    }
}

/// Twenty steps, and the same bits in a second run.
#[test]
fn training_with_halves_follows_float64() {
    for segments in [true, false] {
        if adapter().has_halves() {
            msd_gpu::selftest::training_with_halves_follows_float64(&open_with_halves, segments).unwrap();
        }
    }
}

/// The kernels for halves with every tile that the tuner may choose.
#[test]
fn every_tuning_with_halves_agrees() {
    let architecture = Architecture { width: 4, dilations: vec![1, 2], ..Architecture::new(2, 5, 10) };
    let shape = Shape { batch: 2, extent: Extent::plane(18, 70) };
    let case = Case::new(architecture, shape, true, 5);
    let adapter = adapter();
    for tuning in Tuning::covering().into_iter().filter(|_| adapter.has_halves()) {
        let open = |architecture: &Architecture, parameters: &[f32], _: Setting| {
            open_tuned_with_halves(&adapter, architecture, parameters, tuning)
        };
        let setting = Setting { block: 0, max_page_bytes: u64::MAX };
        check_halves(&open, 5, &case, setting).unwrap_or_else(|difference| panic!("{tuning}: {difference}"));
    }
}

/// A network in halves takes less memory, to be applied and to be trained.
#[test]
fn halves_take_less_memory() {
    let architecture = Architecture::new(1, 2, 100);
    let parameters = initialise(&architecture, 1);
    let shape = Shape { batch: 1, extent: Extent::plane(512, 512) };
    for training in [false, true] {
        let bytes = |precision: Precision| {
            let options = GpuOptions { precision, ..Default::default() };
            let engine = GpuEngine::open(&adapter(), &architecture, &parameters, options).unwrap();
            engine.bytes(shape, training).unwrap()
        };
        if adapter().has_halves() {
            let (half, full) = (bytes(Precision::Half), bytes(Precision::Full));
            assert!(half < full * 7 / 10, "{half} bytes, and {full} in full");
        }
    }
}

#[test]
fn images_beyond_the_device_are_refused_in_words() {
    let architecture = Architecture::new(1, 2, 3);
    let parameters = initialise(&architecture, 1);
    let engine = GpuEngine::open(&adapter(), &architecture, &parameters, GpuOptions::default()).unwrap();
    let huge = Shape { batch: 1, extent: Extent::plane(100_000, 100_000) };
    let error = engine.bytes(huge, true).unwrap_err();
    assert!(matches!(error, Error::OutOfMemory { .. }) && error.to_string().contains("`tile`"), "{error}");
}

#[test]
fn devices_are_listed_best_first() {
    let kinds: Vec<bool> = adapters().iter().map(|(_, info)| info.kind == DeviceKind::Software).collect();
    assert!(kinds.is_sorted(), "software before hardware: {:?}", adapters());
    assert!(adapters().iter().all(|(adapter, info)| *info == adapter.info()));
}
