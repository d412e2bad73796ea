// largest_gradient: the largest output gradient of the batch, from which follows by what gradients are multiplied before they are stored
// as halves.
//
// Bindings: 1 output gradients, 2 scaling, whose largest is 0 before.
// Tiling: work items are rows of 64 columns of an output; a thread takes every `chunks`-th, and the largest does not depend on the order.

//#include geometry
//#include scaling

// Keep in sync with `LargestGradientParams` in src/gpu/network/params.rs.
struct LargestGradientParams {
    geometry: Geometry,
    // Workgroups.
    chunks: u32,
    // Work items, and columns by 64.
    items: u32,
    column_tiles: u32,
}

@group(0) @binding(0) var<uniform> params: LargestGradientParams;
@group(0) @binding(1) var<storage, read> output_gradients: array<f32>;
@group(0) @binding(2) var<storage, read_write> scaling: Scaling;

@compute @workgroup_size(64)
fn largest_gradient(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let geometry = params.geometry;
    let group = place_in_whole(workgroup);
    var largest = 0u;
    for (var item = group.x; item < params.items; item += params.chunks) {
        let x = item % params.column_tiles * 64u + lane;
        let line = item / params.column_tiles;
        if x < geometry.columns {
            let plane = geometry.output_origin + line / geometry.rows * geometry.output_plane;
            let gradient = output_gradients[plane + line % geometry.rows * geometry.pitch + x];
            largest = max(largest, bitcast<u32>(gradient) & 0x7fffffffu);
        }
    }
    atomicMax(&scaling.largest, largest);
}
