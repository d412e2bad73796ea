// mix_input_gradient: starts gradient maps with the output gradients, back-propagated through the 1x1 mix;
// channels that are complete after it pass back through the ReLU.
//
//     gradient_c(p) = sum_o w_oc dy_o(p)
//
// Where gradient maps take the places of feature maps, what is left of these beside the rows is cleared, since
// input_gradient reads zeros there: from the end of the row above the first to the start of the row below the last.
//
// Bindings: 1 parameters, 2 output gradients, 3 page of gradient maps, 4 page of the feature maps of the
// channels that are complete; with MAPS_WITHIN, these are in the page of the gradient maps, which is then bound once.
// Tiling: a thread computes one pixel of up to CHANNELS channels. x: columns by 64; y: rows; z: image x tile
// of channels.

//#include geometry

// Keep in sync with `MixInputGradientParams` in src/gpu/network/params.rs.
struct MixInputGradientParams {
    geometry: Geometry,
    channel_start: u32,
    channel_end: u32,
    finish_start: u32,
    finish_end: u32,
    page_start: u32,
    page_channels: u32,
    map_page_start: u32,
    map_page_channels: u32,
    // Where the mixing weights start among the parameters.
    mix_start: u32,
    // Tiles of channels.
    tiles: u32,
    // Numbers to clear between the end of a row and the start of the next.
    beside: u32,
    // How many planes before the gradient maps that they become sums lie. What is beside rows matters in the latter alone.
    sum_planes: u32,
}

@group(0) @binding(0) var<uniform> params: MixInputGradientParams;
@group(0) @binding(1) var<storage, read> parameters: array<f32>;
@group(0) @binding(2) var<storage, read> output_gradients: array<f32>;
@group(0) @binding(3) var<storage, read_write> gradients: array<f32>;
//#if MAPS_WITHIN
fn map_at(place: u32) -> f32 {
    return gradients[place];
}
//#else
@group(0) @binding(4) var<storage, read> maps: array<f32>;

fn map_at(place: u32) -> f32 {
    return maps[place];
}
//#end

@compute @workgroup_size(64)
fn mix_input_gradient(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let geometry = params.geometry;
    let group = place_in_whole(workgroup);
    let x = group.x * 64u + lane;
    if x >= geometry.columns {
        return;
    }
    let image = group.z / params.tiles;
    let channel = params.channel_start + group.z % params.tiles * ${CHANNELS}u;
    let pixel = group.y * geometry.pitch + x;
    // Beyond the last channel a tile computes it again and writes nothing.
    let last = params.channel_end - 1u;
    //#for c in 0..CHANNELS
    let channel_${c} = min(channel + ${c}u, last);
    var sum_${c} = 0.0;
    //#end
    var at = output_place(image, 0u) + pixel;
    var weights = params.mix_start;
    for (var output = 0u; output < geometry.outputs; output += 1u) {
        let value = output_gradients[at];
        //#for c in 0..CHANNELS
        sum_${c} = fma(parameters[weights + channel_${c}], value, sum_${c});
        //#end
        at += geometry.output_plane;
        weights += geometry.channels;
    }
    //#for c in 0..CHANNELS
    if channel + ${c}u <= last {
        let finishes = channel_${c} >= params.finish_start && channel_${c} < params.finish_end;
        if finishes {
            let map = map_at(map_place(params.map_page_start, params.map_page_channels, image, channel_${c}) + pixel);
            sum_${c} = select(0.0, sum_${c}, map > 0.0);
        }
        let plane = gradient_place(params.page_start, params.page_channels, image, channel_${c});
        let sums_at = plane - params.sum_planes * geometry.gradient_plane;
        gradients[select(sums_at, plane, finishes) + pixel] = sum_${c};
        for (var beside = x; beside < params.beside; beside += geometry.columns) {
            let place = plane + geometry.columns + beside;
            gradients[place + group.y * geometry.pitch] = 0.0;
            if group.y == 0u {
                gradients[place - geometry.pitch] = 0.0;
            }
        }
    }
    //#end
}
