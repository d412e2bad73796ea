// mix_input_gradient: starts gradient maps with the output gradients, back-propagated through the 1x1 mix;
// channels that are complete after it pass back through the ReLU.
//
//     gradient_c(p) = sum_o w_oc dy_o(p)
//
// With HALF, output gradients are multiplied by a power of two first.
//
// Where gradient maps take the places of feature maps, what is left of these beside the rows is cleared, since
// input_gradient reads zeros there: from the end of the row above the first to the start of the row below the last.
//
// Bindings: 1 parameters, 2 output gradients, 3 page of gradient maps, 4 page of the feature maps of the
// channels that are complete; with MAPS_WITHIN, these are in the page of the gradient maps, which is then bound once. With HALF, 4 is the
// sums that are not complete, 5 scaling, and 6 the page of the feature maps.
// Tiling: a thread computes one pixel of up to CHANNELS channels. x: columns by 64; y: rows; z: image x tile
// of channels.

//#include maps
//#include geometry
//#if HALF
//#include scaling
//#end

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
    // Where sums lie that are not complete: how many planes before the gradient maps that they become; with HALF, how many channels of a
    // block there is room for. What is beside rows matters in gradient maps alone.
    sum_planes: u32,
}

@group(0) @binding(0) var<uniform> params: MixInputGradientParams;
@group(0) @binding(1) var<storage, read> parameters: array<f32>;
@group(0) @binding(2) var<storage, read> output_gradients: array<f32>;
@group(0) @binding(3) var<storage, read_write> page: array<MapNumber>;
//#if HALF
@group(0) @binding(4) var<storage, read_write> sums: array<f32>;
@group(0) @binding(5) var<storage, read_write> scaling: Scaling;
//#end
//#if MAPS_WITHIN
fn map_at(place: u32) -> f32 {
    return f32(page[place]);
}
//#else
//#if HALF
@group(0) @binding(6) var<storage, read> maps: array<f16>;
//#else
@group(0) @binding(4) var<storage, read> maps: array<f32>;
//#end

fn map_at(place: u32) -> f32 {
    return f32(maps[place]);
}
//#end
//#include gradient_sums

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
    //#if HALF
    let factor = power_of_two(gradient_power(atomicLoad(&scaling.largest)));
    //#end
    for (var output = 0u; output < geometry.outputs; output += 1u) {
        //#if HALF
        let value = output_gradients[at] * factor;
        //#else
        let value = output_gradients[at];
        //#end
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
        store(plane + pixel, sum_place(plane, image, channel_${c}) + pixel, sum_${c}, finishes);
        for (var beside = x; beside < params.beside; beside += geometry.columns) {
            let place = plane + geometry.columns + beside;
            page[place + group.y * geometry.pitch] = MapNumber(0.0);
            if group.y == 0u {
                page[place - geometry.pitch] = MapNumber(0.0);
            }
        }
    }
    //#end
}
