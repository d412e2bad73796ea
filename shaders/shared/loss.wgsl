// What the two losses share. Work items are rows of 64 columns of an image; each workgroup takes every
// so-manieth of them and leaves the sum of its losses in partials[workgroup].

//#include geometry
//#include add_lanes

// Keep in sync with `LossParams` in src/gpu/params.rs.
struct LossParams {
    geometry: Geometry,
    // Workgroups.
    chunks: u32,
    // Work items: images x rows x columns by 64.
    items: u32,
    // Columns by 64.
    column_tiles: u32,
    unused: u32,
}

// What changes from call to call. Keep in sync with `LossCall` in src/gpu/params.rs.
struct LossCall {
    scale: f32,
    // 1 when the pixels have weights; else all weigh 1.
    weighted: u32,
    unused_0: f32,
    unused_1: f32,
}

@group(0) @binding(0) var<uniform> params: LossParams;
@group(0) @binding(1) var<uniform> call: LossCall;
// [image][y][x]
@group(0) @binding(2) var<storage, read> weights: array<f32>;

fn weight_of_pixel(pixel: u32) -> f32 {
    if call.weighted == 0u {
        return 1.0;
    }
    return weights[pixel];
}
