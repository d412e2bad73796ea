use super::*;
use crate::engine::{DeviceKind, JudgedResult};
use crate::geometry::{Boundary, Extent};
use crate::gpu::adapter_for_tests;
use crate::gpu::runtime::memory::Use;
use crate::network::DilationMode;
use crate::selftest::{Case, Setting, check_case};

/// Those that an adapter has.
fn precisions(adapter: &GpuAdapter) -> impl Iterator<Item = Precision> + use<> {
    let has_halves = adapter.has_halves();
    [Precision::Full, Precision::Half].into_iter().filter(move |p| has_halves || *p == Precision::Full)
}

/// A dispatch that is too much for a device is cut into several, which must not show.
#[test]
fn cut_dispatches_give_the_same_bits() {
    let adapter = adapter_for_tests();
    let architecture = Architecture { width: 3, dilations: vec![1, 2, 7], ..Architecture::new(2, 5, 4) };
    let each = GpuOptions { block: Some(2), ..Default::default() };
    check_cut_dispatches(&adapter, &architecture, each);
    // Several layers at once: the same bits each time, and where their dispatch is cut.
    let tuning = Tuning { convolve_layers: 5, gradient_layers: 5, ..Tuning::safe(DeviceKind::Software) };
    let at_once = GpuOptions { tuning: Some(tuning), ..Default::default() };
    check_cut_dispatches(&adapter, &Architecture { dilations: vec![1, 2], ..architecture }, at_once);
}

fn check_cut_dispatches(adapter: &GpuAdapter, architecture: &Architecture, options: GpuOptions) {
    let parameters = crate::network::initialise(architecture, 1);
    let shape = Shape { batch: 3, extent: Extent::plane(37, 150) };
    let pixels = shape.batch * shape.extent.pixels();
    let images = Images { shape, pixels: (0..2 * pixels).map(|i| (i as f32 * 0.37).sin()).collect() };
    let targets = Targets::classes((0..pixels as u32).map(|i| i % 7 % 5 % 3).collect());
    let first = {
        let shape = Shape { batch: 1, ..shape };
        let pixels = images.pixels[..2 * shape.extent.pixels()].to_vec();
        let classes = (0..shape.extent.pixels() as u32).map(|i| i % 5 % 3).collect();
        (Images { shape, pixels }, Targets::classes(classes))
    };
    let bits = |precision: Precision, workgroups: u32, multiply_adds: u64| {
        let options = GpuOptions { precision, ..options };
        let mut engine = GpuEngine::open(adapter, architecture, &parameters, options).unwrap();
        let plan = engine.plan(shape, Pass::Training(LossKind::CrossEntropyDice)).unwrap();
        let at_once = |d: &plan::Dispatch| d.kernel.shader.name.ends_with("_layers");
        let several = engine.tuning.convolve_layers > 1 && precision == Precision::Full;
        let wanted = if several { 2 } else { 0 };
        assert_eq!(plan.dispatches.iter().filter(|d| at_once(d)).count(), wanted);
        engine.dispatch_limits = DispatchLimits { workgroups, multiply_adds, ..engine.dispatch_limits };
        engine.accumulate(&images, &targets, Loss::CrossEntropyDice, 1e-3).unwrap();
        let numbers = [engine.forward(&images).unwrap(), engine.gradients().unwrap()];
        let judged = engine.judge(&first.0, &first.1, Loss::CrossEntropyDice).unwrap();
        let JudgedResult::Classes(classes) = judged.result else { panic!("wanted classes") };
        let loss = judged.loss.loss().to_bits();
        let in_bytes = engine.classify(&images).unwrap().into_iter().map(u32::from);
        let judged = classes.into_iter().chain([(loss >> 32) as u32, loss as u32]).chain(in_bytes);
        numbers.concat().into_iter().map(f32::to_bits).chain(judged).collect::<Vec<_>>()
    };
    for precision in precisions(adapter) {
        let wanted = bits(precision, 65_535, u64::MAX);
        assert!(wanted == bits(precision, 4, u64::MAX), "few workgroups along an axis, {precision}");
        assert!(wanted == bits(precision, 65_535, 200_000), "few multiply-adds a dispatch, {precision}");
    }
}

/// Layers that are computed at once: dilations beyond the image, squares beyond it and squares that it is no multiple of, every boundary,
/// batches, and layers of one channel and of two, with dilations of their own.
#[test]
fn layers_at_once_agree() {
    let adapter = adapter_for_tests();
    let narrow = Architecture { dilations: (1..=10).collect(), ..Architecture::new(1, 2, 23) };
    let wide = Architecture {
        width: 2,
        dilations: vec![1, 4, 2],
        dilation_mode: DilationMode::Channel,
        boundary: Boundary::Zeros,
        ..Architecture::new(2, 3, 12)
    };
    let stem = Architecture {
        width: 2,
        dilations: vec![5, 3, 4],
        boundary: Boundary::Symmetric,
        stem: "0.7".parse().unwrap(),
        ..Architecture::new(1, 2, 10)
    };
    let far = Architecture { dilations: vec![2, 7, 6, 5], ..Architecture::new(1, 2, 10) };
    let cases = [
        (narrow.clone(), 1, 40, 70),
        (Architecture { width: 2, boundary: Boundary::Symmetric, ..narrow.clone() }, 2, 17, 33),
        (Architecture { boundary: Boundary::Zeros, ..narrow }, 1, 64, 9),
        (wide.clone(), 3, 33, 17),
        (Architecture { boundary: Boundary::Reflect, dilation_mode: DilationMode::Layer, ..wide }, 1, 50, 40),
        (stem, 2, 3, 21),
        (far.clone(), 1, 1, 5),
        (Architecture { boundary: Boundary::Symmetric, ..far }, 2, 4, 1),
    ];
    let covering = Tuning::covering();
    let several = |tuning: &Tuning| tuning.convolve_layers > 1 || tuning.gradient_layers > 1;
    let tunings: Vec<Tuning> = covering.into_iter().filter(several).collect();
    for (seed, (architecture, batch, rows, columns)) in cases.into_iter().enumerate() {
        let shape = Shape { batch, extent: Extent::plane(rows, columns) };
        let case = Case::new(architecture, shape, true, seed as u64);
        // Every other tuning for each, to save time.
        for &tuning in tunings.iter().skip(seed % 2).step_by(2) {
            let options = GpuOptions {
                tuning: Some(tuning),
                checked_shaders: Some(seed / 2 % 2 == 0),
                ..Default::default()
            };
            let open = |architecture: &Architecture, parameters: &[f32], _: Setting| {
                let engine = GpuEngine::open(&adapter, architecture, parameters, options)?;
                let training = Pass::Training(LossKind::CrossEntropy);
                for (pass, name, layers) in [
                    (Pass::Forward, "convolve_layers", tuning.convolve_layers),
                    (training, "convolve_layers", tuning.convolve_layers),
                    (training, "input_gradient_layers", tuning.gradient_layers),
                ] {
                    let plan = engine.plan(shape, pass)?;
                    let found = plan.dispatches.iter().any(|d| d.kernel.shader.name == name);
                    assert_eq!(found, layers > 1, "{name} with {tuning}: {}", plan.schedule);
                }
                Ok(Box::new(engine) as Box<dyn Engine>)
            };
            let outcome =
                check_case(&open, seed as u64, &case, Setting { block: 0, max_page_bytes: u64::MAX });
            outcome.unwrap_or_else(|difference| panic!("{tuning}: {difference}"));
        }
    }
}

/// The memory that judging takes is known beforehand, with and without planes for training. After judging with Dice the outputs
/// cannot be read.
#[test]
fn judging_takes_what_was_said() {
    let architecture = Architecture::new(1, 3, 2);
    let parameters = crate::network::initialise(&architecture, 1);
    let adapter = adapter_for_tests();
    let shapes =
        [(40, 50), (33, 70)].map(|(rows, columns)| Shape { batch: 1, extent: Extent::plane(rows, columns) });
    let [trained, other] = shapes;
    let case = |shape: Shape| {
        let pixels = shape.extent.pixels();
        let images = Images { shape, pixels: (0..pixels).map(|i| (i as f32 * 0.37).sin()).collect() };
        (images, Targets::classes((0..pixels as u32).map(|i| i % 3).collect()))
    };
    let cases = [(false, other), (true, trained), (true, other)];
    let all = precisions(&adapter).flat_map(|precision| cases.map(|case| (precision, case)));
    for (precision, (trains, applying)) in all {
        let options = GpuOptions { precision, ..Default::default() };
        let mut engine = GpuEngine::open(&adapter, &architecture, &parameters, options).unwrap();
        if trains {
            let (images, targets) = case(trained);
            engine.accumulate(&images, &targets, Loss::CrossEntropy, 1e-3).unwrap();
        }
        let (images, targets) = case(applying);
        for loss in [Loss::CrossEntropy, Loss::Dice, Loss::CrossEntropyDice] {
            engine.judge(&images, &targets, loss).unwrap();
            let output = engine.read_plane(Plane::Output(0), 0);
            assert_eq!(output.is_err(), loss.has_dice(), "{loss}");
        }
        let said = match trains {
            true => engine.bytes_in_turns(trained, &[applying]).unwrap(),
            false => engine.bytes_of(&engine.plan(applying, Pass::Judge(LossKind::Dice)).unwrap()),
        };
        let fixed = 5 * 4 * engine.layout.count() as u64;
        let taken = engine.shapes.device_bytes() + fixed;
        assert!(said >= taken, "{taken} bytes of buffers, {said} were said");
        assert!(said < taken + taken / 5, "{taken} bytes of buffers, {said} were said");
    }
}

/// The same for outputs and classes of one shape.
#[test]
fn taking_outputs_and_classes_takes_what_was_said() {
    let architecture = Architecture::new(2, 3, 4);
    let parameters = crate::network::initialise(&architecture, 1);
    let options = GpuOptions::default();
    let mut engine = GpuEngine::open(&adapter_for_tests(), &architecture, &parameters, options).unwrap();
    let shape = Shape { batch: 1, extent: Extent::plane(41, 67) };
    let images = Images { shape, pixels: vec![0.5; 2 * shape.extent.pixels()] };
    engine.forward(&images).unwrap();
    engine.classify(&images).unwrap();
    let said = engine.bytes(shape, false).unwrap();
    let taken = engine.shapes.device_bytes() + 5 * 4 * engine.layout.count() as u64;
    assert!(said >= taken, "{taken} bytes of buffers, {said} were said");
    assert!(said < taken + taken / 5, "{taken} bytes of buffers, {said} were said");
}

#[test]
fn a_device_that_is_gone_is_an_error_and_no_panic() {
    let architecture = Architecture::new(1, 2, 3);
    let parameters = crate::network::initialise(&architecture, 1);
    let mut engine =
        GpuEngine::open(&adapter_for_tests(), &architecture, &parameters, GpuOptions::default()).unwrap();
    let shape = Shape { batch: 1, extent: Extent::plane(8, 8) };
    let images = Images { shape, pixels: vec![0.5; 64] };
    let targets = Targets::classes(vec![1; 64]);
    engine.accumulate(&images, &targets, Loss::CrossEntropy, 1.0).unwrap();
    engine.device.wgpu.destroy();
    let errors = [
        engine.forward(&images).err(),
        engine
            .accumulate(&images, &targets, Loss::CrossEntropy, 1.0)
            .and_then(|()| engine.update(&Adam::new(1e-3, 1)))
            .err(),
        engine.gradients().err(),
        engine.losses(true).err().or(engine.parameters().err()),
    ];
    for error in errors {
        let error = error.expect("a device that is gone cannot answer");
        assert!(matches!(error, Error::Device { .. }), "{error}");
        assert!(error.is_failure());
        assert_eq!(error.to_string().lines().count(), 1, "{error}");
    }
}

#[test]
fn a_buffer_above_a_limit_is_named_with_its_bytes_and_the_limit() {
    let limits = wgpu::Limits { max_storage_buffer_binding_size: 1000, ..Default::default() };
    let error = memory::check(&limits, "feature maps", 1004, Use::Storage).unwrap_err().to_string();
    for part in ["feature maps", "1004 bytes", "1000 bytes", "max_storage_buffer_binding_size", "tile"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn the_engine_can_move_between_threads() {
    fn is_send<T: Send>() {}
    is_send::<GpuEngine>();
}
