// mix: adds the 1x1 mix of finished feature maps to the outputs.
//
//     y_o(p) += sum_k w_ok z_k(p)
//
// Bindings: 1 parameters, 2 page of the sources, 3 outputs.
// Tiling: a thread computes one pixel of up to OUTPUTS outputs. x: columns by 64; y: rows; z: image x tile of
// outputs.

//#include maps
//#include geometry

// Keep in sync with `MixParams` in src/gpu/network/params.rs.
struct MixParams {
    geometry: Geometry,
    source_start: u32,
    source_end: u32,
    page_start: u32,
    page_channels: u32,
    // 1 when the sums start from the biases of the outputs.
    first: u32,
    // Where mixing weights and output biases start among the parameters.
    mix_start: u32,
    bias_start: u32,
    // Tiles of outputs.
    tiles: u32,
}

@group(0) @binding(0) var<uniform> params: MixParams;
@group(0) @binding(1) var<storage, read> parameters: array<f32>;
@group(0) @binding(2) var<storage, read> sources: array<MapNumber>;
@group(0) @binding(3) var<storage, read_write> outputs: array<f32>;

@compute @workgroup_size(64)
fn mix_maps(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let geometry = params.geometry;
    let group = place_in_whole(workgroup);
    let x = group.x * 64u + lane;
    if x >= geometry.columns {
        return;
    }
    let image = group.z / params.tiles;
    let output = group.z % params.tiles * ${OUTPUTS}u;
    let pixel = group.y * geometry.pitch + x;
    // Beyond the last output a tile computes it again and writes nothing.
    let last = geometry.outputs - 1u;
    //#for o in 0..OUTPUTS
    let output_${o} = min(output + ${o}u, last);
    let weights_${o} = params.mix_start + output_${o} * geometry.channels;
    let at_${o} = output_place(image, output_${o}) + pixel;
    var sum_${o}: f32;
    //#end
    if params.first == 1u {
        //#for o in 0..OUTPUTS
        sum_${o} = parameters[params.bias_start + output_${o}];
        //#end
    } else {
        //#for o in 0..OUTPUTS
        sum_${o} = outputs[at_${o}];
        //#end
    }
    var at = map_place(params.page_start, params.page_channels, image, params.source_start) + pixel;
    for (var source = params.source_start; source < params.source_end; source += 1u) {
        let value = f32(sources[at]);
        //#for o in 0..OUTPUTS
        sum_${o} = fma(parameters[weights_${o} + source], value, sum_${o});
        //#end
        at += geometry.map_plane;
    }
    //#for o in 0..OUTPUTS
    if output + ${o}u <= last {
        outputs[at_${o}] = sum_${o};
    }
    //#end
}
