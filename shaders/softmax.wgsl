// softmax: the probabilities of the classes, left where the output gradients will be: the start of Dice. With JUDGE and
// WITHIN they take the place of the outputs, which nothing reads any more.
//
// Bindings: 3 outputs, 5 probabilities; with JUDGE: 3 outputs, which become probabilities.
// Tiling: a thread takes one pixel at a time; see shared/loss.wgsl.

//#include class_loss

@compute @workgroup_size(64)
fn softmax(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let geometry = params.geometry;
    let group = place_in_whole(workgroup);
    for (var item = group.x; item < params.items; item += params.chunks) {
        let x = item % params.column_tiles * 64u + lane;
        let line = item / params.column_tiles;
        let y = line % geometry.rows;
        let image = line / geometry.rows;
        if x < geometry.columns {
            let first = output_place(image, 0u) + y * geometry.pitch + x;
            let largest = largest_output(first);
            let sum = sum_of_exponentials(first, largest, geometry.outputs);
            for (var k = 0u; k < geometry.outputs; k += 1u) {
                let at = first + k * geometry.output_plane;
                let probability = exp(outputs[at] - largest) / sum;
                //#if JUDGE
                outputs[at] = probability;
                //#else
                output_gradients[at] = probability;
                //#end
            }
        }
    }
}
