// What all losses share. Work items are rows of 64 columns of an image; each workgroup takes every `chunks`-th of them
// and leaves the sum of its losses in partials[workgroup]. The definitions are in the documentation of `Loss` in
// src/engine/loss.rs.

//#include geometry
//#include add_lanes
//#include call

// Keep in sync with `LossParams` in src/gpu/network/params.rs.
struct LossParams {
    geometry: Geometry,
    // Workgroups.
    chunks: u32,
    // Work items: images x rows x columns by 64.
    items: u32,
    // Columns by 64.
    column_tiles: u32,
    // Where, among the partial sums, the three numbers of Dice for each image and class start; with JUDGE, those for each
    // image, class and chunk.
    dice_start: u32,
}

@group(0) @binding(0) var<uniform> params: LossParams;
@group(0) @binding(1) var<uniform> call: LossCall;
// [image][y][x]
@group(0) @binding(2) var<storage, read> weights: array<f32>;

// The number in `weights` of a pixel.
fn pixel_number(image: u32, y: u32, x: u32) -> u32 {
    return (image * params.geometry.rows + y) * params.geometry.columns + x;
}

fn weight_of_pixel(pixel: u32) -> f32 {
    if call.weighted == 0u {
        return 1.0;
    }
    return weights[pixel];
}
