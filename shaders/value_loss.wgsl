// value_loss: a loss of the differences between outputs and wanted values, and its gradient with respect to the outputs.
//
//     loss = scale sum_k sum_p w(p) f( y_k(p) - v_k(p) ),   dy_k(p) = scale w(p) f'( y_k(p) - v_k(p) )
//
// f(d) is |d| with ABSOLUTE, Huber's with HUBER, sqrt(d^2 + epsilon^2) with CHARBONNIER, and else d^2.
//
// Bindings: 1 scale, 2 weights, 3 outputs, 4 wanted values [image][output][y][x], 5 output gradients,
// 6 partial losses.
// Tiling: a thread takes one pixel of all outputs at a time; see shared/loss.wgsl.

//#include loss

@group(0) @binding(3) var<storage, read> outputs: array<f32>;
@group(0) @binding(4) var<storage, read> values: array<f32>;
@group(0) @binding(5) var<storage, read_write> output_gradients: array<f32>;
@group(0) @binding(6) var<storage, read_write> partials: array<f32>;

// f and its derivative.
fn value_and_slope(difference: f32) -> vec2<f32> {
    //#if ABSOLUTE
    return vec2<f32>(abs(difference), sign(difference));
    //#end
    //#if HUBER
    let inside = min(abs(difference), call.number);
    return vec2<f32>(inside * (abs(difference) - 0.5 * inside), clamp(difference, -call.number, call.number));
    //#end
    //#if CHARBONNIER
    let root = sqrt(difference * difference + call.number * call.number);
    return vec2<f32>(root, difference / root);
    //#end
    //#if SQUARED
    return vec2<f32>(difference * difference, 2.0 * difference);
    //#end
}

@compute @workgroup_size(64)
fn value_loss(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let geometry = params.geometry;
    let group = place_in_whole(workgroup);
    var loss = 0.0;
    for (var item = group.x; item < params.items; item += params.chunks) {
        let x = item % params.column_tiles * 64u + lane;
        let line = item / params.column_tiles;
        let y = line % geometry.rows;
        let image = line / geometry.rows;
        if x < geometry.columns {
            let weight = weight_of_pixel(pixel_number(image, y, x));
            let scale = call.scale * weight;
            for (var k = 0u; k < geometry.outputs; k += 1u) {
                let at = output_place(image, k) + y * geometry.pitch + x;
                let line_of_values = (image * geometry.outputs + k) * geometry.rows + y;
                let term = value_and_slope(outputs[at] - values[line_of_values * geometry.columns + x]);
                // select() and no product: a pixel of weight 0 does not count, even where its target is NaN.
                output_gradients[at] = select(0.0, scale * term.y, weight > 0.0);
                loss += select(0.0, scale * term.x, weight > 0.0);
            }
        }
    }
    lane_sums[lane] = loss;
    workgroupBarrier();
    if lane == 0u {
        partials[group.x] = add_lanes(0u);
    }
}
