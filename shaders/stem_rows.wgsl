// stem_rows: smooths one channel of the images along rows with a Gaussian, which reaches `radius` pixels.
//
// Bindings: 1 uploaded images [image][channel][y][x], 2 smoothed images: the first half [image][y][x] is written.
// Tiling: one thread for each pixel: x columns, y rows, z images.

//#include geometry
//#include stem
//#include boundary

@group(0) @binding(1) var<storage, read> images: array<f32>;
@group(0) @binding(2) var<storage, read_write> smoothed: array<f32>;

@compute @workgroup_size(64)
fn stem_rows(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let geometry = params.geometry;
    let group = place_in_whole(workgroup);
    let column = group.x * 64u + lane;
    if column >= geometry.columns {
        return;
    }
    let row = (group.z * params.image_channels + params.input) * geometry.rows + group.y;
    let start = row * geometry.columns;
    let radius = i32(params.radius);
    var sum = 0.0;
    for (var d = -radius; d <= radius; d += 1) {
        let seen = source(i32(column) + d, i32(geometry.columns));
        if seen >= 0 {
            sum += weight(d) * images[start + u32(seen)];
        }
    }
    smoothed[smooth_start(0u, group.z) + group.y * geometry.columns + column] = sum;
}
