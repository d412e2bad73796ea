// load: copies uploaded images into the input channels' feature maps and fills their margins.
//
// Bindings: 1 uploaded images [image][channel][y][x], 2 page of feature maps that holds the channels.
// Tiling: one thread for each element of a plane, margins included: x columns, y rows, z image x channel.

//#include geometry

// Keep in sync with `LoadParams` in src/gpu/network/params.rs.
struct LoadParams {
    geometry: Geometry,
    // The input channels in this page.
    channel_start: u32,
    channel_count: u32,
    page_start: u32,
    page_channels: u32,
}

@group(0) @binding(0) var<uniform> params: LoadParams;
@group(0) @binding(1) var<storage, read> images: array<f32>;
@group(0) @binding(2) var<storage, read_write> maps: array<f32>;

// The pixel of a line of `length` pixels that is seen at `place`, or -1 where zero is seen.
fn source(place: i32, length: i32) -> i32 {
    if place >= 0 && place < length {
        return place;
    }
    if params.geometry.boundary == 0u {
        return -1;
    }
    // A symmetric mirror stands half a pixel beyond the edge, a reflecting one on the edge pixel.
    let beyond = i32(params.geometry.boundary) - 1;
    if length == 1 {
        return 0;
    }
    let period = 2 * (length - 1 + beyond);
    // Counted upwards from a mirror on either side: Vulkan leaves remainders of negative numbers open.
    var phase = place % period;
    if place < 0 {
        phase = period - 1 - (-1 - place) % period;
    }
    return min(phase, period - beyond - phase);
}

@compute @workgroup_size(64)
fn load(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let geometry = params.geometry;
    let group = place_in_whole(workgroup);
    let column = group.x * 64u + lane;
    if column >= geometry.columns + 2u * geometry.margin {
        return;
    }
    let channel = params.channel_start + group.z % params.channel_count;
    let image = group.z / params.channel_count;
    let y = i32(group.y) - i32(geometry.margin);
    let x = i32(column) - i32(geometry.margin);
    let from_y = source(y, i32(geometry.rows));
    let from_x = source(x, i32(geometry.columns));
    var value = 0.0;
    if from_y >= 0 && from_x >= 0 {
        let plane = (image * geometry.inputs + channel) * geometry.rows;
        value = images[(plane + u32(from_y)) * geometry.columns + u32(from_x)];
    }
    let place = i32(map_place(params.page_start, params.page_channels, image, channel));
    maps[place + y * i32(geometry.pitch) + x] = value;
}
