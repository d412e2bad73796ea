//! The GPU engine against the float64 reference: random networks, images and options; outputs, loss, every feature map,
//! every gradient map, every parameter's gradient, and Adam.
//!
//! It needs an adapter and fails without one; a software Vulkan will do.

use msd_gpu::Error;
use msd_gpu::engine::{Adam, DeviceKind, Engine, IGNORED, Images, Moments, Plane, Targets};
use msd_gpu::gpu::{GpuAdapter, GpuEngine, GpuOptions, adapters};
use msd_gpu::network::{Architecture, Boundary, DilationMode, ParameterLayout, initialise};
use msd_gpu::reference;
use msd_gpu::schedule::{Extent, PlaneForm, Shape};

/// Largest error of a plane: its L2 norm over that of the plane.
const PLANE_TOLERANCE: f64 = 1e-5;
/// Largest error of a loss, relative.
const LOSS_TOLERANCE: f64 = 1e-5;
/// Largest error of a parameter's gradient, over the product of the norms of what it is the inner product of.
const GRADIENT_TOLERANCE: f64 = 2e-5;
/// Largest error of Adam's moments and moves, over their size.
const ADAM_TOLERANCE: f64 = 1e-5;
/// Largest relative error of a loss after many steps, where rounding has had time to grow.
const CURVE_TOLERANCE: f64 = 1e-3;

fn adapter() -> GpuAdapter {
    let found = adapters();
    let (adapter, _) = found.into_iter().next().expect(
        "no Vulkan, Metal or DX12 device was found; install a driver, or a software Vulkan \
         (on Debian: apt install mesa-vulkan-drivers)",
    );
    adapter
}

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    /// About normal: the sum of four even ones.
    fn number(&mut self) -> f32 {
        (0..4).map(|_| (self.next() >> 40) as f32 / (1u64 << 24) as f32 - 0.5).sum::<f32>() * 1.7
    }

    fn numbers(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.number()).collect()
    }
}

#[derive(Debug, Clone)]
struct Case {
    architecture: Architecture,
    options: GpuOptions,
    parameters: Vec<f32>,
    images: Images,
    targets: Targets,
    scale: f32,
}

fn case(seed: u64) -> Case {
    let r = &mut Random(seed);
    let dilations = r.pick(&[
        vec![1],
        vec![1, 2, 3],
        (1..=10).collect(),
        vec![4, 1],
        vec![12, 1, 5],
        vec![2, 50, 7],
        vec![1, 1, 2, 2],
    ]);
    let architecture = Architecture {
        inputs: 1 + r.below(3),
        outputs: 1 + r.below(4),
        width: 1 + r.below(4),
        depth: 1 + r.below(6),
        dilations,
        dilation_mode: r.pick(&[DilationMode::Channel, DilationMode::Layer]),
        boundary: r.pick(&[Boundary::Reflect, Boundary::Symmetric, Boundary::Zeros]),
    };
    let (y, x) = r.pick(&[(1, 1), (1, 9), (2, 3), (5, 1), (7, 7), (16, 33), (23, 70), (33, 40), (40, 33)]);
    let shape = Shape { batch: 1 + r.below(3), extent: Extent::plane(y, x) };
    images_for(architecture, shape, r)
}

fn images_for(architecture: Architecture, shape: Shape, r: &mut Random) -> Case {
    let layout = ParameterLayout::of(&architecture);
    let mut parameters = initialise(&architecture, r.next());
    // Biases lean upwards so that the ReLU lets enough through to be worth comparing.
    parameters[layout.biases()].fill_with(|| 0.2 + 0.3 * r.number());
    parameters[layout.biases().end..].fill_with(|| 0.5 * r.number());
    let pixels = shape.batch * shape.extent.pixels();
    let targets = if r.below(2) == 0 && architecture.outputs > 1 {
        let class = |r: &mut Random| match r.below(5) {
            0 => IGNORED,
            _ => r.below(architecture.outputs) as u32,
        };
        let mut classes: Vec<u32> = (0..pixels).map(|_| class(r)).collect();
        classes[0] = 0;
        Targets::Classes(classes)
    } else {
        Targets::Values(r.numbers(pixels * architecture.outputs))
    };
    let options = GpuOptions {
        block: Some(r.pick(&[1, 2, 3, 10])),
        // Room for one, two or three feature maps in a page, but always for the outputs, which are not cut.
        most_page_bytes: r.pick(&[None, Some(1), Some(2), Some(3)]).map(|channels| {
            let margin = architecture.largest_dilation();
            let maps = PlaneForm::maps(shape.extent, margin, 16).unwrap();
            let gradients = PlaneForm::gradients(shape.extent, margin, 16).unwrap();
            let planes =
                (channels * maps.plane()).max(architecture.outputs * gradients.plane()) * shape.batch;
            4 * (planes + 2 * maps.guard) as u64
        }),
    };
    let images = Images { shape, pixels: r.numbers(pixels * architecture.inputs) };
    let scale = 1.0 / targets.terms() as f32;
    Case { architecture, options, parameters, images, targets, scale }
}

/// What the reference says about a batch.
struct Truth {
    forward: Vec<reference::Forward>,
    backward: Vec<reference::Backward>,
    output_gradients: Vec<Vec<Vec<f64>>>,
    loss: f64,
    gradients: Vec<f64>,
}

fn truth(case: &Case, parameters: &[f64]) -> Truth {
    let extent = case.images.shape.extent;
    let architecture = &case.architecture;
    let mut truth = Truth {
        forward: vec![],
        backward: vec![],
        output_gradients: vec![],
        loss: 0.0,
        gradients: vec![0.0; parameters.len()],
    };
    let scale = f64::from(case.scale);
    for (index, image) in case.images.pixels.chunks(architecture.inputs * extent.pixels()).enumerate() {
        let image: Vec<f64> = image.iter().map(|&v| f64::from(v)).collect();
        let forward = reference::forward(architecture, parameters, &image, extent);
        let (loss, gradient) = match &case.targets {
            Targets::Classes(classes) => {
                let classes = classes.chunks(extent.pixels()).nth(index).unwrap();
                reference::cross_entropy(&forward.outputs, classes, scale)
            }
            Targets::Values(values) => {
                let values = values.chunks(architecture.outputs * extent.pixels()).nth(index).unwrap();
                let values: Vec<f64> = values.iter().map(|&v| f64::from(v)).collect();
                reference::squared_error(&forward.outputs, &values, scale)
            }
        };
        let backward = reference::backward(architecture, parameters, &forward, &gradient, extent);
        truth.loss += loss;
        truth.gradients.iter_mut().zip(&backward.parameters).for_each(|(sum, g)| *sum += g);
        truth.forward.push(forward);
        truth.backward.push(backward);
        truth.output_gradients.push(gradient);
    }
    truth
}

fn wide(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().map(|&v| f64::from(v)).collect()
}

fn norm(numbers: &[f64]) -> f64 {
    numbers.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// A plane must be as close as its tolerance allows; one that is next to nothing beside its like counts as part of them.
fn check_plane(what: &str, found: &[f32], wanted: &[f64], like: f64) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    let error = norm(&found.iter().zip(wanted).map(|(&f, w)| f64::from(f) - w).collect::<Vec<_>>());
    let allowed = PLANE_TOLERANCE * norm(wanted).max(0.05 * like) + f64::MIN_POSITIVE;
    // Not `error > allowed`, which a NaN would pass.
    assert!(error <= allowed, "{what}: the error is {error}, allowed is {allowed}");
}

/// Every plane of the engine against the reference.
fn check_planes(engine: &mut GpuEngine, case: &Case, truth: &Truth) {
    let largest = |planes: &[Vec<f64>]| planes.iter().map(|plane| norm(plane)).fold(0.0, f64::max);
    for image in 0..case.images.shape.batch {
        let (forward, backward) = (&truth.forward[image], &truth.backward[image]);
        let hidden = case.architecture.inputs..case.architecture.channels();
        let maps = forward.maps.iter().enumerate().map(|(c, plane)| (Plane::Map(c), plane, &forward.maps));
        let outputs =
            forward.outputs.iter().enumerate().map(|(o, plane)| (Plane::Output(o), plane, &forward.outputs));
        let dy = &truth.output_gradients[image];
        let dys = dy.iter().enumerate().map(|(o, plane)| (Plane::OutputGradient(o), plane, dy));
        let gradients = hidden.map(|c| (Plane::Gradient(c), &backward.maps[c], &backward.maps));
        for (plane, wanted, all) in maps.chain(outputs).chain(dys).chain(gradients) {
            let found = engine.read_plane(plane, image).unwrap();
            check_plane(&format!("{plane:?} of image {image}"), &found, wanted, largest(all));
        }
    }
}

/// Every parameter's gradient, judged by the size of the planes that it is the inner product of.
fn check_gradients(case: &Case, truth: &Truth, found: &[f32]) {
    let architecture = &case.architecture;
    let layout = ParameterLayout::of(architecture);
    let pixels = case.images.shape.extent.pixels() as f64;
    let over_images = |size: &dyn Fn(usize) -> f64| {
        (0..case.images.shape.batch).map(|image| size(image).powi(2)).sum::<f64>().sqrt()
    };
    let map = |c: usize| {
        over_images(&|image| {
            truth.forward[image].maps[c].iter().fold(0.0f64, |m, v| m.max(v.abs())) * pixels.sqrt()
        })
    };
    let maps: Vec<f64> = (0..architecture.channels()).map(map).collect();
    let all = norm(&truth.gradients);
    let check = |what: &str, at: usize, size: f64| {
        let error = (f64::from(found[at]) - truth.gradients[at]).abs();
        let allowed = GRADIENT_TOLERANCE * size + 1e-9 * all;
        let wanted = truth.gradients[at];
        assert!(
            error <= allowed,
            "gradient {at} ({what}): {} for {wanted}, the error is {error}, allowed is {allowed}",
            found[at]
        );
    };
    assert_eq!(found.len(), truth.gradients.len());
    let ones = (case.images.shape.batch as f64 * pixels).sqrt();
    for h in 0..architecture.hidden() {
        let delta = over_images(&|image| norm(&truth.backward[image].maps[architecture.inputs + h]));
        for source in architecture.sources(architecture.layer_of(h)) {
            layout.filter(h, source).for_each(|at| check("a filter", at, delta * maps[source]));
        }
        check("a bias", layout.biases().start + h, delta * ones);
    }
    for o in 0..architecture.outputs {
        let dy = over_images(&|image| norm(&truth.output_gradients[image][o]));
        for (c, at) in layout.mix(o).enumerate() {
            check("a mixing weight", at, dy * maps[c]);
        }
        check("an output bias", layout.output_biases().start + o, dy * ones);
    }
}

fn open(case: &Case) -> GpuEngine {
    GpuEngine::open(&adapter(), &case.architecture, &case.parameters, case.options).unwrap()
}

fn check_case(case: &Case) {
    let truth = truth(case, &wide(&case.parameters));
    let mut engine = open(case);

    let outputs = engine.forward(&case.images).unwrap();
    let wanted: Vec<f64> = truth.forward.iter().flat_map(|f| f.outputs.concat()).collect();
    check_plane("the outputs", &outputs, &wanted, norm(&wanted));

    engine.accumulate(&case.images, &case.targets, case.scale).unwrap();
    check_planes(&mut engine, case, &truth);
    let once = engine.gradients().unwrap();
    check_gradients(case, &truth, &once);

    // A second batch adds up; the loss too.
    engine.accumulate(&case.images, &case.targets, case.scale).unwrap();
    let twice: Vec<f32> = engine.gradients().unwrap();
    assert!(twice.iter().zip(&once).all(|(t, o)| *t == 2.0 * o), "two equal batches do not add up");
    engine.update(&Adam::new(1e-3, 1)).unwrap();
    let loss = f64::from(engine.losses(true).unwrap()[0]);
    let wanted = 2.0 * truth.loss;
    assert!((loss - wanted).abs() <= LOSS_TOLERANCE * wanted.abs(), "the loss is {loss}, wanted {wanted}");
    assert!(engine.gradients().unwrap().iter().all(|&g| g == 0.0), "the update left gradients behind");
}

fn check_seeds(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let case = case(seed);
        let (a, o, s) = (&case.architecture, case.options, case.images.shape);
        // Seen when the test fails.
        println!("case {seed}: {a:?} {o:?} {s:?}");
        check_case(&case);
    }
}

#[test]
fn random_networks_agree_with_the_reference_1() {
    check_seeds(0..20);
}

#[test]
fn random_networks_agree_with_the_reference_2() {
    check_seeds(20..40);
}

/// Long columns, wide rows and several blocks: tiles of every size, work items in several segments.
#[test]
fn larger_images_agree_with_the_reference() {
    for (seed, boundary) in [(1, Boundary::Reflect), (2, Boundary::Symmetric), (3, Boundary::Zeros)] {
        let architecture =
            Architecture { boundary, dilations: vec![1, 2, 3, 8], ..Architecture::new(2, 3, 7) };
        let shape = Shape { batch: 1, extent: Extent::plane(67, 130) };
        let mut case = images_for(architecture, shape, &mut Random(seed));
        case.options = GpuOptions { block: Some(3), most_page_bytes: None };
        check_case(&case);
    }
}

#[test]
fn images_of_changing_sizes_follow_each_other() {
    let r = &mut Random(11);
    let architecture = Architecture { width: 2, ..Architecture::new(1, 2, 3) };
    let shapes = [(9, 12), (20, 5), (9, 12)].map(|(y, x)| Shape { batch: 1, extent: Extent::plane(y, x) });
    let cases: Vec<Case> = shapes.map(|shape| images_for(architecture.clone(), shape, r)).to_vec();
    let parameters = &cases[0].parameters;
    let mut engine = open(&cases[0]);
    let mut sum = vec![0.0; parameters.len()];
    for case in &cases {
        engine.accumulate(&case.images, &case.targets, case.scale).unwrap();
        let truth = truth(case, &wide(parameters));
        sum.iter_mut().zip(&truth.gradients).for_each(|(sum, g)| *sum += g);
        check_planes(&mut engine, case, &truth);
    }
    check_plane("the sum of gradients", &engine.gradients().unwrap(), &sum, norm(&sum));
}

#[test]
fn adam_follows_the_reference() {
    let case = case(5);
    let mut engine = open(&case);
    let count = case.parameters.len();
    let mut parameters = wide(&case.parameters);
    let (mut first, mut second) = (vec![0.0; count], vec![0.0; count]);
    for step in 1..=3 {
        engine.accumulate(&case.images, &case.targets, case.scale).unwrap();
        // The reference moves along the engine's gradients: Adam divides by their size, so it would blow up their errors.
        let gradients = wide(&engine.gradients().unwrap());
        let before = parameters.clone();
        let adam = Adam::new(1e-2, step);
        reference::adam(&mut parameters, &gradients, &mut first, &mut second, &adam);
        engine.update(&adam).unwrap();
        let moments = engine.moments().unwrap();
        check_plane("the first moments", &moments.first, &first, 0.0);
        check_plane("the second moments", &moments.second, &second, 0.0);
        let found = engine.parameters().unwrap();
        for (i, &p) in found.iter().enumerate() {
            let moved = (parameters[i] - before[i]).abs();
            let allowed = ADAM_TOLERANCE * moved + 2e-7 * parameters[i].abs();
            let error = (f64::from(p) - parameters[i]).abs();
            assert!(
                error <= allowed,
                "parameter {i} at step {step}: the error is {error}, allowed {allowed}"
            );
        }
        parameters = wide(&found);
    }
    let kept = engine.moments().unwrap();
    let moments = Moments { first: vec![1.0; count], second: vec![2.0; count] };
    engine.set_moments(&moments).unwrap();
    assert_eq!(engine.moments().unwrap(), moments);
    engine.set_moments(&kept).unwrap();
    assert_eq!(engine.moments().unwrap(), kept);
}

fn curve_case() -> Case {
    let architecture = Architecture { dilations: vec![1, 2, 3, 4], ..Architecture::new(1, 3, 6) };
    let mut case =
        images_for(architecture, Shape { batch: 2, extent: Extent::plane(21, 26) }, &mut Random(7));
    case.options = GpuOptions { block: Some(4), most_page_bytes: None };
    case
}

/// Trains for `steps`; gives the losses and the parameters.
fn train(case: &Case, steps: u64) -> (Vec<f32>, Vec<f32>) {
    let mut engine = open(case);
    let mut losses = vec![];
    for step in 1..=steps {
        engine.accumulate(&case.images, &case.targets, case.scale).unwrap();
        engine.update(&Adam::new(5e-3, step)).unwrap();
        losses.extend(engine.losses(false).unwrap());
    }
    losses.extend(engine.losses(true).unwrap());
    (losses, engine.parameters().unwrap())
}

#[test]
fn a_training_run_follows_the_reference() {
    let case = curve_case();
    let (losses, _) = train(&case, 20);
    assert_eq!(losses.len(), 20);
    let mut parameters = wide(&case.parameters);
    let (mut first, mut second) = (vec![0.0; parameters.len()], vec![0.0; parameters.len()]);
    for (step, &loss) in losses.iter().enumerate() {
        let truth = truth(&case, &parameters);
        let error = (f64::from(loss) / truth.loss - 1.0).abs();
        assert!(error <= CURVE_TOLERANCE, "step {step}: the loss is {loss}, wanted {}", truth.loss);
        let adam = Adam::new(5e-3, step as u64 + 1);
        reference::adam(&mut parameters, &truth.gradients, &mut first, &mut second, &adam);
    }
    assert!(losses[19] < 0.9 * losses[0], "nothing was learnt: {losses:?}");
}

#[test]
fn the_same_run_twice_gives_the_same_bits() {
    let bits = |(losses, parameters): (Vec<f32>, Vec<f32>)| {
        losses.iter().chain(&parameters).map(|v| v.to_bits()).collect::<Vec<_>>()
    };
    let case = curve_case();
    assert_eq!(bits(train(&case, 5)), bits(train(&case, 5)));
}

#[test]
fn what_does_not_fit_is_refused_in_words() {
    let case = case(3);
    let mut engine = open(&case);
    let short = Images { pixels: vec![0.0; 3], ..case.images.clone() };
    assert!(matches!(engine.forward(&short), Err(Error::Mismatch(_))));
    assert!(matches!(engine.set_parameters(&[1.0]), Err(Error::Mismatch(_))));
    assert!(matches!(engine.read_plane(Plane::Map(0), 0), Err(Error::Mismatch(_))));
    let huge = Shape { batch: 1, extent: Extent::plane(100_000, 100_000) };
    let error = engine.bytes(huge, true).unwrap_err();
    assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
    assert!(error.to_string().contains("--tile"), "{error}");
    // And the engine is still of use.
    assert!(engine.forward(&case.images).is_ok());
}

#[test]
fn bytes_grow_with_training_and_size() {
    let case = case(8);
    let engine = open(&case);
    let shape = |n| Shape { batch: 1, extent: Extent::plane(n, n) };
    let engine =
        GpuEngine::open(&adapter(), engine.architecture(), &case.parameters, GpuOptions::default()).unwrap();
    assert!(engine.bytes(shape(64), true).unwrap() > engine.bytes(shape(64), false).unwrap());
    assert!(engine.bytes(shape(128), true).unwrap() > 2 * engine.bytes(shape(64), true).unwrap());
}

#[test]
fn devices_are_listed_best_first() {
    let kinds: Vec<bool> = adapters().iter().map(|(_, info)| info.kind == DeviceKind::Software).collect();
    assert!(kinds.is_sorted(), "software before hardware: {:?}", adapters());
    assert!(adapters().iter().all(|(adapter, info)| *info == adapter.info()));
}
