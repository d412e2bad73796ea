// softmax_cross_entropy: the cross-entropy of the softmax over the outputs, with FOCAL its focal form, and with GRADIENT its
// gradient with respect to the outputs.
//
//     loss = scale sum_p w(p) ( log sum_k exp y_k(p) - y_t(p) ),   dy_k(p) = scale w(p) ( p_k(p) - [k = t] )
//
// In the focal form a pixel's loss is multiplied by q^g, q = 1 - p_t, and its gradient by q^g (1 - g p_t log p_t / q).
//
// Bindings: 1 scale, 2 weights, 3 outputs, 4 classes [image][y][x], 5 output gradients, 6 partial losses; with JUDGE, which
// goes without GRADIENT: 5 partial losses.
// Tiling: a thread takes one pixel at a time and goes three times over its outputs, four times for the gradient; see
// shared/loss.wgsl.

//#include class_loss

@compute @workgroup_size(64)
fn softmax_cross_entropy(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let geometry = params.geometry;
    let group = place_in_whole(workgroup);
    var loss = 0.0;
    for (var item = group.x; item < params.items; item += params.chunks) {
        let x = item % params.column_tiles * 64u + lane;
        let line = item / params.column_tiles;
        let y = line % geometry.rows;
        let image = line / geometry.rows;
        if x < geometry.columns {
            let pixel = pixel_number(image, y, x);
            let class_of_pixel = classes[pixel];
            let weight = weight_of_pixel(pixel);
            let first = output_place(image, 0u) + y * geometry.pitch + x;
            let counts = class_of_pixel != ignored && weight > 0.0;
            let largest = largest_output(first);
            let sum = sum_of_exponentials(first, largest, geometry.outputs);
            let scale = select(0.0, call.scale * weight, counts);
            var added = 0.0;
            //#if GRADIENT
            var factor = 1.0;
            //#end
            if counts {
                let difference = outputs[first + class_of_pixel * geometry.output_plane] - largest;
                added = log_of_sum(first, largest) - difference;
                //#if FOCAL
                let missing = sum_of_exponentials(first, largest, class_of_pixel) / sum;
                // The first terms of the logarithm's series, where it is mostly rounding; not divided by 0 either way.
                let series = -(1.0 + missing * (0.5 + missing / 3.0));
                let ratio = select(-added / max(missing, 0.01), series, missing < 0.01);
                let power = pow(missing, call.number);
                added = -power * missing * ratio;
                //#if GRADIENT
                factor = power * (1.0 - call.number * exp(difference) / sum * ratio);
                //#end
                //#end
                loss += scale * added;
            }
            //#if GRADIENT
            for (var k = 0u; k < geometry.outputs; k += 1u) {
                let at = first + k * geometry.output_plane;
                let wanted = select(0.0, 1.0, k == class_of_pixel);
                // Selected, not only scaled, so that an ignored pixel gives zero even where an output is infinite.
                let gradient = scale * factor * (exp(outputs[at] - largest) / sum - wanted);
                output_gradients[at] = select(0.0, gradient, counts);
            }
            //#end
        }
    }
    lane_sums[lane] = loss;
    workgroupBarrier();
    if lane == 0u {
        partials[group.x] = add_lanes(0u);
    }
}
