// stem_responses: the responses of one scale from smoothed images, shifted and multiplied, with their margins: the smoothed image,
// the strength of the edge, and the larger and the smaller eigenvalue of the Hessian (src/network/stem.rs has the equations).
//
// Bindings: 1 parameters, 2 smoothed images [half][image][y][x]: the second half is read, 3 page of feature maps that holds the
// responses.
// Tiling: one thread for each element of a plane, margins included: x columns, y rows, z image x response.

//#include maps
//#include geometry
//#include stem
//#include boundary

@group(0) @binding(1) var<storage, read> parameters: array<f32>;
@group(0) @binding(2) var<storage, read> smoothed: array<f32>;
@group(0) @binding(3) var<storage, read_write> maps: array<MapNumber>;

// The smoothed image at a place that may lie beyond its edge.
fn at(start: u32, y: i32, x: i32) -> f32 {
    let from_y = source(y, i32(params.geometry.rows));
    let from_x = source(x, i32(params.geometry.columns));
    if from_y < 0 || from_x < 0 {
        return 0.0;
    }
    return smoothed[start + u32(from_y) * params.geometry.columns + u32(from_x)];
}

fn response(kind: u32, start: u32, y: i32, x: i32) -> f32 {
    if kind == 0u {
        return at(start, y, x);
    }
    let left = at(start, y, x - 1);
    let right = at(start, y, x + 1);
    let above = at(start, y - 1, x);
    let below = at(start, y + 1, x);
    let s = params.scale;
    if kind == 1u {
        let gx = (right - left) * 0.5;
        let gy = (below - above) * 0.5;
        return s * sqrt(gx * gx + gy * gy);
    }
    let twice = 2.0 * at(start, y, x);
    let gxx = right + left - twice;
    let gyy = below + above - twice;
    let lower = at(start, y + 1, x + 1) - at(start, y + 1, x - 1);
    let upper = at(start, y - 1, x + 1) - at(start, y - 1, x - 1);
    let gxy = (lower - upper) * 0.25;
    let half = (gxx - gyy) * 0.5;
    let mean = s * s * 0.5 * (gxx + gyy);
    let apart = s * s * sqrt(half * half + gxy * gxy);
    return select(mean - apart, mean + apart, kind == 2u);
}

@compute @workgroup_size(64)
fn stem_responses(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let geometry = params.geometry;
    let group = place_in_whole(workgroup);
    let column = group.x * 64u + lane;
    if column >= geometry.columns + 2u * geometry.margin {
        return;
    }
    let channel = params.channel_start + group.z % params.channel_count;
    let image = group.z / params.channel_count;
    let kind = channel - params.first_response;
    let y = i32(group.y) - i32(geometry.margin);
    let x = i32(column) - i32(geometry.margin);
    let from_y = source(y, i32(geometry.rows));
    let from_x = source(x, i32(geometry.columns));
    var value = 0.0;
    if from_y >= 0 && from_x >= 0 {
        let change = params.change_start + 2u * kind;
        let found = response(kind, smooth_start(1u, image), from_y, from_x);
        value = (found - parameters[change]) * parameters[change + 1u];
    }
    let place = i32(map_place(params.page_start, params.page_channels, image, channel));
    maps[place + y * i32(geometry.pitch) + x] = MapNumber(value);
}
