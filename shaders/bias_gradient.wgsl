// bias_gradient: partial sums over the pixels of gradient maps, or of output gradients: the gradients of the
// biases.
//
// Bindings: 1 page of gradient maps or output gradients, 2 partials [channel][chunk], which sum_partials adds up.
// Tiling: a workgroup takes one channel. Work items are rows of 64 columns of an image; each chunk takes every
// `chunks`-th item. x: channels; y: chunks.

//#include maps
//#include geometry
//#include add_lanes

// Keep in sync with `BiasGradientParams` in src/gpu/network/params.rs.
struct BiasGradientParams {
    geometry: Geometry,
    channel_start: u32,
    page_start: u32,
    page_channels: u32,
    // Workgroups that share the pixels.
    chunks: u32,
    // Work items, and columns by 64.
    items: u32,
    column_tiles: u32,
}

@group(0) @binding(0) var<uniform> params: BiasGradientParams;
@group(0) @binding(1) var<storage, read> gradients: array<MapNumber>;
@group(0) @binding(2) var<storage, read_write> partials: array<f32>;

@compute @workgroup_size(64)
fn bias_gradient(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let geometry = params.geometry;
    let group = place_in_whole(workgroup);
    let channel = params.channel_start + group.x;
    var sum = 0.0;
    for (var item = group.y; item < params.items; item += params.chunks) {
        let x = item % params.column_tiles * 64u + lane;
        let line = item / params.column_tiles;
        let image = line / geometry.rows;
        if x < geometry.columns {
            let place = gradient_place(params.page_start, params.page_channels, image, channel);
            sum += f32(gradients[place + line % geometry.rows * geometry.pitch + x]);
        }
    }
    lane_sums[lane] = sum;
    workgroupBarrier();
    if lane == 0u {
        partials[group.x * params.chunks + group.y] = add_lanes(0u);
    }
}
