// What the kernels of the stem share: the responses of one scale to one channel of the images.

// Keep in sync with `StemParams` in src/gpu/network/params.rs.
struct StemParams {
    geometry: Geometry,
    // The channel of the images, and how many they have.
    input: u32,
    image_channels: u32,
    // The Gaussian: its radius in pixels, its standard deviation, and one over the sum of its heights.
    radius: u32,
    scale: f32,
    inverse_sum: f32,
    // The first of the scale's responses, and those of them in this page.
    first_response: u32,
    channel_start: u32,
    channel_count: u32,
    page_start: u32,
    page_channels: u32,
    // Where shifts and factors of the scale's responses lie among the parameters.
    change_start: u32,
    unused: u32,
}

@group(0) @binding(0) var<uniform> params: StemParams;

// The weight of a pixel at this distance.
fn weight(distance: i32) -> f32 {
    let d = f32(distance) / params.scale;
    return exp(-0.5 * d * d) * params.inverse_sum;
}

// Numbers of an image in the buffer of smoothed ones, and its first.
fn smooth_start(half: u32, image: u32) -> u32 {
    let pixels = params.geometry.rows * params.geometry.columns;
    return (half * params.geometry.batch + image) * pixels;
}
