//! One suite for every engine: random networks against the float64 reference.
//!
//! An engine is a function that opens it with a block size and a page limit. Tolerances are written here, once
//! for each quantity, relative to the size of what is compared.

pub mod losses;

use losses::{OF_CLASSES, OF_VALUES};
use msd_gpu::engine::{Adam, Engine, IGNORED, Images, Loss, Plane, TargetValues, Targets};
use msd_gpu::geometry::Boundary;
use msd_gpu::geometry::{Extent, Shape};
use msd_gpu::network::{Architecture, DilationMode, ParameterLayout, initialise};
use msd_gpu::reference;
use msd_gpu::schedule::PlaneLayout;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Largest errors, relative to the largest value of the quantity in the network.
mod tolerance {
    /// Feature maps and outputs: a few hundred multiply-adds in float32.
    pub const FORWARD: f64 = 5e-6;
    /// Gradient maps: two passes through the network.
    pub const GRADIENT_MAP: f64 = 1e-5;
    /// Gradients of parameters: sums over all pixels on top.
    pub const PARAMETER_GRADIENT: f64 = 1e-5;
    /// The loss.
    pub const LOSS: f64 = 1e-5;
    /// Parameters after a few steps of Adam, relative to the learning rate.
    pub const ADAM: f64 = 2e-2;
    /// Each point of a curve of twenty training steps.
    pub const CURVE: f64 = 1e-3;
}

/// How an engine is to be opened.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    pub block: usize,
    #[allow(dead_code, reason = "the CPU has no limit of pages")]
    pub max_page_bytes: u64,
}

/// Opens an engine for a network.
pub type Open = dyn Fn(&Architecture, &[f32], Setting) -> Box<dyn Engine>;

/// A network with parameters, a batch and its targets.
#[derive(Debug)]
pub struct Case {
    pub architecture: Architecture,
    pub parameters: Vec<f32>,
    pub images: Images,
    pub targets: Targets,
    pub loss: Loss,
}

impl Case {
    /// A random one: odd sizes down to 1x1, every boundary, dilations beyond the image.
    pub fn random(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut pick = |from: usize, to: usize| random.random_range(from..=to);
        let side = |n: usize, pick: &mut dyn FnMut(usize, usize) -> usize| match n {
            0 => pick(1, 3),
            1 => pick(4, 20),
            _ => pick(21, 45),
        };
        let (rows, columns) = (pick(0, 2), pick(0, 2));
        let extent = Extent::plane(side(rows, &mut pick), side(columns, &mut pick));
        let dilations = match pick(0, 3) {
            0 => (1..=10).collect(),
            1 => vec![1],
            2 => (0..pick(1, 4)).map(|_| pick(1, 8)).collect(),
            _ => vec![1, pick(10, 60), pick(2, 5)],
        };
        let architecture = Architecture {
            inputs: pick(1, 3),
            outputs: pick(1, 6),
            width: pick(1, 4),
            depth: pick(1, 7),
            dilations,
            dilation_mode: [DilationMode::Channel, DilationMode::Layer][pick(0, 1)],
            boundary: [Boundary::Reflect, Boundary::Symmetric, Boundary::Zeros][pick(0, 2)],
        };
        let batch = pick(1, 3);
        let segments = pick(0, 1) == 0;
        let case = Self::new(architecture, Shape { batch, extent }, segments, seed);
        let losses = if segments { OF_CLASSES } else { OF_VALUES };
        Self { loss: losses[seed as usize / 2 % 4], ..case }
    }

    /// One of a given architecture and shape.
    pub fn new(architecture: Architecture, shape: Shape, segments: bool, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed ^ 0x5eed);
        let pixels = shape.batch * shape.extent.pixels();
        let mut parameters = initialise(&architecture, seed);
        // Biases and mixing weights start at zero; here they must not, or half of the gradients would be zero too.
        let filters = ParameterLayout::of(&architecture).filters().end;
        parameters[filters..].fill_with(|| random.random_range(-0.5..0.5));
        let images = (0..pixels * architecture.inputs).map(|_| random.random_range(-2.0..2.0)).collect();
        let outputs = architecture.outputs;
        let values = if segments {
            let class = |random: &mut ChaCha8Rng| match random.random_range(0..=outputs as u32) {
                class if class == outputs as u32 => IGNORED,
                class => class,
            };
            TargetValues::Classes((0..pixels).map(|_| class(&mut random)).collect())
        } else {
            TargetValues::Values((0..pixels * outputs).map(|_| random.random_range(-1.0..1.0)).collect())
        };
        // Every other case has weights, a few of them 0.
        let weight = |random: &mut ChaCha8Rng| f32::max(0.0, random.random_range(-0.3..3.0));
        let weights = (seed % 2 == 1).then(|| (0..pixels).map(|_| weight(&mut random)).collect());
        let targets = Targets { values, weights };
        let loss = if segments { Loss::CrossEntropy } else { Loss::SquaredError };
        Self { architecture, parameters, images: Images { shape, pixels: images }, targets, loss }
    }

    /// One over the total weight: the scale of a mean.
    pub fn scale(&self) -> f32 {
        let weight = self.targets.total_weight();
        if weight > 0.0 { (1.0 / weight) as f32 } else { 1.0 }
    }
}

/// What the reference makes of a case with the given parameters.
pub struct Expected {
    pub images: Vec<(reference::Forward, reference::Backward, Vec<Vec<f64>>)>,
    pub loss: f64,
    pub gradients: Vec<f64>,
}

/// The part of a batch's targets that belongs to one image.
fn image_targets(targets: &Targets, index: usize, pixels: usize, outputs: usize) -> Targets {
    let part = |channels: usize| index * channels * pixels..(index + 1) * channels * pixels;
    let values = match &targets.values {
        TargetValues::Classes(classes) => TargetValues::Classes(classes[part(1)].to_vec()),
        TargetValues::Values(values) => TargetValues::Values(values[part(outputs)].to_vec()),
    };
    Targets { values, weights: targets.weights.as_ref().map(|weights| weights[part(1)].to_vec()) }
}

pub fn expected(case: &Case, parameters: &[f64]) -> Expected {
    let Case { architecture, images, targets, .. } = case;
    let extent = images.shape.extent;
    let pixels = extent.pixels();
    let mut all = Expected { images: Vec::new(), loss: 0.0, gradients: vec![0.0; parameters.len()] };
    for (index, image) in images.pixels.chunks(pixels * architecture.inputs).enumerate() {
        let image: Vec<f64> = image.iter().map(|&v| f64::from(v)).collect();
        let forward = reference::forward(architecture, parameters, &image, extent);
        let scale = f64::from(case.scale());
        let targets = image_targets(targets, index, pixels, architecture.outputs);
        let (loss, output_gradient) = reference::loss(&forward.outputs, &targets, case.loss, scale);
        let backward = reference::backward(architecture, parameters, &forward, &output_gradient, extent);
        all.loss += loss;
        all.gradients.iter_mut().zip(&backward.parameters).for_each(|(sum, g)| *sum += g);
        all.images.push((forward, backward, output_gradient));
    }
    all
}

/// The largest magnitude in a set of planes: what errors in any of them are measured by, since each is made of
/// the others and a plane that happens to cancel to almost nothing keeps their rounding.
fn largest(planes: &[Vec<f64>]) -> f64 {
    planes.iter().flatten().fold(1e-9, |largest, v| largest.max(v.abs()))
}

/// Fails unless every number is within `tolerance` times `size`; what is not a number fails too.
pub fn compare(
    what: &str,
    found: &[f32],
    wanted: &[f64],
    size: f64,
    tolerance: f64,
    context: &dyn std::fmt::Debug,
) {
    assert_eq!(found.len(), wanted.len(), "{what}: other length; {context:?}");
    for (i, (&f, &w)) in found.iter().zip(wanted).enumerate() {
        let error = (f64::from(f) - w).abs() / size;
        assert!(
            error <= tolerance,
            "{what}[{i}] is {f}, wanted {w}: error {error:.2e} of {size:.2e}; {context:?}"
        );
    }
}

/// A ReLU whose sum is within rounding of 0 may go either way; such a case says nothing about gradients.
fn near_a_kink(expected: &Expected, architecture: &Architecture, parameters: &[f64], case: &Case) -> bool {
    // Two evaluations that differ by float32 rounding of the parameters must agree on every sign.
    let nudged: Vec<f64> = parameters.iter().map(|p| p * (1.0 + 1e-6) + 1e-7).collect();
    let extent = case.images.shape.extent;
    case.images.pixels.chunks(extent.pixels() * architecture.inputs).zip(&expected.images).any(
        |(image, (forward, ..))| {
            let image: Vec<f64> = image.iter().map(|&v| f64::from(v)).collect();
            let other = reference::forward(architecture, &nudged, &image, extent);
            let signs = |maps: &[Vec<f64>]| {
                maps[architecture.inputs..].concat().iter().map(|&v| v > 0.0).collect::<Vec<_>>()
            };
            signs(&other.maps) != signs(&forward.maps)
        },
    )
}

/// Forward, loss, every map and every gradient of one case.
pub fn check_case(open: &Open, seed: u64, case: &Case, setting: Setting) {
    let parameters: Vec<f64> = case.parameters.iter().map(|&p| f64::from(p)).collect();
    let expected = expected(case, &parameters);
    let a = &case.architecture;
    let context = (seed, a, case.images.shape, setting);
    let mut engine = open(a, &case.parameters, setting);

    let outputs = engine.forward(&case.images).unwrap();
    let wanted: Vec<f64> =
        expected.images.iter().flat_map(|(forward, ..)| forward.outputs.concat()).collect();
    compare(
        "outputs",
        &outputs,
        &wanted,
        largest(std::slice::from_ref(&wanted)),
        tolerance::FORWARD,
        &context,
    );

    let kink = near_a_kink(&expected, a, &parameters, case);
    let last = case.images.shape.batch - 1;
    // An engine that takes a batch image by image has only the last image's planes left.
    let left = if engine.read_plane(Plane::Map(0), last).is_ok() { last } else { 0 };
    let in_reference = last;
    let (forward, backward, output_gradient) = &expected.images[in_reference];
    for channel in 0..a.channels() {
        let map = engine.read_plane(Plane::Map(channel), left).unwrap();
        compare(
            &format!("map {channel}"),
            &map,
            &forward.maps[channel],
            largest(&forward.maps),
            tolerance::FORWARD,
            &context,
        );
    }

    // What is read of feature maps after a whole step may be less: gradient maps may take their places.
    engine.accumulate(&case.images, &case.targets, case.loss, case.scale()).unwrap();
    for (output, wanted) in output_gradient.iter().enumerate() {
        let found = engine.read_plane(Plane::OutputGradient(output), left).unwrap();
        compare("output gradient", &found, wanted, largest(output_gradient), tolerance::FORWARD, &context);
    }
    let gradients = engine.gradients().unwrap();
    if !kink {
        for channel in a.inputs..a.channels() {
            let found = engine.read_plane(Plane::Gradient(channel), left).unwrap();
            let what = format!("gradient map {channel}");
            compare(
                &what,
                &found,
                &backward.maps[channel],
                largest(&backward.maps[a.inputs..]),
                tolerance::GRADIENT_MAP,
                &context,
            );
        }
        compare(
            "gradients",
            &gradients,
            &expected.gradients,
            largest(std::slice::from_ref(&expected.gradients)),
            tolerance::PARAMETER_GRADIENT,
            &context,
        );
    }

    // Batches add up, and an update closes the step with the loss of all of them.
    engine.accumulate(&case.images, &case.targets, case.loss, case.scale()).unwrap();
    let doubled = engine.gradients().unwrap();
    let twice: Vec<f64> = gradients.iter().map(|&g| 2.0 * f64::from(g)).collect();
    compare(
        "gradients of two batches",
        &doubled,
        &twice,
        largest(std::slice::from_ref(&twice)),
        tolerance::LOSS,
        &context,
    );
    engine.update(&Adam::new(1e-3, 1)).unwrap();
    let losses = engine.losses(true).unwrap();
    compare("loss", &losses, &[2.0 * expected.loss], 2.0 * expected.loss + 1e-9, tolerance::LOSS, &context);
    assert!(engine.gradients().unwrap().iter().all(|&g| g == 0.0), "an update clears the gradients");
}

/// A page limit that holds the outputs, and no more than a few channels.
fn few_channels(case: &Case) -> u64 {
    let Shape { batch, extent } = case.images.shape;
    let margin = case.architecture.largest_dilation();
    // Rows are aligned to at most 16 numbers.
    let maps = PlaneLayout::maps(extent, margin, 16).unwrap();
    let outputs = PlaneLayout::gradients(extent, margin, 16).unwrap();
    let planes = (3 * maps.plane).max(case.architecture.outputs * outputs.plane);
    4 * (batch * planes + 2 * maps.guard) as u64
}

/// Random networks, each with another block size, every other four of them in several pages.
pub fn random_networks_agree(open: &Open, cases: std::ops::Range<u64>) {
    for seed in cases {
        let case = Case::random(seed);
        let max_page_bytes = if seed / 4 % 2 == 0 { u64::MAX } else { few_channels(&case) };
        check_case(open, seed, &case, Setting { block: [1, 2, 3, 10][seed as usize % 4], max_page_bytes });
    }
}

/// Twenty steps: the loss follows float64, and a second run gives the same bits.
pub fn training_follows_float64(open: &Open, segments: bool) {
    let architecture = Architecture::new(1, if segments { 3 } else { 1 }, 12);
    let shape = Shape { batch: 2, extent: Extent::plane(24, 31) };
    let mut case = Case::new(architecture, shape, segments, 11);
    case.parameters = initialise(&case.architecture, 3);
    case.targets.weights = None;
    let setting = Setting { block: 4, max_page_bytes: u64::MAX };
    let run = || {
        let mut engine = open(&case.architecture, &case.parameters, setting);
        for step in 1..=20 {
            engine.accumulate(&case.images, &case.targets, case.loss, case.scale()).unwrap();
            engine.update(&Adam::new(1e-2, step)).unwrap();
        }
        (engine.losses(true).unwrap(), engine.parameters().unwrap(), engine.moments().unwrap())
    };
    let first = run();
    let second = run();
    assert_eq!(first.0.len(), 20);
    let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&first.0), bits(&second.0), "losses differ between two runs");
    assert_eq!(bits(&first.1), bits(&second.1), "parameters differ between two runs");
    assert_eq!(first.2, second.2, "moments differ between two runs");

    let mut parameters: Vec<f64> = case.parameters.iter().map(|&p| f64::from(p)).collect();
    let (mut m, mut v) = (vec![0.0; parameters.len()], vec![0.0; parameters.len()]);
    let mut curve = Vec::new();
    for step in 1..=20 {
        let expected = expected(&case, &parameters);
        curve.push(expected.loss);
        let adam = Adam::new(1e-2, step);
        reference::adam(&mut parameters, &expected.gradients, &mut m, &mut v, &mut [], &adam);
    }
    for (step, (found, wanted)) in first.0.iter().zip(&curve).enumerate() {
        let error = (f64::from(*found) / wanted - 1.0).abs();
        assert!(error <= tolerance::CURVE, "step {}: loss {found}, wanted {wanted}: {error:.1e}", step + 1);
    }
    assert!(curve[19] < 0.95 * curve[0], "the network learns: {} to {}", curve[0], curve[19]);
}

/// Adam and AdamW, clipped or not, move parameters, moments and average as the reference does.
pub fn adam_agrees(open: &Open) {
    let rate = 1e-2;
    let plain = Adam::new(rate, 1);
    let all = Adam { weight_decay: 0.3, clip_norm: Some(1e-2), average_decay: Some(0.8), ..plain };
    // The gradients of the case below are longer than the first norm and shorter than the second.
    let frozen = Adam { frozen_layers: 2, ..all };
    let settings =
        [plain, Adam { clip_norm: Some(1e6), ..all }, all, Adam { frozen_layers: 3, ..plain }, frozen];
    for adam in settings {
        check_adam(open, adam);
    }
}

fn check_adam(open: &Open, adam: Adam) {
    let rate = adam.learning_rate;
    let shape = Shape { batch: 1, extent: Extent::plane(9, 12) };
    let case = Case::new(Architecture { width: 2, ..Architecture::new(2, 2, 3) }, shape, false, 5);
    let mut engine =
        open(&case.architecture, &case.parameters, Setting { block: 2, max_page_bytes: u64::MAX });
    let mut parameters: Vec<f64> = case.parameters.iter().map(|&p| f64::from(p)).collect();
    let mut average = parameters.clone();
    let (mut m, mut v) = (vec![0.0; parameters.len()], vec![0.0; parameters.len()]);
    let frozen =
        ParameterLayout::of(&case.architecture).first_layers(adam.frozen_layers).into_iter().flatten();
    for step in 1..=3 {
        let adam = Adam { step, ..adam };
        engine.accumulate(&case.images, &case.targets, case.loss, case.scale()).unwrap();
        let mut gradients: Vec<f64> = engine.gradients().unwrap().iter().map(|&g| f64::from(g)).collect();
        let moves = frozen.clone().any(|index| gradients[index] != 0.0);
        assert_eq!(moves, adam.frozen_layers > 0, "what is frozen would move otherwise");
        frozen.clone().for_each(|index| gradients[index] = 0.0);
        let norm = gradients.iter().map(|g| g * g).sum::<f64>().sqrt();
        assert!(norm > 1e-2 && norm < 1e6, "{norm}");
        engine.update(&adam).unwrap();
        reference::adam(&mut parameters, &gradients, &mut m, &mut v, &mut average, &adam);
        let found = (engine.parameters().unwrap(), engine.average().unwrap());
        for index in frozen.clone() {
            // To the last bit, whatever decays.
            assert_eq!((found.0[index], found.1[index]), (case.parameters[index], case.parameters[index]));
            (parameters[index], average[index]) =
                (f64::from(case.parameters[index]), f64::from(case.parameters[index]));
        }
        let found = [(found.0, &parameters), (found.1, &average)];
        for (found, wanted) in found.iter().flat_map(|(found, wanted)| found.iter().zip(wanted.iter())) {
            assert!((f64::from(*found) - wanted).abs() <= tolerance::ADAM * rate, "{found} is not {wanted}");
        }
    }
    let moments = engine.moments().unwrap();
    compare("first moments", &moments.first, &m, largest(std::slice::from_ref(&m)), tolerance::FORWARD, &"");
    compare(
        "second moments",
        &moments.second,
        &v,
        largest(std::slice::from_ref(&v)),
        tolerance::FORWARD,
        &"",
    );
    // What is read can be put back.
    let parameters = engine.parameters().unwrap();
    let mut other =
        open(&case.architecture, &case.parameters, Setting { block: 1, max_page_bytes: u64::MAX });
    other.set_parameters(&parameters).unwrap();
    other.set_moments(&moments).unwrap();
    let average = engine.average().unwrap();
    other.set_average(&average).unwrap();
    assert_eq!(other.average().unwrap(), average);
    assert_eq!(other.parameters().unwrap(), parameters);
    assert_eq!(other.moments().unwrap(), moments);
}

/// Batches that do not fit the network are refused, not computed.
pub fn wrong_batches_are_refused(open: &Open) {
    let shape = Shape { batch: 1, extent: Extent::plane(4, 5) };
    let case = Case::new(Architecture::new(1, 2, 2), shape, true, 1);
    let mut engine =
        open(&case.architecture, &case.parameters, Setting { block: 1, max_page_bytes: u64::MAX });
    let short = Images { shape, pixels: vec![0.0; 19] };
    assert!(engine.forward(&short).is_err());
    let empty = Images { shape: Shape { batch: 0, ..shape }, pixels: vec![] };
    assert!(engine.forward(&empty).is_err());
    let mut refuses = |targets: &Targets, loss: Loss| {
        assert!(engine.accumulate(&case.images, targets, loss, 1.0).is_err(), "{targets:?} {loss}");
    };
    refuses(&Targets::classes(vec![2; 20]), Loss::CrossEntropy);
    refuses(&Targets::classes(vec![1; 20]), Loss::SquaredError);
    refuses(&Targets::values(vec![0.0; 39]), Loss::SquaredError);
    refuses(&Targets::values(vec![0.0; 40]), Loss::Dice);
    refuses(&Targets { weights: Some(vec![1.0; 19]), ..case.targets.clone() }, Loss::CrossEntropy);
    assert!(engine.set_parameters(&[0.0]).is_err());
}

/// Long columns and wide rows in several blocks: register tiles of every size, sums in several pieces.
pub fn larger_images_agree(open: &Open) {
    for (seed, boundary) in [(1, Boundary::Reflect), (2, Boundary::Symmetric), (3, Boundary::Zeros)] {
        let architecture =
            Architecture { boundary, dilations: vec![1, 2, 3, 8], ..Architecture::new(2, 3, 7) };
        let shape = Shape { batch: 1, extent: Extent::plane(67, 130) };
        let case = Case::new(architecture, shape, true, seed);
        check_case(open, seed, &case, Setting { block: 3, max_page_bytes: u64::MAX });
    }
}

/// One engine takes images of one size after another, and their gradients add up.
pub fn changing_sizes_add_up(open: &Open) {
    let architecture = Architecture { width: 2, ..Architecture::new(1, 2, 3) };
    let shapes = [(9, 12), (20, 5), (9, 12)].map(|(y, x)| Shape { batch: 1, extent: Extent::plane(y, x) });
    let cases = shapes.map(|shape| Case::new(architecture.clone(), shape, true, 3));
    let parameters = &cases[0].parameters;
    let mut engine = open(&architecture, parameters, Setting { block: 2, max_page_bytes: u64::MAX });
    let wide: Vec<f64> = parameters.iter().map(|&p| f64::from(p)).collect();
    let mut sum = vec![0.0; wide.len()];
    for case in &cases {
        engine.accumulate(&case.images, &case.targets, case.loss, case.scale()).unwrap();
        sum.iter_mut().zip(&expected(case, &wide).gradients).for_each(|(sum, g)| *sum += g);
        // A forward pass between two batches leaves their gradients alone.
        engine.forward(&case.images).unwrap();
    }
    let size = largest(std::slice::from_ref(&sum));
    compare("gradients", &engine.gradients().unwrap(), &sum, size, tolerance::PARAMETER_GRADIENT, &"");
}

/// One engine goes back and forth between sizes; what it gave and what can be read back is always the last one's.
pub fn sizes_take_turns(open: &Open) {
    let architecture = Architecture { width: 2, ..Architecture::new(1, 2, 3) };
    let sizes = [(9, 12), (20, 5), (7, 7), (1, 30), (25, 26), (3, 2)];
    let cases = sizes.map(|(y, x)| {
        Case::new(architecture.clone(), Shape { batch: 1, extent: Extent::plane(y, x) }, true, 3)
    });
    let setting = Setting { block: 2, max_page_bytes: u64::MAX };
    let fresh = |case: &Case| open(&architecture, &case.parameters, setting).forward(&case.images).unwrap();
    let wanted = cases.each_ref().map(fresh);
    let mut engine = open(&architecture, &cases[0].parameters, setting);
    for (turn, index) in [0, 1, 0, 2, 3, 1, 4, 5, 0, 1, 0, 4].into_iter().enumerate() {
        let case = &cases[index];
        if turn % 3 == 1 {
            engine.accumulate(&case.images, &case.targets, case.loss, case.scale()).unwrap();
            assert!(engine.read_plane(Plane::OutputGradient(0), 0).is_ok());
        }
        assert_eq!(engine.forward(&case.images).unwrap(), wanted[index], "size {index} at turn {turn}");
        let output = engine.read_plane(Plane::Output(1), 0).unwrap();
        assert_eq!(output, wanted[index][output.len()..], "size {index} at turn {turn}");
        assert_eq!(engine.read_plane(Plane::Map(0), 0).unwrap(), case.images.pixels);
    }
}

/// What a pass takes is known before it runs, grows with it, and is refused when it cannot be.
pub fn memory_is_known(open: &Open) {
    let architecture = Architecture::new(1, 2, 5);
    let parameters = initialise(&architecture, 1);
    let engine = open(&architecture, &parameters, Setting { block: 5, max_page_bytes: u64::MAX });
    let bytes = |n: usize, training| engine.bytes(Shape { batch: 1, extent: Extent::plane(n, n) }, training);
    assert!(bytes(64, true).unwrap() > bytes(64, false).unwrap());
    assert!(bytes(128, true).unwrap() > 2 * bytes(64, true).unwrap());
    assert!(!bytes(usize::MAX / 2, true).unwrap_err().is_failure());
}

/// The tests that every engine has to pass, for the engine that `$open` opens, with `$cases` random networks.
macro_rules! engine_tests {
    ($open:expr, $cases:expr) => {
        #[test]
        fn random_networks_agree() {
            crate::cross_check::random_networks_agree(&$open, 0..$cases);
        }

        #[test]
        fn losses_agree() {
            crate::cross_check::losses::losses_agree(&$open);
        }

        #[test]
        fn larger_images_agree() {
            crate::cross_check::larger_images_agree(&$open);
        }

        #[test]
        fn training_follows_float64() {
            crate::cross_check::training_follows_float64(&$open, true);
            crate::cross_check::training_follows_float64(&$open, false);
        }

        #[test]
        fn adam_agrees() {
            crate::cross_check::adam_agrees(&$open);
        }

        #[test]
        fn changing_sizes_add_up() {
            crate::cross_check::changing_sizes_add_up(&$open);
        }

        #[test]
        fn sizes_take_turns() {
            crate::cross_check::sizes_take_turns(&$open);
        }

        #[test]
        fn memory_is_known() {
            crate::cross_check::memory_is_known(&$open);
        }

        #[test]
        fn wrong_batches_are_refused() {
            crate::cross_check::wrong_batches_are_refused(&$open);
        }
    };
}
