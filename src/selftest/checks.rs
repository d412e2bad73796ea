//! The checks that every engine has to pass.

use super::cases::Case;
use super::compare::{Difference, compare, ensure, largest};
use super::expected::{expected, expected_forward};
use super::{Open, Outcome, Setting, tolerance};
use crate::Result;
use crate::engine::{Adam, Engine, Gradients, Images, Loss, Plane, Targets};
use crate::geometry::{Boundary, Extent, Shape};
use crate::network::{Architecture, ParameterLayout, initialise};
use crate::reference;
use crate::schedule::PlaneLayout;

/// Feature maps `[image][channel]` as a forward pass leaves them. An engine that takes a batch image by image has only the last
/// image's planes left, so it is shown one image after the other.
pub(super) fn feature_maps(engine: &mut dyn Engine, case: &Case) -> Result<Vec<Vec<Vec<f32>>>> {
    let Case { architecture, images, .. } = case;
    let Shape { batch, extent } = images.shape;
    let read = |engine: &mut dyn Engine, image: usize| {
        (0..architecture.channels()).map(|c| engine.read_plane(Plane::Map(c), image)).collect()
    };
    if engine.read_plane(Plane::Map(0), batch - 1).is_ok() {
        return (0..batch).map(|image| read(engine, image)).collect();
    }
    let each = images.pixels.chunks(architecture.inputs * extent.pixels());
    each.map(|pixels| {
        let shape = Shape { batch: 1, extent };
        engine.forward(&Images { shape, pixels: pixels.to_vec() })?;
        read(engine, 0)
    })
    .collect()
}

/// Where a sum is within rounding of 0, float32 and float64 may go different ways through a ReLU, and the gradients of both are
/// right. Gives the reference the engine's side there, so that the gradients can be compared in every case; returns how many
/// pixels that took. The maps must have been compared before: so the two sides are rounding apart.
pub(super) fn take_sides(forward: &mut reference::Forward, maps: &[Vec<f32>], inputs: usize) -> usize {
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

/// How closely an engine agreed with the reference in a case.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Agreement {
    /// The largest error of feature maps and outputs, relative to the largest value; at most [`tolerance::FORWARD`].
    pub forward: f64,
    /// The largest error of gradient maps and gradients of parameters, relative to the largest value; at most
    /// [`tolerance::PARAMETER_GRADIENT`].
    pub gradients: f64,
    /// Pixels of hidden maps.
    pixels: usize,
    /// In how many of them the engine was on the other side of a ReLU than the reference.
    sides: usize,
}

impl Agreement {
    /// Counts another case in.
    pub fn merge(&mut self, other: &Self) {
        self.forward = self.forward.max(other.forward);
        self.gradients = self.gradients.max(other.gradients);
        self.pixels += other.pixels;
        self.sides += other.sides;
    }

    fn check_sides(&self, context: &dyn std::fmt::Debug) -> Outcome<()> {
        let Self { pixels, sides, .. } = self;
        ensure!(
            *sides <= max_sides(*pixels),
            "{sides} of {pixels} pixels are on the other side of 0; {context:?}"
        );
        Ok(())
    }
}

/// Forward, loss, every map and every gradient of one case.
///
/// # Errors
/// The first difference.
pub fn check_case(open: &Open, seed: u64, case: &Case, setting: Setting) -> Outcome<Agreement> {
    let parameters: Vec<f64> = case.parameters.iter().map(|&p| f64::from(p)).collect();
    let mut expected = expected_forward(case, &parameters);
    let a = &case.architecture;
    let context = (seed, a, case.images.shape, setting);
    let mut engine = open(a, &case.parameters, setting)?;

    let outputs = engine.forward(&case.images)?;
    let wanted: Vec<f64> = expected.images.iter().flat_map(|image| image.forward.outputs.concat()).collect();
    let forward = compare(
        "outputs",
        &outputs,
        &wanted,
        largest(std::slice::from_ref(&wanted)),
        tolerance::FORWARD,
        &context,
    )?;
    let mut all = Agreement { forward, ..Agreement::default() };

    for (image, maps) in expected.images.iter_mut().zip(feature_maps(engine.as_mut(), case)?) {
        let forward = &mut image.forward;
        let size = largest(&forward.maps);
        for (channel, map) in maps.iter().enumerate() {
            let what = format!("map {channel}");
            let error = compare(&what, map, &forward.maps[channel], size, tolerance::FORWARD, &context)?;
            all.forward = all.forward.max(error);
        }
        all.sides += take_sides(forward, &maps, a.stem_channels());
    }
    all.pixels = case.images.shape.batch * a.hidden() * case.images.shape.extent.pixels();
    all.check_sides(&context)?;
    let expected = expected.with_gradients(case, &parameters);

    // What is read of feature maps after a whole step may be less: gradient maps may take their places.
    engine.accumulate(&case.images, &case.targets, case.loss, case.scale())?;
    let last = case.images.shape.batch - 1;
    // An engine that takes a batch image by image has only the last image's planes left.
    let left = if engine.read_plane(Plane::OutputGradient(0), last).is_ok() { last } else { 0 };
    let image = &expected.images[last];
    for (output, wanted) in image.output_gradient.iter().enumerate() {
        let found = engine.read_plane(Plane::OutputGradient(output), left)?;
        let size = largest(&image.output_gradient);
        compare("output gradient", &found, wanted, size, tolerance::FORWARD, &context)?;
    }
    let gradients = engine.gradients()?;
    let size = largest(&image.gradient_maps[a.stem_channels()..]);
    for channel in a.stem_channels()..a.channels() {
        let found = engine.read_plane(Plane::Gradient(channel), left)?;
        let (what, wanted) = (format!("gradient map {channel}"), &image.gradient_maps[channel]);
        let error = compare(&what, &found, wanted, size, tolerance::GRADIENT_MAP, &context)?;
        all.gradients = all.gradients.max(error);
    }
    let error = compare(
        "gradients",
        &gradients,
        &expected.gradients,
        largest(std::slice::from_ref(&expected.gradients)),
        tolerance::PARAMETER_GRADIENT,
        &context,
    )?;
    all.gradients = all.gradients.max(error);

    // Batches add up, and an update closes the step with the loss of all of them.
    engine.accumulate(&case.images, &case.targets, case.loss, case.scale())?;
    let doubled = engine.gradients()?;
    let twice: Vec<f64> = gradients.iter().map(|&g| 2.0 * f64::from(g)).collect();
    compare(
        "gradients of two batches",
        &doubled,
        &twice,
        largest(std::slice::from_ref(&twice)),
        tolerance::LOSS,
        &context,
    )?;
    engine.update(&Adam::new(1e-3, 1))?;
    let losses = engine.losses(true)?;
    compare("loss", &losses, &[2.0 * expected.loss], 2.0 * expected.loss + 1e-9, tolerance::LOSS, &context)?;
    ensure!(engine.gradients()?.iter().all(|&g| g == 0.0), "an update left gradients");
    Ok(all)
}

/// A page limit that holds the outputs, and no more than a few channels.
fn few_channels(case: &Case) -> Result<u64> {
    let Shape { batch, extent } = case.images.shape;
    let margin = case.architecture.largest_dilation();
    // Rows are aligned to at most 16 numbers.
    let (maps, outputs) = if case.architecture.is_of_volumes() {
        (PlaneLayout::volumes(extent, 16)?, PlaneLayout::volumes(extent, 16)?)
    } else {
        (PlaneLayout::maps(extent, margin, 16)?, PlaneLayout::gradients(extent, margin, 16)?)
    };
    let planes = (3 * maps.plane).max(case.architecture.outputs * outputs.plane);
    Ok(4 * (batch * planes + 2 * maps.guard) as u64)
}

/// The random network with a seed, each with another block size, every other four of them in several pages.
///
/// # Errors
/// The first difference.
pub fn random_network_agrees(open: &Open, seed: u64) -> Outcome<Agreement> {
    let case = Case::random(seed);
    let setting = random_setting(seed, &case)?;
    check_case(open, seed, &case, setting)
}

/// How an engine is opened for the random network with a seed.
pub(super) fn random_setting(seed: u64, case: &Case) -> Result<Setting> {
    let max_page_bytes = if (seed / 4).is_multiple_of(2) { u64::MAX } else { few_channels(case)? };
    Ok(Setting { block: [1, 2, 3, 10][seed as usize % 4], max_page_bytes })
}

/// The random networks with the seeds `cases`.
///
/// # Errors
/// The first difference.
pub fn random_networks_agree(open: &Open, cases: std::ops::Range<u64>) -> Outcome<Agreement> {
    let mut all = Agreement::default();
    for seed in cases {
        all.merge(&random_network_agrees(open, seed)?);
    }
    all.check_sides(&"all random networks")?;
    Ok(all)
}

/// The random networks of three dimensions with the seeds `cases`, as [`random_networks_agree`].
///
/// # Errors
/// The first difference.
pub fn random_volumes_agree(open: &Open, cases: std::ops::Range<u64>) -> Outcome<Agreement> {
    let mut all = Agreement::default();
    for seed in cases {
        let case = Case::random_volume(seed);
        let setting = random_setting(seed, &case)?;
        all.merge(&check_case(open, seed, &case, setting)?);
    }
    all.check_sides(&"all random networks of volumes")?;
    Ok(all)
}

/// Twenty steps: the loss follows float64, and a second run gives the same bits.
///
/// # Errors
/// The first difference.
pub fn training_follows_float64(open: &Open, segments: bool) -> Outcome<()> {
    let architecture = Architecture::new(1, if segments { 3 } else { 1 }, 12);
    follows_float64(open, architecture, Extent::plane(24, 31), segments, tolerance::CURVE)
}

/// As [`training_follows_float64`], by engines that store maps as halves.
///
/// # Errors
/// The first difference.
pub fn training_with_halves_follows_float64(open: &Open, segments: bool) -> Outcome<()> {
    let architecture = Architecture::new(1, if segments { 3 } else { 1 }, 12);
    follows_float64(open, architecture, Extent::plane(24, 31), segments, tolerance::HALF_CURVE)
}

/// As [`training_follows_float64`], on volumes.
///
/// # Errors
/// The first difference.
pub fn training_on_volumes_follows_float64(open: &Open) -> Outcome<()> {
    let dilations_z = vec![1, 0, 2];
    let architecture = Architecture { dimensions: 3, dilations_z, ..Architecture::new(1, 3, 8) };
    follows_float64(open, architecture, Extent::new(6, 9, 13), true, tolerance::CURVE)
}

fn follows_float64(
    open: &Open,
    architecture: Architecture,
    extent: Extent,
    segments: bool,
    tolerance: f64,
) -> Outcome<()> {
    let shape = Shape { batch: 2, extent };
    let mut case = Case::new(architecture, shape, segments, 11);
    case.parameters = initialise(&case.architecture, 3);
    case.targets.weights = None;
    let setting = Setting { block: 4, max_page_bytes: u64::MAX };
    let run = || {
        let mut engine = open(&case.architecture, &case.parameters, setting)?;
        for step in 1..=20 {
            engine.accumulate(&case.images, &case.targets, case.loss, case.scale())?;
            engine.update(&Adam::new(1e-2, step))?;
        }
        Ok::<_, Difference>((engine.losses(true)?, engine.parameters()?, engine.moments()?))
    };
    let first = run()?;
    let second = run()?;
    ensure!(first.0.len() == 20, "{} losses came of 20 steps", first.0.len());
    let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    ensure!(bits(&first.0) == bits(&second.0), "losses differ between two runs");
    ensure!(bits(&first.1) == bits(&second.1), "parameters differ between two runs");
    ensure!(first.2 == second.2, "moments differ between two runs");

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
        ensure!(error <= tolerance, "step {}: loss {found}, wanted {wanted}: {error:.1e}", step + 1);
    }
    ensure!(curve[19] < 0.95 * curve[0], "the network does not learn: {} to {}", curve[0], curve[19]);
    Ok(())
}

/// Adam and AdamW, clipped or not, move parameters, moments and average as the reference does.
///
/// # Errors
/// The first difference.
pub fn adam_agrees(open: &Open) -> Outcome<()> {
    let rate = 1e-2;
    let plain = Adam::new(rate, 1);
    let all = Adam { weight_decay: 0.3, clip_norm: Some(1e-2), average_decay: Some(0.8), ..plain };
    // The gradients of the case below are longer than the first norm and shorter than the second.
    let frozen = Adam { frozen_layers: 2, ..all };
    let settings =
        [plain, Adam { clip_norm: Some(1e6), ..all }, all, Adam { frozen_layers: 3, ..plain }, frozen];
    for adam in settings {
        check_adam(open, adam)?;
    }
    Ok(())
}

fn check_adam(open: &Open, adam: Adam) -> Outcome<()> {
    let rate = adam.learning_rate;
    let shape = Shape { batch: 1, extent: Extent::plane(9, 12) };
    let case = Case::new(Architecture { width: 2, ..Architecture::new(2, 2, 3) }, shape, false, 5);
    let mut engine =
        open(&case.architecture, &case.parameters, Setting { block: 2, max_page_bytes: u64::MAX })?;
    let mut parameters: Vec<f64> = case.parameters.iter().map(|&p| f64::from(p)).collect();
    let mut average = parameters.clone();
    let (mut m, mut v) = (vec![0.0; parameters.len()], vec![0.0; parameters.len()]);
    let frozen =
        ParameterLayout::of(&case.architecture).first_layers(adam.frozen_layers).into_iter().flatten();
    for step in 1..=3 {
        let adam = Adam { step, ..adam };
        engine.accumulate(&case.images, &case.targets, case.loss, case.scale())?;
        let mut gradients: Vec<f64> = engine.gradients()?.iter().map(|&g| f64::from(g)).collect();
        let moves = frozen.clone().any(|index| gradients[index] != 0.0);
        ensure!(
            moves == (adam.frozen_layers > 0),
            "the gradients of {} frozen layers are not as expected",
            adam.frozen_layers
        );
        frozen.clone().for_each(|index| gradients[index] = 0.0);
        let norm = gradients.iter().map(|g| g * g).sum::<f64>().sqrt();
        ensure!(norm > 1e-2 && norm < 1e6, "the gradients are {norm} long");
        engine.update(&adam)?;
        reference::adam(&mut parameters, &gradients, &mut m, &mut v, &mut average, &adam);
        let found = (engine.parameters()?, engine.average()?);
        for index in frozen.clone() {
            // To the last bit, whatever decays.
            let kept = case.parameters[index];
            ensure!((found.0[index], found.1[index]) == (kept, kept), "frozen parameter {index} moved");
            (parameters[index], average[index]) =
                (f64::from(case.parameters[index]), f64::from(case.parameters[index]));
        }
        let found = [(found.0, &parameters), (found.1, &average)];
        for (found, wanted) in found.iter().flat_map(|(found, wanted)| found.iter().zip(wanted.iter())) {
            ensure!((f64::from(*found) - wanted).abs() <= tolerance::ADAM * rate, "{found} is not {wanted}");
        }
    }
    let moments = engine.moments()?;
    compare("first moments", &moments.first, &m, largest(std::slice::from_ref(&m)), tolerance::FORWARD, &"")?;
    compare(
        "second moments",
        &moments.second,
        &v,
        largest(std::slice::from_ref(&v)),
        tolerance::FORWARD,
        &"",
    )?;
    // What is read can be put back.
    let parameters = engine.parameters()?;
    let mut other =
        open(&case.architecture, &case.parameters, Setting { block: 1, max_page_bytes: u64::MAX })?;
    other.set_parameters(&parameters)?;
    other.set_moments(&moments)?;
    let average = engine.average()?;
    other.set_average(&average)?;
    ensure!(other.average()? == average, "the average that was put back is another one");
    ensure!(other.parameters()? == parameters, "the parameters that were put back are others");
    ensure!(other.moments()? == moments, "the moments that were put back are others");
    Ok(())
}

/// Batches that do not fit the network are refused, not computed.
///
/// # Errors
/// The first difference.
pub fn wrong_batches_are_refused(open: &Open) -> Outcome<()> {
    let shape = Shape { batch: 1, extent: Extent::plane(4, 5) };
    let case = Case::new(Architecture::new(1, 2, 2), shape, true, 1);
    let mut engine =
        open(&case.architecture, &case.parameters, Setting { block: 1, max_page_bytes: u64::MAX })?;
    let short = Images { shape, pixels: vec![0.0; 19] };
    ensure!(engine.forward(&short).is_err(), "an image that is too short is taken");
    let empty = Images { shape: Shape { batch: 0, ..shape }, pixels: vec![] };
    ensure!(engine.forward(&empty).is_err(), "an empty batch is taken");
    let mut refuses = |targets: &Targets, loss: Loss| {
        let refused = engine.accumulate(&case.images, targets, loss, 1.0).is_err();
        ensure!(refused, "{targets:?} are taken for {loss}");
        Ok::<_, Difference>(())
    };
    refuses(&Targets::classes(vec![2; 20]), Loss::CrossEntropy)?;
    refuses(&Targets::classes(vec![1; 20]), Loss::SquaredError)?;
    refuses(&Targets::values(vec![0.0; 39]), Loss::SquaredError)?;
    refuses(&Targets::values(vec![0.0; 40]), Loss::Dice)?;
    refuses(&Targets { weights: Some(vec![1.0; 19]), ..case.targets.clone() }, Loss::CrossEntropy)?;
    ensure!(engine.set_parameters(&[0.0]).is_err(), "one parameter is taken for all");
    Ok(())
}

/// Long columns and wide rows in several blocks: register tiles of every size, sums in several pieces.
///
/// # Errors
/// The first difference.
pub fn larger_images_agree(open: &Open) -> Outcome<()> {
    for (seed, boundary) in [(1, Boundary::Reflect), (2, Boundary::Symmetric), (3, Boundary::Zeros)] {
        let architecture =
            Architecture { boundary, dilations: vec![1, 2, 3, 8], ..Architecture::new(2, 3, 7) };
        let shape = Shape { batch: 1, extent: Extent::plane(67, 130) };
        let case = Case::new(architecture, shape, true, seed);
        check_case(open, seed, &case, Setting { block: 3, max_page_bytes: u64::MAX })?;
    }
    Ok(())
}

/// Volumes that fill register tiles of every size, with sums in several pieces and many feature maps.
///
/// # Errors
/// The first difference.
pub fn larger_volumes_agree(open: &Open) -> Outcome<()> {
    for (seed, boundary) in [(1, Boundary::Reflect), (2, Boundary::Symmetric), (3, Boundary::Zeros)] {
        let architecture = Architecture {
            boundary,
            dimensions: 3,
            dilations: vec![1, 2, 3, 8],
            ..Architecture::new(2, 3, 15)
        };
        let extent =
            [Extent::new(3, 9, 140), Extent::new(2, 67, 9), Extent::new(21, 5, 36)][seed as usize - 1];
        let case = Case::new(architecture, Shape { batch: 1, extent }, true, seed);
        check_case(open, seed, &case, Setting { block: 7, max_page_bytes: u64::MAX })?;
    }
    Ok(())
}

/// One engine takes images of one size after another, and their gradients add up.
///
/// # Errors
/// The first difference.
pub fn changing_sizes_add_up(open: &Open) -> Outcome<()> {
    let architecture = Architecture { width: 2, ..Architecture::new(1, 2, 3) };
    let shapes = [(9, 12), (20, 5), (9, 12)].map(|(y, x)| Shape { batch: 1, extent: Extent::plane(y, x) });
    let cases = shapes.map(|shape| Case::new(architecture.clone(), shape, true, 3));
    let parameters = &cases[0].parameters;
    let mut engine = open(&architecture, parameters, Setting { block: 2, max_page_bytes: u64::MAX })?;
    let wide: Vec<f64> = parameters.iter().map(|&p| f64::from(p)).collect();
    let mut sum = vec![0.0; wide.len()];
    for case in &cases {
        engine.accumulate(&case.images, &case.targets, case.loss, case.scale())?;
        sum.iter_mut().zip(&expected(case, &wide).gradients).for_each(|(sum, g)| *sum += g);
        // A forward pass between two batches leaves their gradients alone.
        engine.forward(&case.images)?;
    }
    let size = largest(std::slice::from_ref(&sum));
    compare("gradients", &engine.gradients()?, &sum, size, tolerance::PARAMETER_GRADIENT, &"")?;
    Ok(())
}

/// Gradients that were taken out of an engine, added up and put back are those that it adds up itself, to the last bit, and count as
/// such in its next update.
///
/// # Errors
/// The first difference.
pub fn gradients_are_taken_and_put_back(open: &Open) -> Outcome<()> {
    let architecture = Architecture { width: 2, ..Architecture::new(1, 2, 3) };
    let shapes = [(9, 12), (20, 5), (9, 12)].map(|(y, x)| Shape { batch: 1, extent: Extent::plane(y, x) });
    let cases = shapes.map(|shape| Case::new(architecture.clone(), shape, true, 3));
    let opened = || open(&architecture, &cases[0].parameters, Setting { block: 2, max_page_bytes: u64::MAX });
    let (mut whole, mut parts) = (opened()?, opened()?);
    let adam = Adam { clip_norm: Some(0.5), ..Adam::new(1e-2, 1) };
    let mut sum = Gradients::zeros(cases[0].parameters.len());
    for case in &cases {
        whole.accumulate(&case.images, &case.targets, case.loss, case.scale())?;
        parts.accumulate(&case.images, &case.targets, case.loss, case.scale())?;
        let taken = parts.take_gradients()?;
        sum.add(taken.values.into_iter(), taken.loss);
        ensure!(parts.gradients()?.iter().all(|&g| g == 0.0), "gradients are left after they were taken");
    }
    parts.set_gradients(&sum)?;
    let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    ensure!(bits(&parts.gradients()?) == bits(&whole.gradients()?), "gradients that were put back differ");
    for engine in [&mut whole, &mut parts] {
        engine.update(&adam)?;
    }
    ensure!(bits(&parts.parameters()?) == bits(&whole.parameters()?), "parameters differ after the update");
    let (found, wanted) = (parts.losses(true)?, whole.losses(true)?);
    let near = found.iter().zip(&wanted).all(|(a, b)| (a - b).abs() <= 1e-6 * b.abs());
    ensure!(found.len() == 1 && wanted.len() == 1 && near, "the losses are {found:?}, wanted {wanted:?}");
    sum.values.pop();
    ensure!(parts.set_gradients(&sum).is_err(), "too few gradients were taken");
    Ok(())
}

/// One engine goes back and forth between sizes; what it gave and what can be read back is always the last one's.
///
/// # Errors
/// The first difference.
pub fn sizes_take_turns(open: &Open) -> Outcome<()> {
    let architecture = Architecture { width: 2, ..Architecture::new(1, 2, 3) };
    let sizes = [(9, 12), (20, 5), (7, 7), (1, 30), (25, 26), (3, 2)];
    let cases = sizes.map(|(y, x)| {
        Case::new(architecture.clone(), Shape { batch: 1, extent: Extent::plane(y, x) }, true, 3)
    });
    let setting = Setting { block: 2, max_page_bytes: u64::MAX };
    let fresh = |case: &Case| open(&architecture, &case.parameters, setting)?.forward(&case.images);
    let wanted = cases.iter().map(fresh).collect::<Result<Vec<_>>>()?;
    let mut engine = open(&architecture, &cases[0].parameters, setting)?;
    for (turn, index) in [0, 1, 0, 2, 3, 1, 4, 5, 0, 1, 0, 4].into_iter().enumerate() {
        let case = &cases[index];
        if turn % 3 == 1 {
            engine.accumulate(&case.images, &case.targets, case.loss, case.scale())?;
            engine.read_plane(Plane::OutputGradient(0), 0)?;
        }
        ensure!(engine.forward(&case.images)? == wanted[index], "outputs of size {index} at turn {turn}");
        let output = engine.read_plane(Plane::Output(1), 0)?;
        ensure!(output == wanted[index][output.len()..], "output 1 of size {index} at turn {turn}");
        let image = engine.read_plane(Plane::Map(0), 0)?;
        ensure!(image == case.images.pixels, "the image of size {index} at turn {turn}");
    }
    Ok(())
}

/// What a pass takes is known before it runs, grows with it, and is refused when it cannot be.
///
/// # Errors
/// The first difference.
pub fn memory_is_known(open: &Open) -> Outcome<()> {
    let architecture = Architecture::new(1, 2, 5);
    let parameters = initialise(&architecture, 1);
    let engine = open(&architecture, &parameters, Setting { block: 5, max_page_bytes: u64::MAX })?;
    let bytes = |n: usize, training| engine.bytes(Shape { batch: 1, extent: Extent::plane(n, n) }, training);
    ensure!(bytes(64, true)? > bytes(64, false)?, "training takes no more memory than a forward pass");
    ensure!(bytes(128, true)? > 2 * bytes(64, true)?, "memory does not grow with the image");
    let beyond = bytes(usize::MAX / 2, true);
    ensure!(beyond.as_ref().is_err_and(|e| !e.is_failure()), "an image beyond counting gives {beyond:?}");
    Ok(())
}
