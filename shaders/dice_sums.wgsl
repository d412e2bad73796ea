// dice_sums: for each image and class k, partial sums of w p_k [t = k], of w p_k and of w [t = k], from which
// dice_slopes makes Dice, or the host when the network is judged.
//
// Bindings: 2 weights, 4 classes [image][y][x], 5 probabilities, 6 partials [image][class][chunk][3]; with JUDGE:
// 3 probabilities, 5 partials, those of Dice from dice_start on.
// Tiling: a workgroup takes one class of one image. Work items are rows of 64 columns; each chunk takes every
// `chunks`-th item. x: classes; y: chunks; z: images.

//#include class_loss

@compute @workgroup_size(64)
fn dice_sums(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let geometry = params.geometry;
    let group = place_in_whole(workgroup);
    let own_class = group.x;
    let image = group.z;
    let place = output_place(image, own_class);
    var shared_sum = 0.0;
    var predicted = 0.0;
    var wanted = 0.0;
    for (var item = group.y; item < params.items; item += params.chunks) {
        let x = item % params.column_tiles * 64u + lane;
        let y = item / params.column_tiles;
        if x < geometry.columns {
            let pixel = pixel_number(image, y, x);
            let class_of_pixel = classes[pixel];
            let weight = weight_of_pixel(pixel);
            if class_of_pixel != ignored && weight > 0.0 {
                //#if JUDGE
                let probability = outputs[place + y * geometry.pitch + x];
                //#else
                let probability = output_gradients[place + y * geometry.pitch + x];
                //#end
                predicted += weight * probability;
                if class_of_pixel == own_class {
                    shared_sum += weight * probability;
                    wanted += weight;
                }
            }
        }
    }
    lane_sums[lane] = shared_sum;
    lane_sums[65u + lane] = predicted;
    lane_sums[130u + lane] = wanted;
    workgroupBarrier();
    if lane < 3u {
        let at = 3u * ((image * geometry.outputs + own_class) * params.chunks + group.y) + lane;
        //#if JUDGE
        partials[params.dice_start + at] = add_lanes(lane);
        //#else
        partials[at] = add_lanes(lane);
        //#end
    }
}
