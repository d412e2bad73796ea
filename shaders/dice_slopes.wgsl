// dice_slopes: adds up the sums that Dice is made of, adds the loss W (1 - mean_k D_k) of each image to that of the step,
// and leaves for each image and class the two numbers of its gradient: for p_k at a pixel of weight w, it is
// w (a_k [t = k] + b_k). The mean is over the classes that the image's targets hold.
//
// Bindings: 6 partials: [image][class][chunk][3] come in, [image][class][3] from dice_start on go out; 7 the loss.
// Tiling: one workgroup. A thread for each image and class, then for each image.

//#include class_loss

@group(0) @binding(7) var<storage, read_write> loss: array<f32>;

@compute @workgroup_size(64)
fn dice_slopes(@builtin(local_invocation_index) lane: u32) {
    let outputs_of_image = params.geometry.outputs;
    let batch = params.geometry.batch;
    for (var index = lane; index < batch * outputs_of_image; index += 64u) {
        var shared_sum = 0.0;
        var predicted = 0.0;
        var wanted = 0.0;
        for (var chunk = 0u; chunk < params.chunks; chunk += 1u) {
            let at = 3u * (index * params.chunks + chunk);
            shared_sum += partials[at];
            predicted += partials[at + 1u];
            wanted += partials[at + 2u];
        }
        let into = params.dice_start + 3u * index;
        partials[into] = shared_sum;
        partials[into + 1u] = predicted + wanted;
        partials[into + 2u] = wanted;
    }
    storageBarrier();
    workgroupBarrier();
    var sum = 0.0;
    for (var image = lane; image < batch; image += 64u) {
        let start = params.dice_start + 3u * image * outputs_of_image;
        var weight = 0.0;
        var present = 0.0;
        var lacking = 0.0;
        for (var k = 0u; k < outputs_of_image; k += 1u) {
            let at = start + 3u * k;
            let wanted = partials[at + 2u];
            if wanted > 0.0 {
                weight += wanted;
                present += 1.0;
                // The difference comes first: where it is nothing, so is this, whatever a device rounds in divisions.
                lacking += (partials[at + 1u] - 2.0 * partials[at]) / partials[at + 1u];
            }
        }
        let share = weight / max(present, 1.0);
        sum += share * lacking;
        for (var k = 0u; k < outputs_of_image; k += 1u) {
            let at = start + 3u * k;
            let both = partials[at + 1u];
            var slopes = vec2<f32>(0.0);
            if partials[at + 2u] > 0.0 {
                slopes = 2.0 * share / both * vec2<f32>(-1.0, partials[at] / both);
            }
            partials[at] = slopes.x;
            partials[at + 1u] = slopes.y;
        }
    }
    lane_sums[lane] = sum;
    workgroupBarrier();
    if lane == 0u {
        loss[0] += call.scale * add_lanes(0u);
    }
}
