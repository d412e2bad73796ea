// back_project: what some projections say of the pixels of four slices: sums of filtered rows along the rays of each pixel,
// interpolated linearly between columns.
//
// The ray of the pixel at x, y from the middle of the image meets the projection at angle a in column x cos a + y sin a + axis.
//
// Bindings: 1 cosine and sine of each angle; 2 filtered rows [angle][column] of four slices side by side, with zeros wherever a ray of
// the image may fall; 3 the image [y][x] of four slices, to which the sums are added, or which they replace.
// Tiling: a workgroup takes a tile of 8 x 8 pixels, whose rays meet neighbouring columns; a thread takes one pixel.
// x: tiles of columns; y: tiles of rows.

// Keep in sync with `BackProjectParams` in src/gpu/back_projection.rs.
struct BackProjectParams {
    // Rows and columns of the image, columns of a row, and angles.
    size: u32,
    width: u32,
    angles: u32,
    // 0 where the image is written anew, 1 where sums are added to it.
    adds: u32,
    // The column of the axis.
    axis: f32,
    unused_0: u32,
    unused_1: u32,
    unused_2: u32,
}

@group(0) @binding(0) var<uniform> params: BackProjectParams;
@group(0) @binding(1) var<storage, read> directions: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> rows: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> image: array<vec4<f32>>;

@compute @workgroup_size(64)
fn back_project(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let column = group.x * 8u + lane % 8u;
    let row = group.y * 8u + lane / 8u;
    if column >= params.size || row >= params.size {
        return;
    }
    let middle = 0.5 * f32(params.size - 1u);
    let place = vec2<f32>(f32(column) - middle, f32(row) - middle);
    let last = i32(params.width) - 2;
    var sum = vec4<f32>(0.0);
    for (var angle = 0u; angle < params.angles; angle += 1u) {
        let at = dot(place, directions[angle]) + params.axis;
        let left = floor(at);
        let fraction = at - left;
        // Corners of the image that no ray meets would fall beside the row.
        let first = angle * params.width + u32(clamp(i32(left), 0, last));
        sum += (1.0 - fraction) * rows[first] + fraction * rows[first + 1u];
    }
    let pixel = row * params.size + column;
    if params.adds == 1u {
        sum += image[pixel];
    }
    image[pixel] = sum;
}
