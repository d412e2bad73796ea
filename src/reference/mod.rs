//! The equations of an MS-D network in float64, written as the paper writes them and nothing clever.
//!
//! Both engines and the schedule are checked against it, so it uses neither: no margins, no blocks, no pages, one image at
//! a time, and the boundary looked up for every tap. What it shares with them are data types: the architecture and the order of
//! its parameters from `network`, the places that a boundary mirrors from `geometry`, and from `engine` the types of a loss, of
//! targets and of the optimiser's settings. `tests/reference.rs` checks it against mathematics.
//!
//! With z the channels (the input's first), h the filters, b the biases and s the dilations,
//!
//! ```text
//! z_m(p)  = ReLU( b_m + sum_k sum_t h_mkt z_k(p + s_m t) )      k: all channels of earlier layers
//! y_o(p)  = b'_o + sum_k w'_ok z_k(p)                           k: all channels
//! ```
//!
//! (Pelt & Sethian 2018, equations 4 and 5), where t goes over the 9 places of a 3x3 square, or the 27 of a 3x3x3 cube, whose dilation
//! along z may be another than in the slice. The gradients are those of these equations, term by term.

mod losses;
mod optimiser;
mod stem;

pub use losses::loss;
pub use optimiser::adam;

use crate::geometry::Extent;
use crate::network::{Architecture, ParameterLayout};

/// What a forward pass leaves behind.
#[derive(Debug, Clone)]
pub struct Forward {
    /// All channels, `[channel][z][y][x]`, those of the image first.
    pub maps: Vec<Vec<f64>>,
    /// The outputs, `[output][z][y][x]`.
    pub outputs: Vec<Vec<f64>>,
}

/// What a backward pass gives.
#[derive(Debug, Clone)]
pub struct Backward {
    /// Gradients of the parameters, in their order.
    pub parameters: Vec<f64>,
    /// Gradients with respect to each channel `[channel][z][y][x]`: for hidden ones before the ReLU, for inputs as they are.
    pub maps: Vec<Vec<f64>>,
}

/// The 27 offsets of a filter's taps, `(z, y, x)`, in their order; those of networks of images are the nine in the middle.
const OFFSETS: [(isize, isize, isize); 27] = {
    let mut offsets = [(0, 0, 0); 27];
    let mut tap = 0;
    while tap < 27 {
        let place = tap as isize;
        offsets[tap] = (place / 9 - 1, place / 3 % 3 - 1, place % 3 - 1);
        tap += 1;
    }
    offsets
};

/// For each pixel and tap of the convolution of a hidden channel: calls `visit(pixel, tap, source pixel)`.
fn taps(
    architecture: &Architecture,
    extent: Extent,
    hidden: usize,
    mut visit: impl FnMut(usize, usize, usize),
) {
    let s = architecture.dilation(hidden) as isize;
    let along_z = architecture.dilation_z(hidden) as isize;
    let boundary = architecture.boundary;
    let offsets = if architecture.is_of_volumes() { &OFFSETS[..] } else { &OFFSETS[9..18] };
    for z in 0..extent.z {
        for y in 0..extent.y {
            for x in 0..extent.x {
                for (tap, &(dz, dy, dx)) in offsets.iter().enumerate() {
                    // With a dilation of 0 along z there are no taps beside the slice.
                    if dz != 0 && along_z == 0 {
                        continue;
                    }
                    let from_z = boundary.source(z as isize + along_z * dz, extent.z);
                    let from_y = boundary.source(y as isize + s * dy, extent.y);
                    let from_x = boundary.source(x as isize + s * dx, extent.x);
                    if let (Some(from_z), Some(from_y), Some(from_x)) = (from_z, from_y, from_x) {
                        let place = |z, y, x| (z * extent.y + y) * extent.x + x;
                        visit(place(z, y, x), tap, place(from_z, from_y, from_x));
                    }
                }
            }
        }
    }
}

/// The forward pass over one image `[channel][z][y][x]` of `extent` pixels, with `parameters` in the order of [`ParameterLayout`].
///
/// # Panics
/// When the image does not have the network's input channels, or there are fewer parameters than the architecture has.
pub fn forward(architecture: &Architecture, parameters: &[f64], image: &[f64], extent: Extent) -> Forward {
    let layout = ParameterLayout::of(architecture);
    let pixels = extent.pixels();
    let mut maps: Vec<Vec<f64>> = image.chunks(pixels).map(<[f64]>::to_vec).collect();
    assert_eq!(maps.len(), architecture.inputs, "the image has the network's input channels");
    for input in 0..architecture.inputs {
        maps.extend(stem::responses(architecture, parameters, input, &maps[input], extent));
    }
    for hidden in 0..architecture.hidden() {
        let mut sum = vec![parameters[layout.biases().start + hidden]; pixels];
        for source in architecture.sources(architecture.layer_of(hidden)) {
            let filter = &parameters[layout.filter(hidden, source)];
            let map = &maps[source];
            taps(architecture, extent, hidden, |p, tap, from| sum[p] += filter[tap] * map[from]);
        }
        maps.push(sum.into_iter().map(|v| v.max(0.0)).collect());
    }
    let outputs = (0..architecture.outputs).map(|output| {
        let weights = &parameters[layout.mix(output)];
        let bias = parameters[layout.output_biases().start + output];
        (0..pixels).map(|p| bias + maps.iter().zip(weights).map(|(map, w)| w * map[p]).sum::<f64>()).collect()
    });
    let outputs = outputs.collect();
    Forward { maps, outputs }
}

/// The backward pass over one image: the gradients of a loss whose gradient with respect to the outputs is `output_gradient`.
///
/// `parameters` are in the order of [`ParameterLayout`], `forward` is what [`forward()`] gave for the same parameters and image, and
/// `output_gradient` is `[output][z][y][x]`, as [`loss`] gives it. The stem is not learnt, so gradients end at its
/// responses. Gradients of several images are to be added up by the caller.
///
/// # Panics
/// When there are fewer parameters than the architecture has.
pub fn backward(
    architecture: &Architecture,
    parameters: &[f64],
    forward: &Forward,
    output_gradient: &[Vec<f64>],
    extent: Extent,
) -> Backward {
    let layout = ParameterLayout::of(architecture);
    let mut gradients = vec![0.0; layout.count()];
    let mut maps = vec![vec![0.0; extent.pixels()]; architecture.channels()];
    for (output, dy) in output_gradient.iter().enumerate() {
        gradients[layout.output_biases().start + output] = dy.iter().sum();
        for (channel, weight) in layout.mix(output).enumerate() {
            gradients[weight] = dy.iter().zip(&forward.maps[channel]).map(|(d, z)| d * z).sum();
            maps[channel].iter_mut().zip(dy).for_each(|(g, d)| *g += parameters[weight] * d);
        }
    }
    for hidden in (0..architecture.hidden()).rev() {
        let channel = architecture.stem_channels() + hidden;
        let mut delta = std::mem::take(&mut maps[channel]);
        delta.iter_mut().zip(&forward.maps[channel]).for_each(|(d, z)| *d = if *z > 0.0 { *d } else { 0.0 });
        gradients[layout.biases().start + hidden] = delta.iter().sum();
        for source in architecture.sources(architecture.layer_of(hidden)) {
            let filter = layout.filter(hidden, source);
            let (map, into) = (&forward.maps[source], &mut maps[source]);
            taps(architecture, extent, hidden, |p, tap, from| {
                gradients[filter.start + tap] += delta[p] * map[from];
                into[from] += parameters[filter.start + tap] * delta[p];
            });
        }
        maps[channel] = delta;
    }
    Backward { parameters: gradients, maps }
}
