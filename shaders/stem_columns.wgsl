// stem_columns: smooths images that are smoothed along rows along columns too.
//
// Bindings: 1 smoothed images [half][image][y][x]: the first half is read, the second written.
// Tiling: one thread for each pixel: x columns, y rows, z images.

//#include geometry
//#include stem
//#include boundary

@group(0) @binding(1) var<storage, read_write> smoothed: array<f32>;

@compute @workgroup_size(64)
fn stem_columns(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let geometry = params.geometry;
    let group = place_in_whole(workgroup);
    let column = group.x * 64u + lane;
    if column >= geometry.columns {
        return;
    }
    let start = smooth_start(0u, group.z) + column;
    let radius = i32(params.radius);
    var sum = 0.0;
    for (var d = -radius; d <= radius; d += 1) {
        let seen = source(i32(group.y) + d, i32(geometry.rows));
        if seen >= 0 {
            sum += weight(d) * smoothed[start + u32(seen) * geometry.columns];
        }
    }
    smoothed[smooth_start(1u, group.z) + group.y * geometry.columns + column] = sum;
}
