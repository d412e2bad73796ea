// mix_weight_gradient: partial sums of the gradients of the mixing weights.
//
//     dw_oc = sum_p dy_o(p) z_c(p)
//
// Bindings: 1 output gradients, 2 page of feature maps, 3 partials
// [tile of outputs][tile of sources][chunk][output][source], which sum_partials adds up.
// Tiling: a workgroup takes OUTPUTS outputs and CHANNELS consecutive sources: OUTPUTS CHANNELS sums a thread.
// Work items are rows of 64 columns of an image; each chunk takes every `chunks`-th item. x: tiles of sources,
// then of outputs; y: chunks.

//#include maps
//#include geometry
//#include add_lanes

// Keep in sync with `MixWeightGradientParams` in src/gpu/network/params.rs.
struct MixWeightGradientParams {
    geometry: Geometry,
    source_start: u32,
    source_end: u32,
    page_start: u32,
    page_channels: u32,
    // Tiles of sources.
    tiles: u32,
    // Workgroups that share the pixels.
    chunks: u32,
    // Work items, and columns by 64.
    items: u32,
    column_tiles: u32,
}

@group(0) @binding(0) var<uniform> params: MixWeightGradientParams;
@group(0) @binding(1) var<storage, read> output_gradients: array<f32>;
@group(0) @binding(2) var<storage, read> maps: array<MapNumber>;
@group(0) @binding(3) var<storage, read_write> partials: array<f32>;

@compute @workgroup_size(64)
fn mix_weight_gradient(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let geometry = params.geometry;
    let group = place_in_whole(workgroup);
    let source = params.source_start + group.x % params.tiles * ${CHANNELS}u;
    let output = group.x / params.tiles * ${OUTPUTS}u;
    //#for o in 0..OUTPUTS
    //#for c in 0..CHANNELS
    var sum_${o}_${c} = 0.0;
    //#end
    //#end
    for (var item = group.y; item < params.items; item += params.chunks) {
        let x = item % params.column_tiles * 64u + lane;
        let line = item / params.column_tiles;
        let y = line % geometry.rows;
        let image = line / geometry.rows;
        if x < geometry.columns {
            let pixel = y * geometry.pitch + x;
            // Beyond the last output and source a tile computes the last again; sum_partials skips those.
            //#for o in 0..OUTPUTS
            let gradient_${o} = output_gradients[output_place(image, min(output + ${o}u, geometry.outputs - 1u)) + pixel];
            //#end
            //#for c in 0..CHANNELS
            {
                let value = f32(maps[map_place(params.page_start, params.page_channels, image, min(source + ${c}u, params.source_end - 1u)) + pixel]);
                //#for o in 0..OUTPUTS
                sum_${o}_${c} = fma(gradient_${o}, value, sum_${o}_${c});
                //#end
            }
            //#end
        }
    }
    //#for o in 0..OUTPUTS
    //#for c in 0..CHANNELS
    lane_sums[${(o * CHANNELS + c) * 65}u + lane] = sum_${o}_${c};
    //#end
    //#end
    workgroupBarrier();
    if lane < ${SUMS}u {
        partials[(group.x * params.chunks + group.y) * ${SUMS}u + lane] = add_lanes(lane);
    }
}
