// load: copies uploaded images into the input channels' feature maps and fills their margins.
//
// Bindings: 1 uploaded images [image][channel][y][x], 2 page of feature maps that holds the channels.
// Tiling: one thread for each element of a plane, margins included: x columns, y rows, z image x channel.

//#include maps
//#include geometry
//#include boundary

// Keep in sync with `LoadParams` in src/gpu/network/params.rs.
struct LoadParams {
    geometry: Geometry,
    // The input channels in this page.
    channel_start: u32,
    channel_count: u32,
    page_start: u32,
    page_channels: u32,
    // Channels of the uploaded images.
    image_channels: u32,
    unused_0: u32,
    unused_1: u32,
    unused_2: u32,
}

@group(0) @binding(0) var<uniform> params: LoadParams;
@group(0) @binding(1) var<storage, read> images: array<f32>;
@group(0) @binding(2) var<storage, read_write> maps: array<MapNumber>;

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
        let plane = (image * params.image_channels + channel) * geometry.rows;
        value = images[(plane + u32(from_y)) * geometry.columns + u32(from_x)];
    }
    let place = i32(map_place(params.page_start, params.page_channels, image, channel));
    maps[place + y * i32(geometry.pitch) + x] = MapNumber(value);
}
