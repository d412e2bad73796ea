// softmax_cross_entropy: the cross-entropy of the softmax over the outputs, and its gradient with respect to
// the outputs. Pixels of class 2^32 - 1 or of weight 0 are ignored: no loss, zero gradient.
//
//     loss = scale sum_p w(p) ( log sum_k exp y_k(p) - y_class(p) )
//     dy_k(p) = scale w(p) ( softmax_k(p) - [k is class] )
//
// Bindings: 1 scale, 2 weights, 3 outputs, 4 classes [image][y][x], 5 output gradients, 6 partial losses.
// Tiling: a thread takes one pixel at a time and goes three times over its outputs; see shared/loss.wgsl.

//#include loss

@group(0) @binding(3) var<storage, read_write> outputs: array<f32>;
@group(0) @binding(4) var<storage, read> classes: array<u32>;
@group(0) @binding(5) var<storage, read_write> output_gradients: array<f32>;
@group(0) @binding(6) var<storage, read_write> partials: array<f32>;

@compute @workgroup_size(64)
fn softmax_cross_entropy(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let geometry = params.geometry;
    var loss = 0.0;
    for (var item = group.x; item < params.items; item += params.chunks) {
        let x = item % params.column_tiles * 64u + lane;
        let line = item / params.column_tiles;
        let y = line % geometry.rows;
        let image = line / geometry.rows;
        if x < geometry.columns {
            let pixel = (image * geometry.rows + y) * geometry.columns + x;
            let class_of_pixel = classes[pixel];
            let weight = weight_of_pixel(pixel);
            let first = gradient_place(0u, geometry.outputs, image, 0u) + y * geometry.pitch + x;
            let counts = class_of_pixel != 0xffffffffu && weight > 0.0;
            var largest = outputs[first];
            for (var k = 1u; k < geometry.outputs; k += 1u) {
                largest = max(largest, outputs[first + k * geometry.gradient_plane]);
            }
            var sum = 0.0;
            for (var k = 0u; k < geometry.outputs; k += 1u) {
                sum += exp(outputs[first + k * geometry.gradient_plane] - largest);
            }
            let scale = select(0.0, call.scale * weight, counts);
            for (var k = 0u; k < geometry.outputs; k += 1u) {
                let at = first + k * geometry.gradient_plane;
                let wanted = select(0.0, 1.0, k == class_of_pixel);
                // Selected, not only scaled, so that an ignored pixel gives zero even where an output is infinite.
                let gradient = scale * (exp(outputs[at] - largest) / sum - wanted);
                output_gradients[at] = select(0.0, gradient, counts);
            }
            if counts {
                let wanted = outputs[first + class_of_pixel * geometry.gradient_plane];
                loss += scale * (log(sum) + (largest - wanted));
            }
        }
    }
    lane_sums[lane] = loss;
    workgroupBarrier();
    if lane == 0u {
        partials[group.x] = add_lanes(0u);
    }
}
