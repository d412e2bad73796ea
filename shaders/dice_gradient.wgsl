// dice_gradient: the gradient of Dice with respect to the outputs; with CROSS_ENTROPY, of the sum of both, and the partial
// losses of the cross-entropy.
//
//     dy_j(p) = scale w(p) p_j ( g_j - sum_k g_k p_k ),   g_k = a_k [t = k] + b_k
//
// Bindings: 1 scale, 2 weights, 3 outputs, 4 classes [image][y][x], 5 probabilities, which become output gradients,
// 6 partials: a_k and b_k from dice_start on; partial losses.
// Tiling: a thread takes one pixel at a time; see shared/loss.wgsl.

//#include class_loss

@compute @workgroup_size(64)
fn dice_gradient(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
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
            let slopes = params.dice_start + 3u * image * geometry.outputs;
            let counts = class_of_pixel != ignored && weight > 0.0;
            let scale = select(0.0, call.scale * weight, counts);
            var mean = 0.0;
            for (var k = 0u; k < geometry.outputs; k += 1u) {
                let own = select(0.0, partials[slopes + 3u * k], k == class_of_pixel);
                mean += (own + partials[slopes + 3u * k + 1u]) * output_gradients[first + k * geometry.output_plane];
            }
            for (var k = 0u; k < geometry.outputs; k += 1u) {
                let at = first + k * geometry.output_plane;
                let probability = output_gradients[at];
                let own = select(0.0, partials[slopes + 3u * k], k == class_of_pixel);
                var gradient = probability * (own + partials[slopes + 3u * k + 1u] - mean);
                //#if CROSS_ENTROPY
                gradient += probability - select(0.0, 1.0, k == class_of_pixel);
                //#end
                output_gradients[at] = select(0.0, scale * gradient, counts);
            }
            //#if CROSS_ENTROPY
            if counts {
                let largest = largest_output(first);
                let wanted = outputs[first + class_of_pixel * geometry.output_plane];
                loss += scale * (log_of_sum(first, largest) + (largest - wanted));
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
