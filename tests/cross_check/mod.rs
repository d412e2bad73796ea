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

/// What the reference makes of one image.
pub struct ExpectedImage {
    pub forward: reference::Forward,
    pub output_gradient: Vec<Vec<f64>>,
    /// Gradients with respect to each channel; empty before [`Expected::with_gradients`].
    pub gradient_maps: Vec<Vec<f64>>,
}

/// What the reference makes of a case with the given parameters.
pub struct Expected {
    pub images: Vec<ExpectedImage>,
    pub loss: f64,
    /// Gradients of the parameters; zeros before [`Expected::with_gradients`].
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

/// The forward pass and the loss.
pub fn expected_forward(case: &Case, parameters: &[f64]) -> Expected {
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
        all.loss += loss;
        all.images.push(ExpectedImage { forward, output_gradient, gradient_maps: Vec::new() });
    }
    all
}

impl Expected {
    /// The backward pass through the forward one as it is now.
    pub fn with_gradients(mut self, case: &Case, parameters: &[f64]) -> Self {
        for image in &mut self.images {
            let ExpectedImage { forward, output_gradient, gradient_maps } = image;
            let extent = case.images.shape.extent;
            let backward =
                reference::backward(&case.architecture, parameters, forward, output_gradient, extent);
            self.gradients.iter_mut().zip(&backward.parameters).for_each(|(sum, g)| *sum += g);
            *gradient_maps = backward.maps;
        }
        self
    }
}

/// The forward pass, the loss and the gradients.
pub fn expected(case: &Case, parameters: &[f64]) -> Expected {
    expected_forward(case, parameters).with_gradients(case, parameters)
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

/// Feature maps `[image][channel]` as a forward pass leaves them. An engine that takes a batch image by image has only the last
/// image's planes left, so it is shown one image after the other.
fn feature_maps(engine: &mut dyn Engine, case: &Case) -> Vec<Vec<Vec<f32>>> {
    let Case { architecture, images, .. } = case;
    let Shape { batch, extent } = images.shape;
    let read = |engine: &mut dyn Engine, image: usize| {
        (0..architecture.channels()).map(|c| engine.read_plane(Plane::Map(c), image).unwrap()).collect()
    };
    if engine.read_plane(Plane::Map(0), batch - 1).is_ok() {
        return (0..batch).map(|image| read(engine, image)).collect();
    }
    let each = images.pixels.chunks(architecture.inputs * extent.pixels());
    each.map(|pixels| {
        let shape = Shape { batch: 1, extent };
        engine.forward(&Images { shape, pixels: pixels.to_vec() }).unwrap();
        read(engine, 0)
    })
    .collect()
}

/// Where a sum is within rounding of 0, float32 and float64 may go different ways through a ReLU, and the gradients of both are
/// right. Gives the reference the engine's side there, so that the gradients can be compared in every case; returns how many
/// pixels that took. The maps must have been compared before: so the two sides are rounding apart.
fn take_sides(forward: &mut reference::Forward, maps: &[Vec<f32>], inputs: usize) -> usize {
    let mut taken = 0;
    for (wanted, found) in forward.maps[inputs..].iter_mut().zip(&maps[inputs..]) {
        for (wanted, &found) in wanted.iter_mut().zip(found) {
            if (*wanted > 0.0) != (found > 0.0) {
                *wanted = f64::from(found);
                taken += 1;
            }
        }
    }
    taken
}

/// In how many of so many pixels an engine may be on the other side of a ReLU. It takes a sum that is smaller than its rounding,
/// some 1e-7 of the sums that there are: of the million pixels of all random networks, neither engine was in any.
fn max_sides(pixels: usize) -> usize {
    1 + pixels / 100_000
}

/// Forward, loss, every map and every gradient of one case. Returns the pixels of hidden maps, and in how many of them the engine
/// was on the other side of a ReLU than the reference.
pub fn check_case(open: &Open, seed: u64, case: &Case, setting: Setting) -> (usize, usize) {
    let parameters: Vec<f64> = case.parameters.iter().map(|&p| f64::from(p)).collect();
    let mut expected = expected_forward(case, &parameters);
    let a = &case.architecture;
    let context = (seed, a, case.images.shape, setting);
    let mut engine = open(a, &case.parameters, setting);

    let outputs = engine.forward(&case.images).unwrap();
    let wanted: Vec<f64> = expected.images.iter().flat_map(|image| image.forward.outputs.concat()).collect();
    compare(
        "outputs",
        &outputs,
        &wanted,
        largest(std::slice::from_ref(&wanted)),
        tolerance::FORWARD,
        &context,
    );

    let mut sides = 0;
    for (image, maps) in expected.images.iter_mut().zip(feature_maps(engine.as_mut(), case)) {
        let forward = &mut image.forward;
        let size = largest(&forward.maps);
        for (channel, map) in maps.iter().enumerate() {
            let what = format!("map {channel}");
            compare(&what, map, &forward.maps[channel], size, tolerance::FORWARD, &context);
        }
        sides += take_sides(forward, &maps, a.inputs);
    }
    let pixels = case.images.shape.batch * a.hidden() * case.images.shape.extent.pixels();
    assert!(sides <= max_sides(pixels), "{sides} of {pixels} pixels are on the other side of 0; {context:?}");
    let expected = expected.with_gradients(case, &parameters);

    // What is read of feature maps after a whole step may be less: gradient maps may take their places.
    engine.accumulate(&case.images, &case.targets, case.loss, case.scale()).unwrap();
    let last = case.images.shape.batch - 1;
    // An engine that takes a batch image by image has only the last image's planes left.
    let left = if engine.read_plane(Plane::OutputGradient(0), last).is_ok() { last } else { 0 };
    let image = &expected.images[last];
    for (output, wanted) in image.output_gradient.iter().enumerate() {
        let found = engine.read_plane(Plane::OutputGradient(output), left).unwrap();
        let size = largest(&image.output_gradient);
        compare("output gradient", &found, wanted, size, tolerance::FORWARD, &context);
    }
    let gradients = engine.gradients().unwrap();
    let size = largest(&image.gradient_maps[a.inputs..]);
    for channel in a.inputs..a.channels() {
        let found = engine.read_plane(Plane::Gradient(channel), left).unwrap();
        let (what, wanted) = (format!("gradient map {channel}"), &image.gradient_maps[channel]);
        compare(&what, &found, wanted, size, tolerance::GRADIENT_MAP, &context);
    }
    compare(
        "gradients",
        &gradients,
        &expected.gradients,
        largest(std::slice::from_ref(&expected.gradients)),
        tolerance::PARAMETER_GRADIENT,
        &context,
    );

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
    (pixels, sides)
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
    let (mut pixels, mut sides) = (0, 0);
    for seed in cases {
        let case = Case::random(seed);
        let max_page_bytes = if seed / 4 % 2 == 0 { u64::MAX } else { few_channels(&case) };
        let setting = Setting { block: [1, 2, 3, 10][seed as usize % 4], max_page_bytes };
        let (more, on_the_other_side) = check_case(open, seed, &case, setting);
        (pixels, sides) = (pixels + more, sides + on_the_other_side);
    }
    assert!(sides <= max_sides(pixels), "{sides} of {pixels} pixels are on the other side of 0");
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
