//! The float64 reference, checked by mathematics: finite differences, linearity, shifts, and cases worked out by hand.

use msd_gpu::engine::{Adam, IGNORED, Loss, TargetValues, Targets};
use msd_gpu::geometry::Boundary;
use msd_gpu::geometry::Extent;
use msd_gpu::network::{Architecture, DilationMode, ParameterLayout, Stem, initialise};
use msd_gpu::reference::{adam, backward, forward, loss};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn random(count: usize, seed: u64) -> Vec<f64> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| random.random_range(-1.0..1.0)).collect()
}

/// Every loss.
const LOSSES: [Loss; 8] = [
    Loss::CrossEntropy,
    Loss::Focal { gamma: 2.0 },
    Loss::Dice,
    Loss::CrossEntropyDice,
    Loss::SquaredError,
    Loss::AbsoluteError,
    Loss::Huber { delta: 0.4 },
    Loss::Charbonnier { epsilon: 0.1 },
];

fn architectures() -> Vec<Architecture> {
    let of = |boundary, width, dilations: &[usize], dilation_mode| Architecture {
        width,
        dilations: dilations.to_vec(),
        dilation_mode,
        boundary,
        ..Architecture::new(2, 3, 3)
    };
    vec![
        of(Boundary::Reflect, 1, &[1, 2, 9], DilationMode::Channel),
        of(Boundary::Symmetric, 2, &[3, 1, 20], DilationMode::Channel),
        of(Boundary::Zeros, 2, &[2, 1], DilationMode::Layer),
    ]
}

/// Networks of volumes, with dilations of their own along z, also beyond the volume and none.
fn architectures_of_volumes() -> Vec<(Architecture, Extent)> {
    let of = |boundary, width, dilations: &[usize], dilations_z: &[usize]| Architecture {
        width,
        dimensions: 3,
        dilations: dilations.to_vec(),
        dilations_z: dilations_z.to_vec(),
        boundary,
        ..Architecture::new(1, 2, 2)
    };
    vec![
        (of(Boundary::Reflect, 1, &[1, 9], &[]), Extent::new(2, 3, 4)),
        (of(Boundary::Symmetric, 2, &[2, 1], &[0, 7, 1]), Extent::new(3, 2, 3)),
        (of(Boundary::Zeros, 1, &[1, 2], &[1, 0]), Extent::new(3, 3, 2)),
        (of(Boundary::Reflect, 1, &[2, 1], &[]), Extent::new(1, 1, 6)),
    ]
}

/// Every gradient is the limit of differences of the loss: parameters, and the input image.
#[test]
fn gradients_are_finite_differences() {
    let images = architectures().into_iter().map(|a| (a, Extent::plane(4, 5)));
    for (case, (a, extent)) in images.chain(architectures_of_volumes()).enumerate() {
        let a = &a;
        let parameters = random(ParameterLayout::of(a).count(), case as u64);
        let image = random(a.inputs * extent.pixels(), 100 + case as u64);
        let weights: Vec<f32> =
            random(extent.pixels(), 300).iter().map(|&w| (w.max(-0.5) + 0.5) as f32).collect();
        let classes = (0..extent.pixels() as u32).map(|i| if i == 7 { IGNORED } else { i % 2 }).collect();
        let values = random(a.outputs * extent.pixels(), 200).iter().map(|&v| v as f32).collect();
        let of = |values| Targets { values, weights: Some(weights.clone()) };
        let (classes, values) = (of(TargetValues::Classes(classes)), of(TargetValues::Values(values)));
        for kind in LOSSES {
            let targets = if kind.is_of_classes() { &classes } else { &values };
            let loss = |parameters: &[f64], image: &[f64]| {
                let forward = forward(a, parameters, image, extent);
                let (loss, gradient) = loss(&forward.outputs, targets, kind, 0.3);
                (loss, gradient, forward)
            };
            let (_, output_gradient, pass) = loss(&parameters, &image);
            let found = backward(a, &parameters, &pass, &output_gradient, extent);
            let step = 1e-6;
            let difference = |numbers: &[f64], i: usize, at: &dyn Fn(&[f64]) -> f64| {
                let mut moved = numbers.to_vec();
                moved[i] += step;
                let above = at(&moved);
                moved[i] -= 2.0 * step;
                (above - at(&moved)) / (2.0 * step)
            };
            for i in 0..parameters.len() {
                let wanted = difference(&parameters, i, &|p| loss(p, &image).0);
                assert!(
                    (found.parameters[i] - wanted).abs() < 1e-6,
                    "{kind}, parameter {i}: {} {wanted}",
                    found.parameters[i]
                );
            }
            for i in 0..image.len() {
                let wanted = difference(&image, i, &|x| loss(&parameters, x).0);
                let found = found.maps[i / extent.pixels()][i % extent.pixels()];
                assert!((found - wanted).abs() < 1e-6, "{kind}, pixel {i}: {found} {wanted}");
            }
        }
    }
}

/// Every loss of two pixels with two outputs, from its definition, with the sums written out.
#[test]
fn losses_by_hand() {
    // Softmax of (ln 3, 0) is (3/4, 1/4), and of (0, ln 4) it is (1/5, 4/5); the third pixel has no class, the fourth no weight.
    let outputs = [vec![f64::ln(3.0), 0.0, 5.0, f64::NAN], vec![0.0, f64::ln(4.0), 5.0, f64::NAN]];
    let targets = Targets {
        values: TargetValues::Classes(vec![0, 0, IGNORED, 1]),
        weights: Some(vec![1.0, 2.0, 1.0, 0.0]),
    };
    let value = |kind, targets: &Targets| loss(&outputs, targets, kind, 10.0).0;
    let near = |kind: Loss, targets: &Targets, wanted: f64| {
        let found = value(kind, targets);
        assert!((found - 10.0 * wanted).abs() < 1e-12, "{kind}: {found}, wanted {}", 10.0 * wanted);
    };
    let cross_entropy = -f64::ln(0.75) - 2.0 * f64::ln(0.2);
    near(Loss::CrossEntropy, &targets, cross_entropy);
    let focal = -0.25 * 0.25 * f64::ln(0.75) - 2.0 * 0.8 * 0.8 * f64::ln(0.2);
    near(Loss::Focal { gamma: 2.0 }, &targets, focal);
    // Only the first class is there: 1 * 3/4 + 2 * 1/5 of it is found; the weight is 3.
    let found = 0.75 + 2.0 * 0.2;
    let dice = 3.0 * (1.0 - 2.0 * found / (found + 3.0));
    near(Loss::Dice, &targets, dice);
    near(Loss::CrossEntropyDice, &targets, cross_entropy + dice);
    // With both classes there: 3/4 of the first and 4/5 of the second.
    let both = Targets { values: TargetValues::Classes(vec![0, 1, IGNORED, 1]), ..targets.clone() };
    let (first, second) = (2.0 * 0.75 / (0.75 + 0.4 + 1.0), 2.0 * 1.6 / (0.25 + 1.6 + 2.0));
    near(Loss::Dice, &both, 3.0 * (1.0 - (first + second) / 2.0));
    near(Loss::Dice, &Targets::classes(vec![IGNORED; 4]), 0.0);

    let outputs = [vec![0.25, 3.0], vec![-2.0, 7.0]];
    let targets = Targets { weights: Some(vec![2.0, 0.0]), ..Targets::values(vec![0.0, 0.0, 1.0, f32::NAN]) };
    // The differences are 0.25 and -3, each with weight 2.
    for (kind, wanted) in [
        (Loss::SquaredError, 2.0 * (0.0625 + 9.0)),
        (Loss::AbsoluteError, 2.0 * (0.25 + 3.0)),
        (Loss::Huber { delta: 1.0 }, 2.0 * (0.03125 + 2.5)),
        (Loss::Charbonnier { epsilon: 4.0 }, 2.0 * (f64::sqrt(0.0625 + 16.0) + 5.0)),
    ] {
        let found = loss(&outputs, &targets, kind, 1.0).0;
        assert!((found - wanted).abs() < 1e-12, "{kind}: {found}, wanted {wanted}");
    }
}

/// The engines' value of a loss in float64 is the reference's, far from and close to what is wanted.
#[test]
fn values_of_losses_are_those_that_engines_judge_by() {
    let (count, pixels) = (3, 40);
    let weights = random(pixels, 1).iter().map(|&w| (w + 0.5).max(0.0) as f32).collect::<Vec<_>>();
    let classes = (0..pixels as u32).map(|p| if p % 9 == 4 { IGNORED } else { p % 2 }).collect();
    let values = random(count * pixels, 2).iter().map(|&v| v as f32).collect();
    for weights in [None, Some(weights)] {
        let classes = Targets { weights: weights.clone(), ..Targets::classes(Vec::clone(&classes)) };
        let values = Targets { weights, ..Targets::values(Vec::clone(&values)) };
        for (kind, size) in LOSSES.into_iter().flat_map(|kind| [(kind, 0.1), (kind, 30.0)]) {
            let targets = if kind.is_of_classes() { &classes } else { &values };
            let outputs: Vec<Vec<f64>> = random(count * pixels, 3)
                .chunks(pixels)
                .map(|y| y.iter().map(|v| size * v).collect())
                .collect();
            let (wanted, _) = loss(&outputs, targets, kind, 1.0);
            let found = kind.of_image(targets, count, |k, p| outputs[k][p]);
            assert!((found - wanted).abs() <= 1e-12 * wanted, "{kind}: {found}, wanted {wanted}");
        }
    }
}

/// <conv x, y> = <x, adjoint y>, borders included: with one layer whose sums stay above 0, the network is linear.
#[test]
fn the_input_gradient_is_the_adjoint_of_the_convolution() {
    for boundary in [Boundary::Reflect, Boundary::Symmetric, Boundary::Zeros] {
        let images = [(1, 7, 6, 2), (1, 3, 4, 5), (1, 1, 1, 3)].map(|(z, y, x, s)| (2, z, y, x, s));
        let volumes =
            [(5, 4, 6, 2), (2, 3, 4, 7), (1, 1, 9, 3), (4, 1, 1, 1)].map(|(z, y, x, s)| (3, z, y, x, s));
        for (dimensions, slices, rows, columns, dilation) in images.into_iter().chain(volumes) {
            let extent = Extent::new(slices, rows, columns);
            let dilations = vec![dilation];
            let a = Architecture { dimensions, dilations, boundary, ..Architecture::new(1, 1, 1) };
            let layout = ParameterLayout::of(&a);
            let mut parameters = random(layout.count(), 1);
            let bias = 100.0;
            parameters[layout.biases().start] = bias;
            let mix = layout.mix(0);
            (parameters[mix.start], parameters[mix.start + 1]) = (0.0, 1.0);
            parameters[layout.output_biases().start] = -bias;
            let (x, y) = (random(extent.pixels(), 2), random(extent.pixels(), 3));
            let pass = forward(&a, &parameters, &x, extent);
            let back = backward(&a, &parameters, &pass, std::slice::from_ref(&y), extent);
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            let (left, right) = (dot(&pass.outputs[0], &y), dot(&x, &back.maps[0]));
            assert!(
                (left - right).abs() < 1e-10 * bias,
                "{boundary:?} {slices}x{rows}x{columns} {dilation}: {left} {right}"
            );
        }
    }
}

/// Away from the edges, a shifted image gives the shifted output.
#[test]
fn the_inside_moves_with_the_image() {
    let (n, shift) = (40, 3);
    let a = Architecture { stem: "0.7,2".parse().unwrap(), ..Architecture::new(1, 1, 4) };
    let reach = (a.receptive_field() - 1) / 2;
    let parameters = random(ParameterLayout::of(&a).count(), 5);
    let image = random(n * n, 6);
    let moved: Vec<f64> =
        (0..n * n).map(|i| image[(i / n + n - shift) % n * n + (i % n + n - shift) % n]).collect();
    let extent = Extent::plane(n, n);
    let (one, two) = (forward(&a, &parameters, &image, extent), forward(&a, &parameters, &moved, extent));
    for y in reach..n - reach - shift {
        for x in reach..n - reach - shift {
            let (here, there) = (one.outputs[0][y * n + x], two.outputs[0][(y + shift) * n + x + shift]);
            assert!((here - there).abs() < 1e-12);
        }
    }
}

/// One layer on three pixels in a row, with the numbers worked out by hand.
#[test]
fn a_small_network_by_hand() {
    let a = Architecture { dilations: vec![1], ..Architecture::new(1, 1, 1) };
    // Taps left, middle and right of the middle row are 1, 10 and 100; the bias is -112.
    let mut parameters = vec![0.0, 0.0, 0.0, 1.0, 10.0, 100.0, 0.0, 0.0, 0.0, -112.0];
    // The output is twice the image plus three times the layer, plus 5.
    parameters.extend([2.0, 3.0, 5.0]);
    let pass = forward(&a, &parameters, &[1.0, 2.0, 3.0], Extent::plane(1, 3));
    // Mirrored: 2 | 1 2 3 | 2. Sums: 2+10+200-112 = 100, 1+20+300-112 = 209, 2+30+200-112 = 120.
    assert_eq!(pass.maps[1], [100.0, 209.0, 120.0]);
    assert_eq!(pass.outputs[0], [307.0, 636.0, 371.0]);
}

/// A filter whose taps along z alone are not 0 does to a column of slices what one of images does to a row of pixels; and a network of
/// volumes whose taps beside the slice are 0 is that of images, slice by slice.
#[test]
fn slices_are_what_rows_and_images_are() {
    let a = Architecture { dimensions: 3, dilations: vec![1], ..Architecture::new(1, 1, 1) };
    let mut parameters = vec![0.0; ParameterLayout::of(&a).count()];
    for (slice, tap) in [1.0, 10.0, 100.0].into_iter().enumerate() {
        parameters[9 * slice + 4] = tap;
    }
    parameters[27..].copy_from_slice(&[-112.0, 2.0, 3.0, 5.0]);
    let pass = forward(&a, &parameters, &[1.0, 2.0, 3.0], Extent::new(3, 1, 1));
    assert_eq!(pass.maps[1], [100.0, 209.0, 120.0]);

    let images = Architecture { width: 2, ..Architecture::new(1, 2, 4) };
    let volumes = Architecture { dimensions: 3, dilations_z: vec![0], ..images.clone() };
    let (flat, deep) = (ParameterLayout::of(&images), ParameterLayout::of(&volumes));
    let of_images = random(flat.count(), 1);
    let mut of_volumes = random(deep.count(), 2);
    for hidden in 0..images.hidden() {
        for source in images.sources(images.layer_of(hidden)) {
            let middle = deep.filter(hidden, source).start + 9;
            of_volumes[middle..middle + 9].copy_from_slice(&of_images[flat.filter(hidden, source)]);
        }
    }
    of_volumes[deep.filters().end..].copy_from_slice(&of_images[flat.filters().end..]);
    let volume = random(3 * 4 * 5, 3);
    let whole = forward(&volumes, &of_volumes, &volume, Extent::new(3, 4, 5));
    for (z, slice) in volume.chunks(20).enumerate() {
        let one = forward(&images, &of_images, slice, Extent::plane(4, 5));
        assert_eq!(one.outputs[1], whole.outputs[1][20 * z..20 * (z + 1)]);
    }
}

/// The stem's responses to `image(y, x)` at the middle of a square of 61 pixels, for one scale.
fn responses_at_middle(scale: &str, image: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let stem: Stem = scale.parse().unwrap();
    let a = Architecture { stem, ..Architecture::new(1, 1, 1) };
    let parameters: Vec<f64> = initialise(&a, 1).into_iter().map(f64::from).collect();
    let (n, middle) = (61, 30);
    let at = |i: usize| i as f64 - middle as f64;
    let pixels: Vec<f64> = (0..n * n).map(|p| image(at(p / n), at(p % n))).collect();
    let pass = forward(&a, &parameters, &pixels, Extent::plane(n, n));
    pass.maps[a.responses(0)].iter().map(|map| map[middle * n + middle]).collect()
}

/// What the stem gives for images whose derivatives are known.
#[test]
fn responses_of_the_stem_are_derivatives() {
    let s = 2.5;
    let close = |found: Vec<f64>, wanted: [f64; 4]| {
        assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?}, wanted {wanted:?}");
    };
    close(responses_at_middle("2.5", |_, _| 7.0), [7.0, 0.0, 0.0, 0.0]);
    // A slope of 5 in some direction.
    close(responses_at_middle("2.5", |y, x| 3.0 * y + 4.0 * x), [0.0, 5.0 * s, 0.0, 0.0]);
    // A saddle and a ridge, turned: the eigenvalues stay. Smoothing adds the same number everywhere.
    close(responses_at_middle("2.5", |y, x| y * x), [0.0, 0.0, s * s, -s * s]);
    let (sine, cosine) = 0.3f64.sin_cos();
    let ridge = responses_at_middle("2.5", |y, x| -(cosine * y + sine * x).powi(2));
    close(ridge.clone(), [ridge[0], 0.0, 0.0, -2.0 * s * s]);
    // A Gaussian of another one is one whose variances add up, but for what pixels and three deviations leave out.
    let blob = responses_at_middle("2.5", |y, x| (-(y * y + x * x) / (2.0 * 16.0)).exp());
    assert!((blob[0] / (16.0 / (16.0 + s * s)) - 1.0).abs() < 0.01, "{blob:?}");
    assert!(blob[2] < 0.0 && (blob[2] - blob[3]).abs() < 1e-9, "{blob:?}");
}

/// Shifts and factors are applied to each response, and the same image mirrored or turned gives the same responses there.
#[test]
fn responses_are_shifted_and_turn_with_the_image() {
    let a = Architecture { inputs: 2, stem: "0.7,2".parse().unwrap(), ..Architecture::new(2, 1, 1) };
    let (n, extent) = (12, Extent::plane(12, 12));
    let mut parameters = random(ParameterLayout::of(&a).count(), 4);
    let image = random(2 * n * n, 5);
    let changed = forward(&a, &parameters, &image, extent);
    let stem = ParameterLayout::of(&a).stem();
    let changes: Vec<f64> = parameters[stem.clone()].to_vec();
    parameters[stem].as_chunks_mut::<2>().0.fill([0.0, 1.0]);
    let plain = forward(&a, &parameters, &image, extent);
    let turned_image: Vec<f64> =
        (0..2 * n * n).map(|i| image[i / (n * n) * n * n + (i % n) * n + i / n % n]).collect();
    let turned = forward(&a, &parameters, &turned_image, extent);
    for channel in a.inputs..a.stem_channels() {
        let [shift, factor] = changes.as_chunks::<2>().0[channel - a.inputs];
        for (y, x) in (0..n).flat_map(|y| (0..n).map(move |x| (y, x))) {
            let value = plain.maps[channel][y * n + x];
            assert!((changed.maps[channel][y * n + x] - (value - shift) * factor).abs() < 1e-12);
            assert!((turned.maps[channel][x * n + y] - value).abs() < 1e-12);
        }
    }
}

/// The first step of Adam moves every parameter by the learning rate against its gradient.
#[test]
fn the_first_step_of_adam_has_the_length_of_the_learning_rate() {
    let gradients = [3.0, -0.001, 0.0];
    let (mut p, mut m, mut v) = ([1.0, 1.0, 1.0], [0.0; 3], [0.0; 3]);
    adam(&mut p, &gradients, &mut m, &mut v, &mut [], &Adam::new(0.1, 1));
    assert!((p[0] - 0.9).abs() < 1e-8 && (p[1] - 1.1).abs() < 1e-5 && p[2] == 1.0, "{p:?}");
}

/// AdamW shrinks every parameter by the rate times the decay, whatever its gradient has been.
#[test]
fn decay_is_apart_from_the_moments() {
    let settings = Adam { weight_decay: 0.5, ..Adam::new(0.1, 1) };
    let (mut p, mut m, mut v) = ([1.0, 1.0], [0.0; 2], [0.0; 2]);
    adam(&mut p, &[0.0, 1000.0], &mut m, &mut v, &mut [], &settings);
    assert!((p[0] - 0.95).abs() < 1e-12 && (p[1] - 0.85).abs() < 1e-9, "{p:?}");
    assert_eq!((m[0], v[0]), (0.0, 0.0));
}

/// Clipping keeps the direction and bounds the length.
#[test]
fn clipped_gradients_have_the_length_asked_for() {
    let (mut p, mut m, mut v) = ([0.0; 2], [0.0; 2], [0.0; 2]);
    let settings = Adam { clip_norm: Some(2.5), ..Adam::new(0.1, 1) };
    adam(&mut p, &[3.0, -4.0], &mut m, &mut v, &mut [], &settings);
    assert!((m[0] - 0.1 * 1.5).abs() < 1e-12 && (m[1] + 0.1 * 2.0).abs() < 1e-12, "{m:?}");
    let mut short = [0.0; 2];
    adam(&mut p, &[0.3, -0.4], &mut short, &mut v, &mut [], &settings);
    assert!((short[0] - 0.03).abs() < 1e-12 && (short[1] + 0.04).abs() < 1e-12, "{short:?}");
}

/// The average of constant parameters goes to these parameters, as fast as its decay allows.
#[test]
fn the_average_forgets_its_start() {
    let mut average = [7.0];
    let mut kept = 7.0;
    for step in 1..=300 {
        let settings = Adam { average_decay: Some(0.9), ..Adam::new(0.1, step) };
        adam(&mut [0.0], &[0.0], &mut [0.0], &mut [0.0], &mut average, &settings);
        kept *= if step < 80 { (1.0 + step as f64) / (10.0 + step as f64) } else { 0.9 };
        assert!((average[0] - kept).abs() < 1e-12, "{step}: {average:?}");
    }
    assert!(average[0] < 1e-9);
}
