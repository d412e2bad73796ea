use super::*;
use crate::engine::JudgedResult;
use crate::geometry::Extent;
use crate::gpu::adapter_for_tests;
use crate::gpu::runtime::memory::Use;

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
    let parameters = crate::network::initialise(&architecture, 1);
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
        let options = GpuOptions { block: Some(2), precision, ..Default::default() };
        let mut engine = GpuEngine::open(&adapter, &architecture, &parameters, options).unwrap();
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
    for precision in precisions(&adapter) {
        let wanted = bits(precision, 65_535, u64::MAX);
        assert!(wanted == bits(precision, 4, u64::MAX), "few workgroups along an axis, {precision}");
        assert!(wanted == bits(precision, 65_535, 200_000), "few multiply-adds a dispatch, {precision}");
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
