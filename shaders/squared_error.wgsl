// squared_error: the squared error of the outputs, and its gradient with respect to the outputs.
//
//     loss = scale sum_k sum_p ( y_k(p) - v_k(p) )^2,   dy_k(p) = 2 scale ( y_k(p) - v_k(p) )
//
// Bindings: 1 scale, 2 outputs, 3 wanted values [image][output][y][x], 4 output gradients, 5 partial losses.
// Tiling: a thread takes one pixel of all outputs at a time; see shared/loss.wgsl.

//#include loss

@group(0) @binding(0) var<uniform> params: LossParams;
@group(0) @binding(1) var<uniform> call: LossCall;
@group(0) @binding(2) var<storage, read_write> outputs: array<f32>;
@group(0) @binding(3) var<storage, read> values: array<f32>;
@group(0) @binding(4) var<storage, read_write> output_gradients: array<f32>;
@group(0) @binding(5) var<storage, read_write> partials: array<f32>;

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
            for (var k = 0u; k < geometry.outputs; k += 1u) {
                let at = gradient_place(0u, geometry.outputs, image, k) + y * geometry.pitch + x;
                let line_of_values = (image * geometry.outputs + k) * geometry.rows + y;
                let difference = outputs[at] - values[line_of_values * geometry.columns + x];
                output_gradients[at] = 2.0 * call.scale * difference;
                loss += call.scale * difference * difference;
            }
        }
    }
    lane_sums[lane] = loss;
    workgroupBarrier();
    if lane == 0u {
        partials[group.x] = add_lanes(0u);
    }
}
