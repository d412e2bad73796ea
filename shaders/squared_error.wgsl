// squared_error: the squared error of the outputs, and its gradient with respect to the outputs.
//
//     loss = scale sum_k sum_p w(p) ( y_k(p) - v_k(p) )^2,   dy_k(p) = 2 scale w(p) ( y_k(p) - v_k(p) )
//
// Bindings: 1 scale, 2 weights, 3 outputs, 4 wanted values [image][output][y][x], 5 output gradients,
// 6 partial losses.
// Tiling: a thread takes one pixel of all outputs at a time; see shared/loss.wgsl.

//#include loss

@group(0) @binding(3) var<storage, read_write> outputs: array<f32>;
@group(0) @binding(4) var<storage, read> values: array<f32>;
@group(0) @binding(5) var<storage, read_write> output_gradients: array<f32>;
@group(0) @binding(6) var<storage, read_write> partials: array<f32>;

@compute @workgroup_size(64)
fn squared_error(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let geometry = params.geometry;
    var loss = 0.0;
    for (var item = group.x; item < params.items; item += params.chunks) {
        let x = item % params.column_tiles * 64u + lane;
        let line = item / params.column_tiles;
        let y = line % geometry.rows;
        let image = line / geometry.rows;
        if x < geometry.columns {
            let weight = weight_of_pixel((image * geometry.rows + y) * geometry.columns + x);
            let scale = call.scale * weight;
            for (var k = 0u; k < geometry.outputs; k += 1u) {
                let at = gradient_place(0u, geometry.outputs, image, k) + y * geometry.pitch + x;
                let line_of_values = (image * geometry.outputs + k) * geometry.rows + y;
                // Selected, so that without weight not even a value that is no number counts.
                let error = outputs[at] - values[line_of_values * geometry.columns + x];
                let difference = select(0.0, error, weight > 0.0);
                output_gradients[at] = 2.0 * scale * difference;
                loss += scale * difference * difference;
            }
        }
    }
    lane_sums[lane] = loss;
    workgroupBarrier();
    if lane == 0u {
        partials[group.x] = add_lanes(0u);
    }
}
